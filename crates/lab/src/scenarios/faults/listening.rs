//! A listener's two queues: half-open connections, and those that nobody has accepted.

use std::time::Duration;

use eleven_snapshot::Socket;
use eleven_tcp::State::{Closed, Established, Listen, SynReceived, SynSent};

use super::super::PORT;
use crate::error::Stop;
use crate::host::{PEER, SUBJECT};
use crate::lab::crowds::count;
use crate::lab::{Handle, Lab};
use crate::promise::Promise;
use crate::scenario::{Group, Scenario, Setting};
use crate::wire::Pattern;

pub(in super::super) const ALL: &[Scenario] = &[
    SYN_FLOOD_COOKIES_0,
    SYN_FLOOD_COOKIES_1,
    SYN_FLOOD_COOKIES_2,
    SYN_BACKLOG_FULL,
    ACCEPT_QUEUE_OVERFLOW,
    ACCEPT_QUEUE_OVERFLOW_ABORT,
];

/// What the listener is told: a queue that is soon full.
const BACKLOG: i32 = 16;
/// How often strangers send.
const EVERY: Duration = Duration::from_millis(50);

const SYNS: Setting = Setting {
    name: "syns",
    value: "10",
    usual: "",
    why: "forged SYNs every 50 ms, from a hundred addresses",
};
const SYN_ACK_RETRIES: Setting = Setting {
    name: "tcp_synack_retries",
    value: "5",
    usual: "5",
    why: "how often each SYN+ACK to a stranger is sent again, 63 s in all, unless the queue is more than half full",
};

const fn cookies(value: &'static str) -> Setting {
    Setting {
        name: "tcp_syncookies",
        value,
        usual: "1",
        why: "0: what does not fit the SYN queue is dropped; 1: it is answered by a cookie; 2: everything is",
    }
}

/// How many half-open connections, and from how many addresses.
fn is_flooded(rows: &[Socket]) -> bool {
    let half_open = || rows.iter().filter(|row| row.state == SynReceived);
    let mut sources: Vec<_> = half_open().map(|row| row.remote_address).collect();
    sources.sort_unstable();
    sources.dedup();
    half_open().count() > BACKLOG as usize / 2 && sources.len() > BACKLOG as usize / 2
}

/// How many strangers send at once.
fn syns(lab: &Lab) -> u32 {
    lab.parameter("syns").min(1_000) as u32
}

/// Strangers send SYNs until the rows show what `test` looks for. How many were sent.
fn flood(lab: &mut Lab, what: &'static str, test: fn(&[Socket]) -> bool) -> Result<u32, Stop> {
    let syns = syns(lab);
    let rounds = (2 * BACKLOG as u32).div_ceil(syns.max(1));
    lab.quietly(|lab| {
        for round in 0..rounds {
            lab.forge_syns(PORT, round * syns, syns)?;
            lab.pass(Duration::from_millis(1))?;
        }
        lab.wait_rows(SUBJECT, what, test)?;
        Ok(rounds * syns)
    })
}

/// The flood goes on until the client's connect() returns, and while the scenario is held.
fn connect_meanwhile(lab: &mut Lab, client: Handle, mut sent: u32) -> Result<(), Stop> {
    let syns = syns(lab);
    let mut next = lab.now();
    let is_opening = |row: &Socket| row.state == SynSent;
    while lab.rows(client.host)?.iter().any(is_opening) {
        lab.forge_syns(PORT, sent, syns)?;
        sent = sent.wrapping_add(syns);
        next += EVERY;
        lab.pass(next.duration_since(lab.now()))?;
    }
    lab.meanwhile(EVERY, move |lab| {
        lab.forge_syns(PORT, sent, syns)?;
        sent = sent.wrapping_add(syns);
        Ok(())
    });
    Ok(())
}

