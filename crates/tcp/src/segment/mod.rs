//! Segments: a TCP header, its options and the text behind it (RFC 9293 §3.1).

use core::fmt;
use core::net::IpAddr;

use alloc::vec::Vec;

use crate::{Flags, SeqNumber};

pub(crate) mod checksum;
mod options;
mod text;

pub use options::{Iter, NoRoom, Options, SackBlock, SackBlocks, TcpOption, Timestamps, UserTimeout};
pub use text::Text;

/// One segment, whose text is kept elsewhere.
///
/// The checksum is not part of it: [`Segment::emit`] computes one, [`Segment::verify_checksum`]
/// judges the one that came. The length of the header follows from the options.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Segment<'a> {
    /// The sender's port.
    pub source_port: u16,
    /// The receiver's port.
    pub destination_port: u16,
    /// SEG.SEQ: the number of the first byte of text, or of the SYN.
    pub seq: SeqNumber,
    /// SEG.ACK as on the wire: it means something only with the flag ACK.
    pub ack: SeqNumber,
    /// The control flags.
    pub flags: Flags,
    /// The three bits that are reserved (RFC 9293 §3.1: sent as zero, ignored when received), kept as found.
    pub reserved: u8,
    /// SEG.WND as on the wire, before any scaling.
    pub window: u16,
    /// SEG.UP as on the wire: it means something only with the flag URG.
    pub urgent: u16,
    /// The options.
    pub options: Options,
    /// The text.
    pub text: Text<'a>,
}

/// The length of a header without options, in bytes.
pub const HEADER_LENGTH: usize = 20;

/// Bytes that are no segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseSegmentError {
    /// There are fewer bytes than the shortest header has.
    TooShort {
        /// How many there are, less than 20.
        length: usize,
    },
    /// The header calls itself shorter than the shortest is.
    DataOffsetTooSmall {
        /// The data offset in words of four bytes, 0 to 4.
        words: u8,
    },
    /// The header calls itself longer than all the bytes there are.
    DataOffsetBeyondEnd {
        /// The data offset in words of four bytes, 6 to 15.
        words: u8,
        /// How many bytes there are.
        length: usize,
    },
}

impl fmt::Display for ParseSegmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort { length } => {
                write!(f, "a TCP header has at least 20 bytes, and there are only {length}")
            }
            Self::DataOffsetTooSmall { words } => {
                write!(f, "the data offset is {words} words, and a TCP header has at least 5")
            }
            Self::DataOffsetBeyondEnd { words, length } => {
                write!(f, "the data offset of {words} words goes beyond the segment's {length} bytes")
            }
        }
    }
}

impl core::error::Error for ParseSegmentError {}

impl<'a> Segment<'a> {
    /// SEG.LEN: how many sequence numbers it takes, SYN and FIN counted.
    pub const fn len(&self) -> u32 {
        let controls = self.flags.contains(Flags::SYN) as u32 + self.flags.contains(Flags::FIN) as u32;
        // A text beyond 2³² bytes is in no segment.
        (self.text.len() as u32).wrapping_add(controls)
    }

    /// Whether it takes no sequence number: no text, no SYN, no FIN.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The sequence number behind its last.
    pub fn end(&self) -> SeqNumber {
        self.seq + self.len()
    }

    /// The segment cut into those that have `size` bytes of text at the most, as a device does that is handed more than
    /// one at once: PSH and FIN go with the last, CWR with the first.
    pub fn cut(self, size: usize) -> impl Iterator<Item = Self> {
        let size = size.max(1);
        let length = self.text.len();
        (0..length.div_ceil(size).max(1)).map(move |number| {
            let at = number * size;
            let mut flags = self.flags;
            if at + size.min(length) < length {
                flags = flags.difference(Flags::PSH | Flags::FIN);
            }
            if number > 0 {
                flags = flags.difference(Flags::CWR);
            }
            let seq = self.seq + (at as u32);
            Self { seq, flags, text: self.text.skip(at).take(size), ..self }
        })
    }

