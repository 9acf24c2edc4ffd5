//! Writes captures: the pcapng format (draft-ietf-opsawg-pcapng), which Wireshark and tcpdump read.
//!
//! A section header, one description for each interface, and packets with comments; all little-endian,
//! so that the same run gives the same bytes on every machine.

use alloc::vec::Vec;
use core::convert::Infallible;

/// What bytes are written to: a vector, or a program's own.
pub trait ByteSink {
    /// What can go wrong.
    type Error;

    /// Takes all of the bytes, behind those it has.
    ///
    /// # Errors
    /// If it could not take all of them.
    fn put(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;
}

impl ByteSink for Vec<u8> {
    type Error = Infallible;

    fn put(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        self.extend_from_slice(bytes);
        Ok(())
    }
}

impl<S: ByteSink> ByteSink for &mut S {
    type Error = S::Error;

    fn put(&mut self, bytes: &[u8]) -> Result<(), S::Error> {
        (**self).put(bytes)
    }
}

/// A file, or whatever else [`std::io::Write`] is implemented for.
#[cfg(feature = "std")]
#[derive(Clone, Copy, Debug, Default)]
pub struct IoSink<W>(pub W);

#[cfg(feature = "std")]
impl<W: std::io::Write> ByteSink for IoSink<W> {
    type Error = std::io::Error;

    fn put(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.write_all(bytes)
    }
}

/// How fine the times of an interface are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Resolution {
    /// Microseconds, which is what [`Instant`](crate::Instant) has.
    #[default]
    Micros,
    /// Nanoseconds, for readers that expect them.
    Nanos,
}

impl Resolution {
    /// As the option `if_tsresol` tells it: a negative power of ten.
    const fn exponent(self) -> u8 {
        match self {
            Self::Micros => 6,
            Self::Nanos => 9,
        }
    }

    const fn units(self, nanos: u64) -> u64 {
        match self {
            Self::Micros => nanos / 1_000,
            Self::Nanos => nanos,
        }
    }
}

/// An interface that packets were seen at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface<'a> {
    /// A short name, such as `eth0`.
    pub name: &'a str,
    /// What it is, in words. May be empty.
    pub description: &'a str,
    /// How fine its times are.
    pub resolution: Resolution,
    /// What packets begin with, by its number in the registry of pcap and pcapng (`LINKTYPE_…`).
    pub link: u16,
    /// At most so many bytes of a packet are kept; 0: no limit.
    pub snap_length: u32,
}

/// No name, microseconds, and IP packets without anything before them.
impl Default for Interface<'_> {
    fn default() -> Self {
        Self { name: "", description: "", resolution: Resolution::default(), link: RAW_IP, snap_length: 0 }
    }
}

/// An interface that was described to a writer, for that writer's packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceId {
    index: u32,
    resolution: Resolution,
}

/// Which way a packet went at an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Direction {
    /// Not told.
    #[default]
    Unknown,
    /// It came in.
    Inbound,
    /// It went out.
    Outbound,
}

/// A packet as it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct SeenPacket<'a> {
    /// When, in nanoseconds since 1970. A simulation's times begin at 0.
    pub nanos: u64,
    /// As much of it as was captured.
    pub bytes: &'a [u8],
    /// How long it was, if not all of it was captured; less than what was captured counts as that.
    pub original_length: u32,
    /// What is to be said about it; empty ones are left out. At most 65,535 bytes of each are kept.
    pub comments: &'a [&'a str],
    /// Which way it went.
    pub direction: Direction,
}

/// The types of blocks.
mod block {
    pub(super) const SECTION_HEADER: u32 = 0x0a0d_0d0a;
    pub(super) const INTERFACE_DESCRIPTION: u32 = 1;
    pub(super) const ENHANCED_PACKET: u32 = 6;
}

/// The numbers of options. Each kind of block counts its own from 2.
mod option {
    pub(super) const END: u16 = 0;
    pub(super) const COMMENT: u16 = 1;
    pub(super) const SECTION_APPLICATION: u16 = 4;
    pub(super) const INTERFACE_NAME: u16 = 2;
    pub(super) const INTERFACE_DESCRIPTION: u16 = 3;
    pub(super) const INTERFACE_RESOLUTION: u16 = 9;
    pub(super) const PACKET_FLAGS: u16 = 2;
}

/// Tells readers the byte order.
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
/// LINKTYPE_RAW: what is captured begins with an IP header of either version.
const RAW_IP: u16 = 101;

/// Writes a capture.
#[derive(Debug)]
pub struct PcapngWriter<S> {
    sink: S,
    interfaces: u32,
    /// The block being put together.
    block: Vec<u8>,
}

