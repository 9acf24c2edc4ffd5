//! Saving what is seen, and saying what has changed since.

use std::path::PathBuf;

use eleven_testbed::namespace::Net;
use eleven_testbed::or_skip;
use eleven_testbed::sockets::{LOOPBACK, address, connect, fill, listen, pair};
use serde_json::Value;
use socket2::Socket;

use crate::support::program::{Ran, RunInside};
use crate::support::sockets::half_close;

/// A namespace in which something happened between two snapshots.
struct Story {
    net: Net,
    _directory: tempfile::TempDir,
    before: String,
    after: String,
    appeared: u16,
    vanished: u16,
    closed: u16,
    queued: u16,
    listener: u16,
    _held: Vec<Socket>,
}

const QUEUED: usize = 1000;

impl Story {
    fn tell() -> Result<Self, String> {
        let net = Net::new()?;
        let directory = tempfile::tempdir().map_err(|error| format!("no place for files: {error}"))?;
        let path = |name: &str| {
            let path: PathBuf = directory.path().join(name);
            path.to_str().expect("a plain path").to_owned()
        };
        let (before, after) = (path("before.json"), path("after.json"));

        let (vanishing, (client, server), (idle, busy), listener) =
            net.run(|| (listen(LOOPBACK, 1), pair(LOOPBACK), pair(LOOPBACK), listen(LOOPBACK, 5)));
        let ran = net.eleven(&["snapshot", "-o", &before]);
        assert!(ran.stderr.contains("6 sockets saved in"), "{ran:?}");
        assert_eq!(ran.done(), "");

        let vanished = address(&vanishing).port();
        let closed = address(&client).port();
        drop(vanishing);
        let (appearing, waiting) = net.run(|| {
            half_close(&server, &client);
            fill(&idle, &busy, &[7; QUEUED]);
            (listen(LOOPBACK, 1), connect(address(&listener)))
        });
        net.eleven(&["snapshot", "-o", &after]).done();
        Ok(Self {
            before,
            after,
            appeared: address(&appearing).port(),
            vanished,
            closed,
            queued: address(&busy).port(),
            listener: address(&listener).port(),
            _held: vec![appearing, client, server, idle, busy, listener, waiting],
            net,
            _directory: directory,
        })
    }

    fn diff(&self, arguments: &[&str]) -> Ran {
        self.net.eleven(&[&["diff"], arguments].concat())
    }
}

fn find(list: &Value, port: u16) -> &Value {
    let entries = list.as_array().expect("an array");
    let of = |entry: &Value| entry.get("socket").unwrap_or(entry)["local_port"] == port;
    entries.iter().find(|entry| of(entry)).unwrap_or_else(|| panic!("no port {port} in {list:#}"))
}

#[test]
fn a_diff_says_what_appeared_vanished_changed_and_grew() {
    let story = or_skip!(Story::tell());
    // With the second snapshot, and with this moment in its place.
    for arguments in [&[story.before.as_str(), &story.after][..], &[&story.before]] {
        let arguments = [arguments, &["--format", "json"]].concat();
        let diff = story.diff(&arguments).json();
        assert_eq!(diff["matched_by_cookie"], true);
        assert!(diff["elapsed_s"].as_f64().is_some_and(|seconds| seconds > 0.0), "{diff}");
        assert_eq!(find(&diff["appeared"], story.appeared)["state"], "LISTEN");
        assert_eq!(find(&diff["vanished"], story.vanished)["state"], "LISTEN");
        assert_eq!(diff["vanished"].as_array().map(Vec::len), Some(1));
        let closed = find(&diff["changed"], story.closed);
        assert_eq!(
            (&closed["state_before"], &closed["socket"]["state"]),
            (&"ESTABLISHED".into(), &"CLOSE_WAIT".into())
        );
        assert_eq!(find(&diff["grew"], story.queued)["recv_queue_growth"], QUEUED);
        // A listener grows by who waits to be accepted.
        assert_eq!(find(&diff["grew"], story.listener)["recv_queue_growth"], 1);
        let states = diff["states"].as_array().expect("an array");
        let count = |name: &str| {
            let state = states.iter().find(|state| state["name"] == name);
            state.map(|state| (state["before"].as_i64(), state["after"].as_i64()))
        };
        assert_eq!(count("CLOSE_WAIT"), Some((Some(0), Some(1))));
        assert_eq!(count("FIN_WAIT2"), Some((Some(0), Some(1))));
        assert_eq!(count("LISTEN"), Some((Some(2), Some(2))));
        assert!(!diff["counters"].as_array().expect("an array").is_empty(), "segments were sent");
    }
}

