//! States that last.

use eleven_snapshot::{SocketKind, TimerKind};
use eleven_tcp::State::{
    CloseWait, Closed, Closing, Established, FinWait1, FinWait2, LastAck, Listen, SynReceived, SynSent,
    TimeWait,
};

use super::{ORPHAN_RETRIES, PORT};
use crate::host::{Direction, PEER, SUBJECT};
use crate::promise::{Promise, Sight, ends_in};
use crate::scenario::{Group, Scenario, Setting};
use crate::wire::{ALWAYS, Pattern};

pub(super) const ALL: &[Scenario] = &[
    CLOSED,
    BOUND,
    LISTEN,
    SYN_SENT,
    SYN_RECV,
    ESTABLISHED,
    FIN_WAIT1,
    FIN_WAIT2,
    FIN_WAIT2_ORPHANED,
    CLOSE_WAIT,
    CLOSING,
    LAST_ACK,
    TIME_WAIT,
];

const NO_TIMER: Sight = Sight { what: "no timer runs", test: |row| row.timer.is_none() };
const NO_OWNER: Sight = Sight { what: "no program owns it", test: |row| row.no_owner.is_some() };
const OWNED: Sight = Sight { what: "a program owns it", test: |row| row.no_owner.is_none() };
const MINI_SOCKET: Sight = Sight { what: "it is a mini-socket", test: |row| row.kind.is_mini() };
const FIN_UNACKNOWLEDGED: Sight =
    Sight { what: "its FIN is in the send queue", test: |row| row.send_queue == Some(1) };

const CLOSED: Scenario = Scenario {
    name: "closed",
    group: Group::States,
    purpose: "No connection at all, as before the first call and after the last: here after a reset, while the program \
              still has the descriptor.",
    look_at: "There is no row, yet the program has a descriptor: only its owner's list of files shows it.",
    ended_by: "The program closes the descriptor.",
    settings: &[],
    finding: None,
    promises: &[
        Promise::Path(SUBJECT, &[Established, Closed]),
        ends_in(Closed),
        Promise::Answer(SUBJECT, "recv", "ECONNRESET"),
    ],
    play: |lab| {
        lab.step("the subject connects to the peer");
        let (subject, peer) = lab.open(SUBJECT, PEER, PORT)?;
        lab.step("the peer resets the connection; the subject's program keeps its descriptor");
        lab.abort(peer)?;
        lab.wait_state(SUBJECT, Closed)?;
        let _ = lab.receive(subject)?;
        Ok(())
    },
};

const BOUND: Scenario = Scenario {
    name: "bound",
    group: Group::States,
    purpose: "A socket that has an address and does nothing with it: CLOSED, and yet it keeps others from the port.",
    look_at: "ss hides it (`ss -a` too); since Linux 6.8 the kernel lists it when asked for state CLOSED.",
    ended_by: "The program listens, connects or closes.",
    settings: &[],
    finding: Some("address-in-use"),
    promises: &[
        Promise::RowAtEnd(
            SUBJECT,
            Sight { what: "the row is of a bound socket", test: |row| row.kind == SocketKind::Bound },
        ),
        ends_in(Closed),
    ],
    play: |lab| {
        lab.step("the subject binds a socket to a port, and leaves it at that");
        let socket = lab.socket(SUBJECT)?;
        let _ = lab.bind(socket, PORT)?;
        lab.wait_row(SUBJECT, "a row of a bound socket", |row| row.kind == SocketKind::Bound)
    },
};

const LISTEN: Scenario = Scenario {
    name: "listen",
    group: Group::States,
    purpose: "A server that waits for clients.",
    look_at: "Recv-Q is how many connections wait to be accepted, Send-Q how many may.",
    ended_by: "The program closes the socket.",
    settings: &[Setting {
        name: "somaxconn",
        value: "4096",
        usual: "4096",
        why: "the most that listen() is given, whatever it asks for",
    }],
    finding: None,
    promises: &[
        ends_in(Listen),
        Promise::RowAtEnd(
            SUBJECT,
            Sight {
                what: "its accept queue is empty and holds 16",
                test: |row| (row.backlog, row.backlog_limit) == (Some(0), Some(16)),
            },
        ),
    ],
    play: |lab| {
        lab.step("the subject listens");
        lab.listener(SUBJECT, PORT, 16)?;
        lab.wait_state(SUBJECT, Listen)
    },
};

