//! A scenario: what it is for, how it is played, and what it promises.

use std::fmt;

use eleven_tcp::suggest::edit_distance;

use crate::LabError;
use crate::error::Stop;
use crate::lab::Lab;
use crate::promise::Promise;
use crate::scenarios;

/// What a scenario is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Group {
    /// A state that lasts.
    States,
    /// A way through several states.
    Paths,
    /// A way on which a segment is lost.
    Losses,
    /// Something that makes trouble on real hosts.
    Faults,
    /// What looks like a fault and is none.
    Healthy,
}

impl Group {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::States, Self::Paths, Self::Losses, Self::Faults, Self::Healthy];

    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::States => "states",
            Self::Paths => "paths",
            Self::Losses => "losses",
            Self::Faults => "faults",
            Self::Healthy => "healthy",
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A value that a scenario sets, or that the user may: a sysctl of the subject; with `peer.` before it one of the peer;
/// or a number that the scenario itself asks for (`Lab::parameter`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// `tcp_fin_timeout`, `peer.tcp_retries2`, `connections`.
    pub name: &'static str,
    /// What it is here.
    pub value: &'static str,
    /// What it is on an ordinary host; nothing for a number that means something here only.
    pub usual: &'static str,
    /// What it decides.
    pub why: &'static str,
}

impl Setting {
    /// Whether it is a sysctl, of the subject or of the peer, and not a number of the scenario's own.
    pub fn is_sysctl(name: &str) -> bool {
        let name = name.strip_prefix("peer.").unwrap_or(name);
        name.contains('.') || name.contains('_') || name == "somaxconn"
    }
}

/// A scenario.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is about.
    pub group: Group,
    /// What it shows, in a sentence or two.
    pub purpose: &'static str,
    /// What to look at while it is held.
    pub look_at: &'static str,
    /// What ends it in real life.
    pub ended_by: &'static str,
    /// The settings that matter. A setting that has its usual value is named for its meaning alone.
    pub settings: &'static [Setting],
    /// The code of the finding that `doctor` makes of it.
    pub finding: Option<&'static str>,
    /// What it promises.
    pub promises: &'static [Promise],
    /// What is done.
    pub play: fn(&mut Lab) -> Result<(), Stop>,
}

impl Scenario {
    /// Why no look at the subject shows the fault while it is held, where that is so.
    pub fn unseen(&self) -> Option<&'static str> {
        scenarios::UNSEEN.iter().find(|(name, _)| *name == self.name).map(|(_, why)| *why)
    }
}

/// All scenarios, by group.
pub fn all() -> impl Iterator<Item = &'static Scenario> {
    scenarios::ALL.iter().flat_map(|group| group.iter())
}

/// The scenario with this name.
///
/// # Errors
/// [`LabError::NoSuchScenario`] with names that may have been meant.
pub fn find(name: &str) -> Result<&'static Scenario, LabError> {
    let wanted = name.to_ascii_lowercase().replace('_', "-");
    all().find(|scenario| scenario.name == wanted).ok_or_else(|| LabError::NoSuchScenario {
        name: name.to_owned(),
        near: near(&wanted, all().map(|scenario| scenario.name)),
    })
}

/// The names that look most like a word: those that have it in them, or that differ by few letters.
pub(crate) fn near<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut found: Vec<(usize, &str)> = names
        .filter_map(|name| {
            let contains = word.len() > 2 && (name.contains(word) || word.contains(name));
            let distance = if contains { 0 } else { edit_distance(word, name) };
            (distance <= word.len().div_ceil(3).min(4)).then_some((distance, name))
        })
        .collect();
    found.sort_unstable();
    let best = found.first().map_or(0, |(distance, _)| *distance);
    found
        .into_iter()
        .take_while(|(distance, _)| *distance == best)
        .take(3)
        .map(|(_, name)| name.to_owned())
        .collect()
}
