//! Ways through several states.

use eleven_tcp::State::{
    CloseWait, Closed, Closing, Established, FinWait1, FinWait2, LastAck, Listen, SynReceived, SynSent,
    TimeWait,
};

use super::PORT;
use crate::error::Stop;
use crate::host::{Direction, PEER, SUBJECT};
use crate::lab::Lab;
use crate::promise::{Promise, Sight, ends_in};
use crate::scenario::{Group, Scenario, Setting};
use crate::wire::Pattern;

pub(super) const ALL: &[Scenario] = &[
    THREE_WAY_HANDSHAKE,
    FOUR_WAY_CLOSE,
    THREE_SEGMENT_CLOSE,
    HALF_CLOSE,
    SIMULTANEOUS_OPEN,
    SIMULTANEOUS_CLOSE,
    RESET_BY_CLIENT,
    RESET_BY_SERVER,
    ABORT_UNREAD_DATA,
    DATA_AFTER_CLOSE,
    REFUSED,
    TIME_WAIT_REUSE,
    TIME_WAIT_ASSASSINATION,
    TIME_WAIT_ASSASSINATION_RFC1337,
];

/// A port of the peer's that it can come back to.
const SAME_PORT: u16 = 40_000;

const THREE_WAY_HANDSHAKE: Scenario = Scenario {
    name: "three-way-handshake",
    group: Group::Paths,
    purpose: "How a connection is opened: SYN, SYN+ACK, ACK. Each side tells its first number and hears that the other \
              has it.",
    look_at: "The client's row goes from SYN_SENT to ESTABLISHED when the SYN+ACK arrives, before the last ACK is \
              anywhere.",
    ended_by: "Either side closes.",
    settings: &[],
    finding: None,
    promises: &[
        Promise::Path(SUBJECT, &[SynSent, Established]),
        Promise::Path(PEER, &[Listen, SynReceived, Established]),
        Promise::Answer(SUBJECT, "connect", "0"),
        Promise::Segments(SUBJECT, Pattern::SYN, 1, 1),
        Promise::Segments(PEER, Pattern::SYN_ACK, 1, 1),
        Promise::Segments(SUBJECT, Pattern::ACK, 1, 1),
    ],
    play: |lab| {
        lab.step("the subject connects, the peer listens");
        lab.open(SUBJECT, PEER, PORT)?;
        Ok(())
    },
};

const FOUR_WAY_CLOSE: Scenario = Scenario {
    name: "four-way-close",
    group: Group::Paths,
    purpose: "How a connection is closed: each direction by a FIN and its ACK. Four segments, because the other program \
              closes only when it has read the end of file.",
    look_at: "Who closes first gets TIME_WAIT; the other side has nothing left at the end.",
    ended_by: "TIME_WAIT ends after 60 s.",
    settings: &[],
    finding: None,
    promises: &[
        Promise::Path(SUBJECT, &[Established, FinWait1, FinWait2, TimeWait]),
        Promise::Path(PEER, &[Established, CloseWait, LastAck, Closed]),
        Promise::Answer(PEER, "recv", "0, the end of file"),
        Promise::Segments(SUBJECT, Pattern::FIN, 1, 1),
        Promise::Segments(PEER, Pattern::FIN, 1, 1),
        Promise::Segments(PEER, Pattern::ACK, 1, 1),
    ],
    play: |lab| {
        lab.step("the subject connects to the peer");
        let (subject, peer) = lab.open(SUBJECT, PEER, PORT)?;
        lab.step("the subject closes first");
        lab.close(subject)?;
        lab.wait_state(SUBJECT, FinWait2)?;
        lab.step("the peer's program reads the end of file, and closes");
        let _ = lab.receive(peer)?;
        lab.close(peer)?;
        lab.wait_state(SUBJECT, TimeWait)?;
        lab.wait_state(PEER, Closed)
    },
};

