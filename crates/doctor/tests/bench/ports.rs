//! Local ports, and who holds them.

use eleven_doctor::{Responsible, Severity};
use eleven_tcp::State;

use crate::world::{World, own, two};
use crate::{first, silent, still};

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
