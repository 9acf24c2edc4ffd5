//! Options, formats, languages, exit codes.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use eleven_testbed::namespace::Net;
use eleven_testbed::or_skip;
use eleven_testbed::sockets::{LOOPBACK, address, connect, connecting, listen, pair};
use serde_json::Value;
use socket2::Socket;

use super::{findings_with, first, whole};
use crate::support::program::{RunInside, eleven, run};

/// A queue that nobody empties.
fn full_queue(net: &Net) -> (Socket, Vec<Socket>) {
    net.run(|| {
        let listener = listen(LOOPBACK, 2);
        let at = address(&listener);
        let clients = (0..3).map(|_| connect(at)).chain((0..3).map(|_| connecting(at))).collect();
        (listener, clients)
    })
}

#[test]
fn a_quiet_namespace_is_healthy() {
    let net = or_skip!(Net::new());
    let said = net.eleven(&["doctor", "--for", "0s", "--exit-code"]).done();
    assert!(said.starts_with("Nothing is wrong, as far as can be seen"), "{said}");
    assert_eq!(findings_with(&net, &["--for", "0s"]), Vec::<Value>::new());
    let said = net.eleven(&["doctor", "--for", "0s", "--verbose"]).done();
    for rule in eleven_doctor::RULES {
        let line = said.lines().find(|line| line.starts_with(rule.code)).expect("every rule answers");
        assert!(line.contains("passed") || line.contains("undecided"), "{line}");
    }
}

#[test]
fn a_finding_reads_like_advice() {
    let net = or_skip!(Net::new());
    let _held = full_queue(&net);
    let said = net.eleven(&["doctor", "--for", "1s"]).done();
    for words in [
        // Critical or a warning, as SYNs were repeated between the looks or not.
        " The accept queue of 127.0.0.1:",
        "Who must act  this program",
        "limit of the queue",
        "net.core.somaxconn",
        "/wchan; cat /proc/",
        "Verify ",
        "`eleven explain accept-queue-overflow`",
    ] {
        assert!(said.contains(words), "`{words}` is missing in\n{said}");
    }
    let said = net.eleven(&["doctor", "--for", "1s", "--lang", "zh-CN"]).done();
    for words in ["accept 队列已满", "由谁处理", "证据", "验证"] {
        assert!(said.contains(words), "`{words}` is missing in\n{said}");
    }
    let screen = net.eleven(&[]).done();
    assert!(screen.contains("Findings") && screen.contains("The accept queue of 127.0.0.1:"), "{screen}");
    let ran = net.eleven(&["doctor", "--for", "1s", "--exit-code", "--format", "csv"]);
    assert_eq!(ran.code, Some(3), "{ran:#?}");
    assert!(ran.stdout.lines().nth(1).is_some_and(|line| line.starts_with("accept-queue-overflow,")));
}

#[test]
fn rules_can_be_chosen() {
    let net = or_skip!(Net::new());
    let _held = full_queue(&net);
    let only = findings_with(&net, &["--for", "0s", "--only", "accept-queue-overflow,harmful-sysctl"]);
    assert!(first(&only, "accept-queue-overflow", "local-program")["missing"][0].is_string());
    let skipped = findings_with(&net, &["--for", "0s", "--skip", "accept-queue-overflow,port-range-overlap"]);
    assert_eq!(skipped, Vec::<Value>::new());
    run(&["doctor", "--only", "close-wait-leek"]).fails(2, &["did you mean `close-wait-leak`?"]);
    run(&["doctor", "--skip", "x"]).fails(2, &["there is no fault `x`"]);
}

#[test]
fn listeners_that_nobody_expects() {
    let net = or_skip!(Net::new());
    let any: std::net::SocketAddr = ([0, 0, 0, 0], 0).into();
    let held: Vec<Socket> = net.run(|| vec![listen(any, 2), listen(any, 2), listen(LOOPBACK, 2)]);
    let [expected, stranger] = [0, 1].map(|index: usize| net.run(|| address(&held[index]).port()));
    let filter = format!("sport = :{expected}");
    let options = ["--for", "0s", "--skip", "port-range-overlap", "--expect"];
    let found = findings_with(&net, &[&options[..], &[&filter]].concat());
    let finding = first(&found, "unexpected-listener", "configuration");
    assert_eq!(finding["subject"]["local"], format!("0.0.0.0:{stranger}"));
    assert_eq!((found.len(), &finding["severity"]), (1, &Value::from("warning")));
    let both = format!("{filter} or sport = :{stranger}");
    assert_eq!(findings_with(&net, &[&options[..], &[&both]].concat()), Vec::<Value>::new());
    // Saved snapshots are judged the same way.
    let directory = tempfile::tempdir().expect("a place for files");
    let file = directory.path().join("a.json");
    let file = file.to_str().expect("plain");
    net.eleven(&["snapshot", "-o", file]).done();
    let saved = findings_with(&net, &["--from", file, "--skip", "port-range-overlap", "--expect", &filter]);
    assert_eq!(first(&saved, "unexpected-listener", "configuration")["subject"], finding["subject"]);
    run(&["doctor", "--expect", "sport = :http or proces nginx"]).fails(2, &["did you mean `process`"]);
}

