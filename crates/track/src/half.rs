//! What is kept about one side: its numbers as it sent them, and its states.

use eleven_tcp::{Rule, SackBlock, SeqNumber, State};

use crate::path::{Again, Kind, Origin, Path, Step};
use crate::{Inference, Provenance};

/// Yes-or-no facts about a side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks(u32);

impl Marks {
    /// Its numbers have a base: [`Half::isn`] and what is counted from it are valid.
    pub(crate) const NUMBERED: Self = Self(1);
    /// Its SYN was seen, or learned from its acknowledgment.
    pub(crate) const SYN: Self = Self(1 << 1);
    /// Its SYN came without ACK.
    pub(crate) const ACTIVE: Self = Self(1 << 2);
    /// Its FIN was seen: [`Half::fin_end`] is valid.
    pub(crate) const FIN: Self = Self(1 << 3);
    /// It has sent an acknowledgment: [`Half::last_ack`] is valid.
    pub(crate) const ACKS: Self = Self(1 << 4);
    /// The peer has acknowledged something of it: [`Half::acked`] and [`Half::edge`] are valid.
    pub(crate) const ACKED: Self = Self(1 << 5);
    /// It has sent something.
    pub(crate) const HEARD: Self = Self(1 << 6);
    /// It uses timestamps.
    pub(crate) const TIMESTAMPS: Self = Self(1 << 7);
    /// It permits SACK.
    pub(crate) const SACK: Self = Self(1 << 8);
    /// It offered a window scale.
    pub(crate) const SCALES: Self = Self(1 << 9);
    /// It sent text with its SYN, or a cookie.
    pub(crate) const FAST_OPEN: Self = Self(1 << 10);
    /// It asked whether the window is still zero, and has no answer yet.
    pub(crate) const PROBED: Self = Self(1 << 11);
    /// It asked whether the peer is there, and has no answer yet.
    pub(crate) const KEEPALIVE: Self = Self(1 << 12);
    /// Something was sent to it that it has to question.
    pub(crate) const QUESTION: Self = Self(1 << 13);
    /// A round trip is being timed.
    pub(crate) const TIMED: Self = Self(1 << 14);
    /// It offered or granted ECN.
    pub(crate) const ECN: Self = Self(1 << 15);
    /// It sent text.
    pub(crate) const TEXT: Self = Self(1 << 16);
    /// Its first SYN had a window scale.
    pub(crate) const HAD_SCALE: Self = Self(1 << 17);
    /// IP identifications were seen: [`Half::ip_id`] is valid.
    pub(crate) const IP_ID: Self = Self(1 << 18);
    /// They went up by little each time.
    pub(crate) const IP_ID_COUNTS: Self = Self(1 << 19);
    /// It reset the connection itself.
    pub(crate) const RESET: Self = Self(1 << 20);
    /// Its scale is known: SYN and answer were both seen.
    pub(crate) const SCALE_KNOWN: Self = Self(1 << 21);
    /// The MTU of its path is suspected.
    pub(crate) const BLACK_HOLE: Self = Self(1 << 22);
    /// What it sent stays unanswered.
    pub(crate) const VOID: Self = Self(1 << 23);
    /// It was reset from outside: [`Half::reset_at`] is valid.
    pub(crate) const WAS_RESET: Self = Self(1 << 24);

    /// The last of its numbers that are acknowledged, or those before the first seen, were not seen: its FIN may be among
    /// them.
    pub(crate) const UNSEEN_TAIL: Self = Self(1 << 25);

    /// Something was taken back of its path.
    pub(crate) const TAKEN_BACK: Self = Self(1 << 26);

    /// The reset it sent answers something: its number is the peer's acknowledgment, and tells nothing of its own.
    pub(crate) const RESET_ANSWERS: Self = Self(1 << 27);

    /// It sent SYN+ACK.
    pub(crate) const SYN_ACK: Self = Self(1 << 28);

    /// Its last segment had another TTL than [`Half::hop_limit`].
    pub(crate) const ODD_HOPS: Self = Self(1 << 29);

