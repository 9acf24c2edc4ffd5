//! Beside the kernel: captures on the loopback and on a veth pair of private namespaces while real sockets live, compared
//! with what sock_diag says of them at each step.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, ChildStderr, ChildStdout, Stdio};

use eleven_testbed::namespace::Net;
use eleven_testbed::or_skip;
use eleven_testbed::sockets::{LOOPBACK, address, connect, connecting, listen};
use eleven_testbed::wire::{HERE, INTERFACE, NOWHERE, THERE, Wire};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use socket2::Socket;

use crate::support::program::{RunInside, eleven};

/// A live capture in a namespace, told segment by segment.
struct Watcher {
    child: Child,
    lines: BufReader<ChildStdout>,
    stderr: BufReader<ChildStderr>,
}

impl Watcher {
    fn start(net: &Net, interface: &str) -> Self {
        let path = net.path();
        let mut child =
            eleven(&["trace", "-i", interface, "--netns", &path, "--segments", "--format", "ndjson"])
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("a pipe"));
        // It says when it listens.
        let mut said = String::new();
        let mut stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        stderr.read_line(&mut said).expect("it can be read");
        assert!(said.contains("listening on"), "{said}");
        Self { child, lines, stderr }
    }

    /// Reads on until a segment is one that is waited for.
    fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut line = String::new();
        loop {
            line.clear();
            let length = self.lines.read_line(&mut line).expect("it can be read");
            assert!(length > 0, "the capture ended: {}", self.complaint());
            let segment: Value = serde_json::from_str(&line).expect("it is JSON");
            if wanted(&segment) {
                return segment;
            }
        }
    }

    fn complaint(&mut self) -> String {
        let mut text = String::new();
        let _ = self.stderr.read_to_string(&mut text);
        text
    }

    fn stop(mut self) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::INT).expect("it runs");
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).expect("it can be read");
        assert_eq!(self.child.wait().expect("it ends").code(), Some(0), "Ctrl-C is a proper end");
    }
}

/// What the kernel says of both ends: the states of the sockets with this local port and with that remote port.
fn kernel(net: &Net, client: SocketAddr) -> [String; 2] {
    let port = client.port().to_string();
    let rows = net.eleven(&["list", "--format", "json", "--no-owners", "port", "=", &port]).json();
    let find = |key: &str| {
        let rows = rows.as_array().expect("rows").iter();
        let mut found = rows.filter(|row| row[key] == client.port()).map(|row| row["state"].clone());
        found.next().and_then(|state| Some(state.as_str()?.to_owned())).unwrap_or_else(|| "CLOSED".to_owned())
    };
    [find("local_port"), find("remote_port")]
}

/// What the capture says of them at its latest segment must be what the kernel says now.
fn agrees(net: &Net, client: SocketAddr, segment: &Value) {
    let told = ["client_after", "server_after"].map(|key| segment[key].as_str().expect("a state").to_owned());
    assert_eq!(kernel(net, client), told, "{segment}");
}

fn is_from(side: &'static str, flag: &'static str) -> impl Fn(&Value) -> bool {
    move |segment| {
        segment["from"] == side && segment["flags"].as_str().is_some_and(|flags| flags.contains(flag))
    }
}

fn pair(net: &Net, watcher: &mut Watcher) -> (Socket, Socket, SocketAddr) {
    let (client, server) = net.run(|| {
        let listener = listen(LOOPBACK, 4);
        let client = connect(address(&listener));
        let (server, _) = listener.accept().expect("it is there");
        (client, server)
    });
    let local = net.run(|| address(&client));
    watcher.until(is_from("client", "SYN"));
    let segment = watcher.until(|segment| segment["from"] == "client" && segment["flags"] == "ACK");
    agrees(net, local, &segment);
    (client, server, local)
}

