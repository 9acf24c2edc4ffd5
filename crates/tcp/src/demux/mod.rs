//! All of TCP on one host: connections by their four-tuple, listeners, ports, TIME_WAIT, and what
//! strangers get.
//!
//! A [`Demux`] is driven like a [`Connection`]: `handle_*` and commands in,
//! `poll_*` out.
//!
//! ```
//! use std::sync::Arc;
//! use eleven_tcp::demux::{Demux, DemuxEvent};
//! use eleven_tcp::listener::ListenerOptions;
//! use eleven_tcp::{Instant, Policy, State};
//!
//! let now = Instant::ZERO;
//! let mut server = Demux::new(Arc::new(Policy::linux()));
//! let mut client = Demux::new(Arc::new(Policy::linux()));
//! let listener = server.listen("10.0.0.2:80".parse().unwrap(), ListenerOptions::default()).unwrap();
//! let id = client.connect(now, "10.0.0.1".parse().unwrap(), "10.0.0.2:80".parse().unwrap()).unwrap();
//! client.send(now, id, b"hello").unwrap();
//!
//! loop {
//!     let mut quiet = true;
//!     for (from, to) in [(true, false), (false, true)] {
//!         let _ = to;
//!         let (sender, receiver) = if from { (&mut client, &mut server) } else { (&mut server, &mut client) };
//!         while let Some(out) = sender.poll_transmit(now) {
//!             receiver.handle_segment(now, &out.envelope, &out.segment);
//!             quiet = false;
//!         }
//!     }
//!     if quiet {
//!         break;
//!     }
//! }
//! assert_eq!(server.poll_event(), Some(DemuxEvent::Incoming(listener)));
//! let accepted = server.accept(listener).unwrap();
//! let mut text = [0; 10];
//! assert_eq!(server.recv(now, accepted, &mut text), Ok(5));
//! assert_eq!(server.connection(accepted).unwrap().state(), State::Established);
//! ```

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::fmt;
use core::net::{IpAddr, SocketAddr};

use crate::connection::{Reply, Steps, TimeWaitRecord};
use crate::fast_open::CookieCache;
use crate::hash::of_pair;
use crate::listener::{Answers, Listener, ListenerOptions, Outcome};
use crate::rules::{Event, Failure, ResetForm};
use crate::{
    CallError, Connection, ConnectionEvent, Envelope, Flags, FourTuple, IcmpError, Instant, Policy, Segment,
    SeqNumber, State, Transmit,
};

mod listeners;
mod ports;
pub(crate) mod registry;
mod wheel;

pub use listeners::ListenerId;

use listeners::Listeners;
use ports::EphemeralPorts;
use registry::{Key, Paired, Registry};

/// A connection of a [`Demux`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ConnectionId(Key);

impl ConnectionId {
    /// Its place in the table and the generation of that place.
    pub(crate) const fn parts(self) -> (u32, u32) {
        (self.0.index, self.0.generation)
    }
}

impl ConnectionId {
    /// A number that no other connection of the [`Demux`] has, for tables.
    pub const fn as_number(self) -> u64 {
        (self.0.generation as u64) << 32 | self.0.index as u64
    }
}

/// Something a program should hear of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DemuxEvent {
    /// A connection waits to be accepted.
    Incoming(ListenerId),
    /// Something happened to a connection.
    Connection(ConnectionId, ConnectionEvent),
}

/// Why no connection or listener could be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// The local address and port are taken: `EADDRINUSE`.
    AddressInUse,
    /// Every port towards this peer is taken: `EADDRNOTAVAIL`.
    NoPortLeft,
    /// What the connection itself answers.
    Call(CallError),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddressInUse => f.write_str("the local address and port are in use; choose another port"),
            Self::NoPortLeft => f.write_str(
                "no local port is left towards this peer; use another local address or a wider range",
            ),
            Self::Call(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for OpenError {}

/// The choices of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostOptions {
    /// Ports for connections that ask for none, first and last (`ip_local_port_range`).
    pub ports: (u16, u16),
    /// Connections in TIME_WAIT, at the most; more are CLOSED at once (`tcp_max_tw_buckets`).
    pub max_time_wait: u32,
    /// Whether a connection in TIME_WAIT may be taken over by a new one of ours (`tcp_tw_reuse`).
    pub reuse_time_wait: bool,
}