#[test]
fn snapshots_are_judged_like_the_moment() {
    let net = or_skip!(Net::new());
    let directory = tempfile::tempdir().expect("a place for files");
    let path = |name: &str| directory.path().join(name).to_str().expect("plain").to_owned();
    let (a, b) = (path("a.json"), path("b.json"));
    let snapshot = |path: &str| net.eleven(&["snapshot", "-o", path]).done();
    snapshot(&a);
    let _held = full_queue(&net);
    let _new = net.run(|| listen("0.0.0.0:8099".parse().expect("an address"), 4));
    snapshot(&b);
    let found = findings_with(&net, &["--from", &a, &b]);
    first(&found, "accept-queue-overflow", "local-program");
    let new: Vec<&Value> = found.iter().filter(|finding| finding["code"] == "unexpected-listener").collect();
    assert_eq!(new.len(), 1, "{found:#?}");
    assert_eq!(
        (&new[0]["subject"]["local"], &new[0]["severity"]),
        (&"0.0.0.0:8099".into(), &"warning".into())
    );
    found.iter().for_each(whole);
    first(&findings_with(&net, &["--from", &b]), "accept-queue-overflow", "local-program");
    // The wrong way round, cut short, and none at all.
    let ran = net.eleven(&["doctor", "--from", &b, &a, "--format", "json"]);
    assert!(ran.stderr.contains("the other way round") && ran.code == Some(0), "{ran:#?}");
    let text = std::fs::read_to_string(&b).expect("it was written");
    std::fs::write(&b, &text[..text.len() * 3 / 4]).expect("it can be cut");
    let ran = net.eleven(&["doctor", "--from", &b, "--format", "json"]);
    assert!(ran.stderr.contains("cut short") && ran.code == Some(0), "{ran:#?}");
    run(&["doctor", "--from", "/nowhere"]).fails(1, &["cannot open the snapshot /nowhere"]);
}

#[test]
fn watching_tells_what_begins_and_ends() {
    let net = or_skip!(Net::new());
    let mut command = eleven(&[
        "doctor",
        "--watch",
        "--for",
        "300ms",
        "--format",
        "ndjson",
        "--only",
        "accept-queue-overflow",
    ]);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut watch = net.run(|| command.spawn()).expect("the command starts");
    let mut lines = BufReader::new(watch.stdout.take().expect("a pipe")).lines();
    let mut next = || -> Value {
        let line = lines.next().expect("it goes on").expect("text");
        serde_json::from_str(&line).expect("a JSON object")
    };
    let held = full_queue(&net);
    let begins = next();
    assert_eq!(
        (&begins["change"], &begins["finding"]["code"]),
        (&"begins".into(), &"accept-queue-overflow".into())
    );
    drop(held);
    loop {
        let change = next();
        if change["change"] == "ends" {
            break;
        }
        assert!(change["change"] == "worse" || change["change"] == "better", "{change}");
    }
    watch.kill().expect("it still runs");
    watch.wait().expect("a child");
}

#[test]
fn other_namespaces_get_their_commands() {
    let net = or_skip!(Net::new());
    net.run(|| std::fs::write("/proc/sys/net/ipv4/tcp_abort_on_overflow", "1")).expect("root may");
    let path = net.path();
    let found = run(&["doctor", "--for", "0s", "--format", "json", "--netns", &path]).json();
    let command = found[0]["fixes"][0]["command"].as_str().expect("a command").to_owned();
    assert_eq!(command, format!("nsenter --net={path} sysctl -w net.ipv4.tcp_abort_on_overflow=0"));
    assert_eq!(found[0]["fixes"][0]["current"], "1");
    // It does what it says.
    let ran = Command::new("sh").args(["-c", &command]).output().expect("a shell");
    if !ran.status.success() {
        eleven_testbed::skipped("no nsenter or sysctl here");
        return;
    }
    let found = run(&["doctor", "--for", "0s", "--format", "json", "--netns", &path]).json();
    assert_eq!(found, Value::Array(Vec::new()));
}

#[test]
fn without_privilege_it_says_what_is_missing() {
    let net = or_skip!(Net::new());
    let _pair = net.run(|| pair(LOOPBACK));
    let mut command = Command::new("setpriv");
    let binary = env!("CARGO_BIN_EXE_eleven");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", binary, "doctor", "--for", "0s"]);
    let ran = net.output(&mut command);
    if ran.stderr.contains("setpriv") || ran.stderr.contains("Permission denied") {
        eleven_testbed::skipped("no setpriv, or the program cannot be reached by others");
        return;
    }
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert!(ran.stderr.contains("which root sees"), "{ran:#?}");
}
