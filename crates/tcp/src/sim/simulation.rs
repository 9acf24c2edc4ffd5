//! Hosts with TCP and programs, on a network, in virtual time.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use super::host::{self, Host, Outgoing, Pattern};
use super::journal::{Cause, EndEvent, Journal, Receipt, Reception, Sending};
use super::{Delivery, Do, End, EndId, HostId, Link, Network, Program};
use crate::demux::{Demux, DemuxEvent, HostOptions, OpenError};
use crate::ip::{IcmpKind, IcmpMessage, Received};
use crate::listener::ListenerOptions;
use crate::rules::Failure;
use crate::{
    CallError, Connection, ConnectionEvent, Envelope, FourTuple, IcmpError, Instant, Policy, Segment, State,
    Steps,
};

/// Any number of hosts, their TCP and their programs, on a simulated network.
///
/// Everything happens in virtual time and is replayed from the seed. Who builds a world says what is to happen and when;
/// [`run_until`](Self::run_until) lets it happen.
///
/// ```
/// use core::time::Duration;
/// use eleven_tcp::sim::{Link, Simulation};
/// use eleven_tcp::{Instant, Policy, State};
///
/// let mut world = Simulation::new(1);
/// let client = world.add_host("client", &["10.0.0.1".parse()?], Policy::linux());
/// let server = world.add_host("server", &["10.0.0.2".parse()?], Policy::rfc9293());
/// world.network_mut().set_default_link(Link::with_delay(Duration::from_millis(20)));
/// world.network_mut().apply(&"drop FIN 1 from client".parse()?)?;
/// world.record();
///
/// world.listen(Instant::ZERO, server, "10.0.0.2:80".parse()?, "receive all; close".parse()?);
/// let end = world.connect(
///     Instant::ZERO,
///     client,
///     "10.0.0.1:40000".parse()?,
///     "10.0.0.2:80".parse()?,
///     "send 10000; shutdown; receive all; close".parse()?,
/// );
/// world.run_until(Instant::from_secs(10));
///
/// let (mine, theirs) = (world.end(end), world.ends().last().unwrap());
/// assert_eq!((mine.sent, theirs.received, theirs.damaged), (10_000, 10_000, None));
/// assert_eq!(world.state(client, &mine.pair), State::TimeWait);
/// // Every change of state has its rule.
/// assert!(world.journal().events.iter().any(|event| event.rules() == "established.fin"));
/// println!("{}", world.ladder(&mine.pair).text());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Simulation {
    now: Instant,
    network: Network,
    hosts: Vec<Host>,
    ends: Vec<End>,
    agenda: BTreeMap<(Instant, u64), Task>,
    /// Tells tasks of the same time apart.
    next_task: u64,
    /// When programs that wait go on.
    wakeups: BTreeSet<(Instant, EndId)>,
    journal: Journal,
    packets: u64,
    packet_limit: u64,
    /// A host whose timers stay due.
    stuck: Option<HostId>,
}

/// Something that is to happen at a time.
enum Task {
    Listen(HostId, SocketAddr, ListenerOptions, Program),
    Connect(EndId, SocketAddr, SocketAddr),
    Call(EndId, Do),
    Crash(HostId),
    Restart(HostId),
    Link(HostId, HostId, Link),
    Inject(HostId, Vec<u8>),
}

/// Why a simulation stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Nothing is on its way and nobody waits for anything.
    Quiet,
    /// The time is reached.
    Time,
    /// So many packets have been sent as [allowed](Simulation::set_packet_limit): somebody does not come to an end.
    Packets,
    /// A host has a timer that stays due however often it is served, or a program that never waits: a bug.
    Stuck(HostId),
}

/// What is read or sent in one call.
const CHUNK: usize = 8_192;
/// Nothing happens more often than that at one moment.
const MOST_ROUNDS: u32 = 20_000;

/// What a step of a program comes to.
enum Progress {
    /// It is done.
    Done,
    /// It goes on when something happens.
    Waits,
    /// The connection failed.
    Failed(Failure),
}

impl Simulation {
    /// A world without hosts. The network's chances come from the seed.
    pub fn new(seed: u64) -> Self {
        Self {
            now: Instant::ZERO,
            network: Network::new(seed),
            hosts: Vec::new(),
            ends: Vec::new(),
            agenda: BTreeMap::new(),
            next_task: 0,
            wakeups: BTreeSet::new(),
            journal: Journal::default(),
            packets: 0,
            packet_limit: u64::MAX,
            stuck: None,
        }
    }