const SYN_SENT: Scenario = Scenario {
    name: "syn-sent",
    group: Group::States,
    purpose: "A client whose SYN nobody answers: the server is down, or a firewall drops silently.",
    look_at: "The retransmission timer, and how often it has expired: after 1, 2, 3, 4, 5, 7 s and so on.",
    ended_by: "A SYN+ACK, an RST (ECONNREFUSED), or the last of tcp_syn_retries repetitions (ETIMEDOUT, after 131 s).",
    settings: &[
        Setting {
            name: "tcp_syn_retries",
            value: "6",
            usual: "6",
            why: "how often a SYN is sent again at doubling intervals",
        },
        Setting {
            name: "tcp_syn_linear_timeouts",
            value: "4",
            usual: "4",
            why: "how often before that, at intervals of 1 s",
        },
    ],
    finding: Some("syn-sent-unanswered"),
    promises: &[ends_in(SynSent), Promise::Timer(SUBJECT, SynSent, TimerKind::Retransmit, 0)],
    play: |lab| {
        lab.step("nothing of the subject's gets through; it connects");
        lab.wire().silence(SUBJECT);
        lab.connecting(SUBJECT, PEER.at(PORT))?;
        lab.wait_row(SUBJECT, "the retransmission timer runs", |row| row.timer.is_some())
    },
};

const SYN_RECV: Scenario = Scenario {
    name: "syn-recv",
    group: Group::States,
    purpose: "Half of a handshake: the server has answered a SYN and waits for the ACK. Textbooks say it is hardly ever \
              seen unless somebody withholds the ACK, which the peer does here.",
    look_at: "A request mini-socket: no inode, no owner, a retransmission timer of the SYN+ACK.",
    ended_by: "The ACK, an RST, or the last of tcp_synack_retries repetitions of the SYN+ACK (after 63 s).",
    settings: &[Setting {
        name: "tcp_synack_retries",
        value: "5",
        usual: "5",
        why: "how often the SYN+ACK is sent again before the request is forgotten",
    }],
    finding: None,
    promises: &[
        ends_in(SynReceived),
        Promise::Path(SUBJECT, &[Listen, SynReceived]),
        Promise::RowAtEnd(SUBJECT, MINI_SOCKET),
        Promise::State(PEER, Established),
    ],
    play: |lab| {
        lab.step("the subject listens; the peer connects, and its ACK is withheld");
        lab.listener(SUBJECT, PORT, 16)?;
        lab.wire().lose(PEER, Pattern::ACK, ALWAYS);
        lab.connecting(PEER, SUBJECT.at(PORT))?;
        lab.wait_state(SUBJECT, SynReceived)?;
        lab.wait_state(PEER, Established)
    },
};

const ESTABLISHED: Scenario = Scenario {
    name: "established",
    group: Group::States,
    purpose: "An open connection with nothing to say.",
    look_at: "Both queues are 0 and no timer runs: without keepalive an idle connection may outlive its peer for ever.",
    ended_by: "Either side closes, or a packet of an attempt to send is not acknowledged for long enough.",
    settings: &[],
    finding: None,
    promises: &[
        ends_in(Established),
        Promise::RowAtEnd(SUBJECT, NO_TIMER),
        Promise::State(PEER, Established),
    ],
    play: |lab| {
        lab.step("the subject connects to the peer");
        lab.open(SUBJECT, PEER, PORT)?;
        lab.wait_row(SUBJECT, "no timer", |row| row.timer.is_none())
    },
};

const FIN_WAIT1: Scenario = Scenario {
    name: "fin-wait1",
    group: Group::States,
    purpose: "This side has closed first, and its FIN is not acknowledged: the peer cannot be reached.",
    look_at: "Send-Q 1 is the FIN, the row has no owner, and the retransmission timer repeats the FIN.",
    ended_by: "The ACK of the FIN, an RST, or tcp_orphan_retries repetitions (8 of them take about a minute and a half).",
    settings: &[ORPHAN_RETRIES],
    finding: Some("fin-wait1-stuck"),
    promises: &[
        Promise::Path(SUBJECT, &[Established, FinWait1]),
        ends_in(FinWait1),
        Promise::Row(SUBJECT, FIN_UNACKNOWLEDGED),
        Promise::RowAtEnd(SUBJECT, NO_OWNER),
        Promise::Timer(SUBJECT, FinWait1, TimerKind::Retransmit, 1),
    ],
    play: |lab| {
        lab.step("the subject connects to the peer");
        let (subject, _) = lab.open(SUBJECT, PEER, PORT)?;
        lab.step("nothing of the subject's gets through any more; it closes");
        lab.wire().silence(SUBJECT);
        lab.close(subject)?;
        lab.wait_row(SUBJECT, "the FIN was sent again", |row| {
            row.state == FinWait1 && row.timer.is_some_and(|timer| timer.retransmits > 0)
        })
    },
};

