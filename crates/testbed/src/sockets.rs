//! Real sockets in chosen states. All of it happens in the calling thread's namespace.

use std::io::{ErrorKind, Write};
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::RecvFlags;
use socket2::{Domain, Protocol, Socket, Type};

use crate::wait_for;

/// Any free port of the IPv4 loopback.
pub const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// Any free port of the IPv6 loopback.
pub const LOOPBACK6: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 0);
/// Any free port of both families.
pub const ANYWHERE6: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0);

/// A TCP socket and nothing more.
pub fn new(domain: Domain) -> Socket {
    Socket::new(domain, Type::STREAM, Some(Protocol::TCP)).expect("a TCP socket")
}

/// A socket that is bound and goes no further.
pub fn bound(at: SocketAddr) -> Socket {
    let socket = new(Domain::for_address(at));
    if at.is_ipv6() {
        socket.set_only_v6(false).expect("before bind");
    }
    socket.bind(&at.into()).expect("a free port");
    socket
}

/// A listener that takes only what arrives at one interface.
pub fn listen_on(interface: &str, at: SocketAddr) -> Socket {
    let socket = new(Domain::for_address(at));
    socket.bind_device(Some(interface.as_bytes())).expect("root may bind to an interface");
    socket.bind(&at.into()).expect("a free port");
    socket.listen(1).expect("it is bound");
    socket
}

/// A listener.
pub fn listen(at: SocketAddr, backlog: i32) -> Socket {
    let socket = bound(at);
    socket.listen(backlog).expect("it is bound");
    socket
}

/// A connection to somebody who listens.
pub fn connect(to: SocketAddr) -> Socket {
    let socket = new(Domain::for_address(to));
    socket.connect(&to.into()).expect("somebody listens");
    socket
}

/// A connection to somebody who does not answer.
pub fn connecting(to: SocketAddr) -> Socket {
    let socket = new(Domain::for_address(to));
    socket.set_nonblocking(true).expect("an open descriptor");
    match socket.connect(&to.into()) {
        Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => socket,
        other => panic!("nobody answers at {to}, but connect() gave {other:?}"),
    }
}

/// Both ends of a connection within the host: client and server.
pub fn pair(at: SocketAddr) -> (Socket, Socket) {
    let listener = listen(at, 1);
    let client = connect(address(&listener));
    let (server, _) = listener.accept().expect("a client waits");
    (client, server)
}

/// Leaves a TIME_WAIT behind, and returns its own address and its peer's.
pub fn time_wait(at: SocketAddr) -> (SocketAddr, SocketAddr) {
    let (client, server) = pair(at);
    let addresses = (address(&client), address(&server));
    drop(client);
    wait_for_end(&server);
    drop(server);
    addresses
}

/// Sends, and waits until all of it waits at the other end.
pub fn fill(from: &Socket, to: &Socket, bytes: &[u8]) {
    let mut buffer = vec![MaybeUninit::uninit(); 65_536];
    let before = waiting(to, &mut buffer);
    from.send(bytes).expect("the peer is there");
    wait_for("the bytes", || match waiting(to, &mut buffer) {
        length if length == before + bytes.len() => Ok(()),
        length => Err(length),
    });
}

fn waiting(socket: &Socket, buffer: &mut [MaybeUninit<u8>]) -> usize {
    match socket.recv_with_flags(buffer, PEEK | DONT_WAIT) {
        Ok(length) => length,
        Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
        Err(error) => panic!("an open connection answers {error}"),
    }
}

const PEEK: i32 = RecvFlags::PEEK.bits().cast_signed();
const DONT_WAIT: i32 = RecvFlags::DONTWAIT.bits().cast_signed();

/// Waits until the peer's FIN is here, and leaves it unread.
pub fn wait_for_end(socket: &Socket) {
    match socket.peek(&mut [MaybeUninit::uninit(); 1]) {
        Ok(0) => {}
        other => panic!("the peer closed, but peek() gave {other:?}"),
    }
}

/// Where a socket is bound.
pub fn address(socket: &Socket) -> SocketAddr {
    socket.local_addr().expect("it is bound").as_socket().expect("an internet socket")
}

/// Sends until nothing more fits, at either end.
pub fn stuff(connection: &mut TcpStream) {
    connection.set_nonblocking(true).expect("an open descriptor");
    let mut refused = 0;
    // The receiver's buffer grows while it fills.
    while refused < 20 {
        if connection.write(&vec![0; 65_536]).is_err() {
            refused += 1;
            thread::sleep(Duration::from_millis(20));
        }
    }
}
