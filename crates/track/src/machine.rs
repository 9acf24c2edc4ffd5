//! How a segment moves its sender and its receiver.
//!
//! The sender first ([`emit`]): what it sends proves where it is, and may prove that an earlier
//! inference was too early: then it is taken back, and what is still under way is applied again behind
//! it. The receiver then ([`receive`]), as if the segment arrived: one rule of the model answers it.

use std::sync::LazyLock;

use eleven_tcp::rules::{Condition, Event, Facts, find};
use eleven_tcp::{Flags, ReceiveWindow, Rule, State};

use crate::half::{At, Half, Marks};
use crate::moves::{Deed, rule_of};
use crate::note::{Note, Notes};
use crate::rtt::Samples;
use crate::seen::Seen;
use crate::{Assumption, Inference, Provenance};

const TRAVELLING: Provenance = Provenance::Inferred(Inference::SeenTravelling);
const ACKNOWLEDGED: Provenance = Provenance::Inferred(Inference::Acknowledged);
const NOT_CAPTURED: Provenance = Provenance::Inferred(Inference::NotCaptured);
const ANSWERS_AS_CLOSED: Provenance = Provenance::Inferred(Inference::AnswersAsClosed);

/// The shortest TIME_WAIT there is, in nanoseconds.
const TIME_WAIT_NS: i64 = 30_000_000_000;

/// Where no round trip is known, a segment may have been under way so long.
const PATIENCE_NS: i64 = 500_000_000;

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

/// Adds the step of a deed, if the model has a rule for it.
fn act(half: &mut Half, deed: Deed, provenance: Provenance, at: At) -> Option<&'static Rule> {
    let rule = rule_of(half.state(), deed)?;
    half.step(rule.to, Some(rule), provenance, at);
    Some(rule)
}

/// What the sender of a segment shows by it. Called before the segment's numbers are put down. Gives the
/// rule that moved the sender.
pub(crate) fn emit(
    mine: &mut Half,
    theirs: &Half,
    seen: &Seen<'_>,
    context: &Context<'_>,
    notes: &mut Notes,
) -> Option<&'static Rule> {
    let flags = seen.flags;
    let at = context.at;
    if flags.contains(Flags::RST) {
        return emit_reset(mine, theirs, seen, context, notes);
    }
    if mine.state() == State::Closed && mine.path.len() > 1 && !context.late {
        survive(mine, theirs, seen, context, notes);
    }
    if flags.contains(Flags::SYN) {
        if flags.contains(Flags::ACK) {
            return emit_syn_ack(mine, seen, context, notes);
        }
        let fresh = mine.path.len() == 0 || !mine.is(Marks::HEARD) || has_only_refused(mine);
        let apart = !fresh
            && !mine.is(Marks::SYN)
            && theirs.is(Marks::ACTIVE)
            && mine.is(Marks::HEARD)
            && !mine.state().is_synchronized();
        if apart {
            notes.insert(Note::SplitHandshake);
        }
        if fresh || apart {
            mine.take_back(0);
            mine.marks.clear(Marks::RESET);
            let rule = act(mine, Deed::ActiveOpen, Provenance::Observed, at);
            // The peer's SYN is under way to it.
            if theirs.is(Marks::ACTIVE) && mine.state() == State::SynSent {
                act(mine, Deed::SimultaneousOpen, TRAVELLING, at);
            }
            return rule;
        }
        late_syn(mine, seen, at, notes);
        again_syn(mine, seen, context);
        return None;
    }
    emit_synchronized(mine, theirs, seen, context, notes)
}

/// A SYN that comes behind the SYN+ACK of the same number: its sender had opened actively.
#[cold]
fn late_syn(mine: &mut Half, seen: &Seen<'_>, at: At, notes: &mut Notes) {
    let passive = mine.path.len() > 1
        && mine.path.state_at(0) == State::Listen
        && mine.path.state_at(1) == State::SynReceived;
    if !passive || !mine.is(Marks::SYN) || seen.seq != mine.isn {
        return;
    }
    let step = |state, rule| crate::Step {
        state,
        rule,
        provenance: Provenance::Observed,
        packet: at.packet,
        time_ns: at.time_ns,
    };
    let opens = step(State::SynSent, rule_of(State::Closed, Deed::ActiveOpen));
    let answers = step(State::SynReceived, rule_of(State::SynSent, Deed::SimultaneousOpen));
    mine.marks.set(Marks::TAKEN_BACK);
    mine.rewrite_listen(&[opens, answers], at);
    mine.marks.set(Marks::ACTIVE);
    notes.insert(Note::SimultaneousOpen);
}

