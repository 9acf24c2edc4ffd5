//! A random world, and what is checked about it.

mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use eleven_tcp::demux::HostOptions;
use eleven_tcp::ip::{IcmpKind, Unreachable};
use eleven_tcp::policy::{CongestionAlgorithm, DelayedAck, EcnPolicy, Keepalive, MtuProbing, Secret};
use eleven_tcp::sim::{
    Cause, Do, EndEvent, GilbertElliott, HostId, Link, Loss, Mtu, Program, Queue, Random, Reordering,
    Simulation, Stop,
};
use eleven_tcp::{FourTuple, Instant, Policy, State};

/// One choice that makes a world what it is. Without it, the world is simpler.
#[derive(Clone, Debug)]
pub(crate) enum Choice {
    /// Host 0 or 1 follows RFC 9293 instead of Linux.
    Rfc(usize),
    NoSack(usize),
    NoTimestamps(usize),
    NoScaling(usize),
    NoNagle(usize),
    DelayedAck(usize, u64),
    ReceiveBuffer(usize, u32),
    ReceiveBufferMax(usize, u32),
    SendBuffer(usize, u32),
    OtherCongestion(usize),
    InitialWindow(usize, u16),
    Mss(usize, u16),
    LocalMtu(usize, u16),
    Keepalive(usize, u64),
    UserTimeout(usize, u64),
    Ecn(usize),
    Pacing(usize),
    Offload(usize, u32),
    LongRto(usize),
    MtuProbing(usize, bool),
    ProtectTimeWait(usize),
    ReuseTimeWait(usize),
    /// Faults of the way from host 0 or 1.
    Loss(usize, f64),
    Burst(usize, f64, f64),
    Duplication(usize, f64),
    Reordering(usize, f64, u64),
    Corruption(usize, f64),
    Jitter(usize, u64),
    Delay(usize, u64),
    Bandwidth(usize, u64, u64),
    MarkAbove(usize, u64),
    Path(usize, u16, bool),
    /// From, beginning and length in milliseconds; whether a router reports.
    Cut(usize, u64, u64, Option<bool>),
    Partition(u64, u64),
    /// Host, when, and after what time it is there again, in milliseconds.
    Crash(usize, u64, Option<u64>),
    /// A step of the client's or the server's program.
    Step(usize, Do),
    /// Both connect to each other, the second so many milliseconds after the first.
    Simultaneous(u64),
    V6,
    /// The world begins at another time, in milliseconds.
    Start(u64),
    /// A second connection between the same sockets after so many milliseconds.
    Again(u64),
}

use Choice as C;

#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) choices: Vec<Choice>,
}

/// What a world that keeps the rules tells about itself.
pub(crate) struct Report {
    pub(crate) packets: u64,
    pub(crate) rules: BTreeSet<&'static str>,
    /// Both programs have got all the other has sent, and its end.
    pub(crate) whole: bool,
}

/// A number from `low` to `high`, each order of magnitude as likely as any other.
fn magnitude(random: &mut Random, low: u64, high: u64) -> u64 {
    let ratio = (high / low.max(1)).max(1);
    let bits = u64::from(ratio.ilog2());
    let scale = low << random.below(bits + 1);
    (scale + random.below(scale + 1)).clamp(low, high)
}

fn share(random: &mut Random, most: f64) -> f64 {
    most * (random.below(1_000) as f64 / 1_000.0)
}

impl World {
    pub(crate) fn random(seed: u64) -> Self {
        let mut random = Random::stream(0x0e1e_7e11, seed, 0);
        let r = &mut random;
        let mut choices = Vec::new();
        // A third of the worlds is mild: there, everything has to end well.
        let mild = r.chance(0.34);
        if r.chance(0.15) {
            choices.push(C::V6);
        }
        if r.chance(0.2) {
            // Just before the clock of timestamps wraps round.
            choices.push(C::Start((1 << 32) - r.below(5_000)));
        }
        for host in 0..2 {
            Self::policy(r, host, &mut choices);
            Self::link(r, host, mild, &mut choices);
        }
        if !mild {
            Self::disasters(r, &mut choices);
        }
        match r.below(10) {
            0 => choices.push(C::Simultaneous(r.below(60).saturating_sub(30))),
            1 => choices.push(C::Again(magnitude(r, 10, 600_000))),
            _ => {}
        }
        Self::programs(r, mild, &mut choices);
        Self { seed, choices }
    }

