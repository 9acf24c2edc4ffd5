//! Each fault beside a near miss: what looks alike and is healthy.
//!
//! The hosts are made by hand, so that also those faults stand here that a test cannot make
//! on a real kernel. `crates/eleven/tests/doctor` has the real ones.

mod anything;
mod world;

use eleven_doctor::{Finding, RULES, Responsible, Severity};
use eleven_snapshot::TimerKind;
use eleven_tcp::State;
use world::{World, info, not_accepted, one, own, timer, two};

/// The fault comes first, with this party, and names what it is about.
#[track_caller]
fn first<'a>(findings: &'a [Finding], code: &str, responsible: Responsible) -> &'a Finding {
    let codes: Vec<&str> = findings.iter().map(|finding| finding.code).collect();
    let Some(finding) = findings.first().filter(|finding| finding.code == code) else {
        panic!("{code} does not come first: {codes:?}")
    };
    assert_eq!(finding.responsible, responsible, "{finding:#?}");
    assert!(finding.subject.netns.is_some() && !finding.evidence.is_empty(), "{finding:#?}");
    assert!(!finding.fixes.is_empty() && finding.count > 0, "{finding:#?}");
    finding
}

/// Nothing above info.
#[track_caller]
fn silent(findings: &[Finding]) {
    let loud: Vec<&Finding> = findings.iter().filter(|finding| finding.severity > Severity::Info).collect();
    assert!(loud.is_empty(), "{loud:#?}");
}

/// The same world twice.
fn still(world: &World) -> Vec<Finding> {
    two(world, world)
}

#[test]
fn a_quiet_host_is_healthy() {
    silent(&still(&World::new()));
    silent(&one(&World::new()));
    assert_eq!(RULES.len(), 32);
}

#[test]
fn close_wait_leak() {
    let leak = |count: u32| {
        let mut world = World::new();
        world.process(812, 3200, 4096);
        world.listen("10.0.0.1:443", 0, 128, 812);
        for index in 0..count {
            let socket = world.add(State::CloseWait, "10.0.0.1:443", &format!("10.0.3.7:{}", 1024 + index));
            own(socket, 812, 10 + index);
            socket.recv_queue = Some(1);
        }
        world
    };
    let findings = two(&leak(3100), &leak(3104));
    let finding = first(&findings, "close-wait-leak", Responsible::LocalProgram);
    assert_eq!((finding.subject.pid, finding.count, finding.severity), (Some(812), 3104, Severity::Critical));
    assert_eq!(finding.subject.remote.as_deref(), Some("10.0.3.7"));
    assert_eq!(finding.growth_per_minute, Some(48.0));
    assert_eq!(finding.variant, Some("end-unread"));
    // A few that work on an answer; others that come and go; those that still send, or sent meanwhile.
    silent(&still(&leak(4)));
    assert_eq!(first(&still(&leak(1)), "close-wait-leak", Responsible::LocalProgram).variant, Some("few"));
    let answering = |acked: u64| {
        let mut world = leak(40);
        for socket in world.sockets.iter_mut().filter(|socket| socket.state == State::CloseWait) {
            socket.tcp_info = Some(info(&[("bytes_acked", acked)]));
        }
        world
    };
    assert_eq!(two(&answering(1000), &answering(9000)), []);
    let mut passing = leak(40);
    passing.sockets.iter_mut().for_each(|socket| socket.cookie = socket.cookie.map(|cookie| cookie + 1000));
    silent(&two(&leak(40), &passing));
    let mut sending = leak(40);
    sending.sockets.iter_mut().for_each(|socket| socket.send_queue = Some(5000));
    silent(&still(&sending));
    let mut waiting = leak(40);
    for socket in waiting.sockets.iter_mut().filter(|socket| socket.state == State::CloseWait) {
        socket.owners.clear();
        not_accepted(socket);
    }
    silent(&still(&waiting));
    // One alone, but for minutes.
    let mut old = leak(1);
    old.sockets[1].tcp_info = Some(info(&[("last_ack_recv", 180_000)]));
    first(&one(&old), "close-wait-leak", Responsible::LocalProgram);
}

#[test]
fn descriptors_and_accept_queue() {
    let mut world = World::new();
    world.process(7, 1024, 1024);
    world.listen("0.0.0.0:80", 40, 128, 7);
    let findings = still(&world);
    let finding = first(&findings, "fd-exhaustion", Responsible::LocalProgram);
    assert_eq!((finding.subject.pid, finding.severity), (Some(7), Severity::Critical));
    let mut roomy = World::new();
    roomy.process(7, 800, 1024);
    roomy.listen("0.0.0.0:80", 40, 128, 7);
    silent(&still(&roomy));

    let mut full = World::new();
    full.process(8, 100, 1024);
    full.listen("0.0.0.0:80", 129, 128, 8);
    let mut later = full.clone();
    later.count("ListenOverflows", 17);
    let findings = two(&full, &later);
    let finding = first(&findings, "accept-queue-overflow", Responsible::LocalProgram);
    assert_eq!((finding.subject.pid, finding.severity), (Some(8), Severity::Critical));
    let threads = finding.evidence.iter().find(|evidence| evidence.key == "threads");
    assert!(format!("{threads:?}").contains("futex_wait_queue"), "{threads:?}");
    // A worker that is stopped, and its master, which never accepts.
    let mut shared = later.clone();
    shared.process(9, 100, 1024);
    shared.details.last_mut().unwrap().threads[0].state = 'T';
    let worker = eleven_snapshot::Owner { pid: 9, process: "worker".into(), fd: 3 };
    shared.sockets[0].owners.push(worker);
    let findings = two(&full, &shared);
    let finding = first(&findings, "accept-queue-overflow", Responsible::LocalProgram);
    assert_eq!((finding.subject.pid, finding.variant), (Some(9), Some("stopped")));
    // A queue that was full and has drained without loss.
    let mut drained = World::new();
    drained.process(8, 100, 1024);
    drained.listen("0.0.0.0:80", 90, 128, 8);
    silent(&two(&full, &drained));
}

