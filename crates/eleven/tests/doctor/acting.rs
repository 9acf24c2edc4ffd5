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
        ("net.ipv4.tcp_tw_recycle=1", "another host at the same address"),
        ("tcp_tw_recycle=0x1", "another host at the same address"),
        ("net/ipv4/tcp_tw_recycle=01", "another host at the same address"),
        ("net.ipv4.tcp_syncookies=0", "honest clients are dropped"),
        ("tcp_abort_on_overflow=1", "comes a reset"),
        ("tcp_timestamps=0", "PAWS"),
        ("tcp_fin_timeout=1", "does not shorten TIME_WAIT"),
        ("tcp_max_tw_buckets=100", "skip TIME_WAIT"),
        ("tcp_retries2=3", "100 s"),
        ("tcp_sack=0", "throughput"),
        ("tcp_window_scaling=0", "64 KB"),
    ] {
        let ran = run(&["doctor", "--fix", "--yes", "--set", word]);
        ran.fails(2, &["is refused", "net.ipv4.tcp_", says]);
        // One of several is enough.
        let several = ["doctor", "--fix", "--yes", "--set", "tcp_keepalive_time=600", "--set", word];
        run(&several).fails(2, &["is refused"]);
    }
    assert_ne!(eleven_linux::proc::sysctl::read("net.ipv4.tcp_keepalive_time").as_deref(), Some("600"));
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

/// A script in a world of its own, in which this namespace is the host's, with a directory of the test's in the place of
/// `/etc/sysctl.d`. Nothing of it is left when it ends.
fn in_a_world(directory: &Path, script: &str) -> Result<Ran, String> {
    let (state, files) = (directory.join("state"), directory.join("sysctl.d"));
    std::fs::create_dir_all(&files).map_err(|error| error.to_string())?;
    if !Path::new("/etc/sysctl.d").is_dir() {
        return Err("there is no /etc/sysctl.d to lay a directory over".to_owned());
    }
    let before = format!("mount --bind {} /etc/sysctl.d || exit 77\n", files.display());
    let ours = Path::new(env!("CARGO_BIN_EXE_eleven")).parent().expect("a directory");
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = std::process::Command::new("unshare");
    command
        .args(["--mount", "--net", "--pid", "--fork", "--mount-proc", "sh", "-c", &(before + script)])
        .env("ELEVEN_STATE", state)
        .env("PATH", format!("{}:{path}", ours.display()));
    crate::support::program::clean_environment(&mut command);
    let ran = Ran::from(command.output().map_err(|error| format!("no unshare command: {error}"))?);
    match ran.code {
        Some(77) => Err(format!("no private mounts: {}", ran.stderr)),
        Some(1) if ran.stderr.starts_with("unshare:") => Err(ran.stderr),
        _ => Ok(ran),
    }
}

