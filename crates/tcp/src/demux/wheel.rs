//! Timers.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::Instant;

pub(crate) struct TimerWheel {
    by_time: BTreeSet<(Instant, u32)>,
    by_slot: BTreeMap<u32, Instant>,
}

impl TimerWheel {
    pub(crate) fn new() -> Self {
        Self { by_time: BTreeSet::new(), by_slot: BTreeMap::new() }
    }
    pub(crate) fn arm(&mut self, slot: u32, at: Instant) {
        self.cancel(slot);
        self.by_slot.insert(slot, at);
        self.by_time.insert((at, slot));
    }
    pub(crate) fn cancel(&mut self, slot: u32) {
        if let Some(at) = self.by_slot.remove(&slot) {
            self.by_time.remove(&(at, slot));
        }
    }
    pub(crate) fn deadline(&self, slot: u32) -> Option<Instant> {
        self.by_slot.get(&slot).copied()
    }
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }
    pub(crate) fn expired(&mut self, now: Instant) -> Option<u32> {
        let (at, slot) = *self.by_time.first()?;
        (at <= now).then(|| self.cancel(slot))?;
        Some(slot)
    }
}