impl<S: ByteSink> PcapngWriter<S> {
    /// Begins a section, and says which program writes it.
    ///
    /// # Errors
    /// The sink's.
    pub fn new(sink: S, application: &str) -> Result<Self, S::Error> {
        let mut writer = Self { sink, interfaces: 0, block: Vec::new() };
        writer.begin(block::SECTION_HEADER);
        writer.block.extend_from_slice(&BYTE_ORDER.to_le_bytes());
        // Version 1.0, and a section whose length is not known beforehand.
        writer.block.extend_from_slice(&[1, 0, 0, 0]);
        writer.block.extend_from_slice(&u64::MAX.to_le_bytes());
        writer.option(option::SECTION_APPLICATION, application.as_bytes());
        writer.end()?;
        Ok(writer)
    }

    /// Describes an interface; before the first packet seen there.
    ///
    /// # Errors
    /// The sink's.
    pub fn interface(&mut self, interface: &Interface<'_>) -> Result<InterfaceId, S::Error> {
        let id = InterfaceId { index: self.interfaces, resolution: interface.resolution };
        self.interfaces = self.interfaces.saturating_add(1);
        self.begin(block::INTERFACE_DESCRIPTION);
        self.block.extend_from_slice(&interface.link.to_le_bytes());
        // Reserved.
        self.block.extend_from_slice(&[0; 2]);
        self.block.extend_from_slice(&interface.snap_length.to_le_bytes());
        self.option(option::INTERFACE_NAME, interface.name.as_bytes());
        self.option(option::INTERFACE_DESCRIPTION, interface.description.as_bytes());
        self.option(option::INTERFACE_RESOLUTION, &[interface.resolution.exponent()]);
        self.end()?;
        Ok(id)
    }

    /// Adds a packet. Readers want those of one interface in order of time.
    ///
    /// # Errors
    /// The sink's.
    pub fn packet(&mut self, interface: InterfaceId, packet: &SeenPacket<'_>) -> Result<(), S::Error> {
        let time = interface.resolution.units(packet.nanos);
        let captured = packet.bytes.len() as u32;
        let length = packet.original_length.max(captured);
        self.begin(block::ENHANCED_PACKET);
        for word in [interface.index, (time >> 32) as u32, time as u32, captured, length] {
            self.block.extend_from_slice(&word.to_le_bytes());
        }
        self.padded(packet.bytes);
        for comment in packet.comments {
            self.option(option::COMMENT, comment.as_bytes());
        }
        let direction = match packet.direction {
            Direction::Unknown => &[][..],
            Direction::Inbound => &[1, 0, 0, 0],
            Direction::Outbound => &[2, 0, 0, 0],
        };
        self.option(option::PACKET_FLAGS, direction);
        self.end()
    }

    /// What was written to. The capture is complete after each packet.
    pub fn into_inner(self) -> S {
        self.sink
    }

    fn begin(&mut self, kind: u32) {
        self.block.clear();
        self.block.extend_from_slice(&kind.to_le_bytes());
        // The length, which is known at the end.
        self.block.extend_from_slice(&[0; 4]);
    }

    /// An option; none if there is nothing to say.
    fn option(&mut self, number: u16, value: &[u8]) {
        if value.is_empty() {
            return;
        }
        let value = &value[..truncated(value, usize::from(u16::MAX))];
        self.block.extend_from_slice(&number.to_le_bytes());
        self.block.extend_from_slice(&(value.len() as u16).to_le_bytes());
        self.padded(value);
    }

    /// Bytes, and zeros up to a whole word of four.
    fn padded(&mut self, bytes: &[u8]) {
        self.block.extend_from_slice(bytes);
        let length = self.block.len().next_multiple_of(4);
        self.block.resize(length, 0);
    }

    fn end(&mut self) -> Result<(), S::Error> {
        self.block.extend_from_slice(&option::END.to_le_bytes());
        self.block.extend_from_slice(&[0; 2]);
        let length = (self.block.len() as u32 + 4).to_le_bytes();
        self.block.extend_from_slice(&length);
        self.block[4..8].copy_from_slice(&length);
        self.sink.put(&self.block)
    }
}

