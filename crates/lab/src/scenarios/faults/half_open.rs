//! Connections of which the peer knows nothing any more, and the ways to find out.

use std::time::Duration;

use eleven_snapshot::{Socket, TimerKind};
use eleven_tcp::State::{Closed, Established};

use super::super::PORT;
use crate::error::Stop;
use crate::host::{PEER, SUBJECT, SocketOption};
use crate::lab::crowds::count;
use crate::lab::{Handle, Lab};
use crate::promise::Promise;
use crate::scenario::{Group, Scenario, Setting};
use crate::wire::Pattern;

pub(in super::super) const ALL: &[Scenario] = &[
    HALF_OPEN,
    HALF_OPEN_KEEPALIVE,
    HALF_OPEN_USER_TIMEOUT,
    KEEPALIVE_UNANSWERED,
    KEEPALIVE_RESET,
    IDLE_WITHOUT_KEEPALIVE,
];

pub(in super::super) const KEEPALIVE_TIME: Setting = Setting {
    name: "tcp_keepalive_time",
    value: "1",
    usual: "7200",
    why: "seconds of silence before the first probe, for sockets that have SO_KEEPALIVE",
};
pub(in super::super) const KEEPALIVE_INTERVAL: Setting = Setting {
    name: "tcp_keepalive_intvl",
    value: "1",
    usual: "75",
    why: "seconds from one unanswered probe to the next",
};
const KEEPALIVE_PROBES: Setting = Setting {
    name: "tcp_keepalive_probes",
    value: "2",
    usual: "9",
    why: "so many unanswered probes end the connection: after 2 h 11 min 15 s usually, 3 s here",
};

/// Two connections from the subject to the peer: the subject's ends.
fn two(lab: &mut Lab) -> Result<(Handle, Handle), Stop> {
    lab.step("the subject opens two connections to the peer");
    let listener = lab.listener(PEER, PORT, 16)?;
    let pairs = lab.open_many(SUBJECT, listener, PORT, 2)?;
    match pairs[..] {
        [(first, _), (second, _)] => Ok((first, second)),
        _ => Err(Stop::NotReached("there are not two connections".to_owned())),
    }
}

/// Nothing gets through in either direction.
fn cut(lab: &mut Lab) {
    lab.wire().silence(SUBJECT);
    lab.wire().silence(PEER);
}

fn is_idle(row: &Socket) -> bool {
    row.state == Established && row.timer.is_none()
}

const IDLE: &str = "the other connection is in ESTABLISHED without a timer, as if nothing had happened";

const HALF_OPEN: Scenario = Scenario {
    name: "half-open",
    group: Group::Faults,
    purpose: "The peer's host has crashed and come back, and knows nothing of the connection. This side, which has \
              nothing to send, notices nothing: without keepalive ESTABLISHED may last for ever. Whoever sends gets an \
              RST.",
    look_at: "ESTABLISHED, both queues empty, no timer: nothing tells a half-open connection from an idle one. On the \
              peer there is no row for it.",
    ended_by: "Something is sent: the peer, which is back, answers by an RST. Keepalive would have found out by itself.",
    settings: &[],
    finding: Some("half-open-peer"),
    promises: &[
        Promise::Seen(SUBJECT, "both connections are in ESTABLISHED without a timer"),
        Promise::Seen(PEER, "the peer has no sockets at all"),
        Promise::Path(SUBJECT, &[Established, Closed]),
        Promise::Segments(PEER, Pattern::RST, 1, usize::MAX),
        Promise::Answer(SUBJECT, "recv", "ECONNRESET"),
        Promise::Seen(SUBJECT, IDLE),
        Promise::Counter("Tcp.EstabResets", 1),
    ],
    play: |lab| {
        let (first, _) = two(lab)?;
        lab.step("the peer's host crashes and comes back; for a second nothing happens");
        lab.crash(PEER)?;
        lab.pass(Duration::from_secs(1))?;
        lab.wait_rows(PEER, "the peer has no sockets at all", <[Socket]>::is_empty)?;
        lab.wait_rows(SUBJECT, "both connections are in ESTABLISHED without a timer", |rows| {
            rows.iter().filter(|row| is_idle(row)).count() == 2
        })?;
        lab.step("the subject sends something on the first");
        let _ = lab.send(first, b"hello?")?;
        let _ = lab.receive(first)?;
        lab.wait_rows(SUBJECT, IDLE, |rows| rows.len() == 1 && is_idle(&rows[0]))
    },
};

