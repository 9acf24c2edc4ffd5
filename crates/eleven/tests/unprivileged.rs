//! What an ordinary user sees: every row, and what was left out.

use std::process::Command;

use eleven_snapshot::{KernelOnly, Socket};
use eleven_testbed::namespace::Net;
use eleven_testbed::sockets::{ANYWHERE6, LOOPBACK, listen, pair};
use eleven_testbed::{or_skip, skipped};

use crate::support::is_root;
use crate::support::program::{Ran, RunInside, clean_environment, eleven};
use crate::support::sockets::half_closed;

/// A user that exists everywhere and may do nothing.
const NOBODY: &str = "65534";

/// The command as an ordinary user; the way in is `setpriv`, of util-linux.
fn as_nobody(arguments: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    let program = env!("CARGO_BIN_EXE_eleven");
    command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", program]).args(arguments);
    clean_environment(&mut command);
    command
}

/// Whether [`as_nobody`] can work here, else why not.
fn nobody_works() -> Result<(), String> {
    if !is_root() {
        return Err("only root can become somebody else".to_owned());
    }
    let output = as_nobody(&["--version"]).output().map_err(|error| format!("no setpriv: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "nobody cannot run the program where it stands: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    ))
}

fn rows(ran: Ran) -> Vec<Socket> {
    let read = |row| serde_json::from_value(row).expect("a row is a socket");
    ran.ndjson().into_iter().map(read).collect()
}

/// What makes a row, whoever looks.
fn identities(rows: &[Socket]) -> Vec<String> {
    let mut all: Vec<String> = rows
        .iter()
        .map(|row| {
            format!(
                "{} {:?} {}:{:?} {}:{:?} {:?} {:?}",
                row.state,
                row.kind,
                row.local_address,
                row.local_port,
                row.remote_address,
                row.remote_port,
                row.cookie,
                row.uid
            )
        })
        .collect();
    all.sort();
    all
}

#[test]
fn an_ordinary_user_sees_every_row_and_is_told_what_is_missing() {
    or_skip!(nobody_works());
    let net = or_skip!(Net::new());
    let _held = net.run(|| (listen(ANYWHERE6, 1), pair(LOOPBACK), half_closed(LOOPBACK)));
    let list = ["list", "--format", "ndjson"];
    let all = rows(net.eleven(&list));
    let ran = net.output(&mut as_nobody(&list));
    assert!(ran.stderr.contains("show no owner"), "{ran:?}");
    assert_eq!(ran.stderr.lines().count(), ran.stderr.matches("eleven: ").count(), "one line each: {ran:?}");
    let seen = rows(ran);
    assert_eq!(identities(&seen), identities(&all));
    for row in &seen {
        assert_eq!((row.owners.len(), row.no_owner), (0, Some(KernelOnly::Unreadable)), "{row:?}");
        assert_eq!(row.mark, None, "a mark takes CAP_NET_ADMIN: {row:?}");
    }
    // Who does not ask for owners misses nothing and hears nothing.
    let ran = net.output(&mut as_nobody(&["list", "--no-owners"]));
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");

    let summary = net.output(&mut as_nobody(&["--format", "json"]));
    let summary = summary.json();
    assert_eq!(summary["total"], all.len());
    assert_eq!(summary["unreadable_owners"], all.len());
    assert!(summary["notes"].as_array().is_some_and(|notes| !notes.is_empty()), "{summary}");
    let snapshot = net.output(&mut as_nobody(&["snapshot"])).json();
    assert_eq!(snapshot["socket_count"], all.len());
    assert!(snapshot["notes"].as_array().is_some_and(|notes| !notes.is_empty()));
}

#[test]
fn a_filter_on_marks_loses_no_row_for_an_ordinary_user() {
    or_skip!(nobody_works());
    let net = or_skip!(Net::new());
    let (client, _server) = net.run(|| pair(LOOPBACK));
    client.set_mark(7).expect("root may mark");
    let filter = "fwmark 7 or sport > 0";
    let count = |ran: Ran| rows(ran).len();
    let arguments = ["list", "--no-owners", "--format", "ndjson", filter];
    assert_eq!(count(net.eleven(&arguments)), 2);
    assert_eq!(count(net.output(&mut as_nobody(&arguments))), 2);
}

#[test]
fn bpf_asked_for_without_privilege_is_an_error_that_says_so() {
    or_skip!(nobody_works());
    let net = or_skip!(Net::new());
    let _listener = net.run(|| listen(LOOPBACK, 1));
    for arguments in [
        &["count"][..],
        &["count", "--format", "json"],
        &["list", "--no-owners"],
        &["list", "--no-owners", "--format", "json"],
    ] {
        let ran = net.output(&mut as_nobody(&[arguments, &["--reader", "bpf"]].concat()));
        ran.fails(1, &["eleven: BPF cannot be used: this user has no privilege", "--reader"]);
        assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
    }
}

#[test]
fn another_namespace_cannot_be_entered_without_privilege() {
    or_skip!(nobody_works());
    let net = or_skip!(Net::new());
    let path = net.path();
    let ran: Ran = as_nobody(&["list", "--netns", &path]).output().expect("it has just worked").into();
    ran.fails(1, &["cannot enter network namespace", "try sudo"]);
    // Of all namespaces, those that can be entered are shown and the others mentioned.
    let ran: Ran = as_nobody(&["count", "--netns", "all"]).output().expect("it has just worked").into();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("could not be looked at"), "{ran:?}");
}

#[test]
fn a_user_namespace_is_enough_to_look_into_ones_own() {
    let mut probe = Command::new("unshare");
    let probe = probe.args(["-rn", "true"]).output();
    if !probe.is_ok_and(|output| output.status.success()) {
        return skipped("no user namespace: unshare -rn is refused");
    }
    // Inside, the listener is a program of the same user.
    let Ok(helper) = std::env::current_exe() else { return skipped("the test does not know itself") };
    let mut command = Command::new("unshare");
    command.args(["-rn"]).arg(helper).args(["--exact", "--ignored", "--nocapture"]);
    command.arg("unprivileged::inside_a_user_namespace");
    clean_environment(&mut command);
    let ran: Ran = command.output().expect("it has just worked").into();
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert!(ran.stdout.contains("1 passed"), "{ran:#?}");
}

/// The inner half of the test above.
#[test]
#[ignore = "runs inside the user namespace that another test makes"]
fn inside_a_user_namespace() {
    let listener = listen(ANYWHERE6, 3);
    let ran: Ran = eleven(&["list", "--format", "ndjson"]).output().expect("the command starts").into();
    let rows = rows(ran);
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].backlog_limit, Some(3));
    assert_eq!(rows[0].owners.first().map(|owner| owner.pid), Some(std::process::id()), "{rows:?}");
    drop(listener);
}
