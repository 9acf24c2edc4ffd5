//! Explores, breadth first, everything two ends can do over a network that drops, repeats and reorders.
//!
//!     cargo run --release -p eleven-tcp --example explore             # six million distinct states
//!     cargo run --release -p eleven-tcp --example explore -- 5000000  # so many for each of the six configurations

#[path = "../tests/explore/mod.rs"]
mod explore;

use std::collections::BTreeSet;

use eleven_tcp::rules::{EventKind, RULES};
use explore::{Exploration, configurations};

fn main() {
    let states = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let mut total = 0;
    let mut rules = BTreeSet::new();
    for (name, policies, limits) in configurations(states) {
        let mut exploration = Exploration::new(policies, limits);
        exploration.run();
        println!("{name}: {exploration}");
        total += exploration.visited();
        rules.extend(exploration.rules);
    }
    println!("{total} distinct states in all, {} rules met. Of segments and timers, not met:", rules.len());
    let unmet = RULES.iter().filter(|rule| rule.event.kind() != EventKind::Call && !rules.contains(rule.id));
    for rule in unmet {
        println!("  {}", rule.id);
    }
}