    /// Reads the bytes of a segment. The checksum is not looked at.
    ///
    /// # Errors
    /// If they hold no header; see [`ParseSegmentError`]. Options that make no sense are no error.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseSegmentError> {
        let length = bytes.len();
        let (mut segment, header) = Self::parse_header(bytes)?;
        if header > length {
            return Err(ParseSegmentError::DataOffsetBeyondEnd { words: (header / 4) as u8, length });
        }
        let (options, text) = split_options(bytes, header);
        segment.options.fill(options);
        segment.text = Text::from(text);
        Ok(segment)
    }

    /// Reads a segment of which only the beginning may be there, as captures keep it: its options hold what there is
    /// of them, and so does its text. The second value is the length of its whole header, in bytes.
    ///
    /// # Errors
    /// If there is no header without its options; never [`ParseSegmentError::DataOffsetBeyondEnd`].
    #[inline]
    pub fn parse_beginning(bytes: &'a [u8]) -> Result<(Self, usize), ParseSegmentError> {
        let (mut segment, header) = Self::parse_header(bytes)?;
        let (options, text) = split_options(bytes, header);
        segment.options.fill(options);
        segment.text = Text::from(text);
        Ok((segment, header))
    }

    /// Reads a segment as [`Self::parse_beginning`] does into a place where it then stays: a value of this size is
    /// better not moved for each of millions of packets.
    ///
    /// # Errors
    /// As [`Self::parse_beginning`]. The place is as it was then.
    #[inline]
    pub fn read_beginning(&mut self, bytes: &'a [u8]) -> Result<usize, ParseSegmentError> {
        let (segment, header) = Self::parse_header(bytes)?;
        let (options, text) = split_options(bytes, header);
        *self = segment;
        self.options.fill(options);
        self.text = Text::from(text);
        Ok(header)
    }

    /// The header without its options, and its length with them.
    #[inline]
    fn parse_header(bytes: &[u8]) -> Result<(Self, usize), ParseSegmentError> {
        let length = bytes.len();
        let Some(header) = bytes.first_chunk::<HEADER_LENGTH>() else {
            return Err(ParseSegmentError::TooShort { length });
        };
        let &[s0, s1, d0, d1, q0, q1, q2, q3, a0, a1, a2, a3, offset, flags, w0, w1, _, _, u0, u1] = header;
        let words = offset >> 4;
        if usize::from(words) * 4 < HEADER_LENGTH {
            return Err(ParseSegmentError::DataOffsetTooSmall { words });
        }
        let segment = Self {
            source_port: u16::from_be_bytes([s0, s1]),
            destination_port: u16::from_be_bytes([d0, d1]),
            seq: SeqNumber(u32::from_be_bytes([q0, q1, q2, q3])),
            ack: SeqNumber(u32::from_be_bytes([a0, a1, a2, a3])),
            flags: Flags::from_bits(u16::from_be_bytes([offset, flags])),
            reserved: (offset >> 1) & 0b111,
            window: u16::from_be_bytes([w0, w1]),
            urgent: u16::from_be_bytes([u0, u1]),
            options: Options::EMPTY,
            text: Text::EMPTY,
        };
        Ok((segment, usize::from(words) * 4))
    }

    /// Whether the checksum among the bytes of a segment is right.
    ///
    /// Fewer bytes than a header has are never right.
    #[inline]
    pub fn verify_checksum(bytes: &[u8], source: IpAddr, destination: IpAddr) -> bool {
        let sum = checksum::pseudo_header(source, destination, PROTOCOL, bytes.len())
            + u64::from(checksum::sum(bytes));
        bytes.len() >= HEADER_LENGTH && checksum::fold(sum) == 0xffff
    }

    /// Whether the checksum among the bytes of a segment is the sum of the pseudo-header and nothing else: what Linux
    /// leaves to the network card to complete, and what a capture on the sender's host sees.
    #[inline]
    pub fn has_partial_checksum(bytes: &[u8], source: IpAddr, destination: IpAddr) -> bool {
        let sum = checksum::fold(checksum::pseudo_header(source, destination, PROTOCOL, bytes.len()));
        bytes.get(CHECKSUM..CHECKSUM + 2) == Some(&sum.to_be_bytes())
    }

    /// The length of the header in bytes, options padded, 20 to 60.
    #[inline]
    pub const fn header_len(&self) -> usize {
        HEADER_LENGTH + self.options.padded_len()
    }

    /// Appends the segment to `out` as it goes over the wire, with its checksum.
    ///
    /// Options that do not fill whole words of four bytes are padded with zeros. What
    /// [`Segment::parse`] read is written as it was, if its checksum was right (a checksum of
    /// 0xFFFF is as right as one of 0, which is what is written here).
    #[inline]
    pub fn emit(&self, source: IpAddr, destination: IpAddr, out: &mut Vec<u8>) {
        let start = out.len();
        let header_length = self.header_len();
        let length = header_length + self.text.len();
        let (first, second) = self.text.as_slices();
        // Copies of a length known beforehand are quicker: options are written with the unused room
        // behind them, which is then taken back.
        out.reserve(length.max(HEADER_LENGTH + Options::MAX_LENGTH));
        out.extend_from_slice(&self.header());
        out.extend_from_slice(self.options.padded());
        out.truncate(start + header_length);

        // What stands before the text is summed while it is still in registers.
        let mut sum = checksum::pseudo_header(source, destination, PROTOCOL, length) + self.sum_of_header();
        sum += u64::from(checksum::copy_and_sum(first, out));
        if !second.is_empty() {
            sum =
                checksum::join(checksum::fold(sum), first.len(), checksum::copy_and_sum(second, out)).into();
        }
        if let Some(field) = out.get_mut(start + CHECKSUM..start + CHECKSUM + 2) {
            field.copy_from_slice(&(!checksum::fold(sum)).to_be_bytes());
        }
    }

    /// The header as it is sent, without options, its checksum zero.
    #[inline]
    fn header(&self) -> [u8; HEADER_LENGTH] {
        let mut header = [0; HEADER_LENGTH];
        header[0..2].copy_from_slice(&self.source_port.to_be_bytes());
        header[2..4].copy_from_slice(&self.destination_port.to_be_bytes());
        header[4..8].copy_from_slice(&self.seq.0.to_be_bytes());
        header[8..12].copy_from_slice(&self.ack.0.to_be_bytes());
        header[12..14].copy_from_slice(&self.offset_and_flags().to_be_bytes());
        header[14..16].copy_from_slice(&self.window.to_be_bytes());
        header[18..20].copy_from_slice(&self.urgent.to_be_bytes());
        header
    }

    /// The one's complement sum of the header and the options, not folded.
    #[inline]
    fn sum_of_header(&self) -> u64 {
        let fields = u64::from(self.source_port)
            + u64::from(self.destination_port)
            + u64::from(self.seq.0)
            + u64::from(self.ack.0)
            + u64::from(self.offset_and_flags())
            + u64::from(self.window)
            + u64::from(self.urgent);
        let (words, _) = self.options.padded().as_chunks::<4>();
        let words = &words[..self.options.padded_len() / 4];
        words.iter().fold(fields, |sum, word| sum + u64::from(u32::from_be_bytes(*word)))
    }

    /// The data offset in words, the reserved bits and the flags.
    #[inline]
    const fn offset_and_flags(&self) -> u16 {
        ((self.header_len() / 4) as u16) << 12 | ((self.reserved & 0b111) as u16) << 9 | self.flags.bits()
    }
}

