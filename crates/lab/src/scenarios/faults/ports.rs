//! Ports of a client that are used up by TIME_WAIT.

use std::time::Duration;

use eleven_snapshot::Socket;
use eleven_tcp::State::{Established, Listen, SynSent, TimeWait};

use super::super::PORT;
use crate::error::Stop;
use crate::host::{HostId, PEER, SUBJECT};
use crate::lab::crowds::count;
use crate::lab::{Handle, Lab};
use crate::promise::Promise;
use crate::scenario::{Group, Scenario, Setting};
use crate::wire::Pattern;

pub(in super::super) const ALL: &[Scenario] =
    &[TIME_WAIT_PILE_UP, PORT_EXHAUSTION, PORT_EXHAUSTION_TW_REUSE, TIME_WAIT_OVERFLOW, HARMFUL_SYSCTLS];

const RANGE: Setting = Setting {
    name: "ip_local_port_range",
    value: "40000 40031",
    usual: "32768 60999, 28232 ports",
    why: "the ports that outgoing connections are given: 32 here, towards each remote address and port",
};

const fn reuse(value: &'static str) -> Setting {
    Setting {
        name: "tcp_tw_reuse",
        value,
        usual: "2, for loopback only",
        why: "1: a connection in TIME_WAIT gives its port to a new outgoing one, a second after its last packet; needs \
              timestamps",
    }
}

/// On a busy machine a FIN may be sent twice, and its second ACK be answered by an RST, which would end TIME_WAIT.
pub(in super::super) const PROTECTED: Setting = Setting {
    name: "tcp_rfc1337",
    value: "1",
    usual: "0",
    why: "TIME_WAIT overlooks resets, which a busy machine may cause here",
};

/// So many connections through `listener`, one after the other, each closed by `first` first: what is left is TIME_WAIT
/// there.
pub(in super::super) fn short_connections(
    lab: &mut Lab,
    client: HostId,
    first: HostId,
    listener: Handle,
    number: u64,
) -> Result<(), Stop> {
    let pairs = lab.open_many(client, listener, PORT, number)?;
    lab.quietly(|lab| {
        let ends = |(ours, theirs): &(Handle, Handle)| {
            if ours.host == first { (*ours, *theirs) } else { (*theirs, *ours) }
        };
        lab.each(&pairs, |lab, pair| lab.close(ends(pair).0))?;
        lab.pass(Duration::from_millis(20))?;
        lab.each(&pairs, |lab, pair| lab.close(ends(pair).1))?;
        lab.pass(Duration::from_millis(20))
    })?;
    for host in [client, listener.host] {
        lab.summarize(host, format!("{number} × close()"))?;
    }
    Ok(())
}

/// While the scenario is held, such connections go on.
pub(in super::super) fn go_on(
    lab: &mut Lab,
    every: Duration,
    client: HostId,
    first: HostId,
    listener: Handle,
) {
    lab.meanwhile(every, move |lab| short_connections(lab, client, first, listener, 1));
}

fn all_wait(rows: &[Socket]) -> bool {
    let others = rows.iter().filter(|row| !matches!(row.state, TimeWait | Listen)).count();
    count(rows, TimeWait) > 0 && others == 0
}

const TIME_WAIT_PILE_UP: Scenario = Scenario {
    name: "time-wait-pile-up",
    group: Group::Faults,
    purpose: "A client opens a connection for each request and closes it first: one TIME_WAIT after the other, each of \
              which keeps a port towards this server for 60 s. Here 28 of 32 ports are taken already.",
    look_at: "TIME_WAIT towards one remote address and port, from nearly as many local ports as ip_local_port_range has. \
              Nothing has failed yet: 28232 ports last for 470 connections a second.",
    ended_by: "60 s each; reusing connections is what helps. tcp_fin_timeout does nothing about it.",
    settings: &[
        RANGE,
        reuse("0"),
        PROTECTED,
        Setting { name: "connections", value: "28", usual: "", why: "how many are opened and closed" },
    ],
    finding: Some("time-wait-port-exhaustion"),
    promises: &[
        Promise::Seen(SUBJECT, "TIME_WAIT on most of its 32 ports, and nothing else"),
        Promise::State(SUBJECT, TimeWait),
        Promise::Seen(PEER, "nothing is left at the server"),
        Promise::Counter("Tcp.ActiveOpens", 28),
    ],
    play: |lab| {
        let connections = lab.parameter("connections");
        lab.step(format!("the subject opens {connections} connections to the peer, and closes each first"));
        let listener = lab.listener(PEER, PORT, 16)?;
        short_connections(lab, SUBJECT, SUBJECT, listener, connections)?;
        let most = (connections as usize).min(28);
        lab.wait_rows(SUBJECT, "TIME_WAIT on most of its 32 ports, and nothing else", |rows| {
            all_wait(rows) && count(rows, TimeWait) >= most
        })?;
        lab.wait_rows(PEER, "nothing is left at the server", |rows| {
            rows.iter().all(|row| row.state == Listen)
        })?;
        go_on(lab, Duration::from_secs(1), SUBJECT, SUBJECT, listener);
        lab.look(SUBJECT)
    },
};

