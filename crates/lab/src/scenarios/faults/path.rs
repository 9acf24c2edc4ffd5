//! A network that does not carry what it should.

use std::time::Duration;

use eleven_snapshot::TimerKind;
use eleven_tcp::State::Established;

use super::super::PORT;
use crate::error::Stop;
use crate::host::{PEER, SUBJECT};
use crate::lab::{Handle, Lab};
use crate::promise::{Promise, Sight};
use crate::scenario::{Group, Scenario, Setting};
use crate::wire::Pattern;

pub(in super::super) const ALL: &[Scenario] = &[MTU_BLACK_HOLE, MTU_BLACK_HOLE_PROBING, LOSSY_PATH];

/// What the path carries, while both ends believe in 1500.
const NARROW: u16 = 1_200;
/// More than a few full segments.
const ANSWER: usize = 8_000;

const FULL: Pattern = Pattern { name: "full-sized data", matches: |segment| segment.text.len() > 1_300 };
const SMALLER: Pattern = Pattern {
    name: "data in smaller segments",
    matches: |segment| (900..1_160).contains(&segment.text.len()),
};

const fn probing(value: &'static str) -> Setting {
    Setting {
        name: "tcp_mtu_probing",
        value,
        usual: "0",
        why: "1: when full-sized segments vanish, smaller ones are tried, of tcp_base_mss (1024) bytes at first",
    }
}

/// A connection over a path that has become narrow and does not say so. Small messages pass; then much is sent.
fn narrow(lab: &mut Lab) -> Result<(Handle, Handle), Stop> {
    lab.step("the peer connects to the subject over a path that carries 1200 bytes, though nobody tells");
    let (peer, subject) = lab.open(PEER, SUBJECT, PORT)?;
    lab.wire().limit(NARROW, false);
    lab.step("a request of 100 bytes arrives");
    let _ = lab.send(peer, &[b'q'; 100])?;
    let _ = lab.receive(subject)?;
    lab.step("the answer of 8000 bytes does not: its segments are too large, and no router says so");
    let _ = lab.send(subject, &[b'a'; ANSWER])?;
    Ok((peer, subject))
}

const MTU_BLACK_HOLE: Scenario = Scenario {
    name: "mtu-black-hole",
    group: Group::Faults,
    purpose: "A link on the path carries less than both ends believe, and the ICMP that should say so is filtered: the \
              handshake and small messages pass, full-sized segments vanish. `ssh` connects and then hangs.",
    look_at: "ESTABLISHED, Send-Q stands, full-sized segments are sent again at doubling intervals and never \
              acknowledged, while small ones pass.",
    ended_by: "tcp_retries2, about 15 minutes: ETIMEDOUT. What helps: let ICMP pass, clamp the MSS, or tcp_mtu_probing=1.",
    settings: &[probing("0")],
    finding: Some("mtu-blackhole"),
    promises: &[
        Promise::Answer(SUBJECT, "recv", "100 bytes"),
        Promise::Timer(SUBJECT, Established, TimerKind::Retransmit, 3),
        Promise::Segments(SUBJECT, FULL, 4, usize::MAX),
        Promise::RowAtEnd(
            PEER,
            Sight { what: "nothing of the answer can be read", test: |row| row.recv_queue == Some(0) },
        ),
        Promise::Segments(SUBJECT, SMALLER, 0, 0),
    ],
    play: |lab| {
        narrow(lab)?;
        lab.wait_row(SUBJECT, "three retransmissions in a row", |row| {
            row.timer.is_some_and(|it| it.kind == TimerKind::Retransmit && it.retransmits >= 3)
        })
    },
};

