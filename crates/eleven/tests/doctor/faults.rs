//! Faults and near misses.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use eleven_testbed::namespace::Net;
use eleven_testbed::or_skip;
use eleven_testbed::sockets::{LOOPBACK, address, connect, connecting, listen, pair, stuff, wait_for_end};
use eleven_testbed::wire::{HERE, NOWHERE, THERE, Wire};
use serde_json::Value;
use socket2::Socket;

use super::{findings, first, silent};

fn set(net: &Net, name: &str, value: &str) {
    net.run(|| std::fs::write(format!("/proc/sys/{}", name.replace('.', "/")), value)).expect("root may");
}

/// Connections whose peer has closed.
fn abandoned(count: usize) -> Vec<Socket> {
    let pairs: Vec<(Socket, Socket)> = (0..count).map(|_| pair(LOOPBACK)).collect();
    pairs
        .into_iter()
        .map(|(client, server)| {
            drop(client);
            wait_for_end(&server);
            server
        })
        .collect()
}

/// Findings while `work` goes on in the namespace again and again.
fn findings_during(net: &Net, work: impl Fn() + Sync) -> Vec<Value> {
    let ends = AtomicBool::new(false);
    thread::scope(|scope| {
        let working = scope.spawn(|| {
            net.run(|| {
                while !ends.load(Ordering::Relaxed) {
                    work();
                    // Not for an event, but for a pace: some dozens a second.
                    thread::sleep(Duration::from_millis(40));
                }
            });
        });
        let found = findings(net);
        ends.store(true, Ordering::Relaxed);
        working.join().expect("the work goes well");
        found
    })
}

fn connection(listener: &TcpListener) -> (TcpStream, TcpStream) {
    let client = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
    (client, listener.accept().expect("it waits").0)
}

#[test]
fn close_wait_leaks() {
    let net = or_skip!(Net::new());
    let _held = net.run(|| abandoned(30));
    let found = findings(&net);
    let finding = first(&found, "close-wait-leak", "local-program");
    assert_eq!(finding["count"], 30);
    assert_eq!(finding["subject"]["pid"], std::process::id());
    assert_eq!(finding["subject"]["remote"], "127.0.0.1");
    assert!(finding["title"].as_str().is_some_and(|title| title.contains("30 CLOSE_WAIT")), "{finding:#}");

    let near = or_skip!(Net::new());
    let _working = near.run(|| abandoned(3));
    silent(&findings(&near));
}

#[test]
fn accept_queues_overflow() {
    let net = or_skip!(Net::new());
    let (listener, _clients) = net.run(|| {
        let listener = listen(LOOPBACK, 4);
        let at = address(&listener);
        let clients: Vec<Socket> =
            (0..5).map(|_| connect(at)).chain((0..4).map(|_| connecting(at))).collect();
        (listener, clients)
    });
    let found = findings(&net);
    let finding = first(&found, "accept-queue-overflow", "local-program");
    let local = net.run(|| address(&listener)).to_string();
    assert_eq!(finding["subject"]["local"], local);
    assert_eq!(finding["subject"]["pid"], std::process::id());
    let value = |key: &str| {
        let evidence = finding["evidence"].as_array().expect("a list");
        evidence.iter().find(|evidence| evidence["key"] == key).map(|evidence| evidence["value"].clone())
    };
    assert_eq!(value("limit"), Some(4.into()));
    assert_eq!(value("cap"), Some("listen()".into()));
    assert!(value("threads").is_some() && value("descriptors_left").is_some(), "{finding:#}");
    // The callers wait for this very queue: no finding of their own.
    assert!(found.iter().all(|finding| finding["code"] != "syn-sent-unanswered"), "{found:#?}");

    let near = or_skip!(Net::new());
    let _waiting = near.run(|| {
        let listener = listen(LOOPBACK, 100);
        let clients: Vec<Socket> = (0..60).map(|_| connect(address(&listener))).collect();
        (listener, clients)
    });
    silent(&findings(&near));
}

/// Short connections that this side closes first.
fn short(count: usize, server_first: bool) -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:8080").expect("a namespace of its own");
    for _ in 0..count {
        let (client, server) = connection(&listener);
        let (done, mut other) = if server_first { (server, client) } else { (client, server) };
        drop(done);
        let _ = other.read(&mut [0; 1]);
    }
    listener
}

#[test]
fn local_ports_run_out() {
    for (reuse, count, severity) in [("0", 48, Some("critical")), ("2", 48, None), ("0", 20, None)] {
        let net = or_skip!(Net::new());
        set(&net, "net.ipv4.ip_local_port_range", "40000 40049");
        set(&net, "net.ipv4.tcp_tw_reuse", reuse);
        let _listener = net.run(|| short(count, false));
        let found = findings(&net);
        match severity {
            Some(severity) => {
                let finding = first(&found, "time-wait-port-exhaustion", "local-program");
                assert_eq!(finding["severity"], severity);
                assert_eq!(finding["subject"]["remote"], "127.0.0.1:8080");
            }
            None => silent(&found),
        }
    }
}

