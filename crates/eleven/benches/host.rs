//! What `eleven` costs on a host with very many sockets, beside its peers and the kernel's
//! own cost, all measured in one run on one load that this program makes itself.
//!
//! ```text
//! cargo bench -p eleven --bench host                        10,000 and 100,000 sockets
//! cargo bench -p eleven --bench host -- 1000000             a million (some 3 GB of memory)
//! ```
//!
//! The load is loopback connections in a private network namespace, both ends counted, held by
//! processes of at most 9,900 connections each, and TIME_WAIT sockets beside them. Every
//! command runs in turn, several rounds; the medians are printed, and the ratio to a raw
//! sock_diag dump: a request a family, no extensions, nothing parsed.

use std::env;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, sendto, socket_with,
};

/// Connections of one process: two descriptors each, of the usual limit of 20,000.
const PER_PROCESS: usize = 9_900;
/// Of the sockets, one in so many is in TIME_WAIT.
const TIME_WAIT_SHARE: usize = 20;
/// As long as the kernel keeps them.
const TIME_WAIT_LASTS: Duration = Duration::from_secs(60);
/// Short connections to one listener: fewer than there are ports.
const SHORT_PER_LISTENER: usize = 20_000;
/// How often every command runs.
const ROUNDS: usize = 5;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let outcome = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["hold", index, connections] => hold(index, connections),
        ["short", connections] => make_time_wait(connections),
        ["raw-dump", kind] => raw_dump(kind),
        ["measure", command @ ..] => measure_here(command),
        sizes => run(sizes),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Measures at every size asked for.
fn run(sizes: &[&str]) -> Result<()> {
    let sizes = if sizes.is_empty() { vec!["10000", "100000"] } else { sizes.to_vec() };
    let sizes: Vec<usize> = sizes
        .iter()
        .map(|size| {
            size.replace([',', '_'], "").parse().with_context(|| format!("`{size}` is no number of sockets"))
        })
        .collect::<Result<_>>()?;
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: a network namespace of its own takes root");
        return Ok(());
    }
    enter_private_namespace()?;
    for size in sizes {
        measure_at(size)?;
    }
    Ok(())
}

#[allow(
    unsafe_code,
    reason = "rustix marks unshare unsafe for CLONE_FILES; only the network is unshared here"
)]
fn enter_private_namespace() -> Result<()> {
    // SAFETY: CLONE_NEWNET does not touch the descriptor table.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }.context("unshare")?;
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).status().context("ip link set lo up")?;
    ensure!(up.success(), "ip link set lo up failed");
    // The load opens connections faster than usual programs.
    for (name, value) in [("net/core/somaxconn", "4096"), ("net/ipv4/ip_local_port_range", "1025 65000")] {
        std::fs::write(format!("/proc/sys/{name}"), value).with_context(|| name.to_owned())?;
    }
    Ok(())
}

/// A holder of connections; it ends when its standard input closes, with us.
struct Holder(Child);

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