const HALF_OPEN_KEEPALIVE: Scenario = Scenario {
    name: "half-open-keepalive",
    group: Group::Faults,
    purpose: "The peer's host has lost its power and stays away. Of two idle connections the one with SO_KEEPALIVE is \
              found out and ends with ETIMEDOUT; the other stays.",
    look_at: "The keepalive timer, and how many probes were not answered; then one row less.",
    ended_by: "The last of tcp_keepalive_probes. The other: nothing, until something is sent.",
    settings: &[KEEPALIVE_TIME, KEEPALIVE_INTERVAL, KEEPALIVE_PROBES],
    finding: Some("half-open-peer"),
    promises: &[
        Promise::Timer(SUBJECT, Established, TimerKind::Keepalive, 1),
        Promise::Path(SUBJECT, &[Established, Closed]),
        Promise::Answer(SUBJECT, "recv", "ETIMEDOUT"),
        Promise::Seen(SUBJECT, IDLE),
        Promise::Counter("TcpExt.TCPKeepAlive", 2),
        Promise::Counter("TcpExt.TCPAbortOnTimeout", 1),
    ],
    play: |lab| {
        let (first, _) = two(lab)?;
        lab.step("the first has keepalive, the second has not; the peer's host loses its power");
        lab.set_option(first, SocketOption::Keepalive(true))?;
        lab.crash(PEER)?;
        cut(lab);
        let _ = lab.receive(first)?;
        lab.wait_rows(SUBJECT, IDLE, |rows| rows.len() == 1 && is_idle(&rows[0]))
    },
};

const HALF_OPEN_USER_TIMEOUT: Scenario = Scenario {
    name: "half-open-user-timeout",
    group: Group::Faults,
    purpose: "The path to the peer is cut while something is under way. Keepalive does not help then: the retransmission \
              timer runs instead. TCP_USER_TIMEOUT ends the one connection after a second; the other is left to \
              tcp_retries2.",
    look_at: "Send-Q stands, and the retransmission timer doubles. One of two rows vanishes after TCP_USER_TIMEOUT.",
    ended_by: "TCP_USER_TIMEOUT for the one; for the other tcp_retries2: about 15 minutes.",
    settings: &[Setting {
        name: "tcp_retries2",
        value: "15",
        usual: "15",
        why: "how often data is sent again before the kernel gives up: 924 s and more",
    }],
    finding: Some("half-open-peer"),
    promises: &[
        Promise::Timer(SUBJECT, Established, TimerKind::Retransmit, 1),
        Promise::Path(SUBJECT, &[Established, Closed]),
        Promise::Answer(SUBJECT, "recv", "ETIMEDOUT"),
        Promise::Seen(SUBJECT, "the other connection still sends again, later each time"),
        Promise::Counter("TcpExt.TCPAbortOnTimeout", 1),
    ],
    play: |lab| {
        let (first, second) = two(lab)?;
        lab.step("the path is cut; the subject sends on both, the first with a TCP_USER_TIMEOUT of a second");
        lab.set_option(first, SocketOption::UserTimeout(Duration::from_secs(1)))?;
        cut(lab);
        let _ = lab.send(first, b"hello?")?;
        let _ = lab.send(second, b"hello?")?;
        let _ = lab.receive(first)?;
        lab.wait_rows(SUBJECT, "the other connection still sends again, later each time", |rows| {
            let tries = |row: &Socket| {
                row.state == Established
                    && row.send_queue == Some(6)
                    && row.timer.is_some_and(|it| it.kind == TimerKind::Retransmit && it.retransmits >= 2)
            };
            rows.len() == 1 && rows.iter().all(tries)
        })
    },
};