    fn policy(r: &mut Random, host: usize, choices: &mut Vec<Choice>) {
        let mut may = |probability: f64, choice: &mut dyn FnMut(&mut Random) -> Choice| {
            if r.chance(probability) {
                let choice = choice(r);
                choices.push(choice);
            }
        };
        may(0.5, &mut |_| C::Rfc(host));
        may(0.2, &mut |_| C::NoSack(host));
        may(0.2, &mut |_| C::NoTimestamps(host));
        may(0.2, &mut |_| C::NoScaling(host));
        may(0.3, &mut |_| C::NoNagle(host));
        may(0.3, &mut |r| C::DelayedAck(host, r.below(500)));
        may(0.4, &mut |r| C::ReceiveBuffer(host, magnitude(r, 1, 1 << 18) as u32));
        may(0.2, &mut |r| C::ReceiveBufferMax(host, magnitude(r, 1, 1 << 24) as u32));
        may(0.4, &mut |r| C::SendBuffer(host, magnitude(r, 1, 1 << 18) as u32));
        may(0.3, &mut |_| C::OtherCongestion(host));
        may(0.2, &mut |r| C::InitialWindow(host, 1 + r.below(20) as u16));
        may(0.15, &mut |r| C::Mss(host, magnitude(r, 1, 9_000) as u16));
        may(0.15, &mut |r| C::LocalMtu(host, magnitude(r, 68, 9_000) as u16));
        may(0.3, &mut |r| C::Keepalive(host, 1 + r.below(100)));
        may(0.1, &mut |r| C::UserTimeout(host, 1 + r.below(100)));
        may(0.3, &mut |_| C::Ecn(host));
        may(0.2, &mut |_| C::Pacing(host));
        may(0.1, &mut |r| C::Offload(host, magnitude(r, 1, 65_536) as u32));
        may(0.1, &mut |_| C::LongRto(host));
        may(0.2, &mut |r| C::MtuProbing(host, r.chance(0.5)));
        may(0.1, &mut |_| C::ProtectTimeWait(host));
        may(0.3, &mut |_| C::ReuseTimeWait(host));
    }

    fn link(r: &mut Random, host: usize, mild: bool, choices: &mut Vec<Choice>) {
        let mut may = |probability: f64, choice: &mut dyn FnMut(&mut Random) -> Choice| {
            if r.chance(probability) {
                let choice = choice(r);
                choices.push(choice);
            }
        };
        let worst = if mild { 0.04 } else { 0.4 };
        may(0.4, &mut |r| C::Loss(host, share(r, worst)));
        if !mild {
            may(0.1, &mut |r| C::Burst(host, share(r, 0.3), 1.0 + share(r, 10.0)));
        }
        may(0.2, &mut |r| C::Duplication(host, share(r, 0.3)));
        may(0.3, &mut |r| C::Reordering(host, share(r, 0.3), r.below(100)));
        may(0.15, &mut |r| C::Corruption(host, share(r, worst / 2.0)));
        may(0.2, &mut |r| C::Jitter(host, r.below(50)));
        may(0.7, &mut |r| C::Delay(host, magnitude(r, 1, 400)));
        may(0.2, &mut |r| {
            let bandwidth = magnitude(r, 50_000, 1_000_000_000);
            // Room for the largest packet.
            C::Bandwidth(host, bandwidth, magnitude(r, 12_000, 100_000))
        });
        may(0.2, &mut |r| C::MarkAbove(host, r.below(20_000)));
        may(0.1, &mut |r| C::Path(host, magnitude(r, 68, 1_500) as u16, mild || r.chance(0.5)));
    }

