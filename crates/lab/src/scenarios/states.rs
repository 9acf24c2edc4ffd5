//! States that last.

use eleven_tcp::State::{Closing, Established, FinWait1, Listen, SynReceived};

use super::PORT;
use crate::host::{PEER, SUBJECT};
use crate::promise::{Promise, ends_in};
use crate::scenario::{Group, Scenario, Setting};
use crate::wire::{ALWAYS, Pattern};

pub(super) const ALL: &[Scenario] = &[SYN_RECV, ESTABLISHED, CLOSING];

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
    promises: &[ends_in(SynReceived), Promise::Path(SUBJECT, &[Listen, SynReceived])],
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
    promises: &[ends_in(Established), Promise::State(PEER, Established)],
    play: |lab| {
        lab.step("the subject connects to the peer");
        lab.open(SUBJECT, PEER, PORT)?;
        lab.wait_row(SUBJECT, "no timer", |row| row.timer.is_none())
    },
};

const CLOSING: Scenario = Scenario {
    name: "closing",
    group: Group::States,
    purpose: "Both sides have closed at once, and the ACK of our FIN is missing: the rarest of the states.",
    look_at: "The row has no owner, Send-Q 1 is the FIN, and the retransmission timer repeats it.",
    ended_by: "The ACK of the FIN (then TIME_WAIT), or tcp_orphan_retries repetitions of it.",
    settings: &[Setting {
        name: "tcp_orphan_retries",
        value: "0",
        usual: "0, which acts as 8",
        why: "how often a FIN is sent again once the program is gone",
    }],
    finding: Some("closing-stuck"),
    promises: &[Promise::Path(SUBJECT, &[Established, FinWait1, Closing]), ends_in(Closing)],
    play: |lab| {
        lab.step("the subject connects to the peer");
        let (subject, peer) = lab.open(SUBJECT, PEER, PORT)?;
        lab.step("the subject closes; its FIN is lost, so that the peer does not acknowledge it");
        lab.wire().lose(SUBJECT, Pattern::FIN, ALWAYS);
        lab.close(subject)?;
        lab.wait_state(SUBJECT, FinWait1)?;
        lab.step("the peer closes too: its FIN crosses the subject's");
        lab.close(peer)?;
        lab.wait_state(SUBJECT, Closing)
    },
};
