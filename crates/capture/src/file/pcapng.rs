//! The pcapng format (draft-ietf-opsawg-pcapng): blocks that begin and end with their length.

use std::sync::Arc;

use super::clock::Clock;
use super::input::Input;
use super::resync;
use super::{Fault, Interfaces, MAX_INTERFACES, Record, Step, lacking};
use crate::error::{BlockFault, CaptureErrorKind};
use crate::packet::{Interface, Options};
use crate::{LinkType, Timestamp};

/// The types of blocks that are read; all others are skipped.
pub(super) mod block {
    pub(in crate::file) const SECTION: u32 = 0x0a0d_0d0a;
    pub(in crate::file) const INTERFACE: u32 = 1;
    /// Obsolete; written by some programs to this day.
    pub(in crate::file) const PACKET: u32 = 2;
    pub(in crate::file) const SIMPLE_PACKET: u32 = 3;
    pub(in crate::file) const STATISTICS: u32 = 5;
    pub(in crate::file) const ENHANCED_PACKET: u32 = 6;
}

/// The numbers of the options that are read.
mod option {
    pub(super) const NAME: u16 = 2;
    pub(super) const DESCRIPTION: u16 = 3;
    pub(super) const RESOLUTION: u16 = 9;
    pub(super) const OFFSET: u16 = 14;
    pub(super) const DROPPED: u16 = 5;
}

/// The byte-order magic of a section.
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
/// The shortest block: type and twice its length.
pub(super) const SHORTEST: u32 = 12;
/// A packet of 16 MiB with 64 KiB for what else a block holds: no longer one is believed.
pub(super) const LONGEST: u32 = super::pcap::LARGEST + (64 << 10);

/// So much of a name or description is kept: a file may hold many.
const LONGEST_NAME: usize = 256;

/// Whether a file begins like that.
pub(super) fn is_magic(magic: [u8; 4]) -> bool {
    u32::from_le_bytes(magic) == block::SECTION
}

#[derive(Default)]
pub(super) struct Pcapng {
    pub(super) big_endian: bool,
    /// Those of the current section.
    pub(super) interfaces: Vec<Local>,
    last: Timestamp,
    /// Packets of an interface that was not described were told of in this section.
    told: bool,
    /// What recorders said they lost, in all sections.
    dropped: u64,
}

/// An interface of the current section.
#[derive(Clone, Copy)]
pub(super) struct Local {
    global: u32,
    link: LinkType,
    snap_length: u32,
    clock: Clock,
    dropped: u64,
}

/// Reads numbers from a block's body in the order of the section.
#[derive(Clone, Copy)]
pub(super) struct Body<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) big_endian: bool,
}

