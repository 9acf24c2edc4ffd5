//! Rows from the laboratory: each of its faults, and each of its near misses.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use eleven_lab::{Group, Scenario, all};
use eleven_testbed::namespace::Net;

use crate::children::Program;
use crate::row::{Fault, Row, Skip, Who};

/// The peer of all scenarios.
const PEER: Who = Who::Remote("192.0.2.2");

/// What a scenario expects beside the code in its data: responsible, whom, further codes that are true.
type More = (&'static str, &'static str, Who, &'static [&'static str]);

/// By name of the scenario.
const MORE: &[More] = &[
    ("syn-flood-cookies-0", "configuration", Who::Local(":80"), &["syn-flood", "harmful-sysctl"]),
    ("syn-flood-cookies-1", "network", Who::Local(":80"), &[]),
    ("syn-flood-cookies-2", "network", Who::Host, &[]),
    ("syn-backlog-full", "configuration", Who::Local(":80"), &["harmful-sysctl"]),
    ("accept-queue-overflow", "local-program", Who::Process, &[]),
    ("accept-queue-overflow-abort", "local-program", Who::Process, &["harmful-sysctl"]),
    ("time-wait-pile-up", "local-program", Who::Remote("192.0.2.2:80"), &[]),
    ("port-exhaustion", "local-program", Who::Remote("192.0.2.2:80"), &[]),
    ("port-exhaustion-tw-reuse", "local-program", Who::Remote("192.0.2.2:80"), &[]),
    ("time-wait-overflow", "configuration", Who::Sysctl("net.ipv4.tcp_max_tw_buckets"), &["harmful-sysctl"]),
    (
        "harmful-sysctls",
        "configuration",
        Who::Sysctl("net.ipv4.tcp_timestamps"),
        &["time-wait-port-exhaustion"],
    ),
    ("address-in-use", "local-program", Who::Local("192.0.2.1:81"), &[]),
    ("address-in-use-listener", "configuration", Who::Process, &[]),
    ("port-range-overlap", "configuration", Who::Sysctl("net.ipv4.ip_local_reserved_ports"), &[]),
    ("reset-unread-data", "local-program", Who::Host, &[]),
    ("reset-after-close", "local-program", Who::Host, &[]),
    ("refused-connections", "configuration", Who::Host, &[]),
    ("syn-sent-scan", "local-program", Who::Process, &[]),
    ("close-wait-leak", "local-program", Who::Process, &[]),
    ("close-wait-unread", "local-program", Who::Process, &[]),
    ("close-wait-forgotten", "local-program", Who::Process, &[]),
    ("fin-wait2-timeout", "peer", PEER, &[]),
    ("orphan", "network", PEER, &[]),
    ("last-ack-lost", "network", PEER, &[]),
    ("half-open", "local-program", PEER, &[]),
    ("half-open-keepalive", "local-program", PEER, &[]),
    ("half-open-user-timeout", "peer", PEER, &[]),
    ("keepalive-unanswered", "peer", PEER, &[]),
    ("keepalive-reset", "local-program", PEER, &[]),
    ("idle-without-keepalive", "local-program", Who::Process, &[]),
    ("heartbeat-client-restart", "local-program", PEER, &[]),
    ("heartbeat-server-restart", "local-program", PEER, &[]),
    ("heartbeat-peer-silent", "local-program", PEER, &[]),
    ("zero-window", "peer", PEER, &[]),
    ("persist", "peer", PEER, &[]),
    ("fin-wait1-zero-window", "peer", PEER, &[]),
    ("slow-reader", "local-program", Who::Process, &[]),
    ("slow-reader-peer", "peer", PEER, &[]),
    ("mtu-black-hole", "network", PEER, &[]),
    ("mtu-black-hole-probing", "network", PEER, &[]),
    ("lossy-path", "network", Who::Remote("192.0.2.0/24"), &[]),
    ("idle-timeout-wrong-order", "configuration", Who::Host, &[]),
];