    /// Adds a host with its addresses and its policy.
    ///
    /// A policy without a secret gets one made from the host's number: two hosts do not number alike.
    pub fn add_host(&mut self, name: &str, addresses: &[IpAddr], policy: Policy) -> HostId {
        self.add_host_with(name, addresses, policy, HostOptions::default())
    }

    /// The same with choices of the host.
    pub fn add_host_with(
        &mut self,
        name: &str,
        addresses: &[IpAddr],
        mut policy: Policy,
        options: HostOptions,
    ) -> HostId {
        let id = self.network.add_host(name, addresses);
        if policy.secret.0 == [0; 16] {
            policy.secret.0[..8].copy_from_slice(&(id.0 as u64 + 1).to_be_bytes());
        }
        self.hosts.push(Host::new(addresses, Arc::new(policy), options));
        id
    }

    /// Records every packet and every rule from now on, for [`ladder`](Self::ladder) and
    /// [`write_capture`](Self::write_capture). It takes memory for all of them.
    pub fn record(&mut self) {
        self.journal.everything = true;
        self.network.record();
    }

    /// Stops a run once so many packets have been sent by the hosts.
    pub const fn set_packet_limit(&mut self, packets: u64) {
        self.packet_limit = packets;
    }

    // What is the case.

    /// The time.
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// The network.
    pub const fn network(&self) -> &Network {
        &self.network
    }

    /// The network, to change its links, cut it, or give it a script.
    pub const fn network_mut(&mut self) -> &mut Network {
        &mut self.network
    }

    /// What happened.
    pub const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// So many packets have been sent by the hosts.
    pub const fn packets(&self) -> u64 {
        self.packets
    }

    /// A host's TCP; `None` if it is down or there is no such host.
    pub fn demux(&self, host: HostId) -> Option<&Demux> {
        self.hosts.get(host.0)?.demux.as_ref()
    }

    /// The first address of a host.
    pub fn address(&self, host: HostId) -> Option<IpAddr> {
        self.hosts.get(host.0)?.addresses.first().copied()
    }

    /// The state of a connection as a host sees it; CLOSED where it knows nothing of it.
    pub fn state(&self, host: HostId, pair: &FourTuple) -> State {
        self.demux(host).map_or(State::Closed, |demux| demux.state_of(pair))
    }

    /// All ends that programs have opened or accepted.
    pub fn ends(&self) -> &[End] {
        &self.ends
    }

    /// One of them.
    ///
    /// # Panics
    /// If it is one of another simulation.
    pub fn end(&self, id: EndId) -> &End {
        &self.ends[id.0]
    }

    // What is to happen. A time that has passed means: as soon as it runs.

    fn plan(&mut self, time: Instant, task: Task) {
        self.agenda.insert((time, self.next_task), task);
        self.next_task += 1;
    }

    /// A host listens on an address and port; each connection gets a copy of the program. After a restart it listens again.
    pub fn listen(&mut self, time: Instant, host: HostId, local: SocketAddr, program: Program) {
        self.listen_with(time, host, local, ListenerOptions::default(), program);
    }

    /// The same with choices of the listener.
    pub fn listen_with(
        &mut self,
        time: Instant,
        host: HostId,
        local: SocketAddr,
        options: ListenerOptions,
        program: Program,
    ) {
        self.plan(time, Task::Listen(host, local, options, program));
    }

    /// A program of a host connects. Port 0 stands for one of the host's choice. The program's steps begin when the
    /// connection is open ([`Do::AtOnce`]: at once).
    pub fn connect(
        &mut self,
        time: Instant,
        host: HostId,
        local: SocketAddr,
        remote: SocketAddr,
        program: Program,
    ) -> EndId {
        let id = EndId(self.ends.len());
        self.ends.push(End::new(host, program));
        self.plan(time, Task::Connect(id, local, remote));
        id
    }

    /// A program does something besides its steps. To close, shut down and abort is done at once, whatever it is at; what else there
    /// is becomes its last step.
    pub fn call(&mut self, time: Instant, end: EndId, step: Do) {
        self.plan(time, Task::Call(end, step));
    }