const THREE_SEGMENT_CLOSE: Scenario = Scenario {
    name: "three-segment-close",
    group: Group::Paths,
    purpose: "A close in three segments: the side that is closed second has its ACK wait a moment for company, closes \
              meanwhile, and the FIN takes the ACK along.",
    look_at: "Who closed first goes from FIN_WAIT1 to TIME_WAIT at once, without FIN_WAIT2.",
    ended_by: "The last ACK: the subject has nothing left then.",
    settings: &[],
    finding: None,
    promises: &[
        Promise::Path(SUBJECT, &[Established, CloseWait, LastAck, Closed]),
        Promise::Path(PEER, &[Established, FinWait1, TimeWait]),
        Promise::Segments(PEER, Pattern::FIN, 1, 1),
        Promise::Segments(SUBJECT, Pattern::FIN, 1, 1),
    ],
    play: |lab| {
        lab.step("the peer connects to the subject; they talk, so that the subject begins to delay its ACKs");
        let (peer, subject) = lab.open(PEER, SUBJECT, PORT)?;
        for _ in 0..QUICK {
            let _ = lab.send(peer, b"question")?;
            let _ = lab.receive(subject)?;
            let _ = lab.send(subject, b"answer")?;
            let _ = lab.receive(peer)?;
        }
        lab.pass(std::time::Duration::from_millis(100))?;
        lab.step("the peer closes, and the subject too as soon as it reads the end of file");
        lab.close(peer)?;
        let _ = lab.receive(subject)?;
        lab.close(subject)?;
        lab.wait_state(PEER, TimeWait)?;
        lab.wait_state(SUBJECT, Closed)
    },
};

/// So many questions and answers, and an end no longer acknowledges each segment at once.
const QUICK: u32 = 20;

const HALF_CLOSE: Scenario = Scenario {
    name: "half-close",
    group: Group::Paths,
    purpose: "One direction is closed by shutdown(), and data flows on in the other: `sort` on a remote host works like \
              this.",
    look_at: "In FIN_WAIT2 the subject still receives: Recv-Q shows it.",
    ended_by: "The peer closes its direction too.",
    settings: &[],
    finding: None,
    promises: &[
        Promise::Path(SUBJECT, &[Established, FinWait1, FinWait2, TimeWait]),
        Promise::Path(PEER, &[Established, CloseWait, LastAck, Closed]),
        Promise::Row(
            SUBJECT,
            Sight {
                what: "1000 bytes wait to be read in FIN_WAIT2",
                test: |row| row.state == FinWait2 && row.recv_queue == Some(1_000),
            },
        ),
        Promise::Answer(SUBJECT, "recv", "1000 bytes"),
    ],
    play: |lab| {
        lab.step("the subject connects to the peer, and shuts down its sending direction");
        let (subject, peer) = lab.open(SUBJECT, PEER, PORT)?;
        let _ = lab.shutdown(subject, Direction::Write)?;
        lab.wait_state(SUBJECT, FinWait2)?;
        lab.step("the peer still sends");
        let _ = lab.send(peer, &[b'x'; 1_000])?;
        lab.wait_row(SUBJECT, "1000 bytes to read", |row| row.recv_queue == Some(1_000))?;
        let _ = lab.receive(subject)?;
        lab.step("the peer closes");
        lab.close(peer)?;
        lab.wait_state(SUBJECT, TimeWait)?;
        lab.wait_state(PEER, Closed)
    },
};