    fn disasters(r: &mut Random, choices: &mut Vec<Choice>) {
        if r.chance(0.2) {
            let report = r.chance(0.5).then(|| r.chance(0.5));
            let from = r.below(2) as usize;
            choices.push(C::Cut(from, r.below(2_000), magnitude(r, 1, 1_000_000), report));
        }
        if r.chance(0.1) {
            choices.push(C::Partition(r.below(2_000), magnitude(r, 1, 10_000_000)));
        }
        if r.chance(0.15) {
            let back = r.chance(0.7).then(|| magnitude(r, 1, 400_000));
            choices.push(C::Crash(r.below(2) as usize, r.below(3_000), back));
        }
    }

    fn programs(r: &mut Random, mild: bool, choices: &mut Vec<Choice>) {
        // The smaller what one call or segment carries, the less is sent in all.
        let smallest = choices.iter().fold(1_u64 << 20, |least, choice| match choice {
            C::ReceiveBuffer(_, bytes) | C::SendBuffer(_, bytes) => least.min(u64::from(*bytes)),
            C::Mss(_, bytes) | C::LocalMtu(_, bytes) | C::Path(_, bytes, _) => {
                least.min(u64::from(*bytes) / 2)
            }
            _ => least,
        });
        let most = (smallest * 100).clamp(20, 30_000);
        let bytes = |r: &mut Random| if r.chance(0.1) { 0 } else { magnitude(r, 1, most) };
        let mut client = Vec::new();
        let mut server = Vec::new();
        if mild {
            client.extend([Do::Exchange(bytes(r)), Do::Shutdown, Do::ReceiveAll, Do::Close]);
            server = match r.below(3) {
                0 => vec![Do::Echo, Do::Close],
                1 => vec![Do::Exchange(bytes(r)), Do::Shutdown, Do::ReceiveAll, Do::Close],
                _ => vec![Do::ReceiveAll, Do::Send(bytes(r)), Do::Close],
            };
        } else {
            for (steps, is_client) in [(&mut client, true), (&mut server, false)] {
                for _ in 0..r.below(5) {
                    steps.push(match r.below(9) {
                        0 | 1 => Do::Send(bytes(r)),
                        2 => Do::Receive(bytes(r)),
                        4 | 5 => Do::Exchange(bytes(r)),
                        // Two that echo would play for ever.
                        6 if !is_client => Do::Echo,
                        3 | 6 => Do::ReceiveAll,
                        7 => Do::Wait(Duration::from_millis(magnitude(r, 1, 100_000))),
                        _ => Do::Shutdown,
                    });
                }
                steps.push(match r.below(10) {
                    0 => Do::Abort,
                    1 => Do::Shutdown,
                    _ => Do::Close,
                });
                if r.chance(0.2) {
                    steps.insert(0, Do::AtOnce);
                }
            }
        }
        for steps in [&mut client, &mut server] {
            if r.chance(0.15) {
                // No slower than half an hour for all.
                let bytes = 1 + magnitude(r, 1, most);
                let every = Duration::from_millis(magnitude(r, 1, 1_000).min(1_000_000 * bytes / (2 * most)));
                steps.insert(0, Do::Pace { bytes: bytes as u32, every });
            }
            if r.chance(0.15) {
                let at = r.below(steps.len() as u64 + 1) as usize;
                steps.insert(at, Do::Wait(Duration::from_millis(magnitude(r, 1, 3_000))));
            }
        }
        choices.extend(client.into_iter().map(|step| C::Step(0, step)));
        choices.extend(server.into_iter().map(|step| C::Step(1, step)));
    }

    fn has(&self, matches: impl Fn(&Choice) -> bool) -> bool {
        self.choices.iter().any(matches)
    }

