//! The kernel's counters: `sockstat`, `sockstat6`, `snmp`, `netstat`.

use std::fs;

use eleven_snapshot::{CounterTable, Counters};

/// Reads the counters of the calling thread's network namespace. A table this kernel does
/// not have is left out.
pub fn read() -> Counters {
    let mut counters = Counters::default();
    for table in CounterTable::ALL {
        let path = format!("/proc/thread-self/net/{}", table.file_name());
        let Ok(text) = fs::read_to_string(path) else { continue };
        match table {
            CounterTable::Sockstat | CounterTable::Sockstat6 => parse_pairs(&text, table, &mut counters),
            CounterTable::Snmp | CounterTable::Netstat => parse_headed(&text, table, &mut counters),
        }
    }
    counters
}

/// TCP sockets of the whole host, TIME_WAIT of this namespace included
/// (`TCP: inuse 5 orphan 0 tw 1 alloc 9 mem 2`). Of that line only `alloc` is the host's:
/// `inuse`, and `sockets: used` above it, leave out every other namespace.
pub(crate) fn tcp_sockets_of_host() -> u64 {
    let mut counters = Counters::default();
    let text = fs::read_to_string("/proc/thread-self/net/sockstat").unwrap_or_default();
    parse_pairs(&text, CounterTable::Sockstat, &mut counters);
    ["TCP.alloc", "TCP.tw"]
        .into_iter()
        .filter_map(|name| u64::try_from(counters.get(CounterTable::Sockstat, name)?).ok())
        .sum()
}

/// `TCP: inuse 5 orphan 0 tw 1`: names and values in turn.
fn parse_pairs(text: &str, table: CounterTable, counters: &mut Counters) {
    for line in text.lines() {
        let Some((group, rest)) = line.split_once(':') else { continue };
        let mut words = rest.split_ascii_whitespace();
        while let (Some(name), Some(value)) = (words.next(), words.next()) {
            if let Ok(value) = value.parse() {
                counters.insert(table, format!("{group}.{name}"), value);
            }
        }
    }
}

/// A line of names, then a line of values, both headed by the group.
fn parse_headed(text: &str, table: CounterTable, counters: &mut Counters) {
    let mut lines = text.lines();
    while let (Some(names), Some(values)) = (lines.next(), lines.next()) {
        let (Some((group, names)), Some((same, values))) = (names.split_once(':'), values.split_once(':'))
        else {
            continue;
        };
        if group != same {
            continue;
        }
        for (name, value) in names.split_ascii_whitespace().zip(values.split_ascii_whitespace()) {
            if let Ok(value) = value.parse() {
                counters.insert(table, format!("{group}.{name}"), value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_layouts() {
        let mut counters = Counters::default();
        parse_pairs("sockets: used 290\nTCP: inuse 5 orphan 0 tw 1\n", CounterTable::Sockstat, &mut counters);
        parse_headed(
            "TcpExt: SyncookiesSent ListenOverflows\nTcpExt: 0 17\nTcp: A B\nTcp: -1 x\n",
            CounterTable::Netstat,
            &mut counters,
        );
        assert_eq!(counters.get(CounterTable::Sockstat, "TCP.inuse"), Some(5));
        assert_eq!(counters.get(CounterTable::Netstat, "TcpExt.ListenOverflows"), Some(17));
        assert_eq!(counters.get(CounterTable::Netstat, "Tcp.A"), Some(-1));
        assert_eq!(counters.get(CounterTable::Netstat, "Tcp.B"), None);
    }
}
