//! The states a side went through, in sixteen bytes a step.

use eleven_tcp::rules::RULES;
use eleven_tcp::{Rule, State};

use crate::Provenance;
use crate::moves::{Deed, rule_of};

/// A step on the path of a side: the state it came to, why, and when.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The state.
    pub state: State,
    /// The rule that led there; `None` for where the path begins.
    pub rule: Option<&'static Rule>,
    /// How sure that is.
    pub provenance: Provenance,
    /// The packet that showed it first.
    pub packet: u64,
    /// When that was seen, in nanoseconds since the Unix epoch, to the microsecond from the flow's beginning.
    pub time_ns: i64,
}

/// A step as it is kept: eleven bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Packed {
    /// How many microseconds after the flow's first packet: twelve days, then it stops.
    time: [u8; 5],
    /// How many packets after the flow's first; stops at its largest value.
    packet: [u8; 4],
    /// Place in [`RULES`]; [`NO_RULE`] for none.
    rule: u8,
    /// The state in the low half, the provenance in the high one.
    kind: u8,
}

/// A state and how sure it is, in one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind(u8);

impl Kind {
    /// Before the first step.
    pub(crate) const NOWHERE: Self =
        Self::new(State::Closed, Provenance::Assumed(crate::Assumption::NothingHeard));

    pub(crate) const fn new(state: State, provenance: Provenance) -> Self {
        Self(state.index() as u8 | provenance.code() << 4)
    }

    #[inline]
    pub(crate) fn state(self) -> State {
        state_of(self.0)
    }

    #[inline]
    pub(crate) fn provenance(self) -> Provenance {
        Provenance::from_code(self.0 >> 4)
    }
}

const NO_RULE: u8 = u8::MAX;

/// Ordinary lives fit without more memory.
const INLINE: usize = 5;
/// A flow in which resets are taken back again and again does not grow without end.
const MOST: usize = 64;

/// Another state in the place of one that was taken back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Again {
    pub(crate) state: State,
    pub(crate) rule: &'static Rule,
    /// The step whose time and packet it has.
    pub(crate) of: Packed,
}

/// The path of a side.
#[derive(Clone, Debug, Default)]
pub(crate) struct Path {
    #[allow(clippy::box_collection)] // One word instead of three: most paths need none.
    more: Option<Box<Vec<Packed>>>,
    inline: [Packed; INLINE],
    /// How many are kept, without LISTEN; and [`LISTENS`] if it begins there.
    length: u8,
}

/// It begins in LISTEN: told by the first segment that shows SYN_RECV, that needs no room of its own.
const LISTENS: u8 = 0x80;

fn index_of(rule: &'static Rule) -> u8 {
    let offset = (&raw const *rule).addr().wrapping_sub(RULES.as_ptr().addr());
    u8::try_from(offset / size_of::<Rule>()).unwrap_or(NO_RULE)
}

#[inline]
fn state_of(kind: u8) -> State {
    State::ALL.get(usize::from(kind & 0xf)).copied().unwrap_or(State::Closed)
}

impl Packed {
    fn pack(step: &Step, origin: Origin) -> Self {
        let packet = u32::try_from(step.packet.saturating_sub(origin.packet)).unwrap_or(u32::MAX);
        let micros = (step.time_ns.saturating_sub(origin.time_ns) / 1_000).clamp(0, (1 << 40) - 1);
        let mut time = [0; 5];
        time.copy_from_slice(&micros.to_le_bytes()[..5]);
        Self {
            time,
            packet: packet.to_le_bytes(),
            rule: step.rule.map_or(NO_RULE, index_of),
            kind: Kind::new(step.state, step.provenance).0,
        }
    }

    fn state(self) -> State {
        state_of(self.kind)
    }

    fn provenance(self) -> Provenance {
        Provenance::from_code(self.kind >> 4)
    }

    /// Nanoseconds after the flow's first packet, in whole microseconds.
    fn offset_ns(self) -> i64 {
        let mut bytes = [0; 8];
        bytes[..5].copy_from_slice(&self.time);
        i64::from_le_bytes(bytes) * 1_000
    }

    fn unpack(self, origin: Origin) -> Step {
        Step {
            state: self.state(),
            rule: RULES.get(usize::from(self.rule)),
            provenance: self.provenance(),
            packet: origin.packet.saturating_add(u64::from(u32::from_le_bytes(self.packet))),
            time_ns: origin.time_ns.saturating_add(self.offset_ns()),
        }
    }
}

/// The first packet of a flow, from which its steps are counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) packet: u64,
    pub(crate) time_ns: i64,
}

impl Path {
    /// A step as it is kept, to be put in again.
    pub(crate) fn step_at(&self, index: usize) -> Packed {
        self.get(index)
    }

    /// Puts in a step at the time and packet of another.
    pub(crate) fn put(&mut self, again: &Again) {
        self.add(Packed {
            rule: index_of(again.rule),
            kind: again.state.index() as u8 | again.of.kind & 0xf0,
            ..again.of
        });
    }

    pub(crate) const fn len(&self) -> usize {
        self.kept() + self.listens() as usize
    }

    const fn kept(&self) -> usize {
        (self.length & !LISTENS) as usize
    }

    const fn listens(&self) -> bool {
        self.length & LISTENS != 0
    }

    /// LISTEN, at the time of what showed it.
    fn listen(&self) -> Packed {
        let provenance = Provenance::Inferred(crate::Inference::AnsweredSyn);
        let rule = rule_of(State::Closed, Deed::PassiveOpen).map_or(NO_RULE, index_of);
        Packed { rule, kind: Kind::new(State::Listen, provenance).0, ..self.inline[0] }
    }