/// The length of text cut to at most `limit` bytes, so that no letter of UTF-8 is cut in two.
fn truncated(text: &[u8], limit: usize) -> usize {
    if text.len() <= limit {
        return text.len();
    }
    let continues = |at: &usize| text.get(*at).is_some_and(|byte| byte & 0xc0 == 0x80);
    (0..=limit).rev().find(|at| !continues(at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block: its type, its body, and what stands behind it.
    fn block(bytes: &[u8]) -> (u32, &[u8], &[u8]) {
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let length = word(4) as usize;
        assert_eq!(length % 4, 0);
        assert_eq!(word(length - 4) as usize, length, "the length stands at both ends of a block");
        (word(0), &bytes[8..length - 4], &bytes[length..])
    }

    fn options(mut bytes: &[u8]) -> Vec<(u16, &[u8])> {
        let mut options = Vec::new();
        loop {
            let half = |at: usize| u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap());
            let (number, length) = (half(0), usize::from(half(2)));
            if number == 0 {
                assert_eq!((length, bytes.len()), (0, 4));
                return options;
            }
            options.push((number, &bytes[4..4 + length]));
            assert!(bytes[4 + length..4 + length.next_multiple_of(4)].iter().all(|byte| *byte == 0));
            bytes = &bytes[4 + length.next_multiple_of(4)..];
        }
    }

    #[test]
    fn a_capture_is_read_back() {
        let mut writer = PcapngWriter::new(Vec::new(), "eleven").unwrap();
        let a = Interface { name: "A", description: "the client", ..Interface::default() };
        let a = writer.interface(&a).unwrap();
        let b = Interface {
            name: "B",
            resolution: Resolution::Nanos,
            link: 1,
            snap_length: 96,
            ..Interface::default()
        };
        let b = writer.interface(&b).unwrap();
        let packet = SeenPacket {
            nanos: 0x1_2345_6789 * 1_000 + 999,
            bytes: &[0x45, 1, 2, 3, 4],
            comments: &["SYN_SENT → ESTABLISHED", "", "two"],
            original_length: 9,
            direction: Direction::Outbound,
        };
        writer.packet(a, &packet).unwrap();
        let plain = SeenPacket { nanos: 7_001, ..SeenPacket::default() };
        writer.packet(b, &plain).unwrap();
        writer.packet(b, &SeenPacket { direction: Direction::Inbound, ..plain }).unwrap();
        let bytes = writer.into_inner();

        let (kind, body, rest) = block(&bytes);
        assert_eq!((kind, &body[..8]), (0x0a0d_0d0a, &[0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0][..]));
        assert_eq!(body[8..16], [0xff; 8]);
        assert_eq!(options(&body[16..]), [(4, &b"eleven"[..])]);
        let (kind, body, rest) = block(rest);
        assert_eq!((kind, &body[..8]), (1, &[101, 0, 0, 0, 0, 0, 0, 0][..]));
        assert_eq!(options(&body[8..]), [(2, &b"A"[..]), (3, b"the client"), (9, &[6])]);
        let (kind, body, rest) = block(rest);
        assert_eq!((kind, &body[..8]), (1, &[1, 0, 0, 0, 96, 0, 0, 0][..]));
        assert_eq!(options(&body[8..]), [(2, &b"B"[..]), (9, &[9])]);
        let (kind, body, rest) = block(rest);
        assert_eq!(kind, 6);
        assert_eq!(body[..20], [0, 0, 0, 0, 1, 0, 0, 0, 0x89, 0x67, 0x45, 0x23, 5, 0, 0, 0, 9, 0, 0, 0]);
        assert_eq!(body[20..28], [0x45, 1, 2, 3, 4, 0, 0, 0]);
        assert_eq!(
            options(&body[28..]),
            [(1, "SYN_SENT → ESTABLISHED".as_bytes()), (1, b"two"), (2, &[2, 0, 0, 0])]
        );
        let (_, body, rest) = block(rest);
        assert_eq!(body[..12], [1, 0, 0, 0, 0, 0, 0, 0, 0x59, 0x1b, 0, 0]);
        assert_eq!(options(&body[20..]), []);
        let (_, body, rest) = block(rest);
        assert_eq!(options(&body[20..]), [(2, &[1, 0, 0, 0][..])]);
        assert!(rest.is_empty());
    }

    #[test]
    fn a_comment_too_long_is_cut_between_letters() {
        let comment = "é".repeat(40_000);
        let mut writer = PcapngWriter::new(Vec::new(), "").unwrap();
        let id = writer.interface(&Interface::default()).unwrap();
        writer.packet(id, &SeenPacket { comments: &[&comment], ..SeenPacket::default() }).unwrap();
        let bytes = writer.into_inner();
        let (_, _, rest) = block(&bytes);
        let (_, body, _) = block(block(rest).2);
        let options = options(&body[20..]);
        assert_eq!(options[0].1.len(), 65_534);
        assert!(core::str::from_utf8(options[0].1).is_ok());
    }

    #[cfg(feature = "std")]
    #[test]
    fn errors_of_the_sink_are_handed_on() {
        #[derive(Debug)]
        struct Full;
        impl std::io::Write for Full {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let error = PcapngWriter::new(IoSink(Full), "eleven").unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
        let mut bytes = Vec::new();
        PcapngWriter::new(&mut bytes, "eleven").unwrap();
        let mut written = Vec::new();
        PcapngWriter::new(IoSink(&mut written), "eleven").unwrap();
        assert_eq!(bytes, written);
    }
}
