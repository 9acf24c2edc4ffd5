//! Each fault beside a near miss: what looks alike and is healthy.
//!
//! The hosts are made by hand, so that also those faults stand here that a test cannot make
//! on a real kernel. `crates/eleven/tests/faults` has the real ones.

mod anything;
mod closing;
mod handshakes;
mod limits;
mod paths;
mod peers;
mod ports;
mod queues;
mod world;

use eleven_doctor::{Finding, RULES, Responsible, Severity};
use world::{World, one, two};

/// The fault comes first, with this party, and names what it is about.
#[track_caller]
fn first<'a>(findings: &'a [Finding], code: &str, responsible: Responsible) -> &'a Finding {
    let codes: Vec<&str> = findings.iter().map(|finding| finding.code).collect();
    let Some(finding) = findings.first().filter(|finding| finding.code == code) else {
        panic!("{code} does not come first: {codes:?}")
    };
    assert_eq!(finding.responsible, responsible, "{finding:#?}");
    assert!(finding.subject.netns.is_some() && !finding.evidence.is_empty(), "{finding:#?}");
    assert!(!finding.fixes.is_empty() && finding.count > 0, "{finding:#?}");
    finding
}

/// Nothing above info.
#[track_caller]
fn silent(findings: &[Finding]) {
    let loud: Vec<&Finding> = findings.iter().filter(|finding| finding.severity > Severity::Info).collect();
    assert!(loud.is_empty(), "{loud:#?}");
}

/// The same world twice.
fn still(world: &World) -> Vec<Finding> {
    two(world, world)
}

#[test]
fn a_quiet_host_is_healthy() {
    silent(&still(&World::new()));
    silent(&one(&World::new()));
    assert_eq!(RULES.len(), 32);
}