const KEEPALIVE_UNANSWERED: Scenario = Scenario {
    name: "keepalive-unanswered",
    group: Group::Faults,
    purpose: "A firewall has forgotten an idle connection and drops its packets in silence. Both ends are well and still in \
              ESTABLISHED; the subject's keepalive probes are not answered, and it gives up.",
    look_at: "The keepalive timer with a rising count. The peer, without keepalive, stays in ESTABLISHED for ever.",
    ended_by: "The last of tcp_keepalive_probes: ETIMEDOUT, and an RST that does not get through either.",
    settings: &[KEEPALIVE_TIME, KEEPALIVE_INTERVAL, KEEPALIVE_PROBES],
    finding: Some("half-open-peer"),
    promises: &[
        Promise::Timer(SUBJECT, Established, TimerKind::Keepalive, 1),
        Promise::Answer(SUBJECT, "recv", "ETIMEDOUT"),
        Promise::Path(SUBJECT, &[Established, Closed]),
        Promise::Segments(SUBJECT, Pattern::RST, 1, usize::MAX),
        Promise::State(PEER, Established),
        Promise::Seen(SUBJECT, "the other connection has probed in vain, and goes on"),
        Promise::Counter("TcpExt.TCPKeepAlive", 3),
    ],
    play: |lab| {
        let (first, second) = two(lab)?;
        lab.step("both have keepalive, the second with 90 probes; nothing gets through any more");
        lab.set_option(second, SocketOption::KeepaliveProbes(90))?;
        for socket in [first, second] {
            lab.set_option(socket, SocketOption::Keepalive(true))?;
        }
        cut(lab);
        let _ = lab.receive(first)?;
        lab.wait_rows(SUBJECT, "the other connection has probed in vain, and goes on", |rows| {
            let probes = |row: &Socket| {
                row.timer.is_some_and(|it| it.kind == TimerKind::Keepalive && it.retransmits >= 2)
            };
            count(rows, Established) == 1 && rows.iter().all(probes)
        })
    },
};

const KEEPALIVE_RESET: Scenario = Scenario {
    name: "keepalive-reset",
    group: Group::Faults,
    purpose: "The peer's host has crashed and is back. The first keepalive probe is answered by an RST: the subject knows \
              at once, without waiting for more probes.",
    look_at: "The row vanishes with the first probe; the program's next call returns ECONNRESET.",
    ended_by: "The RST.",
    settings: &[KEEPALIVE_TIME, KEEPALIVE_INTERVAL, KEEPALIVE_PROBES],
    finding: Some("half-open-peer"),
    promises: &[
        Promise::Path(SUBJECT, &[Established, Closed]),
        Promise::Timer(SUBJECT, Established, TimerKind::Keepalive, 0),
        Promise::Segments(PEER, Pattern::RST, 1, usize::MAX),
        Promise::Answer(SUBJECT, "recv", "ECONNRESET"),
        Promise::Seen(SUBJECT, IDLE),
        Promise::Counter("TcpExt.TCPKeepAlive", 1),
    ],
    play: |lab| {
        let (first, _) = two(lab)?;
        lab.step("the first has keepalive; the peer's host crashes and comes back");
        lab.set_option(first, SocketOption::Keepalive(true))?;
        lab.crash(PEER)?;
        let _ = lab.receive(first)?;
        lab.wait_rows(SUBJECT, IDLE, |rows| rows.len() == 1 && is_idle(&rows[0]))
    },
};

const IDLE_WITHOUT_KEEPALIVE: Scenario = Scenario {
    name: "idle-without-keepalive",
    group: Group::Faults,
    purpose: "Idle clients of a server whose listener has no SO_KEEPALIVE. They may all be well; should one of them \
              vanish, the server would never find out.",
    look_at: "ESTABLISHED behind a listener, and no timer on any row.",
    ended_by: "Either side closes. The program's SO_KEEPALIVE would make it safe; the sysctls alone do nothing.",
    settings: &[
        Setting { name: "connections", value: "20", usual: "", why: "how many clients are idle" },
        Setting {
            name: "idle",
            value: "500",
            usual: "hours",
            why: "milliseconds that they have been idle for",
        },
    ],
    finding: Some("keepalive-missing"),
    promises: &[
        Promise::Seen(SUBJECT, "every client is idle in ESTABLISHED without a timer"),
        Promise::State(SUBJECT, Established),
    ],
    play: |lab| {
        let connections = lab.parameter("connections") as usize;
        lab.step(format!("{connections} clients connect to the subject, and have nothing to say"));
        let listener = lab.listener(SUBJECT, PORT, 16)?;
        lab.open_many(PEER, listener, PORT, connections as u64)?;
        lab.pass(Duration::from_millis(lab.parameter("idle")))?;
        lab.wait_rows(SUBJECT, "every client is idle in ESTABLISHED without a timer", |rows| {
            rows.iter().filter(|row| is_idle(row)).count() == connections
        })?;
        lab.look(SUBJECT)
    },
};
