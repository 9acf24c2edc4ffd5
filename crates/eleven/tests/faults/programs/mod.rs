//! Rows with real programs: a table of what Python programs and well-known servers do here, and
//! how they are started.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use eleven_testbed::namespace::Net;

use crate::children::Program;
use crate::row::{Expected, Fault, Row, Skip, Who};

/// Files of the programs, and their text.
const COMMON: &str = include_str!("python/common.py");
const CLOSING: &str = include_str!("python/closing.py");
const HANDSHAKES: &str = include_str!("python/handshakes.py");
const PEERS: &str = include_str!("python/peers.py");
const PORTS: &str = include_str!("python/ports.py");
const QUEUES: &str = include_str!("python/queues.py");
const RESETS: &str = include_str!("python/resets.py");
const SERVERS: &str = include_str!("python/servers.py");

/// Longest time until a program has made its fault.
const PATIENCE: Duration = Duration::from_secs(60);

/// A fault: function, code, responsible, whom, further codes that are true.
type Line = (&'static str, &'static str, &'static str, Who, &'static [&'static str]);

/// What the functions of a file make: faults, and near misses.
const FILES: &[(&str, &[Line], &[&str])] = &[
    (
        CLOSING,
        &[
            ("server_that_never_closes", "close-wait-leak", "local-program", Who::Named, &[]),
            ("server_that_leaks", "close-wait-leak", "local-program", Who::Named, &[]),
            ("pool_that_never_looks", "close-wait-leak", "local-program", Who::Named, &[]),
            (
                "client_that_waits_for_a_close",
                "close-wait-leak",
                "local-program",
                Who::Named,
                &["fin-wait2-held"],
            ),
            ("fin_into_the_void", "fin-wait1-stuck", "network", Who::Remote("10.9.0.2"), &[]),
            ("last_ack_from_the_void", "last-ack-stuck", "network", Who::Remote("10.9.0.2"), &[]),
        ],
        &["answers_to_half_closed_clients", "slow_answers"],
    ),
    (
        QUEUES,
        &[
            ("nobody_accepts", "accept-queue-overflow", "local-program", Who::Named, &[]),
            ("requests_that_nobody_accepts", "accept-queue-overflow", "local-program", Who::Named, &[]),
            ("descriptors_used_up", "fd-exhaustion", "local-program", Who::Local(":7003"), &[]),
            ("reader_that_sleeps", "local-reader-slow", "local-program", Who::Named, &["peer-reader-slow"]),
            ("peer_that_sleeps", "peer-reader-slow", "peer", Who::Remote("10.9.0.2:5000"), &[]),
            (
                "closed_before_a_sleeping_reader",
                "local-reader-slow",
                "local-program",
                Who::Named,
                &["fin-wait1-stuck"],
            ),
        ],
        &["half_full_queue", "many_descriptors", "reader_that_keeps_up"],
    ),
    (
        HANDSHAKES,
        &[
            ("silent_destination", "syn-sent-unanswered", "network", Who::Remote("10.9.0.77:443"), &[]),
            ("scanner", "syn-sent-scan", "local-program", Who::Named, &[]),
            ("syn_flood", "syn-flood", "network", Who::Local("10.9.0.1:80"), &[]),
            ("nothing_listens", "refused-connections", "configuration", Who::Host, &[]),
        ],
        &["crawler", "refused_now_and_then"],
    ),
    (
        PEERS,
        &[
            ("other_end_is_missing", "half-open-peer", "local-program", Who::Named, &[]),
            ("data_into_the_void", "half-open-peer", "peer", Who::Remote("10.9.0.2:5000"), &[]),
            ("unwatched", "keepalive-missing", "local-program", Who::Named, &[]),
            ("client_that_restarts", "heartbeat-reconnect", "local-program", Who::Remote("10.9.0.2"), &[]),
        ],
        &["quiet_pairs", "watched"],
    ),
    (
        RESETS,
        &[
            ("closes_with_data_unread", "reset-unread-data", "local-program", Who::Host, &[]),
            ("sends_after_the_close", "reset-after-close", "local-program", Who::Host, &[]),
        ],
        &["one_client_gives_up"],
    ),
    (
        PORTS,
        &[
            (
                "no_port_left",
                "time-wait-port-exhaustion",
                "local-program",
                Who::Remote("127.0.0.1:7008"),
                &[],
            ),
            (
                "ports_run_out",
                "time-wait-port-exhaustion",
                "local-program",
                Who::Remote("127.0.0.1:7008"),
                &[],
            ),
            ("server_that_closes_first", "time-wait-normal", "local-program", Who::Named, &[]),
            (
                "buckets_used_up",
                "time-wait-overflow",
                "configuration",
                Who::Sysctl("net.ipv4.tcp_max_tw_buckets"),
                &["harmful-sysctl"],
            ),
            (
                "harmful_values",
                "harmful-sysctl",
                "configuration",
                Who::Sysctl("net.ipv4.tcp_abort_on_overflow"),
                &[],
            ),
            ("listens_among_outgoing_ports", "port-range-overlap", "configuration", Who::Named, &[]),
        ],
        &["ports_to_spare"],
    ),
    (
        SERVERS,
        &[
            ("nginx_is_stopped", "accept-queue-overflow", "local-program", Who::Named, &[]),
            ("nginx_has_too_few_descriptors", "fd-exhaustion", "local-program", Who::Named, &[]),
            (
                "nginx_runs_out_of_ports",
                "time-wait-port-exhaustion",
                "local-program",
                Who::Remote("127.0.0.1:9000"),
                &[],
            ),
            (
                "redis_client_that_sleeps",
                "local-reader-slow",
                "local-program",
                Who::Named,
                &["peer-reader-slow"],
            ),
            ("redis_is_stopped", "local-reader-slow", "local-program", Who::Named, &["peer-reader-slow"]),
        ],
        &[
            "nginx_under_load",
            "nginx_with_short_connections",
            "nginx_with_idle_clients",
            "redis_under_load",
            "haproxy_under_load",
            "apache_under_load",
            "build_machine",
        ],
    ),
];

/// Faults and near misses that are told by a minute of silence.
const IDLE_FOR_LONG: &[&str] = &["unwatched", "watched", "client_that_restarts", "nginx_with_idle_clients"];
const IDLE: Duration = Duration::from_secs(62);

/// All of them.
pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for &(text, faults, healthy) in FILES {
        for &(function, code, responsible, who, allowed) in faults {
            let expected = Some(Expected { code, responsible, who });
            rows.push(Row { expected, ..row(text, function) }.allow(allowed));
        }
        rows.extend(healthy.iter().map(|function| row(text, function)));
    }
    rows
}

fn row(text: &'static str, function: &'static str) -> Row {
    let waits = IDLE_FOR_LONG.contains(&function);
    Row::healthy(function.replace('_', "-"), move |net: &Net| start(net, text, function))
        .ripe_after(if waits { IDLE } else { Duration::ZERO })
}

/// Starts a program, and returns when it says that its fault is there.
fn start(net: &Net, text: &str, function: &str) -> Result<Fault, Skip> {
    let mut python = Command::new("python3");
    python.args(["-u", "-c", &format!("{COMMON}\n{text}\n{function}()\n")]);
    python.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut program = Program::start(Some(net), &mut python)?;
    let (_, stdout, _) = program.pipes();
    let mut lines = BufReader::new(stdout.ok_or("no pipe")?);
    let (sender, said) = mpsc::channel();
    thread::spawn(move || {
        let mut line = String::new();
        let read = lines.read_line(&mut line);
        let _ = sender.send(read.map(|_| line));
        // Nobody reads the rest, which must not stop it.
        let _ = lines.read_to_end(&mut Vec::new());
    });
    let line = said.recv_timeout(PATIENCE).ok().and_then(Result::ok).unwrap_or_default();
    let mut words = line.split_whitespace();
    match words.next() {
        Some("ready") => {}
        Some("skipped") => return Err(Skip(words.collect::<Vec<_>>().join(" "))),
        _ => panic!("{function} has not made its fault: {line}"),
    }
    let mut fault = Fault::of(program);
    for word in words {
        match (word.strip_prefix('@'), word.parse()) {
            (Some(remote), _) => fault = fault.from(remote),
            (None, Ok(pid)) => fault = fault.by(pid),
            (None, Err(_)) => {}
        }
    }
    Ok(fault)
}
