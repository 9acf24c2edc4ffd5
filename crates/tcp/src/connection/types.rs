//! What goes into a connection and comes out of it.

use core::fmt;
use core::net::IpAddr;

use crate::rules::Failure;
use crate::{Ecn, Segment};

/// What the IP layer says of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The sender.
    pub source: IpAddr,
    /// The receiver.
    pub destination: IpAddr,
    /// The two bits of explicit congestion notification.
    pub ecn: Ecn,
}

/// A segment to send.
#[derive(Clone, Copy, Debug)]
pub struct Transmit<'a> {
    /// From whom to whom.
    pub envelope: Envelope,
    /// The segment. Its text is still in the send buffer.
    pub segment: Segment<'a>,
    /// Where the text is longer than this, it is to be cut into segments of this size
    /// ([`crate::Policy::segmentation_offload`]).
    pub segment_size: u16,
}

/// Why a call of the program was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallError {
    /// Nothing to read yet, or no room to write: try again after an event.
    WouldBlock,
    /// What RFC 9293 §3.10 answers, or what ended the connection.
    Failed(Failure),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WouldBlock => f.write_str("nothing can be done at once; wait for the next event"),
            Self::Failed(failure) => failure.fmt(f),
        }
    }
}

impl core::error::Error for CallError {}

/// What the program should hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectionEvent {
    /// The connection is open.
    Opened,
    /// There is text to read.
    Readable,
    /// There is room to write again.
    Writable,
    /// The peer will send no more.
    PeerClosed,
    /// The connection failed.
    Failed(Failure),
    /// The connection is over: CLOSED.
    Closed,
}

/// The events not yet polled.
#[derive(Clone, Copy, Default)]
pub(super) struct Events(u8);

impl Events {
    pub(super) const OPENED: u8 = 1;
    pub(super) const READABLE: u8 = 1 << 1;
    pub(super) const WRITABLE: u8 = 1 << 2;
    pub(super) const PEER_CLOSED: u8 = 1 << 3;
    pub(super) const FAILED: u8 = 1 << 4;
    pub(super) const CLOSED: u8 = 1 << 5;

    pub(super) const fn note(&mut self, event: u8) {
        self.0 |= event;
    }

    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The first event in the order they make sense in.
    pub(super) const fn poll(&mut self, failure: Option<Failure>) -> Option<ConnectionEvent> {
        let event = self.0 & self.0.wrapping_neg();
        self.0 &= !event;
        Some(match (event, failure) {
            (Self::OPENED, _) => ConnectionEvent::Opened,
            (Self::READABLE, _) => ConnectionEvent::Readable,
            (Self::WRITABLE, _) => ConnectionEvent::Writable,
            (Self::PEER_CLOSED, _) => ConnectionEvent::PeerClosed,
            (Self::FAILED, Some(failure)) => ConnectionEvent::Failed(failure),
            (Self::CLOSED, _) => ConnectionEvent::Closed,
            _ => return None,
        })
    }
}

/// Why text that does not fill a segment waits.
#[derive(Clone, Copy, Default, Hash)]
pub(super) struct Held(u8);

impl Held {
    /// Until it does, or until this is taken back (`TCP_CORK`).
    pub(super) const CORKED: u8 = 1;
    /// The latest SEND was one that more will follow (`MSG_MORE`).
    pub(super) const MORE: u8 = 1 << 1;

    pub(super) const fn set(&mut self, which: u8, on: bool) {
        if on {
            self.0 |= which;
        } else {
            self.0 &= !which;
        }
    }

    pub(super) const fn contains(self, which: u8) -> bool {
        self.0 & which != 0
    }

    pub(super) const fn waits(self) -> bool {
        self.contains(Self::CORKED | Self::MORE)
    }
}
