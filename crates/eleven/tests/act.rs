//! Acting on sockets of running programs: closing them, and setting their keepalive. The programs are the tests themselves.

use std::io::ErrorKind;
use std::mem::MaybeUninit;
use std::time::Duration;

use eleven_testbed::namespace::Net;
use eleven_testbed::or_skip;
use eleven_testbed::sockets::{LOOPBACK, address, bound, listen, pair, time_wait};
use rustix::io::Errno;
use serde_json::Value;

use crate::fixes::program::Program;
use crate::support::program::{Ran, RunInside, eleven, run};
use crate::support::sockets::half_closed;
use crate::support::terminal::Asking;

#[track_caller]
fn results(ran: Ran) -> Vec<(String, String)> {
    let word = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    ran.json()
        .as_array()
        .expect("a list")
        .iter()
        .map(|row| (word(row, "state"), word(row, "result")))
        .collect()
}

#[test]
fn exactly_the_chosen_sockets_are_closed() {
    let net = or_skip!(Net::new());
    net.run(|| {
        let (client, server) = pair(LOOPBACK);
        let (other, _kept) = pair(LOOPBACK);
        let filter = format!("sport = :{}", address(&client).port());
        let shown = run(&["kill", &filter, "--dry-run"]).done();
        assert!(shown.contains("ECONNABORTED") && shown.contains("ESTABLISHED"), "{shown}");
        let shown = run(&["kill", &filter, "--dry-run", "--format", "json"]);
        assert_eq!(results(shown), [("ESTABLISHED".to_owned(), "would_close".to_owned())]);
        client.set_nonblocking(true).expect("it is open");
        let mut byte = [MaybeUninit::uninit()];
        let open = client.recv(&mut byte).expect_err("there is nothing to read");
        assert_eq!(open.kind(), ErrorKind::WouldBlock, "a look closes nothing");

        let ran = run(&["kill", &filter, "--yes", "--format", "json"]);
        assert_eq!(results(ran), [("ESTABLISHED".to_owned(), "closed".to_owned())]);
        let ended = client.recv(&mut byte).expect_err("it was aborted");
        assert_eq!(ended.raw_os_error(), Some(Errno::CONNABORTED.raw_os_error()));
        let reset = server.recv(&mut byte).expect_err("its peer was aborted");
        assert_eq!(reset.raw_os_error(), Some(Errno::CONNRESET.raw_os_error()));
        other.set_nonblocking(true).expect("it is open");
        assert_eq!(other.recv(&mut byte).expect_err("nothing came").kind(), ErrorKind::WouldBlock);
    });
}

#[test]
fn every_state_goes_but_what_is_only_bound() {
    let net = or_skip!(Net::new());
    net.run(|| {
        let _listener = listen(LOOPBACK, 4);
        let _half = half_closed(LOOPBACK);
        time_wait(LOOPBACK);
        let bound = bound(LOOPBACK);
        let ran = run(&["kill", "not sport = :1", "--yes", "--format", "json"]);
        assert_eq!((ran.code, ran.stderr.contains("1 of ")), (Some(1), true), "{ran:?}");
        let rows: Vec<Value> = serde_json::from_str(&ran.stdout).expect("JSON");
        assert!(rows.len() >= 5, "{rows:?}");
        for row in rows {
            let closed = matches!(row["result"].as_str(), Some("closed" | "gone"));
            assert_eq!(closed, row["kind"] != "bound", "{row}");
            assert_eq!(row["error"].is_null(), closed, "{row}");
        }
        drop(bound);
        let left = run(&["list", "--format", "json"]).json();
        assert_eq!(left, serde_json::json!([]));
    });
}

#[test]
fn without_a_filter_or_somebody_to_ask_nothing_is_closed() {
    let net = or_skip!(Net::new());
    net.run(|| {
        let _pair = pair(LOOPBACK);
        run(&["kill"]).fails(2, &["needs a filter"]);
        run(&["kill", "state nonsense"]).fails(2, &["nonsense"]);
        let asked = run(&["kill", "state established"]);
        assert_eq!(asked.code, Some(1));
        assert!(asked.stderr.contains("--yes"), "{}", asked.stderr);
        assert_eq!(run(&["list", "state established", "--format", "ndjson"]).ndjson().len(), 2);
        let nothing = run(&["kill", "state closing", "--yes", "--format", "json"]);
        assert!(nothing.stderr.contains("no socket matches"), "{}", nothing.stderr);
        assert_eq!(nothing.json(), serde_json::json!([]));
    });
}

/// The command, remembering in a directory of the test's own.
fn keepalive(state: &std::path::Path, arguments: &[&str]) -> Ran {
    let mut command = eleven(&[&["keepalive"], arguments].concat());
    command.env("XDG_STATE_HOME", state).output().expect("the command starts").into()
}

