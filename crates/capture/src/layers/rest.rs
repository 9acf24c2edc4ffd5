//! What of a packet is still to be taken apart.

use super::Why;

/// The bytes that are left of a packet, and how long it really is from here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rest<'a> {
    /// As much as was captured of it.
    pub(super) bytes: &'a [u8],
    /// In bytes, as headers say; not less than what was captured.
    pub(super) length: usize,
    /// How many bytes of the packet lie before.
    pub(super) offset: usize,
}

impl<'a> Rest<'a> {
    pub(super) const fn new(bytes: &'a [u8], length: usize) -> Self {
        let length = if length < bytes.len() { bytes.len() } else { length };
        Self { bytes, length, offset: 0 }
    }

    /// Whether all of it was captured.
    #[inline]
    pub(super) const fn is_whole(&self) -> bool {
        self.bytes.len() == self.length
    }

    /// Why so many bytes are not there: the capture kept less, or the packet has no more.
    pub(super) const fn lack(&self, needed: usize) -> Why {
        if needed <= self.length { Why::Cut } else { Why::TooShort }
    }

    /// The next bytes, without going behind them.
    #[inline]
    pub(super) fn peek<const N: usize>(&self) -> Result<&'a [u8; N], Why> {
        self.bytes.first_chunk().ok_or_else(|| self.lack(N))
    }

    /// The next bytes.
    #[inline]
    pub(super) fn take<const N: usize>(&mut self) -> Result<&'a [u8; N], Why> {
        let taken = self.peek()?;
        self.skip(N)?;
        Ok(taken)
    }

    /// Goes so many bytes on.
    #[inline]
    pub(super) fn skip(&mut self, length: usize) -> Result<(), Why> {
        self.bytes = self.bytes.get(length..).ok_or_else(|| self.lack(length))?;
        self.length -= length;
        self.offset += length;
        Ok(())
    }

    /// Says how long it really is: what is captured behind that is padding.
    #[inline]
    pub(super) fn limit(&mut self, length: usize) {
        self.bytes = self.bytes.get(..length).unwrap_or(self.bytes);
        self.length = length;
    }

    /// The number in network order so many bytes on, if it was captured.
    #[inline]
    pub(super) fn half(&self, at: usize) -> Option<u16> {
        Some(u16::from_be_bytes(*self.bytes.get(at..)?.first_chunk()?))
    }
}
