//! A capture of each scenario, and whether `trace` tells from it what the witness saw.

use eleven_testbed::or_skip;
use serde_json::Value;
use tempfile::tempdir;

use super::kernel_works;
use crate::support::program::run;

/// What nobody who sees only packets at the subject's device can know: scenario, end, state there, why.
const HIDDEN: [(&str, &str, &str, &str); 8] = [
    ("fin-wait1", "peer", "ESTABLISHED", "the FIN is lost behind the device"),
    ("closing", "peer", "FIN_WAIT2", "the FIN is lost behind the device"),
    ("lost-all-fins", "peer", "ESTABLISHED", "the FIN is lost behind the device"),
    ("lost-all-fins", "subject", "CLOSED", "it gives up without a packet"),
    ("lost-all-syns", "subject", "CLOSED", "it gives up without a packet"),
    ("lost-all-handshake-acks", "subject", "CLOSED", "it gives up without a packet"),
    ("lost-all-data", "subject", "CLOSED", "it gives up without a packet"),
    ("time-wait-assassination-rfc1337", "subject", "TIME_WAIT", "tcp_rfc1337 is not on the wire"),
];

/// Compares the last flow of a capture with the witness.
fn compare(result: &Value) {
    let name = result["scenario"].as_str().unwrap_or_default();
    let flows = run(&["trace", result["capture"].as_str().unwrap_or_default(), "--format", "json"]).json();
    let Some(flow) = flows.as_array().and_then(|flows| flows.last()) else {
        // Nothing is sent where nobody talks to anybody.
        assert!(matches!(name, "listen" | "bound"), "{name} has no flow");
        return;
    };
    let is_client = flow["client"].as_str().is_some_and(|client| client.starts_with("192.0.2.1:"));
    for (end, is_subject) in [("subject", true), ("peer", false)] {
        let told = &flow[if is_client == is_subject { "client_state" } else { "server_state" }];
        let path = result[format!("{end}_path")].as_array();
        // Who was never seen has nothing.
        let seen = path.and_then(|path| path.last()).and_then(Value::as_str).unwrap_or("CLOSED");
        match HIDDEN.iter().find(|hidden| (hidden.0, hidden.1) == (name, end)) {
            Some((.., state, why)) => {
                assert_eq!(seen, *state, "{name}: {end}: {why}");
                assert_ne!(told, seen, "{name}: {end} is no exception any more: {why}");
            }
            None => assert_eq!(told, seen, "{name}: the {end} of {flow:#}"),
        }
    }
}

fn compare_all(more: &[&str]) {
    let directory = tempdir().expect("a directory");
    let path = directory.path().display().to_string();
    let arguments = [&["lab", "run", "--all", "--format", "json", "-w", &path][..], more].concat();
    let results = run(&arguments).json();
    for result in results.as_array().expect("an array") {
        // Faults and what looks like one have many connections, or none that is the one to look at.
        if result["group"] != "faults" && result["group"] != "healthy" {
            compare(result);
        }
    }
}

#[test]
fn a_trace_of_the_simulator_names_both_ends_states() {
    compare_all(&["--simulate"]);
}

#[test]
fn a_trace_of_the_kernel_names_both_ends_states() {
    or_skip!(kernel_works());
    compare_all(&[]);
}
