//! Listeners: whose queue nobody empties, whose port somebody else has, and those that nobody expects.

use std::net::{TcpListener, TcpStream};
use std::process::Stdio;

use eleven_testbed::namespace::Net;
use eleven_testbed::sockets::{LOOPBACK, address, connect, connecting, listen};
use rustix::process::{Pid, Signal, kill_process};
use socket2::Socket;

use super::{PORT, accepted, pause, set, within};
use crate::children::Meanwhile;
use crate::helper;
use crate::row::{Fault, Row, Skip, Who};

pub(super) fn rows() -> Vec<Row> {
    let queue = "accept-queue-overflow";
    vec![
        Row::fault("accept-queue-burst", queue, "local-program", Who::Process, bursts),
        Row::fault("accept-queue-stopped", queue, "local-program", Who::Process, |net| stuck(net, true)),
        Row::fault("accept-queue-stuck", queue, "local-program", Who::Process, |net| stuck(net, false)),
        Row::healthy("accept-queue-half-full", |net| {
            let held = net.run(|| {
                let listener = listen(LOOPBACK, 100);
                let clients: Vec<Socket> = (0..60).map(|_| connect(address(&listener))).collect();
                (clients, listener)
            });
            Ok(Fault::of(held))
        }),
        Row::fault("descriptors-used-up", "fd-exhaustion", "local-program", Who::Process, |net| {
            hoards(net, "0")
        })
        .allow(&["accept-queue-overflow"]),
        Row::healthy("descriptors-left", |net| hoards(net, "40")),
        Row::fault("port-of-another-program", "address-in-use", "configuration", Who::Process, taken),
        Row::fault(
            "listener-left-port",
            "address-in-use",
            "local-program",
            Who::Local("127.0.0.1:8080"),
            |net| left(net, false),
        ),
        Row::healthy("listener-restarted", |net| left(net, true)),
        Row::healthy("port-shared", |net| {
            let first = shared(net, PORT);
            Ok(Fault::of((first, shared(net, PORT))))
        }),
        Row::fault(
            "listener-in-range",
            "port-range-overlap",
            "configuration",
            Who::Sysctl("net.ipv4.ip_local_reserved_ports"),
            |net| in_range(net, ""),
        ),
        Row::healthy("listener-in-range-reserved", |net| in_range(net, "40000")),
        Row::fault("listener-unexpected", "unexpected-listener", "configuration", Who::Process, |net| {
            newcomer(net, "0.0.0.0:4444")
        }),
        Row::healthy("listener-on-loopback", |net| newcomer(net, "127.0.0.1:4444")),
    ]
}

/// Bursts that are larger than the queue; in between it is empty.
fn bursts(net: &Net) -> Result<Fault, Skip> {
    let listener = net.run(|| TcpListener::from(listen(LOOPBACK, 4)));
    listener.set_nonblocking(true).map_err(|error| Skip(error.to_string()))?;
    let at = listener.local_addr().expect("bound");
    let bursts = Meanwhile::start(net, move || {
        let _clients: Vec<Socket> = (0..20).map(|_| connecting(at)).collect();
        pause(50);
        while listener.accept().is_ok() {}
        pause(300);
    })?;
    Ok(Fault::of(bursts).by(std::process::id()))
}

/// A program that does not accept, and whose queue is just full: nobody was turned away yet.
fn stuck(net: &Net, is_stopped: bool) -> Result<Fault, Skip> {
    let program = helper::start(net, &["listens", "8080", "4"])?;
    let clients: Vec<TcpStream> =
        net.run(|| (0..5).map(|_| TcpStream::connect(("127.0.0.1", PORT)).expect("it listens")).collect());
    let pid = program.pid();
    if is_stopped && let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        kill_process(pid, Signal::STOP).map_err(|error| Skip(error.to_string()))?;
    }
    Ok(Fault::of(clients).by(pid).with(program))
}

/// A program that leaks descriptors, at its limit or with some left, and a client that waits.
fn hoards(net: &Net, left: &str) -> Result<Fault, Skip> {
    let program = helper::start(net, &["hoards", "8080", "120", left])?;
    let client = net.run(|| TcpStream::connect(("127.0.0.1", PORT))).expect("it listens");
    let pid = program.pid();
    Ok(Fault::of(client).by(pid).with(program))
}

/// Two programs have bound a port, and one of them listens.
fn taken(net: &Net) -> Result<Fault, Skip> {
    let other = helper::start(net, &["is-bound", "8080"])?;
    let program = helper::start(net, &["listens", "8080", "16"])?;
    let pid = program.pid();
    Ok(Fault::of(program).by(pid).with(other))
}

/// A server ends between the looks and leaves TIME_WAIT behind; or comes back at once.
fn left(net: &Net, comes_back: bool) -> Result<Fault, Skip> {
    let (listener, pairs) = within(net, 3);
    for (client, server) in pairs {
        drop(server);
        pause(5);
        drop(client);
    }
    let mut listeners = vec![listener];
    let mut has_ended = false;
    let ends = Meanwhile::start(net, move || {
        if has_ended {
            return pause(100);
        }
        pause(1500);
        has_ended = true;
        listeners.clear();
        if comes_back {
            // The library sets SO_REUSEADDR.
            listeners.extend(TcpListener::bind(("127.0.0.1", PORT)));
        }
    })?;
    Ok(Fault::of(ends))
}

/// A listener with SO_REUSEPORT.
fn shared(net: &Net, port: u16) -> Socket {
    net.run(|| {
        let socket = eleven_testbed::sockets::new(socket2::Domain::IPV4);
        socket.set_reuse_port(true).expect("before bind");
        socket.bind(&std::net::SocketAddr::from(([0, 0, 0, 0], port)).into()).expect("it is shared");
        socket.listen(16).expect("it is bound");
        socket
    })
}

fn in_range(net: &Net, reserved: &str) -> Result<Fault, Skip> {
    set(net, "net.ipv4.ip_local_reserved_ports", reserved)?;
    Ok(Fault::of(net.run(|| TcpListener::bind(("127.0.0.1", 40_000))).expect("a namespace of its own")))
}

/// A listener that a snapshot of an earlier day has not.
fn newcomer(net: &Net, at: &str) -> Result<Fault, Skip> {
    let directory = tempfile::tempdir().map_err(|error| Skip(format!("no place for files: {error}")))?;
    let known = net.run(|| TcpListener::bind(("0.0.0.0", PORT))).expect("a namespace of its own");
    let save = |name: &str| -> Result<String, Skip> {
        let path = directory.path().join(name).to_string_lossy().into_owned();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_eleven"));
        command
            .args(["--netns", &net.path(), "snapshot", "-o", &path])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let saved = command.status().is_ok_and(|status| status.success());
        if saved { Ok(path) } else { Err(Skip("no snapshot can be saved".to_owned())) }
    };
    let before = save("before.json")?;
    let listener = net.run(|| TcpListener::bind(at)).expect("a namespace of its own");
    let _client = net.run(|| accepted(&listener));
    let after = save("after.json")?;
    let fault = Fault::of((listener, known)).by(std::process::id());
    Ok(fault.asking(["--from", &before, &after]).with(directory))
}
