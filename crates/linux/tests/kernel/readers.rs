//! netlink, `/proc` and BPF are three ways to the same sockets.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use eleven_linux::bpf::{GroupKeys, SocketGroup};
use eleven_linux::namespace::NamespaceChoice;
use eleven_linux::sock_diag::{Extensions, Request};
use eleven_linux::{Labelling, ReadError, ReaderChoice, count_groups, read_sockets};
use eleven_snapshot::{ReaderKind, Socket, SocketKind};
use eleven_tcp::{State, StateSet};
use eleven_testbed::or_skip;

use crate::support::gallery::Gallery;
use crate::support::rows::{ALL_NAMES, bare, read};

/// How often a host that changes under the test is looked at again.
const ATTEMPTS: usize = 3;

fn count<T: Ord>(items: impl Iterator<Item = T>) -> BTreeMap<T, u64> {
    let mut counts = BTreeMap::new();
    for item in items {
        *counts.entry(item).or_default() += 1;
    }
    counts
}

#[test]
fn proc_counts_what_netlink_counts_but_for_bound_sockets() {
    let Some(gallery) = Gallery::open() else { return };
    let key = |row: &Socket| (row.state, row.kind, row.family);
    let by_netlink = count(gallery.rows.iter().filter(|row| row.kind != SocketKind::Bound).map(key));
    let by_proc = count(gallery.rows_of_proc.iter().map(key));
    assert_eq!(by_netlink, by_proc);
}

#[test]
fn proc_and_netlink_agree_on_every_column_both_have() {
    let Some(gallery) = Gallery::open() else { return };
    for (name, witness) in gallery.witnesses().filter(|(_, witness)| witness.kind != SocketKind::Bound) {
        let (by_netlink, by_proc) = (gallery.row(name), gallery.row_of_proc(name));
        // What the tables lack is unknown there, not 0.
        let expected = Socket {
            interface: None,
            backlog_limit: None,
            cookie: None,
            mark: None,
            congestion: None,
            tcp_info: None,
            memory: None,
            options: None,
            // These went on in between.
            timer: by_proc.timer,
            age_ms: by_proc.age_ms,
            age_is_lower_bound: by_proc.age_is_lower_bound,
            owners: by_proc.owners.clone(),
            // Only a socket's id tells the group of one that nobody holds.
            cgroup: if witness.inode.is_some() { by_netlink.cgroup.clone() } else { None },
            container: if witness.inode.is_some() { by_netlink.container.clone() } else { None },
            ..by_netlink.clone()
        };
        assert_eq!(*by_proc, expected, "{name}");
        assert_eq!(by_netlink.timer.map(|timer| timer.kind), by_proc.timer.map(|timer| timer.kind), "{name}");
    }
}

#[test]
fn the_report_says_who_read() {
    let Some(gallery) = Gallery::open() else { return };
    gallery.wire.here.run(|| {
        for (choice, expected) in
            [(ReaderChoice::Netlink, ReaderKind::Netlink), (ReaderChoice::Proc, ReaderKind::Proc)]
        {
            let states = StateSet::EMPTY.with(State::Listen);
            let (rows, report) = read(&NamespaceChoice::This, choice, states, Labelling::default());
            assert_eq!(report.reader, Some(expected));
            assert_eq!(report.end.rows, rows.len() as u64);
            assert_eq!((report.end.malformed, report.end.duplicates), (0, 0));
            // What a reader leaves out it says, and only that.
            let said = report.notes.iter().filter(|note| note.contains("/proc/net/tcp")).count();
            assert_eq!(said, usize::from(expected == ReaderKind::Proc));
            assert_eq!(report.notes.len(), said);
        }
    });
}

/// The group a row belongs to, in words: the types are not ordered.
fn group_of(row: &Socket, keys: GroupKeys) -> String {
    let group = SocketGroup {
        state: row.state,
        kind: row.kind,
        family: row.family,
        local_port: row.local_port.filter(|_| keys.local_port),
        remote_port: row.remote_port.filter(|_| keys.remote_port),
        local_address: keys.local_address.then_some(row.local_address),
        remote_address: keys.remote_address.then_some(row.remote_address),
        uid: row.uid.filter(|_| keys.user),
        count: 0,
    };
    format!("{group:?}")
}

fn all_keys() -> impl Iterator<Item = GroupKeys> {
    (0..32_u32).map(|bits| GroupKeys {
        local_port: bits & 1 != 0,
        remote_port: bits & 2 != 0,
        local_address: bits & 4 != 0,
        remote_address: bits & 8 != 0,
        user: bits & 16 != 0,
    })
}

type Counts = BTreeMap<String, u64>;

/// Counts by BPF, by each combination of keys.
fn by_bpf(states: StateSet) -> Result<Vec<(GroupKeys, Counts)>, ReadError> {
    all_keys()
        .map(|keys| {
            let (groups, _) = count_groups(&NamespaceChoice::This, ReaderChoice::Bpf, keys, states)?;
            let mut counts = Counts::new();
            for (_, group) in groups.expect("BPF was chosen") {
                *counts.entry(format!("{:?}", SocketGroup { count: 0, ..group })).or_default() += group.count;
            }
            Ok((keys, counts))
        })
        .collect()
}

