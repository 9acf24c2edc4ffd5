//! What happens to a host: segments, ICMP errors, and the passing of time, each given to whom it concerns.

use super::registry::Key;
use super::{ConnectionId, Demux, ListenerId};
use crate::connection::{Reply, Steps, TimeWaitRecord};
use crate::hash::of_pair;
use crate::listener::Outcome;
use crate::rules::{Event, ResetForm};
use crate::{Connection, Envelope, Flags, FourTuple, IcmpError, Instant, Segment, SeqNumber, State};

impl Demux {
    /// Takes a segment that has arrived at this host, its checksum judged.
    pub fn handle_segment(&mut self, now: Instant, envelope: &Envelope, segment: &Segment<'_>) {
        let pair = FourTuple {
            local_address: envelope.destination,
            remote_address: envelope.source,
            local_port: segment.destination_port,
            remote_port: segment.source_port,
        };
        // One hash for all three tables.
        let hash = of_pair(&self.policy.secret, &pair);
        if let Some(key) = self.connections.find_hashed(&pair, hash) {
            let waits = self.connection(ConnectionId(key)).is_some_and(|it| it.state() == State::TimeWait);
            let may_reopen = waits && self.listeners.find(pair.local_address, pair.local_port).is_some();
            if let Some(entry) = self.connections.get_mut(key) {
                entry.connection.set_may_reopen(may_reopen);
                if may_reopen && entry.connection.would_reopen(now, segment) {
                    return self.give_way(now, key, envelope, segment);
                }
                entry.connection.handle_segment(now, envelope, segment);
                self.steps = *entry.connection.steps();
            }
            self.after(key);
        } else if let Some(key) = self.time_wait.find_hashed(&pair, hash) {
            self.handle_in_time_wait(now, key, envelope, segment);
        } else if let Some(id) = self.listeners.find(pair.local_address, pair.local_port) {
            let listener = self.listeners.get_mut(id);
            let answers = &mut self.answers;
            let outcome =
                listener.map(|listener| listener.handle_segment(now, pair, hash, envelope, segment, answers));
            self.take_outcome(id, outcome.unwrap_or_default());
        } else {
            self.answer_stranger(now, envelope, segment);
        }
    }

    /// A SYN takes the place of a connection in TIME_WAIT that a program still has. What that one has
    /// received is the program's; the next connection is another one's.
    fn give_way(&mut self, now: Instant, key: Key, envelope: &Envelope, segment: &Segment<'_>) {
        let Some(hash) = self.connections.hash_of(key) else { return };
        let Some(entry) = self.connections.get_mut(key) else { return };
        let deadline = entry.connection.poll_timeout();
        let record = TimeWaitRecord::of(&entry.connection);
        entry.connection.retire();
        self.connections.unlink(key);
        self.after(key);
        let kept = self.time_wait.insert(record, hash);
        self.time_wait.arm(kept, Some(deadline.unwrap_or(now)));
        self.handle_in_time_wait(now, kept, envelope, segment);
    }

    /// CLOSED is a state too: its rules say what a segment for nobody gets.
    fn answer_stranger(&mut self, now: Instant, envelope: &Envelope, segment: &Segment<'_>) {
        let mut nobody = Connection::new(self.policy.clone());
        nobody.handle_segment(now, envelope, segment);
        self.steps = *nobody.steps();
        self.answers.take_from(now, &mut nobody);
    }

    fn take_outcome(&mut self, id: ListenerId, outcome: Outcome) {
        self.steps = outcome.steps;
        if let Some((connection, hash)) = outcome.opened {
            let opening = connection.state() == State::SynReceived;
            let key = self.add(connection, hash);
            if let Some(entry) = self.connections.get_mut(key) {
                entry.fast_opening = opening.then_some(id);
            }
            if let Some(listener) = self.listeners.get_mut(id) {
                listener.queue(key);
                self.incoming.push_back(id);
            }
            self.after(key);
        }
    }

