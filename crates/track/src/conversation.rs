//! A flow while it is tracked.

use eleven_tcp::{Flags, FlagsClass, State};

use crate::half::{At, Half, Marks, Stray};
use crate::key::Key;
use crate::machine::{self, Arrival, Context};
use crate::note::{Note, Notes};
use crate::numbers;
use crate::path::Origin;
use crate::rtt::Samples;
use crate::seen::Seen;
use crate::zeek::Zeek;
use crate::{Settings, Side, Sighting, Verdict, wireshark};

/// Something that is not known yet.
pub(crate) const UNKNOWN: u32 = u32::MAX;

/// One flow.
#[derive(Clone, Debug)]
pub(crate) struct Conversation {
    /// Client and server.
    pub(crate) halves: [Half; 2],
    pub(crate) last_time: i64,
    pub(crate) origin: Origin,
    /// Its place among the flows that the tracker saw begin, counted from 1.
    pub(crate) ordinal: u64,
    pub(crate) key: Key,
    pub(crate) path: u64,
    /// Round trips of client's and server's text, from here to the other side and back.
    pub(crate) round_trips: [Samples; 2],
    #[allow(clippy::box_collection)] // One word instead of three: most flows have none.
    pub(crate) anomalies: Option<Box<Vec<Anomaly>>>,
    pub(crate) zeek: Zeek,
    pub(crate) wireshark: wireshark::Completeness,
    /// Whether the client is the second socket of the key.
    pub(crate) reversed: bool,
    pub(crate) direction_known: bool,
    /// Who sent the first FIN or RST.
    pub(crate) closed_by: Option<Side>,
    pub(crate) closed_by_reset: bool,
    /// Whether it counts as finished.
    pub(crate) finished: bool,
    /// Microseconds from the first SYN to the ACK that ends the handshake.
    pub(crate) handshake_us: u32,
    /// Microseconds from the first packet to the first FIN or RST.
    pub(crate) close_us: u32,
}

/// What went wrong on one side, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anomaly {
    /// What.
    pub kind: Note,
    /// Who sent the segments that show it.
    pub side: Side,
    /// How many of them.
    pub count: u32,
    /// The first.
    pub first_packet: u64,
}

fn is_server_port(port: u16) -> bool {
    port < 1_024
}

/// Whether the sender of a segment that belongs to no known flow is the client, and whether that is sure.
fn sender_is_client(sighting: &Sighting<'_>) -> (bool, bool) {
    let segment = sighting.segment;
    if segment.flags.contains(Flags::SYN) {
        return (!segment.flags.contains(Flags::ACK), true);
    }
    let (source, destination) = (segment.source_port, segment.destination_port);
    let client = match (is_server_port(source), is_server_port(destination)) {
        (true, false) => false,
        (false, true) => true,
        _ => source >= destination,
    };
    (client, false)
}

impl Conversation {
    pub(crate) fn new(
        sighting: &Sighting<'_>,
        key: Key,
        reversed: bool,
        ordinal: u64,
        settings: &Settings,
    ) -> Self {
        let (client, direction_known) = sender_is_client(sighting);
        Self {
            halves: [Half::default(), Half::default()],
            last_time: sighting.time_ns,
            origin: Origin { packet: sighting.number, time_ns: sighting.time_ns },
            ordinal,
            key,
            path: sighting.path,
            round_trips: [Samples::default(), Samples::default()],
            anomalies: None,
            zeek: if settings.zeek { Zeek::begin(sighting, reversed) } else { Zeek::Off },
            wireshark: wireshark::Completeness::default(),
            reversed: reversed == client,
            direction_known,
            closed_by: None,
            closed_by_reset: false,
            finished: false,
            handshake_us: UNKNOWN,
            close_us: UNKNOWN,
        }
    }

    /// Who sent what goes this way.
    #[inline]
    pub(crate) const fn side(&self, reversed: bool) -> Side {
        if reversed == self.reversed { Side::Client } else { Side::Server }
    }

