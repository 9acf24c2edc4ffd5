//! The texts are whole: every language has the same keys, every rule, state and flag its text,
//! and every sysctl that a sentence names a value.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use eleven_knowledge::{
    Language, anomaly, anomaly_names, errno, errno_names, state, story, sysctl, sysctls, transition,
};
use eleven_tcp::State;

const SUBJECTS: [&str; 10] = [
    "states.toml",
    "flags.toml",
    "transitions.toml",
    "errnos.toml",
    "sysctls.toml",
    "findings.toml",
    "anomalies.toml",
    "story.toml",
    "kill.toml",
    "doctor.toml",
];

/// The sentences whose placeholders are words that the caller fills in, not sysctls.
const STORY: &str = "story.toml";
/// Its sentences are filled with the numbers of a finding.
const DOCTOR: &str = "doctor.toml";

fn table(directory: &str, file: &str) -> toml::Table {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("texts").join(directory).join(file);
    let text = std::fs::read_to_string(&path).expect("the file exists");
    toml::from_str(&text).unwrap_or_else(|error| panic!("{directory}/{file}: {error}"))
}

/// Every key with its path, and whether it holds a sentence, a list or a table.
fn keys(table: &toml::Table, prefix: &str, found: &mut BTreeSet<String>) {
    for (key, value) in table {
        let path = format!("{prefix}/{key}");
        match value {
            toml::Value::Table(inner) => keys(inner, &path, found),
            toml::Value::Array(items) => {
                found.insert(format!("{path}[{}]", items.len()));
            }
            _ => {
                found.insert(path);
            }
        }
    }
}

fn sentences<'a>(table: &'a toml::Table, found: &mut Vec<&'a str>) {
    for value in table.values() {
        match value {
            toml::Value::String(text) => found.push(text),
            toml::Value::Array(items) => found.extend(items.iter().filter_map(toml::Value::as_str)),
            toml::Value::Table(inner) => sentences(inner, found),
            _ => {}
        }
    }
}

#[test]
fn every_state_can_be_killed_knowingly() {
    for state in State::ALL {
        for language in [Language::English, Language::SimplifiedChinese] {
            let text = eleven_knowledge::kill(state, language);
            assert!(!text.program.is_empty() && !text.peer.is_empty(), "{state}");
        }
    }
}

#[test]
fn both_languages_have_the_same_keys() {
    for file in SUBJECTS {
        let [mut english, mut chinese] = [BTreeSet::new(), BTreeSet::new()];
        keys(&table("en", file), "", &mut english);
        keys(&table("zh-CN", file), "", &mut chinese);
        assert_eq!(english, chinese, "{file}");
    }
}

/// The placeholders of every sentence that has some, by its key with its path.
fn placeholders(table: &toml::Table, prefix: &str, found: &mut BTreeMap<String, BTreeSet<String>>) {
    for (key, value) in table {
        let path = format!("{prefix}/{key}");
        if let toml::Value::Table(inner) = value {
            placeholders(inner, &path, found);
            continue;
        }
        let own = toml::Table::from_iter([(key.clone(), value.clone())]);
        let mut texts = Vec::new();
        sentences(&own, &mut texts);
        let mut names = BTreeSet::new();
        for text in texts {
            eleven_knowledge::fill(text, |name| {
                names.insert(name.to_owned());
                String::new()
            });
        }
        if !names.is_empty() {
            found.insert(path, names);
        }
    }
}

#[test]
fn both_languages_have_the_same_placeholders() {
    for file in SUBJECTS {
        let [mut english, mut chinese] = [BTreeMap::new(), BTreeMap::new()];
        placeholders(&table("en", file), "", &mut english);
        placeholders(&table("zh-CN", file), "", &mut chinese);
        assert_eq!(english, chinese, "{file}");
    }
}

