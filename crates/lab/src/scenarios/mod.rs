//! The scenarios, a file a group. To add one, write its constant and put it into the list of its group.

mod faults;
mod healthy;
mod losses;
mod paths;
mod states;

use crate::scenario::{Scenario, Setting};

/// All groups in the order in which they are listed, some in parts.
pub(crate) const ALL: [&[Scenario]; 15] = [
    states::ALL,
    paths::ALL,
    losses::ALL,
    faults::listening::ALL,
    faults::ports::ALL,
    faults::addresses::ALL,
    faults::resets::ALL,
    faults::leaks::ALL,
    faults::half_open::ALL,
    faults::heartbeats::ALL,
    faults::windows::ALL,
    faults::path::ALL,
    faults::chain::ALL,
    faults::chain::HEALTHY,
    healthy::ALL,
];

/// Where servers listen.
const PORT: u16 = 80;

const ORPHAN_RETRIES: Setting = Setting {
    name: "tcp_orphan_retries",
    value: "0",
    usual: "0, which acts as 8",
    why: "how often a FIN is sent again once the program is gone",
};

/// Faults of which nothing is left to be seen at the subject once they have happened, and why.
pub(crate) const UNSEEN: &[(&str, &str)] = &[(
    "idle-timeout-wrong-order",
    "what goes wrong is over when a call returns ECONNRESET, and leaves no socket behind; the order of timeouts is in \
     configurations (eleven doctor --path)",
)];
