//! Sockets from `/proc/net/tcp` and `/proc/net/tcp6`, where netlink is not to be had.
//!
//! The tables lack cookies, interfaces, control groups, the family of a socket is its
//! table's, and only the accept queue of a listener is shown, not its limit.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::ControlFlow;

use eleven_snapshot::{Family, Socket, Timer, TimerKind};
use eleven_tcp::{State, StateSet};

use crate::labels::{Labels, RowFacts};
use crate::sock_diag::DumpEnd;
use crate::{ReadError, classify};

/// The kernel prints timers in these a second (`USER_HZ`), whatever its own tick is.
const TICKS_PER_SECOND: u64 = 100;
/// A line has 150 bytes or so; a longer one is none of the kernel's.
const LONGEST_LINE: u64 = 4096;

/// Reads the tables of the calling thread's network namespace: both, or that of one family.
///
/// # Errors
/// [`ReadError::File`] when the IPv4 table cannot be opened or a table breaks off. A kernel
/// without IPv6 has no second table, which is no error.
pub fn read(
    states: StateSet,
    wanted: Option<Family>,
    labels: &mut Labels<'_>,
    visitor: &mut dyn FnMut(&Socket) -> ControlFlow<()>,
) -> Result<DumpEnd, ReadError> {
    let mut end = DumpEnd::default();
    for (family, path) in
        [(Family::Inet, "/proc/thread-self/net/tcp"), (Family::Inet6, "/proc/thread-self/net/tcp6")]
    {
        if wanted.is_some_and(|wanted| wanted != family) {
            continue;
        }
        match File::open(path) {
            Ok(file) => {
                read_table(
                    family,
                    BufReader::with_capacity(1 << 16, file),
                    states,
                    labels,
                    visitor,
                    &mut end,
                )
                .map_err(|error| ReadError::file(path, error))?;
            }
            Err(error) if family == Family::Inet6 && error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(ReadError::file(path, error)),
        }
        if end.stopped {
            break;
        }
    }
    Ok(end)
}

fn read_table(
    family: Family,
    mut table: impl BufRead,
    states: StateSet,
    labels: &mut Labels<'_>,
    visitor: &mut dyn FnMut(&Socket) -> ControlFlow<()>,
    end: &mut DumpEnd,
) -> std::io::Result<()> {
    let mut row = Socket::new(State::Closed);
    let mut line = Vec::new();
    let mut heading = true;
    loop {
        line.clear();
        let length = std::io::Read::take(&mut table, LONGEST_LINE).read_until(b'\n', &mut line)?;
        if length == 0 {
            return Ok(());
        }
        if std::mem::take(&mut heading) {
            continue;
        }
        let parsed = std::str::from_utf8(&line).ok().and_then(|line| parse_line(family, line, &mut row));
        let Some(uid) = parsed else {
            end.malformed += 1;
            continue;
        };
        if !states.contains(row.state) {
            continue;
        }
        let facts = RowFacts { uid: classify::uid(&row, uid), ..RowFacts::default() };
        labels.apply(&mut row, &facts);
        end.rows += 1;
        if visitor(&row).is_break() {
            end.stopped = true;
            return Ok(());
        }
    }
}

/// Fills `row` from a line and returns the user it names; `None` when the line is none of
/// a table.
///
/// `sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode …`
fn parse_line(family: Family, line: &str, row: &mut Socket) -> Option<u32> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (local_address, local_port) = parse_endpoint(family, fields.next()?)?;
    let (remote_address, remote_port) = parse_endpoint(family, fields.next()?)?;
    let number = u8::from_str_radix(fields.next()?, 16).ok()?;
    let state = State::from_kernel_number(number)?;
    let (send_queue, recv_queue) = parse_pair(fields.next()?)?;
    let (timer, ticks) = parse_pair(fields.next()?)?;
    let retransmits = u32::from_str_radix(fields.next()?, 16).ok()?;
    let uid: u32 = fields.next()?.parse().ok()?;
    let _probes = fields.next()?;
    let inode: u64 = fields.next()?.parse().ok()?;

    let timer_kind = TimerKind::from_kernel_number(u8::try_from(timer).ok()?);
    let kind = classify::kind(state, timer_kind, inode != 0);
    row.family = family;
    row.state = state;
    row.kind = kind;
    (row.local_address, row.local_port) = (local_address, local_port);
    (row.remote_address, row.remote_port) = (remote_address, remote_port);
    row.timer = timer_kind.map(|kind| Timer {
        kind,
        expires_ms: u64::from(ticks) * 1000 / TICKS_PER_SECOND,
        retransmits: u8::try_from(retransmits).unwrap_or(u8::MAX),
    });
    if state == State::Listen {
        (row.recv_queue, row.send_queue) = (None, None);
        row.backlog = Some(recv_queue);
    } else {
        (row.recv_queue, row.send_queue) = (Some(recv_queue), Some(send_queue));
        row.backlog = None;
    }
    row.inode = (inode != 0).then_some(inode);
    row.keepalive = classify::keepalive(timer_kind);
    row.set_age(classify::age(row, None));
    Some(uid)
}

