//! What is wrong is said, and changes nothing: snapshots, paths, configuration files, options, readers that leave.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use eleven_testbed::namespace::Net;
use eleven_testbed::sockets::{LOOPBACK, pair};
use eleven_testbed::{or_skip, wait_for};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::fixes::program::Program;
use crate::support::is_root;
use crate::support::program::{Ran, RunInside, clean_environment, eleven, run};

/// Snapshots in a directory of the test's own: one that is whole, and others made from it.
struct Saved {
    directory: tempfile::TempDir,
    whole: Value,
}

impl Saved {
    fn new() -> Result<Self, String> {
        let net = Net::new()?;
        let _pairs: Vec<_> = net.run(|| (0..3).map(|_| pair(LOOPBACK)).collect());
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        let mut saved = Self { directory, whole: Value::Null };
        let path = saved.path("whole.json");
        net.eleven(&["snapshot", "-o", &path]).done();
        let text = fs::read_to_string(&path).expect("it was written");
        saved.whole = serde_json::from_str(&text).expect("JSON");
        Ok(saved)
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().expect("a plain path").to_owned()
    }

    /// One that was edited by hand.
    fn edited(&self, name: &str, edit: impl FnOnce(&mut Value)) -> String {
        let mut snapshot = self.whole.clone();
        edit(&mut snapshot);
        self.written(name, snapshot.to_string().as_bytes())
    }

    fn written(&self, name: &str, bytes: &[u8]) -> String {
        fs::write(self.path(name), bytes).expect("there is room");
        self.path(name)
    }
}

/// Judges snapshots; whatever they hold, nothing panics.
#[track_caller]
fn judge(paths: &[&str]) -> Ran {
    let ran = run(&[&["doctor", "--format", "json", "--from"], paths].concat());
    assert!(!ran.stderr.contains("panicked") && matches!(ran.code, Some(0 | 1)), "{paths:?}: {ran:#?}");
    ran
}

#[test]
fn snapshots_that_do_not_belong_together_are_told() {
    let saved = or_skip!(Saved::new());
    let whole = saved.path("whole.json");
    let later = |snapshot: &mut Value, by_s: f64| {
        snapshot["taken_at_s"] = json!(snapshot["taken_at_s"].as_f64().expect("a time") + by_s);
    };
    let boot = saved.edited("boot.json", |snapshot| {
        later(snapshot, 60.0);
        snapshot["boot_id"] = json!("another");
    });
    let kernel = saved.edited("kernel.json", |snapshot| {
        later(snapshot, 60.0);
        snapshot["boot_id"] = json!("another");
        snapshot["kernel"] = json!("4.4.0");
    });
    let host = saved.edited("host.json", |snapshot| {
        later(snapshot, 60.0);
        snapshot["host"] = json!("else\u{1b}[2Jwhere");
    });
    let after = saved.edited("after.json", |snapshot| later(snapshot, 60.0));
    for (first, second, says) in [
        (&whole, &boot, &["of different boots", "no rates"][..]),
        (&whole, &kernel, &["of different boots", "and 4.4.0"]),
        (&whole, &host, &["of different hosts", "else\u{fffd}[2Jwhere"]),
        (&whole, &whole, &["of the same moment", "no growth"]),
        (&after, &whole, &["the other way round"]),
    ] {
        let ran = judge(&[first, second]);
        assert_eq!(ran.code, Some(0), "{ran:#?}");
        for words in says {
            assert!(ran.stderr.contains(words), "{words}: {ran:#?}");
        }
    }
    assert_eq!(judge(&[&whole, &after]).stderr, "");
    assert_eq!(judge(&[&whole]).stderr, "");
    run(&["doctor", "--from", &whole, &after, &whole]).fails(2, &["unexpected argument"]);
}

