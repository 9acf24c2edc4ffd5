//! Connections that are being closed, and do not come to their end.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use eleven_testbed::namespace::Net;
use eleven_testbed::sockets::wait_for_end;
use eleven_testbed::wire::{THERE, Wire};
use socket2::Socket;

use super::{accepted, incoming, outgoing, pause, within};
use crate::children::Meanwhile;
use crate::row::{Fault, Row, Skip, Who};

const PEER: Who = Who::Remote("10.77.0.2");

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::fault("closing", "closing-stuck", "network", PEER, closing),
        Row::healthy("closing-together", closing_together),
        Row::fault("fin-unanswered", "fin-wait1-stuck", "network", PEER, |_| fin_unanswered()),
        Row::fault("last-fin-unanswered", "last-ack-stuck", "network", PEER, |_| last_fin_unanswered()),
        Row::fault("fin-wait2-many-orphans", "fin-wait2-held", "peer", Who::Host, |_| fin_wait2_orphans()),
        Row::fault("fin-wait2-of-a-program", "fin-wait2-held", "peer", PEER, |_| half_closed(8)),
        Row::healthy("half-closed-and-answered", half_closed_and_answered),
        Row::fault("close-wait-on-one-host", "close-wait-leak", "local-program", Who::Process, close_wait)
            .allow(&["fin-wait2-held"]),
        Row::fault("close-wait-single", "close-wait-leak", "local-program", Who::Process, |net| {
            abandoned(net, 1)
        }),
        Row::healthy("short-connections", short_connections),
        Row::fault("reset-by-linger", "reset-after-close", "local-program", Who::Host, |net| {
            reset_by_linger(net, 50)
        }),
        Row::healthy("health-checks", |net| reset_by_linger(net, 1_200)),
        Row::fault("reset-with-data-unread", "reset-unread-data", "local-program", Who::Host, unread_reset),
        Row::healthy("downloads-broken-off", broken_off),
    ]
}

/// Both ends close at once, and nothing gets through from here: our FIN is never acknowledged, theirs has come.
fn closing(_: &Net) -> Result<Fault, Skip> {
    let wire = Wire::new()?;
    let pairs = outgoing(&wire, 6);
    wire.cut_outgoing();
    for (here, there) in &pairs {
        here.shutdown(Shutdown::Write).expect("connected");
        there.shutdown(Shutdown::Write).expect("connected");
    }
    // A few repeats come first.
    pause(1500);
    Ok(Fault::of(pairs).at(wire.here.path()).with(wire))
}

/// The same without any loss: it passes through CLOSING in no time.
fn closing_together(_: &Net) -> Result<Fault, Skip> {
    let wire = Wire::new()?;
    let listener =
        wire.there.run(|| std::net::TcpListener::bind((THERE, 80))).expect("a namespace of its own");
    let close = move || {
        let here = TcpStream::connect((THERE, 80)).expect("it listens");
        let (there, _) = listener.accept().expect("a client waits");
        let _ = (here.shutdown(Shutdown::Write), there.shutdown(Shutdown::Write));
        pause(10);
    };
    let closes = Meanwhile::start(&wire.here, close)?;
    Ok(Fault::of(closes).at(wire.here.path()).with(wire))
}

fn fin_unanswered() -> Result<Fault, Skip> {
    let wire = Wire::new()?;
    let (here, there): (Vec<TcpStream>, Vec<TcpStream>) = outgoing(&wire, 3).into_iter().unzip();
    wire.cut_outgoing();
    drop(here);
    Ok(Fault::of(there).at(wire.here.path()).with(wire))
}

fn last_fin_unanswered() -> Result<Fault, Skip> {
    let wire = Wire::new()?;
    let (there, here): (Vec<TcpStream>, Vec<TcpStream>) = incoming(&wire, 3).into_iter().unzip();
    drop(there);
    for connection in &here {
        wait_for_end(&Socket::from(connection.try_clone().expect("a descriptor")));
    }
    wire.cut_outgoing();
    drop(here);
    Ok(Fault::of(()).at(wire.here.path()).with(wire))
}

/// Closed here, with peers that never close: more than a host has by chance.
fn fin_wait2_orphans() -> Result<Fault, Skip> {
    let wire = Wire::new()?;
    let (here, there): (Vec<TcpStream>, Vec<TcpStream>) = outgoing(&wire, 1100).into_iter().unzip();
    drop(here);
    Ok(Fault::of(there).at(wire.here.path()).with(wire))
}