    /// Whether 2·MSL have passed since a side entered TIME_WAIT.
    pub(crate) fn time_wait_over(&self, side: Side, now_ns: i64, settings: &Settings) -> bool {
        let half = &self.halves[side.index()];
        if half.state() != State::TimeWait {
            return false;
        }
        let lasts = i64::try_from(settings.time_wait.as_nanos()).unwrap_or(i64::MAX);
        now_ns.saturating_sub(self.last_time) >= lasts
    }

    /// Neither side has anything left of it.
    pub(crate) fn is_over(&self) -> bool {
        let gone = |half: &Half| matches!(half.state(), State::Closed | State::TimeWait | State::Listen);
        self.halves.iter().all(gone) && self.halves.iter().any(|half| half.path.len() > 0)
    }

    /// Whether a segment begins another connection between the same sockets.
    #[inline]
    pub(crate) fn is_succeeded_by(&self, sighting: &Sighting<'_>, reversed: bool) -> bool {
        let flags = sighting.segment.flags;
        flags.contains(Flags::SYN)
            && !flags.contains(Flags::RST)
            && self.is_succeeded_by_syn(sighting, reversed)
    }

    #[cold]
    fn is_succeeded_by_syn(&self, sighting: &Sighting<'_>, reversed: bool) -> bool {
        let segment = sighting.segment;
        let side = self.side(reversed);
        let (mine, theirs) = (&self.halves[side.index()], &self.halves[side.other().index()]);
        if mine.is(Marks::NUMBERED) && segment.seq == mine.isn {
            return false;
        }
        if self.is_over() {
            return true;
        }
        if segment.flags.contains(Flags::ACK) {
            // The answer to a SYN that was not captured.
            return mine.is(Marks::SYN) && mine.state() == State::Closed;
        }
        if !mine.is(Marks::NUMBERED) {
            // The answer to the other's SYN: a simultaneous open or a split handshake.
            return false;
        }
        if mine.state() == State::Closed || mine.state() == State::SynSent {
            return true;
        }
        let low =
            if theirs.is(Marks::ACKS) { theirs.last_ack.earlier(mine.contiguous) } else { mine.contiguous };
        let room = u32::try_from(mine.edge.distance(low)).unwrap_or(0).max(theirs.max_window);
        !segment.seq.in_window(low, room.max(1))
    }

    /// The direction was a guess, and a SYN tells it.
    #[cold]
    fn learn_direction(&mut self, from: Side, flags: Flags) -> Side {
        self.direction_known = true;
        let client = !flags.contains(Flags::ACK);
        if (from == Side::Client) == client {
            return from;
        }
        self.halves.swap(0, 1);
        self.round_trips.swap(0, 1);
        self.reversed = !self.reversed;
        self.closed_by = self.closed_by.map(Side::other);
        for anomaly in self.anomalies.iter_mut().flat_map(|list| list.iter_mut()) {
            anomaly.side = anomaly.side.other();
        }
        from.other()
    }