#[test]
fn snapshots_edited_by_hand_are_taken_for_what_they_are() {
    let saved = or_skip!(Saved::new());
    let whole = saved.path("whole.json");
    // Told, and what can be read is judged.
    for (name, edit, says) in [
        (
            "no-sockets",
            &(|s: &mut Value| drop(s.as_object_mut().expect("an object").remove("sockets")))
                as &dyn Fn(&mut Value),
            "cut short",
        ),
        ("state", &|s| s["sockets"][0]["state"] = json!(7), "invalid type"),
        ("sockets", &|s| s["sockets"] = json!("many"), "expected a list of sockets"),
        ("huge", &|s| s["sockets"][0]["recv_queue"] = json!(1e30), "expected u32"),
    ] {
        let path = saved.edited(name, edit);
        for paths in [&[&*path][..], &[&whole, &path], &[&path, &whole]] {
            let ran = judge(paths);
            assert!(ran.code == Some(0) && ran.stderr.contains(says), "{name}: {ran:#?}");
        }
    }
    // Refused, as no part of it can be believed. The head stands first, as it is written.
    let text = fs::read_to_string(&whole).expect("it was written");
    let time = text.split("\"taken_at_s\":").nth(1).and_then(|rest| rest.split_once(',')).expect("a time").0;
    for (name, from, to, says) in [
        ("time", time, "\"now\"", "expected f64"),
        ("before-time", time, "-1e300", "which no snapshot was"),
        ("after-time", time, "1e300", "which no snapshot was"),
        ("version", "\"eleven_snapshot\":1", "\"eleven_snapshot\":99", "layout version 99"),
        ("no-version", "\"eleven_snapshot\":1,", "", "not a snapshot"),
    ] {
        let path = saved.written(name, text.replacen(from, to, 1).as_bytes());
        for paths in [&[&*path][..], &[&whole, &path], &[&path, &whole]] {
            let ran = judge(paths);
            ran.fails(1, &[name, says]);
        }
    }
    // Numbers that no kernel would show: any answer, but an answer.
    for (name, edit) in [
        ("no-namespaces", &(|s: &mut Value| s["namespaces"] = json!([])) as &dyn Fn(&mut Value)),
        ("no-key", &|s| drop(s.as_object_mut().expect("an object").remove("namespaces"))),
        ("counter", &|s| s["namespaces"][0]["counters"]["snmp"]["Tcp.OutRsts"] = json!(i64::MAX)),
        ("negative", &|s| s["namespaces"][0]["counters"]["snmp"]["Tcp.OutRsts"] = json!(i64::MIN)),
        ("sysctls", &|s| {
            for value in s["namespaces"][0]["sysctls"].as_object_mut().expect("an object").values_mut() {
                *value = json!("99999999999999999999999 -7 x");
            }
        }),
        ("sockets", &|s| {
            for socket in s["sockets"].as_array_mut().expect("rows") {
                for (key, value) in [
                    ("recv_queue", u64::from(u32::MAX)),
                    ("send_queue", u64::from(u32::MAX)),
                    ("age_ms", u64::MAX),
                    ("cookie", 0),
                ] {
                    socket[key] = json!(value);
                }
            }
        }),
        ("info", &|s| {
            for info in s["sockets"]
                .as_array_mut()
                .expect("rows")
                .iter_mut()
                .filter_map(|row| row["tcp_info"].as_object_mut())
            {
                for value in
                    info.values_mut().filter(|value| value.as_u64().is_some_and(|number| number > 255))
                {
                    *value = json!(u32::MAX);
                }
            }
        }),
    ] {
        let path = saved.edited(name, |snapshot| {
            snapshot["taken_at_s"] = json!(snapshot["taken_at_s"].as_f64().expect("a time") + 5.0);
            edit(snapshot);
        });
        for paths in [&[&*path][..], &[&whole, &path], &[&path, &whole]] {
            judge(paths);
        }
    }
}

#[test]
fn what_is_no_snapshot_is_refused() {
    let saved = or_skip!(Saved::new());
    let whole = saved.path("whole.json");
    let text = fs::read(&whole).expect("it was written");
    fs::create_dir(saved.path("directory")).expect("there is room");
    let every: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    for (path, says) in [
        (saved.written("empty", b""), "not a snapshot"),
        (saved.written("binary", &every), "not a snapshot"),
        (saved.written("list", b"[]"), "expected a snapshot object"),
        (saved.written("short", &text[..30]), "ends before its first socket"),
        (saved.path("directory"), "Is a directory"),
        (saved.path("nowhere"), "No such file"),
    ] {
        for paths in [&[&*path][..], &[&whole, &path], &[&path, &whole]] {
            judge(paths).fails(1, &[&path, says]);
        }
    }
    // Cut anywhere, it is told or refused.
    for share in 1..10 {
        let cut = saved.written("cut", &text[..text.len() * share / 10]);
        let ran = judge(&[&whole, &cut]);
        assert!(ran.stderr.contains("cut short") || ran.code == Some(1), "{ran:#?}");
    }
}

