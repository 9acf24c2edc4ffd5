//! What is wrong is said, with the right exit code, and no row is lost that could be had.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use eleven_testbed::namespace::{Named, Net};
use eleven_testbed::sockets::{LOOPBACK, listen};
use eleven_testbed::{or_skip, skipped};
use proptest::prelude::*;

use crate::support::is_root;
use crate::support::program::{Ran, RunInside, clean_environment, eleven, run};

#[test]
fn a_wrong_filter_shows_where_it_is_wrong_and_what_was_meant() {
    for (filter, caret, says) in [
        ("state time-wiat", "        ^^^^^^^^^", "`time-wiat` is not a TCP state; did you mean `time-wait`?"),
        ("sprot = 22", "  ^^^^^", "did you mean `sport`?"),
        ("dport = :htps", "          ^^^^^", "did you mean `https`?"),
        ("sport 22 and (dport 80", "               ^", "this parenthesis is never closed"),
        ("sport 22)", "          ^", "this parenthesis closes nothing"),
        ("dst 10.0.0.300", "      ^^^^^^^^^^", "is not an address"),
        ("dport 70000", "        ^^^^^", "the highest is 65535"),
        ("age > tomorrow", "        ^^^^^^^^", "write 90s, 10m, 2h30m, 250ms"),
        ("state", "       ^", "should follow `state`, but the filter ends"),
        ("process 'nginx", "          ^^^^^^", "this quotation mark is never closed"),
    ] {
        // `/etc/services` may know nothing.
        if filter.contains("htps")
            && !fs::read_to_string("/etc/services").is_ok_and(|text| text.contains("https"))
        {
            skipped("no /etc/services to suggest from");
            continue;
        }
        for command in ["list", "count"] {
            let ran = run(&[command, filter]);
            ran.fails(2, &["the filter is not understood", &format!("  {filter}\n"), says]);
            let line = ran.stderr.lines().find(|line| line.trim_start().starts_with('^'));
            let shown = line.unwrap_or_default();
            assert!(shown.starts_with(caret.trim_end()), "{filter}:\n{}", ran.stderr);
            // In parts too, as a shell passes them on.
            let words: Vec<&str> = std::iter::once(command).chain(filter.split(' ')).collect();
            assert_eq!(run(&words).stderr, ran.stderr);
        }
    }
}

#[test]
fn wrong_names_are_answered_with_the_right_ones() {
    for (arguments, says) in [
        (&["list", "--columns", "recq"][..], "there is no column `recq`; did you mean `recvq`?"),
        (&["list", "--columns", "state,+nope"], "there is no column `nope`; there are: state, recvq"),
        (&["list", "--sort", "-recq"], "did you mean `recvq`?"),
        (&["count", "--by", "proces"], "there is no key `proces`; did you mean `process`?"),
        (&["count", "--by", "age"], "there is no key `age`"),
        (&["explain", "TIEM_WAIT"], "did you mean `TIME_WAIT`?"),
        (&["explain", "zero-windwo"], "did you mean `zero-window`?"),
        (&["explain", "SYN+NOPE"], "`eleven explain --help` shows what can be explained"),
        (&["lst"], "list"),
        (&["list", "--limt", "3"], "--limit"),
        (&["list", "--limit", "many"], "--limit"),
        (&["--format", "yaml"], "table, json, ndjson, csv"),
        (&["explain", "--lang", "de"], "only in en and zh-CN"),
        (&["completions", "tcsh"], "bash"),
        (&["diff"], "<A>"),
    ] {
        run(arguments).fails(2, &[says]);
    }
}

#[test]
fn an_unknown_namespace_is_wrong_usage_and_names_those_that_are_known() {
    let net = or_skip!(Net::new());
    let named = or_skip!(Named::new(&net, "known"));
    let directory = tempfile::tempdir().expect("a place for files");
    let file = directory.path().to_str().expect("a plain path");
    for which in ["nowhere", "", "..", "./nowhere", file] {
        for arguments in [&["list"][..], &["list", "--format", "json"], &["count"], &[], &["snapshot"]] {
            let ran = run(&[arguments, &["--netns", which]].concat());
            ran.fails(2, &[&format!("there is no network namespace `{which}`"), named.name()]);
        }
    }
}