#[test]
fn what_lasts_is_written_once_with_its_reason_and_taken_back() {
    let directory = tempfile::tempdir().expect("a place for files");
    let file = directory.path().join("sysctl.d/90-eleven.conf");
    let text = || std::fs::read_to_string(&file).expect("it was written");
    let before = std::fs::read_dir("/etc/sysctl.d").map_or(0, Iterator::count);
    let fix = "doctor --for 0s --fix --yes --persist";
    // Namespaces end with each of these, files stay.
    let set = format!("echo 1 > /proc/sys/net/ipv4/tcp_abort_on_overflow; eleven {fix}");
    let ran = or_skip!(in_a_world(directory.path(), &set));
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert!(ran.stderr.contains("written to /etc/sysctl.d/90-eleven.conf"), "{ran:#?}");
    let lines: Vec<String> = text().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 3, "{lines:#?}");
    assert!(lines[0].starts_with("# Values set by `eleven doctor --fix --persist`"), "{lines:#?}");
    assert_eq!(
        lines[1],
        "# harmful-sysctl: Full accept queues are answered with RST (net.ipv4.tcp_abort_on_overflow is 1) (was 1)"
    );
    assert_eq!(lines[2], "net.ipv4.tcp_abort_on_overflow = 0");

    // A second time: the same name stands once, another beside it, and a line by hand stays.
    std::fs::write(&file, text() + "net.ipv4.tcp_ecn = 1\n").expect("there is room");
    let again = format!("{set} --set tcp_abort_on_overflow=0 --set tcp_keepalive_time=600");
    let ran = or_skip!(in_a_world(directory.path(), &again));
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let settings: Vec<String> =
        text().lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
    assert_eq!(
        settings,
        ["net.ipv4.tcp_ecn = 1", "net.ipv4.tcp_abort_on_overflow = 0", "net.ipv4.tcp_keepalive_time = 600"]
    );

    // What is read later and says otherwise wins at boot: that is told, and left alone.
    let later = directory.path().join("sysctl.d/99-mine.conf");
    std::fs::write(&later, "# mine\n-net/ipv4/tcp_keepalive_time=7000\nnet.ipv4.tcp_abort_on_overflow=0\n")
        .expect("there is room");
    let ran = or_skip!(in_a_world(directory.path(), &again));
    assert!(
        ran.stderr.contains("/etc/sysctl.d/99-mine.conf:2 (net.ipv4.tcp_keepalive_time = 7000)"),
        "{ran:#?}"
    );
    assert!(!ran.stderr.contains("99-mine.conf:3"), "{ran:#?}");
    std::fs::remove_file(&later).expect("it is there");

    // Systemd and procps read it.
    let read = or_skip!(in_a_world(directory.path(), "sysctl -p /etc/sysctl.d/90-eleven.conf"));
    assert!(read.code == Some(0) && read.stdout.contains("net.ipv4.tcp_keepalive_time = 600"), "{read:#?}");

    // Somebody changes one of them; the other goes, and the line by hand stays.
    let changed = text().replace("tcp_keepalive_time = 600", "tcp_keepalive_time = 900");
    std::fs::write(&file, changed).expect("there is room");
    let undone = or_skip!(in_a_world(directory.path(), "eleven doctor --undo --yes"));
    assert_eq!(undone.code, Some(0), "{undone:#?}");
    for says in [
        "is 900, not 600: somebody has changed it since",
        "stands as before",
        "is gone, and its values with it",
    ] {
        assert!(undone.stderr.contains(says), "{says}: {undone:#?}");
    }
    let settings: Vec<String> =
        text().lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
    assert_eq!(settings, ["net.ipv4.tcp_ecn = 1", "net.ipv4.tcp_keepalive_time = 900"]);

    // With nothing of others in it the file goes too.
    std::fs::remove_file(&file).expect("it is there");
    or_skip!(in_a_world(directory.path(), &set)).done();
    let dry = or_skip!(in_a_world(directory.path(), "eleven doctor --undo --dry-run"));
    assert!(dry.stderr.contains("to no line") && file.exists(), "{dry:#?}");
    or_skip!(in_a_world(directory.path(), "eleven doctor --undo --yes")).done();
    assert!(!file.exists());
    let nothing = or_skip!(in_a_world(directory.path(), "eleven doctor --undo --yes"));
    assert!(nothing.stderr.contains("nothing was set"), "{nothing:#?}");
    assert_eq!(
        std::fs::read_dir("/etc/sysctl.d").map_or(0, Iterator::count),
        before,
        "nothing of the host's"
    );
}

#[test]
fn other_namespaces_do_not_last() {
    let net = or_skip!(Net::new());
    let state = tempfile::tempdir().expect("a place for files");
    let set = ["doctor", "--fix", "--persist", "--set", "tcp_keepalive_time=600", "--dry-run"];
    let ran = with_state(&net, state.path(), &set);
    assert!(ran.code == Some(0) && ran.stderr.contains("does not last"), "{ran:#?}");
    assert!(
        ran.stderr.contains("nothing was changed") && !Path::new("/etc/sysctl.d/90-eleven.conf").exists()
    );
    assert_ne!(value(&net, "net.ipv4.tcp_keepalive_time"), "600");
}

#[test]
fn what_cannot_be_written_down_is_not_set() {
    let directory = tempfile::tempdir().expect("a place for files");
    let script = "mount -o remount,bind,ro /etc/sysctl.d || exit 77
        eleven doctor --fix --yes --persist --set tcp_keepalive_time=600; echo code $?
        cat /proc/sys/net/ipv4/tcp_keepalive_time; eleven doctor --undo --yes";
    let ran = or_skip!(in_a_world(directory.path(), script));
    assert_eq!(ran.stdout, "code 1\n7200\n", "{ran:#?}");
    for says in [
        "cannot write /etc/sysctl.d/90-eleven.conf",
        "tcp_keepalive_time is 7200 again",
        "nothing was changed",
        "nothing was set",
    ] {
        assert!(ran.stderr.contains(says), "{says}: {ran:#?}");
    }
}

