//! The rules, a file a fault or a family of them.

mod accept_queue;
mod addresses;
mod close_wait;
mod closing;
mod connecting;
mod descriptors;
mod fin_wait2;
mod group;
mod half_open;
mod idle;
mod limits;
mod path;
mod ports;
mod queues;
mod resets;
mod syn_queue;
mod sysctls;
mod threads;
mod time_wait;

pub use sysctls::{FOLKLORE, Folklore};

use crate::Rule;

/// Every rule. Of findings equally severe those come first whose rule stands higher: the nearer
/// to a root cause, the higher.
pub static RULES: &[Rule] = &[
    close_wait::LEAK,
    descriptors::EXHAUSTION,
    accept_queue::OVERFLOW,
    syn_queue::BACKLOG_FULL,
    syn_queue::FLOOD,
    ports::EXHAUSTION,
    limits::CONNTRACK,
    limits::MEMORY,
    limits::ORPHANS,
    time_wait::OVERFLOW,
    connecting::SCAN,
    queues::LOCAL_READER,
    queues::PEER_READER,
    idle::HEARTBEAT,
    path::MTU,
    half_open::PEER,
    path::LOSSY,
    connecting::UNANSWERED,
    closing::FIN_WAIT1,
    closing::LAST_ACK,
    closing::CLOSING,
    fin_wait2::HELD,
    resets::UNREAD_DATA,
    resets::AFTER_CLOSE,
    resets::REFUSED,
    addresses::IN_USE,
    addresses::UNEXPECTED,
    sysctls::HARMFUL,
    idle::TIMEOUT_ORDER,
    idle::KEEPALIVE,
    addresses::RANGE_OVERLAP,
    time_wait::NORMAL,
];
