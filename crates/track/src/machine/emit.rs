//! What the sender of a segment shows by it.

use eleven_tcp::{Flags, Rule, State};

use super::close::{acknowledge_fin, emit_fin, repeat_fin};
use super::open::{again_syn, emit_syn_ack, has_only_refused, late_syn};
use super::reset::{emit_reset, is_stale, survive};
use super::{ACKNOWLEDGED, Context, NOT_CAPTURED, TRAVELLING, act, may_cover_fin};
use crate::half::{At, Half, Marks};
use crate::moves::{Deed, rule_of};
use crate::note::{Note, Notes};
use crate::seen::Seen;
use crate::{Assumption, Inference, Provenance};

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
