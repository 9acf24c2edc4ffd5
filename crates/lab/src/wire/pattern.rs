//! Which segments a fault is about.

use std::fmt;

use eleven_tcp::{Flags, Segment};

/// A kind of segment, with a name for sentences.
#[derive(Clone, Copy)]
pub struct Pattern {
    /// As in `the SYN+ACK is lost`.
    pub name: &'static str,
    /// Whether a segment is one.
    pub matches: fn(&Segment<'_>) -> bool,
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

fn has(segment: &Segment<'_>, flags: Flags) -> bool {
    segment.flags.contains(flags)
}

impl Pattern {
    /// Every segment.
    pub const ANY: Self = Self { name: "segment", matches: |_| true };
    /// A SYN without an ACK.
    pub const SYN: Self =
        Self { name: "SYN", matches: |segment| has(segment, Flags::SYN) && !has(segment, Flags::ACK) };
    /// A SYN with an ACK.
    pub const SYN_ACK: Self =
        Self { name: "SYN+ACK", matches: |segment| has(segment, Flags::SYN) && has(segment, Flags::ACK) };
    /// An acknowledgment and nothing else.
    pub const ACK: Self = Self {
        name: "ACK",
        matches: |segment| {
            has(segment, Flags::ACK)
                && !segment.flags.intersects(Flags::SYN | Flags::FIN | Flags::RST)
                && segment.text.is_empty()
        },
    };
    /// Anything with text.
    pub const TEXT: Self = Self { name: "data", matches: |segment| !segment.text.is_empty() };
    /// Anything with a FIN.
    pub const FIN: Self = Self { name: "FIN", matches: |segment| has(segment, Flags::FIN) };
    /// Anything with an RST.
    pub const RST: Self = Self { name: "RST", matches: |segment| has(segment, Flags::RST) };
}
