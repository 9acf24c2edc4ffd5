//! What the rules ask for of a host's sockets, collected row by row and bounded.
//!
//! A million rows stay a few megabytes: what is counted is counted exactly, what is shown as an
//! example is capped, and tables that could grow with the host are pruned of what says nothing.

mod borrowed;
mod clients;
mod handshakes;
mod holders;
mod info;
mod listeners;
mod pairs;
mod paths;
mod ports;
mod served;
mod suspects;
mod unwatched;

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use eleven_snapshot::{NamespaceState, Socket, SocketKind};
use eleven_tcp::State;
use foldhash::fast::RandomState;

pub(crate) use borrowed::AtPort;
pub(crate) use handshakes::HalfOpen;
pub(crate) use holders::Holding;
pub(crate) use listeners::Listener;
pub(crate) use pairs::is_within_host;
pub(crate) use paths::Path;
pub(crate) use ports::Group;
pub(crate) use suspects::{Kind, Sample};
pub(crate) use unwatched::Unwatched;

/// Tables keyed by what strangers send: the hash is seeded.
pub(crate) type Map<K, V> = HashMap<K, V, RandomState>;
/// The same without values.
pub(crate) type Set<K> = HashSet<K, RandomState>;

/// Index of a network namespace among those of a digest.
pub(crate) type Netns = u16;

/// A connection: v4-mapped addresses are written as IPv4, so that both ends agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Tuple {
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
}

impl Tuple {
    fn of(socket: &Socket) -> Self {
        let end = |address: IpAddr, port: Option<u16>| {
            SocketAddr::new(address.to_canonical(), port.unwrap_or_default())
        };
        Self {
            local: end(socket.local_address, socket.local_port),
            remote: end(socket.remote_address, socket.remote_port),
        }
    }

    /// The same connection as the other end names it.
    pub(crate) fn mirrored(self) -> Self {
        Self { local: self.remote, remote: self.local }
    }
}

/// Local addresses kept of a namespace: enough for any host that is no carrier's NAT.
const LOCAL_ADDRESSES: usize = 65_536;

/// What is known of a namespace.
#[derive(Debug)]
pub(crate) struct Space {
    /// Its label.
    pub(crate) label: Arc<str>,
    /// Sockets by state.
    pub(crate) counts: [u64; State::ALL.len()],
    /// FIN_WAIT2 mini-sockets among them.
    pub(crate) fin_wait2_orphans: u64,
    /// Connections seen, and those whose other end can only be in the same namespace.
    pub(crate) connections: u64,
    pub(crate) within_host: u64,
    /// `ip_local_port_range`.
    pub(crate) range: (u16, u16),
    /// Addresses that connections of this namespace are bound to.
    pub(crate) addresses: Set<IpAddr>,
}

/// What the rules ask for of the sockets of one look.
#[derive(Debug)]
pub struct Digest {
    rows: u64,
    unreadable: u64,
    pub(crate) spaces: Vec<Space>,
    last_space: (Arc<str>, Netns),
    pub(crate) listeners: listeners::Listeners,
    pub(crate) holders: holders::Holders,
    pub(crate) ports: ports::Ports,
    pub(crate) handshakes: handshakes::Handshakes,
    pub(crate) suspects: suspects::Suspects,
    pub(crate) served: served::Served,
    pub(crate) paths: paths::Paths,
    pub(crate) clients: clients::Clients,
    pub(crate) unwatched: unwatched::AllUnwatched,
    pub(crate) borrowed: borrowed::Borrowed,
    pub(crate) pairs: pairs::Pairs,
    /// Connections whose other end was asked for, as that end has it.
    pub(crate) mirrors: Map<Tuple, Sample>,
    wanted_mirrors: Set<Tuple>,
    asks_mirrors: bool,
}

impl Digest {
    /// A digest of a first look at these namespaces.
    pub fn first(namespaces: &[NamespaceState]) -> Self {
        let mut digest = Self {
            rows: 0,
            unreadable: 0,
            spaces: Vec::new(),
            last_space: ("".into(), 0),
            listeners: <_>::default(),
            holders: <_>::default(),
            ports: <_>::default(),
            handshakes: <_>::default(),
            suspects: <_>::default(),
            served: <_>::default(),
            paths: <_>::default(),
            clients: <_>::default(),
            unwatched: <_>::default(),
            borrowed: <_>::default(),
            pairs: <_>::default(),
            mirrors: <_>::default(),
            wanted_mirrors: <_>::default(),
            asks_mirrors: false,
        };
        for state in namespaces {
            let index = digest.space(&state.namespace.label);
            if let Some(range) = state.sysctls.get("net.ipv4.ip_local_port_range") {
                let mut numbers = range.split_ascii_whitespace().map(str::parse);
                if let (Some(Ok(low)), Some(Ok(high))) = (numbers.next(), numbers.next()) {
                    digest.spaces[usize::from(index)].range = (low, high);
                }
            }
        }
        digest
    }

    /// A digest of a later look. It keeps what the first one suspects, and looks for the other
    /// ends of those connections on this host.
    pub fn following(first: &Self, namespaces: &[NamespaceState]) -> Self {
        let mut digest = Self::first(&[]);
        // The same numbers for the same namespaces.
        for space in &first.spaces {
            digest.space(&space.label);
        }
        for state in namespaces {
            let index = digest.space(&state.namespace.label);
            if let Some(known) = first.spaces.get(usize::from(index)) {
                digest.spaces[usize::from(index)].range = known.range;
            }
        }
        let fresh = Self::first(namespaces);
        for space in fresh.spaces {
            let index = usize::from(digest.space(&space.label));
            digest.spaces[index].range = space.range;
        }
        digest.wanted_mirrors = first.suspects.tuples().map(Tuple::mirrored).collect();
        digest.asks_mirrors = true;
        digest.suspects.ask(&first.suspects);
        digest.pairs = pairs::Pairs::following(&first.pairs);
        digest.clients.ask(&first.clients);
        digest.listeners.know(&first.listeners);
        digest
    }

