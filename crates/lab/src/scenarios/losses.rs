//! Ways on which a segment is lost: who notices, by which timer, and what it does about it.

use eleven_snapshot::TimerKind;
use eleven_tcp::State::{
    CloseWait, Closed, Established, FinWait1, FinWait2, LastAck, SynReceived, SynSent, TimeWait,
};

use super::PORT;
use crate::host::{PEER, SUBJECT};
use crate::promise::{Promise, ends_in};
use crate::scenario::{Group, Scenario, Setting};
use crate::wire::{ALWAYS, Pattern};

pub(super) const ALL: &[Scenario] = &[
    LOST_SYN,
    LOST_ALL_SYNS,
    LOST_SYN_ACK,
    LOST_HANDSHAKE_ACK,
    LOST_ALL_HANDSHAKE_ACKS,
    LOST_DATA,
    LOST_DATA_ACK,
    LOST_ALL_DATA,
    LOST_FIN,
    LOST_ALL_FINS,
    LOST_FIN_ACK,
    LOST_SECOND_FIN,
    LOST_LAST_ACK,
    LOST_RST,
];

const SYN_RETRIES: Setting = Setting {
    name: "tcp_syn_retries",
    value: "6",
    usual: "6",
    why: "how often a SYN is sent again at doubling intervals",
};

const SYN_LINEAR_TIMEOUTS: Setting = Setting {
    name: "tcp_syn_linear_timeouts",
    value: "4",
    usual: "4",
    why: "how often before that, at intervals of 1 s",
};

const SYN_ACK_RETRIES: Setting =
    Setting { name: "tcp_synack_retries", value: "5", usual: "5", why: "how often a SYN+ACK is sent again" };

const RETRIES: Setting = Setting {
    name: "tcp_retries2",
    value: "15",
    usual: "15, some 15 minutes",
    why: "how long what is not acknowledged is sent again",
};

const LOST_SYN: Scenario = Scenario {
    name: "lost-syn",
    group: Group::Losses,
    purpose: "The first SYN is lost. Only the client knows that it was sent, so only the client can notice: its timer \
              sends it again after a second.",
    look_at: "SYN_SENT with a retransmission timer that has expired once. connect() takes a second longer.",
    ended_by: "The SYN+ACK.",
    settings: &[SYN_RETRIES, SYN_LINEAR_TIMEOUTS],
    finding: None,
    promises: &[
        Promise::Path(SUBJECT, &[SynSent, Established]),
        Promise::Timer(SUBJECT, SynSent, TimerKind::Retransmit, 1),
        Promise::Segments(SUBJECT, Pattern::SYN, 2, 2),
        Promise::Answer(SUBJECT, "connect", "0"),
        Promise::Counter("TcpExt.TCPTimeouts", 1),
    ],
    play: |lab| {
        lab.step("the first SYN is lost; the subject connects");
        lab.wire().lose(SUBJECT, Pattern::SYN, 1);
        lab.open(SUBJECT, PEER, PORT)?;
        Ok(())
    },
};

const LOST_ALL_SYNS: Scenario = Scenario {
    name: "lost-all-syns",
    group: Group::Losses,
    purpose: "No SYN gets through: the client sends it again until its retries are used up, and connect() returns \
              ETIMEDOUT.",
    look_at: "SYN_SENT, with more and more time between the repetitions.",
    ended_by: "tcp_syn_retries: here after 3 s, with the usual values after 131 s.",
    settings: &[Setting { value: "1", ..SYN_RETRIES }, Setting { value: "0", ..SYN_LINEAR_TIMEOUTS }],
    finding: Some("syn-sent-unanswered"),
    promises: &[
        Promise::Path(SUBJECT, &[SynSent, Closed]),
        Promise::Segments(SUBJECT, Pattern::SYN, 2, 2),
        Promise::Answer(SUBJECT, "connect", "ETIMEDOUT"),
    ],
    play: |lab| {
        lab.step("no SYN gets through; the subject connects");
        lab.wire().lose(SUBJECT, Pattern::SYN, ALWAYS);
        let subject = lab.connecting(SUBJECT, PEER.at(PORT))?;
        let _ = lab.connected(subject)?;
        Ok(())
    },
};

const LOST_SYN_ACK: Scenario = Scenario {
    name: "lost-syn-ack",
    group: Group::Losses,
    purpose: "The SYN+ACK is lost. Both sides notice after a second: the client, who hears nothing, sends its SYN again, \
              and the server, here the subject, its SYN+ACK.",
    look_at: "SYN_RECV with a retransmission timer. Whichever repetition comes first ends it.",
    ended_by: "The ACK.",
    settings: &[SYN_ACK_RETRIES],
    finding: None,
    promises: &[
        Promise::Path(SUBJECT, &[SynReceived, Established]),
        Promise::Segments(SUBJECT, Pattern::SYN_ACK, 2, 3),
        Promise::State(PEER, Established),
    ],
    play: |lab| {
        lab.step("the first SYN+ACK is lost; the peer connects to the subject");
        lab.wire().lose(SUBJECT, Pattern::SYN_ACK, 1);
        lab.open(PEER, SUBJECT, PORT)?;
        lab.wait_state(SUBJECT, Established)
    },
};

