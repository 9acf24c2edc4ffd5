//! A simulated network in virtual time, and ways to look at what happened in it.
//!
//! - [`Network`] carries IP packets between hosts, over links that delay, lose, repeat, reorder, damage and mark
//!   them at random or by a [`Schedule`]. A run is replayed from its seed.
//! - [`Vantage`] and [`Record`]: what is seen at any point of the way; [`pcapng`](crate::pcapng) writes it down.
//! - [`ladder`] draws what passes between two ends.
//! - [`Simulation`]: hosts with TCP and [programs](Program) on such a network, and a [`Journal`] of what happened
//!   at each end and why.

mod host;
mod journal;
pub mod ladder;
mod link;
mod loss;
mod network;
mod picture;
mod program;
mod random;
mod schedule;
mod simulation;
mod tap;

pub use host::{End, EndId};
pub use journal::{Cause, EndEvent, Journal, Receipt, Reception, Sending};
pub use link::{Link, Mtu, Queue, Reordering};
pub use loss::{GilbertElliott, Loss};
pub use network::{Delivery, HostId, Network, UnknownHost};
pub use program::{Do, ParseProgramError, Program};
pub use random::Random;
pub use schedule::{Action, ParseScriptedError, Schedule, Scripted, Which};
pub use simulation::{Simulation, Stop};
pub use tap::{Fate, LossCause, Place, Record, Vantage};