    fn policy_of(&self, host: usize) -> (Policy, HostOptions) {
        let rfc = self.has(|choice| matches!(choice, C::Rfc(which) if *which == host));
        let mut policy = if rfc { Policy::rfc9293() } else { Policy::linux() };
        let mut options = HostOptions::default();
        let mut random = Random::stream(0x5ec, self.seed, host as u64);
        let mut secret = [0; 16];
        secret.fill_with(|| random.next_u64() as u8);
        policy.secret = Secret(secret);
        if !self.must_end_well() {
            // One end may vanish for the other.
            let keepalive =
                Keepalive { time: Duration::from_secs(60), interval: Duration::from_secs(10), probes: 5 };
            policy.keepalive = Some(keepalive);
        }
        for choice in &self.choices {
            match *choice {
                C::NoSack(which) if which == host => policy.sack = false,
                C::NoTimestamps(which) if which == host => policy.timestamps = false,
                C::NoScaling(which) if which == host => policy.window_scaling = false,
                C::NoNagle(which) if which == host => policy.nagle = false,
                C::DelayedAck(which, ms) if which == host => {
                    let delay = Duration::from_millis(ms);
                    policy.delayed_ack = DelayedAck { delay, quick: (ms % 3) as u8 };
                }
                C::ReceiveBuffer(which, bytes) if which == host => policy.receive_buffer = bytes,
                C::ReceiveBufferMax(which, bytes) if which == host => policy.receive_buffer_max = bytes,
                C::SendBuffer(which, bytes) if which == host => policy.send_buffer = bytes,
                C::OtherCongestion(which) if which == host => {
                    policy.congestion = match policy.congestion {
                        CongestionAlgorithm::Cubic => CongestionAlgorithm::NewReno,
                        CongestionAlgorithm::NewReno => CongestionAlgorithm::Cubic,
                    };
                }
                C::InitialWindow(which, segments) if which == host => policy.initial_window = segments,
                C::Mss(which, bytes) if which == host => policy.mss = Some(bytes),
                C::LocalMtu(which, bytes) if which == host => policy.mtu = bytes,
                C::Keepalive(which, seconds) if which == host => {
                    let (time, interval) =
                        (Duration::from_secs(seconds), Duration::from_secs(seconds / 2 + 1));
                    policy.keepalive = Some(Keepalive { time, interval, probes: 4 });
                }
                C::UserTimeout(which, seconds) if which == host => {
                    policy.user_timeout = Some(Duration::from_secs(seconds));
                }
                C::Ecn(which) if which == host => policy.ecn = EcnPolicy::Offer,
                C::Pacing(which) if which == host => policy.pacing = true,
                C::Offload(which, bytes) if which == host => policy.segmentation_offload = bytes,
                C::LongRto(which) if which == host => policy.rto.min = Duration::from_secs(3),
                C::MtuProbing(which, on) if which == host => {
                    policy.mtu_probe_interval = Duration::from_secs(2);
                    policy.mtu_probing = match (on, host) {
                        (false, _) => MtuProbing::Off,
                        (true, 0) => MtuProbing::AfterBlackHole,
                        (true, _) => MtuProbing::Always,
                    };
                }
                C::ProtectTimeWait(which) if which == host => policy.protect_time_wait = true,
                C::ReuseTimeWait(which) if which == host => options.reuse_time_wait = true,
                _ => {}
            }
        }
        (policy, options)
    }

    fn link_of(&self, host: usize) -> Link {
        let ms = Duration::from_millis;
        let mut link = Link::with_delay(Duration::from_micros(500));
        for choice in &self.choices {
            match *choice {
                C::Loss(which, share) if which == host => link.loss = Loss::Random(share),
                C::Burst(which, share, length) if which == host => {
                    link.loss = Loss::Burst(GilbertElliott::bursts(share, length));
                }
                C::Duplication(which, share) if which == host => link.duplication = share,
                C::Reordering(which, probability, delay) if which == host => {
                    link.reordering = Reordering { probability, delay: ms(delay) };
                }
                C::Corruption(which, share) if which == host => link.corruption = share,
                C::Jitter(which, delay) if which == host => link.jitter = ms(delay),
                C::Delay(which, delay) if which == host => link.delay = ms(delay),
                C::Bandwidth(which, bandwidth, limit) if which == host => {
                    link.bandwidth = Some(bandwidth);
                    link.queue = Queue { limit: Some(limit), ..link.queue };
                }
                C::MarkAbove(which, bytes) if which == host => link.queue.mark_above = Some(bytes),
                C::Path(which, size, reported) if which == host => {
                    link.mtu = if reported { Mtu::Reported(size) } else { Mtu::Silent(size) };
                }
                _ => {}
            }
        }
        link
    }

