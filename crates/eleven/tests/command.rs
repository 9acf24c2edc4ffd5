//! The built command, run as a user runs it.
//!
//! Most tests make real sockets in a network namespace of their own. That takes root, or for
//! most of them `unshare -rn cargo test -p eleven`; what cannot run says `skipped:` and why.

mod act;
mod bad_input;
mod contract;
mod doctor;
mod doctor_path;
mod filters;
mod fixes;
mod help;
mod lab;
mod snapshot_diff;
mod summary;
mod support;
mod terminal;
mod trace;
mod unprivileged;
mod why;
