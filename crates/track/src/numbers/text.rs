//! Text and FINs: new, again, overtaken, or only asking.

use eleven_tcp::{Flags, SeqNumber};

use super::time;
use crate::half::{At, Half, Marks};
use crate::machine::{self, Context};
use crate::note::{Note, Notes};
use crate::seen::Seen;

/// Segments that come within so much time of a gap may just have been overtaken, where no round trip was measured.
const REORDERING_NS: i64 = 3_000_000;

/// So many acknowledgments of the same ask for a retransmission (RFC 5681 §3.2).
const DUPLICATE_THRESHOLD: u16 = 3;

/// So often the same is sent without an answer before it is called half-open.
const UNANSWERED: u8 = 3;

/// Smaller texts pass every path.
const SMALL_TEXT: u32 = 512;

/// Nobody sends again what lies so far before what is acknowledged.
const ANCIENT: u32 = 1 << 24;

/// Whether text or FIN, which the receiver's window does not admit, is not among the sender's numbers: beyond them, or so
/// far before them that nobody would send it again.
#[cold]
pub(crate) fn is_stray(mine: &Half, theirs: &Half, seen: &Seen<'_>) -> bool {
    let ancient = mine.is(Marks::ACKED) && seen.end().lt(mine.acked - theirs.max_window.max(ANCIENT));
    !seen.flags.intersects(Flags::SYN | Flags::RST)
        && mine.is(Marks::NUMBERED)
        && (seen.end().gt(mine.next) || ancient)
}

/// The peer acknowledges just what was outside its window: so its numbers are really there, and the capture has lost what lay
/// between. `mine` sent it, `theirs` acknowledges it.
#[cold]
pub(crate) fn resynchronise(mine: &mut Half, theirs: &mut Half, seen: &Seen<'_>, at: At, notes: &mut Notes) {
    let Some(stray) = mine.rare.as_ref().and_then(|rare| rare.stray) else { return };
    if mine.is(Marks::FIN) || (seen.ack != stray.start && seen.ack != stray.end) {
        return;
    }
    notes.insert(Note::AckedUnseen);
    let text = stray.end.offset_from(stray.start) - u32::from(stray.fin);
    mine.rare = None;
    mine.next = stray.end;
    mine.contiguous = stray.end;
    mine.acked = stray.start;
    mine.edge = stray.start;
    mine.unique_bytes += u64::from(text);
    mine.marks.set(Marks::ACKED);
    mine.marks.clear(Marks::TIMED);
    theirs.last_ack = stray.start;
    theirs.duplicate_acks = 0;
    if text > 0 {
        mine.marks.set(Marks::TEXT);
        mine.marks.clear(Marks::UNSEEN_TAIL);
    } else {
        mine.marks.set(Marks::UNSEEN_TAIL);
    }
    if stray.fin {
        mine.marks.set(Marks::FIN);
        mine.fin_end = stray.end;
        machine::emit_stray_fin(mine, at);
    }
}

/// Text and FIN of a segment without SYN that its receiver's window admits.
#[inline]
pub(crate) fn put_down_text(
    mine: &mut Half,
    theirs: &Half,
    seen: &Seen<'_>,
    context: &Context<'_>,
    notes: &mut Notes,
) {
    let (start, end) = (seen.seq, seen.end());
    if seen.has(Flags::FIN) {
        put_down_fin(mine, end, notes);
    }
    if start == mine.next && !mine.is(Marks::VOID) {
        // In order and new: what nearly every segment is.
        let fresh = mine.cover(start, end, seen.time_ns);
        count_fresh(mine, seen, fresh);
        mine.next = end;
        mine.unanswered = 0;
        time(mine, seen);
    } else {
        put_down_again(mine, theirs, seen, context, notes);
    }
    if theirs.is(Marks::ACKS) && seen.text > 0 {
        // The window as it was told last, not the largest there ever was.
        let window = u32::from(theirs.last_window) << theirs.scale;
        if end == theirs.last_ack + window {
            notes.insert(Note::WindowFull);
        }
    }
}

#[cold]
fn put_down_fin(mine: &mut Half, end: SeqNumber, notes: &mut Notes) {
    if mine.is(Marks::FIN) && mine.fin_end == end {
        notes.insert(Note::FinRetransmission);
    } else if !mine.is(Marks::FIN) {
        mine.marks.set(Marks::FIN);
        mine.fin_end = end;
    }
}

/// The FIN is among the numbers, but no text.
fn count_fresh(mine: &mut Half, seen: &Seen<'_>, fresh: u32) {
    if seen.text > 0 && seen.end().gt(mine.next) {
        mine.marks.clear(Marks::UNSEEN_TAIL);
    }
    mine.unique_bytes += u64::from(fresh.min(seen.text));
    mine.marks.set(Marks::TEXT);
}

/// An acknowledgment without text that lies behind what was seen: what is missing was sent, a FIN may be among it.
#[cold]
pub(crate) fn put_down_unseen(mine: &mut Half, seen: &Seen<'_>, notes: &mut Notes) {
    notes.insert(Note::Gap);
    if !mine.has_gap() {
        mine.rare.get_or_insert_default().gap_since = seen.time_ns;
    }
    mine.next = seen.seq;
    mine.marks.set(Marks::UNSEEN_TAIL);
    mine.marks.clear(Marks::TIMED);
}