#[test]
fn local_ports() {
    let toward = |time_wait: u32, live: u32, reuse: &str| {
        let mut world = World::new();
        world.sysctl("net.ipv4.ip_local_port_range", "40000 40999");
        world.sysctl("net.ipv4.tcp_tw_reuse", reuse);
        for index in 0..time_wait + live {
            let state = if index < time_wait { State::TimeWait } else { State::Established };
            let socket = world.add(state, &format!("10.0.0.1:{}", 40_000 + index), "10.0.9.9:5432");
            if state == State::Established {
                own(socket, 5, index);
            } else {
                socket.age_ms = Some(30_000);
            }
        }
        world
    };
    let findings = still(&toward(960, 10, "0"));
    let finding = first(&findings, "time-wait-port-exhaustion", Responsible::LocalProgram);
    assert_eq!((finding.count, finding.severity), (970, Severity::Critical));
    assert_eq!(finding.subject.remote.as_deref(), Some("10.0.9.9:5432"));
    let findings = two(&toward(400, 10, "0"), &toward(600, 10, "0"));
    let finding = first(&findings, "time-wait-port-exhaustion", Responsible::LocalProgram);
    // 200 more in five seconds, and 390 are left.
    let left = finding.evidence.iter().find(|evidence| evidence.key == "minutes_left");
    assert!(format!("{left:?}").contains("0.1625"), "{left:?}");
    // A load that has just begun: in half a minute as many will end as begin.
    let begun = |time_wait: u32| {
        let mut world = toward(time_wait, 0, "0");
        world.sockets.iter_mut().for_each(|socket| socket.age_ms = Some(45_000));
        world
    };
    silent(&two(&begun(500), &begun(560)));
    // Spread over destinations, or reusable, or a server's own port.
    silent(&still(&toward(960, 10, "1")));
    silent(&still(&toward(300, 10, "0")));
    let mut spread = toward(960, 10, "0");
    for (index, socket) in spread.sockets.iter_mut().enumerate() {
        socket.remote_port = Some(5000 + (index % 8) as u16);
    }
    silent(&still(&spread));
}

#[test]
fn time_wait_on_a_service_port() {
    let mut world = World::new();
    world.listen("0.0.0.0:80", 0, 128, 9);
    for port in 0..500 {
        world.add(State::TimeWait, "10.0.0.1:80", &format!("10.0.4.4:{}", 2000 + port));
    }
    let findings = still(&world);
    silent(&findings);
    assert_eq!(findings[0].code, "time-wait-normal");

    let mut full = World::new();
    full.count("TCPTimeWaitOverflow", 50);
    let findings = two(&World::new(), &full);
    first(&findings, "time-wait-overflow", Responsible::Configuration);
    silent(&still(&full));
}

#[test]
fn handshakes() {
    let flood = |sources: u32, count: u32, repeated: bool| {
        let mut world = World::new();
        world.listen("0.0.0.0:443", 0, 1024, 4);
        for index in 0..count {
            let source = index % sources;
            let remote = format!("10.9.{}.{}:{}", source / 250, source % 250 + 1, 1024 + index);
            timer(
                world.add(State::SynReceived, "10.0.0.1:443", &remote),
                TimerKind::Retransmit,
                u8::from(repeated),
            );
        }
        world
    };
    let findings = still(&flood(400, 400, true));
    let finding = first(&findings, "syn-flood", Responsible::Network);
    assert_eq!((finding.variant, finding.subject.pid), (None, Some(4)));
    let findings = still(&flood(2, 100, true));
    assert_eq!(first(&findings, "syn-flood", Responsible::Network).variant, Some("few-sources"));
    // A burst of honest clients that is gone at the second look, and a full accept queue.
    silent(&two(&flood(400, 0, false), &flood(400, 400, false)));
    let mut waiting = flood(400, 400, true);
    (waiting.sockets[0].backlog, waiting.sockets[0].backlog_limit) = (Some(1025), Some(1024));
    assert_eq!(still(&waiting)[0].code, "accept-queue-overflow");

    let mut cookies = World::new();
    cookies.count("SyncookiesSent", 500);
    assert_eq!(
        first(&two(&World::new(), &cookies), "syn-flood", Responsible::Network).variant,
        Some("cookies")
    );
    cookies.count("SyncookiesRecv", 495);
    silent(&two(&World::new(), &cookies));

    let mut drops = World::new();
    drops.count("TCPReqQFullDrop", 30);
    drops.sysctl("net.ipv4.tcp_syncookies", "0");
    first(&two(&World::new(), &drops), "syn-backlog-full", Responsible::Configuration);

    // Of strangers, each from somewhere else, none of whom completes; or of clients who come in late.
    let thrown_away = |sources: u32, opened: i64| {
        let mut world = flood(sources, 16, false);
        world.sysctl("net.ipv4.tcp_syncookies", "0");
        world.count("TCPReqQFullDrop", 500);
        world.mib("PassiveOpens", opened);
        let mut before = flood(1, 0, false);
        before.mib("PassiveOpens", 0);
        two(&before, &world)
    };
    let findings = thrown_away(16, 0);
    let finding = first(&findings, "syn-backlog-full", Responsible::Configuration);
    assert_eq!(finding.subject.local.as_deref(), Some("10.0.0.1:443"));
    assert_eq!((findings[1].code, findings[1].variant), ("syn-flood", Some("thrown-away")));
    for findings in [thrown_away(16, 400), thrown_away(2, 0)] {
        assert!(findings.iter().all(|finding| finding.code != "syn-flood"), "{findings:#?}");
    }
}

