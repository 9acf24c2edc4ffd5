//! The shape of a rule.

use core::fmt;

use super::{Action, Event, Guard};
use crate::State;

/// One transition rule: in this state, on this event, if the guard admits the facts, this
/// side does these things and is in that state afterwards.
///
/// A segment passes several checks in RFC 9293 §3.10.7; a rule says what all of them
/// together come to, so that one segment is explained by exactly one rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Stable name, `state.what-happens`: `fin-wait-1.fin-acked-and-fin`. The part behind the
    /// dot is the same wherever the same thing happens in several states.
    pub id: &'static str,
    /// The state before.
    pub from: State,
    /// What happens.
    pub event: Event,
    /// Under which circumstances.
    pub guard: Guard,
    /// What this side does, in order.
    pub actions: &'static [Action],
    /// The state afterwards, the same as before where nothing changes.
    pub to: State,
    /// Where it is written.
    pub clause: &'static str,
    /// What Linux does differently, if it does.
    pub linux: Option<Deviation>,
}

impl Rule {
    /// Whether the state changes.
    pub const fn changes_state(&self) -> bool {
        self.from.index() != self.to.index()
    }

    /// The part of the id behind the dot, shared by the rules of all states in which the
    /// same thing happens.
    pub fn what(&self) -> &'static str {
        self.id.split_once('.').map_or(self.id, |(_, what)| what)
    }

    /// The state afterwards on Linux.
    ///
    /// Where Linux deviates only under a circumstance of its own (a sysctl, a full queue),
    /// this is the state under that circumstance.
    pub fn to_on_linux(&self) -> State {
        self.linux.and_then(|deviation| deviation.to).unwrap_or(self.to)
    }

    /// What this side puts on the wire: `FIN`, `ACK`. Empty if nothing.
    pub fn sends(&self) -> impl Iterator<Item = &'static str> {
        self.actions.iter().filter_map(|action| action.sends())
    }
}

/// The rule on one line: `FIN_WAIT1, segment (no RST, …): accept acknowledgment → FIN_WAIT2`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.from, self.event)?;
        if self.guard != Guard::ALWAYS {
            write!(f, " ({})", self.guard)?;
        }
        let mut separator = ": ";
        for action in self.actions {
            write!(f, "{separator}{action}")?;
            separator = ", ";
        }
        write!(f, " → {}", self.to)
    }
}

/// When Linux deviates from a rule: something an endpoint can find out about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Circumstance {
    /// Whenever the rule applies.
    Always,
    /// The program has closed its socket: nobody owns the connection any more.
    Orphaned,
    /// The same, and the segment's number lies in the window.
    OrphanedAndAhead,
    /// Resets are kept from ending TIME_WAIT (`tcp_rfc1337`).
    TimeWaitProtected,
    /// The segment begins at the peer's FIN: SEG.SEQ = RCV.NXT − 1.
    AtPeersFin,
    /// The segment is the SYN that opened the connection, once more.
    SynRepeated,
    /// The segment has ACK.
    WithAck,
    /// The segment has text.
    WithText,
    /// The segment has no text.
    WithoutText,
    /// The connection was not opened by Fast Open (RFC 7413).
    WithoutFastOpen,
    /// Something outside the connection decides: the listening socket, its queues, a
    /// table of all connections. A connection by itself follows the rule.
    Outside,
}

/// What Linux does differently from a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deviation {
    /// The difference, and when it shows, in a sentence.
    pub what: &'static str,
    /// When the other state and the other actions take the place of the rule's.
    pub when: Circumstance,
    /// The state afterwards, where it is another.
    pub to: Option<State>,
    /// What is done instead, where that can be said in actions.
    pub actions: Option<&'static [Action]>,
    /// The sysctl, socket option or kernel function that decides.
    pub decided_by: Option<&'static str>,
}

impl Deviation {
    /// A difference in words.
    pub(super) const fn new(what: &'static str) -> Self {
        Self { what, when: Circumstance::Always, to: None, actions: None, decided_by: None }
    }

    /// … that shows only then.
    pub(super) const fn when(self, when: Circumstance) -> Self {
        Self { when, ..self }
    }

    /// … that leads to another state.
    pub(super) const fn to(self, state: State) -> Self {
        Self { to: Some(state), ..self }
    }

    /// … that consists in doing this instead.
    pub(super) const fn doing(self, actions: &'static [Action]) -> Self {
        Self { actions: Some(actions), ..self }
    }

    /// … that this decides.
    pub(super) const fn decided_by(self, name: &'static str) -> Self {
        Self { decided_by: Some(name), ..self }
    }
}
