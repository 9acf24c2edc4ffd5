//! What scripts rely on, and what people see.

use std::fs;

use super::{Simulated, path_of, trace};

const FLOW_KEYS: [&str; 25] = [
    "flow",
    "client",
    "server",
    "direction_known",
    "client_state",
    "server_state",
    "client_path",
    "server_path",
    "closed_by",
    "zeek_conn_state",
    "zeek_history",
    "wireshark_completeness",
    "packets_client",
    "packets_server",
    "bytes_client",
    "bytes_server",
    "unique_bytes_client",
    "unique_bytes_server",
    "retransmissions_client",
    "retransmissions_server",
    "handshake_ms",
    "rtt_ms",
    "anomalies",
    "first_packet",
    "duration_s",
];

const SEGMENT_KEYS: [&str; 16] = [
    "packet",
    "time",
    "flow",
    "from",
    "seq",
    "ack",
    "length",
    "flags",
    "window",
    "client_before",
    "client_after",
    "server_before",
    "server_after",
    "rule",
    "provenance",
    "notes",
];

#[test]
fn a_flow_has_the_keys_of_the_contract_and_the_states_of_its_ends() {
    let (_directory, path) = Simulated::default().capture();
    let flows = trace(&path, &["--format", "json"]).json();
    let [flow] = flows.as_array().expect("an array").as_slice() else { panic!("{flows}") };
    for key in FLOW_KEYS {
        assert!(flow.get(key).is_some(), "{key} is missing in {flow}");
    }
    assert_eq!((&flow["client"], &flow["server"]), (&"10.0.0.1:40000".into(), &"10.0.0.2:80".into()));
    assert_eq!((&flow["bytes_client"], &flow["bytes_server"]), (&5_000.into(), &3_000.into()));
    assert_eq!((&flow["closed_by"], &flow["zeek_conn_state"]), (&"client".into(), &"SF".into()));
    assert_eq!(flow["wireshark_completeness"], 31);
    let client = path_of(flow, "client");
    assert_eq!(client[client.len() - 4..], ["ESTABLISHED", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT"]);
    let server = path_of(flow, "server");
    assert_eq!(server[server.len() - 4..], ["ESTABLISHED", "CLOSE_WAIT", "LAST_ACK", "CLOSED"]);
    // 20 ms there and back.
    let handshake = flow["handshake_ms"].as_f64().expect("a number");
    assert!((19.9..21.0).contains(&handshake), "{handshake}");
}

#[test]
fn a_segment_has_the_keys_of_the_contract() {
    let (_directory, path) = Simulated::default().capture();
    let segments = trace(&path, &["--segments", "--format", "ndjson"]).ndjson();
    assert!(segments.len() > 10);
    for segment in &segments {
        for key in SEGMENT_KEYS {
            assert!(segment.get(key).is_some(), "{key} is missing in {segment}");
        }
    }
    let first = &segments[0];
    assert_eq!(
        (&first["from"], &first["flags"], &first["seq"]),
        (&"client".into(), &"SYN".into(), &0.into())
    );
    assert_eq!((&first["client_before"], &first["client_after"]), (&"CLOSED".into(), &"SYN_SENT".into()));
    assert_eq!(first["ack"], serde_json::Value::Null);
    // Each state goes on where it was.
    for pair in segments.windows(2) {
        for side in ["client", "server"] {
            let (after, before) = (&pair[0][format!("{side}_after")], &pair[1][format!("{side}_before")]);
            assert_eq!(after, before, "{pair:?}");
        }
    }
}

#[test]
fn every_format_tells_the_same_flow() {
    let (_directory, path) = Simulated { loss: 0.05, ..Simulated::default() }.capture();
    let json = trace(&path, &["--format", "json"]).json();
    let lines = trace(&path, &["--format", "ndjson"]).ndjson();
    assert_eq!(json.as_array(), Some(&lines));
    let csv = trace(&path, &["--format", "csv"]).done();
    let mut rows = csv::Reader::from_reader(csv.as_bytes());
    let headings = rows.headers().expect("a heading").clone();
    let row = rows.records().next().expect("a row").expect("it is CSV");
    for key in ["client", "server", "client_state", "server_state", "zeek_history"] {
        let place = headings.iter().position(|heading| heading == key).expect("the column");
        assert_eq!(row[place], *lines[0][key].as_str().expect("a word"));
    }
    let table = trace(&path, &[]).done();
    for words in ["10.0.0.1:40000", "10.0.0.2:80", "TIME_WAIT", "fin by client", "in 1 flow,"] {
        assert!(table.contains(words), "{words} is missing in\n{table}");
    }
    let segments = trace(&path, &["--segments", "--format", "csv"]).done();
    let array = trace(&path, &["--segments", "--format", "json"]).json();
    assert_eq!(segments.lines().count() - 1, array.as_array().expect("an array").len());
}

#[test]
fn filters_choose_flows_and_segments() {
    let (_directory, path) = Simulated { loss: 0.1, seed: 3, ..Simulated::default() }.capture();
    let count = |filter: &[&str]| trace(&path, &[filter, &["--format", "ndjson"]].concat()).ndjson().len();
    for (filter, expected) in [
        (&["closed-by", "client"][..], 1),
        (&["closed-by", "server"], 0),
        (&["dport = 80 and src 10.0.0.0/8"], 1),
        (&["sport = 80"], 0),
        (&["end-state", "time-wait"], 1),
        (&["server-state closed and client-state time-wait"], 1),
        (&["retransmissions > 0"], 1),
        (&["anomaly *retransmission"], 1),
        (&["not anomaly zero-window"], 1),
        (&["packets < 5"], 0),
        (&["bytes >= 8k or flow = 7"], 0),
        (&["conn-state SF"], 1),
        (&["handshake > 10ms"], 1),
    ] {
        assert_eq!(count(filter), expected, "{filter:?}");
    }
    let segments = |filter: &str| trace(&path, &["--segments", "--format", "ndjson", filter]).ndjson().len();
    assert_eq!(segments("retransmissions > 0"), segments("flow 1"));
    assert_eq!(segments("closed-by server"), 0);
}

#[test]
fn one_flow_is_drawn_plotted_and_told() {
    let (directory, path) = Simulated { script: "drop FIN 1 from client", ..Simulated::default() }.capture();
    let ladder = trace(&path, &["--diagram", "1"]).done();
    assert!(ladder.contains("SYN_SENT ├─") && ladder.contains("[fin-retransmission]"), "{ladder}");
    let by_sockets = trace(&path, &["--diagram", "10.0.0.2:80-10.0.0.1:40000"]).done();
    assert_eq!(ladder, by_sockets);
    let plot = trace(&path, &["--plot", "1"]).done();
    assert!(plot.contains("text of the client") && plot.contains("text of the server"), "{plot}");
    for view in ["--diagram", "--plot"] {
        let image = directory.path().join("image.svg");
        trace(&path, &[view, "1", "-o", image.to_str().expect("UTF-8")]).done();
        let image = fs::read_to_string(image).expect("it was written");
        assert!(image.starts_with("<svg") && image.trim_end().ends_with("</svg>"), "{image}");
    }
    let story = trace(&path, &["--explain", "1"]).done();
    for words in ["10.0.0.1:40000", "TIME_WAIT", "for 60 s", "[fin-retransmission]"] {
        assert!(story.contains(words), "{words} is missing in\n{story}");
    }
    let chinese = trace(&path, &["--explain", "1", "--lang", "zh-CN"]).done();
    assert!(chinese.contains("客户端") && chinese.contains("TIME_WAIT"), "{chinese}");
}

#[test]
fn what_is_written_is_read_again_with_its_comments() {
    let (directory, path) = Simulated { loss: 0.05, seed: 9, ..Simulated::default() }.capture();
    let copy = directory.path().join("copy.pcapng");
    let copy_name = copy.to_str().expect("UTF-8");
    let original = trace(&path, &["--format", "json", "--write", copy_name, "--comment"]).json();
    assert_eq!(trace(&copy, &["--format", "json"]).json(), original);
    let bytes = fs::read(&copy).expect("it was written");
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains("client: CLOSED → SYN_SENT"), "the verdict stands in the file");
}

#[test]
fn everything_odd_has_its_text() {
    let named: Vec<&str> = eleven_track::Note::all().map(eleven_track::Note::as_str).collect();
    let mut known = eleven_knowledge::anomaly_names();
    known.retain(|name| !named.contains(&name.as_str()));
    assert!(known.is_empty(), "texts of nothing: {known:?}");
    for name in named {
        for language in [eleven_knowledge::Language::English, eleven_knowledge::Language::SimplifiedChinese] {
            assert!(eleven_knowledge::anomaly(name, language).is_some(), "{name} in {language:?}");
        }
    }
}
