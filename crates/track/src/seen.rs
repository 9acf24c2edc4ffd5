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

/// What a SYN offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SynOptions {
    /// 0 where it says nothing.
    pub(crate) mss: u16,
    pub(crate) scale: Option<u8>,
    pub(crate) sack: bool,
    pub(crate) fast_open: bool,
}

impl SynOptions {
    /// A light walk as above: floods are nothing but SYNs.
    pub(crate) fn of(options: &Options) -> Self {
        let mut found = Self::default();
        let mut rest = options.as_bytes();
        while let [kind, behind @ ..] = rest {
            rest = match (*kind, behind) {
                (0, _) => return found,
                (1, _) => behind,
                (_, [length, ..]) if *length >= 2 && behind.len() + 1 >= usize::from(*length) => {
                    let (data, behind) = behind[1..].split_at(usize::from(*length) - 2);
                    match (*kind, data) {
                        (2, &[high, low]) => found.mss = u16::from_be_bytes([high, low]),
                        (3, &[shift]) => found.scale = Some(shift),
                        (4, []) => found.sack = true,
                        (34, _) | (254, [0xf9, 0x89, ..]) => found.fast_open = true,
                        _ => {}
                    }
                    behind
                }
                _ => return found,
            };
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use eleven_tcp::TcpOption;
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

        #[test]
        fn the_light_walk_of_a_syn_sees_them_too(bytes in prop::collection::vec(
            prop_oneof![0..=4_u8, Just(34), Just(254), Just(0xf9), Just(0x89), any::<u8>()], 0..=40
        )) {
            let options = Options::from_bytes(&bytes).unwrap();
            let mut expected = SynOptions::default();
            for option in &options {
                match option {
                    TcpOption::MaximumSegmentSize(mss) => expected.mss = mss,
                    TcpOption::WindowScale(shift) => expected.scale = Some(shift),
                    TcpOption::SackPermitted => expected.sack = true,
                    TcpOption::FastOpen(_) | TcpOption::FastOpenExperiment(_) => expected.fast_open = true,
                    _ => {}
                }
            }
            prop_assert_eq!(SynOptions::of(&options), expected);
        }
    }
}
