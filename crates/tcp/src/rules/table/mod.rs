//! The rules themselves, by groups of states, put into one array at compile time.

#[macro_use]
mod notation;

mod calls;
mod closing;
mod open;
mod opening;
mod synchronized;
mod synchronizing;
mod timers;

use super::{Event, Facts, Guard, Rule};
use crate::State;

const GROUPS: [&[&[Rule]]; 7] = [
    opening::RULES,
    synchronizing::RULES,
    synchronized::RULES,
    open::RULES,
    closing::RULES,
    calls::RULES,
    timers::RULES,
];

const COUNT: usize = {
    let mut count = 0;
    let mut group = 0;
    while group < GROUPS.len() {
        let mut line = 0;
        while line < GROUPS[group].len() {
            count += GROUPS[group][line].len();
            line += 1;
        }
        group += 1;
    }
    count
};

const EVENTS: usize = Event::ALL.len();
const CELLS: usize = State::ALL.len() * EVENTS;

const fn cell(state: State, event: Event) -> usize {
    state.index() * EVENTS + event.index()
}

/// The rules sorted by state and event, and where each state and event begins.
struct Table {
    rules: [Rule; COUNT],
    starts: [u16; CELLS + 1],
}

/// A counting sort: keeps the order of the notation within a cell.
const TABLE: Table = {
    let mut starts = [0_u16; CELLS + 1];
    let mut placed = [0_u16; CELLS];
    let mut rules = [GROUPS[0][0][0]; COUNT];
    // First round counts, second round places.
    let mut round = 0;
    while round < 2 {
        let mut group = 0;
        while group < GROUPS.len() {
            let mut line = 0;
            while line < GROUPS[group].len() {
                let mut index = 0;
                while index < GROUPS[group][line].len() {
                    let rule = GROUPS[group][line][index];
                    let cell = cell(rule.from, rule.event);
                    if round == 0 {
                        starts[cell + 1] += 1;
                    } else {
                        rules[(starts[cell] + placed[cell]) as usize] = rule;
                        placed[cell] += 1;
                    }
                    index += 1;
                }
                line += 1;
            }
            group += 1;
        }
        if round == 0 {
            let mut cell = 0;
            while cell < CELLS {
                starts[cell + 1] += starts[cell];
                cell += 1;
            }
        }
        round += 1;
    }
    Table { rules, starts }
};

/// Every rule, in the order of states and events.
pub static RULES: &[Rule] = &TABLE.rules;

static STARTS: [u16; CELLS + 1] = TABLE.starts;

/// The guards alone, side by side: a search reads nothing else.
static GUARDS: [Guard; COUNT] = {
    let mut guards = [Guard::ALWAYS; COUNT];
    let mut index = 0;
    while index < COUNT {
        guards[index] = TABLE.rules[index].guard;
        index += 1;
    }
    guards
};

/// The place in [`RULES`] of the rule that answers `event` in `state` under `facts`.
pub(crate) fn find_index(state: State, event: Event, facts: Facts) -> Option<usize> {
    let cell = cell(state, event);
    let (first, end) = (usize::from(STARTS[cell]), usize::from(STARTS[cell + 1]));
    GUARDS[first..end].iter().position(|guard| guard.admits(facts)).map(|index| first + index)
}

/// The rules for `event` in `state`; none where the event cannot happen there.
pub fn applicable(state: State, event: Event) -> &'static [Rule] {
    let cell = cell(state, event);
    &RULES[usize::from(STARTS[cell])..usize::from(STARTS[cell + 1])]
}

/// The rules that start in `state`.
pub fn rules_from(state: State) -> &'static [Rule] {
    let first = state.index() * EVENTS;
    &RULES[usize::from(STARTS[first])..usize::from(STARTS[first + EVENTS])]
}
