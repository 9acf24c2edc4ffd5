//! A scene a fault. The fault is made by a program of its own where commands act on its process, else by the test.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use eleven_testbed::namespace::Net;
use eleven_testbed::sockets::{address, connecting, listen};
use eleven_testbed::wire::{HERE, NOWHERE, THERE, Wire};
use serde_json::json;
use socket2::Socket;

use super::play::{Play, Tally, judged};
use super::program::Program;
use super::{execute, texts};
use crate::support::program::{RunInside, run};

type Played = Result<Tally, String>;
/// What plays it.
type Scene = fn() -> Played;

/// All of them.
const SCENES: &[(&str, Scene)] = &[
    ("accept-queue-overflow", accept_queue_overflow),
    ("accept-queue-overflow", accept_queue_of_a_stopped_program),
    ("accept-queue-overflow", accept_queue_with_a_low_cap),
    ("address-in-use", address_in_use),
    ("close-wait-leak", close_wait_leak),
    ("closing-stuck", closing_stuck),
    ("conntrack-full", conntrack_full),
    ("fd-exhaustion", fd_exhaustion),
    ("fin-wait1-stuck", fin_wait1_stuck),
    ("fin-wait2-held", fin_wait2_held),
    ("half-open-peer", half_open_peer),
    ("harmful-sysctl", harmful_sysctl),
    ("heartbeat-reconnect", heartbeat_reconnect),
    ("idle-timeout-order", idle_timeout_order),
    ("idle-timeout-order", idle_timeouts_along_a_path),
    ("keepalive-missing", keepalive_missing),
    ("last-ack-stuck", last_ack_stuck),
    ("local-reader-slow", local_reader_slow),
    ("lossy-path", lossy_path),
    ("memory-pressure", memory_pressure),
    ("mtu-blackhole", mtu_blackhole),
    ("orphans-high", orphans_high),
    ("peer-reader-slow", peer_reader_slow),
    ("port-range-overlap", port_range_overlap),
    ("refused-connections", refused_connections),
    ("reset-after-close", reset_after_close),
    ("reset-unread-data", reset_unread_data),
    ("syn-backlog-full", syn_backlog_full),
    ("syn-flood", syn_flood),
    ("syn-sent-scan", syn_sent_scan),
    ("syn-sent-unanswered", syn_sent_unanswered),
    ("time-wait-normal", time_wait_normal),
    ("time-wait-overflow", time_wait_overflow),
    ("time-wait-port-exhaustion", time_wait_port_exhaustion),
    ("unexpected-listener", unexpected_listener),
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
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((code, scene)) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match std::panic::catch_unwind(scene) {
                        Ok(Ok(tally)) => all.lock().expect("no panic inside").add(tally),
                        Ok(Err(why)) => eleven_testbed::skipped(&format!("{code}: {why}")),
                        // What it says was printed by then.
                        Err(_) => failed.lock().expect("no panic inside").push(*code),
                    }
                }
            });
        }
    });
    let (all, failed) = (all.into_inner().expect("all are done"), failed.into_inner().expect("all are done"));
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

#[test]
fn what_other_texts_quote_is_executed() {
    let net = eleven_testbed::or_skip!(Net::new());
    let fill = std::collections::BTreeMap::new();
    let place = execute::Place { net: &net, fill: &fill };
    let help = run(&["doctor", "--help"]).done();
    for text in texts::elsewhere() {
        match text.as_str() {
            option if option.starts_with("--") => {
                let name = option.split(' ').next().expect("a word");
                assert!(help.contains(name), "`{option}` is no option of the doctor");
            }
            "eleven doctor --from A B" => {
                let directory = tempfile::tempdir().expect("a place for files");
                let names =
                    ["a", "b"].map(|name| directory.path().join(name).to_str().expect("plain").to_owned());
                for name in &names {
                    net.eleven(&["snapshot", "-o", name]).done();
                }
                net.eleven(&["doctor", "--from", &names[0], &names[1]]).done();
            }
            text => drop(place.quoted(text)),
        }
    }
}

fn set(net: &Net, name: &str, value: &str) {
    net.run(|| std::fs::write(format!("/proc/sys/{}", name.replace('.', "/")), value)).expect("root may");
}

