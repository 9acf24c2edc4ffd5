//! What may happen in TIME_WAIT.

use eleven_tcp::State::{CloseWait, Closed, Established, FinWait1, FinWait2, SynReceived, TimeWait};

use crate::error::Stop;
use crate::host::{PEER, SUBJECT};
use crate::lab::Lab;
use crate::promise::{Promise, ends_in};
use crate::scenario::{Group, Scenario, Setting};
use crate::scenarios::PORT;
use crate::wire::Pattern;

/// A port of the peer's that it can come back to.
const SAME_PORT: u16 = 40_000;

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

pub(super) const TIME_WAIT_REUSE: Scenario = Scenario {
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

pub(super) const TIME_WAIT_ASSASSINATION: Scenario = Scenario {
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
        Promise::Segments(PEER, Pattern::RST, 1, usize::MAX),
    ],
    play: |lab| {
        assassinate(lab)?;
        lab.wait_state(SUBJECT, Closed)
    },
};

pub(super) const TIME_WAIT_ASSASSINATION_RFC1337: Scenario = Scenario {
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
        Promise::Segments(PEER, Pattern::RST, 1, usize::MAX),
    ],
    play: |lab| {
        assassinate(lab)?;
        lab.pass(std::time::Duration::from_millis(200))
    },
};