const PORT_EXHAUSTION: Scenario = Scenario {
    name: "port-exhaustion",
    group: Group::Faults,
    purpose: "Every port of ip_local_port_range towards one server is in TIME_WAIT or in use: connect() returns \
              EADDRNOTAVAIL at once, without a packet.",
    look_at: "As many TIME_WAIT towards one remote address and port as the range has ports. Other servers, and other \
              ports of this one, can still be connected to.",
    ended_by: "60 s after the first of them. What helps: reuse connections; then tcp_tw_reuse=1, a wider range, more \
               addresses.",
    settings: &[RANGE, reuse("0"), PROTECTED],
    finding: Some("time-wait-port-exhaustion"),
    promises: &[
        Promise::Seen(SUBJECT, "TIME_WAIT on all 32 ports"),
        Promise::Answer(SUBJECT, "connect", "EADDRNOTAVAIL"),
        Promise::Answer(SUBJECT, "connect", "0"),
        Promise::Segments(SUBJECT, Pattern::SYN, 1, usize::MAX),
    ],
    play: |lab| {
        exhaust(lab)?;
        lab.step("it connects once more");
        let one_more = lab.socket(SUBJECT)?;
        let _ = lab.connect(one_more, PEER.at(PORT))?;
        lab.step("another port of the same server is not concerned");
        lab.listener(PEER, PORT + 1, 16)?;
        let client = lab.connecting(SUBJECT, PEER.at(PORT + 1))?;
        lab.focus_on_socket(client, PEER.at(PORT + 1))?;
        let _ = lab.connected(client)?;
        Ok(())
    },
};

/// All ports of the range are in TIME_WAIT towards the peer.
fn exhaust(lab: &mut Lab) -> Result<(), Stop> {
    lab.step(
        "the subject opens 32 connections to the peer and closes each first: one for every port that it has",
    );
    let listener = lab.listener(PEER, PORT, 16)?;
    short_connections(lab, SUBJECT, SUBJECT, listener, 32)?;
    lab.wait_rows(SUBJECT, "TIME_WAIT on all 32 ports", |rows| count(rows, TimeWait) == 32)
}

const PORT_EXHAUSTION_TW_REUSE: Scenario = Scenario {
    name: "port-exhaustion-tw-reuse",
    group: Group::Faults,
    purpose: "The same with tcp_tw_reuse=1: connect() takes over a port in TIME_WAIT. The timestamps keep old packets of \
              the former connection away (RFC 6191), so at least a second must have passed.",
    look_at: "At first EADDRNOTAVAIL all the same; a second later the new connection stands in the place of one of the \
              TIME_WAIT, and its number begins above the old one's.",
    ended_by: "It is no fault any more. Without timestamps on both sides nothing is reused.",
    settings: &[
        RANGE,
        reuse("1"),
        PROTECTED,
        Setting {
            name: "tcp_timestamps",
            value: "1",
            usual: "1",
            why: "without them, tcp_tw_reuse does nothing",
        },
    ],
    finding: Some("time-wait-port-exhaustion"),
    promises: &[
        Promise::Seen(SUBJECT, "TIME_WAIT on all 32 ports"),
        Promise::Answer(SUBJECT, "connect", "EADDRNOTAVAIL"),
        Promise::Answer(SUBJECT, "connect", "0"),
        Promise::State(SUBJECT, Established),
        Promise::Seen(SUBJECT, "31 TIME_WAIT, and one connection"),
        Promise::Counter("TcpExt.TWRecycled", 1),
    ],
    play: |lab| {
        exhaust(lab)?;
        lab.step("it connects once more at once, before the timestamps' clock has moved by a second");
        let too_soon = lab.socket(SUBJECT)?;
        let _ = lab.connect(too_soon, PEER.at(PORT))?;
        lab.step("and again two seconds later");
        lab.pass(Duration::from_secs(2))?;
        let client = lab.connecting(SUBJECT, PEER.at(PORT))?;
        lab.focus_on_socket(client, PEER.at(PORT))?;
        let _ = lab.connected(client)?;
        lab.wait_rows(SUBJECT, "31 TIME_WAIT, and one connection", |rows| {
            (count(rows, TimeWait), count(rows, Established)) == (31, 1)
        })
    },
};

