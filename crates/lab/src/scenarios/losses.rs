//! Ways on which a segment is lost: who notices, by which timer, and what it does about it.

use crate::scenario::Scenario;

pub(super) const ALL: &[Scenario] = &[];
