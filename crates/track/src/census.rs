//! What is counted over all flows of a capture: which is the how manieth, who floods, who scans.

use crate::key::{Secret, Sockets};
use crate::sketch::Sketch;
use crate::{Anomaly, Flow, Note, Notes, Settings, Side};

/// Something about a flow that counts beyond it. A [shard](crate::Tracker::shard) tells it instead of counting it itself.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// The packet that shows it, as in [`Sighting::number`](crate::Sighting::number): the census takes events in this order.
    pub packet: u64,
    pub(crate) time_ns: i64,
    /// Keyed hashes of the sender's address and of the receiver's socket.
    pub(crate) source: u64,
    pub(crate) destination: u64,
    pub(crate) kind: EventKind,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum EventKind {
    /// A flow begins, whose first packet it is.
    Begins {
        /// Where its tracker keeps it.
        place: u32,
        /// With a SYN: an attempt to open.
        opens: bool,
        /// With flags that only ask whether there is something.
        probes: bool,
        /// Whether its sender is the second of its key's sockets.
        reversed: bool,
    },
    /// A handshake is complete: its attempt was neither flood nor scan.
    Opened,
}

/// What the census says about a flow that began.
#[derive(Clone, Copy, Debug)]
pub struct CensusEntry {
    /// The number of its first packet.
    pub flow: u64,
    /// Which it is of all flows, counted from 1.
    pub ordinal: u64,
    /// Whether it is part of a flood or a scan.
    pub notes: Notes,
    pub(crate) place: u32,
    pub(crate) reversed: bool,
}

/// Counts all flows, and attempts to open by who makes them and whom they are for.
#[derive(Debug)]
pub struct Census {
    floods: Sketch,
    scans: Sketch,
    flood_threshold: u32,
    scan_threshold: u32,
    flows: u64,
}

impl Census {
    /// Nothing counted yet.
    pub fn new(settings: &Settings) -> Self {
        Self {
            floods: Sketch::new(),
            scans: Sketch::new(),
            flood_threshold: settings.flood_threshold,
            scan_threshold: settings.scan_threshold,
            flows: 0,
        }
    }

    /// Takes in an event; those of several trackers in the order of their packets. Says something where a flow begins.
    pub fn count(&mut self, event: &Event) -> Option<CensusEntry> {
        let EventKind::Begins { place, opens, probes, reversed } = event.kind else {
            self.floods.remove(event.destination);
            self.scans.remove(event.source);
            return None;
        };
        let mut notes = Notes::NONE;
        if opens && self.floods.add(event.destination, event.time_ns) > self.flood_threshold {
            notes.insert(Note::SynFlood);
        }
        if (opens || probes) && self.scans.add(event.source, event.time_ns) > self.scan_threshold {
            notes.insert(Note::Scan);
        }
        self.flows += 1;
        Some(CensusEntry { flow: event.packet, ordinal: self.flows, notes, place, reversed })
    }

    pub(crate) fn memory(&self) -> usize {
        self.floods.memory() + self.scans.memory()
    }
}

impl Event {
    pub(crate) fn of(sighting: &crate::Sighting<'_>, secret: &Secret, kind: EventKind) -> Self {
        Self {
            packet: sighting.number,
            time_ns: sighting.time_ns,
            source: secret.hash(sighting.source, 0),
            destination: secret.hash(sighting.destination, sighting.segment.destination_port),
            kind,
        }
    }
}

impl CensusEntry {
    /// Puts what is said into a flow that was told before that was known.
    pub fn amend(&self, flow: &mut Flow) {
        flow.ordinal = self.ordinal;
        let (client, server) = (flow.client.socket, flow.server.socket);
        let (_, client_is_second) = Sockets::of(client.ip(), server.ip(), (client.port(), server.port()));
        let side = if self.reversed == client_is_second { Side::Client } else { Side::Server };
        for kind in self.notes.iter() {
            flow.anomalies.push(Anomaly { kind, side, count: 1, first_packet: self.flow });
        }
        flow.sort_anomalies();
    }
}