    /// Whether the other ends of suspects were looked for.
    pub(crate) fn asked_for_mirrors(&self) -> bool {
        self.asks_mirrors
    }

    /// Sockets seen.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Sockets whose owner is out of sight.
    pub fn unreadable(&self) -> u64 {
        self.unreadable
    }

    /// Takes a socket into account.
    pub fn add(&mut self, socket: &Socket) {
        self.rows += 1;
        self.unreadable += u64::from(socket.no_owner == Some(eleven_snapshot::KernelOnly::Unreadable));
        let netns = match &socket.netns {
            Some(label) if Arc::ptr_eq(label, &self.last_space.0) => self.last_space.1,
            Some(label) => {
                let index = self.space(label);
                self.last_space = (label.clone(), index);
                index
            }
            None => self.space(&Arc::from("")),
        };
        let space = &mut self.spaces[usize::from(netns)];
        space.counts[socket.state.index()] += 1;
        if socket.state == State::Listen || socket.kind == SocketKind::Bound {
            self.listeners.add(netns, socket);
            return;
        }
        let tuple = Tuple::of(socket);
        space.connections += 1;
        space.within_host += u64::from(is_within_host(tuple));
        if !space.addresses.contains(&tuple.local.ip()) && space.addresses.len() < LOCAL_ADDRESSES {
            space.addresses.insert(tuple.local.ip());
        }
        let is_served = self.listeners.has_port(netns, tuple.local.port());
        let is_outgoing = !is_served && (space.range.0..=space.range.1).contains(&tuple.local.port());
        if is_outgoing {
            self.ports.add(netns, tuple, socket);
        }
        if !is_served {
            self.borrowed.add(netns, tuple, socket, is_outgoing);
        }
        match socket.state {
            State::SynReceived => self.handshakes.add_incoming(netns, tuple, socket),
            State::SynSent => self.handshakes.add_outgoing(netns, tuple, socket),
            State::CloseWait => self.holders.add(netns, tuple, socket),
            State::FinWait2 if socket.kind == SocketKind::Full => self.holders.add(netns, tuple, socket),
            State::FinWait2 => space.fin_wait2_orphans += 1,
            State::TimeWait if is_served => self.served.add_time_wait(netns, tuple.local.port()),
            State::Established => self.paths.add(netns, tuple, socket),
            _ => {}
        }
        let idle_ms = info::idle_ms(socket);
        if is_served && matches!(socket.state, State::Established | State::CloseWait) {
            self.served.add(netns, tuple.local.port(), socket, idle_ms);
            self.clients.add(netns, tuple, socket, idle_ms);
        }
        if is_outgoing && socket.state == State::Established {
            self.unwatched.add(netns, tuple, socket, idle_ms);
        }
        self.suspects.add(netns, tuple, socket, idle_ms);
        self.pairs.add(netns, tuple, socket, idle_ms);
        if !self.wanted_mirrors.is_empty() && self.wanted_mirrors.contains(&tuple) {
            self.mirrors.insert(tuple, Sample::of(netns, tuple, socket, idle_ms));
        }
    }

    /// Takes a listener into account of which it is known whether it is expected.
    pub fn add_listener(&mut self, socket: &Socket, is_expected: bool) {
        let before = self.listeners.all.len();
        self.add(socket);
        self.listeners.has_expectations = true;
        for listener in &mut self.listeners.all[before..] {
            listener.is_unexpected = !is_expected;
        }
    }

    /// Number of a namespace, given when its label comes for the first time.
    fn space(&mut self, label: &Arc<str>) -> Netns {
        if let Some(index) = self.spaces.iter().position(|space| space.label == *label) {
            return index as Netns;
        }
        // More namespaces than this share the last number; no host has them.
        if self.spaces.len() == usize::from(Netns::MAX) {
            return Netns::MAX - 1;
        }
        self.spaces.push(Space {
            label: label.clone(),
            counts: <_>::default(),
            fin_wait2_orphans: 0,
            connections: 0,
            within_host: 0,
            range: (32_768, 60_999),
            addresses: <_>::default(),
        });
        (self.spaces.len() - 1) as Netns
    }

    /// Label of a namespace.
    pub(crate) fn label(&self, netns: Netns) -> &Arc<str> {
        &self.spaces[usize::from(netns)].label
    }

    /// Whether most connections of a namespace have both ends in it.
    pub(crate) fn is_mostly_within_host(&self, label: &str) -> bool {
        let space = self.spaces.iter().find(|space| &*space.label == label);
        space.is_some_and(|space| space.within_host * 2 > space.connections)
    }

    /// Sockets in a state, of all namespaces.
    pub(crate) fn in_state(&self, state: State) -> u64 {
        self.spaces.iter().map(|space| space.counts[state.index()]).sum()
    }

    /// Whether an address belongs to this host, as far as connections show.
    pub(crate) fn is_local(&self, address: IpAddr) -> bool {
        address.is_loopback() || self.spaces.iter().any(|space| space.addresses.contains(&address))
    }
}