fn parse_pair(text: &str) -> Option<(u32, u32)> {
    let (a, b) = text.split_once(':')?;
    Some((u32::from_str_radix(a, 16).ok()?, u32::from_str_radix(b, 16).ok()?))
}

/// `0100007F:1F90`: each 32-bit word of the address is printed as this machine holds it.
fn parse_endpoint(family: Family, text: &str) -> Option<(IpAddr, Option<u16>)> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |index: usize| u32::from_str_radix(address.get(8 * index..8 * index + 8)?, 16).ok();
    let address = match family {
        Family::Inet if address.len() == 8 => IpAddr::V4(Ipv4Addr::from(word(0)?.to_ne_bytes())),
        Family::Inet6 if address.len() == 32 => {
            let mut bytes = [0; 16];
            for (index, chunk) in bytes.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(index)?.to_ne_bytes());
            }
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some((address, (port != 0).then_some(port)))
}

/// For the fuzz target and its replay: any bytes as a table of either family.
#[doc(hidden)]
pub fn read_any_bytes(bytes: &[u8]) -> DumpEnd {
    let mut end = DumpEnd::default();
    let mut labels = Labels::new(None);
    for family in [Family::Inet, Family::Inet6] {
        // Reading from memory cannot fail.
        let _ = read_table(
            family,
            bytes,
            StateSet::ALL,
            &mut labels,
            &mut |_| ControlFlow::Continue(()),
            &mut end,
        );
    }
    end
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use eleven_snapshot::SocketKind;

    use super::*;

    fn row(family: Family, line: &str) -> Option<(Socket, Option<u32>)> {
        let mut row = Socket::new(State::Closed);
        let uid = parse_line(family, line, &mut row)?;
        let uid = classify::uid(&row, uid);
        Some((row, uid))
    }

    #[test]
    fn a_listener() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000003 00:00000000 00000000  1000        0 12345 1 0 100 0 0 10 0";
        let (row, uid) = row(Family::Inet, line).unwrap();
        assert_eq!(row.state, State::Listen);
        assert_eq!(row.local_address.to_string(), "127.0.0.1");
        assert_eq!((row.local_port, row.remote_port), (Some(8080), None));
        assert_eq!((row.backlog, row.backlog_limit, row.recv_queue), (Some(3), None, None));
        assert_eq!((row.inode, uid), (Some(12345), Some(1000)));
    }

    #[test]
    fn a_mini_socket_is_not_roots() {
        let line = "  1: 0100007F:1F90 0100007F:C350 06 00000000:00000000 03:000016FB 00000000     0        0 0 3 0000";
        let (row, uid) = row(Family::Inet, line).unwrap();
        assert_eq!(
            (row.kind, row.state, uid, row.inode),
            (SocketKind::TimeWait, State::TimeWait, None, None)
        );
        assert_eq!(row.timer.unwrap().expires_ms, 58_830);
        assert_eq!(row.age_ms, Some(1170));
    }

    #[test]
    fn a_v4_mapped_peer_keeps_the_family() {
        let line = "  0: 0000000000000000FFFF00000100007F:0016 0000000000000000FFFF00000100007F:D431 01 \
                    00000000:00000001 02:00000FA0 00000000 0 0 77 2 0 20 4 0 10 -1";
        let (row, _) = row(Family::Inet6, line).unwrap();
        assert_eq!(row.family, Family::Inet6);
        assert_eq!(row.local_address.to_string(), "::ffff:127.0.0.1");
        assert_eq!(row.recv_queue, Some(1));
        assert!(row.keepalive.unwrap().enabled);
    }

    #[test]
    fn other_lines_are_refused() {
        for line in ["", "0: x", "0: 0100007F:1F90 00000000:0000 FF 0:0 0:0 0 0 0 0", "0: 0100007F:1F90"] {
            assert_eq!(row(Family::Inet, line), None, "{line}");
        }
    }
}
