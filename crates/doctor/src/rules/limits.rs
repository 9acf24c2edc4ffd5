//! `orphans-high`, `conntrack-full`, `memory-pressure`: limits of the kernel.

use eleven_snapshot::NamespaceState;

use crate::look::{sockstat, sysctl, sysctl_part, tcp_ext};
use crate::rule::seen;
use crate::{Case, Finding, Judgement, Missing, Need, Responsible, Rule, Severity, Subject, Value};

pub(super) const ORPHANS: Rule =
    Rule { code: "orphans-high", needs: &[Need::Counters, Need::Sysctls], judge: judge_orphans };
pub(super) const CONNTRACK: Rule =
    Rule { code: "conntrack-full", needs: &[Need::Sysctls], judge: judge_conntrack };
pub(super) const MEMORY: Rule = Rule {
    code: "memory-pressure",
    needs: &[Need::TwoLooks, Need::Counters, Need::Sysctls],
    judge: judge_memory,
};

fn about(state: &NamespaceState, sysctl: &'static str) -> Subject {
    Subject { netns: Some(state.namespace.label.clone()), sysctl: Some(sysctl), ..Subject::default() }
}

fn share(part: u64, whole: u64) -> f64 {
    part as f64 * 100.0 / whole.max(1) as f64
}

fn judge_orphans(case: &Case<'_>) -> Judgement {
    let mut findings = Vec::new();
    let (mut most, mut known) = (0.0_f64, false);
    for state in &case.after.namespaces {
        let (Some(orphans), Some(limit)) =
            (sockstat(state, "orphan"), sysctl(state, "net.ipv4.tcp_max_orphans"))
        else {
            continue;
        };
        known = true;
        let share = share(orphans, limit);
        most = most.max(share);
        if share < case.thresholds.orphans_warning || orphans == 0 {
            continue;
        }
        let resets = case.grown(state, "TCPAbortOnMemory");
        let severity = if resets > Some(0) || share >= 90.0 { Severity::Critical } else { Severity::Warning };
        let mut finding = Finding::new(ORPHANS.code, severity, Responsible::Peer)
            .about(about(state, "net.ipv4.tcp_max_orphans"))
            .count(orphans)
            .number("orphans", orphans, "sockets")
            .number("max_orphans", limit, "sockets")
            .with("share", Value::Percent(share))
            .maybe("resets", resets)
            .fix(
                "find-orphans",
                Some(case.command_in(
                    state,
                    "eleven count --by state,remote 'state fin-wait-1 or state last-ack or state closing'",
                )),
                true,
            );
        if sysctl(state, "net.ipv4.tcp_orphan_retries").is_none_or(|retries| retries == 0 || retries > 4) {
            finding.fixes.extend(case.set_sysctl(
                "fewer-orphan-retries",
                state,
                "net.ipv4.tcp_orphan_retries",
                "4",
            ));
        }
        finding.fixes.extend(case.set_sysctl(
            "raise-orphans",
            state,
            "net.ipv4.tcp_max_orphans",
            &limit.saturating_mul(4).max(65_536).to_string(),
        ));
        findings.push(finding.see(&["eleven explain net.ipv4.tcp_max_orphans"]));
    }
    if !known {
        return Judgement::Undecided(vec![Missing::Sysctls]);
    }
    Judgement::of(findings, vec![seen("share", Value::Percent(most))])
}