const FIN_WAIT2: Scenario = Scenario {
    name: "fin-wait2",
    group: Group::States,
    purpose: "This side has closed its direction by shutdown() and the peer knows, but does not close its own: a \
              half-closed connection, which the program still holds.",
    look_at: "The row has an inode and no timer: it may stay for ever. The peer is in CLOSE_WAIT.",
    ended_by: "The peer's FIN, or this program's close(), from which on tcp_fin_timeout counts.",
    settings: &[],
    finding: Some("fin-wait2-held"),
    promises: &[
        Promise::Path(SUBJECT, &[Established, FinWait1, FinWait2]),
        ends_in(FinWait2),
        Promise::RowAtEnd(SUBJECT, OWNED),
        Promise::RowAtEnd(SUBJECT, NO_TIMER),
        Promise::State(PEER, CloseWait),
    ],
    play: |lab| {
        lab.step("the subject connects to the peer");
        let (subject, _) = lab.open(SUBJECT, PEER, PORT)?;
        lab.step("the subject shuts down its sending direction; the peer acknowledges and does not close");
        let _ = lab.shutdown(subject, Direction::Write)?;
        lab.wait_state(SUBJECT, FinWait2)
    },
};

const FIN_WAIT2_ORPHANED: Scenario = Scenario {
    name: "fin-wait2-orphaned",
    group: Group::States,
    purpose: "This side has closed and the peer knows, but does not close its own direction. No program holds the \
              connection any more, so the kernel gives it up after a while.",
    look_at: "A mini-socket with a timer that counts down tcp_fin_timeout; no owner. The peer is in CLOSE_WAIT.",
    ended_by: "The peer's FIN (then TIME_WAIT), or tcp_fin_timeout; a FIN that comes later gets an RST.",
    settings: &[Setting {
        name: "tcp_fin_timeout",
        value: "60",
        usual: "60",
        why: "seconds that a FIN_WAIT2 without a program lasts",
    }],
    finding: Some("fin-wait2-held"),
    promises: &[
        Promise::Path(SUBJECT, &[Established, FinWait1, FinWait2]),
        ends_in(FinWait2),
        Promise::RowAtEnd(SUBJECT, MINI_SOCKET),
        Promise::Timer(SUBJECT, FinWait2, TimerKind::TimeWait, 0),
        Promise::State(PEER, CloseWait),
    ],
    play: |lab| {
        lab.step("the subject connects to the peer");
        let (subject, _) = lab.open(SUBJECT, PEER, PORT)?;
        lab.step("the subject closes; the peer acknowledges and does not close");
        lab.close(subject)?;
        lab.wait_state(SUBJECT, FinWait2)
    },
};

const CLOSE_WAIT: Scenario = Scenario {
    name: "close-wait",
    group: Group::States,
    purpose: "The peer has closed, and the program here has not: no timer and no sysctl ends this, only the program.",
    look_at: "Recv-Q 1 is the end of file that the program has not read. The row names the program.",
    ended_by: "The program closes.",
    settings: &[],
    finding: Some("close-wait-leak"),
    promises: &[
        Promise::Path(SUBJECT, &[Established, CloseWait]),
        ends_in(CloseWait),
        Promise::RowAtEnd(
            SUBJECT,
            Sight { what: "the end of file is unread", test: |row| row.recv_queue == Some(1) },
        ),
        Promise::RowAtEnd(SUBJECT, NO_TIMER),
        Promise::State(PEER, FinWait2),
    ],
    play: |lab| {
        lab.step("the peer connects to the subject");
        let (peer, _) = lab.open(PEER, SUBJECT, PORT)?;
        lab.step("the peer shuts down its sending direction; the subject's program does not care");
        let _ = lab.shutdown(peer, Direction::Write)?;
        lab.wait_state(PEER, FinWait2)?;
        lab.wait_row(SUBJECT, "CLOSE_WAIT without a timer", |row| {
            row.state == CloseWait && row.timer.is_none()
        })
    },
};