/// Idle connections are told from busy ones by a minute of silence.
const IDLE: Duration = Duration::from_secs(62);
/// Scenarios that are about silence.
const IDLE_FOR_LONG: &[&str] = &[
    "idle-without-keepalive",
    "idle-with-keepalive",
    // What is left of these is an idle connection whose peer is gone.
    "half-open",
    "half-open-keepalive",
    "keepalive-reset",
    "heartbeat-server-restart",
    "heartbeat-client-restart",
    "heartbeat-peer-silent",
];

/// Scenarios with other settings: name of the row, of the scenario, the setting, and whether that is a fault.
const OTHERWISE: &[(&str, &str, &str, bool)] = &[
    ("lossy-path-25-percent", "lossy-path", "percent=25", true),
    ("lossy-path-hardly", "lossy-path", "percent=0", false),
    ("accept-queue-roomy", "busy-accept-queue", "somaxconn=8192", false),
    ("close-wait-leak-fast", "close-wait-leak", "connections=200", true),
    ("port-exhaustion-wide", "time-wait-pile-up", "ip_local_port_range=30000 60000", false),
];

/// All of them.
pub(crate) fn rows() -> Vec<Row> {
    let named = |name: &str| all().find(|scenario| scenario.name == name).expect("it is in the list");
    let otherwise = OTHERWISE.iter().map(|(row, scenario, setting, is_fault)| {
        let scenario = named(scenario);
        let make = move |_: &Net| held(scenario, Some(setting));
        let usual = scenario.finding.filter(|_| *is_fault).map(|code| fault(scenario, code).expected);
        Row { expected: usual.flatten(), ..Row::healthy(*row, make) }
    });
    plain().into_iter().chain(otherwise).collect()
}

/// Each scenario as it is.
fn plain() -> Vec<Row> {
    all()
        .filter(|scenario| matches!(scenario.group, Group::Faults | Group::Healthy))
        .map(|scenario| {
            let row = match scenario.finding {
                None => Row::healthy(scenario.name, move |_: &Net| held(scenario, None)),
                Some(code) => fault(scenario, code),
            };
            let row = Row { unseen: scenario.unseen(), ..row };
            let waits = IDLE_FOR_LONG.contains(&scenario.name);
            row.ripe_after(if waits { IDLE } else { Duration::ZERO })
        })
        .collect()
}

fn fault(scenario: &'static Scenario, code: &'static str) -> Row {
    let more = MORE.iter().find(|(name, ..)| *name == scenario.name);
    let (_, responsible, who, allowed) =
        *more.unwrap_or_else(|| panic!("{} has no line in {}", scenario.name, file!()));
    Row::fault(scenario.name, code, responsible, who, move |_: &Net| held(scenario, None)).allow(allowed)
}

/// Plays a scenario, which is then held.
fn held(scenario: &'static Scenario, setting: Option<&str>) -> Result<Fault, Skip> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eleven"));
    command.args(["lab", "run", scenario.name, "--hold"]);
    command.args(setting.iter().flat_map(|setting| ["--set", setting]));
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).env("LC_ALL", "C.UTF-8");
    let mut lab = Program::start(None, &mut command)?;
    let (stdin, _, stderr) = lab.pipes();
    let mut lines = BufReader::new(stderr.ok_or("no pipe")?);
    let mut said = String::new();
    let path = loop {
        let start = said.len();
        if lines.read_line(&mut said).unwrap_or(0) == 0 {
            return Err(Skip(said.lines().next().unwrap_or("the laboratory said nothing").to_owned()));
        }
        if let Some((_, rest)) = said[start..].split_once("--net=") {
            break rest.split_whitespace().next().unwrap_or_default().to_owned();
        }
    };
    // Nobody reads the rest, which must not stop it.
    thread::spawn(move || lines.read_to_end(&mut Vec::new()));
    let pid = lab.pid();
    let mut fault = Fault::of(lab).at(path).by(pid);
    fault.release = stdin.map(|mut stdin| -> Box<dyn FnOnce() + Send> {
        Box::new(move || {
            let _ = stdin.write_all(b"\n");
        })
    });
    Ok(fault)
}
