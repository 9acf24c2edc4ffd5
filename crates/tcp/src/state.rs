//! The eleven states (RFC 9293 §3.3.2), their spellings and kernel numbers.

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use crate::suggest::edit_distance;

/// One of the eleven states of a TCP connection (RFC 9293 §3.3.2).
///
/// The variants carry the RFC's words. [`fmt::Display`] prints netstat's spelling,
/// which is what administrators search for, and [`FromStr`] accepts every spelling
/// in use: RFC 9293, netstat, ss, the kernel's `TCP_…` and Windows' `LISTENING`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum State {
    /// Waits for a connection request from any remote peer.
    Listen = 10,
    /// Has sent SYN, waits for the peer's.
    SynSent = 2,
    /// Has sent and received SYN, waits for the ACK of its own.
    SynReceived = 3,
    /// Open: data flows both ways.
    Established = 1,
    /// Has sent FIN, waits for its ACK or the peer's FIN.
    FinWait1 = 4,
    /// Its FIN is acknowledged, waits for the peer's FIN.
    FinWait2 = 5,
    /// The peer has closed, the local program has not.
    CloseWait = 8,
    /// Both sides sent FIN at once, waits for the ACK of its own.
    Closing = 11,
    /// The peer closed first, waits for the ACK of its own FIN.
    LastAck = 9,
    /// Waits until no segment of this connection can be left in the network.
    TimeWait = 6,
    /// No connection.
    Closed = 7,
}

/// A row of the one table of spellings: state, netstat, RFC 9293, ss, further aliases.
struct Spelling {
    state: State,
    netstat: &'static str,
    rfc: &'static str,
    ss: &'static str,
    /// Spellings that folding case and dropping `-`, `_`, blanks and a leading
    /// `TCP_` does not already lead to one of the three above.
    aliases: &'static [&'static str],
}

/// Order of life: open, transfer, close. Every list of states is printed in it.
const SPELLINGS: [Spelling; 11] = [
    Spelling {
        state: State::Listen,
        netstat: "LISTEN",
        rfc: "LISTEN",
        ss: "LISTEN",
        aliases: &["listening"],
    },
    Spelling { state: State::SynSent, netstat: "SYN_SENT", rfc: "SYN-SENT", ss: "SYN-SENT", aliases: &[] },
    Spelling {
        state: State::SynReceived,
        netstat: "SYN_RECV",
        rfc: "SYN-RECEIVED",
        ss: "SYN-RECV",
        aliases: &["synrcvd", "newsynrecv"],
    },
    Spelling {
        state: State::Established,
        netstat: "ESTABLISHED",
        rfc: "ESTABLISHED",
        ss: "ESTAB",
        aliases: &["est"],
    },
    Spelling {
        state: State::FinWait1,
        netstat: "FIN_WAIT1",
        rfc: "FIN-WAIT-1",
        ss: "FIN-WAIT-1",
        aliases: &[],
    },
    Spelling {
        state: State::FinWait2,
        netstat: "FIN_WAIT2",
        rfc: "FIN-WAIT-2",
        ss: "FIN-WAIT-2",
        aliases: &[],
    },
    Spelling {
        state: State::CloseWait,
        netstat: "CLOSE_WAIT",
        rfc: "CLOSE-WAIT",
        ss: "CLOSE-WAIT",
        aliases: &[],
    },
    Spelling { state: State::Closing, netstat: "CLOSING", rfc: "CLOSING", ss: "CLOSING", aliases: &[] },
    Spelling { state: State::LastAck, netstat: "LAST_ACK", rfc: "LAST-ACK", ss: "LAST-ACK", aliases: &[] },
    Spelling {
        state: State::TimeWait,
        netstat: "TIME_WAIT",
        rfc: "TIME-WAIT",
        ss: "TIME-WAIT",
        aliases: &["timewt"],
    },
    Spelling {
        state: State::Closed,
        netstat: "CLOSED",
        rfc: "CLOSED",
        ss: "UNCONN",
        aliases: &["close", "unconnected", "boundinactive"],
    },
];

