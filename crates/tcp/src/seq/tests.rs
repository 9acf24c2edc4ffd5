use proptest::prelude::*;

use super::*;

/// A distance no comparison goes wrong over: less than half the circle.
const HALF: u32 = 1 << 31;

#[test]
fn the_space_wraps() {
    let last = SeqNumber(u32::MAX);
    assert_eq!(last + 1, SeqNumber(0));
    assert_eq!(SeqNumber(0) - 1, last);
    assert!(last.lt(SeqNumber(0)));
    assert!(SeqNumber(0).gt(last));
    assert_eq!(SeqNumber(5).distance(last), 6);
    assert_eq!(last.distance(SeqNumber(5)), -6);
}

#[test]
fn numbers_half_the_circle_apart_are_each_before_the_other() {
    let (a, b) = (SeqNumber(7), SeqNumber(7) + HALF);
    assert!(a.lt(b) && b.lt(a));
    assert!(!a.gt(b) && !b.gt(a));
}

#[test]
fn the_four_cases_of_the_acceptability_table() {
    let closed = ReceiveWindow { next: SeqNumber(1000), size: 0 };
    let open = ReceiveWindow { next: SeqNumber(1000), size: 100 };
    for (window, seq, length, accepted) in [
        // No length, no window: only the number expected next.
        (closed, 1000, 0, true),
        (closed, 999, 0, false),
        (closed, 1001, 0, false),
        // No length, a window: anywhere in it.
        (open, 999, 0, false),
        (open, 1000, 0, true),
        (open, 1099, 0, true),
        (open, 1100, 0, false),
        // Length, no window: nothing.
        (closed, 1000, 1, false),
        // Length and window: the first or the last number in the window.
        (open, 999, 1, false),
        (open, 999, 2, true),
        (open, 1099, 50, true),
        (open, 1100, 50, false),
        // Both ends outside, although the window is covered.
        (open, 999, 102, false),
    ] {
        assert_eq!(window.accepts(SeqNumber(seq), length), accepted, "{window:?} {seq} + {length}");
    }
}

proptest! {
    #[test]
    fn adding_and_subtracting_cancel(number: u32, count: u32) {
        let seq = SeqNumber(number);
        prop_assert_eq!(seq + count - count, seq);
        prop_assert_eq!((seq + count).offset_from(seq), count);
    }

    #[test]
    fn distance_is_what_was_added(number: u32, count in 0..HALF) {
        let seq = SeqNumber(number);
        prop_assert_eq!((seq + count).distance(seq), count.cast_signed());
        prop_assert_eq!(seq.distance(seq + count), -count.cast_signed());
    }

    #[test]
    fn comparisons_agree_below_half_the_circle(number: u32, count in 1..HALF) {
        let (before, after) = (SeqNumber(number), SeqNumber(number) + count);
        prop_assert!(before.lt(after) && before.le(after) && !before.gt(after) && !before.ge(after));
        prop_assert!(after.gt(before) && after.ge(before) && !after.lt(before) && !after.le(before));
        prop_assert_eq!(before.later(after), after);
        prop_assert_eq!(after.later(before), after);
        prop_assert_eq!(before.earlier(after), before);
        prop_assert_eq!(after.earlier(before), before);
    }

    #[test]
    fn a_number_is_neither_before_nor_after_itself(number: u32) {
        let seq = SeqNumber(number);
        prop_assert!(seq.le(seq) && seq.ge(seq) && !seq.lt(seq) && !seq.gt(seq));
    }

    #[test]
    fn a_window_has_as_many_numbers_as_its_length(start: u32, length: u32, offset: u32) {
        let start = SeqNumber(start);
        prop_assert_eq!((start + offset).in_window(start, length), offset < length);
    }

    /// Moving everything along the circle changes no verdict.
    #[test]
    fn acceptance_does_not_depend_on_the_place(
        next: u32, size in 0_u32..70_000, seq_offset in -70_000_i32..70_000, length in 0_u32..70_000, shift: u32
    ) {
        let here = ReceiveWindow { next: SeqNumber(next), size };
        let there = ReceiveWindow { next: SeqNumber(next) + shift, size };
        let seq = SeqNumber(next.wrapping_add_signed(seq_offset));
        prop_assert_eq!(here.accepts(seq, length), there.accepts(seq + shift, length));
    }

    /// The same test with plain integers, far from the wrap.
    #[test]
    fn acceptance_is_the_table_of_the_rfc(
        size in 0_i64..3000, seq in 7000_i64..14_000, length in 0_i64..3000
    ) {
        let next = 10_000_i64;
        let inside = |number: i64| next <= number && number < next + size;
        let expected = match (length == 0, size == 0) {
            (true, true) => seq == next,
            (true, false) => inside(seq),
            (false, true) => false,
            (false, false) => inside(seq) || inside(seq + length - 1),
        };
        let window = ReceiveWindow { next: SeqNumber(next as u32), size: size as u32 };
        prop_assert_eq!(window.accepts(SeqNumber(seq as u32), length as u32), expected);
    }
}
