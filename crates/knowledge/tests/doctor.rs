//! Every key that a rule of the doctor uses has its text, in both languages, and every
//! placeholder of a text a value.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use eleven_knowledge::{DoctorTexts, Language, fill, finding_codes, keep_known};

/// The sources of the rules, without blanks, by file.
fn rules() -> Vec<(PathBuf, String)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../doctor/src/rules");
    let entries = std::fs::read_dir(directory).expect("the rules are there");
    entries
        .map(|entry| {
            let path = entry.expect("it can be read").path();
            let text = std::fs::read_to_string(&path).expect("a source");
            (path, text.split_whitespace().collect())
        })
        .collect()
}

/// The literals behind any of these words.
fn literals(source: &str, words: &[&str]) -> BTreeSet<String> {
    let behind = |word: &&str| {
        let parts: Vec<String> = source
            .split(&format!("{word}(\""))
            .skip(1)
            .filter_map(|rest| Some(rest.split_once('"')?.0.to_owned()))
            .collect();
        parts
    };
    words.iter().flat_map(behind).collect()
}

const EVIDENCE: &[&str] = &[".with", ".number", ".maybe", "seen"];

#[test]
fn every_key_of_a_rule_has_a_text() {
    for language in Language::ALL {
        let texts = DoctorTexts::of(language);
        for (path, source) in rules() {
            for key in literals(&source, EVIDENCE) {
                assert!(texts.evidence(&key).is_some(), "{}: {key} in {language}", path.display());
            }
            for key in literals(&source, &[".fix", "set_sysctl"]) {
                assert!(texts.fix(&key).is_some(), "{}: {key} in {language}", path.display());
            }
        }
        for code in finding_codes() {
            for text in [texts.title(&code, None), texts.cause(&code, None), texts.verify(&code, None)] {
                assert!(text.is_some_and(|text| !text.is_empty()), "{code} in {language}");
            }
        }
    }
}

#[test]
fn every_placeholder_of_a_text_has_a_value() {
    let usual = ["holder", "count", "pid", "local", "remote", "sysctl", "netns", "growth"];
    let rules = rules();
    for language in Language::ALL {
        let texts = DoctorTexts::of(language);
        for code in finding_codes() {
            let (_, source) = rules
                .iter()
                .find(|(_, source)| source.contains(&format!("\"{code}\"")))
                .unwrap_or_else(|| panic!("no rule for {code}"));
            let known: BTreeSet<String> = literals(source, EVIDENCE)
                .into_iter()
                .chain(usual.iter().map(|word| (*word).to_owned()))
                .collect();
            let mut variants = literals(source, &[".variant", "Some"]);
            variants.insert(String::new());
            for variant in variants {
                let variant = Some(variant.as_str()).filter(|variant| !variant.is_empty());
                for text in
                    [texts.title(&code, variant), texts.cause(&code, variant), texts.verify(&code, variant)]
                {
                    // What must be there stands outside double brackets.
                    let text = keep_known(text.expect("every code has one"), |_| true);
                    fill(&text, |name| {
                        assert!(known.contains(name), "{code}: {name} in {language}");
                        String::new()
                    });
                }
            }
        }
    }
}