/// Folds a spelling to the form in which all spellings of a state meet.
fn fold(text: &str) -> String {
    let folded: String =
        text.chars().filter(|c| !matches!(c, '-' | '_' | ' ')).map(|c| c.to_ascii_lowercase()).collect();
    folded.strip_prefix("tcp").map_or_else(|| folded.clone(), str::to_owned)
}

impl State {
    /// All eleven, in the order of a connection's life.
    pub const ALL: [Self; 11] = [
        Self::Listen,
        Self::SynSent,
        Self::SynReceived,
        Self::Established,
        Self::FinWait1,
        Self::FinWait2,
        Self::CloseWait,
        Self::Closing,
        Self::LastAck,
        Self::TimeWait,
        Self::Closed,
    ];

    fn spelling(self) -> &'static Spelling {
        &SPELLINGS[self.index()]
    }

    /// Place in [`State::ALL`], 0 to 10: for tables indexed by state.
    pub const fn index(self) -> usize {
        match self {
            Self::Listen => 0,
            Self::SynSent => 1,
            Self::SynReceived => 2,
            Self::Established => 3,
            Self::FinWait1 => 4,
            Self::FinWait2 => 5,
            Self::CloseWait => 6,
            Self::Closing => 7,
            Self::LastAck => 8,
            Self::TimeWait => 9,
            Self::Closed => 10,
        }
    }

    /// netstat's spelling, the one that is printed: `FIN_WAIT1`.
    pub fn as_str(self) -> &'static str {
        self.spelling().netstat
    }

    /// RFC 9293's spelling: `FIN-WAIT-1`.
    pub fn rfc_name(self) -> &'static str {
        self.spelling().rfc
    }

    /// ss's spelling: `FIN-WAIT-1`, `ESTAB`, `UNCONN`.
    pub fn ss_name(self) -> &'static str {
        self.spelling().ss
    }

    /// The kernel's number (`include/net/tcp_states.h`), 1 to 11.
    pub const fn kernel_number(self) -> u8 {
        self as u8
    }

    /// The state behind a kernel number.
    ///
    /// 12 (`TCP_NEW_SYN_RECV`, a request mini-socket) is SYN_RECV and 13
    /// (`TCP_BOUND_INACTIVE`, bound but neither listening nor connected) is CLOSED:
    /// the kernel splits these two states by how it stores them, TCP does not.
    pub const fn from_kernel_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Established,
            2 => Self::SynSent,
            3 | 12 => Self::SynReceived,
            4 => Self::FinWait1,
            5 => Self::FinWait2,
            6 => Self::TimeWait,
            7 | 13 => Self::Closed,
            8 => Self::CloseWait,
            9 => Self::LastAck,
            10 => Self::Listen,
            11 => Self::Closing,
            _ => return None,
        })
    }

    /// Whether both sides have synchronized their sequence numbers (RFC 9293 §3.5.2):
    /// ESTABLISHED and everything after it except CLOSED.
    pub const fn is_synchronized(self) -> bool {
        !matches!(self, Self::Listen | Self::SynSent | Self::SynReceived | Self::Closed)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that names no state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseStateError {
    word: String,
    nearest: State,
}

impl ParseStateError {
    /// The word that was not understood.
    pub fn word(&self) -> &str {
        &self.word
    }

    /// The state whose spelling is closest to the word.
    pub fn nearest(&self) -> State {
        self.nearest
    }
}

impl fmt::Display for ParseStateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not a TCP state; did you mean {}?", self.word, self.nearest)
    }
}

impl core::error::Error for ParseStateError {}

impl FromStr for State {
    type Err = ParseStateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let folded = fold(text);
        SPELLINGS
            .iter()
            .find(|row| {
                [row.netstat, row.rfc, row.ss].iter().any(|name| fold(name) == folded)
                    || row.aliases.contains(&folded.as_str())
            })
            .map(|row| row.state)
            .ok_or_else(|| ParseStateError { word: text.to_owned(), nearest: nearest(&folded) })
    }
}