/// The same SYN without ACK, behind what would have been answered with SYN+ACK: that has not arrived.
#[cold]
fn again_syn(mine: &mut Half, seen: &Seen<'_>, context: &Context<'_>) {
    let Some(place) = mine.path.find(State::SynSent) else { return };
    let again = mine.is(Marks::SYN) && seen.seq == mine.isn && !context.late;
    // If the two crossed, its SYN+ACK will tell.
    let unanswered = mine.state() == State::SynReceived && !mine.is(Marks::SYN_ACK);
    if again
        && place + 1 < mine.path.len()
        && is_speculative_above(mine, place)
        && (unanswered || since(mine, seen, context, place + 1) > context.patience_ns())
    {
        mine.take_back(place + 1);
    }
}

/// All steps above this one stand on segments that were only seen on their way.
fn is_speculative_above(mine: &Half, place: usize) -> bool {
    (place + 1..mine.path.len()).all(|above| mine.path.provenance_at(above) == TRAVELLING)
}

/// Nanoseconds from a step to a segment.
fn since(mine: &Half, seen: &Seen<'_>, context: &Context<'_>, step: usize) -> i64 {
    seen.time_ns.saturating_sub(context.at.origin.time_ns).saturating_sub(mine.path.offset_ns_at(step))
}

/// The answer of an end that has no connection to a SYN (RFC 9293 §3.10.7.1): its number tells nothing of the sender's own.
const fn is_answer_to_syn(seen: &Seen<'_>) -> bool {
    seen.has(Flags::RST) && seen.has(Flags::ACK) && seen.seq.0 == 0
}

/// All that was seen of it is such an answer.
fn has_only_refused(mine: &Half) -> bool {
    mine.path.len() == 1 && mine.state() == State::Closed && mine.is(Marks::RESET)
}

/// What acknowledges less than its sender did before was sent before.
fn is_stale(mine: &Half, seen: &Seen<'_>) -> bool {
    seen.has(Flags::ACK) && mine.is(Marks::ACKS) && seen.ack.lt(mine.last_ack)
}

/// A side that was taken to be closed sends something.
#[cold]
fn survive(mine: &mut Half, theirs: &Half, seen: &Seen<'_>, context: &Context<'_>, notes: &mut Notes) {
    let last = mine.path.len() - 1;
    if is_stale(mine, seen) {
        return;
    }
    if mine.is(Marks::WAS_RESET) && mine.is_speculative() {
        let since = since(mine, seen, context, last);
        // It acknowledges what the peer sent behind the reset: the reset was not the peer's.
        let acknowledges_more = seen.has(Flags::ACK)
            && theirs.is(Marks::NUMBERED)
            && seen.ack.gt(mine.reset_at)
            && seen.ack.le(theirs.next);
        if acknowledges_more {
            notes.insert(Note::SuspectedInjection);
        }
        if acknowledges_more || since > context.patience_ns() {
            mine.marks.clear(Marks::WAS_RESET);
            mine.take_back(last);
        }
    } else if mine.is(Marks::RESET) && last > 0 {
        // It reset the connection itself, as far as the reset's address tells.
        let ahead = !mine.is(Marks::RESET_ANSWERS) && seen.seq.ge(mine.reset_at);
        // What tells nothing new may just have been overtaken.
        let tells = seen.has(Flags::ACK) && mine.is(Marks::ACKS) && seen.ack.gt(mine.last_ack);
        let patience = if tells { context.patience_ns() } else { context.patience_ns().max(PATIENCE_NS) };
        let newer =
            seen.len() > 0 && ahead && !seen.has(Flags::SYN) || since(mine, seen, context, last) > patience;
        // It refused a SYN before it sent its own: what came behind the SYN shows that the reset was overtaken.
        let before = mine.path.state_at(last - 1);
        let overtaken = mine.reset_at == mine.isn
            && before != State::Listen
            && !before.is_synchronized()
            && seen.seq.gt(mine.isn);
        if newer || overtaken {
            if mine.reset_at != mine.isn {
                notes.insert(Note::SuspectedInjection);
            }
            mine.marks.clear(Marks::RESET);
            mine.take_back(last);
        }
    }
}

