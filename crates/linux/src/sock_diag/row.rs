//! One sock_diag message to one [`Socket`].

use eleven_snapshot::{Socket, SocketMemory, SocketOptions, TcpInfo, Timer, TimerKind};
use eleven_tcp::State;

use super::Extensions;
use crate::classify;
pub(crate) use crate::labels::Labels;
use crate::labels::RowFacts;
use crate::netlink::{Attributes, read_u32, read_u64};

/// Length of `struct inet_diag_msg`.
const MESSAGE_LENGTH: usize = 72;

/// `INET_DIAG_INFO`.
pub(super) const ATTRIBUTE_INFO: u16 = 2;
/// `INET_DIAG_CONG`.
pub(super) const ATTRIBUTE_CONGESTION: u16 = 4;
/// `INET_DIAG_SKMEMINFO`.
pub(super) const ATTRIBUTE_MEMORY: u16 = 7;
/// `INET_DIAG_SOCKOPT`.
const ATTRIBUTE_OPTIONS: u16 = 22;
/// `INET_DIAG_SHUTDOWN`.
const ATTRIBUTE_SHUTDOWN: u16 = 8;
/// `INET_DIAG_SKV6ONLY`.
const ATTRIBUTE_V6_ONLY: u16 = 11;
/// `INET_DIAG_MARK`.
const ATTRIBUTE_MARK: u16 = 15;
/// `INET_DIAG_CGROUP_ID`.
const ATTRIBUTE_CGROUP_ID: u16 = 21;

/// `INET_DIAG_NOCOOKIE`.
const NO_COOKIE: u64 = u64::MAX;

/// What the attributes behind the fixed part say.
#[derive(Default)]
struct Optional<'a> {
    info: Option<&'a [u8]>,
    congestion: Option<&'a [u8]>,
    memory: Option<&'a [u8]>,
    options: Option<[u8; 2]>,
    v6_only: bool,
    shutdown: Option<u8>,
    mark: Option<u32>,
    cgroup_id: Option<u64>,
}

impl<'a> Optional<'a> {
    #[inline]
    fn read(bytes: &'a [u8]) -> Self {
        let mut found = Self::default();
        for (kind, value) in Attributes::new(bytes) {
            match kind {
                ATTRIBUTE_INFO => found.info = Some(value),
                ATTRIBUTE_CONGESTION => found.congestion = Some(value),
                ATTRIBUTE_V6_ONLY => found.v6_only = value.first().is_some_and(|on| *on != 0),
                ATTRIBUTE_MEMORY => found.memory = Some(value),
                ATTRIBUTE_OPTIONS => found.options = value.first_chunk().copied(),
                ATTRIBUTE_SHUTDOWN => found.shutdown = value.first().copied(),
                ATTRIBUTE_MARK => found.mark = read_u32(value, 0),
                ATTRIBUTE_CGROUP_ID => found.cgroup_id = read_u64(value, 0),
                _ => {}
            }
        }
        found
    }
}

/// `SK_MEMINFO_…` in their order; the last was added later than the others.
fn memory(bytes: &[u8]) -> Option<SocketMemory> {
    let word = |index: usize| read_u32(bytes, 4 * index);
    Some(SocketMemory {
        rmem_alloc: word(0)?,
        rcvbuf: word(1)?,
        wmem_alloc: word(2)?,
        sndbuf: word(3)?,
        fwd_alloc: word(4)?,
        wmem_queued: word(5)?,
        optmem: word(6)?,
        backlog: word(7)?,
        drops: word(8),
    })
}

fn port(bytes: [u8; 2]) -> Option<u16> {
    let port = u16::from_be_bytes(bytes);
    (port != 0).then_some(port)
}

/// Fills `row` from a message; `false` when it is none of a TCP socket and `row` is
/// worthless. Fields that `labels` fills are left as they are when nothing changed.
pub(crate) fn parse_row(body: &[u8], wanted: Extensions, labels: &mut Labels<'_>, row: &mut Socket) -> bool {
    let Some((fixed, rest)) = body.split_first_chunk::<MESSAGE_LENGTH>() else { return false };
    let Some(family) = classify::family(fixed[0].into()) else { return false };
    let Some(state) = State::from_kernel_number(fixed[1]) else { return false };
    let word = |offset: usize| read_u32(fixed, offset).unwrap_or(0);
    let bytes16 = |offset: usize| <&[u8; 16]>::try_from(&fixed[offset..offset + 16]).unwrap_or(&[0; 16]);
    let optional = Optional::read(rest);

    let timer_kind = TimerKind::from_kernel_number(fixed[2]);
    let inode = word(68);
    // A full socket reports its shutdown state (inet_diag_msg_attrs_fill), a request does not.
    let is_full = inode != 0 || (state == State::SynReceived && optional.shutdown.is_some());
    let kind = classify::kind(state, timer_kind, is_full);

    row.family = family;
    row.state = state;
    row.kind = kind;
    row.local_port = port([fixed[4], fixed[5]]);
    row.remote_port = port([fixed[6], fixed[7]]);
    row.local_address = classify::address(family, bytes16(8));
    row.remote_address = classify::address(family, bytes16(24));
    let cookie = u64::from(word(44)) | u64::from(word(48)) << 32;
    // The kernel counts from 1.
    row.cookie = (cookie != NO_COOKIE && cookie != 0).then_some(cookie);
    row.timer = timer_kind.map(|kind| Timer { kind, expires_ms: u64::from(word(52)), retransmits: fixed[3] });
    classify::set_queues(row, Some(word(56)), Some(word(60)));
    row.inode = (inode != 0).then_some(u64::from(inode));
    row.mark = optional.mark;
    row.keepalive = classify::keepalive(timer_kind);
    row.set_age(classify::age(row, optional.info.and_then(classify::age_from_tcp_info)));
    row.tcp_info = match optional.info {
        Some(bytes) if wanted.tcp_info => Some(Box::new(TcpInfo::from_bytes(bytes))),
        _ => None,
    };
    row.memory = optional.memory.and_then(memory).map(Box::new);
    row.options = optional
        .options
        .filter(|_| wanted.memory_and_options)
        .map(|bytes| SocketOptions::from_bytes(bytes).with_v6_only(optional.v6_only));
    let facts = RowFacts {
        uid: classify::uid(row, word(64)),
        interface: word(40),
        cgroup_id: optional.cgroup_id,
        congestion: optional.congestion,
        closed_by_program: optional.shutdown == Some(classify::SHUTDOWN_BOTH),
    };
    labels.apply(row, &facts);
    true
}

/// Remembers the cookies of the latest rows, to leave out a socket that comes again.
///
/// The kernel resumes a dump at (hash bucket, position): what entered or left that one
/// bucket meanwhile shifts the positions, so a repeated row follows closely on its first
/// showing. A small table therefore finds it, whatever the size of the host; it never
/// takes a new socket for a repeated one.
#[derive(Debug)]
pub(crate) struct DuplicateFilter(Box<[u64]>);

impl DuplicateFilter {
    const SLOTS: usize = 8192;

    /// Whether `cookie` was not among the latest rows; remembers it.
    #[inline]
    pub(crate) fn is_new(&mut self, cookie: u64) -> bool {
        // Fibonacci hashing: the upper bits of the product are well mixed.
        let slot = (cookie.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 51) as usize;
        std::mem::replace(&mut self.0[slot], cookie) != cookie
    }
}

impl Default for DuplicateFilter {
    fn default() -> Self {
        // Cookie 0 is never given out (the kernel's counter starts at 1).
        Self(vec![0; Self::SLOTS].into_boxed_slice())
    }
}
