//! Looking a text up.
//!
//! The embedded files are valid, which tests prove; so a text that is not found is one
//! that does not exist.

use std::collections::BTreeMap;

use eleven_tcp::State;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::Language;
use crate::source::{
    ANOMALIES, ERRNO_FACTS, ERRNOS, FINDINGS, FLAGS, KILL, STATES, STORY, SYSCTL_FACTS, SYSCTLS, TRANSITIONS,
};

type Table<T> = BTreeMap<String, T>;

fn parse<T: DeserializeOwned>(source: &str) -> T {
    match toml::from_str(source) {
        Ok(table) => table,
        Err(error) => unreachable!("an embedded text is invalid: {error}"),
    }
}

/// A state: sentences for the engineer who sees it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateText {
    /// The meaning in at most 46 columns.
    pub short: String,
    /// What the state is.
    pub what: String,
    /// Who gets into it and how.
    pub enters: String,
    /// What ends it.
    pub ends: String,
    /// What many of them mean.
    pub pile: String,
    /// What to look at next.
    pub next: Vec<String>,
}

/// Text of a state.
pub fn state(state: State, language: Language) -> StateText {
    let mut table: Table<StateText> = parse(STATES.text(language));
    match table.remove(state.as_str()) {
        Some(text) => text,
        None => unreachable!("every state has a text, a test proves it"),
    }
}

/// A flag or a combination of flags.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CombinationText {
    /// What it means.
    pub what: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FlagTexts {
    flag: Table<CombinationText>,
    verdict: Table<CombinationText>,
    combination: Table<CombinationText>,
}

fn flags(language: Language) -> FlagTexts {
    parse(FLAGS.text(language))
}

/// What a single flag (`SYN`) means.
pub fn flag(name: &str, language: Language) -> Option<String> {
    flags(language).flag.remove(name).map(|text| text.what)
}

/// What a verdict (`legal`, `unusual`, `illegal`) means.
pub fn verdict(name: &str, language: Language) -> Option<String> {
    flags(language).verdict.remove(name).map(|text| text.what)
}

/// The story of a combination (`SYN+ACK`), for those that have one.
pub fn combination(name: &str, language: Language) -> Option<String> {
    flags(language).combination.remove(name).map(|text| text.what)
}

/// What a transition rule does, by its id.
pub fn transition(id: &str, language: Language) -> Option<String> {
    let mut table: Table<CombinationText> = parse(TRANSITIONS.text(language));
    table.remove(id).map(|text| text.what)
}

/// What is true of an errno in every language.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrnoFacts {
    /// Its number on Linux.
    pub number: i32,
    /// States in which it strikes, in netstat's spelling.
    pub states: Vec<String>,
}

/// An errno in TCP's terms.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrnoText {
    /// The C library's sentence.
    pub title: String,
    /// Which call returns it and what happened.
    pub when: String,
    /// What to check.
    pub check: Vec<String>,
}

/// Names of all errnos that have a text.
pub fn errno_names() -> Vec<String> {
    parse::<Table<ErrnoFacts>>(ERRNO_FACTS).into_keys().collect()
}

/// Name of the errno with this number.
pub fn errno_name(number: i32) -> Option<String> {
    let table: Table<ErrnoFacts> = parse(ERRNO_FACTS);
    table.into_iter().find(|(_, facts)| facts.number == number).map(|(name, _)| name)
}

/// An errno by name (`ECONNREFUSED`).
pub fn errno(name: &str, language: Language) -> Option<(ErrnoFacts, ErrnoText)> {
    let facts = parse::<Table<ErrnoFacts>>(ERRNO_FACTS).remove(name)?;
    let text = parse::<Table<ErrnoText>>(ERRNOS.text(language)).remove(name)?;
    Some((facts, text))
}

/// What is true of a sysctl in every language.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SysctlFacts {
    /// Default as the kernel prints it.
    pub default: String,
    /// Unit of the value.
    pub unit: Option<String>,
    /// First kernel that has it.
    pub since: Option<String>,
    /// First kernel that no longer has it.
    pub removed: Option<String>,
    /// The module that brings it, where the kernel proper does not have it.
    pub module: Option<String>,
    /// Whether every network namespace has its own value.
    #[serde(default)]
    pub per_namespace: bool,
    /// States it governs, in netstat's spelling.
    #[serde(default)]
    pub states: Vec<String>,
    /// The values a switch may take.
    #[serde(default)]
    pub values: Vec<String>,
}

/// A sysctl, explained.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SysctlText {
    /// What it does.
    pub what: String,
    /// When to touch it.
    pub raise: String,
    /// When not to.
    pub never: String,
}

/// Facts of all sysctls that have a text, by dotted name.
pub fn sysctls() -> BTreeMap<String, SysctlFacts> {
    parse(SYSCTL_FACTS)
}

/// A sysctl by dotted name (`net.ipv4.tcp_fin_timeout`).
pub fn sysctl(name: &str, language: Language) -> Option<(SysctlFacts, SysctlText)> {
    let facts = sysctls().remove(name)?;
    let text = parse::<Table<SysctlText>>(SYSCTLS.text(language)).remove(name)?;
    Some((facts, text))
}

/// A finding code of the doctor.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FindingText {
    /// The fault in one line.
    pub title: String,
    /// What is seen.
    pub seen: String,
    /// Why it comes about and who must act.
    pub cause: String,
    /// What helps.
    pub fix: String,
    /// How to verify that it did.
    pub verify: String,
}

/// Codes of all findings.
pub fn finding_codes() -> Vec<String> {
    parse::<Table<FindingText>>(FINDINGS.text(Language::English)).into_keys().collect()
}

/// A finding by code (`close-wait-leak`).
pub fn finding(code: &str, language: Language) -> Option<FindingText> {
    parse::<Table<FindingText>>(FINDINGS.text(language)).remove(code)
}

/// Something that a tracker notes about a segment: what is seen on the wire, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnomalyText {
    /// What is seen and what it means.
    pub what: String,
    /// Who must act: a program, a host, the network, a middlebox, or nobody.
    pub who: String,
    /// What to look at next.
    pub next: Vec<String>,
}

/// Names of all anomalies.
pub fn anomaly_names() -> Vec<String> {
    parse::<Table<AnomalyText>>(ANOMALIES.text(Language::English)).into_keys().collect()
}

/// An anomaly by name (`zero-window`).
pub fn anomaly(name: &str, language: Language) -> Option<AnomalyText> {
    parse::<Table<AnomalyText>>(ANOMALIES.text(language)).remove(name)
}

/// A sentence of the story of a flow, or a word of it, by key (`opened`, `side-client`). Its
/// placeholders (`{client}`) are for [`fill`](crate::fill).
pub fn story(key: &str, language: Language) -> Option<String> {
    parse::<Table<String>>(STORY.text(language)).remove(key)
}

/// What follows when a socket is closed from outside.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KillText {
    /// What its program sees.
    pub program: String,
    /// What its peer sees.
    pub peer: String,
}

/// What follows when a socket in this state is closed from outside.
pub fn kill(state: State, language: Language) -> KillText {
    let mut table: Table<KillText> = parse(KILL.text(language));
    match table.remove(state.as_str()) {
        Some(text) => text,
        None => unreachable!("every state has a text, a test proves it"),
    }
}
