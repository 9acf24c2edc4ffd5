//! Every sysctl that is named exists here, or is marked with the kernels, the module or the namespaces in which it does.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use eleven_testbed::namespace::Net;
use eleven_testbed::or_skip;

use crate::support::program::run;

/// Names that texts mention without explaining them: one of another protocol, one that is gone.
const MENTIONED: &[&str] = &[
    "net.ipv4.icmp_ratemask",
    "net.ipv4.ip_conntrack_max",
    "net.ipv6.ip_nonlocal_bind",
    "net.mptcp.enabled",
];

/// Of those the ones that no kernel has any more; the text says so.
const GONE: &[&str] = &["net.ipv4.ip_conntrack_max"];

fn exists(name: &str) -> bool {
    Path::new("/proc/sys").join(name.replace('.', "/")).exists()
}

/// Major and minor number of a kernel.
fn version(text: &str) -> (u32, u32) {
    let mut parts = text.split(['.', '-']).map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs" || extension == "toml") {
            found.push(path);
        }
    }
}

/// Every `net.…` of the rules, the texts and the commands.
fn named() -> BTreeSet<String> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut sources = Vec::new();
    for part in [
        "doctor/src",
        "knowledge/src",
        "knowledge/texts",
        "linux/src",
        "snapshot/src",
        "lab/src",
        "eleven/src",
    ] {
        files(&crates.join(part), &mut sources);
    }
    let mut names = BTreeSet::new();
    for path in sources {
        let text = fs::read_to_string(path).expect("a text");
        for (at, _) in text.match_indices("net.") {
            if text[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/'))
            {
                continue;
            }
            let name: String = text[at..]
                .chars()
                .take_while(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_'))
                .collect();
            let name = name.trim_end_matches(['.', '_']);
            let tree = ["net.ipv4.", "net.ipv6.", "net.core.", "net.netfilter.", "net.mptcp."];
            if tree.iter().any(|tree| name.len() > tree.len() && name.starts_with(tree)) {
                names.insert(name.to_owned());
            }
        }
    }
    assert!(names.len() > 100, "{}", names.len());
    names
}

#[test]
fn every_sysctl_that_is_named_exists_or_is_marked() {
    let net = or_skip!(Net::new());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").expect("every kernel has one");
    let running = version(&kernel);
    let known = eleven_knowledge::sysctls();
    // Prefixes stand in the sources too: `net.ipv4.tcp`, `net.ipv6.conf`.
    let is_directory = |name: &str| Path::new("/proc/sys").join(name.replace('.', "/")).is_dir();
    for name in named() {
        let is_prefix = known.keys().any(|other| other.starts_with(&name) && *other != name);
        assert!(
            known.contains_key(&name)
                || MENTIONED.contains(&name.as_str())
                || is_directory(&name)
                || is_prefix,
            "{name} is named and not known: it needs facts and a text"
        );
    }
    for name in MENTIONED {
        assert_eq!(net.run(|| exists(name)), !GONE.contains(name), "{name}");
    }
    for (name, facts) in &known {
        let is_gone = facts.removed.as_deref().is_some_and(|removed| running >= version(removed));
        let is_to_come = facts.since.as_deref().is_some_and(|since| running < version(since));
        let (here, host) = (net.run(|| exists(name)), exists(name));
        if is_gone || is_to_come {
            assert!(!here && !host, "{name} exists on Linux {kernel}, and its facts say otherwise");
        } else if let Some(module) = &facts.module
            && !Path::new("/proc/sys").join("net/netfilter").exists()
        {
            eleven_testbed::skipped(&format!("{name}: the module {module} is not loaded"));
        } else if facts.per_namespace {
            assert!(here, "{name} is not in a namespace of its own");
        } else {
            assert!(host || here, "{name} does not exist on Linux {kernel}, and no mark says why");
        }
    }
}

#[test]
fn the_marks_are_explained() {
    for (name, says) in [
        ("net.ipv4.tcp_tw_recycle", "removed in 4.12"),
        ("net.netfilter.nf_conntrack_max", "while the module nf_conntrack is loaded"),
        ("net.ipv4.tcp_max_orphans", "one value for the whole host"),
        ("net.ipv4.tcp_syn_linear_timeouts", "since Linux 6.5"),
    ] {
        let said = run(&["explain", name]).done();
        assert!(said.contains(says), "{name}: {said}");
    }
    let said = run(&["explain", "net.netfilter.nf_conntrack_max", "--lang", "zh-CN"]).done();
    assert!(said.contains("模块 nf_conntrack"), "{said}");
}
