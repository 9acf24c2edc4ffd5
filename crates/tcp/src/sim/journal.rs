//! What happened at the ends of connections, and why.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use super::HostId;
use crate::{FourTuple, Instant, Rule, State, Steps};

/// Why something happened at an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Its program called: `close()`.
    Call(&'static str),
    /// A packet arrived: the number it got from the network.
    Packet(u64),
    /// A router's report arrived: the number of its packet.
    Report(u64),
    /// Time passed.
    Timer,
    /// The host lost everything it knew.
    Crash,
}

/// Something that happened at one end of a connection.
#[derive(Clone, Copy, Debug)]
pub struct EndEvent {
    /// When.
    pub time: Instant,
    /// On which host.
    pub host: HostId,
    /// Of which connection, as that host sees it.
    pub pair: FourTuple,
    /// Why.
    pub cause: Cause,
    /// The state before. LISTEN where a listener answered for a connection there was not yet.
    pub before: State,
    /// The state after.
    pub after: State,
    /// The rules that were applied. Empty where none explains it: in a crash, or where a listener
    /// overlooks a segment.
    pub steps: Steps,
}

impl EndEvent {
    /// The rules one after the other, each with the state before and after it.
    ///
    /// What Linux does differently shows in the states, not in the rules.
    pub fn changes(&self) -> impl Iterator<Item = (&'static Rule, State, State)> {
        let rules: Vec<&'static Rule> = self.steps.iter().collect();
        let last = self.after;
        (0..rules.len()).map(move |index| {
            // Between two rules the state is what the second begins with.
            let after = rules.get(index + 1).map_or(last, |next| next.from);
            (rules[index], rules[index].from, after)
        })
    }

    /// The ids of the rules, with commas between.
    pub fn rules(&self) -> String {
        self.steps.iter().map(|rule| rule.id).collect::<Vec<_>>().join(", ")
    }

    /// Whether the state is another than before.
    pub const fn changes_state(&self) -> bool {
        self.before.index() != self.after.index()
    }
}

/// A segment at the moment it was sent.
#[derive(Clone, Copy, Debug)]
pub struct Sending {
    /// When.
    pub time: Instant,
    /// By which host.
    pub host: HostId,
    /// On which connection, as its sender sees it.
    pub pair: FourTuple,
    /// The sender's state.
    pub state: State,
    /// How many of [`Journal::events`] had happened by then.
    pub events: usize,
    /// What made the sender send it: a place in [`Journal::events`]. The first segment after an event
    /// has it, those behind have `None`.
    pub because: Option<usize>,
}

/// What became of a packet that arrived at a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reception {
    /// TCP took it: a place in [`Journal::events`].
    Taken(usize),
    /// A checksum was wrong, or it was no packet any more.
    Damaged,
    /// The host was down.
    HostDown,
}

/// A packet that arrived.
#[derive(Clone, Copy, Debug)]
pub struct Receipt {
    /// When.
    pub time: Instant,
    /// Whether it was a copy that the network made.
    pub copy: bool,
    /// What became of it.
    pub reception: Reception,
}

/// The record of a [`Simulation`](super::Simulation).
///
/// Unless everything is [recorded](super::Simulation::record), it has the events that changed a state, and no packets.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    /// What happened at the ends, in order of time.
    pub events: Vec<EndEvent>,
    /// The segments that were sent, by the number of their packet.
    pub sent: BTreeMap<u64, Sending>,
    /// The packets that arrived, by number; one more than once if the network made copies.
    pub received: BTreeMap<u64, Vec<Receipt>>,
    pub(super) everything: bool,
}

impl Journal {
    /// Puts down an event, if it is worth it; tells its place.
    pub(super) fn note(&mut self, event: EndEvent) -> Option<usize> {
        if !self.everything && !event.changes_state() {
            return None;
        }
        self.events.push(event);
        Some(self.events.len() - 1)
    }

    /// What happened at a host to a connection, in order of time.
    pub fn of(&self, host: HostId, pair: FourTuple) -> impl Iterator<Item = &EndEvent> {
        self.events.iter().filter(move |event| event.host == host && event.pair == pair)
    }

    /// What receiving a packet did: the event of its first arrival that counted.
    pub fn effect_of(&self, number: u64, copy: bool) -> Option<&EndEvent> {
        let receipts = self.received.get(&number)?;
        let receipt = receipts.iter().find(|receipt| receipt.copy == copy)?;
        match receipt.reception {
            Reception::Taken(index) => self.events.get(index),
            Reception::Damaged | Reception::HostDown => None,
        }
    }
}
