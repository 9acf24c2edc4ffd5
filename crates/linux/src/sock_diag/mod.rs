//! Sockets from the kernel's sock_diag netlink interface (`net/ipv4/inet_diag.c`).

mod dump;
mod request;
mod row;

#[doc(hidden)]
pub use dump::read_any_bytes;
pub use dump::{DumpEnd, dump};
pub use request::{Extensions, Request};
pub(crate) use row::{DuplicateFilter, Labels, parse_row};