#[test]
fn connection_attempts() {
    let attempts = |destinations: u32, each: u32, repeats: u8| {
        let mut world = World::new();
        for index in 0..destinations * each {
            let destination = index % destinations;
            let remote = format!("10.8.{}.{}:22", destination / 250, destination % 250 + 1);
            let socket = world.add(State::SynSent, &format!("10.0.0.1:{}", 33_000 + index), &remote);
            timer(socket, TimerKind::Retransmit, repeats);
            own(socket, 66, index);
        }
        world
    };
    let findings = still(&attempts(1, 5, 2));
    let finding = first(&findings, "syn-sent-unanswered", Responsible::Network);
    assert_eq!((finding.subject.remote.as_deref(), finding.subject.pid), (Some("10.8.0.1:22"), Some(66)));
    let findings = still(&attempts(500, 1, 1));
    let finding = first(&findings, "syn-sent-scan", Responsible::LocalProgram);
    assert_eq!(finding.subject.pid, Some(66));
    assert!(findings.iter().all(|finding| finding.code != "syn-sent-unanswered"));
    // A SYN that was lost, once.
    silent(&still(&attempts(1, 2, 1)));
    silent(&still(&attempts(9, 1, 1)));
    // Answers are on their way; many attempts to one destination are no scan.
    silent(&still(&attempts(5, 2, 0)));
    assert!(still(&attempts(1, 500, 1)).iter().all(|finding| finding.code != "syn-sent-scan"));
}

#[test]
fn a_peer_that_is_gone() {
    let unanswered = |repeats: u8, silent_ms: u64, segs_in: u64| {
        let mut world = World::new();
        let socket = world.add(State::Established, "10.0.0.1:40000", "10.0.7.7:443");
        own(socket, 3, 8);
        timer(socket, TimerKind::Retransmit, repeats);
        socket.send_queue = Some(700);
        socket.tcp_info = Some(info(&[
            ("last_ack_recv", silent_ms),
            ("segs_in", segs_in),
            ("snd_mss", 1448),
            ("bytes_acked", 90_000),
        ]));
        world
    };
    let findings = two(&unanswered(4, 5000, 70), &unanswered(5, 10_000, 70));
    let finding = first(&findings, "half-open-peer", Responsible::Peer);
    assert_eq!((finding.subject.pid, finding.subject.local.as_deref()), (Some(3), Some("10.0.0.1:40000")));
    // Losses: it answers.
    silent(&two(&unanswered(4, 100, 70), &unanswered(3, 100, 75)));
    silent(&still(&unanswered(1, 3000, 70)));
    // On a path that has lost much before, a silence of seconds is no wonder; a longer one is.
    let lossy = |silent_ms: u64| {
        let mut world = unanswered(4, silent_ms, 70);
        world.sockets[0].tcp_info = Some(info(&[
            ("last_ack_recv", silent_ms),
            ("snd_mss", 1448),
            ("bytes_acked", 90_000),
            ("total_retrans", 30),
        ]));
        still(&world)
    };
    silent(&lossy(5_000));
    first(&lossy(20_000), "half-open-peer", Responsible::Peer);
}

#[test]
fn an_end_without_another() {
    let ends_since = |idle_ms: u64, here: &[(&str, &str)]| {
        let mut world = World::new();
        world.listen("127.0.0.1:80", 0, 8, 2);
        for (local, remote) in here {
            let socket = world.add(State::Established, local, remote);
            own(socket, 2, 5);
            socket.tcp_info = Some(info(&[("last_data_sent", idle_ms), ("last_data_recv", idle_ms)]));
        }
        world
    };
    let ends = |here: &[(&str, &str)]| ends_since(9_000, here);
    let (client, server) = (("127.0.0.1:50000", "127.0.0.1:80"), ("127.0.0.1:80", "127.0.0.1:50000"));
    let second = ("127.0.0.1:80", "127.0.0.1:50001");
    for here in [vec![client], vec![server]] {
        let findings = still(&ends(&here));
        let finding = first(&findings, "half-open-peer", Responsible::LocalProgram);
        assert_eq!((finding.variant, finding.count), (Some("idle"), 1));
        assert_eq!(finding.subject.remote.as_deref(), Some(here[0].1));
    }
    let findings = still(&ends(&[server, second]));
    let finding = first(&findings, "half-open-peer", Responsible::LocalProgram);
    assert_eq!((finding.variant, finding.count), (Some("idle-many"), 2));
    assert_eq!(finding.subject.remote.as_deref(), Some("127.0.0.1"));
    assert_eq!(finding.subject.local.as_deref(), Some("127.0.0.1:80"));
    silent(&still(&ends(&[server, client])));
    // Alone in one of the looks only: it is being opened or closed.
    silent(&two(&ends(&[client]), &ends(&[client, server])));
    silent(&two(&ends(&[client, server]), &ends(&[client])));
    silent(&two(&ends(&[]), &ends(&[client])));
    // Younger than the first look: another connection at the same addresses, which is short too.
    silent(&still(&ends_since(900, &[client])));
    // Rewritten on the way: the server's end has another port than the client thinks.
    silent(&still(&ends(&[client, ("127.0.0.1:8080", "127.0.0.1:50000")])));
    // The other end is another host.
    silent(&still(&ends(&[("10.0.0.1:80", "10.0.0.9:50000")])));
    // The last ACK is refused because the queue is full: that is the finding.
    let mut full = ends(&[client]);
    full.sockets[0].backlog = Some(9);
    assert_eq!(still(&full).iter().filter(|found| found.code == "half-open-peer").count(), 0);
}

