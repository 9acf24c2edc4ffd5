//! Resets: who sent one, and what it shows had not arrived.

use eleven_tcp::rules::Condition;
use eleven_tcp::{Flags, Rule, State};

use super::{ACKNOWLEDGED, ANSWERS_AS_CLOSED, Context, PATIENCE_NS, act, rule_by, since};
use crate::half::{Half, Marks};
use crate::moves::Deed;
use crate::note::{Note, Notes};
use crate::seen::Seen;
use crate::{Inference, Provenance};

/// The shortest TIME_WAIT there is, in nanoseconds.
const TIME_WAIT_NS: i64 = 30_000_000_000;

/// The answer of an end that has no connection to a SYN (RFC 9293 §3.10.7.1): its number tells nothing of the sender's own.
pub(super) const fn is_answer_to_syn(seen: &Seen<'_>) -> bool {
    seen.has(Flags::RST) && seen.has(Flags::ACK) && seen.seq.0 == 0
}

/// What acknowledges less than its sender did before was sent before.
pub(super) fn is_stale(mine: &Half, seen: &Seen<'_>) -> bool {
    seen.has(Flags::ACK) && mine.is(Marks::ACKS) && seen.ack.lt(mine.last_ack)
}

/// A side that was taken to be closed sends something.
#[cold]
pub(super) fn survive(
    mine: &mut Half,
    theirs: &Half,
    seen: &Seen<'_>,
    context: &Context<'_>,
    notes: &mut Notes,
) {
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

/// A side resets.
#[cold]
pub(super) fn emit_reset(
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
pub(super) fn unanswered(mine: &mut Half, theirs: &Half, seen: &Seen<'_>, context: &Context<'_>) {
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
