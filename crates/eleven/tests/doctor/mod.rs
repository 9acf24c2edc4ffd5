//! Faults made on the real kernel, each beside a near miss, in namespaces of their own.

mod acting;
mod bad_input;
mod command;
mod faults;
mod servers;

use eleven_testbed::namespace::Net;
use serde_json::Value;

use crate::support::program::RunInside;

/// Findings of two looks, two seconds apart.
#[track_caller]
pub(crate) fn findings(net: &Net) -> Vec<Value> {
    findings_with(net, &["--for", "2s"])
}

/// Findings with these options.
#[track_caller]
pub(crate) fn findings_with(net: &Net, options: &[&str]) -> Vec<Value> {
    let arguments: Vec<&str> = ["doctor", "--format", "json"].iter().chain(options).copied().collect();
    match net.eleven(&arguments).json() {
        Value::Array(findings) => findings,
        other => panic!("no array: {other}"),
    }
}

/// The fault comes first, and a person who reads only that can act.
#[track_caller]
pub(crate) fn first<'a>(findings: &'a [Value], code: &str, responsible: &str) -> &'a Value {
    let codes: Vec<&Value> = findings.iter().map(|finding| &finding["code"]).collect();
    let Some(finding) = findings.first().filter(|finding| finding["code"] == code) else {
        panic!("{code} does not come first: {codes:?}")
    };
    assert_eq!(finding["responsible"], responsible, "{finding:#}");
    whole(finding);
    finding
}

/// Every key of the contract is there, and nothing was left to fill in.
#[track_caller]
pub(crate) fn whole(finding: &Value) {
    for key in ["code", "severity", "title", "cause", "responsible", "verify", "confidence"] {
        let text = finding[key].as_str().unwrap_or_default();
        assert!(!text.is_empty() && !text.contains(['{', '?']) && !text.contains("[["), "{key}: {finding:#}");
    }
    assert!(finding["count"].as_u64() > Some(0), "{finding:#}");
    for key in ["netns", "process", "pid", "local", "remote", "state"] {
        assert!(finding["subject"].get(key).is_some(), "{key}: {finding:#}");
    }
    let evidence = finding["evidence"].as_array().expect("a list");
    assert!(evidence.iter().any(|evidence| evidence["value"].is_number()), "{finding:#}");
    for evidence in evidence {
        let (what, key) = (evidence["what"].as_str(), evidence["key"].as_str());
        assert!(what != key || key.is_some_and(|key| !key.contains('_')), "no name for {evidence}");
    }
    let fixes = finding["fixes"].as_array().expect("a list");
    assert!(!fixes.is_empty(), "{finding:#}");
    for fix in fixes {
        assert!(fix["what"].as_str().is_some_and(|what| !what.is_empty()), "{finding:#}");
        assert!(fix["risk"].as_str().is_some_and(|risk| !risk.is_empty()), "{finding:#}");
        assert!(fix["reversible"].is_boolean(), "{finding:#}");
    }
}

/// Nothing above info.
#[track_caller]
pub(crate) fn silent(findings: &[Value]) {
    let loud: Vec<&Value> = findings.iter().filter(|finding| finding["severity"] != "info").collect();
    assert!(loud.is_empty(), "{loud:#?}");
}
