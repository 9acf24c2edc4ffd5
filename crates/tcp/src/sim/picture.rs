//! A simulation as it is looked at: captures with the true states, and ladders.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::ladder::{Change, Entry, Flight, Ladder, Note, Side};
use super::{Cause, EndEvent, Place, Reception, Record, Sending, Simulation, Vantage};
use crate::ip::Packet;
use crate::pcapng::ByteSink;
use crate::{Flags, FourTuple, Segment, SeqNumber, State};

impl Simulation {
    /// Writes what was seen at a place as a capture (pcapng). Each packet's comment tells the true states of both
    /// ends: what sending it and receiving it meant for them, and by which rules.
    ///
    /// Empty unless [`record`](Self::record) was called. A receiver's state is told even where the
    /// packet was seen before it arrived.
    ///
    /// # Errors
    /// The sink's.
    pub fn write_capture<S: ByteSink>(&self, vantage: Vantage, sink: S) -> Result<S, S::Error> {
        self.network().write_capture(vantage, sink, |record| self.comment(record))
    }

    /// What a capture says about a packet.
    pub fn comment(&self, record: &Record) -> String {
        let mut parts = Vec::new();
        let journal = self.journal();
        if let Some(sent) = journal.sent.get(&record.number) {
            let name = self.network().name(sent.host);
            let event = sent.because.and_then(|place| journal.events.get(place));
            parts.push(match event.filter(|event| !matches!(event.cause, Cause::Packet(_))) {
                Some(event) => format!("sender {name}: {}", told(event)),
                None => format!("sender {name}: {}", sent.state),
            });
        }
        let receipts = journal.received.get(&record.number);
        let receipt = receipts.and_then(|all| all.iter().find(|receipt| receipt.copy == record.copy));
        let name = self.network().name(record.to);
        match receipt.map(|receipt| receipt.reception) {
            Some(Reception::Taken(place)) => {
                if let Some(event) = journal.events.get(place) {
                    parts.push(format!("receiver {name}: {}", told(event)));
                }
            }
            Some(Reception::Damaged) => {
                parts.push(format!("receiver {name}: dropped, the checksum is wrong"))
            }
            Some(Reception::HostDown) => parts.push(format!("receiver {name}: is down")),
            None => {}
        }
        let remarks = record.remarks();
        if !remarks.is_empty() {
            parts.push(remarks);
        }
        parts.join("; ")
    }

    /// Everything that was recorded of a connection as a ladder; the local socket of `pair` stands at the left.
    ///
    /// Sequence numbers are told relative to each side's SYN. Empty unless [`record`](Self::record) was called.
    pub fn ladder(&self, pair: &FourTuple) -> Ladder {
        let network = self.network();
        let side_of = |seen: &FourTuple| {
            if seen == pair {
                Some(Side::Left)
            } else if *seen == pair.reversed() {
                Some(Side::Right)
            } else {
                None
            }
        };
        let name = |pair: &FourTuple| {
            let socket = pair.local();
            match network.host_with(socket.ip()) {
                Some(host) => format!("{} {socket}", network.name(host)),
                None => socket.to_string(),
            }
        };
        // In the order in which things happened: what is sent comes behind what made its sender send it.
        let events = &self.journal().events;
        let mut entries = Vec::new();
        let mut noted = 0;
        let mut note_up_to = |count: usize, entries: &mut Vec<Entry>| {
            for event in events.get(noted..count).unwrap_or_default() {
                if let Some(side) = side_of(&event.pair)
                    && let Some(text) = note(event)
                {
                    let change = Some(change(event));
                    entries.push(Entry::Note(Note { side, time: event.time, text, change }));
                }
            }
            noted = noted.max(count);
        };
        let mut starts = [None; 2];
        let looks = self.looks();
        for (number, sent) in &self.journal().sent {
            note_up_to(sent.events, &mut entries);
            let Some(from) = side_of(&sent.pair) else { continue };
            let Some(segment) = looks.get(number).and_then(|packet| parse(packet)) else { continue };
            let label = label(&segment, from, &mut starts);
            self.flights(*number, sent, from, &label, &mut entries);
        }
        note_up_to(events.len(), &mut entries);
        Ladder { left: name(pair), right: name(&pair.reversed()), entries }
    }

