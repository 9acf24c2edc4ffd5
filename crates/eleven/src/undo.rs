//! What was before a change, of every command that changes something: one JSON object a line, in one file.
//!
//! A line is on the disk before the change is made, so that whoever is interrupted in between can still go back; it
//! leaves the file when what it remembers has been put back.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use eleven_snapshot::{Keepalive, Owner};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::output::note;

/// Name of the file.
const FILE: &str = "undo.jsonl";

/// One change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// When, in seconds since 1970.
    pub(crate) at_s: u64,
    /// The boot it was made in.
    pub(crate) boot_id: String,
    /// What was changed.
    #[serde(flatten)]
    pub(crate) change: Change,
}

/// What was changed, and what was before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Change {
    /// A sysctl of a namespace.
    Sysctl {
        /// Label of the namespace.
        netns: String,
        /// Its identity.
        netns_inode: u64,
        /// Dotted name.
        name: String,
        /// Value before.
        from: String,
        /// Value since.
        to: String,
    },
    /// A line in a file of sysctls that are set at boot.
    Persisted {
        /// The file.
        path: PathBuf,
        /// Dotted name.
        name: String,
        /// Value before; `None`: the file did not name it.
        from: Option<String>,
        /// Value since.
        to: String,
    },
    /// Options of a socket.
    Keepalive {
        /// The kernel's cookie.
        cookie: u64,
        /// Who held it.
        owners: Vec<Owner>,
        /// Its own address and port.
        local: String,
        /// Its peer's.
        remote: String,
        /// What was in effect before.
        keepalive: Keepalive,
        /// The same of `TCP_USER_TIMEOUT`.
        user_timeout_ms: Option<u32>,
    },
}

impl Entry {
    /// Whether the host has not been started since.
    pub(crate) fn is_of_this_boot(&self) -> bool {
        self.boot_id == boot_id()
    }
}

/// The record.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
}

impl Journal {
    /// The record, for writing; its directory is made if need be.
    ///
    /// # Errors
    /// If there is no place for it, or it cannot be written: then nothing may be changed.
    pub(crate) fn open() -> anyhow::Result<Self> {
        let journal = Self::look()?;
        let directory = journal.path.parent().unwrap_or(Path::new("/"));
        let place = || format!("cannot remember what was before in {}", directory.display());
        fs::create_dir_all(directory).with_context(place)?;
        appending(&journal.path).with_context(place)?;
        Ok(journal)
    }

    /// The record as it is, which may be nothing yet.
    ///
    /// # Errors
    /// If there is no place for it.
    pub(crate) fn look() -> anyhow::Result<Self> {
        let directory =
            directory().context("there is no place to remember what was before: HOME is not set")?;
        Ok(Self { path: directory.join(FILE) })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes one down; it is on the disk when this returns.
    pub(crate) fn append(&self, change: Change) -> io::Result<Entry> {
        let at_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let entry = Entry { at_s, boot_id: boot_id(), change };
        let _lock = self.lock()?;
        let mut file = appending(&self.path)?;
        let mut text = Vec::new();
        // Half a line was left by a crash: it stays by itself.
        if !ends_with_newline(&self.path)? {
            text.push(b'\n');
        }
        serde_json::to_writer(&mut text, &entry)?;
        text.push(b'\n');
        file.write_all(&text)?;
        file.sync_all()?;
        Ok(entry)
    }

    /// All that is written down, the oldest first. A line that makes no sense is told and left out.
    pub(crate) fn entries(&self) -> anyhow::Result<Vec<Entry>> {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", self.path.display())),
        };
        let mut entries = Vec::new();
        for (number, line) in
            (1..).zip(text.split(|byte| *byte == b'\n')).filter(|(_, line)| !line.is_empty())
        {
            match serde_json::from_slice(line) {
                Ok(entry) => entries.push(entry),
                Err(error) => note(&format!("{}:{number} is left out: {error}", self.path.display())),
            }
        }
        Ok(entries)
    }

