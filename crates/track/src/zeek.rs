//! What Zeek would write about a flow, as an observer beside our own states.
//!
//! It sees what Zeek sees, in Zeek's terms (originator and responder, six states a side), and makes `conn_state` and
//! `history` by Zeek's meaning of them. Flows begin and end as the tracker says; Zeek's timers are not imitated.
//!
//! As long as a flow is ordinary ([`Zeek::Plain`]), its numbers are those the tracker keeps anyway, and the observer is
//! only the letters. With the first segment that is not, it gets numbers of its own ([`Zeek::Full`]).

use eleven_tcp::{Flags, SeqNumber};

use crate::Sighting;
use crate::half::{Half, Marks};
use crate::machine;
use crate::seen::Seen;

/// Ports of TCP that Zeek's protocol analyzers register, from which it guesses who is the server.
const SERVER_PORTS: [u16; 49] = [
    21, 22, 25, 53, 79, 80, 81, 88, 135, 139, 143, 389, 443, 445, 465, 502, 514, 563, 585, 587, 614, 631,
    636, 989, 990, 992, 993, 995, 1080, 1434, 1883, 2811, 3128, 3268, 3306, 3389, 5222, 5223, 5269, 5432,
    6379, 6666, 6667, 6668, 6669, 8000, 8080, 8888, 20000,
];

/// A distance too large to be believed of SYN and RST.
const FAR: i32 = 1_048_576;
/// So much text without any acknowledgment, behind a gap, and Zeek stops looking at it.
const MOST_WITHOUT_ACKS: u64 = 16_384;
/// So many stretches behind gaps are remembered.
const MOST_BLOCKS: usize = 64;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ZeekState {
    #[default]
    Inactive,
    SynSent,
    SynAckSent,
    Partial,
    Established,
    Closed,
    Reset,
}

use ZeekState as Z;

/// Something that is written down at the first time, the tenth, the hundredth.
#[derive(Clone, Copy, Debug, Default)]
struct Scaled {
    count: u32,
    written: u8,
}

impl Scaled {
    /// Counts one; tells whether it is to be written down.
    fn add(&mut self) -> bool {
        self.count = self.count.saturating_add(1);
        let due = 10_u32.checked_pow(u32::from(self.written)) == Some(self.count);
        self.written += u8::from(due);
        due
    }
}

#[derive(Clone, Debug, Default)]
struct Endpoint {
    state: ZeekState,
    before: ZeekState,
    start: u32,
    last: u32,
    acked: u32,
    last_wraps: u16,
    acked_wraps: u16,
    scale: u8,
    has_fin: bool,
    /// It looked no more at its text.
    gave_up: bool,
    fin: u64,
    last_syn: u64,
    last_fin: u64,
    last_rst: u64,
    /// Up to here text was delivered, or given up.
    delivered: u64,
    trimmed: u64,
    blocks: Vec<(u64, u64)>,
    checksums: Scaled,
    retransmissions: Scaled,
    zero_windows: Scaled,
    gaps: Scaled,
}

impl Endpoint {
    fn set(&mut self, state: ZeekState) {
        if state != self.state {
            self.before = self.state;
            self.state = state;
        }
    }

    fn full(number: u32, wraps: u16) -> i64 {
        i64::from(wraps) << 32 | i64::from(number)
    }

    /// A number counted from the start, given the last one near it; and whether it lies before the start.
    fn relative(&self, number: u32, last: u32, wraps: u16) -> (u64, bool) {
        let distance = SeqNumber(number).distance(SeqNumber(last));
        let wraps = if distance < 0 && wraps > 0 && number > last {
            wraps - 1
        } else if distance > 0 && number < last {
            wraps.saturating_add(1)
        } else {
            wraps
        };
        if wraps == 0 {
            let distance = SeqNumber(number).distance(SeqNumber(self.start));
            return (i64::from(distance).cast_unsigned(), distance < 0);
        }
        ((Self::full(number, wraps) - i64::from(self.start)).cast_unsigned(), false)
    }

    fn advance_last(&mut self, number: u32) {
        self.last_wraps = self.last_wraps.saturating_add(u16::from(number < self.last));
        self.last = number;
    }

    fn advance_acked(&mut self, number: u32) {
        self.acked_wraps = self.acked_wraps.saturating_add(u16::from(number < self.acked));
        self.acked = number;
    }

