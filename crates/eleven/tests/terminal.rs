//! What a person sees: width, colours, and names that try to drive the terminal.

use std::process::{Command, Stdio};

use eleven_tcp::State;
use eleven_testbed::namespace::Net;
use eleven_testbed::sockets::{ANYWHERE6, LOOPBACK, LOOPBACK6, address, connect, listen, pair, time_wait};
use eleven_testbed::{or_skip, skipped, wait_for};
use unicode_width::UnicodeWidthStr;

use crate::support::program::{Ran, RunInside, eleven, run};
use crate::support::sockets::half_closed;
use crate::support::terminal::{run_in_terminal, without_colors};

/// Asserts that nothing has to be wrapped by a terminal so many columns wide.
#[track_caller]
fn assert_fits(columns: usize, what: &str, ran: &Ran) {
    assert_eq!(ran.code, Some(0), "{what}: {ran:#?}");
    assert!(!ran.stdout.is_empty(), "{what} prints nothing");
    for line in without_colors(&ran.stdout).lines() {
        assert!(line.width() <= columns, "{what}: {} columns, not {columns}: {line}", line.width());
    }
}

#[test]
fn no_line_of_a_listing_is_wider_than_the_terminal() {
    let net = or_skip!(Net::new());
    let _held = net.run(|| {
        time_wait(LOOPBACK);
        let wide = listen(ANYWHERE6, 5);
        let client = connect((std::net::Ipv4Addr::LOCALHOST, address(&wide).port()).into());
        (pair(LOOPBACK), pair(LOOPBACK6), half_closed(LOOPBACK6), wide, client)
    });
    let commands: [&[&str]; 9] = [
        &[],
        &["list"],
        &["list", "--info"],
        &["list", "--columns", "local,remote,user,timer,cgroup,rtt"],
        &["list", "--netns", "all"],
        &["count"],
        &["count", "--by", "state,local,remote"],
        &["count", "--by", "process,state", "--limit", "1"],
        &["list", "fin-wait-1"],
    ];
    for columns in [40, 60, 80] {
        for arguments in commands {
            for language in ["en", "zh-CN"] {
                let mut command = eleven(&[arguments, &["--lang", language]].concat());
                let ran = or_skip!(net.run(|| run_in_terminal(columns, &mut command)));
                assert_fits(columns.into(), &format!("{arguments:?} in {language}"), &ran);
            }
        }
    }
}

#[test]
fn a_narrow_listing_keeps_state_and_ports() {
    let net = or_skip!(Net::new());
    let (client, server) = net.run(|| pair(LOOPBACK));
    let mut command = eleven(&["list", "--no-owners", "--sort", "local"]);
    let ran = or_skip!(net.run(|| run_in_terminal(40, &mut command)));
    let text = without_colors(&ran.stdout);
    for socket in [&client, &server] {
        // Of an address and a port, the port tells connections apart.
        let port = format!(":{}", address(socket).port());
        assert_eq!(text.matches(&port).count(), 2, "{port} in\n{text}");
    }
    assert_eq!(text.matches("ESTABLISHED").count(), 2, "{text}");
}

#[test]
fn no_line_of_an_explanation_is_wider_than_the_terminal() {
    let mut pages: Vec<Vec<&str>> = State::ALL.iter().map(|state| vec!["explain", state.as_str()]).collect();
    pages.extend(
        [
            &["explain"][..],
            &["explain", "FIN_WAIT1", "FIN+ACK"],
            &["explain", "LISTEN", "SYN"],
            &["explain", "SYN+FIN"],
            &["explain", "SYN+ACK"],
            &["explain", "ECONNRESET", "EADDRINUSE"],
            &["explain", "tcp_keepalive_time", "ip_local_port_range", "tcp_tw_recycle"],
            &["explain", "close-wait-leak"],
        ]
        .map(<[&str]>::to_vec),
    );
    for columns in [40, 60, 80] {
        for page in &pages {
            for language in ["en", "zh-CN"] {
                let mut command = eleven(&[page.as_slice(), &["--lang", language]].concat());
                let ran = or_skip!(run_in_terminal(columns, &mut command));
                assert_fits(columns.into(), &format!("{page:?} in {language}"), &ran);
            }
        }
    }
}

