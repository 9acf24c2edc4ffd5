//! Connections that nobody ends: by the program's fault, or because the last segments do not get through.

use std::time::Duration;

use eleven_snapshot::{Socket, TimerKind};
use eleven_tcp::State::{CloseWait, Closed, Established, FinWait1, FinWait2, LastAck, TimeWait};

use super::super::{ORPHAN_RETRIES, PORT};
use crate::error::Stop;
use crate::host::{Direction, PEER, SUBJECT};
use crate::lab::crowds::count;
use crate::lab::{Handle, Lab};
use crate::promise::{Promise, Sight};
use crate::scenario::{Group, Scenario, Setting};
use crate::wire::{ALWAYS, Pattern};

pub(in super::super) const ALL: &[Scenario] =
    &[CLOSE_WAIT_LEAK, CLOSE_WAIT_UNREAD, CLOSE_WAIT_FORGOTTEN, FIN_WAIT2_TIMEOUT, ORPHAN, LAST_ACK_LOST];

const CONNECTIONS: Setting =
    Setting { name: "connections", value: "20", usual: "", why: "how many connections there are" };

/// Clients that send a request and close before it is answered, and the ends of each.
fn asked_and_closed(lab: &mut Lab) -> Result<Vec<(Handle, Handle)>, Stop> {
    let connections = lab.parameter("connections") as usize;
    lab.step(format!("{connections} clients connect to the subject, send a request of 100 bytes and close"));
    let listener = lab.listener(SUBJECT, PORT, 16)?;
    let pairs = lab.open_many(PEER, listener, PORT, connections as u64)?;
    lab.quietly(|lab| {
        lab.each(&pairs, |lab, (client, _)| {
            let _ = lab.send(*client, &[b'x'; 100])?;
            lab.close(*client)
        })?;
        lab.pass(Duration::from_millis(100))
    })?;
    lab.summarize(PEER, format!("{connections} × send(100 bytes), close()"))?;
    Ok(pairs)
}

const CLOSE_WAIT_LEAK: Scenario = Scenario {
    name: "close-wait-leak",
    group: Group::Faults,
    purpose: "A server's program does not close what its clients have closed: CLOSE_WAIT piles up. The clients' kernels \
              have long forgotten their side; here it stays for as long as the program runs.",
    look_at: "CLOSE_WAIT with Recv-Q 1, the end of file that was never read, without any timer, and the program that \
              holds all of them.",
    ended_by: "The program closes, or ends. No timer and no sysctl does it, not even keepalive while the peer still \
               answers.",
    settings: &[
        CONNECTIONS,
        Setting {
            name: "peer.tcp_fin_timeout",
            value: "1",
            usual: "60",
            why: "seconds until the clients' kernels forget their FIN_WAIT2",
        },
    ],
    finding: Some("close-wait-leak"),
    promises: &[
        Promise::Path(SUBJECT, &[Established, CloseWait]),
        Promise::Path(PEER, &[Established, FinWait2, Closed]),
        Promise::Seen(SUBJECT, "CLOSE_WAIT with Recv-Q 1 on every connection, and no timer"),
        Promise::Seen(PEER, "the clients have nothing any more"),
        Promise::Seen(SUBJECT, "CLOSE_WAIT on every connection still"),
    ],
    play: |lab| {
        let connections = lab.parameter("connections") as usize;
        lab.step(format!("{connections} clients connect to the subject, whose program accepts them"));
        let listener = lab.listener(SUBJECT, PORT, 16)?;
        let pairs = lab.open_many(PEER, listener, PORT, connections as u64)?;
        lab.step("the clients close; the program does not read on, and does not close");
        lab.quietly(|lab| {
            lab.each(&pairs, |lab, (client, _)| lab.close(*client))?;
            lab.pass(Duration::from_millis(100))
        })?;
        lab.summarize(PEER, format!("{connections} × close()"))?;
        lab.wait_rows(SUBJECT, "CLOSE_WAIT with Recv-Q 1 on every connection, and no timer", |rows| {
            let leaks =
                |row: &&Socket| row.state == CloseWait && row.recv_queue == Some(1) && row.timer.is_none();
            rows.iter().filter(leaks).count() == connections
        })?;
        lab.look(SUBJECT)?;
        lab.step("the clients' kernels forget their side after tcp_fin_timeout");
        lab.wait_rows(PEER, "the clients have nothing any more", <[Socket]>::is_empty)?;
        lab.look(PEER)?;
        lab.wait_rows(SUBJECT, "CLOSE_WAIT on every connection still", |rows| {
            count(rows, CloseWait) == connections
        })?;
        // It goes on leaking.
        lab.meanwhile(Duration::from_secs(1), move |lab| {
            let client = lab.connecting(PEER, SUBJECT.at(PORT))?;
            let _ = lab.accept(listener)?;
            lab.close(client)
        });
        Ok(())
    },
};

