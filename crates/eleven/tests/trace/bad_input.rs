//! Captures that are cut, damaged or none, and words that make no sense.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use super::{Simulated, trace};
use crate::support::program::{Ran, eleven, run};

#[test]
fn a_cut_capture_gives_what_it_holds_and_fails() {
    let (directory, path) = Simulated::default().capture();
    let whole = fs::read(&path).expect("it was written");
    let cut = directory.path().join("cut.pcapng");
    fs::write(&cut, &whole[..whole.len() / 2]).expect("there is room");
    let ran = trace(&cut, &["--format", "ndjson"]);
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    assert!(ran.stdout.contains("\"client\":\"10.0.0.1:40000\""), "{ran:#?}");
    assert!(ran.stderr.contains("at byte") && ran.stderr.contains("cut.pcapng"), "{ran:#?}");
}

#[test]
fn garbage_in_the_middle_is_stepped_over() {
    let client = "send 100000; shutdown; receive all; close";
    let (directory, path) = Simulated { client, ..Simulated::default() }.capture();
    let mut bytes = fs::read(&path).expect("it was written");
    let middle = bytes.len() / 2;
    // More than a packet, so that the beginning of a block is among it.
    bytes[middle..middle + 1_800].fill(0xa5);
    let damaged = directory.path().join("damaged.pcapng");
    fs::write(&damaged, &bytes).expect("there is room");
    let ran = trace(&damaged, &["--format", "ndjson"]);
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    assert!(ran.stderr.contains("skipped"), "{ran:#?}");
    assert!(ran.stdout.contains("\"ending\":\"fin\""), "the end of the flow is behind the damage: {ran:#?}");
}

#[test]
fn what_is_no_capture_is_said_to_be_none() {
    let directory = tempfile::tempdir().expect("a directory");
    let text = directory.path().join("notes.txt");
    fs::write(&text, "this is no capture at all").expect("there is room");
    trace(&text, &[]).fails(1, &["notes.txt is no capture"]);
    let empty = directory.path().join("empty.pcap");
    fs::write(&empty, "").expect("there is room");
    trace(&empty, &[]).fails(1, &["is empty"]);
    trace(directory.path(), &[]).fails(2, &["there is no file"]);
    trace(&directory.path().join("missing.pcap"), &[]).fails(2, &["missing.pcap"]);
    run(&["trace"]).fails(2, &["name a capture file"]);
    run(&["trace", "-i", "nosuch0"]).fails(1, &["nosuch0"]);
}

#[test]
fn words_that_make_no_sense_are_pointed_at() {
    let (_directory, path) = Simulated::default().capture();
    trace(&path, &["anomaly", "zero-windw"]).fails(2, &["did you mean `zero-window`"]);
    trace(&path, &["process", "nginx"]).fails(2, &["is asked of the sockets of a host"]);
    trace(&path, &["--diagram", "first"]).fails(2, &["names no flow"]);
    trace(&path, &["--diagram", "99"]).fails(1, &["there is no flow 99"]);
    trace(&path, &["other.pcap"]).fails(2, &["other.pcap"]);
    run(&["list", "closed-by", "client"]).fails(2, &["is asked of the flows of a capture"]);
}

#[test]
fn standard_input_is_read_too() {
    let (_directory, path) = Simulated::default().capture();
    let bytes = fs::read(path).expect("it was written");
    let mut child = eleven(&["trace", "-", "--format", "ndjson"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    child.stdin.take().expect("a pipe").write_all(&bytes).expect("it reads");
    let ran = Ran::from(child.wait_with_output().expect("it ends"));
    assert_eq!(ran.ndjson().len(), 1);
}

#[test]
fn flows_beyond_the_limit_are_not_lost() {
    // Each has one flow; together they have two on the same sockets, at different times.
    let (_one, first) = Simulated::default().capture();
    let (_other, second) = Simulated { seed: 2, ..Simulated::default() }.capture();
    let second = second.to_str().expect("UTF-8");
    let flows = trace(&first, &[second, "--format", "ndjson", "--max-flows", "1"]).ndjson();
    assert!(!flows.is_empty());
    let packets = |key: &str| flows.iter().filter_map(|flow| flow[key].as_u64()).sum::<u64>();
    let alone: u64 = [first.as_path(), second.as_ref()]
        .iter()
        .flat_map(|path| trace(path, &["--format", "ndjson"]).ndjson())
        .filter_map(|flow| Some(flow["packets_client"].as_u64()? + flow["packets_server"].as_u64()?))
        .sum();
    assert_eq!(packets("packets_client") + packets("packets_server"), alone);
}