impl Body<'_> {
    #[inline]
    pub(super) fn word(&self, at: usize) -> Option<u32> {
        let bytes = *self.bytes.get(at..)?.first_chunk()?;
        Some(if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    #[inline]
    fn half(&self, at: usize) -> Option<u16> {
        let bytes = *self.bytes.get(at..)?.first_chunk()?;
        Some(if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    fn options(&self, at: usize) -> Options<'_> {
        Options { bytes: self.bytes.get(at..).unwrap_or_default(), big_endian: self.big_endian }
    }
}

/// A packet's place in a block.
struct Place {
    interface: u32,
    ticks: Option<u64>,
    /// Behind the beginning of the body.
    data: usize,
    captured: usize,
    original: u32,
    options: bool,
}

impl Pcapng {
    /// What recorders said they lost.
    pub(super) fn dropped(&self) -> u64 {
        self.interfaces.iter().fold(self.dropped, |sum, interface| sum.saturating_add(interface.dropped))
    }

    /// The next packet.
    pub(super) fn next(
        &mut self,
        input: &mut Input,
        interfaces: &mut Interfaces,
        record: &mut Record,
    ) -> Result<Step, Fault> {
        loop {
            let read = |input: &mut Input, length| {
                let there = input.require(length);
                there.map_err(|error| Fault::read(input, error))
            };
            if !read(input, 8)? {
                return lacking(input, 8);
            }
            let header = Body { bytes: input.ready(), big_endian: self.big_endian };
            let (mut kind, mut length) = (header.word(0).unwrap_or(0), header.word(4).unwrap_or(0));
            if kind == block::SECTION {
                if !read(input, 12)? {
                    return lacking(input, 12);
                }
                let order = Body { bytes: input.ready(), big_endian: false }.word(8).unwrap_or(0);
                self.big_endian = match order {
                    BYTE_ORDER => false,
                    order if order.swap_bytes() == BYTE_ORDER => true,
                    order => return Err(resync::skip(input, self, BlockFault::ByteOrder(order))),
                };
                let header = Body { bytes: input.ready(), big_endian: self.big_endian };
                (kind, length) = (block::SECTION, header.word(4).unwrap_or(0));
            }
            if !(SHORTEST..=LONGEST).contains(&length) || !length.is_multiple_of(4) {
                return Err(resync::skip(input, self, BlockFault::Length(length)));
            }
            if !read(input, length as usize)? {
                // A recorder's unfinished block, or one that lies about its length?
                let body = Body { bytes: input.ready().get(8..).unwrap_or_default(), ..header_order(self) };
                if input.lack() == super::input::Lack::End && !resync::may_be_unfinished(kind, length, body) {
                    return Err(resync::skip(input, self, BlockFault::BeyondEnd(length)));
                }
                return lacking(input, length as usize);
            }
            let end = length as usize - 4;
            let whole = Body { bytes: input.ready(), big_endian: self.big_endian };
            let trailing = whole.word(end).unwrap_or(0);
            if trailing != length {
                let fault = BlockFault::TrailingLength { leading: length, trailing };
                return Err(resync::skip(input, self, fault));
            }
            let body = Body { bytes: input.ready().get(8..end).unwrap_or_default(), ..whole };
            match self.block(kind, body, interfaces, record) {
                Ok(false) => input.take(length as usize),
                Ok(true) => {
                    record.start += input.position() + 8;
                    input.take(length as usize);
                    return Ok(Step::Packet);
                }
                Err(kind) => {
                    let fault = Fault::at(input, kind);
                    input.take(length as usize);
                    return Err(fault);
                }
            }
        }
    }

    /// What a block means; whether it is a packet, whose record then has its place in the body.
    #[inline]
    fn block(
        &mut self,
        kind: u32,
        body: Body<'_>,
        interfaces: &mut Interfaces,
        record: &mut Record,
    ) -> Result<bool, CaptureErrorKind> {
        let bad = |why| CaptureErrorKind::BadBlock { block: kind, why };
        let place = match kind {
            block::ENHANCED_PACKET => enhanced(body),
            block::PACKET => obsolete(body),
            block::SIMPLE_PACKET => self.simple(body),
            block::INTERFACE => {
                let Some(local) = describe(body, interfaces) else {
                    return Err(bad("it is too short to describe an interface"));
                };
                let local = local?;
                if self.interfaces.len() >= MAX_INTERFACES {
                    return Err(CaptureErrorKind::TooManyInterfaces);
                }
                self.interfaces.push(local);
                return Ok(false);
            }
            block::SECTION => {
                let (major, minor) = (body.half(4).unwrap_or(0), body.half(6).unwrap_or(0));
                if major != 1 {
                    return Err(CaptureErrorKind::Version { format: "pcapng", major, minor });
                }
                *self = Self {
                    big_endian: self.big_endian,
                    last: self.last,
                    dropped: self.dropped(),
                    ..Self::default()
                };
                return Ok(false);
            }
            block::STATISTICS => {
                self.statistics(body);
                return Ok(false);
            }
            _ => return Ok(false),
        };
        let Some(place) = place else {
            return Err(bad("it is too short for the packet it claims"));
        };
        let Some(local) = self.interfaces.get(place.interface as usize) else {
            let told = std::mem::replace(&mut self.told, true);
            let known = self.interfaces.len() as u32;
            let interface = place.interface;
            return if told {
                Ok(false)
            } else {
                Err(CaptureErrorKind::UnknownInterface { interface, known })
            };
        };
        if let Some(ticks) = place.ticks {
            self.last = local.clock.time(ticks);
        }
        let behind = place.data + place.captured.next_multiple_of(4);
        *record = Record {
            time: self.last,
            interface: local.global,
            link: local.link,
            start: place.data,
            length: place.captured,
            original_length: place.original,
            options: if place.options { body.bytes.len().saturating_sub(behind) } else { 0 },
            big_endian: self.big_endian,
        };
        Ok(true)
    }

    /// A simple packet block tells only the original length; what was kept follows from the interface.
    fn simple(&self, body: Body<'_>) -> Option<Place> {
        let original = body.word(0)?;
        let snap_length = self.interfaces.first().map_or(0, |interface| interface.snap_length);
        let kept = if snap_length == 0 { original } else { original.min(snap_length) };
        let captured = (kept as usize).min(body.bytes.len() - 4);
        Some(Place { interface: 0, ticks: None, data: 4, captured, original, options: false })
    }

    /// The last count of an interface counts.
    fn statistics(&mut self, body: Body<'_>) {
        let Some(local) =
            body.word(0).and_then(|interface| self.interfaces.get_mut(usize::try_from(interface).ok()?))
        else {
            return;
        };
        let dropped = body.options(12).find(|(number, value)| *number == option::DROPPED && value.len() == 8);
        if let Some(bytes) = dropped.and_then(|(_, value)| value.first_chunk()) {
            local.dropped =
                if body.big_endian { u64::from_be_bytes(*bytes) } else { u64::from_le_bytes(*bytes) };
        }
    }
}

const fn header_order(pcapng: &Pcapng) -> Body<'static> {
    Body { bytes: &[], big_endian: pcapng.big_endian }
}

#[inline]
fn enhanced(body: Body<'_>) -> Option<Place> {
    place(body, body.word(0)?)
}

fn obsolete(body: Body<'_>) -> Option<Place> {
    place(body, u32::from(body.half(0)?))
}

/// Both have the rest in common.
#[inline]
fn place(body: Body<'_>, interface: u32) -> Option<Place> {
    let ticks = u64::from(body.word(4)?) << 32 | u64::from(body.word(8)?);
    let (captured, original) = (body.word(12)?, body.word(16)?);
    let captured = captured as usize;
    (captured <= body.bytes.len() - 20).then_some(Place {
        interface,
        ticks: Some(ticks),
        data: 20,
        captured,
        original,
        options: true,
    })
}

/// An interface description; `None` if it is too short for one.
fn describe(body: Body<'_>, interfaces: &mut Interfaces) -> Option<Result<Local, CaptureErrorKind>> {
    let (link, snap_length) = (LinkType(body.half(0)?), body.word(4)?);
    let mut interface = Interface { link, snap_length, ..Interface::default() };
    let (mut resolution, mut offset) = (6, 0);
    let text = |value: &[u8]| {
        let value = value.get(..LONGEST_NAME).unwrap_or(value);
        Some(Arc::from(String::from_utf8_lossy(value).trim_end_matches('\0')))
    };
    for (number, value) in body.options(8) {
        match (number, value) {
            (option::NAME, value) => interface.name = text(value),
            (option::DESCRIPTION, value) => interface.description = text(value),
            (option::RESOLUTION, &[told, ..]) => resolution = told,
            (option::OFFSET, value) => {
                if let Some(bytes) = value.first_chunk() {
                    offset =
                        if body.big_endian { i64::from_be_bytes(*bytes) } else { i64::from_le_bytes(*bytes) };
                }
            }
            _ => {}
        }
    }
    let Some(global) = interfaces.add(interface) else {
        return Some(Err(CaptureErrorKind::TooManyInterfaces));
    };
    Some(Ok(Local { global, link, snap_length, clock: Clock::new(resolution, offset), dropped: 0 }))
}
