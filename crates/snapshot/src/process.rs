//! What one process is doing, where somebody asked.

use serde::{Deserialize, Serialize};

/// What a process was doing at the moment of the look, as far as `/proc` tells.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessDetail {
    /// Process id.
    pub pid: u32,
    /// Open descriptors; `None` when they may not be counted.
    pub descriptors_open: Option<u64>,
    /// Soft limit of open descriptors (`RLIMIT_NOFILE`); `None` when unlimited or unreadable.
    pub descriptor_limit: Option<u64>,
    /// Threads there are.
    pub threads_total: u64,
    /// What the threads are doing, those that do the same together, the most first.
    pub threads: Vec<ThreadGroup>,
}

/// Threads of a process that are stopped at the same place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ThreadGroup {
    /// How many.
    pub count: u64,
    /// The letter of `/proc/PID/task/TID/stat`: `R` runs, `S` sleeps, `D` waits for a device, `T` is stopped.
    pub state: char,
    /// The kernel function in which they sleep (`/proc/PID/task/TID/wchan`).
    pub waits_in: Option<String>,
    /// Number of the system call they are in (`/proc/PID/task/TID/syscall`).
    pub system_call: Option<i64>,
    /// Name of one of them.
    pub name: String,
}
