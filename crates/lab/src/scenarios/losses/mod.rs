//! Ways on which a segment is lost: who notices, by which timer, and what it does about it.

mod closing;
mod open;
mod opening;

use crate::scenario::Scenario;

pub(super) const ALL: &[Scenario] = &[
    opening::LOST_SYN,
    opening::LOST_ALL_SYNS,
    opening::LOST_SYN_ACK,
    opening::LOST_HANDSHAKE_ACK,
    opening::LOST_ALL_HANDSHAKE_ACKS,
    open::LOST_DATA,
    open::LOST_DATA_ACK,
    open::LOST_ALL_DATA,
    closing::LOST_FIN,
    closing::LOST_ALL_FINS,
    closing::LOST_FIN_ACK,
    closing::LOST_SECOND_FIN,
    closing::LOST_LAST_ACK,
    open::LOST_RST,
];
