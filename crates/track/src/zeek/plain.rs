//! The letters of an ordinary flow.

use eleven_tcp::Flags;

use super::ZeekState as Z;
use super::observer::Observer;
use super::{ZeekState, once};
use crate::half::{Half, Marks};
use crate::seen::Seen;
use crate::{Sighting, machine};

/// The letters of an ordinary flow: each at most once, SYN, SYN+ACK, and then ACK, text and FIN of both sides.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plain {
    pub(super) letters: [u8; 8],
    pub(super) length: u8,
    pub(super) written: [u8; 2],
    /// The states of originator and responder.
    pub(super) states: [ZeekState; 2],
    pub(super) befores: [ZeekState; 2],
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
    pub(super) fn observe(
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
    pub(super) fn unfold(&self, originator: usize, halves: [&Half; 2]) -> Observer {
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