    fn handle_in_time_wait(&mut self, now: Instant, key: Key, envelope: &Envelope, segment: &Segment<'_>) {
        let Some(record) = self.time_wait.get(key).copied() else { return };
        let expires = self.time_wait.deadline(key);
        let mut connection = record.expand(&self.policy, expires);
        let listener = self.listeners.find(record.pair.local_address, record.pair.local_port);
        connection.set_may_reopen(listener.is_some());
        connection.handle_segment(now, envelope, segment);
        self.steps = *connection.steps();
        match connection.state() {
            State::TimeWait => {
                if let Some(kept) = self.time_wait.get_mut(key) {
                    *kept = TimeWaitRecord::of(&connection);
                }
                self.time_wait.arm(key, connection.poll_timeout());
            }
            State::SynReceived => {
                let hash = self.time_wait.hash_of(key).unwrap_or_default();
                self.time_wait.remove(key);
                if let Some(listener) = listener.and_then(|id| self.listeners.get_mut(id)) {
                    listener.adopt(now, &mut connection, hash, &mut self.answers);
                }
                return;
            }
            _ => drop(self.time_wait.remove(key)),
        }
        self.answers.take_from(now, &mut connection);
    }

    /// Takes an ICMP error that quotes a segment sent from `pair.local()` to `pair.remote()`.
    pub fn handle_icmp(&mut self, now: Instant, pair: &FourTuple, error: IcmpError) {
        self.steps = Steps::default();
        if let Some(key) = self.connections.find(pair)
            && let Some(entry) = self.connections.get_mut(key)
        {
            entry.connection.handle_icmp(now, error);
            self.steps = *entry.connection.steps();
            self.after(key);
        } else if let Some(listener) =
            self.listeners.find(pair.local_address, pair.local_port).and_then(|id| self.listeners.get_mut(id))
        {
            self.steps = listener.handle_icmp(now, pair, error);
        }
    }

    /// Does what the time has come for.
    pub fn handle_timeout(&mut self, now: Instant) {
        while self.handle_next_timeout(now).is_some() {}
    }

    /// Does the next one of the things the time has come for, and tells whose it was: for those who
    /// want to know the [steps](Self::steps) of each. `None` when there is none any more.
    pub fn handle_next_timeout(&mut self, now: Instant) -> Option<FourTuple> {
        while let Some(key) = self.connections.expired(now) {
            let Some(entry) = self.connections.get_mut(key) else { continue };
            match entry.connection.poll_timeout() {
                Some(deadline) if deadline <= now => {
                    entry.connection.handle_timeout(now);
                    self.steps = *entry.connection.steps();
                    let pair = entry.connection.pair();
                    self.after(key);
                    return Some(pair);
                }
                // The deadline has moved since the timer was set.
                later => self.connections.arm(key, later),
            }
        }
        if let Some(key) = self.time_wait.expired(now) {
            self.steps = Steps::of(State::TimeWait, Event::TimeWaitTimeout);
            let record = self.time_wait.remove(key);
            return Some(record.map_or(FourTuple::UNSPECIFIED, |record| record.pair));
        }
        let answers = &mut self.answers;
        let found = self
            .listeners
            .iter_mut()
            .find_map(|(id, listener)| listener.handle_timeout(now, answers).map(|outcome| (id, outcome)));
        if let Some((id, (pair, outcome))) = found {
            self.take_outcome(id, outcome);
            return Some(pair);
        }
        None
    }
}

/// The reset for a segment that arrived at a port where nothing listens, for those who keep no
/// connections at all.
pub fn reset_for(envelope: &Envelope, segment: &Segment<'_>) -> Option<(Envelope, Segment<'static>)> {
    if segment.flags.contains(Flags::RST) {
        return None;
    }
    let form =
        if segment.flags.contains(Flags::ACK) { ResetForm::AtTheirAck } else { ResetForm::AckingTheirs };
    let reply = Reply::to(envelope, segment, form, SeqNumber(0)).transmit();
    Some((reply.envelope, reply.segment))
}
