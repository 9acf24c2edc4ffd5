//! The bytes of a file, as many at a time as a record needs.

use std::io::{self, ErrorKind};

use super::source::Reader;

/// The buffer's size at the beginning: it stays in the processor's second-level cache.
const INITIAL: usize = 256 << 10;

/// A window that moves over a file. What was handed out stays where it is until more is required.
pub(super) struct Input {
    reader: Reader,
    bytes: Vec<u8>,
    /// What is not yet taken: from here…
    start: usize,
    /// … up to here.
    end: usize,
    /// How much of the file lies before the buffer.
    before: u64,
    /// Why there is no more, if [`Self::require`] said so.
    lack: Lack,
}

/// Why there are fewer bytes than required.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lack {
    /// The file ends.
    End,
    /// There are none at the moment: the reader does not wait, or a signal came.
    Moment,
}

impl Input {
    pub(super) fn new(reader: Reader) -> Self {
        Self { reader, bytes: vec![0; INITIAL], start: 0, end: 0, before: 0, lack: Lack::End }
    }

    /// Where in the file the next byte stands.
    pub(super) fn offset(&self) -> u64 {
        self.before + self.start as u64
    }

    /// What of the file was read and is not yet taken.
    #[inline]
    pub(super) fn ready(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// Where in the buffer the next byte stands, for [`Self::taken`].
    #[inline]
    pub(super) fn position(&self) -> usize {
        self.start
    }

    /// Bytes that lie in the buffer, taken or not, since the last call of [`Self::require`].
    #[inline]
    pub(super) fn taken(&self, start: usize, length: usize) -> &[u8] {
        self.bytes.get(start..start + length).unwrap_or_default()
    }

    /// Goes behind the next `length` bytes, which are ready.
    #[inline]
    pub(super) fn take(&mut self, length: usize) {
        self.start = (self.start + length).min(self.end);
    }

    /// Makes so many bytes ready. `false` if there are not so many; [`Self::lack`] then says why.
    #[inline]
    pub(super) fn require(&mut self, length: usize) -> io::Result<bool> {
        if self.end - self.start >= length { Ok(true) } else { self.refill(length) }
    }

    pub(super) const fn lack(&self) -> Lack {
        self.lack
    }

    #[cold]
    fn refill(&mut self, length: usize) -> io::Result<bool> {
        // Twice the room, so that not every byte that claims to begin a large block moves all of it.
        let room = length.saturating_mul(2).max(INITIAL);
        if self.bytes.len() < room {
            self.bytes.resize(room, 0);
        }
        self.bytes.copy_within(self.start..self.end, 0);
        self.before += self.start as u64;
        self.end -= self.start;
        self.start = 0;
        while self.end < length {
            let Some(room) = self.bytes.get_mut(self.end..) else { break };
            match self.reader.read(room) {
                Ok(0) => {
                    self.lack = Lack::End;
                    return Ok(false);
                }
                Ok(read) => self.end += read.min(room.len()),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                    self.lack = Lack::Moment;
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}