fn emit_syn_ack(
    mine: &mut Half,
    seen: &Seen<'_>,
    context: &Context<'_>,
    notes: &mut Notes,
) -> Option<&'static Rule> {
    let at = context.at;
    if mine.path.find(State::SynSent).is_some() {
        match mine.path.find(State::SynReceived) {
            Some(place) => {
                if mine.path.provenance_at(place) != Provenance::Observed {
                    notes.insert(Note::SimultaneousOpen);
                }
                mine.confirm(place, Provenance::Observed);
                not_answered(mine, place, seen, context);
                return None;
            }
            // A reset that seemed to refuse it came too late for that.
            None if mine.state() == State::Closed && mine.is(Marks::WAS_RESET) && mine.is_speculative() => {
                mine.marks.clear(Marks::WAS_RESET);
            }
            None if mine.state() == State::Closed || context.late => return None,
            None => {}
        }
        // Whatever it was taken to have got, it had only got the other's SYN.
        let crossed = mine.state() == State::Established;
        if let Some(place) = mine.path.find(State::SynSent) {
            mine.take_back(place + 1);
        }
        notes.insert(Note::SimultaneousOpen);
        let rule = act(mine, Deed::SimultaneousOpen, Provenance::Observed, at);
        if crossed {
            act(mine, Deed::CrossingSynAck, TRAVELLING, at);
        }
        return rule;
    }
    if let Some(place) = mine.path.find(State::SynReceived) {
        mine.confirm(place, Provenance::Observed);
        not_answered(mine, place, seen, context);
        return None;
    }
    let assumed = mine.path.len() == 1 && matches!(mine.provenance(), Provenance::Assumed(_));
    if mine.path.len() == 0 || assumed || !mine.is(Marks::HEARD) || has_only_refused(mine) {
        mine.take_back(0);
        mine.marks.clear(Marks::RESET);
        let waits = rule_of(State::Closed, Deed::PassiveOpen);
        mine.step(State::Listen, waits, Provenance::Inferred(Inference::AnsweredSyn), at);
        return act(mine, Deed::Syn, Provenance::Observed, at);
    }
    None
}

/// Its SYN+ACK again: it has not got the ACK that was seen on its way, nor what came behind that. Where more came
/// than the ACK, or it opened actively, the two may have crossed: then only so long after that it would have stopped.
fn not_answered(mine: &mut Half, place: usize, seen: &Seen<'_>, context: &Context<'_>) {
    if place + 1 >= mine.path.len() || context.late || !is_speculative_above(mine, place) {
        return;
    }
    let passive = mine.path.find(State::SynSent).is_none();
    let plain = passive && mine.state() == State::Established && place + 2 == mine.path.len();
    let repeated = mine.is(Marks::SYN_ACK)
        && !mine.is(Marks::WAS_RESET)
        && since(mine, seen, context, place + 1) > context.patience_ns();
    if plain || repeated {
        mine.take_back(place + 1);
    }
}

#[inline]
fn emit_synchronized(
    mine: &mut Half,
    theirs: &Half,
    seen: &Seen<'_>,
    context: &Context<'_>,
    notes: &mut Notes,
) -> Option<&'static Rule> {
    // The ordinary case: open, nothing new, nobody has closed.
    if mine.state() == State::Established
        && !seen.has(Flags::FIN)
        && !theirs.is(Marks::FIN)
        && mine.provenance() == Provenance::Observed
    {
        return None;
    }
    emit_synchronized_slowly(mine, theirs, seen, context, notes)
}

