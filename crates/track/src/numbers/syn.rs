//! A SYN: its options, and the number a side begins with.

use eleven_tcp::Flags;

use super::time;
use crate::half::{Half, Marks};
use crate::note::{Note, Notes};
use crate::seen::{Seen, SynOptions};

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
