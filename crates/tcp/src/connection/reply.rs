//! Segments that answer without being part of a connection (RFC 9293 §3.5.2, §3.10.7.1).

use super::types::{Envelope, Transmit};
use crate::rules::ResetForm;
use crate::segment::{Options, Timestamps};
use crate::{Ecn, Flags, Segment, SeqNumber};

/// A reset, numbered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reply {
    envelope: Envelope,
    source_port: u16,
    destination_port: u16,
    seq: SeqNumber,
    ack: SeqNumber,
    flags: Flags,
    timestamps: Option<Timestamps>,
}

impl Reply {
    /// The reset that answers `segment`: its acknowledgment says where the sender expects us to be;
    /// without one, ours says what it is about (RFC 9293 §3.5.2 group 1).
    pub(crate) fn to(envelope: &Envelope, segment: &Segment<'_>, form: ResetForm, next: SeqNumber) -> Self {
        let (seq, ack, flags) = match form {
            ResetForm::AtTheirAck => (segment.ack, SeqNumber(0), Flags::RST),
            ResetForm::AckingTheirs => (SeqNumber(0), segment.end(), Flags::RST | Flags::ACK),
            ResetForm::AtSendNext => (next, SeqNumber(0), Flags::RST),
        };
        Self {
            envelope: Envelope {
                source: envelope.destination,
                destination: envelope.source,
                ecn: Ecn::NotEct,
            },
            source_port: segment.destination_port,
            destination_port: segment.source_port,
            seq,
            ack,
            flags,
            timestamps: None,
        }
    }

    /// The reset with which this side ends a connection of its own, with timestamps where all segments have them
    /// (RFC 7323 §3.2).
    pub(crate) const fn reset(
        pair: crate::FourTuple,
        seq: SeqNumber,
        ack: Option<SeqNumber>,
        timestamps: Option<Timestamps>,
    ) -> Self {
        Self {
            envelope: Envelope {
                source: pair.local_address,
                destination: pair.remote_address,
                ecn: Ecn::NotEct,
            },
            source_port: pair.local_port,
            destination_port: pair.remote_port,
            seq,
            ack: match ack {
                Some(ack) => ack,
                None => SeqNumber(0),
            },
            flags: if ack.is_some() { Flags::RST.union(Flags::ACK) } else { Flags::RST },
            timestamps,
        }
    }

    pub(crate) fn transmit<'a>(&self) -> Transmit<'a> {
        Transmit {
            envelope: self.envelope,
            segment: Segment {
                source_port: self.source_port,
                destination_port: self.destination_port,
                seq: self.seq,
                ack: self.ack,
                flags: self.flags,
                options: self.timestamps.map_or(Options::EMPTY, Options::with_timestamps),
                ..Segment::default()
            },
            segment_size: u16::MAX,
        }
    }
}