    /// A FIN of it was outside the window.
    pub(crate) const STRAY_FIN: Self = Self(1 << 30);

    #[inline]
    pub(crate) const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    #[inline]
    pub(crate) const fn set(&mut self, other: Self) {
        self.0 |= other.0;
    }

    #[inline]
    pub(crate) const fn clear(&mut self, other: Self) {
        self.0 &= !other.0;
    }
}

/// One side of a flow.
#[derive(Clone, Debug)]
pub(crate) struct Half {
    pub(crate) marks: Marks,
    /// The number of its SYN; without one, the number before the first seen.
    pub(crate) isn: SeqNumber,
    /// Behind the last number it sent.
    pub(crate) next: SeqNumber,
    /// Up to here everything was seen.
    pub(crate) contiguous: SeqNumber,
    /// The highest acknowledgment sent to it.
    pub(crate) acked: SeqNumber,
    /// How far the peer has allowed it to send.
    pub(crate) edge: SeqNumber,
    /// Behind its FIN.
    pub(crate) fin_end: SeqNumber,
    /// The last acknowledgment it sent, the highest so far.
    pub(crate) last_ack: SeqNumber,
    /// The acknowledgment number of its last segment, whatever it was.
    pub(crate) raw_ack: SeqNumber,
    /// The window with it, as on the wire.
    pub(crate) last_window: u16,
    /// The shift of its windows.
    pub(crate) scale: u8,
    pub(crate) hop_limit: u8,
    /// The largest window it offered, in bytes.
    pub(crate) max_window: u32,
    /// The newest timestamp it sent.
    pub(crate) timestamp: u32,
    pub(crate) ip_id: u16,
    pub(crate) mss: u16,
    /// How often it repeated its last acknowledgment.
    pub(crate) duplicate_acks: u16,
    /// How often it sent the same text without an answer.
    pub(crate) unanswered: u8,
    /// The last step of the path: it is asked for with every segment.
    now: Kind,
    pub(crate) timed_end: SeqNumber,
    /// Microseconds after the flow's first packet, as is the next; they wrap.
    pub(crate) timed_at: u32,
    /// When it sent something last.
    pub(crate) last_time: u32,
    /// Microseconds from the flow's first packet to its first text.
    pub(crate) first_text_us: u32,
    pub(crate) packets: u32,
    pub(crate) bytes: u64,
    pub(crate) unique_bytes: u64,
    /// Text sent again: after a timeout, fast, spuriously.
    pub(crate) resent: [u16; 3],
    pub(crate) zero_windows: u16,
    /// Where a reset hit it: the number its sender was at.
    pub(crate) reset_at: SeqNumber,
    pub(crate) path: Path,
    pub(crate) rare: Option<Box<Rare>>,
}

/// What few sides need.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rare {
    /// Text seen behind a gap, in order, apart from each other.
    pub(crate) islands: Vec<(SeqNumber, SeqNumber)>,
    /// When the first gap opened.
    pub(crate) gap_since: i64,
    /// What the peer has reported by SACK, newest first.
    pub(crate) sacked: Vec<SackBlock>,
    /// What was sent outside the window last. If the peer acknowledges just that, the numbers are really there.
    pub(crate) stray: Option<Stray>,
}

/// A segment outside the window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stray {
    pub(crate) start: SeqNumber,
    pub(crate) end: SeqNumber,
    pub(crate) fin: bool,
}

/// So many stretches behind gaps are remembered.
const MOST_ISLANDS: usize = 32;
/// So many blocks.
const MOST_BLOCKS: usize = 8;