    fn nothing_acked(&self) -> bool {
        self.acked == self.start || self.acked == self.start.wrapping_add(1)
    }

    fn begin(&mut self, start: u32, last: u32) {
        self.start = start;
        self.acked = start;
        self.last = last;
    }

    /// Bytes of text, as Zeek reckons them from the numbers.
    fn size(&self, peer: &Self) -> u64 {
        let half_open = self.before == Z::SynSent && self.state == Z::Reset && peer.state == Z::Inactive;
        if half_open && !self.nothing_acked() {
            return 0;
        }
        let last = Self::full(self.last, self.last_wraps).max(Self::full(self.acked, self.acked_wraps));
        let mut size = (last - i64::from(self.start)).cast_unsigned();
        size = size.saturating_sub(1);
        if self.has_fin { size.saturating_sub(1) } else { size }
    }

    fn is_clean(&self) -> bool {
        self.state == Z::Established || (self.state == Z::Closed && self.before == Z::Established)
    }

    /// Moves on over blocks that lie ready.
    fn deliver(&mut self) {
        for (low, high) in &self.blocks {
            if *low > self.delivered {
                break;
            }
            self.delivered = self.delivered.max(*high);
        }
    }

    fn insert(&mut self, low: u64, high: u64) {
        let (mut low, mut high) = (low, high);
        self.blocks.retain(|(from, to)| {
            let apart = *from > high || *to < low;
            if !apart {
                low = low.min(*from);
                high = high.max(*to);
            }
            apart
        });
        if self.blocks.len() < MOST_BLOCKS {
            let place = self.blocks.iter().position(|(from, _)| *from > low).unwrap_or(self.blocks.len());
            self.blocks.insert(place, (low, high));
        }
        self.deliver();
    }

    /// Text up to here is acknowledged: what has not been seen will not be. Tells how many gaps there are.
    fn give_up_to(&mut self, number: u64, is_partial: bool) -> u32 {
        let number = if self.has_fin && number >= self.fin { self.fin.saturating_sub(1) } else { number };
        if number <= self.trimmed {
            return 0;
        }
        let mut gaps = 0;
        if number > self.delivered && !(number <= 2 && is_partial) {
            if !self.gave_up {
                while let Some((low, _)) =
                    self.blocks.iter().copied().find(|(low, _)| *low >= self.delivered && *low < number)
                {
                    gaps += u32::from(low > self.delivered);
                    self.delivered = low;
                    self.deliver();
                }
                gaps += u32::from(number > self.delivered);
            }
            self.delivered = self.delivered.max(number);
        }
        self.blocks.retain(|(_, high)| *high > number);
        self.deliver();
        self.trimmed = number;
        gaps
    }
}

/// Letters that are written only once a side.
mod once {
    pub(super) const SYN: u16 = 1;
    pub(super) const FIN: u16 = 2;
    pub(super) const RST: u16 = 4;
    pub(super) const FIN_RST: u16 = 8;
    pub(super) const DATA: u16 = 16;
    pub(super) const ACK: u16 = 32;
    pub(super) const MULTI: u16 = 64;
}

/// The observer of a flow.
#[derive(Clone, Debug)]
pub(crate) enum Zeek {
    /// Nobody asks.
    Off,
    /// A flow that began with a SYN, in which every segment so far was the next in order.
    Plain(Plain),
    /// Any other.
    Full(Box<Observer>),
}

/// The letters of an ordinary flow: each at most once, SYN, SYN+ACK, and then ACK, text and FIN of both sides.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plain {
    letters: [u8; 8],
    length: u8,
    written: [u8; 2],
    /// The states of originator and responder.
    states: [ZeekState; 2],
    befores: [ZeekState; 2],
}

impl Plain {
    fn once(&mut self, who: usize, bit: u16, letter: u8) {
        if u16::from(self.written[who]) & bit == 0 {
            self.written[who] |= bit as u8;
            if let Some(place) = self.letters.get_mut(usize::from(self.length)) {
                *place = if who == 0 { letter } else { letter.to_ascii_lowercase() };
                self.length += 1;
            }
        }
    }

    fn set(&mut self, who: usize, state: ZeekState) {
        if self.states[who] != state {
            self.befores[who] = self.states[who];
            self.states[who] = state;
        }
    }

