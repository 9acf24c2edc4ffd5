//! `--fix`, `--undo`, and what is refused.

use std::path::Path;

use eleven_testbed::namespace::Net;
use eleven_testbed::or_skip;

use crate::support::program::{Ran, RunInside, eleven, run};

fn with_state(net: &Net, state: &Path, arguments: &[&str]) -> Ran {
    let mut command = eleven(arguments);
    command.env("ELEVEN_STATE", state);
    net.output(&mut command)
}

fn value(net: &Net, name: &str) -> String {
    let path = format!("/proc/sys/{}", name.replace('.', "/"));
    net.run(|| std::fs::read_to_string(path)).expect("it can be read").trim().to_owned()
}

#[test]
fn a_sysctl_is_put_back_and_that_is_undone() {
    const NAME: &str = "net.ipv4.tcp_abort_on_overflow";
    let net = or_skip!(Net::new());
    let state = tempfile::tempdir().expect("a place for files");
    net.run(|| std::fs::write("/proc/sys/net/ipv4/tcp_abort_on_overflow", "1")).expect("root may");
    // Nobody is there to ask.
    let asked = with_state(&net, state.path(), &["doctor", "--for", "0s", "--fix"]);
    assert_eq!(asked.code, Some(1), "{asked:#?}");
    assert!(asked.stderr.contains("--yes") && asked.stderr.contains(NAME), "{asked:#?}");
    assert_eq!(value(&net, NAME), "1");

    let fixed = with_state(&net, state.path(), &["doctor", "--for", "0s", "--fix", "--yes"]);
    assert_eq!(fixed.code, Some(0), "{fixed:#?}");
    assert!(fixed.stderr.contains("harmful-sysctl: the evidence is gone"), "{fixed:#?}");
    assert_eq!(value(&net, NAME), "0");

    // From outside the namespace too.
    let undone = eleven(&["doctor", "--undo", "--yes", "--netns", &net.path()])
        .env("ELEVEN_STATE", state.path())
        .output()
        .expect("the command starts");
    let undone = Ran::from(undone);
    assert_eq!(undone.code, Some(0), "{undone:#?}");
    assert_eq!(value(&net, NAME), "1", "{undone:#?}");
    let again = with_state(&net, state.path(), &["doctor", "--undo", "--yes"]);
    assert!(again.stderr.contains("nothing was set"), "{again:#?}");
}

#[test]
fn what_somebody_else_changed_is_left() {
    const NAME: &str = "net.ipv4.tcp_retries2";
    let net = or_skip!(Net::new());
    let state = tempfile::tempdir().expect("a place for files");
    let set = |value: &str| {
        net.run(|| std::fs::write("/proc/sys/net/ipv4/tcp_retries2", value)).expect("root may");
    };
    set("3");
    with_state(&net, state.path(), &["doctor", "--for", "0s", "--fix", "--yes"]).done();
    assert_eq!(value(&net, NAME), "15");
    set("12");
    let undone = with_state(&net, state.path(), &["doctor", "--undo", "--yes"]);
    assert!(undone.stderr.contains("somebody has changed it since"), "{undone:#?}");
    assert_eq!(value(&net, NAME), "12");
}

#[test]
fn folklore_is_refused_by_name() {
    for (word, says) in [
        ("tcp_tw_recycle=1", "clients"),
        ("net.ipv4.tcp_syncookies=0", "dropped"),
        ("tcp_fin_timeout=1", "TIME_WAIT"),
        ("tcp_max_tw_buckets=100", "TIME_WAIT"),
    ] {
        run(&["doctor", "--fix", "--yes", "--set", word]).fails(2, &["is refused", "net.ipv4.tcp_"]);
        let _ = says;
    }
    run(&["doctor", "--fix", "--set", "tcp_x"]).fails(2, &["NAME=VALUE"]);
    run(&["doctor", "--fix", "--set", "tcp_unheard_of=1"]).fails(2, &["no sysctl that eleven knows"]);
}

#[test]
fn a_value_the_kernel_refuses_changes_nothing() {
    let net = or_skip!(Net::new());
    let state = tempfile::tempdir().expect("a place for files");
    let before = value(&net, "net.ipv4.tcp_keepalive_time");
    let ran =
        with_state(&net, state.path(), &["doctor", "--fix", "--yes", "--set", "tcp_keepalive_time=-7x"]);
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    assert!(ran.stderr.contains("refuses"), "{ran:#?}");
    assert_eq!(value(&net, "net.ipv4.tcp_keepalive_time"), before);
    let undone = with_state(&net, state.path(), &["doctor", "--undo", "--yes"]);
    assert!(undone.stderr.contains("nothing was set"), "{undone:#?}");
}
