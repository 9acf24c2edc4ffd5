//! A client or server comes back while the other side still holds the old connections: the three cases of heartbeats.

use std::time::Duration;

use eleven_snapshot::Socket;
use eleven_tcp::State::{Closed, Established};
use eleven_tcp::heartbeat::{Beat, Heartbeat};

use super::super::PORT;
use crate::error::Stop;
use crate::host::{PEER, SUBJECT};
use crate::lab::crowds::count;
use crate::lab::{Handle, Lab};
use crate::promise::Promise;
use crate::scenario::{Group, Scenario, Setting};
use crate::wire::Pattern;

pub(in super::super) const ALL: &[Scenario] =
    &[HEARTBEAT_CLIENT_RESTART, HEARTBEAT_SERVER_RESTART, HEARTBEAT_PEER_SILENT];

/// While the scenario is held, the newest connection is used.
fn talk(lab: &mut Lab, (client, server): (Handle, Handle)) {
    lab.meanwhile(Duration::from_millis(300), move |lab| {
        let _ = lab.send(server, b"ping")?;
        let _ = lab.receive(client)?;
        let _ = lab.send(client, b"pong")?;
        let _ = lab.receive(server)?;
        Ok(())
    });
}

/// A client of the peer's connects to the subject's listener: both ends.
fn enter(lab: &mut Lab, listener: Handle) -> Result<(Handle, Handle), Stop> {
    let client = lab.connecting(PEER, SUBJECT.at(PORT))?;
    let _ = lab.connected(client)?;
    Ok((client, lab.accept(listener)?))
}

const HEARTBEAT_CLIENT_RESTART: Scenario = Scenario {
    name: "heartbeat-client-restart",
    group: Group::Faults,
    purpose: "A client's host crashes, comes back and connects again, twice. The server, here the subject, still has the \
              old connections: it cannot know. Its heartbeat on an old one is answered by an RST.",
    look_at: "Three ESTABLISHED from one address to one port, of which the client knows only the newest.",
    ended_by: "The server's heartbeat, or keepalive, on each old connection; the client's next login, if the server closes \
               older sessions then.",
    settings: &[],
    finding: Some("heartbeat-reconnect"),
    promises: &[
        Promise::Seen(SUBJECT, "three connections with the client"),
        Promise::Seen(PEER, "one connection at the client"),
        Promise::Path(SUBJECT, &[Established, Closed]),
        Promise::Segments(PEER, Pattern::RST, 1, usize::MAX),
        Promise::Answer(SUBJECT, "recv", "ECONNRESET"),
        Promise::Seen(SUBJECT, "an old connection is left beside the newest"),
    ],
    play: |lab| {
        lab.step("a client connects to the subject");
        let listener = lab.listener(SUBJECT, PORT, 16)?;
        let (mut client, first) = enter(lab, listener)?;
        let mut server = first;
        for _ in 0..2 {
            lab.step("the client's host crashes, comes back, and its program connects again");
            lab.crash(PEER)?;
            (client, server) = enter(lab, listener)?;
        }
        lab.wait_rows(SUBJECT, "three connections with the client", |rows| count(rows, Established) == 3)?;
        lab.wait_rows(PEER, "one connection at the client", |rows| count(rows, Established) == 1)?;
        lab.step("the server sends a heartbeat on the oldest");
        let _ = lab.send(first, b"are you there?")?;
        let _ = lab.receive(first)?;
        lab.wait_rows(SUBJECT, "an old connection is left beside the newest", |rows| {
            count(rows, Established) == 2
        })?;
        talk(lab, (client, server));
        Ok(())
    },
};

