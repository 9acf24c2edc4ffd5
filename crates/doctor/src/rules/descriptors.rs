//! `fd-exhaustion`: a process that can open no further descriptor accepts nothing.

use crate::rule::seen;
use crate::{Case, Confidence, Finding, Judgement, Missing, Need, Responsible, Rule, Severity, Value};

pub(super) const EXHAUSTION: Rule = Rule { code: "fd-exhaustion", needs: &[Need::Owners], judge };

/// Processes reported one by one; the rest is counted.
const SHOWN: usize = 10;

fn judge(case: &Case<'_>) -> Judgement {
    let mut findings = Vec::new();
    let mut fullest: f64 = 0.0;
    let mut is_seen = false;
    for process in &case.after.processes {
        let detail = case.after.detail(process.pid);
        let limit = detail.and_then(|detail| detail.descriptor_limit).or(process.descriptor_limit);
        let Some(limit) = limit.filter(|limit| *limit > 0) else { continue };
        is_seen = true;
        let counted = detail.and_then(|detail| detail.descriptors_open);
        // Sockets alone are a lower bound.
        let open = counted.unwrap_or(process.sockets);
        let share = open as f64 * 100.0 / limit as f64;
        fullest = fullest.max(share);
        // The last few descriptors of a tiny limit are no margin either.
        if share < case.thresholds.descriptors_warning && open.saturating_add(2) < limit {
            continue;
        }
        let listener = case
            .after
            .digest
            .listeners
            .all
            .iter()
            .filter(|listener| listener.owners.iter().any(|owner| owner.pid == process.pid))
            .max_by_key(|listener| listener.queue);
        let waiting = listener.and_then(|listener| listener.queue).unwrap_or(0);
        let netns = listener.map_or(0, |listener| listener.netns);
        let severity = if waiting > 0 || open >= limit { Severity::Critical } else { Severity::Warning };
        let mut subject = case.subject(netns, Some((process.pid, process.name.clone())));
        subject.local = listener.map(|listener| listener.at.to_string());
        let pid = process.pid;
        let more = limit.saturating_mul(4).max(4096);
        let mut finding = Finding::new(EXHAUSTION.code, severity, Responsible::LocalProgram)
            .about(subject)
            .count(open)
            .number("descriptors_open", open, "descriptors")
            .number("descriptor_limit", limit, "descriptors")
            .with("share", Value::Percent(share))
            .number("sockets_held", process.sockets, "sockets")
            .number("queue", u64::from(waiting), "connections")
            .fix("raise-nofile", Some(format!("prlimit --pid {pid} --nofile={more}:")), true)
            .fix(
                "find-leak",
                Some(format!(
                    "ls -l /proc/{pid}/fd | awk '{{print $NF}}' | cut -d: -f1 | sort | uniq -c | sort -rn"
                )),
                true,
            )
            .see(&["getrlimit(2) RLIMIT_NOFILE", "accept(2) EMFILE"]);
        if waiting > 0 {
            finding = finding.variant("queue");
        }
        if counted.is_none() {
            finding = finding.unsure(Confidence::Likely, &[Missing::Privilege]);
        }
        findings.push(finding);
    }
    findings.sort_by(|a: &Finding, b: &Finding| b.severity.cmp(&a.severity).then(b.count.cmp(&a.count)));
    let all = findings.len() as u64;
    findings.truncate(SHOWN);
    if all > SHOWN as u64 {
        findings = findings.into_iter().map(|one| one.number("processes", all, "processes")).collect();
    }
    if !is_seen && case.after.digest.unreadable() > 0 {
        return Judgement::Undecided(vec![Missing::Privilege]);
    }
    Judgement::of(findings, vec![seen("share", Value::Percent(fullest))])
}
