//! What the IP header and the timestamps tell of the sender.

use eleven_tcp::Flags;

use crate::half::{Half, Marks};
use crate::note::{Note, Notes};
use crate::seen::Seen;

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