#[cold]
fn emit_synchronized_slowly(
    mine: &mut Half,
    theirs: &Half,
    seen: &Seen<'_>,
    context: &Context<'_>,
    notes: &mut Notes,
) -> Option<&'static Rule> {
    let at = context.at;
    let mut rule = None;
    let acks = seen.has(Flags::ACK);
    let fin = seen.has(Flags::FIN) && !context.stray;
    match mine.state() {
        State::Closed if mine.path.len() == 0 => {
            let opened = theirs.is(Marks::ACTIVE) && seen.ack.gt(theirs.isn) && seen.ack.le(theirs.next);
            // Scans send what no open connection is behind.
            if acks && opened {
                // Its answer to the SYN was not captured.
                let waits = rule_of(State::Closed, Deed::PassiveOpen);
                mine.step(State::Listen, waits, Provenance::Inferred(Inference::AnsweredSyn), at);
                rule = act(mine, Deed::Syn, NOT_CAPTURED, at);
                if seen.text > 0 || fin {
                    rule = act(mine, Deed::Ack, NOT_CAPTURED, at);
                }
            } else if acks {
                mine.step(State::Established, None, Provenance::Assumed(Assumption::Midstream), at);
                notes.insert(Note::Midstream);
            } else {
                return None;
            }
        }
        State::Closed if acks && mine.is(Marks::RESET) && !theirs.is(Marks::ACTIVE) => {
            rule = open_before_reset(mine, theirs, seen, at);
        }
        State::SynSent if acks => {
            let answered = !theirs.is(Marks::SYN) || seen.ack.gt(theirs.isn);
            // A keepalive has the number of the SYN.
            if answered && seen.seq.ge(mine.isn) {
                rule = act(mine, Deed::SynAck, NOT_CAPTURED, at);
            }
        }
        State::SynReceived if acks && !mine.is(Marks::FAST_OPEN) && !theirs.is(Marks::FAST_OPEN) => {
            let more = theirs.is(Marks::NUMBERED) && seen.ack.gt(theirs.isn + 1);
            if fin && seen.text == 0 && seen.seq == mine.isn + 1 && !more {
                rule = act(mine, Deed::Close, Provenance::Observed, at);
            } else if seen.text > 0 || more || fin {
                rule = act(mine, Deed::Ack, NOT_CAPTURED, at);
            }
        }
        // Only an open connection is kept alive: the FIN that was seen on its way has not arrived.
        State::TimeWait
            if seen.is_pure_ack()
                && seen.seq + 1 == mine.next
                && mine.is_speculative()
                && !context.late
                && !is_stale(mine, seen) =>
        {
            if !(theirs.is(Marks::FIN) && seen.ack.ge(theirs.fin_end))
                && let Some(place) = mine.path.find(State::TimeWait)
            {
                mine.take_back(place);
            }
        }
        State::CloseWait if !mine.is(Marks::FAST_OPEN) && !theirs.is(Marks::FAST_OPEN) => {
            let more = acks && theirs.is(Marks::NUMBERED) && seen.ack.gt(theirs.isn + 1);
            // Only an open connection is kept alive.
            if seen.text > 0 || more || seen.seq == mine.isn {
                rule = open_before_fin(mine, theirs, seen, at);
            }
        }
        _ => {}
    }
    if acks {
        confirm_open(mine, theirs, seen);
    }
    let covers = acks && theirs.is(Marks::FIN) && seen.ack.ge(theirs.fin_end);
    if covers && (!fin || mine.is(Marks::FIN)) {
        rule = acknowledge_fin(mine, theirs, seen, context).or(rule);
    }
    if fin && !mine.is(Marks::FIN) {
        rule = emit_fin(mine, theirs, seen, covers, context, notes).or(rule);
    } else if fin
        && mine.is(Marks::FIN)
        && seen.end() == mine.fin_end
        && !context.late
        && !is_stale(mine, seen)
    {
        repeat_fin(mine, covers, seen, context);
    }
    rule
}

