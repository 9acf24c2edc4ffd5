//! The segments of one flow, kept to be drawn, plotted and told.

use eleven_capture::Timestamp;
use eleven_tcp::Flags;
use eleven_track::{Side, Verdict};

use super::segments::Seen;

/// A segment of the flow that is looked at.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) packet: u64,
    pub(super) time: Timestamp,
    pub(super) flags: Flags,
    /// The window it offers in bytes, scaled where the scale is known.
    pub(super) window: Option<u64>,
    /// The SACK blocks, counted from the other side's SYN.
    pub(super) sacked: Vec<(u32, u32)>,
    pub(super) verdict: Verdict,
}

/// All segments of one flow.
#[derive(Debug, Default)]
pub(super) struct Records {
    pub(super) segments: Vec<Record>,
    /// What the SYN and the SYN+ACK offer.
    pub(super) offers: [Option<Offer>; 2],
    /// Segments beyond the most that are kept.
    pub(super) left_out: u64,
}

/// What one side offered in its SYN.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offer {
    pub(super) mss: Option<u16>,
    pub(super) window_scale: Option<u8>,
    pub(super) sack: bool,
    pub(super) timestamps: bool,
}

/// A picture of more segments is of no use, and memory is bounded.
const MOST: usize = 1_000_000;

impl Records {
    pub(super) fn add(&mut self, seen: &Seen<'_>) {
        let segment = &seen.sighted.segment;
        let from = seen.verdict.from;
        if segment.flags.contains(Flags::SYN) {
            self.offers[from.index()] = Some(Offer {
                mss: segment.options.mss(),
                window_scale: segment.options.window_scale(),
                sack: segment.options.sack_permitted(),
                timestamps: segment.options.timestamps().is_some(),
            });
        }
        if self.segments.len() >= MOST {
            self.left_out += 1;
            return;
        }
        // Where both acknowledgments are known, one as on the wire and one counted from the SYN, so is the SYN.
        let sacked = seen.verdict.ack.map_or_else(Vec::new, |ack| {
            let start = segment.ack - ack;
            segment
                .options
                .sack()
                .iter()
                .map(|block| (block.start.0.wrapping_sub(start.0), block.end.0.wrapping_sub(start.0)))
                .collect()
        });
        self.segments.push(Record {
            packet: seen.sighted.number,
            time: seen.time(),
            flags: segment.flags,
            window: self.scaled(from, segment.flags, segment.window),
            sacked,
            verdict: *seen.verdict,
        });
    }

    /// RFC 7323 §2.2: windows are scaled when both sides offered it, and never those of a SYN.
    fn scaled(&self, from: Side, flags: Flags, window: u16) -> Option<u64> {
        if flags.contains(Flags::SYN) {
            return Some(window.into());
        }
        let [client, server] = self.offers;
        let shifts = (client?.window_scale, server?.window_scale);
        let shift = match (shifts, from) {
            ((Some(shift), Some(_)), Side::Client) | ((Some(_), Some(shift)), Side::Server) => shift.min(14),
            _ => 0,
        };
        Some(u64::from(window) << shift)
    }

    /// When the first was seen.
    pub(super) fn start(&self) -> Timestamp {
        self.segments.first().map_or(Timestamp::default(), |record| record.time)
    }
}
