//! A simulated network in virtual time, and ways to look at what happened in it.
//!
//! - [`Network`] carries IP packets between hosts, over links that delay, lose, repeat, reorder, damage and mark
//!   them at random or by a [`Schedule`]. A run is replayed from its seed.
//! - [`Vantage`] and [`Record`]: what is seen at any point of the way.

mod link;
mod loss;
mod network;
mod random;
mod schedule;
mod tap;

pub use link::{Link, Mtu, Queue, Reordering};
pub use loss::{GilbertElliott, Loss};
pub use network::{Delivery, HostId, Network, UnknownHost};
pub use random::Random;
pub use schedule::{Action, ParseScriptedError, Schedule, Scripted, Which};
pub use tap::{Fate, LossCause, Place, Record, Vantage};
