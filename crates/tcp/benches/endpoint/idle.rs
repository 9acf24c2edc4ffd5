//! A million idle connections with keepalive: what they weigh, and what their timers cost.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant as Clock;

use eleven_tcp::demux::Demux;
use eleven_tcp::listener::ListenerOptions;
use eleven_tcp::policy::Keepalive;
use eleven_tcp::{Connection, Instant, Policy};

pub(crate) fn run(quick: bool) {
    let count = if quick { 1_000 } else { 1_000_000 };
    let policy = Arc::new(Policy { keepalive: Some(Keepalive::DEFAULT), ..Policy::linux() });
    let remote: SocketAddr = "10.0.0.2:80".parse().unwrap();
    let mut server = Demux::new(policy.clone());
    let listener = server.listen(remote, ListenerOptions::default()).unwrap();
    let mut client = Demux::new(policy);
    let before = resident();
    let mut now = Instant::from_secs(1);
    let start = Clock::now();
    for number in 0..count {
        // Both ends are here; only the server's stay. A client that vanishes leaves them half-open.
        let local = IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + 0x100 + number / 50_000));
        let local = SocketAddr::new(local, 2_000 + (number % 50_000) as u16);
        let id = client.connect_from(now, local, remote).unwrap();
        settle(now, &mut client, &mut server);
        server.accept(listener).unwrap();
        while server.poll_event().is_some() {}
        forget(now, &mut client, id);
        now = now.plus_micros(100);
    }
    let made = start.elapsed();
    let after = resident();
    println!("{count} idle connections with keepalive");
    println!("  a connection      {:9} bytes", size_of::<Connection>());
    if let (Some(before), Some(after)) = (before, after) {
        println!("  resident memory   {:9.1} MB", (after - before) as f64 / 1e6);
    }
    println!("  made in           {:9.2} s", made.as_secs_f64());
    // Two hours later every timer is due within a little while.
    let start = Clock::now();
    let mut probes = 0_u64;
    while let Some(next) = server.poll_timeout() {
        if probes >= u64::from(count) {
            break;
        }
        now = now.max(next);
        server.handle_timeout(now);
        while server.poll_transmit(now).is_some() {
            probes += 1;
        }
    }
    let each = start.elapsed().as_nanos() as f64 / probes.max(1) as f64;
    println!("  a keepalive probe {each:9.0} ns, its timer and the next one's included");
}

fn settle(now: Instant, client: &mut Demux, server: &mut Demux) {
    loop {
        let mut quiet = true;
        while let Some(out) = client.poll_transmit(now) {
            server.handle_segment(now, &out.envelope, &out.segment);
            quiet = false;
        }
        while let Some(out) = server.poll_transmit(now) {
            client.handle_segment(now, &out.envelope, &out.segment);
            quiet = false;
        }
        if quiet {
            return;
        }
    }
}

/// The client's host forgets the connection without a word, as in a crash.
fn forget(now: Instant, client: &mut Demux, id: eleven_tcp::demux::ConnectionId) {
    client.abort(now, id).unwrap();
    while client.poll_transmit(now).is_some() {}
    while client.poll_event().is_some() {}
}

/// Resident memory of this process in bytes, where the kernel tells.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1_024)
}
