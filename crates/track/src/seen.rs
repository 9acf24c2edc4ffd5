//! A sighting boiled down to what the tracker works with.

use eleven_tcp::{Flags, Options, SeqNumber, Timestamps};

use crate::Sighting;

/// A segment's numbers, with its real length.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub(crate) number: u64,
    pub(crate) time_ns: i64,
    /// Microseconds after the flow's first packet; it wraps.
    pub(crate) clock: u32,
    pub(crate) seq: SeqNumber,
    pub(crate) ack: SeqNumber,
    pub(crate) flags: Flags,
    pub(crate) window: u16,
    pub(crate) text: u32,
    pub(crate) options: &'a Options,
    pub(crate) timestamps: Option<Timestamps>,
    /// Its options break off.
    pub(crate) malformed: bool,
    pub(crate) identification: Option<u16>,
    pub(crate) hop_limit: u8,
}

impl<'a> Seen<'a> {
    #[inline]
    pub(crate) fn of(sighting: &Sighting<'a>, flow_begins_ns: i64) -> Self {
        let segment = sighting.segment;
        let (timestamps, malformed) = survey(&segment.options);
        Self {
            number: sighting.number,
            time_ns: sighting.time_ns,
            clock: (sighting.time_ns.wrapping_sub(flow_begins_ns) / 1_000) as u32,
            seq: segment.seq,
            ack: segment.ack,
            flags: segment.flags,
            window: segment.window,
            text: sighting.text_length,
            options: &segment.options,
            timestamps,
            malformed,
            identification: sighting.identification,
            hop_limit: sighting.hop_limit,
        }
    }

    /// Whether it has no option but timestamps.
    #[inline]
    pub(crate) fn has_only_timestamps(&self) -> bool {
        self.options.is_empty() || (self.timestamps.is_some() && self.options.len() <= 12)
    }

    #[inline]
    pub(crate) const fn has(&self, flags: Flags) -> bool {
        self.flags.contains(flags)
    }

    /// How many numbers it takes. What a reset carries takes none.
    #[inline]
    pub(crate) const fn len(&self) -> u32 {
        if self.has(Flags::RST) {
            return 0;
        }
        self.text.wrapping_add(self.has(Flags::SYN) as u32).wrapping_add(self.has(Flags::FIN) as u32)
    }

    /// Behind its last number.
    #[inline]
    pub(crate) fn end(&self) -> SeqNumber {
        self.seq + self.len()
    }

    /// Has ACK and none of the controls.
    #[inline]
    pub(crate) const fn is_pure_or_text(&self) -> bool {
        self.has(Flags::ACK) && !self.flags.intersects(Flags::SYN.union(Flags::FIN).union(Flags::RST))
    }

    /// Has ACK, and neither SYN nor RST.
    #[inline]
    pub(crate) const fn is_synchronized(&self) -> bool {
        self.has(Flags::ACK) && !self.flags.intersects(Flags::SYN.union(Flags::RST))
    }

    /// Only an acknowledgment.
    #[inline]
    pub(crate) const fn is_pure_ack(&self) -> bool {
        self.text == 0
            && self.has(Flags::ACK)
            && !self.flags.intersects(Flags::SYN.union(Flags::FIN).union(Flags::RST))
    }
}

/// The timestamps, and whether the options break off. One light walk for both, and none where there is nothing but
/// timestamps, laid out as everybody does (RFC 7323 appendix A).
#[inline]
fn survey(options: &Options) -> (Option<Timestamps>, bool) {
    match options.len() {
        0 => (None, false),
        12 if options.as_bytes().starts_with(&[1, 1, 8, 10]) => (options.timestamps(), false),
        _ => survey_slowly(options.as_bytes()),
    }
}

fn survey_slowly(mut rest: &[u8]) -> (Option<Timestamps>, bool) {
    let mut timestamps = None;
    loop {
        rest = match rest {
            [] | [0, ..] => return (timestamps, false),
            [1, rest @ ..] => rest,
            [8, 10, a, b, c, d, rest @ ..] if rest.len() >= 4 => {
                let (echo_reply, behind) = rest.split_at(4);
                timestamps = echo_reply.first_chunk().map(|echo_reply| Timestamps {
                    value: u32::from_be_bytes([*a, *b, *c, *d]),
                    echo_reply: u32::from_be_bytes(*echo_reply),
                });
                behind
            }
            [_, length, ..] if *length >= 2 => match rest.get(usize::from(*length)..) {
                Some(behind) => behind,
                None => return (timestamps, true),
            },
            _ => return (timestamps, true),
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_light_walk_sees_what_the_options_say(bytes in prop::collection::vec(
            prop_oneof![0..=10_u8, any::<u8>()], 0..=40
        )) {
            let options = Options::from_bytes(&bytes).unwrap();
            prop_assert_eq!(survey(&options), (options.timestamps(), options.malformed()));
        }
    }
}
