//! However a laboratory ends, nothing of it is left.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use eleven_tcp::sim::Random;
use eleven_testbed::{or_skip, wait_for};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{Held, kernel_works};
use crate::support::program::eleven;

/// What a laboratory could leave: named namespaces, mounts of namespaces, devices.
fn surroundings() -> (BTreeSet<String>, Vec<String>, BTreeSet<String>) {
    let names = |directory: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    };
    // Other tests name namespaces of their own meanwhile, after themselves.
    let named = names("/run/netns").into_iter().filter(|name| !name.starts_with("eleven-")).collect();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mounts = mounts.lines().filter(|line| line.contains(" nsfs ") && !line.contains("/eleven-"));
    (named, mounts.map(str::to_owned).collect(), names("/sys/class/net"))
}

/// The processes of a group, which outlive its leader if anything does.
fn group_members(group: u32) -> Vec<String> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let stats = processes.filter_map(|process| fs::read_to_string(process.path().join("stat")).ok());
    let in_group = |stat: &String| {
        // Behind the name in parentheses: state, parent, group.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        fields.get(2).and_then(|field| field.parse().ok()) == Some(group) && fields.first() != Some(&"Z")
    };
    stats.filter(in_group).collect()
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed()).expect("a process has a number")
}

/// Starts a laboratory in a group of its own, kills it after a while, and looks what is left.
fn kill_after(arguments: &[&str], delay: Duration, signal: Signal) {
    let mut command = eleven(arguments);
    // A shell of a laboratory that reads and never ends.
    command.env("SHELL", "/bin/cat").process_group(0);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the command starts");
    let input = child.stdin.take();
    let group = child.id();
    // The moment is the point: any is as good as another.
    thread::sleep(delay);
    let _ = kill_process(pid(&child), signal);
    let status = child.wait().expect("it is a child");
    if signal == Signal::INT && status.code().is_some() {
        assert!(matches!(status.code(), Some(0 | 130)), "{arguments:?} after {delay:?}: {status:?}");
    }
    wait_for("the end of all processes of the laboratory", || match group_members(group) {
        none if none.is_empty() => Ok(()),
        some => Err(some),
    });
    drop(input);
}

#[test]
fn nothing_is_left_when_it_is_killed_at_any_moment() {
    or_skip!(kernel_works());
    let before = surroundings();
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let mut random = Random::new(seed);
    for signal in [Signal::KILL, Signal::INT, Signal::TERM] {
        for arguments in [
            &["lab", "run", "closing", "--hold"][..],
            &["lab", "run", "lost-all-data"],
            &["lab", "run", "--all", "--format", "json"],
            &["lab", "shell", "time-wait"],
        ] {
            for _ in 0..3 {
                kill_after(arguments, random.up_to(Duration::from_millis(300)), signal);
            }
        }
    }
    assert_eq!(surroundings(), before);
}

#[test]
fn ctrl_c_ends_what_is_held() {
    or_skip!(kernel_works());
    let (held, _) = Held::start(&["lab", "run", "closing", "--hold"]);
    kill_process(pid(&held.0), Signal::INT).expect("it runs");
    let ran = held.end();
    assert_eq!(ran.code, Some(130), "{ran:?}");
    assert!(ran.stderr.contains("interrupted"), "{ran:?}");
    // What was reached until then is told.
    for words in ["FIN_WAIT1 → CLOSING", "reached on the kernel"] {
        assert!(ran.stdout.contains(words), "`{words}` is missing: {ran:?}");
    }
}

#[test]
fn what_was_done_before_ctrl_c_is_told_in_full() {
    or_skip!(kernel_works());
    let mut child = eleven(&["lab", "run", "--all", "--format", "ndjson"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let mut stdout = BufReader::new(child.stdout.take().expect("it is a pipe"));
    let mut lines = String::new();
    stdout.read_line(&mut lines).expect("output is UTF-8");
    kill_process(pid(&child), Signal::INT).expect("it runs");
    stdout.read_to_string(&mut lines).expect("output is UTF-8");
    assert_eq!(child.wait().expect("it is a child").code(), Some(130), "{lines}");
    let results: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str(line).expect("whole lines of JSON")).collect();
    assert!(results.iter().any(|result| result["reached"] == true), "{results:#?}");
    assert!(results.iter().any(|result| result["stopped"] == "interrupted"), "{results:#?}");
}
