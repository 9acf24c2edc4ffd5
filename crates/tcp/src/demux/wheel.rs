//! Timers for millions: a hierarchical timer wheel.
//!
//! Arming, arming anew, cancelling and expiring each cost the same, however many timers there are. After Varghese and
//! Lauck, "Hashed and hierarchical timing wheels" (1987).

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use crate::Instant;

/// Microseconds in a tick.
const TICK: u64 = 1_000;
/// Bits of a tick's number that choose a bucket on a level.
const BITS: u32 = 6;
/// Buckets on a level.
const WIDTH: usize = 1 << BITS;
/// Enough levels for 48 bits: 8,900 years.
const LEVELS: usize = 8;
const LAST_TICK: u64 = (1 << 48) - 1;

/// The list of timers that have expired and wait to be handed out.
const DUE: u16 = (LEVELS * WIDTH) as u16;
/// In no list.
const IDLE: u16 = DUE + 1;
/// No slot.
const NONE: u32 = u32::MAX;

/// A timer: a link in the list of its bucket.
#[derive(Clone, Copy, Debug)]
struct Entry {
    next: u32,
    previous: u32,
    tick_low: u32,
    tick_high: u16,
    bucket: u16,
}

impl Entry {
    const UNUSED: Self = Self { next: NONE, previous: NONE, tick_low: 0, tick_high: 0, bucket: IDLE };

    fn tick(&self) -> u64 {
        u64::from(self.tick_high) << 32 | u64::from(self.tick_low)
    }
}

/// Rounded up: never early.
fn tick_of(deadline: Instant) -> u64 {
    deadline.as_micros().div_ceil(TICK).min(LAST_TICK)
}

/// Timers, each known by the number of its slot, which the caller gives out. There is one timer to a slot.
///
/// A timer never expires early and up to a millisecond late. Slots should be small numbers: memory is sixteen bytes for
/// each up to the largest used.
#[derive(Clone, Debug)]
pub(crate) struct TimerWheel {
    entries: Vec<Entry>,
    /// The first timer of each bucket.
    heads: Box<[u32]>,
    /// Which buckets of a level have timers.
    occupied: [u64; LEVELS],
    /// The tick up to which everything has expired.
    now: u64,
    /// The list of what is due, in the order of expiry.
    due_first: u32,
    due_last: u32,
}

impl TimerWheel {
    /// Without timers.
    pub(crate) fn new() -> Self {
        Self {
            entries: Vec::new(),
            heads: vec![NONE; LEVELS * WIDTH].into_boxed_slice(),
            occupied: [0; LEVELS],
            now: 0,
            due_first: NONE,
            due_last: NONE,
        }
    }

    /// Lets the timer of `slot` expire at `deadline`, whatever it was armed for before. Slot 2³² − 1 is none.
    pub(crate) fn arm(&mut self, slot: u32, deadline: Instant) {
        if slot == NONE {
            return;
        }
        let index = slot as usize;
        if index >= self.entries.len() {
            self.entries.resize(index + 1, Entry::UNUSED);
        }
        let tick = tick_of(deadline);
        if self.entries[index].bucket != IDLE && self.entries[index].tick() == tick {
            return;
        }
        self.cancel(slot);
        self.entries[index].tick_low = tick as u32;
        self.entries[index].tick_high = (tick >> 32) as u16;
        self.insert(slot, tick);
    }

    /// The same where the timer is not armed for an earlier time already.
    pub(crate) fn arm_no_later(&mut self, slot: u32, deadline: Instant) {
        let armed = self.entries.get(slot as usize).filter(|entry| entry.bucket != IDLE);
        if armed.is_none_or(|entry| entry.tick() > tick_of(deadline)) {
            self.arm(slot, deadline);
        }
    }

    /// Forgets the timer of `slot`, if it is armed.
    pub(crate) fn cancel(&mut self, slot: u32) {
        if self.is_armed(slot) {
            self.remove(slot);
        }
    }

    /// Whether the timer of `slot` is armed.
    fn is_armed(&self, slot: u32) -> bool {
        self.entries.get(slot as usize).is_some_and(|entry| entry.bucket != IDLE)
    }

    /// When the timer of `slot` expires, if it is armed: what it was armed for, rounded up to a millisecond.
    pub(crate) fn deadline(&self, slot: u32) -> Option<Instant> {
        let entry = self.entries.get(slot as usize).filter(|entry| entry.bucket != IDLE)?;
        Some(Instant::from_micros(entry.tick() * TICK))
    }

