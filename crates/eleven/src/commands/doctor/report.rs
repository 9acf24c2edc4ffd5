//! A finding in words: the contract of the command line.

use std::collections::BTreeMap;

use eleven_doctor::{Confidence, Finding, Missing, Responsible, Severity, Subject, Value};
use eleven_knowledge::{DoctorTexts, fill, keep_known};
use serde::Serialize;

use crate::text;

/// Heading of CSV.
pub(super) const CSV_HEADING: [&str; 11] = [
    "code",
    "severity",
    "title",
    "responsible",
    "count",
    "netns",
    "process",
    "pid",
    "local",
    "remote",
    "verify",
];

/// A finding as it is printed, in one language.
#[derive(Serialize)]
pub(in crate::commands) struct Report<'a> {
    pub(super) code: &'static str,
    pub(super) severity: Severity,
    pub(super) confidence: Confidence,
    pub(super) title: String,
    pub(super) subject: &'a Subject,
    pub(super) count: u64,
    pub(super) evidence: Vec<ReportEvidence>,
    pub(super) cause: String,
    pub(super) responsible: Responsible,
    pub(super) fixes: Vec<ReportFix>,
    pub(super) verify: String,
    pub(super) references: &'static [&'static str],
    pub(super) growth_per_minute: Option<f64>,
    pub(super) missing: Vec<String>,
}

/// A number and what it is.
#[derive(Serialize)]
pub(super) struct ReportEvidence {
    pub(super) what: String,
    pub(super) value: serde_json::Value,
    pub(super) unit: Option<&'static str>,
    /// The same in every language, for scripts.
    pub(super) key: &'static str,
    #[serde(skip)]
    pub(super) text: String,
}

/// Something to do.
#[derive(Serialize)]
pub(super) struct ReportFix {
    pub(super) what: String,
    pub(super) command: Option<String>,
    pub(super) reversible: bool,
    pub(super) risk: String,
    /// The value that a sysctl has now.
    pub(super) current: Option<String>,
}

impl<'a> Report<'a> {
    pub(in crate::commands) fn of(finding: &'a Finding, texts: &DoctorTexts) -> Self {
        let values = Values::of(finding, texts);
        let (code, variant) = (finding.code, finding.variant);
        let evidence = finding
            .evidence
            .iter()
            .map(|evidence| ReportEvidence {
                what: texts.evidence(evidence.key).unwrap_or(evidence.key).to_owned(),
                value: json(&evidence.value),
                unit: unit(&evidence.value, evidence.unit),
                key: evidence.key,
                text: words(&evidence.value, evidence.unit, texts),
            })
            .collect();
        let fixes = finding
            .fixes
            .iter()
            .map(|fix| {
                let own = texts.fix(fix.key).cloned().unwrap_or_default();
                ReportFix {
                    what: values.fill(&own.what),
                    command: fix.command.clone(),
                    reversible: fix.reversible,
                    risk: own.risk,
                    current: fix.change.as_ref().map(|change| change.from.clone()),
                }
            })
            .collect();
        Self {
            code,
            severity: finding.severity,
            confidence: finding.confidence,
            title: values.fill(texts.title(code, variant).unwrap_or(code)),
            subject: &finding.subject,
            count: finding.count,
            evidence,
            cause: values.fill(texts.cause(code, variant).unwrap_or_default()),
            responsible: finding.responsible,
            fixes,
            verify: led_inside(
                &values.fill(texts.verify(code, variant).unwrap_or_default()),
                &finding.inside,
            ),
            references: finding.references,
            growth_per_minute: finding.growth_per_minute.map(|growth| (growth * 10.0).round() / 10.0),
            missing: finding.missing.iter().map(|missing| missing_text(*missing, texts)).collect(),
        }
    }

    pub(super) fn csv(&self) -> Vec<String> {
        let subject = self.subject;
        vec![
            self.code.to_owned(),
            key_of(&self.severity),
            self.title.clone(),
            key_of(&self.responsible),
            self.count.to_string(),
            subject.netns.as_deref().unwrap_or_default().to_owned(),
            subject.process.as_deref().unwrap_or_default().to_owned(),
            subject.pid.map_or_else(String::new, |pid| pid.to_string()),
            subject.local.clone().unwrap_or_default(),
            subject.remote.clone().unwrap_or_default(),
            self.verify.clone(),
        ]
    }
}

/// A sentence whose commands in backticks are led into a namespace, those that look at the one they run in.
fn led_inside(sentence: &str, inside: &str) -> String {
    const LOOKING: [&str; 7] = [
        "eleven list ",
        "eleven count ",
        "eleven keepalive",
        "nstat ",
        "sysctl ",
        "ss ",
        "grep TCP: /proc/net/",
    ];
    if inside.is_empty() {
        return sentence.to_owned();
    }
    let parts = sentence.split('`').enumerate().map(|(index, part)| {
        let is_command = index % 2 == 1 && LOOKING.iter().any(|start| part.starts_with(start));
        if is_command { format!("{inside}{part}") } else { part.to_owned() }
    });
    parts.collect::<Vec<_>>().join("`")
}

