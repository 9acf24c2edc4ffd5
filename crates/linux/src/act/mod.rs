//! Acting, when told to: closing sockets of other programs, setting their options, setting sysctls.
//!
//! Whatever is done to a socket is done to the one that was looked at: its cookie is compared first, so that a port or a
//! descriptor that was used again meanwhile is left alone.

mod destroy;
mod options;
pub mod sysctl;

pub use destroy::{Destroyed, destroy};
pub use options::{HeldSocket, OptionChange, ReachError, SocketTimers};
