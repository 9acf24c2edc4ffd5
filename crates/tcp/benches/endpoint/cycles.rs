//! Complete connections a second: connect, request, answer, close, on two hosts with their tables.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant as Clock;

use eleven_tcp::demux::{Demux, DemuxEvent, HostOptions, ListenerId};
use eleven_tcp::ip::{Packet, emit_segment};
use eleven_tcp::listener::ListenerOptions;
use eleven_tcp::{Envelope, Instant, Policy, Segment};

use crate::{median, smol};

pub(crate) fn run(quick: bool) {
    let (rounds, count) = if quick { (1, 200) } else { (5, 400_000) };
    let (mut mine, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        mine.push(rate(count, our_cycles));
        theirs.push(rate(count / 4, smol::cycles));
    }
    let ((mine, low, high), (theirs, ..)) = (median(mine), median(theirs));
    println!("connect, request, answer, close: complete cycles a second, one core, both ends");
    println!("  eleven-tcp {mine:9.0} ({low:.0} to {high:.0}), with tables of all connections and TIME_WAIT");
    println!("  smoltcp    {theirs:9.0}, one socket used again and again");
    println!("  ratio      {:9.2}", mine / theirs);
}

fn rate(count: usize, cycles: impl FnOnce(usize)) -> f64 {
    let start = Clock::now();
    cycles(count);
    count as f64 / start.elapsed().as_secs_f64()
}

struct Hosts {
    now: Instant,
    client: Demux,
    server: Demux,
    listener: ListenerId,
    packet: Vec<u8>,
}

fn carry(now: Instant, from: &mut Demux, to: &mut Demux, packet: &mut Vec<u8>) -> usize {
    let mut count = 0;
    // By reference: moved, it would be copied first.
    while let Some(out) = &from.poll_transmit(now) {
        packet.clear();
        let envelope = &out.envelope;
        emit_segment(&out.segment, envelope.source, envelope.destination, envelope.ecn, 64, packet).unwrap();
        let parsed = Packet::parse(packet).unwrap();
        assert!(Segment::verify_checksum(parsed.tcp, parsed.source, parsed.destination));
        let segment = Segment::parse(parsed.tcp).unwrap();
        let envelope = Envelope { source: parsed.source, destination: parsed.destination, ecn: parsed.ecn };
        to.handle_segment(now, &envelope, &segment);
        count += 1;
    }
    count
}

impl Hosts {
    fn settle(&mut self) {
        while carry(self.now, &mut self.client, &mut self.server, &mut self.packet)
            + carry(self.now, &mut self.server, &mut self.client, &mut self.packet)
            > 0
        {}
    }
}

fn our_cycles(count: usize) {
    // Answers follow at once here; acknowledgments can wait for them, as with smoltcp.
    let delayed_ack = eleven_tcp::policy::DelayedAck { quick: 0, ..Policy::linux().delayed_ack };
    let policy = Arc::new(Policy { delayed_ack, ..Policy::linux() });
    let mut server = Demux::new(policy.clone());
    let remote: SocketAddr = "10.0.0.2:80".parse().unwrap();
    let listener = server.listen(remote, ListenerOptions::default()).unwrap();
    let options = HostOptions { ports: (1_024, 65_535), reuse_time_wait: true, ..HostOptions::default() };
    let client = Demux::with_options(policy, options);
    let mut hosts = Hosts { now: Instant::from_secs(1), client, server, listener, packet: Vec::new() };
    let local = "10.0.0.1".parse().unwrap();
    let mut text = [0; 256];
    for _ in 0..count {
        let now = hosts.now;
        let id = hosts.client.connect(now, local, remote).unwrap();
        hosts.client.send(now, id, &[b'q'; 100]).unwrap();
        hosts.settle();
        let accepted = hosts.server.accept(hosts.listener).unwrap();
        assert_eq!(hosts.server.recv(now, accepted, &mut text).unwrap(), 100);
        hosts.server.send(now, accepted, &[b'a'; 200]).unwrap();
        hosts.settle();
        assert_eq!(hosts.client.recv(now, id, &mut text).unwrap(), 200);
        hosts.client.close(now, id).unwrap();
        hosts.settle();
        hosts.server.close(now, accepted).unwrap();
        hosts.settle();
        while hosts.server.poll_event().is_some() {}
        while !matches!(hosts.client.poll_event(), None | Some(DemuxEvent::Incoming(_))) {}
        // Twenty thousand cycles a second of their time: ports are free again when they come round.
        hosts.now = hosts.now.plus_micros(1_100);
        hosts.client.handle_timeout(hosts.now);
        hosts.server.handle_timeout(hosts.now);
    }
}
