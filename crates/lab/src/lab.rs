//! What a scenario is played with: hosts, calls, a wire, a clock, and a witness.
//!
//! Calls return at once and nothing moves on the wire meanwhile, so that two ends can act before either hears of the
//! other. Packets move, and time passes, in the methods that wait.

mod calls;
pub(crate) mod crowds;
mod waiting;

pub use calls::Answer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use eleven_snapshot::Socket;
use eleven_tcp::{FourTuple, Instant, State};

use crate::capture::Capture;
use crate::clock::Clock;
use crate::error::{LabError, Stop};
use crate::evidence::{Event, Evidence, Sample, What};
use crate::host::{EndpointHost, Host, HostId, PEER, SUBJECT, SocketId};
use crate::scenario::Setting;
use crate::wire::{Fate, FaultId, Passage, Wire};

/// A socket of one of the hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle {
    /// Whose.
    pub host: HostId,
    /// Which.
    pub socket: SocketId,
}

/// Somebody who follows what happens, as it happens.
pub trait Observer: Send {
    /// The last of [`Evidence::events`] has just happened.
    fn event(&mut self, evidence: &Evidence);

    /// The scenario is about to do something more. While this returns true it waits, and the hosts are served.
    fn waits(&mut self) -> bool {
        false
    }

    /// The scenario has been played; what follows happens while it is held.
    fn played(&mut self) {}
}

/// Nobody.
impl Observer for () {
    fn event(&mut self, _: &Evidence) {}
}

/// Something that is done again and again.
type Meanwhile = Box<dyn FnMut(&mut Lab) -> Result<(), Stop>>;

/// So many packets arrive before it is seen what a host answers: its device's queue holds 500.
const BURST: usize = 100;

/// However much the user wants: a quarter of an hour in milliseconds.
const LARGEST_PARAMETER: u64 = 1_000_000;

/// How long something that is waited for may take, if the scenario does not say otherwise.
const PATIENCE: Duration = Duration::from_secs(10);

/// A laboratory in which a scenario is played.
pub struct Lab {
    hosts: Vec<Box<dyn Host>>,
    wire: Wire,
    clock: Clock,
    evidence: Evidence,
    observer: Box<dyn Observer>,
    interrupt: Arc<AtomicBool>,
    capture: Option<Capture>,
    settings: Vec<(String, String)>,
    /// Whether rows are looked at after each packet and call.
    sampling: bool,
    /// Whether nothing is kept as evidence.
    quiet: bool,
    /// What goes on while the scenario is held, and how often.
    meanwhile: Option<(Duration, Meanwhile)>,
    /// Whether a host has had a row of the connection.
    existed: Vec<bool>,
    patience: Duration,
    /// How a kernel's namespace is entered.
    entrance: Option<String>,
}

/// What a laboratory is made of, besides its hosts.
pub(crate) struct Parts {
    pub(crate) clock: Clock,
    pub(crate) delay: Duration,
    pub(crate) observer: Box<dyn Observer>,
    pub(crate) interrupt: Arc<AtomicBool>,
    pub(crate) capture: Option<Capture>,
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) entrance: Option<String>,
}

impl Lab {
    pub(crate) fn new(subject: Box<dyn Host>, parts: Parts) -> Result<Self, LabError> {
        let peer = Box::new(EndpointHost::new(PEER, parts.clock.now()));
        let mut lab = Self {
            hosts: vec![subject, peer],
            wire: Wire::new(parts.delay),
            clock: parts.clock,
            evidence: Evidence::default(),
            observer: parts.observer,
            interrupt: parts.interrupt,
            capture: parts.capture,
            settings: parts.settings,
            sampling: true,
            quiet: false,
            meanwhile: None,
            existed: vec![false; 2],
            patience: PATIENCE,
            entrance: parts.entrance,
        };
        for (name, value) in lab.settings.clone() {
            if !Setting::is_sysctl(&name) {
                continue;
            }
            match name.strip_prefix("peer.") {
                Some(name) => lab.host_mut(PEER).set_sysctl(name, &value)?,
                None => lab.host_mut(SUBJECT).set_sysctl(&name, &value)?,
            }
        }
        lab.evidence.counters.0 = lab.host_mut(SUBJECT).counters()?;
        Ok(lab)
    }

    /// What was seen so far.
    pub const fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// The wire, to be harmed and mended.
    pub const fn wire(&mut self) -> &mut Wire {
        &mut self.wire
    }

    /// Whether the subject is a real kernel.
    pub fn is_kernel(&self) -> bool {
        self.hosts.first().is_some_and(|host| host.kind() == "kernel")
    }

