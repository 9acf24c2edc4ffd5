//! What can happen to a connection (RFC 9293 §3.10).

use core::fmt;

use crate::{State, StateSet};

/// Something that happens to a connection and that a rule answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Event {
    /// OPEN with a remote socket, to send a SYN: `connect()`.
    ActiveOpen,
    /// OPEN without sending anything, to wait for a SYN: `listen()`.
    PassiveOpen,
    /// SEND: the program hands over text.
    Send,
    /// RECEIVE: the program asks for text.
    Receive,
    /// CLOSE of both directions by a program that will not read any more: `close()`.
    ///
    /// RFC 9293 calls CLOSE what [`Event::Shutdown`] is here and lets a host take
    /// away reading together with writing (§3.6.1, MAY-1), as the sockets API does.
    Close,
    /// CLOSE of the sending direction only: `shutdown(SHUT_WR)`, the half-close.
    Shutdown,
    /// ABORT: `close()` with `SO_LINGER` of zero seconds.
    Abort,
    /// STATUS: the program asks for the state.
    Status,
    /// A segment of this connection arrives.
    Segment,
    /// The 2·MSL timer of TIME_WAIT expires.
    TimeWaitTimeout,
    /// The retransmission timer expires: what was sent first is still unacknowledged.
    RetransmissionTimeout,
    /// The retransmission timer expires once more after the limit R2 (§3.8.3), or as many
    /// zero-window probes have stayed unanswered.
    RetransmissionsExhausted,
    /// What was sent has stayed unacknowledged for the user timeout (§3.10.8).
    UserTimeout,
    /// The peer's window has been zero for one probe interval (§3.8.6.1).
    PersistTimeout,
    /// Nothing has arrived for one keepalive interval (§3.8.4).
    KeepaliveTimeout,
    /// As many keepalive probes as allowed have stayed unanswered (§3.8.4).
    KeepaliveExhausted,
    /// The peer has not closed within the time granted in FIN_WAIT2.
    ///
    /// RFC 9293 has no such timer; every implementation in use has one for
    /// connections no program owns any more.
    FinWait2Timeout,
    /// ICMP reports a hard error for this connection: protocol or port unreachable, or
    /// fragmentation needed where that is not part of path MTU discovery (§3.9.2.2).
    IcmpHardError,
}

/// Where an event comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// The local program.
    Call,
    /// The peer.
    Segment,
    /// The passing of time.
    Timer,
    /// A router or host on the path.
    Network,
}

impl Event {
    /// Every event, in the order rules are listed.
    pub const ALL: [Self; 18] = [
        Self::ActiveOpen,
        Self::PassiveOpen,
        Self::Send,
        Self::Receive,
        Self::Close,
        Self::Shutdown,
        Self::Abort,
        Self::Status,
        Self::Segment,
        Self::TimeWaitTimeout,
        Self::RetransmissionTimeout,
        Self::RetransmissionsExhausted,
        Self::UserTimeout,
        Self::PersistTimeout,
        Self::KeepaliveTimeout,
        Self::KeepaliveExhausted,
        Self::FinWait2Timeout,
        Self::IcmpHardError,
    ];

    /// Place in [`Event::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Who causes it.
    pub const fn kind(self) -> EventKind {
        match self {
            Self::ActiveOpen
            | Self::PassiveOpen
            | Self::Send
            | Self::Receive
            | Self::Close
            | Self::Shutdown
            | Self::Abort
            | Self::Status => EventKind::Call,
            Self::Segment => EventKind::Segment,
            Self::TimeWaitTimeout
            | Self::RetransmissionTimeout
            | Self::RetransmissionsExhausted
            | Self::UserTimeout
            | Self::PersistTimeout
            | Self::KeepaliveTimeout
            | Self::KeepaliveExhausted
            | Self::FinWait2Timeout => EventKind::Timer,
            Self::IcmpHardError => EventKind::Network,
        }
    }

    /// The states in which it can happen.
    ///
    /// Calls and segments can come at any time. A timer runs only where it has
    /// something to wait for: the retransmission and user timers where something that
    /// takes sequence space can be unacknowledged, the persist timer where text or the
    /// FIN can be waiting for the peer's window, the keepalive timer where the
    /// connection can be idle with nothing outstanding.
    pub const fn possible_in(self) -> StateSet {
        match self {
            Self::ActiveOpen
            | Self::PassiveOpen
            | Self::Send
            | Self::Receive
            | Self::Close
            | Self::Shutdown
            | Self::Abort
            | Self::Status
            | Self::Segment => StateSet::ALL,
            Self::TimeWaitTimeout => StateSet::EMPTY.with(State::TimeWait),
            Self::FinWait2Timeout => StateSet::EMPTY.with(State::FinWait2),
            Self::RetransmissionTimeout | Self::RetransmissionsExhausted | Self::UserTimeout => StateSet::ALL
                .without(State::Closed)
                .without(State::Listen)
                .without(State::FinWait2)
                .without(State::TimeWait),
            Self::PersistTimeout => StateSet::EMPTY
                .with(State::Established)
                .with(State::FinWait1)
                .with(State::CloseWait)
                .with(State::Closing)
                .with(State::LastAck),
            Self::KeepaliveTimeout | Self::KeepaliveExhausted => {
                StateSet::EMPTY.with(State::Established).with(State::FinWait2).with(State::CloseWait)
            }
            Self::IcmpHardError => StateSet::ALL.without(State::Closed).without(State::Listen),
        }
    }

    /// The name that is printed: calls in capitals as in RFC 9293, the rest in words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ActiveOpen => "active OPEN",
            Self::PassiveOpen => "passive OPEN",
            Self::Send => "SEND",
            Self::Receive => "RECEIVE",
            Self::Close => "CLOSE",
            Self::Shutdown => "SHUTDOWN",
            Self::Abort => "ABORT",
            Self::Status => "STATUS",
            Self::Segment => "segment",
            Self::TimeWaitTimeout => "2MSL timeout",
            Self::RetransmissionTimeout => "retransmission timeout",
            Self::RetransmissionsExhausted => "retransmissions exhausted",
            Self::UserTimeout => "user timeout",
            Self::PersistTimeout => "persist timeout",
            Self::KeepaliveTimeout => "keepalive timeout",
            Self::KeepaliveExhausted => "keepalive exhausted",
            Self::FinWait2Timeout => "FIN_WAIT2 timeout",
            Self::IcmpHardError => "ICMP hard error",
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