/// Its own reset overtook this: it had got the SYN+ACK before.
#[cold]
fn open_before_reset(mine: &mut Half, theirs: &Half, seen: &Seen<'_>, at: At) -> Option<&'static Rule> {
    let last = mine.path.len().checked_sub(2)? + 1;
    let answers = theirs.is(Marks::SYN) && seen.ack.gt(theirs.isn) && seen.seq.gt(mine.isn);
    if !answers || mine.path.state_at(last - 1) != State::SynSent {
        return None;
    }
    mine.take_back(last);
    let rule = act(mine, Deed::SynAck, ACKNOWLEDGED, at);
    act(mine, Deed::Abort, Provenance::Observed, at);
    rule
}

/// Text of a side that went from SYN_RECV to CLOSE_WAIT with the FIN that was seen on its way, or an acknowledgment of text,
/// and it does not acknowledge the FIN: it is open, and the FIN is still to come.
#[cold]
fn open_before_fin(mine: &mut Half, theirs: &Half, seen: &Seen<'_>, at: At) -> Option<&'static Rule> {
    let last = mine.path.len().checked_sub(2)? + 1;
    let has_fin = theirs.is(Marks::FIN) && seen.ack.ge(theirs.fin_end);
    if has_fin || !mine.is_speculative() || mine.path.state_at(last - 1) != State::SynReceived {
        return None;
    }
    mine.take_back(last);
    let rule = act(mine, Deed::Ack, NOT_CAPTURED, at);
    act(mine, Deed::Fin, TRAVELLING, at);
    rule
}

/// What an acknowledgment proves about the handshake.
fn confirm_open(mine: &mut Half, theirs: &Half, seen: &Seen<'_>) {
    let Some(place) = mine.path.find(State::Established) else { return };
    if place == 0 {
        return;
    }
    let proven = match mine.path.state_at(place - 1) {
        // Who has only got a SYN answers with SYN+ACK. But the SYN of a simultaneous open may not have been captured: then
        // the FIN may have been what moved it, from SYN_RECV.
        State::SynSent => {
            let answers = theirs.is(Marks::SYN) && seen.ack.gt(theirs.isn);
            if answers {
                mine.confirm(place, ACKNOWLEDGED);
            }
            answers && !theirs.is(Marks::ACTIVE) && !may_cover_fin(theirs, seen)
        }
        State::SynReceived => {
            let fast = mine.is(Marks::FAST_OPEN) || theirs.is(Marks::FAST_OPEN);
            let past = theirs.is(Marks::NUMBERED) && seen.ack.gt(theirs.isn + 1);
            // The first segment that counted may have had the FIN: then there was no ESTABLISHED.
            !fast && (seen.text > 0 || past) && !may_cover_fin(theirs, seen)
        }
        _ => false,
    };
    if proven {
        mine.confirm(place, Provenance::Observed);
    }
}

/// Whether what it acknowledges has the peer's FIN, or may have it unseen.
fn may_cover_fin(theirs: &Half, seen: &Seen<'_>) -> bool {
    !theirs.is(Marks::NUMBERED)
        || theirs.is(Marks::STRAY_FIN)
        || theirs.is(Marks::FIN) && seen.ack.ge(theirs.fin_end)
        || theirs.is(Marks::UNSEEN_TAIL) && seen.ack.ge(theirs.next)
        || seen.ack.gt(theirs.next)
}

/// It acknowledges the peer's FIN: so it has got it.
fn acknowledge_fin(
    mine: &mut Half,
    theirs: &Half,
    seen: &Seen<'_>,
    context: &Context<'_>,
) -> Option<&'static Rule> {
    // Its own FIN would have come before this number. One outside the window is not among its numbers.
    let not_closed = seen.is_pure_ack()
        && seen.seq == mine.next
        && !mine.is(Marks::FIN)
        && !mine.is(Marks::STRAY_FIN)
        && !mine.is(Marks::UNSEEN_TAIL)
        && mine.path.find(State::FinWait1).is_none();
    let provenance = if not_closed && theirs.is(Marks::FIN) { Provenance::Observed } else { ACKNOWLEDGED };
    let mut rule = None;
    // Its own reset overtook this: what it shows lies before.
    let overtaken = mine.state() == State::Closed
        && mine.is(Marks::RESET)
        && !mine.is(Marks::FIN)
        && mine.path.len() > 1
        && mine.path.find(State::CloseWait).is_none();
    if overtaken {
        mine.take_back(mine.path.len() - 1);
        let deed = if mine.state() == State::SynReceived { Deed::AckAndFin } else { Deed::Fin };
        rule = act(mine, deed, ACKNOWLEDGED, context.at);
        act(mine, Deed::Abort, Provenance::Observed, context.at);
    }
    // And what shows that it had the peer's FIN when it had sent its own.
    let last = mine.path.len().saturating_sub(1);
    let overtaken = mine.state() == State::Closed
        && mine.is(Marks::RESET)
        && mine.is(Marks::FIN)
        && last > 0
        && matches!(mine.path.state_at(last - 1), State::FinWait1 | State::FinWait2);
    if overtaken {
        mine.take_back(last);
        let both = mine.state() == State::FinWait1 && theirs.path.find(State::LastAck).is_some();
        rule = act(mine, if both { Deed::FinAckedAndFin } else { Deed::Fin }, ACKNOWLEDGED, context.at);
        let ends = if mine.state() == State::TimeWait { Deed::TimeWaitTimeout } else { Deed::Abort };
        act(mine, ends, ANSWERS_AS_CLOSED, context.at);
    }
    // The peer closed when it had this side's FIN, so its own acknowledges that: whoever has it has both.
    let has_both = !seen.has(Flags::FIN)
        && theirs.path.find(State::LastAck).is_some()
        && mine.is(Marks::ACKED)
        && mine.acked.ge(mine.fin_end);
    if has_both
        && mine.state() == State::Closing
        && let Some(place) = mine.path.find(State::Closing)
    {
        mine.take_back(place);
    }
    if has_both && mine.state() == State::FinWait1 {
        rule = act(mine, Deed::FinAckedAndFin, ACKNOWLEDGED, context.at);
    } else if matches!(mine.state(), State::Established | State::FinWait1 | State::FinWait2) {
        rule = act(mine, Deed::Fin, provenance, context.at);
    }
    // The first state in which it has the FIN.
    for state in [State::CloseWait, State::Closing, State::TimeWait] {
        if let Some(place) = mine.path.find(state) {
            mine.confirm(place, if state == State::CloseWait { provenance } else { ACKNOWLEDGED });
            break;
        }
    }
    rule
}

/// Its first FIN.
fn emit_fin(
    mine: &mut Half,
    theirs: &Half,
    seen: &Seen<'_>,
    covers: bool,
    context: &Context<'_>,
    notes: &mut Notes,
) -> Option<&'static Rule> {
    let at = context.at;
    // A reset that overtook it, or that it crossed, comes behind it all the same.
    let reset = mine.state() == State::Closed && mine.path.len() > 1;
    let own_reset =
        reset && mine.is(Marks::RESET) && (mine.is(Marks::RESET_ANSWERS) || seen.end().le(mine.reset_at));
    let was_reset = reset && mine.is(Marks::WAS_RESET) || own_reset;
    if was_reset {
        mine.take_back(mine.path.len() - 1);
    }
    let rule = if covers {
        if mine.state() == State::SynReceived {
            act(mine, Deed::Ack, NOT_CAPTURED, at);
        }
        if mine.state() == State::Established {
            act(mine, Deed::Fin, ACKNOWLEDGED, at);
        } else if let Some(place) = mine.path.find(State::CloseWait) {
            mine.confirm(place, ACKNOWLEDGED);
        }
        let sure = mine.provenance() == Provenance::Observed;
        let provenance =
            if sure { Provenance::Observed } else { Provenance::Inferred(Inference::NoEarlierFin) };
        if mine.state() == State::CloseWait { act(mine, Deed::Close, provenance, at) } else { None }
    } else {
        // Whatever was under way to it, it had not got the peer's FIN.
        if mine.state() == State::CloseWait
            && let Some(place) = mine.path.find(State::CloseWait)
        {
            mine.take_back(place);
        }
        // Nobody sends text before the connection is open.
        let fast = mine.is(Marks::FAST_OPEN) || theirs.is(Marks::FAST_OPEN);
        if mine.state() == State::SynReceived && !fast && (seen.text > 0 || mine.is(Marks::TEXT)) {
            act(mine, Deed::Ack, NOT_CAPTURED, at);
        }
        let rule = match mine.state() {
            State::Established | State::SynReceived => {
                let sure = !seen.has(Flags::ACK) || !may_cover_fin(theirs, seen);
                act(mine, Deed::Close, if sure { Provenance::Observed } else { NOT_CAPTURED }, at)
            }
            _ => None,
        };
        if theirs.fin_complete() && mine.state() == State::FinWait1 {
            notes.insert(Note::SimultaneousClose);
            act(mine, Deed::Fin, TRAVELLING, at);
        }
        rule
    };
    if was_reset {
        act(mine, Deed::Abort, if own_reset { Provenance::Observed } else { TRAVELLING }, at);
    }
    rule
}