    /// The command that enters the namespace; `None` in the simulator.
    pub fn entrance(&self) -> Option<&str> {
        self.entrance.as_deref()
    }

    /// The time of the laboratory.
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// A number that the scenario takes from its settings, so that the user can set it; 0 where it is none.
    pub fn parameter(&self, name: &str) -> u64 {
        let value = self.settings.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value);
        value.and_then(|value| value.parse().ok()).unwrap_or(0).min(LARGEST_PARAMETER)
    }

    /// Sets how long what is waited for may take from now on.
    pub const fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// With false, rows are looked at only where something is waited for: for scenarios of very many packets.
    pub const fn set_sampling(&mut self, on: bool) {
        self.sampling = on;
    }

    /// Adds a host whose packets go to the others by their addresses.
    pub fn add_host(&mut self, host: Box<dyn Host>) -> HostId {
        self.hosts.push(host);
        self.existed.push(false);
        HostId(self.hosts.len() - 1)
    }

    /// A host, for calls that are not worth an event.
    pub fn host_mut(&mut self, host: HostId) -> &mut dyn Host {
        // Identifiers come from the laboratory; a wrong one is the subject's.
        let index = if host.0 < self.hosts.len() { host.0 } else { 0 };
        &mut *self.hosts[index]
    }

    /// Says what comes next, for those who follow.
    pub fn step(&mut self, text: impl Into<String>) {
        let state = self.evidence.state(SUBJECT);
        self.record(SUBJECT, What::Step(text.into()), state, state);
    }

    /// Looks at another connection from now on: that of this socket.
    pub fn focus_on(&mut self, pair: FourTuple) {
        self.evidence.focus = Some(pair);
        self.existed.fill(false);
    }

    /// The peer loses everything it knows, and tells nobody.
    ///
    /// # Errors
    /// If the witness cannot look.
    pub fn crash(&mut self, host: HostId) -> Result<(), Stop> {
        self.gate()?;
        self.host_mut(host).crash();
        let (before, after) = self.sample(host)?;
        let what = What::Call { text: "crash".to_owned(), answer: Ok(String::new()) };
        self.record(host, what, before, after);
        Ok(())
    }

    /// What a fault has held arrives, and the fault is over.
    ///
    /// # Errors
    /// If the user interrupts.
    pub fn release(&mut self, fault: FaultId) -> Result<(), Stop> {
        self.gate()?;
        let now = self.now();
        for number in self.wire.release(now, fault) {
            if let Some(passage) = self.evidence.passages.get_mut(number) {
                passage.held = false;
            }
        }
        Ok(())
    }

    pub(crate) fn tell_played(&mut self) {
        self.observer.played();
    }

    /// Reads what the subject has counted up to now.
    pub(crate) fn look_at_counters(&mut self) -> Result<(), LabError> {
        self.evidence.counters.1 = self.host_mut(SUBJECT).counters()?;
        Ok(())
    }

    pub(crate) fn finish(mut self) -> (Evidence, Result<(), LabError>) {
        let written = self.capture.take().map_or(Ok(()), Capture::finish);
        (self.evidence, written)
    }

    fn record(&mut self, host: HostId, what: What, before: State, after: State) {
        if !self.quiet {
            self.tell(host, what, before, after);
        }
    }

    fn tell(&mut self, host: HostId, what: What, before: State, after: State) {
        let at = self.clock.now();
        self.evidence.events.push(Event { at, host, what, before, after });
        self.observer.event(&self.evidence);
    }

    /// Looks at a host's rows, and tells the state of its end before and after.
    fn sample(&mut self, host: HostId) -> Result<(State, State), LabError> {
        let before = self.evidence.state(host);
        if !self.sampling || !self.takes_part(host) {
            return Ok((before, before));
        }
        let rows = self.host_mut(host).rows()?;
        Ok((before, self.note_rows(host, &rows)))
    }

    /// Whether the connection that is looked at may be one of this host's.
    fn takes_part(&self, host: HostId) -> bool {
        let own = |address| address == host.v4() || address == host.v6();
        self.evidence.focus.is_none_or(|focus| own(focus.local_address) || own(focus.remote_address))
    }

    /// Notes how a host's end of the connection looks in its rows.
    fn note_rows(&mut self, host: HostId, rows: &[Socket]) -> State {
        let focus = match self.evidence.focus {
            Some(focus) => Some(focus),
            None => rows.iter().find_map(pair_of).map(|pair| crowds::seen_by(host, pair)),
        };
        self.evidence.focus = focus;
        let pair = focus.map(|pair| crowds::seen_by(host, pair));
        let of_pair = |row: &&Socket| pair.is_some() && pair_of(row) == pair;
        // A new connection may stand beside the TIME_WAIT of the one before.
        let row = rows.iter().filter(of_pair).min_by_key(|row| row.state == State::TimeWait);
        let port = pair.map(|pair| pair.local_port);
        let existed = &mut self.existed[host.0];
        *existed |= row.is_some();
        let row = row.or_else(|| {
            let own = |row: &&Socket| port.is_none() || row.local_port == port;
            if *existed { None } else { rows.iter().find(own) }
        });
        let state = row.map_or(State::Closed, |row| row.state);
        let at = self.clock.now();
        let sample = Sample { at, host, state, row: row.cloned() };
        if self.evidence.latest(host).is_none_or(|latest| differs(latest, &sample)) {
            self.evidence.samples.push(sample);
        }
        state
    }

    /// Moves packets until nothing moves any more at this time.
    fn work(&mut self) -> Result<(), Stop> {
        loop {
            let now = self.clock.now();
            for index in 0..self.hosts.len() {
                self.hosts[index].advance(now);
            }
            let mut quiet = true;
            for index in 0..self.hosts.len() {
                while let Some(packet) = self.hosts[index].take_packet()? {
                    quiet = false;
                    self.depart(HostId(index), packet.into())?;
                }
            }
            let now = self.clock.now();
            for _ in 0..BURST {
                let Some(passage) = self.wire.arrived(now) else { break };
                quiet = false;
                self.arrive(&passage)?;
            }
            if quiet {
                return Ok(());
            }
            self.check_interrupt()?;
        }
    }

    fn depart(&mut self, from: HostId, packet: Arc<[u8]>) -> Result<(), Stop> {
        let now = self.clock.now();
        if from == SUBJECT
            && let Some(capture) = &mut self.capture
        {
            capture.packet(self.clock.nanos(now), &packet, true)?;
        }
        let Ok(parsed) = eleven_tcp::ip::Packet::parse(&packet) else { return Ok(()) };
        // To a stranger.
        let Some(to) = self.host_at(parsed.destination) else { return Ok(()) };
        let number = if self.quiet {
            // For the numbers of what follows.
            self.evidence.label(&packet);
            usize::MAX
        } else {
            self.evidence.add_passage(from, now, &packet)
        };
        let (before, after) = self.sample(from)?;
        let fate = self.wire.send(now, Passage { number, from, to, packet, copy: false });
        if let Some(passage) = self.evidence.passages.get_mut(number) {
            passage.held = fate == Fate::Held;
        }
        self.record(from, What::Sent(number), before, after);
        Ok(())
    }

    fn arrive(&mut self, passage: &Passage) -> Result<(), Stop> {
        let now = self.clock.now();
        if passage.to == SUBJECT
            && let Some(capture) = &mut self.capture
        {
            capture.packet(self.clock.nanos(now), &passage.packet, false)?;
        }
        let host = self.host_mut(passage.to);
        host.advance(now);
        host.receive_packet(&passage.packet)?;
        let (before, after) = self.sample(passage.to)?;
        let mut number = passage.number;
        match self.evidence.passages.get_mut(number) {
            // A second arrival is drawn as a packet of its own.
            Some(record) if passage.copy && record.received.is_some() => {
                let copy = crate::evidence::PassageRecord { received: Some(now), ..record.clone() };
                self.evidence.passages.push(copy);
                number = self.evidence.passages.len() - 1;
            }
            Some(record) => record.received = Some(now),
            None => {}
        }
        self.record(passage.to, What::Received(number), before, after);
        Ok(())
    }

    fn host_at(&self, address: std::net::IpAddr) -> Option<HostId> {
        (0..self.hosts.len()).map(HostId).find(|host| host.v4() == address || host.v6() == address)
    }

    /// Whether the user wants no more.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupt.load(Ordering::Relaxed)
    }

    fn check_interrupt(&self) -> Result<(), Stop> {
        if self.is_interrupted() { Err(Stop::Interrupted) } else { Ok(()) }
    }
}

fn pair_of(row: &Socket) -> Option<FourTuple> {
    Some(FourTuple {
        local_address: row.local_address.to_canonical(),
        remote_address: row.remote_address.to_canonical(),
        local_port: row.local_port?,
        remote_port: row.remote_port?,
    })
}

/// Whether a row has changed in anything but the time that has passed.
fn differs(before: &Sample, after: &Sample) -> bool {
    let seen = |sample: &Sample| {
        let row = sample.row.as_ref()?;
        let timer = row.timer.map(|timer| (timer.kind, timer.retransmits));
        Some((row.kind, row.recv_queue, row.send_queue, row.backlog, timer, row.no_owner, row.local_port))
    };
    before.state != after.state || seen(before) != seen(after)
}