const SYN_FLOOD_COOKIES_0: Scenario = Scenario {
    name: "syn-flood-cookies-0",
    group: Group::Faults,
    purpose: "Strangers send SYNs under forged addresses and never answer. Without cookies each keeps a place in the SYN \
              queue, and a real client finds none: its SYNs are dropped in silence, and connect() times out.",
    look_at: "SYN_RECV from very many addresses, all with a retransmission timer. TCPReqQFullDrop counts who found the \
              queue full; the client stands in SYN_SENT.",
    ended_by: "The strangers cease, or `sysctl -w net.ipv4.tcp_syncookies=1`, which takes effect at once.",
    settings: &[
        cookies("0"),
        SYNS,
        SYN_ACK_RETRIES,
        Setting {
            name: "peer.tcp_syn_retries",
            value: "1",
            usual: "6",
            why: "how often the client sends its SYN again before connect() fails: 131 s usually, 3 s here",
        },
        Setting {
            name: "peer.tcp_syn_linear_timeouts",
            value: "0",
            usual: "4",
            why: "how often at a steady pace before that",
        },
    ],
    finding: Some("syn-backlog-full"),
    promises: &[
        Promise::Seen(SUBJECT, "SYN_RECV from many addresses"),
        Promise::Path(PEER, &[SynSent, Closed]),
        Promise::Answer(PEER, "connect", "ETIMEDOUT"),
        Promise::Segments(PEER, Pattern::SYN, 2, 2),
        Promise::Segments(SUBJECT, Pattern::SYN_ACK, 0, 0),
        Promise::Counter("TcpExt.TCPReqQFullDrop", 2),
        Promise::Counter("TcpExt.ListenDrops", 2),
    ],
    play: |lab| {
        lab.step("the subject listens; strangers send SYNs and never answer");
        lab.listener(SUBJECT, PORT, BACKLOG)?;
        let sent = flood(lab, "SYN_RECV from many addresses", is_flooded)?;
        lab.step("the peer, an honest client, connects while the flood goes on");
        let client = lab.connecting(PEER, SUBJECT.at(PORT))?;
        lab.focus_on_socket(client, SUBJECT.at(PORT))?;
        connect_meanwhile(lab, client, sent)?;
        let _ = lab.connected(client)?;
        lab.look(PEER)
    },
};

const SYN_FLOOD_COOKIES_1: Scenario = Scenario {
    name: "syn-flood-cookies-1",
    group: Group::Faults,
    purpose: "The same flood with cookies: when the SYN queue is full, the subject keeps what it has to remember in the \
              number of its SYN+ACK instead of in a queue. The real client gets in.",
    look_at: "SYN_RECV from many addresses, as many as the queue holds; SyncookiesSent rises with each further SYN, and \
              SyncookiesRecv with each real client.",
    ended_by: "The strangers cease. Connections opened by a cookie may lack window scaling and SACK if the client sends no \
               timestamps.",
    settings: &[cookies("1"), SYNS, SYN_ACK_RETRIES],
    finding: Some("syn-flood"),
    promises: &[
        Promise::Seen(SUBJECT, "SYN_RECV from many addresses"),
        Promise::Path(PEER, &[SynSent, Established]),
        Promise::Answer(PEER, "connect", "0"),
        Promise::Path(SUBJECT, &[Listen, Established]),
        Promise::Counter("TcpExt.SyncookiesSent", 2),
        Promise::Counter("TcpExt.SyncookiesRecv", 1),
        Promise::Counter("TcpExt.TCPReqQFullDoCookies", 2),
    ],
    play: |lab| {
        lab.step("the subject listens; strangers send SYNs and never answer");
        let listener = lab.listener(SUBJECT, PORT, BACKLOG)?;
        let sent = flood(lab, "SYN_RECV from many addresses", is_flooded)?;
        connect_by_cookie(lab, listener, sent)
    },
};

const SYN_FLOOD_COOKIES_2: Scenario = Scenario {
    name: "syn-flood-cookies-2",
    group: Group::Faults,
    purpose: "The same flood with cookies for everybody: nothing of it is to be seen among the sockets, and the real \
              client gets in. Few rows of SYN_RECV do not mean that there is no flood.",
    look_at: "No SYN_RECV at all: only SyncookiesSent tells, and the packets.",
    ended_by: "The strangers cease.",
    settings: &[cookies("2"), SYNS],
    finding: Some("syn-flood"),
    promises: &[
        Promise::Seen(SUBJECT, "no SYN_RECV, though SYNs keep coming"),
        Promise::Path(PEER, &[SynSent, Established]),
        Promise::Answer(PEER, "connect", "0"),
        Promise::Path(SUBJECT, &[Listen, Established]),
        Promise::Counter("TcpExt.SyncookiesSent", 2 * BACKLOG as i64),
        Promise::Counter("TcpExt.SyncookiesRecv", 1),
    ],
    play: |lab| {
        lab.step("the subject listens; strangers send SYNs and never answer");
        let listener = lab.listener(SUBJECT, PORT, BACKLOG)?;
        let sent = flood(lab, "no SYN_RECV, though SYNs keep coming", |rows| count(rows, SynReceived) == 0)?;
        connect_by_cookie(lab, listener, sent)
    },
};