    fn get(&self, index: usize) -> Packed {
        let Some(index) = index.checked_sub(usize::from(self.listens())) else { return self.listen() };
        if index < INLINE {
            return self.inline[index];
        }
        self.more.as_ref().and_then(|more| more.get(index - INLINE)).copied().unwrap_or_default()
    }

    /// The state and provenance of a step, without the rest of it.
    #[inline]
    fn kind(&self, index: usize) -> u8 {
        match index.checked_sub(usize::from(self.listens())) {
            Some(index) if index < INLINE => self.inline[index].kind,
            _ => self.get(index).kind,
        }
    }

    fn get_mut(&mut self, index: usize) -> Option<&mut Packed> {
        let index = index.checked_sub(usize::from(self.listens()))?;
        if index < INLINE {
            return self.inline.get_mut(index);
        }
        self.more.as_mut().and_then(|more| more.get_mut(index - INLINE))
    }

    /// Adds a step. Beyond the most there can be, the last is overwritten.
    pub(crate) fn push(&mut self, step: &Step, origin: Origin) {
        let packed = Packed::pack(step, origin);
        if self.len() == 0 && step.state == State::Listen {
            // Its time stands where the next step's will.
            self.inline[0] = packed;
            self.length = LISTENS;
            return;
        }
        self.add(packed);
    }

    fn add(&mut self, packed: Packed) {
        let index = self.kept();
        if index < INLINE {
            self.inline[index] = packed;
        } else if index < MOST {
            self.more.get_or_insert_default().push(packed);
        } else {
            if let Some(last) = self.more.as_mut().and_then(|more| more.last_mut()) {
                *last = packed;
            }
            return;
        }
        self.length += 1;
    }

    /// Writes another beginning: not LISTEN, but these two steps.
    pub(crate) fn rewrite_listen(&mut self, steps: &[Step; 2], origin: Origin) {
        if !self.listens() {
            return;
        }
        let kept: Vec<Packed> = (2..self.len()).map(|index| self.get(index)).collect();
        self.truncate(0);
        for step in steps {
            self.add(Packed::pack(step, origin));
        }
        for packed in kept {
            self.add(packed);
        }
    }

    /// Takes steps back until so many are left.
    pub(crate) fn truncate(&mut self, length: usize) {
        if length < self.len() {
            let listens = self.listens() && length > 0;
            self.length = (length - usize::from(listens)) as u8 | if listens { LISTENS } else { 0 };
            if let Some(more) = &mut self.more {
                more.truncate((length - usize::from(listens)).saturating_sub(INLINE));
            }
        }
    }

    /// State and provenance of the last step.
    #[inline]
    pub(crate) fn last(&self) -> Kind {
        self.len().checked_sub(1).map_or(Kind::NOWHERE, |last| Kind(self.kind(last)))
    }

    /// The state of a step.
    #[inline]
    pub(crate) fn state_at(&self, index: usize) -> State {
        state_of(self.kind(index))
    }

    #[inline]
    pub(crate) fn provenance_at(&self, index: usize) -> Provenance {
        Provenance::from_code(self.kind(index) >> 4)
    }

    /// Nanoseconds after the flow's first packet.
    pub(crate) fn offset_ns_at(&self, index: usize) -> i64 {
        self.get(index).offset_ns()
    }

    /// The place of the last step into a state.
    pub(crate) fn find(&self, state: State) -> Option<usize> {
        let wanted = state.index() as u8;
        let is_it = |step: &Packed| step.kind & 0xf == wanted;
        let listens = usize::from(self.listens());
        let kept = self.kept();
        if kept > INLINE
            && let Some(place) = self.more.as_ref().and_then(|more| more.iter().rposition(is_it))
        {
            return Some(place + INLINE + listens);
        }
        if let Some(place) = self.inline.iter().take(kept).rposition(is_it) {
            return Some(place + listens);
        }
        (listens > 0 && state == State::Listen).then_some(0)
    }

    pub(crate) fn set_provenance(&mut self, index: usize, provenance: Provenance) {
        if index < self.len()
            && let Some(step) = self.get_mut(index)
        {
            step.kind = step.kind & 0xf | provenance.code() << 4;
        }
    }

    pub(crate) fn steps(&self, origin: Origin) -> impl Iterator<Item = Step> {
        (0..self.len()).map(move |index| self.get(index).unpack(origin))
    }

    /// Bytes besides the struct itself.
    pub(crate) fn heap(&self) -> usize {
        self.more.as_ref().map_or(0, |more| size_of::<Vec<Packed>>() + more.capacity() * size_of::<Packed>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_keep_their_places() {
        assert!(RULES.len() < usize::from(NO_RULE), "a place takes one byte");
        for (index, rule) in RULES.iter().enumerate() {
            assert_eq!(usize::from(index_of(rule)), index);
        }
    }

    #[test]
    fn a_path_is_bounded_and_can_be_taken_back() {
        let mut path = Path::default();
        let origin = Origin { packet: 0, time_ns: 0 };
        for packet in 0..1_000 {
            let state = State::ALL[(packet as usize + 1) % 11];
            let provenance = Provenance::Observed;
            let step = Step { state, rule: Some(&RULES[3]), provenance, packet, time_ns: 7_000 };
            path.push(&step, origin);
        }
        assert_eq!(path.len(), MOST);
        assert_eq!(path.steps(origin).last().map(|step| step.packet), Some(999));
        path.truncate(8);
        assert_eq!(
            path.steps(origin).map(|step| step.packet).collect::<Vec<_>>(),
            (0..8).collect::<Vec<_>>()
        );
        path.truncate(2);
        assert_eq!((path.len(), path.state_at(1)), (2, State::ALL[2]));
    }
}
