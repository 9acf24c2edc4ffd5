//! Ways through several states.

mod closing;
mod opening;
mod resets;
mod time_wait;

use crate::scenario::Scenario;

pub(super) const ALL: &[Scenario] = &[
    opening::THREE_WAY_HANDSHAKE,
    closing::FOUR_WAY_CLOSE,
    closing::THREE_SEGMENT_CLOSE,
    closing::HALF_CLOSE,
    opening::SIMULTANEOUS_OPEN,
    closing::SIMULTANEOUS_CLOSE,
    resets::RESET_BY_CLIENT,
    resets::RESET_BY_SERVER,
    resets::ABORT_UNREAD_DATA,
    resets::DATA_AFTER_CLOSE,
    opening::REFUSED,
    time_wait::TIME_WAIT_REUSE,
    time_wait::TIME_WAIT_ASSASSINATION,
    time_wait::TIME_WAIT_ASSASSINATION_RFC1337,
];