    /// The slot of a timer that has expired by `now`, which is armed no more; to be called until there is none.
    /// Timers come in the order of their deadlines.
    pub(crate) fn expired(&mut self, now: Instant) -> Option<u32> {
        if self.due_first == NONE {
            self.advance((now.as_micros() / TICK).min(LAST_TICK));
        }
        let slot = self.due_first;
        if slot == NONE {
            return None;
        }
        self.cancel(slot);
        Some(slot)
    }

    /// When to look again: no timer expires before. It may be that none expires then, either, because timers far away
    /// are sorted more finely as they come nearer; that happens a few times in the life of a timer, at the most.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        if self.due_first != NONE {
            let tick = self.entries[self.due_first as usize].tick().min(self.now);
            return Some(Instant::from_micros(tick * TICK));
        }
        self.next_bucket().map(|(_, _, tick)| Instant::from_micros(tick * TICK))
    }

    /// The first occupied bucket: its level, its place and the tick with which it begins.
    ///
    /// Level and place follow from the highest digit in which a timer's tick differs from now. So on each level only
    /// places behind now's are occupied, and everything on a level comes before everything on those above.
    fn next_bucket(&self) -> Option<(usize, usize, u64)> {
        let level = self.occupied.iter().position(|&buckets| buckets != 0)?;
        let place = self.occupied[level].trailing_zeros() as usize;
        let shift = BITS * level as u32;
        let above = self.now >> shift >> BITS << BITS << shift;
        Some((level, place, above | (place as u64) << shift))
    }

    /// Everything up to tick `now` becomes due.
    fn advance(&mut self, now: u64) {
        while let Some((level, place, tick)) = self.next_bucket()
            && tick <= now
        {
            self.now = self.now.max(tick);
            let mut slot = core::mem::replace(&mut self.heads[level * WIDTH + place], NONE);
            self.occupied[level] &= !(1 << place);
            while slot != NONE {
                let entry = self.entries[slot as usize];
                // To a lower level, or to what is due.
                self.insert(slot, entry.tick());
                slot = entry.next;
            }
        }
        self.now = self.now.max(now);
    }

    /// Links a slot into the bucket of its tick.
    fn insert(&mut self, slot: u32, tick: u64) {
        let index = slot as usize;
        if tick <= self.now {
            let entry = &mut self.entries[index];
            (entry.bucket, entry.next, entry.previous) = (DUE, NONE, self.due_last);
            match self.due_last {
                NONE => self.due_first = slot,
                last => self.entries[last as usize].next = slot,
            }
            self.due_last = slot;
            return;
        }
        let level = ((tick ^ self.now).ilog2() / BITS) as usize;
        let place = (tick >> (BITS * level as u32)) as usize % WIDTH;
        let bucket = level * WIDTH + place;
        let head = core::mem::replace(&mut self.heads[bucket], slot);
        self.occupied[level] |= 1 << place;
        if head != NONE {
            self.entries[head as usize].previous = slot;
        }
        let entry = &mut self.entries[index];
        (entry.bucket, entry.next, entry.previous) = (bucket as u16, head, NONE);
    }

    /// Takes a slot out of its list.
    fn remove(&mut self, slot: u32) {
        let Entry { next, previous, bucket, .. } = self.entries[slot as usize];
        if next != NONE {
            self.entries[next as usize].previous = previous;
        } else if bucket == DUE {
            self.due_last = previous;
        }
        if previous != NONE {
            self.entries[previous as usize].next = next;
        } else if bucket == DUE {
            self.due_first = next;
        } else {
            let bucket = usize::from(bucket);
            self.heads[bucket] = next;
            if next == NONE {
                self.occupied[bucket / WIDTH] &= !(1 << (bucket % WIDTH));
            }
        }
        self.entries[slot as usize].bucket = IDLE;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_timer_takes_sixteen_bytes() {
        assert_eq!(size_of::<Entry>(), 16);
    }

    #[test]
    fn a_timer_expires_once_and_not_early() {
        let mut wheel = TimerWheel::new();
        wheel.expired(Instant::from_secs(5));
        wheel.arm(3, Instant::from_micros(5_001_001));
        assert_eq!(wheel.next_deadline(), Some(Instant::from_micros(5_002_000)));
        assert_eq!(wheel.deadline(3), Some(Instant::from_micros(5_002_000)));
        assert_eq!(wheel.expired(Instant::from_micros(5_001_999)), None);
        assert_eq!(wheel.expired(Instant::from_micros(5_002_000)), Some(3));
        assert_eq!(wheel.expired(Instant::from_micros(9_002_000)), None);
        assert!(wheel.next_deadline().is_none() && !wheel.is_armed(3));
    }

    #[test]
    fn what_is_past_is_due_at_once() {
        let mut wheel = TimerWheel::new();
        assert_eq!(wheel.expired(Instant::from_secs(5)), None);
        wheel.arm(0, Instant::from_secs(1));
        assert!(wheel.next_deadline().unwrap() <= Instant::from_secs(5));
        wheel.arm(1, Instant::from_secs(2));
        wheel.cancel(0);
        assert_eq!(wheel.expired(Instant::ZERO), Some(1));
        assert_eq!(wheel.expired(Instant::ZERO), None);
    }

    #[test]
    fn the_end_of_time_is_a_deadline() {
        let mut wheel = TimerWheel::new();
        wheel.arm(0, Instant::MAX);
        wheel.arm(u32::MAX, Instant::ZERO);
        assert_eq!(wheel.expired(Instant::from_secs(u64::from(u32::MAX))), None);
        assert_eq!(wheel.expired(Instant::MAX), Some(0));
        assert_eq!(wheel.expired(Instant::MAX), None);
    }

    /// How far away deadlines are: milliseconds, seconds, hours, weeks.
    fn distance() -> impl Strategy<Value = u64> {
        prop_oneof![
            3 => 0..5_000_u64,
            3 => 0..100_000_u64,
            3 => 0..10_000_000_u64,
            2 => 0..20_000_000_000_u64,
            1 => 0..3_000_000_000_000_u64,
        ]
    }

    #[derive(Clone, Debug)]
    enum Step {
        Arm(u32, u64),
        Cancel(u32),
        Pass(u64),
        /// To the moment the wheel asks for.
        Wake,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (0..40_u32, distance()).prop_map(|(slot, after)| Step::Arm(slot, after)),
            2 => (0..40_u32).prop_map(Step::Cancel),
            2 => distance().prop_map(Step::Pass),
            3 => Just(Step::Wake),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn it_agrees_with_a_sorted_map(start in distance(), steps in prop::collection::vec(step(), 1..120)) {
            let mut now = start;
            let mut wheel = TimerWheel::new();
            let mut model: BTreeMap<u32, u64> = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Arm(slot, after) => {
                        // Sometimes in the past.
                        let deadline = (now + after).saturating_sub(500);
                        wheel.arm(slot, Instant::from_micros(deadline));
                        model.insert(slot, deadline.div_ceil(TICK));
                    }
                    Step::Cancel(slot) => {
                        wheel.cancel(slot);
                        model.remove(&slot);
                    }
                    Step::Pass(micros) => now += micros,
                    Step::Wake => {
                        if let Some(deadline) = wheel.next_deadline() {
                            now = now.max(deadline.as_micros());
                        }
                    }
                }
                if matches!(step, Step::Pass(_) | Step::Wake) {
                    let due: BTreeSet<u32> =
                        model.iter().filter(|&(_, &tick)| tick <= now / TICK).map(|(&slot, _)| slot).collect();
                    let mut got = BTreeSet::new();
                    let mut last = 0;
                    while let Some(slot) = wheel.expired(Instant::from_micros(now)) {
                        prop_assert!(got.insert(slot));
                        let tick = model.remove(&slot).expect("it was armed");
                        // In order, but for those that were past when they were armed.
                        prop_assert!(tick >= last || tick * TICK <= now);
                        last = tick;
                    }
                    prop_assert_eq!(got, due);
                }
                let first = model.values().min().map(|&tick| Instant::from_micros(tick * TICK));
                prop_assert!(wheel.next_deadline() <= first, "never too late");
                prop_assert_eq!(wheel.next_deadline().is_some(), first.is_some());
                for slot in 0..40 {
                    let expected = model.get(&slot).map(|&tick| Instant::from_micros(tick * TICK));
                    prop_assert_eq!(wheel.deadline(slot), expected);
                }
            }
        }

        /// A timer is looked at in vain a few times at the most.
        #[test]
        fn wakings_in_vain_are_few(start in distance(), after in distance()) {
            let mut wheel = TimerWheel::new();
            wheel.expired(Instant::from_micros(start));
            wheel.arm(0, Instant::from_micros(start + after));
            let mut wakings = 0;
            while let Some(deadline) = wheel.next_deadline() {
                wakings += 1;
                wheel.expired(deadline);
            }
            prop_assert!(wakings <= LEVELS);
        }
    }
}
