//! What looks like a fault and is none: whoever looks for faults must leave these alone.

use std::time::Duration;

use eleven_snapshot::{Socket, TimerKind};
use eleven_tcp::State::{CloseWait, Established, FinWait2, Listen, SynReceived, TimeWait};

use super::PORT;
use super::faults::half_open::{KEEPALIVE_INTERVAL, KEEPALIVE_TIME};
use super::faults::ports::{PROTECTED, go_on, short_connections};
use crate::host::{Direction, PEER, SUBJECT, SocketOption};
use crate::lab::Handle;
use crate::lab::crowds::count;
use crate::promise::{Promise, Sight};
use crate::scenario::{Group, Scenario, Setting};
use crate::wire::{ALWAYS, Pattern};

pub(super) const ALL: &[Scenario] = &[
    KEEPALIVE_ANSWERED,
    IDLE_WITH_KEEPALIVE,
    TIME_WAIT_AT_SERVER,
    TIME_WAIT_AT_CLIENT,
    BUSY_ACCEPT_QUEUE,
    SLOW_HANDSHAKES,
    CLOSE_WAIT_ANSWERING,
    SEND_QUEUE_MOVING,
];

const KEEPALIVE_ANSWERED: Scenario = Scenario {
    name: "keepalive-answered",
    group: Group::Healthy,
    purpose: "An idle connection with keepalive: the subject asks now and then, and the peer's kernel answers. Nothing is \
              wrong; the answers also keep firewalls on the path from forgetting it.",
    look_at: "The keepalive timer runs, and its count stays at 0. A probe is an ACK with a number that was acknowledged \
              already.",
    ended_by: "Either side closes. It only proves that the peer's kernel is alive, not its program.",
    settings: &[KEEPALIVE_TIME, KEEPALIVE_INTERVAL],
    finding: None,
    promises: &[
        Promise::State(SUBJECT, Established),
        Promise::State(PEER, Established),
        Promise::Timer(SUBJECT, Established, TimerKind::Keepalive, 0),
        Promise::Counter("TcpExt.TCPKeepAlive", 2),
        Promise::Segments(SUBJECT, Pattern::ACK, 3, usize::MAX),
        Promise::Segments(PEER, Pattern::ACK, 2, usize::MAX),
        Promise::RowAtEnd(
            SUBJECT,
            Sight {
                what: "no probe is unanswered",
                test: |row| row.timer.is_some_and(|timer| timer.retransmits == 0),
            },
        ),
    ],
    play: |lab| {
        lab.step("the subject connects to the peer, and turns keepalive on");
        let (subject, _) = lab.open(SUBJECT, PEER, PORT)?;
        lab.set_option(subject, SocketOption::Keepalive(true))?;
        lab.step("nobody says anything for more than two seconds");
        lab.wait_segments(PEER, Pattern::ACK, 2)
    },
};

const CONNECTIONS: Setting =
    Setting { name: "connections", value: "20", usual: "", why: "how many connections there are" };

const IDLE_WITH_KEEPALIVE: Scenario = Scenario {
    name: "idle-with-keepalive",
    group: Group::Healthy,
    purpose: "Idle connections of clients that have nothing to say, all with keepalive: should one of them vanish, the \
              server will find out.",
    look_at: "ESTABLISHED with a keepalive timer on each row.",
    ended_by: "Either side closes.",
    settings: &[
        CONNECTIONS,
        Setting {
            name: "tcp_keepalive_time",
            value: "60",
            usual: "7200",
            why: "seconds of silence before the first probe",
        },
    ],
    finding: None,
    promises: &[
        Promise::Seen(SUBJECT, "a keepalive timer on every connection"),
        Promise::State(SUBJECT, Established),
    ],
    play: |lab| {
        let connections = lab.parameter("connections") as usize;
        lab.step(format!(
            "{connections} clients connect to the subject, whose listener has keepalive turned on"
        ));
        let listener = lab.listener(SUBJECT, PORT, 16)?;
        lab.set_option(listener, SocketOption::Keepalive(true))?;
        lab.open_many(PEER, listener, PORT, connections as u64)?;
        lab.wait_rows(SUBJECT, "a keepalive timer on every connection", |rows| {
            let kept = |row: &&Socket| row.timer.is_some_and(|timer| timer.kind == TimerKind::Keepalive);
            rows.iter().filter(kept).count() == connections
        })?;
        lab.look(SUBJECT)
    },
};