impl Default for HostOptions {
    fn default() -> Self {
        Self { ports: (32_768, 60_999), max_time_wait: 262_144, reuse_time_wait: false }
    }
}

/// A connection and what the table has to know of it.
struct Entry {
    connection: Box<Connection>,
    /// It stands in the queue of those that may have something to send.
    ready: bool,
    /// It stands in the queue of those that have events.
    eventful: bool,
    /// The listener that opened it with text in the SYN, until the handshake is over.
    fast_opening: Option<ListenerId>,
}

impl Paired for Entry {
    fn pair(&self) -> &FourTuple {
        self.connection.pair_ref()
    }
}

impl Paired for TimeWaitRecord {
    fn pair(&self) -> &FourTuple {
        &self.pair
    }
}

/// A pair that a new connection of ours can have.
#[derive(Clone, Copy)]
struct Vacancy {
    hash: u32,
    /// The connection in TIME_WAIT that gives way to it.
    record: Option<Key>,
}

/// TCP on one host. See the [module](self).
pub struct Demux {
    policy: Arc<Policy>,
    options: HostOptions,
    connections: Registry<Entry>,
    time_wait: Registry<TimeWaitRecord>,
    listeners: Listeners,
    ports: EphemeralPorts,
    /// Connections that may have something to send.
    ready: VecDeque<Key>,
    /// Connections that have events.
    eventful: VecDeque<Key>,
    incoming: VecDeque<ListenerId>,
    /// Fast Open cookies of servers.
    cookies: CookieCache,
    /// Segments of no connection: resets, SYN+ACKs.
    answers: Answers,
    steps: Steps,
}

impl Demux {
    /// A host whose connections begin with `policy`.
    pub fn new(policy: Arc<Policy>) -> Self {
        Self::with_options(policy, HostOptions::default())
    }

    /// The same with choices of the host.
    pub fn with_options(policy: Arc<Policy>, options: HostOptions) -> Self {
        Self {
            connections: Registry::new(policy.secret),
            time_wait: Registry::new(policy.secret),
            policy,
            ports: EphemeralPorts::new(options.ports),
            options,
            listeners: Listeners::default(),
            ready: VecDeque::new(),
            eventful: VecDeque::new(),
            incoming: VecDeque::new(),
            cookies: CookieCache::default(),
            answers: Answers::default(),
            steps: Steps::default(),
        }
    }

    // Getters.

    /// A connection, as long as it is there.
    pub fn connection(&self, id: ConnectionId) -> Option<&Connection> {
        self.connections.get(id.0).map(|entry| &*entry.connection)
    }

    /// A listener, as long as it is there.
    pub fn listener(&self, id: ListenerId) -> Option<&Listener> {
        self.listeners.get(id)
    }

    /// The connections that are not in TIME_WAIT, in no order.
    pub fn connections(&self) -> impl Iterator<Item = (ConnectionId, &Connection)> {
        self.connections.iter().map(|(key, entry)| (ConnectionId(key), &*entry.connection))
    }

    /// How many connections are kept as a record in TIME_WAIT.
    pub fn time_wait_count(&self) -> usize {
        self.time_wait.len()
    }

    /// Every connection with its state, half-open ones and those in TIME_WAIT too, in no order.
    pub fn states(&self) -> impl Iterator<Item = (FourTuple, State)> {
        let open = self.connections.iter().map(|(_, entry)| (*entry.pair(), entry.connection.state()));
        let requests = self.listeners.iter().flat_map(|(_, listener)| listener.requests());
        let waiting = self.time_wait.iter().map(|(_, record)| (*record.pair(), State::TimeWait));
        open.chain(requests.map(|pair| (pair, State::SynReceived))).chain(waiting)
    }

    /// The state of the connection between two sockets, seen from here. LISTEN where only a
    /// listener would answer, CLOSED where nothing would.
    pub fn state_of(&self, pair: &FourTuple) -> State {
        if let Some(entry) = self.connections.find(pair).and_then(|key| self.connections.get(key)) {
            return entry.connection.state();
        }
        if self.time_wait.find(pair).is_some() {
            return State::TimeWait;
        }
        match self.listeners.find(pair.local_address, pair.local_port).and_then(|id| self.listener(id)) {
            Some(listener) if listener.has_request(pair) => State::SynReceived,
            Some(_) => State::Listen,
            None => State::Closed,
        }
    }

    /// The rules that the latest `handle_segment` or command applied.
    pub const fn steps(&self) -> &Steps {
        &self.steps
    }

