//! Bytes in a ring.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use crate::segment::Text;

/// A ring of bytes whose size is a power of two, or nothing.
///
/// Positions count from the head. The ring does not know which bytes mean something: its
/// owner does.
#[derive(Clone, Default)]
pub(super) struct Ring {
    bytes: Box<[u8]>,
    head: u32,
    /// Bytes in order from the head on: its owner's count, kept here because here is room for it.
    pub(super) length: u32,
}

/// So many zeros. Large memory comes zeroed from the system; for little, an allocator is quicker if it need not be.
fn zeroed(length: usize) -> Box<[u8]> {
    if length > SMALL {
        return vec![0; length].into_boxed_slice();
    }
    let mut bytes = Vec::with_capacity(length);
    for _ in 0..length / SMALLEST {
        bytes.extend_from_slice(&[0; SMALLEST]);
    }
    bytes.into_boxed_slice()
}

/// Smaller rings are not worth an allocation of their own.
const SMALLEST: usize = 256;
/// Rings up to here are given back whenever they are empty.
const SMALL: usize = 4_096;

impl Ring {
    pub(super) fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// Makes room for `needed` bytes from the head on; the first `used` are kept.
    pub(super) fn reserve(&mut self, needed: usize, used: usize) {
        if needed <= self.bytes.len() {
            return;
        }
        let mut bytes = zeroed(needed.next_power_of_two().max(SMALLEST));
        let (first, second) = self.slices(0, used.min(self.bytes.len()));
        bytes[..first.len()].copy_from_slice(first);
        bytes[first.len()..first.len() + second.len()].copy_from_slice(second);
        *self = Self { bytes, head: 0, length: self.length };
    }

    /// Gives the memory back.
    pub(super) fn release(&mut self) {
        *self = Self::default();
    }

    /// Whether it costs little to allocate it anew.
    pub(super) fn is_small(&self) -> bool {
        self.bytes.len() <= SMALL
    }

    fn index(&self, position: usize) -> usize {
        (self.head as usize + position) & (self.bytes.len() - 1)
    }

    /// The `length` bytes at `position`. Both have to lie within the capacity.
    pub(super) fn slices(&self, position: usize, length: usize) -> (&[u8], &[u8]) {
        if length == 0 {
            return (&[], &[]);
        }
        let start = self.index(position);
        let first = length.min(self.bytes.len() - start);
        (&self.bytes[start..start + first], &self.bytes[..length - first])
    }

    pub(super) fn text(&self, position: usize, length: usize) -> Text<'_> {
        let (first, second) = self.slices(position, length);
        Text::new(first, second)
    }

    /// Writes `bytes` at `position`.
    pub(super) fn write(&mut self, position: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let start = self.index(position);
        let first = bytes.len().min(self.bytes.len() - start);
        self.bytes[start..start + first].copy_from_slice(&bytes[..first]);
        self.bytes[..bytes.len() - first].copy_from_slice(&bytes[first..]);
    }

    /// Moves the head forward.
    pub(super) fn consume(&mut self, count: usize) {
        if !self.bytes.is_empty() {
            self.head = self.index(count) as u32;
        }
    }
}
