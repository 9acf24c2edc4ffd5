//! How connections end at once.

use eleven_tcp::State::{Closed, Established, FinWait1, SynReceived};

use crate::host::{PEER, SUBJECT};
use crate::promise::Promise;
use crate::scenario::{Group, Scenario};
use crate::scenarios::PORT;
use crate::wire::Pattern;

pub(super) const RESET_BY_CLIENT: Scenario = Scenario {
    name: "reset-by-client",
    group: Group::Paths,
    purpose: "The client gives the connection up with an RST; the server, here the subject, hears of it at its next call.",
    look_at: "The row is gone at once, although the program still has its descriptor.",
    ended_by: "It is over: a reset leaves nothing, no TIME_WAIT either.",
    settings: &[],
    finding: None,
    promises: &[
        Promise::Path(SUBJECT, &[SynReceived, Established, Closed]),
        Promise::Segments(PEER, Pattern::RST, 1, 1),
        Promise::Answer(SUBJECT, "recv", "ECONNRESET"),
        Promise::Counter("Tcp.EstabResets", 1),
    ],
    play: |lab| {
        lab.step("the peer connects to the subject, and aborts");
        let (peer, subject) = lab.open(PEER, SUBJECT, PORT)?;
        lab.abort(peer)?;
        lab.wait_state(SUBJECT, Closed)?;
        let _ = lab.receive(subject)?;
        Ok(())
    },
};

pub(super) const RESET_BY_SERVER: Scenario = Scenario {
    name: "reset-by-server",
    group: Group::Paths,
    purpose: "The server, here the subject, gives the connection up: SO_LINGER of 0 makes close() send an RST.",
    look_at: "No FIN_WAIT, no TIME_WAIT: the row is gone at once. It is how some servers avoid TIME_WAIT, at the price \
              of data that is under way.",
    ended_by: "It is over.",
    settings: &[],
    finding: None,
    promises: &[
        Promise::Path(SUBJECT, &[SynReceived, Established, Closed]),
        Promise::Segments(SUBJECT, Pattern::RST, 1, 1),
        Promise::Segments(SUBJECT, Pattern::FIN, 0, 0),
        Promise::Answer(PEER, "recv", "ECONNRESET"),
        Promise::Counter("TcpExt.TCPAbortOnData", 1),
    ],
    play: |lab| {
        lab.step("the peer connects to the subject; the subject aborts");
        let (peer, subject) = lab.open(PEER, SUBJECT, PORT)?;
        lab.abort(subject)?;
        let _ = lab.receive(peer)?;
        Ok(())
    },
};

pub(super) const ABORT_UNREAD_DATA: Scenario = Scenario {
    name: "abort-unread-data",
    group: Group::Paths,
    purpose: "A program closes without having read all that was sent to it: the kernel resets the connection, for the \
              sender shall not believe that its data has arrived (RFC 2525 §2.17).",
    look_at: "The row is gone at once, and TCPAbortOnClose rises. The peer's program gets ECONNRESET, though nobody \
              meant to reset anything.",
    ended_by: "It is over. A program that reads until the end of file does not cause it.",
    settings: &[],
    finding: Some("reset-unread-data"),
    promises: &[
        Promise::Path(SUBJECT, &[Established, Closed]),
        Promise::Segments(SUBJECT, Pattern::RST, 1, 1),
        Promise::Segments(SUBJECT, Pattern::FIN, 0, 0),
        Promise::Answer(PEER, "recv", "ECONNRESET"),
        Promise::Counter("TcpExt.TCPAbortOnClose", 1),
    ],
    play: |lab| {
        lab.step("the peer connects to the subject, and sends something");
        let (peer, subject) = lab.open(PEER, SUBJECT, PORT)?;
        let _ = lab.send(peer, b"unread")?;
        lab.wait_row(SUBJECT, "unread data", |row| row.recv_queue == Some(6))?;
        lab.step("the subject's program closes without reading it");
        lab.close(subject)?;
        let _ = lab.receive(peer)?;
        Ok(())
    },
};

pub(super) const DATA_AFTER_CLOSE: Scenario = Scenario {
    name: "data-after-close",
    group: Group::Paths,
    purpose: "The peer sends something to a program that has closed: nobody will ever read it, so the kernel resets.",
    look_at: "FIN_WAIT1 ends with an RST instead of TIME_WAIT, and TCPAbortOnData rises.",
    ended_by: "It is over.",
    settings: &[],
    finding: Some("reset-after-close"),
    promises: &[
        Promise::Path(SUBJECT, &[Established, FinWait1, Closed]),
        // The peer's acknowledgment of the FIN, which is under way too, gets one as well.
        Promise::Segments(SUBJECT, Pattern::RST, 1, 2),
        Promise::State(PEER, Closed),
        Promise::Counter("TcpExt.TCPAbortOnData", 1),
    ],
    play: |lab| {
        lab.step("the subject connects to the peer");
        let (subject, peer) = lab.open(SUBJECT, PEER, PORT)?;
        lab.step("the subject closes; the peer sends before it hears of that");
        lab.close(subject)?;
        let _ = lab.send(peer, b"too late")?;
        lab.wait_state(SUBJECT, Closed)?;
        lab.wait_state(PEER, Closed)
    },
};
