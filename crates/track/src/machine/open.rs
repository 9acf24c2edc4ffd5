//! SYN and SYN+ACK: how a side opened.

use eleven_tcp::{Rule, State};

use super::{Context, TRAVELLING, act, is_speculative_above, since};
use crate::half::{At, Half, Marks};
use crate::moves::{Deed, rule_of};
use crate::note::{Note, Notes};
use crate::seen::Seen;
use crate::{Inference, Provenance};

/// A SYN that comes behind the SYN+ACK of the same number: its sender had opened actively.
#[cold]
pub(super) fn late_syn(mine: &mut Half, seen: &Seen<'_>, at: At, notes: &mut Notes) {
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
pub(super) fn again_syn(mine: &mut Half, seen: &Seen<'_>, context: &Context<'_>) {
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

/// All that was seen of it is such an answer.
pub(super) fn has_only_refused(mine: &Half) -> bool {
    mine.path.len() == 1 && mine.state() == State::Closed && mine.is(Marks::RESET)
}

pub(super) fn emit_syn_ack(
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
