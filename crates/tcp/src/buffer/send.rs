//! Text on its way to the peer.

use super::ring::Ring;
use crate::segment::Text;

/// Text from the first unacknowledged byte on: sent and unsent alike, because both have to
/// stay until the peer acknowledges them.
pub(crate) struct SendBuffer {
    ring: Ring,
    length: u32,
    limit: u32,
}

impl SendBuffer {
    pub(crate) fn new(limit: u32) -> Self {
        Self { ring: Ring::default(), length: 0, limit: limit.min(i32::MAX as u32) }
    }

    pub(crate) const fn len(&self) -> u32 {
        self.length
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// How many more bytes are taken.
    pub(crate) const fn free(&self) -> u32 {
        self.limit.saturating_sub(self.length)
    }

    pub(crate) const fn limit(&self) -> u32 {
        self.limit
    }

    /// Takes what there is room for, and says how much.
    pub(crate) fn write(&mut self, text: &[u8]) -> usize {
        let taken = text.len().min(self.free() as usize);
        let used = self.length as usize;
        self.ring.reserve(used + taken, used);
        self.ring.write(used, &text[..taken]);
        self.length += taken as u32;
        taken
    }

    /// `length` bytes from `offset` on, or what there is of them.
    pub(crate) fn text(&self, offset: u32, length: u32) -> Text<'_> {
        let offset = offset.min(self.length);
        self.ring.text(offset as usize, length.min(self.length - offset) as usize)
    }

    /// Drops the first `count` bytes: they are acknowledged.
    pub(crate) fn consume(&mut self, count: u32) {
        let count = count.min(self.length);
        self.ring.consume(count as usize);
        self.length -= count;
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self) {
        self.length = 0;
        self.ring.release();
    }

    /// Gives the memory back if nothing is in it.
    pub(crate) fn release(&mut self) {
        if self.length == 0 {
            self.ring.release();
        }
    }

    /// Gives the memory back if nothing is in it and it is cheap to get again.
    pub(crate) fn release_if_small(&mut self) {
        if self.ring.is_small() {
            self.release();
        }
    }

    /// Bytes of memory held.
    pub(crate) fn memory(&self) -> usize {
        self.ring.capacity()
    }
}
