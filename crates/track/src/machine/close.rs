//! FINs and their acknowledgments: how a side closed.

use eleven_tcp::{Flags, Rule, State};

use super::{ACKNOWLEDGED, ANSWERS_AS_CLOSED, Context, NOT_CAPTURED, TRAVELLING, act, may_cover_fin, since};
use crate::half::{At, Half, Marks};
use crate::moves::Deed;
use crate::note::{Note, Notes};
use crate::seen::Seen;
use crate::{Inference, Provenance};

/// It acknowledges the peer's FIN: so it has got it.
pub(super) fn acknowledge_fin(
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
pub(super) fn emit_fin(
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
pub(super) fn repeat_fin(mine: &mut Half, covers: bool, seen: &Seen<'_>, context: &Context<'_>) {
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