fn connect_by_cookie(lab: &mut Lab, listener: Handle, sent: u32) -> Result<(), Stop> {
    lab.step("the peer, an honest client, connects while the flood goes on");
    let client = lab.connecting(PEER, SUBJECT.at(PORT))?;
    lab.focus_on_socket(client, SUBJECT.at(PORT))?;
    connect_meanwhile(lab, client, sent)?;
    let _ = lab.connected(client)?;
    lab.wait_state(SUBJECT, Established)?;
    let _ = lab.accept(listener)?;
    Ok(())
}

const SYN_BACKLOG_FULL: Scenario = Scenario {
    name: "syn-backlog-full",
    group: Group::Faults,
    purpose: "No attack, only many honest clients at once, a short backlog and no cookies: some of their SYNs are dropped, \
              and these clients get in a second late, when they send the SYN again.",
    look_at: "TCPReqQFullDrop rises, while SYN_RECV come from clients that answer. In the client's packets a SYN that was \
              sent twice.",
    ended_by: "The repeated SYNs find room. A larger backlog of listen(), or tcp_syncookies=1, would have taken them at \
               once.",
    settings: &[
        cookies("0"),
        Setting { name: "clients", value: "40", usual: "", why: "how many connect at once" },
    ],
    finding: Some("syn-backlog-full"),
    promises: &[
        Promise::Seen(SUBJECT, "a SYN queue that is full of honest clients"),
        Promise::Seen(PEER, "some clients have sent their SYN in vain"),
        Promise::Counter("TcpExt.TCPReqQFullDrop", 10),
    ],
    play: |lab| {
        let clients = lab.parameter("clients");
        lab.step(format!(
            "{clients} clients connect to the subject at once, over a path of 100 ms there and back"
        ));
        let listener = lab.listener(SUBJECT, PORT, BACKLOG)?;
        lab.wire().set_delay(Duration::from_millis(50));
        lab.quietly(|lab| {
            for _ in 0..clients {
                lab.connecting(PEER, SUBJECT.at(PORT))?;
            }
            lab.wait_rows(SUBJECT, "a SYN queue that is full of honest clients", |rows| {
                count(rows, SynReceived) >= BACKLOG as usize
            })
        })?;
        lab.summarize(PEER, format!("{clients} × connect()"))?;
        lab.quietly(|lab| {
            lab.wait_rows(PEER, "some clients have sent their SYN in vain", |rows| {
                rows.iter().any(|row| row.state == SynSent && row.timer.is_some_and(|it| it.retransmits > 0))
            })
        })?;
        lab.step("they come again and again while the scenario is held; the program accepts and closes");
        let mut round = 0_u32;
        lab.meanwhile(Duration::from_millis(20), move |lab| {
            while let Ok((socket, _)) = lab.host_mut(SUBJECT).accept(listener.socket) {
                lab.close(Handle { host: SUBJECT, socket })?;
            }
            if round.is_multiple_of(25) {
                for _ in 0..clients {
                    lab.connecting(PEER, SUBJECT.at(PORT))?;
                }
            }
            round = round.wrapping_add(1);
            Ok(())
        });
        Ok(())
    },
};

/// The third of three clients whose ACK arrives at a queue that holds two; and the listener.
///
/// Not all three at once: more half-open connections than `listen()` was told would be answered by cookies, which leave
/// no row and are sent only once.
fn overflow(lab: &mut Lab) -> Result<(Handle, Handle), Stop> {
    lab.step(
        "the subject listens and accepts nobody: its queue holds two connections, one more than it was told",
    );
    let listener = lab.listener(SUBJECT, PORT, 1)?;
    lab.step("a client of the peer's connects, and then two more at once, whose ACKs arrive together");
    let first = lab.connecting(PEER, SUBJECT.at(PORT))?;
    let _ = lab.connected(first)?;
    let acks = lab.wire().hold(PEER, Pattern::ACK);
    lab.connecting(PEER, SUBJECT.at(PORT))?;
    let third = lab.connecting(PEER, SUBJECT.at(PORT))?;
    lab.focus_on_socket(third, SUBJECT.at(PORT))?;
    lab.wait_until("two ACKs on the wire", |lab| Ok(lab.wire().held(acks) == 2))?;
    lab.wait_state(PEER, Established)?;
    lab.wait_state(SUBJECT, SynReceived)?;
    lab.release(acks)?;
    Ok((listener, third))
}

fn is_full(rows: &[Socket]) -> bool {
    rows.iter().any(|row| row.state == Listen && row.backlog > row.backlog_limit)
}

