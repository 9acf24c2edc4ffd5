//! Connections that are being opened: attempts without an answer, floods, refusals, ports that run out.

use std::net::{SocketAddr, TcpListener, TcpStream};

use eleven_testbed::namespace::Net;
use eleven_testbed::sockets::{address, connecting, listen};
use eleven_testbed::wire::{HERE, NOWHERE, Wire};
use socket2::Socket;

use super::{PORT, pause, set, within};
use crate::children::Meanwhile;
use crate::row::{Fault, Row, Skip, Who};

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::fault(
            "attempts-into-silence",
            "syn-sent-unanswered",
            "network",
            Who::Remote("10.77.0.99:443"),
            |_| attempts(3),
        ),
        Row::healthy("attempts-just-begun", |_| just_begun(300)),
        // A SYN in a thousand is lost anywhere.
        Row::healthy("attempts-repeated-once", |_| just_begun(1_500)),
        Row::fault("scan", "syn-sent-scan", "local-program", Who::Process, |_| scan()),
        Row::healthy("crawler", |_| crawler()),
        Row::fault("handshakes-without-end", "syn-flood", "network", Who::Local("10.77.0.1"), |_| flood(200)),
        Row::healthy("handshakes-few", |_| flood(20)),
        Row::fault("refused-from-here", "refused-connections", "configuration", Who::Host, |net| {
            refused(net, 40)
        }),
        Row::healthy("refused-now-and-then", |net| refused(net, 2_500)),
        Row::fault(
            "ports-of-open-connections",
            "time-wait-port-exhaustion",
            "local-program",
            Who::Remote("10.77.0.2:8080"),
            |_| ports(48),
        ),
        Row::healthy("ports-half-used", |_| ports(20)),
        Row::fault(
            "buckets-tiny",
            "harmful-sysctl",
            "configuration",
            Who::Sysctl("net.ipv4.tcp_max_tw_buckets"),
            |net| {
                set(net, "net.ipv4.tcp_max_tw_buckets", "100")?;
                Ok(Fault::of(()))
            },
        ),
        Row::healthy("tuned", tuned),
        Row::healthy("time-wait-many-on-a-service", many_served),
    ]
}

fn attempts(count: usize) -> Result<Fault, Skip> {
    let wire = Wire::new()?;
    let attempts: Vec<Socket> =
        wire.here.run(|| (0..count).map(|_| connecting(SocketAddr::new(NOWHERE.into(), 443))).collect());
    // The first repeat comes after a second.
    pause(300);
    Ok(Fault::of(attempts).at(wire.here.path()).with(wire))
}

/// Attempts that are given up before they would be repeated, or repeated twice, as with a list of addresses that is tried in turn.
fn just_begun(given_up_ms: u64) -> Result<Fault, Skip> {
    let wire = Wire::new()?;
    let tries = Meanwhile::start(&wire.here, move || {
        let _attempt = connecting(SocketAddr::new(NOWHERE.into(), 443));
        pause(given_up_ms);
    })?;
    Ok(Fault::of(tries).at(wire.here.path()).with(wire))
}

fn scan() -> Result<Fault, Skip> {
    let wire = Wire::new()?;
    let scan: Vec<Socket> =
        wire.here.run(|| (1..150).map(|port| connecting(SocketAddr::new(NOWHERE.into(), port))).collect());
    Ok(Fault::of(scan).by(std::process::id()).at(wire.here.path()).with(wire))
}

/// Very many hosts are talked to, and all of them answer.
fn crawler() -> Result<Fault, Skip> {
    let wire = Wire::new()?;
    wire.there.ip("route add local 10.78.0.0/16 dev lo")?;
    wire.here.ip("route add 10.78.0.0/16 via 10.77.0.2")?;
    let listener = wire.there.run(|| TcpListener::bind(("0.0.0.0", 80))).expect("a namespace of its own");
    let mut next = 0_u8;
    let crawls = Meanwhile::start(&wire.here, move || {
        let pages: Vec<TcpStream> = (0..100)
            .map(|_| {
                next = next.wrapping_add(1);
                TcpStream::connect(SocketAddr::from(([10, 78, 1, next], 80))).expect("it listens")
            })
            .collect();
        let served: Vec<_> = pages.iter().map(|_| listener.accept().expect("a client waits")).collect();
        drop(pages);
        drop(served);
        pause(50);
    })?;
    Ok(Fault::of(crawls).at(wire.here.path()).with(wire))
}

fn flood(count: usize) -> Result<Fault, Skip> {
    let wire = Wire::new_cut()?;
    let listener = wire.here.run(|| listen(SocketAddr::new(HERE.into(), PORT), 4096));
    let at = wire.here.run(|| address(&listener));
    let clients: Vec<Socket> = wire.there.run(|| (0..count).map(|_| connecting(at)).collect());
    Ok(Fault::of((clients, listener)).at(wire.here.path()).with(wire))
}

/// A client whose server is not there, every so many milliseconds.
fn refused(net: &Net, every_ms: u64) -> Result<Fault, Skip> {
    let tries = Meanwhile::start(net, move || {
        assert!(TcpStream::connect(("127.0.0.1", 9)).is_err(), "nobody listens");
        pause(every_ms);
    })?;
    Ok(Fault::of(tries))
}

/// Of 50 ports to one server so many are in use.
fn ports(count: usize) -> Result<Fault, Skip> {
    let wire = Wire::new()?;
    set(&wire.here, "net.ipv4.ip_local_port_range", "40000 40049")?;
    let pairs = super::outgoing(&wire, count);
    Ok(Fault::of(pairs).at(wire.here.path()).with(wire))
}

/// What is changed for good reasons.
fn tuned(net: &Net) -> Result<Fault, Skip> {
    for (name, value) in [
        ("net.ipv4.tcp_fin_timeout", "15"),
        ("net.ipv4.tcp_tw_reuse", "1"),
        ("net.ipv4.tcp_syncookies", "2"),
        ("net.ipv4.tcp_keepalive_time", "300"),
        ("net.ipv4.tcp_max_syn_backlog", "65536"),
        ("net.ipv4.tcp_mtu_probing", "1"),
        ("net.ipv4.ip_local_port_range", "15000 60999"),
        ("net.core.somaxconn", "65535"),
    ] {
        set(net, name, value)?;
    }
    let (listener, pairs) = within(net, 10);
    Ok(Fault::of(pairs).with(listener))
}

/// Short connections that the server closes first.
fn many_served(net: &Net) -> Result<Fault, Skip> {
    let (listener, pairs) = within(net, 400);
    for (client, server) in pairs {
        drop(server);
        drop(client);
    }
    Ok(Fault::of(listener))
}