const CLOSE_WAIT_UNREAD: Scenario = Scenario {
    name: "close-wait-unread",
    group: Group::Faults,
    purpose: "The program hangs: its clients have sent requests and then given up, and it has read neither. CLOSE_WAIT \
              again, but with data in Recv-Q.",
    look_at: "Recv-Q larger than 1: the requests are unread too. The program is stuck; where it has read all and only \
              forgot to close, Recv-Q is 0.",
    ended_by: "The program closes, which then sends an RST, or ends.",
    settings: &[CONNECTIONS],
    finding: Some("close-wait-leak"),
    promises: &[
        Promise::Path(SUBJECT, &[Established, CloseWait]),
        Promise::Seen(SUBJECT, "CLOSE_WAIT with an unread request on every connection"),
    ],
    play: |lab| {
        let pairs = asked_and_closed(lab)?;
        let connections = pairs.len();
        lab.wait_rows(SUBJECT, "CLOSE_WAIT with an unread request on every connection", |rows| {
            let stuck = |row: &&Socket| row.state == CloseWait && row.recv_queue == Some(101);
            rows.iter().filter(stuck).count() == connections
        })?;
        lab.look(SUBJECT)
    },
};

const CLOSE_WAIT_FORGOTTEN: Scenario = Scenario {
    name: "close-wait-forgotten",
    group: Group::Faults,
    purpose: "The program has read everything that its clients sent, and forgets to close. Linux takes the end of file \
              off the queue along with the last data before it: Recv-Q is 0 although no recv() has returned 0 yet. It is 1 \
              only where the FIN came when everything had been read.",
    look_at: "CLOSE_WAIT with Recv-Q 0: the program has the end of file, whether it has noticed or not.",
    ended_by: "The program closes, or ends.",
    settings: &[CONNECTIONS],
    finding: Some("close-wait-leak"),
    promises: &[
        Promise::Path(SUBJECT, &[Established, CloseWait]),
        Promise::Row(
            SUBJECT,
            Sight {
                what: "the request and the end of file are unread",
                test: |row| row.state == CloseWait && row.recv_queue == Some(101),
            },
        ),
        Promise::Answer(SUBJECT, "recv", "100 bytes"),
        Promise::Seen(SUBJECT, "CLOSE_WAIT with Recv-Q 0 on every connection"),
    ],
    play: |lab| {
        let pairs = asked_and_closed(lab)?;
        let connections = pairs.len();
        lab.look(SUBJECT)?;
        lab.step("the program reads each request with a single call, and does not close");
        let mut servers = pairs.iter().map(|(_, server)| *server);
        if let Some(first) = servers.next() {
            let _ = lab.receive(first)?;
        }
        lab.quietly(|lab| {
            for server in servers {
                let _ = lab.receive(server)?;
            }
            Ok(())
        })?;
        lab.wait_rows(SUBJECT, "CLOSE_WAIT with Recv-Q 0 on every connection", |rows| {
            let forgotten = |row: &&Socket| row.state == CloseWait && row.recv_queue == Some(0);
            rows.iter().filter(forgotten).count() == connections
        })
    },
};

const FIN_WAIT2_TIMEOUT: Scenario = Scenario {
    name: "fin-wait2-timeout",
    group: Group::Faults,
    purpose: "The peer never closes its side. What becomes of FIN_WAIT2 depends on how this side has closed: after \
              close() the kernel gives it up after tcp_fin_timeout; after shutdown() the program holds it, for ever.",
    look_at: "One row is a mini-socket without owner that counts down and vanishes; the other has an owner and no timer, \
              and stays.",
    ended_by: "tcp_fin_timeout for the one; the peer's FIN, or this program's close(), for the other.",
    settings: &[Setting {
        name: "tcp_fin_timeout",
        value: "2",
        usual: "60",
        why: "seconds that a FIN_WAIT2 without a program lasts",
    }],
    finding: Some("fin-wait2-held"),
    promises: &[
        Promise::Path(SUBJECT, &[Established, FinWait1, FinWait2, Closed]),
        Promise::Timer(SUBJECT, FinWait2, TimerKind::TimeWait, 0),
        Promise::Seen(SUBJECT, "one FIN_WAIT2 is left, held by its program without a timer"),
        Promise::Segments(SUBJECT, Pattern::RST, 1, usize::MAX),
        Promise::Answer(PEER, "send", "4 bytes"),
    ],
    play: |lab| {
        lab.step("the subject opens two connections to the peer");
        let listener = lab.listener(PEER, PORT, 16)?;
        let pairs = lab.open_many(SUBJECT, listener, PORT, 2)?;
        let [(closed, peer), (shut, _)] = pairs[..] else { return Ok(()) };
        lab.step("it closes the first, and shuts down its sending direction of the second; the peer does not close");
        let _ = lab.shutdown(shut, Direction::Write)?;
        lab.close(closed)?;
        lab.wait_state(SUBJECT, FinWait2)?;
        lab.step("tcp_fin_timeout ends the first");
        lab.wait_state(SUBJECT, Closed)?;
        lab.wait_rows(SUBJECT, "one FIN_WAIT2 is left, held by its program without a timer", |rows| {
            let held = |row: &&Socket| row.no_owner.is_none() && row.timer.is_none();
            count(rows, FinWait2) == 1 && rows.iter().filter(held).any(|row| row.state == FinWait2)
        })?;
        lab.step("the peer, which still believes in the first connection, sends something: it gets an RST");
        let _ = lab.send(peer, b"late")?;
        lab.wait_state(PEER, Closed)
    },
};

