//! What a row is, judged alike by every reader: kind, user, age, keepalive.

use eleven_snapshot::{Age, Keepalive, Socket, SocketKind, TimerKind};
use eleven_tcp::State;

use crate::netlink::{read_u32, read_u64};

/// TIME_WAIT lasts 60 s whatever any sysctl says (`TCP_TIMEWAIT_LEN`).
const TIME_WAIT_MS: u64 = 60_000;
/// A handshake's first timeout (`TCP_TIMEOUT_INIT`); each further one doubles.
const INITIAL_TIMEOUT_MS: u64 = 1000;

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

/// How old a socket is, as far as one look can tell: the kernel keeps no birth date.
pub(crate) fn age(row: &Socket, tcp_info: Option<&[u8]>) -> Option<Age> {
    let timer = row.timer;
    let ms = match (row.kind, row.state) {
        // The time already spent in this state.
        (SocketKind::TimeWait, State::TimeWait) => TIME_WAIT_MS.saturating_sub(timer?.expires_ms),
        // The time that its repetitions of SYN,ACK took.
        (SocketKind::Request, _) => INITIAL_TIMEOUT_MS * ((1 << timer?.retransmits.min(16)) - 1),
        (SocketKind::Full, state) if state.is_synchronized() => from_tcp_info(tcp_info?)?,
        _ => return None,
    };
    Some(Age { ms, is_lower_bound: true })
}

/// A connection is at least as old as its last data: both clocks are set when it is
/// established (`tcp_finish_connect`, `tcp_create_openreq_child`).
fn from_tcp_info(info: &[u8]) -> Option<u64> {
    const LAST_DATA_SENT: usize = 44;
    const LAST_DATA_RECEIVED: usize = 52;
    const BUSY_TIME_US: usize = 168;
    let sent = read_u32(info, LAST_DATA_SENT)?;
    let received = read_u32(info, LAST_DATA_RECEIVED)?;
    let busy = read_u64(info, BUSY_TIME_US).unwrap_or(0) / 1000;
    Some(u64::from(sent.max(received)).max(busy))
}
