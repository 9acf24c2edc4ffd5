//! The embedded files.

use crate::Language;

/// A subject's texts in every language.
pub(crate) struct Source {
    english: &'static str,
    chinese: &'static str,
}

impl Source {
    /// The file of one language.
    pub(crate) const fn text(&self, language: Language) -> &'static str {
        match language {
            Language::English => self.english,
            Language::SimplifiedChinese => self.chinese,
        }
    }
}

macro_rules! source {
    ($file:literal) => {
        Source {
            english: include_str!(concat!("../texts/en/", $file)),
            chinese: include_str!(concat!("../texts/zh-CN/", $file)),
        }
    };
}

pub(crate) static STATES: Source = source!("states.toml");
pub(crate) static FLAGS: Source = source!("flags.toml");
pub(crate) static TRANSITIONS: Source = source!("transitions.toml");
pub(crate) static ERRNOS: Source = source!("errnos.toml");
pub(crate) static SYSCTLS: Source = source!("sysctls.toml");
pub(crate) static FINDINGS: Source = source!("findings.toml");
pub(crate) static DOCTOR: Source = source!("doctor.toml");
pub(crate) static ANOMALIES: Source = source!("anomalies.toml");
pub(crate) static STORY: Source = source!("story.toml");
pub(crate) static KILL: Source = source!("kill.toml");

pub(crate) static ERRNO_FACTS: &str = include_str!("../texts/facts/errnos.toml");
pub(crate) static SYSCTL_FACTS: &str = include_str!("../texts/facts/sysctls.toml");
