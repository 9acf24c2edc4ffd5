//! Segments of an open connection are lost.

use eleven_snapshot::TimerKind;
use eleven_tcp::State::{Closed, Established};

use crate::host::{PEER, SUBJECT};
use crate::promise::{Promise, ends_in};
use crate::scenario::{Group, Scenario, Setting};
use crate::scenarios::PORT;
use crate::wire::Pattern;

const RETRIES: Setting = Setting {
    name: "tcp_retries2",
    value: "15",
    usual: "15, some 15 minutes",
    why: "how long what is not acknowledged is sent again",
};

pub(super) const LOST_DATA: Scenario = Scenario {
    name: "lost-data",
    group: Group::Losses,
    purpose: "A segment with data is lost, and nothing follows it that would show the gap: a loss probe sends it again \
              when no ACK has come for twice the round trip (RFC 8985 §7), before the retransmission timer would.",
    look_at: "Send-Q is not empty until the repetition is acknowledged.",
    ended_by: "The ACK.",
    settings: &[
        RETRIES,
        Setting {
            name: "tcp_early_retrans",
            value: "3",
            usual: "3",
            why: "whether loss probes are sent; 0: only the retransmission timer, of 200 ms at the least, helps",
        },
    ],
    finding: None,
    promises: &[
        ends_in(Established),
        Promise::Segments(SUBJECT, Pattern::TEXT, 2, 3),
        Promise::Timer(SUBJECT, Established, TimerKind::Retransmit, 0),
        Promise::Answer(PEER, "recv", "4 bytes"),
        Promise::Counter("TcpExt.TCPLossProbes", 1),
    ],
    play: |lab| {
        lab.step("the subject connects to the peer, and sends something that is lost");
        let (subject, peer) = lab.open(SUBJECT, PEER, PORT)?;
        lab.wire().lose(SUBJECT, Pattern::TEXT, 1);
        let _ = lab.send(subject, b"lost")?;
        let _ = lab.receive(peer)?;
        lab.wait_row(SUBJECT, "everything acknowledged", |row| row.send_queue == Some(0))
    },
};

pub(super) const LOST_DATA_ACK: Scenario = Scenario {
    name: "lost-data-ack",
    group: Group::Losses,
    purpose: "The data arrives and its ACK is lost: to the sender that looks like lost data, and it sends again. The \
              receiver drops the duplicate, says so (D-SACK, RFC 2883), and acknowledges once more.",
    look_at: "The peer has read the data, and the subject's Send-Q still shows it.",
    ended_by: "The next ACK: each one counts for all before it.",
    settings: &[RETRIES],
    finding: None,
    promises: &[
        ends_in(Established),
        Promise::Segments(SUBJECT, Pattern::TEXT, 2, 3),
        Promise::Answer(PEER, "recv", "4 bytes"),
        Promise::Counter("TcpExt.TCPDSACKRecv", 1),
    ],
    play: |lab| {
        lab.step("the subject connects to the peer, and sends something whose ACK is lost");
        let (subject, peer) = lab.open(SUBJECT, PEER, PORT)?;
        lab.wire().lose(PEER, Pattern::ACK, 1);
        let _ = lab.send(subject, b"data")?;
        let _ = lab.receive(peer)?;
        lab.wait_row(SUBJECT, "everything acknowledged", |row| row.send_queue == Some(0))
    },
};

pub(super) const LOST_ALL_DATA: Scenario = Scenario {
    name: "lost-all-data",
    group: Group::Losses,
    purpose: "Nothing gets through any more in the middle of a connection: what was sent is sent again, at doubling \
              intervals, until the kernel gives up with ETIMEDOUT.",
    look_at: "Send-Q is not empty, and the retransmission timer counts up.",
    ended_by: "tcp_retries2: here after a few seconds, with the usual value after 924 s. TCP_USER_TIMEOUT ends it sooner.",
    settings: &[Setting { value: "3", ..RETRIES }],
    finding: Some("half-open-peer"),
    promises: &[
        Promise::Path(SUBJECT, &[Established, Closed]),
        Promise::Timer(SUBJECT, Established, TimerKind::Retransmit, 2),
        Promise::Answer(SUBJECT, "recv", "ETIMEDOUT"),
        Promise::State(PEER, Established),
        Promise::Counter("TcpExt.TCPAbortOnTimeout", 1),
    ],
    play: |lab| {
        lab.step("the subject connects to the peer; from now on nothing of its gets through, and it sends");
        let (subject, _) = lab.open(SUBJECT, PEER, PORT)?;
        lab.wire().silence(SUBJECT);
        let _ = lab.send(subject, b"nobody hears this")?;
        let _ = lab.receive(subject)?;
        Ok(())
    },
};

pub(super) const LOST_RST: Scenario = Scenario {
    name: "lost-rst",
    group: Group::Losses,
    purpose: "An RST is lost, and nobody repeats it: resets are not acknowledged. The peer has nothing any more, and the \
              subject finds out only when it sends.",
    look_at: "ESTABLISHED with nobody at the other end: half open.",
    ended_by: "The answer to the next segment, an RST; or keepalive, or never.",
    settings: &[],
    finding: Some("half-open-peer"),
    promises: &[
        Promise::Path(SUBJECT, &[Established, Closed]),
        Promise::Segments(PEER, Pattern::RST, 2, 2),
        Promise::Answer(SUBJECT, "recv", "ECONNRESET"),
    ],
    play: |lab| {
        lab.step("the subject connects to the peer; the peer aborts, and its RST is lost");
        let (subject, peer) = lab.open(SUBJECT, PEER, PORT)?;
        lab.wire().lose(PEER, Pattern::RST, 1);
        lab.abort(peer)?;
        lab.wait_state(PEER, Closed)?;
        lab.pass(std::time::Duration::from_millis(200))?;
        lab.step("the subject knows nothing of that, and sends");
        let _ = lab.send(subject, b"hello?")?;
        let _ = lab.receive(subject)?;
        Ok(())
    },
};
