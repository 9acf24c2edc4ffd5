//! `reset-unread-data`, `reset-after-close`, `refused-connections`: resets this kernel sends.

use eleven_snapshot::NamespaceState;

use crate::look::{tcp_ext, tcp_mib};
use crate::rule::seen;
use crate::{
    Case, Confidence, Finding, Judgement, Missing, Need, Responsible, Rule, Severity, Subject, Value,
};

pub(super) const UNREAD_DATA: Rule = Rule {
    code: "reset-unread-data",
    needs: &[Need::TwoLooks, Need::Counters],
    judge: |case| {
        judge(case, UNREAD_DATA.code, "TCPAbortOnClose", "TcpExt.TCPAbortOnClose", "read-before-close")
    },
};
pub(super) const AFTER_CLOSE: Rule = Rule {
    code: "reset-after-close",
    needs: &[Need::TwoLooks, Need::Counters],
    judge: |case| judge(case, AFTER_CLOSE.code, "TCPAbortOnData", "TcpExt.TCPAbortOnData", "close-in-order"),
};
pub(super) const REFUSED: Rule =
    Rule { code: "refused-connections", needs: &[Need::TwoLooks, Need::Counters], judge: judge_refused };

/// Events between the looks that are a habit: at least three, and so many a minute.
fn is_habit(case: &Case<'_>, count: u64) -> bool {
    let Some(elapsed) = case.elapsed_s() else { return false };
    count >= 3 && count as f64 * 60.0 / elapsed >= case.thresholds.resets_per_minute
}

fn about(state: &NamespaceState, counter: &'static str) -> Subject {
    Subject { netns: Some(state.namespace.label.clone()), counter: Some(counter), ..Subject::default() }
}

fn judge(
    case: &Case<'_>,
    code: &'static str,
    counter: &str,
    full: &'static str,
    fix: &'static str,
) -> Judgement {
    let mut findings = Vec::new();
    let mut total = 0;
    for state in &case.after.namespaces {
        if tcp_ext(state, counter).is_none() {
            return Judgement::Undecided(vec![Missing::Counters]);
        }
        let Some(grown) = case.grown(state, counter) else {
            return Judgement::Undecided(vec![Missing::SecondLook]);
        };
        total += grown;
        if !is_habit(case, grown) {
            continue;
        }
        let name = full.trim_start_matches("TcpExt.");
        findings.push(
            Finding::new(code, Severity::Warning, Responsible::LocalProgram)
                .about(about(state, full))
                .count(grown)
                .number("resets", grown, "connections")
                .with("rate", Value::PerMinute(grown as f64 * 60.0 / case.elapsed_s().unwrap_or(60.0)))
                .maybe(
                    "share_of_resets",
                    case.grown_mib(state, "OutRsts")
                        .filter(|all| *all > 0)
                        .map(|all| Value::Percent((grown as f64 * 100.0 / all as f64).min(100.0))),
                )
                .unsure(Confidence::Certain, &[Missing::Capture])
                .fix(
                    fix,
                    Some(case.command_in(state, "tcpdump -ni any 'tcp[tcpflags] & tcp-rst != 0'")),
                    true,
                )
                .fix(
                    "watch-counter",
                    Some(case.command_in(state, &format!("nstat -az TcpExt{name} TcpOutRsts"))),
                    true,
                )
                .see(&["RFC 2525 §2.17", "RFC 9293 §3.10.4", "close(2)"]),
        );
    }
    Judgement::of(findings, vec![seen("resets", total)])
}

fn judge_refused(case: &Case<'_>) -> Judgement {
    let mut findings = Vec::new();
    let mut total = 0;
    for state in &case.after.namespaces {
        if tcp_mib(state, "OutRsts").is_none() {
            return Judgement::Undecided(vec![Missing::Counters]);
        }
        let Some(sent) = case.grown_mib(state, "OutRsts") else {
            return Judgement::Undecided(vec![Missing::SecondLook]);
        };
        // Resets with another reason have counters of their own.
        let explained: u64 = [
            "TCPAbortOnClose",
            "TCPAbortOnData",
            "TCPAbortOnMemory",
            "TCPAbortOnTimeout",
            "TCPAbortOnLinger",
            "TCPAbortFailed",
            "ListenOverflows",
        ]
        .into_iter()
        .filter_map(|name| case.grown(state, name))
        .sum();
        let refused = sent.saturating_sub(explained);
        total += refused;
        if !is_habit(case, refused) {
            continue;
        }
        // Our own attempts that fail at once: both ends are here.
        let failed = case.grown_mib(state, "AttemptFails").unwrap_or(0);
        let mut finding = Finding::new(REFUSED.code, Severity::Warning, Responsible::Configuration)
            .about(about(state, "Tcp.OutRsts"))
            .count(refused)
            .number("resets", refused, "segments")
            .with("rate", Value::PerMinute(refused as f64 * 60.0 / case.elapsed_s().unwrap_or(60.0)))
            .number("attempts_failed", failed, "connections")
            .unsure(
                if failed * 2 >= refused { Confidence::Likely } else { Confidence::Possible },
                &[Missing::Capture],
            )
            .fix(
                "which-port",
                Some(case.command_in(state, "tcpdump -c 20 -ni any 'tcp[13] & 0x14 = 0x14'")),
                true,
            )
            .fix("start-service", Some(case.command_in(state, "eleven list 'state listening'")), true)
            .see(&["RFC 9293 §3.10.7.1", "connect(2) ECONNREFUSED"]);
        if failed * 2 >= refused {
            finding = finding.variant("from-here");
        }
        findings.push(finding);
    }
    Judgement::of(findings, vec![seen("resets", total)])
}