#[test]
fn a_path_is_read_to_the_letter() {
    for (path, caret, says) in [
        (
            "client:idle=60 lb:idel=300 server",
            "                  ^^^^",
            "idle, upstream-idle, keepalive and kind",
        ),
        ("client:idle=60 lb:kind=f6 server", "                       ^^", "haproxy"),
        ("client:idle=-5 server", "            ^^", "number of seconds"),
        ("client:idle=99999999999999999999 server", "            ^^^^^^^^^^^^^^^^^^^^", "number of seconds"),
        ("client:idle= server", "            ^", "number of seconds"),
        ("client::idle server", "       ^^^^^", "KEY=VALUE"),
        ("client:idle=60,idle server", "               ^^^^", "KEY=VALUE"),
        ("client", "^", "two ends"),
        ("", "^", "two ends"),
        ("a b:kind=", "         ^", "no such kind"),
    ] {
        let ran = run(&["doctor", "--path", path]);
        ran.fails(2, &["the path is not understood", path, says]);
        let lines: Vec<&str> = ran.stderr.lines().collect();
        assert!(lines.get(3).is_some_and(|line| line.starts_with(caret)), "{path}: {lines:#?}");
    }
    // Wide letters take two columns.
    let ran = run(&["doctor", "--path", "客户:idle=60 服务器:idle=x"]);
    ran.fails(2, &[&format!("\n{}^ ", " ".repeat(25))]);
}