#[test]
fn time_wait_on_a_service_port_is_normal() {
    let net = or_skip!(Net::new());
    let _listener = net.run(|| short(150, true));
    let found = findings(&net);
    silent(&found);
    assert_eq!(first(&found, "time-wait-normal", "local-program")["count"], 150);
}

#[test]
fn time_wait_is_skipped() {
    let net = or_skip!(Net::new());
    set(&net, "net.ipv4.tcp_max_tw_buckets", "4");
    let listener = net.run(|| TcpListener::bind(LOOPBACK)).expect("bound");
    let found = findings_during(&net, || {
        let (mut client, server) = connection(&listener);
        drop(server);
        let _ = client.read(&mut [0; 1]);
    });
    first(&found, "time-wait-overflow", "configuration");
}

#[test]
fn nobody_answers() {
    let wire = or_skip!(Wire::new());
    let _attempts: Vec<Socket> =
        wire.here.run(|| (0..3).map(|_| connecting(SocketAddr::new(NOWHERE.into(), 443))).collect());
    let found = findings(&wire.here);
    let finding = first(&found, "syn-sent-unanswered", "network");
    assert_eq!(finding["subject"]["remote"], format!("{NOWHERE}:443"));
    assert_eq!(finding["subject"]["pid"], std::process::id());

    let scan = or_skip!(Wire::new());
    let _scan: Vec<Socket> =
        scan.here.run(|| (1..150).map(|port| connecting(SocketAddr::new(NOWHERE.into(), port))).collect());
    first(&findings(&scan.here), "syn-sent-scan", "local-program");
}

#[test]
fn a_peer_vanishes() {
    let wire = or_skip!(Wire::new());
    let (mut here, _there) = wire.connections(1);
    let local = here[0].local_addr().expect("bound").to_string();
    // A good second of repeats must be over before the first look.
    let found = |wire: &Wire| super::findings_with(&wire.here, &["--for", "5s"]);
    silent(&found(&wire));
    wire.cut_outgoing();
    here[0].write_all(b"hello").expect("there is room");
    let found = found(&wire);
    let finding = first(&found, "half-open-peer", "peer");
    assert_eq!(finding["subject"]["local"], local);
    assert_eq!(finding["subject"]["pid"], std::process::id());
}

#[test]
fn our_fin_is_lost() {
    let wire = or_skip!(Wire::new());
    let (here, _there) = wire.connections(3);
    wire.cut_outgoing();
    drop(here);
    let finding = &findings(&wire.here);
    assert_eq!(first(finding, "fin-wait1-stuck", "network")["subject"]["remote"], THERE.to_string());

    let wire = or_skip!(Wire::new());
    let (here, there) = wire.connections(3);
    drop(there);
    for mut connection in &here {
        assert_eq!(connection.read(&mut [0; 1]).expect("an end of file"), 0);
    }
    wire.cut_outgoing();
    drop(here);
    first(&findings(&wire.here), "last-ack-stuck", "network");
}

#[test]
fn a_peer_does_not_close() {
    let wire = or_skip!(Wire::new());
    let (here, _there) = wire.connections(6);
    for connection in &here {
        connection.shutdown(Shutdown::Write).expect("connected");
    }
    let found = findings(&wire.here);
    assert_eq!(first(&found, "fin-wait2-held", "peer")["subject"]["pid"], std::process::id());
    // At the other end it is a leak.
    first(&findings(&wire.there), "close-wait-leak", "local-program");

    // Both ends on one host: the leak first, and who holds the other end.
    let net = or_skip!(Net::new());
    let held: Vec<(Socket, Socket)> = net.run(|| (0..6).map(|_| pair(LOOPBACK)).collect());
    for (client, _) in &held {
        client.shutdown(Shutdown::Write).expect("connected");
    }
    let found = findings(&net);
    first(&found, "close-wait-leak", "local-program");
    let waiting = found.iter().find(|finding| finding["code"] == "fin-wait2-held").expect("it is there too");
    let pid = format!("pid {}", std::process::id());
    assert!(
        waiting["title"].as_str().is_some_and(|title| title.contains(&pid) && title.contains("CLOSE_WAIT"))
    );
    assert_eq!(waiting["confidence"], "certain");
}

