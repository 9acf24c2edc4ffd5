//! Where the project's tests play: network namespaces of their own, a wire between two of
//! them that can be cut, and sockets in chosen states.
//!
//! All of it takes root. What cannot be made says why as a sentence, for [`or_skip!`].

pub mod namespace;
pub mod sockets;
pub mod wire;

mod skip;
mod wait;

pub use skip::skipped;
pub use wait::wait_for;
