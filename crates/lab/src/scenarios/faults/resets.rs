//! Connections that come to nothing: reset without being meant to, refused, unanswered.

use std::time::Duration;

use eleven_snapshot::Socket;
use eleven_tcp::State::{Closed, Listen, SynSent};

use super::super::PORT;
use crate::error::Stop;
use crate::host::{PEER, SUBJECT};
use crate::lab::{Handle, Lab};
use crate::promise::Promise;
use crate::scenario::{Group, Scenario, Setting};
use crate::wire::Pattern;

pub(in super::super) const ALL: &[Scenario] =
    &[RESET_UNREAD_DATA, RESET_AFTER_CLOSE, REFUSED_CONNECTIONS, SYN_SENT_SCAN];

const REQUESTS: Setting = Setting { name: "requests", value: "10", usual: "", why: "how many clients come" };

/// A client of the peer's connects to the subject's listener: both ends.
fn enter(lab: &mut Lab, listener: Handle) -> Result<(Handle, Handle), Stop> {
    let client = lab.connecting(PEER, SUBJECT.at(PORT))?;
    let _ = lab.connected(client)?;
    Ok((client, lab.accept(listener)?))
}

fn only_listens(rows: &[Socket]) -> bool {
    rows.iter().all(|row| row.state == Listen)
}

/// The server answers a request of 200 bytes of which it has read 100, and closes. What the client gets.
fn half_read(lab: &mut Lab, listener: Handle) -> Result<Handle, Stop> {
    let (client, server) = enter(lab, listener)?;
    let _ = lab.send(client, &[b'q'; 200])?;
    lab.wait_until("the request", |lab| {
        let rows = lab.host_mut(SUBJECT).rows()?;
        Ok(rows.iter().any(|row| row.recv_queue == Some(200)))
    })?;
    let _ = lab.receive_at_most(server, 100)?;
    let _ = lab.send(server, b"400 Bad Request")?;
    lab.close(server)?;
    Ok(client)
}

const RESET_UNREAD_DATA: Scenario = Scenario {
    name: "reset-unread-data",
    group: Group::Faults,
    purpose: "A server answers before it has read the whole request, and closes: the kernel throws the rest away and sends \
              an RST (RFC 2525 §2.17). The client gets ECONNRESET, and whoever heeds that first never reads the answer that \
              came before it.",
    look_at: "TCPAbortOnClose rises with each such request, and no FIN_WAIT or TIME_WAIT is left.",
    ended_by: "The program reads to the end of file before it closes, or shuts down and lingers.",
    settings: &[REQUESTS],
    finding: Some("reset-unread-data"),
    promises: &[
        Promise::Answer(PEER, "recv", "ECONNRESET"),
        Promise::Segments(SUBJECT, Pattern::RST, 1, usize::MAX),
        Promise::Segments(SUBJECT, Pattern::FIN, 0, 0),
        Promise::Seen(SUBJECT, "nothing is left of any connection"),
        Promise::Counter("TcpExt.TCPAbortOnClose", 10),
    ],
    play: |lab| {
        let requests = lab.parameter("requests");
        lab.step("a client of the peer's sends a request of 200 bytes; the server reads half of it, answers, and closes");
        let listener = lab.listener(SUBJECT, PORT, 16)?;
        let client = half_read(lab, listener)?;
        // Linux hands out what has arrived before it tells of the RST.
        lab.wait_state(PEER, Closed)?;
        while lab.receive(client)?.is_ok_and(|text| !text.is_empty()) {}
        lab.step(format!("{requests} more clients do the same"));
        lab.quietly(|lab| {
            for _ in 0..requests {
                let client = half_read(lab, listener)?;
                lab.close(client)?;
            }
            lab.pass(Duration::from_millis(20))
        })?;
        lab.wait_rows(SUBJECT, "nothing is left of any connection", only_listens)?;
        lab.meanwhile(Duration::from_millis(300), move |lab| {
            let client = half_read(lab, listener)?;
            lab.close(client)
        });
        Ok(())
    },
};

/// The server closes while the client still sends.
fn too_late(lab: &mut Lab, listener: Handle) -> Result<Handle, Stop> {
    let (client, server) = enter(lab, listener)?;
    lab.close(server)?;
    let _ = lab.send(client, b"one more thing")?;
    Ok(client)
}