#[test]
fn configuration_files_may_be_anything() {
    let directory = tempfile::tempdir().expect("a place for files");
    let path = |name: &str| directory.path().join(name).to_str().expect("plain").to_owned();
    fs::create_dir(path("nginx-directory")).expect("there is room");
    fs::write(path("nginx-binary"), [b'x', 0, 0xff, b'\n']).expect("there is room");
    let huge = "server { keepalive_timeout 5s; }\n".repeat(200_000);
    fs::write(path("nginx-huge"), &huge).expect("there is room");
    let pipe = std::ffi::CString::new(path("nginx-pipe")).expect("no NUL");
    rustix::fs::mknodat(rustix::fs::CWD, &*pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
        .expect("there is room");
    std::os::unix::fs::symlink("/dev/zero", path("nginx-endless")).expect("there is room");
    std::os::unix::fs::symlink("nginx-loop", path("nginx-loop")).expect("there is room");
    for (name, says) in [
        ("nginx-directory", "it is a directory"),
        ("nginx-binary", "it is no text"),
        ("nginx-huge", "larger than 4 MiB"),
        ("nginx-pipe", "it is no file"),
        ("nginx-endless", "it is no file"),
        ("nginx-loop", "symbolic links"),
        ("nginx-absent", "No such file"),
    ] {
        let name = path(name);
        let ran = run(&["doctor", "--path", "client:idle=60 web:kind=nginx", "--config", &name]);
        ran.fails(1, &[&format!("cannot read {name}"), says]);
    }
    // What a file includes is told, and the rest counts; files that include each other end.
    fs::write(
        path("nginx.conf"),
        "http { include nginx-binary; include nginx-absent; include nginx.conf; keepalive_timeout 20s; }",
    )
    .expect("there is room");
    let ran = run(&[
        "doctor",
        "--path",
        "client:idle=60 web:kind=nginx",
        "--format",
        "json",
        "--config",
        &path("nginx.conf"),
    ]);
    for says in ["nginx-binary: it is no text", "nginx.conf:1: there is no nginx-absent"] {
        assert!(ran.stderr.contains(says), "{ran:#?}");
    }
    let evidence = ran.json()[0]["evidence"].clone();
    let far = evidence.as_array().expect("a list").iter().find(|item| item["key"] == "far_idle").cloned();
    assert_eq!(far.expect("it is told")["value"], 20_000);
    run(&["doctor", "--path", "client:idle=60 web:kind=nginx", "--config", &path("strange")])
        .fails(1, &["not told whether this is of nginx, httpd or haproxy"]);
}

#[test]
fn codes_and_times_are_checked_first() {
    for (arguments, says) in [
        (&["--only", "close-wait-leek"][..], "did you mean `close-wait-leak`"),
        (&["--skip", "syn-floud"], "did you mean `syn-flood`"),
        (&["--only", ""], "there is no fault ``"),
        (&["--only", "close-wait-leak,,syn-flood"], "there is no fault ``"),
        (&["--for", "-5s"], "`-5s` is not a duration"),
        (&["--for", ""], "is not a duration"),
        (&["--for", "soon"], "`soon` is not a duration"),
        (&["--for", "1e9d"], "is not a duration"),
        (&["--for", "99999999999999999999s"], "is not a duration"),
        (&["--for", "25h"], "at most a day"),
        (&["--for", "40000d"], "at most a day"),
        (&["--format", "xml"], "table, json, ndjson, csv"),
        (&["--watch", "--from", "a"], "cannot be used with"),
        (&["--fix", "--from", "a"], "cannot be used with"),
        (&["--undo", "--fix"], "cannot be used with"),
        (&["--persist"], "--fix"),
        (&["--yes", "--dry-run", "--fix"], "cannot be used with"),
        (&["--path", "a b", "--watch"], "cannot be used with"),
    ] {
        run(&[&["doctor"], arguments].concat()).fails(2, &[says]);
    }
}

#[test]
fn every_format_answers_in_every_mode() {
    let net = or_skip!(Net::new());
    let _program = Program::start(&net, "abandoned 10");
    let directory = tempfile::tempdir().expect("a place for files");
    let saved = directory.path().join("saved.json");
    let saved = saved.to_str().expect("plain");
    net.eleven(&["snapshot", "-o", saved]).done();
    let modes: [&[&str]; 4] = [
        &["--for", "0s"],
        &["--for", "200ms", "--verbose"],
        &["--from", saved, saved],
        &["--path", "client:idle=60 web:idle=15,kind=nginx"],
    ];
    for mode in modes {
        let answer = |format: &str| net.eleven(&[&["doctor", "--format", format], mode].concat());
        let found = answer("json").json().as_array().expect("an array").len();
        assert_eq!(answer("ndjson").ndjson().len(), found, "{mode:?}");
        let csv = answer("csv").done();
        let mut rows = csv::Reader::from_reader(csv.as_bytes());
        assert_eq!(&rows.headers().expect("a heading")[0], "code", "{mode:?}");
        assert_eq!(rows.records().flatten().count(), found, "{mode:?}: {csv}");
        assert!(!answer("table").done().is_empty(), "{mode:?}");
    }
    // A watch says each change as it comes.
    for format in ["json", "ndjson", "csv", "table"] {
        let mut watch = net.run(|| {
            let mut command = eleven(&[
                "doctor",
                "--watch",
                "--for",
                "200ms",
                "--only",
                "close-wait-leak",
                "--format",
                format,
            ]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
        });
        let mut lines =
            BufReader::new(watch.stdout.take().expect("a pipe")).lines().map(|line| line.expect("a text"));
        let first = lines.next().expect("a line");
        match format {
            "csv" => {
                let second = lines.next().expect("a row");
                assert!(first.starts_with("at_s,change,code,"), "{first}");
                assert_eq!(second.split(',').nth(1), Some("begins"), "{second}");
            }
            "table" => assert!(first.contains("CLOSE_WAIT"), "{first}"),
            _ => {
                let line: Value = serde_json::from_str(&first).expect("an object a line");
                assert_eq!(
                    (&line["change"], &line["finding"]["code"]),
                    (&json!("begins"), &json!("close-wait-leak"))
                );
            }
        }
        kill_process(Pid::from_child(&watch), Signal::INT).expect("it runs");
        assert_eq!(watch.wait().expect("it ends").code(), Some(0), "Ctrl-C is how a watch ends");
    }
}

#[test]
fn ctrl_c_ends_the_wait_between_two_looks() {
    let net = or_skip!(Net::new());
    for arguments in [&["doctor", "--for", "1h"][..], &["doctor", "--for", "1h", "--format", "json"]] {
        let mut command = eleven(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = net.run(|| command.spawn()).expect("it starts");
        let pid = child.id();
        // It waits in poll() with Ctrl-C caught.
        wait_for("the wait", || {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:\t"));
            let caught = caught.and_then(|mask| u64::from_str_radix(mask, 16).ok()).unwrap_or(0);
            if caught & 0b10 != 0 { Ok(()) } else { Err(status) }
        });
        kill_process(Pid::from_child(&child), Signal::INT).expect("it runs");
        let ran = Ran::from(child.wait_with_output().expect("it ends"));
        ran.fails(130, &["interrupted"]);
    }
}

#[test]
fn a_reader_that_leaves_ends_it_quietly() {
    let net = or_skip!(Net::new());
    let _program = Program::start(&net, "abandoned 10");
    for arguments in [
        &["--for", "0s", "--format", "json"][..],
        &["--for", "0s", "--format", "csv"],
        &["--for", "0s", "--verbose"],
        &["--watch", "--for", "200ms"],
        &["--watch", "--for", "200ms", "--format", "ndjson"],
        &["--watch", "--for", "200ms", "--format", "csv"],
    ] {
        let mut command = eleven(&[&["doctor"], arguments].concat());
        let mut child =
            net.run(|| command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()).expect("it starts");
        drop(child.stdout.take());
        let mut stderr = String::new();
        child.stderr.take().expect("a pipe").read_to_string(&mut stderr).expect("messages are UTF-8");
        let code = child.wait().expect("it ends").code();
        assert!(
            code == Some(0) && !stderr.contains("panicked") && !stderr.contains("ipe"),
            "{arguments:?}: {code:?} {stderr}"
        );
    }
}

/// As a user who may do nothing.
fn as_nobody(arguments: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    let program = env!("CARGO_BIN_EXE_eleven");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", program]).args(arguments);
    clean_environment(&mut command);
    command.env("HOME", "/nonexistent").stdin(Stdio::null());
    command
}

#[test]
fn an_ordinary_user_is_told_what_is_missing() {
    let net = or_skip!(Net::new());
    let works = is_root() && as_nobody(&["--version"]).output().is_ok_and(|output| output.status.success());
    or_skip!(works.then_some(()).ok_or("nobody cannot run the program here".to_owned()));
    let _program = Program::start(&net, "never-accepts 4");
    let run = |arguments: &[&str]| net.output(&mut as_nobody(arguments));
    let found = run(&["doctor", "--for", "500ms", "--format", "json"]).json();
    let finding = &found[0];
    assert_eq!(
        (&finding["code"], &finding["subject"]["pid"]),
        (&json!("accept-queue-overflow"), &Value::Null)
    );
    assert!(finding["missing"].as_array().is_some_and(|missing| !missing.is_empty()), "{finding:#}");
    let state = tempfile::tempdir().expect("a place for files");
    fs::set_permissions(state.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777))
        .expect("it is ours");
    let set = ["doctor", "--fix", "--yes", "--set", "tcp_keepalive_time=600"];
    let mut command = as_nobody(&set);
    net.output(command.env("ELEVEN_STATE", state.path())).fails(1, &["nothing was changed", "root"]);
    let mut undo = as_nobody(&["doctor", "--undo", "--yes"]);
    let undone = net.output(undo.env("ELEVEN_STATE", state.path()));
    assert!(undone.code == Some(0) && undone.stderr.contains("nothing was set"), "{undone:#?}");
    // No place to remember: nothing is changed either.
    run(&set).fails(1, &["cannot remember", "nothing was changed"]);
    let unreadable = tempfile::tempdir().expect("a place for files");
    let path = unreadable.path().join("nginx.conf");
    fs::write(&path, "http { }").expect("there is room");
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("it is ours");
    let path = path.to_str().expect("plain");
    run(&["doctor", "--path", "a b:kind=nginx", "--config", path]).fails(1, &[path, "Permission denied"]);
}
