//! Segments of a close are lost.

use eleven_snapshot::TimerKind;
use eleven_tcp::State::{CloseWait, Closed, Established, FinWait1, FinWait2, LastAck, TimeWait};

use crate::host::{PEER, SUBJECT};
use crate::promise::{Promise, ends_in};
use crate::scenario::{Group, Scenario, Setting};
use crate::scenarios::{ORPHAN_RETRIES, PORT};
use crate::wire::{ALWAYS, Pattern};

pub(super) const LOST_FIN: Scenario = Scenario {
    name: "lost-fin",
    group: Group::Losses,
    purpose: "The first FIN is lost: who sent it stays in FIN_WAIT1 and sends it again. The peer has noticed nothing.",
    look_at: "FIN_WAIT1 with Send-Q 1 and the retransmission timer, while the peer is still ESTABLISHED.",
    ended_by: "The ACK of the FIN, or tcp_orphan_retries.",
    settings: &[ORPHAN_RETRIES],
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

pub(super) const LOST_ALL_FINS: Scenario = Scenario {
    name: "lost-all-fins",
    group: Group::Losses,
    purpose: "No FIN gets through: the kernel sends it again for a while on behalf of a program that is gone, and then \
              forgets the connection. The peer never hears that it is over.",
    look_at: "FIN_WAIT1 vanishes without TIME_WAIT; the peer stays ESTABLISHED.",
    ended_by: "tcp_orphan_retries: here after about a second, with the usual value after about a minute and a half.",
    settings: &[Setting { value: "1", ..ORPHAN_RETRIES }],
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

pub(super) const LOST_FIN_ACK: Scenario = Scenario {
    name: "lost-fin-ack",
    group: Group::Losses,
    purpose: "The ACK of the first FIN is lost: the FIN is sent again, and the peer, long in CLOSE_WAIT, acknowledges it \
              again.",
    look_at: "FIN_WAIT1 here, CLOSE_WAIT there: the peer knows, and this side does not know that it knows.",
    ended_by: "The next ACK.",
    settings: &[ORPHAN_RETRIES],
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

pub(super) const LOST_SECOND_FIN: Scenario = Scenario {
    name: "lost-second-fin",
    group: Group::Losses,
    purpose: "The FIN of the side that closes second, here the subject, is lost: it stays in LAST_ACK and sends the FIN \
              again, while the peer waits in FIN_WAIT2.",
    look_at: "LAST_ACK with Send-Q 1 and the retransmission timer.",
    ended_by: "The ACK of the FIN.",
    settings: &[ORPHAN_RETRIES],
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

pub(super) const LOST_LAST_ACK: Scenario = Scenario {
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
