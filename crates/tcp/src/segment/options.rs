//! The options of a segment (RFC 9293 §3.1, §3.2): the bytes as they are on the wire, and what
//! they mean.

use core::fmt;
use core::hash::{Hash, Hasher};
use core::ops::Deref;
use core::time::Duration;

use crate::SeqNumber;
use crate::fast_open::FastOpenCookie;

/// The header's length is told in four bits, so options take at most 60 − 20 bytes.
const MAX_LENGTH: usize = 40;

/// The numbers of the kinds of options ("TCP Option Kind Numbers" at IANA).
mod kind {
    pub(super) const END_OF_LIST: u8 = 0;
    pub(super) const NO_OPERATION: u8 = 1;
    pub(super) const MAXIMUM_SEGMENT_SIZE: u8 = 2;
    pub(super) const WINDOW_SCALE: u8 = 3;
    pub(super) const SACK_PERMITTED: u8 = 4;
    pub(super) const SACK: u8 = 5;
    pub(super) const TIMESTAMPS: u8 = 8;
    pub(super) const MD5_SIGNATURE: u8 = 19;
    pub(super) const USER_TIMEOUT: u8 = 28;
    pub(super) const AUTHENTICATION: u8 = 29;
    pub(super) const FAST_OPEN: u8 = 34;
    pub(super) const EXPERIMENT: u8 = 254;
}

/// Tells Fast Open from other experiments with option 254 (RFC 6994, RFC 7413 appendix A).
const FAST_OPEN_EXPERIMENT: [u8; 2] = [0xf9, 0x89];

/// The timestamps option (RFC 7323 §3), in units of the sender's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Timestamps {
    /// TSval: the sender's clock.
    pub value: u32,
    /// TSecr: the latest value seen from the peer. Counts only with an ACK.
    pub echo_reply: u32,
}

/// One block of a SACK option (RFC 2018 §3): text that arrived out of order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct SackBlock {
    /// The first sequence number of the block.
    pub start: SeqNumber,
    /// The number behind its last.
    pub end: SeqNumber,
}

impl SackBlock {
    /// Whether it holds no number.
    pub const fn is_empty(self) -> bool {
        self.start.0 == self.end.0
    }
}

/// The blocks of a SACK option, at most four. Reads like a slice.
#[derive(Clone, Copy, Default)]
pub struct SackBlocks {
    blocks: [SackBlock; Self::CAPACITY],
    length: u8,
}

impl SackBlocks {
    /// So many fit the options of one segment; three beside timestamps.
    pub const CAPACITY: usize = 4;
    /// None.
    pub const EMPTY: Self =
        Self { blocks: [SackBlock { start: SeqNumber(0), end: SeqNumber(0) }; Self::CAPACITY], length: 0 };

    /// Adds a block.
    ///
    /// # Errors
    /// If there are four already.
    pub fn push(&mut self, block: SackBlock) -> Result<(), NoRoom> {
        *self.blocks.get_mut(usize::from(self.length)).ok_or(NoRoom)? = block;
        self.length += 1;
        Ok(())
    }
}

impl Deref for SackBlocks {
    type Target = [SackBlock];

    fn deref(&self) -> &[SackBlock] {
        &self.blocks[..usize::from(self.length)]
    }
}

impl PartialEq for SackBlocks {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for SackBlocks {}

impl Hash for SackBlocks {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl fmt::Debug for SackBlocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Blocks beyond the fourth are left out.
impl FromIterator<SackBlock> for SackBlocks {
    fn from_iter<I: IntoIterator<Item = SackBlock>>(blocks: I) -> Self {
        let mut collected = Self::EMPTY;
        for block in blocks.into_iter().take(Self::CAPACITY) {
            let _ = collected.push(block);
        }
        collected
    }
}

/// The user timeout option (RFC 5482 §3): after how long without an acknowledgment the sender
/// gives the connection up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UserTimeout {
    /// The granularity bit: whether [`Self::value`] counts minutes instead of seconds.
    pub minutes: bool,
    /// How many; 15 bits on the wire, the sixteenth is not sent.
    pub value: u16,
}

impl UserTimeout {
    const GRANULARITY: u16 = 0x8000;

