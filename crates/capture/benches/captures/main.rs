//! How fast captures are read and taken apart, beside tcpdump, which only copies them.
//!
//! `cargo bench -p eleven-capture` makes its own captures in a temporary directory; `-- DIRECTORY` keeps them there. Best
//! of five; quote ratios of one run.

mod generate;

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use eleven_capture::{Capture, Checksum, Dissected, Dissector};
use generate::{A, B, Shape};

const ROUNDS: u32 = 5;

fn main() {
    let temporary = tempfile::tempdir().expect("a temporary directory");
    let kept = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let directory = kept.map_or(temporary.path().to_owned(), PathBuf::from);
    for (name, shape) in [("A", A), ("B", B)] {
        let path = directory.join(format!("{name}.pcap"));
        let made = make(&path, shape);
        println!("{name}: {} packets of {} bytes", made.0, made.1 / made.0);
        let packets = made.0;
        let read = best(|| read_only(&path));
        let layers = best(|| dissect(&path, false));
        let all = best(|| dissect(&path, true));
        show("read", packets, read, None);
        show("read, take apart", packets, layers, None);
        let tcpdump = tcpdump(&path).map(|()| best(|| tcpdump_once(&path)));
        show("read, take apart, checksums", packets, all, tcpdump);
        if let Some(tcpdump) = tcpdump {
            show("tcpdump -w /dev/null", packets, tcpdump, None);
        }
    }
}

/// Its packets and their bytes; it is only made if it is not there.
fn make(path: &Path, shape: Shape) -> (u64, u64) {
    if !path.exists() {
        let made = generate::generate(path, shape).expect("there is room for the capture");
        println!("{}: {} packets in {} flows", path.display(), made.packets, made.flows);
    }
    let mut capture = Capture::open(path).expect("it was just made");
    while capture.next_packet().expect("it is sound").is_some() {}
    (capture.statistics().packets, capture.statistics().bytes)
}

fn best(run: impl Fn()) -> Duration {
    (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .min()
        .unwrap_or_default()
}

fn show(what: &str, packets: u64, time: Duration, tcpdump: Option<Duration>) {
    let nanos = time.as_secs_f64() * 1e9 / packets as f64;
    print!("  {what:<28} {nanos:>7.1} ns a packet, {:>6.0} k a second", 1e6 / nanos);
    match tcpdump {
        Some(tcpdump) => println!(", {:.2} × tcpdump", tcpdump.as_secs_f64() / time.as_secs_f64()),
        None => println!(),
    }
}

fn read_only(path: &Path) {
    let mut capture = Capture::open(path).expect("it was just made");
    while let Some(packet) = capture.next_packet().expect("it is sound") {
        black_box(packet.time);
    }
}

fn dissect(path: &Path, checksums: bool) {
    let mut capture = Capture::open(path).expect("it was just made");
    let mut dissector = Dissector::default();
    dissector.verify_checksums(checksums);
    while let Some(packet) = capture.next_packet().expect("it is sound") {
        let dissected = dissector.dissect(&packet);
        let Dissected::Tcp(tcp) = &dissected else { panic!("all of it is TCP") };
        assert!(!checksums || tcp.checksum == Checksum::Good);
        black_box(tcp);
    }
}

fn tcpdump(path: &Path) -> Option<()> {
    let there = Command::new("tcpdump").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    there.is_ok_and(|status| status.success()).then(|| tcpdump_once(path))
}

fn tcpdump_once(path: &Path) {
    let mut tcpdump = Command::new("tcpdump");
    tcpdump.arg("-r").arg(path).args(["-w", "/dev/null"]).stderr(Stdio::null());
    assert!(tcpdump.status().expect("it was there").success());
}