    /// A host loses all it knows of its connections, and takes no packets until it is restarted.
    pub fn crash(&mut self, time: Instant, host: HostId) {
        self.plan(time, Task::Crash(host));
    }

    /// A host that crashed is there again. What listened listens again.
    pub fn restart(&mut self, time: Instant, host: HostId) {
        self.plan(time, Task::Restart(host));
    }

    /// The link from one host to another is like this from then on.
    pub fn change_link(&mut self, time: Instant, from: HostId, to: HostId, link: Link) {
        self.plan(time, Task::Link(from, to, link));
    }

    /// A host puts an IP packet on the network that no TCP of its has made.
    pub fn inject(&mut self, time: Instant, from: HostId, packet: Vec<u8>) {
        self.plan(time, Task::Inject(from, packet));
    }

    // Running.

    /// Lets everything happen up to and including a time. The time is that time afterwards, unless it stops before.
    pub fn run_until(&mut self, time: Instant) -> Stop {
        let mut rounds = 0;
        while let Some((next, host)) = self.next_time() {
            if next > time {
                self.now = self.now.max(time);
                return Stop::Time;
            }
            rounds = if next > self.now { 0 } else { rounds + 1 };
            if let Some(stuck) = self.stuck.or((rounds > MOST_ROUNDS).then_some(host)) {
                return Stop::Stuck(stuck);
            }
            if self.packets >= self.packet_limit {
                return Stop::Packets;
            }
            self.now = self.now.max(next);
            self.turn();
        }
        self.now = self.now.max(time);
        Stop::Quiet
    }

    /// When something happens next, and at which host if it is a timer of one.
    fn next_time(&self) -> Option<(Instant, HostId)> {
        let mut next: Option<(Instant, HostId)> = None;
        let mut consider = |time: Option<Instant>, host: HostId| {
            if let Some(time) = time
                && next.is_none_or(|(earliest, _)| time < earliest)
            {
                next = Some((time, host));
            }
        };
        consider(self.agenda.keys().next().map(|(time, _)| *time), HostId(0));
        consider(self.network.next_delivery_time(), HostId(0));
        if let Some((time, end)) = self.wakeups.first() {
            consider(Some(*time), self.ends[end.0].host);
        }
        for (index, host) in self.hosts.iter().enumerate() {
            consider(host.demux.as_ref().and_then(Demux::poll_timeout), HostId(index));
        }
        next
    }

    /// Everything that is due now, once.
    fn turn(&mut self) {
        while let Some(entry) = self.agenda.first_entry() {
            if entry.key().0 > self.now {
                break;
            }
            let task = entry.remove();
            self.perform(task);
        }
        if let Some(delivery) = self.network.deliver(self.now) {
            self.take_delivery(delivery);
            // One at a time, so that what follows from each is told from what follows from the next.
            return;
        }
        while let Some((time, end)) = self.wakeups.first().copied() {
            if time > self.now {
                break;
            }
            self.wakeups.pop_first();
            self.wake(end);
            self.run_programs(self.ends[end.0].host);
        }
        for index in 0..self.hosts.len() {
            self.pass_time(HostId(index));
        }
    }

    fn perform(&mut self, task: Task) {
        match task {
            Task::Listen(host, local, options, program) => {
                if let Some(host) = self.hosts.get_mut(host.0) {
                    host.serve(local, options, program);
                }
            }
            Task::Connect(end, local, remote) => self.open(end, local, remote),
            Task::Call(end, step) => {
                match step {
                    Do::Shutdown | Do::Close | Do::Abort => {
                        let _ = self.advance(end, step);
                    }
                    _ => {
                        if let Some(end) = self.ends.get_mut(end.0) {
                            end.program.push_back(step);
                        }
                    }
                }
                self.wake(end);
                if let Some(host) = self.ends.get(end.0).map(|end| end.host) {
                    self.run_programs(host);
                }
            }
            Task::Crash(host) => self.crash_now(host),
            Task::Restart(host) => {
                if let Some(host) = self.hosts.get_mut(host.0) {
                    host.restart();
                }
            }
            Task::Link(from, to, link) => self.network.set_one_way(from, to, link),
            Task::Inject(from, packet) => {
                self.network.send(self.now, packet, from);
            }
        }
    }

