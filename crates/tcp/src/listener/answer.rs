//! What comes of a segment for a listener, or for nobody.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use crate::connection::{Reply, Steps};
use crate::rules::ResetForm;
use crate::{Connection, Envelope, Instant, Segment, SeqNumber, Transmit};

/// Answers to strangers wait to be sent; a flood of them is not worth more memory.
const MOST: usize = 1_024;

/// Segments of no connection that is kept: resets and SYN+ACKs, without text.
#[derive(Default)]
pub(crate) struct Answers(VecDeque<(Envelope, Segment<'static>)>);

impl Answers {
    /// Everything that a connection which is not kept has to send.
    pub(crate) fn take_from(&mut self, now: Instant, connection: &mut Connection) {
        while let Some(out) = connection.poll_transmit(now) {
            self.push(out);
        }
    }

    /// The reset that answers `segment`.
    pub(crate) fn reset(&mut self, envelope: &Envelope, segment: &Segment<'_>, form: ResetForm) {
        self.push(Reply::to(envelope, segment, form, SeqNumber(0)).transmit());
    }

    fn push(&mut self, out: Transmit<'_>) {
        if self.0.len() < MOST {
            self.0.push_back((out.envelope, Segment { text: crate::Text::default(), ..out.segment }));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn pop(&mut self) -> Option<(Envelope, Segment<'static>)> {
        self.0.pop_front()
    }
}

/// What a listener has made of something.
#[derive(Default)]
pub(crate) struct Outcome {
    /// The connection, if the handshake is over, and the hash of its pair. It may have something to send.
    pub(crate) opened: Option<(Box<Connection>, u32)>,
    /// The rules that were applied.
    pub(crate) steps: Steps,
}

impl Outcome {
    /// What a connection in the handshake has to send, and what it has done.
    pub(crate) fn of(now: Instant, connection: &mut Connection, answers: &mut Answers) -> Self {
        let steps = *connection.steps();
        // An open one sends for itself.
        if !connection.state().is_synchronized() {
            answers.take_from(now, connection);
        }
        Self { opened: None, steps }
    }
}
