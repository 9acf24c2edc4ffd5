//! A segment arrives, as far as can be seen: one rule of the model answers it.

use std::sync::LazyLock;

use eleven_tcp::rules::{Condition, Event, Facts, find};
use eleven_tcp::{Flags, ReceiveWindow, Rule, State};

use super::{Arrival, TRAVELLING, rule_by};
use crate::half::{At, Half, Marks};
use crate::moves::{Deed, rule_of};
use crate::seen::Seen;

/// The rule that answers text and acknowledgments in an open connection.
static ORDINARY: LazyLock<Option<&'static Rule>> = LazyLock::new(|| {
    rule_by(
        State::Established,
        &[Condition::Acceptable, Condition::Exact, Condition::Ack, Condition::AckAcceptable],
    )
});

/// Text or an acknowledgment in an open connection that nobody closes: what nearly all segments are.
#[inline]
fn is_ordinary(mine: &Half, theirs: &Half, seen: &Seen<'_>, arrival: Arrival) -> bool {
    mine.state() == State::Established
        && seen.is_pure_or_text()
        && arrival.acceptable
        && arrival.ack_acceptable
        && !mine.is(Marks::FIN)
        && !theirs.is(Marks::FIN)
}

/// The segment arrives, as far as can be seen. Called when its numbers are put down. Gives the rule that answers it.
#[inline]
pub(crate) fn receive(
    mine: &mut Half,
    theirs: &Half,
    seen: &Seen<'_>,
    arrival: Arrival,
    at: At,
) -> Option<&'static Rule> {
    if mine.path.len() == 0 {
        return None;
    }
    if is_ordinary(mine, theirs, seen, arrival) {
        let rule = *ORDINARY;
        debug_assert_eq!(
            rule.map(|rule| rule.id),
            find(mine.state(), Event::Segment, facts(mine, theirs, seen, arrival)).map(|rule| rule.id)
        );
        return rule;
    }
    if seen.has(Flags::RST) && mine.is_speculative() {
        make_room_for_reset(mine, theirs, seen, arrival);
    }
    if seen.has(Flags::FIN) && arrival.fin_repeated {
        fin_comes_again(mine);
    }
    let facts = facts(mine, theirs, seen, arrival);
    let rule = find(mine.state(), Event::Segment, facts)?;
    if rule.changes_state() {
        move_receiver(mine, rule, seen, at);
    }
    Some(rule)
}

/// The peer's FIN again, and no answer to the first was seen: that one had not arrived.
#[cold]
fn fin_comes_again(mine: &mut Half) {
    let Some(place) = mine.path.find(State::Closing) else { return };
    if mine.path.provenance_at(place) != TRAVELLING || place == 0 {
        return;
    }
    let was_acked = mine.state() == State::TimeWait && mine.path.len() == place + 2;
    if !was_acked && mine.path.len() != place + 1 {
        return;
    }
    let acked_at = was_acked.then(|| mine.path.step_at(place + 1));
    mine.take_back(place);
    if let Some(step) = acked_at
        && let Some(rule) = rule_of(State::FinWait1, Deed::FinAcked)
    {
        mine.put(&crate::path::Again { state: rule.to, rule, of: step });
    }
}

/// A reset that counts only if what was under way before has not arrived: then it has not, or it would have been
/// answered at once.
#[cold]
fn make_room_for_reset(mine: &mut Half, theirs: &Half, seen: &Seen<'_>, arrival: Arrival) {
    let Some(last) = mine.path.len().checked_sub(1).filter(|last| *last > 0) else { return };
    match mine.state() {
        State::CloseWait | State::Closing | State::TimeWait => {
            let at_last_ack = mine.is(Marks::ACKS) && seen.seq == mine.last_ack;
            if at_last_ack && seen.seq != arrival.expected {
                mine.take_back(last);
            }
        }
        // An earlier reset, behind what it would have answered at once, has not arrived: this one answers what it sent.
        State::Closed
            if mine.is(Marks::WAS_RESET)
                && mine.is_unanswered_below(last)
                && mine.is(Marks::ACKS)
                && seen.seq == mine.last_ack
                && seen.seq != mine.reset_at =>
        {
            mine.marks.clear(Marks::WAS_RESET);
            mine.take_back(last - 1);
        }
        State::SynReceived if mine.path.state_at(last - 1) == State::SynSent => {
            let refuses = seen.has(Flags::ACK) && seen.ack.gt(mine.isn) && seen.ack.le(mine.next);
            if refuses && seen.seq != theirs.contiguous {
                mine.take_back(last);
            }
        }
        _ => {}
    }
}