const RESET_AFTER_CLOSE: Scenario = Scenario {
    name: "reset-after-close",
    group: Group::Faults,
    purpose: "Clients go on sending to a server that has closed: nobody will ever read it, so the kernel resets. The \
              client's program finds out at its next call, and cannot know how much was heeded.",
    look_at: "TCPAbortOnData rises with each such client; FIN_WAIT ends with an RST instead of TIME_WAIT.",
    ended_by: "Both sides agree on who closes, and when.",
    settings: &[REQUESTS],
    finding: Some("reset-after-close"),
    promises: &[
        Promise::State(PEER, Closed),
        Promise::Segments(SUBJECT, Pattern::FIN, 1, usize::MAX),
        Promise::Segments(SUBJECT, Pattern::RST, 1, usize::MAX),
        Promise::Seen(SUBJECT, "nothing is left of any connection"),
        Promise::Counter("TcpExt.TCPAbortOnData", 10),
    ],
    play: |lab| {
        let requests = lab.parameter("requests");
        lab.step("a client of the peer's connects; the server closes, and the client sends before it hears of that");
        let listener = lab.listener(SUBJECT, PORT, 16)?;
        too_late(lab, listener)?;
        lab.wait_state(PEER, Closed)?;
        lab.step(format!("{requests} more clients do the same"));
        lab.quietly(|lab| {
            for _ in 0..requests {
                let client = too_late(lab, listener)?;
                lab.pass(Duration::from_millis(20))?;
                lab.close(client)?;
            }
            Ok(())
        })?;
        lab.wait_rows(SUBJECT, "nothing is left of any connection", only_listens)?;
        lab.meanwhile(Duration::from_millis(300), move |lab| {
            let client = too_late(lab, listener)?;
            lab.pass(Duration::from_millis(20))?;
            lab.close(client)
        });
        Ok(())
    },
};

const REFUSED_CONNECTIONS: Scenario = Scenario {
    name: "refused-connections",
    group: Group::Faults,
    purpose: "A service is not started, or listens at another port: each SYN of its clients is answered by an RST, and \
              connect() returns ECONNREFUSED at once. The clients try again and again.",
    look_at: "Among the sockets nothing; Tcp.OutRsts rises, and the packets show SYN, RST, SYN, RST.",
    ended_by: "The service is started, or the clients are told the right port.",
    settings: &[REQUESTS],
    finding: Some("refused-connections"),
    promises: &[
        Promise::Path(PEER, &[SynSent, Closed]),
        Promise::Answer(PEER, "connect", "ECONNREFUSED"),
        Promise::Segments(SUBJECT, Pattern::RST, 1, usize::MAX),
        Promise::Seen(SUBJECT, "no socket at all"),
        Promise::Counter("Tcp.OutRsts", 10),
    ],
    play: |lab| {
        let requests = lab.parameter("requests");
        lab.step("a client of the peer's connects to a port of the subject's at which nobody listens");
        let client = lab.connecting(PEER, SUBJECT.at(PORT))?;
        let _ = lab.connected(client)?;
        lab.look(PEER)?;
        let try_again = |lab: &mut Lab| {
            let client = lab.connecting(PEER, SUBJECT.at(PORT))?;
            let _ = lab.connected(client)?;
            lab.close(client)
        };
        lab.step(format!("and {requests} times more"));
        lab.quietly(|lab| (0..requests).try_for_each(|_| try_again(lab)))?;
        lab.wait_rows(SUBJECT, "no socket at all", <[Socket]>::is_empty)?;
        lab.meanwhile(Duration::from_millis(300), try_again);
        Ok(())
    },
};

const SYN_SENT_SCAN: Scenario = Scenario {
    name: "syn-sent-scan",
    group: Group::Faults,
    purpose: "One program connects to very many addresses, few of which answer: a scanner, a worm, or a crawler with a bad \
              list.",
    look_at: "SYN_SENT of one program towards many remote addresses and one port.",
    ended_by: "tcp_syn_retries for each; the program has to be looked at.",
    settings: &[Setting { name: "addresses", value: "60", usual: "", why: "how many addresses it tries" }],
    finding: Some("syn-sent-scan"),
    promises: &[
        Promise::Seen(SUBJECT, "SYN_SENT towards every address"),
        Promise::Counter("Tcp.ActiveOpens", 60),
    ],
    play: |lab| {
        let addresses = lab.parameter("addresses").clamp(1, 150) as usize;
        lab.step(format!(
            "the subject's program connects to port 22 of {addresses} addresses; nobody is there"
        ));
        let mut tried = 0_u8;
        let mut scan = move |lab: &mut Lab, how_many: usize| {
            for _ in 0..how_many {
                let address = std::net::Ipv4Addr::new(192, 0, 2, 100 + tried % 150);
                tried = tried.wrapping_add(1);
                lab.connecting(SUBJECT, (address, 22).into())?;
            }
            Ok::<(), Stop>(())
        };
        lab.quietly(|lab| {
            scan(lab, addresses)?;
            lab.wait_rows(SUBJECT, "SYN_SENT towards every address", |rows| {
                let mut seen: Vec<_> = rows.iter().map(|row| (row.state, row.remote_address)).collect();
                seen.sort_unstable();
                seen.dedup();
                seen.len() == addresses && seen.iter().all(|(state, _)| *state == SynSent)
            })
        })?;
        lab.summarize(SUBJECT, format!("{addresses} × connect()"))?;
        lab.meanwhile(Duration::from_millis(500), move |lab| scan(lab, 10));
        Ok(())
    },
};