impl Default for Half {
    fn default() -> Self {
        let zero = SeqNumber(0);
        Self {
            marks: Marks::default(),
            isn: zero,
            next: zero,
            contiguous: zero,
            acked: zero,
            edge: zero,
            fin_end: zero,
            last_ack: zero,
            raw_ack: zero,
            last_window: 0,
            scale: 0,
            hop_limit: 0,
            max_window: 0,
            timestamp: 0,
            ip_id: 0,
            mss: 0,
            duplicate_acks: 0,
            unanswered: 0,
            now: Kind::NOWHERE,
            timed_end: zero,
            timed_at: 0,
            last_time: 0,
            first_text_us: crate::conversation::UNKNOWN,
            packets: 0,
            bytes: 0,
            unique_bytes: 0,
            resent: [0; 3],
            zero_windows: 0,
            reset_at: zero,
            path: Path::default(),
            rare: None,
        }
    }
}

/// When something is put down.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    pub(crate) origin: Origin,
    pub(crate) packet: u64,
    pub(crate) time_ns: i64,
}

impl Half {
    #[inline]
    pub(crate) fn state(&self) -> State {
        self.now.state()
    }

    #[inline]
    pub(crate) const fn is(&self, mark: Marks) -> bool {
        self.marks.has(mark)
    }

    /// How sure the state is.
    #[inline]
    pub(crate) fn provenance(&self) -> Provenance {
        self.now.provenance()
    }

    /// The last step of the path stands on a segment that was only seen on its way.
    pub(crate) fn is_speculative(&self) -> bool {
        self.provenance() == Provenance::Inferred(Inference::SeenTravelling)
    }

    #[cold]
    pub(crate) fn step(&mut self, state: State, rule: Option<&'static Rule>, provenance: Provenance, at: At) {
        let step = Step { state, rule, provenance, packet: at.packet, time_ns: at.time_ns };
        self.path.push(&step, at.origin);
        self.now = Kind::new(state, provenance);
    }

    /// Writes another beginning than LISTEN and the step behind it.
    pub(crate) fn rewrite_listen(&mut self, steps: &[Step; 2], at: At) {
        self.path.rewrite_listen(steps, at.origin);
        self.now = self.path.last();
    }

    /// Puts in a step at the time of one that was taken back.
    pub(crate) fn put(&mut self, again: &Again) {
        self.path.put(again);
        self.now = self.path.last();
    }

    /// Whether the step below a place is one that the side would have answered at once.
    pub(crate) fn is_unanswered_below(&self, place: usize) -> bool {
        place > 1
            && self.path.provenance_at(place - 1) == Provenance::Inferred(Inference::SeenTravelling)
            && match self.path.state_at(place - 1) {
                State::CloseWait | State::Closing => true,
                // In CLOSING it had the FIN already.
                State::TimeWait => self.path.state_at(place - 2) != State::Closing,
                _ => false,
            }
    }

    /// Takes back what came behind a place of the path.
    #[cold]
    pub(crate) fn take_back(&mut self, length: usize) {
        if length < self.path.len() {
            self.marks.set(Marks::TAKEN_BACK);
        }
        self.path.truncate(length);
        self.now = self.path.last();
    }

    /// Raises how sure a step is; never lowers it.
    pub(crate) fn confirm(&mut self, index: usize, provenance: Provenance) {
        let rank = |provenance| match provenance {
            Provenance::Observed => 4,
            Provenance::Inferred(Inference::SeenTravelling) => 1,
            Provenance::Inferred(Inference::NotCaptured) => 2,
            Provenance::Inferred(_) => 3,
            Provenance::Assumed(_) => 0,
        };
        if rank(self.path.provenance_at(index)) < rank(provenance) {
            self.path.set_provenance(index, provenance);
            self.now = self.path.last();
        }
    }

    /// Whether all its text and its FIN were seen.
    pub(crate) const fn fin_complete(&self) -> bool {
        self.is(Marks::FIN) && self.contiguous.ge(self.fin_end)
    }

    /// Puts a stretch among those seen; tells how much of it is new.
    #[inline]
    pub(crate) fn cover(&mut self, start: SeqNumber, end: SeqNumber, time_ns: i64) -> u32 {
        if start == self.contiguous && self.rare.is_none() {
            self.contiguous = end;
            return end.offset_from(start);
        }
        self.cover_slowly(start, end, time_ns)
    }