#[test]
fn keepalive_that_nobody_answers() {
    let probing = |probes: u8, segs_in: u64| {
        let mut world = World::new();
        let socket = world.add(State::Established, "10.0.0.1:40000", "10.0.7.7:443");
        own(socket, 3, 8);
        timer(socket, TimerKind::Keepalive, probes);
        socket.tcp_info = Some(info(&[("last_ack_recv", 90_000), ("segs_in", segs_in)]));
        world
    };
    let findings = two(&probing(2, 70), &probing(3, 70));
    let finding = first(&findings, "half-open-peer", Responsible::Peer);
    assert_eq!((finding.variant, finding.severity), (Some("probing"), Severity::Warning));
    // Six more probes at 75 s, and a second to the next.
    let left = finding.evidence.iter().find(|evidence| evidence.key == "gives_up");
    assert!(format!("{left:?}").contains("451000"), "{left:?}");
    // One lost probe; and answers.
    silent(&still(&probing(1, 70)));
    assert_eq!(two(&probing(2, 70), &probing(1, 71)), []);
    assert_eq!(still(&probing(0, 70)), []);
}

#[test]
fn some_of_many_clients_always_vanish() {
    let clients = |vanished: u32, kind: TimerKind| {
        let mut world = World::new();
        world.listen("0.0.0.0:443", 0, 128, 5);
        for client in 0..200 {
            let socket =
                world.add(State::Established, "10.0.0.1:443", &format!("10.0.{}.7:2000", client + 1));
            own(socket, 5, client);
            if client < vanished {
                timer(socket, kind, 5);
                socket.send_queue = Some(700);
            }
            socket.tcp_info =
                Some(info(&[("last_ack_recv", 8_000), ("bytes_acked", 90_000), ("snd_mss", 1448)]));
        }
        still(&world)
    };
    for kind in [TimerKind::Retransmit, TimerKind::Keepalive] {
        silent(&clients(5, kind));
        assert!(clients(5, kind).iter().any(|finding| finding.code == "half-open-peer"));
        // A third of them at once: that is the network, or a firewall.
        let findings = clients(60, kind);
        assert!(
            findings.iter().any(|it| it.code == "half-open-peer" && it.severity == Severity::Warning),
            "{findings:#?}"
        );
    }
}

#[test]
fn outgoing_connections_that_nothing_watches() {
    let idle = |count: u32, idle_ms: u64, keepalive: bool| {
        let mut world = World::new();
        for port in 0..count {
            let socket =
                world.add(State::Established, &format!("10.0.0.1:{}", 40_000 + port), "10.0.7.7:5432");
            own(socket, 3, port);
            if keepalive {
                timer(socket, TimerKind::Keepalive, 0);
            }
            socket.tcp_info = Some(info(&[("last_data_sent", idle_ms), ("last_data_recv", idle_ms)]));
        }
        world
    };
    // Worth one word, however many they are.
    let findings = still(&idle(300, 90_000, false));
    silent(&findings);
    assert_eq!(findings.len(), 1);
    let finding = first(&findings, "half-open-peer", Responsible::LocalProgram);
    assert_eq!((finding.count, finding.subject.remote.as_deref()), (300, Some("10.0.7.7:5432")));
    assert_eq!(still(&idle(300, 90_000, true)), []);
    assert_eq!(still(&idle(300, 30_000, false)), []);
}

#[test]
fn large_segments_vanish() {
    let hole = |acked: u64| {
        let mut world = World::new();
        let socket = world.add(State::Established, "10.0.0.1:40000", "10.0.7.7:443");
        own(socket, 3, 8);
        timer(socket, TimerKind::Retransmit, 4);
        socket.send_queue = Some(5000);
        socket.tcp_info = Some(info(&[
            ("last_ack_recv", 5000),
            ("snd_mss", 1448),
            ("bytes_acked", acked),
            ("bytes_received", 900),
        ]));
        world
    };
    first(&still(&hole(300)), "mtu-blackhole", Responsible::Network);
    // What does not even leave this host: large, or anything.
    let refused = |bytes: u32, probes: u8| {
        let mut world = hole(300_000);
        timer(&mut world.sockets[0], TimerKind::Persist, probes);
        world.sockets[0].send_queue = Some(bytes);
        let fields =
            [("last_ack_recv", 5000), ("snd_mss", 1448), ("bytes_acked", 300_000), ("snd_wnd", 60_000)];
        world.sockets[0].tcp_info = Some(info(&fields));
        still(&world)
    };
    let findings = refused(9_000, 5);
    assert_eq!(first(&findings, "mtu-blackhole", Responsible::Network).variant, Some("refused-here"));
    let findings = refused(20, 5);
    assert_eq!(first(&findings, "half-open-peer", Responsible::Configuration).variant, Some("refused-here"));
    silent(&refused(20, 1));
    // The path has become narrow later: what is small still arrives.
    let narrowed = |repeated: u64| {
        let mut world = hole(300_000);
        world.sockets[0].tcp_info = Some(info(&[
            ("last_ack_recv", 5000),
            ("snd_mss", 1448),
            ("bytes_acked", 300_000),
            ("sacked", 1),
            ("total_retrans", repeated),
        ]));
        still(&world)
    };
    first(&narrowed(4), "mtu-blackhole", Responsible::Network);
    assert!(narrowed(60).iter().all(|finding| finding.code != "mtu-blackhole"));
    // Full segments have passed before: then it is the peer.
    first(&still(&hole(300_000)), "half-open-peer", Responsible::Peer);

    // Probing has found a way; and a peer that asked for small segments, or a path without losses.
    let probed = |mss: u64, repeated: u64, probing: &str| {
        let mut world = World::new();
        world.sysctl("net.ipv4.tcp_mtu_probing", probing);
        world.sysctl("net.ipv4.tcp_base_mss", "1024");
        let socket = world.add(State::Established, "10.0.0.1:40000", "10.0.7.7:443");
        own(socket, 3, 8);
        socket.tcp_info =
            Some(info(&[("snd_mss", mss), ("advmss", 1448), ("pmtu", 1500), ("total_retrans", repeated)]));
        still(&world)
    };
    let findings = probed(1012, 4, "1");
    silent(&findings);
    assert_eq!(first(&findings, "mtu-blackhole", Responsible::Network).variant, Some("probed"));
    for findings in [probed(1012, 0, "1"), probed(1012, 4, "0"), probed(1400, 4, "1")] {
        assert_eq!(findings, []);
    }
}