/// The options and the text behind a header of that length, as far as they are there.
#[inline]
fn split_options(bytes: &[u8], header: usize) -> (&[u8], &[u8]) {
    let (whole, text) = bytes.split_at_checked(header).unwrap_or((bytes, &[]));
    (whole.get(HEADER_LENGTH..).unwrap_or_default(), text)
}

/// For the fuzz target and its replay: any bytes as a segment. What can be read is written as it was,
/// what the options hold comes back when pushed again, and the getters agree with the list.
#[doc(hidden)]
pub fn try_any_bytes(bytes: &[u8]) {
    let unspecified = IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED);
    let Ok(segment) = Segment::parse(bytes) else {
        return;
    };
    let mut out = Vec::new();
    segment.emit(unspecified, unspecified, &mut out);
    let mut place =
        Segment { options: Options::with_timestamps(Timestamps::default()), ..Segment::default() };
    assert_eq!((place.read_beginning(bytes), place), (Ok(segment.header_len()), segment));
    assert!(Segment::verify_checksum(&out, unspecified, unspecified));
    assert_eq!(Segment::parse(&out), Ok(segment));
    let right = Segment::verify_checksum(bytes, unspecified, unspecified);
    let differ = |(index, (one, other)): (usize, (&u8, &u8))| (one != other).then_some(index);
    let mut differences = bytes.iter().zip(&out).enumerate().filter_map(differ);
    assert_eq!(bytes.len(), out.len());
    assert!(differences.all(|index| index / 2 == CHECKSUM / 2));
    let field = bytes.get(CHECKSUM..CHECKSUM + 2);
    assert!(!right || bytes == out || field == Some(&[0xff, 0xff]));

    let options = segment.options;
    let mut pushed = Options::EMPTY;
    let all_fit = options.iter().all(|option| pushed.push(option).is_ok());
    assert!(all_fit && options.as_bytes().starts_with(pushed.as_bytes()));
    let last = |mss, option| if let TcpOption::MaximumSegmentSize(size) = option { Some(size) } else { mss };
    assert_eq!(options.mss(), options.iter().fold(None, last));
    let timestamps =
        |found, option| if let TcpOption::Timestamps(both) = option { Some(both) } else { found };
    assert_eq!(options.timestamps(), options.iter().fold(None, timestamps));
    let sack = |found, option| if let TcpOption::Sack(blocks) = option { blocks } else { found };
    assert_eq!(options.sack(), options.iter().fold(SackBlocks::EMPTY, sack));
    let _ = (options.window_scale(), options.sack_permitted(), options.fast_open(), options.user_timeout());
    let _ = options.malformed();
}

/// The number of TCP among the protocols of IP.
pub(crate) const PROTOCOL: u8 = 6;

/// Where the checksum stands in a header.
const CHECKSUM: usize = 16;

#[cfg(test)]
mod tests;