    fn crash_now(&mut self, host: HostId) {
        let now = self.now;
        let Some(there) = self.hosts.get_mut(host.0) else { return };
        for end in there.ends.values() {
            let end = &mut self.ends[end.0];
            end.crashed = true;
            end.id = None;
            end.program.clear();
        }
        let Some(demux) = &there.demux else { return };
        let mut lost: Vec<(FourTuple, State)> = demux.states().collect();
        lost.retain(|(_, state)| *state != State::Closed);
        lost.sort_by_key(|(pair, _)| *pair);
        for (pair, before) in lost {
            self.journal.note(EndEvent {
                time: now,
                host,
                pair,
                cause: Cause::Crash,
                before,
                after: State::Closed,
                steps: Steps::default(),
            });
        }
        there.crash();
    }

    fn open(&mut self, id: EndId, local: SocketAddr, remote: SocketAddr) {
        let now = self.now;
        let host = self.ends[id.0].host;
        let Some(there) = self.hosts.get_mut(host.0) else { return };
        let Some(demux) = &mut there.demux else {
            self.ends[id.0].failure = Some(Failure::Unreachable);
            self.ends[id.0].program.clear();
            return;
        };
        // A connection in TIME_WAIT may be taken over.
        let before = demux.state_of(&FourTuple::new(local, remote));
        let before = if before == State::TimeWait { before } else { State::Closed };
        let opened = if local.port() == 0 {
            demux.connect(now, local.ip(), remote)
        } else {
            demux.connect_from(now, local, remote)
        };
        match opened {
            Ok(connection) => {
                there.ends.insert(host::key(connection), id);
                let pair = demux.connection(connection).map_or(FourTuple::UNSPECIFIED, Connection::pair);
                let steps = *demux.steps();
                let end = &mut self.ends[id.0];
                end.id = Some(connection);
                end.pair = pair;
                let event = EndEvent {
                    time: now,
                    host,
                    pair,
                    cause: Cause::Call("connect"),
                    before,
                    after: State::SynSent,
                    steps,
                };
                let place = self.journal.note(event);
                self.send_all(host, place);
                self.wake(id);
                self.run_programs(host);
            }
            Err(error) => {
                let end = &mut self.ends[id.0];
                end.failure = Some(match error {
                    OpenError::Call(CallError::Failed(failure)) => failure,
                    _ => Failure::ConnectionAlreadyExists,
                });
                end.program.clear();
            }
        }
    }

    fn take_delivery(&mut self, delivery: Delivery) {
        let Delivery { time, to, number, copy, packet, .. } = delivery;
        let now = self.now;
        let receive = |journal: &mut Journal, reception| {
            if journal.everything {
                journal.received.entry(number).or_default().push(Receipt { time, copy, reception });
            }
        };
        let Some(demux) = self.hosts.get_mut(to.0).and_then(|host| host.demux.as_mut()) else {
            return receive(&mut self.journal, Reception::HostDown);
        };
        let damaged = Reception::Damaged;
        let (pair, cause, before) = match Received::parse(&packet) {
            Ok(Received::Tcp(packet)) => {
                let (source, destination) = (packet.source, packet.destination);
                let whole = Segment::verify_checksum(packet.tcp, source, destination);
                let Ok(segment) = Segment::parse(packet.tcp) else {
                    return receive(&mut self.journal, damaged);
                };
                if !whole {
                    return receive(&mut self.journal, damaged);
                }
                let pair = FourTuple {
                    local_address: destination,
                    remote_address: source,
                    local_port: segment.destination_port,
                    remote_port: segment.source_port,
                };
                let before = demux.state_of(&pair);
                demux.handle_segment(now, &Envelope { source, destination, ecn: packet.ecn }, &segment);
                (pair, Cause::Packet(number), before)
            }
            Ok(Received::Icmp(message)) => {
                let pair = message.quoted.pair();
                let before = demux.state_of(&pair);
                demux.handle_icmp(now, &pair, error_of(&message));
                (pair, Cause::Report(number), before)
            }
            Err(_) => return receive(&mut self.journal, damaged),
        };
        let after = demux.state_of(&pair);
        let steps = *demux.steps();
        let place = self.journal.note(EndEvent { time: now, host: to, pair, cause, before, after, steps });
        if let Some(place) = place {
            receive(&mut self.journal, Reception::Taken(place));
        }
        self.send_all(to, place);
        self.run_programs(to);
    }

