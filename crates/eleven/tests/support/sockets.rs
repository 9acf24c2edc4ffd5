//! Real sockets in chosen states. All of it happens in the calling thread's namespace.

use std::io::ErrorKind;
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr};
use std::ops::ControlFlow;

use eleven_linux::namespace::NamespaceChoice;
use eleven_linux::sock_diag::Request;
use eleven_linux::{Labelling, ReaderChoice, read_sockets};
use eleven_tcp::{State, StateSet};
use rustix::io::Errno;
use rustix::net::RecvFlags;
use socket2::{Domain, Protocol, Socket, Type};

use super::wait_for;

/// Any free port of the IPv4 loopback.
pub(crate) const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// Any free port of the IPv6 loopback.
pub(crate) const LOOPBACK6: SocketAddr = SocketAddr::new(std::net::IpAddr::V6(Ipv6Addr::LOCALHOST), 0);
/// Any free port of both families.
pub(crate) const ANYWHERE6: SocketAddr = SocketAddr::new(std::net::IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0);

/// A TCP socket and nothing more.
pub(crate) fn new(domain: Domain) -> Socket {
    Socket::new(domain, Type::STREAM, Some(Protocol::TCP)).expect("a TCP socket")
}

/// A socket that is bound and goes no further.
pub(crate) fn bound(at: SocketAddr) -> Socket {
    let socket = new(Domain::for_address(at));
    if at.is_ipv6() {
        socket.set_only_v6(false).expect("before bind");
    }
    socket.bind(&at.into()).expect("a free port");
    socket
}

/// A listener.
pub(crate) fn listen(at: SocketAddr, backlog: i32) -> Socket {
    let socket = bound(at);
    socket.listen(backlog).expect("it is bound");
    socket
}

/// A connection to somebody who listens.
pub(crate) fn connect(to: SocketAddr) -> Socket {
    let socket = new(Domain::for_address(to));
    socket.connect(&to.into()).expect("somebody listens");
    socket
}

/// A connection to somebody who does not answer.
pub(crate) fn connecting(to: SocketAddr) -> Socket {
    let socket = new(Domain::for_address(to));
    socket.set_nonblocking(true).expect("an open descriptor");
    match socket.connect(&to.into()) {
        Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => socket,
        other => panic!("nobody answers at {to}, but connect() gave {other:?}"),
    }
}

/// Both ends of a connection within the host: client and server.
pub(crate) fn pair(at: SocketAddr) -> (Socket, Socket) {
    let listener = listen(at, 1);
    let client = connect(address(&listener));
    let (server, _) = listener.accept().expect("a client waits");
    (client, server)
}

/// A connection of which one end has said that it is done: FIN_WAIT2 and CLOSE_WAIT.
pub(crate) fn half_closed(at: SocketAddr) -> (Socket, Socket) {
    let (done, other) = pair(at);
    half_close(&done, &other);
    (done, other)
}

/// Closes one direction, and waits until both ends know.
pub(crate) fn half_close(done: &Socket, other: &Socket) {
    done.shutdown(Shutdown::Write).expect("it is connected");
    wait_for_end(other);
    wait_for_state(address(done), State::FinWait2);
}

/// Waits until the kernel shows the socket at an address in a state.
pub(crate) fn wait_for_state(local: SocketAddr, state: State) {
    let request = Request { states: StateSet::EMPTY.with(state), ..Request::default() };
    wait_for(state.as_str(), || {
        let mut found = Err(local);
        let choice = (NamespaceChoice::This, ReaderChoice::Netlink);
        let report = read_sockets(&choice.0, choice.1, &request, Labelling::default(), &mut |socket| {
            if SocketAddr::new(socket.local_address, socket.local_port.unwrap_or(0)) == local {
                found = Ok(());
            }
            ControlFlow::Continue(())
        });
        report.expect("netlink works");
        found
    });
}

/// Leaves a TIME_WAIT behind, at the address that is returned.
pub(crate) fn time_wait(at: SocketAddr) -> SocketAddr {
    let (client, server) = pair(at);
    let local = address(&client);
    drop(client);
    wait_for_end(&server);
    drop(server);
    local
}

/// Sends, and waits until all of it waits at the other end.
pub(crate) fn fill(from: &Socket, to: &Socket, bytes: &[u8]) {
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
fn wait_for_end(socket: &Socket) {
    match socket.peek(&mut [MaybeUninit::uninit(); 1]) {
        Ok(0) => {}
        other => panic!("the peer closed, but peek() gave {other:?}"),
    }
}

/// Where a socket is bound.
pub(crate) fn address(socket: &Socket) -> SocketAddr {
    socket.local_addr().expect("it is bound").as_socket().expect("an internet socket")
}
