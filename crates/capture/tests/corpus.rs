//! Public captures with tags, labels and tunnels of many kinds: all are taken apart, and as many packets carry TCP as
//! tshark says.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use eleven_capture::{Capture, Checksum, Dissected, Dissector};
use eleven_testbed::skipped;

fn corpus() -> Option<Vec<PathBuf>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus/zeek");
    let mut files: Vec<_> = fs::read_dir(directory).ok()?.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension != "json"));
    files.sort();
    Some(files)
}

/// What the packets of a file turn out to be.
#[derive(Debug, Default)]
struct Count {
    packets: u64,
    tcp: Vec<u64>,
    bad: u64,
    unreadable: Vec<(u64, String)>,
}

fn count(path: &Path) -> Count {
    let mut capture = Capture::open(path).expect("it is a capture");
    let mut dissector = Dissector::default();
    let mut count = Count::default();
    while let Some(packet) = capture.next_packet().expect("the captures are sound") {
        count.packets += 1;
        match dissector.dissect(&packet) {
            Dissected::Tcp(tcp) => {
                count.tcp.push(packet.number);
                count.bad += u64::from(tcp.checksum == Checksum::Bad);
            }
            Dissected::Unreadable { why, offset } => {
                count.unreadable.push((packet.number, format!("{why}, at {offset}")));
            }
            Dissected::Icmp(_) | Dissected::Fragment | Dissected::NotTcp(_) => {}
        }
    }
    count
}

#[test]
fn every_file_of_the_corpus_is_taken_apart() {
    let Some(files) = corpus() else { return skipped("no corpus") };
    for path in files {
        let count = count(&path);
        assert!(count.packets > 0 && count.unreadable.is_empty(), "{}: {count:?}", path.display());
        assert!(!count.tcp.is_empty(), "{}: {count:?}", path.display());
    }
}

#[test]
fn as_many_packets_carry_tcp_as_tshark_says() {
    let Some(files) = corpus() else { return skipped("no corpus") };
    for path in files {
        let ours = count(&path);
        let mut tshark = Command::new("tshark");
        tshark.args([
            "-d",
            "udp.port==47101,geneve",
            "-Y",
            "tcp",
            "-T",
            "fields",
            "-e",
            "frame.number",
            "-r",
        ]);
        let Ok(output) = tshark.arg(&path).output() else { return skipped("no tshark") };
        let theirs = String::from_utf8_lossy(&output.stdout);
        let theirs: Vec<u64> = theirs.lines().filter_map(|line| line.parse().ok()).collect();
        assert_eq!(ours.tcp, theirs, "{}", path.display());
    }
}
