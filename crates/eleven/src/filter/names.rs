//! What the names in a filter stand for on a machine.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::ops::RangeInclusive;
use std::sync::OnceLock;

use eleven_linux::proc::sysctl;
use eleven_linux::{Interfaces, Users};

/// Resolves the names in a filter.
///
/// Parsing asks through this trait and never looks anything up itself, so a filter can be
/// parsed in a test without a network, or for a namespace other than one's own. Each
/// method knows nothing unless it is written anew.
pub trait Names {
    /// The addresses of a host.
    ///
    /// # Errors
    ///
    /// Why there are none.
    fn host(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let _ = name;
        Err(io::ErrorKind::NotFound.into())
    }

    /// The port of a TCP service.
    fn service(&self, name: &str) -> Option<u16> {
        let _ = name;
        None
    }

    /// All services, for suggestions.
    fn services(&self) -> Vec<&str> {
        Vec::new()
    }

    /// The number of a user.
    fn user(&self, name: &str) -> Option<u32> {
        let _ = name;
        None
    }

    /// The index of a network interface.
    fn interface_index(&self, name: &str) -> Option<u32> {
        let _ = name;
        None
    }

    /// The name of the network interface with an index.
    fn interface_name(&self, index: u32) -> Option<String> {
        let _ = index;
        None
    }

    /// The kernel's id of the version 2 control group at a path below the root of groups.
    fn cgroup_id(&self, path: &str) -> Option<u64> {
        let _ = path;
        None
    }

    /// The ports from which the kernel chooses for a program that chose none.
    fn ephemeral_ports(&self) -> RangeInclusive<u16> {
        32_768..=60_999
    }
}

/// Knows no name. Filters that consist of numbers parse with it.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoNames;

impl Names for NoNames {}

/// The names of this machine: its resolver, `/etc/services`, `/etc/passwd`, and the
/// interfaces of the network namespace that the calling thread is in.
#[derive(Debug, Default)]
pub struct SystemNames {
    services: OnceLock<Vec<(String, u16)>>,
}

impl SystemNames {
    /// Reads nothing yet: files are read when a name first asks for them.
    pub fn new() -> Self {
        Self::default()
    }

    fn service_table(&self) -> &[(String, u16)] {
        self.services
            .get_or_init(|| tcp_services(&std::fs::read_to_string("/etc/services").unwrap_or_default()))
    }
}

impl Names for SystemNames {
    fn host(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
    }

    fn service(&self, name: &str) -> Option<u16> {
        self.service_table().iter().find(|(service, _)| service == name).map(|(_, port)| *port)
    }

    fn services(&self) -> Vec<&str> {
        self.service_table().iter().map(|(name, _)| name.as_str()).collect()
    }

    fn user(&self, name: &str) -> Option<u32> {
        Users::default().uid(name)
    }

    fn interface_index(&self, name: &str) -> Option<u32> {
        Interfaces::default().index(name)
    }

    fn interface_name(&self, index: u32) -> Option<String> {
        Interfaces::default().name(index).map(|name| name.to_string())
    }

    fn cgroup_id(&self, path: &str) -> Option<u64> {
        eleven_linux::cgroup_id(path)
    }

    fn ephemeral_ports(&self) -> RangeInclusive<u16> {
        sysctl::read("net.ipv4.ip_local_port_range")
            .and_then(|text| {
                let (first, last) = text.split_once(' ')?;
                Some(first.parse().ok()?..=last.parse().ok()?)
            })
            .unwrap_or(32_768..=60_999)
    }
}

/// The TCP lines of `/etc/services`: `name port/tcp alias… # comment`.
fn tcp_services(text: &str) -> Vec<(String, u16)> {
    let mut services = Vec::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let (Some(name), Some(("tcp", port))) = (
            words.next(),
            words.next().and_then(|word| word.split_once('/')).map(|(port, protocol)| (protocol, port)),
        ) else {
            continue;
        };
        if let Ok(port) = port.parse() {
            services.extend([name].into_iter().chain(words).map(|name| (name.to_owned(), port)));
        }
    }
    services
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_read_with_their_aliases() {
        let text = "# comment\n\nhttp\t80/tcp www # WorldWideWeb\nhttp 80/udp\nbad\nworse x/tcp\nhuge 70000/tcp\n\
                    domain 53/tcp\n";
        let services = tcp_services(text);
        let expected = [("http", 80), ("www", 80), ("domain", 53)];
        assert!(services.iter().map(|(name, port)| (name.as_str(), *port)).eq(expected), "{services:?}");
    }
}
