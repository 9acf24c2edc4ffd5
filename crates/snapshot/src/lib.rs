//! What was seen of a host's TCP sockets at one moment, as plain data.
//!
//! Readers (`eleven-linux`) produce these values, everything that shows or judges takes
//! them, and they serialise: the serde names *are* the JSON contract of the command line,
//! so there is no second list of keys anywhere.

mod counters;
mod diff;
mod extras;
mod file;
mod host;
mod process;
mod socket;
mod tcp_info;

pub use counters::{CounterTable, Counters};
pub use diff::{Change, CountChange, Diff};
pub use extras::{SocketMemory, SocketOptions};
pub use file::{FORMAT_VERSION, Partial, ReadError, Tail, read, write};
pub use host::{Namespace, NamespaceState, Process, ReaderKind, Snapshot};
pub use process::{ProcessDetail, ThreadGroup};
pub use socket::{Age, Family, Keepalive, KernelOnly, Owner, Socket, SocketKind, Timer, TimerKind};
pub use tcp_info::{Field, TcpInfo};