const TIME_WAIT_AT_SERVER: Scenario = Scenario {
    name: "time-wait-at-server",
    group: Group::Healthy,
    purpose: "A server of short connections that closes first: many TIME_WAIT on its own port, each from another client \
              port. They take no port away from anybody, and clients still get in.",
    look_at: "TIME_WAIT, all with the local port of the listener. A third of a kilobyte each.",
    ended_by: "60 s each. Nothing needs to be done.",
    settings: &[
        Setting { name: "connections", value: "200", usual: "", why: "how many were served" },
        PROTECTED,
    ],
    finding: None,
    promises: &[
        Promise::Seen(SUBJECT, "TIME_WAIT on the listener's own port only, and a new connection beside them"),
        Promise::Answer(PEER, "connect", "0"),
    ],
    play: |lab| {
        let connections = lab.parameter("connections");
        lab.step(format!(
            "{connections} clients are served by the subject, which closes each connection first"
        ));
        let listener = lab.listener(SUBJECT, PORT, 16)?;
        short_connections(lab, PEER, SUBJECT, listener, connections)?;
        lab.step("one more client connects");
        let client = lab.connecting(PEER, SUBJECT.at(PORT))?;
        let _ = lab.connected(client)?;
        let _ = lab.accept(listener)?;
        lab.wait_rows(
            SUBJECT,
            "TIME_WAIT on the listener's own port only, and a new connection beside them",
            |rows| {
                count(rows, TimeWait) as u64 >= connections * 9 / 10
                    && count(rows, Established) == 1
                    && rows.iter().all(|row| row.local_port == Some(PORT))
            },
        )?;
        go_on(lab, Duration::from_millis(300), PEER, SUBJECT, listener);
        Ok(())
    },
};

const TIME_WAIT_AT_CLIENT: Scenario = Scenario {
    name: "time-wait-at-client",
    group: Group::Healthy,
    purpose: "A client that opens a connection now and then and closes it first: TIME_WAIT, but far fewer than there are \
              ports.",
    look_at: "Some TIME_WAIT towards one server: 40 of 28232 ports.",
    ended_by: "60 s each. Nothing needs to be done.",
    settings: &[
        Setting { name: "connections", value: "40", usual: "", why: "how many were opened and closed" },
        PROTECTED,
    ],
    finding: None,
    promises: &[Promise::Seen(SUBJECT, "some TIME_WAIT"), Promise::Counter("Tcp.ActiveOpens", 40)],
    play: |lab| {
        let connections = lab.parameter("connections");
        lab.step(format!("the subject opens {connections} connections to the peer, and closes each first"));
        let listener = lab.listener(PEER, PORT, 16)?;
        short_connections(lab, SUBJECT, SUBJECT, listener, connections)?;
        lab.wait_rows(SUBJECT, "some TIME_WAIT", |rows| {
            count(rows, TimeWait) as u64 >= connections * 9 / 10
        })?;
        go_on(lab, Duration::from_secs(2), SUBJECT, SUBJECT, listener);
        Ok(())
    },
};

const BUSY_ACCEPT_QUEUE: Scenario = Scenario {
    name: "busy-accept-queue",
    group: Group::Healthy,
    purpose: "Clients come in bursts: the accept queue is full for a moment, and empty a moment later, because the program \
              accepts. Nobody is turned away.",
    look_at: "The listener's Recv-Q goes up to its limit and back to 0; ListenOverflows does not rise.",
    ended_by: "Nothing needs to be done; a queue is there to be used.",
    settings: &[],
    finding: None,
    promises: &[
        Promise::Seen(SUBJECT, "16 connections in a queue of 16"),
        Promise::Seen(SUBJECT, "the queue is empty again, and full once more"),
        Promise::NotCounted("TcpExt.ListenOverflows"),
        Promise::NotCounted("TcpExt.ListenDrops"),
    ],
    play: |lab| {
        lab.step("16 clients connect to the subject, whose queue holds them");
        let listener = lab.listener(SUBJECT, PORT, 16)?;
        let full = |rows: &[Socket]| rows.iter().any(|row| row.state == Listen && row.backlog == Some(16));
        lab.quietly(|lab| {
            for _ in 0..16 {
                let client = lab.connecting(PEER, SUBJECT.at(PORT))?;
                let _ = lab.connected(client)?;
            }
            lab.wait_rows(SUBJECT, "16 connections in a queue of 16", full)
        })?;
        lab.summarize(PEER, "16 × connect()".to_owned())?;
        lab.step("the program accepts all of them, and the next 16 come");
        lab.quietly(|lab| {
            for _ in 0..16 {
                let _ = lab.accept(listener)?;
            }
            for _ in 0..16 {
                let client = lab.connecting(PEER, SUBJECT.at(PORT))?;
                let _ = lab.connected(client)?;
            }
            lab.wait_rows(SUBJECT, "the queue is empty again, and full once more", full)
        })?;
        // And so on.
        let mut clients = Vec::new();
        lab.meanwhile(Duration::from_millis(300), move |lab| {
            while let Ok((socket, _)) = lab.host_mut(SUBJECT).accept(listener.socket) {
                lab.close(Handle { host: SUBJECT, socket })?;
            }
            for client in clients.drain(..) {
                lab.close(client)?;
            }
            for _ in 0..16 {
                clients.push(lab.connecting(PEER, SUBJECT.at(PORT))?);
            }
            Ok(())
        });
        lab.summarize(SUBJECT, "16 × accept()".to_owned())
    },
};