fn nearest(folded: &str) -> State {
    let mut best = (usize::MAX, State::Listen);
    for row in &SPELLINGS {
        for name in [row.netstat, row.rfc, row.ss] {
            let distance = edit_distance(folded, &fold(name));
            if distance < best.0 {
                best = (distance, row.state);
            }
        }
    }
    best.1
}

/// A set of states.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct StateSet(u16);

impl StateSet {
    /// No state.
    pub const EMPTY: Self = Self(0);
    /// All eleven.
    pub const ALL: Self = Self((1 << 11) - 1);

    /// Whether `state` is in the set.
    pub const fn contains(self, state: State) -> bool {
        self.0 & (1 << state.index()) != 0
    }

    /// The set and `state`.
    #[must_use]
    pub const fn with(self, state: State) -> Self {
        Self(self.0 | (1 << state.index()))
    }

    /// The set without `state`.
    #[must_use]
    pub const fn without(self, state: State) -> Self {
        Self(self.0 & !(1 << state.index()))
    }

    /// What is in either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both sets.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is not in the set.
    #[must_use]
    pub const fn complement(self) -> Self {
        Self(!self.0 & Self::ALL.0)
    }

    /// Whether no state is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many states are in the set.
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// The states in the set, in the order of a connection's life.
    pub fn iter(self) -> impl Iterator<Item = State> {
        State::ALL.into_iter().filter(move |state| self.contains(*state))
    }
}

impl FromIterator<State> for StateSet {
    fn from_iter<I: IntoIterator<Item = State>>(states: I) -> Self {
        states.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl fmt::Debug for StateSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(State::as_str)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_leads_back_to_its_state() {
        for row in &SPELLINGS {
            for name in [row.netstat, row.rfc, row.ss].iter().chain(row.aliases) {
                assert_eq!(name.parse(), Ok(row.state), "{name}");
                assert_eq!(name.to_lowercase().parse(), Ok(row.state), "{name}");
                assert_eq!(format!("TCP_{name}").parse(), Ok(row.state), "TCP_{name}");
            }
        }
        for (word, state) in [
            ("SYN_RCVD", State::SynReceived),
            ("Listening", State::Listen),
            ("finwait2", State::FinWait2),
            ("FinWait2", State::FinWait2),
            ("TCP_CLOSE", State::Closed),
            ("TCP_NEW_SYN_RECV", State::SynReceived),
        ] {
            assert_eq!(word.parse(), Ok(state), "{word}");
        }
    }

    #[test]
    fn all_is_in_table_order() {
        for (index, state) in State::ALL.into_iter().enumerate() {
            assert_eq!(state.index(), index);
            assert_eq!(SPELLINGS[index].state, state);
            assert_eq!(State::from_kernel_number(state.kernel_number()), Some(state));
        }
        assert_eq!(State::from_kernel_number(12), Some(State::SynReceived));
        assert_eq!(State::from_kernel_number(13), Some(State::Closed));
        assert_eq!(State::from_kernel_number(0), None);
        assert_eq!(State::from_kernel_number(14), None);
    }

    #[test]
    fn an_unknown_word_gets_the_nearest_state() {
        let error = "TIMEWIAT".parse::<State>().unwrap_err();
        assert_eq!(error.nearest(), State::TimeWait);
        assert_eq!(error.to_string(), "`TIMEWIAT` is not a TCP state; did you mean TIME_WAIT?");
    }

    #[test]
    fn set_algebra() {
        let set: StateSet = [State::TimeWait, State::Listen].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [State::Listen, State::TimeWait]);
        assert_eq!(set.complement().len(), 9);
        assert!(set.intersection(set.complement()).is_empty());
        assert_eq!(set.union(set.complement()), StateSet::ALL);
    }
}