#[test]
fn a_diff_says_the_same_in_every_format() {
    let story = or_skip!(Story::tell());
    let files = [story.before.as_str(), story.after.as_str()];
    let json = story.diff(&[&files[..], &["--format", "json"]].concat()).json();
    let count = |list: &str| json[list].as_array().map_or(0, Vec::len);
    let lists = ["appeared", "vanished", "changed", "grew"];

    let lines = story.diff(&[&files[..], &["--format", "ndjson"]].concat()).ndjson();
    for list in lists {
        let of = lines.iter().filter(|line| line["change"] == list).count();
        assert_eq!(of, count(list), "{list} in ndjson");
    }

    let csv = story.diff(&[&files[..], &["--format", "csv"]].concat()).done();
    let mut rows = csv.lines();
    assert_eq!(
        rows.next(),
        Some("change,state_before,state,local,remote,recv_queue_growth,send_queue_growth")
    );
    for list in lists {
        let of = csv.lines().filter(|line| line.starts_with(&format!("{list},"))).count();
        assert_eq!(of, count(list), "{list} in csv");
    }

    let table = story.diff(&files).done();
    let summary = format!(
        "{} appeared, {} vanished, {} changed state, {} grew",
        count("appeared"),
        count("vanished"),
        count("changed"),
        count("grew")
    );
    assert!(table.lines().next().is_some_and(|line| line.ends_with(&summary)), "{summary} in\n{table}");
    for words in
        ["ESTABLISHED → CLOSE_WAIT", "ESTABLISHED → FIN_WAIT2", "ESTABLISHED recvq +1000", "LISTEN recvq +1"]
    {
        assert!(table.contains(words), "{words} in\n{table}");
    }
    let cut = story.diff(&[&files[..], &["--limit", "1"]].concat()).done();
    assert!(cut.contains("more; --limit shows them"), "{cut}");
}

#[test]
fn nothing_changed_is_no_change() {
    let story = or_skip!(Story::tell());
    let diff = story.diff(&[&story.after, &story.after, "--format", "json"]).json();
    for list in ["appeared", "vanished", "changed", "grew", "counters"] {
        assert_eq!(diff[list].as_array().map(Vec::len), Some(0), "{list}");
    }
    assert_eq!(diff["elapsed_s"], 0.0);
    let backwards = story.diff(&[&story.after, &story.before]);
    assert!(backwards.stderr.contains("rates are backwards"), "{backwards:?}");
}

#[test]
fn a_snapshot_on_standard_output_is_what_the_file_is() {
    let net = or_skip!(Net::new());
    let _listener = net.run(|| listen(LOOPBACK, 1));
    let snapshot = net.eleven(&["snapshot"]).json();
    assert_eq!(snapshot["eleven_snapshot"], 1);
    assert_eq!(snapshot["socket_count"], 1);
    assert_eq!(snapshot["sockets"][0]["state"], "LISTEN");
    assert_eq!(snapshot["processes"][0]["pid"], std::process::id());
    assert!(snapshot["namespaces"][0]["sysctls"]["net.ipv4.tcp_fin_timeout"].is_string());
}

#[test]
fn the_other_way_of_reading_is_compared_by_address() {
    let story = or_skip!(Story::tell());
    let by_proc = story.diff(&[&story.after, "--reader", "proc", "--format", "json"]);
    assert!(by_proc.stderr.contains("matched by address"), "{by_proc:?}");
    let diff = by_proc.json();
    assert_eq!(diff["matched_by_cookie"], false);
    for list in ["appeared", "vanished", "changed"] {
        assert_eq!(diff[list].as_array().map(Vec::len), Some(0), "{list}: {diff:#}");
    }
}