const SLOW_HANDSHAKES: Scenario = Scenario {
    name: "slow-handshakes",
    group: Group::Healthy,
    purpose: "Three clients behind a slow path: their last ACK is still under way. A few SYN_RECV are the ordinary sight \
              of a busy server.",
    look_at: "A few SYN_RECV, each young and from a client that will answer; most of the queue is free.",
    ended_by: "The ACKs arrive.",
    settings: &[],
    finding: None,
    promises: &[
        Promise::Seen(SUBJECT, "three young SYN_RECV"),
        Promise::NotCounted("TcpExt.SyncookiesSent"),
        Promise::NotCounted("TcpExt.TCPReqQFullDrop"),
    ],
    play: |lab| {
        lab.step("three clients connect to the subject; their ACKs are still under way");
        lab.listener(SUBJECT, PORT, 128)?;
        lab.wire().lose(PEER, Pattern::ACK, ALWAYS);
        for _ in 0..3 {
            lab.connecting(PEER, SUBJECT.at(PORT))?;
        }
        lab.wait_rows(SUBJECT, "three young SYN_RECV", |rows| count(rows, SynReceived) == 3)
    },
};

const CLOSE_WAIT_ANSWERING: Scenario = Scenario {
    name: "close-wait-answering",
    group: Group::Healthy,
    purpose: "A client has sent all it has to say and shut down its direction; the server still answers. CLOSE_WAIT is the \
              right state for that, and it moves.",
    look_at: "CLOSE_WAIT with Recv-Q 0: the end of file was read. The program goes on sending.",
    ended_by: "The program closes when it is done, which it soon is.",
    settings: &[],
    finding: None,
    promises: &[
        Promise::State(SUBJECT, CloseWait),
        Promise::State(PEER, FinWait2),
        Promise::Answer(SUBJECT, "recv", "0, the end of file"),
        Promise::Answer(PEER, "recv", "1000 bytes"),
        Promise::RowAtEnd(
            SUBJECT,
            Sight { what: "the end of file was read", test: |row| row.recv_queue == Some(0) },
        ),
    ],
    play: |lab| {
        lab.step("the peer connects to the subject, asks, and shuts down its direction");
        let (peer, subject) = lab.open(PEER, SUBJECT, PORT)?;
        let _ = lab.send(peer, b"question")?;
        let _ = lab.shutdown(peer, Direction::Write)?;
        lab.wait_state(SUBJECT, CloseWait)?;
        let _ = lab.receive(subject)?;
        let _ = lab.receive(subject)?;
        lab.step("the subject answers, part by part");
        for _ in 0..5 {
            let _ = lab.send(subject, &[b'a'; 1_000])?;
            let _ = lab.receive(peer)?;
            lab.pass(Duration::from_millis(50))?;
        }
        lab.meanwhile(Duration::from_millis(300), move |lab| {
            let _ = lab.send(subject, &[b'a'; 1_000])?;
            let _ = lab.receive(peer)?;
            Ok(())
        });
        Ok(())
    },
};

const SEND_QUEUE_MOVING: Scenario = Scenario {
    name: "send-queue-moving",
    group: Group::Healthy,
    purpose: "A download over a long path: Send-Q is never empty, because a round trip takes 200 ms. Everything is \
              acknowledged in its time.",
    look_at: "Send-Q is large, but what it holds changes; the retransmission timer runs and never expires.",
    ended_by: "The end of the download.",
    settings: &[Setting { name: "kilobytes", value: "200", usual: "", why: "what the subject sends" }],
    finding: None,
    promises: &[
        Promise::Seen(SUBJECT, "Send-Q is not empty, and no timer has expired"),
        Promise::Seen(SUBJECT, "half of it has been acknowledged"),
    ],
    play: |lab| {
        lab.step("the subject connects to the peer over a path of 200 ms there and back, and sends");
        lab.wire().set_delay(Duration::from_millis(100));
        let (subject, peer) = lab.open(SUBJECT, PEER, PORT)?;
        let kilobytes = lab.parameter("kilobytes").min(10_000) as usize;
        let text = vec![b'x'; kilobytes * 1_024];
        let sent = lab.send(subject, &text)?.unwrap_or(0) as u32;
        lab.pass(Duration::from_millis(150))?;
        let calm = |row: &Socket| row.timer.is_none_or(|timer| timer.retransmits == 0);
        lab.wait_rows(SUBJECT, "Send-Q is not empty, and no timer has expired", |rows| {
            rows.iter().any(|row| row.send_queue > Some(0) && calm(row))
        })?;
        lab.quietly(|lab| {
            lab.wait_until("half of it", |lab| {
                while lab.host_mut(PEER).receive(peer.socket, 65_536).is_ok_and(|text| !text.is_empty()) {}
                let rows = lab.host_mut(SUBJECT).rows()?;
                Ok(rows.iter().any(|row| row.send_queue.is_some_and(|left| left < sent / 2)))
            })?;
            lab.wait_rows(SUBJECT, "half of it has been acknowledged", |rows| {
                rows.iter().any(|row| row.send_queue.is_some_and(|left| left < sent / 2))
            })
        })?;
        lab.meanwhile(Duration::from_millis(50), move |lab| {
            while lab.host_mut(PEER).receive(peer.socket, 65_536).is_ok_and(|text| !text.is_empty()) {}
            let _ = lab.send(subject, &text)?;
            Ok(())
        });
        lab.look(SUBJECT)
    },
};
