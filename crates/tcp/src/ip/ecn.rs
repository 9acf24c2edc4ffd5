//! Explicit congestion notification, as IP carries it.

/// The two ECN bits of an IP header (RFC 3168 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Ecn {
    /// 00: the sender's transport does not take part.
    #[default]
    NotEct,
    /// 01: it does; marks this packet as one of a low-latency flow where that is spoken (RFC 9331).
    Ect1,
    /// 10: it does.
    Ect0,
    /// 11: a router is congested.
    Ce,
}

impl Ecn {
    /// From the two low bits of the traffic class; other bits are dropped.
    pub const fn from_bits(bits: u8) -> Self {
        match bits & 0b11 {
            0b00 => Self::NotEct,
            0b01 => Self::Ect1,
            0b10 => Self::Ect0,
            _ => Self::Ce,
        }
    }

    /// As the two low bits of the traffic class.
    pub const fn bits(self) -> u8 {
        match self {
            Self::NotEct => 0b00,
            Self::Ect1 => 0b01,
            Self::Ect0 => 0b10,
            Self::Ce => 0b11,
        }
    }

    /// Whether a router may mark the packet instead of dropping it.
    pub const fn is_capable(self) -> bool {
        !matches!(self, Self::NotEct)
    }
}
