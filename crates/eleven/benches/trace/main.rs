//! `eleven trace` on whole files, beside other readers of captures.
//!
//! `cargo bench -p eleven --bench trace` generates two captures, A of a million packets in long flows and B of three
//! million small ones in short flows, and times whole commands on them one after the other, several times round. Files
//! are in the page cache, each command runs on one core, and only ratios of one run count. Peers that are not installed
//! are left out. A word chooses: `cargo bench -p eleven --bench trace -- B`; a directory among the words keeps the captures:
//! `-- /tmp`.

#[path = "../../../capture/benches/captures/generate.rs"]
mod generate;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

const ELEVEN: &str = env!("CARGO_BIN_EXE_eleven");

/// What is timed; `FILE` is the capture.
const COMMANDS: [(&str, &[&str]); 8] = [
    ("tcpdump -w /dev/null", &["tcpdump", "-r", "FILE", "-w", "/dev/null"]),
    ("eleven trace", &[ELEVEN, "trace", "FILE", "--limit", "0"]),
    ("eleven trace, all flows as ndjson", &[ELEVEN, "trace", "FILE", "--format", "ndjson"]),
    ("eleven trace --segments, ndjson", &[ELEVEN, "trace", "FILE", "--segments", "--format", "ndjson"]),
    ("eleven trace --threads 2", &[ELEVEN, "trace", "FILE", "--limit", "0", "--threads", "2"]),
    ("eleven trace --checksums ignore", &[ELEVEN, "trace", "FILE", "--limit", "0", "--checksums", "ignore"]),
    ("tcptrace -n", &["tcptrace", "-n", "FILE"]),
    ("tshark -q -z conv,tcp", &["tshark", "-r", "FILE", "-q", "-z", "conv,tcp"]),
];

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    // `cargo test` only sees that it works.
    let quick = cfg!(debug_assertions) || std::env::args().any(|word| word == "--test");
    let (places, words): (Vec<String>, Vec<String>) = words.into_iter().partition(|word| word.contains('/'));
    let temporary = tempfile::tempdir().expect("a directory for the captures");
    let directory = places.first().map_or(temporary.path(), |place| Path::new(place.as_str()));
    for (name, shape) in [("A", generate::A), ("B", generate::B)] {
        if !words.is_empty() && !words.iter().any(|word| word == name) {
            continue;
        }
        let shape = if quick { generate::Shape { packets: 2_000, ..shape } } else { shape };
        let path = directory.join(name);
        let made = generate::generate(&path, shape).expect("there is room for the capture");
        println!("{name}: {} packets in {} flows, {} bytes", made.packets, made.flows, made.bytes);
        compare(&path, made.packets, if quick { 1 } else { 5 });
    }
}

fn compare(path: &Path, packets: u64, rounds: usize) {
    let mut best = [f64::INFINITY; COMMANDS.len()];
    for round in 0..rounds {
        for (best, (name, command)) in best.iter_mut().zip(COMMANDS) {
            // The slow ones are not worth waiting for more than once.
            let is_slow = name.starts_with("tshark") || name.starts_with("tcptrace");
            if round == 0 || !is_slow {
                *best = best.min(time(command, path).unwrap_or(f64::INFINITY));
            }
        }
    }
    let rate = |seconds: f64| packets as f64 / seconds / 1e3;
    for (seconds, (name, command)) in best.into_iter().zip(COMMANDS) {
        if seconds.is_infinite() {
            println!("  {name:34} skipped: {} is not installed or failed", command[0]);
        } else {
            let ratio = best[0] / seconds;
            let beside = if best[0].is_finite() { format!("{ratio:6.2} × tcpdump") } else { String::new() };
            println!("  {name:34} {seconds:7.3} s {:8.0} kpackets/s {beside}", rate(seconds));
        }
    }
}

fn time(command: &[&str], path: &Path) -> Option<f64> {
    let (program, arguments) = command.split_first()?;
    let mut command = Command::new(program);
    for argument in arguments {
        if *argument == "FILE" {
            command.arg(path)
        } else {
            command.arg(argument)
        };
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let status = command.status().ok()?;
    let seconds = start.elapsed().as_secs_f64();
    status.success().then_some(seconds)
}
