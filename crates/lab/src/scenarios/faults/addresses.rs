//! Addresses and ports of a server that somebody else has.

use std::time::Duration;

use eleven_snapshot::Socket;
use eleven_tcp::State::{Established, Listen, SynSent, TimeWait};

use super::super::PORT;
use super::ports::PROTECTED;
use crate::error::Stop;
use crate::host::{PEER, SUBJECT, SocketOption};
use crate::lab::crowds::count;
use crate::lab::{Handle, Lab};
use crate::promise::Promise;
use crate::scenario::{Group, Scenario, Setting};

pub(in super::super) const ALL: &[Scenario] = &[ADDRESS_IN_USE, ADDRESS_IN_USE_LISTENER, PORT_RANGE_OVERLAP];

/// A server's program that is started: its listening socket, or what bind() returned instead.
fn start(lab: &mut Lab, port: u16, reuse: bool) -> Result<Option<Handle>, Stop> {
    let socket = lab.socket(SUBJECT)?;
    if reuse {
        lab.set_option(socket, SocketOption::ReuseAddress(true))?;
    }
    if lab.bind(socket, port)?.is_err() {
        // The program gives up.
        lab.quietly(|lab| lab.close(socket))?;
        return Ok(None);
    }
    let _ = lab.listen(socket, 16)?;
    Ok(Some(socket))
}

/// A connection to a server that closes first and then ends: TIME_WAIT is left on its port.
fn serve_and_end(lab: &mut Lab, listener: Handle, port: u16) -> Result<(), Stop> {
    let client = lab.connecting(PEER, SUBJECT.at(port))?;
    lab.focus_on_socket(client, SUBJECT.at(port))?;
    let server = lab.accept(listener)?;
    lab.close(server)?;
    lab.close(listener)?;
    let _ = lab.receive(client)?;
    lab.close(client)?;
    lab.wait_state(SUBJECT, TimeWait)
}

const ADDRESS_IN_USE: Scenario = Scenario {
    name: "address-in-use",
    group: Group::Faults,
    purpose: "A server closes its connections, ends and is started again: bind() returns EADDRINUSE, because of TIME_WAIT \
              on its port. SO_REUSEADDR helps, if the server that left TIME_WAIT behind had set it too.",
    look_at: "No program has the port, but TIME_WAIT rows do; nothing else keeps it.",
    ended_by: "60 s, or SO_REUSEADDR before bind() on every start of the server.",
    settings: &[PROTECTED],
    finding: Some("address-in-use"),
    promises: &[
        Promise::State(SUBJECT, TimeWait),
        Promise::Answer(SUBJECT, "bind", "EADDRINUSE"),
        Promise::Seen(SUBJECT, "it listens again, beside TIME_WAIT"),
        Promise::Seen(SUBJECT, "TIME_WAIT has the second port, and nobody listens there"),
    ],
    play: |lab| {
        lab.step("a server with SO_REUSEADDR serves a client, closes first, and ends");
        let Some(listener) = start(lab, PORT, true)? else { return refused() };
        serve_and_end(lab, listener, PORT)?;
        lab.step("started again without SO_REUSEADDR, it cannot bind");
        let _ = start(lab, PORT, false)?;
        lab.step("with SO_REUSEADDR it can");
        if start(lab, PORT, true)?.is_none() {
            return refused();
        }
        lab.wait_rows(SUBJECT, "it listens again, beside TIME_WAIT", |rows| {
            (count(rows, TimeWait), count(rows, Listen)) == (1, 1)
        })?;
        lab.step("another server, on the next port, is without it, serves a client and ends");
        let Some(listener) = start(lab, PORT + 1, false)? else { return refused() };
        serve_and_end(lab, listener, PORT + 1)?;
        lab.step(
            "its next start has SO_REUSEADDR, in vain: TIME_WAIT has inherited that its port is not shared",
        );
        let _ = start(lab, PORT + 1, true)?;
        lab.wait_rows(SUBJECT, "TIME_WAIT has the second port, and nobody listens there", |rows| {
            let at = |row: &&Socket| row.local_port == Some(PORT + 1);
            rows.iter().any(|row| at(&row)) && rows.iter().filter(at).all(|row| row.state == TimeWait)
        })
    },
};