    /// Takes in a segment if it leaves the flow an ordinary one. `mine` and `theirs` are as before it.
    #[inline]
    fn observe(
        &mut self,
        sighting: &Sighting<'_>,
        seen: &Seen<'_>,
        who: usize,
        mine: &Half,
        theirs: &Half,
    ) -> bool {
        let segment = sighting.segment;
        let flags = segment.flags;
        let text = sighting.text_length;
        if flags.contains(Flags::SYN) {
            return self.observe_syn(sighting, who, mine, theirs);
        }
        let other = 1 - who;
        let (ack, fin) = (flags.contains(Flags::ACK), flags.contains(Flags::FIN));
        let ordinary = ack
            && !flags.contains(Flags::RST)
            && segment.window != 0
            && segment.seq == mine.next
            && mine.contiguous == mine.next
            && theirs.contiguous == theirs.next
            && mine.is(Marks::SYN)
            && theirs.is(Marks::SYN)
            && segment.ack.ge(theirs.acked)
            && segment.ack.le(theirs.next)
            && (!mine.is(Marks::FIN) || (text == 0 && !fin))
            && self.states[who] != Z::Inactive
            && self.states[other] != Z::Inactive
            && mine.unique_bytes < 1 << 30
            && text < 1 << 20
            && (segment.text.is_empty() || segment.text.len() as u64 >= u64::from(text))
            && machine::is_acceptable(theirs, mine, seen)
            && (segment.ack != theirs.acked || theirs.acked != theirs.isn);
        if !ordinary {
            return false;
        }
        if fin {
            self.once(who, once::FIN, b'F');
            self.set(who, Z::Closed);
        } else if text > 0 {
            self.once(who, once::DATA, b'D');
        } else {
            self.once(who, once::ACK, b'A');
        }
        true
    }

    #[cold]
    fn observe_syn(&mut self, sighting: &Sighting<'_>, who: usize, mine: &Half, theirs: &Half) -> bool {
        let segment = sighting.segment;
        let ack = segment.flags.contains(Flags::ACK);
        let plain = !segment.flags.intersects(Flags::FIN | Flags::RST)
            && sighting.text_length == 0
            && segment.window != 0
            && !mine.is(Marks::NUMBERED)
            && self.states[who] == Z::Inactive;
        if !plain {
            return false;
        }
        if who == 0 && !ack && self.length == 0 {
            self.once(0, once::SYN, b'S');
            self.set(0, Z::SynSent);
            return true;
        }
        if who == 1
            && ack
            && theirs.is(Marks::SYN)
            && segment.ack == theirs.isn + 1
            && theirs.next == segment.ack
        {
            self.once(1, once::SYN, b'H');
            self.set(0, Z::Established);
            self.set(1, Z::Established);
            return true;
        }
        false
    }

    /// What Zeek's numbers are by now: they are those of the two halves, before the segment that is not ordinary.
    fn unfold(&self, originator: usize, halves: [&Half; 2]) -> Observer {
        let mut observer = Observer::empty(originator);
        observer.history.extend_from_slice(&self.letters[..usize::from(self.length)]);
        observer.written = self.written.map(u16::from);
        for (who, half) in halves.into_iter().enumerate() {
            let end = &mut observer.ends[if who == 0 { originator } else { 1 - originator }];
            end.state = self.states[who];
            end.before = self.befores[who];
            if end.state == Z::Inactive {
                continue;
            }
            observer.seen[if who == 0 { originator } else { 1 - originator }] = true;
            end.start = half.isn.0;
            end.last = half.next.0;
            end.acked = half.acked.0;
            // Zeek begins behind the SYN, and counts from there how often the numbers start anew.
            end.last_wraps = u16::from(end.last < end.start.wrapping_add(1));
            end.acked_wraps = u16::from(end.acked < end.start);
            end.scale = half.scale;
            end.has_fin = half.is(Marks::FIN);
            let fin = u64::from(end.has_fin);
            end.delivered = u64::from(half.contiguous.offset_from(half.isn)) - fin;
            end.fin = u64::from(half.fin_end.offset_from(half.isn)) * fin;
            end.last_fin = end.fin.saturating_sub(1);
            let acked = u64::from(half.acked.offset_from(half.isn));
            end.trimmed = acked.min(end.delivered).max(1);
        }
        observer
    }
}

impl Zeek {
    /// The observer of a flow that begins with this segment.
    pub(crate) fn begin(sighting: &Sighting<'_>, reversed: bool) -> Self {
        let syn_or_ack = sighting.segment.flags.intersection(Flags::SYN | Flags::ACK);
        if syn_or_ack == Flags::SYN && !sighting.checksum_bad {
            Self::Plain(Plain::default())
        } else {
            Self::Full(Box::new(Observer::new(sighting, reversed)))
        }
    }