const ORPHAN: Scenario = Scenario {
    name: "orphan",
    group: Group::Faults,
    purpose: "The program has closed its connections and is gone, but the peer cannot be reached any more: the kernel \
              keeps them as orphans, with what they still have to send, until tcp_orphan_retries is reached.",
    look_at: "FIN_WAIT1 without an owner, Send-Q full of what was never acknowledged, the retransmission timer running. \
              tcp_max_orphans limits how many there may be on the whole host; more are reset at once.",
    ended_by: "tcp_orphan_retries repetitions, 8 of which take about a minute and a half, or the peer's answer.",
    settings: &[CONNECTIONS, ORPHAN_RETRIES],
    finding: Some("fin-wait1-stuck"),
    promises: &[
        Promise::Path(SUBJECT, &[Established, FinWait1]),
        Promise::Seen(SUBJECT, "orphans in FIN_WAIT1 that retransmit, with data in Send-Q"),
        Promise::Timer(SUBJECT, FinWait1, TimerKind::Retransmit, 2),
        Promise::State(PEER, Established),
        Promise::Counter("Tcp.RetransSegs", 20),
    ],
    play: |lab| {
        let connections = lab.parameter("connections") as usize;
        lab.step(format!("{connections} clients connect to the subject"));
        let listener = lab.listener(SUBJECT, PORT, 16)?;
        let pairs = lab.open_many(PEER, listener, PORT, connections as u64)?;
        lab.step(
            "nothing gets through any more; the subject's program sends 1000 bytes to each, closes, and ends",
        );
        lab.wire().silence(SUBJECT);
        lab.wire().silence(PEER);
        lab.quietly(|lab| {
            lab.each(&pairs, |lab, (_, server)| {
                let _ = lab.send(*server, &[b'x'; 1_000])?;
                lab.close(*server)
            })?;
            lab.close(listener)?;
            lab.pass(Duration::from_millis(50))
        })?;
        lab.summarize(SUBJECT, format!("{connections} × send(1000 bytes), close()"))?;
        lab.quietly(|lab| {
            lab.wait_rows(SUBJECT, "orphans in FIN_WAIT1 that retransmit, with data in Send-Q", |rows| {
                let orphaned = |row: &&Socket| {
                    row.state == FinWait1
                        && row.no_owner.is_some()
                        && row.send_queue == Some(1_001)
                        && row.timer.is_some_and(|timer| timer.retransmits >= 2)
                };
                rows.iter().filter(orphaned).count() == connections
            })
        })?;
        lab.look(SUBJECT)
    },
};

const LAST_ACK_LOST: Scenario = Scenario {
    name: "last-ack-lost",
    group: Group::Faults,
    purpose: "The very last ACK of a connection never arrives: the subject, which closed second, stays in LAST_ACK and \
              sends its FIN again and again, though both programs have been done for long.",
    look_at: "LAST_ACK without an owner, Send-Q 1, and a retransmission timer that doubles. The peer is in TIME_WAIT and \
              answers each FIN, in vain.",
    ended_by: "An ACK that arrives, or tcp_orphan_retries repetitions, 8 of which take about a minute and a half. The peer's \
               TIME_WAIT begins anew with each FIN.",
    settings: &[ORPHAN_RETRIES],
    finding: Some("last-ack-stuck"),
    promises: &[
        Promise::Path(SUBJECT, &[Established, CloseWait, LastAck]),
        Promise::State(SUBJECT, LastAck),
        Promise::Timer(SUBJECT, LastAck, TimerKind::Retransmit, 3),
        Promise::State(PEER, TimeWait),
        Promise::Segments(SUBJECT, Pattern::FIN, 4, usize::MAX),
    ],
    play: |lab| {
        lab.step("the peer connects to the subject, and closes; the subject's program closes too");
        let (peer, subject) = lab.open(PEER, SUBJECT, PORT)?;
        lab.close(peer)?;
        lab.wait_state(PEER, FinWait2)?;
        lab.wire().lose(PEER, Pattern::ACK, ALWAYS);
        lab.close(subject)?;
        lab.step("the peer's ACKs of the subject's FIN are lost, each time");
        lab.wait_row(SUBJECT, "the FIN was sent three times more", |row| {
            row.state == LastAck && row.timer.is_some_and(|timer| timer.retransmits >= 3)
        })
    },
};
