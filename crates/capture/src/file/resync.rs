//! Finds the way back into a pcapng file behind something that is no block.
//!
//! Captures contain captures that somebody transferred, so the first place that looks like a block need not
//! be one. Where the damaged block claims to end is looked at first; only then is every byte tried. A block
//! is believed if its type is one of those that are written, its length is possible and stands at both ends, and a
//! packet in it fits and is of an interface that was described.

use super::Fault;
use super::input::{Input, Lack};
use super::pcapng::{Body, LONGEST, Pcapng, SHORTEST, block};
use crate::error::{BlockFault, CaptureErrorKind};

/// Types that programs write: those that are read, names, secrets, and custom blocks.
const KNOWN: [u32; 9] = [
    block::INTERFACE,
    block::PACKET,
    block::SIMPLE_PACKET,
    4,
    block::STATISTICS,
    block::ENHANCED_PACKET,
    10,
    0xbad,
    0x4000_0bad,
];

/// What an option block behind a packet may take; the rest of an enhanced packet block is told by its fields.
const OPTIONS: u32 = 128 << 10;

/// Whether the beginning of a block that goes beyond the end of the file is one whose end is missing. A packet's
/// own length has to explain the block's.
pub(super) fn may_be_unfinished(kind: u32, length: u32, body: Body<'_>) -> bool {
    if kind != block::ENHANCED_PACKET {
        return kind == block::SECTION || KNOWN.contains(&kind);
    }
    body.word(12).is_none_or(|captured| {
        let least = u64::from(captured).next_multiple_of(4) + 32;
        (least..=least + u64::from(OPTIONS)).contains(&u64::from(length))
    })
}

/// Skips what is no block, and says how much that was.
#[cold]
pub(super) fn skip(input: &mut Input, pcapng: &Pcapng, fault: BlockFault) -> Fault {
    let offset = input.offset();
    let claimed = match fault {
        BlockFault::TrailingLength { leading, .. } => Some(leading as usize),
        _ => None,
    };
    let found = match claimed {
        Some(claimed) => match is_block(input, pcapng, claimed) {
            Ok(true) => {
                input.take(claimed);
                Ok(true)
            }
            Ok(false) => search(input, pcapng),
            Err(error) => Err(error),
        },
        None => search(input, pcapng),
    };
    match found {
        Ok(found) => {
            let skipped = input.offset() - offset;
            Fault { offset, kind: CaptureErrorKind::Garbage { fault, skipped, found } }
        }
        Err(error) => Fault::read(input, error),
    }
}

/// Goes to the next block, or to the end of the file; whether there is one.
fn search(input: &mut Input, pcapng: &Pcapng) -> std::io::Result<bool> {
    input.take(1);
    // A signal is no end.
    while input.require(SHORTEST as usize)? || input.lack() == Lack::Moment {
        if input.ready().len() < SHORTEST as usize {
            continue;
        }
        // Most bytes are refused here.
        let candidate = input.ready().windows(4).position(|bytes| match *bytes {
            [0x0a, 0x0d, 0x0d, 0x0a] => true,
            [a, b, c, d] => {
                let number = [a, b, c, d];
                let number =
                    if pcapng.big_endian { u32::from_be_bytes(number) } else { u32::from_le_bytes(number) };
                KNOWN.contains(&number)
            }
            _ => false,
        });
        let Some(candidate) = candidate else {
            let keep = 3;
            input.take(input.ready().len() - keep);
            continue;
        };
        input.take(candidate);
        if is_block(input, pcapng, 0)? {
            return Ok(true);
        }
        input.take(1);
    }
    input.take(input.ready().len());
    Ok(false)
}

/// Whether a block begins so many bytes on.
fn is_block(input: &mut Input, pcapng: &Pcapng, at: usize) -> std::io::Result<bool> {
    if !input.require(at + SHORTEST as usize)? {
        // Nothing behind it is as good as a block: the file ends there.
        return Ok(at > 0 && input.ready().len() == at);
    }
    let order = |input: &Input, big_endian| {
        let header = Body { bytes: input.ready().get(at..).unwrap_or_default(), big_endian };
        (header.word(0).unwrap_or(0), header.word(4).unwrap_or(0), header.word(8).unwrap_or(0))
    };
    let mut big_endian = pcapng.big_endian;
    let (kind, mut length, _) = order(input, big_endian);
    if kind == block::SECTION {
        let (_, _, magic) = order(input, true);
        big_endian = match magic {
            0x1a2b_3c4d => true,
            0x4d3c_2b1a => false,
            _ => return Ok(false),
        };
        length = order(input, big_endian).1;
    } else if !KNOWN.contains(&kind) {
        return Ok(false);
    }
    if !(SHORTEST..=LONGEST).contains(&length) || !length.is_multiple_of(4) {
        return Ok(false);
    }
    let length = length as usize;
    if !input.require(at + length)? {
        return Ok(false);
    }
    let whole = Body { bytes: input.ready().get(at..at + length).unwrap_or_default(), big_endian };
    if whole.word(length - 4) != Some(length as u32) {
        return Ok(false);
    }
    Ok(match kind {
        block::ENHANCED_PACKET => {
            let known = |interface| (interface as usize) < pcapng.interfaces.len();
            let fits = |captured: u32| captured as usize + 32 <= length;
            whole.word(8).is_some_and(known) && whole.word(20).is_some_and(fits)
        }
        block::SECTION => length >= 28,
        block::INTERFACE => length >= 20,
        _ => true,
    })
}
