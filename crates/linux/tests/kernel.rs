//! What the readers say of real sockets, on the real kernel.
//!
//! Every test plays in network namespaces of its own, which takes root; without that it
//! prints `skipped:` and why. `ss` and `/proc/net/tcp` are called as witnesses where they
//! can tell.

#[path = "kernel/ages.rs"]
mod ages;
#[path = "kernel/labels.rs"]
mod labels;
#[path = "kernel/namespaces.rs"]
mod namespaces;
#[path = "kernel/owners.rs"]
mod owners;
#[path = "kernel/readers.rs"]
mod readers;
#[path = "kernel/recorder.rs"]
mod recorder;
#[path = "kernel/selection.rs"]
mod selection;
#[path = "kernel/states.rs"]
mod states;
mod support;
#[path = "kernel/witnesses.rs"]
mod witnesses;