    /// Takes in a segment. The halves are those of client and server as before it; `client` tells whether the client
    /// sent it, `reversed` which way it goes.
    #[inline]
    pub(crate) fn observe(
        &mut self,
        sighting: &Sighting<'_>,
        seen: &Seen<'_>,
        reversed: bool,
        client: bool,
        halves: &[Half; 2],
        drops: bool,
    ) {
        match self {
            Self::Off => {}
            Self::Full(observer) => observer.observe(sighting, reversed, drops),
            Self::Plain(plain) => {
                let who = usize::from(!client);
                if (!sighting.checksum_bad || !drops)
                    && plain.observe(sighting, seen, who, &halves[who], &halves[1 - who])
                {
                    return;
                }
                // The originator is the client: it sent the SYN the flow began with.
                let originator = usize::from(reversed == client);
                let mut observer = plain.unfold(originator, [&halves[0], &halves[1]]);
                observer.observe(sighting, reversed, drops);
                *self = Self::Full(Box::new(observer));
            }
        }
    }

    /// What Zeek would write: `conn_state`, `history`, and whether the originator is the second socket of the key, where
    /// the client is the second if `reversed`.
    pub(crate) fn tell(&self, reversed: bool) -> Option<(&'static str, String, bool)> {
        match self {
            Self::Off => None,
            Self::Full(observer) => {
                Some((observer.conn_state(), observer.history(), observer.originator_is_second()))
            }
            Self::Plain(plain) => {
                let originator = usize::from(reversed);
                let zero = Half::default();
                let observer = plain.unfold(originator, [&zero, &zero]);
                Some((observer.conn_state(), observer.history(), observer.originator_is_second()))
            }
        }
    }

    /// Bytes it takes besides itself.
    pub(crate) fn heap(&self) -> usize {
        if let Self::Full(observer) = self { observer.memory() } else { 0 }
    }
}

/// A flow as Zeek sees it, with all its numbers.
#[derive(Clone, Debug)]
pub(crate) struct Observer {
    /// By direction: what goes as the key has it, and what goes the other way.
    ends: [Endpoint; 2],
    /// Which of them is the originator.
    originator: usize,
    written: [u16; 2],
    history: Vec<u8>,
    is_partial: bool,
    seen: [bool; 2],
}

/// A history does not grow without end.
const MOST_LETTERS: usize = 250;

fn is_server(port: u16) -> bool {
    SERVER_PORTS.contains(&port)
}

impl Observer {
    fn empty(originator: usize) -> Self {
        let end = || Endpoint { delivered: 1, trimmed: 1, ..Endpoint::default() };
        Self {
            ends: [end(), end()],
            originator,
            written: [0; 2],
            history: Vec::new(),
            is_partial: false,
            seen: [false; 2],
        }
    }

    pub(crate) fn new(sighting: &Sighting<'_>, reversed: bool) -> Self {
        let segment = sighting.segment;
        let mut observer = Self::empty(usize::from(reversed));
        let syn = segment.flags.contains(Flags::SYN);
        if !syn || segment.flags.contains(Flags::ACK) {
            let (source, destination) = (segment.source_port, segment.destination_port);
            let flips = is_server(source) && (!is_server(destination) || (!syn && source < destination));
            if flips {
                observer.flip();
            }
        }
        observer
    }

    fn flip(&mut self) {
        self.originator = 1 - self.originator;
        self.write(b'^');
        self.is_partial = false;
    }

    fn write(&mut self, letter: u8) {
        if self.history.len() < MOST_LETTERS {
            self.history.push(letter);
        }
    }

    fn letter(&self, end: usize, letter: u8) -> u8 {
        if end == self.originator { letter } else { letter.to_ascii_lowercase() }
    }

    fn write_for(&mut self, end: usize, letter: u8) {
        let letter = self.letter(end, letter);
        self.write(letter);
    }