#[test]
fn the_states_are_the_kernels() {
    let net = or_skip!(Net::new());
    let mut watcher = Watcher::start(&net, "lo");

    // The client closes first, and waits.
    let (client, server, local) = pair(&net, &mut watcher);
    client.shutdown(std::net::Shutdown::Write).expect("it is open");
    watcher.until(is_from("client", "FIN"));
    let acknowledged = watcher.until(|segment| segment["from"] == "server");
    agrees(&net, local, &acknowledged);
    assert_eq!(acknowledged["client_after"], "FIN_WAIT2");
    server.shutdown(std::net::Shutdown::Write).expect("it is open");
    watcher.until(is_from("server", "FIN"));
    let last = watcher.until(|segment| segment["from"] == "client");
    agrees(&net, local, &last);
    assert_eq!((&last["client_after"], &last["server_after"]), (&"TIME_WAIT".into(), &"CLOSED".into()));
    drop((client, server));

    // The server closes first.
    let (client, server, local) = pair(&net, &mut watcher);
    server.shutdown(std::net::Shutdown::Write).expect("it is open");
    let closing = watcher.until(is_from("server", "FIN"));
    assert_eq!(closing["server_after"], "FIN_WAIT1");
    let acknowledged = watcher.until(|segment| segment["from"] == "client");
    agrees(&net, local, &acknowledged);
    assert_eq!(acknowledged["client_after"], "CLOSE_WAIT");
    // An abort: nothing is left.
    client.set_linger(Some(std::time::Duration::ZERO)).expect("it takes it");
    drop(client);
    let reset = watcher.until(is_from("client", "RST"));
    agrees(&net, local, &reset);
    assert_eq!((&reset["client_after"], &reset["server_after"]), (&"CLOSED".into(), &"CLOSED".into()));
    drop(server);

    // Nobody listens.
    net.run(|| {
        let refused = connect_refused();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    });
    let refused = watcher.until(is_from("server", "RST"));
    assert_eq!(refused["client_after"], "CLOSED");
    assert!(refused["notes"].as_array().expect("notes").contains(&"refused".into()), "{refused}");
    watcher.stop();
}

fn connect_refused() -> std::io::Error {
    std::net::TcpStream::connect("127.0.0.1:9").expect_err("nobody listens there")
}

/// The state of the socket in this namespace with this local port, as the kernel has it.
fn state_of(net: &Net, port: u16) -> Value {
    let filter = format!("sport = {port} and not state listening");
    let rows = net.eleven(&["list", "--format", "json", "--no-owners", &filter]).json();
    rows[0]["state"].clone()
}

/// States that last only while the other end is not heard: frames from here leave the capture, and get lost behind it.
#[test]
fn states_of_an_end_that_is_not_heard_are_the_kernels() {
    let wire = or_skip!(Wire::new());
    let mut watcher = Watcher::start(&wire.here, INTERFACE);

    let calling = wire.here.run(|| connecting((NOWHERE, 9).into()));
    let port = wire.here.run(|| address(&calling)).port();
    let segment = watcher.until(is_from("client", "SYN"));
    assert_eq!(
        (&segment["client_after"], state_of(&wire.here, port)),
        (&"SYN_SENT".into(), "SYN_SENT".into())
    );
    drop(calling);

    // Two connections to there; one of them is closed from there.
    let listener = wire.there.run(|| listen((THERE, 0).into(), 4));
    let at = wire.there.run(|| address(&listener));
    let [first, second] = [(); 2].map(|()| {
        let here = wire.here.run(|| connect(at));
        let (there, _) = listener.accept().expect("it is there");
        (here, there)
    });
    let port = |socket: &Socket| wire.here.run(|| address(socket)).port();
    first.1.shutdown(std::net::Shutdown::Write).expect("it is open");
    watcher.until(is_from("server", "FIN"));
    let segment = watcher.until(|segment| segment["from"] == "client");
    assert_eq!(segment["client_after"], state_of(&wire.here, port(&first.0)), "{segment}");
    assert_eq!(segment["client_after"], "CLOSE_WAIT");

    wire.cut_outgoing();
    for (socket, expected) in [(&first.0, "LAST_ACK"), (&second.0, "FIN_WAIT1")] {
        socket.shutdown(std::net::Shutdown::Write).expect("it is open");
        let segment = watcher.until(is_from("client", "FIN"));
        assert_eq!(segment["client_after"], expected, "{segment}");
        assert_eq!(state_of(&wire.here, port(socket)), expected);
    }
    watcher.stop();
}

#[test]
fn a_handshake_whose_answer_is_lost_is_in_syn_recv() {
    let wire = or_skip!(Wire::new_cut());
    let mut watcher = Watcher::start(&wire.here, INTERFACE);
    let listener = wire.here.run(|| listen((HERE, 0).into(), 4));
    let at = wire.here.run(|| address(&listener));
    let calling = wire.there.run(|| connecting(at));
    let segment = watcher.until(is_from("server", "SYN"));
    assert_eq!(
        (&segment["server_after"], state_of(&wire.here, at.port())),
        (&"SYN_RECV".into(), "SYN_RECV".into())
    );
    drop(calling);
    watcher.stop();
}
