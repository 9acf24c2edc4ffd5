//! The kernel's own counters of a network namespace.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Which file under `/proc/net` a counter comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CounterTable {
    /// `/proc/net/sockstat`: sockets in use, IPv4 (its `TCP.alloc` and `TCP.mem` are the whole host's).
    Sockstat,
    /// `/proc/net/sockstat6`: sockets in use, IPv6.
    Sockstat6,
    /// `/proc/net/snmp`: the standard MIB.
    Snmp,
    /// `/proc/net/netstat`: Linux's extended counters.
    Netstat,
}

impl CounterTable {
    /// All tables.
    pub const ALL: [Self; 4] = [Self::Sockstat, Self::Sockstat6, Self::Snmp, Self::Netstat];

    /// Name of the file below `/proc/net`.
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::Sockstat => "sockstat",
            Self::Sockstat6 => "sockstat6",
            Self::Snmp => "snmp",
            Self::Netstat => "netstat",
        }
    }
}

/// Counter values of one namespace by table, then by `Group.Name` (`TcpExt.ListenOverflows`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Counters(BTreeMap<CounterTable, BTreeMap<String, i64>>);

impl Counters {
    /// Value of a counter; `None` when this kernel does not have it or it was not read.
    pub fn get(&self, table: CounterTable, name: &str) -> Option<i64> {
        self.0.get(&table)?.get(name).copied()
    }

    /// Sets a counter.
    pub fn insert(&mut self, table: CounterTable, name: String, value: i64) {
        self.0.entry(table).or_default().insert(name, value);
    }

    /// All counters.
    pub fn iter(&self) -> impl Iterator<Item = (CounterTable, &str, i64)> {
        self.0.iter().flat_map(|(table, values)| {
            values.iter().map(move |(name, value)| (*table, name.as_str(), *value))
        })
    }

    /// Whether nothing was read.
    pub fn is_empty(&self) -> bool {
        self.0.values().all(BTreeMap::is_empty)
    }
}
