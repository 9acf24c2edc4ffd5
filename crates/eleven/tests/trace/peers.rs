//! What tshark says of the same captures, where it is installed.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use eleven_testbed::skipped;

use super::corpus::corpus;
use super::{Simulated, trace};

fn has_tshark() -> bool {
    let look = Command::new("tshark").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let has = look.is_ok_and(|status| status.success());
    if !has {
        skipped("tshark is not installed");
    }
    has
}

/// By the first packet of each stream: its completeness.
fn completeness_by_tshark(path: &Path) -> BTreeMap<u64, u64> {
    let output = Command::new("tshark")
        .arg("-r")
        .arg(path)
        .args(["-2", "-Y", "tcp", "-T", "fields"])
        .args(["-e", "tcp.stream", "-e", "tcp.completeness", "-e", "frame.number"])
        .output()
        .expect("tshark runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let (mut firsts, mut found) = (BTreeMap::new(), BTreeMap::new());
    for line in text.lines() {
        let mut fields = line.split('\t').map(|field| field.rsplit(',').next().unwrap_or(field));
        let mut number = || fields.next().and_then(|field| field.parse::<u64>().ok());
        if let (Some(stream), Some(completeness), Some(frame)) = (number(), number(), number()) {
            let first = *firsts.entry(stream).or_insert(frame);
            found.insert(first, completeness);
        }
    }
    found
}

fn completeness_by_us(path: &Path) -> BTreeMap<u64, u64> {
    let ran = trace(path, &["--format", "ndjson"]);
    let flows = ran.stdout.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    flows
        .filter_map(|flow| Some((flow["first_packet"].as_u64()?, flow["wireshark_completeness"].as_u64()?)))
        .collect()
}

/// Where tshark differs for a reason: how the file's name begins, which bits, and why.
const EXCUSES: [(&str, u64, &str); 2] = [
    (
        "ftp--",
        1,
        "tshark's FTP announces the connection before its SYN, and the SYN is no longer the first packet",
    ),
    ("vntag_", 2, "tshark counts no segment whose header was cut"),
];

#[test]
fn completeness_is_tsharks_on_public_captures() {
    let Some(corpus) = corpus() else { return };
    if !has_tshark() {
        return;
    }
    let mut files: Vec<_> = std::fs::read_dir(corpus)
        .expect("it can be listed")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "pcap" || ending == "pcapng"))
        .collect();
    files.sort();
    let mut compared = 0;
    for path in &files {
        let (theirs, ours) = (completeness_by_tshark(path), completeness_by_us(path));
        for (first, completeness) in theirs {
            // A stream that begins where no flow of ours does is told apart by other conditions.
            let Some(found) = ours.get(&first) else { continue };
            compared += 1;
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            match EXCUSES
                .iter()
                .find(|(start, bits, _)| name.starts_with(start) && found ^ completeness == *bits)
            {
                Some((_, _, why)) => println!("{name}, packet {first}: {why}"),
                None => assert_eq!(*found, completeness, "{name}, packet {first}"),
            }
        }
    }
    println!("{compared} streams");
    assert!(compared > 40);
}

#[test]
fn completeness_is_tsharks_on_simulated_captures() {
    if !has_tshark() {
        return;
    }
    // A few here, for tshark takes a second each; more with RUNS=200.
    let runs = std::env::var("RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(8);
    let programs = [
        ("send 5000; shutdown; receive all; close", "receive all; send 3000; close"),
        ("send 100; receive all; close", "receive 100; send 20000; close"),
        ("send 100; abort", "receive all; close"),
        ("receive all; close", "close"),
    ];
    for seed in 0..runs {
        let (client, server) = programs[seed as usize % programs.len()];
        let loss = [0.0, 0.05, 0.2][seed as usize % 3];
        let (_directory, path) = Simulated { seed, loss, client, server, ..Simulated::default() }.capture();
        let (theirs, ours) = (completeness_by_tshark(&path), completeness_by_us(&path));
        assert_eq!(ours, theirs, "seed {seed}, loss {loss}, {client} / {server}");
    }
}

/// By the first packet of each stream: segments that came again or late, and zero windows.
///
/// tshark calls what fills a gap within the first round trip out of order. Where duplicate ACKs or SACK asked for it, it
/// was sent again, so both together are compared.
fn repeats_by_tshark(path: &Path) -> BTreeMap<u64, (u64, u64)> {
    let output = Command::new("tshark")
        .arg("-r")
        .arg(path)
        .args(["-2", "-Y", "tcp", "-T", "fields"])
        .args(["-e", "tcp.stream", "-e", "frame.number", "-e", "tcp.analysis.retransmission"])
        .args(["-e", "tcp.analysis.out_of_order", "-e", "tcp.analysis.zero_window"])
        .output()
        .expect("tshark runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let (mut firsts, mut found) = (BTreeMap::new(), BTreeMap::new());
    for line in text.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [stream, frame, again, late, zero] = fields[..] else { continue };
        let Ok(frame) = frame.parse::<u64>() else { continue };
        let first = *firsts.entry(stream.to_owned()).or_insert(frame);
        let counts: &mut (u64, u64) = found.entry(first).or_default();
        counts.0 += u64::from(!again.is_empty() || !late.is_empty());
        counts.1 += u64::from(!zero.is_empty());
    }
    found
}

#[test]
fn repeats_and_zero_windows_are_tsharks_on_simulated_captures() {
    if !has_tshark() {
        return;
    }
    let runs = std::env::var("RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(6);
    for seed in 0..runs {
        let loss = [0.02, 0.05, 0.1][seed as usize % 3];
        let client = "send 60000; shutdown; receive all; close";
        let (_directory, path) = Simulated { seed, loss, client, ..Simulated::default() }.capture();
        let ours: BTreeMap<u64, (u64, u64)> = trace(&path, &["--format", "ndjson"])
            .ndjson()
            .iter()
            .map(|flow| {
                let number = |key: &str| flow[key].as_u64().expect("a number");
                let both = |key: &str| number(&format!("{key}_client")) + number(&format!("{key}_server"));
                let late = flow["anomalies"].as_array().expect("a list").iter();
                let late = late.filter(|odd| odd["kind"] == "out-of-order");
                let late: u64 = late.filter_map(|odd| odd["count"].as_u64()).sum();
                (number("first_packet"), (both("retransmissions") + late, both("zero_windows")))
            })
            .collect();
        assert_eq!(ours, repeats_by_tshark(&path), "seed {seed}, loss {loss}");
    }
}