fn judge_conntrack(case: &Case<'_>) -> Judgement {
    let mut findings = Vec::new();
    let mut most = 0.0_f64;
    for state in &case.after.namespaces {
        let (Some(count), Some(max)) = (
            sysctl(state, "net.netfilter.nf_conntrack_count"),
            sysctl(state, "net.netfilter.nf_conntrack_max").filter(|max| *max > 0),
        ) else {
            continue;
        };
        let share = share(count, max);
        most = most.max(share);
        if share < case.thresholds.conntrack_warning {
            continue;
        }
        let severity =
            if share >= case.thresholds.conntrack_critical { Severity::Critical } else { Severity::Warning };
        let before = case.before.and_then(|before| before.namespace(&state.namespace.label));
        let growth = before
            .and_then(|before| case.per_minute(sysctl(before, "net.netfilter.nf_conntrack_count")?, count));
        let mut finding = Finding::new(CONNTRACK.code, severity, Responsible::Configuration)
            .about(about(state, "net.netfilter.nf_conntrack_max"))
            .count(count)
            .number("conntrack_count", count, "flows")
            .number("conntrack_max", max, "flows")
            .with("share", Value::Percent(share))
            .growth(growth)
            .maybe(
                "established_timeout",
                sysctl(state, "net.netfilter.nf_conntrack_tcp_timeout_established")
                    .map(|s| Value::Ms(s.saturating_mul(1000))),
            );
        finding.fixes.extend(case.set_sysctl(
            "raise-conntrack",
            state,
            "net.netfilter.nf_conntrack_max",
            &max.saturating_mul(2).max(262_144).to_string(),
        ));
        if sysctl(state, "net.netfilter.nf_conntrack_tcp_timeout_established") > Some(86_400) {
            finding.fixes.extend(case.set_sysctl(
                "shorter-conntrack",
                state,
                "net.netfilter.nf_conntrack_tcp_timeout_established",
                "86400",
            ));
        }
        findings.push(finding.see(&[
            "Documentation/networking/nf_conntrack-sysctl.rst",
            "eleven explain net.netfilter.nf_conntrack_max",
        ]));
    }
    Judgement::of(findings, vec![seen("share", Value::Percent(most))])
}

fn judge_memory(case: &Case<'_>) -> Judgement {
    let mut findings = Vec::new();
    let (mut most, mut known) = (0.0_f64, false);
    for state in &case.after.namespaces {
        let (Some(pages), Some(pressure), Some(max)) = (
            sockstat(state, "mem"),
            sysctl_part(state, "net.ipv4.tcp_mem", 1),
            sysctl_part(state, "net.ipv4.tcp_mem", 2),
        ) else {
            continue;
        };
        known = true;
        let share = share(pages, pressure);
        most = most.max(share);
        let pressures = case.grown(state, "TCPMemoryPressures");
        let pruned = case.grown(state, "RcvPruned");
        if share < case.thresholds.memory_warning && pressures.unwrap_or(0) == 0 {
            continue;
        }
        let severity = if pages >= pressure { Severity::Critical } else { Severity::Warning };
        let raised = max.saturating_mul(2).max(pressure.saturating_mul(2));
        let finding = Finding::new(MEMORY.code, severity, Responsible::LocalKernel)
            .about(Subject { counter: Some("TCP.mem"), ..about(state, "net.ipv4.tcp_mem") })
            .count(pages)
            .number("memory", pages, "pages")
            .number("memory_pressure", pressure, "pages")
            .number("memory_max", max, "pages")
            .with("share", Value::Percent(share))
            .maybe("pressures", pressures)
            .maybe("pruned", pruned)
            .maybe(
                "ever_under_pressure",
                tcp_ext(state, "TCPMemoryPressures").map(|count| count.max(0) as u64),
            )
            .fix(
                "find-hoarder",
                Some(case.command_in(state, "eleven count --by process 'recvq > 100000 or sendq > 100000'")),
                true,
            );
        let mut finding = finding;
        let to = format!("{} {} {raised}", raised / 2, raised / 4 * 3);
        finding.fixes.extend(case.set_sysctl("raise-tcp-mem", state, "net.ipv4.tcp_mem", &to));
        findings.push(finding.see(&["tcp(7) tcp_mem", "eleven explain net.ipv4.tcp_mem"]));
        // There is one account for all namespaces: once is enough.
        break;
    }
    if !known {
        return Judgement::Undecided(vec![Missing::Counters]);
    }
    Judgement::of(findings, vec![seen("share", Value::Percent(most))])
}
