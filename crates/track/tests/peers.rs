//! Zeek's and Wireshark's answers beside ours.

mod capture;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use eleven_track::{Checksums, Flow, Settings, Tracker};
use serde_json::Value;

fn corpus() -> Option<PathBuf> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus/zeek");
    corpus.join("expected.json").exists().then_some(corpus)
}

fn track(packets: &[capture::Packet], checksums: Checksums) -> Vec<Flow> {
    let mut tracker = Tracker::new(Settings { checksums, ..Settings::default() });
    for packet in packets {
        packet.see(|sighting| tracker.observe(sighting));
    }
    tracker.finish().collect()
}

/// Files whose layers this test does not read (tunnels and the like), and flows of which Zeek differs for a reason.
const DIFFERS: [(&str, &str); 2] = [
    (
        "198.74.56.135:60293 192.168.10.111:502",
        "Zeek's timers end the connection 5 s after the reset, and a late segment is another to it",
    ),
    (
        "192.168.57.103:35391 192.168.57.101:55968",
        "Zeek looks no further at what it takes for a transfer of GridFTP",
    ),
];

#[test]
fn zeek_says_the_same() {
    let Some(corpus) = corpus() else {
        println!("skipped: no corpus");
        return;
    };
    let expected: Value =
        serde_json::from_slice(&std::fs::read(corpus.join("expected.json")).unwrap()).unwrap();
    let (mut same, mut unread, mut excused, mut wrong) = (0, 0, 0, Vec::new());
    for file in expected.as_array().unwrap() {
        let name = file["file"].as_str().unwrap();
        let packets = capture::read(&std::fs::read(corpus.join(name)).unwrap());
        let ignore = file["ignore_checksums"].as_bool().unwrap_or(false);
        let flows = track(&packets, if ignore { Checksums::Ignore } else { Checksums::Drop });
        let mut told: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
        for flow in &flows {
            let zeek = flow.zeek.as_ref().unwrap();
            let (originator, responder) = (flow.end(zeek.originator), flow.end(zeek.originator.other()));
            let key = format!("{} {}", originator.socket, responder.socket);
            told.entry(key).or_default().push((zeek.conn_state.to_owned(), zeek.history.clone()));
        }
        for flow in file["flows"].as_array().unwrap() {
            let text = |key: &str| flow[key].as_str().unwrap_or_default().to_owned();
            let key = format!("{} {}", text("originator"), text("responder"));
            let (state, mut history) = (text("conn_state"), text("history"));
            if history == "-" {
                history.clear();
            }
            // The letter X is written when a tunnel changes too often: no affair of TCP.
            history.retain(|letter| letter != 'X');
            let all: Vec<_> = told.values().flatten().cloned().collect();
            // Some answers tell no addresses: their files have one flow.
            let found = if key.len() > 1 { told.get(&key) } else { Some(&all) };
            match found {
                None => {
                    unread += 1;
                    println!("{name}: {key} was not read");
                }
                Some(found) if found.contains(&(state.clone(), history.clone())) => same += 1,
                Some(found) => {
                    if let Some((_, why)) = DIFFERS.iter().find(|(flow, _)| *flow == key) {
                        println!("{name}: {key} differs: {why}");
                        excused += 1;
                    } else {
                        wrong.push(format!("{name}: {key}: {state} {history}, but we say {found:?}"));
                    }
                }
            }
        }
    }
    println!("{same} the same, {excused} with a reason, {unread} not read here");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_transfer_of_which_little_was_captured_ends() {
    use eleven_tcp::State;
    let Some(corpus) = corpus() else {
        println!("skipped: no corpus");
        return;
    };
    let packets = capture::read(&std::fs::read(corpus.join("ftp--bigtransfer.pcap")).unwrap());
    let flows = track(&packets, Checksums::Flag);
    // More than four gigabytes in 25 packets.
    assert_eq!((flows[2].client.state, flows[2].server.state), (State::Closed, State::TimeWait));
    assert_eq!(flows[2].ending.as_str(), "fin");
}

/// What tshark says of each pair of sockets: the completeness of its one stream.
fn tshark(file: &Path) -> Option<BTreeMap<String, Vec<u8>>> {
    let fields = [
        "ip.src",
        "ipv6.src",
        "tcp.srcport",
        "ip.dst",
        "ipv6.dst",
        "tcp.dstport",
        "tcp.stream",
        "tcp.completeness",
    ];
    let mut command = std::process::Command::new("tshark");
    command.args(["-2", "-n", "-r"]).arg(file).args(["-Y", "tcp && !icmp && !icmpv6", "-T", "fields"]);
    for field in fields {
        command.args(["-e", field]);
    }
    let output = command.output().ok().filter(|output| output.status.success())?;
    let mut streams: BTreeMap<(String, String), u8> = BTreeMap::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let columns: Vec<&str> = line.split('\t').collect();
        let [v4, v6, port, to_v4, to_v6, to_port, stream, completeness] = columns[..] else { continue };
        if line.contains(',') {
            continue;
        }
        let socket = |v4: &str, v6: &str, port: &str| {
            if v6.is_empty() { format!("{v4}:{port}") } else { format!("[{v6}]:{port}") }
        };
        let mut pair = [socket(v4, v6, port), socket(to_v4, to_v6, to_port)];
        pair.sort();
        streams.insert((pair.join(" "), stream.to_owned()), completeness.parse().unwrap_or(0));
    }
    let mut told: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for ((pair, _), completeness) in streams {
        told.entry(pair).or_default().push(completeness);
    }
    Some(told)
}

#[test]
fn wireshark_says_the_same() {
    let Some(corpus) = corpus() else {
        println!("skipped: no corpus");
        return;
    };
    let (mut same, mut wrong) = (0, Vec::new());
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files.iter().filter(|file| file.extension().is_none_or(|end| end != "json")) {
        let Some(told) = tshark(file) else {
            println!("skipped: no tshark");
            return;
        };
        let packets = capture::read(&std::fs::read(file).unwrap());
        let mut ours: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for flow in track(&packets, Checksums::Flag) {
            let mut pair = [flow.client.socket.to_string(), flow.server.socket.to_string()];
            pair.sort();
            ours.entry(pair.join(" ")).or_default().push(flow.wireshark.bits());
        }
        for (pair, found) in ours {
            // Where a SYN is answered by a SYN, tshark begins another stream: only what is one to both is compared.
            match told.get(&pair) {
                Some(other) if other.len() == 1 && found.len() == 1 => {
                    // A connection that tshark's FTP dissector announces is not new to it: its SYN does not count.
                    let ftp = file.to_string_lossy().contains("ftp--") && other[0] | 1 == found[0];
                    if *other == found || ftp {
                        same += 1;
                    } else {
                        wrong.push(format!("{}: {pair}: {other:?}, but we say {found:?}", file.display()));
                    }
                }
                _ => {}
            }
        }
    }
    println!("{same} the same");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
