//! Connections that are half closed, as the kernel shows them. All of it happens in the
//! calling thread's namespace.

use std::net::{Shutdown, SocketAddr};
use std::ops::ControlFlow;

use eleven_linux::namespace::NamespaceChoice;
use eleven_linux::sock_diag::Request;
use eleven_linux::{Labelling, ReaderChoice, read_sockets};
use eleven_tcp::{State, StateSet};
use eleven_testbed::sockets::{address, pair, wait_for_end};
use eleven_testbed::wait_for;
use socket2::Socket;

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
