//! A packet as it was captured, and the place where that was.

use std::borrow::Cow;
use std::sync::Arc;

use crate::{LinkType, Timestamp};

/// A captured packet. Its bytes are where they were read; whoever keeps it copies them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Packet<'a> {
    /// Which it is, counted from 1 over all files in the order they are handed out.
    pub number: u64,
    /// When it was seen. What has no time (a simple packet block) has that of the packet before it.
    pub time: Timestamp,
    /// Where: an index into [`Capture::interfaces`](crate::Capture::interfaces) or
    /// [`Live::interfaces`](crate::live::Live::interfaces).
    pub interface: u32,
    /// What its first byte belongs to.
    pub link: LinkType,
    /// As much of it as was captured.
    pub data: &'a [u8],
    /// How long it was, in bytes; never less than what was captured of it.
    pub original_length: u32,
    /// What is said about it.
    pub comments: Comments<'a>,
}

impl<'a> Packet<'a> {
    /// A packet that was captured whole.
    pub fn new(link: LinkType, time: Timestamp, data: &'a [u8]) -> Self {
        let original_length = u32::try_from(data.len()).unwrap_or(u32::MAX);
        Self { number: 1, time, link, data, original_length, ..Self::default() }
    }
}

/// The comments of a packet, read from its options when asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Comments<'a> {
    bytes: &'a [u8],
    big_endian: bool,
}

impl<'a> Comments<'a> {
    pub(crate) const fn new(bytes: &'a [u8], big_endian: bool) -> Self {
        Self { bytes, big_endian }
    }
}

impl<'a> Comments<'a> {
    /// Each in turn; what is no UTF-8 in them is replaced.
    pub fn iter(&self) -> impl Iterator<Item = Cow<'a, str>> + use<'a> {
        const COMMENT: u16 = 1;
        let options = Options { bytes: self.bytes, big_endian: self.big_endian };
        let comments = options.filter(|(number, _)| *number == COMMENT);
        comments.map(|(_, value)| String::from_utf8_lossy(value))
    }
}

/// The options of a block of pcapng: numbers and values. It ends where they make no sense any more.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) big_endian: bool,
}

impl<'a> Iterator for Options<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<(u16, &'a [u8])> {
        let (&[n0, n1, l0, l1], rest) = self.bytes.split_first_chunk::<4>()?;
        let half =
            |bytes| if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) };
        let (number, length) = (half([n0, n1]), usize::from(half([l0, l1])));
        let value = rest.get(..length)?;
        // The padding behind the last one may be missing.
        self.bytes = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        (number != 0).then_some((number, value))
    }
}

/// Where packets were captured. Files whose interfaces have equal descriptions share them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Interface {
    /// Its name, such as `eth0`, if known.
    pub name: Option<Arc<str>>,
    /// What it is, in words, if known.
    pub description: Option<Arc<str>>,
    /// What its packets begin with.
    pub link: LinkType,
    /// At most so many bytes of a packet were kept; 0: no limit.
    pub snap_length: u32,
}
