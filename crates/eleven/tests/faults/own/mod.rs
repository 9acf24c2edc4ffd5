//! Rows with sockets of our own, on both ends of a wire or on one host, a file a family of faults.

#![allow(
    clippy::unnecessary_wraps,
    reason = "rows have one form, whether or not they can be played everywhere"
)]

mod closing;
mod idle;
mod limits;
mod listening;
mod opening;
mod reading;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use eleven_testbed::namespace::Net;
use eleven_testbed::wire::{HERE, THERE, Wire};

use crate::row::{Row, Skip};

/// All of them.
pub(crate) fn rows() -> Vec<Row> {
    [closing::rows(), listening::rows(), opening::rows(), reading::rows(), idle::rows(), limits::rows()]
        .into_iter()
        .flatten()
        .collect()
}

/// Where a server listens, as a rule.
const PORT: u16 = 8080;

/// Sets a sysctl of a namespace.
fn set(net: &Net, name: &str, value: &str) -> Result<(), Skip> {
    let path = format!("/proc/sys/{}", name.replace('.', "/"));
    net.run(|| std::fs::write(path, value)).map_err(|error| Skip(format!("{name} cannot be set: {error}")))
}

/// Connections between two programs of one host: their clients' and servers' ends, and the listener.
fn within(net: &Net, count: usize) -> (TcpListener, Vec<(TcpStream, TcpStream)>) {
    net.run(|| {
        let listener = TcpListener::bind(("127.0.0.1", PORT)).expect("a namespace of its own");
        let pairs = (0..count).map(|_| accepted(&listener)).collect();
        (listener, pairs)
    })
}

/// One more, in the calling thread's namespace: its client's and server's end.
fn accepted(listener: &TcpListener) -> (TcpStream, TcpStream) {
    let client = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
    (client, listener.accept().expect("a client waits").0)
}

/// Connections from the host that is looked at to a server at the other end of the wire.
fn outgoing(wire: &Wire, count: usize) -> Vec<(TcpStream, TcpStream)> {
    across(&wire.here, &wire.there, (THERE, PORT).into(), count)
}

/// Connections of clients at the other end of the wire to a server on the host that is looked at: their ends there and
/// here. Nobody listens any more.
fn incoming(wire: &Wire, count: usize) -> Vec<(TcpStream, TcpStream)> {
    across(&wire.there, &wire.here, (HERE, PORT).into(), count)
}

fn across(clients: &Net, servers: &Net, at: SocketAddr, count: usize) -> Vec<(TcpStream, TcpStream)> {
    let listener = servers.run(|| TcpListener::bind(at)).expect("a namespace of its own");
    connected(clients, &listener, count)
}

/// Connections to somebody who goes on listening.
fn connected(clients: &Net, listener: &TcpListener, count: usize) -> Vec<(TcpStream, TcpStream)> {
    let at = listener.local_addr().expect("it is bound");
    let connect = || clients.run(|| TcpStream::connect(at)).expect("it listens");
    (0..count).map(|_| (connect(), listener.accept().expect("a client waits").0)).collect()
}

/// A pace for what goes on while doctor looks.
fn pause(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}