/// Its FIN, of which only an acknowledgment showed that it was one.
#[cold]
pub(crate) fn emit_stray_fin(mine: &mut Half, at: At) {
    if mine.state() == State::SynReceived {
        act(mine, Deed::Ack, NOT_CAPTURED, at);
    }
    if matches!(mine.state(), State::Established | State::CloseWait) {
        act(mine, Deed::Close, Provenance::Inferred(Inference::NoEarlierFin), at);
    }
}

/// Its FIN again: it has not got the acknowledgment of the first.
#[cold]
fn repeat_fin(mine: &mut Half, covers: bool, seen: &Seen<'_>, context: &Context<'_>) {
    match mine.state() {
        State::FinWait2 => {
            if let Some(place) = mine.path.find(State::FinWait2) {
                mine.take_back(place);
            }
        }
        State::TimeWait => {
            let Some(place) = mine.path.find(State::TimeWait) else { return };
            let before = mine.path.state_at(place.saturating_sub(1));
            match before {
                State::Closing => mine.take_back(place),
                State::FinWait2 if covers || since(mine, seen, context, place) > context.patience_ns() => {
                    mine.take_back(place - 1);
                    let provenance = if covers { ACKNOWLEDGED } else { TRAVELLING };
                    act(mine, Deed::Fin, provenance, context.at);
                }
                State::FinWait1 if !covers && since(mine, seen, context, place) > context.patience_ns() => {
                    mine.take_back(place);
                }
                _ => {}
            }
        }
        State::Closed
            if mine.is_speculative()
                && !mine.is(Marks::WAS_RESET)
                && mine.path.find(State::LastAck) == mine.path.len().checked_sub(2) =>
        {
            mine.take_back(mine.path.len() - 1);
        }
        _ => {}
    }
}

