//! The sentences of the doctor's findings, to be filled with the numbers of a host.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::Language;
use crate::source::DOCTOR;

/// What to do about a finding, and what it may cost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FixText {
    /// What to do.
    pub what: String,
    /// What may go wrong.
    pub risk: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct VariantText {
    title: Option<String>,
    cause: Option<String>,
    verify: Option<String>,
}

#[derive(Debug, Deserialize)]
struct CodeText {
    title: String,
    cause: String,
    verify: String,
    #[serde(flatten)]
    variants: BTreeMap<String, VariantText>,
}

/// All sentences of one language, by code and key. What is in `{braces}` is for
/// [`fill`](crate::fill), what is in `[[double brackets]]` for [`keep_known`](crate::keep_known).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DoctorTexts {
    code: BTreeMap<String, CodeText>,
    fix: BTreeMap<String, FixText>,
    evidence: BTreeMap<String, String>,
    missing: BTreeMap<String, String>,
    word: BTreeMap<String, String>,
    why: BTreeMap<String, String>,
}

impl DoctorTexts {
    /// The sentences of a language.
    pub fn of(language: Language) -> Self {
        match toml::from_str(DOCTOR.text(language)) {
            Ok(texts) => texts,
            Err(error) => unreachable!("an embedded text is invalid: {error}"),
        }
    }

    fn variant(&self, code: &str, variant: Option<&str>) -> Option<&VariantText> {
        self.code.get(code)?.variants.get(variant?)
    }

    /// Title of a finding: that of the variant, else that of the code.
    pub fn title(&self, code: &str, variant: Option<&str>) -> Option<&str> {
        let own = self.variant(code, variant).and_then(|text| text.title.as_deref());
        own.or_else(|| Some(self.code.get(code)?.title.as_str()))
    }

    /// Cause of a finding.
    pub fn cause(&self, code: &str, variant: Option<&str>) -> Option<&str> {
        let own = self.variant(code, variant).and_then(|text| text.cause.as_deref());
        own.or_else(|| Some(self.code.get(code)?.cause.as_str()))
    }

    /// How to verify that a fault is gone.
    pub fn verify(&self, code: &str, variant: Option<&str>) -> Option<&str> {
        let own = self.variant(code, variant).and_then(|text| text.verify.as_deref());
        own.or_else(|| Some(self.code.get(code)?.verify.as_str()))
    }

    /// Something to do.
    pub fn fix(&self, key: &str) -> Option<&FixText> {
        self.fix.get(key)
    }

    /// Name of a number.
    pub fn evidence(&self, key: &str) -> Option<&str> {
        self.evidence.get(key).map(String::as_str)
    }

    /// What would settle a question.
    pub fn missing(&self, key: &str) -> Option<&str> {
        self.missing.get(key).map(String::as_str)
    }

    /// What a socket waits for.
    pub fn why(&self, key: &str) -> Option<&str> {
        self.why.get(key).map(String::as_str)
    }

    /// A word of the layout.
    pub fn word<'a>(&'a self, key: &'a str) -> &'a str {
        self.word.get(key).map_or(key, String::as_str)
    }
}