const CLOSING: Scenario = Scenario {
    name: "closing",
    group: Group::States,
    purpose: "Both sides have closed at once, and the ACK of our FIN is missing: the rarest of the states.",
    look_at: "The row has no owner, Send-Q 1 is the FIN, and the retransmission timer repeats it.",
    ended_by: "The ACK of the FIN (then TIME_WAIT), or tcp_orphan_retries repetitions of it.",
    settings: &[ORPHAN_RETRIES],
    finding: Some("closing-stuck"),
    promises: &[
        Promise::Path(SUBJECT, &[Established, FinWait1, Closing]),
        ends_in(Closing),
        Promise::RowAtEnd(SUBJECT, NO_OWNER),
        Promise::Row(SUBJECT, FIN_UNACKNOWLEDGED),
        Promise::Timer(SUBJECT, Closing, TimerKind::Retransmit, 0),
    ],
    play: |lab| {
        lab.step("the subject connects to the peer");
        let (subject, peer) = lab.open(SUBJECT, PEER, PORT)?;
        lab.step("the subject closes; its FIN is lost, so that the peer does not acknowledge it");
        lab.wire().lose(SUBJECT, Pattern::FIN, ALWAYS);
        lab.close(subject)?;
        lab.wait_state(SUBJECT, FinWait1)?;
        lab.step("the peer closes too: its FIN crosses the subject's");
        lab.close(peer)?;
        lab.wait_state(SUBJECT, Closing)?;
        lab.wait_state(PEER, FinWait2)
    },
};

const LAST_ACK: Scenario = Scenario {
    name: "last-ack",
    group: Group::States,
    purpose: "Both sides have closed, the peer first, and the ACK of our FIN is missing.",
    look_at: "The row has no owner, Send-Q 1 is the FIN, and the retransmission timer repeats it. The peer, in \
              TIME_WAIT, answers each time; here nothing of that arrives.",
    ended_by: "The ACK of the FIN, an RST, or tcp_orphan_retries repetitions of it.",
    settings: &[ORPHAN_RETRIES],
    finding: Some("last-ack-stuck"),
    promises: &[
        Promise::Path(SUBJECT, &[Established, CloseWait, LastAck]),
        ends_in(LastAck),
        Promise::RowAtEnd(SUBJECT, NO_OWNER),
        Promise::Row(SUBJECT, FIN_UNACKNOWLEDGED),
        Promise::State(PEER, TimeWait),
    ],
    play: |lab| {
        lab.step("the peer connects to the subject, and closes");
        let (peer, subject) = lab.open(PEER, SUBJECT, PORT)?;
        lab.close(peer)?;
        lab.wait_state(SUBJECT, CloseWait)?;
        lab.wait_state(PEER, FinWait2)?;
        lab.step("the subject closes too; the peer's last ACK is lost");
        lab.wire().lose(PEER, Pattern::ACK, ALWAYS);
        lab.close(subject)?;
        lab.wait_state(SUBJECT, LastAck)?;
        lab.wait_state(PEER, TimeWait)
    },
};

const TIME_WAIT: Scenario = Scenario {
    name: "time-wait",
    group: Group::States,
    purpose: "The connection is over, and who closed first waits: for old duplicates to die out, and to repeat its last \
              ACK if that was lost.",
    look_at: "A mini-socket with a timer that counts down 60 s; no owner, and hardly any memory. The peer has nothing \
              any more.",
    ended_by: "60 s, a constant of Linux that tcp_fin_timeout does not change; or a new connection between the same \
               sockets.",
    settings: &[],
    finding: Some("time-wait-normal"),
    promises: &[
        ends_in(TimeWait),
        Promise::RowAtEnd(SUBJECT, MINI_SOCKET),
        Promise::Timer(SUBJECT, TimeWait, TimerKind::TimeWait, 0),
        Promise::State(PEER, Closed),
    ],
    play: |lab| {
        lab.step("the subject connects to the peer, and closes");
        let (subject, peer) = lab.open(SUBJECT, PEER, PORT)?;
        lab.close(subject)?;
        lab.wait_state(PEER, CloseWait)?;
        lab.step("the peer closes too");
        lab.close(peer)?;
        lab.wait_state(SUBJECT, TimeWait)?;
        lab.wait_state(PEER, Closed)
    },
};
