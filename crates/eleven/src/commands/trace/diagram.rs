//! A flow as a ladder: the client at the left, the server at the right, what the capture saw between them.

use eleven_tcp::Instant;
use eleven_tcp::sim::ladder::{self, Change, Entry, Flight, Ladder};
use eleven_track::Side;

use super::record::{Record, Records};

/// The ladder of a flow between two sockets.
pub(super) fn ladder(client: &str, server: &str, records: &Records) -> Ladder {
    let start = records.start();
    let entries = records.segments.iter().map(|record| {
        let time = Instant::from_micros((record.time.since(start).max(0) / 1_000) as u64);
        let from = record.verdict.from;
        Entry::Segment(Flight {
            from: if from == Side::Client { ladder::Side::Left } else { ladder::Side::Right },
            sent: time,
            // Seen in between, so nobody knows when it arrived.
            received: Some(time),
            label: label(record),
            sender: change(record, from),
            receiver: change(record, from.other()),
        })
    });
    Ladder { left: format!("client {client}"), right: format!("server {server}"), entries: entries.collect() }
}

fn change(record: &Record, side: Side) -> Option<Change> {
    let (before, after) = (record.verdict.before(side), record.verdict.after(side));
    (before != after).then(|| Change { before: before.to_string(), after: after.to_string() })
}

/// `SYN+ACK seq 0 ack 1`, with what is odd about it.
fn label(record: &Record) -> String {
    let verdict = &record.verdict;
    let mut label = format!("{} seq {}", record.flags, verdict.seq);
    if let Some(ack) = verdict.ack {
        label.push_str(&format!(" ack {ack}"));
    }
    if verdict.length > 0 {
        label.push_str(&format!(" len {}", verdict.length));
    }
    for note in verdict.notes.iter().filter(|note| note.is_anomaly()) {
        label.push_str(&format!(" [{note}]"));
    }
    label
}
