//! Keeping two threads of this program on two processors.
//!
//! Both walk kernel tables for half a second at most. The scheduler sometimes starts the
//! second on the first one's processor and leaves it there that long, which makes the two
//! take turns.

use rustix::thread::{sched_getaffinity, sched_getcpu, sched_setaffinity};

/// A processor that a thread is to stay off.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Occupied(usize);

impl Occupied {
    /// The one the calling thread runs on.
    pub(crate) fn here() -> Self {
        Self(sched_getcpu())
    }

    /// Moves the calling thread to any other processor it may use, if there is one.
    pub(crate) fn leave(self) {
        let Ok(allowed) = sched_getaffinity(None) else { return };
        let mut others = allowed;
        others.unset(self.0);
        if others.count() > 0 {
            // Only a matter of speed: a refusal is no error.
            let _ = sched_setaffinity(None, &others);
        }
    }
}
