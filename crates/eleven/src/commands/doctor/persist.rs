//! `--persist`: the one file of values that last, each with the reason it stands there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use eleven_doctor::SysctlChange;

use crate::text;
use crate::undo::{Change, Journal, replace};

/// Where lasting values go.
pub(super) const PATH: &str = "/etc/sysctl.d/90-eleven.conf";

const HEADING: &str =
    "# Values set by `eleven doctor --fix --persist`; `eleven doctor --undo` takes them back.";

/// Adds a line with its reason, in place of one of the same name.
pub(super) fn add(journal: &Journal, path: &Path, change: &SysctlChange, reason: &str) -> anyhow::Result<()> {
    let old = read(path)?;
    let entry = journal.append(Change::Persisted {
        path: path.to_owned(),
        name: change.name.to_owned(),
        from: value_of(&old, change.name),
        to: change.to.clone(),
    })?;
    let reason = format!("# {} (was {})", text::printable(reason), change.from);
    let new = with(&old, change.name, &change.to, Some(&reason));
    replace(path, new.as_bytes(), 0o644)
        .with_context(|| format!("cannot write {}", path.display()))
        .inspect_err(|_| {
            let _ = journal.forget(&[entry]);
        })
}

/// Where sysctls that are set at boot stand besides, the first first (sysctl.d(5)).
const DIRECTORIES: [&str; 5] =
    ["/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d"];
/// What procps reads behind all of them.
const LAST: &str = "/etc/sysctl.conf";

/// The place that sets a name otherwise and is read later, so that it wins at boot: `/etc/sysctl.conf:12`.
pub(super) fn overruled(path: &Path, name: &str, value: &str) -> Option<String> {
    let own = path.file_name()?;
    let mut files: Vec<PathBuf> = DIRECTORIES
        .iter()
        .filter_map(|directory| fs::read_dir(directory).ok())
        .flat_map(|entries| entries.flatten().map(|entry| entry.path()))
        .filter(|file| {
            file.extension().is_some_and(|extension| extension == "conf") && file.file_name() > Some(own)
        })
        .collect();
    files.sort_by(|a, b| a.file_name().cmp(&b.file_name()));
    files.push(LAST.into());
    files.iter().rev().find_map(|file| {
        let text = fs::read_to_string(file).ok()?;
        let (line, other) = (1..)
            .zip(text.lines())
            .filter_map(|(line, text)| Some((line, setting(text)?)))
            .filter(|(_, (other, _))| other == name)
            .last()?;
        (other.1 != value)
            .then(|| format!("{}:{line} ({name} = {})", file.display(), text::printable(other.1)))
    })
}

/// Why a line is left as it is.
#[derive(Debug)]
pub(super) enum Left {
    /// Somebody has changed it, to this, or taken it out.
    Changed(Option<String>),
}

/// Puts back what the file said before, if it still says what was written.
pub(super) fn take_back(
    path: &Path,
    name: &str,
    to: &str,
    from: Option<&str>,
) -> anyhow::Result<Result<(), Left>> {
    let old = read(path)?;
    let now = value_of(&old, name);
    if now.as_deref() != Some(to) {
        return Ok(Err(Left::Changed(now)));
    }
    let new = match from {
        Some(from) => with(&old, name, from, None),
        None => without(&old, name),
    };
    let is_empty = new.lines().all(|line| line.trim().is_empty() || line == HEADING);
    if is_empty {
        fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))?;
    } else {
        replace(path, new.as_bytes(), 0o644).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(Ok(()))
}

fn read(path: &Path) -> anyhow::Result<String> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// The name that a line sets, as sysctl.d has it: with dots or slashes, and a dash where a failure is no matter.
fn setting(line: &str) -> Option<(String, &str)> {
    let line = line.trim_start();
    if line.starts_with(['#', ';']) {
        return None;
    }
    let (name, value) = line.split_once('=')?;
    Some((name.trim().trim_start_matches('-').replace('/', "."), value.trim()))
}

fn value_of(text: &str, name: &str) -> Option<String> {
    text.lines().rev().filter_map(setting).find(|(other, _)| other == name).map(|(_, value)| value.to_owned())
}

/// The text without the lines that set a name, and the reasons above them.
fn without(text: &str, name: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for line in text.lines() {
        if setting(line).is_some_and(|(other, _)| other == name) {
            if kept.last().is_some_and(|above| above.starts_with('#') && *above != HEADING) {
                kept.pop();
            }
            continue;
        }
        kept.push(line);
    }
    let mut text = kept.join("\n");
    text.push('\n');
    text
}

/// The text with a name set once.
fn with(text: &str, name: &str, value: &str, reason: Option<&str>) -> String {
    let mut new = if text.trim().is_empty() { format!("{HEADING}\n") } else { without(text, name) };
    if let Some(reason) = reason {
        new.push_str(reason);
        new.push('\n');
    }
    new.push_str(&format!("{name} = {value}\n"));
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_once_with_its_reason() {
        let first = with("", "net.a", "1", Some("# why a (was 0)"));
        assert_eq!(first, format!("{HEADING}\n# why a (was 0)\nnet.a = 1\n"));
        let both = with(&first, "net.b", "2", Some("# why b (was 3)"));
        let again = with(&both, "net.a", "5", Some("# why again (was 1)"));
        assert_eq!(again, format!("{HEADING}\n# why b (was 3)\nnet.b = 2\n# why again (was 1)\nnet.a = 5\n"));
        assert_eq!(value_of(&again, "net.a").as_deref(), Some("5"));
        assert_eq!(without(&again, "net.a"), format!("{HEADING}\n# why b (was 3)\nnet.b = 2\n"));
        // Lines by hand, in every spelling that sysctl.d knows.
        let by_hand = "# mine\n-net/ipv4/tcp_sack=0\n;net.ipv4.tcp_sack = 1\nother = 4\n";
        assert_eq!(value_of(by_hand, "net.ipv4.tcp_sack").as_deref(), Some("0"));
        assert_eq!(
            with(by_hand, "net.ipv4.tcp_sack", "1", None),
            ";net.ipv4.tcp_sack = 1\nother = 4\nnet.ipv4.tcp_sack = 1\n"
        );
    }
}
