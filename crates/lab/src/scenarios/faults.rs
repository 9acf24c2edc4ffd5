//! What makes trouble on real hosts, each with the finding that it is.

use crate::scenario::Scenario;

pub(super) const ALL: &[Scenario] = &[];
