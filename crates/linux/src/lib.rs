//! Reads TCP sockets from the Linux kernel: sock_diag, BPF, /proc, namespaces.

pub mod bytecode;
