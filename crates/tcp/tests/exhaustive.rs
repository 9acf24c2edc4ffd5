//! Everything two ends and a bad network can do in a few steps: a part of what `cargo run --release -p eleven-tcp
//! --example explore` explores.

mod explore;

use std::collections::BTreeSet;

use eleven_tcp::State;
use explore::{Exploration, configurations};

#[test]
fn whatever_happens_both_ends_come_to_their_end() {
    let (mut total, mut states, mut rules) = (0, BTreeSet::new(), BTreeSet::new());
    for (name, policies, limits) in configurations(75_000) {
        let mut exploration = Exploration::new(policies, limits);
        exploration.run();
        println!("{name}: {exploration}");
        total += exploration.visited();
        states.extend(exploration.states_seen);
        rules.extend(exploration.rules);
    }
    println!("{total} distinct states in all, {} rules met", rules.len());
    assert_eq!(states.len(), State::ALL.len());
    assert!(rules.len() > 100);
}