#[test]
fn keepalive_is_shown_set_and_put_back() {
    let net = or_skip!(Net::new());
    let state = tempfile::tempdir().expect("a directory");
    net.run(|| {
        let (client, server) = pair(LOOPBACK);
        let filter = format!("sport = :{}", address(&client).port());
        let look = || keepalive(state.path(), &[&filter, "--format", "json"]).json()[0].clone();
        let before = look();
        assert_eq!(
            (&before["keepalive"]["enabled"], &before["detects_dead_peer"]),
            (&false.into(), &false.into())
        );
        assert_eq!(before["keepalive"]["idle_s"], 7_200);

        let set =
            ["--set", "time=60,interval=10,probes=3", "--user-timeout", "75s", "--yes", "--format", "json"];
        let changed = keepalive(state.path(), &[&[&*filter], &set[..]].concat()).json();
        assert_eq!(changed.as_array().map(Vec::len), Some(1));
        assert_eq!(
            (&changed[0]["result"], &changed[0]["detects_idle_peer_s"]),
            (&"changed".into(), &80.0.into())
        );
        assert!(client.keepalive().expect("it is open"));
        assert_eq!(client.tcp_keepalive_time().expect("it is open"), Duration::from_secs(60));
        assert_eq!(client.tcp_keepalive_retries().expect("it is open"), 3);
        assert_eq!(client.tcp_user_timeout().expect("it is open"), Some(Duration::from_secs(75)));
        assert!(!server.keepalive().expect("it is open"), "only the chosen one");

        // A second change: to undo leads behind both.
        keepalive(state.path(), &[&filter, "--off", "--yes"]).done();
        assert!(!client.keepalive().expect("it is open"));
        let undone = keepalive(state.path(), &["--undo", "--yes"]);
        assert!(undone.stderr.contains("1 put back"), "{}", undone.stderr);
        undone.done();
        assert_eq!(look()["keepalive"], before["keepalive"]);
        assert_eq!(client.tcp_user_timeout().expect("it is open"), None);
        assert!(keepalive(state.path(), &["--undo", "--yes"]).stderr.contains("nothing to undo"));
    });
}

#[test]
fn a_listener_hands_its_settings_down() {
    let net = or_skip!(Net::new());
    let state = tempfile::tempdir().expect("a directory");
    net.run(|| {
        let listener = listen(LOOPBACK, 4);
        let all = keepalive(state.path(), &["--format", "json"]).json();
        assert_eq!(all, serde_json::json!([]), "listeners only where they are asked for");
        keepalive(state.path(), &["state listening", "--set", "time=30", "--yes"]).done();
        let _client = eleven_testbed::sockets::connect(address(&listener));
        let (accepted, _) = listener.accept().expect("a client waits");
        assert!(accepted.keepalive().expect("it is open"));
        assert_eq!(accepted.tcp_keepalive_time().expect("it is open"), Duration::from_secs(30));
    });
}

#[test]
fn wrong_settings_change_nothing() {
    let net = or_skip!(Net::new());
    let state = tempfile::tempdir().expect("a directory");
    net.run(|| {
        let (client, _server) = pair(LOOPBACK);
        for (arguments, says) in [
            (&["--set", "time=0"][..], "1 to 32767"),
            (&["--set", "times=60"], "time, interval and probes"),
            (&["--set", "time=60,probes=200"], "1 to 127"),
        ] {
            keepalive(state.path(), &[arguments, &["--yes"]].concat()).fails(2, &[says]);
        }
        let asked = keepalive(state.path(), &["--set", "time=60"]);
        assert!(asked.code == Some(1) && asked.stderr.contains("--yes"), "{asked:?}");
        assert!(!client.keepalive().expect("it is open"));
        // No place to remember what was: nothing is changed.
        let nowhere = keepalive("/dev/null".as_ref(), &["--set", "time=60", "--yes"]);
        assert!(nowhere.code == Some(1) && nowhere.stderr.contains("cannot remember"), "{nowhere:?}");
        assert!(!client.keepalive().expect("it is open"));
    });
}

#[test]
fn what_ends_before_its_turn_is_told_socket_by_socket() {
    let net = or_skip!(Net::new());
    let state = tempfile::tempdir().expect("a directory");
    for (words, says) in [
        (&["kill"][..], "was gone before its turn"),
        (&["keepalive", "--set", "time=60"], "the program has closed it meanwhile"),
    ] {
        let program = Program::start(&net, "serves 127.0.0.1:8080 2");
        let (kept, _server) = net.run(|| pair(LOOPBACK));
        let local = net.run(|| address(&kept));
        let filter = "state established and not dport = :8080";
        let mut command = eleven(&[words, &[filter]].concat());
        command.env("ELEVEN_STATE", state.path());
        let asking = or_skip!(net.run(|| Asking::start(&mut command)));
        // Killed while the question stands; its sockets linger as nobody's.
        let peers: Vec<String> = net
            .eleven(&["list", &format!("pid {} and {filter}", program.pid()), "--format", "json"])
            .json()
            .as_array()
            .expect("rows")
            .iter()
            .map(|row| format!("127.0.0.1:{}", row["local_port"]))
            .collect();
        assert_eq!(peers.len(), 2);
        drop(program);
        let ran = asking.answer("y");
        let all = ran.stdout.clone() + &ran.stderr;
        for peer in &peers {
            let told = all.lines().any(|line| line.contains(peer) && line.contains(says));
            assert!(told, "{peer} in {ran:#?}");
        }
        // The others were acted on.
        if words[0] == "keepalive" {
            assert_eq!(ran.code, Some(1), "{ran:#?}");
            assert!(kept.keepalive().expect("it is open"), "{local}");
        } else {
            assert_eq!(ran.code, Some(0), "{ran:#?}");
            assert!(kept.recv(&mut [MaybeUninit::uninit()]).is_err(), "{local}");
        }
    }
}
