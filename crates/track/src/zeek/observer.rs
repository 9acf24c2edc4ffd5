//! The observer of a flow that is not ordinary, with numbers of its own.

use eleven_tcp::{Flags, SeqNumber};

use super::ZeekState as Z;
use super::endpoint::Endpoint;
use super::once;
use crate::Sighting;

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

/// A history does not grow without end.
const MOST_LETTERS: usize = 250;

/// A flow as Zeek sees it, with all its numbers.
#[derive(Clone, Debug)]
pub(crate) struct Observer {
    /// By direction: what goes as the key has it, and what goes the other way.
    pub(super) ends: [Endpoint; 2],
    /// Which of them is the originator.
    pub(super) originator: usize,
    pub(super) written: [u16; 2],
    pub(super) history: Vec<u8>,
    pub(super) is_partial: bool,
    pub(super) seen: [bool; 2],
}

fn is_server(port: u16) -> bool {
    SERVER_PORTS.contains(&port)
}

impl Observer {
    pub(super) fn empty(originator: usize) -> Self {
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
    pub(super) const fn originator_is_second(&self) -> bool {
        self.originator == 1
    }

    /// Zeek's `history`.
    pub(crate) fn history(&self) -> String {
        self.history.iter().map(|letter| char::from(*letter)).collect()
    }

    /// Bytes it takes.
    pub(super) fn memory(&self) -> usize {
        let blocks: usize = self.ends.iter().map(|end| end.blocks.capacity() * size_of::<(u64, u64)>()).sum();
        size_of::<Self>() + blocks + self.history.capacity()
    }
}
