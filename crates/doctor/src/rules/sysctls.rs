//! `harmful-sysctl`: values known to do damage, and the folklore that sets them.

use eleven_snapshot::NamespaceState;

use crate::look::sysctl;
use crate::rule::seen;
use crate::rules::ports;
use crate::{Case, Finding, Judgement, Missing, Need, Responsible, Rule, Severity, Subject, Thresholds};

pub(super) const HARMFUL: Rule = Rule { code: "harmful-sysctl", needs: &[Need::Sysctls], judge };

/// A setting that is recommended widely and does harm, or nothing.
#[derive(Clone, Copy, Debug)]
pub struct Folklore {
    /// Dotted name.
    pub sysctl: &'static str,
    /// Whether a value is the harmful one.
    pub is_harmful: fn(u64) -> bool,
    /// Key of the reason among the texts of `harmful-sysctl`.
    pub reason: &'static str,
}

/// Changes that are refused by name, whoever asks for them.
pub static FOLKLORE: &[Folklore] = &[
    Folklore { sysctl: "net.ipv4.tcp_tw_recycle", is_harmful: |value| value != 0, reason: "tw-recycle" },
    Folklore { sysctl: "net.ipv4.tcp_syncookies", is_harmful: |value| value == 0, reason: "syncookies" },
    Folklore {
        sysctl: "net.ipv4.tcp_abort_on_overflow",
        is_harmful: |value| value != 0,
        reason: "abort-on-overflow",
    },
    Folklore { sysctl: "net.ipv4.tcp_timestamps", is_harmful: |value| value == 0, reason: "timestamps" },
    Folklore {
        sysctl: "net.ipv4.tcp_max_tw_buckets",
        is_harmful: |value| value < 4096,
        reason: "tw-buckets",
    },
    Folklore { sysctl: "net.ipv4.tcp_fin_timeout", is_harmful: |value| value < 5, reason: "fin-timeout" },
    Folklore { sysctl: "net.ipv4.tcp_retries2", is_harmful: |value| value < 8, reason: "retries2-low" },
    Folklore { sysctl: "net.ipv4.tcp_sack", is_harmful: |value| value == 0, reason: "sack" },
    Folklore {
        sysctl: "net.ipv4.tcp_window_scaling",
        is_harmful: |value| value == 0,
        reason: "window-scaling",
    },
];

/// A value that stands wrong: sysctl, reason, severity, value to put back.
type Wrong = (&'static str, &'static str, Severity, &'static str);

fn wrong(state: &NamespaceState, limits: &Thresholds) -> Vec<Wrong> {
    let value = |name: &str| sysctl(state, name);
    let mut found: Vec<Wrong> = Vec::new();
    let mut check = |is_wrong: bool, wrong: Wrong| {
        if is_wrong {
            found.push(wrong);
        }
    };
    check(
        value("net.ipv4.tcp_tw_recycle") > Some(0),
        ("net.ipv4.tcp_tw_recycle", "tw-recycle", Severity::Critical, "0"),
    );
    check(
        value("net.ipv4.tcp_syncookies") == Some(0),
        ("net.ipv4.tcp_syncookies", "syncookies", Severity::Warning, "1"),
    );
    check(
        value("net.ipv4.tcp_abort_on_overflow") > Some(0),
        ("net.ipv4.tcp_abort_on_overflow", "abort-on-overflow", Severity::Warning, "0"),
    );
    // Without timestamps there is no PAWS; with tw_reuse=1 the setting is void as well.
    check(
        value("net.ipv4.tcp_timestamps") == Some(0),
        (
            "net.ipv4.tcp_timestamps",
            if value("net.ipv4.tcp_tw_reuse") == Some(1) { "timestamps-reuse" } else { "timestamps" },
            if value("net.ipv4.tcp_tw_reuse") == Some(1) { Severity::Warning } else { Severity::Info },
            "1",
        ),
    );
    check(
        value("net.ipv4.tcp_max_tw_buckets").is_some_and(|buckets| buckets < limits.tiny_tw_buckets),
        ("net.ipv4.tcp_max_tw_buckets", "tw-buckets", Severity::Warning, "262144"),
    );
    check(
        value("net.ipv4.tcp_retries2").is_some_and(|retries| retries < 8),
        ("net.ipv4.tcp_retries2", "retries2-low", Severity::Warning, "15"),
    );
    check(
        value("net.ipv4.tcp_retries2").is_some_and(|retries| retries > 20),
        ("net.ipv4.tcp_retries2", "retries2-high", Severity::Warning, "15"),
    );
    check(value("net.ipv4.tcp_sack") == Some(0), ("net.ipv4.tcp_sack", "sack", Severity::Warning, "1"));
    check(
        value("net.ipv4.tcp_window_scaling") == Some(0),
        ("net.ipv4.tcp_window_scaling", "window-scaling", Severity::Warning, "1"),
    );
    check(
        value("net.ipv4.tcp_fin_timeout").is_some_and(|seconds| seconds < 5),
        ("net.ipv4.tcp_fin_timeout", "fin-timeout", Severity::Info, "60"),
    );
    found
}

fn judge(case: &Case<'_>) -> Judgement {
    if case.after.namespaces.iter().all(|state| state.sysctls.is_empty()) {
        return Judgement::Undecided(vec![Missing::Sysctls]);
    }
    let mut findings = Vec::new();
    let mut looked_at = 0;
    for state in &case.after.namespaces {
        looked_at += state.sysctls.len() as u64;
        for (name, reason, severity, to) in wrong(state, &case.thresholds) {
            let subject = Subject {
                netns: Some(state.namespace.label.clone()),
                sysctl: Some(name),
                ..Subject::default()
            };
            let mut finding = Finding::new(HARMFUL.code, severity, Responsible::Configuration)
                .variant(reason)
                .about(subject)
                .count(1)
                .maybe("value", state.sysctls.get(name).cloned())
                .with("default", to);
            finding.fixes.extend(case.set_sysctl("put-back", state, name, to));
            finding = finding.fix(
                "delete-line",
                Some(format!(
                    "grep -rns {} /etc/sysctl.conf /etc/sysctl.d /run/sysctl.d /usr/lib/sysctl.d",
                    name.rsplit('.').next().unwrap_or(name)
                )),
                true,
            );
            // Ports have run out although somebody has asked for their reuse: this is why.
            let exhausted = (reason == "timestamps-reuse").then(|| ports::severity(case, state)).flatten();
            if let Some(exhausted) = exhausted.filter(|exhausted| *exhausted > Severity::Info) {
                finding = finding.variant("timestamps-exhausted");
                (finding.severity, finding.leads) = (exhausted, true);
            }
            findings.push(finding.see(&["Documentation/networking/ip-sysctl.rst"]));
        }
    }
    Judgement::of(findings, vec![seen("sysctls", looked_at)])
}
