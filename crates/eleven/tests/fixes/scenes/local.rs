//! Faults within a namespace.

use std::net::TcpStream;

use eleven_testbed::namespace::Net;
use serde_json::json;

use super::{LOOK, LOOKS, Played, set};
use crate::fixes::play::{Play, Tally};
use crate::fixes::program::Program;
use crate::support::program::RunInside;

pub(super) fn close_wait_leak() -> Played {
    let net = Net::new()?;
    let mut program = Program::start(&net, "abandoned 30");
    let play = Play::of("close-wait-leak", &net, LOOKS);
    assert_eq!(play.finding()["subject"]["pid"], program.pid());
    let play = play.look().change().change_as_told();
    program.mend();
    Ok(play.gone(LOOKS).verified().tally)
}

pub(super) fn accept_queue_overflow() -> Played {
    let net = Net::new()?;
    let mut program = Program::start(&net, "never-accepts 4");
    let play = Play::of("accept-queue-overflow", &net, LOOKS).look().change().change_as_told();
    program.mend();
    Ok(play.gone(LOOKS).verified().tally)
}

pub(super) fn accept_queue_of_a_stopped_program() -> Played {
    let net = Net::new()?;
    let mut program = Program::start(&net, "never-accepts 4");
    let pid = rustix::process::Pid::from_raw(program.pid().cast_signed()).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).expect("it is ours");
    let play = Play::of("accept-queue-overflow", &net, LOOKS);
    assert!(
        play.finding()["title"].as_str().is_some_and(|title| title.contains("stopped")),
        "{:#}",
        play.finding()
    );
    let play = play.change();
    program.mend();
    Ok(play.gone(LOOKS).tally)
}

pub(super) fn accept_queue_with_a_low_cap() -> Played {
    let net = Net::new()?;
    set(&net, "net.core.somaxconn", "4");
    let mut program = Program::start(&net, "never-accepts 128");
    let play = Play::of("accept-queue-overflow", &net, LOOKS);
    assert!(
        play.finding()["title"].as_str().is_some_and(|title| title.contains("5 of 4")),
        "{:#}",
        play.finding()
    );
    let play = play.change();
    // It counts from the next listen() on.
    program.mend();
    let _again = Program::start(&net, "never-accepts 128");
    Ok(play.gone(LOOKS).tally)
}

pub(super) fn fd_exhaustion() -> Played {
    let net = Net::new()?;
    let mut program = Program::start(&net, "descriptors");
    let play = Play::of("fd-exhaustion", &net, LOOK).look().change().gone(LOOK);
    let play = play.change_as_told();
    program.mend();
    Ok(play.verified().tally)
}

pub(super) fn time_wait_port_exhaustion() -> Played {
    let net = Net::new()?;
    set(&net, "net.ipv4.ip_local_port_range", "40000 40049");
    set(&net, "net.ipv4.tcp_tw_reuse", "0");
    let _program = Program::start(&net, "short 127.0.0.1:8080 48 client");
    let play = Play::of("time-wait-port-exhaustion", &net, LOOKS).look();
    // Each stopgap by itself lets connections through again.
    let play = play.change().gone(LOOKS).change_as_told();
    net.run(|| TcpStream::connect("127.0.0.1:8080")).expect("there are ports again");
    net.eleven(&["kill", "state time-wait", "--yes"]).done();
    Ok(play.verified().tally)
}

pub(super) fn time_wait_normal() -> Played {
    let net = Net::new()?;
    let _program = Program::start(&net, "short 127.0.0.1:8080 150 server");
    let play = Play::of("time-wait-normal", &net, LOOKS).look().change().change_as_told();
    // It is healthy: nothing has to become fewer.
    Ok(play.gone(LOOKS).verified_but(&["eleven count --by local-port 'state time-wait'"]).tally)
}

pub(super) fn time_wait_overflow() -> Played {
    let net = Net::new()?;
    set(&net, "net.ipv4.tcp_max_tw_buckets", "4");
    let _program = Program::start(&net, "closes-first");
    let play = Play::of("time-wait-overflow", &net, LOOKS).look();
    // The load goes on: the limit was all there was to mend.
    Ok(play.change().gone(LOOKS).verified().change_as_told().tally)
}

pub(super) fn fin_wait2_held() -> Played {
    let net = Net::new()?;
    let mut program = Program::start(&net, "half-closed 6");
    let play = Play::of("fin-wait2-held", &net, LOOKS).look().change().change_as_told();
    program.mend();
    // Orphans without a peer, so that the other title is told as well.
    Ok(play.gone(LOOKS).verified().tally)
}

pub(super) fn reset_unread_data() -> Played {
    habit("reset-unread-data", "closes-with-data-unread")
}

pub(super) fn reset_after_close() -> Played {
    habit("reset-after-close", "closes-at-once")
}

pub(super) fn refused_connections() -> Played {
    habit("refused-connections", "calls-closed-ports")
}

/// What a program does again and again until it is mended.
fn habit(code: &'static str, role: &str) -> Played {
    let net = Net::new()?;
    let mut program = Program::start(&net, role);
    let play = Play::of(code, &net, LOOKS).look().change().change_as_told();
    program.mend();
    Ok(play.gone(LOOKS).verified().tally)
}

pub(super) fn port_range_overlap() -> Played {
    let net = Net::new()?;
    let _program = Program::start(&net, "listens 127.0.0.1:40000");
    let play = Play::of("port-range-overlap", &net, LOOK);
    let play = play.look().change();
    // Only a hint, so nothing but its absence shows that it is mended.
    let left = net.eleven(&["doctor", "--for", "0s", "--format", "json"]).json();
    assert_eq!(left, json!([]));
    Ok(play.verified().change_as_told().tally)
}

pub(super) fn harmful_sysctl() -> Played {
    const HARMFUL: &[(&str, &str)] = &[
        ("net.ipv4.tcp_syncookies", "0"),
        ("net.ipv4.tcp_abort_on_overflow", "1"),
        ("net.ipv4.tcp_timestamps", "0"),
        ("net.ipv4.tcp_max_tw_buckets", "8"),
        ("net.ipv4.tcp_retries2", "3"),
        ("net.ipv4.tcp_retries2", "30"),
        ("net.ipv4.tcp_sack", "0"),
        ("net.ipv4.tcp_window_scaling", "0"),
        ("net.ipv4.tcp_fin_timeout", "2"),
    ];
    let mut all = Tally::default();
    for (name, value) in HARMFUL {
        let net = Net::new()?;
        set(&net, name, value);
        let play = Play::of("harmful-sysctl", &net, LOOK);
        assert_eq!(play.finding()["subject"]["sysctl"], *name);
        let play = play.look().change();
        let left = net.eleven(&["doctor", "--for", "0s", "--format", "json"]).json();
        assert_eq!(left, json!([]), "{name} was put back");
        all.add(play.verified().change_as_told().tally);
    }
    Ok(all)
}