    /// Every packet as its sender made it, by number.
    fn looks(&self) -> BTreeMap<u64, &[u8]> {
        let records = self.network().records().iter();
        records
            .filter(|record| record.place == Place::Sender)
            .map(|record| (record.number, &*record.packet))
            .collect()
    }

    /// The arrows of one packet: one for each time it arrives, or one that is lost.
    fn flights(&self, number: u64, sent: &Sending, from: Side, label: &str, entries: &mut Vec<Entry>) {
        let journal = self.journal();
        // What made the sender send it stands beside it already.
        let sender = None;
        let flight = |received, label: String, receiver| {
            Entry::Segment(Flight {
                from,
                sent: sent.time,
                received,
                label,
                sender: sender.clone(),
                receiver,
            })
        };
        let receipts = journal.received.get(&number).map_or(&[][..], Vec::as_slice);
        if receipts.is_empty() {
            entries.push(flight(None, label.into(), None));
        }
        for receipt in receipts {
            let mut label = String::from(label);
            if receipt.copy {
                label.push_str(" (copy)");
            }
            match receipt.reception {
                Reception::Taken(place) => {
                    let receiver = journal.events.get(place).map(change);
                    entries.push(flight(Some(receipt.time), label, receiver));
                }
                Reception::Damaged => entries.push(flight(None, label + " (damaged)", None)),
                Reception::HostDown => entries.push(flight(None, label + " (host down)", None)),
            }
        }
    }
}

fn parse(packet: &[u8]) -> Option<Segment<'_>> {
    Segment::parse(Packet::parse(packet).ok()?.tcp).ok()
}

/// `ESTABLISHED → CLOSE_WAIT (established.fin)`
fn told(event: &EndEvent) -> String {
    let rules = event.rules();
    let rules = if rules.is_empty() { rules } else { format!(" ({rules})") };
    format!("{} → {}{rules}", event.before, event.after)
}

fn change(event: &EndEvent) -> Change {
    // A listener goes on listening; what answers for the connection is what counts.
    let after =
        if event.before != State::Listen && event.after == State::Listen && event.cause != Cause::Crash {
            event.steps.last().map_or(event.after, crate::Rule::to_on_linux)
        } else {
            event.after
        };
    Change { before: event.before.to_string(), after: after.to_string() }
}

/// What is written beside an end; packets have their arrows.
fn note(event: &EndEvent) -> Option<String> {
    match event.cause {
        // Packets have their arrows; that a program reads changes nothing.
        Cause::Call("recv") | Cause::Packet(_) => None,
        Cause::Call(name) => Some(format!("{name}()")),
        Cause::Report(_) => Some("ICMP".into()),
        Cause::Crash => Some("the host crashes".into()),
        Cause::Timer => event.steps.iter().last().map(|rule| rule.event.to_string()),
    }
}

/// `SYN seq=0 win=64240`, `PSH+ACK seq=1 ack=1 len=100`
fn label(segment: &Segment<'_>, from: Side, starts: &mut [Option<SeqNumber>; 2]) -> String {
    let (mine, theirs) = if from == Side::Left { (0, 1) } else { (1, 0) };
    if segment.flags.contains(Flags::SYN) {
        starts[mine] = Some(segment.seq);
    }
    // One number before the start is what a probe has.
    let signed = |number: SeqNumber, start: Option<SeqNumber>| match start {
        Some(start) => i64::from(number.distance(start)),
        None => i64::from(number.0),
    };
    let mut label = format!("{} seq={}", segment.flags, signed(segment.seq, starts[mine]));
    if segment.flags.contains(Flags::ACK) {
        label += &format!(" ack={}", signed(segment.ack, starts[theirs]));
    }
    if !segment.text.is_empty() {
        label += &format!(" len={}", segment.text.len());
    }
    if !segment.flags.contains(Flags::RST) {
        label += &format!(" win={}", segment.window);
    }
    for block in segment.options.sack().iter() {
        let (start, end) = (signed(block.start, starts[theirs]), signed(block.end, starts[theirs]));
        label += &format!(" sack={start}:{end}");
    }
    label
}
