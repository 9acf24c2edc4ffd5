//! Text on its way to the peer.

use super::ring::Ring;
use crate::segment::Text;

/// Text from the first unacknowledged byte on: sent and unsent alike, because both have to
/// stay until the peer acknowledges them.
#[derive(Clone)]
pub(crate) struct SendBuffer {
    ring: Ring,
}

impl SendBuffer {
    pub(crate) fn new() -> Self {
        Self { ring: Ring::default() }
    }

    pub(crate) const fn len(&self) -> u32 {
        self.ring.length
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.ring.length == 0
    }

    /// How many more bytes are taken up to a `limit`.
    pub(crate) const fn free(&self, limit: u32) -> u32 {
        limit.saturating_sub(self.ring.length)
    }

    /// Takes what there is room for up to a `limit`, and says how much.
    pub(crate) fn write(&mut self, text: &[u8], limit: u32) -> usize {
        let taken = text.len().min(self.free(limit) as usize);
        let used = self.ring.length as usize;
        self.ring.reserve(used + taken, used);
        self.ring.write(used, &text[..taken]);
        self.ring.length += taken as u32;
        taken
    }

    /// `length` bytes from `offset` on, or what there is of them.
    pub(crate) fn text(&self, offset: u32, length: u32) -> Text<'_> {
        let offset = offset.min(self.ring.length);
        self.ring.text(offset as usize, length.min(self.ring.length - offset) as usize)
    }

    /// Drops the first `count` bytes: they are acknowledged.
    pub(crate) fn consume(&mut self, count: u32) {
        let count = count.min(self.ring.length);
        self.ring.consume(count as usize);
        self.ring.length -= count;
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self) {
        self.ring.length = 0;
        self.ring.release();
    }

    /// Gives the memory back if nothing is in it.
    pub(crate) fn release(&mut self) {
        if self.ring.length == 0 {
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