    /// Serves the timers of a host that are due.
    fn pass_time(&mut self, host: HostId) {
        let now = self.now;
        for round in 0.. {
            if round > MOST_ROUNDS {
                self.stuck = Some(host);
                return;
            }
            let Some(demux) = self.hosts.get_mut(host.0).and_then(|host| host.demux.as_mut()) else { return };
            if demux.poll_timeout().is_none_or(|deadline| deadline > now) {
                return;
            }
            // One after the other: all that is due at once would be served before anybody could
            // tell what it did.
            let Some(pair) = demux.handle_next_timeout(now) else { return };
            let steps = *demux.steps();
            let after = demux.state_of(&pair);
            let before = steps.iter().next().map_or(after, |rule| rule.from);
            let mut place = None;
            if !steps.is_empty() {
                let event = EndEvent { time: now, host, pair, cause: Cause::Timer, before, after, steps };
                place = self.journal.note(event);
            }
            self.send_all(host, place);
            self.run_programs(host);
        }
    }

    /// Puts on the network whatever a host has to send, because of the event at a place of the journal.
    fn send_all(&mut self, host: HostId, mut because: Option<usize>) {
        let now = self.now;
        let mut packets = VecDeque::new();
        loop {
            let Some(there) = self.hosts.get_mut(host.0) else { return };
            if packets.is_empty() {
                there.next_packets(now, &mut packets);
            }
            let Some(Outgoing { pair, packet }) = packets.pop_front() else { return };
            let state = there.demux.as_ref().map_or(State::Closed, |demux| demux.state_of(&pair));
            let number = self.network.send(now, packet, host);
            self.packets += 1;
            if self.journal.everything {
                let ours =
                    because.filter(|place| self.journal.events.get(*place).is_some_and(|e| e.pair == pair));
                if ours.is_some() {
                    because = None;
                }
                let events = self.journal.events.len();
                let sending = Sending { time: now, host, pair, state, events, because: ours };
                self.journal.sent.insert(number, sending);
            }
            if self.packets >= self.packet_limit {
                return;
            }
        }
    }

    // Programs.

    fn wake(&mut self, id: EndId) {
        let Some(end) = self.ends.get(id.0) else { return };
        if end.id.is_some()
            && let Some(host) = self.hosts.get_mut(end.host.0)
        {
            host.runnable.push_back(id);
        }
    }

    /// Tells the programs of a host what happened, and lets them do what they can.
    fn run_programs(&mut self, host: HostId) {
        loop {
            while let Some(event) =
                self.hosts[host.0].demux.as_mut().and_then(|demux: &mut Demux| demux.poll_event())
            {
                self.tell(host, event);
            }
            let Some(end) = self.hosts[host.0].runnable.pop_front() else { return };
            self.run_program(end);
        }
    }

    fn tell(&mut self, host: HostId, event: DemuxEvent) {
        let there = &mut self.hosts[host.0];
        match event {
            DemuxEvent::Incoming(listener) => {
                let Some(demux) = &mut there.demux else { return };
                let Some(connection) = demux.accept(listener) else { return };
                let pair = demux.connection(connection).map_or(FourTuple::UNSPECIFIED, Connection::pair);
                let service = there.services.iter().find(|service| service.id == Some(listener));
                let program = service.map(|service| service.program.clone()).unwrap_or_default();
                let id = EndId(self.ends.len());
                let mut end = End::new(host, program);
                end.id = Some(connection);
                end.pair = pair;
                end.opened = true;
                self.ends.push(end);
                there.ends.insert(host::key(connection), id);
                there.runnable.push_back(id);
            }
            DemuxEvent::Connection(connection, event) => {
                let Some(id) = there.ends.get(&host::key(connection)).copied() else { return };
                match event {
                    ConnectionEvent::Opened => self.ends[id.0].opened = true,
                    ConnectionEvent::Failed(failure) => self.ends[id.0].failure = Some(failure),
                    _ => {}
                }
                there.runnable.push_back(id);
            }
        }
    }