#[test]
fn a_story_leaves_no_brace_behind() {
    for language in Language::ALL {
        for key in table("en", STORY).keys() {
            let sentence = story(key, language).expect("both languages have the same keys");
            let filled = eleven_knowledge::fill(&sentence, |_| "x".to_owned());
            assert!(!filled.contains(['{', '}']), "{key} in {language}: {filled}");
            // A side is a word in lower case and cannot begin an English sentence.
            assert!(language != Language::English || !sentence.starts_with("{side}"), "{key}: {sentence}");
        }
        assert_eq!(story("once-upon-a-time", language), None);
    }
}

#[test]
fn every_anomaly_is_told_in_both_languages() {
    let names = anomaly_names();
    assert!(names.iter().any(|name| name == "zero-window"));
    for language in Language::ALL {
        for name in &names {
            let text = anomaly(name, language).expect("both languages have the same keys");
            assert!(!text.next.is_empty(), "{name} in {language}");
            // It stands in stories of connections between other hosts as well.
            assert!(!text.what.contains('{'), "{name} in {language}: {}", text.what);
        }
        assert_eq!(anomaly("boredom", language), None);
    }
}

#[test]
fn facts_and_texts_have_the_same_names() {
    for file in ["errnos.toml", "sysctls.toml"] {
        let facts: Vec<_> = table("facts", file).keys().cloned().collect();
        let texts: Vec<_> = table("en", file).keys().cloned().collect();
        assert_eq!(facts, texts, "{file}");
    }
}

#[test]
fn sentences_are_whole_paragraphs() {
    for language in Language::ALL {
        for file in SUBJECTS {
            let table = table(language.tag(), file);
            let mut found = Vec::new();
            sentences(&table, &mut found);
            assert!(!found.is_empty(), "{file}");
            for sentence in found {
                assert_eq!(sentence.trim(), sentence, "{file}");
                assert!(!sentence.is_empty() && !sentence.contains('\n'), "{file}: {sentence}");
                assert!(sentence.matches('`').count() % 2 == 0, "{file}: unpaired backtick in {sentence}");
            }
        }
    }
}

#[test]
fn every_sysctl_in_a_sentence_is_known() {
    let known = sysctls();
    for language in Language::ALL {
        for file in SUBJECTS.into_iter().filter(|file| ![STORY, DOCTOR].contains(file)) {
            let table = table(language.tag(), file);
            let mut found = Vec::new();
            sentences(&table, &mut found);
            for sentence in found {
                eleven_knowledge::fill(sentence, |name| {
                    assert!(known.contains_key(name), "{file} names {{{name}}}, which has no facts");
                    String::new()
                });
            }
        }
    }
}

#[test]
fn every_state_has_its_text_and_fits_the_summary() {
    for language in Language::ALL {
        for of in State::ALL {
            let text = state(of, language);
            let width = unicode_width::UnicodeWidthStr::width(text.short.as_str());
            assert!(width <= 46, "{of} in {language}: {width} columns");
            assert!(!text.next.is_empty());
        }
        assert_eq!(table(language.tag(), "states.toml").len(), State::ALL.len());
    }
}

#[test]
fn states_named_by_facts_exist() {
    for name in errno_names() {
        let (facts, _) = errno(&name, Language::English).expect("listed");
        for of in facts.states {
            assert_eq!(of.parse::<State>().map(State::as_str), Ok(of.as_str()), "{name}");
        }
    }
    for (name, facts) in sysctls() {
        assert!(sysctl(&name, Language::SimplifiedChinese).is_some(), "{name}");
        for of in facts.states {
            assert_eq!(of.parse::<State>().map(State::as_str), Ok(of.as_str()), "{name}");
        }
    }
}

#[test]
fn every_rule_has_its_text_and_every_text_its_rule() {
    let rules: BTreeSet<&str> = eleven_tcp::rules::RULES.iter().map(|rule| rule.id).collect();
    for language in Language::ALL {
        for id in &rules {
            assert!(transition(id, language).is_some(), "{id} in {language}");
        }
        for id in table(language.tag(), "transitions.toml").keys() {
            assert!(rules.contains(id.as_str()), "{id} in {language} is no rule");
        }
    }
}
