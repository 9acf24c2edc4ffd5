//! Faults that a test cannot make or wait for: in snapshots that are changed by hand, or in descriptions.

use std::net::{SocketAddr, TcpListener, TcpStream};

use eleven_testbed::namespace::Net;
use eleven_testbed::sockets::stuff;
use eleven_testbed::wire::{HERE, Wire};
use serde_json::json;

use super::{LOOK, Played, set};
use crate::fixes::execute;
use crate::fixes::play::{Play, Tally, judged};
use crate::fixes::program::Program;
use crate::support::program::{RunInside, run};

pub(super) fn address_in_use() -> Played {
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

pub(super) fn conntrack_full() -> Played {
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

pub(super) fn orphans_high() -> Played {
    let wire = Wire::new()?;
    let (here, _there) = wire.connections(3);
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

pub(super) fn memory_pressure() -> Played {
    let wire = Wire::new()?;
    let (mut here, there) = wire.connections(1);
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

pub(super) fn keepalive_missing() -> Played {
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

pub(super) fn heartbeat_reconnect() -> Played {
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

pub(super) fn lossy_path() -> Played {
    let wire = Wire::new()?;
    let (here, there) = wire.connections(2);
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

pub(super) fn idle_timeout_order() -> Played {
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
pub(super) fn idle_timeouts_along_a_path() -> Played {
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

pub(super) fn unexpected_listener() -> Played {
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