    fn run_program(&mut self, id: EndId) {
        loop {
            let end = &self.ends[id.0];
            let starts = end.opened || end.at_once || end.failure.is_some();
            if end.id.is_none() || !starts {
                return;
            }
            let progress = match end.program.front() {
                Some(step) => {
                    let step = *step;
                    self.advance(id, step)
                }
                None if end.failure.is_some() => Progress::Failed(Failure::ConnectionReset),
                None => return,
            };
            let end = &mut self.ends[id.0];
            match progress {
                Progress::Done => {
                    end.program.pop_front();
                    end.done = 0;
                }
                Progress::Waits => return,
                Progress::Failed(failure) => {
                    end.failure = end.failure.or(Some(failure));
                    end.program.clear();
                    if !end.closed {
                        let _ = self.close(id);
                    }
                    return;
                }
            }
        }
    }

    /// Does what can be done of a step.
    fn advance(&mut self, id: EndId, step: Do) -> Progress {
        let now = self.now;
        let Some(end) = self.ends.get_mut(id.0) else { return Progress::Done };
        if end.id.is_none() {
            return Progress::Done;
        }
        let done = end.done;
        match step {
            Do::AtOnce => Progress::Done,
            Do::Send(bytes) => self.send(id, bytes.saturating_sub(done)),
            Do::Receive(bytes) => self.receive(id, bytes.saturating_sub(done)),
            Do::ReceiveAll => self.receive(id, u64::MAX),
            Do::Exchange(bytes) => {
                if !end.end_of_file
                    && let Progress::Failed(failure) = self.receive_uncounted(id)
                {
                    return Progress::Failed(failure);
                }
                self.send(id, bytes.saturating_sub(done))
            }
            Do::Echo => loop {
                let owed = self.ends[id.0].owed;
                if owed > 0 {
                    let sent = self.ends[id.0].sent;
                    let progress = self.send(id, owed);
                    let end = &mut self.ends[id.0];
                    end.owed -= end.sent - sent;
                    if !matches!(progress, Progress::Done) {
                        return progress;
                    }
                }
                if self.ends[id.0].end_of_file {
                    return Progress::Done;
                }
                let received = self.ends[id.0].received;
                let progress = self.receive(id, u64::from(CHUNK as u32));
                let end = &mut self.ends[id.0];
                end.owed = end.received - received;
                if end.owed == 0 && !end.end_of_file {
                    return progress;
                }
            },
            Do::Pace { bytes, every } => {
                end.pace = Some((bytes.max(1), every));
                Progress::Done
            }
            Do::Wait(time) => {
                let until = *end.waits_until.get_or_insert(now + time);
                if now >= until {
                    end.waits_until = None;
                    return Progress::Done;
                }
                self.wakeups.insert((until, id));
                Progress::Waits
            }
            Do::Shutdown => {
                end.shut = true;
                // What it answers where the connection is closing already is no news for a program.
                let _ = self.call_now(id, "shutdown", |demux, id| demux.shutdown(now, id));
                Progress::Done
            }
            Do::Close => self.close(id),
            Do::Abort => {
                end.shut = true;
                end.closed = true;
                end.aborted = true;
                let _ = self.call_now(id, "abort", |demux, id| demux.abort(now, id));
                self.let_go(id);
                Progress::Done
            }
        }
    }

    fn close(&mut self, id: EndId) -> Progress {
        let now = self.now;
        let end = &mut self.ends[id.0];
        end.shut = true;
        end.closed = true;
        let _ = self.call_now(id, "close", |demux, id| demux.close(now, id));
        self.let_go(id);
        Progress::Done
    }

    /// The program has no handle on its connection any more.
    fn let_go(&mut self, id: EndId) {
        let end = &mut self.ends[id.0];
        end.program.clear();
        if let Some(connection) = end.id.take() {
            self.hosts[end.host.0].ends.remove(&host::key(connection));
        }
    }

    fn send(&mut self, id: EndId, mut left: u64) -> Progress {
        let now = self.now;
        let mut bytes = [0; CHUNK];
        while left > 0 {
            let end = &self.ends[id.0];
            let pattern = Pattern::of(&end.pair);
            let count = left.min(CHUNK as u64) as usize;
            for (byte, place) in bytes[..count].iter_mut().zip(end.sent..) {
                *byte = pattern.byte(place);
            }
            match self.call_now(id, "send", |demux, id| demux.send(now, id, &bytes[..count])) {
                Ok(taken) => {
                    let end = &mut self.ends[id.0];
                    end.sent += taken as u64;
                    end.done += taken as u64;
                    left -= taken as u64;
                    // All there was room for.
                    if taken < count {
                        return Progress::Waits;
                    }
                }
                Err(CallError::WouldBlock) => return Progress::Waits,
                Err(CallError::Failed(failure)) => return Progress::Failed(failure),
            }
        }
        Progress::Done
    }

