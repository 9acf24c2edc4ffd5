//! What a process is doing: descriptors, threads, and where they wait.

use std::collections::BTreeMap;
use std::fs;

use eleven_snapshot::{ProcessDetail, ThreadGroup};

use super::limits;

/// Threads looked at of one process: enough to see what most of them do.
const THREADS_READ: usize = 512;

/// State, kernel function and system call.
type Place = (char, Option<String>, Option<i64>);

/// What a process is doing; `None` when it has gone.
pub fn detail(pid: u32) -> Option<ProcessDetail> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let mut groups: BTreeMap<Place, (u64, String)> = BTreeMap::new();
    let mut threads_total = 0;
    for task in tasks.flatten() {
        threads_total += 1;
        if threads_total as usize > THREADS_READ {
            continue;
        }
        let path = task.path();
        let read = |name: &str| fs::read_to_string(path.join(name)).ok();
        let Some((name, state)) = read("stat").as_deref().and_then(parse_stat) else { continue };
        // "0" is a running thread, or one that may not be looked at.
        let waits_in = read("wchan").filter(|name| !name.is_empty() && name != "0");
        let system_call = read("syscall").and_then(|text| text.split_whitespace().next()?.parse().ok());
        groups.entry((state, waits_in, system_call)).or_insert((0, name)).0 += 1;
    }
    let mut threads: Vec<ThreadGroup> = groups
        .into_iter()
        .map(|((state, waits_in, system_call), (count, name))| ThreadGroup {
            count,
            state,
            waits_in,
            system_call,
            name,
        })
        .collect();
    threads.sort_by(|a, b| b.cmp(a));
    Some(ProcessDetail {
        pid,
        descriptors_open: descriptors_open(pid),
        descriptor_limit: limits::descriptors(pid),
        threads_total,
        threads,
    })
}

/// How many descriptors a process has open. Since Linux 6.2 the size of the directory says so
/// (`proc_fd_getattr` in `fs/proc/fd.c`), of other users' processes too; listing it costs more the
/// more there are.
fn descriptors_open(pid: u32) -> Option<u64> {
    let directory = format!("/proc/{pid}/fd");
    match fs::metadata(&directory).ok()?.len() {
        0 => fs::read_dir(directory).ok().map(|all| all.count() as u64),
        open => Some(open),
    }
}

/// Name and state of `812 (orders (v2)) S 1 …`: the name may hold anything, also brackets.
fn parse_stat(text: &str) -> Option<(String, char)> {
    let (head, tail) = text.rsplit_once(')')?;
    let name = head.split_once('(')?.1;
    Some((name.to_owned(), tail.trim_start().chars().next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_brackets() {
        assert_eq!(parse_stat("8 (a (b) c) S 1 2"), Some(("a (b) c".to_owned(), 'S')));
        assert_eq!(parse_stat("8 (a"), None);
    }

    #[test]
    fn this_process_can_be_looked_at() {
        let detail = detail(std::process::id()).expect("it lives");
        let listed = fs::read_dir("/proc/self/fd").expect("our own").count() as u64;
        // Other tests of this process open and close theirs meanwhile; listing takes one.
        assert!(detail.descriptors_open.is_some_and(|open| open.abs_diff(listed) < 64), "{detail:?}");
        assert!(detail.threads_total >= 1 && detail.descriptors_open.is_some_and(|open| open > 2));
        // A thread of another test may end between being listed and being looked at.
        assert!(detail.threads.iter().map(|group| group.count).sum::<u64>() <= detail.threads_total);
        assert_eq!(super::detail(0), None);
    }
}
