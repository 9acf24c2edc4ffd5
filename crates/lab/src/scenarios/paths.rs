//! Ways through several states.

use eleven_tcp::State::{Established, SynSent};

use super::PORT;
use crate::host::{PEER, SUBJECT};
use crate::promise::Promise;
use crate::scenario::{Group, Scenario};

pub(super) const ALL: &[Scenario] = &[THREE_WAY_HANDSHAKE];

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
        Promise::State(PEER, Established),
        Promise::Answer(SUBJECT, "connect", "0"),
    ],
    play: |lab| {
        lab.step("the subject connects, the peer listens");
        lab.open(SUBJECT, PEER, PORT)?;
        Ok(())
    },
};
