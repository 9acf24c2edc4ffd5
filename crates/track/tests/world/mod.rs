//! A small random world: two hosts, their policies and programs, the way between them, and who listens where.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use eleven_tcp::demux::HostOptions;
use eleven_tcp::ip::{IcmpKind, Unreachable};
use eleven_tcp::policy::{EcnPolicy, Keepalive, Secret};
use eleven_tcp::sim::{Do, HostId, Link, Loss, Program, Random, Reordering, Simulation, Vantage};
use eleven_tcp::{FourTuple, Instant, Policy};

/// What a world is made of.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) seed: u64,
    policies: [Policy; 2],
    links: [Link; 2],
    programs: [Program; 2],
    /// Nobody listens.
    refuses: bool,
    /// Both connect, the second so many milliseconds later.
    simultaneous: Option<u64>,
    /// Who, when, and when it is there again, in milliseconds.
    crash: Option<(usize, u64, Option<u64>)>,
    /// From whom, when, and how long, in milliseconds; whether a router reports.
    cut: Option<(usize, u64, u64, bool)>,
    pub(crate) vantage: Vantage,
    /// The share of what was captured that is lost before it is looked at.
    pub(crate) capture_loss: f64,
}

/// A world that has run.
pub(crate) struct Outcome {
    pub(crate) world: World,
    pub(crate) simulation: Simulation,
    /// As host 0 sees it.
    pub(crate) pair: FourTuple,
}

fn share(r: &mut Random, most: f64) -> f64 {
    most * (r.below(1_000) as f64 / 1_000.0)
}

impl World {
    pub(crate) fn random(seed: u64) -> Self {
        let mut random = Random::stream(0x7ac4, seed, 0);
        let r = &mut random;
        let policies = [policy(r), policy(r)];
        let calm = r.chance(0.3);
        let links = [link(r, calm), link(r, calm)];
        let simultaneous = r.chance(0.12).then(|| r.below(40));
        let programs = [program(r, true), program(r, false)];
        let refuses = r.chance(0.04);
        let crash = r
            .chance(0.1)
            .then(|| (r.below(2) as usize, r.below(1_500), r.chance(0.7).then(|| 1 + r.below(5_000))));
        let cut =
            r.chance(0.08).then(|| (r.below(2) as usize, r.below(800), 1 + r.below(20_000), r.chance(0.4)));
        let (one, other) = (HostId(0), HostId(1));
        let vantage = match r.below(4) {
            0 => Vantage::Host(one),
            1 => Vantage::Host(other),
            _ => Vantage::Between(one, other),
        };
        let capture_loss = if r.chance(0.3) { 0.01 + share(r, 0.4) } else { 0.0 };
        Self { seed, policies, links, programs, refuses, simultaneous, crash, cut, vantage, capture_loss }
    }

    pub(crate) fn run(&self) -> Outcome {
        let addresses: [IpAddr; 2] = [[10, 0, 0, 1].into(), [10, 0, 0, 2].into()];
        let mut simulation = Simulation::new(self.seed);
        let hosts: Vec<HostId> = ["client", "server"]
            .iter()
            .enumerate()
            .map(|(index, name)| {
                let mut policy = self.policies[index].clone();
                let mut random = Random::stream(0x5ec, self.seed, index as u64);
                let mut secret = [0; 16];
                secret.fill_with(|| random.next_u64() as u8);
                policy.secret = Secret(secret);
                simulation.add_host_with(name, &[addresses[index]], policy, HostOptions::default())
            })
            .collect();
        for host in 0..2 {
            simulation.network_mut().set_one_way(hosts[host], hosts[1 - host], self.links[host]);
        }
        simulation.set_packet_limit(4_000);
        simulation.record();
        let start = Instant::from_secs(1);
        let after = |ms| start + Duration::from_millis(ms);
        let client = SocketAddr::new(addresses[0], 40_000);
        let server = SocketAddr::new(addresses[1], 80);
        if let Some(later) = self.simultaneous {
            simulation.connect(after(later), hosts[1], server, client, self.programs[1].clone());
        } else if !self.refuses {
            simulation.listen(start, hosts[1], server, self.programs[1].clone());
        }
        simulation.connect(start, hosts[0], client, server, self.programs[0].clone());
        if let Some((host, when, back)) = self.crash {
            simulation.crash(after(when), hosts[host]);
            if let Some(back) = back {
                simulation.restart(after(when + back), hosts[host]);
            }
        }
        if let Some((from, begins, length, report)) = self.cut {
            let during = after(begins)..after(begins + length);
            let report = report.then_some(IcmpKind::Unreachable(Unreachable::Host));
            simulation.network_mut().cut(hosts[from], hosts[1 - from], during, report);
        }
        simulation.run_until(start + Duration::from_secs(400));
        let ends = simulation.ends().len();
        for index in 0..ends {
            let id = eleven_tcp::sim::EndId(index);
            if !simulation.end(id).closed && !self.seed.is_multiple_of(3) {
                simulation.call(simulation.now(), id, Do::Close);
            }
        }
        simulation.run_until(start + Duration::from_secs(700));
        Outcome { world: self.clone(), simulation, pair: FourTuple::new(client, server) }
    }
}

