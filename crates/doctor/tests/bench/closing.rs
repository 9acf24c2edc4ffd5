//! Connections that one side has closed, and that do not end.

use eleven_doctor::{Responsible, Severity};
use eleven_snapshot::TimerKind;
use eleven_tcp::State;

use crate::world::{World, info, not_accepted, one, own, timer, two};
use crate::{first, silent, still};

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
    // One look cannot tell.
    let findings = one(&leak(12));
    let finding = first(&findings, "close-wait-leak", Responsible::LocalProgram);
    assert_eq!((finding.severity, finding.missing.is_empty()), (Severity::Info, false));
    // One alone, but for minutes.
    let mut old = leak(1);
    old.sockets[1].tcp_info = Some(info(&[("last_ack_recv", 180_000)]));
    first(&one(&old), "close-wait-leak", Responsible::LocalProgram);
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
