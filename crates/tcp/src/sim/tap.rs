//! What is seen at a place of the network, and what becomes of it behind.

use alloc::sync::Arc;

use super::HostId;
use crate::Instant;

/// A place that packets pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// The interface of the host that sends it.
    Sender,
    /// The router in the middle of the link.
    Router,
    /// The interface of the host that it is for.
    Receiver,
}

/// What becomes of a packet behind a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It gets to the next place.
    Passed,
    /// It does not.
    Lost(LossCause),
}

/// Why a packet was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LossCause {
    /// A line of the script said so.
    Scripted,
    /// The link loses some (see [`Loss`](super::Loss)).
    Chance,
    /// It found the queue full.
    QueueFull,
    /// The way was cut.
    Cut,
    /// It was larger than the MTU.
    TooBig,
    /// No host has its destination's address.
    Unroutable,
}

impl LossCause {
    /// In a few words: `lost by script`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scripted => "lost by script",
            Self::Chance => "lost by chance",
            Self::QueueFull => "lost to a full queue",
            Self::Cut => "lost in a cut",
            Self::TooBig => "lost as larger than the MTU",
            Self::Unroutable => "lost for want of a route",
        }
    }
}

/// A packet at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// When it passed.
    pub time: Instant,
    /// Where.
    pub place: Place,
    /// What became of it behind that place.
    pub fate: Fate,
    /// Who sent it; for the report of a router, whom the packet it is about was for.
    pub from: HostId,
    /// Whom it is for; if no host has its destination's address, its sender.
    pub to: HostId,
    /// The number it got when it was sent.
    pub number: u64,
    /// Whether it is a copy that the network made.
    pub copy: bool,
    /// The packet as it looked there: with the marks and the damage it had by then.
    pub packet: Arc<[u8]>,
}

/// Where somebody listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Vantage {
    /// At a host: all it sends, and all that arrives.
    Host(HostId),
    /// At the router between two hosts: what gets so far, in both directions.
    Between(HostId, HostId),
}

impl Vantage {
    pub(super) fn sees(self, record: &Record) -> bool {
        match (self, record.place) {
            (Self::Host(host), Place::Sender) => record.from == host,
            (Self::Host(host), Place::Receiver) => record.to == host,
            (Self::Between(one, other), Place::Router) => {
                (record.from, record.to) == (one, other) || (record.from, record.to) == (other, one)
            }
            (Self::Host(_), Place::Router) | (Self::Between(..), Place::Sender | Place::Receiver) => false,
        }
    }
}
