//! Puts a segment's numbers down, and says what it is: new, again, overtaken, a probe, a question.

mod ack;
mod header;
mod syn;
mod text;

pub(crate) use self::ack::{is_ack_acceptable, put_down_ack, put_down_sack};
pub(crate) use self::header::put_down_header;
pub(crate) use self::syn::put_down_syn;
pub(crate) use self::text::{is_stray, note_probe, put_down_text, put_down_unseen, resynchronise};
use crate::half::{Half, Marks};
use crate::seen::Seen;

/// A round trip that a segment completes: whose text it acknowledges was answered after so many nanoseconds.
pub(crate) type RoundTrip = Option<i64>;

/// Begins to time a round trip, if none is being timed.
pub(super) fn time(mine: &mut Half, seen: &Seen<'_>) {
    if !mine.is(Marks::TIMED) {
        mine.marks.set(Marks::TIMED);
        mine.timed_end = seen.end();
        mine.timed_at = seen.clock;
    }
}