/// Text that is not simply the next.
#[cold]
fn put_down_again(mine: &mut Half, theirs: &Half, seen: &Seen<'_>, context: &Context<'_>, notes: &mut Notes) {
    let late = context.late;
    let (start, end) = (seen.seq, seen.end());
    if start.gt(mine.next) {
        notes.insert(Note::Gap);
        let fresh = mine.cover(start, end, seen.time_ns);
        count_fresh(mine, seen, fresh);
        mine.next = end;
        return;
    }
    if start == mine.next {
        let fresh = mine.cover(start, end, seen.time_ns);
        count_fresh(mine, seen, fresh);
        mine.next = end;
        return;
    }
    let known = mine.has_seen(start);
    let acked = mine.is(Marks::ACKED) && end.le(mine.acked);
    let asked =
        theirs.is(Marks::ACKS) && start == theirs.last_ack && theirs.duplicate_acks >= DUPLICATE_THRESHOLD
            || mine.is_missed(end);
    let fin_only = seen.text == 0;
    let was_silent = mine.unanswered;
    if known || acked {
        mine.marks.clear(Marks::TIMED);
        if late && !acked && mine.has_gap() {
            notes.insert(Note::OutOfOrder);
        } else if fin_only {
            mine.resent[0] = mine.resent[0].saturating_add(1);
        } else if acked || mine.is_sacked(start, end) {
            notes.insert(Note::SpuriousRetransmission);
            mine.resent[2] = mine.resent[2].saturating_add(1);
        } else if asked {
            notes.insert(Note::FastRetransmission);
            mine.resent[1] = mine.resent[1].saturating_add(1);
        } else {
            notes.insert(Note::Retransmission);
            mine.resent[0] = mine.resent[0].saturating_add(1);
        }
        if !acked && !late && start == mine.acked.later(mine.isn) {
            mine.unanswered = was_silent.saturating_add(1);
        }
    } else {
        // It fills a gap: either it was overtaken, or its first copy was lost before it came here.
        let since = mine.rare.as_ref().map_or(0, |rare| seen.time_ns.saturating_sub(rare.gap_since));
        let patience = match context.longest_round_trip_ns() {
            ..=0 => REORDERING_NS,
            longest => longest,
        };
        let older = late || is_older_by_id(mine, seen);
        if older || (!asked && since <= patience && !is_newer_by_timestamp(mine, seen)) {
            notes.insert(Note::OutOfOrder);
        } else {
            mine.marks.clear(Marks::TIMED);
            if fin_only {
                notes.insert(Note::FinRetransmission);
                mine.resent[0] = mine.resent[0].saturating_add(1);
            } else if asked {
                notes.insert(Note::FastRetransmission);
                mine.resent[1] = mine.resent[1].saturating_add(1);
            } else {
                notes.insert(Note::Retransmission);
                mine.resent[0] = mine.resent[0].saturating_add(1);
            }
        }
    }
    let fresh = mine.cover(start, end, seen.time_ns);
    if fresh > 0 {
        count_fresh(mine, seen, fresh);
    }
    mine.next = mine.next.later(end);
    suspect(mine, theirs, seen, notes);
}

/// Sent into the void, or too large for the path.
fn suspect(mine: &mut Half, theirs: &Half, seen: &Seen<'_>, notes: &mut Notes) {
    if mine.unanswered < UNANSWERED {
        return;
    }
    // Something was heard of the peer since this text was sent first: only the large ones vanish.
    let heard = theirs.is(Marks::HEARD) && (theirs.last_time.wrapping_sub(mine.timed_at).cast_signed()) > 0;
    if heard && seen.text > SMALL_TEXT && !mine.is(Marks::BLACK_HOLE) {
        mine.marks.set(Marks::BLACK_HOLE);
        notes.insert(Note::MtuBlackHole);
    } else if !heard && !mine.is(Marks::VOID) {
        mine.marks.set(Marks::VOID);
        notes.insert(Note::HalfOpen);
    }
}

/// Its IP identification is just before that of what was seen last.
fn is_older_by_id(mine: &Half, seen: &Seen<'_>) -> bool {
    mine.is(Marks::IP_ID_COUNTS)
        && seen.identification.is_some_and(|id| {
            let behind = mine.ip_id.wrapping_sub(id);
            (1..1_000).contains(&behind)
        })
}

/// It was certainly sent behind what was seen last.
fn is_newer_by_timestamp(mine: &Half, seen: &Seen<'_>) -> bool {
    mine.is(Marks::TIMESTAMPS)
        && seen.timestamps.is_some_and(|timestamps| SeqNumber(timestamps.value).gt(SeqNumber(mine.timestamp)))
}

/// Whether the segment only asks: a keepalive, or a zero-window probe.
#[inline]
pub(crate) fn note_probe(mine: &mut Half, theirs: &Half, seen: &Seen<'_>, notes: &mut Notes) -> bool {
    if seen.text > 1 || !seen.has(Flags::ACK) || seen.flags.intersects(Flags::SYN | Flags::FIN | Flags::RST) {
        return false;
    }
    let shut = theirs.is(Marks::ACKS) && theirs.last_window == 0;
    let before = seen.seq + 1 == mine.next && mine.is(Marks::NUMBERED);
    if shut && (before || (seen.text == 1 && seen.seq.ge(mine.acked) && mine.edge.le(seen.seq))) {
        notes.insert(Note::ZeroWindowProbe);
        mine.marks.set(Marks::PROBED);
        return before;
    }
    // What was acknowledged already, and nothing else is out.
    if before && mine.is(Marks::ACKED) && mine.acked == mine.next && seen.seq.gt(mine.isn) {
        notes.insert(Note::Keepalive);
        mine.marks.set(Marks::KEEPALIVE);
        return true;
    }
    false
}
