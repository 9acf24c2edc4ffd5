//! Connections on which nothing moves, and who finds out when one is dead; timeouts along a path.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use eleven_testbed::wire::Wire;
use socket2::{SockRef, TcpKeepalive};

use super::{PORT, connected, outgoing, pause};
use crate::children::Meanwhile;
use crate::row::{Fault, Row, Skip, Who};

const PEER: Who = Who::Remote("10.77.0.2");
/// Idle connections are told from busy ones by a minute of silence.
const IDLE: Duration = Duration::from_secs(62);

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::fault("keepalive-into-silence", "half-open-peer", "peer", PEER, |_| into_silence()),
        Row::healthy("keepalive-answered-often", |_| answered()),
        Row::fault("one-idle-client", "keepalive-missing", "local-program", Who::Process, |_| {
            clients(1, &[])
        })
        .ripe_after(IDLE),
        Row::healthy("browser-with-2000-idle", |_| clients(2_000, &[])).ripe_after(IDLE),
        Row::fault("client-came-back", "heartbeat-reconnect", "local-program", PEER, |_| clients(4, &[3]))
            .ripe_after(IDLE),
        Row::healthy("pool-that-uses-its-oldest", |_| clients(4, &[0])).ripe_after(IDLE),
        Row::fault("chain-wrong", "idle-timeout-order", "configuration", Who::Remote("server"), |_| {
            Ok(Fault::of(()).asking(["--path", "client:idle=15 balancer:idle=60 server:idle=30"]))
        }),
        Row::healthy("chain-right", |_| {
            Ok(Fault::of(()).asking(["--path", "client:idle=15 balancer:idle=60 server:idle=120"]))
        }),
    ]
}

fn keepalive(of: &TcpStream) {
    let often = TcpKeepalive::new()
        .with_time(Duration::from_secs(1))
        .with_interval(Duration::from_secs(1))
        .with_retries(60);
    SockRef::from(of).set_tcp_keepalive(&often).expect("an open descriptor");
}

/// Idle connections whose probes get lost.
fn into_silence() -> Result<Fault, Skip> {
    let wire = Wire::new()?;
    let pairs = outgoing(&wire, 2);
    for (here, _) in &pairs {
        keepalive(here);
    }
    wire.cut_outgoing();
    pause(2_200);
    Ok(Fault::of(pairs).at(wire.here.path()).with(wire))
}

fn answered() -> Result<Fault, Skip> {
    let wire = Wire::new()?;
    let pairs = outgoing(&wire, 20);
    for (here, _) in &pairs {
        keepalive(here);
    }
    pause(1_500);
    Ok(Fault::of(pairs).at(wire.here.path()).with(wire))
}

/// Connections of one client, of which some are used: those of these numbers.
fn clients(count: usize, used: &[usize]) -> Result<Fault, Skip> {
    let wire = Wire::new()?;
    let at = (eleven_testbed::wire::HERE, PORT);
    let listener = wire.here.run(|| std::net::TcpListener::bind(at)).expect("a namespace of its own");
    let mut pairs = connected(&wire.there, &listener, count);
    let mut talking: Vec<(TcpStream, TcpStream)> = Vec::new();
    for index in used.iter().rev() {
        talking.push(pairs.remove(*index));
    }
    let talk = Meanwhile::start(&wire.here, move || {
        for (there, here) in &mut talking {
            there.write_all(b"ping").expect("connected");
            let _ = here.read(&mut [0; 8]).expect("connected");
            here.write_all(b"pong").expect("connected");
            let _ = there.read(&mut [0; 8]).expect("connected");
        }
        pause(300);
    })?;
    let fault = Fault::of(talk).by(std::process::id()).at(wire.here.path());
    Ok(fault.with(pairs).with(listener).with(wire))
}