#[test]
fn nobody_reads() {
    let wire = or_skip!(Wire::new());
    let (mut here, _there) = wire.connections(1);
    stuff(&mut here[0]);
    let local = here[0].local_addr().expect("bound").to_string();
    assert_eq!(first(&findings(&wire.here), "peer-reader-slow", "peer")["subject"]["local"], local);
    let found = findings(&wire.there);
    let finding = first(&found, "local-reader-slow", "local-program");
    assert_eq!(finding["subject"]["remote"], local);
    assert_eq!(finding["subject"]["pid"], std::process::id());

    // As full, but read all the time.
    let wire = or_skip!(Wire::new());
    let (mut here, mut there) = wire.connections(1);
    stuff(&mut here[0]);
    let mut piece = vec![0; 30_000];
    let (mut sender, mut reader) = (here.remove(0), there.remove(0));
    sender.set_nonblocking(false).expect("an open descriptor");
    let ends = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| while sender.write_all(&[0; 8192]).is_ok() {});
        let ends = &ends;
        // Closing with data unread resets, which ends the sender.
        scope.spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                assert!(reader.read(&mut piece).is_ok_and(|length| length > 0), "the sender goes on");
                thread::sleep(Duration::from_millis(2));
            }
        });
        silent(&findings(&wire.here));
        silent(&findings(&wire.there));
        ends.store(true, Ordering::Relaxed);
    });
}

#[test]
fn resets_of_three_kinds() {
    let net = or_skip!(Net::new());
    let listener = net.run(|| TcpListener::bind(LOOPBACK)).expect("bound");
    let unread = findings_during(&net, || {
        let (mut client, server) = connection(&listener);
        client.write_all(b"x").expect("connected");
        while server.peek(&mut [0; 1]).is_ok_and(|length| length == 0) {}
        drop(server);
    });
    first(&unread, "reset-unread-data", "local-program");

    let refused = findings_during(&net, || assert!(TcpStream::connect("127.0.0.1:9").is_err()));
    first(&refused, "refused-connections", "configuration");

    let aborted = findings_during(&net, || {
        let (_client, server) = connection(&listener);
        let server = Socket::from(server);
        server.set_linger(Some(Duration::ZERO)).expect("an open descriptor");
    });
    first(&aborted, "reset-after-close", "local-program");

    let orderly = findings_during(&net, || {
        let (mut client, mut server) = connection(&listener);
        client.write_all(b"x").expect("connected");
        assert_eq!(server.read(&mut [0; 8]).expect("connected"), 1);
        drop(server);
        assert_eq!(client.read(&mut [0; 8]).expect("an end of file"), 0);
    });
    silent(&orderly);
}

#[test]
fn handshakes_that_nobody_finishes() {
    let wire = or_skip!(Wire::new_cut());
    let listener = wire.here.run(|| listen(SocketAddr::new(HERE.into(), 0), 4096));
    let at = wire.here.run(|| address(&listener));
    let flood: Vec<Socket> = wire.there.run(|| (0..200).map(|_| connecting(at)).collect());
    let found = findings(&wire.here);
    let finding = first(&found, "syn-flood", "network");
    // One source: it may as well be the way back.
    assert!(finding["title"].as_str().is_some_and(|title| title.contains(&THERE.to_string())), "{finding:#}");
    drop(flood);

    let near = or_skip!(Wire::new_cut());
    let listener = near.here.run(|| listen(SocketAddr::new(HERE.into(), 0), 4096));
    let at = near.here.run(|| address(&listener));
    let _few: Vec<Socket> = near.there.run(|| (0..20).map(|_| connecting(at)).collect());
    silent(&findings(&near.here));
}

#[test]
fn a_syn_queue_without_cookies() {
    let wire = or_skip!(Wire::new_cut());
    set(&wire.here, "net.ipv4.tcp_syncookies", "0");
    let listener = wire.here.run(|| listen(SocketAddr::new(HERE.into(), 0), 8));
    let at = wire.here.run(|| address(&listener));
    let attempts = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            wire.there.run(|| {
                let mut held = Vec::new();
                while !attempts.load(Ordering::Relaxed) {
                    held.push(connecting(at));
                    thread::sleep(Duration::from_millis(20));
                }
            });
        });
        let found = findings(&wire.here);
        attempts.store(true, Ordering::Relaxed);
        first(&found, "syn-backlog-full", "configuration");
        assert!(found.iter().any(|finding| finding["code"] == "harmful-sysctl"));
    });
}

#[test]
fn large_segments_never_arrive() {
    let wire = or_skip!(Wire::new());
    or_skip!(wire.here.ip("link set wire0 gso_max_segs 1"));
    let (mut here, mut there) = wire.connections(1);
    here[0].write_all(b"small").expect("there is room");
    assert_eq!(there[0].read(&mut [0; 8]).expect("it passes"), 5);
    // A frame that is larger than the other end's MTU is dropped without a word.
    or_skip!(wire.there.ip("link set wire1 mtu 900"));
    here[0].write_all(&vec![0; 30_000]).expect("there is room");
    let found = super::findings_with(&wire.here, &["--for", "4s"]);
    let finding = first(&found, "mtu-blackhole", "network");
    assert_eq!(finding["subject"]["remote"], here[0].peer_addr().expect("connected").to_string());
}
