//! The pcap format (draft-ietf-opsawg-pcap): a header, then packets one behind the other.
//!
//! Nothing in it marks the beginning of a record. Where one is damaged, whatever looked like the next could as well be
//! a capture that somebody transferred, so reading stops there.

use super::input::Input;
use super::{Fault, Interfaces, Record, Step, lacking};
use crate::error::CaptureErrorKind;
use crate::packet::Interface;
use crate::{LinkType, Timestamp};

/// What libpcap takes as the largest snapshot length of nearly all links. A file may say more.
const USUAL_LIMIT: u32 = 256 << 10;
/// No record is larger, whatever the file says.
pub(super) const LARGEST: u32 = 16 << 20;

const MICROS: u32 = 0xa1b2_c3d4;
const NANOS: u32 = 0xa1b2_3c4d;
/// By Alexey Kuznetsov's patch of the nineties: eight more bytes in the header of each record.
const MODIFIED: u32 = 0xa1b2_cd34;

const FILE_HEADER: usize = 24;

pub(super) struct Pcap {
    big_endian: bool,
    /// Nanoseconds in a unit of the times' fractions.
    unit: u32,
    /// How long the header of a record is.
    header: usize,
    link: LinkType,
    interface: u32,
    /// Longer records are not believed.
    limit: u32,
}

/// Whether a file begins like that.
pub(super) fn is_magic(magic: [u8; 4]) -> bool {
    kind(magic).is_some()
}

/// Byte order, unit and length of a record's header.
fn kind(magic: [u8; 4]) -> Option<(bool, u32, usize)> {
    let of = |number| match number {
        MICROS => Some((1_000, 16)),
        NANOS => Some((1, 16)),
        MODIFIED => Some((1_000, 24)),
        _ => None,
    };
    let little = of(u32::from_le_bytes(magic)).map(|(unit, header)| (false, unit, header));
    little.or_else(|| of(u32::from_be_bytes(magic)).map(|(unit, header)| (true, unit, header)))
}

impl Pcap {
    /// Reads the file's header; `None` if it is not all there.
    pub(super) fn begin(input: &mut Input, interfaces: &mut Interfaces) -> Result<Option<Self>, Fault> {
        if !input.require(FILE_HEADER).map_err(|error| Fault::read(input, error))? {
            return Ok(None);
        }
        let Some(header) = input.ready().first_chunk::<FILE_HEADER>() else { return Ok(None) };
        let &[m0, m1, m2, m3, a0, a1, i0, i1, _, _, _, _, _, _, _, _, s0, s1, s2, s3, l0, l1, l2, l3] =
            header;
        let magic = [m0, m1, m2, m3];
        let Some((big_endian, unit, header)) = kind(magic) else {
            return Err(Fault::at(input, CaptureErrorKind::NotACapture { magic }));
        };
        let word = |bytes| if big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) };
        let half = |bytes| if big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) };
        let (major, minor) = (half([a0, a1]), half([i0, i1]));
        if major != 2 {
            return Err(Fault::at(input, CaptureErrorKind::Version { format: "pcap", major, minor }));
        }
        let snap_length = word([s0, s1, s2, s3]);
        // The upper half tells of a frame check sequence behind each packet, which IP's length cuts off.
        let link = LinkType(word([l0, l1, l2, l3]) as u16);
        let interface = Interface { link, snap_length, ..Interface::default() };
        let interface =
            interfaces.add(interface).ok_or_else(|| Fault::at(input, CaptureErrorKind::TooManyInterfaces))?;
        input.take(FILE_HEADER);
        let limit = snap_length.clamp(USUAL_LIMIT, LARGEST);
        Ok(Some(Self { big_endian, unit, header, link, interface, limit }))
    }

    #[inline]
    fn word(&self, bytes: [u8; 4]) -> u32 {
        if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }

    /// The next packet.
    #[inline]
    pub(super) fn next(&self, input: &mut Input, record: &mut Record) -> Result<Step, Fault> {
        if !input.require(self.header).map_err(|error| Fault::read(input, error))? {
            return lacking(input, self.header);
        }
        let Some(&[s0, s1, s2, s3, f0, f1, f2, f3, c0, c1, c2, c3, l0, l1, l2, l3]) =
            input.ready().first_chunk::<16>()
        else {
            return lacking(input, self.header);
        };
        let captured = self.word([c0, c1, c2, c3]);
        if captured > self.limit {
            let kind = CaptureErrorKind::TooLong { claimed: captured, limit: self.limit };
            return Err(Fault::at(input, kind));
        }
        let length = captured as usize;
        if !input.require(self.header + length).map_err(|error| Fault::read(input, error))? {
            return lacking(input, self.header + length);
        }
        let start = input.position() + self.header;
        input.take(self.header + length);
        // Unsigned: pcap's seconds last until 2106. Fractions of more than a second are taken as they are.
        let seconds = i64::from(self.word([s0, s1, s2, s3])) * 1_000_000_000;
        let fraction = i64::from(self.word([f0, f1, f2, f3])) * i64::from(self.unit);
        *record = Record {
            time: Timestamp(seconds + fraction),
            interface: self.interface,
            link: self.link,
            start,
            length,
            original_length: self.word([l0, l1, l2, l3]),
            options: 0,
            big_endian: self.big_endian,
        };
        Ok(Step::Packet)
    }
}
