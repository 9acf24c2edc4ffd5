//! Writes the fixtures of `tests/messages.rs` anew, from the kernel that runs.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use eleven_snapshot::Socket;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, sendto, socket_with,
};

use crate::support::gallery::Gallery;

/// Witnesses to record: one of each state, and the kinds within a state.
const RECORDED: [&str; 17] = [
    "bound",
    "listener",
    "on an interface",
    "not accepted of nobody",
    "syn sent",
    "request",
    "request to both families",
    "simultaneous open",
    "established",
    "v4-mapped",
    "close wait",
    "fin wait 1 closed",
    "fin wait 2 held",
    "fin wait 2 closed",
    "closing",
    "last ack closed",
    "time wait",
];

/// Names of the attributes that are asked for, for the remarks.
const ATTRIBUTES: [(u16, &str); 11] = [
    (1, "MEMINFO"),
    (2, "INFO"),
    (3, "VEGASINFO"),
    (4, "CONG"),
    (5, "TOS"),
    (6, "TCLASS"),
    (7, "SKMEMINFO"),
    (8, "SHUTDOWN"),
    (15, "MARK"),
    (21, "CGROUP_ID"),
    (22, "SOCKOPT"),
];

#[test]
#[ignore = "writes the recorded messages into the source tree"]
fn record_messages() {
    let gallery = Gallery::fresh().expect("recording takes root");
    let messages = gallery.wire.here.run(|| [2, 10].into_iter().flat_map(dump).collect::<BTreeMap<_, _>>());
    gallery.wire.here.run(record_tables);
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/messages");
    std::fs::create_dir_all(&directory).expect("the source can be written");
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("/proc is mounted");
    let release: String = kernel.split('.').take(2).collect::<Vec<_>>().join(".");
    for name in RECORDED {
        let cookie = gallery.row(name).cookie.expect("netlink shows it");
        let message = messages.get(&cookie).unwrap_or_else(|| panic!("{name} has gone"));
        let mut row = None;
        eleven_linux::sock_diag::read_any_bytes(message, &mut |found| {
            row = Some(Socket { netns: None, interface: None, user: None, ..found.clone() });
            std::ops::ControlFlow::Continue(())
        })
        .expect("a socket, not an error");
        let row = serde_json::to_string_pretty(&row.expect("one socket")).expect("rows are JSON");
        let stem = name.replace([' ', '-'], "_");
        let text =
            format!("# The witness `{name}`, recorded from Linux {release}, x86_64.\n{}", describe(message));
        std::fs::write(directory.join(format!("{stem}.hex")), text).expect("the source can be written");
        std::fs::write(directory.join(format!("{stem}.json")), row + "\n")
            .expect("the source can be written");
    }
}

/// The tables of `/proc` with the same sockets, as seeds for the fuzz target.
fn record_tables() {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/proc_net_tcp");
    std::fs::create_dir_all(&directory).expect("the source can be written");
    for table in ["tcp", "tcp6"] {
        let text = std::fs::read(format!("/proc/thread-self/net/{table}")).expect("/proc is mounted");
        std::fs::write(directory.join(table), text).expect("the source can be written");
    }
}

/// All messages of sockets of a family, by cookie.
fn dump(family: u8) -> Vec<(u64, Vec<u8>)> {
    const TCP: u8 = 6;
    // INET_DIAG_INFO, INET_DIAG_CONG and INET_DIAG_SKMEMINFO.
    const EXTENSIONS: u8 = 1 << 1 | 1 << 3 | 1 << 6;
    let mut request = vec![0; 72];
    request[..4].copy_from_slice(&72_u32.to_ne_bytes());
    request[4..6].copy_from_slice(&20_u16.to_ne_bytes());
    request[6..8].copy_from_slice(&0x301_u16.to_ne_bytes());
    request[16..20].copy_from_slice(&[family, TCP, EXTENSIONS, 0]);
    request[20..24].copy_from_slice(&u32::MAX.to_ne_bytes());
    let fd =
        socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, Some(netlink::SOCK_DIAG))
            .expect("netlink is there");
    sendto(&fd, &request, SendFlags::empty(), &netlink::SocketAddrNetlink::new(0, 0)).expect("it is sent");
    let mut found = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let (_, length) = recv(&fd, buffer.as_mut_slice(), RecvFlags::empty()).expect("the kernel answers");
        let mut rest = &buffer[..length];
        while let Some(header) = rest.first_chunk::<16>() {
            let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
            if u16::from_ne_bytes([header[4], header[5]]) != 20 {
                return found;
            }
            let mut message = rest[..length].to_vec();
            // The port number of this process: no part of what is recorded.
            message[12..16].fill(0);
            let cookie = u64::from_ne_bytes(message[60..68].try_into().expect("eight bytes"));
            found.push((cookie, message));
            rest = &rest[length.next_multiple_of(4).min(rest.len())..];
        }
    }
}

/// The message in hexadecimal, a part a line, with what it is.
fn describe(message: &[u8]) -> String {
    let mut text = String::new();
    let mut at = 0;
    let mut part = |length: usize, what: &str, at: &mut usize| {
        for (index, chunk) in message[*at..*at + length].chunks(16).enumerate() {
            let digits: Vec<String> = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
            let remark = if index == 0 { what } else { "" };
            let line = format!("{:<48} # {remark}", digits.join(" "));
            writeln!(text, "{}", line.trim_end().trim_end_matches('#').trim_end()).expect("memory");
        }
        *at += length;
    };
    part(16, "header: length, type, flags, sequence, port", &mut at);
    part(4, "family, state, timer, retransmissions", &mut at);
    part(4, "local port, remote port", &mut at);
    part(16, "local address", &mut at);
    part(16, "remote address", &mut at);
    part(4, "interface", &mut at);
    part(8, "cookie", &mut at);
    part(4, "milliseconds until the timer fires", &mut at);
    part(8, "receive queue, send queue", &mut at);
    part(8, "user, inode", &mut at);
    while at < message.len() {
        let length = usize::from(u16::from_ne_bytes([message[at], message[at + 1]]));
        let kind = u16::from_ne_bytes([message[at + 2], message[at + 3]]);
        let name = ATTRIBUTES.iter().find(|(known, _)| *known == kind).map_or("", |(_, name)| name);
        let padded = length.next_multiple_of(4).min(message.len() - at);
        part(padded, &format!("attribute {kind} {name}, {length} bytes with its head"), &mut at);
    }
    text
}
