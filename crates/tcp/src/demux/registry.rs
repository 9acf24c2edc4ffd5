//! Things found by their four-tuple, each with a deadline.

use alloc::vec::Vec;

use hashbrown::HashTable;

use super::wheel::TimerWheel;
use crate::hash::of_pair;
use crate::policy::Secret;
use crate::{FourTuple, Instant};

/// Something that belongs to a pair of sockets.
pub(crate) trait Paired {
    fn pair(&self) -> &FourTuple;
}

struct Slot<T> {
    value: Option<T>,
    /// Counts the values that have been here, so that an old key does not find a new one.
    generation: u32,
    /// Half of the pair's hash, so that leaving and growing the table cost none.
    hash: u32,
}

/// Where something stands in a [`Registry`], as long as it is there.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Key {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

/// A table of `T` by four-tuple, in which every entry can have a deadline.
///
/// Whoever sends segments chooses addresses and ports, so the hash is keyed.
pub(crate) struct Registry<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    table: HashTable<u32>,
    wheel: TimerWheel,
    secret: Secret,
}

impl<T: Paired> Registry<T> {
    pub(crate) fn new(secret: Secret) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            table: HashTable::new(),
            wheel: TimerWheel::new(),
            secret,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// Adds a value whose pair, with this hash, is not there yet.
    pub(crate) fn insert(&mut self, value: T, hash: u32) -> Key {
        debug_assert_eq!(hash, of_pair(&self.secret, value.pair()));
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { value: None, generation: 0, hash: 0 });
            (self.slots.len() - 1) as u32
        });
        let slot = &mut self.slots[index as usize];
        slot.value = Some(value);
        slot.hash = hash;
        let generation = slot.generation;
        let slots = &self.slots;
        self.table.insert_unique(spread(hash), index, |index| spread(slots[*index as usize].hash));
        Key { index, generation }
    }

    /// Where the value with this pair stands.
    pub(crate) fn find(&self, pair: &FourTuple) -> Option<Key> {
        self.find_hashed(pair, of_pair(&self.secret, pair))
    }

    /// The same with the pair's [hash](of_pair) under the same secret.
    pub(crate) fn find_hashed(&self, pair: &FourTuple, hash: u32) -> Option<Key> {
        let slots = &self.slots;
        let same =
            |index: &u32| slots[*index as usize].value.as_ref().is_some_and(|value| value.pair() == pair);
        let index = *self.table.find(spread(hash), same)?;
        Some(Key { index, generation: slots[index as usize].generation })
    }

    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        self.slots
            .get(key.index as usize)
            .filter(|slot| slot.generation == key.generation)
            .and_then(|slot| slot.value.as_ref())
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        self.slots
            .get_mut(key.index as usize)
            .filter(|slot| slot.generation == key.generation)
            .and_then(|slot| slot.value.as_mut())
    }

    /// The hash of an entry's pair.
    pub(crate) fn hash_of(&self, key: Key) -> Option<u32> {
        self.slots
            .get(key.index as usize)
            .filter(|slot| slot.generation == key.generation)
            .map(|slot| slot.hash)
    }

    /// Takes a value out. Its timer stops.
    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        self.unlink(key);
        self.get(key)?;
        let slot = &mut self.slots[key.index as usize];
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(key.index);
        slot.value.take()
    }

    /// Sets the deadline of an entry, or takes it away.
    pub(crate) fn arm(&mut self, key: Key, deadline: Option<Instant>) {
        if self.get(key).is_none() {
            return;
        }
        match deadline {
            Some(deadline) => self.wheel.arm(key.index, deadline),
            None => self.wheel.cancel(key.index),
        }
    }

    /// Sees to it that an entry expires at `deadline` at the latest. Deadlines mostly move away, with each segment
    /// that arrives: whoever finds an entry expired too soon looks when it is really due.
    pub(crate) fn arm_no_later(&mut self, key: Key, deadline: Instant) {
        if self.get(key).is_some() {
            self.wheel.arm_no_later(key.index, deadline);
        }
    }

    /// Takes the value out of the table: its pair is free, but it is still there.
    pub(crate) fn unlink(&mut self, key: Key) {
        if self.get(key).is_none() {
            return;
        }
        let hash = self.slots[key.index as usize].hash;
        let found = self.table.find_entry(spread(hash), |index| *index == key.index);
        if let Ok(entry) = found {
            entry.remove();
        }
        self.wheel.cancel(key.index);
    }

    /// The deadline of an entry.
    pub(crate) fn deadline(&self, key: Key) -> Option<Instant> {
        self.get(key).and_then(|_| self.wheel.deadline(key.index))
    }

    /// When to call [`Self::expired`] at the latest.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.wheel.next_deadline()
    }

    /// The next entry whose deadline has come. It has none afterwards.
    pub(crate) fn expired(&mut self, now: Instant) -> Option<Key> {
        let index = self.wheel.expired(now)?;
        Some(Key { index, generation: self.slots[index as usize].generation })
    }

    /// Everything in it, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| {
            let key = Key { index: index as u32, generation: slot.generation };
            slot.value.as_ref().map(|value| (key, value))
        })
    }
}

/// The table looks at both ends of a hash of 64 bits.
#[inline]
const fn spread(hash: u32) -> u64 {
    (hash as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
