//! The transition rules of RFC 9293 §3.10 as data.
//!
//! A [`Rule`] says: in this [`State`], on this [`Event`], if the [`Guard`] admits the
//! [`Facts`], do these [`Action`]s and be in that state. Every event possible in a state
//! and every set of facts that can occur together is answered by exactly one rule; the
//! tests enumerate them all. Where RFC 9293 leaves a choice, the rules take RFC 5961 (resets
//! and SYNs in the window are asked back) and the half-duplex close of the sockets API (RST
//! for text nobody can read).
//!
//! Not modelled, because it changes no state: the security compartment (third check),
//! the urgent pointer (sixth check), delayed ACKs and congestion control. Nor is the
//! return to TIME_WAIT of a connection reopened from there whose SYN turns out to be an old
//! duplicate (§3.6.1 MAY-2 (2)): such a SYN_RECV ends like any other.
//!
//! ```
//! use eleven_tcp::rules::{Condition, Event, Facts, find};
//! use eleven_tcp::State;
//!
//! let fin = Facts::of(&[
//!     Condition::Acceptable,
//!     Condition::Ack,
//!     Condition::AckAcceptable,
//!     Condition::AcksOurFin,
//!     Condition::Fin,
//! ]);
//! let rule = find(State::FinWait1, Event::Segment, fin).unwrap();
//! assert_eq!(rule.id, "fin-wait-1.fin-acked-and-fin");
//! assert_eq!(rule.to, State::TimeWait);
//! ```

mod action;
mod condition;
pub mod conformance;
mod event;
mod rule;
mod table;

pub use action::{Action, Failure, ResetForm};
pub use condition::{Condition, Facts, Guard, IMPLICATIONS};
pub use event::{Event, EventKind};
pub use rule::{Circumstance, Deviation, Rule};
pub(crate) use table::find_index;
pub use table::{RULES, applicable, rules_from};

use alloc::vec::Vec;

use crate::{Flags, State};

/// The rule with this id.
pub fn rule(id: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.id == id)
}

/// The rules that lead from another state into `state`.
pub fn rules_into(state: State) -> impl Iterator<Item = &'static Rule> {
    RULES.iter().filter(move |rule| rule.to == state && rule.changes_state())
}

/// The one rule that answers `event` in `state` under `facts`.
///
/// `None` only where the event cannot happen in the state ([`Event::possible_in`]). Facts
/// that contradict each other ([`Facts::is_consistent`]) get some rule or none.
pub fn find(state: State, event: Event, facts: Facts) -> Option<&'static Rule> {
    find_index(state, event, facts).map(|index| &RULES[index])
}

/// The rules that a segment with these flags can meet in `state`, whatever its sequence
/// and acknowledgment numbers are. A FIN is taken to be in sequence.
pub fn segment_rules(state: State, flags: Flags) -> Vec<&'static Rule> {
    applicable(state, Event::Segment).iter().filter(|rule| rule.guard.can_admit(flags)).collect()
}

#[cfg(test)]
mod tests;
