//! `accept-queue-overflow`: connections are complete, and no program takes them.

use crate::digest::{Kind, Listener, Sample};
use crate::rule::seen;
use crate::rules::threads;
use crate::{Case, Confidence, Finding, Judgement, Missing, Need, Responsible, Rule, Severity, Subject};

pub(super) const OVERFLOW: Rule =
    Rule { code: "accept-queue-overflow", needs: &[Need::TwoLooks, Need::Counters, Need::Owners], judge };

/// What a listener's program asks for when its queue is found too small.
const BACKLOG: u64 = 4096;

fn judge(case: &Case<'_>) -> Judgement {
    let mut findings = Vec::new();
    let listeners = &case.after.digest.listeners.all;
    for listener in listeners.iter().filter(|listener| listener.queue > Some(0)) {
        let standing = standing(case, listener);
        let overflows = case.state(listener.netns).and_then(|state| case.grown(state, "ListenOverflows"));
        let is_stuck = standing.is_some_and(|standing| standing * 2 > u64::from(listener.queue.unwrap_or(0)));
        match (listener.is_full(), is_stuck) {
            // The same connections as before: the program is at fault even where nobody was turned away yet.
            (true, true) => findings.push(finding(case, listener).number(
                "standing_queue",
                standing.unwrap_or(0),
                "connections",
            )),
            (true, false) if standing.is_none() || overflows > Some(0) => {
                findings.push(finding(case, listener))
            }
            // Full at a look, and empty in between: a queue is there to be used.
            (true, false) => findings.push(milder(finding(case, listener).variant("moving"))),
            (false, true) => {
                let standing = standing.unwrap_or(0);
                let waits = finding(case, listener).number("standing_queue", standing, "connections");
                let is_stopped = waits.variant == Some("stopped");
                // Clients that have asked and wait for an answer are let down already.
                let asking = waiting(case, listener).filter(|sample| sample.recv_queue > 0).count() as u64;
                let waits = waits.variant("waiting").number("asking", asking, "connections");
                findings.push(if asking > 0 || is_stopped { warning(waits) } else { milder(waits) });
            }
            (false, false) => {}
        }
    }
    // Overflows with room in every queue now: a burst between the looks.
    let mut overflows = 0;
    for state in &case.after.namespaces {
        let Some(grown) = case.grown(state, "ListenOverflows").filter(|grown| *grown > 0) else { continue };
        overflows += grown;
        let here = |listener: &&Listener| *case.label(listener.netns) == *state.namespace.label;
        let is_told = |found: &Finding| {
            found.severity > Severity::Info && found.subject.netns.as_deref() == Some(&*state.namespace.label)
        };
        if findings.iter().any(is_told) {
            continue;
        }
        // The one that was fullest, then the smallest queue, is the likeliest.
        let likely = listeners.iter().filter(here).max_by_key(|listener| {
            let before = earlier(case, listener).and_then(|before| before.queue);
            (listener.queue.max(before), std::cmp::Reverse(listener.limit))
        });
        if let Some(listener) = likely {
            let missing =
                if listeners.iter().filter(here).count() > 1 { &[Missing::Capture][..] } else { &[] };
            let burst = finding(case, listener).variant("burst").count(grown);
            findings.push(burst.unsure(Confidence::Likely, missing));
        }
    }
    let fullest = listeners.iter().filter_map(|listener| listener.queue).max().unwrap_or(0);
    Judgement::of(findings, vec![seen("queue", u64::from(fullest)), seen("overflows", overflows)])
}

fn earlier<'a>(case: &Case<'a>, listener: &Listener) -> Option<&'a Listener> {
    let before = &case.before?.digest.listeners.all;
    before.iter().find(|before| {
        before.netns == listener.netns && before.at == listener.at && before.interface == listener.interface
    })
}

/// How many connections nobody has accepted from one look to the next; `None` where there are no
/// two looks.
fn standing(case: &Case<'_>, listener: &Listener) -> Option<u64> {
    case.before?;
    Some(waiting(case, listener).count() as u64)
}

