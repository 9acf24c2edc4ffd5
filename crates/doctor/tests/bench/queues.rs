//! Queues that nobody empties.

use eleven_doctor::{Responsible, Severity};
use eleven_snapshot::TimerKind;
use eleven_tcp::State;

use crate::world::{World, info, not_accepted, own, timer, two};
use crate::{first, silent, still};

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
