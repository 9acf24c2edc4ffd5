//! Ephemeral ports.

use crate::policy::Secret;
use crate::{FourTuple, Instant};

pub(crate) fn choose(
    secret: &Secret,
    range: (u16, u16),
    pair: &FourTuple,
    now: Instant,
    is_free: impl Fn(u16) -> bool,
) -> Option<u16> {
    let _ = (secret, pair, now);
    (range.0..=range.1).find(|port| is_free(*port))
}