#[test]
fn our_fin_is_not_acknowledged() {
    for (state, code) in [
        (State::FinWait1, "fin-wait1-stuck"),
        (State::LastAck, "last-ack-stuck"),
        (State::Closing, "closing-stuck"),
    ] {
        let stuck = |repeats: u8, kind: TimerKind| {
            let mut world = World::new();
            for port in 0..3 {
                let socket = world.add(state, &format!("10.0.0.1:{}", 40_000 + port), "10.0.7.7:443");
                timer(socket, kind, repeats);
                socket.send_queue = Some(1);
            }
            world
        };
        let findings = still(&stuck(3, TimerKind::Retransmit));
        let finding = first(&findings, code, Responsible::Network);
        assert_eq!((finding.count, finding.subject.remote.as_deref()), (3, Some("10.0.7.7")));
        let findings = still(&stuck(1, TimerKind::Persist));
        assert_eq!(first(&findings, code, Responsible::Peer).variant, Some("zero-window"));
        // A few of very many.
        let mut busy = stuck(3, TimerKind::Retransmit);
        for client in 0..90 {
            busy.add(State::TimeWait, "10.0.0.1:80", &format!("10.0.9.{client}:50000"));
        }
        silent(&still(&busy));
        silent(&two(&World::new(), &stuck(0, TimerKind::Retransmit)));
        silent(&still(&stuck(0, TimerKind::Retransmit)));
    }
}

#[test]
fn a_peer_that_does_not_close() {
    let held = |count: u32, received: u64| {
        let mut world = World::new();
        for index in 0..count {
            let socket = world.add(State::FinWait2, &format!("10.0.0.1:{}", 40_000 + index), "10.0.7.7:443");
            own(socket, 31, index);
            socket.tcp_info = Some(info(&[("bytes_received", received)]));
        }
        world
    };
    let findings = still(&held(6, 0));
    assert_eq!(first(&findings, "fin-wait2-held", Responsible::Peer).subject.pid, Some(31));
    // The peer still sends its answer.
    silent(&two(&held(6, 1000), &held(6, 9000)));
    silent(&still(&held(2, 0)));
    first(&still(&held(2, 0)), "fin-wait2-held", Responsible::Peer);
}

#[test]
fn nobody_reads() {
    let unread = |recv_queue: u32, received: u64| {
        let mut world = World::new();
        let socket = world.add(State::Established, "10.0.0.1:443", "10.0.7.7:50000");
        own(socket, 3, 8);
        socket.recv_queue = Some(recv_queue);
        socket.tcp_info = Some(info(&[("bytes_received", received)]));
        world
    };
    let findings = two(&unread(60_000, 100_000), &unread(64_000, 104_000));
    let finding = first(&findings, "local-reader-slow", Responsible::LocalProgram);
    assert_eq!((finding.subject.pid, finding.count), (Some(3), 1));
    // As much unread, but the program took a lot meanwhile.
    silent(&two(&unread(60_000, 100_000), &unread(64_000, 9_000_000)));
    silent(&two(&unread(0, 0), &unread(60_000, 60_000)));
    // Ten of one client are one finding.
    let mut ten = World::new();
    ten.listen("10.0.0.1:443", 0, 8, 3);
    for port in 0..10 {
        let socket = ten.add(State::Established, "10.0.0.1:443", &format!("10.0.7.7:{}", 50_000 + port));
        own(socket, 3, 8 + port);
        socket.recv_queue = Some(6000);
    }
    let findings = still(&ten);
    let finding = first(&findings, "local-reader-slow", Responsible::LocalProgram);
    assert_eq!((findings.len(), finding.variant, finding.count), (1, Some("many"), 10));
    assert_eq!(finding.subject.remote.as_deref(), Some("10.0.7.7"));

    let unsent = |acked: u64, probing: bool| {
        let mut world = World::new();
        let socket = world.add(State::Established, "10.0.0.1:443", "10.0.7.7:50000");
        own(socket, 3, 8);
        socket.send_queue = Some(200_000);
        timer(socket, if probing { TimerKind::Persist } else { TimerKind::Retransmit }, 0);
        socket.tcp_info = Some(info(&[
            ("bytes_acked", acked),
            ("snd_mss", 1448),
            ("snd_wnd", u64::from(!probing) * 60_000),
        ]));
        world
    };
    first(&still(&unsent(1000, true)), "peer-reader-slow", Responsible::Peer);
    // The peer is here, and nobody has accepted it.
    let mut here = unsent(1000, true);
    here.listen("10.0.7.7:50000", 1, 8, 4);
    not_accepted(here.add(State::Established, "10.0.7.7:50000", "10.0.0.1:443"));
    assert_eq!(first(&still(&here), "peer-reader-slow", Responsible::Peer).variant, Some("not-accepted"));
    silent(&two(&unsent(1000, false), &unsent(900_000, false)));
    silent(&two(&unsent(1000, true), &unsent(900_000, true)));

    // It reads, and slowly: worth a word. So is any stream, but not what the path holds up.
    let slow = |acked: u64, held_up_us: u64| {
        let mut world = unsent(acked, false);
        world.sockets[0].tcp_info = Some(info(&[
            ("bytes_acked", acked),
            ("snd_mss", 1448),
            ("snd_wnd", 60_000),
            ("rwnd_limited", held_up_us),
            ("busy_time", 9_000_000),
        ]));
        world
    };
    let findings = two(&slow(1000, 1_000_000), &slow(50_000, 5_500_000));
    silent(&findings);
    assert_eq!(first(&findings, "peer-reader-slow", Responsible::Peer).variant, Some("slow"));
    let findings = two(&slow(1000, 1_000_000), &slow(50_000, 1_100_000));
    assert!(findings.iter().all(|finding| finding.code != "peer-reader-slow"), "{findings:#?}");
}