fn half_closed(count: usize) -> Result<Fault, Skip> {
    let wire = Wire::new()?;
    let pairs = outgoing(&wire, count);
    for (here, _) in &pairs {
        here.shutdown(Shutdown::Write).expect("connected");
    }
    Ok(Fault::of(pairs).at(wire.here.path()).with(wire))
}

/// Clients have said all they had to say, and are answered bit by bit: FIN_WAIT2 and CLOSE_WAIT, both in their right.
fn half_closed_and_answered(net: &Net) -> Result<Fault, Skip> {
    let (listener, mut pairs) = within(net, 40);
    for (client, _) in &pairs {
        client.shutdown(Shutdown::Write).expect("connected");
    }
    let answers = Meanwhile::start(net, move || {
        for (client, server) in &mut pairs {
            server.write_all(b"some of the answer").expect("connected");
            let _ = client.read(&mut [0; 64]).expect("connected");
        }
        pause(100);
    })?;
    Ok(Fault::of(answers).with(listener))
}

fn close_wait(net: &Net) -> Result<Fault, Skip> {
    let (listener, pairs) = within(net, 8);
    for (client, _) in &pairs {
        client.shutdown(Shutdown::Write).expect("connected");
    }
    Ok(Fault::of(pairs).by(std::process::id()).with(listener))
}

fn abandoned(net: &Net, count: usize) -> Result<Fault, Skip> {
    let (listener, pairs) = within(net, count);
    let (clients, servers): (Vec<TcpStream>, Vec<TcpStream>) = pairs.into_iter().unzip();
    drop(clients);
    Ok(Fault::of(servers).by(std::process::id()).with(listener))
}

/// A busy host: a connection a request, closed in order by either side in turn.
fn short_connections(net: &Net) -> Result<Fault, Skip> {
    let (listener, _) = within(net, 0);
    let mut turn = false;
    let requests = Meanwhile::start(net, move || {
        let (mut client, mut server) = accepted(&listener);
        client.write_all(b"question").expect("connected");
        let _ = server.read(&mut [0; 64]).expect("connected");
        server.write_all(b"answer").expect("connected");
        let _ = client.read(&mut [0; 64]).expect("connected");
        let (first, mut second) = if turn { (client, server) } else { (server, client) };
        turn = !turn;
        drop(first);
        let _ = second.read(&mut [0; 1]);
    })?;
    Ok(Fault::of(requests))
}

/// Connections that are opened and reset, as by a load balancer that asks whether a server is there.
fn reset_by_linger(net: &Net, every_ms: u64) -> Result<Fault, Skip> {
    let (listener, _) = within(net, 0);
    let resets = Meanwhile::start(net, move || {
        let (_client, server) = accepted(&listener);
        let server = Socket::from(server);
        server.set_linger(Some(std::time::Duration::ZERO)).expect("an open descriptor");
        drop(server);
        pause(every_ms);
    })?;
    Ok(Fault::of(resets))
}

fn unread_reset(net: &Net) -> Result<Fault, Skip> {
    let (listener, _) = within(net, 0);
    let resets = Meanwhile::start(net, move || {
        let (mut client, server) = accepted(&listener);
        client.write_all(b"a request that nobody reads").expect("connected");
        while server.peek(&mut [0; 1]).is_ok_and(|length| length == 0) {}
        drop(server);
        pause(50);
    })?;
    Ok(Fault::of(resets))
}

/// Now and then somebody breaks a large download off: a reset, and one more for all that was on its way.
fn broken_off(_: &Net) -> Result<Fault, Skip> {
    let wire = Wire::new()?;
    let listener =
        wire.there.run(|| std::net::TcpListener::bind((THERE, 80))).expect("a namespace of its own");
    let breaks = Meanwhile::start(&wire.here, move || {
        let client = TcpStream::connect((THERE, 80)).expect("it listens");
        let (mut server, _) = listener.accept().expect("a client waits");
        server.set_nonblocking(true).expect("an open descriptor");
        let _ = server.write(&vec![0; 1 << 20]);
        drop(client);
        for _ in 0..18 {
            let _ = server.write(&vec![0; 1 << 16]);
            pause(100);
        }
    })?;
    Ok(Fault::of(breaks).at(wire.here.path()).with(wire))
}