    // Commands.

    /// Listens on an address and port; an unspecified address stands for all.
    ///
    /// # Errors
    /// [`OpenError::AddressInUse`] if another listener has the same.
    pub fn listen(&mut self, local: SocketAddr, options: ListenerOptions) -> Result<ListenerId, OpenError> {
        let listener = Listener::new(local, self.policy.clone(), options);
        self.listeners.add(listener).ok_or(OpenError::AddressInUse)
    }

    /// Closes a listener. Connections that nobody has accepted are reset.
    pub fn close_listener(&mut self, now: Instant, id: ListenerId) {
        let Some(mut listener) = self.listeners.remove(id) else { return };
        self.incoming.retain(|incoming| *incoming != id);
        for key in listener.take_queue() {
            let _ = self.call(ConnectionId(key), |connection| connection.abort(now));
        }
    }

    /// Takes a connection that a listener has opened.
    pub fn accept(&mut self, id: ListenerId) -> Option<ConnectionId> {
        let key = self.listeners.get_mut(id)?.take_accepted()?;
        Some(ConnectionId(key))
    }

    /// Opens a connection from a port of the host's choice.
    ///
    /// # Errors
    /// If no port is left, or the remote socket is unspecified.
    pub fn connect(
        &mut self,
        now: Instant,
        local: IpAddr,
        remote: SocketAddr,
    ) -> Result<ConnectionId, OpenError> {
        let (pair, vacancy) = self.choose_port(now, FourTuple::new(SocketAddr::new(local, 0), remote))?;
        self.connect_pair(now, pair, vacancy)
    }

    fn choose_port(&mut self, now: Instant, pair: FourTuple) -> Result<(FourTuple, Vacancy), OpenError> {
        let mut ports = core::mem::take(&mut self.ports);
        let mut found = None;
        ports.choose(&pair, &self.policy.secret, |port| {
            let pair = FourTuple { local_port: port, ..pair };
            found = self.vacancy(now, &pair).map(|vacancy| (pair, vacancy));
            found.is_some()
        });
        self.ports = ports;
        found.ok_or(OpenError::NoPortLeft)
    }

