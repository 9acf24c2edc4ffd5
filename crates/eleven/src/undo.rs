//! What was before a change, one JSON object a line, kept until it is put back.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::marker::PhantomData;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::output::note;

/// A record of one kind of change.
pub(crate) struct Journal<T> {
    path: PathBuf,
    kind: PhantomData<T>,
}

impl<T: Serialize + DeserializeOwned> Journal<T> {
    /// The record of this name; its directory is made if need be.
    ///
    /// # Errors
    /// If there is no place for it, or it cannot be written: then nothing may be changed.
    pub(crate) fn open(name: &str) -> anyhow::Result<Self> {
        let directory =
            directory().context("there is no place to remember what was before: HOME is not set")?;
        let place = || format!("cannot remember what was before in {}", directory.display());
        fs::create_dir_all(&directory).with_context(place)?;
        let path = directory.join(format!("{name}-undo.jsonl"));
        appending(&path).with_context(place)?;
        Ok(Self { path, kind: PhantomData })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes one down; it is on the disk when this returns.
    pub(crate) fn append(&mut self, entry: &T) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        let mut file = appending(&self.path)?;
        file.write_all(&line)?;
        file.sync_data()
    }

    /// All that is written down, the oldest first. A line that makes no sense is told and left out.
    pub(crate) fn entries(&self) -> anyhow::Result<Vec<T>> {
        let file = File::open(&self.path).with_context(|| self.path.display().to_string())?;
        let mut entries = Vec::new();
        for (number, line) in (1..).zip(BufReader::new(file).lines()) {
            let line = line.with_context(|| self.path.display().to_string())?;
            match serde_json::from_str(&line) {
                Ok(entry) => entries.push(entry),
                Err(error) => note(&format!("{}:{number} is left out: {error}", self.path.display())),
            }
        }
        Ok(entries)
    }

    /// Forgets all but these.
    pub(crate) fn replace(&mut self, entries: &[T]) -> anyhow::Result<()> {
        if entries.is_empty() {
            return self.clear();
        }
        let beside = self.path.with_extension("new");
        let mut text = Vec::new();
        for entry in entries {
            serde_json::to_writer(&mut text, entry)?;
            text.push(b'\n');
        }
        fs::write(&beside, text)
            .and_then(|()| fs::rename(&beside, &self.path))
            .with_context(|| self.path.display().to_string())
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) -> anyhow::Result<()> {
        fs::remove_file(&self.path).with_context(|| self.path.display().to_string())
    }
}

fn appending(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// Where programs keep what outlives them: of the system for root, else of the user (XDG base directories).
fn directory() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(chosen) = set("XDG_STATE_HOME") {
        return Some(chosen.join("eleven"));
    }
    if rustix::process::geteuid().is_root() {
        return Some(PathBuf::from("/var/lib/eleven"));
    }
    set("HOME").map(|home| home.join(".local/state/eleven"))
}

/// Identity of this boot: cookies of sockets mean nothing beyond it.
pub(crate) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map_or_else(|_| String::new(), |id| id.trim().to_owned())
}
