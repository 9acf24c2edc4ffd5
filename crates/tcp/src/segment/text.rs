//! The text of a segment: bytes somebody else keeps, in one piece or in two.

use alloc::vec::Vec;
use core::fmt;

/// The text a segment carries (RFC 9293 calls a segment's data its text).
///
/// A ring buffer hands out text in two pieces where it wraps round; `Text` spares it a copy.
/// Two texts are equal if their bytes are, wherever they are cut.
#[derive(Clone, Copy, Default)]
pub struct Text<'a> {
    first: &'a [u8],
    second: &'a [u8],
}

impl<'a> Text<'a> {
    /// No text.
    pub const EMPTY: Self = Self { first: &[], second: &[] };

    /// The bytes of `first` and then those of `second`.
    pub const fn new(first: &'a [u8], second: &'a [u8]) -> Self {
        Self { first, second }
    }

    /// How many bytes there are.
    pub const fn len(&self) -> usize {
        // Two slices of bytes never fill the address space, so this cannot overflow.
        self.first.len() + self.second.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.first.is_empty() && self.second.is_empty()
    }

    /// The two pieces, in order; either may be empty.
    pub const fn as_slices(&self) -> (&'a [u8], &'a [u8]) {
        (self.first, self.second)
    }

    /// Each byte in turn.
    pub fn iter(&self) -> impl Iterator<Item = u8> + use<'a> {
        self.first.iter().chain(self.second).copied()
    }

    /// Without its first `count` bytes; empty if it has no more than that.
    #[must_use]
    pub const fn skip(self, count: usize) -> Self {
        match self.first.split_at_checked(count) {
            Some((_, first)) => Self { first, second: self.second },
            None => match self.second.split_at_checked(count - self.first.len()) {
                Some((_, second)) => Self { first: second, second: &[] },
                None => Self::EMPTY,
            },
        }
    }

    /// Its first `count` bytes; all of it if it has no more than that.
    #[must_use]
    pub const fn take(self, count: usize) -> Self {
        match self.first.split_at_checked(count) {
            Some((first, _)) => Self { first, second: &[] },
            None => match self.second.split_at_checked(count - self.first.len()) {
                Some((second, _)) => Self { first: self.first, second },
                None => self,
            },
        }
    }

    /// Copies as many bytes as fit from the start of the text to the start of `out`, and says
    /// how many those were.
    pub fn copy_to_slice(&self, out: &mut [u8]) -> usize {
        let text = self.take(out.len());
        let (first, second) = out[..text.len()].split_at_mut(text.first.len());
        first.copy_from_slice(text.first);
        second.copy_from_slice(text.second);
        text.len()
    }

    /// The first piece that holds anything.
    const fn front(&self) -> &'a [u8] {
        if self.first.is_empty() { self.second } else { self.first }
    }

    /// All of it, copied.
    pub fn to_vec(&self) -> Vec<u8> {
        [self.first, self.second].concat()
    }
}

impl<'a> From<&'a [u8]> for Text<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self { first: bytes, second: &[] }
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Text<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        Self { first: bytes, second: &[] }
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self::from(text.as_bytes())
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        if self.len() != other.len() {
            return false;
        }
        // Cut at each place where either is cut: pieces of one length then lie side by side.
        let (mut ours, mut theirs) = (*self, *other);
        while !ours.is_empty() {
            let (left, right) = (ours.front(), theirs.front());
            let length = left.len().min(right.len());
            if left[..length] != right[..length] {
                return false;
            }
            (ours, theirs) = (ours.skip(length), theirs.skip(length));
        }
        true
    }
}

impl Eq for Text<'_> {}

/// The length and the beginning: `Text(1460: "GET / HTTP/1.1\r\n"…)`
impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 32;
        let shown = self.take(SHOWN);
        write!(f, "Text({}: \"{}{}\"", self.len(), shown.first.escape_ascii(), shown.second.escape_ascii())?;
        f.write_str(if self.len() > SHOWN { "…)" } else { ")" })
    }
}
