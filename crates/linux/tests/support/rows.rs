//! Rows of the calling thread's namespace, through the crate under test.

use std::ops::ControlFlow;

use eleven_linux::namespace::NamespaceChoice;
use eleven_linux::sock_diag::{Extensions, Request};
use eleven_linux::{Labelling, ReadReport, ReaderChoice, read_sockets};
use eleven_snapshot::Socket;
use eleven_tcp::StateSet;

/// Everything a row can carry.
pub(crate) const ALL_NAMES: Labelling = Labelling { owners: true, cgroups: true };

/// Reads the rows of `namespaces`.
pub(crate) fn read(
    namespaces: &NamespaceChoice,
    choice: ReaderChoice,
    states: StateSet,
    labelling: Labelling,
) -> (Vec<Socket>, ReadReport) {
    let mut rows = Vec::new();
    let request = Request {
        states,
        extensions: Extensions { tcp_info: true, age: true, congestion: true, memory_and_options: true },
        ..Request::default()
    };
    let report = read_sockets(namespaces, choice, &request, labelling, &mut |row| {
        rows.push(row.clone());
        ControlFlow::Continue(())
    })
    .expect("sockets can be read");
    (rows, report)
}

/// Rows of this thread's namespace by netlink, without names.
pub(crate) fn bare(states: StateSet) -> Vec<Socket> {
    read(&NamespaceChoice::This, ReaderChoice::Netlink, states, Labelling::default()).0
}