#[cold]
fn move_receiver(mine: &mut Half, rule: &'static Rule, seen: &Seen<'_>, at: At) {
    if seen.has(Flags::RST) {
        mine.marks.set(Marks::WAS_RESET);
        mine.reset_at = seen.seq;
    }
    mine.step(rule.to, Some(rule), TRAVELLING, at);
}

fn facts(mine: &Half, theirs: &Half, seen: &Seen<'_>, arrival: Arrival) -> Facts {
    let flags = seen.flags;
    let facts = Facts::of_flags(flags.difference(Flags::FIN))
        .set(Condition::PassiveOpen, mine.path.state_at(0) == State::Listen);
    let state = mine.state();
    if matches!(state, State::Closed | State::Listen) {
        return facts;
    }
    if state == State::SynSent {
        let ack = flags.contains(Flags::ACK) && seen.ack.gt(mine.isn) && seen.ack.le(mine.next);
        return facts
            .set(Condition::AckAcceptable, ack)
            .set(Condition::Fin, flags.contains(Flags::FIN) && theirs.fin_complete());
    }
    let control = flags.intersects(Flags::RST | Flags::SYN);
    let ack = flags.contains(Flags::ACK) && arrival.ack_acceptable;
    let crossing = state == State::SynReceived
        && ack
        && flags.contains(Flags::SYN)
        && !flags.intersects(Flags::RST | Flags::FIN)
        && mine.is(Marks::ACTIVE)
        && seen.seq == theirs.isn;
    let acceptable = arrival.acceptable && !crossing;
    // The FIN counts when nothing before it is missing any more, whichever segment brings that about.
    let has_fin = matches!(state, State::CloseWait | State::LastAck | State::Closing | State::TimeWait);
    let fin = acceptable && !control && theirs.fin_complete() && (!has_fin || flags.contains(Flags::FIN));
    let repeated = !control
        && !acceptable
        && flags.contains(Flags::FIN)
        && theirs.is(Marks::FIN)
        && seen.end() == theirs.fin_end;
    let acks_fin = ack && mine.is(Marks::FIN) && mine.acked.ge(mine.fin_end);
    facts
        .set(Condition::Acceptable, acceptable)
        .set(Condition::Exact, acceptable && is_exact(mine, arrival, seen))
        .set(Condition::AckAcceptable, ack)
        .set(Condition::AcksOurFin, acks_fin)
        .set(Condition::Fin, fin || repeated)
        .set(Condition::FinRepeated, repeated)
        .set(Condition::CrossingSynAck, crossing)
}

/// Whether a reset hits the number that is expected next: what was seen on its way may have arrived or not.
fn is_exact(mine: &Half, arrival: Arrival, seen: &Seen<'_>) -> bool {
    seen.seq == arrival.expected || (mine.is(Marks::ACKS) && seen.seq == mine.last_ack)
}

/// The sequence number test as far as it can be made from outside: what the receiver has not acknowledged yet may
/// be new to it, although it was seen before.
#[inline]
pub(crate) fn is_acceptable(mine: &Half, theirs: &Half, seen: &Seen<'_>) -> bool {
    if !theirs.is(Marks::NUMBERED) {
        return true;
    }
    let low = if mine.is(Marks::ACKS) { mine.last_ack.earlier(theirs.contiguous) } else { theirs.contiguous };
    let size = if theirs.is(Marks::ACKED) {
        u32::try_from(theirs.edge.distance(low)).unwrap_or(0)
    } else {
        // Nothing was heard of its window yet.
        1 << 16
    };
    let control = seen.flags.intersects(Flags::RST | Flags::SYN);
    let length = if control { 0 } else { seen.len() };
    if size == 0 && !control {
        return seen.seq.ge(low - 1) && seen.seq.le(low) || seen.seq == theirs.contiguous;
    }
    ReceiveWindow { next: low, size }.accepts(seen.seq, length)
        || (length == 0 && (seen.seq == low + size || (size == 0 && seen.seq == low)))
}
