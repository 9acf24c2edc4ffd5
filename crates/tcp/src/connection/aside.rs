//! What few connections have, or only for a moment: kept apart, so that the others stay small.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use super::Connection;
use super::fast_open::FastOpen;
use super::path_mtu::PathSearch;
use super::reply::Reply;
use crate::segment::SackBlock;
use crate::{Instant, SeqNumber};

/// What stands aside; nothing for most connections.
#[derive(Clone, Default)]
pub(super) struct Aside {
    /// A segment that answers another without being part of the connection: a reset, mostly.
    reply: Option<Reply>,
    /// Its part in a Fast Open, until the handshake is over.
    fast_open: Option<Box<FastOpen>>,
    /// The search for the path's MTU, where there is one.
    path_search: Option<PathSearch>,
    /// A stretch that came twice, to be told with the next ACK (RFC 2883).
    duplicate: Option<SackBlock>,
    /// Where records end whose last byte is not acknowledged, in order (`MSG_EOR`).
    records: VecDeque<SeqNumber>,
    /// Kept where somebody wants them ([`crate::Policy::counters`]).
    counters: Option<Counters>,
}

/// What has happened in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    /// Segments that are known to have arrived.
    pub delivered: u32,
    /// Segments sent again.
    pub retransmissions: u32,
    /// When text arrived last, or the connection began.
    pub text_heard_at: Instant,
    /// Bytes of text that were acknowledged.
    pub acknowledged: u64,
    /// Bytes of text that were received in order.
    pub received: u64,
    /// Whether text came with the peer's SYN, or all that went with ours was taken (RFC 7413).
    pub syn_text: bool,
}

impl Connection {
    pub(super) fn take_reply(&mut self) -> Option<Reply> {
        let reply = self.aside.as_mut()?.reply.take();
        self.tidy_aside();
        reply
    }

    pub(super) fn set_reply(&mut self, reply: Reply) {
        self.aside_mut().reply = Some(reply);
    }

    pub(super) fn reply(&self) -> Option<&Reply> {
        self.aside.as_ref()?.reply.as_ref()
    }

    pub(super) fn has_reply(&self) -> bool {
        self.reply().is_some()
    }

    pub(super) fn fast_open(&self) -> Option<&FastOpen> {
        self.aside.as_ref()?.fast_open.as_deref()
    }

    pub(super) fn fast_open_mut(&mut self) -> Option<&mut FastOpen> {
        self.aside.as_mut()?.fast_open.as_deref_mut()
    }

    pub(super) fn set_fast_open(&mut self, state: Option<FastOpen>) {
        if state.is_some() || self.aside.is_some() {
            self.aside_mut().fast_open = state.map(Box::new);
            self.tidy_aside();
        }
    }

    /// What came twice, and was not told yet.
    #[inline]
    pub(super) fn duplicate(&self) -> Option<SackBlock> {
        self.aside.as_ref()?.duplicate
    }

    pub(super) fn note_twice(&mut self, block: SackBlock) {
        self.aside_mut().duplicate = Some(block);
    }

    /// The peer has been told what came twice.
    #[inline]
    pub(super) fn told_twice(&mut self) {
        if let Some(aside) = &mut self.aside {
            aside.duplicate = None;
            self.tidy_aside();
        }
    }

    #[inline]
    pub(super) fn path_search(&self) -> Option<&PathSearch> {
        self.aside.as_ref()?.path_search.as_ref()
    }

    pub(super) fn set_path_search(&mut self, search: PathSearch) {
        self.aside_mut().path_search = Some(search);
    }

    /// A record ends with the text there is.
    pub(super) fn end_record(&mut self) {
        let end = self.text_end();
        let records = &mut self.aside_mut().records;
        if records.back() != Some(&end) {
            records.push_back(end);
        }
    }

    /// The first end of a record behind `from`: no segment goes beyond.
    #[inline]
    pub(super) fn record_end(&self, from: SeqNumber) -> Option<SeqNumber> {
        let records = &self.aside.as_ref()?.records;
        records.iter().copied().find(|end| end.gt(from))
    }

    /// Everything before `una` has arrived.
    pub(super) fn forget_records(&mut self, una: SeqNumber) {
        let Some(aside) = &mut self.aside else { return };
        while aside.records.front().is_some_and(|end| end.le(una)) {
            aside.records.pop_front();
        }
        self.tidy_aside();
    }

    /// What has happened in all, if it is counted.
    pub fn counters(&self) -> Option<&Counters> {
        self.aside.as_ref()?.counters.as_ref()
    }

    /// Counts something, if anything is counted.
    #[inline]
    pub(super) fn count(&mut self, note: impl FnOnce(&mut Counters)) {
        if let Some(counters) = self.aside.as_mut().and_then(|aside| aside.counters.as_mut()) {
            note(counters);
        }
    }

    pub(super) fn begin_counting(&mut self, now: Instant) {
        if self.policy.counters && self.counters().is_none() {
            self.aside_mut().counters = Some(Counters {
                delivered: 0,
                retransmissions: 0,
                text_heard_at: now,
                acknowledged: 0,
                received: 0,
                syn_text: false,
            });
        }
    }

    fn aside_mut(&mut self) -> &mut Aside {
        self.aside.get_or_insert_default()
    }

    fn tidy_aside(&mut self) {
        let empty = |aside: &Aside| {
            aside.reply.is_none()
                && aside.fast_open.is_none()
                && aside.counters.is_none()
                && aside.path_search.is_none()
                && aside.duplicate.is_none()
                && aside.records.is_empty()
        };
        if self.aside.as_deref().is_some_and(empty) {
            self.aside = None;
        }
    }
}
