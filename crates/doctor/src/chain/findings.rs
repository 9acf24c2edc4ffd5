//! What the connections of a path come to, as findings.

use std::time::Duration;

use super::{Chain, Hop, Idle, Link, Order, Origin};
use crate::{Confidence, Finding, Missing, Responsible, Severity, Subject, Value};

const CODE: &str = "idle-timeout-order";

/// TIME_WAIT of Linux.
const TIME_WAIT: Duration = Duration::from_secs(60);

impl Chain {
    /// A finding for each connection of the path, the worst first: who closes first, where a request races a close, who gets
    /// TIME_WAIT, who forgets. Those in the right order are told as well, for information.
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings: Vec<Finding> = self.links().iter().flat_map(of_link).collect();
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        findings
    }
}

fn of_link(link: &Link<'_>) -> Vec<Finding> {
    let mut findings = vec![of_order(link)];
    if let Some((hop, time)) = link.forgotten {
        findings.push(
            about(
                link,
                Finding::new(CODE, Severity::Warning, Responsible::Configuration).variant("forgotten"),
            )
            .with("box", hop.name.clone())
            .with("forgets_after", ms(time))
            .maybe("note", hop.product.map(|product| product.note))
            .fix("keepalive-below-box", Some(keepalive_command(time)), true)
            .fix("raise-box", hop.product.and_then(|product| product.set(longer(ends(link)), false)), true)
            .see(&["RFC 5382 REQ-5", "RFC 9293 §3.8.4"]),
        );
    }
    findings
}

fn of_order(link: &Link<'_>) -> Finding {
    let (severity, variant) = match link.order {
        Order::NearFirst => (Severity::Info, "right"),
        Order::FarFirst => (Severity::Warning, "far-first"),
        Order::Together => (Severity::Warning, "together"),
        Order::Never => (Severity::Info, "never"),
    };
    let finding = about(link, Finding::new(CODE, severity, Responsible::Configuration).variant(variant));
    let finding = match link.order {
        Order::NearFirst => with_time_wait(finding, link.near),
        Order::FarFirst => with_time_wait(finding, link.far),
        Order::Together | Order::Never => finding,
    };
    let finding = match link.far.product.and_then(|product| product.requests) {
        // Whatever the timeouts: after so many requests the far side closes all the same.
        Some(requests) => finding.number("requests", requests, "requests"),
        None => finding,
    };
    match (link.order, link.idle) {
        (Order::FarFirst | Order::Together, [near, far]) => {
            let raised = near.map(|near| longer(near.time));
            let lowered = far.map(|far| shorter(far.time));
            let far_command =
                raised.zip(link.far.product).and_then(|(time, product)| product.set(time, false));
            let near_command =
                lowered.zip(link.near.product).and_then(|(time, product)| product.set(time, true));
            finding
                .maybe("raise_to", raised.map(ms))
                .maybe("lower_to", lowered.map(ms))
                .fix("raise-far-idle", far_command, true)
                .fix("lower-near-idle", near_command, true)
                .fix("retry-request", None, true)
                .see(&["RFC 9112 §9.3.1, §9.5", "RFC 9293 §3.6"])
        }
        (Order::NearFirst | Order::Never, _) => finding.see(&["RFC 9112 §9.5"]),
    }
}

fn about(link: &Link<'_>, finding: Finding) -> Finding {
    let subject = Subject {
        local: Some(link.near.name.clone()),
        remote: Some(link.far.name.clone()),
        ..Subject::default()
    };
    let [near, far] = link.idle;
    let mut finding = finding
        .about(subject)
        .count(1)
        .maybe("near_idle", near.map(|idle| ms(idle.time)))
        .maybe("near_source", near.and_then(|idle| source(idle, link.near)))
        .maybe("far_idle", far.map(|idle| ms(idle.time)))
        .maybe("far_source", far.and_then(|idle| source(idle, link.far)));
    // What a product does by default, or what nobody told, may be otherwise.
    if [near, far].into_iter().flatten().any(|idle| idle.source == Origin::Default)
        || link.idle.contains(&None)
    {
        finding = finding.unsure(Confidence::Likely, &[Missing::Settings]);
    }
    finding
}

fn with_time_wait(finding: Finding, hop: &Hop) -> Finding {
    let time = hop.product.and_then(|product| product.time_wait_s).map_or(TIME_WAIT, Duration::from_secs);
    finding.with("time_wait_at", hop.name.clone()).with("time_wait_lasts", ms(time))
}

fn source(idle: &Idle, hop: &Hop) -> Option<String> {
    match &idle.source {
        Origin::Given => None,
        Origin::Default => hop.product.map(|product| format!("{}: {}", product.title, product.note)),
        Origin::File(name, line) => Some(format!("{name}:{line}")),
    }
}

fn keepalive_command(time: Duration) -> String {
    format!("eleven keepalive --set time={},interval=10,probes=6", (time.as_secs() / 2).max(1))
}

/// The longest an end waits.
fn ends(link: &Link<'_>) -> Duration {
    let longest = link.idle.iter().flatten().map(|idle| idle.time).max();
    longest.unwrap_or(Duration::from_secs(7_200))
}

/// Well above, in whole seconds: a tenth, and five seconds at least.
fn longer(time: Duration) -> Duration {
    Duration::from_secs((time + (time / 10).max(Duration::from_secs(5))).as_secs())
}

/// Well below, in whole seconds.
fn shorter(time: Duration) -> Duration {
    let less = (time / 10).max(Duration::from_secs(2));
    Duration::from_secs(time.saturating_sub(less).as_secs().max(1))
}

fn ms(time: Duration) -> Value {
    Value::Ms(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}
