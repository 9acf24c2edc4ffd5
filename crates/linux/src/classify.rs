//! What a row is, judged alike by every reader: kind, user, age, keepalive.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use eleven_snapshot::{Age, Family, Keepalive, Socket, SocketKind, TimerKind};
use eleven_tcp::State;

use crate::netlink::{read_u32, read_u64};

/// TIME_WAIT lasts 60 s whatever any sysctl says (`TCP_TIMEWAIT_LEN`).
const TIME_WAIT_MS: u64 = 60_000;
/// A handshake's first timeout (`TCP_TIMEOUT_INIT`); each further one doubles.
const INITIAL_TIMEOUT_MS: u64 = 1000;
/// Where the doubling ends (`TCP_RTO_MAX`).
const LONGEST_TIMEOUT_MS: u64 = 120_000;

/// Both directions shut down (`SHUTDOWN_MASK`): what `close` leaves behind.
pub(crate) const SHUTDOWN_BOTH: u8 = 3;

/// The family behind a kernel number (`AF_INET`, `AF_INET6`).
#[inline]
pub(crate) fn family(number: u16) -> Option<Family> {
    match number {
        2 => Some(Family::Inet),
        10 => Some(Family::Inet6),
        _ => None,
    }
}

/// An address in the sixteen bytes the kernel gives it; IPv4 fills the first four.
#[inline]
pub(crate) fn address(family: Family, bytes: &[u8; 16]) -> IpAddr {
    match family {
        Family::Inet => IpAddr::V4(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3])),
        Family::Inet6 => IpAddr::V6(Ipv6Addr::from(*bytes)),
    }
}

/// Puts the two queue lengths where they belong: of a listener they are the accept queue and
/// its limit.
#[inline]
pub(crate) fn set_queues(row: &mut Socket, recv: Option<u32>, send: Option<u32>) {
    if row.state == State::Listen {
        (row.backlog, row.backlog_limit) = (recv, send);
        (row.recv_queue, row.send_queue) = (None, None);
    } else {
        (row.backlog, row.backlog_limit) = (None, None);
        (row.recv_queue, row.send_queue) = (recv, send);
    }
}

/// How the kernel stores a socket. A row without a file (`has_inode`) in SYN_RECV or in
/// FIN_WAIT2 under the TIME_WAIT timer is a mini-socket; a file makes it a full one.
pub(crate) fn kind(state: State, timer: Option<TimerKind>, has_inode: bool) -> SocketKind {
    match (state, timer) {
        (State::Closed, _) => SocketKind::Bound,
        (State::TimeWait, _) => SocketKind::TimeWait,
        (State::FinWait2, Some(TimerKind::TimeWait)) if !has_inode => SocketKind::TimeWait,
        (State::SynReceived, _) if !has_inode => SocketKind::Request,
        _ => SocketKind::Full,
    }
}

/// The user of a socket. Nobody owns a mini-socket, and where there is no file the kernel's
/// 0 means "none", not root.
pub(crate) fn uid(row: &Socket, uid: u32) -> Option<u32> {
    Some(uid).filter(|uid| !row.kind.is_mini() && (row.inode.is_some() || *uid != 0))
}

/// A running keepalive timer proves that keepalive is on; its settings are not shown.
pub(crate) fn keepalive(timer: Option<TimerKind>) -> Option<Keepalive> {
    (timer == Some(TimerKind::Keepalive)).then_some(Keepalive {
        enabled: true,
        idle_s: None,
        interval_s: None,
        probes: None,
    })
}

/// How old a socket is, as far as one look can tell: the kernel keeps no birth date. Of a
/// connection the reader knows `connection_ms`, or nothing.
pub(crate) fn age(row: &Socket, connection_ms: Option<u64>) -> Option<Age> {
    let timer = row.timer;
    let ms = match (row.kind, row.state) {
        // The time already spent in this state.
        (SocketKind::TimeWait, State::TimeWait) => TIME_WAIT_MS.saturating_sub(timer?.expires_ms),
        (SocketKind::Request, _) => of_request(timer?.expires_ms),
        (SocketKind::Full, state) if state.is_synchronized() => connection_ms?,
        _ => return None,
    };
    Some(Age { ms, is_lower_bound: true })
}

/// A request's timer runs 1 s, then 2 s, 4 s …, and each time SYN,ACK is sent again. What is
/// left of the timer tells the least round that this can be, and so how long the rounds up
/// to now took. The number of repetitions would say more if it were only that: the kernel
/// also counts its answers to repetitions of the peer's SYN, two a second at most.
fn of_request(expires_ms: u64) -> u64 {
    let mut timeout = INITIAL_TIMEOUT_MS;
    let mut earlier = 0;
    while timeout < expires_ms && timeout < LONGEST_TIMEOUT_MS {
        earlier += timeout;
        timeout *= 2;
    }
    earlier + timeout.saturating_sub(expires_ms)
}

/// A connection is at least as old as its last data. The clock of sent data is set when it
/// is established. That of received data is not after a simultaneous open, where it shows
/// the age of the host; so it counts only once data has come (a FIN counts as one byte).
pub(crate) fn age_from_tcp_info(info: &[u8]) -> Option<u64> {
    const LAST_DATA_SENT: usize = 44;
    const LAST_DATA_RECEIVED: usize = 52;
    const BYTES_RECEIVED: usize = 128;
    const BUSY_TIME_US: usize = 168;
    let sent = read_u32(info, LAST_DATA_SENT)?;
    let has_received = read_u64(info, BYTES_RECEIVED).is_some_and(|bytes| bytes > 1);
    let received = if has_received { read_u32(info, LAST_DATA_RECEIVED)? } else { 0 };
    let busy = read_u64(info, BUSY_TIME_US).unwrap_or(0) / 1000;
    Some(u64::from(sent.max(received)).max(busy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_a_requests_timer_bounds_its_age() {
        // The first round may be any; the least it can be is the first.
        assert_eq!(of_request(1000), 0);
        assert_eq!(of_request(400), 600);
        // More than a second is left: a first round of one second is over.
        assert_eq!(of_request(1900), 1000 + 100);
        assert_eq!(of_request(3000), 1000 + 2000 + 1000);
        assert_eq!(of_request(0), 1000);
        // Nothing a kernel says, and still no overflow.
        let _ = of_request(u64::MAX);
    }

    #[test]
    fn a_clock_that_was_never_set_is_no_age() {
        let mut info = [0; 280];
        info[44..48].copy_from_slice(&40_u32.to_ne_bytes());
        info[52..56].copy_from_slice(&3_000_000_u32.to_ne_bytes());
        assert_eq!(age_from_tcp_info(&info), Some(40));
        info[128..136].copy_from_slice(&2_u64.to_ne_bytes());
        assert_eq!(age_from_tcp_info(&info), Some(3_000_000));
        assert_eq!(age_from_tcp_info(&info[..104]), Some(40));
        assert_eq!(age_from_tcp_info(&info[..40]), None);
    }
}
