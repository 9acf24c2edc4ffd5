//! TCP as RFC 9293 defines it: its transition rules as data, and an endpoint, a host and a
//! simulator that run them.
//!
//! Everything else in the project takes its idea of TCP from here. No clock, no
//! socket, no thread: segments and instants go in, segments and deadlines come out. Without the
//! feature `std` the crate needs only `alloc`.
//!
//! What TCP is:
//!
//! - [`State`]: the eleven states and every spelling of them.
//! - [`Flags`]: the flags of a segment, and which combinations are legal.
//! - [`SeqNumber`], [`ReceiveWindow`]: arithmetic in a space that wraps.
//! - [`rules`]: what happens in which state, each rule with an id, its clause in the RFC
//!   and what Linux does differently.
//! - [`diagram`]: the state diagram, drawn from the rules.
//! - [`segment`], [`ip`]: segments with their options, and as much of IP as TCP needs.
//!
//! What runs it:
//!
//! - [`connection`]: one end of one connection, driven by the rules.
//! - [`demux`], [`listener`]: all connections of a host, and those who wait for more.
//! - [`pcapng`]: captures, written.
//! - [`policy`]: every number and choice, with the profiles of RFC 9293 and of Linux.
//! - [`recovery`], [`congestion`]: what of the text sent arrived, what to send again, and how much at once.
//! - [`fast_open`]: what lets a host trust strangers sooner.
//! - [`heartbeat`]: what keepalive cannot tell.
//! - [`script`]: what should happen, written down and played.
//! - [`sockets`]: the calls of programs on Linux, with their numbers and errors.
//! - [`sim`]: hosts on a simulated network in virtual time.
//! - [`suggest`]: which word may have been meant.

#![cfg_attr(not(any(test, feature = "std")), no_std)]

extern crate alloc;

mod buffer;
pub mod congestion;
pub mod connection;
mod cookie;
pub mod demux;
pub mod diagram;
pub mod fast_open;
mod flags;
mod hash;
pub mod heartbeat;
pub mod ip;
mod isn;
pub mod listener;
mod pair;
pub mod patience;
pub mod pcapng;
pub mod policy;
pub mod recovery;
pub mod rules;
pub mod script;
pub mod segment;
mod seq;
pub mod sim;
pub mod sockets;
mod state;
pub mod suggest;
mod time;

#[doc(hidden)]
pub use connection::try_any_events;
pub use connection::{CallError, Connection, ConnectionEvent, Envelope, IcmpError, Info, Steps, Transmit};
pub use demux::Demux;
pub use flags::{FlagRule, Flags, FlagsClass, Legality, ParseFlagsError, Verdict};
pub use ip::Ecn;
pub use listener::Listener;
pub use pair::FourTuple;
pub use policy::Policy;
pub use rules::Rule;
pub use segment::{Options, SackBlock, SackBlocks, Segment, TcpOption, Text, Timestamps};
pub use seq::{ReceiveWindow, SeqNumber};
pub use state::{ParseStateError, State, StateSet};
pub(crate) use time::Deadline;
pub use time::Instant;
