//! Rows of the calling thread's namespace, through the crate under test.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use eleven_linux::namespace::NamespaceChoice;
use eleven_linux::sock_diag::{Extensions, Request};
use eleven_linux::{Labelling, ReadReport, ReaderChoice, read_sockets};
use eleven_snapshot::Socket;
use eleven_tcp::StateSet;

/// Longest wait for the kernel to get where a test wants it. A dump takes a second on a
/// host with a million sockets, and test machines are shared.
const PATIENCE: Duration = Duration::from_secs(30);

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

/// Calls `look` until it finds what it waits for.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match look() {
            Ok(found) => return found,
            Err(seen) if Instant::now() > deadline => panic!("waited for {what} in vain; seen: {seen}"),
            // Long enough not to starve the softirq that is waited for.
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}