    /// Reads what is there without counting it as part of the current step.
    fn receive_uncounted(&mut self, id: EndId) -> Progress {
        let done = self.ends[id.0].done;
        let progress = self.receive(id, u64::MAX);
        self.ends[id.0].done = done;
        progress
    }

    fn receive(&mut self, id: EndId, mut left: u64) -> Progress {
        let now = self.now;
        let mut bytes = [0; CHUNK];
        while left > 0 {
            let end = &self.ends[id.0];
            if end.end_of_file {
                return Progress::Done;
            }
            if end.reads_from > now {
                self.wakeups.insert((end.reads_from, id));
                return Progress::Waits;
            }
            let most = end.pace.map_or(CHUNK, |(bytes, _)| (bytes as usize).min(CHUNK));
            let count = left.min(most as u64) as usize;
            match self.call_now(id, "recv", |demux, id| demux.recv(now, id, &mut bytes[..count])) {
                Ok(0) => {
                    self.ends[id.0].end_of_file = true;
                    return Progress::Done;
                }
                Err(CallError::Failed(Failure::ConnectionClosing)) => {
                    // RFC 9293 tells the end by an error; what was given up before it opened has none.
                    let end = &mut self.ends[id.0];
                    end.end_of_file = end.opened;
                    return Progress::Done;
                }
                Ok(read) => {
                    let end = &mut self.ends[id.0];
                    let pattern = Pattern::of(&end.pair.reversed());
                    let wrong = bytes[..read]
                        .iter()
                        .zip(end.received..)
                        .find(|(byte, place)| pattern.byte(*place) != **byte);
                    end.damaged = end.damaged.or(wrong.map(|(_, place)| place));
                    end.received += read as u64;
                    end.done += read as u64;
                    left -= read as u64;
                    if let Some((_, every)) = end.pace {
                        end.reads_from = now + every;
                    }
                }
                Err(CallError::WouldBlock) => return Progress::Waits,
                Err(CallError::Failed(failure)) => return Progress::Failed(failure),
            }
        }
        Progress::Done
    }

    /// A call of a program, what it does and what is sent because of it.
    fn call_now<R>(
        &mut self,
        id: EndId,
        name: &'static str,
        call: impl FnOnce(&mut Demux, crate::demux::ConnectionId) -> Result<R, CallError>,
    ) -> Result<R, CallError> {
        const GONE: CallError = CallError::Failed(Failure::ConnectionDoesNotExist);
        let end = &self.ends[id.0];
        let (host, pair) = (end.host, end.pair);
        let connection = end.id.ok_or(GONE)?;
        let demux = self.hosts[host.0].demux.as_mut().ok_or(GONE)?;
        let before = demux.connection(connection).map_or(State::Closed, Connection::state);
        let result = call(demux, connection);
        // A connection that is gone has left no steps of its own.
        let steps = if matches!(result, Err(GONE)) { Steps::default() } else { *demux.steps() };
        let after = demux.connection(connection).map_or(State::Closed, Connection::state);
        let mut place = None;
        if !matches!(result, Err(CallError::WouldBlock)) {
            let event =
                EndEvent { time: self.now, host, pair, cause: Cause::Call(name), before, after, steps };
            place = self.journal.note(event);
        }
        self.send_all(host, place);
        result
    }
}

/// What a report means for a connection (RFC 9293 §3.9.2.2).
fn error_of(message: &IcmpMessage) -> IcmpError {
    let seq = message.quoted.seq;
    match message.kind {
        IcmpKind::PacketTooBig { mtu } => {
            IcmpError::PacketTooBig { seq, mtu: u16::try_from(mtu).unwrap_or(u16::MAX) }
        }
        kind if kind.is_hard() => IcmpError::Unreachable { seq },
        _ => IcmpError::Transient { seq },
    }
}

#[cfg(test)]
mod tests;
