//! A host of a simulation: its TCP, and the programs that use it.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use super::{Do, HostId, Program};
use crate::demux::{ConnectionId, Demux, HostOptions, ListenerId};
use crate::ip;
use crate::listener::ListenerOptions;
use crate::rules::Failure;
use crate::{FourTuple, Instant, Policy};

/// A host.
pub(super) struct Host {
    pub(super) addresses: Vec<IpAddr>,
    policy: Arc<Policy>,
    options: HostOptions,
    /// `None` while it is down.
    pub(super) demux: Option<Demux>,
    pub(super) services: Vec<Service>,
    /// The programs' ends.
    pub(super) ends: BTreeMap<ConnectionKey, EndId>,
    pub(super) runnable: VecDeque<EndId>,
}

/// Connection identifiers have no order of their own.
pub(super) type ConnectionKey = (u32, u32);

pub(super) const fn key(id: ConnectionId) -> ConnectionKey {
    id.parts()
}

/// Something that listens. It does again after a restart.
pub(super) struct Service {
    local: SocketAddr,
    options: ListenerOptions,
    pub(super) program: Program,
    pub(super) id: Option<ListenerId>,
}

/// One end of a connection that a program of a simulation uses: its number, from 0, in the order in which
/// they were asked for or accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndId(pub usize);

/// What a program has done so far, and what came of it.
#[derive(Clone, Debug)]
pub struct End {
    /// Where it runs.
    pub host: HostId,
    /// The connection, as the host sees it; unspecified before it is opened.
    pub pair: FourTuple,
    /// Whether the connection was open at any time.
    pub opened: bool,
    /// Bytes TCP has taken.
    pub sent: u64,
    /// Bytes read.
    pub received: u64,
    /// The place of the first byte read that is not the one that was sent.
    pub damaged: Option<u64>,
    /// The peer has closed, and everything it sent was read.
    pub end_of_file: bool,
    /// Why the connection failed.
    pub failure: Option<Failure>,
    /// It has shut down or closed: nothing more will be sent.
    pub shut: bool,
    /// It has closed or aborted.
    pub closed: bool,
    /// It has aborted.
    pub aborted: bool,
    /// The host crashed under it.
    pub crashed: bool,
    pub(super) id: Option<ConnectionId>,
    pub(super) program: VecDeque<Do>,
    /// How much of the current step is done.
    pub(super) done: u64,
    /// What an echo still has to send.
    pub(super) owed: u64,
    pub(super) at_once: bool,
    pub(super) pace: Option<(u32, Duration)>,
    pub(super) reads_from: Instant,
    pub(super) waits_until: Option<Instant>,
}

impl End {
    pub(super) fn new(host: HostId, program: Program) -> Self {
        let mut program = VecDeque::from(program.0);
        let at_once = program.front() == Some(&Do::AtOnce);
        program.retain(|step| *step != Do::AtOnce);
        Self {
            host,
            pair: FourTuple::UNSPECIFIED,
            opened: false,
            sent: 0,
            received: 0,
            damaged: None,
            end_of_file: false,
            failure: None,
            shut: false,
            closed: false,
            aborted: false,
            crashed: false,
            id: None,
            program,
            done: 0,
            owed: 0,
            at_once,
            pace: None,
            reads_from: Instant::ZERO,
            waits_until: None,
        }
    }

    /// The connection, as long as its host's [`Demux`] has it.
    pub const fn connection(&self) -> Option<ConnectionId> {
        self.id
    }

    /// Whether the program has nothing left to do.
    pub fn is_over(&self) -> bool {
        self.program.is_empty()
    }

    /// The byte at a place of what this end sends. Every connection has bytes of its own in each direction,
    /// so that none is taken for another.
    pub fn byte(pair: &FourTuple, place: u64) -> u8 {
        Pattern::of(pair).byte(place)
    }
}

/// The bytes a socket sends another.
#[derive(Clone, Copy)]
pub(super) struct Pattern(u64);

impl Pattern {
    pub(super) fn of(pair: &FourTuple) -> Self {
        let mut sum = u64::from(pair.local_port) << 16 | u64::from(pair.remote_port);
        for address in [pair.local_address, pair.remote_address] {
            let bits = match address {
                IpAddr::V4(address) => u128::from(address.to_bits()),
                IpAddr::V6(address) => address.to_bits(),
            };
            for half in [bits as u64, (bits >> 64) as u64] {
                sum = (sum ^ half).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
            }
        }
        Self(sum)
    }

    pub(super) const fn byte(self, place: u64) -> u8 {
        ((place ^ self.0).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 56) as u8
    }
}

/// A packet a host sends, with whose it is.
pub(super) struct Outgoing {
    pub(super) pair: FourTuple,
    pub(super) packet: Vec<u8>,
}

impl Host {
    pub(super) fn new(addresses: &[IpAddr], policy: Arc<Policy>, options: HostOptions) -> Self {
        let demux = Some(Demux::with_options(policy.clone(), options.clone()));
        Self {
            addresses: addresses.into(),
            policy,
            options,
            demux,
            services: Vec::new(),
            ends: BTreeMap::new(),
            runnable: VecDeque::new(),
        }
    }

    pub(super) fn serve(&mut self, local: SocketAddr, options: ListenerOptions, program: Program) {
        let id = self.demux.as_mut().and_then(|demux| demux.listen(local, options).ok());
        self.services.push(Service { local, options, program, id });
    }

    pub(super) fn crash(&mut self) {
        self.demux = None;
        self.ends.clear();
        self.runnable.clear();
        for service in &mut self.services {
            service.id = None;
        }
    }

    pub(super) fn restart(&mut self) {
        if self.demux.is_some() {
            return;
        }
        let mut demux = Demux::with_options(self.policy.clone(), self.options.clone());
        for service in &mut self.services {
            service.id = demux.listen(service.local, service.options).ok();
        }
        self.demux = Some(demux);
    }

    /// The next segment, or segments where the device would have to cut them, as packets.
    pub(super) fn next_packets(&mut self, now: Instant, out: &mut VecDeque<Outgoing>) {
        const HOP_LIMIT: u8 = 64;
        let Some(transmit) = self.demux.as_mut().and_then(|demux| demux.poll_transmit(now)) else { return };
        let (envelope, whole) = (transmit.envelope, transmit.segment);
        let pair = FourTuple {
            local_address: envelope.source,
            remote_address: envelope.destination,
            local_port: whole.source_port,
            remote_port: whole.destination_port,
        };
        for segment in whole.cut(usize::from(transmit.segment_size)) {
            let mut packet = Vec::new();
            let (source, destination) = (envelope.source, envelope.destination);
            let emitted =
                ip::emit_segment(&segment, source, destination, envelope.ecn, HOP_LIMIT, &mut packet);
            if emitted.is_ok() {
                out.push_back(Outgoing { pair, packet });
            }
        }
    }
}