    /// Writes a letter the first time; tells whether it was written before.
    fn once(&mut self, end: usize, bit: u16, letter: u8) -> bool {
        if matches!(letter, b'A' | b'D') && self.history == b"H" {
            // What began with a SYN+ACK and goes on is a connection, and the SYN+ACK came from its responder.
            self.flip();
            self.history.clear();
            self.history.extend_from_slice(b"^h");
            self.seen[self.originator] = true;
        }
        let who = usize::from(end != self.originator);
        if self.written[who] & bit != 0 {
            return true;
        }
        self.written[who] |= bit;
        self.write_for(end, letter);
        false
    }

    /// Takes in a segment that goes as the key has it, or the other way.
    pub(crate) fn observe(&mut self, sighting: &Sighting<'_>, reversed: bool, drops: bool) {
        let (one, other) = (usize::from(reversed), usize::from(!reversed));
        if sighting.checksum_bad && drops {
            if self.ends[one].checksums.add() {
                self.write_for(one, b'C');
            }
            return;
        }
        let segment = sighting.segment;
        let flags = segment.flags;
        let (syn, fin, rst, ack) = (
            flags.contains(Flags::SYN),
            flags.contains(Flags::FIN),
            flags.contains(Flags::RST),
            flags.contains(Flags::ACK),
        );
        let from_originator = one == self.originator;
        if from_originator && !self.seen[one] {
            self.is_partial = !syn || ack;
        } else if !from_originator && !self.seen[one] && !self.is_partial {
            self.is_partial = !syn;
        }
        let text = if rst { 0 } else { sighting.text_length };
        let length = text.wrapping_add(u32::from(syn)).wrapping_add(u32::from(fin));
        let (seq, end) = (segment.seq.0, segment.seq.0.wrapping_add(length));
        self.begin(one, flags, seq, end);
        let mine = &self.ends[one];
        let (relative, underflow) = mine.relative(seq, mine.last, mine.last_wraps);
        self.write_flags(one, flags, relative, sighting.text_length);
        self.look_at_window(one, other, segment.window, flags);
        if syn {
            self.scale(one, other, segment.options.window_scale(), ack);
        }
        if fin {
            self.ends[one].has_fin = true;
            self.ends[one].fin = relative.wrapping_add(u64::from(length));
        }
        let mut acknowledged = 0;
        if ack {
            acknowledged = self.acknowledge(other, segment.ack.0, rst);
        }
        let advance = self.advance(one, end, flags, sighting.text_length);
        self.change(one, other, flags, seq, sighting.text_length, from_originator, advance);
        if ack {
            let gaps = self.ends[other].give_up_to(acknowledged, self.is_partial);
            let clean = self.ends[one].is_clean() && self.ends[other].is_clean();
            for _ in 0..gaps {
                if clean && self.ends[other].gaps.add() {
                    self.write_for(other, b'G');
                }
            }
        }
        self.seen[one] = true;
        let captured =
            segment.text.len() as u64 >= u64::from(sighting.text_length) || segment.text.is_empty();
        if sighting.text_length > 0 && !rst && !underflow && captured {
            self.take_text(one, relative.wrapping_add(u64::from(syn)), u64::from(sighting.text_length));
        }
    }

    /// Where an endpoint's numbers begin.
    fn begin(&mut self, one: usize, flags: Flags, seq: u32, end: u32) {
        let syn = flags.contains(Flags::SYN);
        let mine = &mut self.ends[one];
        match mine.state {
            Z::Inactive | Z::Established | Z::Partial if syn => mine.begin(seq, end),
            Z::Inactive => mine.begin(seq.wrapping_sub(1), seq),
            Z::SynSent | Z::SynAckSent if syn && seq != mine.start => mine.begin(seq, end),
            Z::Reset if syn && mine.before == Z::Inactive => mine.begin(seq, end),
            _ => {}
        }
    }

    fn write_flags(&mut self, one: usize, flags: Flags, relative: u64, text: u32) {
        let (syn, fin, rst) =
            (flags.contains(Flags::SYN), flags.contains(Flags::FIN), flags.contains(Flags::RST));
        match u32::from(syn) + u32::from(fin) + u32::from(rst) {
            0 if text > 0 => {
                self.once(one, once::DATA, b'D');
            }
            0 if flags.contains(Flags::ACK) => {
                self.once(one, once::ACK, b'A');
            }
            0 => {}
            1 if syn => {
                let letter = if flags.contains(Flags::ACK) { b'H' } else { b'S' };
                if self.once(one, once::SYN, letter) && relative != self.ends[one].last_syn {
                    self.write_for(one, letter);
                }
                self.ends[one].last_syn = relative;
            }
            1 if fin => {
                let end = relative.wrapping_add(u64::from(text));
                if self.once(one, once::FIN, b'F') && end != self.ends[one].last_fin {
                    self.write_for(one, b'F');
                }
                self.ends[one].last_fin = end;
            }
            1 => {
                if self.once(one, once::RST, b'R') && relative != self.ends[one].last_rst {
                    self.write_for(one, b'R');
                }
                self.ends[one].last_rst = relative;
            }
            _ if fin && rst => {
                self.once(one, once::FIN_RST, b'I');
            }
            _ => {
                self.once(one, once::MULTI, b'Q');
            }
        }
    }

