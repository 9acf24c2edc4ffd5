//! Acknowledgments, windows and SACK.

use eleven_tcp::{Flags, SeqNumber, State};

use super::RoundTrip;
use crate::half::{Half, Marks};
use crate::machine::Arrival;
use crate::note::{Note, Notes};
use crate::seen::Seen;

/// Whether an acknowledgment can be one: of something that was sent, or that the capture has not seen.
#[inline]
pub(crate) fn is_ack_acceptable(mine: &Half, theirs: &Half, seen: &Seen<'_>) -> bool {
    if !seen.has(Flags::ACK) {
        return false;
    }
    if !theirs.is(Marks::NUMBERED) {
        return true;
    }
    match theirs.state() {
        State::SynSent | State::SynReceived => seen.ack.gt(theirs.isn) && seen.ack.le(theirs.next),
        _ => {
            let room = mine.max_window.max(1 << 16);
            let high = if theirs.is(Marks::ACKED) { theirs.next.later(theirs.edge) } else { theirs.next };
            let low = if theirs.is(Marks::ACKED) { theirs.acked } else { theirs.isn };
            seen.ack.le(high + room) && seen.ack.ge(low - room)
        }
    }
}

/// The acknowledgment and the window of a segment. `mine` sent it, `theirs` is acknowledged.
#[inline]
pub(crate) fn put_down_ack(
    mine: &mut Half,
    theirs: &mut Half,
    seen: &Seen<'_>,
    arrival: Arrival,
    notes: &mut Notes,
) -> RoundTrip {
    let ack = seen.ack;
    if !theirs.is(Marks::NUMBERED) {
        learn_from_ack(theirs, ack);
    }
    if !arrival.ack_acceptable {
        notes.insert(Note::BadAck);
        if theirs.state() == State::SynSent && !seen.has(Flags::SYN) {
            // It answers a SYN out of an older connection.
            notes.insert(Note::HalfOpen);
        }
        theirs.marks.set(Marks::QUESTION);
        return None;
    }
    if ack.gt(theirs.next) {
        acknowledge_unseen(theirs, ack, notes);
    }
    let shift = if seen.has(Flags::SYN) { 0 } else { mine.scale };
    let window = u32::from(seen.window) << shift;
    let mut round_trip = None;
    let repeated = mine.is(Marks::ACKS) && ack == mine.last_ack;
    if repeated {
        repeat_ack(mine, theirs, seen, window, notes);
    } else if !mine.is(Marks::ACKS) || ack.gt(mine.last_ack) {
        mine.duplicate_acks = 0;
        mine.last_ack = ack;
        mine.marks.clear(Marks::PROBED);
        theirs.marks.clear(Marks::PROBED);
        theirs.marks.clear(Marks::KEEPALIVE);
    }
    mine.marks.set(Marks::ACKS);
    if !theirs.is(Marks::ACKED) || ack.gt(theirs.acked) {
        theirs.acked = ack;
        theirs.unanswered = 0;
        theirs.marks.clear(Marks::VOID);
        if theirs.is(Marks::TIMED) && ack.ge(theirs.timed_end) {
            theirs.marks.clear(Marks::TIMED);
            round_trip = Some(i64::from(seen.clock.wrapping_sub(theirs.timed_at)) * 1_000);
        }
        if let Some(rare) = &mut theirs.rare {
            rare.sacked.retain(|block| block.end.gt(ack));
            if rare.sacked.is_empty() && rare.islands.is_empty() {
                theirs.rare = None;
            }
        }
        if ack.gt(theirs.contiguous) {
            // What is acknowledged will not be sent again: the capture lost it.
            notes.insert(if theirs.has_gap() { Note::LostInCapture } else { Note::AckedUnseen });
            theirs.skip_to(ack);
        }
    }
    let edge = ack + window;
    if !theirs.is(Marks::ACKED) || edge.gt(theirs.edge) {
        theirs.edge = edge;
    }
    theirs.marks.set(Marks::ACKED);
    mine.max_window = mine.max_window.max(window);
    mine.last_window = seen.window;
    if seen.window == 0 && !seen.flags.intersects(Flags::SYN | Flags::RST | Flags::FIN) {
        notes.insert(Note::ZeroWindow);
        mine.zero_windows = mine.zero_windows.saturating_add(1);
    }
    round_trip
}

/// Nothing was seen of the other side yet: it is where it is acknowledged.
#[cold]
fn learn_from_ack(theirs: &mut Half, ack: SeqNumber) {
    theirs.isn = ack - 1;
    theirs.next = ack;
    theirs.contiguous = ack;
    theirs.acked = ack;
    theirs.marks.set(Marks::NUMBERED);
    theirs.marks.set(Marks::UNSEEN_TAIL);
}

#[cold]
fn acknowledge_unseen(theirs: &mut Half, ack: SeqNumber, notes: &mut Notes) {
    notes.insert(Note::AckedUnseen);
    theirs.next = ack;
    theirs.skip_to(ack);
    theirs.marks.clear(Marks::TIMED);
    theirs.marks.set(Marks::UNSEEN_TAIL);
}

/// The same acknowledgment as before: a duplicate, an answer, or only another window.
#[cold]
fn repeat_ack(mine: &mut Half, theirs: &mut Half, seen: &Seen<'_>, window: u32, notes: &mut Notes) {
    if !seen.is_pure_ack() {
        return;
    }
    let same_window = seen.window == mine.last_window;
    if mine.is(Marks::QUESTION) {
        mine.marks.clear(Marks::QUESTION);
        notes.insert(Note::ChallengeAck);
    } else if theirs.is(Marks::PROBED) && window == 0 {
        theirs.marks.clear(Marks::PROBED);
        notes.insert(Note::ZeroWindowProbeAck);
    } else if theirs.is(Marks::KEEPALIVE) {
        theirs.marks.clear(Marks::KEEPALIVE);
        notes.insert(Note::KeepaliveAck);
    } else if notes.contains(Note::Keepalive) || notes.contains(Note::ZeroWindowProbe) {
        // It asks itself.
    } else if theirs.next.gt(seen.ack) && (same_window || !seen.options.sack().is_empty()) {
        mine.duplicate_acks = mine.duplicate_acks.saturating_add(1);
        notes.insert(Note::DuplicateAck);
    } else if !same_window {
        notes.insert(Note::WindowUpdate);
    }
}

/// The blocks of a SACK option.
#[cold]
pub(crate) fn put_down_sack(theirs: &mut Half, seen: &Seen<'_>, notes: &mut Notes) {
    let blocks = seen.options.sack();
    let Some(first) = blocks.first() else { return };
    // RFC 2883 §4: the first block lies below the acknowledgment, or inside the second.
    let inside = blocks.get(1).is_some_and(|next| first.start.ge(next.start) && first.end.le(next.end));
    let duplicate = first.end.le(seen.ack) || inside;
    if duplicate {
        notes.insert(Note::DuplicateSack);
    }
    for block in blocks.iter().skip(usize::from(duplicate)) {
        // Only what lies where something was sent.
        if block.start.lt(block.end) && block.start.ge(seen.ack) && block.end.le(theirs.next) {
            theirs.note_sack(*block);
        }
    }
}
