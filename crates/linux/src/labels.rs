//! The words on a row: namespace, user, interface, control group, owners.

use std::sync::Arc;

use eleven_snapshot::{KernelOnly, Socket, SocketKind};
use eleven_tcp::State;
use rustc_hash::FxHashMap;

use crate::cgroup::{Cgroup, Cgroups};
use crate::interfaces::Interfaces;
use crate::owners::Owners;
use crate::users::Users;

/// What a reader knows of a row in numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RowFacts<'a> {
    pub(crate) uid: Option<u32>,
    /// 0 when the socket is not bound to an interface.
    pub(crate) interface: u32,
    pub(crate) cgroup_id: Option<u64>,
    pub(crate) congestion: Option<&'a [u8]>,
    /// Both directions are shut down.
    pub(crate) closed_by_program: bool,
}

/// Turns the numbers of rows into names, asking the system once for each.
///
/// Rows of a host repeat the same few users and groups: a name is only touched when its
/// number differs from the row before.
pub struct Labels<'a> {
    netns: Option<Arc<str>>,
    owners: Option<&'a Owners>,
    users: Users,
    cgroups: Option<&'a Cgroups>,
    interfaces: Interfaces,
    congestions: FxHashMap<Box<[u8]>, Arc<str>>,
    previous_cgroup: Option<u64>,
}

impl<'a> Labels<'a> {
    /// Labels for sockets of the calling thread's network namespace, which is called `netns`.
    pub fn new(netns: Option<Arc<str>>) -> Self {
        Self {
            netns,
            owners: None,
            users: Users::default(),
            cgroups: None,
            interfaces: Interfaces::default(),
            congestions: FxHashMap::default(),
            previous_cgroup: None,
        }
    }

    /// Labels of the same sources, for another thread in the same namespace.
    pub(crate) fn fork(&self) -> Self {
        Self::new(self.netns.clone()).with_owners(self.owners).with_cgroups(self.cgroups)
    }

    /// Names owners from this table; without it rows have none and say nothing about why.
    #[must_use]
    pub fn with_owners(mut self, owners: Option<&'a Owners>) -> Self {
        self.owners = owners;
        self
    }

    /// Names control groups and containers from this index.
    #[must_use]
    pub fn with_cgroups(mut self, cgroups: Option<&'a Cgroups>) -> Self {
        self.cgroups = cgroups;
        self
    }

    #[inline]
    pub(crate) fn apply(&mut self, row: &mut Socket, facts: &RowFacts<'_>) {
        if row.netns.is_none() {
            row.netns.clone_from(&self.netns);
        }
        if row.uid != facts.uid {
            row.uid = facts.uid;
            row.user = facts.uid.and_then(|uid| self.users.name(uid));
        }
        if facts.interface != 0 || row.interface.is_some() {
            row.interface = self.interfaces.name(facts.interface);
        }
        if let Some(bytes) = facts.congestion {
            row.congestion = self.congestion(bytes);
        } else if row.congestion.is_some() {
            row.congestion = None;
        }
        self.apply_owners(row, facts.closed_by_program);
        self.apply_cgroup(row, facts.cgroup_id);
    }

    #[inline]
    fn apply_owners(&self, row: &mut Socket, closed_by_program: bool) {
        row.owners.clear();
        let Some(owners) = self.owners else { return };
        row.no_owner = match row.inode {
            _ if row.kind.is_mini() => Some(KernelOnly::MiniSocket),
            None if closed_by_program || row.kind == SocketKind::Bound || has_sent_fin(row.state) => {
                Some(KernelOnly::Orphan)
            }
            None => Some(KernelOnly::NotAccepted),
            Some(inode) => {
                owners.append(inode, &mut row.owners);
                row.owners.is_empty().then_some(KernelOnly::Unreadable)
            }
        };
    }

    #[inline]
    fn apply_cgroup(&mut self, row: &mut Socket, id: Option<u64>) {
        let Some(cgroups) = self.cgroups else { return };
        if id.is_some() && id == self.previous_cgroup {
            return;
        }
        // The id tells the next row's group too, unless an owner had to be asked.
        self.previous_cgroup = id.filter(|id| cgroups.is_told_by(*id));
        // Not every reader is told the socket's group; its owner's is the next best.
        let found: Option<Cgroup> = cgroups.of_socket(id, row.owners.first().map(|owner| owner.pid));
        (row.cgroup, row.container) = found.map_or((None, None), |group| (Some(group.path), group.container));
    }

    fn congestion(&mut self, bytes: &[u8]) -> Option<Arc<str>> {
        let name = bytes.split(|byte| *byte == 0).next().filter(|name| !name.is_empty())?;
        if let Some(known) = self.congestions.get(name) {
            return Some(known.clone());
        }
        let label: Arc<str> = String::from_utf8_lossy(name).into();
        self.congestions.insert(name.into(), label.clone());
        Some(label)
    }
}

/// Only a program ends its side of a connection, so one that has no file in these states had
/// one before: nobody accepts it any more. Not every reader is told what was shut down.
fn has_sent_fin(state: State) -> bool {
    matches!(state, State::FinWait1 | State::FinWait2 | State::Closing | State::LastAck)
}
