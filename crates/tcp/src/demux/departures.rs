//! What follows from what happened: segments to send, events to tell, deadlines, and connections that are put away.

use alloc::boxed::Box;

use super::registry::Key;
use super::{ConnectionId, Demux, DemuxEvent, Entry};
use crate::connection::TimeWaitRecord;
use crate::{Connection, Instant, State, Transmit};

impl Demux {
    /// When [`Self::handle_timeout`] has to be called at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let tables = [self.connections.next_deadline(), self.time_wait.next_deadline()];
        tables.into_iter().chain([self.listeners.next_deadline()]).flatten().min()
    }

    /// The next segment to send, connection by connection.
    #[inline]
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Transmit<'_>> {
        // Asked after everything that happens, and mostly in vain.
        if self.answers.is_empty() && self.ready.is_empty() { None } else { self.next_transmit(now) }
    }

    fn next_transmit(&mut self, now: Instant) -> Option<Transmit<'_>> {
        if let Some((envelope, segment)) = self.answers.pop() {
            return Some(Transmit { envelope, segment, segment_size: u16::MAX });
        }
        loop {
            let key = *self.ready.front()?;
            let planned = self.connections.get_mut(key).and_then(|entry| entry.connection.plan_transmit(now));
            if let Some(planned) = planned {
                return self.connections.get_mut(key).map(|entry| entry.connection.carry_out(now, planned));
            }
            self.ready.pop_front();
            if let Some(entry) = self.connections.get_mut(key) {
                entry.ready = false;
            }
            self.settle(now, key);
        }
    }

    /// The next thing a program should hear of.
    pub fn poll_event(&mut self) -> Option<DemuxEvent> {
        if let Some(id) = self.incoming.pop_front() {
            return Some(DemuxEvent::Incoming(id));
        }
        loop {
            let key = *self.eventful.front()?;
            if let Some(entry) = self.connections.get_mut(key) {
                if let Some(event) = entry.connection.poll_event() {
                    return Some(DemuxEvent::Connection(ConnectionId(key), event));
                }
                entry.eventful = false;
            }
            self.eventful.pop_front();
        }
    }

    pub(super) fn add(&mut self, connection: Box<Connection>, hash: u32) -> Key {
        let entry = Entry { connection, ready: true, eventful: false, fast_opening: None };
        let key = self.connections.insert(entry, hash);
        self.ready.push_back(key);
        key
    }

    /// Something has happened to a connection: it may have something to send or to tell.
    pub(super) fn after(&mut self, key: Key) {
        let Some(entry) = self.connections.get_mut(key) else { return };
        if !entry.eventful && entry.connection.has_events() {
            entry.eventful = true;
            self.eventful.push_back(key);
        }
        if !entry.ready {
            entry.ready = true;
            self.ready.push_back(key);
        }
        if let Some(id) = entry.fast_opening
            && entry.connection.state() != State::SynReceived
        {
            entry.fast_opening = None;
            if let Some(listener) = self.listeners.get_mut(id) {
                listener.fast_opened();
            }
        } else if let Some(news) = entry.connection.take_fast_open_news() {
            let server = entry.connection.pair().remote_address;
            self.cookies.put(server, news);
        }
    }

    /// A connection has nothing to send for now: its timer is set, or it is put away.
    pub(super) fn settle(&mut self, now: Instant, key: Key) {
        let Some(entry) = self.connections.get(key) else { return };
        let connection = &entry.connection;
        if connection.is_only_waiting() {
            let deadline = connection.poll_timeout();
            let record = TimeWaitRecord::of(connection);
            let hash = self.connections.hash_of(key).unwrap_or_default();
            self.connections.remove(key);
            // More than allowed are not waited for (`tcp_max_tw_buckets`).
            if self.time_wait.len() < self.options.max_time_wait as usize {
                let kept = self.time_wait.insert(record, hash);
                self.time_wait.arm(kept, Some(deadline.unwrap_or(now)));
            }
            return;
        }
        if connection.state() == State::Closed {
            // The pair is free again; the program may still ask what became of its connection.
            if connection.is_orphaned() {
                self.connections.remove(key);
            } else {
                self.connections.unlink(key);
            }
            return;
        }
        if let Some(deadline) = connection.poll_timeout() {
            self.connections.arm_no_later(key, deadline);
        }
    }
}
