//! What makes trouble on real hosts, each with the finding that it is, a file an idea.

pub(super) mod addresses;
pub(super) mod chain;
pub(super) mod half_open;
pub(super) mod heartbeats;
pub(super) mod leaks;
pub(super) mod listening;
pub(super) mod path;
pub(super) mod ports;
pub(super) mod resets;
pub(super) mod windows;
