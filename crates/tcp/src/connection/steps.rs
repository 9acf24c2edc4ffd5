//! The rules one call has applied.

use core::fmt;

use crate::rules::{self, Event, Facts, RULES};
use crate::{Rule, State};

/// The rules that one command or `handle_*` applied, in order: mostly one; two where a segment
/// fills a gap before a FIN that was held, more where several timers are due at once.
#[derive(Clone, Copy, Default)]
pub struct Steps {
    /// Places in [`RULES`].
    rules: [u8; Self::CAPACITY],
    length: u8,
}

const _: () = assert!(RULES.len() <= u8::MAX as usize + 1);

impl Steps {
    const CAPACITY: usize = 7;

    /// The rule that answers an event no fact has a part in.
    pub(crate) fn of(state: State, event: Event) -> Self {
        let mut steps = Self::default();
        if let Some(index) = rules::find_index(state, event, Facts::NONE) {
            steps.push(index);
        }
        steps
    }

    pub(super) const fn clear(&mut self) {
        self.length = 0;
    }

    /// Notes the rule at `index`; one call never applies more than there is room for.
    pub(super) fn push(&mut self, index: usize) {
        debug_assert!(usize::from(self.length) < Self::CAPACITY);
        if let Some(place) = self.rules.get_mut(usize::from(self.length)) {
            *place = index as u8;
            self.length += 1;
        }
    }

    /// The rules.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &'static Rule> + ExactSizeIterator {
        self.rules[..usize::from(self.length)].iter().map(|index| &RULES[usize::from(*index)])
    }

    /// How many.
    pub const fn len(&self) -> usize {
        self.length as usize
    }

    /// Whether no rule was applied.
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The last.
    pub fn last(&self) -> Option<&'static Rule> {
        self.iter().next_back()
    }
}

impl fmt::Debug for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|rule| rule.id)).finish()
    }
}