    fn look_at_window(&mut self, one: usize, other: usize, window: u16, flags: Flags) {
        let boring = flags.contains(Flags::RST)
            || self.ends[other].state == Z::Closed
            || self.ends[one].state == Z::Reset;
        if u32::from(window) << self.ends[one].scale == 0 && !boring && self.ends[one].zero_windows.add() {
            self.write_for(one, b'W');
        }
    }

    fn scale(&mut self, one: usize, other: usize, scale: Option<u8>, ack: bool) {
        match scale {
            Some(scale) => self.ends[one].scale = scale.min(14),
            None => {
                self.ends[one].scale = 0;
                if ack {
                    self.ends[other].scale = 0;
                }
            }
        }
    }

    /// An acknowledgment: counted from the other's start.
    fn acknowledge(&mut self, other: usize, ack: u32, rst: bool) -> u64 {
        let theirs = &mut self.ends[other];
        if theirs.state == Z::Inactive {
            theirs.begin(ack.wrapping_sub(1), ack.wrapping_sub(1));
            return 1;
        }
        let (relative, underflow) = theirs.relative(ack, theirs.acked, theirs.acked_wraps);
        if underflow {
            return 0;
        }
        let distance = SeqNumber(ack).distance(SeqNumber(theirs.acked));
        if !rst && distance > 0 && !(ack == 0 && distance > FAR) {
            theirs.advance_acked(ack);
        }
        relative
    }

    /// How far an endpoint has come; text that does not bring it further is sent again.
    fn advance(&mut self, one: usize, end: u32, flags: Flags, text: u32) -> i32 {
        let mine = &mut self.ends[one];
        let distance = SeqNumber(end).distance(SeqNumber(mine.last));
        if flags.intersects(Flags::SYN | Flags::RST) && distance.unsigned_abs() > FAR.unsigned_abs() {
            // Not to be believed.
        } else if flags.contains(Flags::FIN) && mine.last == mine.start.wrapping_add(1) {
            mine.advance_last(end);
        } else if mine.state == Z::Reset {
            // Nothing is believed any more.
        } else if distance > 0 {
            mine.advance_last(end);
        } else if text > 0 && mine.retransmissions.add() {
            self.write_for(one, b'T');
        }
        distance
    }

    #[allow(clippy::too_many_arguments)] // What Zeek's state machine looks at.
    fn change(
        &mut self,
        one: usize,
        other: usize,
        flags: Flags,
        seq: u32,
        text: u32,
        from_originator: bool,
        _advance: i32,
    ) {
        let (fin, rst) = (flags.contains(Flags::FIN), flags.contains(Flags::RST));
        match self.ends[one].state {
            Z::Inactive => self.change_inactive(one, other, flags, seq, text, from_originator),
            Z::SynSent | Z::SynAckSent => {
                if fin {
                    self.ends[one].set(Z::Closed);
                }
                if rst {
                    self.ends[one].set(Z::Reset);
                }
            }
            Z::Established | Z::Partial => {
                let syn_alone = flags.contains(Flags::SYN) && !flags.contains(Flags::ACK);
                if syn_alone && self.ends[one].state == Z::Partial && self.ends[other].state == Z::Inactive {
                    self.ends[one].set(Z::SynSent);
                }
                if fin && !rst {
                    self.ends[one].set(Z::Closed);
                    let peer = &mut self.ends[other];
                    if peer.state == Z::Reset && peer.before == Z::Closed {
                        peer.set(Z::Closed);
                    }
                }
                if rst {
                    self.ends[one].set(Z::Reset);
                }
            }
            Z::Closed => {
                if rst && self.ends[other].state != Z::Closed {
                    self.ends[one].set(Z::Reset);
                }
            }
            Z::Reset => {}
        }
    }