const SIMULTANEOUS_OPEN: Scenario = Scenario {
    name: "simultaneous-open",
    group: Group::Paths,
    purpose: "Both sides connect to each other at once and nobody listens: the SYNs cross, and one connection comes of \
              it.",
    look_at: "SYN_RECV with an inode and Send-Q 1: a full socket, unlike the SYN_RECV of a listener.",
    ended_by: "Either side closes.",
    settings: &[],
    finding: None,
    promises: &[
        Promise::Path(SUBJECT, &[SynSent, SynReceived, Established]),
        Promise::Path(PEER, &[SynSent, SynReceived, Established]),
        Promise::Row(
            SUBJECT,
            Sight {
                what: "SYN_RECV is a full socket",
                test: |row| row.state == SynReceived && !row.kind.is_mini(),
            },
        ),
        Promise::Answer(SUBJECT, "connect", "0"),
    ],
    play: |lab| {
        lab.step("each side binds a port and connects to the other's, before it hears of the other");
        let (subject, peer) = (lab.socket(SUBJECT)?, lab.socket(PEER)?);
        let _ = lab.bind(subject, PORT)?;
        let _ = lab.bind(peer, PORT)?;
        let _ = lab.connect(subject, PEER.at(PORT))?;
        let _ = lab.connect(peer, SUBJECT.at(PORT))?;
        let _ = lab.connected(subject)?;
        lab.wait_state(PEER, Established)
    },
};

const SIMULTANEOUS_CLOSE: Scenario = Scenario {
    name: "simultaneous-close",
    group: Group::Paths,
    purpose: "Both sides close before either hears of the other: the FINs cross, and both get TIME_WAIT.",
    look_at: "CLOSING, between the peer's FIN and its ACK of ours.",
    ended_by: "TIME_WAIT ends after 60 s, on both sides.",
    settings: &[],
    finding: None,
    promises: &[
        Promise::Path(SUBJECT, &[Established, FinWait1, Closing, TimeWait]),
        Promise::Path(PEER, &[Established, FinWait1, Closing, TimeWait]),
    ],
    play: |lab| {
        lab.step("the subject connects to the peer");
        let (subject, peer) = lab.open(SUBJECT, PEER, PORT)?;
        lab.step("both close");
        lab.close(subject)?;
        lab.close(peer)?;
        lab.wait_state(SUBJECT, TimeWait)?;
        lab.wait_state(PEER, TimeWait)
    },
};

