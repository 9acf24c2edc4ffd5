//! Peers that are gone, and connections that nobody watches.

use eleven_doctor::{Responsible, Severity};
use eleven_snapshot::TimerKind;
use eleven_tcp::State;

use crate::world::{World, info, own, timer, two};
use crate::{first, silent, still};

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
