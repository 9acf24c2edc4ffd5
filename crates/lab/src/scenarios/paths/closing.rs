//! How both sides close.

use eleven_tcp::State::{CloseWait, Closed, Closing, Established, FinWait1, FinWait2, LastAck, TimeWait};

use crate::error::Stop;
use crate::host::{Direction, PEER, SUBJECT};
use crate::lab::Lab;
use crate::promise::{Promise, Sight};
use crate::scenario::{Group, Scenario};
use crate::scenarios::PORT;
use crate::wire::Pattern;

pub(super) const FOUR_WAY_CLOSE: Scenario = Scenario {
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

pub(super) const THREE_SEGMENT_CLOSE: Scenario = Scenario {
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
        Promise::State(SUBJECT, Closed),
        Promise::State(PEER, TimeWait),
    ],
    play: |lab| {
        // A busy machine may take longer to close than the ACK waits.
        for attempt in 0..ATTEMPTS {
            close_in_three(lab, PORT + attempt)?;
            if lab.evidence().path(PEER).ends_with(&[FinWait1, TimeWait]) {
                break;
            }
            lab.step("the ACK could not wait so long for company: once more");
        }
        Ok(())
    },
};

/// So often it is tried.
const ATTEMPTS: u16 = 5;

/// A connection to a port of the subject's that the peer closes, and the subject as soon as it reads the end of file.
fn close_in_three(lab: &mut Lab, port: u16) -> Result<(), Stop> {
    lab.step("the peer connects to the subject; they talk, so that the subject begins to delay its ACKs");
    let (peer, subject) = lab.open(PEER, SUBJECT, port)?;
    if let Some(client) = lab.host_mut(PEER).local(peer.socket) {
        let pair = lab.pair(subject, client)?;
        lab.focus_on(pair);
    }
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
}

/// So many questions and answers, and an end no longer acknowledges each segment at once.
const QUICK: u32 = 20;

pub(super) const HALF_CLOSE: Scenario = Scenario {
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

pub(super) const SIMULTANEOUS_CLOSE: Scenario = Scenario {
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
