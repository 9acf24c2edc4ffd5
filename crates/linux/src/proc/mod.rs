//! What the text files below `/proc` tell.

pub mod counters;
pub mod limits;
pub mod process;
pub mod sockets;
pub mod sysctl;
