//! `--undo`: takes back what `--fix` has set.

use std::io;

use eleven_linux::act::sysctl;

use super::fixing::namespace_of;
use super::persist::{self, Left};
use crate::ask::confirm;
use crate::cli::{ActArgs, Global};
use crate::output::note;
use crate::text;
use crate::undo::{Change, Entry, Journal};

/// Takes back what was set, the latest first; what somebody else has changed since is left.
pub(super) fn run(global: &Global, act: ActArgs) -> anyhow::Result<()> {
    let journal = Journal::look()?;
    let mut entries = journal.entries()?;
    entries.retain(|entry| matches!(entry.change, Change::Sysctl { .. } | Change::Persisted { .. }));
    if entries.is_empty() {
        note("nothing was set by --fix, or all of it has been taken back");
        return Ok(());
    }
    let mut shown = String::from("this is to be put back:");
    for entry in entries.iter().rev() {
        shown.push_str(&match &entry.change {
            Change::Sysctl { netns, name, from, to, .. } => {
                format!("\n  {name} from {to} to {from} in netns {netns}")
            }
            Change::Persisted { path, name, from, to } => {
                let before =
                    from.as_ref().map_or_else(|| "no line".to_owned(), |from| format!("{name} = {from}"));
                format!("\n  {name} = {to} in {}: to {before}", path.display())
            }
            Change::Keepalive { .. } => String::new(),
        });
    }
    note(&shown);
    if act.dry_run {
        note("nothing was changed");
        return Ok(());
    }
    if !act.yes && !confirm("Put it back?")? {
        note("nothing was changed");
        return Ok(());
    }
    let mut failed = 0_u64;
    for entry in entries.into_iter().rev() {
        match put_back(global, &entry) {
            // What was put back, or can never be, is not remembered any more.
            Ok(said) => {
                note(&said);
                journal.forget(&[entry])?;
            }
            Err(error) => {
                note(&format!("{error:#}"));
                failed += 1;
            }
        }
    }
    anyhow::ensure!(failed == 0, "{} could not be put back", text::counted(failed, "change"));
    Ok(())
}

/// Puts one back, or says why there is nothing to put back.
fn put_back(global: &Global, entry: &Entry) -> anyhow::Result<String> {
    match &entry.change {
        Change::Sysctl { netns, netns_inode, name, from, to } => {
            if !entry.is_of_this_boot() {
                return Ok(format!("{name}: the host was started since, its value is what boot set"));
            }
            let Some(handle) = namespace_of(&global.netns, *netns_inode) else {
                return Ok(format!("{name}: the namespace {netns} is gone, and its values with it"));
            };
            let now = handle.run(|| eleven_linux::proc::sysctl::read(name))?;
            if now.as_ref() != Some(to) {
                let now = now.unwrap_or_default();
                return Ok(format!("{name} is {now}, not {to}: somebody has changed it since, it is left"));
            }
            sysctl::set(&handle, name, from)?;
            Ok(format!("{name} is {from} again"))
        }
        Change::Persisted { path, name, from, to } => {
            match persist::take_back(path, name, to, from.as_deref())? {
                Ok(()) => Ok(format!("{}: {name} stands as before", path.display())),
                Err(Left::Changed(now)) => {
                    let now = now.map_or_else(|| "is gone".to_owned(), |now| format!("is {now}"));
                    Ok(format!(
                        "{}: {name} {now}, not {to}: somebody has changed it since, it is left",
                        path.display()
                    ))
                }
            }
        }
        Change::Keepalive { .. } => Err(io::Error::from(io::ErrorKind::Unsupported).into()),
    }
}