/// A side resets.
#[cold]
fn emit_reset(
    mine: &mut Half,
    theirs: &Half,
    seen: &Seen<'_>,
    context: &Context<'_>,
    notes: &mut Notes,
) -> Option<&'static Rule> {
    let at = context.at;
    let acks = seen.has(Flags::ACK);
    let answers_syn = is_answer_to_syn(seen);
    if mine.path.len() == 0 {
        // LISTEN answers an ACK with a reset as well, and stays.
        let provenance =
            if acks && theirs.is(Marks::ACTIVE) { Provenance::Observed } else { ANSWERS_AS_CLOSED };
        mine.step(State::Closed, None, provenance, at);
        mine.marks.set(Marks::RESET);
        mine.reset_at = seen.seq;
        return None;
    }
    // Both are open: it refused the SYN before it sent its own, and this was overtaken.
    let open = |half: &Half| half.is(Marks::SYN) && half.state().is_synchronized();
    if answers_syn && mine.is(Marks::ACTIVE) && open(mine) && open(theirs) {
        return None;
    }
    unanswered(mine, theirs, seen, context);
    match mine.state() {
        State::Closed => {
            if mine.path.len() > 1 {
                notes.insert(Note::RstAfterClose);
                let last = mine.path.len() - 1;
                if !acks || seen.seq.ge(mine.next) {
                    mine.confirm(last, ANSWERS_AS_CLOSED);
                }
                if mine.is(Marks::WAS_RESET) {
                    mine.marks.clear(Marks::WAS_RESET);
                    sent_reset(mine, seen);
                }
            }
            return None;
        }
        State::Listen => return None,
        // It questions an acknowledgment of what it never sent, and goes on.
        State::SynSent
            if !acks && theirs.is(Marks::ACKS) && seen.seq == theirs.last_ack && seen.seq != mine.isn + 1 =>
        {
            return rule_by(State::SynSent, &[Condition::Ack]);
        }
        State::SynReceived
            if !acks && theirs.is(Marks::ACKS) && (seen.seq.le(mine.isn) || seen.seq.gt(mine.next)) =>
        {
            return rule_by(State::SynReceived, &[Condition::Ack, Condition::Acceptable]);
        }
        _ => {}
    }
    let sure = mine.state().is_synchronized()
        && !answers_syn
        && !matches!(
            mine.provenance(),
            Provenance::Inferred(Inference::SeenTravelling | Inference::NotCaptured)
        )
        || acks && !answers_syn;
    let provenance = if sure { Provenance::Observed } else { ANSWERS_AS_CLOSED };
    // A segment that a closed end answers has text, and the answer has no ACK.
    let closed_for_reading = matches!(mine.state(), State::FinWait1 | State::FinWait2)
        && !acks
        && mine.is(Marks::ACKS)
        && theirs.contiguous.gt(mine.last_ack);
    let deed = match mine.state() {
        State::TimeWait => Deed::TimeWaitTimeout,
        _ if closed_for_reading => Deed::TextAfterClose,
        _ => Deed::Abort,
    };
    sent_reset(mine, seen);
    act(mine, deed, provenance, at)
}

