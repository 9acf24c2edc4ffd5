//! How doctor's findings are judged.

use serde_json::Value;

use crate::row::{Fault, Row, Who};

/// What a row showed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shown {
    /// Code of the first finding.
    pub(crate) first: Option<String>,
    /// Whether it names who must act; `None` where it is another finding.
    pub(crate) responsible: Option<bool>,
    /// Whether it names the process, the peer or the setting.
    pub(crate) who: Option<bool>,
    /// Codes above info that are not true.
    pub(crate) false_alarms: Vec<String>,
    /// Keys of the contract that a finding lacks.
    pub(crate) lacks: Vec<String>,
    /// What was not as expected, in words, for whoever has to mend it.
    pub(crate) notes: Vec<String>,
}

impl Shown {
    /// Whether everything is as it should be.
    pub(crate) fn is_right(&self, row: &Row) -> bool {
        let found = match &row.expected {
            None => true,
            Some(expected) => {
                self.first.as_deref() == Some(expected.code)
                    && self.responsible == Some(true)
                    && self.who == Some(true)
            }
        };
        found && self.false_alarms.is_empty() && self.lacks.is_empty()
    }
}

/// Compares findings with what a row expects.
pub(crate) fn judge(row: &Row, fault: &Fault, findings: &[Value]) -> Shown {
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    let mut shown = Shown::default();
    let is_loud = |finding: &&Value| finding["severity"] != "info";
    // Of a near miss nothing is expected, so it does not matter what comes first as information.
    shown.first =
        findings.first().filter(|it| row.expected.is_some() || is_loud(it)).map(|it| text(it, "code"));
    for finding in findings.iter().filter(is_loud) {
        let code = text(finding, "code");
        let is_true = row.expected.is_some_and(|expected| expected.code == code)
            || row.allowed.contains(&code.as_str());
        if !is_true && !shown.false_alarms.contains(&code) {
            shown.notes.push(format!("{code}: {}", text(finding, "title")));
            shown.false_alarms.push(code);
        }
    }
    for finding in findings {
        shown.lacks.extend(lacks(finding));
    }
    let Some(expected) = row.expected else { return shown };
    let Some(first) = findings.first().filter(|first| first["code"] == expected.code) else {
        let later = findings.iter().any(|finding| finding["code"] == expected.code);
        shown.notes.push(if later { "found, but not first" } else { "not found" }.to_owned());
        return shown;
    };
    shown.responsible = Some(first["responsible"] == expected.responsible);
    if shown.responsible == Some(false) {
        shown.notes.push(format!("responsible is {}, not {}", first["responsible"], expected.responsible));
    }
    shown.who = Some(names(&first["subject"], expected.who, fault));
    if shown.who == Some(false) {
        shown.notes.push(format!("subject is {}", first["subject"]));
    }
    shown
}

/// Whether a subject names what it has to.
fn names(subject: &Value, who: Who, fault: &Fault) -> bool {
    let is_address = |key: &str, wanted: &str| {
        subject[key].as_str().is_some_and(|found| {
            // An address stands for all its ports.
            found == wanted
                || found.strip_prefix(wanted).is_some_and(|rest| rest.starts_with(':'))
                || found.strip_suffix(wanted).is_some_and(|_| wanted.starts_with(':'))
        })
    };
    let is_ours = || {
        let pid = subject["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
        pid.is_some_and(|pid| fault.pids.contains(&pid))
    };
    match who {
        Who::Process => is_ours(),
        Who::Remote(remote) => is_address("remote", remote),
        Who::Local(local) => is_address("local", local),
        Who::Named => {
            (fault.pids.is_empty() || is_ours())
                && fault.remote.as_ref().is_none_or(|remote| is_address("remote", remote))
        }
        Who::Sysctl(name) => subject["sysctl"] == name,
        Who::Host => subject["netns"].is_string(),
    }
}

/// What a person who reads only this finding would miss: subject, number, responsible party, next command.
fn lacks(finding: &Value) -> Vec<String> {
    let code = finding["code"].as_str().unwrap_or("?");
    let mut lacks = Vec::new();
    for key in ["title", "cause", "responsible", "verify", "severity"] {
        let text = finding[key].as_str().unwrap_or_default();
        if text.is_empty() || text.contains(['{', '?']) || text.contains("[[") {
            lacks.push(format!("{code}: {key} `{text}`"));
        }
    }
    if finding["count"].as_u64().unwrap_or(0) == 0 {
        lacks.push(format!("{code}: a number"));
    }
    let subject = finding["subject"].as_object();
    if subject.is_none_or(|subject| subject.values().all(Value::is_null)) {
        lacks.push(format!("{code}: a subject"));
    }
    let fixes = finding["fixes"].as_array().map_or(&[][..], Vec::as_slice);
    // Of what is as it should be it is enough to know.
    if fixes.is_empty() && finding["severity"] != "info" {
        lacks.push(format!("{code}: something to do"));
    }
    let is_command = |text: &Value| text.as_str().is_some_and(|text| !text.is_empty());
    if !fixes.iter().any(|fix| is_command(&fix["command"]))
        && !finding["verify"].as_str().is_some_and(|verify| verify.contains('`'))
    {
        lacks.push(format!("{code}: a next command"));
    }
    lacks
}
