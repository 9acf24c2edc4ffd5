//! How connections come about, or do not.

use eleven_tcp::State::{Closed, Established, Listen, SynReceived, SynSent};

use crate::host::{PEER, SUBJECT};
use crate::promise::{Promise, Sight};
use crate::scenario::{Group, Scenario};
use crate::scenarios::PORT;
use crate::wire::Pattern;

pub(super) const THREE_WAY_HANDSHAKE: Scenario = Scenario {
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

pub(super) const SIMULTANEOUS_OPEN: Scenario = Scenario {
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

pub(super) const REFUSED: Scenario = Scenario {
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
