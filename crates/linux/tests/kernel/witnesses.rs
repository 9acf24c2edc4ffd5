//! The same sockets, told by somebody else.

use std::net::IpAddr;

use eleven_snapshot::{Socket, SocketKind, TimerKind};
use eleven_tcp::{State, StateSet};
use eleven_testbed::{or_skip, wait_for};

use crate::support::gallery::Gallery;
use crate::support::rows::bare;
use crate::support::{proc_table, ss};

fn endpoint(row: &Socket, address: IpAddr, port: Option<u16>) -> String {
    let address = match address {
        IpAddr::V4(address) => address.to_string(),
        // ss's sign for a socket of both families that listens on any address.
        IpAddr::V6(address) if address.is_unspecified() && row.family == eleven_snapshot::Family::Inet6 => {
            "*".to_owned()
        }
        IpAddr::V6(address) => format!("[{address}]"),
    };
    format!("{address}:{}", port.map_or("*".to_owned(), |port| port.to_string()))
}

/// A row in the columns of ss, for comparison.
fn in_columns(row: &Socket) -> String {
    let (recv, send) = if row.state == State::Listen {
        (row.backlog, row.backlog_limit)
    } else {
        (row.recv_queue, row.send_queue)
    };
    let mut local = endpoint(row, row.local_address, row.local_port);
    if let Some(interface) = &row.interface {
        local = local.replacen(':', &format!("%{interface}:"), 1);
    }
    let timer = row.timer.map(|timer| match timer.kind {
        TimerKind::Retransmit => "on",
        TimerKind::Keepalive => "keepalive",
        TimerKind::TimeWait => "timewait",
        TimerKind::Persist => "persist",
    });
    format!(
        "{} {recv:?} {send:?} {local} {} {timer:?} inode {:?} user {:?} mark {:?}",
        row.state.ss_name(),
        endpoint(row, row.remote_address, row.remote_port),
        row.inode,
        // ss leaves out user 0, be it root or nobody at all.
        row.uid.filter(|uid| *uid != 0),
        row.mark.filter(|mark| *mark != 0),
    )
}

fn columns_of_ss(row: &ss::SsRow) -> String {
    let number = |key: &str| row.details.get(key).and_then(|value| value.parse::<u64>().ok());
    let mark = row
        .details
        .get("fwmark")
        .and_then(|mark| u32::from_str_radix(mark.trim_start_matches("0x"), 16).ok());
    format!(
        "{} {:?} {:?} {} {} {:?} inode {:?} user {:?} mark {mark:?}",
        row.state,
        Some(row.recv_queue),
        Some(row.send_queue),
        row.local,
        row.remote,
        row.timer.as_deref(),
        number("ino").filter(|inode| *inode != 0),
        number("uid"),
    )
}

#[test]
fn every_row_reads_as_ss_prints_it() {
    let Some(gallery) = Gallery::fresh() else { return };
    gallery.wire.here.run(|| {
        or_skip!(ss::rows());
        // Timers fire between the two looks; a look without that comes.
        wait_for("ss and the rows to agree", || {
            let by_ss = ss::rows().map(|rows| {
                let mut by_ss: Vec<(u64, String)> =
                    rows.iter().map(|row| (row.cookie(), columns_of_ss(row))).collect();
                by_ss.retain(|(_, columns)| !columns.starts_with("UNCONN"));
                by_ss.sort();
                by_ss
            });
            let mut ours: Vec<(u64, String)> = bare(StateSet::ALL)
                .iter()
                // This version of ss may not ask for them.
                .filter(|row| row.kind != SocketKind::Bound)
                .map(|row| (row.cookie.expect("netlink shows it"), in_columns(row)))
                .collect();
            ours.sort();
            if by_ss.as_ref() == Ok(&ours) { Ok(()) } else { Err((by_ss, ours)) }
        });
    });
}

#[test]
fn every_row_reads_as_its_line_in_the_kernels_tables() {
    let Some(gallery) = Gallery::fresh() else { return };
    gallery.wire.here.run(|| {
        wait_for("the tables and the rows to agree", || {
            let theirs = proc_table::lines();
            let mut ours: Vec<String> = bare(StateSet::ALL)
                .iter()
                .filter(|row| row.kind != SocketKind::Bound)
                .map(proc_table::line_of)
                .collect();
            ours.sort();
            if theirs == ours { Ok(()) } else { Err((theirs, ours)) }
        });
    });
}
