//! However many threads track, the answer is that of one.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use eleven_tcp::{Ecn, Flags, Segment, SeqNumber, ip};
use serde_json::Value;
use tempfile::TempDir;

use super::{Simulated, trace};

/// Connections that open and close, a flood of SYNs upon one server, a scan and a probe by one host, all mixed.
fn crowd() -> (TempDir, PathBuf) {
    let mut bytes =
        vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 101, 0, 0, 0];
    let mut micros = 0_u32;
    let mut send = |from: (u32, u16), to: (u32, u16), flags: Flags, seq: u32, ack: u32| {
        let segment = Segment {
            source_port: from.1,
            destination_port: to.1,
            seq: SeqNumber(seq),
            ack: SeqNumber(ack),
            flags,
            window: 500,
            ..Segment::default()
        };
        let mut packet = Vec::new();
        let [from, to] = [from.0, to.0].map(|address| Ipv4Addr::from_bits(address).into());
        ip::emit_segment(&segment, from, to, Ecn::NotEct, 64, &mut packet).expect("it is short enough");
        micros += 50;
        let length = packet.len() as u32;
        for word in [1_700_000_000 + micros / 1_000_000, micros % 1_000_000, length, length] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(&packet);
    };
    let (server, ack) = ((0x0a00_0001, 80), Flags::ACK);
    for number in 0..3_000_u32 {
        let client = (0x0a01_0000 + number, 1_024 + number as u16);
        match number % 5 {
            0 => send(client, server, Flags::SYN, 9, 0),
            1 => send((0x0a02_0000, 40_000), (0x0a03_0000 + number, 22), Flags::SYN, 5, 0),
            2 => send((0x0a02_0001, 40_000), (0x0a03_0000 + number, 23), Flags::NONE, 5, 0),
            3 => {
                let client = (0x0a04_0000, client.1);
                let far = (0x0a05_0000 + number % 7, 443);
                send(client, far, Flags::SYN, 100, 0);
                send(far, client, Flags::SYN | ack, 300, 101);
                send(client, far, ack, 101, 301);
                send(far, client, Flags::FIN | ack, 301, 101);
                send(client, far, Flags::FIN | ack, 101, 302);
                send(far, client, ack, 302, 102);
            }
            _ => send(server, client, Flags::SYN | ack, 77, 10),
        }
    }
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("crowd.pcap");
    fs::write(&path, bytes).expect("there is room");
    (directory, path)
}

#[test]
fn threads_change_no_answer() {
    let (_directory, crowd) = crowd();
    let (_other, lossy) = Simulated { loss: 0.1, seed: 5, ..Simulated::default() }.capture();
    for path in [&crowd, &lossy] {
        for arguments in [
            &["--format", "json"][..],
            &["--format", "ndjson", "--segments"],
            &["--format", "csv", "--limit", "70"],
            &["--limit", "50"],
            &["anomaly scan or anomaly syn-flood", "--format", "ndjson"],
            &["--explain", "1"],
        ] {
            let answer = |threads: &str| trace(path, &[arguments, &["--threads", threads]].concat()).done();
            let one = answer("1");
            for threads in ["2", "3", "16"] {
                assert_eq!(answer(threads), one, "{arguments:?} with {threads} threads");
            }
        }
    }
    let odd = trace(&crowd, &["--format", "json", "--threads", "4"]).json();
    let of = |kind: &str| {
        let has = |flow: &&Value| flow["anomalies"].as_array().unwrap().iter().any(|odd| odd["kind"] == kind);
        odd.as_array().unwrap().iter().filter(has).count()
    };
    assert!(of("syn-flood") > 100 && of("scan") > 100, "{} and {}", of("syn-flood"), of("scan"));
}

#[test]
fn with_too_many_flows_each_is_still_told_once() {
    let (_directory, crowd) = crowd();
    let told = |arguments: &[&str]| -> BTreeMap<u64, String> {
        let ran = trace(&crowd, &[&["--format", "ndjson"], arguments].concat());
        let mut flows = BTreeMap::new();
        for line in ran.stdout.lines() {
            let flow: Value = serde_json::from_str(line).expect("JSON");
            let number = flow["flow"].as_u64().expect("a number");
            let what = format!("{} {} {}", flow["client"], flow["server"], flow["anomalies"]);
            assert!(flows.insert(number, what).is_none(), "flow {number} was told twice");
        }
        flows
    };
    let all = told(&[]);
    assert_eq!(all.len(), 3_000);
    assert_eq!(told(&["--max-flows", "300", "--threads", "3"]), all);
    assert_eq!(told(&["--max-flows", "300"]), all);
}