#[test]
fn losses() {
    let path = |segments: u64, repeated: u64| {
        let mut world = World::new();
        for host in 1..5 {
            let socket = world.add(State::Established, "10.0.0.1:443", &format!("10.0.7.{host}:50000"));
            socket.tcp_info = Some(info(&[("data_segs_out", segments), ("total_retrans", repeated)]));
        }
        world
    };
    let findings = two(&path(10_000, 10), &path(20_000, 600));
    let finding = first(&findings, "lossy-path", Responsible::Network);
    assert_eq!(finding.subject.remote.as_deref(), Some("10.0.7.0/24"));
    silent(&two(&path(10_000, 10), &path(20_000, 60)));
    // It lost much once, and is clean now; or has hardly sent.
    silent(&two(&path(10_000, 900), &path(20_000, 900)));
    silent(&two(&path(0, 0), &path(10, 5)));
    first(&two(&path(0, 0), &path(20, 5)), "lossy-path", Responsible::Network);
}

#[test]
fn resets() {
    for (counter, code) in [("TCPAbortOnClose", "reset-unread-data"), ("TCPAbortOnData", "reset-after-close")]
    {
        let count = |count: i64| {
            let mut world = World::new();
            world.count(counter, 1000 + count);
            world.mib("OutRsts", 1000 + count);
            world
        };
        first(&two(&count(0), &count(20)), code, Responsible::LocalProgram);
        silent(&two(&count(0), &count(1)));
        // Health checks of a load balancer.
        silent(&two(&count(0), &count(4)));
        first(&two(&count(0), &count(4)), code, Responsible::LocalProgram);
    }
    let aborted = |count: i64, opened: i64| {
        let mut world = World::new();
        world.count("TCPAbortOnClose", count);
        world.mib("OutRsts", count);
        world.mib("PassiveOpens", opened);
        world
    };
    // One in a hundred gives up: a word, no more. So is a program that ends at once.
    silent(&two(&aborted(0, 0), &aborted(20, 2000)));
    first(&two(&aborted(0, 0), &aborted(20, 100)), "reset-unread-data", Responsible::LocalProgram);
    silent(&two(&aborted(0, 0), &aborted(20, 0).pulse(&aborted(0, 0)).pulse(&aborted(20, 0))));
    let goes_on = aborted(20, 0).pulse(&aborted(8, 0)).pulse(&aborted(15, 0));
    first(&two(&aborted(0, 0), &goes_on), "reset-unread-data", Responsible::LocalProgram);
    // Data meets connections that no program has any more: no counter but the peers' own.
    let late = |count: i64, is_here: bool| {
        let mut world = World::new();
        world.mib("OutRsts", count);
        world.mib("EstabResets", count);
        if is_here {
            world.add(State::Established, "127.0.0.1:80", "127.0.0.1:4000");
            world.add(State::Established, "127.0.0.1:4000", "127.0.0.1:80");
        }
        world
    };
    first(&two(&late(0, true), &late(20, true)), "reset-after-close", Responsible::LocalProgram);
    first(&two(&late(0, false), &late(20, false)), "refused-connections", Responsible::Configuration);
    let sent = |count: i64| {
        let mut world = World::new();
        world.mib("OutRsts", count);
        world
    };
    first(&two(&sent(0), &sent(20)), "refused-connections", Responsible::Configuration);
    silent(&two(&sent(0), &sent(2)));
    // A scanner now and then.
    silent(&two(&sent(0), &sent(5)));
    // Resets that answer what was on its way to connections that were reset, or that skipped TIME_WAIT.
    for counter in ["TCPAbortOnMemory", "TCPTimeWaitOverflow"] {
        let mut before = sent(0);
        before.count(counter, 0);
        let mut after = sent(30);
        after.count(counter, 10);
        let findings = two(&before, &after);
        assert!(findings.iter().all(|finding| finding.code != "refused-connections"), "{findings:#?}");
    }
}

