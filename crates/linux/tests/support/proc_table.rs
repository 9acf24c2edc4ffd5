//! `/proc/net/tcp` and `tcp6` as they stand, for comparison: read here apart from the
//! crate's own parser, by writing rows the way the kernel does instead of reading them.

use std::fmt::Write;
use std::net::IpAddr;

use eleven_snapshot::{Family, Socket};
use eleven_tcp::State;

/// The columns both sides can tell: addresses, state, queues, inode.
pub(crate) fn lines() -> Vec<String> {
    let mut lines: Vec<String> = ["tcp", "tcp6"]
        .into_iter()
        .flat_map(|table| {
            let text = std::fs::read_to_string(format!("/proc/thread-self/net/{table}")).unwrap_or_default();
            text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
        })
        .map(|line| {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            [fields[1], fields[2], fields[3], fields[4], fields[9]].join(" ")
        })
        .collect();
    lines.sort();
    lines
}

/// A row as its line would read in the table of its family.
pub(crate) fn line_of(row: &Socket) -> String {
    let (send_queue, recv_queue) = if row.state == State::Listen {
        // The table shows how many wait, not how many may.
        (0, row.backlog)
    } else {
        (row.send_queue.unwrap_or(0), row.recv_queue)
    };
    format!(
        "{} {} {:02X} {:08X}:{:08X} {}",
        endpoint(row.family, row.local_address, row.local_port),
        endpoint(row.family, row.remote_address, row.remote_port),
        row.state.kernel_number(),
        send_queue,
        recv_queue.unwrap_or(0),
        row.inode.unwrap_or(0),
    )
}

fn endpoint(family: Family, address: IpAddr, port: Option<u16>) -> String {
    let bytes = match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    assert_eq!(bytes.len(), if family == Family::Inet { 4 } else { 16 });
    let mut text = String::new();
    for word in bytes.chunks_exact(4) {
        let word = u32::from_ne_bytes(word.try_into().expect("four bytes"));
        write!(text, "{word:08X}").expect("a string takes everything");
    }
    write!(text, ":{:04X}", port.unwrap_or(0)).expect("a string takes everything");
    text
}