#[test]
fn read_only_sysctls_are_told() {
    let directory = tempfile::tempdir().expect("a place for files");
    let script = "mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys || exit 77
        eleven doctor --fix --yes --set tcp_keepalive_time=600";
    let ran = or_skip!(in_a_world(directory.path(), script));
    ran.fails(
        1,
        &["nothing was changed", "refuses net.ipv4.tcp_keepalive_time = 600", "mounted read-only", "--netns"],
    );
}

#[test]
fn what_was_begun_is_undone_when_the_next_fails() {
    let net = or_skip!(Net::new());
    let state = tempfile::tempdir().expect("a place for files");
    let before = value(&net, "net.ipv4.tcp_keepalive_time");
    // The kernel takes 1 to 127.
    let set = [
        "doctor",
        "--fix",
        "--yes",
        "--set",
        "tcp_keepalive_time=600",
        "--set",
        "tcp_keepalive_probes=100000",
    ];
    let ran = with_state(&net, state.path(), &set);
    let again = format!("tcp_keepalive_time is {before} again");
    ran.fails(
        1,
        &[
            "tcp_keepalive_time is 600 now",
            &again,
            "nothing was changed",
            "refuses net.ipv4.tcp_keepalive_probes",
        ],
    );
    assert_eq!(value(&net, "net.ipv4.tcp_keepalive_time"), before);
    let undone = with_state(&net, state.path(), &["doctor", "--undo", "--yes"]);
    assert!(undone.stderr.contains("nothing was set"), "{undone:#?}");
}

#[test]
fn the_hosts_own_values_are_not_set_from_a_namespace() {
    let net = or_skip!(Net::new());
    let state = tempfile::tempdir().expect("a place for files");
    for (name, value) in [
        ("net.ipv4.tcp_mem", "1 2 3"),
        ("net.ipv4.tcp_max_orphans", "10"),
        ("net.core.netdev_max_backlog", "10"),
        ("net.netfilter.nf_conntrack_max", "10"),
    ] {
        let read = || eleven_linux::proc::sysctl::read(name);
        let before = read();
        let set = format!("{name}={value}");
        for options in [&["--yes"][..], &["--dry-run"]] {
            let arguments =
                [&["doctor", "--fix", "--set", "tcp_keepalive_time=600", "--set", &set], options].concat();
            let ran = with_state(&net, state.path(), &arguments);
            ran.fails(1, &[name, "one value for the whole host", "nothing is set"]);
        }
        assert_eq!(read(), before);
        assert_ne!(self::value(&net, "net.ipv4.tcp_keepalive_time"), "600");
    }
    let ran = with_state(&net, state.path(), &["doctor", "--fix", "--yes", "--set", "tcp_cookie_size=0"]);
    ran.fails(1, &["Linux 3.10 removed it"]);
}

#[test]
fn one_record_remembers_all_kinds_of_changes() {
    let net = or_skip!(Net::new());
    let state = tempfile::tempdir().expect("a place for files");
    let (client, _server) = net.run(|| eleven_testbed::sockets::pair(eleven_testbed::sockets::LOOPBACK));
    let doctor = |words: &[&str]| with_state(&net, state.path(), &[&["doctor"], words].concat());
    let keepalive = |words: &[&str]| with_state(&net, state.path(), &[&["keepalive"], words].concat());
    doctor(&["--fix", "--yes", "--set", "tcp_keepalive_time=600"]).done();
    keepalive(&["--set", "time=60", "--yes"]).done();
    let file = state.path().join("undo.jsonl");
    let lines = |text: &str| -> Vec<String> {
        text.lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .map(|line| line["kind"].as_str().expect("a kind").to_owned())
            .collect()
    };
    let text = || std::fs::read_to_string(&file).expect("it was written");
    assert_eq!(lines(&text()), ["sysctl", "keepalive", "keepalive"]);
    // Half a line, as a crash leaves it, costs nothing but itself.
    std::fs::write(&file, text() + "{\"kind\":\"sys").expect("there is room");
    let undone = keepalive(&["--undo", "--yes"]);
    assert!(
        undone.stderr.contains("undo.jsonl:4 is left out") && undone.stderr.contains("2 put back"),
        "{undone:#?}"
    );
    assert!(!client.keepalive().expect("it is open"));
    assert_eq!(lines(&text()), ["sysctl"]);
    let undone = doctor(&["--undo", "--yes"]);
    assert!(undone.code == Some(0) && undone.stderr.contains("is 7200 again"), "{undone:#?}");
    assert!(!file.exists());
}

