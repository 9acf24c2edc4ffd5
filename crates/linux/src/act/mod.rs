//! Acting on sockets of other programs: closing them, and setting their options.
//!
//! Whatever is done is done to the one socket that was looked at: its cookie is compared first, so that a port or a
//! descriptor that was used again meanwhile is left alone.

mod destroy;
mod options;

pub use destroy::{Destroyed, destroy};
pub use options::{HeldSocket, OptionChange, ReachError, SocketTimers};