/// The word of an enum as JSON has it.
pub(super) fn key_of(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

/// What would settle a question, as a sentence.
pub(super) fn missing_text(missing: Missing, texts: &DoctorTexts) -> String {
    texts.missing(missing.key()).unwrap_or(missing.key()).to_owned()
}

/// Names in braces and what stands for them.
struct Values {
    values: BTreeMap<&'static str, String>,
    /// What begins a sentence for a program that cannot be seen: a name is written as it is.
    nobody: Option<String>,
}

impl Values {
    fn of(finding: &Finding, texts: &DoctorTexts) -> Self {
        let mut values: BTreeMap<&'static str, String> = BTreeMap::new();
        for evidence in &finding.evidence {
            values.insert(evidence.key, words(&evidence.value, None, texts));
        }
        let subject = &finding.subject;
        let clean = |text: &str| text::printable(text).into_owned();
        let mut nobody = None;
        let holder = match (subject.pid, subject.process.as_deref()) {
            (Some(pid), Some(process)) => format!("{} (pid {pid})", clean(process)),
            (Some(pid), None) => format!("pid {pid}"),
            _ => {
                let word = texts.word("nobody");
                let mut letters = word.chars();
                nobody = letters.next().map(|first| format!("{}{}", first.to_uppercase(), letters.as_str()));
                word.to_owned()
            }
        };
        values.insert("holder", holder);
        values.insert("count", text::thousands(finding.count));
        let mut add = |name, value: Option<String>| {
            if let Some(value) = value {
                values.insert(name, clean(&value));
            }
        };
        add("pid", subject.pid.map(|pid| pid.to_string()));
        add("local", subject.local.clone());
        add("remote", subject.remote.clone());
        add("sysctl", subject.sysctl.map(str::to_owned));
        add("netns", subject.netns.as_deref().map(str::to_owned));
        Self { values, nobody }
    }

    fn fill(&self, text: &str) -> String {
        let mut kept = keep_known(text, |name| self.values.contains_key(name));
        if let Some(nobody) = &self.nobody {
            kept = kept.replace(". {holder}", &format!(". {nobody}"));
            if let Some(rest) = kept.strip_prefix("{holder}") {
                kept = format!("{nobody}{rest}");
            }
        }
        text::numbered(&fill(&kept, |name| self.values.get(name).cloned().unwrap_or_else(|| "?".to_owned())))
    }
}

/// A number to one decimal, which vanishes when it is nought.
fn short(number: f64) -> String {
    if number.abs() >= 10.0 || number.fract() == 0.0 {
        format!("{number:.0}")
    } else {
        format!("{number:.1}")
    }
}

/// A value as a person reads it.
pub(in crate::commands) fn words(value: &Value, unit: Option<&'static str>, texts: &DoctorTexts) -> String {
    match value {
        Value::Count(count) => {
            let unit = unit.filter(|unit| matches!(*unit, "bytes" | "KiB" | "ms" | "pages"));
            unit.map_or_else(|| text::thousands(*count), |unit| format!("{} {unit}", text::thousands(*count)))
        }
        Value::Plain(number) => number.to_string(),
        Value::Ms(ms) => text::duration(*ms),
        Value::PerMinute(rate) => {
            let sign = if *rate > 0.0 { "+" } else { "" };
            let number = if rate.abs() >= 1000.0 { text::thousands(rate.abs() as u64) } else { short(*rate) };
            let sign = if *rate <= -1000.0 { "-" } else { sign };
            format!("{sign}{number}/{}", texts.word("minutes"))
        }
        Value::Percent(share) => format!("{} %", short(*share)),
        Value::Minutes(minutes) => text::duration((minutes.min(1e9) * 60_000.0) as u64),
        Value::Text(text) => text::printable(text).into_owned(),
    }
}

fn json(value: &Value) -> serde_json::Value {
    let round = |number: f64| (number * 10.0).round() / 10.0;
    match value {
        Value::Count(count) | Value::Plain(count) | Value::Ms(count) => (*count).into(),
        Value::PerMinute(number) | Value::Percent(number) | Value::Minutes(number) => round(*number).into(),
        Value::Text(text) => text.as_str().into(),
    }
}

fn unit(value: &Value, unit: Option<&'static str>) -> Option<&'static str> {
    match value {
        Value::Count(_) => unit,
        Value::Ms(_) => Some("ms"),
        Value::PerMinute(_) => Some("per_minute"),
        Value::Percent(_) => Some("%"),
        Value::Minutes(_) => Some("min"),
        Value::Text(_) | Value::Plain(_) => None,
    }
}

/// Evidence in a line: `sockets in CLOSE_WAIT 3, growth +2/min`.
pub(super) fn line(evidence: &[eleven_doctor::Evidence], texts: &DoctorTexts) -> String {
    let words: Vec<String> = evidence
        .iter()
        .map(|evidence| {
            let name = texts.evidence(evidence.key).unwrap_or(evidence.key);
            format!("{name} {}", words(&evidence.value, evidence.unit, texts))
        })
        .collect();
    words.join(", ")
}
