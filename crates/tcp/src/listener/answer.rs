//! What a listener does about a segment.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::connection::{Reply, Steps};
use crate::rules::ResetForm;
use crate::{Connection, Envelope, Instant, Segment, SeqNumber};

/// Segments to send, and a connection that has been opened.
#[derive(Default)]
pub(crate) struct Answer {
    /// A reset or a SYN+ACK, without text. Mostly none or one.
    pub(crate) segments: Vec<(Envelope, Segment<'static>)>,
    /// The connection, if the handshake is over. It may have more to send.
    pub(crate) opened: Option<Box<Connection>>,
    /// The rules that were applied.
    pub(crate) steps: Steps,
}

impl Answer {
    /// What a connection that is not kept has to send.
    pub(crate) fn from(now: Instant, connection: &mut Connection) -> Self {
        let steps = *connection.steps();
        let mut segments = Vec::new();
        if !connection.state().is_synchronized() {
            while let Some(transmit) = connection.poll_transmit(now) {
                segments
                    .push((transmit.envelope, Segment { text: crate::Text::default(), ..transmit.segment }));
            }
        }
        Self { segments, opened: None, steps }
    }

    pub(crate) fn reset(envelope: &Envelope, segment: &Segment<'_>, form: ResetForm) -> Self {
        let reply = Reply::to(envelope, segment, form, SeqNumber(0)).transmit();
        Self { segments: alloc::vec![(reply.envelope, reply.segment)], ..Self::default() }
    }
}
