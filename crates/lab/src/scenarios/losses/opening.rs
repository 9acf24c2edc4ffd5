//! Segments of a handshake are lost.

use eleven_snapshot::TimerKind;
use eleven_tcp::State::{Closed, Established, SynReceived, SynSent};

use crate::host::{PEER, SUBJECT};
use crate::promise::Promise;
use crate::scenario::{Group, Scenario, Setting};
use crate::scenarios::PORT;
use crate::wire::{ALWAYS, Pattern};

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

pub(super) const LOST_SYN: Scenario = Scenario {
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

pub(super) const LOST_ALL_SYNS: Scenario = Scenario {
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

pub(super) const LOST_SYN_ACK: Scenario = Scenario {
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

pub(super) const LOST_HANDSHAKE_ACK: Scenario = Scenario {
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

pub(super) const LOST_ALL_HANDSHAKE_ACKS: Scenario = Scenario {
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
