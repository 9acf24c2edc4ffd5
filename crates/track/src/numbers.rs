//! Puts a segment's numbers down, and says what it is: new, again, overtaken, a probe, a question.

use eleven_tcp::{Flags, SeqNumber, State};

use crate::half::{At, Half, Marks};
use crate::machine::{self, Arrival, Context};
use crate::note::{Note, Notes};
use crate::seen::{Seen, SynOptions};

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

/// A round trip that a segment completes: whose text it acknowledges was answered after so many nanoseconds.
pub(crate) type RoundTrip = Option<i64>;

/// The options of a SYN, and the number it begins with.
#[cold]
pub(crate) fn put_down_syn(mine: &mut Half, theirs: &mut Half, seen: &Seen<'_>, notes: &mut Notes) {
    let SynOptions { mss, scale, sack, fast_open } = SynOptions::of(seen.options);
    if fast_open {
        notes.insert(Note::FastOpen);
        mine.marks.set(Marks::FAST_OPEN);
    }
    let first_answer = seen.has(Flags::ACK) && !mine.is(Marks::SYN_ACK);
    if seen.has(Flags::ACK) {
        mine.marks.set(Marks::SYN_ACK);
    }
    if mine.is(Marks::SYN) && seen.seq == mine.isn {
        // The SYN+ACK of a simultaneous open has the number of the SYN, and is none again.
        if !first_answer {
            notes.insert(Note::SynRetransmission);
            mine.resent[0] = mine.resent[0].saturating_add(1);
            mine.marks.clear(Marks::TIMED);
        }
        if mss != mine.mss {
            notes.insert(Note::MssAltered);
        }
        if scale.is_none() && mine.is(Marks::HAD_SCALE) {
            notes.insert(Note::WindowScaleLost);
        }
        if mine.mss == 0 {
            mine.mss = mss;
        }
        return;
    }
    mine.isn = seen.seq;
    mine.next = seen.seq + 1;
    mine.contiguous = seen.seq + 1;
    if !mine.is(Marks::ACKED) {
        mine.acked = seen.seq;
    }
    if mine.acked.le(mine.next) {
        mine.marks.clear(Marks::UNSEEN_TAIL);
    }
    mine.mss = mss;
    mine.rare = None;
    mine.marks.set(Marks::NUMBERED);
    mine.marks.set(Marks::SYN);
    if !seen.has(Flags::ACK) {
        mine.marks.set(Marks::ACTIVE);
    }
    if let Some(scale) = scale {
        mine.scale = scale.min(14);
        mine.marks.set(Marks::SCALES);
        mine.marks.set(Marks::HAD_SCALE);
    }
    if sack {
        mine.marks.set(Marks::SACK);
    }
    let ecn = if seen.has(Flags::ACK) {
        seen.flags.intersects(Flags::ECN) && theirs.is(Marks::ECN)
    } else {
        seen.has(Flags::ECE.union(Flags::CWR))
    };
    if ecn {
        mine.marks.set(Marks::ECN);
        if theirs.is(Marks::ECN) {
            notes.insert(Note::EcnNegotiated);
        }
    }
    if theirs.is(Marks::SYN) {
        // Windows are scaled only where both offered it (RFC 7323 §2.2).
        for half in [&mut *mine, &mut *theirs] {
            half.marks.set(Marks::SCALE_KNOWN);
        }
        if !(mine.is(Marks::SCALES) && theirs.is(Marks::SCALES)) {
            mine.scale = 0;
            theirs.scale = 0;
        }
    }
    if seen.text > 0 {
        mine.marks.set(Marks::FAST_OPEN);
        notes.insert(Note::FastOpen);
        let fresh = mine.cover(seen.seq + 1, seen.seq + 1 + seen.text, seen.time_ns);
        mine.unique_bytes += u64::from(fresh);
        mine.next = mine.contiguous;
        mine.marks.set(Marks::TEXT);
    }
    if seen.has(Flags::FIN) {
        // Who sends such a thing closes with the number behind.
        mine.next += 1;
        mine.contiguous = mine.next;
        mine.fin_end = mine.next;
        mine.marks.set(Marks::FIN);
    }
    time(mine, seen);
}

/// Begins to time a round trip, if none is being timed.
fn time(mine: &mut Half, seen: &Seen<'_>) {
    if !mine.is(Marks::TIMED) {
        mine.marks.set(Marks::TIMED);
        mine.timed_end = seen.end();
        mine.timed_at = seen.clock;
    }
}

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

/// A TTL that differs is told; it becomes the usual one when the next segment has one that differs, too. So the next of
/// those sent as before is not accused. A forged reset must not become the measure, however often it is sent.
#[cold]
fn put_down_hops(mine: &mut Half, seen: &Seen<'_>, notes: &mut Notes) {
    if seen.hop_limit == mine.hop_limit {
        mine.marks.clear(Marks::ODD_HOPS);
    } else if seen.has(Flags::RST) {
        notes.insert(Note::TtlChange);
    } else if mine.is(Marks::ODD_HOPS) {
        mine.marks.clear(Marks::ODD_HOPS);
        mine.hop_limit = seen.hop_limit;
    } else {
        notes.insert(Note::TtlChange);
        mine.marks.set(Marks::ODD_HOPS);
    }
}

/// What the IP header and the timestamps tell of the sender.
#[inline]
pub(crate) fn put_down_header(mine: &mut Half, seen: &Seen<'_>, late: bool, notes: &mut Notes) {
    if !mine.is(Marks::HEARD) {
        mine.hop_limit = seen.hop_limit;
    } else if seen.hop_limit != mine.hop_limit || mine.is(Marks::ODD_HOPS) {
        put_down_hops(mine, seen, notes);
    }
    if let Some(timestamps) = seen.timestamps
        && !late
        && !seen.has(Flags::RST)
    {
        mine.timestamp = timestamps.value;
        mine.marks.set(Marks::TIMESTAMPS);
    }
    // Linux sends zero where no connection is left to count for.
    if let Some(id) = seen.identification.filter(|id| *id != 0) {
        let ahead = id.wrapping_sub(mine.ip_id);
        if !mine.is(Marks::IP_ID) {
            mine.marks.set(Marks::IP_ID);
            mine.ip_id = id;
        } else if (1..1_000).contains(&ahead) {
            mine.marks.set(Marks::IP_ID_COUNTS);
            mine.ip_id = id;
        } else if mine.is(Marks::IP_ID_COUNTS) && ahead < 0xf000 && ahead != 0 {
            notes.insert(Note::IpIdChange);
            mine.marks.clear(Marks::IP_ID_COUNTS);
            mine.ip_id = id;
        } else if !mine.is(Marks::IP_ID_COUNTS) {
            mine.ip_id = id;
        }
    }
    mine.marks.set(Marks::HEARD);
    mine.last_time = seen.clock;
}
