//! Readers that do not read, and what their senders do about it.

use std::time::Duration;

use eleven_snapshot::{Socket, TimerKind};
use eleven_tcp::State::{Established, FinWait1};

use super::super::PORT;
use crate::error::Stop;
use crate::host::{PEER, SUBJECT, SocketOption};
use crate::lab::{Handle, Lab};
use crate::promise::{Promise, Sight};
use crate::scenario::{Group, Scenario};
use crate::wire::Pattern;

pub(in super::super) const ALL: &[Scenario] =
    &[ZERO_WINDOW, PERSIST, FIN_WAIT1_ZERO_WINDOW, SLOW_READER, SLOW_READER_PEER];

/// The window of whoever does not read.
const WINDOW: u32 = 8_192;
/// More than the window takes.
static MUCH: [u8; 32_768] = [b'x'; 32_768];

const PERSIST_TIMER: Sight = Sight {
    what: "Send-Q stands, and the persist timer runs",
    test: |row| row.send_queue > Some(0) && row.timer.is_some_and(|timer| timer.kind == TimerKind::Persist),
};

/// A connection to a peer whose window is small; the subject has filled it. Both ends.
fn fill(lab: &mut Lab) -> Result<(Handle, Handle), Stop> {
    lab.step("the subject connects to the peer, whose receive buffer is small");
    let listener = lab.socket(PEER)?;
    lab.set_option(listener, SocketOption::ReceiveBuffer(WINDOW))?;
    let _ = lab.bind(listener, PORT)?;
    let _ = lab.listen(listener, 16)?;
    let subject = lab.connecting(SUBJECT, PEER.at(PORT))?;
    let _ = lab.connected(subject)?;
    let peer = lab.accept(listener)?;
    lab.step("the subject sends more than the window takes; the peer's program does not read");
    let _ = lab.send(subject, &MUCH)?;
    lab.wait_row(SUBJECT, PERSIST_TIMER.what, PERSIST_TIMER.test)?;
    Ok((subject, peer))
}

const ZERO_WINDOW: Scenario = Scenario {
    name: "zero-window",
    group: Group::Faults,
    purpose: "The peer's program does not read: its window closes, and what the subject sends stands in Send-Q. Nothing is \
              wrong with the network, and nothing is lost.",
    look_at: "Send-Q stands, and the timer is the persist timer, not that of retransmissions. At the peer, Recv-Q is full.",
    ended_by: "The peer's program reads. As long as its kernel answers the probes, this side waits for ever.",
    settings: &[],
    finding: Some("peer-reader-slow"),
    promises: &[
        Promise::State(SUBJECT, Established),
        Promise::RowAtEnd(SUBJECT, PERSIST_TIMER),
        Promise::RowAtEnd(
            PEER,
            Sight { what: "its Recv-Q is full", test: |row| row.recv_queue >= Some(WINDOW / 2) },
        ),
        Promise::Segments(PEER, CLOSED_WINDOW, 1, usize::MAX),
    ],
    play: |lab| {
        fill(lab)?;
        lab.step("the subject asks now and then whether there is room");
        lab.wait_segments(PEER, CLOSED_WINDOW, 1)?;
        lab.wait_row(SUBJECT, PERSIST_TIMER.what, PERSIST_TIMER.test)
    },
};

/// An acknowledgment with a window of zero.
const CLOSED_WINDOW: Pattern = Pattern {
    name: "a window of zero",
    matches: |segment| segment.window == 0 && !segment.flags.contains(eleven_tcp::Flags::RST),
};

const PERSIST: Scenario = Scenario {
    name: "persist",
    group: Group::Faults,
    purpose: "How a sender waits for a closed window: it probes at doubling intervals, for the segment that opens the \
              window may be lost. When the peer falls silent, the probes count as failed.",
    look_at: "The persist timer: 0.2, 0.4, 0.8 s and so on up to 2 minutes. Each probe is answered as long as the peer's \
              kernel lives; then the count of unanswered ones rises, and at tcp_retries2 send() returns ETIMEDOUT.",
    ended_by: "The window opens; or, without answers, tcp_retries2 (15 usually: a quarter of an hour and more).",
    settings: &[],
    finding: Some("peer-reader-slow"),
    promises: &[
        Promise::Row(
            SUBJECT,
            Sight {
                what: "the persist timer waits for more than half a second",
                test: |row| {
                    row.timer.is_some_and(|timer| timer.kind == TimerKind::Persist && timer.expires_ms > 500)
                },
            },
        ),
        Promise::Segments(PEER, CLOSED_WINDOW, 1, usize::MAX),
        Promise::Timer(SUBJECT, Established, TimerKind::Persist, 2),
        Promise::Counter("TcpExt.TCPWinProbe", 2),
    ],
    play: |lab| {
        fill(lab)?;
        lab.step("the peer's kernel answers the first probes");
        lab.wait_segments(PEER, CLOSED_WINDOW, 2)?;
        lab.wait_row(SUBJECT, "longer intervals", |row| {
            row.timer.is_some_and(|timer| timer.kind == TimerKind::Persist && timer.expires_ms > 500)
        })?;
        lab.pass(Duration::from_millis(50))?;
        lab.step("and then the peer falls silent");
        lab.wire().silence(PEER);
        lab.wait_row(SUBJECT, "two probes without an answer", |row| {
            row.timer.is_some_and(|timer| timer.kind == TimerKind::Persist && timer.retransmits >= 2)
        })
    },
};

