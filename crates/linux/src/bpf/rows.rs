//! Rows of sockets, listed by the kernel (`bpf/rows.bpf.c`): half the cost of a sock_diag
//! dump, and it tells whether keepalive is on.

use std::ops::ControlFlow;

use aya::include_bytes_aligned;
use eleven_snapshot::{Keepalive, Socket, SocketKind, Timer, TimerKind};
use eleven_tcp::State;
use rustix::time::{ClockId, clock_getres};

use super::{Records, kind_of, read_some, start, state_mask};
use crate::labels::{Labels, RowFacts};
use crate::netlink::{read_u16, read_u32, read_u64};
use crate::proc::sysctl;
use crate::ring::{self, Filled};
use crate::sock_diag::{DumpEnd, DuplicateFilter, Request};
use crate::{ReadError, classify};

static OBJECT: &[u8] = include_bytes_aligned!("../../../../bpf/rows.bpf.o");

/// Length of the program's `struct record`.
const RECORD_LENGTH: usize = 120;
/// Bytes of one read; the kernel fills 32 KiB at most.
const READ_LENGTH: usize = 64 * 1024;

/// Bits of `record.flags`.
const KEEPALIVE: u8 = 1 << 1;
const HAS_SENT_AGO: u8 = 1 << 2;
const HAS_RECEIVED_AGO: u8 = 1 << 3;

/// Hands the sockets of the calling thread's network namespace to `visitor`, all but those
/// that are only bound: the iterator does not walk their table.
///
/// # Errors
/// [`ReadError::Bpf`] where the kernel refuses the program, before the first row, or the
/// iterator breaks off.
pub(crate) fn rows(
    request: &Request,
    labels: &mut Labels<'_>,
    visitor: &mut dyn FnMut(&Socket) -> ControlFlow<()>,
) -> Result<DumpEnd, ReadError> {
    // The iterator keeps the program alive.
    let (_, mut iterator) = start(OBJECT, &[("STATES", &state_mask(request.states))], "list_sockets", "tcp")?;
    let fill = move |buffer: &mut [u8]| {
        let length = read_some(&mut iterator, buffer)?;
        Ok(Filled { length, is_last: length == 0 })
    };
    let mut records = Records::<RECORD_LENGTH>::new();
    let mut row = Socket::new(State::Closed);
    let mut end = DumpEnd::default();
    let units = Units::read();
    // Older kernels resume the walk by position, as a dump does.
    let mut seen = DuplicateFilter::default();
    let consume = |bytes: &[u8]| {
        Ok(records.feed(bytes, &mut |record| {
            if fill_row(record, &units, labels, &mut row).is_none() {
                end.malformed += 1;
                return ControlFlow::Continue(());
            }
            if request.family.is_some_and(|family| family != row.family) {
                return ControlFlow::Continue(());
            }
            if row.cookie.is_some_and(|cookie| !seen.is_new(cookie)) {
                end.duplicates += 1;
                return ControlFlow::Continue(());
            }
            end.rows += 1;
            if visitor(&row).is_break() {
                end.stopped = true;
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        }))
    };
    let start_failed =
        |error| ReadError::Bpf(format!("a thread for the iterator cannot be started ({error})"));
    ring::run("bpf_iter", READ_LENGTH, fill, consume, start_failed)?;
    Ok(end)
}

/// What the numbers of a record are measured in.
struct Units {
    /// Nanoseconds of a jiffy.
    jiffy_ns: u64,
    /// The namespace's keepalive: idle and interval in seconds, probes.
    keepalive: [Option<u32>; 3],
}

impl Units {
    fn read() -> Self {
        let number = |name: &str| sysctl::read(name)?.parse().ok();
        // The coarse clock advances once a jiffy, so its resolution is one.
        let resolution = clock_getres(ClockId::MonotonicCoarse);
        Self {
            jiffy_ns: u64::try_from(resolution.tv_nsec).unwrap_or(0).max(1),
            keepalive: [
                number("net.ipv4.tcp_keepalive_time"),
                number("net.ipv4.tcp_keepalive_intvl"),
                number("net.ipv4.tcp_keepalive_probes"),
            ],
        }
    }

    fn ms(&self, jiffies: u64) -> u64 {
        jiffies.saturating_mul(self.jiffy_ns) / 1_000_000
    }

    fn keepalive(&self, time: u32, interval: u32, probes: u8) -> Keepalive {
        let seconds = |jiffies: u32| ((self.ms(jiffies.into()) + 500) / 1000) as u32;
        // 0 is "not set on this socket": the namespace's value holds.
        let or_default = |value: u32, default: Option<u32>| if value == 0 { default } else { Some(value) };
        Keepalive {
            enabled: true,
            idle_s: or_default(seconds(time), self.keepalive[0]),
            interval_s: or_default(seconds(interval), self.keepalive[1]),
            probes: or_default(probes.into(), self.keepalive[2]),
        }
    }
}

/// Fills `row` from a record; `None` when it is none of the program's.
fn fill_row(
    record: &[u8; RECORD_LENGTH],
    units: &Units,
    labels: &mut Labels<'_>,
    row: &mut Socket,
) -> Option<()> {
    let byte = |offset: usize| record[offset];
    let port = |offset: usize| read_u16(record, offset).filter(|port| *port != 0);
    row.family = classify::family(read_u16(record, 104)?)?;
    row.state = State::from_kernel_number(byte(106))?;
    row.kind = kind_of(byte(107))?;
    row.local_address = classify::address(row.family, record.first_chunk()?);
    row.remote_address = classify::address(row.family, record[16..].first_chunk()?);
    row.local_port = port(100);
    row.remote_port = port(102);
    row.cookie = read_u64(record, 32).filter(|cookie| *cookie != 0);
    row.inode = read_u64(record, 40).filter(|inode| *inode != 0);
    row.mark = read_u32(record, 72);
    let timer = TimerKind::from_kernel_number(byte(108));
    row.timer = timer.map(|kind| Timer {
        kind,
        expires_ms: units.ms(read_u64(record, 56).unwrap_or(0)),
        retransmits: byte(109),
    });
    classify::set_queues(row, read_u32(record, 76), read_u32(record, 80));
    let flags = byte(111);
    row.keepalive = (row.kind == SocketKind::Full).then(|| {
        let known =
            units.keepalive(read_u32(record, 92).unwrap_or(0), read_u32(record, 96).unwrap_or(0), byte(112));
        Keepalive { enabled: flags & KEEPALIVE != 0, ..known }
    });
    let ago = |bit: u8, offset: usize| {
        (flags & bit != 0).then(|| units.ms(read_u32(record, offset).unwrap_or(0).into()))
    };
    let silence = ago(HAS_SENT_AGO, 84).max(ago(HAS_RECEIVED_AGO, 88));
    row.set_age(classify::age(row, silence));
    row.congestion = None;
    row.tcp_info = None;
    row.memory = None;
    row.options = None;
    let facts = RowFacts {
        uid: classify::uid(row, read_u32(record, 64)?),
        interface: read_u32(record, 68)?,
        cgroup_id: read_u64(record, 48).filter(|id| *id != 0),
        congestion: None,
        closed_by_program: byte(110) == classify::SHUTDOWN_BOTH,
    };
    labels.apply(row, &facts);
    Some(())
}