    /// The timeout nearest to `duration` that is not shorter and that the option can tell,
    /// at most 32,767 minutes.
    pub fn from_duration(duration: Duration) -> Self {
        let seconds = duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0));
        match u16::try_from(seconds) {
            Ok(value) if value < Self::GRANULARITY => Self { minutes: false, value },
            _ => {
                let minutes = seconds.div_ceil(60).min(u64::from(Self::GRANULARITY - 1));
                Self { minutes: true, value: minutes as u16 }
            }
        }
    }

    /// The timeout as a duration.
    pub const fn as_duration(self) -> Duration {
        let unit = if self.minutes { 60 } else { 1 };
        Duration::from_secs(self.value as u64 * unit)
    }

    const fn from_bits(bits: u16) -> Self {
        Self { minutes: bits & Self::GRANULARITY != 0, value: bits & !Self::GRANULARITY }
    }

    const fn bits(self) -> u16 {
        (self.value & !Self::GRANULARITY) | if self.minutes { Self::GRANULARITY } else { 0 }
    }
}

/// One option. A kind known here whose length is not what its RFC says is
/// [`Unknown`](TcpOption::Unknown), so that nothing is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpOption<'a> {
    /// Kind 0: nothing but padding follows.
    EndOfList,
    /// Kind 1: a byte of padding.
    NoOperation,
    /// Kind 2: the largest text the sender takes in one segment (RFC 9293 §3.7.1). Only with SYN.
    MaximumSegmentSize(u16),
    /// Kind 3: by how many bits the sender's windows are to be shifted (RFC 7323 §2). Only with
    /// SYN. As on the wire: a shift above 14 counts as 14, and that is the reader's affair.
    WindowScale(u8),
    /// Kind 4: the sender understands SACK (RFC 2018 §2). Only with SYN.
    SackPermitted,
    /// Kind 5: what arrived out of order (RFC 2018 §3), 1 to 4 blocks.
    Sack(SackBlocks),
    /// Kind 8 (RFC 7323 §3).
    Timestamps(Timestamps),
    /// Kind 28 (RFC 5482).
    UserTimeout(UserTimeout),
    /// Kind 34: a Fast Open cookie, or the request for one if it is empty (RFC 7413 §4.1.1).
    FastOpen(&'a [u8]),
    /// The same as an experiment: kind 254 with the number 0xF989 (RFC 7413 appendix A).
    FastOpenExperiment(&'a [u8]),
    /// Kind 19: an MD5 signature, 16 bytes (RFC 2385), not verified.
    Md5Signature(&'a [u8]),
    /// Kind 29: authentication (RFC 5925 §2.2): KeyID, RNextKeyID and the code, not verified.
    Authentication(&'a [u8]),
    /// Anything else.
    Unknown {
        /// Its number.
        kind: u8,
        /// What follows kind and length, at most 38 bytes.
        data: &'a [u8],
    },
}

/// There is no room for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the options of a segment take at most 40 bytes, and 4 SACK blocks")
    }
}

impl core::error::Error for NoRoom {}

/// The options of a segment: up to 40 bytes as they are on the wire, padding and all.
///
/// Equal if their bytes are. Where an option comes twice, the getters take the latter, as Linux does.
#[derive(Clone, Copy)]
pub struct Options {
    bytes: [u8; MAX_LENGTH],
    length: u8,
}

impl Options {
    /// None.
    pub const EMPTY: Self = Self { bytes: [0; MAX_LENGTH], length: 0 };
    /// At most so many bytes.
    pub const MAX_LENGTH: usize = MAX_LENGTH;

    /// Options that lie ready in bytes.
    ///
    /// # Errors
    /// If they are more than 40.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NoRoom> {
        let mut options = Self::EMPTY;
        options.append(bytes)?;
        Ok(options)
    }

    /// Puts options as they lie in a header in the place of none; no more than 40 bytes are taken.
    ///
    /// In place, because a value that was just written in pieces is slow to move as a whole. And word by word, of which
    /// a whole header has nothing but: a copy of any length would be a call.
    #[inline]
    pub(super) fn fill(&mut self, bytes: &[u8]) {
        let bytes = &bytes[..bytes.len().min(MAX_LENGTH)];
        let (words, rest) = bytes.as_chunks::<4>();
        for (place, word) in self.bytes.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *place = *word;
        }
        for (place, byte) in self.bytes[words.len() * 4..].iter_mut().zip(rest) {
            *place = *byte;
        }
        self.length = bytes.len() as u8;
    }

    /// Timestamps as nearly every segment carries them, aligned: 12 bytes (RFC 7323 appendix A).
    #[inline]
    pub fn with_timestamps(timestamps: Timestamps) -> Self {
        let mut options = Self::EMPTY;
        options.set_timestamps(timestamps);
        options
    }

    /// The same in place.
    #[inline]
    pub(crate) fn set_timestamps(&mut self, timestamps: Timestamps) {
        self.bytes[..4].copy_from_slice(&ALIGNED_TIMESTAMPS);
        self.bytes[4..8].copy_from_slice(&timestamps.value.to_be_bytes());
        self.bytes[8..12].copy_from_slice(&timestamps.echo_reply.to_be_bytes());
        self.length = 12;
    }

    /// The bytes on the wire.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// How many bytes, 0 to 40. A header pads them to whole words of four.
    pub const fn len(&self) -> usize {
        self.length as usize
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// How many bytes they take in a header: [`Self::len`] up to the next multiple of four.
    pub const fn padded_len(&self) -> usize {
        self.len().next_multiple_of(4)
    }

    /// The bytes with the unused room behind them, which is always zero.
    pub(super) const fn padded(&self) -> &[u8; MAX_LENGTH] {
        &self.bytes
    }

    /// Adds an option behind the others.
    ///
    /// # Errors
    /// If it does not fit. Nothing is changed then.
    pub fn push(&mut self, option: TcpOption<'_>) -> Result<(), NoRoom> {
        match option {
            TcpOption::EndOfList => self.append(&[kind::END_OF_LIST]),
            TcpOption::NoOperation => self.append(&[kind::NO_OPERATION]),
            TcpOption::MaximumSegmentSize(size) => {
                self.push_data(kind::MAXIMUM_SEGMENT_SIZE, &[&size.to_be_bytes()])
            }
            TcpOption::WindowScale(shift) => self.push_data(kind::WINDOW_SCALE, &[&[shift]]),
            TcpOption::SackPermitted => self.push_data(kind::SACK_PERMITTED, &[]),
            TcpOption::Sack(blocks) => {
                let mut data = [0; SackBlocks::CAPACITY * 8];
                let length = blocks.len() * 8;
                for (block, out) in blocks.iter().zip(data.chunks_exact_mut(8)) {
                    out[..4].copy_from_slice(&block.start.0.to_be_bytes());
                    out[4..].copy_from_slice(&block.end.0.to_be_bytes());
                }
                self.push_data(kind::SACK, &[&data[..length]])
            }
            TcpOption::Timestamps(timestamps) => self.push_data(
                kind::TIMESTAMPS,
                &[&timestamps.value.to_be_bytes(), &timestamps.echo_reply.to_be_bytes()],
            ),
            TcpOption::UserTimeout(timeout) => {
                self.push_data(kind::USER_TIMEOUT, &[&timeout.bits().to_be_bytes()])
            }
            TcpOption::FastOpen(cookie) => self.push_data(kind::FAST_OPEN, &[cookie]),
            TcpOption::FastOpenExperiment(cookie) => {
                self.push_data(kind::EXPERIMENT, &[&FAST_OPEN_EXPERIMENT, cookie])
            }
            TcpOption::Md5Signature(digest) => self.push_data(kind::MD5_SIGNATURE, &[digest]),
            TcpOption::Authentication(data) => self.push_data(kind::AUTHENTICATION, &[data]),
            TcpOption::Unknown { kind, data } => self.push_data(kind, &[data]),
        }
    }

    /// Adds an option that has a length, its data given in pieces.
    fn push_data(&mut self, kind: u8, pieces: &[&[u8]]) -> Result<(), NoRoom> {
        let length = pieces.iter().fold(2_usize, |length, piece| length.saturating_add(piece.len()));
        if length > MAX_LENGTH - self.len() {
            return Err(NoRoom);
        }
        self.append(&[kind, length as u8])?;
        pieces.iter().try_for_each(|piece| self.append(piece))
    }

    #[inline]
    fn append(&mut self, bytes: &[u8]) -> Result<(), NoRoom> {
        let room = self.bytes[usize::from(self.length)..].get_mut(..bytes.len()).ok_or(NoRoom)?;
        room.copy_from_slice(bytes);
        self.length += bytes.len() as u8;
        Ok(())
    }

    /// Fills up to a whole number of words of four bytes, with [`TcpOption::EndOfList`]
    /// (RFC 9293 §3.1: padding is of zeros).
    pub fn pad_to_word(&mut self) {
        // The unused room is zero already.
        self.length = self.padded_len() as u8;
    }

    /// The options one by one. Ends behind [`TcpOption::EndOfList`], and before an option whose
    /// length is impossible (see [`Self::malformed`]).
    pub fn iter(&self) -> Iter<'_> {
        Iter { rest: self.as_bytes(), malformed: false }
    }

    /// Whether the list breaks off in an option whose length is below two or goes beyond the
    /// header. RFC 9293 (MUST-7) wants such a segment survived: what stands before still counts.
    pub fn malformed(&self) -> bool {
        let mut options = self.iter();
        options.by_ref().for_each(drop);
        options.malformed
    }

    /// The timestamps, if any (RFC 7323 §3).
    #[inline]
    pub fn timestamps(&self) -> Option<Timestamps> {
        // Nearly every segment of a connection carries just these twelve bytes.
        if self.length == 12 && self.bytes[..4] == ALIGNED_TIMESTAMPS {
            return read_timestamps(&self.bytes[4..12]);
        }
        self.last(|option| match option {
            TcpOption::Timestamps(timestamps) => Some(timestamps),
            _ => None,
        })
    }

    /// The maximum segment size, if told (RFC 9293 §3.7.1). Counts only with SYN.
    pub fn mss(&self) -> Option<u16> {
        self.last(|option| match option {
            TcpOption::MaximumSegmentSize(size) => Some(size),
            _ => None,
        })
    }

    /// The shift of the window as on the wire, if told (RFC 7323 §2). Counts only with SYN.
    pub fn window_scale(&self) -> Option<u8> {
        self.last(|option| match option {
            TcpOption::WindowScale(shift) => Some(shift),
            _ => None,
        })
    }

    /// Whether SACK is permitted (RFC 2018 §2). Counts only with SYN.
    pub fn sack_permitted(&self) -> bool {
        self.iter().any(|option| option == TcpOption::SackPermitted)
    }

    /// What the peer has received out of order (RFC 2018 §3); empty without the option.
    pub fn sack(&self) -> SackBlocks {
        if self.length == 12 && self.bytes[..4] == ALIGNED_TIMESTAMPS {
            return SackBlocks::EMPTY;
        }
        self.last(|option| match option {
            TcpOption::Sack(blocks) => Some(blocks),
            _ => None,
        })
        .unwrap_or_default()
    }

    /// The last Fast Open cookie that can be one, and whether it came in the option of the experiment.
    pub(crate) fn fast_open_cookie(&self) -> Option<(FastOpenCookie, bool)> {
        self.last(|option| match option {
            TcpOption::FastOpen(cookie) => FastOpenCookie::from_bytes(cookie).map(|cookie| (cookie, false)),
            TcpOption::FastOpenExperiment(cookie) => {
                FastOpenCookie::from_bytes(cookie).map(|cookie| (cookie, true))
            }
            _ => None,
        })
    }

    /// What is said about Fast Open: the cookie, empty where one is asked for, and whether by the option of the
    /// experiment.
    pub(crate) fn fast_open_request(&self) -> Option<(&[u8], bool)> {
        self.last(|option| match option {
            TcpOption::FastOpen(cookie) => Some((cookie, false)),
            TcpOption::FastOpenExperiment(cookie) => Some((cookie, true)),
            _ => None,
        })
    }

    /// The Fast Open cookie, of the standard's kind or the experiment's; empty where one is
    /// asked for (RFC 7413 §4.1.1). Its length is not judged here. Counts only with SYN.
    pub fn fast_open(&self) -> Option<&[u8]> {
        self.last(|option| match option {
            TcpOption::FastOpen(cookie) | TcpOption::FastOpenExperiment(cookie) => Some(cookie),
            _ => None,
        })
    }

    /// The peer's user timeout, if told (RFC 5482).
    pub fn user_timeout(&self) -> Option<UserTimeout> {
        self.last(|option| match option {
            TcpOption::UserTimeout(timeout) => Some(timeout),
            _ => None,
        })
    }

    fn last<'a, T>(&'a self, pick: impl Fn(TcpOption<'a>) -> Option<T>) -> Option<T> {
        self.iter().filter_map(pick).last()
    }
}

