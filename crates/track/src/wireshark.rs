//! What Wireshark would say of a flow, as an observer beside our own states.
//!
//! What Wireshark learns from the protocols above TCP is not imitated: where its FTP dissector has announced a
//! connection before the SYN, Wireshark does not count that SYN.

use eleven_tcp::Flags;

/// Wireshark's "conversation completeness": what was seen of a connection's life, as a sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Completeness {
    bits: u8,
    begun: bool,
}

impl Completeness {
    /// A SYN, as the first packet of the flow.
    pub const SYN: u8 = 1;
    /// A SYN+ACK.
    pub const SYN_ACK: u8 = 2;
    /// An ACK without text, in a flow whose first packet was seen before.
    pub const ACK: u8 = 4;
    /// Text; not that of the first packet, unless it has a SYN.
    pub const DATA: u8 = 8;
    /// A FIN.
    pub const FIN: u8 = 16;
    /// A RST.
    pub const RST: u8 = 32;

    /// The sum.
    pub const fn bits(self) -> u8 {
        self.bits
    }

    #[inline]
    pub(crate) fn observe(&mut self, flags: Flags, text: u32) {
        let syn_or_ack = flags.intersection(Flags::SYN.union(Flags::ACK));
        if !self.begun {
            // Of the first packet only a SYN counts, or a SYN+ACK.
            self.begun = true;
            if syn_or_ack == Flags::SYN {
                self.bits |= if text > 0 { Self::SYN | Self::DATA } else { Self::SYN };
            } else if syn_or_ack == Flags::SYN.union(Flags::ACK) {
                self.bits |= Self::SYN_ACK;
            }
            return;
        }
        if syn_or_ack == Flags::SYN.union(Flags::ACK) {
            self.bits |= Self::SYN_ACK;
        }
        if syn_or_ack == Flags::ACK {
            self.bits |= if text > 0 { Self::DATA } else { Self::ACK };
        }
        if flags.contains(Flags::FIN.union(Flags::ACK)) {
            self.bits |= Self::FIN;
        }
        if flags.contains(Flags::RST) {
            self.bits |= Self::RST;
        }
    }
}
