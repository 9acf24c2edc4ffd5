//! What programs rely on.

use std::collections::BTreeSet;

use eleven_testbed::or_skip;
use serde_json::Value;
use tempfile::tempdir;

use super::{Held, kernel_works};
use crate::support::program::{eleven, run};
use crate::support::terminal::{run_in_terminal, without_colors};

/// Keys that every result has.
const KEYS: [&str; 9] =
    ["scenario", "group", "backend", "promised", "witnessed", "reached", "elapsed_s", "skipped", "capture"];

#[track_caller]
fn assert_reached(result: &Value, backend: &str) {
    for key in KEYS {
        assert!(result.get(key).is_some(), "{key} is missing: {result}");
    }
    assert_eq!(
        (&result["backend"], &result["reached"]),
        (&Value::from(backend), &Value::from(true)),
        "{result:#}"
    );
    let count = |key: &str| result[key].as_array().map_or(0, Vec::len);
    assert!(count("promised") > 0 && count("promised") == count("witnessed"), "{result:#}");
}

#[test]
fn one_scenario_is_an_object_and_all_are_an_array() {
    let one = run(&["lab", "run", "closing", "--simulate", "--format", "json"]).json();
    assert_reached(&one, "simulator");
    assert_eq!((&one["scenario"], &one["group"]), (&Value::from("closing"), &Value::from("states")));
    assert_eq!((&one["capture"], &one["skipped"]), (&Value::Null, &Value::Null));
    assert_eq!(one["subject_path"].as_array().and_then(|path| path.last()), Some(&Value::from("CLOSING")));
    assert!(
        one["rows"].as_array().is_some_and(|rows| rows.iter().any(|row| row["socket"]["state"] == "CLOSING"))
    );

    let all = run(&["lab", "run", "--all", "--simulate", "--format", "json"]).json();
    let all = all.as_array().expect("an array");
    let listed = run(&["lab", "list", "--format", "json"]).json();
    let names = |list: &[Value]| -> Vec<Value> { list.iter().map(|it| it["scenario"].clone()).collect() };
    assert_eq!(
        names(all),
        names(listed.as_array().expect("an array")),
        "each once, in the order of the list"
    );
    for result in all {
        assert_reached(result, "simulator");
    }
    let lines = run(&["lab", "run", "--all", "--simulate", "--format", "ndjson"]).ndjson();
    assert_eq!(lines.len(), all.len());
    let csv = run(&["lab", "run", "--all", "--simulate", "--format", "csv"]).done();
    assert_eq!(csv.lines().count(), all.len() + 1);
}

#[test]
fn names_that_scripts_rely_on_are_there() {
    let names: BTreeSet<String> = run(&["lab", "list", "--format", "ndjson"])
        .ndjson()
        .iter()
        .map(|scenario| scenario["scenario"].as_str().unwrap_or_default().to_owned())
        .collect();
    for name in "listen syn-sent syn-recv established fin-wait1 fin-wait2 fin-wait2-orphaned close-wait closing \
                 last-ack time-wait closed bound three-way-handshake four-way-close three-segment-close half-close \
                 simultaneous-open simultaneous-close reset-by-client reset-by-server abort-unread-data \
                 data-after-close refused time-wait-reuse time-wait-assassination time-wait-assassination-rfc1337 \
                 lost-syn lost-syn-ack lost-handshake-ack lost-data lost-fin lost-fin-ack lost-second-fin lost-last-ack"
        .split_whitespace()
    {
        assert!(names.contains(name), "{name} is missing");
    }
}

#[test]
fn a_list_is_searched_and_every_finding_is_known() {
    let found = run(&["lab", "list", "fin", "wait2"]).done();
    assert!(found.contains("fin-wait2-orphaned") && !found.contains("syn-sent"), "{found}");
    // By its name, all about one.
    let page = run(&["lab", "list", "FIN_WAIT2_ORPHANED"]).done();
    for words in ["tcp_fin_timeout = 60", "promises", "look at", "ended by", "finding"] {
        assert!(page.contains(words), "`{words}` is missing in {page}");
    }
    // What doctor cannot see says why.
    let page = run(&["lab", "list", "idle-timeout-wrong-order"]).done();
    assert!(page.contains("no look shows it"), "{page}");
    for scenario in run(&["lab", "list", "--format", "ndjson"]).ndjson() {
        assert!(scenario["unseen"].is_null() || scenario["finding"].is_string(), "{scenario}");
        if let Some(finding) = scenario["finding"].as_str() {
            run(&["explain", finding]).done();
        }
        for key in ["purpose", "look_at", "ended_by"] {
            assert!(scenario[key].as_str().is_some_and(|text| text.ends_with('.')), "{key}: {scenario}");
        }
    }
}