/// While the scenario is held, another client comes each second.
fn more_clients(lab: &mut Lab) {
    lab.meanwhile(Duration::from_secs(1), |lab| lab.connecting(PEER, SUBJECT.at(PORT)).map(drop));
}

const ACCEPT_QUEUE_OVERFLOW: Scenario = Scenario {
    name: "accept-queue-overflow",
    group: Group::Faults,
    purpose: "The server's program accepts too slowly and its queue is full. The kernel overlooks the last ACK of a \
              handshake: the client believes that the connection is open and sends, the server knows nothing of it. \
              Further SYNs are dropped.",
    look_at: "The listener's Recv-Q is larger than its Send-Q. The same connection is ESTABLISHED at the client and \
              SYN_RECV here; a later client stays in SYN_SENT. ListenOverflows rises.",
    ended_by: "The program accepts. The client's request, or the SYN+ACK, is sent again meanwhile, and then finds room.",
    settings: &[
        Setting {
            name: "tcp_abort_on_overflow",
            value: "0",
            usual: "0",
            why: "with 1 the client is reset instead of left in its belief",
        },
        Setting {
            name: "somaxconn",
            value: "4096",
            usual: "4096",
            why: "the most that listen() is given; here listen() itself asks for 1 only",
        },
    ],
    finding: Some("accept-queue-overflow"),
    promises: &[
        Promise::Path(PEER, &[SynSent, Established]),
        Promise::Seen(SUBJECT, "SYN_RECV although the ACK has come, and a full accept queue"),
        Promise::Answer(PEER, "send", "7 bytes"),
        Promise::Path(SUBJECT, &[SynReceived, Established]),
        Promise::Seen(PEER, "the fourth client gets no answer"),
        Promise::Segments(PEER, Pattern::TEXT, 2, usize::MAX),
        Promise::Counter("TcpExt.ListenOverflows", 2),
        Promise::Counter("TcpExt.ListenDrops", 2),
    ],
    play: |lab| {
        let (listener, third) = overflow(lab)?;
        lab.wait_rows(SUBJECT, "SYN_RECV although the ACK has come, and a full accept queue", |rows| {
            is_full(rows) && count(rows, SynReceived) == 1
        })?;
        lab.step("the third client believes that its connection is open, and sends a request");
        let _ = lab.send(third, b"request")?;
        lab.pass(Duration::from_millis(100))?;
        lab.step("the server's program accepts one at last; the request is sent again, and finds room");
        let _ = lab.accept(listener)?;
        lab.wait_state(SUBJECT, Established)?;
        lab.step("the queue is full again, and a fourth client connects: its SYN is dropped");
        lab.connecting(PEER, SUBJECT.at(PORT))?;
        lab.wait_rows(PEER, "the fourth client gets no answer", |rows| {
            let waits =
                |row: &&Socket| row.state == SynSent && row.timer.is_some_and(|it| it.retransmits > 0);
            rows.iter().find(waits).is_some()
        })?;
        more_clients(lab);
        Ok(())
    },
};

const ACCEPT_QUEUE_OVERFLOW_ABORT: Scenario = Scenario {
    name: "accept-queue-overflow-abort",
    group: Group::Faults,
    purpose: "The same full queue with tcp_abort_on_overflow: the client's ACK gets an RST. Its connect() had succeeded \
              already; its next call returns ECONNRESET.",
    look_at: "No row of SYN_RECV stays; ListenOverflows rises, and clients report ECONNRESET for a server that seems to be \
              well.",
    ended_by: "The program accepts. The setting turns a short delay into errors, and is rarely worth it.",
    settings: &[Setting {
        name: "tcp_abort_on_overflow",
        value: "1",
        usual: "0",
        why: "with 0 the ACK would be overlooked, and could come again",
    }],
    finding: Some("accept-queue-overflow"),
    promises: &[
        Promise::Seen(SUBJECT, "the accept queue is full"),
        Promise::Path(PEER, &[SynSent, Established, Closed]),
        Promise::Answer(PEER, "recv", "ECONNRESET"),
        Promise::Path(SUBJECT, &[SynReceived, Closed]),
        Promise::Segments(SUBJECT, Pattern::RST, 1, usize::MAX),
        Promise::Counter("TcpExt.ListenOverflows", 1),
        Promise::Counter("Tcp.OutRsts", 1),
    ],
    play: |lab| {
        let (_, third) = overflow(lab)?;
        lab.wait_rows(SUBJECT, "the accept queue is full", is_full)?;
        lab.step("the third client waits for an answer");
        let _ = lab.receive(third)?;
        more_clients(lab);
        lab.look(SUBJECT)
    },
};