#[test]
fn another_boot_and_a_namespace_that_is_gone_are_told() {
    let net = or_skip!(Net::new());
    let state = tempfile::tempdir().expect("a place for files");
    let file = state.path().join("undo.jsonl");
    let (client, _server) = net.run(|| eleven_testbed::sockets::pair(eleven_testbed::sockets::LOOPBACK));
    let change = |net: &Net| {
        with_state(net, state.path(), &["doctor", "--fix", "--yes", "--set", "tcp_keepalive_time=600"])
            .done();
        with_state(net, state.path(), &["keepalive", "--set", "time=60", "--yes"]).done();
    };
    change(&net);
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("every kernel has one");
    let text = std::fs::read_to_string(&file).expect("it was written");
    std::fs::write(&file, text.replace(boot.trim(), "00000000-0000-0000-0000-000000000000"))
        .expect("there is room");
    let undone = with_state(&net, state.path(), &["doctor", "--undo", "--yes"]);
    assert!(undone.code == Some(0) && undone.stderr.contains("the host was started since"), "{undone:#?}");
    assert_eq!(value(&net, "net.ipv4.tcp_keepalive_time"), "600");
    let undone = with_state(&net, state.path(), &["keepalive", "--undo", "--yes"]);
    assert!(undone.code == Some(0) && undone.stderr.contains("2 changes of before this boot"), "{undone:#?}");
    assert!(client.keepalive().expect("it is open"));

    let other = or_skip!(Net::new());
    with_state(&other, state.path(), &["doctor", "--fix", "--yes", "--set", "tcp_keepalive_time=600"]).done();
    drop(other);
    let undone = run_with_state(state.path(), &["doctor", "--undo", "--yes"]);
    assert!(
        undone.code == Some(0) && undone.stderr.contains("is gone, and its values with it"),
        "{undone:#?}"
    );
    assert!(!file.exists());
}

fn run_with_state(state: &Path, arguments: &[&str]) -> Ran {
    eleven(arguments).env("ELEVEN_STATE", state).output().expect("the command starts").into()
}

#[test]
fn a_crash_leaves_something_to_undo() {
    let net = or_skip!(Net::new());
    let state = tempfile::tempdir().expect("a place for files");
    let path = "/proc/sys/net/ipv4/tcp_keepalive_time";
    // Killed as it is about to write the value.
    let mut command = std::process::Command::new("strace");
    command
        .args([
            "-f",
            "-q",
            "-o",
            "/dev/null",
            "-P",
            path,
            "-e",
            "trace=write",
            "-e",
            "inject=write:signal=SIGKILL",
        ])
        .arg(env!("CARGO_BIN_EXE_eleven"))
        .args([
            "doctor",
            "--fix",
            "--yes",
            "--set",
            "tcp_keepalive_time=600",
            "--set",
            "tcp_keepalive_probes=5",
        ])
        .env("ELEVEN_STATE", state.path())
        .stdin(std::process::Stdio::null());
    let killed = net.run(|| command.output()).map_err(|error| format!("no strace: {error}"));
    let killed = or_skip!(killed);
    let text = std::fs::read_to_string(state.path().join("undo.jsonl"));
    let text = or_skip!(text.map_err(|error| format!("strace cannot do it here: {error}, {killed:?}")));
    let line: serde_json::Value = serde_json::from_str(&text).expect("one whole line");
    assert_eq!((&line["kind"], &line["name"]), (&"sysctl".into(), &"net.ipv4.tcp_keepalive_time".into()));
    assert_eq!((&line["from"], &line["to"]), (&"7200".into(), &"600".into()));
    // As if it had come a moment later.
    net.run(|| std::fs::write(path, "600")).expect("root may");
    let undone = with_state(&net, state.path(), &["doctor", "--undo", "--yes"]);
    assert!(undone.code == Some(0) && undone.stderr.contains("is 7200 again"), "{undone:#?}");
    assert_eq!(value(&net, "net.ipv4.tcp_keepalive_time"), "7200");
    assert_eq!(std::fs::read_dir(state.path()).map_or(0, Iterator::count), 1, "only the lock is left");
}