/// NOP, NOP, and kind and length of the timestamps (RFC 7323 appendix A).
const ALIGNED_TIMESTAMPS: [u8; 4] = [kind::NO_OPERATION, kind::NO_OPERATION, kind::TIMESTAMPS, 10];

impl Default for Options {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl PartialEq for Options {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Options {}

impl Hash for Options {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a> IntoIterator for &'a Options {
    type Item = TcpOption<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The options of a segment one by one; see [`Options::iter`].
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    rest: &'a [u8],
    malformed: bool,
}

impl<'a> Iterator for Iter<'a> {
    type Item = TcpOption<'a>;

    fn next(&mut self) -> Option<TcpOption<'a>> {
        match *self.rest {
            [] => None,
            [kind::END_OF_LIST, ..] => {
                self.rest = &[];
                Some(TcpOption::EndOfList)
            }
            [kind::NO_OPERATION, ref rest @ ..] => {
                self.rest = rest;
                Some(TcpOption::NoOperation)
            }
            [kind, length, ref rest @ ..] if length >= 2 && usize::from(length) - 2 <= rest.len() => {
                let (data, rest) = rest.split_at(usize::from(length) - 2);
                self.rest = rest;
                Some(TcpOption::read(kind, data))
            }
            _ => {
                self.rest = &[];
                self.malformed = true;
                None
            }
        }
    }
}

impl core::iter::FusedIterator for Iter<'_> {}

impl<'a> TcpOption<'a> {
    fn read(kind: u8, data: &'a [u8]) -> Self {
        match (kind, data) {
            (kind::MAXIMUM_SEGMENT_SIZE, &[high, low]) => {
                Self::MaximumSegmentSize(u16::from_be_bytes([high, low]))
            }
            (kind::WINDOW_SCALE, &[shift]) => Self::WindowScale(shift),
            (kind::SACK_PERMITTED, []) => Self::SackPermitted,
            (kind::SACK, data) => read_sack(data).map_or(Self::Unknown { kind, data }, Self::Sack),
            (kind::TIMESTAMPS, data) => {
                read_timestamps(data).map_or(Self::Unknown { kind, data }, Self::Timestamps)
            }
            (kind::USER_TIMEOUT, &[high, low]) => {
                Self::UserTimeout(UserTimeout::from_bits(u16::from_be_bytes([high, low])))
            }
            (kind::FAST_OPEN, cookie) => Self::FastOpen(cookie),
            (kind::EXPERIMENT, [high, low, cookie @ ..]) if [*high, *low] == FAST_OPEN_EXPERIMENT => {
                Self::FastOpenExperiment(cookie)
            }
            (kind::MD5_SIGNATURE, digest) if digest.len() == 16 => Self::Md5Signature(digest),
            (kind::AUTHENTICATION, data) if data.len() >= 2 => Self::Authentication(data),
            (kind, data) => Self::Unknown { kind, data },
        }
    }
}

fn read_timestamps(data: &[u8]) -> Option<Timestamps> {
    let (value, echo_reply) = data.split_first_chunk()?;
    let echo_reply = echo_reply.try_into().ok()?;
    Some(Timestamps { value: u32::from_be_bytes(*value), echo_reply: u32::from_be_bytes(echo_reply) })
}

/// `None` if the length is not that of one to four blocks.
fn read_sack(data: &[u8]) -> Option<SackBlocks> {
    let (blocks, rest) = data.as_chunks::<8>();
    if blocks.is_empty() || !rest.is_empty() {
        return None;
    }
    let mut read = SackBlocks::EMPTY;
    for &[a, b, c, d, e, f, g, h] in blocks {
        let block = SackBlock {
            start: SeqNumber(u32::from_be_bytes([a, b, c, d])),
            end: SeqNumber(u32::from_be_bytes([e, f, g, h])),
        };
        read.push(block).ok()?;
    }
    Some(read)
}