#[test]
fn limits_of_the_kernel() {
    let mut world = World::new();
    world.sockstat("orphan", 60_000);
    first(&still(&world), "orphans-high", Responsible::Peer);
    world.sockstat("orphan", 6_000);
    silent(&still(&world));

    world.sysctl("net.netfilter.nf_conntrack_max", "1000");
    world.sysctl("net.netfilter.nf_conntrack_count", "995");
    world.sysctl("net.netfilter.nf_conntrack_tcp_timeout_established", "432000");
    let findings = still(&world);
    assert_eq!(first(&findings, "conntrack-full", Responsible::Configuration).severity, Severity::Critical);
    world.sysctl("net.netfilter.nf_conntrack_count", "500");
    silent(&still(&world));

    world.sysctl("net.netfilter.nf_conntrack_tcp_timeout_established", "3600");
    first(&still(&world), "idle-timeout-order", Responsible::Configuration);
    world.sysctl("net.ipv4.tcp_keepalive_time", "600");
    silent(&still(&world));

    world.sockstat("mem", 131_000);
    first(&still(&world), "memory-pressure", Responsible::LocalKernel);
    world.sockstat("mem", 90_000);
    silent(&still(&world));
}

#[test]
fn ports_and_listeners() {
    let mut world = World::new();
    world.listen("0.0.0.0:8080", 0, 128, 5);
    own(world.add(State::Closed, "0.0.0.0:8080", "0.0.0.0:0"), 6, 3);
    let findings = still(&world);
    assert_eq!(first(&findings, "address-in-use", Responsible::Configuration).subject.pid, Some(5));
    // The program's own second socket, and one on another port.
    let mut own_second = World::new();
    own_second.listen("0.0.0.0:8080", 0, 128, 5);
    own(own_second.add(State::Closed, "0.0.0.0:8080", "0.0.0.0:0"), 5, 4);
    own(own_second.add(State::Closed, "0.0.0.0:9090", "0.0.0.0:0"), 6, 3);
    silent(&still(&own_second));

    // A server that has ended, and a client that binds low ports (NFS).
    let mut ended = World::new();
    ended.add(State::TimeWait, "10.0.0.1:81", "10.0.7.7:41000");
    let findings = still(&ended);
    silent(&findings);
    assert_eq!(first(&findings, "address-in-use", Responsible::LocalProgram).variant, Some("ended"));
    let mut mounted = World::new();
    mounted.add(State::TimeWait, "10.0.0.1:790", "10.0.7.7:2049");
    ended.listen("0.0.0.0:81", 0, 128, 5);
    for healthy in [mounted, ended] {
        assert_eq!(still(&healthy), []);
    }

    let mut newer = World::new();
    newer.listen("0.0.0.0:4444", 0, 128, 99);
    let saved = World::new().saved();
    first(&two(&saved, &newer), "unexpected-listener", Responsible::Configuration);
    // Between two live looks services start all the time.
    silent(&two(&World::new(), &newer));
    let mut local = World::new();
    local.listen("127.0.0.1:4444", 0, 128, 99);
    silent(&two(&saved, &local));
    // A restarted service is the same listener.
    let mut restarted = World::new();
    restarted.listen("0.0.0.0:4444", 0, 128, 100);
    silent(&two(&newer.saved(), &restarted));

    let mut overlap = World::new();
    overlap.listen("0.0.0.0:40000", 0, 128, 5);
    assert_eq!(still(&overlap)[0].code, "port-range-overlap");
    silent(&still(&overlap));
    overlap.sysctl("net.ipv4.ip_local_reserved_ports", "8080,39990-40010");
    assert_eq!(still(&overlap), []);
    // A service's port has been given to a client, and one that no service is known to have.
    let taken = |port: u16| {
        let mut world = World::new();
        world.sysctl("net.ipv4.ip_local_port_range", "1024 65535");
        own(world.add(State::Established, &format!("10.0.0.1:{port}"), "10.0.7.7:443"), 5, 3);
        world
    };
    let findings = still(&taken(5432));
    silent(&findings);
    assert_eq!(first(&findings, "port-range-overlap", Responsible::Configuration).variant, Some("taken"));
    assert_eq!(still(&taken(5433)), []);
}

#[test]
fn harmful_values() {
    for (name, value, variant) in [
        ("net.ipv4.tcp_tw_recycle", "1", "tw-recycle"),
        ("net.ipv4.tcp_syncookies", "0", "syncookies"),
        ("net.ipv4.tcp_abort_on_overflow", "1", "abort-on-overflow"),
        ("net.ipv4.tcp_max_tw_buckets", "100", "tw-buckets"),
        ("net.ipv4.tcp_retries2", "3", "retries2-low"),
        ("net.ipv4.tcp_retries2", "60", "retries2-high"),
        ("net.ipv4.tcp_sack", "0", "sack"),
        ("net.ipv4.tcp_window_scaling", "0", "window-scaling"),
    ] {
        let mut world = World::new();
        world.sysctl(name, value);
        let findings = one(&world);
        let finding = first(&findings, "harmful-sysctl", Responsible::Configuration);
        assert_eq!((finding.variant, finding.subject.sysctl), (Some(variant), Some(name)));
    }
    let mut world = World::new();
    world.sysctl("net.ipv4.tcp_timestamps", "0");
    silent(&one(&world));
    world.sysctl("net.ipv4.tcp_tw_reuse", "1");
    first(&one(&world), "harmful-sysctl", Responsible::Configuration);
    // Where the ports have run out for that very reason, it comes first.
    world.sysctl("net.ipv4.ip_local_port_range", "40000 40031");
    for port in 40_000..40_032 {
        world.add(State::TimeWait, &format!("10.0.0.1:{port}"), "10.0.9.9:5432").age_ms = Some(30_000);
    }
    let findings = still(&world);
    assert_eq!(
        first(&findings, "harmful-sysctl", Responsible::Configuration).variant,
        Some("timestamps-exhausted")
    );
    assert_eq!(findings[1].code, "time-wait-port-exhaustion");
    let mut tuned = World::new();
    tuned.sysctl("net.ipv4.tcp_fin_timeout", "15");
    tuned.sysctl("net.ipv4.tcp_tw_reuse", "1");
    tuned.sysctl("net.ipv4.tcp_syncookies", "2");
    silent(&one(&tuned));
}

