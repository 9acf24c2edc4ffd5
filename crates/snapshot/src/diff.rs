//! What changed between two snapshots.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use eleven_tcp::State;
use serde::Serialize;

use crate::socket::state_as_text;
use crate::{CounterTable, Snapshot, Socket};

/// A socket that both snapshots hold, and that is not the same in both.
#[derive(Clone, Debug, Serialize)]
pub struct Change {
    /// State in the first snapshot.
    #[serde(serialize_with = "state_as_text::serialize")]
    pub state_before: State,
    /// Change of Recv-Q in bytes; of the accept queue in connections for a listener.
    pub recv_queue_growth: i64,
    /// Change of Send-Q in bytes.
    pub send_queue_growth: i64,
    /// The socket as the second snapshot has it.
    pub socket: Socket,
}

/// A count in both snapshots.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CountChange {
    /// What is counted: a state, or a kernel counter with its table and namespace.
    pub name: String,
    /// In the first snapshot.
    pub before: i64,
    /// In the second.
    pub after: i64,
    /// Change a second; `None` when no time passed between the two.
    pub per_second: Option<f64>,
}

/// What changed between two snapshots.
#[derive(Clone, Debug, Serialize)]
pub struct Diff {
    /// Seconds between the two.
    pub elapsed_s: f64,
    /// Whether sockets were matched by the kernel's cookie (same boot of the same host);
    /// otherwise by namespace and addresses, which a reused port can deceive.
    pub matched_by_cookie: bool,
    /// Sockets per state, the states that stand in either snapshot.
    pub states: Vec<CountChange>,
    /// Kernel counters that changed, the largest change first.
    pub counters: Vec<CountChange>,
    /// Sockets only the second snapshot holds.
    pub appeared: Vec<Socket>,
    /// Sockets only the first snapshot holds.
    pub vanished: Vec<Socket>,
    /// Sockets whose state changed.
    pub changed: Vec<Change>,
    /// Sockets in the same state whose queues grew, the largest growth first.
    pub grew: Vec<Change>,
}

/// What makes two rows the same socket.
#[derive(PartialEq, Eq, Hash)]
enum Identity {
    Cookie(Option<Arc<str>>, u64),
    Addresses(Option<Arc<str>>, IpAddr, Option<u16>, IpAddr, Option<u16>),
}

impl Identity {
    fn of(socket: &Socket, by_cookie: bool) -> Self {
        match socket.cookie {
            Some(cookie) if by_cookie => Self::Cookie(socket.netns.clone(), cookie),
            _ => Self::Addresses(
                socket.netns.clone(),
                socket.local_address,
                socket.local_port,
                socket.remote_address,
                socket.remote_port,
            ),
        }
    }
}

impl Diff {
    /// Compares `before` with `after`.
    pub fn between(before: &Snapshot, after: &Snapshot) -> Self {
        let elapsed_s = after.taken_at_s - before.taken_at_s;
        // /proc shows no cookies: then the addresses are all there is.
        let has_cookies = |snapshot: &Snapshot| snapshot.sockets.iter().all(|socket| socket.cookie.is_some());
        let matched_by_cookie = before.boot_id.is_some()
            && before.boot_id == after.boot_id
            && has_cookies(before)
            && has_cookies(after);

        // Addresses may be shared (SO_REUSEPORT): then the first is matched with the first.
        let mut known: HashMap<Identity, VecDeque<&Socket>> = HashMap::new();
        for socket in &before.sockets {
            known.entry(Identity::of(socket, matched_by_cookie)).or_default().push_back(socket);
        }
        let mut diff = Self {
            elapsed_s,
            matched_by_cookie,
            states: count_states(before, after, elapsed_s),
            counters: count_counters(before, after, elapsed_s),
            appeared: Vec::new(),
            vanished: Vec::new(),
            changed: Vec::new(),
            grew: Vec::new(),
        };
        for socket in &after.sockets {
            let same = known.get_mut(&Identity::of(socket, matched_by_cookie)).and_then(VecDeque::pop_front);
            match same {
                None => diff.appeared.push(socket.clone()),
                Some(old) => {
                    let change = Change::between(old, socket);
                    if old.state != socket.state {
                        diff.changed.push(change);
                    } else if change.recv_queue_growth > 0 || change.send_queue_growth > 0 {
                        diff.grew.push(change);
                    }
                }
            }
        }
        // In the order of the first snapshot, not of the hash table.
        diff.vanished = before
            .sockets
            .iter()
            .filter(|socket| {
                // Those left over are the last of their addresses.
                known
                    .get(&Identity::of(socket, matched_by_cookie))
                    .is_some_and(|left| left.iter().any(|other| std::ptr::eq(*other, *socket)))
            })
            .cloned()
            .collect();
        diff.grew
            .sort_by_key(|change| std::cmp::Reverse(change.recv_queue_growth.max(change.send_queue_growth)));
        diff
    }

