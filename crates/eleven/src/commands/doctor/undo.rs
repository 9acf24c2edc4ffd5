//! What `--fix` has set, and `--undo`.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use eleven_doctor::SysctlChange;
use eleven_linux::act::sysctl;
use eleven_linux::namespace::NamespaceHandle;
use serde::{Deserialize, Serialize};

use super::fixing::namespace_of;
use crate::ask::confirm;
use crate::cli::Global;
use crate::output::note;
use crate::undo::boot_id;

/// One sysctl that was set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    set_at_s: u64,
    boot_id: String,
    netns: String,
    netns_inode: u64,
    name: String,
    from: String,
    to: String,
}

impl Entry {
    pub(super) fn of(handle: &NamespaceHandle, change: &SysctlChange) -> Self {
        Self {
            set_at_s: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            boot_id: boot_id(),
            netns: change.netns.to_string(),
            netns_inode: handle.namespace.inode,
            name: change.name.to_owned(),
            from: change.from.clone(),
            to: change.to.clone(),
        }
    }
}

/// All that was set and not taken back, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Record(Vec<Entry>);

/// `$ELEVEN_STATE`, else `/var/lib/eleven`: what only root can set is kept where root keeps things.
fn path() -> PathBuf {
    std::env::var_os("ELEVEN_STATE")
        .map_or_else(|| PathBuf::from("/var/lib/eleven"), PathBuf::from)
        .join("undo.json")
}

impl Record {
    pub(super) fn load() -> anyhow::Result<Self> {
        let path = path();
        match fs::read_to_string(&path) {
            Ok(text) => {
                let entries = serde_json::from_str(&text).with_context(|| {
                    format!("the undo record {} is damaged; move it away to go on", path.display())
                })?;
                Ok(Self(entries))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    pub(super) fn save(&self) -> anyhow::Result<()> {
        let path = path();
        let directory = path.parent().map_or_else(PathBuf::new, PathBuf::from);
        let beside = path.with_extension("json.part");
        let text = serde_json::to_string_pretty(&self.0)?;
        fs::create_dir_all(directory)
            .and_then(|()| fs::write(&beside, text))
            .and_then(|()| fs::rename(&beside, &path))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    pub(super) fn push(&mut self, entry: Entry) {
        self.0.push(entry);
    }

    pub(super) fn pop(&mut self) {
        self.0.pop();
    }
}

/// Takes back what was set, the latest first; what somebody else has changed since is left.
pub(super) fn run(global: &Global, yes: bool) -> anyhow::Result<()> {
    let mut record = Record::load()?;
    if record.0.is_empty() {
        note("nothing was set by --fix, or all of it has been taken back");
        return Ok(());
    }
    let mut text = String::from("these sysctls are to be put back:");
    for entry in record.0.iter().rev() {
        text.push_str(&format!(
            "\n  {} from {} to {} in netns {}",
            entry.name, entry.to, entry.from, entry.netns
        ));
    }
    note(&text);
    if !yes && !confirm("Put them back?")? {
        note("nothing was changed");
        return Ok(());
    }
    let mut failed = 0;
    let mut kept = Vec::new();
    while let Some(entry) = record.0.pop() {
        if entry.boot_id != boot_id() {
            note(&format!("{}: the host was started since, its value is what boot set", entry.name));
            continue;
        }
        let Some(handle) = namespace_of(&global.netns, entry.netns_inode) else {
            note(&format!("{}: the namespace {} is gone, and its values with it", entry.name, entry.netns));
            continue;
        };
        let now = handle.run(|| eleven_linux::proc::sysctl::read(&entry.name))?;
        if now.as_deref() != Some(entry.to.as_str()) {
            let now = now.unwrap_or_default();
            note(&format!(
                "{} is {now}, not {}: somebody has changed it since, it is left",
                entry.name, entry.to
            ));
            continue;
        }
        match sysctl::set(&handle, &entry.name, &entry.from) {
            Ok(_) => note(&format!("{} is {} again", entry.name, entry.from)),
            Err(error) => {
                note(&error.to_string());
                failed += 1;
                kept.push(entry);
            }
        }
    }
    kept.reverse();
    record.0 = kept;
    record.save()?;
    anyhow::ensure!(failed == 0, "{failed} sysctls could not be put back");
    Ok(())
}