const HEARTBEAT_SERVER_RESTART: Scenario = Scenario {
    name: "heartbeat-server-restart",
    group: Group::Faults,
    purpose: "The server crashes and is started again. The client, here the subject, has two connections to it from a pool \
              and waits for what the server will send: it would wait for ever. Its heartbeat gets an RST, and it \
              connects anew.",
    look_at: "ESTABLISHED connections to a server that knows none of them: after the restart there is only a LISTEN over \
              there.",
    ended_by: "The client's heartbeat, or keepalive. A client that only waits never finds out.",
    settings: &[],
    finding: Some("half-open-peer"),
    promises: &[
        Promise::Seen(PEER, "the server listens, and has no connection"),
        Promise::Seen(SUBJECT, "the client has two connections"),
        Promise::Path(SUBJECT, &[Established, Closed]),
        Promise::Segments(PEER, Pattern::RST, 1, usize::MAX),
        Promise::Answer(SUBJECT, "recv", "ECONNRESET"),
        Promise::Answer(SUBJECT, "connect", "0"),
        Promise::Seen(SUBJECT, "an old connection beside the new one"),
    ],
    play: |lab| {
        lab.step("the subject opens two connections to the peer's server");
        let listener = lab.listener(PEER, PORT, 16)?;
        let pairs = lab.open_many(SUBJECT, listener, PORT, 2)?;
        let [(first, _), _] = pairs[..] else { return Ok(()) };
        lab.step("the server's host crashes, and the server is started again");
        lab.crash(PEER)?;
        let listener = lab.listener(PEER, PORT, 16)?;
        lab.pass(Duration::from_millis(500))?;
        lab.wait_rows(PEER, "the server listens, and has no connection", |rows| rows.len() == 1)?;
        lab.wait_rows(SUBJECT, "the client has two connections", |rows| count(rows, Established) == 2)?;
        lab.step("the client's heartbeat, on the first");
        let _ = lab.send(first, b"are you there?")?;
        let _ = lab.receive(first)?;
        lab.close(first)?;
        lab.step("it connects anew");
        let again = lab.connecting(SUBJECT, PEER.at(PORT))?;
        let _ = lab.connected(again)?;
        let _ = lab.accept(listener)?;
        lab.wait_rows(SUBJECT, "an old connection beside the new one", |rows| count(rows, Established) == 2)
    },
};

const HEARTBEAT_PEER_SILENT: Scenario = Scenario {
    name: "heartbeat-peer-silent",
    group: Group::Faults,
    purpose: "The client's program hangs, or has forgotten its connection and opened another; its kernel still acknowledges \
              everything, keepalive probes too. Only a heartbeat of the program's own protocol finds out: it is \
              acknowledged, and not answered.",
    look_at: "Send-Q 0 although no answer comes; at the client the heartbeats stand in Recv-Q. The newest connection of the \
              same client answers.",
    ended_by: "The server's program gives the old connection up after some heartbeats without an answer.",
    settings: &[
        Setting {
            name: "interval",
            value: "300",
            usual: "10000 to 60000",
            why: "milliseconds from one heartbeat to the next",
        },
        Setting {
            name: "misses",
            value: "2",
            usual: "2 or 3",
            why: "so many heartbeats may go unanswered before the connection is given up",
        },
    ],
    finding: Some("heartbeat-reconnect"),
    promises: &[
        Promise::Seen(SUBJECT, "three connections with the client, nothing unacknowledged"),
        Promise::Seen(PEER, "heartbeats wait unread in Recv-Q"),
        Promise::Answer(SUBJECT, "recv", "4 bytes"),
        Promise::Path(SUBJECT, &[Established, Closed]),
        Promise::Segments(SUBJECT, Pattern::RST, 1, usize::MAX),
        Promise::Seen(SUBJECT, "another forgotten connection is left beside the newest"),
    ],
    play: |lab| {
        lab.step(
            "a client connects to the subject three times: its program forgets the first two connections",
        );
        let listener = lab.listener(SUBJECT, PORT, 16)?;
        let (_, old) = enter(lab, listener)?;
        enter(lab, listener)?;
        let (client, newest) = enter(lab, listener)?;
        lab.step("the server sends heartbeats on the first and on the newest; only the newest is answered");
        let interval = Duration::from_millis(lab.parameter("interval").max(1));
        let misses = u8::try_from(lab.parameter("misses")).unwrap_or(u8::MAX);
        let mut heartbeat = Heartbeat::new(lab.now(), interval, misses);
        loop {
            let wait = heartbeat.poll_timeout().duration_since(lab.now());
            lab.pass(wait)?;
            match heartbeat.handle_timeout(lab.now()) {
                Some(Beat::Send) => {
                    let _ = lab.send(old, b"ping")?;
                    let _ = lab.send(newest, b"ping")?;
                    let _ = lab.receive(client)?;
                    let _ = lab.send(client, b"pong")?;
                    let _ = lab.receive(newest)?;
                    if lab.host_mut(SUBJECT).receive(old.socket, 1).is_ok() {
                        heartbeat.handle_received(lab.now());
                    }
                }
                Some(Beat::Dead) => break,
                None => {}
            }
        }
        lab.wait_rows(SUBJECT, "three connections with the client, nothing unacknowledged", |rows| {
            let well = |row: &&Socket| row.state == Established && row.send_queue == Some(0);
            rows.iter().filter(well).count() == 3
        })?;
        lab.wait_rows(PEER, "heartbeats wait unread in Recv-Q", |rows| {
            rows.iter().any(|row| row.recv_queue >= Some(8))
        })?;
        lab.step("the server takes the client's program for dead on the first, and aborts");
        lab.abort(old)?;
        lab.wait_rows(SUBJECT, "another forgotten connection is left beside the newest", |rows| {
            count(rows, Established) == 2
        })?;
        talk(lab, (client, newest));
        Ok(())
    },
};
