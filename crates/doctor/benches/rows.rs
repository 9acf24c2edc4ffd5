//! What digesting and judging costs a row, and how much memory it keeps, on rows made in memory.
//!
//! ```text
//! cargo bench -p eleven-doctor                       100,000 rows
//! cargo bench -p eleven-doctor -- 1000000            a million
//! ```
//!
//! The host is a busy one: most rows are clients of its listeners, a fifth are ends of connections
//! within the host, a tenth its own connections to others, a twentieth TIME_WAIT, and some are of
//! every kind of trouble.

use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use eleven_doctor::{Case, Digest, Look, judge};
use eleven_snapshot::{Owner, Process, Socket, SocketKind, TcpInfo, Timer, TimerKind};
use eleven_tcp::State;

fn main() -> ExitCode {
    let sizes: Vec<u64> = std::env::args()
        .skip(1)
        .filter_map(|argument| argument.replace([',', '_'], "").parse().ok())
        .collect();
    println!("| rows | making a row | first look | second look | judging | memory |");
    println!("| ---: | ---: | ---: | ---: | ---: | ---: |");
    for size in if sizes.is_empty() { vec![100_000] } else { sizes } {
        measure(size);
    }
    ExitCode::SUCCESS
}

fn measure(size: u64) {
    let rows = Rows::new();
    // Making a row costs too; it is told apart.
    let start = Instant::now();
    let mut kept = 0;
    for index in 0..size {
        kept += u64::from(std::hint::black_box(rows.row(index)).local_port.is_some());
    }
    let making = start.elapsed();
    assert_eq!(kept, size);
    let before_kib = resident_kib();
    let start = Instant::now();
    let first = look(&rows, size, 1000.0, None);
    let first_look = start.elapsed();
    let start = Instant::now();
    let second = look(&rows, size, 1005.0, Some(&first.digest));
    let second_look = start.elapsed();
    let start = Instant::now();
    let (findings, _) = judge(&Case::new(Some(&first), &second), |_| true);
    let judging = start.elapsed();
    assert!(!findings.is_empty());
    let memory = (resident_kib().saturating_sub(before_kib)) / 1024;
    let per_row = |time: Duration| time.saturating_sub(making).as_nanos() / u128::from(size);
    println!(
        "| {size} | {} ns | {} ns a row | {} ns a row | {:.1} ms | {memory} MB for both looks |",
        making.as_nanos() / u128::from(size),
        per_row(first_look),
        per_row(second_look),
        judging.as_secs_f64() * 1000.0,
    );
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn look(rows: &Rows, size: u64, at_s: f64, before: Option<&Digest>) -> Look {
    let mut digest = match before {
        None => Digest::first(&[]),
        Some(before) => Digest::following(before, &[]),
    };
    for port in 0..8 {
        digest.add(&rows.listener(port));
    }
    for index in 0..size {
        digest.add(&rows.row(index));
    }
    Look {
        taken_at_s: at_s,
        boot_id: None,
        kernel: String::new(),
        reader: None,
        saved: false,
        own_namespace: None,
        notes: Vec::new(),
        namespaces: Vec::new(),
        pulses: Vec::new(),
        processes: vec![Process {
            pid: 1,
            name: "server".into(),
            uid: None,
            descriptor_limit: Some(1 << 20),
            sockets: size,
            container: None,
        }],
        details: Vec::new(),
        digest,
    }
}

/// Makes the rows; the same for the same index.
struct Rows {
    netns: Arc<str>,
    process: Arc<str>,
    info: Box<TcpInfo>,
}

impl Rows {
    fn new() -> Self {
        let mut bytes = [0; 280];
        bytes[136] = 9;
        bytes[156] = 8;
        Self { netns: "1".into(), process: "server".into(), info: Box::new(TcpInfo::from_bytes(&bytes)) }
    }

    fn listener(&self, port: u16) -> Socket {
        let mut socket = Socket::new(State::Listen);
        socket.netns = Some(self.netns.clone());
        socket.local_port = Some(8000 + port);
        (socket.backlog, socket.backlog_limit) = (Some(0), Some(4096));
        socket
    }

    fn row(&self, index: u64) -> Socket {
        let mixed = index.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let state = match index % 100 {
            0..5 => State::TimeWait,
            5..7 => State::CloseWait,
            7 => State::FinWait1,
            8 => State::SynReceived,
            _ => State::Established,
        };
        let mut socket = Socket::new(state);
        socket.netns = Some(self.netns.clone());
        socket.cookie = Some(index + 1);
        socket.local_address = IpAddr::V4(Ipv4Addr::new(10, 0, 0, (index % 16) as u8));
        let stranger = IpAddr::V4(Ipv4Addr::from_bits(0x0b00_0000 | (mixed >> 40) as u32));
        socket.remote_address = stranger;
        if index % 5 == 4 {
            socket.local_port = Some(32_768 + (mixed >> 32) as u16 % 28_000);
            socket.remote_port = Some(443);
            socket.remote_address =
                IpAddr::V4(Ipv4Addr::new(10, 1, (index % 200) as u8, (mixed >> 60) as u8));
        } else {
            socket.local_port = Some(8000 + (index % 8) as u16);
            socket.remote_port = Some((mixed >> 16) as u16 | 1024);
        }
        // Both ends of connections within the host, one behind the other.
        if index % 10 >= 8 && state == State::Established {
            let pair = u32::try_from(index / 10).unwrap_or(u32::MAX);
            let client =
                (IpAddr::V4(Ipv4Addr::from_bits(0x7f00_0000 | pair >> 14)), 32_768 | pair as u16 & 0x3fff);
            let server = (IpAddr::V4(Ipv4Addr::LOCALHOST), 8000);
            let (local, remote) = if index % 10 == 8 { (client, server) } else { (server, client) };
            (socket.local_address, socket.local_port) = (local.0, Some(local.1));
            (socket.remote_address, socket.remote_port) = (remote.0, Some(remote.1));
        }
        (socket.recv_queue, socket.send_queue) = (Some(u32::from(index.is_multiple_of(50)) * 9000), Some(0));
        match state {
            State::TimeWait => socket.kind = SocketKind::TimeWait,
            State::SynReceived => socket.kind = SocketKind::Request,
            _ => {
                socket.tcp_info = Some(self.info.clone());
                socket.inode = Some(index);
                socket.owners.push(Owner { pid: 1, process: self.process.clone(), fd: index as u32 });
            }
        }
        if matches!(state, State::TimeWait | State::SynReceived | State::FinWait1) {
            let kind = if state == State::TimeWait { TimerKind::TimeWait } else { TimerKind::Retransmit };
            socket.timer = Some(Timer { kind, expires_ms: 500, retransmits: 1 });
        }
        socket
    }
}
