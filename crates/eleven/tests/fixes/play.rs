//! A fault, what the doctor says of it, its commands, and its end.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use eleven_testbed::namespace::Net;
use serde_json::Value;

use super::execute::{Done, Place, changes};
use super::texts;
use crate::support::program::{RunInside, run};

/// What was done in all scenes.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Commands that were executed.
    pub(super) executed: BTreeSet<String>,
    /// Those of them that changed something, which was seen.
    pub(super) changed: BTreeSet<String>,
    /// Those that were not, and why.
    pub(super) skipped: BTreeMap<String, String>,
    /// Keys of what can be done, of which a command was tried, or which have none.
    pub(super) fixes: BTreeSet<String>,
}

impl Tally {
    fn note(&mut self, command: &str, done: &Done) {
        match done {
            Done::Ran(_) => drop(self.executed.insert(command.to_owned())),
            Done::Changed => {
                self.executed.insert(command.to_owned());
                self.changed.insert(command.to_owned());
            }
            Done::Skipped(why) => drop(self.skipped.insert(command.to_owned(), why.clone())),
            Done::Word => {}
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.executed.extend(other.executed);
        self.changed.extend(other.changed);
        self.skipped.extend(other.skipped);
        self.fixes.extend(other.fixes);
    }
}

/// One scene.
pub(super) struct Play<'a> {
    code: &'static str,
    net: &'a Net,
    fill: BTreeMap<String, String>,
    finding: Value,
    /// Rows that commands showed while the fault was there.
    rows: BTreeMap<String, u64>,
    pub(super) tally: Tally,
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn without_port(socket: &str) -> &str {
    socket.rsplit_once(':').map_or(socket, |(address, _)| address).trim_matches(['[', ']'])
}

impl<'a> Play<'a> {
    fn without_finding(code: &'static str, net: &'a Net) -> Self {
        let (fill, rows) = (BTreeMap::new(), BTreeMap::new());
        Self { code, net, fill, finding: Value::Null, rows, tally: Tally::default() }
    }

    /// Asks the doctor about a namespace with a fault.
    #[track_caller]
    pub(super) fn of(code: &'static str, net: &'a Net, options: &[&str]) -> Self {
        let mut play = Self::without_finding(code, net);
        let found = (0..3).find_map(|_| play.found(options));
        play.take(found.unwrap_or_else(|| panic!("the doctor does not find {code}")));
        play
    }

    /// The same for a finding that was made otherwise.
    pub(super) fn with(code: &'static str, net: &'a Net, finding: Value) -> Self {
        let mut play = Self::without_finding(code, net);
        play.take(finding);
        play
    }

    fn found(&self, options: &[&str]) -> Option<Value> {
        let all: Vec<&str> = ["doctor", "--format", "json"].iter().chain(options).copied().collect();
        let Value::Array(findings) = self.net.eleven(&all).json() else { panic!("no array") };
        findings.into_iter().find(|finding| finding["code"] == self.code)
    }

    fn take(&mut self, finding: Value) {
        let subject = &finding["subject"];
        for evidence in finding["evidence"].as_array().into_iter().flatten() {
            self.fill.insert(word(&evidence["key"]), word(&evidence["value"]));
        }
        for key in ["pid", "process", "local", "remote", "sysctl"] {
            if !subject[key].is_null() {
                self.fill.insert(key.to_owned(), word(&subject[key]));
            }
        }
        let has = |key: &str| self.fill.get(key).cloned();
        let port = has("port").or_else(|| has("local")?.rsplit_once(':').map(|(_, port)| port.to_owned()));
        let address =
            has("remote").map(|remote| without_port(remote.split('/').next().unwrap_or(&remote)).to_owned());
        for (name, value) in [
            ("PID", has("pid")),
            ("PORT", port),
            ("ADDRESS", address),
            ("NAME", has("process")),
            ("DEV", Some("lo".to_owned())),
        ] {
            self.fill.extend(value.map(|value| (name.to_owned(), value)));
        }
        // Where nobody in particular is meant.
        for (name, value) in [
            ("PORT", "80"),
            ("ADDRESS", "127.0.0.1"),
            ("PID", &std::process::id().to_string()),
            ("UNIT", "x"),
        ] {
            self.fill.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        }
        self.finding = finding;
    }

    /// Says what a word in the texts stands for.
    pub(super) fn set(mut self, name: &str, value: &dyn ToString) -> Self {
        self.fill.insert(name.to_owned(), value.to_string());
        self
    }

    pub(super) fn finding(&self) -> &Value {
        &self.finding
    }

    fn place(&self) -> Place<'_> {
        Place { net: self.net, fill: &self.fill }
    }