    /// Takes in a segment, of which something may be noted already.
    #[inline]
    pub(crate) fn observe(
        &mut self,
        sighting: &Sighting<'_>,
        reversed: bool,
        settings: &Settings,
        mut notes: Notes,
    ) -> Verdict {
        let seen = Seen::of(sighting, self.origin.time_ns);
        let mut from = self.side(reversed);
        let drops = settings.checksums == crate::Checksums::Drop;
        self.zeek.observe(sighting, &seen, reversed, from == Side::Client, &self.halves, drops);
        self.wireshark.observe(seen.flags, seen.text);
        self.last_time = self.last_time.max(seen.time_ns);
        if sighting.checksum_bad && settings.checksums != crate::Checksums::Ignore {
            notes.insert(Note::BadChecksum);
            if settings.checksums == crate::Checksums::Drop {
                return self.left_out(&seen, from, notes);
            }
        }
        if seen.malformed {
            notes.insert(Note::MalformedOptions);
        }
        if seen.has(Flags::SYN) && !self.direction_known && !seen.flags.intersects(Flags::RST | Flags::FIN) {
            from = self.learn_direction(from, seen.flags);
        }
        let at = At { origin: self.origin, packet: seen.number, time_ns: seen.time_ns };
        let before = [self.halves[0].state(), self.halves[1].state()];
        let (client, server) = self.halves.split_at_mut(1);
        let (mine, theirs) = match from {
            Side::Client => (&mut client[0], &mut server[0]),
            Side::Server => (&mut server[0], &mut client[0]),
        };
        mine.packets = mine.packets.saturating_add(1);
        mine.bytes += u64::from(seen.text);
        let late = mine.is(Marks::TIMESTAMPS) && is_late(mine, &seen);
        if late {
            notes.insert(Note::OldTimestamp);
        }
        let odd = odd_flags(&seen, mine, theirs, &mut notes);
        let mut sender_rule = None;
        let mut receiver_rule = None;
        let mut round_trip = None;
        if !odd {
            if theirs.rare.is_some() && seen.is_synchronized() {
                numbers::resynchronise(theirs, mine, &seen, at, &mut notes);
            }
            let arrival = Arrival {
                expected: mine.contiguous,
                acceptable: machine::is_acceptable(theirs, mine, &seen),
                ack_acceptable: numbers::is_ack_acceptable(mine, theirs, &seen),
                fin_repeated: mine.is(Marks::FIN),
            };
            let stray = seen.len() > 0 && !arrival.acceptable && numbers::is_stray(mine, theirs, &seen);
            let context = Context { at, late, stray, round_trips: &self.round_trips };
            sender_rule = machine::emit(mine, theirs, &seen, &context, &mut notes);
            round_trip = put_down(mine, theirs, &seen, &context, arrival, &mut notes);
            receiver_rule = machine::receive(theirs, mine, &seen, arrival, at);
            for half in [&mut *mine, &mut *theirs] {
                if half.is(Marks::TAKEN_BACK) {
                    half.marks.clear(Marks::TAKEN_BACK);
                    notes.insert(Note::TakenBack);
                }
            }
            if seen.has(Flags::RST) {
                note_reset(mine, theirs, &seen, arrival, before[from.other().index()], &mut notes);
            }
        }
        if seen.has(Flags::ACK) {
            mine.raw_ack = seen.ack;
        }
        numbers::put_down_header(mine, &seen, late, &mut notes);
        let duplicate_acks = mine.duplicate_acks;
        let (mine_isn, theirs_isn) = (mine.isn, theirs.isn);
        if let Some(nanoseconds) = round_trip {
            // It timed the text of the other side.
            self.round_trips[from.other().index()].add(nanoseconds);
        }
        self.mark_times(&seen, from);
        let anomalous = !notes.is_empty();
        if anomalous {
            self.count(notes, from, seen.number);
        }
        let halves = &self.halves;
        Verdict {
            flow: self.origin.packet,
            ordinal: self.ordinal,
            is_first: seen.number == self.origin.packet,
            from,
            seq: seen.seq.offset_from(mine_isn),
            ack: seen.has(Flags::ACK).then(|| seen.ack.offset_from(theirs_isn)),
            length: seen.text,
            before,
            after: [halves[0].state(), halves[1].state()],
            provenances: [halves[0].provenance(), halves[1].provenance()],
            sender_rule,
            receiver_rule,
            notes,
            duplicate_acks: if notes.contains(Note::DuplicateAck) { duplicate_acks } else { 0 },
        }
    }

