//! The crate's walk over given bytes.

use std::ops::ControlFlow;

use eleven_linux::ReadError;
use eleven_linux::sock_diag::{DumpEnd, read_any_bytes};
use eleven_snapshot::Socket;

/// Rows and end of the walk.
pub(crate) fn walk(bytes: &[u8]) -> (Vec<Socket>, Result<DumpEnd, ReadError>) {
    let mut rows = Vec::new();
    let end = read_any_bytes(bytes, &mut |row| {
        rows.push(row.clone());
        ControlFlow::Continue(())
    });
    (rows, end)
}

/// A row without what depends on the host that reads it.
pub(crate) fn portable(row: &Socket) -> Socket {
    Socket { netns: None, interface: None, user: None, ..row.clone() }
}