    /// Commands of the finding, with the keys of their texts.
    fn fixes(&self) -> Vec<(String, Option<String>)> {
        let texts = eleven_knowledge::DoctorTexts::of(eleven_knowledge::Language::English);
        let key = |what: &str| {
            texts::fixes().into_iter().find(|key| {
                let text = texts.fix(key).map(|text| text.what.clone()).unwrap_or_default();
                let fixed = text.split(['{', '[']).next().unwrap_or_default();
                if fixed.len() == text.len() { text == what } else { what.starts_with(fixed) }
            })
        };
        let fixes = self.finding["fixes"].as_array().expect("a list");
        fixes
            .iter()
            .map(|fix| {
                let what = fix["what"].as_str().expect("a text");
                let key = key(what).unwrap_or_else(|| panic!("no text has `{what}`"));
                (key, fix["command"].as_str().map(str::to_owned))
            })
            .collect()
    }

    /// Executes everything that only looks, while the fault is there: it shows something.
    pub(super) fn look(mut self) -> Self {
        for (key, command) in self.fixes() {
            let Some(command) = command.filter(|command| !changes(command)) else {
                self.tally.fixes.insert(key);
                continue;
            };
            let done = self.place().execute(&command);
            if let Done::Ran(Some(rows)) = done {
                assert!(rows > 0, "{}: `{command}` ({key}) shows nothing", self.code);
            }
            self.tally.note(&command, &done);
            self.tally.fixes.insert(key);
        }
        let verify = texts::that_verify(self.code);
        for text in texts::of_code(self.code).into_iter().filter(|text| !changes(text)) {
            let done = self.place().quoted(&text);
            if let Done::Ran(Some(rows)) = done {
                assert!(rows > 0 || verify.contains(&text), "{}: `{text}` shows nothing", self.code);
                self.rows.insert(text.clone(), rows);
            }
            self.tally.note(&text, &done);
        }
        self
    }

    /// Executes what the doctor proposes to change; what came of it was seen.
    pub(super) fn change(mut self) -> Self {
        for (key, command) in self.fixes() {
            if let Some(command) = command.filter(|command| changes(command)) {
                let done = self.place().execute(&command);
                self.tally.note(&command, &done);
                self.tally.fixes.insert(key);
            }
        }
        self
    }

    /// Executes the changes that the texts quote.
    pub(super) fn change_as_told(mut self) -> Self {
        for text in texts::of_code(self.code).into_iter().filter(|text| changes(text)) {
            let done = self.place().quoted(&text);
            self.tally.note(&text, &done);
        }
        self
    }

    /// The doctor finds no fault any more, or only what is worth no warning.
    #[track_caller]
    pub(super) fn gone(self, options: &[&str]) -> Self {
        let left = (0..3)
            .try_fold(None, |_, _| self.found(options).filter(|left| left["severity"] != "info").map(Some));
        assert!(left.is_none(), "{} is still there: {left:#?}", self.code);
        self
    }

    /// What the texts verify it with shows that it is gone: fewer rows, counters that stand still.
    #[track_caller]
    pub(super) fn verified(self) -> Self {
        self.verified_but(&[])
    }

    /// The same, with commands that go on showing what they showed, as their texts say.
    #[track_caller]
    pub(super) fn verified_but(self, stay: &[&str]) -> Self {
        let place = self.place();
        for text in texts::that_verify(self.code) {
            let command = place.filled(&text);
            if command.starts_with("nstat") {
                place.stands_still(&command);
                continue;
            }
            // What ss shows of a connection is to be read; the connection may well stay.
            let counts = command.starts_with("eleven ");
            if let (Done::Ran(Some(after)), Some(before), true) =
                (place.quoted(&text), self.rows.get(&text), counts)
            {
                let fewer = after < *before || after == 0 || stay.contains(&text.as_str());
                assert!(
                    fewer,
                    "{}: `{command}` showed {before}, and {after} when the fault was gone",
                    self.code
                );
            }
        }
        self
    }
}

/// A snapshot of a namespace, changed by hand where a test cannot make the fault, and judged.
pub(super) fn judged(code: &str, net: &Net, directory: &Path, change: impl Fn(&mut Value)) -> Value {
    let path = directory.join("changed.json");
    let path = path.to_str().expect("a plain path");
    net.eleven(&["snapshot", "-o", path]).done();
    let text = std::fs::read_to_string(path).expect("it was written");
    let mut snapshot: Value = serde_json::from_str(&text).expect("JSON");
    change(&mut snapshot);
    std::fs::write(path, snapshot.to_string()).expect("there is room");
    let findings = run(&["doctor", "--format", "json", "--from", path]).json();
    let found = findings.as_array().expect("an array").iter().find(|finding| finding["code"] == code);
    found.unwrap_or_else(|| panic!("{code} is not found: {findings:#}")).clone()
}