#[test]
fn a_setting_takes_the_place_of_the_scenarios() {
    let arguments = ["lab", "run", "lost-all-fins", "--simulate", "--format", "json"];
    let usual = run(&arguments).json();
    let longer = run(&[&arguments[..], &["--set", "tcp_orphan_retries=3"]].concat());
    // The FIN is sent too often now for what is promised; but it takes longer.
    assert_eq!(longer.code, Some(1), "{longer:?}");
    let longer: Value = serde_json::from_str(&longer.stdout).expect("JSON");
    assert!(longer["elapsed_s"].as_f64() > usual["elapsed_s"].as_f64(), "{longer:#}");
    assert_eq!(longer["settings"][0]["value"], "3");
    let log = run(&["lab", "run", "lost-fin", "--simulate", "--set", "tcp_orphan_retries=5"]).done();
    assert!(log.contains("tcp_orphan_retries = 5 (usually 0"), "{log}");
}

#[test]
fn a_log_tells_rows_states_and_the_ladder() {
    let log = run(&["lab", "run", "four-way-close", "--simulate"]).done();
    for words in [
        "• the subject closes first",
        "FIN_WAIT1 → FIN_WAIT2",
        "row       FIN_WAIT1 recv-q 0 send-q 1",
        "├─────",
        "reached in the simulator",
        "✓ subject: ESTABLISHED → FIN_WAIT1 → FIN_WAIT2 → TIME_WAIT",
        "ended by",
    ] {
        assert!(log.contains(words), "`{words}` is missing in:\n{log}");
    }
}

#[test]
fn on_a_terminal_the_ends_move_in_the_diagram() {
    let ran = or_skip!(run_in_terminal(100, &mut eleven(&["lab", "run", "closing", "--simulate"])));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let text = without_colors(&ran.stdout);
    for words in ["◆ESTABLISHED◇", "◆CLOSING", "◆ subject CLOSING", "◇ peer FIN_WAIT2"] {
        assert!(text.contains(words), "`{words}` is missing in:\n{text}");
    }
}

#[test]
fn an_image_and_a_capture_are_written() {
    let directory = tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name).display().to_string();
    let (svg, capture) = (path("a.svg"), path("a.pcapng"));
    run(&["lab", "run", "lost-fin", "--simulate", "-o", &svg, "-w", &capture]).done();
    assert!(std::fs::read_to_string(svg).expect("an image").starts_with("<svg"));
    let flows = run(&["trace", &capture, "--format", "json"]).json();
    assert_eq!(flows[0]["client_state"], "TIME_WAIT", "{flows:#}");
}

#[test]
fn what_is_held_can_be_looked_at() {
    or_skip!(kernel_works());
    let (held, said) = Held::start(&["lab", "run", "closing", "--hold", "--format", "json"]);
    let namespace = said.lines().find_map(|line| line.split("--netns ").nth(1)).expect("how to look");
    let namespace = namespace.trim_end_matches('`');
    let rows = run(&["list", "--netns", namespace, "--format", "json", "state", "closing"]).json();
    assert_eq!(rows[0]["state"], "CLOSING", "{rows:#}");
    assert_eq!(rows[0]["local_address"], "192.0.2.1");
    let result = held.release().json();
    assert_reached(&result, "kernel");
}

#[test]
fn two_laboratories_do_not_meet() {
    or_skip!(kernel_works());
    let (one, _) = Held::start(&["lab", "run", "last-ack", "--hold", "--format", "json"]);
    let (other, _) = Held::start(&["lab", "run", "last-ack", "--hold", "--format", "json"]);
    assert_reached(&one.release().json(), "kernel");
    assert_reached(&other.release().json(), "kernel");
}

#[test]
fn a_shell_is_inside() {
    or_skip!(kernel_works());
    let mut command = eleven(&["lab", "shell", "listen"]);
    let directory = tempdir().expect("a directory");
    let script = directory.path().join("shell");
    std::fs::write(&script, "#!/bin/sh\ncat /proc/net/tcp\necho in $ELEVEN_LAB\n").expect("a file");
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("its mode");
    let output = command.env("SHELL", &script).output().expect("the command starts");
    let stdout = String::from_utf8_lossy(&output.stdout);
    // 192.0.2.1:80 in LISTEN, as the kernel writes it.
    assert!(output.status.success() && stdout.contains("010200C0:0050 00000000:0000 0A"), "{output:?}");
    assert!(stdout.contains("in listen"), "{output:?}");
}