const MTU_BLACK_HOLE_PROBING: Scenario = Scenario {
    name: "mtu-black-hole-probing",
    group: Group::Faults,
    purpose: "The same path with tcp_mtu_probing=1: after a few timeouts the kernel suspects a black hole, and tries \
              smaller segments (RFC 4821). The answer arrives, some seconds late.",
    look_at: "First full-sized retransmissions in vain, then segments of 1024 bytes, which are acknowledged.",
    ended_by: "It is over when the answer has arrived; the connection keeps its smaller segments.",
    settings: &[
        probing("1"),
        Setting {
            name: "tcp_retries1",
            value: "3",
            usual: "3",
            why: "so many timeouts in a row, about 3 s, and a black hole is suspected",
        },
    ],
    finding: Some("mtu-blackhole"),
    promises: &[
        Promise::Timer(SUBJECT, Established, TimerKind::Retransmit, 3),
        Promise::Segments(SUBJECT, FULL, 3, usize::MAX),
        Promise::Segments(SUBJECT, SMALLER, 1, usize::MAX),
        Promise::Row(
            PEER,
            Sight { what: "the whole answer has arrived", test: |row| row.recv_queue == Some(ANSWER as u32) },
        ),
    ],
    play: |lab| {
        narrow(lab)?;
        lab.set_patience(Duration::from_secs(14));
        lab.wait_row(PEER, "the whole answer", |row| row.recv_queue == Some(ANSWER as u32))
    },
};

const LOSSY_PATH: Scenario = Scenario {
    name: "lossy-path",
    group: Group::Faults,
    purpose: "The network loses some packets in each direction: everything arrives in the end, but late, and part of it \
              was sent twice.",
    look_at: "`ss -ti`: retrans and a small cwnd. Tcp.RetransSegs against Tcp.OutSegs; per remote address, whether it is one \
              path or all.",
    ended_by: "A better path.",
    settings: &[
        Setting { name: "percent", value: "5", usual: "0", why: "packets that are lost, in each direction" },
        Setting { name: "kilobytes", value: "400", usual: "", why: "what the subject sends" },
    ],
    finding: Some("lossy-path"),
    promises: &[
        Promise::State(SUBJECT, Established),
        Promise::Seen(SUBJECT, "everything is acknowledged in the end"),
        Promise::Counter("Tcp.RetransSegs", 5),
        Promise::Counter("TcpExt.TCPSackRecovery", 1),
    ],
    play: |lab| {
        lab.step("the subject connects to the peer, over a path of 10 ms there and back");
        lab.wire().set_delay(Duration::from_millis(5));
        let (subject, peer) = lab.open(SUBJECT, PEER, PORT)?;
        let kilobytes = lab.parameter("kilobytes").min(10_000);
        let percent = lab.parameter("percent").min(50);
        lab.step(format!(
            "{percent} % of the packets are lost from now on; the subject sends {kilobytes} kilobytes"
        ));
        for host in [SUBJECT, PEER] {
            lab.wire().lose_share(host, percent as f64 / 100.0);
        }
        lab.set_patience(Duration::from_secs(12));
        lab.quietly(|lab| {
            let chunk = [b'x'; 1_024];
            let (mut left, mut missing) =
                (kilobytes as usize * chunk.len(), kilobytes as usize * chunk.len());
            lab.wait_until("everything to arrive", |lab| {
                while left > 0 {
                    let part = &chunk[..left.min(chunk.len())];
                    match lab.host_mut(SUBJECT).send(subject.socket, part) {
                        Ok(taken) if taken > 0 => left -= taken,
                        _ => break,
                    }
                }
                while let Ok(text) = lab.host_mut(PEER).receive(peer.socket, 65_536) {
                    if text.is_empty() {
                        break;
                    }
                    missing = missing.saturating_sub(text.len());
                }
                Ok(missing == 0)
            })?;
            lab.wait_rows(SUBJECT, "everything is acknowledged in the end", |rows| {
                rows.iter().any(|row| row.state == Established && row.send_queue == Some(0))
            })
        })?;
        lab.summarize(SUBJECT, format!("send({kilobytes} kilobytes)"))?;
        lab.meanwhile(Duration::from_millis(50), move |lab| {
            let _ = lab.send(subject, &[b'x'; 20_000])?;
            while lab.host_mut(PEER).receive(peer.socket, 65_536).is_ok_and(|text| !text.is_empty()) {}
            Ok(())
        });
        lab.summarize(PEER, format!("recv({kilobytes} kilobytes)"))
    },
};
