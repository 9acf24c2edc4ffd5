//! What only a flow in a capture can be asked.

use std::fmt;
use std::time::Duration;

use eleven_tcp::{State, StateSet};

use super::ast::{DurationText, write_name};
use super::comparison::Comparison;
use super::pattern::Pattern;

/// One question about a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlowPredicate {
    /// The state in which an end was last is one of these.
    EndState(End, StateSet),
    /// Who began to close.
    ClosedBy(ClosedBy),
    /// Something of this name happened in it.
    Anomaly(Pattern),
    /// Zeek's verdict.
    ConnState(Pattern),
    /// A number.
    Number {
        /// Of what.
        measure: Measure,
        /// How it compares.
        comparison: Comparison,
        /// To what.
        value: u64,
    },
    /// A time.
    Time {
        /// Of what.
        measure: Measure,
        /// How it compares.
        comparison: Comparison,
        /// To what.
        value: Duration,
    },
}

/// Which end of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Who called.
    Client,
    /// Who was called.
    Server,
    /// One of the two.
    Either,
}

/// Who began to close a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosedBy {
    /// The client.
    Client,
    /// The server.
    Server,
    /// Nobody, as far as was seen.
    Nobody,
}

impl ClosedBy {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
            Self::Nobody => "none",
        }
    }
}

/// What is measured of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Its number.
    Number,
    /// Segments sent again.
    Retransmissions,
    /// Packets.
    Packets,
    /// Bytes of text.
    Bytes,
    /// From the first packet to the last.
    Duration,
    /// From the SYN to the ACK that opens.
    Handshake,
}

impl Measure {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Number => "flow",
            Self::Retransmissions => "retransmissions",
            Self::Packets => "packets",
            Self::Bytes => "bytes",
            Self::Duration => "duration",
            Self::Handshake => "handshake",
        }
    }
}

/// The names that `anomaly` takes.
pub(super) fn anomaly_names() -> Vec<&'static str> {
    eleven_track::Note::all().map(eleven_track::Note::as_str).collect()
}

impl FlowPredicate {
    pub(super) fn write(
        &self,
        f: &mut fmt::Formatter<'_>,
        equal: &str,
        compare: impl Fn(Comparison) -> &'static str,
    ) -> fmt::Result {
        match self {
            Self::EndState(end, states) => {
                let keyword = match end {
                    End::Client => "client-state",
                    End::Server => "server-state",
                    End::Either => "end-state",
                };
                let names: Vec<&str> = states.iter().map(State::as_str).collect();
                let names = if names.is_empty() { "none".to_owned() } else { names.join(",") };
                write!(f, "{keyword} {equal} {names}")
            }
            Self::ClosedBy(end) => write!(f, "closed-by {equal} {}", end.as_str()),
            Self::Anomaly(name) => write_name(f, "anomaly", equal, name),
            Self::ConnState(name) => write_name(f, "conn-state", equal, name),
            Self::Number { measure, comparison, value } => {
                write!(f, "{} {} {value}", measure.as_str(), compare(*comparison))
            }
            Self::Time { measure, comparison, value } => {
                write!(f, "{} {} {}", measure.as_str(), compare(*comparison), DurationText(*value))
            }
        }
    }
}
