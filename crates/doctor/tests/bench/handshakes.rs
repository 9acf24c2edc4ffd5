//! Connections that do not come about, and resets.

use eleven_doctor::Responsible;
use eleven_snapshot::TimerKind;
use eleven_tcp::State;

use crate::world::{World, own, timer, two};
use crate::{first, silent, still};

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