#[test]
fn idle_connections() {
    let idle = |count: u32, idle_ms: u64, keepalive: bool| {
        let mut world = World::new();
        world.listen("0.0.0.0:443", 0, 128, 5);
        for port in 0..count {
            let socket = world.add(State::Established, "10.0.0.1:443", &format!("10.0.7.7:{}", 2000 + port));
            own(socket, 5, port);
            if keepalive {
                timer(socket, TimerKind::Keepalive, 0);
            }
            socket.tcp_info = Some(info(&[("last_data_sent", idle_ms), ("last_data_recv", idle_ms)]));
        }
        world
    };
    // A browser's habit is worth a word, no alarm; and beyond two hours nobody is there.
    let findings = still(&idle(2000, 600_000, false));
    silent(&findings);
    assert_eq!(findings[0].code, "keepalive-missing");
    first(&still(&idle(20, 9_000_000, false)), "keepalive-missing", Responsible::LocalProgram);
    // One for a minute, or many for some seconds; few for seconds are nothing.
    for findings in [still(&idle(1, 61_000, false)), still(&idle(20, 6_000, false))] {
        silent(&findings);
        assert_eq!(findings[0].code, "keepalive-missing");
    }
    assert_eq!(still(&idle(9, 6_000, false)), []);
    assert_eq!(still(&idle(20, 2_000, false)), []);
    assert_eq!(still(&idle(2000, 9_000_000, true)), []);
}

#[test]
fn a_client_that_comes_again() {
    let client = |dead: u32, alive: u32| {
        let mut world = World::new();
        world.listen("0.0.0.0:443", 0, 128, 5);
        for index in 0..dead + alive {
            let socket = world.add(State::Established, "10.0.0.1:443", &format!("10.0.7.7:{}", 2000 + index));
            own(socket, 5, index);
            if index < dead {
                timer(socket, TimerKind::Retransmit, 2);
                socket.send_queue = Some(20);
            }
            socket.tcp_info = Some(info(&[("last_data_sent", 100), ("last_ack_recv", 1500)]));
        }
        world
    };
    let findings = still(&client(3, 1));
    let finding = first(&findings, "heartbeat-reconnect", Responsible::LocalProgram);
    assert_eq!((finding.subject.remote.as_deref(), finding.count), (Some("10.0.7.7"), 4));
    // The old ones are only silent, and the newest talks: maybe. A pool goes on with its oldest, a browser with several.
    let silent_but = |silent_ms: u64, count: u32, alive: &[u32]| {
        let mut world = client(0, count);
        for (index, socket) in world.sockets.iter_mut().skip(1).enumerate() {
            let idle_ms = if alive.contains(&(index as u32)) { 100 } else { silent_ms };
            socket.tcp_info = Some(info(&[("last_data_sent", idle_ms), ("last_data_recv", idle_ms)]));
        }
        let findings = still(&world);
        silent(&findings);
        findings.iter().any(|finding| finding.code == "heartbeat-reconnect")
    };
    assert!(silent_but(90_000, 4, &[3]) && silent_but(90_000, 2, &[1]) && silent_but(15_000, 3, &[2]));
    for alive in [&[0][..], &[2, 3], &[]] {
        assert!(!silent_but(90_000, 4, alive), "{alive:?}");
    }
    assert!(!silent_but(15_000, 2, &[1]) && !silent_but(5_000, 4, &[3]));
    // Several that are all alive, and a path that loses.
    silent(&still(&client(0, 6)));
    silent(&still(&client(2, 4)));
}

#[test]
fn an_accept_queue_that_moves() {
    // `first` is the number of the first client that waits.
    let waiting = |clients: u32, limit: u32, first: u32| {
        let mut world = World::new();
        world.process(8, 100, 1024);
        world.listen("0.0.0.0:80", clients, limit, 8);
        for client in first..first + clients {
            let socket = world.add(State::Established, "10.0.0.1:80", &format!("10.0.3.7:{}", 1024 + client));
            socket.cookie = Some(u64::from(client) + 100);
            not_accepted(socket);
        }
        world
    };
    // Nobody takes them, though nobody else comes either.
    let findings = still(&waiting(17, 16, 0));
    assert_eq!(first(&findings, "accept-queue-overflow", Responsible::LocalProgram).variant, None);
    // Full again, of others.
    let findings = two(&waiting(17, 16, 0), &waiting(17, 16, 40));
    silent(&findings);
    assert_eq!(first(&findings, "accept-queue-overflow", Responsible::LocalProgram).variant, Some("moving"));
    // There is room still.
    let findings = still(&waiting(10, 100, 0));
    silent(&findings);
    assert_eq!(first(&findings, "accept-queue-overflow", Responsible::LocalProgram).variant, Some("waiting"));
    assert_eq!(two(&waiting(10, 100, 0), &waiting(10, 100, 40)), []);
    // They have asked already, and wait for an answer.
    let mut asking = waiting(10, 100, 0);
    asking.sockets.iter_mut().for_each(|socket| socket.recv_queue = Some(90));
    let findings = still(&asking);
    assert_eq!(
        first(&findings, "accept-queue-overflow", Responsible::LocalProgram).severity,
        Severity::Warning
    );
}