#[test]
fn a_process_that_has_gone_is_said_to_be_no_process() {
    let mut child = Command::new("true").spawn().expect("true is everywhere");
    let pid = child.id().to_string();
    child.wait().expect("it is a child");
    run(&["list", "--netns", &pid])
        .fails(2, &[&format!("there is no process, and no network namespace, `{pid}`")]);
    // As a filter it matches nothing, which is an answer.
    assert_eq!(run(&["list", "--format", "json", &format!("pid {pid}")]).done(), "[]\n");
}

/// A snapshot with some rows, and a place for its broken sisters.
fn saved_snapshot() -> Result<(tempfile::TempDir, String, usize), String> {
    let net = Net::new()?;
    let _listeners = net.run(|| [(); 4].map(|()| listen(LOOPBACK, 1)));
    let directory = tempfile::tempdir().map_err(|error| format!("no place for files: {error}"))?;
    let text = net.eleven(&["snapshot"]).done();
    fs::write(directory.path().join("whole"), &text).map_err(|error| error.to_string())?;
    Ok((directory, text, 4))
}

fn path_of(directory: &Path, name: &str) -> String {
    directory.join(name).to_str().expect("a plain path").to_owned()
}

#[test]
fn a_snapshot_that_is_cut_short_gives_what_it_still_holds() {
    let (directory, text, sockets) = or_skip!(saved_snapshot());
    let (whole, cut) = (path_of(directory.path(), "whole"), path_of(directory.path(), "cut"));
    // Within the third row, as a full disk would.
    let third = text.match_indices("{\"netns\"").nth(2).expect("there are four").0;
    fs::write(&cut, &text[..third + 40]).expect("a file");
    let ran = run(&["diff", &cut, &whole, "--format", "json"]);
    for words in [cut.as_str(), "is cut short: 2 sockets could be read"] {
        assert!(ran.stderr.contains(words), "{words} in {ran:?}");
    }
    assert_eq!(ran.stderr.matches("is cut short").count(), 1, "{ran:?}");
    let diff = ran.json();
    assert_eq!(diff["appeared"].as_array().map(Vec::len), Some(sockets - 2));
    // Also where it is the later of the two.
    let ran = run(&["diff", &whole, &cut, "--format", "json"]);
    assert_eq!(ran.stderr.matches("is cut short").count(), 1, "{ran:?}");
    assert_eq!(ran.json()["vanished"].as_array().map(Vec::len), Some(sockets - 2));
}

