//! Networks that lose segments.

use eleven_doctor::Responsible;
use eleven_snapshot::TimerKind;
use eleven_tcp::State;

use crate::world::{World, info, own, timer, two};
use crate::{first, silent, still};

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