    #[cold]
    fn cover_slowly(&mut self, start: SeqNumber, end: SeqNumber, time_ns: i64) -> u32 {
        if end.le(self.contiguous) {
            return 0;
        }
        let start = start.later(self.contiguous);
        if start == self.contiguous && self.rare.as_ref().is_none_or(|rare| rare.islands.is_empty()) {
            self.contiguous = end;
            return end.offset_from(start);
        }
        let rare = self.rare.get_or_insert_default();
        if rare.islands.is_empty() {
            rare.gap_since = time_ns;
        }
        let covered: u32 = rare
            .islands
            .iter()
            .map(|(low, high)| u32::try_from(high.earlier(end).distance(low.later(start))).unwrap_or(0))
            .sum();
        let fresh = end.offset_from(start).saturating_sub(covered);
        // Merged with whatever it touches.
        let (mut low, mut high) = (start, end);
        rare.islands.retain(|(from, to)| {
            let apart = from.gt(high) || to.lt(low);
            if !apart {
                low = low.earlier(*from);
                high = high.later(*to);
            }
            apart
        });
        let place = rare.islands.iter().position(|(from, _)| from.gt(low)).unwrap_or(rare.islands.len());
        if rare.islands.len() < MOST_ISLANDS {
            rare.islands.insert(place, (low, high));
        }
        self.land();
        fresh
    }

    /// Moves on over what lies ready behind the place up to which everything was seen.
    fn land(&mut self) {
        if let Some(rare) = &mut self.rare {
            while let Some((low, high)) = rare.islands.first().copied() {
                if low.gt(self.contiguous) {
                    break;
                }
                self.contiguous = self.contiguous.later(high);
                rare.islands.remove(0);
            }
        }
    }

    /// Nothing up to here will be seen any more: the receiver has it.
    #[cold]
    pub(crate) fn skip_to(&mut self, number: SeqNumber) {
        self.contiguous = self.contiguous.later(number);
        self.land();
    }

    /// Whether a stretch was seen before, at least its beginning.
    pub(crate) fn has_seen(&self, start: SeqNumber) -> bool {
        start.lt(self.contiguous)
            || self
                .rare
                .as_ref()
                .is_some_and(|rare| rare.islands.iter().any(|(low, high)| start.ge(*low) && start.lt(*high)))
    }

    /// Whether text is missing before the last seen.
    pub(crate) fn has_gap(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| !rare.islands.is_empty())
    }

    /// Remembers a block the peer reported.
    #[cold]
    pub(crate) fn note_sack(&mut self, block: SackBlock) {
        let rare = self.rare.get_or_insert_default();
        rare.sacked.retain(|known| !(known.start.ge(block.start) && known.end.le(block.end)));
        rare.sacked.insert(0, block);
        rare.sacked.truncate(MOST_BLOCKS);
    }

    /// Remembers what was sent outside the window.
    #[cold]
    pub(crate) fn note_stray(&mut self, stray: Stray) {
        if stray.fin {
            self.marks.set(Marks::STRAY_FIN);
        }
        self.rare.get_or_insert_default().stray = Some(stray);
    }

    /// Whether the peer has reported all of this by SACK.
    pub(crate) fn is_sacked(&self, start: SeqNumber, end: SeqNumber) -> bool {
        self.rare
            .as_ref()
            .is_some_and(|rare| rare.sacked.iter().any(|block| start.ge(block.start) && end.le(block.end)))
    }

    /// Whether the peer has reported something behind this: it misses this.
    pub(crate) fn is_missed(&self, end: SeqNumber) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.sacked.iter().any(|block| block.start.ge(end)))
    }

    /// Bytes besides the struct itself.
    pub(crate) fn heap(&self) -> usize {
        let rare = self.rare.as_ref().map_or(0, |rare| {
            size_of::<Rare>()
                + rare.islands.capacity() * size_of::<(SeqNumber, SeqNumber)>()
                + rare.sacked.capacity() * size_of::<SackBlock>()
        });
        self.path.heap() + rare
    }
}