#[test]
fn colours_follow_the_option_the_environment_and_the_terminal() {
    let has_colors = |ran: Ran| ran.done().contains("\x1b[");
    let page = ["explain", "TIME_WAIT"];
    let with = |more: &[&'static str]| eleven(&[&page[..], more].concat());
    let on_terminal = |command: &mut Command| run_in_terminal(80, command).map(has_colors);

    assert!(or_skip!(on_terminal(&mut with(&[]))), "a terminal gets colours");
    assert!(!or_skip!(on_terminal(&mut with(&["--color", "never"]))));
    assert!(!or_skip!(on_terminal(with(&[]).env("NO_COLOR", "1"))));
    assert!(or_skip!(on_terminal(with(&[]).env("NO_COLOR", ""))), "an empty NO_COLOR says nothing");
    assert!(!or_skip!(on_terminal(with(&[]).env("TERM", "dumb"))));
    assert!(or_skip!(on_terminal(with(&["--color", "always"]).env("NO_COLOR", "1"))), "the option wins");
    assert!(!has_colors(run(&page)), "a pipe gets none");
    assert!(has_colors(run(&["explain", "TIME_WAIT", "--color", "always"])));

    // Colours change nothing else, but commands lose the backticks that colours replace.
    let plain = |text: String| without_colors(&text).replace('`', "");
    let colored = run(&["explain", "TIME_WAIT", "--color", "always"]).done();
    assert_eq!(plain(colored), plain(run(&page).done()));
}

#[test]
fn a_hostile_process_name_never_reaches_the_terminal() {
    let net = or_skip!(Net::new());
    let (client, server) = net.run(|| pair(LOOPBACK));
    let copy: std::os::fd::OwnedFd = server.try_clone().expect("a free descriptor").into();
    // ESC, CSI as one character of Latin 1, carriage return, and a line of its own.
    let script = r"printf 'ev\033[2J\302\233\r\nil' > /proc/$$/comm; read -r _";
    let shell = Command::new("sh").args(["-c", script]).stdin(Stdio::piped()).stdout(copy).spawn();
    // The shell is now the only one that holds it.
    drop(server);
    let mut shell = or_skip!(shell.map_err(|error| format!("no sh: {error}")));
    let comm = format!("/proc/{}/comm", shell.id());
    wait_for("the name", || match std::fs::read(&comm) {
        Ok(name) if name.starts_with(b"ev\x1b") => Ok(()),
        other => Err(other),
    });
    for arguments in [
        &[][..],
        &["list"],
        &["list", "--columns", "process,owner"],
        &["list", "--format", "csv"],
        &["list", "--format", "json"],
        &["list", "--format", "ndjson"],
        &["count", "--by", "process"],
        &["count", "--by", "process", "--format", "csv"],
        &["--format", "json"],
        &["snapshot"],
    ] {
        let text = net.eleven(arguments).done();
        assert!(text.contains("ev") && text.contains("il"), "{arguments:?} does not show the name: {text:?}");
        // JSON writes ASCII's as escapes and leaves the others, for programs to read.
        let is_json = text.starts_with(['[', '{']);
        let control = text.chars().find(|c| c.is_control() && *c != '\n' && (!is_json || c.is_ascii()));
        assert_eq!(control, None, "{arguments:?}: {text:?}");
        assert!(!text.contains("\nil"), "{arguments:?} breaks the line: {text:?}");
    }
    shell.kill().expect("it is a child");
    shell.wait().expect("it is a child");
    drop(client);
}

#[test]
fn a_hostile_snapshot_never_reaches_the_terminal() {
    let directory = tempfile::tempdir().expect("a place for files");
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.to_str().expect("a plain path").to_owned()
    };
    let saved = run(&["snapshot"]).done();
    let Some((before, after)) = saved.split_once("\"netns\":\"") else {
        return skipped("no socket to forge here");
    };
    let name = after.split('"').next().unwrap_or_default();
    let forged = format!("{before}\"netns\":\"{after}").replace(name, r"x\u001b[2Jx");
    let plain = file("plain", &saved);
    for path in [
        file("forged", &forged),
        file(
            "unknown state",
            &saved.replace("\"LISTEN\"", r#""\u001b[2J""#).replace("\"full\"", r#""\u001b[2J""#),
        ),
    ] {
        for ran in [run(&["diff", &plain, &path]), run(&["diff", &path, &plain])] {
            for text in [&ran.stdout, &ran.stderr] {
                assert!(!text.contains('\x1b'), "{ran:?}");
            }
        }
    }
}