fn cookies(rows: &[Socket]) -> Vec<(State, Option<u64>)> {
    let mut cookies: Vec<_> = rows.iter().map(|row| (row.state, row.cookie)).collect();
    cookies.sort_unstable();
    cookies
}

/// What BPF gave, or why it cannot be used here. Any other error is the test's failure.
fn unless_refused<T>(by_bpf: Result<T, ReadError>) -> Result<T, String> {
    by_bpf.map_err(|error| match error {
        ReadError::Bpf(_) => error.to_string(),
        error => panic!("{error}"),
    })
}

/// Rows by the BPF iterator, with all names.
fn rows_by_bpf() -> Result<Vec<Socket>, ReadError> {
    let request =
        Request { extensions: Extensions { age: true, ..Extensions::default() }, ..Request::default() };
    let mut rows = Vec::new();
    read_sockets(&NamespaceChoice::This, ReaderChoice::Bpf, &request, ALL_NAMES, &mut |row| {
        rows.push(row.clone());
        ControlFlow::Continue(())
    })
    .map(|report| {
        assert_eq!(report.reader, Some(ReaderKind::Bpf));
        assert_eq!((report.end.malformed, report.end.rows), (0, rows.len() as u64));
        rows
    })
}

#[test]
fn bpf_and_netlink_agree_on_every_row() {
    for _ in 0..ATTEMPTS {
        let Some(gallery) = Gallery::fresh() else { return };
        let (before, by_bpf, after) =
            gallery.wire.here.run(|| (bare(StateSet::ALL), rows_by_bpf(), bare(StateSet::ALL)));
        let by_bpf = or_skip!(unless_refused(by_bpf));
        if cookies(&before) != cookies(&after) {
            continue;
        }
        assert_eq!(cookies(&by_bpf), cookies(&before));
        for row in &by_bpf {
            let netlink = gallery.rows.iter().find(|other| other.cookie == row.cookie);
            let Some(netlink) = netlink.filter(|netlink| netlink.state == row.state) else { continue };
            let expected = Socket {
                // Only a dump has these.
                tcp_info: None,
                congestion: None,
                memory: None,
                options: None,
                // Netlink knows it only while the timer runs.
                keepalive: row.keepalive,
                // These went on in between.
                timer: row.timer,
                age_ms: row.age_ms,
                age_is_lower_bound: row.age_is_lower_bound,
                owners: row.owners.clone(),
                ..netlink.clone()
            };
            assert_eq!(*row, expected);
            assert_eq!(row.timer.map(|timer| timer.kind), netlink.timer.map(|timer| timer.kind), "{row:?}");
            assert_eq!(row.age_ms.is_some(), netlink.age_ms.is_some(), "{row:?}");
            assert_eq!(row.keepalive.is_some(), row.kind == SocketKind::Full, "{row:?}");
            if let (Some(by_timer), Some(keepalive)) = (netlink.keepalive, row.keepalive) {
                assert_eq!(by_timer.enabled, keepalive.enabled, "{row:?}");
            }
        }
        return;
    }
    panic!("the host changed under every one of {ATTEMPTS} attempts");
}

#[test]
fn bpf_counts_by_any_keys_what_rows_add_up_to() {
    for _ in 0..ATTEMPTS {
        let Some(gallery) = Gallery::fresh() else { return };
        let (before, counted, after) =
            gallery.wire.here.run(|| (bare(StateSet::ALL), by_bpf(StateSet::ALL), bare(StateSet::ALL)));
        let counted = or_skip!(unless_refused(counted));
        if cookies(&before) != cookies(&after) {
            continue;
        }
        for (keys, counts) in counted {
            assert_eq!(counts, count(before.iter().map(|row| group_of(row, keys))), "{keys:?}");
        }
        return;
    }
    panic!("sockets came and went during each of {ATTEMPTS} looks: is a dump slower than TIME_WAIT?");
}

#[test]
fn bpf_counts_only_the_states_that_are_asked_for() {
    let Some(gallery) = Gallery::open() else { return };
    // None of them ends on its own while tests run.
    for state in [State::Listen, State::Established, State::CloseWait, State::Closed] {
        let states = StateSet::EMPTY.with(state);
        let counted = gallery.wire.here.run(|| {
            let keys = GroupKeys::default();
            count_groups(&NamespaceChoice::This, ReaderChoice::Bpf, keys, states)
        });
        let (groups, _) = or_skip!(unless_refused(counted));
        let groups = groups.expect("BPF was chosen");
        assert!(groups.iter().all(|(_, group)| group.state == state), "{groups:?}");
        let total: u64 = groups.iter().map(|(_, group)| group.count).sum();
        assert_eq!(total, gallery.rows.iter().filter(|row| row.state == state).count() as u64, "{state}");
    }
}
