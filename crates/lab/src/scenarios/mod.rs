//! The scenarios, a file a group. To add one, write its constant and put it into the list of its group.

mod faults;
mod losses;
mod paths;
mod states;

use crate::scenario::Scenario;

/// All groups in the order in which they are listed.
pub(crate) const ALL: [&[Scenario]; 4] = [states::ALL, paths::ALL, losses::ALL, faults::ALL];

/// Where servers listen.
const PORT: u16 = 80;
