//! Sysctls. Most of TCP's are per network namespace: the calling thread's is read.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

/// Value of a sysctl by dotted name (`net.ipv4.tcp_fin_timeout`) as the kernel prints it,
/// blanks folded. `None` when this kernel does not have it or it may not be read.
pub fn read(name: &str) -> Option<String> {
    // A name that is not of this form could lead out of /proc/sys.
    let ok = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
    };
    if !name.split('.').all(ok) {
        return None;
    }
    let path: PathBuf = std::iter::once("/proc/sys").chain(name.split('.')).collect();
    let text = fs::read_to_string(path).ok()?;
    Some(text.split_ascii_whitespace().collect::<Vec<_>>().join(" "))
}

/// Values of all sysctls that govern TCP, by dotted name.
pub fn read_tcp() -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    for (directory, prefix) in [("net/ipv4", "tcp_"), ("net/netfilter", "nf_conntrack_")] {
        let Ok(entries) = fs::read_dir(format!("/proc/sys/{directory}")) else { continue };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        for name in names.filter(|name| name.starts_with(prefix)) {
            // The keys of TCP Fast Open are secrets.
            if name == "tcp_fastopen_key" {
                continue;
            }
            let name = format!("{}.{name}", directory.replace('/', "."));
            values.extend(read(&name).map(|value| (name, value)));
        }
    }
    for name in [
        "net.core.somaxconn",
        "net.core.netdev_max_backlog",
        "net.core.rmem_max",
        "net.core.wmem_max",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "fs.file-max",
        "fs.nr_open",
    ] {
        values.extend(read(name).map(|value| (name.to_owned(), value)));
    }
    values
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn names_cannot_leave_the_sysctl_tree() {
        for name in ["", "..", "net./etc/passwd", "net..ipv4", "kernel/hostname"] {
            assert_eq!(read(name), None, "{name}");
        }
        assert!(read("kernel.ostype").is_some_and(|value| value == "Linux"));
    }
}
