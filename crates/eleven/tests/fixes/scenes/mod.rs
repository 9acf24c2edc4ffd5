//! A scene a fault. The fault is made by a program of its own where commands act on its process, else by the test.

mod judged;
mod local;
mod other;
mod wire;

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use eleven_testbed::namespace::Net;

use super::play::Tally;
use super::texts;

type Played = Result<Tally, String>;

/// What plays it.
type Scene = fn() -> Played;

/// All of them.
const SCENES: &[(&str, Scene)] = &[
    ("accept-queue-overflow", local::accept_queue_overflow),
    ("accept-queue-overflow", local::accept_queue_of_a_stopped_program),
    ("accept-queue-overflow", local::accept_queue_with_a_low_cap),
    ("address-in-use", judged::address_in_use),
    ("close-wait-leak", local::close_wait_leak),
    ("closing-stuck", wire::closing_stuck),
    ("conntrack-full", judged::conntrack_full),
    ("fd-exhaustion", local::fd_exhaustion),
    ("fin-wait1-stuck", wire::fin_wait1_stuck),
    ("fin-wait2-held", local::fin_wait2_held),
    ("half-open-peer", wire::half_open_peer),
    ("half-open-peer", wire::half_open_behind_a_device_that_is_down),
    ("harmful-sysctl", local::harmful_sysctl),
    ("heartbeat-reconnect", judged::heartbeat_reconnect),
    ("idle-timeout-order", judged::idle_timeout_order),
    ("idle-timeout-order", judged::idle_timeouts_along_a_path),
    ("keepalive-missing", judged::keepalive_missing),
    ("last-ack-stuck", wire::last_ack_stuck),
    ("local-reader-slow", wire::local_reader_slow),
    ("lossy-path", judged::lossy_path),
    ("memory-pressure", judged::memory_pressure),
    ("mtu-blackhole", wire::mtu_blackhole),
    ("orphans-high", judged::orphans_high),
    ("peer-reader-slow", wire::peer_reader_slow),
    ("port-range-overlap", local::port_range_overlap),
    ("refused-connections", local::refused_connections),
    ("reset-after-close", local::reset_after_close),
    ("reset-unread-data", local::reset_unread_data),
    ("syn-backlog-full", wire::syn_backlog_full),
    ("syn-flood", wire::syn_flood),
    ("syn-sent-scan", wire::syn_sent_scan),
    ("syn-sent-unanswered", wire::syn_sent_unanswered),
    ("time-wait-normal", local::time_wait_normal),
    ("time-wait-overflow", local::time_wait_overflow),
    ("time-wait-port-exhaustion", local::time_wait_port_exhaustion),
    ("unexpected-listener", judged::unexpected_listener),
];

/// Scenes at a time: they mostly wait.
const AT_ONCE: usize = 6;

#[test]
fn every_command_of_every_finding_is_executed() {
    let with_scene: BTreeSet<String> = SCENES.iter().map(|(code, _)| (*code).to_owned()).collect();
    assert_eq!(with_scene, texts::codes(), "a scene for every code");
    if let Err(why) = Net::new() {
        return eleven_testbed::skipped(&why);
    }
    let only = std::env::var("SCENE").ok();
    let chosen: Vec<_> =
        SCENES.iter().filter(|(code, _)| only.as_ref().is_none_or(|only| only == code)).collect();
    let (all, failed) = (Mutex::new(Tally::default()), Mutex::new(Vec::new()));
    let goes_well = |code: &str, scene: &Scene| {
        match std::panic::catch_unwind(scene) {
            Ok(Ok(tally)) => all.lock().expect("no panic inside").add(tally),
            Ok(Err(why)) => eleven_testbed::skipped(&format!("{code}: {why}")),
            // What it says was printed by then.
            Err(_) => return false,
        }
        true
    };
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((code, scene)) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if !goes_well(code, scene) {
                        failed.lock().expect("no panic inside").push((code, scene));
                    }
                }
            });
        }
    });
    // A busy machine may have been too slow for what a scene makes: once more, alone.
    let failed = failed.into_inner().expect("all are done");
    let failed: Vec<&str> = failed
        .into_iter()
        .filter(|(code, scene)| {
            let _ = writeln!(std::io::stderr(), "fixes: {code} is played again");
            !goes_well(code, scene)
        })
        .map(|(code, _)| *code)
        .collect();
    let all = all.into_inner().expect("all are done");
    let mut stderr = std::io::stderr();
    let skipped: Vec<_> =
        all.skipped.iter().filter(|(command, _)| !all.executed.contains(*command)).collect();
    let _ = writeln!(
        stderr,
        "fixes: {} commands executed, {} of them changed something, {} skipped",
        all.executed.len(),
        all.changed.len(),
        skipped.len()
    );
    for (command, why) in &skipped {
        let _ = writeln!(stderr, "skipped: `{command}`: {why}");
    }
    assert!(failed.is_empty(), "these scenes failed: {failed:?}");
    if only.is_none() {
        // Some are proposed only where no test can be.
        let missing: Vec<String> = texts::fixes()
            .into_iter()
            .filter(|key| !all.fixes.contains(key) && !NOT_HERE.iter().any(|(known, _)| known == key))
            .collect();
        assert!(missing.is_empty(), "no scene shows these fixes: {missing:?}");
    }
}

/// What no scene makes the doctor propose, and why.
const NOT_HERE: &[(&str, &str)] = &[];

fn set(net: &Net, name: &str, value: &str) {
    net.run(|| std::fs::write(format!("/proc/sys/{}", name.replace('.', "/")), value)).expect("root may");
}

/// Two looks, two seconds apart.
const LOOKS: &[&str] = &["--for", "2s"];

/// One look.
const LOOK: &[&str] = &["--for", "0s"];