    fn program_of(&self, host: usize) -> Program {
        let steps = self.choices.iter().filter_map(|choice| match choice {
            C::Step(which, step) if *which == host => Some(*step),
            _ => None,
        });
        Program(steps.collect())
    }

    fn start(&self) -> Instant {
        let start = self.choices.iter().find_map(|choice| match choice {
            C::Start(ms) => Some(Instant::from_millis(*ms)),
            _ => None,
        });
        start.unwrap_or(Instant::from_secs(1))
    }

    fn build(&self) -> (Simulation, FourTuple) {
        let v6 = self.has(|choice| matches!(choice, C::V6));
        let addresses: [IpAddr; 2] = if v6 {
            ["2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap()]
        } else {
            ["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()]
        };
        let mut world = Simulation::new(self.seed);
        let mut hosts = Vec::new();
        for (index, address) in addresses.iter().enumerate() {
            let (policy, options) = self.policy_of(index);
            let name = ["client", "server"][index];
            hosts.push(world.add_host_with(name, &[*address], policy, options));
        }
        for host in 0..2 {
            world.network_mut().set_one_way(hosts[host], hosts[1 - host], self.link_of(host));
        }
        world.set_packet_limit(60_000);
        world.record();
        let start = self.start();
        let after = |ms| start + Duration::from_millis(ms);
        let client = SocketAddr::new(addresses[0], 40_000);
        let server = SocketAddr::new(addresses[1], 80);
        let later = self.choices.iter().find_map(|choice| match choice {
            C::Simultaneous(ms) => Some(*ms),
            _ => None,
        });
        if let Some(later) = later {
            world.connect(after(later), hosts[1], server, client, self.program_of(1));
        } else {
            world.listen(start, hosts[1], server, self.program_of(1));
        }
        world.connect(start, hosts[0], client, server, self.program_of(0));
        for choice in &self.choices {
            match *choice {
                C::Again(ms) => {
                    world.connect(after(ms), hosts[0], client, server, self.program_of(0));
                }
                C::Cut(from, begins, length, report) => {
                    let report = report.map(|hard| {
                        IcmpKind::Unreachable(if hard { Unreachable::Port } else { Unreachable::Host })
                    });
                    let during = after(begins)..after(begins + length);
                    world.network_mut().cut(hosts[from], hosts[1 - from], during, report);
                }
                C::Partition(begins, length) => {
                    let during = after(begins)..after(begins + length);
                    world.network_mut().partition(&[hosts[0]], &[hosts[1]], &during);
                }
                C::Crash(host, when, back) => {
                    world.crash(after(when), hosts[host]);
                    if let Some(back) = back {
                        world.restart(after(when + back), hosts[host]);
                    }
                }
                _ => {}
            }
        }
        (world, FourTuple::new(client, server))
    }

    /// Lets it run, and tells what is wrong.
    pub(crate) fn run(&self) -> Result<Report, String> {
        let (mut world, pair) = self.build();
        let outcome = self.drive(&mut world);
        outcome.and_then(|()| self.check(&world, &pair))
    }

    /// The same, with everything printed.
    pub(crate) fn run_and_draw(&self) -> Result<Report, String> {
        let (mut world, pair) = self.build();
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.drive(&mut world)));
        let text = world.ladder(&pair).text();
        let lines: Vec<&str> = text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            if index < 150 || index + 60 > lines.len() || std::env::var("ALL").is_ok() {
                println!("{line}");
            }
        }
        println!("{:#?}", world.ends());
        match outcome {
            Ok(outcome) => outcome.and_then(|()| self.check(&world, &pair)),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    fn drive(&self, world: &mut Simulation) -> Result<(), String> {
        let start = self.start();
        let hour = Duration::from_secs(3_600);
        let mut random = Random::stream(0x51ce, self.seed, 0);
        let mut slice = Duration::from_millis(1);
        while world.now() < start + hour {
            let until = world.now().max(start) + slice;
            slice = slice * 2 + Duration::from_millis(random.below(50));
            let stop = world.run_until(until.min(start + hour));
            Self::check_stop(world, stop)?;
            self.check_memory(world)?;
            if stop == Stop::Quiet {
                break;
            }
        }
        // Whoever is still waiting gives up.
        for index in 0..world.ends().len() {
            if !world.ends()[index].closed {
                world.call(world.now(), eleven_tcp::sim::EndId(index), Do::Close);
            }
        }
        let stop = world.run_until(world.now() + 6 * hour);
        Self::check_stop(world, stop)
    }

    fn check_stop(world: &Simulation, stop: Stop) -> Result<(), String> {
        match stop {
            Stop::Quiet | Stop::Time => Ok(()),
            Stop::Packets => Err(format!("{} packets and no end", world.packets())),
            Stop::Stuck(host) => Err(format!("host {} is stuck at {}", host.0, world.now())),
        }
    }

    fn check_memory(&self, world: &Simulation) -> Result<(), String> {
        for host in 0..2 {
            let Some(demux) = world.demux(HostId(host)) else { continue };
            let (policy, _) = self.policy_of(host);
            let receive = policy.receive_buffer.max(policy.receive_buffer_max);
            let most = 2 * (receive as usize + policy.send_buffer as usize) + 16_384;
            for (_, connection) in demux.connections() {
                if connection.memory() > most {
                    return Err(format!("{} bytes of memory, {most} allowed", connection.memory()));
                }
            }
        }
        Ok(())
    }

    fn check(&self, world: &Simulation, pair: &FourTuple) -> Result<Report, String> {
        let mut rules = BTreeSet::new();
        Self::check_journal(world, &mut rules)?;
        Self::check_ends(world)?;
        let again = self.has(|choice| matches!(choice, C::Again(_) | C::Crash(..)));
        if !again {
            wire::check(world, pair)?;
        }
        let whole = self.check_transfer(world, pair, again)?;
        Ok(Report { packets: world.packets(), rules, whole })
    }

    /// Every change of a state is one that a rule explains, and each begins where the one before ended.
    fn check_journal(world: &Simulation, rules: &mut BTreeSet<&'static str>) -> Result<(), String> {
        let mut states: BTreeMap<(usize, FourTuple), State> = BTreeMap::new();
        // A listener is there before and behind each connection.
        let plain = |state| if state == State::Listen { State::Closed } else { state };
        for event in &world.journal().events {
            let EndEvent { host, pair, before, after, cause, .. } = *event;
            let known = states.insert((host.0, pair), after).unwrap_or(State::Closed);
            let tell = || {
                let mut text = format!("at {} {cause:?} {pair} {before} → {after}:", event.time);
                for (rule, before, after) in event.changes() {
                    let _ = write!(text, " {} {before} → {after}", rule.id);
                }
                text
            };
            // A program may ask a connection that is no more.
            let late_call =
                matches!(cause, Cause::Call(_)) && before == State::Closed && after == State::Closed;
            if plain(known) != plain(before) && !late_call {
                return Err(format!("it was in {known} before: {}", tell()));
            }
            if late_call {
                states.insert((host.0, pair), known);
            }
            if event.changes_state() && event.steps.is_empty() && cause != Cause::Crash {
                return Err(format!("no rule explains: {}", tell()));
            }
            for (index, (rule, from, to)) in event.changes().enumerate() {
                rules.insert(rule.id);
                let first = index > 0 || plain(from) == plain(before) || late_call;
                let allowed = [rule.to, rule.to_on_linux()].iter().any(|state| plain(*state) == plain(to));
                if !first || !allowed {
                    return Err(format!("no rule explains: {}", tell()));
                }
            }
        }
        Ok(())
    }

    /// In the end nobody has a connection any more.
    fn check_ends(world: &Simulation) -> Result<(), String> {
        for host in 0..2 {
            let Some(demux) = world.demux(HostId(host)) else { continue };
            if let Some((_, connection)) = demux.connections().next() {
                let state = connection.state();
                return Err(format!("host {host} still has {} in {state}", connection.pair()));
            }
            if demux.time_wait_count() > 0 {
                return Err(format!("host {host} is still in TIME_WAIT"));
            }
        }
        Ok(())
    }

    /// What was read is what was sent, from the beginning on, and all of it where the end was seen.
    fn check_transfer(&self, world: &Simulation, pair: &FourTuple, again: bool) -> Result<bool, String> {
        let ends = world.ends();
        if let Some(end) = ends.iter().find(|end| end.damaged.is_some()) {
            return Err(format!("the wrong bytes: {end:?}"));
        }
        if again {
            return Ok(false);
        }
        let Some(client) = ends.iter().find(|end| end.pair == *pair) else { return Ok(false) };
        let mut servers = ends.iter().filter(|end| end.pair == pair.reversed());
        let server = servers.next();
        for (mine, theirs) in [(Some(client), server), (server, Some(client))] {
            let (Some(mine), Some(theirs)) = (mine, theirs) else { continue };
            if mine.received > theirs.sent {
                return Err(format!("more was read than sent: {mine:?} {theirs:?}"));
            }
            // Linux tells a program of a reset in CLOSE_WAIT as well; RFC 9293 lets it read on.
            let ended = mine.end_of_file && mine.failure.is_none();
            if ended && (mine.received != theirs.sent || !theirs.shut) {
                return Err(format!("an end of file too early: {mine:?} {theirs:?}"));
            }
        }
        let whole = server.is_some_and(|server| {
            [client, server].iter().all(|end| end.end_of_file && end.failure.is_none())
        });
        if self.must_end_well() && !whole {
            return Err(format!("it should have ended well: {client:?} {server:?}"));
        }
        Ok(whole)
    }

    /// Whether the way is good enough for everything to arrive.
    fn is_mild(&self) -> bool {
        self.choices.iter().all(|choice| match choice {
            C::Loss(_, share) | C::Corruption(_, share) => *share <= 0.04,
            C::Cut(..)
            | C::Partition(..)
            | C::Crash(..)
            | C::Burst(..)
            | C::Again(_)
            | C::UserTimeout(..)
            // Where one is too late, the other is refused.
            | C::Simultaneous(1..)
            // Below what every path of its version carries, nothing helps.
            | C::Path(_, _, false)
            | C::Keepalive(..) => false,
            C::Path(_, size, true) => *size >= if self.has(|choice| matches!(choice, C::V6)) { 1_280 } else { 600 },
            _ => true,
        })
    }

    /// Whether nothing stands in the way of a complete transfer.
    fn must_end_well(&self) -> bool {
        let steps = |host: usize| {
            let steps = self.program_of(host).0;
            let steps: Vec<Do> =
                steps.into_iter().filter(|step| !matches!(step, Do::Pace { .. } | Do::Wait(_))).collect();
            steps
        };
        let client = matches!(steps(0)[..], [Do::Exchange(_), Do::Shutdown, Do::ReceiveAll, Do::Close]);
        let server = matches!(
            steps(1)[..],
            [Do::Echo | Do::ReceiveAll, Do::Close]
                | [Do::Exchange(_), Do::Shutdown, Do::ReceiveAll, Do::Close]
                | [Do::ReceiveAll, Do::Send(_), Do::Close]
        );
        self.is_mild() && client && server
    }
}