    /// Opens a connection from a given address and port.
    ///
    /// # Errors
    /// If the pair is taken, or the remote socket is unspecified.
    pub fn connect_from(
        &mut self,
        now: Instant,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Result<ConnectionId, OpenError> {
        let pair = FourTuple::new(local, remote);
        let vacancy = self.vacancy(now, &pair).ok_or(OpenError::AddressInUse)?;
        self.connect_pair(now, pair, vacancy)
    }

    fn connect_pair(
        &mut self,
        now: Instant,
        pair: FourTuple,
        vacancy: Vacancy,
    ) -> Result<ConnectionId, OpenError> {
        let mut connection = Box::new(Connection::new(self.policy.clone()));
        connection.connect(now, pair).map_err(OpenError::Call)?;
        Ok(self.opening(connection, vacancy))
    }

    /// Opens a connection whose text goes with the SYN if the server is known to allow it (RFC 7413); how much of it
    /// was taken is returned. With no local port the host chooses one.
    ///
    /// # Errors
    /// As [`Self::connect`] and [`Self::connect_from`].
    pub fn connect_fast_open(
        &mut self,
        now: Instant,
        local: SocketAddr,
        remote: SocketAddr,
        text: &[u8],
    ) -> Result<(ConnectionId, usize), OpenError> {
        let mut pair = FourTuple::new(local, remote);
        let vacancy = if local.port() == 0 {
            let chosen = self.choose_port(now, pair)?;
            pair = chosen.0;
            chosen.1
        } else {
            self.vacancy(now, &pair).ok_or(OpenError::AddressInUse)?
        };
        let known = self.cookies.get(remote.ip());
        let mut connection = Box::new(Connection::new(self.policy.clone()));
        let taken = connection.connect_fast_open(now, pair, known, text).map_err(OpenError::Call)?;
        Ok((self.opening(connection, vacancy), taken))
    }

    /// The cookies of servers, to be looked at, changed or kept.
    pub const fn cookies_mut(&mut self) -> &mut CookieCache {
        &mut self.cookies
    }

    /// Changes the choices with which connections and listeners begin from now on. The secret stays.
    pub fn set_policy(&mut self, policy: &Policy) {
        if self.policy.as_ref() != policy {
            self.policy = Arc::new(Policy { secret: self.policy.secret, ..policy.clone() });
        }
    }

    /// Changes the choices of a listener, and those of the connections that it opens from now on.
    pub fn change_listener(
        &mut self,
        id: ListenerId,
        policy: &Policy,
        change: impl FnOnce(&mut ListenerOptions),
    ) {
        let secret = self.policy.secret;
        if let Some(listener) = self.listeners.get_mut(id) {
            change(listener.options_mut());
            listener.set_policy(Arc::new(Policy { secret, ..policy.clone() }));
        }
    }

    fn opening(&mut self, mut connection: Box<Connection>, vacancy: Vacancy) -> ConnectionId {
        self.steps = *connection.steps();
        if let Some(record) = vacancy.record.and_then(|key| self.time_wait.remove(key)) {
            self.steps = Steps::of(State::TimeWait, Event::ActiveOpen);
            connection.begin_at(record.next_initial());
        }
        ConnectionId(self.add(connection, vacancy.hash))
    }

    /// The place of a new connection of ours, if the pair is free.
    fn vacancy(&self, now: Instant, pair: &FourTuple) -> Option<Vacancy> {
        let hash = of_pair(&self.policy.secret, pair);
        if self.connections.find_hashed(pair, hash).is_some() {
            return None;
        }
        let record = self.time_wait.find_hashed(pair, hash);
        let free = match record.and_then(|key| self.time_wait.get(key)) {
            Some(record) => self.options.reuse_time_wait && record.may_be_reused(now),
            None => self.listeners.find(pair.local_address, pair.local_port).is_none(),
        };
        free.then_some(Vacancy { hash, record })
    }

    /// SEND; see [`Connection::send`].
    ///
    /// # Errors
    /// As there; if there is no such connection, that.
    pub fn send(&mut self, now: Instant, id: ConnectionId, text: &[u8]) -> Result<usize, CallError> {
        self.call(id, |connection| connection.send(now, text))
    }

    /// RECEIVE; see [`Connection::recv`].
    ///
    /// # Errors
    /// As there; if there is no such connection, that.
    pub fn recv(&mut self, now: Instant, id: ConnectionId, out: &mut [u8]) -> Result<usize, CallError> {
        self.call(id, |connection| connection.recv(now, out))
    }

    /// The half-close; see [`Connection::shutdown`].
    ///
    /// # Errors
    /// As there; if there is no such connection, that.
    pub fn shutdown(&mut self, now: Instant, id: ConnectionId) -> Result<(), CallError> {
        self.call(id, |connection| connection.shutdown(now))
    }

    /// CLOSE; see [`Connection::close`]. The identifier means nothing any more afterwards.
    ///
    /// # Errors
    /// As there; if there is no such connection, that.
    pub fn close(&mut self, now: Instant, id: ConnectionId) -> Result<(), CallError> {
        self.call(id, |connection| connection.close(now))
    }

    /// ABORT; see [`Connection::abort`].
    ///
    /// # Errors
    /// As there; if there is no such connection, that.
    pub fn abort(&mut self, now: Instant, id: ConnectionId) -> Result<(), CallError> {
        self.call(id, |connection| connection.abort(now))
    }

    /// Lets `call` do something with a connection, and takes care of what follows from it: segments
    /// to send, timers, the end.
    ///
    /// # Errors
    /// What `call` returns; if there is no such connection, that.
    pub fn call<R>(
        &mut self,
        id: ConnectionId,
        call: impl FnOnce(&mut Connection) -> Result<R, CallError>,
    ) -> Result<R, CallError> {
        let Some(entry) = self.connections.get_mut(id.0) else {
            return Err(CallError::Failed(Failure::ConnectionDoesNotExist));
        };
        let result = call(&mut entry.connection);
        self.steps = *entry.connection.steps();
        self.after(id.0);
        result
    }

    // What happens.

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

    // What follows.

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

    fn add(&mut self, connection: Box<Connection>, hash: u32) -> Key {
        let entry = Entry { connection, ready: true, eventful: false, fast_opening: None };
        let key = self.connections.insert(entry, hash);
        self.ready.push_back(key);
        key
    }

    /// Something has happened to a connection: it may have something to send or to tell.
    fn after(&mut self, key: Key) {
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
    fn settle(&mut self, now: Instant, key: Key) {
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

#[cfg(test)]
mod tests;
