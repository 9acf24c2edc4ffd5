//! How long a segment may be late before it counts as lost: the reordering window of RACK (RFC 8985 §6.2, step 4).

use crate::SeqNumber;

/// What is known about reordering on the path.
#[derive(Clone, Debug)]
pub(super) struct Reordering {
    /// RACK.dsack_round: a duplicate was told of, and this was SND.NXT then.
    round: Option<SeqNumber>,
    /// RACK.reo_wnd_mult: in quarters of the shortest round trip.
    quarters: u8,
    /// RACK.reo_wnd_persist: recoveries until the window is small again.
    persist: u8,
    /// RACK.reordering_seen.
    seen: bool,
}

impl Reordering {
    /// Recoveries without a duplicate after which the window shrinks.
    const PERSIST: u8 = 16;

    pub(super) const fn new() -> Self {
        Self { round: None, quarters: 1, persist: 0, seen: false }
    }

    /// Something sent once arrived after something sent later (RFC 8985 §6.2, step 3).
    pub(super) fn see(&mut self) {
        self.seen = true;
    }

    /// An acknowledgment came; `dsack`: with a duplicate. Duplicates widen the window once a round trip.
    pub(super) fn on_ack(&mut self, dsack: bool, una: SeqNumber, next: SeqNumber) {
        if self.round.is_some_and(|round| una.ge(round)) {
            self.round = None;
        }
        if dsack && self.round.is_none() {
            self.round = Some(next);
            self.quarters = self.quarters.saturating_add(1);
            self.persist = Self::PERSIST;
        }
    }

    /// A recovery has ended in which the losses were losses.
    pub(super) fn on_recovered(&mut self) {
        self.persist = self.persist.saturating_sub(1);
        if self.persist == 0 {
            self.quarters = 1;
        }
    }

    /// A recovery has ended that was for nothing.
    pub(super) fn on_undone(&mut self) {
        self.persist = (self.persist + 1).min(Self::PERSIST);
    }

    /// RACK.reo_wnd in microseconds. `suspicious`: losses are being repaired already, or three segments
    /// have arrived behind the hole.
    pub(super) fn window(&self, shortest: u32, srtt: u32, suspicious: bool) -> u32 {
        if !self.seen && suspicious {
            return 0;
        }
        if shortest == u32::MAX {
            return srtt;
        }
        let quarters = u64::from(shortest / 4) * u64::from(self.quarters);
        u32::try_from(quarters).unwrap_or(u32::MAX).min(srtt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u32 = 1_000;

    #[test]
    fn without_reordering_three_segments_are_enough() {
        let reordering = Reordering::new();
        assert_eq!(reordering.window(40 * MS, 50 * MS, true), 0);
        assert_eq!(reordering.window(40 * MS, 50 * MS, false), 10 * MS);
    }

    #[test]
    fn duplicates_widen_it_once_a_round_trip_up_to_the_smoothed_one() {
        let mut reordering = Reordering::new();
        reordering.see();
        reordering.on_ack(true, SeqNumber(0), SeqNumber(100));
        reordering.on_ack(true, SeqNumber(50), SeqNumber(150));
        assert_eq!(reordering.window(40 * MS, 50 * MS, true), 20 * MS);
        reordering.on_ack(true, SeqNumber(100), SeqNumber(200));
        assert_eq!(reordering.window(40 * MS, 50 * MS, true), 30 * MS);
        for round in 2..255 {
            reordering.on_ack(true, SeqNumber(round * 100), SeqNumber(round * 100 + 100));
        }
        assert_eq!(reordering.window(40 * MS, 50 * MS, true), 50 * MS);
    }

    #[test]
    fn sixteen_recoveries_without_a_duplicate_narrow_it() {
        let mut reordering = Reordering::new();
        reordering.see();
        reordering.on_ack(true, SeqNumber(0), SeqNumber(100));
        for _ in 0..15 {
            reordering.on_recovered();
        }
        assert_eq!(reordering.window(40 * MS, 50 * MS, true), 20 * MS);
        reordering.on_recovered();
        assert_eq!(reordering.window(40 * MS, 50 * MS, true), 10 * MS);
    }
}
