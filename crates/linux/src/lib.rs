//! Reads TCP sockets from the Linux kernel: sock_diag, BPF, /proc, namespaces. And acts on them, when told to.

pub mod act;
pub mod bpf;
pub mod bytecode;
pub mod namespace;
pub mod proc;
pub mod sock_diag;

mod cgroup;
mod classify;
mod cpu;
mod descriptor;
mod error;
mod interfaces;
mod labels;
mod mounts;
mod netlink;
mod owners;
mod reader;
mod ring;
mod take;
mod users;

pub use cgroup::{Cgroup, Cgroups, cgroup_id};
pub use error::ReadError;
pub use interfaces::Interfaces;
pub use labels::Labels;
pub use owners::{OwnerReader, Owners};
pub use reader::{Labelling, ReadReport, ReaderChoice, Visitor, count_groups, read_sockets};
pub use take::Taking;
pub use users::Users;
