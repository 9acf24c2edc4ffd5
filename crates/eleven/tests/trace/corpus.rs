//! Public captures with the answers that Zeek's own tests keep for them.

use std::path::{Path, PathBuf};

use eleven_testbed::skipped;
use serde_json::Value;

use super::trace;

/// The captures, if they are there.
pub(super) fn corpus() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus/zeek");
    if path.join("expected.json").is_file() {
        return Some(path);
    }
    skipped("no corpus: ../shared/corpus/zeek is not there");
    None
}

/// Answers that differ for a reason: file, and why.
const DIFFERENCES: [(&str, &str); 3] = [
    (
        "modbus--modbus-and-non-modbus-p502.pcap",
        "Zeek's timer ends the connection 5 s after the reset, and a late segment is another one to it",
    ),
    ("globus-url-copy.pcap", "Zeek looks no further at what it takes for a transfer of GridFTP"),
    (
        "vntag_vlan_sandwich_clean.pcap",
        "the capture kept 26 bytes of a TCP header of 40, and Zeek looks at no such segment",
    ),
];

#[test]
fn every_flow_has_zeeks_state_and_history() {
    let Some(corpus) = corpus() else { return };
    let text = std::fs::read_to_string(corpus.join("expected.json")).expect("it can be read");
    let files: Vec<Value> = serde_json::from_str(&text).expect("it is JSON");
    let (mut right, mut wrong) = (0, Vec::new());
    for file in &files {
        let name = file["file"].as_str().expect("a name");
        let checksums = if file["ignore_checksums"] == true { "ignore" } else { "drop" };
        let ran = trace(&corpus.join(name), &["--format", "ndjson", "--checksums", checksums]);
        let mut flows: Vec<Value> =
            ran.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        for expected in file["flows"].as_array().expect("flows") {
            // Zeek tells flows by other conditions; each of its answers must be one of ours, and each only once.
            let found = flows.iter().position(|flow| {
                let history =
                    flow["zeek_history"].as_str().filter(|history| !history.is_empty()).unwrap_or("-");
                let ends = [&flow["client"], &flow["server"]];
                // Where the answer names no ends, the file has one flow.
                let is_end = |key: &str| expected.get(key).is_none_or(|end| ends.contains(&end));
                // An X is Zeek's tunnel analysis, which knows what is inside.
                let wanted = expected["history"].as_str().unwrap_or("-").replace('X', "");
                is_end("originator")
                    && is_end("responder")
                    && flow["zeek_conn_state"] == expected["conn_state"]
                    && wanted == history
            });
            match found {
                Some(place) => {
                    flows.remove(place);
                    right += 1;
                }
                None => match DIFFERENCES.iter().find(|(known, _)| *known == name) {
                    Some((_, why)) => println!("{name}: {why}"),
                    None => wrong.push(format!("{name}: {expected}")),
                },
            }
        }
    }
    assert!(wrong.is_empty(), "{right} are right; these are not:\n{}", wrong.join("\n"));
    println!("{right} flows of {} files, {} known differences", files.len(), DIFFERENCES.len());
}