fn measure_at(size: usize) -> Result<()> {
    let time_wait = size / TIME_WAIT_SHARE;
    let connections = (size - time_wait) / 2;
    eprintln!("making {connections} connections and {time_wait} TIME_WAIT sockets …");
    let this = env::current_exe()?;
    let mut holders = Vec::new();
    let mut left = connections;
    while left > 0 {
        let some = left.min(PER_PROCESS);
        let child = Command::new(&this)
            .args(["hold", &holders.len().to_string(), &some.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        holders.push(Holder(child));
        left -= some;
    }
    for holder in &mut holders {
        let stdout = holder.0.stdout.take().context("no standard output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        ensure!(line.trim() == "ready", "a process could not make its connections: {line}");
    }

    let commands = commands(&this.display().to_string());
    let mut results: Vec<Vec<Measured>> = commands.iter().map(|_| Vec::new()).collect();
    let mut time_wait_made: Option<Instant> = None;
    for round in 0..ROUNDS {
        if time_wait_made.is_none_or(|made| made.elapsed() > TIME_WAIT_LASTS) {
            let made = Command::new(&this).args(["short", &time_wait.to_string()]).status()?;
            ensure!(made.success(), "short connections failed");
            time_wait_made = Some(Instant::now());
        }
        for (command, results) in commands.iter().zip(&mut results) {
            if is_installed(&command.argv[0]) {
                results.push(measure(&this, command)?);
            } else if round == 0 {
                eprintln!("skipped: {}: not installed", command.name);
            }
        }
        eprintln!("round {} of {ROUNDS}", round + 1);
    }
    print_table(&commands, &mut results, count_sockets()?)
}

/// A command that is measured.
struct Measurable {
    name: &'static str,
    argv: Vec<String>,
    /// What the project asks of it.
    asked: &'static str,
}

const ELEVEN: &str = env!("CARGO_BIN_EXE_eleven");

/// What is measured; the first is the measure of the others.
fn commands(this: &str) -> Vec<Measurable> {
    let command = |name, program: &str, arguments: &str, asked| Measurable {
        name,
        argv: [program].into_iter().chain(arguments.split_whitespace()).map(str::to_owned).collect(),
        asked,
    };
    let find = "find /proc/[0-9]*/fd -lname 'socket:*'".to_owned();
    vec![
        command("raw sock_diag dump", this, "raw-dump by-family", ""),
        command("the same by the legacy request", this, "raw-dump legacy", ""),
        command("eleven count", ELEVEN, "count", "≤ 0.6 × raw"),
        command("eleven count --reader netlink", ELEVEN, "count --reader netlink", "≤ 1.15 × raw"),
        command("eleven count 'state listening'", ELEVEN, "count state listening", "< 5 ms"),
        command(
            "eleven list --no-owners --format ndjson",
            ELEVEN,
            "list --no-owners --format ndjson",
            "≤ 1.5 × raw",
        ),
        command("eleven list --no-owners", ELEVEN, "list --no-owners", "≤ ss -Htan"),
        command("eleven list (with owners)", ELEVEN, "list", "≤ 3 s"),
        command("eleven (summary)", ELEVEN, "", ""),
        command("eleven doctor, two looks", ELEVEN, "doctor --for 1ms", "≤ 3 × a look alone"),
        command("eleven doctor, one look", ELEVEN, "doctor --for 0s", "≤ 1.5 × a look alone"),
        // Reads what a look reads, and shows nothing of it.
        Measurable {
            name: "a look alone: TCP_INFO and owners, nothing shown",
            argv: [ELEVEN, "list", "--info", "--format", "csv", "process nobody-has-this and age > 9000h"]
                .map(str::to_owned)
                .into(),
            asked: "",
        },
        command("ss -Htan", "ss", "-Htan", ""),
        command("netstat -ant", "netstat", "-ant", ""),
        command(
            "eleven count --by process --reader proc",
            ELEVEN,
            "count --by process --reader proc",
            "≤ 5 × find",
        ),
        Measurable {
            name: "find … -lname 'socket:*'",
            argv: vec!["sh".into(), "-c".into(), find],
            asked: "",
        },
        command("eleven explain TIME_WAIT", ELEVEN, "explain TIME_WAIT", "< 5 ms"),
    ]
}

fn is_installed(program: &str) -> bool {
    let on_path = || {
        let path = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&path).any(|directory| directory.join(program).is_file())
    };
    program.contains('/') || on_path()
}

fn count_sockets() -> Result<u64> {
    let output = Command::new(ELEVEN).args(["count", "--format", "json"]).output()?;
    let value: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    value["total"].as_u64().context("no total")
}

/// Wall time and peak resident memory of one run.
#[derive(Clone, Copy)]
struct Measured {
    wall: Duration,
    resident_kib: u64,
}

/// Runs a command through [`measure_here`] in a process of its own, whose only child it is:
/// so the children's peak memory is the command's.
fn measure(this: &Path, command: &Measurable) -> Result<Measured> {
    let output = Command::new(this).arg("measure").args(&command.argv).stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "`{}` failed", command.name);
    let text = String::from_utf8(output.stdout)?;
    let mut numbers = text.split_whitespace().map(str::parse::<u64>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(ns)), Some(Ok(resident_kib))) => {
            Ok(Measured { wall: Duration::from_nanos(ns), resident_kib })
        }
        _ => bail!("`{}`: no measurement in {text:?}", command.name),
    }
}

fn measure_here(command: &[&str]) -> Result<()> {
    let [program, arguments @ ..] = command else { bail!("no command to measure") };
    let null = File::options().write(true).open("/dev/null")?;
    let start = Instant::now();
    let mut child = Command::new(program).args(arguments).stdout(null).stderr(Stdio::null()).spawn()?;
    let pid = child.id();
    let (status, resident_kib) = wait_with_usage(pid)?;
    let wall = start.elapsed();
    // Reaped above: this only closes the handle.
    let _ = child.try_wait();
    // `find` fails on processes that end or hide their descriptors; that costs it nothing.
    ensure!(status == 0 || *program == "sh", "status {status}");
    println!("{} {resident_kib}", wall.as_nanos());
    Ok(())
}

#[allow(unsafe_code, reason = "std cannot say how much memory a child used; wait4(2) can")]
fn wait_with_usage(pid: u32) -> Result<(i32, u64)> {
    let mut status = 0;
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are to live values of the types wait4 writes, and a zeroed rusage
    // is valid.
    let (waited, usage) = unsafe {
        let waited = libc::wait4(pid.cast_signed(), &raw mut status, 0, usage.as_mut_ptr());
        (waited, usage.assume_init())
    };
    ensure!(waited == pid.cast_signed(), "wait4: {}", io::Error::last_os_error());
    Ok((status, u64::try_from(usage.ru_maxrss)?))
}

