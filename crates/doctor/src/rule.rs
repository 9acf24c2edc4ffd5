//! Rules, and what they answer.

use std::cmp::Reverse;

use crate::{Case, Evidence, Finding, Missing, RULES, Value};

/// What a rule has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Need {
    /// A second look, for rates and for what stands still.
    TwoLooks,
    /// The kernel's counters.
    Counters,
    /// Who owns sockets.
    Owners,
    /// `struct tcp_info` of every socket.
    TcpInfo,
    /// Sysctls of the namespaces.
    Sysctls,
}

/// One fault that can be recognised.
pub struct Rule {
    /// Its code.
    pub code: &'static str,
    /// What it has to know to be sure; with less it may still find.
    pub needs: &'static [Need],
    /// Judges.
    pub(crate) judge: fn(&Case<'_>) -> Judgement,
}

/// What a rule answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Judgement {
    /// The fault is there.
    Found(Vec<Finding>),
    /// It is not, on these numbers.
    Passed(Vec<Evidence>),
    /// It cannot be told; this would settle it.
    Undecided(Vec<Missing>),
}

impl Judgement {
    /// Found, or else passed on these numbers.
    pub(crate) fn of(findings: Vec<Finding>, otherwise: Vec<Evidence>) -> Self {
        if findings.is_empty() { Self::Passed(otherwise) } else { Self::Found(findings) }
    }
}

/// A number on which a rule passed.
pub(crate) fn seen(key: &'static str, value: impl Into<Value>) -> Evidence {
    Evidence { key, value: value.into(), unit: None }
}

/// A rule and its answer.
pub struct Verdict {
    /// Which rule.
    pub rule: &'static Rule,
    /// Its answer.
    pub judgement: Judgement,
}

/// Lets the chosen rules judge. Findings come back worst first; of equal severity first those
/// that caused others, then those whose rule stands nearer to a root cause, then the more numerous.
pub fn judge(case: &Case<'_>, chosen: impl Fn(&Rule) -> bool) -> (Vec<Finding>, Vec<Verdict>) {
    let verdicts: Vec<Verdict> = RULES
        .iter()
        .filter(|rule| chosen(rule))
        .map(|rule| Verdict { rule, judgement: (rule.judge)(case) })
        .collect();
    let mut findings: Vec<(usize, Finding)> = Vec::new();
    for (rank, verdict) in verdicts.iter().enumerate() {
        if let Judgement::Found(found) = &verdict.judgement {
            findings.extend(found.iter().cloned().map(|mut finding| {
                finding.inside =
                    finding.subject.netns.as_deref().map_or_else(String::new, |label| case.inside(label));
                (rank, finding)
            }));
        }
    }
    findings.sort_by_key(|(rank, finding)| {
        (Reverse((finding.severity, finding.leads)), *rank, Reverse(finding.count))
    });
    (findings.into_iter().map(|(_, finding)| finding).collect(), verdicts)
}
