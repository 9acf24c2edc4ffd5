//! The whole language: what it accepts, what that means, and what it says otherwise.

mod errors;
mod language;
mod meaning;
mod properties;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::*;

/// A machine with few names.
struct TestNames;

impl Names for TestNames {
    fn host(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        match name {
            "localhost" => Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]),
            "db" => Ok(vec![IpAddr::from([10, 0, 0, 7]), IpAddr::from([10, 0, 0, 7])]),
            _ => Err(io::Error::other("no such host")),
        }
    }

    fn service(&self, name: &str) -> Option<u16> {
        [("http", 80), ("https", 443), ("ssh", 22)].iter().find(|row| row.0 == name).map(|row| row.1)
    }

    fn services(&self) -> Vec<&str> {
        vec!["http", "https", "ssh"]
    }

    fn user(&self, name: &str) -> Option<u32> {
        (name == "www-data").then_some(33)
    }

    fn interface_index(&self, name: &str) -> Option<u32> {
        INTERFACES.iter().zip(1..).find(|(interface, _)| **interface == name).map(|(_, index)| index)
    }

    fn interface_name(&self, index: u32) -> Option<String> {
        let place = usize::try_from(index.checked_sub(1)?).ok()?;
        INTERFACES.get(place).map(|name| (*name).to_owned())
    }

    fn cgroup_id(&self, path: &str) -> Option<u64> {
        CGROUPS.iter().zip(1..).find(|(cgroup, _)| **cgroup == path).map(|(_, id)| id)
    }
}

const INTERFACES: [&str; 2] = ["lo", "eth0"];
const CGROUPS: [&str; 2] = ["/system.slice/nginx.service", "/user.slice"];

fn parse(text: &str) -> Filter {
    parse_about(Subject::Sockets, text)
}

fn parse_about(subject: Subject, text: &str) -> Filter {
    Filter::parse_about(subject, text, &TestNames).unwrap_or_else(|error| panic!("{}", error.render()))
}

#[test]
fn fuzz_seeds_pass() {
    let seeds = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/filter");
    let mut count = 0;
    for entry in std::fs::read_dir(seeds).expect("the seeds are part of the source") {
        let path = entry.expect("the directory can be read").path();
        println!("{}", path.display());
        try_any_text(&std::fs::read_to_string(path).expect("a seed is text"));
        count += 1;
    }
    assert!(count > 0);
}