#[test]
fn what_is_no_snapshot_is_refused_with_the_reason() {
    let directory = tempfile::tempdir().expect("a place for files");
    let file = |name: &str, text: &str| {
        let path = path_of(directory.path(), name);
        fs::write(&path, text).expect("a file");
        path
    };
    for (path, says) in [
        (path_of(directory.path(), "missing"), "No such file or directory"),
        (directory.path().to_str().expect("a plain path").to_owned(), "Is a directory"),
        (file("empty", ""), "not a snapshot written by `eleven snapshot`"),
        (file("words", "Netid State Recv-Q\n"), "not a snapshot written by `eleven snapshot`"),
        (file("other JSON", r#"{"total":3}"#), "not a snapshot written by `eleven snapshot`"),
        (file("array", "[1,2]"), "not a snapshot written by `eleven snapshot`"),
        (
            file("newer", r#"{"eleven_snapshot":99,"sockets":{"of":"another shape"}}"#),
            "has layout version 99, this program reads up to 1; update eleven",
        ),
    ] {
        let ran = run(&["diff", &path]);
        ran.fails(1, &[says, &path]);
        assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
        assert_eq!(ran.stderr.matches(says).count(), 1, "said twice: {ran:?}");
    }
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let directory = tempfile::tempdir().expect("a place for files");
    let missing = path_of(directory.path(), "missing/file");
    run(&["snapshot", "-o", &missing])
        .fails(1, &["eleven: cannot write the snapshot", &missing, "No such file"]);
    let place = directory.path().to_str().expect("a plain path");
    run(&["snapshot", "-o", place]).fails(1, &["cannot write the snapshot", "Is a directory"]);
    run(&["man", "-o", &missing]).fails(1, &["eleven: cannot write manual pages into", &missing]);
    // What failed leaves nothing behind.
    assert_eq!(fs::read_dir(place).expect("it is there").count(), 0);
}

#[test]
fn a_full_disk_fails_and_says_so() {
    let Ok(full) = File::options().write(true).open("/dev/full") else {
        return skipped("no /dev/full");
    };
    for arguments in [
        &["list"][..],
        &["list", "--format", "json"],
        &["list", "--format", "csv"],
        &["count"],
        &[],
        &["explain", "TIME_WAIT"],
        &["explain"],
        &["snapshot"],
        &["completions", "bash"],
        &["man"],
    ] {
        let mut command = eleven(arguments);
        command.stdout(full.try_clone().expect("a free descriptor"));
        let ran = Ran::from(command.output().expect("the command starts"));
        ran.fails(1, &["No space left on device"]);
        assert_eq!(ran.stderr.matches("No space left").count(), 1, "{ran:?}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_program_quietly() {
    let net = or_skip!(Net::new());
    // More rows than a pipe and every buffer before it hold.
    let _listeners: Vec<_> = net.run(|| (0..2000).map(|_| listen(LOOPBACK, 1)).collect());
    for arguments in [
        &["list", "--no-owners"][..],
        &["list", "--no-owners", "--format", "ndjson"],
        &["list", "--no-owners", "--format", "json"],
        &["list", "--no-owners", "--format", "csv"],
        &["list", "--no-owners", "--sort", "port"],
        &["count", "--by", "port", "--format", "ndjson"],
        &["snapshot"],
    ] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        rustix::pipe::fcntl_setpipe_size(&writer, 4096).expect("pipes may be small");
        let mut command = eleven(arguments);
        command.stdout(writer).stderr(Stdio::piped());
        let child = net.run(|| command.spawn().expect("the command starts"));
        // The command holds the other end, too.
        drop(command);
        let mut reader = BufReader::with_capacity(64, reader);
        let mut first = String::new();
        reader.read_line(&mut first).expect("there is a first line");
        assert!(!first.is_empty(), "{arguments:?} prints nothing");
        drop(reader);
        let ran = Ran::from(child.wait_with_output().expect("it is a child"));
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn nobody_at_the_other_end_is_no_failure() {
    for arguments in [
        &["--help"][..],
        &["list", "--help"],
        &["explain"],
        &["completions", "zsh"],
        &["man"],
        &["count"],
        &[],
    ] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = eleven(arguments);
        command.stdout(writer);
        let ran = Ran::from(command.stderr(Stdio::piped()).output().expect("the command starts"));
        // An ordinary user may hear what was left out.
        assert_eq!((ran.code, ran.stderr.contains("pipe")), (Some(0), false), "{arguments:?}: {ran:?}");
    }
}

/// Runs the command where there is no socket: inside, or in an ordinary user's own namespace.
fn run_in_empty(net: Option<&Net>, arguments: &[&str]) -> Ran {
    if let Some(net) = net {
        return net.eleven(arguments);
    }
    let mut command = Command::new("unshare");
    command.args(["-rn", env!("CARGO_BIN_EXE_eleven")]).args(arguments);
    clean_environment(&mut command);
    command.output().expect("unshare starts").into()
}

#[test]
fn no_socket_at_all_is_an_answer_in_every_format() {
    let net = if is_root() { Some(or_skip!(Net::new())) } else { None };
    let probe = Command::new("unshare").args(["-rn", "true"]).output();
    if net.is_none() && !probe.is_ok_and(|output| output.status.success()) {
        return skipped("no empty namespace: unshare -rn is refused");
    }
    let empty = |arguments: &[&str]| run_in_empty(net.as_ref(), arguments);
    for (arguments, expected) in [
        (&["list"][..], "STATE  RECV-Q  SEND-Q  LOCAL  REMOTE  AGE  OWNER\n"),
        (&["list", "--format", "json"], "[]\n"),
        (&["list", "--format", "ndjson"], ""),
        (&["list", "--format", "csv"], "state,recvq,sendq,local,remote,age,owner\n"),
        (&["count"], "STATE  COUNT  MEANING\n0 sockets\n"),
        (&["count", "--format", "ndjson"], ""),
        (&["count", "--format", "csv"], "state,count\n"),
        (&["--format", "csv"], "state,count\n"),
        (&["--format", "ndjson"], ""),
        (&[], "0 TCP sockets\nNo TCP socket is open here.\n"),
        (&["--lang", "zh-CN"], "0 个 TCP 套接字\n这里没有打开的 TCP 套接字。\n"),
    ] {
        assert_eq!(empty(arguments).done(), expected, "{arguments:?}");
    }
    let counted = empty(&["count", "--format", "json"]).json();
    assert_eq!((&counted["total"], &counted["groups"]), (&0.into(), &serde_json::json!([])));
    let summary = empty(&["--format", "json"]).json();
    assert_eq!((&summary["total"], &summary["states"]), (&0.into(), &serde_json::json!([])));
    assert_eq!(empty(&["snapshot"]).json()["socket_count"], 0);
}

/// Words that mean something to the command, and some that mean nothing to anyone.
fn argument() -> impl Strategy<Value = String> {
    let words = [
        "list",
        "count",
        "explain",
        "diff",
        "man",
        "completions",
        "bash",
        "--format",
        "json",
        "csv",
        "table",
        "ndjson",
        "--by",
        "state,port",
        "process",
        "--sort",
        "-recvq",
        "age",
        "--limit",
        "0",
        "3",
        "-1",
        "18446744073709551615",
        "99999999999999999999",
        "--columns",
        "+rtt",
        "+",
        ",",
        "-",
        "--",
        "--netns",
        "this",
        "1",
        "/dev/null",
        "..",
        "--reader",
        "netlink",
        "proc",
        "--color",
        "always",
        "--lang",
        "zh-CN",
        "--info",
        "--no-owners",
        "-n",
        "-i",
        "-c",
        "-s",
        "--help",
        "-h",
        "--version",
        "TIME_WAIT",
        "FIN_WAIT1",
        "FIN+ACK",
        "SYN+FIN",
        "close",
        "110",
        "ECONNRESET",
        "tcp_fin_timeout",
        "state",
        "exclude",
        "connected",
        "and",
        "or",
        "not",
        "(",
        ")",
        "!",
        "sport",
        "=",
        "!=",
        ">",
        "<=",
        ":22",
        "10.0.0.0/8",
        "::1",
        "[::1]:443",
        "src",
        "dst",
        "dev",
        "lo",
        "pid",
        "user",
        "root",
        "age",
        "10m",
        "recvq",
        "4k",
        "",
        " ",
        "'",
        "\"",
        "\\",
        "\u{1b}[2J",
        "名",
        "\u{202e}",
        "e\u{301}",
        "\u{200d}",
    ];
    prop_oneof![9 => prop::sample::select(words.to_vec()).prop_map(str::to_owned), 1 => "[^\\x00]{0,12}"]
}

proptest! {
    // Each case starts a process, and nothing shrinks faster than a person reads.
    #![proptest_config(ProptestConfig {
        cases: 96,
        max_shrink_iters: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_arguments_make_it_panic(arguments in prop::collection::vec(argument(), 0..7)) {
        // Nothing is written but where the test says: `man -o` and `snapshot -o` are left out.
        let directory = tempfile::tempdir().expect("a place for files");
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut command = eleven(&words);
        let output = command.current_dir(directory.path()).output().expect("the command starts");
        let stderr = String::from_utf8_lossy(&output.stderr);
        prop_assert!(matches!(output.status.code(), Some(0..=2)), "{:?}: {}", arguments, stderr);
        prop_assert!(!stderr.contains("panicked"), "{:?}: {}", arguments, stderr);
        prop_assert!(output.status.success() || !stderr.is_empty(), "{:?} fails without a word", arguments);
    }
}

#[test]
fn standard_input_is_left_alone() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let mut command = eleven(&["count", "--format", "json"]);
    let ran =
        Ran::from(command.stdin(reader.try_clone().expect("a free descriptor")).output().expect("it starts"));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    drop((command, writer));
    let mut rest = Vec::new();
    let mut reader = reader;
    reader.read_to_end(&mut rest).expect("a pipe");
    assert!(rest.is_empty());
}
