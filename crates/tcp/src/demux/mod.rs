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

use crate::connection::{Steps, TimeWaitRecord};
use crate::fast_open::CookieCache;
use crate::listener::{Answers, Listener};
use crate::{Connection, ConnectionEvent, FourTuple, Instant, Policy, State};

mod arrivals;
mod calls;
mod departures;
mod listeners;
mod opening;
mod ports;
pub(crate) mod registry;
mod wheel;

pub use arrivals::reset_for;
pub use listeners::ListenerId;
pub use opening::OpenError;

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

    /// Everything that listens, in no order.
    pub fn listeners(&self) -> impl Iterator<Item = (ListenerId, &Listener)> {
        self.listeners.iter()
    }

    /// The connections in TIME_WAIT that are kept as a record, each with the time it ends.
    pub fn time_waits(&self) -> impl Iterator<Item = (FourTuple, Option<Instant>)> {
        self.time_wait.iter().map(|(key, record)| (*record.pair(), self.time_wait.deadline(key)))
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
}

#[cfg(test)]
mod tests;
