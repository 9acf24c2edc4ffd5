//! Changing the kernel, as asked.

pub mod sysctl;