fn waiting<'a>(case: &Case<'a>, listener: &Listener) -> impl Iterator<Item = &'a Sample> {
    case.suspects(Kind::NotAccepted)
        .filter(|(sample, before)| {
            before.is_some() && sample.netns == listener.netns && listener.takes(sample.tuple.local)
        })
        .map(|(sample, _)| sample)
}

/// Nobody was turned away yet.
fn warning(finding: Finding) -> Finding {
    Finding { severity: Severity::Warning, ..finding }
}

/// Nothing has failed.
fn milder(finding: Finding) -> Finding {
    Finding { severity: Severity::Info, ..finding }
}

fn finding(case: &Case<'_>, listener: &Listener) -> Finding {
    let was_full = earlier(case, listener).is_some_and(Listener::is_full);
    let state = case.state(listener.netns);
    let overflows = state.and_then(|state| case.grown(state, "ListenOverflows"));
    let drops = state.and_then(|state| case.grown(state, "ListenDrops"));
    let somaxconn = case.sysctl(listener.netns, "net.core.somaxconn");
    let (queue, limit) = (u64::from(listener.queue.unwrap_or(0)), u64::from(listener.limit.unwrap_or(0)));
    let severity = if overflows > Some(0) { Severity::Critical } else { Severity::Warning };
    let owner = threads::acceptor(case, listener);
    let detail = owner.and_then(|owner| case.after.detail(owner.pid));
    // The limit is min(backlog of listen(), somaxconn), taken at listen().
    let is_sysctls = somaxconn.is_some_and(|somaxconn| limit >= somaxconn);
    let subject = Subject {
        local: Some(listener.at.to_string()),
        state: Some("LISTEN"),
        ..case.subject(listener.netns, owner.map(|owner| (owner.pid, owner.process.clone())))
    };
    let mut finding = Finding::new(OVERFLOW.code, severity, Responsible::LocalProgram)
        .about(subject)
        .count(queue)
        .number("queue", queue, "connections")
        .number("limit", limit, "connections")
        .maybe("somaxconn", somaxconn)
        .with("cap", if is_sysctls { "net.core.somaxconn" } else { "listen()" });
    if let Some(overflows) = overflows {
        finding = finding.number("overflows", overflows, "connections");
    }
    if let Some(drops) = drops {
        finding = finding.number("drops", drops, "segments");
    }
    if listener.owners.len() > 1 {
        finding = finding.number("owners", listener.owners.len() as u64, "processes");
    }
    if let Some(detail) = detail {
        finding = finding.maybe("threads", threads::describe(detail));
        if let (Some(open), Some(limit)) = (detail.descriptors_open, detail.descriptor_limit) {
            finding = finding.number("descriptors_left", limit.saturating_sub(open), "descriptors");
        }
        if threads::is_stopped(detail) {
            finding = finding.variant("stopped");
            finding = finding.fix("continue-process", Some(format!("kill -CONT {}", detail.pid)), true);
        }
    }
    if owner.is_none() && listener.hidden_owner {
        finding = finding.unsure(Confidence::Likely, &[Missing::Privilege]);
    }
    if case.before.is_none() {
        finding = finding.unsure(Confidence::Likely, &[Missing::SecondLook]);
    } else if !was_full && overflows.unwrap_or(0) == 0 {
        finding = finding.unsure(Confidence::Likely, &[]);
    }
    if let Some(owner) = owner {
        finding = finding.fix(
            "why-not-accepting",
            Some(format!("grep -H . /proc/{0}/task/*/wchan; cat /proc/{0}/task/*/stack", owner.pid)),
            true,
        );
    } else {
        finding = finding.fix("why-not-accepting", None, true);
    }
    if let Some(fix) = state.filter(|_| is_sysctls || somaxconn < Some(BACKLOG)).and_then(|state| {
        let to = limit.saturating_mul(4).max(BACKLOG).to_string();
        case.set_sysctl("raise-somaxconn", state, "net.core.somaxconn", &to)
    }) {
        finding.fixes.push(fix);
    }
    finding.fix("raise-backlog", None, true).see(&[
        "listen(2)",
        "Linux net/ipv4/tcp_ipv4.c, tcp_conn_request",
        "eleven explain net.core.somaxconn",
    ])
}