    fn change_inactive(
        &mut self,
        one: usize,
        other: usize,
        flags: Flags,
        seq: u32,
        text: u32,
        from_originator: bool,
    ) {
        let (syn, ack) = (flags.contains(Flags::SYN), flags.contains(Flags::ACK));
        if syn && from_originator {
            self.ends[one].set(if ack { Z::SynAckSent } else { Z::SynSent });
        } else if syn {
            if !ack && self.ends[other].state == Z::SynAckSent && seq == self.ends[one].start {
                self.flip();
                self.ends[other].set(Z::Established);
                self.seen[self.originator] = true;
            }
            if self.ends[other].state == Z::SynSent {
                self.ends[other].set(Z::Established);
            }
            self.ends[one].set(Z::Established);
        }
        if flags.contains(Flags::FIN) {
            self.ends[one].set(Z::Closed);
        }
        if flags.contains(Flags::RST) {
            self.ends[one].set(Z::Reset);
        }
        if self.ends[one].state != Z::Inactive {
            return;
        }
        let originator = self.originator;
        if !from_originator && text == 0 && self.ends[originator].state == Z::SynSent {
            // Some answer a SYN with an ACK before their own SYN.
        } else if ack && self.ends[other].state == Z::Established {
            self.ends[one].set(Z::Established);
            self.is_partial = false;
        } else {
            self.ends[one].set(Z::Partial);
        }
    }

    fn take_text(&mut self, one: usize, start: u64, length: u64) {
        let mine = &mut self.ends[one];
        if mine.gave_up {
            return;
        }
        let acked = (Endpoint::full(mine.acked, mine.acked_wraps) - i64::from(mine.start)).cast_unsigned();
        let end = start.saturating_add(length);
        let start = start.max(acked).max(mine.trimmed);
        if end <= start {
            return;
        }
        mine.insert(start, end);
        let waiting = mine.blocks.last().map_or(0, |(_, high)| high.saturating_sub(mine.delivered));
        if mine.nothing_acked() && waiting > MOST_WITHOUT_ACKS {
            mine.blocks.clear();
            mine.gave_up = true;
        }
    }

    /// Zeek's `conn_state`.
    pub(crate) fn conn_state(&self) -> &'static str {
        let (orig, resp) = (&self.ends[self.originator], &self.ends[1 - self.originator]);
        let idle = |end: &Endpoint| matches!(end.state, Z::Inactive | Z::Partial);
        match (orig.state, resp.state) {
            (Z::SynSent | Z::SynAckSent, Z::Reset) => "REJ",
            (Z::Reset, Z::Reset) if orig.size(resp) == 0 && resp.size(orig) == 0 => "REJ",
            (_, Z::Reset) if idle(orig) => "RSTRH",
            (_, Z::Reset) => "RSTR",
            (Z::Reset, _) if idle(resp) && self.has_syn_then_rst() => "RSTOS0",
            (Z::Reset, _) if idle(resp) => "OTH",
            (Z::Reset, _) => "RSTO",
            (Z::Closed, Z::Closed) => "SF",
            (Z::Closed, _) => {
                if idle(resp) {
                    "SH"
                } else {
                    "S2"
                }
            }
            (_, Z::Closed) => {
                if idle(orig) {
                    "SHR"
                } else {
                    "S3"
                }
            }
            (Z::SynSent, Z::Inactive) => "S0",
            (Z::Established, Z::Established) => "S1",
            _ => "OTH",
        }
    }

    /// The history is a SYN, then nothing of note, then a reset.
    fn has_syn_then_rst(&self) -> bool {
        let history = self.history.strip_prefix(b"^").unwrap_or(&self.history);
        let Some(rest) = history.strip_prefix(b"S") else { return false };
        let before = rest.iter().position(|letter| b"HAFGIQ".contains(letter)).unwrap_or(rest.len());
        rest[..before].contains(&b'R')
    }

    /// Whether the originator is the second socket of the key.
    const fn originator_is_second(&self) -> bool {
        self.originator == 1
    }

    /// Zeek's `history`.
    pub(crate) fn history(&self) -> String {
        self.history.iter().map(|letter| char::from(*letter)).collect()
    }

    /// Bytes it takes.
    fn memory(&self) -> usize {
        let blocks: usize = self.ends.iter().map(|end| end.blocks.capacity() * size_of::<(u64, u64)>()).sum();
        size_of::<Self>() + blocks + self.history.capacity()
    }
}
