//! Goodput over a path that loses: 1 % each way, 50 ms round trip, 100 Mbit/s.
//!
//! Both stacks send over the same simulated network, with the same losses. Beside them stands the
//! model of RFC 9438 §5.1 and §5.3: the larger of the windows of CUBIC and of Reno at this loss.

use std::time::Duration;

use eleven_tcp::ip::{Packet, emit_segment};
use eleven_tcp::sim::{HostId, Link, Loss, Network, Queue};
use eleven_tcp::{Envelope, Instant, Policy, Segment};

use crate::{median, ours, smol};

const DELAY: Duration = Duration::from_millis(25);
const LOSS: f64 = 0.01;
const BANDWIDTH: u64 = 100_000_000;
const BUFFER: usize = 1 << 20;

pub(crate) fn run(quick: bool) {
    let (seeds, seconds) = if quick { (1, 5) } else { (9, 60) };
    let end = Instant::from_secs(seconds);
    let mut mine = Vec::new();
    let mut theirs = Vec::new();
    for seed in 1..=seeds {
        let (mut net, client, server) = network(seed);
        mine.push(megabits(our_bytes(&mut net, client, server, end), seconds));
        let (mut net, client, server) = network(seed);
        theirs.push(megabits(smol::bytes_over(&mut net, client, server, end, BUFFER), seconds));
    }
    let model = model();
    let ((mine, low, high), (theirs, ..)) = (median(mine), median(theirs));
    println!("goodput over 50 ms and 1 % loss each way, 100 Mbit/s, {seconds} s, {seeds} seeds");
    println!("  eleven-tcp  {mine:6.2} Mbit/s ({low:.2} to {high:.2})");
    println!("  smoltcp     {theirs:6.2} Mbit/s");
    println!("  CUBIC model {model:6.2} Mbit/s");
    println!("  ratio to the better of the two {:.2}", mine / theirs.max(model));
}

fn megabits(bytes: usize, seconds: u64) -> f64 {
    bytes as f64 * 8.0 / seconds as f64 / 1e6
}

fn model() -> f64 {
    let (rtt, text) = (2.0 * DELAY.as_secs_f64(), 1_448.0);
    let cubic = 1.054 * (rtt / LOSS).powf(0.75);
    let reno = (1.5 / LOSS).sqrt();
    cubic.max(reno) * text * 8.0 / rtt / 1e6
}

fn network(seed: u64) -> (Network, HostId, HostId) {
    let mut net = Network::new(seed);
    let client = net.add_host("client", &[ours::pair().local_address]);
    let server = net.add_host("server", &[ours::pair().remote_address]);
    net.set_default_link(Link {
        loss: Loss::Random(LOSS),
        bandwidth: Some(BANDWIDTH),
        queue: Queue { limit: Some(625_000), mark_above: None },
        ..Link::with_delay(DELAY)
    });
    (net, client, server)
}

fn our_bytes(net: &mut Network, client_id: HostId, server_id: HostId, end: Instant) -> usize {
    let policy = Policy { send_buffer: BUFFER as u32, receive_buffer: BUFFER as u32, ..Policy::linux() };
    let (mut client, mut server) = ours::open(&policy);
    let text = vec![0x5a; BUFFER];
    let mut out = vec![0; BUFFER];
    let mut now = Instant::from_secs(1);
    let (start, mut received) = (now, 0);
    let end = end + start.duration_since(Instant::ZERO);
    while now < end {
        let _ = client.send(now, &text);
        for (connection, id) in [(&mut client, client_id), (&mut server, server_id)] {
            while let Some(sent) = connection.poll_transmit(now) {
                let mut packet = Vec::new();
                let envelope = sent.envelope;
                emit_segment(
                    &sent.segment,
                    envelope.source,
                    envelope.destination,
                    envelope.ecn,
                    64,
                    &mut packet,
                )
                .unwrap();
                net.send(now, packet, id);
            }
        }
        let next = [net.next_delivery_time(), client.poll_timeout(), server.poll_timeout()];
        now = next.into_iter().flatten().min().unwrap_or(end).max(now);
        while let Some(delivery) = net.deliver(now) {
            let to = if delivery.to == client_id { &mut client } else { &mut server };
            let parsed = Packet::parse(&delivery.packet).unwrap();
            let segment = Segment::parse(parsed.tcp).unwrap();
            let envelope =
                Envelope { source: parsed.source, destination: parsed.destination, ecn: parsed.ecn };
            to.handle_segment(now, &envelope, &segment);
        }
        client.handle_timeout(now);
        server.handle_timeout(now);
        while let Ok(count @ 1..) = server.recv(now, &mut out) {
            received += count;
        }
    }
    received
}