const LOST_HANDSHAKE_ACK: Scenario = Scenario {
    name: "lost-handshake-ack",
    group: Group::Losses,
    purpose: "The last ACK of the handshake is lost: the client believes itself connected, the server, here the subject, \
              does not. Its timer sends the SYN+ACK again, which the client answers.",
    look_at: "The peer is ESTABLISHED, the subject in SYN_RECV, its timer has expired once. Data of the client's would \
              have ended it sooner: each segment brings the ACK along.",
    ended_by: "Any segment with the ACK.",
    settings: &[SYN_ACK_RETRIES],
    finding: None,
    promises: &[
        Promise::Path(SUBJECT, &[SynReceived, Established]),
        Promise::Timer(SUBJECT, SynReceived, TimerKind::Retransmit, 1),
        Promise::Segments(SUBJECT, Pattern::SYN_ACK, 2, 2),
        Promise::Segments(PEER, Pattern::SYN, 1, 1),
    ],
    play: |lab| {
        lab.step("the first ACK is lost; the peer connects to the subject");
        lab.wire().lose(PEER, Pattern::ACK, 1);
        lab.open(PEER, SUBJECT, PORT)?;
        lab.wait_state(SUBJECT, Established)
    },
};

const LOST_ALL_HANDSHAKE_ACKS: Scenario = Scenario {
    name: "lost-all-handshake-acks",
    group: Group::Losses,
    purpose: "No ACK of the client's gets through: the server, here the subject, repeats its SYN+ACK and then forgets \
              the request. The client goes on believing that it is connected.",
    look_at: "SYN_RECV vanishes; the peer stays ESTABLISHED with nobody at the other end.",
    ended_by: "tcp_synack_retries: here after 3 s, with the usual value after 63 s.",
    settings: &[Setting { value: "1", ..SYN_ACK_RETRIES }],
    finding: None,
    promises: &[
        Promise::Path(SUBJECT, &[SynReceived, Closed]),
        Promise::Segments(SUBJECT, Pattern::SYN_ACK, 2, 2),
        Promise::State(PEER, Established),
    ],
    play: |lab| {
        lab.step("no ACK gets through; the peer connects to the subject");
        lab.wire().lose(PEER, Pattern::ACK, ALWAYS);
        lab.listener(SUBJECT, PORT, 16)?;
        lab.connecting(PEER, SUBJECT.at(PORT))?;
        lab.wait_state(SUBJECT, SynReceived)?;
        lab.wait_state(SUBJECT, Closed)
    },
};