/// Two looks, two seconds apart.
const LOOKS: &[&str] = &["--for", "2s"];
/// One look.
const LOOK: &[&str] = &["--for", "0s"];

fn close_wait_leak() -> Played {
    let net = Net::new()?;
    let mut program = Program::start(&net, "abandoned 30");
    let play = Play::of("close-wait-leak", &net, LOOKS);
    assert_eq!(play.finding()["subject"]["pid"], program.pid());
    let play = play.look().change().change_as_told();
    program.mend();
    Ok(play.gone(LOOKS).verified().tally)
}

fn accept_queue_overflow() -> Played {
    let net = Net::new()?;
    let mut program = Program::start(&net, "never-accepts 4");
    let play = Play::of("accept-queue-overflow", &net, LOOKS).look().change().change_as_told();
    program.mend();
    Ok(play.gone(LOOKS).verified().tally)
}

fn accept_queue_of_a_stopped_program() -> Played {
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

fn accept_queue_with_a_low_cap() -> Played {
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

fn fd_exhaustion() -> Played {
    let net = Net::new()?;
    let mut program = Program::start(&net, "descriptors");
    let play = Play::of("fd-exhaustion", &net, LOOK).look().change().gone(LOOK);
    let play = play.change_as_told();
    program.mend();
    Ok(play.verified().tally)
}

fn time_wait_port_exhaustion() -> Played {
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

fn time_wait_normal() -> Played {
    let net = Net::new()?;
    let _program = Program::start(&net, "short 127.0.0.1:8080 150 server");
    let play = Play::of("time-wait-normal", &net, LOOKS).look().change().change_as_told();
    // It is healthy: nothing has to become fewer.
    Ok(play.gone(LOOKS).verified_but(&["eleven count --by local-port 'state time-wait'"]).tally)
}

fn time_wait_overflow() -> Played {
    let net = Net::new()?;
    set(&net, "net.ipv4.tcp_max_tw_buckets", "4");
    let _program = Program::start(&net, "closes-first");
    let play = Play::of("time-wait-overflow", &net, LOOKS).look();
    // The load goes on: the limit was all there was to mend.
    Ok(play.change().gone(LOOKS).verified().change_as_told().tally)
}

fn syn_flood() -> Played {
    let wire = Wire::new_cut()?;
    let listener = wire.here.run(|| listen(SocketAddr::new(HERE.into(), 0), 4096));
    let at = wire.here.run(|| address(&listener));
    let flood: Vec<Socket> = wire.there.run(|| (0..200).map(|_| connecting(at)).collect());
    let play = Play::of("syn-flood", &wire.here, LOOKS).look().change().change_as_told();
    drop(flood);
    wire.here.eleven(&["kill", "state syn-recv", "--yes"]).done();
    Ok(play.gone(LOOKS).verified().tally)
}

/// While somebody goes on with calls from there that nobody answers.
fn under_syns<T>(wire: &Wire, at: SocketAddr, work: impl FnOnce() -> T) -> T {
    let ends = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            wire.there.run(|| {
                let mut held = Vec::new();
                while !ends.load(Ordering::Relaxed) {
                    held.push(connecting(at));
                    thread::sleep(Duration::from_millis(20));
                }
            });
        });
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        ends.store(true, Ordering::Relaxed);
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn syn_backlog_full() -> Played {
    let wire = Wire::new_cut()?;
    set(&wire.here, "net.ipv4.tcp_syncookies", "0");
    let listener = wire.here.run(|| listen(SocketAddr::new(HERE.into(), 0), 8));
    let at = wire.here.run(|| address(&listener));
    Ok(under_syns(&wire, at, || {
        let play = Play::of("syn-backlog-full", &wire.here, LOOKS).look();
        // The calls go on: with cookies nothing is thrown away any more.
        play.change().gone(LOOKS).verified().change_as_told().tally
    }))
}

fn syn_sent_unanswered() -> Played {
    let wire = Wire::new()?;
    let mut program = Program::start(&wire.here, &format!("connecting-again {NOWHERE}:443 3"));
    let play = Play::of("syn-sent-unanswered", &wire.here, LOOKS);
    assert_eq!(play.finding()["subject"]["pid"], program.pid());
    let play = play.set("PORT", &443).look().change().change_as_told();
    program.mend();
    Ok(play.gone(LOOKS).verified().tally)
}

fn syn_sent_scan() -> Played {
    let wire = Wire::new()?;
    let mut program = Program::start(&wire.here, &format!("connecting {NOWHERE}:1 150"));
    let play = Play::of("syn-sent-scan", &wire.here, LOOKS).look().change().change_as_told();
    program.mend();
    Ok(play.gone(LOOKS).verified().tally)
}

fn fin_wait2_held() -> Played {
    let net = Net::new()?;
    let mut program = Program::start(&net, "half-closed 6");
    let play = Play::of("fin-wait2-held", &net, LOOKS).look().change().change_as_told();
    program.mend();
    // Orphans without a peer, so that the other title is told as well.
    Ok(play.gone(LOOKS).verified().tally)
}

/// Connections from here to there, and their other ends.
fn across(wire: &Wire, count: usize) -> (Vec<TcpStream>, Vec<TcpStream>) {
    let listener = wire.there.run(|| TcpListener::bind((THERE, 0))).expect("bound");
    let at = listener.local_addr().expect("bound");
    let here = wire.here.run(|| (0..count).map(|_| TcpStream::connect(at).expect("it listens")).collect());
    let there = wire.there.run(|| (0..count).map(|_| listener.accept().expect("it waits").0).collect());
    (here, there)
}

fn half_open_peer() -> Played {
    let mut all = Tally::default();
    // As the finding has it, and as the texts have it.
    for proposed in [true, false] {
        let wire = Wire::new()?;
        let _listener = wire.there.run(|| TcpListener::bind((THERE, 8080))).expect("bound");
        let _program = Program::start(&wire.here, &format!("talks {THERE}:8080 2 5"));
        wire.cut_outgoing();
        let play = Play::of("half-open-peer", &wire.here, &["--for", "5s"]).set("PORT", &8080).look();
        let play = if proposed { play.change() } else { play.change_as_told() };
        all.add(play.gone(LOOKS).verified().tally);
    }
    Ok(all)
}

fn fin_wait1_stuck() -> Played {
    let wire = Wire::new()?;
    let (here, _there) = across(&wire, 3);
    wire.cut_outgoing();
    drop(here);
    let play = Play::of("fin-wait1-stuck", &wire.here, LOOKS).look().change().change_as_told();
    Ok(play.gone(LOOKS).verified().tally)
}

fn last_ack_stuck() -> Played {
    let wire = Wire::new()?;
    let (here, there) = across(&wire, 3);
    drop(there);
    for connection in &here {
        assert_eq!(connection.peek(&mut [0; 1]).expect("an end of file"), 0);
    }
    wire.cut_outgoing();
    drop(here);
    let play = Play::of("last-ack-stuck", &wire.here, LOOKS).look().change().change_as_told();
    wire.here.eleven(&["kill", "state last-ack", "--yes"]).done();
    Ok(play.gone(LOOKS).verified().tally)
}

fn closing_stuck() -> Played {
    let wire = Wire::new()?;
    let (here, there) = across(&wire, 3);
    wire.cut_outgoing();
    // Our FIN is lost, the peer's arrives.
    drop(here);
    drop(there);
    let play = Play::of("closing-stuck", &wire.here, LOOKS).look().change().change_as_told();
    wire.here.eleven(&["kill", "state closing", "--yes"]).done();
    Ok(play.gone(LOOKS).verified().tally)
}

/// Sends until nothing more fits.
fn stuff(connection: &mut TcpStream) {
    connection.set_nonblocking(true).expect("an open descriptor");
    let mut refused = 0;
    // The receiver's buffer grows while it fills.
    while refused < 20 {
        if connection.write(&vec![0; 65_536]).is_err() {
            refused += 1;
            thread::sleep(Duration::from_millis(20));
        }
    }
}

fn peer_reader_slow() -> Played {
    let wire = Wire::new()?;
    let peer = wire.there.run(|| TcpListener::bind((THERE, 8080))).expect("bound");
    let program = Program::start(&wire.here, &format!("talks {THERE}:8080 1 65536"));
    let play = Play::of("peer-reader-slow", &wire.here, LOOKS);
    assert_eq!(play.finding()["subject"]["pid"], program.pid());
    let play = play.look().change().change_as_told();
    drop(peer);
    drop(program);
    Ok(play.gone(LOOKS).verified().tally)
}

fn local_reader_slow() -> Played {
    let wire = Wire::new()?;
    let mut program = Program::start(&wire.there, &format!("reads-nothing {THERE}:8080"));
    let mut here = wire.here.run(|| TcpStream::connect((THERE, 8080))).expect("it listens");
    stuff(&mut here);
    let play = Play::of("local-reader-slow", &wire.there, LOOKS);
    assert_eq!(play.finding()["subject"]["pid"], program.pid());
    let play = play.look().change().change_as_told();
    program.mend();
    drop(here);
    Ok(play.gone(LOOKS).verified().tally)
}

fn reset_unread_data() -> Played {
    habit("reset-unread-data", "closes-with-data-unread")
}

fn reset_after_close() -> Played {
    habit("reset-after-close", "closes-at-once")
}

fn refused_connections() -> Played {
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

fn mtu_blackhole() -> Played {
    let wire = Wire::new()?;
    wire.here.ip("link set wire0 gso_max_segs 1")?;
    let (mut here, _there) = across(&wire, 1);
    here[0].write_all(b"small").expect("there is room");
    // A frame that is larger than the other end's MTU is dropped without a word.
    wire.there.ip("link set wire1 mtu 900")?;
    here[0].write_all(&vec![0; 30_000]).expect("there is room");
    let options = &["--for", "4s"];
    let play = Play::of("mtu-blackhole", &wire.here, options).look().change().change_as_told();
    wire.there.ip("link set wire1 mtu 1500")?;
    drop(here);
    wire.here.eleven(&["kill", "state fin-wait-1", "--yes"]).done();
    Ok(play.gone(LOOKS).verified().tally)
}

fn address_in_use() -> Played {
    let net = Net::new()?;
    let mut program = Program::start(&net, "listens 127.0.0.1:8080");
    let bound = net.run(|| {
        let socket = eleven_testbed::sockets::new(socket2::Domain::IPV4);
        socket.set_reuse_port(true).expect("before bind");
        socket
    });
    // Another program has the port on another address, and cannot have this one.
    let other: SocketAddr = "127.0.0.1:8080".parse().expect("an address");
    assert!(net.run(|| bound.bind(&other.into())).is_err(), "the port is taken");
    drop(bound);
    let holder = net.run(|| {
        let socket = eleven_testbed::sockets::new(socket2::Domain::IPV4);
        socket.set_reuse_address(true).expect("before bind");
        socket.bind(&other.into()).map(|()| socket)
    });
    let directory = tempfile::tempdir().expect("a place for files");
    let finding = match holder {
        Ok(_bound) => return Err("two programs may bind one port here".to_owned()),
        Err(_) => {
            let pid = std::process::id();
            judged("address-in-use", &net, directory.path(), move |snapshot| {
                // A second program that is bound and cannot listen, as kernels before had it.
                let sockets = snapshot["sockets"].as_array_mut().expect("rows");
                let mut second = sockets[0].clone();
                second["state"] = json!("CLOSED");
                second["kind"] = json!("bound");
                second["cookie"] = json!(99_999_999);
                second["owners"] = json!([{"pid": pid, "process": "second", "fd": 9}]);
                sockets.push(second);
            })
        }
    };
    let play = Play::with("address-in-use", &net, finding).look().change().change_as_told();
    program.mend();
    let stay = [
        "eleven list 'state listening and sport = :{port}'",
        "eleven list 'state listening and sport = :PORT'",
    ];
    Ok(play.gone(LOOK).verified_but(&stay).tally)
}

fn port_range_overlap() -> Played {
    let net = Net::new()?;
    let _program = Program::start(&net, "listens 127.0.0.1:40000");
    let play = Play::of("port-range-overlap", &net, LOOK);
    let play = play.look().change();
    // Only a hint, so nothing but its absence shows that it is mended.
    let left = net.eleven(&["doctor", "--for", "0s", "--format", "json"]).json();
    assert_eq!(left, json!([]));
    Ok(play.verified().change_as_told().tally)
}

fn unexpected_listener() -> Played {
    let net = Net::new()?;
    let directory = tempfile::tempdir().expect("a place for files");
    let [before, after] =
        ["before", "after"].map(|name| directory.path().join(name).to_str().expect("plain").to_owned());
    net.eleven(&["snapshot", "-o", &before]).done();
    let mut program = Program::start(&net, "listens 0.0.0.0:8099");
    net.eleven(&["snapshot", "-o", &after]).done();
    let play =
        Play::of("unexpected-listener", &net, &["--from", &before, &after]).look().change().change_as_told();
    program.mend();
    net.eleven(&["snapshot", "-o", &after]).done();
    Ok(play.gone(&["--from", &before, &after]).verified().tally)
}

fn harmful_sysctl() -> Played {
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

fn conntrack_full() -> Played {
    let net = Net::new()?;
    let directory = tempfile::tempdir().expect("a place for files");
    let finding = judged("conntrack-full", &net, directory.path(), |snapshot| {
        let sysctls = &mut snapshot["namespaces"][0]["sysctls"];
        sysctls["net.netfilter.nf_conntrack_max"] = json!("262144");
        sysctls["net.netfilter.nf_conntrack_count"] = json!("262000");
        sysctls["net.netfilter.nf_conntrack_tcp_timeout_established"] = json!("432000");
    });
    Ok(Play::with("conntrack-full", &net, finding)
        .look()
        .change()
        .gone(LOOK)
        .verified()
        .change_as_told()
        .tally)
}

fn orphans_high() -> Played {
    let wire = Wire::new()?;
    let (here, _there) = across(&wire, 3);
    wire.cut_outgoing();
    drop(here);
    let directory = tempfile::tempdir().expect("a place for files");
    let finding = judged("orphans-high", &wire.here, directory.path(), |snapshot| {
        snapshot["namespaces"][0]["sysctls"]["net.ipv4.tcp_max_orphans"] = json!("4");
        snapshot["namespaces"][0]["counters"]["sockstat"]["TCP.orphan"] = json!(3);
    });
    let play = Play::with("orphans-high", &wire.here, finding).look().change().change_as_told();
    wire.here.eleven(&["kill", "state fin-wait-1", "--yes"]).done();
    Ok(play.gone(LOOK).verified().tally)
}

fn memory_pressure() -> Played {
    let wire = Wire::new()?;
    let (mut here, there) = across(&wire, 1);
    stuff(&mut here[0]);
    let directory = tempfile::tempdir().expect("a place for files");
    let finding = judged("memory-pressure", &wire.here, directory.path(), |snapshot| {
        snapshot["namespaces"][0]["sysctls"]["net.ipv4.tcp_mem"] = json!("1000 1200 1500");
        snapshot["namespaces"][0]["counters"]["sockstat"]["TCP.mem"] = json!(1300);
    });
    // One account for all namespaces: a private one does not even show it.
    let play = Play::with("memory-pressure", &wire.here, finding).look().change().change_as_told();
    drop(there);
    drop(here);
    Ok(play.gone(LOOK).verified().tally)
}

fn keepalive_missing() -> Played {
    let net = Net::new()?;
    let mut program = Program::start(&net, "serves 127.0.0.1:8080 12");
    let directory = tempfile::tempdir().expect("a place for files");
    // Three hours of silence.
    let idle = |snapshot: &mut serde_json::Value| {
        for socket in snapshot["sockets"].as_array_mut().expect("rows") {
            let Some(info) = socket["tcp_info"].as_object_mut() else { continue };
            for field in
                ["tcpi_last_data_sent", "tcpi_last_data_recv", "tcpi_last_ack_recv", "tcpi_last_ack_sent"]
            {
                if info.contains_key(field) {
                    info.insert(field.to_owned(), json!(10_800_000));
                }
            }
        }
    };
    let finding = judged("keepalive-missing", &net, directory.path(), idle);
    assert_eq!(finding["subject"]["pid"], program.pid());
    let play = Play::with("keepalive-missing", &net, finding).look().change();
    // As idle as before, but watched now.
    let path = directory.path().join("after.json");
    let path = path.to_str().expect("plain");
    net.eleven(&["snapshot", "-o", path]).done();
    let mut snapshot = serde_json::from_str(&std::fs::read_to_string(path).expect("written")).expect("JSON");
    idle(&mut snapshot);
    std::fs::write(path, snapshot.to_string()).expect("there is room");
    let stay = [
        "eleven count --by timer 'state established and sport = :PORT'",
        "eleven count --by timer 'state established and sport = :{port}'",
        "ss -tno state established 'sport = :PORT'",
    ];
    let timers = net
        .eleven(&["count", "--by", "timer", "state established and sport = :8080", "--format", "csv"])
        .done();
    assert!(timers.contains("keepalive"), "{timers}");
    let play = play.gone(&["--from", path]).verified_but(&stay).change_as_told();
    program.mend();
    Ok(play.tally)
}

fn heartbeat_reconnect() -> Played {
    let wire = Wire::new()?;
    let listener = wire.here.run(|| TcpListener::bind((HERE, 0))).expect("bound");
    let at = listener.local_addr().expect("bound");
    let clients: Vec<TcpStream> =
        wire.there.run(|| (0..4).map(|_| TcpStream::connect(at).expect("it listens")).collect());
    let mut served: Vec<TcpStream> =
        wire.here.run(|| (0..4).map(|_| listener.accept().expect("it waits").0).collect());
    let directory = tempfile::tempdir().expect("a place for files");
    // Three of them repeat what they say.
    let finding = judged("heartbeat-reconnect", &wire.here, directory.path(), |snapshot| {
        let sockets = snapshot["sockets"].as_array_mut().expect("rows");
        let connections = sockets.iter_mut().filter(|socket| socket["state"] == "ESTABLISHED");
        for socket in connections.take(3) {
            socket["timer"] = json!({"kind": "retransmit", "expires_ms": 3000, "retransmits": 5});
            socket["send_queue"] = json!(12);
        }
    });
    let play = Play::with("heartbeat-reconnect", &wire.here, finding);
    let play = play.look().change().change_as_told();
    drop(clients);
    served.truncate(1);
    wire.here.eleven(&["kill", "state close-wait or state last-ack", "--yes"]).done();
    Ok(play.gone(LOOK).verified().tally)
}

fn lossy_path() -> Played {
    let wire = Wire::new()?;
    let (here, there) = across(&wire, 2);
    let directory = tempfile::tempdir().expect("a place for files");
    let finding = judged("lossy-path", &wire.here, directory.path(), |snapshot| {
        for socket in snapshot["sockets"].as_array_mut().expect("rows") {
            if let Some(info) = socket["tcp_info"].as_object_mut() {
                for (name, value) in
                    [("tcpi_segs_out", 5000), ("tcpi_data_segs_out", 5000), ("tcpi_total_retrans", 400)]
                {
                    info.insert(name.to_owned(), json!(value));
                }
            }
        }
    });
    let play = Play::with("lossy-path", &wire.here, finding);
    let play = play.look().change().change_as_told();
    drop((here, there));
    Ok(play.gone(LOOK).verified().tally)
}

fn idle_timeout_order() -> Played {
    let net = Net::new()?;
    set(&net, "net.netfilter.nf_conntrack_tcp_timeout_established", "600");
    let directory = tempfile::tempdir().expect("a place for files");
    // Nothing is tracked in a namespace without rules.
    let tracked = |snapshot: &mut serde_json::Value| {
        snapshot["namespaces"][0]["sysctls"]["net.netfilter.nf_conntrack_count"] = json!("20");
    };
    let finding = judged("idle-timeout-order", &net, directory.path(), tracked);
    let capture = directory.path().join("flow.pcapng");
    let capture = capture.to_str().expect("plain");
    run(&["lab", "run", "four-way-close", "--simulate", "-w", capture]).done();
    let play = Play::with("idle-timeout-order", &net, finding)
        .set("FILE", &capture)
        .set("box", &"nat")
        .set("forgets_after", &600_000);
    let play = play.look().change();
    let after = directory.path().join("after.json");
    let after = after.to_str().expect("plain");
    net.eleven(&["snapshot", "-o", after]).done();
    let mut snapshot = serde_json::from_str(&std::fs::read_to_string(after).expect("written")).expect("JSON");
    tracked(&mut snapshot);
    std::fs::write(after, snapshot.to_string()).expect("there is room");
    Ok(play.gone(&["--from", after]).verified().change_as_told().tally)
}

/// What is to be written into configurations is understood by their programs, and the path is in order with it.
fn idle_timeouts_along_a_path() -> Played {
    let net = Net::new()?;
    let mut all = Tally::default();
    let judge = |path: &str| -> Vec<serde_json::Value> {
        run(&["doctor", "--format", "json", "--path", path]).json().as_array().expect("an array").clone()
    };
    for (path, mended) in [
        ("client:idle=60 server:idle=15", "client:idle=60 server:idle=66"),
        ("client:idle=60 server:idle=60", "client:idle=54 server:idle=60"),
        ("client:idle=600 nat:idle=300 server:idle=700", "client:idle=600 nat:idle=770 server:idle=700"),
    ] {
        let worst = judge(path).swap_remove(0);
        assert_eq!(worst["severity"], "warning", "{path}: {worst:#}");
        for fix in worst["fixes"].as_array().expect("a list") {
            if let Some(command) = fix["command"].as_str() {
                let _pair = net.run(|| eleven_testbed::sockets::pair(eleven_testbed::sockets::LOOPBACK));
                let fill = std::collections::BTreeMap::new();
                let place = execute::Place { net: &net, fill: &fill };
                let done = place.execute(command);
                assert!(matches!(done, execute::Done::Changed), "{done:?}");
                all.executed.insert(command.to_owned());
                all.changed.insert(command.to_owned());
            }
        }
        for key in ["keepalive-below-box", "raise-box", "raise-far-idle", "lower-near-idle", "retry-request"]
        {
            all.fixes.insert(key.to_owned());
        }
        let left: Vec<_> =
            judge(mended).into_iter().filter(|finding| finding["severity"] != "info").collect();
        assert!(left.is_empty(), "{mended}: {left:#?}");
    }
    Ok(all)
}

/// What is to be written into a configuration is understood by the program it is for.
#[test]
fn settings_are_taken_by_their_programs() {
    let directory = tempfile::tempdir().expect("a place for files");
    let file = directory.path().join("file");
    let file = file.to_str().expect("plain");
    let nginx =
        |inside: &str| format!("pid {file}.pid; error_log {file}.log;\nevents {{}}\nhttp {{ {inside} }}\n");
    let server = "server { listen 18080; location / { proxy_pass http://up; } }";
    for (path, key, program, text) in [
        (
            "client:idle=60 web:idle=15,kind=nginx",
            0,
            &["nginx", "-t", "-c", file][..],
            &(|setting: &str| nginx(setting)) as &dyn Fn(&str) -> String,
        ),
        ("lb:idle=60,kind=nginx web:idle=15", 1, &["nginx", "-t", "-c", file], &|setting| {
            let setting = setting.strip_suffix(" in upstream { }").expect("it says where");
            nginx(&format!("upstream up {{ server 127.0.0.1:18081; {setting} keepalive 8; }} {server}"))
        }),
        ("client:idle=60 web:idle=15,kind=apache", 0, &["apache2", "-t", "-f", file], &|setting| {
            let modules = "/usr/lib/apache2/modules";
            format!(
                "ServerRoot /tmp\nServerName x\nErrorLog {file}.log\nPidFile {file}.pid\nLoadModule mpm_event_module {modules}/mod_mpm_event.so\nListen 18080\n{setting}\n"
            )
        }),
        (
            "client:idle=60 lb:idle=15,kind=haproxy web:idle=90",
            0,
            &["haproxy", "-c", "-f", file],
            &|setting| {
                format!(
                    "defaults\n mode http\n timeout connect 1s\n timeout client 9s\n timeout server 9s\n {setting}\nfrontend f\n bind 127.0.0.1:18080\n"
                )
            },
        ),
        ("lb:idle=60,kind=haproxy web:idle=15", 1, &["haproxy", "-c", "-f", file], &|setting| {
            format!(
                "defaults\n mode http\n timeout connect 1s\n timeout client 9s\n {setting}\nfrontend f\n bind 127.0.0.1:18080\n"
            )
        }),
    ] {
        let findings = run(&["doctor", "--format", "json", "--path", path]).json();
        let setting =
            findings[0]["fixes"][key]["command"].as_str().unwrap_or_else(|| panic!("{path}: {findings:#}"));
        if !execute::installed(program[0]) {
            eleven_testbed::skipped(&format!("`{setting}`: {} is not installed", program[0]));
            continue;
        }
        std::fs::write(file, text(setting)).expect("there is room");
        let ran = std::process::Command::new(program[0]).args(&program[1..]).output().expect("it is there");
        assert!(ran.status.success(), "{} does not take `{setting}`: {ran:?}", program[0]);
    }
}

/// Commands for another namespace lead there.
#[test]
fn commands_lead_into_other_namespaces() {
    let (net, elsewhere) = (eleven_testbed::or_skip!(Net::new()), eleven_testbed::or_skip!(Net::new()));
    set(&net, "net.ipv4.tcp_abort_on_overflow", "1");
    let _program = Program::start(&net, "calls-closed-ports");
    let findings =
        elsewhere.eleven(&["doctor", "--format", "json", "--for", "2s", "--netns", &net.path()]).json();
    let findings = findings.as_array().expect("an array");
    let nothing = std::collections::BTreeMap::new();
    let place = execute::Place { net: &elsewhere, fill: &nothing };
    let entrance = format!("nsenter --net={} ", net.path());
    let mut codes = BTreeSet::new();
    for finding in findings {
        codes.insert(finding["code"].as_str().expect("a code"));
        // What verifies it looks there too.
        let verify = finding["verify"].as_str().expect("a text");
        for command in verify.split('`').skip(1).step_by(2) {
            assert!(command.starts_with(&entrance), "{}: {command}", finding["code"]);
            place.execute(command);
        }
        for command in
            finding["fixes"].as_array().expect("a list").iter().filter_map(|fix| fix["command"].as_str())
        {
            if command.starts_with("grep -rns") {
                continue;
            }
            assert!(command.starts_with(&entrance), "{}: {command}", finding["code"]);
            if command.contains("sysctl -w") {
                let ran = place.run(command);
                assert_eq!(ran.code, Some(0), "{command}: {ran:#?}");
            } else {
                place.execute(command);
            }
        }
    }
    assert!(codes.contains("harmful-sysctl") && codes.contains("refused-connections"), "{codes:?}");
    let value =
        net.run(|| std::fs::read_to_string("/proc/sys/net/ipv4/tcp_abort_on_overflow")).expect("it is there");
    assert_eq!(value.trim(), "0");
}

/// Our own commands and the kernel's counters, wherever a text names them.
#[test]
fn commands_of_all_texts_are_understood() {
    let net = eleven_testbed::or_skip!(Net::new());
    let directory = tempfile::tempdir().expect("a place for files");
    let file = |name: &str| directory.path().join(name).to_str().expect("plain").to_owned();
    let (capture, snapshot) = (file("flow.pcapng"), file("before.json"));
    run(&["lab", "run", "lost-data", "--simulate", "-w", &capture]).done();
    net.eleven(&["snapshot", "-o", &snapshot]).done();
    let words = [
        ("FILE", &*capture),
        ("FLOW", "1"),
        ("PORT", "80"),
        ("ADDRESS", "192.0.2.1"),
        ("PID", "1"),
        ("NAME", "x"),
    ];
    let fill = words.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let place = execute::Place { net: &net, fill: &fill };
    let mut wrong = Vec::new();
    for text in texts::everywhere() {
        let words: Vec<&str> = text.split_whitespace().collect();
        let is_ours = matches!(
            words[..],
            ["eleven", "list" | "count" | "explain" | "trace" | "snapshot" | "diff", ..]
                | ["nstat", "-az", ..]
        );
        // With `…` or a word to choose it is no whole command.
        if !is_ours || text.contains(['…', '{']) || text.ends_with("FLAGS") || text == "eleven trace -i" {
            continue;
        }
        let command = place.filled(&text).replace("before.json", &snapshot);
        if words[0] == "nstat" {
            place.counters(&command);
            continue;
        }
        let ran = place.run(&command);
        if ran.code != Some(0) {
            wrong.push((text, ran.stderr));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