    /// A segment that is only counted.
    #[cold]
    fn left_out(&mut self, seen: &Seen<'_>, from: Side, notes: Notes) -> Verdict {
        self.count(notes, from, seen.number);
        let halves = &self.halves;
        let states = [halves[0].state(), halves[1].state()];
        let (mine, theirs) = (&halves[from.index()], &halves[from.other().index()]);
        Verdict {
            flow: self.origin.packet,
            ordinal: self.ordinal,
            is_first: seen.number == self.origin.packet,
            from,
            seq: seen.seq.offset_from(mine.isn),
            ack: seen.has(Flags::ACK).then(|| seen.ack.offset_from(theirs.isn)),
            length: seen.text,
            before: states,
            after: states,
            provenances: [halves[0].provenance(), halves[1].provenance()],
            sender_rule: None,
            receiver_rule: None,
            notes,
            duplicate_acks: 0,
        }
    }

    #[inline]
    fn mark_times(&mut self, seen: &Seen<'_>, from: Side) {
        if from == Side::Client && self.handshake_us == UNKNOWN && seen.is_pure_or_text() {
            let [client, server] = &self.halves;
            if client.is(Marks::ACTIVE) && server.is(Marks::SYN) && seen.ack.gt(server.isn) {
                self.handshake_us = seen.clock.min(UNKNOWN - 1);
            }
        }
        if seen.text > 0 {
            let half = &mut self.halves[from.index()];
            if half.first_text_us == UNKNOWN {
                half.first_text_us = seen.clock.min(UNKNOWN - 1);
            }
        }
        if self.closed_by.is_none() && seen.flags.intersects(Flags::FIN | Flags::RST) {
            self.closed_by = Some(from);
            self.closed_by_reset = seen.has(Flags::RST);
            self.close_us = seen.clock.min(UNKNOWN - 1);
        }
    }

    /// Adds the notes that are anomalies to the list.
    #[cold]
    pub(crate) fn count(&mut self, notes: Notes, side: Side, packet: u64) {
        for kind in notes.iter().filter(|note| note.is_anomaly()) {
            let list = self.anomalies.get_or_insert_default();
            match list.iter_mut().find(|known| known.kind == kind && known.side == side) {
                Some(known) => known.count = known.count.saturating_add(1),
                None => list.push(Anomaly { kind, side, count: 1, first_packet: packet }),
            }
        }
    }

    /// Bytes it takes, with what it holds elsewhere.
    pub(crate) fn memory(&self) -> usize {
        let key = if matches!(self.key, Key::V6(_)) { size_of::<crate::key::Wide>() } else { 0 };
        size_of::<Self>()
            + key
            + self.halves.iter().map(Half::heap).sum::<usize>()
            + self.round_trips.iter().map(Samples::heap).sum::<usize>()
            + self.anomalies.as_ref().map_or(0, |list| 24 + list.capacity() * size_of::<Anomaly>())
            + self.zeek.heap()
    }
}

fn is_late(mine: &Half, seen: &Seen<'_>) -> bool {
    let newest = eleven_tcp::SeqNumber(mine.timestamp);
    seen.timestamps.is_some_and(|timestamps| eleven_tcp::SeqNumber(timestamps.value).lt(newest))
}

/// Combinations of flags that no TCP sends: they are told, and change nothing. Tells whether it is one.
#[inline]
fn odd_flags(seen: &Seen<'_>, mine: &Half, theirs: &Half, notes: &mut Notes) -> bool {
    const ORDINARY: Flags = Flags::ACK.union(Flags::PSH);
    if seen.flags.difference(ORDINARY).is_empty() && seen.has(Flags::ACK) {
        return false;
    }
    odd_flags_slowly(seen, mine, theirs, notes)
}

#[cold]
fn odd_flags_slowly(seen: &Seen<'_>, mine: &Half, theirs: &Half, notes: &mut Notes) -> bool {
    let legality = seen.flags.legality();
    let unknown = mine.path.len() == 0 && theirs.path.len() == 0;
    match legality.class {
        FlagsClass::SynFin => notes.insert(Note::SynFin),
        FlagsClass::SynRst => notes.insert(Note::SynRst),
        FlagsClass::RstFin => notes.insert(Note::RstFin),
        FlagsClass::Null if unknown => notes.insert(Note::NullScan),
        FlagsClass::Xmas if unknown => notes.insert(Note::XmasScan),
        FlagsClass::FinWithoutAck if unknown => notes.insert(Note::FinScan),
        FlagsClass::Null | FlagsClass::Xmas | FlagsClass::FinWithoutAck | FlagsClass::NoAck => {
            notes.insert(Note::IllegalFlags);
        }
        _ => return false,
    }
    true
}