fn print_table(commands: &[Measurable], results: &mut [Vec<Measured>], sockets: u64) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "\n{sockets} sockets, median of {ROUNDS} rounds")?;
    writeln!(out, "| command | wall | × raw dump | asked for | peak memory |")?;
    writeln!(out, "| --- | ---: | ---: | ---: | ---: |")?;
    let mut raw = None;
    for (Measurable { name, asked, .. }, runs) in commands.iter().zip(results) {
        if runs.is_empty() {
            continue;
        }
        runs.sort_by_key(|run| run.wall);
        let wall = runs[runs.len() / 2].wall.as_secs_f64();
        let raw = *raw.get_or_insert(wall);
        let memory = runs.iter().map(|run| run.resident_kib).max().unwrap_or(0) as f64 / 1024.0;
        writeln!(out, "| {name} | {:.1} ms | {:.2} | {asked} | {memory:.1} MB |", wall * 1000.0, wall / raw)?;
    }
    Ok(())
}

/// An address of its own for every process, so that ports never run out.
fn listener_address(index: usize) -> SocketAddrV4 {
    let [_, _, high, low] = u32::try_from(index).unwrap_or(0).to_be_bytes();
    SocketAddrV4::new(Ipv4Addr::new(127, 1 + high, 1 + low, 1), 1024)
}

/// Holds connections to itself until standard input closes.
fn hold(index: &str, connections: &str) -> Result<()> {
    let (index, connections): (usize, usize) = (index.parse()?, connections.parse()?);
    let address = listener_address(index);
    let listener = TcpListener::bind(address)?;
    let mut ends = Vec::with_capacity(2 * connections);
    for _ in 0..connections {
        ends.push(TcpStream::connect(address)?);
        ends.push(listener.accept()?.0);
    }
    println!("ready");
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// Opens and closes connections: the side that closes first is left in TIME_WAIT.
fn make_time_wait(connections: &str) -> Result<()> {
    let connections: usize = connections.parse()?;
    for (index, start) in (0..connections).step_by(SHORT_PER_LISTENER).enumerate() {
        let listener = TcpListener::bind(SocketAddrV4::new(*listener_address(index + 60_000).ip(), 0))?;
        for _ in start..connections.min(start + SHORT_PER_LISTENER) {
            let client = TcpStream::connect(listener.local_addr()?)?;
            let (mut server, _) = listener.accept()?;
            drop(client);
            // The FIN has arrived when the read ends.
            server.read_to_end(&mut Vec::new())?;
        }
    }
    Ok(())
}

/// The kernel's own cost of a dump, nothing parsed: a request a family, or the legacy request
/// that walks both at once.
fn raw_dump(kind: &str) -> Result<()> {
    // All states but the bound ones, as ss asks.
    const STATES: [u8; 4] = 0x1fff_u32.to_ne_bytes();
    // The header's type, then the request up to and behind the socket's id.
    let requests: Vec<(u8, Vec<u8>)> = match kind {
        "legacy" => vec![(18, [&[2, 0, 0, 0][..], &[0; 48], &STATES, &[0; 4]].concat())],
        _ => [2, 10].map(|family| (20, [&[family, 6, 0, 0][..], &STATES, &[0; 48]].concat())).into(),
    };
    let socket =
        socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, Some(netlink::SOCK_DIAG))?;
    let mut buffer = vec![0_u8; 64 * 1024];
    let mut total = 0_usize;
    for (kind, body) in requests {
        let length = u32::try_from(16 + body.len())?.to_ne_bytes();
        // NLM_F_REQUEST | NLM_F_DUMP.
        let request = [&length[..], &[kind, 0, 0x01, 0x03], &[0; 8], &body].concat();
        sendto(&socket, &request, SendFlags::empty(), &netlink::SocketAddrNetlink::new(0, 0))?;
        loop {
            let (_, length) = recv(&socket, &mut buffer[..], RecvFlags::empty())?;
            total += length;
            // The message DONE, alone or behind the last rows, is 20 bytes long; an error 36.
            if is_message(&buffer, length, 20, 3) {
                break;
            }
            ensure!(!is_message(&buffer, length, 36, 2), "the kernel refused the dump");
        }
    }
    println!("{total}");
    Ok(())
}

/// Whether the datagram ends in a message of that length and type.
fn is_message(buffer: &[u8], length: usize, message: usize, kind: u8) -> bool {
    let Some(header) = length.checked_sub(message).and_then(|start| buffer[start..length].first_chunk::<6>())
    else {
        return false;
    };
    u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize == message && header[4] == kind
}
