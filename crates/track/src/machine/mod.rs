//! How a segment moves its sender and its receiver.
//!
//! The sender first ([`emit`]): what it sends proves where it is, and may prove that an earlier
//! inference was too early: then it is taken back, and what is still under way is applied again behind
//! it. The receiver then ([`receive`]), as if the segment arrived: one rule of the model answers it.

mod close;
mod emit;
mod open;
mod receive;
mod reset;

use eleven_tcp::rules::{Condition, Event, Facts, find};
use eleven_tcp::{Rule, State};

pub(crate) use self::close::emit_stray_fin;
pub(crate) use self::emit::emit;
pub(crate) use self::receive::{is_acceptable, receive};
use crate::half::{At, Half, Marks};
use crate::moves::{Deed, rule_of};
use crate::rtt::Samples;
use crate::seen::Seen;
use crate::{Inference, Provenance};

pub(super) const TRAVELLING: Provenance = Provenance::Inferred(Inference::SeenTravelling);

pub(super) const ACKNOWLEDGED: Provenance = Provenance::Inferred(Inference::Acknowledged);

pub(super) const NOT_CAPTURED: Provenance = Provenance::Inferred(Inference::NotCaptured);

pub(super) const ANSWERS_AS_CLOSED: Provenance = Provenance::Inferred(Inference::AnswersAsClosed);

/// Where no round trip is known, a segment may have been under way so long.
pub(super) const PATIENCE_NS: i64 = 500_000_000;

/// What is known about a segment before the states are looked at.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) at: At,
    /// Its timestamp shows that it was sent before others that were seen already.
    pub(crate) late: bool,
    /// Its text or FIN lies outside the window: it changes nothing.
    pub(crate) stray: bool,
    /// What is known of how long segments are under way.
    pub(crate) round_trips: &'a [Samples; 2],
}

impl Context<'_> {
    /// The longest round trip over the whole path, in nanoseconds; 0 if none was timed.
    pub(crate) fn longest_round_trip_ns(&self) -> i64 {
        self.round_trips.iter().map(Samples::max_ns).sum()
    }

    /// So long may a segment have been under way, in nanoseconds.
    fn patience_ns(&self) -> i64 {
        match self.longest_round_trip_ns() {
            ..=0 => PATIENCE_NS,
            longest => longest.saturating_mul(2),
        }
    }
}

/// What the numbers of a segment mean for its receiver.
#[derive(Clone, Copy)]
pub(crate) struct Arrival {
    /// What the receiver expected next, as far as was seen, before this segment.
    pub(crate) expected: eleven_tcp::SeqNumber,
    /// Whether the receiver's window admits it.
    pub(crate) acceptable: bool,
    /// Whether it acknowledges something it may.
    pub(crate) ack_acceptable: bool,
    /// Its FIN was seen before.
    pub(crate) fin_repeated: bool,
}

/// Adds the step of a deed, if the model has a rule for it.
pub(super) fn act(half: &mut Half, deed: Deed, provenance: Provenance, at: At) -> Option<&'static Rule> {
    let rule = rule_of(half.state(), deed)?;
    half.step(rule.to, Some(rule), provenance, at);
    Some(rule)
}

pub(super) fn rule_by(state: State, conditions: &[Condition]) -> Option<&'static Rule> {
    find(state, Event::Segment, Facts::of(conditions))
}

/// Nanoseconds from a step to a segment.
pub(super) fn since(mine: &Half, seen: &Seen<'_>, context: &Context<'_>, step: usize) -> i64 {
    seen.time_ns.saturating_sub(context.at.origin.time_ns).saturating_sub(mine.path.offset_ns_at(step))
}

/// All steps above this one stand on segments that were only seen on their way.
pub(super) fn is_speculative_above(mine: &Half, place: usize) -> bool {
    (place + 1..mine.path.len()).all(|above| mine.path.provenance_at(above) == TRAVELLING)
}

/// Whether what it acknowledges has the peer's FIN, or may have it unseen.
pub(super) fn may_cover_fin(theirs: &Half, seen: &Seen<'_>) -> bool {
    !theirs.is(Marks::NUMBERED)
        || theirs.is(Marks::STRAY_FIN)
        || theirs.is(Marks::FIN) && seen.ack.ge(theirs.fin_end)
        || theirs.is(Marks::UNSEEN_TAIL) && seen.ack.ge(theirs.next)
        || seen.ack.gt(theirs.next)
}