    /// Whether nothing changed that a snapshot can show, counters aside.
    pub fn is_empty(&self) -> bool {
        self.appeared.is_empty()
            && self.vanished.is_empty()
            && self.changed.is_empty()
            && self.grew.is_empty()
    }
}

impl Change {
    fn between(old: &Socket, new: &Socket) -> Self {
        let growth = |before: Option<u32>, after: Option<u32>| match (before, after) {
            (Some(before), Some(after)) => i64::from(after) - i64::from(before),
            _ => 0,
        };
        Self {
            state_before: old.state,
            recv_queue_growth: if new.state == State::Listen {
                growth(old.backlog, new.backlog)
            } else {
                growth(old.recv_queue, new.recv_queue)
            },
            send_queue_growth: growth(old.send_queue, new.send_queue),
            socket: new.clone(),
        }
    }
}

fn count_change(name: String, before: i64, after: i64, elapsed_s: f64) -> CountChange {
    let per_second = (elapsed_s > 0.0).then(|| (after - before) as f64 / elapsed_s);
    CountChange { name, before, after, per_second }
}

fn count_states(before: &Snapshot, after: &Snapshot, elapsed_s: f64) -> Vec<CountChange> {
    let count = |snapshot: &Snapshot| {
        let mut counts = [0_i64; State::ALL.len()];
        for socket in &snapshot.sockets {
            counts[socket.state.index()] += 1;
        }
        counts
    };
    let (old, new) = (count(before), count(after));
    State::ALL
        .into_iter()
        .filter(|state| old[state.index()] != 0 || new[state.index()] != 0)
        .map(|state| count_change(state.to_string(), old[state.index()], new[state.index()], elapsed_s))
        .collect()
}

fn count_counters(before: &Snapshot, after: &Snapshot, elapsed_s: f64) -> Vec<CountChange> {
    let collect = |snapshot: &Snapshot| -> BTreeMap<(Arc<str>, CounterTable, String), i64> {
        snapshot
            .namespaces
            .iter()
            .flat_map(|state| {
                state.counters.iter().map(move |(table, name, value)| {
                    ((state.namespace.label.clone(), table, name.to_owned()), value)
                })
            })
            .collect()
    };
    let old = collect(before);
    let one_namespace = after.namespaces.len() == 1;
    let mut changes: Vec<CountChange> = collect(after)
        .into_iter()
        .filter_map(|(key, value)| {
            let earlier = *old.get(&key)?;
            let (namespace, table, name) = key;
            let name = if one_namespace {
                format!("{}.{name}", table.file_name())
            } else {
                format!("{namespace}: {}.{name}", table.file_name())
            };
            (earlier != value).then(|| count_change(name, earlier, value, elapsed_s))
        })
        .collect();
    changes.sort_by_key(|change| std::cmp::Reverse((change.after - change.before).abs()));
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_that_share_an_address_are_told_apart_by_number() {
        let listener = Socket { local_port: Some(80), ..Socket::new(State::Listen) };
        let snapshot = |count| Snapshot { sockets: vec![listener.clone(); count], ..Snapshot::empty() };
        assert!(Diff::between(&snapshot(5), &snapshot(5)).is_empty());
        assert_eq!(Diff::between(&snapshot(5), &snapshot(2)).vanished.len(), 3);
        assert_eq!(Diff::between(&snapshot(2), &snapshot(5)).appeared.len(), 3);
    }
}