const FIN_WAIT1_ZERO_WINDOW: Scenario = Scenario {
    name: "fin-wait1-zero-window",
    group: Group::Faults,
    purpose: "The program sends the rest and closes, but the peer's window is closed: the FIN waits behind the data, and \
              FIN_WAIT1 may last for as long as the peer's program does not read.",
    look_at: "FIN_WAIT1 without an owner and with the persist timer: not the network is at fault but the peer's program.",
    ended_by: "The peer's program reads or ends; or tcp_orphan_retries, once the intervals of the probes have grown to two \
               minutes, though they are answered.",
    settings: &[super::super::ORPHAN_RETRIES],
    finding: Some("fin-wait1-stuck"),
    promises: &[
        Promise::State(SUBJECT, FinWait1),
        Promise::RowAtEnd(SUBJECT, PERSIST_TIMER),
        Promise::RowAtEnd(SUBJECT, Sight { what: "no program owns it", test: |row| row.no_owner.is_some() }),
        Promise::Segments(SUBJECT, Pattern::FIN, 0, 0),
    ],
    play: |lab| {
        let (subject, _) = fill(lab)?;
        lab.step("the subject's program closes");
        lab.close(subject)?;
        lab.wait_segments(PEER, CLOSED_WINDOW, 1)?;
        lab.wait_row(SUBJECT, PERSIST_TIMER.what, PERSIST_TIMER.test)
    },
};

const SLOW_READER: Scenario = Scenario {
    name: "slow-reader",
    group: Group::Faults,
    purpose: "The subject's own program does not read what arrives: Recv-Q fills, its window closes, and the peer has to \
              stop.",
    look_at: "A large Recv-Q that stands, in ESTABLISHED: the program is stuck or too slow. The peer shows the other end of \
              it: Send-Q and the persist timer.",
    ended_by: "The program reads.",
    settings: &[],
    finding: Some("local-reader-slow"),
    promises: &[
        Promise::State(SUBJECT, Established),
        Promise::RowAtEnd(
            SUBJECT,
            Sight { what: "Recv-Q is large", test: |row| row.recv_queue >= Some(4_096) },
        ),
        Promise::Segments(SUBJECT, CLOSED_WINDOW, 1, usize::MAX),
        Promise::Timer(PEER, Established, TimerKind::Persist, 0),
        Promise::Counter("TcpExt.TCPToZeroWindowAdv", 1),
    ],
    play: |lab| {
        lab.step("the peer connects to the subject, whose receive buffer is small");
        let listener = lab.socket(SUBJECT)?;
        lab.set_option(listener, SocketOption::ReceiveBuffer(WINDOW))?;
        let _ = lab.bind(listener, PORT)?;
        let _ = lab.listen(listener, 16)?;
        let peer = lab.connecting(PEER, SUBJECT.at(PORT))?;
        let _ = lab.connected(peer)?;
        let _ = lab.accept(listener)?;
        lab.step("the peer sends more than the window takes; the subject's program does not read");
        let _ = lab.send(peer, &MUCH)?;
        let waits = |row: &Socket| row.timer.is_some_and(|timer| timer.kind == TimerKind::Persist);
        lab.wait_row(PEER, "the persist timer runs", waits)?;
        lab.wait_segments(SUBJECT, CLOSED_WINDOW, 1)
    },
};

const SLOW_READER_PEER: Scenario = Scenario {
    name: "slow-reader-peer",
    group: Group::Faults,
    purpose: "The peer's program reads, but slower than the subject sends: the window closes and opens again, and the \
              speed is that of the reader.",
    look_at: "Send-Q never empties although much has been acknowledged, and the persist timer comes and goes; \
              `ss -ti` shows a large share of rwnd_limited.",
    ended_by: "The peer reads faster, or there is nothing more to send.",
    settings: &[],
    finding: Some("peer-reader-slow"),
    promises: &[
        Promise::State(SUBJECT, Established),
        Promise::RowAtEnd(SUBJECT, Sight { what: "Send-Q stands", test: |row| row.send_queue > Some(0) }),
        Promise::Answer(PEER, "recv", "1024 bytes"),
        // Whether it closes wholly depends on how reads and probes meet.
        Promise::Timer(SUBJECT, Established, TimerKind::Persist, 0),
        Promise::Segments(SUBJECT, Pattern::TEXT, 3, usize::MAX),
    ],
    play: |lab| {
        let (subject, peer) = fill(lab)?;
        lab.step("the peer's program reads 1024 bytes every tenth of a second");
        for _ in 0..16 {
            let _ = lab.receive_at_most(peer, 1_024)?;
            lab.pass(Duration::from_millis(100))?;
        }
        lab.meanwhile(Duration::from_millis(100), move |lab| {
            let _ = lab.receive_at_most(peer, 1_024)?;
            let _ = lab.send(subject, &MUCH[..1_024])?;
            Ok(())
        });
        Ok(())
    },
};
