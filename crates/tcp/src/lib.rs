//! TCP as RFC 9293 defines it: states, flags, sequence numbers and transition
//! rules, as data.
//!
//! Everything else in the project takes its idea of TCP from here. No clock, no
//! socket, no thread: the crate only knows the protocol.

mod state;

pub use state::{ParseStateError, State, StateSet};