const TIME_WAIT_OVERFLOW: Scenario = Scenario {
    name: "time-wait-overflow",
    group: Group::Faults,
    purpose: "tcp_max_tw_buckets is too low: connections that should enter TIME_WAIT are gone at once. It looks tidy, and \
              leaves the next connection on the port without protection, and peers with RSTs for their FINs.",
    look_at: "Never more TIME_WAIT than tcp_max_tw_buckets, and TCPTimeWaitOverflow rising.",
    ended_by: "`sysctl -w net.ipv4.tcp_max_tw_buckets=262144`: a TIME_WAIT costs a third of a kilobyte.",
    settings: &[
        Setting {
            name: "tcp_max_tw_buckets",
            value: "4",
            usual: "65536 to 262144, by memory",
            why: "so many TIME_WAIT there are at the most; more are cut short",
        },
        Setting { name: "connections", value: "20", usual: "", why: "how many are opened and closed" },
    ],
    finding: Some("time-wait-overflow"),
    promises: &[
        Promise::Seen(SUBJECT, "a few TIME_WAIT only"),
        Promise::Counter("TcpExt.TCPTimeWaitOverflow", 10),
    ],
    play: |lab| {
        let connections = lab.parameter("connections");
        lab.step(format!("the subject opens {connections} connections to the peer, and closes each first"));
        let listener = lab.listener(PEER, PORT, 16)?;
        short_connections(lab, SUBJECT, SUBJECT, listener, connections)?;
        lab.wait_rows(SUBJECT, "a few TIME_WAIT only", |rows| all_wait(rows) && count(rows, TimeWait) <= 5)?;
        go_on(lab, Duration::from_millis(300), SUBJECT, SUBJECT, listener);
        Ok(())
    },
};

const HARMFUL_SYSCTLS: Scenario = Scenario {
    name: "harmful-sysctls",
    group: Group::Faults,
    purpose: "Somebody has tuned the host: tcp_tw_reuse=1 to get ports back, and tcp_timestamps=0 to save bytes. The one is \
              useless without the other: TIME_WAIT cannot be reused, and connect() goes on failing.",
    look_at: "All ports in TIME_WAIT, EADDRNOTAVAIL long after the second that reuse has to wait, and the two sysctls.",
    ended_by: "`sysctl -w net.ipv4.tcp_timestamps=1`, for connections that begin from then on.",
    settings: &[
        RANGE,
        reuse("1"),
        Setting {
            name: "tcp_timestamps",
            value: "0",
            usual: "1",
            why: "without them nobody can tell old packets from new ones",
        },
        PROTECTED,
    ],
    finding: Some("harmful-sysctl"),
    promises: &[
        Promise::Seen(SUBJECT, "TIME_WAIT on all 32 ports"),
        Promise::Answer(SUBJECT, "connect", "EADDRNOTAVAIL"),
        Promise::Seen(SUBJECT, "TIME_WAIT on all 32 ports still, and no connection"),
        Promise::NotCounted("TcpExt.TWRecycled"),
    ],
    play: |lab| {
        exhaust(lab)?;
        lab.step("it connects once more two seconds later, when timestamps would have allowed it");
        lab.pass(Duration::from_secs(2))?;
        let client = lab.socket(SUBJECT)?;
        let _ = lab.connect(client, PEER.at(PORT))?;
        lab.wait_rows(SUBJECT, "TIME_WAIT on all 32 ports still, and no connection", |rows| {
            (count(rows, TimeWait), count(rows, Established), count(rows, SynSent)) == (32, 0, 0)
        })
    },
};
