//! The rules that what a side sends proves, found once by their ids.

use std::sync::LazyLock;

use eleven_tcp::rules;
use eleven_tcp::{Rule, State};

/// What a side does that shows in what it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Deed {
    /// Sends SYN: `active-open`.
    ActiveOpen,
    /// Waits for a SYN: `passive-open`.
    PassiveOpen,
    /// Answers a SYN in LISTEN.
    Syn,
    /// Answers a SYN in SYN_SENT.
    SimultaneousOpen,
    /// Has got the SYN+ACK.
    SynAck,
    /// Has got the ACK of its SYN+ACK.
    Ack,
    /// Has got the SYN+ACK that crossed its own.
    CrossingSynAck,
    /// Has got both the ACK of its SYN+ACK and the peer's FIN.
    AckAndFin,
    /// Sends FIN.
    Close,
    /// Resets.
    Abort,
    /// Has got the peer's FIN.
    Fin,
    /// Has got the acknowledgment of its FIN.
    FinAcked,
    /// Has got the acknowledgment of its FIN, and with it the peer's.
    FinAckedAndFin,
    /// Resets because of text nobody can read.
    TextAfterClose,
    /// Has left TIME_WAIT.
    TimeWaitTimeout,
    /// An ICMP error ends it.
    IcmpHardError,
}

const WHATS: [&str; 16] = [
    "active-open",
    "passive-open",
    "syn",
    "simultaneous-open",
    "syn-ack",
    "ack",
    "crossing-syn-ack",
    "ack-and-fin",
    "close",
    "abort",
    "fin",
    "fin-acked",
    "fin-acked-and-fin",
    "text-after-close",
    "time-wait-timeout",
    "icmp-hard-error",
];

type Table = [[Option<&'static Rule>; WHATS.len()]; State::ALL.len()];

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut table = Table::default();
    for state in State::ALL {
        for rule in rules::rules_from(state) {
            if let Some(place) = WHATS.iter().position(|what| *what == rule.what()) {
                table[state.index()][place] = Some(rule);
            }
        }
    }
    table
});

/// The rule of a deed in a state, if there is one.
pub(crate) fn rule_of(state: State, deed: Deed) -> Option<&'static Rule> {
    TABLE[state.index()][deed as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deeds_are_rules() {
        for (state, deed, to) in [
            (State::Closed, Deed::ActiveOpen, State::SynSent),
            (State::Closed, Deed::PassiveOpen, State::Listen),
            (State::Listen, Deed::Syn, State::SynReceived),
            (State::SynSent, Deed::SimultaneousOpen, State::SynReceived),
            (State::SynSent, Deed::SynAck, State::Established),
            (State::SynSent, Deed::Abort, State::Closed),
            (State::SynReceived, Deed::Ack, State::Established),
            (State::SynReceived, Deed::CrossingSynAck, State::Established),
            (State::SynReceived, Deed::AckAndFin, State::CloseWait),
            (State::SynReceived, Deed::Close, State::FinWait1),
            (State::SynReceived, Deed::Abort, State::Closed),
            (State::Established, Deed::Close, State::FinWait1),
            (State::Established, Deed::Abort, State::Closed),
            (State::Established, Deed::Fin, State::CloseWait),
            (State::CloseWait, Deed::Close, State::LastAck),
            (State::CloseWait, Deed::Abort, State::Closed),
            (State::FinWait1, Deed::FinAcked, State::FinWait2),
            (State::FinWait1, Deed::Fin, State::Closing),
            (State::FinWait1, Deed::FinAckedAndFin, State::TimeWait),
            (State::FinWait1, Deed::TextAfterClose, State::Closed),
            (State::FinWait1, Deed::Abort, State::Closed),
            (State::FinWait2, Deed::Fin, State::TimeWait),
            (State::FinWait2, Deed::TextAfterClose, State::Closed),
            (State::FinWait2, Deed::Abort, State::Closed),
            (State::Closing, Deed::FinAcked, State::TimeWait),
            (State::Closing, Deed::Abort, State::Closed),
            (State::LastAck, Deed::FinAcked, State::Closed),
            (State::LastAck, Deed::Abort, State::Closed),
            (State::TimeWait, Deed::TimeWaitTimeout, State::Closed),
            (State::SynSent, Deed::IcmpHardError, State::Closed),
            (State::SynReceived, Deed::IcmpHardError, State::Closed),
        ] {
            let rule = rule_of(state, deed).unwrap_or_else(|| panic!("{state} {deed:?}"));
            assert_eq!((rule.from, rule.to), (state, to), "{}", rule.id);
        }
    }
}