fn refused() -> Result<(), Stop> {
    Err(Stop::NotReached("bind() is refused although the port is free or shared".to_owned()))
}

const ADDRESS_IN_USE_LISTENER: Scenario = Scenario {
    name: "address-in-use-listener",
    group: Group::Faults,
    purpose: "Servers that want the same port: who is started while another one listens is refused by bind() with \
              EADDRINUSE, and SO_REUSEADDR does not help. Of two that are started together with SO_REUSEADDR both may \
              bind, and the second is refused by listen().",
    look_at: "The row of LISTEN names who has the port; beside it a socket that is only bound, whose program tries in vain.",
    ended_by: "The first server ends, or the others take other ports.",
    settings: &[],
    finding: Some("address-in-use"),
    promises: &[
        Promise::State(SUBJECT, Listen),
        Promise::Answer(SUBJECT, "listen", "EADDRINUSE"),
        Promise::Answer(SUBJECT, "bind", "EADDRINUSE"),
        Promise::Seen(SUBJECT, "one listener only"),
    ],
    play: |lab| {
        lab.step("two servers are started together, with SO_REUSEADDR: both bind, and the first listens");
        let first = bound(lab)?;
        let second = bound(lab)?;
        let _ = lab.listen(first, 16)?;
        lab.step("the second may not; it keeps its socket, and tries again");
        let _ = lab.listen(second, 16)?;
        lab.step("a third is started, with SO_REUSEADDR as well");
        let _ = start(lab, PORT, true)?;
        lab.wait_rows(SUBJECT, "one listener only", |rows| {
            count(rows, Listen) == 1 && rows.iter().all(|row| row.local_port == Some(PORT))
        })?;
        lab.meanwhile(Duration::from_millis(300), move |lab| lab.listen(second, 16).map(drop));
        Ok(())
    },
};

/// A server's socket, bound with SO_REUSEADDR.
fn bound(lab: &mut Lab) -> Result<Handle, Stop> {
    let socket = lab.socket(SUBJECT)?;
    lab.set_option(socket, SocketOption::ReuseAddress(true))?;
    let _ = lab.bind(socket, PORT)?;
    Ok(socket)
}

/// A server's port that may be given away.
const OVERLAPPING: u16 = 8_080;

const PORT_RANGE_OVERLAP: Scenario = Scenario {
    name: "port-range-overlap",
    group: Group::Faults,
    purpose: "A server's port lies within ip_local_port_range. While the server is down for a restart, an outgoing \
              connection is given its port, and the server cannot come back: bind() returns EADDRINUSE.",
    look_at: "An ESTABLISHED connection of another program on the server's own port, as a client.",
    ended_by: "That connection ends. `sysctl -w net.ipv4.ip_local_reserved_ports=PORT` keeps it from happening.",
    settings: &[Setting {
        name: "ip_local_port_range",
        value: "8080 8081",
        usual: "32768 60999",
        why: "the ports that outgoing connections are given: here the server's own is the first of them, so that it happens at once",
    }],
    finding: Some("port-range-overlap"),
    promises: &[
        Promise::Answer(SUBJECT, "connect", "0"),
        Promise::Answer(SUBJECT, "bind", "EADDRINUSE"),
        Promise::Path(SUBJECT, &[SynSent, Established]),
        Promise::Seen(SUBJECT, "a connection to the outside has the server's port"),
    ],
    play: |lab| {
        lab.step("the server of port 8080 is down; another program of the subject connects to the peer");
        lab.open(SUBJECT, PEER, PORT)?;
        lab.step("the server is started, with SO_REUSEADDR");
        let _ = start(lab, OVERLAPPING, true)?;
        lab.wait_rows(SUBJECT, "a connection to the outside has the server's port", |rows| {
            rows.iter().any(|row| row.state == Established && row.local_port == Some(OVERLAPPING))
        })?;
        Ok(())
    },
};
