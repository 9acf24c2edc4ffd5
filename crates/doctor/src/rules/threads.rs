//! What the threads of a process wait for, in a few words.

use eleven_snapshot::{Owner, ProcessDetail, ThreadGroup};

use crate::Case;
use crate::digest::Listener;

/// Numbers of the calls that stuck servers are found in, on `x86_64`.
#[cfg(target_arch = "x86_64")]
const CALLS: &[(i64, &str)] = &[
    (0, "read"),
    (1, "write"),
    (7, "poll"),
    (17, "pread64"),
    (23, "select"),
    (34, "pause"),
    (35, "nanosleep"),
    (42, "connect"),
    (43, "accept"),
    (44, "sendto"),
    (45, "recvfrom"),
    (46, "sendmsg"),
    (47, "recvmsg"),
    (61, "wait4"),
    (72, "fcntl"),
    (73, "flock"),
    (74, "fsync"),
    (75, "fdatasync"),
    (128, "rt_sigtimedwait"),
    (130, "rt_sigsuspend"),
    (202, "futex"),
    (230, "clock_nanosleep"),
    (232, "epoll_wait"),
    (247, "waitid"),
    (257, "openat"),
    (270, "pselect6"),
    (271, "ppoll"),
    (281, "epoll_pwait"),
    (288, "accept4"),
    (426, "io_uring_enter"),
    (441, "epoll_pwait2"),
];
/// The generic table of arm64 and riscv.
#[cfg(not(target_arch = "x86_64"))]
const CALLS: &[(i64, &str)] = &[
    (22, "epoll_pwait"),
    (63, "read"),
    (64, "write"),
    (72, "pselect6"),
    (73, "ppoll"),
    (98, "futex"),
    (101, "nanosleep"),
    (115, "clock_nanosleep"),
    (202, "accept"),
    (203, "connect"),
    (206, "sendto"),
    (207, "recvfrom"),
    (242, "accept4"),
    (260, "wait4"),
    (426, "io_uring_enter"),
    (441, "epoll_pwait2"),
];

/// Groups named before "…".
const SHOWN: usize = 4;

/// `18 in futex (futex_wait_queue), 1 in epoll_wait (ep_poll)`.
pub(super) fn describe(detail: &ProcessDetail) -> Option<String> {
    let mut words: Vec<String> = detail.threads.iter().take(SHOWN).map(group).collect();
    if detail.threads.len() > SHOWN {
        words.push("…".to_owned());
    }
    (!words.is_empty()).then(|| words.join(", "))
}

fn group(group: &ThreadGroup) -> String {
    let call = group
        .system_call
        .and_then(|number| CALLS.iter().find(|(known, _)| *known == number))
        .map(|(_, name)| *name);
    let place = match (group.state, call, &group.waits_in) {
        ('R', ..) => "R (running)".to_owned(),
        ('T' | 't', ..) => "T (stopped)".to_owned(),
        ('Z', ..) => "Z (zombie)".to_owned(),
        (_, Some(call), Some(function)) => format!("{call} ({function})"),
        (_, Some(call), None) => call.to_owned(),
        (_, None, Some(function)) => function.clone(),
        (state, None, None) => state.to_string(),
    };
    format!("{} × {place}", group.count)
}

/// Whether every thread is stopped by a signal or a debugger.
pub(super) fn is_stopped(detail: &ProcessDetail) -> bool {
    !detail.threads.is_empty() && detail.threads.iter().all(|group| matches!(group.state, 'T' | 't'))
}

/// Calls in which the first of several server processes waits for signals of its children.
const SUPERVISING: [&str; 5] = ["rt_sigsuspend", "rt_sigtimedwait", "pause", "wait4", "waitid"];

/// Whether every thread waits for signals or children only.
fn is_supervising(detail: &ProcessDetail) -> bool {
    let call = |group: &ThreadGroup| {
        CALLS.iter().find(|(number, _)| Some(*number) == group.system_call).map(|(_, name)| *name)
    };
    !detail.threads.is_empty()
        && detail.threads.iter().all(|group| call(group).is_some_and(|name| SUPERVISING.contains(&name)))
}

/// Of the processes that share a listener the one that should accept: one that is stopped, else
/// one that does not merely supervise.
pub(super) fn acceptor<'a>(case: &Case<'_>, listener: &'a Listener) -> Option<&'a Owner> {
    listener.owners.iter().min_by_key(|owner| {
        let detail = case.after.detail(owner.pid);
        (!detail.is_some_and(is_stopped), detail.is_some_and(is_supervising))
    })
}
