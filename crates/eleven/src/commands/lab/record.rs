//! What came of a scenario, for programs.

use std::path::Path;

use eleven_lab::evidence::{Evidence, What};
use eleven_lab::host::{PEER, SUBJECT};
use eleven_lab::{Backend, Outcome, Scenario};
use eleven_snapshot::Socket;
use serde::Serialize;

/// A result of `eleven lab run`.
#[derive(Serialize)]
pub(super) struct Record {
    scenario: &'static str,
    group: &'static str,
    backend: &'static str,
    promised: Vec<String>,
    witnessed: Vec<String>,
    reached: bool,
    elapsed_s: Option<f64>,
    skipped: Option<String>,
    capture: Option<String>,
    stopped: Option<String>,
    purpose: &'static str,
    look_at: &'static str,
    ended_by: &'static str,
    finding: Option<&'static str>,
    settings: Vec<SettingRecord>,
    subject_path: Vec<&'static str>,
    peer_path: Vec<&'static str>,
    steps: Vec<Step>,
    rows: Vec<Row>,
}

/// A value that a scenario sets.
#[derive(Serialize)]
pub(super) struct SettingRecord {
    name: String,
    value: String,
    usual: Option<&'static str>,
    why: Option<&'static str>,
}

impl SettingRecord {
    /// `tcp_fin_timeout = 3 (usually 60): seconds that …`.
    pub(super) fn sentence(&self) -> String {
        // A number of the scenario's own has no usual value.
        let usual = self.usual.filter(|usual| !usual.is_empty());
        let usually = usual.map_or_else(String::new, |usual| format!(" (usually {usual})"));
        let why = self.why.map_or_else(String::new, |why| format!(": {why}"));
        format!("{} = {}{usually}{why}", self.name, self.value)
    }
}

/// Something that happened, with both ends' states after it.
#[derive(Serialize)]
struct Step {
    at_s: f64,
    host: &'static str,
    what: &'static str,
    text: String,
    answer: Option<String>,
    subject: &'static str,
    peer: &'static str,
}

/// How an end looked when it had changed.
#[derive(Serialize)]
struct Row {
    at_s: f64,
    host: &'static str,
    state: &'static str,
    socket: Option<Socket>,
}

/// So many steps and rows are told.
const MOST: usize = 2_000;

impl Record {
    pub(super) fn new(backend: Backend, outcome: &Outcome, capture: Option<&Path>) -> Self {
        let evidence = &outcome.evidence;
        let path = |host| evidence.path(host).iter().map(|state| state.as_str()).collect();
        Self {
            promised: outcome.verdicts.iter().map(|verdict| verdict.promised.clone()).collect(),
            witnessed: outcome.verdicts.iter().map(|verdict| verdict.witnessed.clone()).collect(),
            reached: outcome.reached(),
            elapsed_s: Some(outcome.elapsed.as_secs_f64()),
            capture: capture.map(|path| path.display().to_string()),
            stopped: outcome.stopped.clone(),
            settings: settings(outcome.scenario, &outcome.settings),
            subject_path: path(SUBJECT),
            peer_path: path(PEER),
            steps: steps(evidence),
            rows: rows(evidence),
            ..Self::skipped(outcome.scenario, backend, None)
        }
    }

    /// Of a scenario that could not be played.
    pub(super) fn skipped(scenario: &'static Scenario, backend: Backend, why: Option<String>) -> Self {
        Self {
            scenario: scenario.name,
            group: scenario.group.as_str(),
            backend: backend.as_str(),
            promised: scenario.promises.iter().map(ToString::to_string).collect(),
            witnessed: Vec::new(),
            reached: false,
            elapsed_s: None,
            skipped: why,
            capture: None,
            stopped: None,
            purpose: scenario.purpose,
            look_at: scenario.look_at,
            ended_by: scenario.ended_by,
            finding: scenario.finding,
            settings: settings(scenario, &[]),
            subject_path: Vec::new(),
            peer_path: Vec::new(),
            steps: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// The names of [`Self::cells`].
    pub(super) const HEADING: [&'static str; 7] =
        ["scenario", "group", "backend", "reached", "elapsed_s", "skipped", "capture"];

    /// What of it fits a row.
    pub(super) fn cells(&self) -> [String; 7] {
        [
            self.scenario.to_owned(),
            self.group.to_owned(),
            self.backend.to_owned(),
            self.reached.to_string(),
            self.elapsed_s.map_or_else(String::new, |seconds| seconds.to_string()),
            self.skipped.clone().unwrap_or_default(),
            self.capture.clone().unwrap_or_default(),
        ]
    }
}

/// The settings of a scenario; `used` are those it was played with.
pub(super) fn settings(scenario: &Scenario, used: &[(String, String)]) -> Vec<SettingRecord> {
    let known = scenario.settings.iter().map(|setting| {
        let used = used.iter().find(|(name, _)| name == setting.name).map(|(_, value)| value.clone());
        SettingRecord {
            name: setting.name.to_owned(),
            value: used.unwrap_or_else(|| setting.value.to_owned()),
            usual: Some(setting.usual).filter(|usual| !usual.is_empty()),
            why: Some(setting.why),
        }
    });
    let added = used.iter().filter(|(name, _)| scenario.settings.iter().all(|setting| setting.name != name));
    let added = added.map(|(name, value)| SettingRecord {
        name: name.clone(),
        value: value.clone(),
        usual: None,
        why: None,
    });
    known.chain(added).collect()
}

fn steps(evidence: &Evidence) -> Vec<Step> {
    let mut states = ["CLOSED"; 2];
    let mut steps = Vec::new();
    for event in evidence.events.iter().take(MOST) {
        if let Some(state) = states.get_mut(event.host.0) {
            *state = event.after.as_str();
        }
        let passage = |number: usize| evidence.passages.get(number);
        let (what, text, answer) = match &event.what {
            What::Step(text) => ("step", text.clone(), None),
            What::Seen(text) => ("seen", text.clone(), None),
            What::Call { text, answer } => {
                let answer = answer.as_ref().map_or_else(ToString::to_string, Clone::clone);
                ("call", text.clone(), Some(answer))
            }
            What::Sent(number) => {
                let fate = passage(*number).map(|passage| match (passage.received, passage.held) {
                    (Some(_), _) => "arrives",
                    (None, true) => "held",
                    (None, false) => "lost",
                });
                let label = passage(*number).map_or_else(String::new, |passage| passage.label.clone());
                ("sent", label, fate.map(str::to_owned))
            }
            What::Received(number) => {
                ("received", passage(*number).map_or_else(String::new, |passage| passage.label.clone()), None)
            }
            What::ByItself => ("timer", String::new(), None),
        };
        steps.push(Step {
            at_s: Evidence::since_start(event.at).as_secs_f64(),
            host: event.host.name(),
            what,
            text,
            answer,
            subject: states[0],
            peer: states[1],
        });
    }
    steps
}

fn rows(evidence: &Evidence) -> Vec<Row> {
    let samples = evidence.samples.iter().filter(|sample| sample.host == SUBJECT).take(MOST);
    let row = samples.map(|sample| Row {
        at_s: Evidence::since_start(sample.at).as_secs_f64(),
        host: sample.host.name(),
        state: sample.state.as_str(),
        socket: sample.row.clone(),
    });
    row.collect()
}