const LOST_DATA: Scenario = Scenario {
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

const LOST_DATA_ACK: Scenario = Scenario {
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

const LOST_ALL_DATA: Scenario = Scenario {
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

const LOST_FIN: Scenario = Scenario {
    name: "lost-fin",
    group: Group::Losses,
    purpose: "The first FIN is lost: who sent it stays in FIN_WAIT1 and sends it again. The peer has noticed nothing.",
    look_at: "FIN_WAIT1 with Send-Q 1 and the retransmission timer, while the peer is still ESTABLISHED.",
    ended_by: "The ACK of the FIN, or tcp_orphan_retries.",
    settings: &[super::ORPHAN_RETRIES],
    finding: None,
    promises: &[
        Promise::Path(SUBJECT, &[Established, FinWait1, FinWait2, TimeWait]),
        Promise::Path(PEER, &[Established, CloseWait, LastAck, Closed]),
        Promise::Timer(SUBJECT, FinWait1, TimerKind::Retransmit, 0),
        Promise::Segments(SUBJECT, Pattern::FIN, 2, 3),
    ],
    play: |lab| {
        lab.step("the subject connects to the peer, and closes; its FIN is lost");
        let (subject, peer) = lab.open(SUBJECT, PEER, PORT)?;
        lab.wire().lose(SUBJECT, Pattern::FIN, 1);
        lab.close(subject)?;
        lab.wait_state(SUBJECT, FinWait2)?;
        lab.step("the peer closes too");
        lab.close(peer)?;
        lab.wait_state(SUBJECT, TimeWait)?;
        lab.wait_state(PEER, Closed)
    },
};

const LOST_ALL_FINS: Scenario = Scenario {
    name: "lost-all-fins",
    group: Group::Losses,
    purpose: "No FIN gets through: the kernel sends it again for a while on behalf of a program that is gone, and then \
              forgets the connection. The peer never hears that it is over.",
    look_at: "FIN_WAIT1 vanishes without TIME_WAIT; the peer stays ESTABLISHED.",
    ended_by: "tcp_orphan_retries: here after about a second, with the usual value after about a minute and a half.",
    settings: &[Setting { value: "1", ..super::ORPHAN_RETRIES }],
    finding: Some("fin-wait1-stuck"),
    promises: &[
        Promise::Path(SUBJECT, &[Established, FinWait1, Closed]),
        Promise::Segments(SUBJECT, Pattern::FIN, 2, 4),
        Promise::State(PEER, Established),
        Promise::Counter("TcpExt.TCPAbortOnTimeout", 1),
    ],
    play: |lab| {
        lab.step("the subject connects to the peer, and closes; no FIN gets through");
        let (subject, _) = lab.open(SUBJECT, PEER, PORT)?;
        lab.wire().lose(SUBJECT, Pattern::FIN, ALWAYS);
        lab.close(subject)?;
        lab.wait_state(SUBJECT, FinWait1)?;
        lab.wait_state(SUBJECT, Closed)
    },
};

const LOST_FIN_ACK: Scenario = Scenario {
    name: "lost-fin-ack",
    group: Group::Losses,
    purpose: "The ACK of the first FIN is lost: the FIN is sent again, and the peer, long in CLOSE_WAIT, acknowledges it \
              again.",
    look_at: "FIN_WAIT1 here, CLOSE_WAIT there: the peer knows, and this side does not know that it knows.",
    ended_by: "The next ACK.",
    settings: &[super::ORPHAN_RETRIES],
    finding: None,
    promises: &[
        Promise::Path(SUBJECT, &[Established, FinWait1, FinWait2]),
        Promise::Segments(SUBJECT, Pattern::FIN, 2, 3),
        Promise::Segments(PEER, Pattern::ACK, 2, 3),
        Promise::State(PEER, CloseWait),
    ],
    play: |lab| {
        lab.step("the subject connects to the peer, and closes; the ACK of its FIN is lost");
        let (subject, _) = lab.open(SUBJECT, PEER, PORT)?;
        lab.wire().lose(PEER, Pattern::ACK, 1);
        lab.close(subject)?;
        lab.wait_state(PEER, CloseWait)?;
        lab.wait_state(SUBJECT, FinWait2)
    },
};

const LOST_SECOND_FIN: Scenario = Scenario {
    name: "lost-second-fin",
    group: Group::Losses,
    purpose: "The FIN of the side that closes second, here the subject, is lost: it stays in LAST_ACK and sends the FIN \
              again, while the peer waits in FIN_WAIT2.",
    look_at: "LAST_ACK with Send-Q 1 and the retransmission timer.",
    ended_by: "The ACK of the FIN.",
    settings: &[super::ORPHAN_RETRIES],
    finding: None,
    promises: &[
        Promise::Path(SUBJECT, &[Established, CloseWait, LastAck, Closed]),
        Promise::Path(PEER, &[Established, FinWait1, FinWait2, TimeWait]),
        Promise::Timer(SUBJECT, LastAck, TimerKind::Retransmit, 0),
        Promise::Segments(SUBJECT, Pattern::FIN, 2, 3),
    ],
    play: |lab| {
        lab.step("the peer connects to the subject, and closes");
        let (peer, subject) = lab.open(PEER, SUBJECT, PORT)?;
        lab.close(peer)?;
        lab.wait_state(PEER, FinWait2)?;
        lab.step("the subject closes too; its FIN is lost");
        lab.wire().lose(SUBJECT, Pattern::FIN, 1);
        lab.close(subject)?;
        lab.wait_state(SUBJECT, LastAck)?;
        lab.wait_state(SUBJECT, Closed)?;
        lab.wait_state(PEER, TimeWait)
    },
};

const LOST_LAST_ACK: Scenario = Scenario {
    name: "lost-last-ack",
    group: Group::Losses,
    purpose: "The very last ACK is lost. The peer, in LAST_ACK, sends its FIN again, and this is what TIME_WAIT is for: \
              the subject is still there to repeat the ACK.",
    look_at: "TIME_WAIT begins anew with the repeated FIN. Without it the peer would get an RST.",
    ended_by: "60 s after the last FIN.",
    settings: &[],
    finding: None,
    promises: &[
        Promise::Path(SUBJECT, &[FinWait1, FinWait2, TimeWait]),
        Promise::Path(PEER, &[Established, CloseWait, LastAck, Closed]),
        Promise::Segments(PEER, Pattern::FIN, 2, 3),
        ends_in(TimeWait),
    ],
    play: |lab| {
        lab.step("the subject connects to the peer, and closes");
        let (subject, peer) = lab.open(SUBJECT, PEER, PORT)?;
        lab.close(subject)?;
        lab.wait_state(SUBJECT, FinWait2)?;
        lab.step("the peer closes too; the subject's last ACK is lost");
        lab.wire().lose(SUBJECT, Pattern::ACK, 1);
        lab.close(peer)?;
        lab.wait_state(SUBJECT, TimeWait)?;
        lab.wait_state(PEER, Closed)
    },
};

const LOST_RST: Scenario = Scenario {
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