const RESET_BY_CLIENT: Scenario = Scenario {
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

const RESET_BY_SERVER: Scenario = Scenario {
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

const ABORT_UNREAD_DATA: Scenario = Scenario {
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

const DATA_AFTER_CLOSE: Scenario = Scenario {
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

const REFUSED: Scenario = Scenario {
    name: "refused",
    group: Group::Paths,
    purpose: "Nobody listens at the port: the SYN gets an RST, and connect() returns ECONNREFUSED at once.",
    look_at: "There is hardly anything to see: a refusal comes as quickly as an answer. Silence would leave SYN_SENT.",
    ended_by: "It is over.",
    settings: &[],
    finding: Some("refused-connections"),
    promises: &[
        Promise::Path(SUBJECT, &[SynSent, Closed]),
        Promise::Segments(PEER, Pattern::RST, 1, 1),
        Promise::Answer(SUBJECT, "connect", "ECONNREFUSED"),
        Promise::Counter("Tcp.AttemptFails", 1),
    ],
    play: |lab| {
        lab.step("the subject connects to a port of the peer's at which nobody listens");
        let subject = lab.connecting(SUBJECT, PEER.at(PORT))?;
        let _ = lab.connected(subject)?;
        Ok(())
    },
};

/// The peer's connection from [`SAME_PORT`] to the subject's listener, closed by the subject first: its TIME_WAIT.
fn to_time_wait(lab: &mut Lab) -> Result<(), Stop> {
    let listener = lab.listener(SUBJECT, PORT, 16)?;
    let peer = lab.socket(PEER)?;
    let _ = lab.bind(peer, SAME_PORT)?;
    let _ = lab.connect(peer, SUBJECT.at(PORT))?;
    let subject = lab.accept(listener)?;
    // Something that can come again later.
    let _ = lab.send(peer, b"duplicate")?;
    let _ = lab.receive(subject)?;
    lab.close(subject)?;
    lab.wait_state(PEER, CloseWait)?;
    lab.close(peer)?;
    lab.wait_state(SUBJECT, TimeWait)?;
    lab.wait_state(PEER, Closed)
}

const TIME_WAIT_REUSE: Scenario = Scenario {
    name: "time-wait-reuse",
    group: Group::Paths,
    purpose: "A client comes back from the same port while the server's end is in TIME_WAIT: its SYN has a higher \
              number and a later timestamp, so that nothing old can be taken for new, and it is let in (RFC 6191).",
    look_at: "TIME_WAIT turns into SYN_RECV. It is why TIME_WAIT on a server's own port is harmless.",
    ended_by: "Either side closes.",
    settings: &[],
    finding: Some("time-wait-normal"),
    promises: &[
        Promise::Path(SUBJECT, &[FinWait1, FinWait2, TimeWait, SynReceived, Established]),
        ends_in(Established),
    ],
    play: |lab| {
        lab.step("the peer connects from a chosen port; the subject closes first, and gets TIME_WAIT");
        to_time_wait(lab)?;
        lab.step("the peer comes back from the same port");
        let again = lab.socket(PEER)?;
        let _ = lab.bind(again, SAME_PORT)?;
        let _ = lab.connect(again, SUBJECT.at(PORT))?;
        lab.wait_state(SUBJECT, Established)
    },
};

/// An old duplicate meets TIME_WAIT, which answers, and the peer, who knows nothing any more, resets.
fn assassinate(lab: &mut Lab) -> Result<(), Stop> {
    lab.step("the peer connects and sends something, of which the network keeps a copy; the subject gets TIME_WAIT");
    let copy = lab.wire().keep_copy(PEER, Pattern::TEXT);
    to_time_wait(lab)?;
    lab.step(
        "the copy arrives at last; the subject answers, and the peer, who knows no such connection, resets",
    );
    lab.release(copy)?;
    lab.wait_until("the peer's RST", |lab| {
        let rst = |passage: &crate::evidence::PassageRecord| {
            passage.received.is_some() && passage.segment(Pattern::RST.matches) == Some(true)
        };
        Ok(lab.evidence().passages.iter().any(rst))
    })
}

const TIME_WAIT_ASSASSINATION: Scenario = Scenario {
    name: "time-wait-assassination",
    group: Group::Paths,
    purpose: "An old duplicate ends TIME_WAIT too early: it is answered, the answer surprises the peer, who has forgotten \
              the connection and sends an RST, and that kills TIME_WAIT (RFC 1337).",
    look_at: "The row of TIME_WAIT vanishes long before its 60 s.",
    ended_by: "It is over, and the next connection between the same sockets is in danger of old data.",
    settings: &[Setting {
        name: "tcp_rfc1337",
        value: "0",
        usual: "0",
        why: "with 1, TIME_WAIT overlooks resets",
    }],
    finding: None,
    promises: &[
        Promise::Path(SUBJECT, &[FinWait2, TimeWait, Closed]),
        Promise::Segments(PEER, Pattern::RST, 1, 1),
    ],
    play: |lab| {
        assassinate(lab)?;
        lab.wait_state(SUBJECT, Closed)
    },
};

const TIME_WAIT_ASSASSINATION_RFC1337: Scenario = Scenario {
    name: "time-wait-assassination-rfc1337",
    group: Group::Paths,
    purpose: "The same with tcp_rfc1337: TIME_WAIT overlooks the RST and lives on.",
    look_at: "The row of TIME_WAIT stays.",
    ended_by: "60 s.",
    settings: &[Setting {
        name: "tcp_rfc1337",
        value: "1",
        usual: "0",
        why: "with 1, TIME_WAIT overlooks resets",
    }],
    finding: None,
    promises: &[
        Promise::Path(SUBJECT, &[FinWait1, FinWait2, TimeWait]),
        ends_in(TimeWait),
        Promise::Segments(PEER, Pattern::RST, 1, 1),
    ],
    play: |lab| {
        assassinate(lab)?;
        lab.pass(std::time::Duration::from_millis(200))
    },
};