    /// Forgets these; the others stay, also those that another program has written meanwhile.
    pub(crate) fn forget(&self, done: &[Entry]) -> anyhow::Result<()> {
        let place = || format!("cannot write {}", self.path.display());
        let _lock = self.lock().with_context(place)?;
        let mut left = self.entries()?;
        for entry in done {
            if let Some(at) = left.iter().position(|other| other == entry) {
                left.remove(at);
            }
        }
        if left.is_empty() {
            return match fs::remove_file(&self.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).with_context(place),
                _ => Ok(()),
            };
        }
        let mut text = Vec::new();
        for entry in &left {
            serde_json::to_writer(&mut text, entry)?;
            text.push(b'\n');
        }
        replace(&self.path, &text, 0o600).with_context(place)
    }

    /// Keeps other programs away from the record while the value lives.
    fn lock(&self) -> io::Result<File> {
        let file = appending(&self.path.with_extension("lock"))?;
        flock(&file, FlockOperation::LockExclusive)?;
        Ok(file)
    }
}

fn appending(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

fn ends_with_newline(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    let mut last = [0];
    file.seek(io::SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

/// Puts a text in the place of a file at once: whoever is interrupted leaves the old one or the new one. A file
/// that is there keeps its mode.
pub(crate) fn replace(path: &Path, text: &[u8], mode: u32) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let beside = path.with_file_name(name);
    let mode =
        fs::metadata(path).map_or(mode, |data| std::os::unix::fs::PermissionsExt::mode(&data.permissions()));
    let write = || {
        let mut file =
            OpenOptions::new().create(true).truncate(true).write(true).mode(mode & 0o777).open(&beside)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
    };
    write().inspect_err(|_| drop(fs::remove_file(&beside)))
}

/// `$ELEVEN_STATE`; else where programs keep what outlives them: of the system for root, else of the user (XDG base
/// directories).
fn directory() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(chosen) = set("ELEVEN_STATE") {
        return Some(chosen);
    }
    if let Some(chosen) = set("XDG_STATE_HOME") {
        return Some(chosen.join("eleven"));
    }
    if rustix::process::geteuid().is_root() {
        return Some(PathBuf::from("/var/lib/eleven"));
    }
    set("HOME").map(|home| home.join(".local/state/eleven"))
}

/// Identity of this boot: cookies of sockets and values of sysctls mean nothing beyond it.
pub(crate) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map_or_else(|_| String::new(), |id| id.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal(name: &str) -> Journal {
        let directory = std::env::temp_dir().join(format!("eleven-undo-{}-{name}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        Journal { path: directory.join(FILE) }
    }

    fn sysctl(name: &str) -> Change {
        let (netns, name) = ("1".to_owned(), name.to_owned());
        Change::Sysctl { netns, netns_inode: 1, name, from: "1".to_owned(), to: "2".to_owned() }
    }

    #[test]
    fn what_is_written_is_read_and_forgotten() {
        let journal = journal("all");
        let first = journal.append(sysctl("a")).unwrap();
        let keepalive =
            Keepalive { enabled: false, idle_s: Some(7200), interval_s: Some(75), probes: Some(9) };
        let second = journal
            .append(Change::Keepalive {
                cookie: u64::MAX,
                owners: Vec::new(),
                local: "[::1]:1".to_owned(),
                remote: "[::1]:2".to_owned(),
                keepalive,
                user_timeout_ms: None,
            })
            .unwrap();
        assert_eq!(journal.entries().unwrap(), [first.clone(), second.clone()]);
        // A crash in the middle of a line costs that line and no other.
        let mut file = appending(&journal.path).unwrap();
        file.write_all(b"{\"at_s\":12,\"bo").unwrap();
        let third = journal.append(sysctl("b")).unwrap();
        assert_eq!(journal.entries().unwrap(), [first.clone(), second.clone(), third.clone()]);
        journal.forget(&[first]).unwrap();
        assert_eq!(journal.entries().unwrap(), [second.clone(), third.clone()]);
        journal.forget(&[second, third]).unwrap();
        assert_eq!(journal.entries().unwrap(), []);
        assert!(!journal.path.exists());
        fs::remove_dir_all(journal.path.parent().unwrap()).unwrap();
    }
}