/// The numbers of a segment.
#[inline]
fn put_down(
    mine: &mut Half,
    theirs: &mut Half,
    seen: &Seen<'_>,
    context: &Context<'_>,
    arrival: Arrival,
    notes: &mut Notes,
) -> numbers::RoundTrip {
    if seen.has(Flags::RST) {
        return None;
    }
    if seen.has(Flags::SYN) {
        if mine.state().is_synchronized() && mine.is(Marks::SYN) && seen.seq != mine.isn {
            notes.insert(Note::SynInConnection);
            theirs.marks.set(Marks::QUESTION);
            return None;
        }
        numbers::put_down_syn(mine, theirs, seen, notes);
    } else {
        if !mine.is(Marks::NUMBERED) {
            begin_midstream(mine, seen);
        }
        let probe = numbers::note_probe(mine, theirs, seen, notes);
        if seen.len() > 0 && !probe {
            if context.stray {
                notes.insert(Note::OutOfWindow);
                let fin = seen.has(Flags::FIN);
                mine.note_stray(Stray { start: seen.seq, end: seen.end(), fin });
            } else {
                numbers::put_down_text(mine, theirs, seen, context, notes);
            }
        } else if seen.seq.gt(mine.next) && arrival.acceptable {
            numbers::put_down_unseen(mine, seen, notes);
        }
    }
    if !seen.has(Flags::ACK) {
        return None;
    }
    let round_trip = numbers::put_down_ack(mine, theirs, seen, arrival, notes);
    // Timestamps alone have no blocks, and nothing shorter has.
    if seen.options.len() >= 10 && !seen.has_only_timestamps() {
        numbers::put_down_sack(theirs, seen, notes);
    }
    round_trip
}

/// The base is where it was seen first.
#[cold]
fn begin_midstream(mine: &mut Half, seen: &Seen<'_>) {
    mine.isn = seen.seq - 1;
    mine.next = seen.seq;
    mine.contiguous = seen.seq;
    mine.acked = seen.seq;
    mine.marks.set(Marks::NUMBERED);
    // A FIN may lie before it; text shows that none does.
    mine.marks.set(Marks::UNSEEN_TAIL);
}

/// What a reset is.
#[cold]
fn note_reset(
    mine: &Half,
    theirs: &mut Half,
    seen: &Seen<'_>,
    arrival: Arrival,
    before: State,
    notes: &mut Notes,
) {
    match before {
        State::SynSent => {
            if theirs.state() == State::Closed {
                notes.insert(Note::RstExact);
                notes.insert(Note::Refused);
            } else {
                notes.insert(Note::RstOutOfWindow);
            }
        }
        State::Closed if theirs.path.len() == 0 => {}
        State::Closed | State::TimeWait | State::Listen => notes.insert(Note::RstAfterClose),
        _ if theirs.state() == State::Closed || theirs.state() == State::Listen => {
            notes.insert(Note::RstExact)
        }
        _ if arrival.acceptable => {
            notes.insert(Note::RstInWindow);
            theirs.marks.set(Marks::QUESTION);
        }
        _ => notes.insert(Note::RstOutOfWindow),
    }
    // A reset without ACK answers: its sender knows nothing of an open connection it was heard in.
    if !seen.has(Flags::ACK)
        && mine.is(Marks::SYN)
        && before == State::Established
        && mine.is(Marks::ACKS)
        && theirs.is(Marks::ACKS)
        && seen.seq == theirs.last_ack
        && !mine.is(Marks::FIN)
    {
        notes.insert(Note::HalfOpen);
    }
}
