//! What was seen, as a ladder diagram.

use std::net::IpAddr;

use eleven_tcp::ip::Packet;
use eleven_tcp::sim::ladder::{Change, Entry, Flight, Ladder, Note, Side};
use eleven_tcp::{Instant, State};

use crate::clock::START;
use crate::evidence::{Event, Evidence, PassageRecord, What};
use crate::host::{HostId, PEER, SERVER, SUBJECT};

/// Draws the subject on the left; on the right the peer, or whoever has the other end of the connection that was looked at
/// last. `subject` says what the subject is.
pub fn ladder(evidence: &Evidence, subject: &str) -> Ladder {
    let mut entries = Vec::new();
    let right = other_end(evidence);
    let side = |host: HostId| match host {
        SUBJECT => Some(Side::Left),
        host => (host == right).then_some(Side::Right),
    };
    let at = |time: Instant| Instant::ZERO + time.duration_since(START);
    for event in &evidence.events {
        let Some(side) = side(event.host) else { continue };
        let change = Some(Change { before: name(event.before), after: name(event.after) });
        let note = |text: String| Note { side, time: at(event.at), text, change: change.clone() };
        match &event.what {
            What::Step(_) | What::Seen(_) => {}
            What::Call { text, answer } => entries.push(Entry::Note(note(match answer {
                Err(errno) if !is_beginning(event) => format!("{text} = {errno}"),
                _ => text.clone(),
            }))),
            What::ByItself => entries.push(Entry::Note(note("timer".to_owned()))),
            What::Sent(number) => {
                let Some(passage) = evidence.passages.get(*number) else { continue };
                if side == Side::Left && goes_to(passage).is_some_and(|to| to != IpAddr::V4(right.v4())) {
                    continue;
                }
                let receiver = receiver(evidence, *number);
                entries.push(Entry::Segment(Flight {
                    from: side,
                    sent: at(passage.sent),
                    received: passage.received.map(at),
                    label: passage.label.clone(),
                    sender: change,
                    receiver,
                }));
            }
            // Drawn with its departure, unless the network made it.
            What::Received(number) if sent(evidence, *number) => {}
            What::Received(number) => {
                let Some(passage) = evidence.passages.get(*number) else { continue };
                entries.push(Entry::Segment(Flight {
                    from: side.other(),
                    sent: at(event.at),
                    received: Some(at(event.at)),
                    label: format!("{} (copy)", passage.label),
                    sender: None,
                    receiver: change,
                }));
            }
        }
    }
    Ladder { left: format!("{} ({subject})", SUBJECT.name()), right: right.name().to_owned(), entries }
}

fn other_end(evidence: &Evidence) -> HostId {
    match evidence.focus {
        Some(pair) if pair.remote_address == IpAddr::V4(SERVER.v4()) => SERVER,
        _ => PEER,
    }
}

/// Where a packet goes, if that is one of three hosts.
fn goes_to(passage: &PassageRecord) -> Option<IpAddr> {
    let to = Packet::parse(&passage.packet).ok()?.destination;
    to.is_ipv4().then_some(to)
}

/// `connect()` has only begun: that is no error.
fn is_beginning(event: &Event) -> bool {
    matches!(&event.what, What::Call { answer: Err(crate::host::Errno::IN_PROGRESS), .. })
}

fn sent(evidence: &Evidence, number: usize) -> bool {
    evidence.events.iter().any(|event| matches!(event.what, What::Sent(sent) if sent == number))
}

fn receiver(evidence: &Evidence, number: usize) -> Option<Change> {
    let of_it = |event: &&Event| matches!(event.what, What::Received(received) if received == number);
    let event = evidence.events.iter().find(of_it)?;
    Some(Change { before: name(event.before), after: name(event.after) })
}

fn name(state: State) -> String {
    state.to_string()
}