fn sent_reset(mine: &mut Half, seen: &Seen<'_>) {
    mine.marks.set(Marks::RESET);
    if !seen.has(Flags::ACK) {
        mine.marks.set(Marks::RESET_ANSWERS);
    }
    mine.reset_at = if is_answer_to_syn(seen) { mine.isn } else { seen.seq };
}

/// A side resets: what it would have answered at once, and did not, had not arrived. And a reset without ACK has the
/// number of the acknowledgment it answers: what came with a later one had not arrived either.
fn unanswered(mine: &mut Half, theirs: &Half, seen: &Seen<'_>, context: &Context<'_>) {
    let acks = seen.has(Flags::ACK) && seen.seq.0 != 0;
    let covers = acks && theirs.is(Marks::FIN) && seen.ack.ge(theirs.fin_end);
    loop {
        let Some(last) = mine.path.len().checked_sub(1).filter(|last| *last > 0) else { return };
        if !mine.is_speculative() {
            return;
        }
        let before = mine.path.state_at(last - 1);
        let stays = match mine.state() {
            State::SynReceived => false,
            State::Established => before == State::SynReceived || (acks && seen.ack.gt(theirs.isn)),
            State::CloseWait | State::Closing => covers,
            // Nobody resets from there: whoever does never was, or it is over. Then the reset answers, and has no ACK.
            State::TimeWait => (!acks || covers) && since(mine, seen, context, last) > TIME_WAIT_NS,
            State::FinWait2 => acks || seen.seq.ge(mine.fin_end) || seen.seq == theirs.raw_ack,
            // By the peer's reset, or by the acknowledgment of its FIN: this reset answers what came behind.
            State::Closed if mine.is(Marks::WAS_RESET) => {
                let under = mine.is_unanswered_below(last);
                if !under {
                    return;
                }
                false
            }
            _ => true,
        };
        if stays {
            if covers && matches!(mine.state(), State::CloseWait | State::Closing | State::TimeWait) {
                mine.confirm(last, ACKNOWLEDGED);
            }
            return;
        }
        if mine.state() == State::Closed {
            mine.marks.clear(Marks::WAS_RESET);
        }
        mine.take_back(last);
    }
}

fn rule_by(state: State, conditions: &[Condition]) -> Option<&'static Rule> {
    find(state, Event::Segment, Facts::of(conditions))
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