fn policy(r: &mut Random) -> Policy {
    let mut policy = if r.chance(0.5) { Policy::rfc9293() } else { Policy::linux() };
    policy.sack = r.chance(0.8);
    policy.timestamps = r.chance(0.7);
    policy.window_scaling = r.chance(0.8);
    policy.nagle = r.chance(0.7);
    if r.chance(0.3) {
        policy.receive_buffer = 200 + r.below(3_000) as u32;
        policy.receive_buffer_max = policy.receive_buffer;
    }
    if r.chance(0.3) {
        policy.send_buffer = 200 + r.below(3_000) as u32;
    }
    if r.chance(0.3) {
        policy.mss = Some(100 + r.below(1_000) as u16);
    }
    if r.chance(0.3) {
        policy.ecn = EcnPolicy::Offer;
    }
    if r.chance(0.3) {
        let time = Duration::from_secs(1 + r.below(20));
        policy.keepalive = Some(Keepalive { time, interval: Duration::from_secs(2), probes: 3 });
    } else {
        let time = Duration::from_secs(60);
        policy.keepalive = Some(Keepalive { time, interval: Duration::from_secs(10), probes: 3 });
    }
    policy.retries = 5;
    policy.orphan_retries = 3;
    if r.chance(0.1) {
        policy.user_timeout = Some(Duration::from_secs(1 + r.below(30)));
    }
    policy.protect_time_wait = r.chance(0.1);
    policy
}

fn link(r: &mut Random, calm: bool) -> Link {
    let ms = Duration::from_millis;
    let mut link = Link::with_delay(Duration::from_micros(500 + r.below(40_000)));
    if calm {
        return link;
    }
    if r.chance(0.5) {
        link.loss = Loss::Random(share(r, 0.25));
    }
    if r.chance(0.2) {
        link.duplication = share(r, 0.2);
    }
    if r.chance(0.3) {
        link.reordering = Reordering { probability: share(r, 0.3), delay: ms(1 + r.below(60)) };
    }
    if r.chance(0.2) {
        link.jitter = ms(1 + r.below(30));
    }
    if r.chance(0.1) {
        link.corruption = share(r, 0.1);
    }
    link
}

fn program(r: &mut Random, is_client: bool) -> Program {
    let mut steps = Vec::new();
    let bytes = |r: &mut Random| if r.chance(0.2) { 0 } else { 1 + r.below(6_000) };
    if r.chance(0.15) {
        steps.push(Do::AtOnce);
    }
    if r.chance(0.1) {
        steps.push(Do::Pace {
            bytes: 50 + r.below(500) as u32,
            every: Duration::from_millis(1 + r.below(200)),
        });
    }
    for _ in 0..r.below(4) {
        steps.push(match r.below(9) {
            0 | 1 => Do::Send(bytes(r)),
            2 => Do::Receive(bytes(r)),
            3 | 4 => Do::Exchange(bytes(r)),
            5 if !is_client => Do::Echo,
            5 | 6 => Do::ReceiveAll,
            7 => Do::Wait(Duration::from_millis(1 + r.below(8_000))),
            _ => Do::Shutdown,
        });
    }
    steps.push(match r.below(10) {
        0 => Do::Abort,
        1 => Do::Shutdown,
        _ => Do::Close,
    });
    Program(steps)
}
