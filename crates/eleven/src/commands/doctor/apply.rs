//! Shows what is to be set, asks, remembers what was, sets it: all of it or nothing.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::Context as _;
use eleven_doctor::SysctlChange;
use eleven_linux::act::sysctl::{self, SetError};
use eleven_linux::namespace::NamespaceHandle;

use super::persist;
use crate::ask::confirm;
use crate::cli::DoctorArgs;
use crate::output::note;
use crate::text;
use crate::undo::{Change, Entry, Journal};

/// A sysctl that is to be set.
pub(super) struct Wanted<'a> {
    pub(super) handle: &'a NamespaceHandle,
    pub(super) change: SysctlChange,
    /// Code of the finding, or `set`.
    pub(super) code: &'static str,
    /// What it is set for, in one line.
    pub(super) reason: String,
}

/// Whether it is the namespace of the first process, whose sysctls are set at boot.
fn is_the_hosts(handle: &NamespaceHandle) -> bool {
    match std::fs::metadata("/proc/1/ns/net") {
        Ok(first) => first.ino() == handle.namespace.inode,
        // Where that may not be looked at: what is one for all is shown in that namespace only.
        Err(_) => has(handle, "net.ipv4.tcp_mem"),
    }
}

fn has(handle: &NamespaceHandle, name: &str) -> bool {
    handle.run(|| eleven_linux::proc::sysctl::read(name)).is_ok_and(|value| value.is_some())
}

/// Why a sysctl cannot be set in a namespace, where that is known before it is tried.
pub(super) fn not_of_this_namespace(handle: &NamespaceHandle, name: &str) -> Option<String> {
    let facts = eleven_knowledge::sysctls().remove(name);
    let label = &handle.namespace.label;
    let is_here = has(handle, name);
    if let Some(facts) = &facts
        && !facts.per_namespace
        && facts.removed.is_none()
        && !has(handle, "net.ipv4.tcp_mem")
    {
        return Some(format!(
            "{name} is one value for the whole host, and the namespace {label} has none of its own: nothing is set; \
             on the host itself, think of everybody else there first"
        ));
    }
    if is_here {
        return None;
    }
    let why = match facts {
        Some(facts) if facts.removed.is_some() => {
            format!("this kernel has no {name}: Linux {} removed it", facts.removed.unwrap_or_default())
        }
        Some(facts) if facts.module.is_some() => {
            format!("{name} is there only while the module {} is loaded", facts.module.unwrap_or_default())
        }
        _ => format!("this kernel has no {name}, or it may not be read"),
    };
    Some(why)
}

/// Shows, asks, remembers and sets; returns how many were set. If one fails, those before it are put back.
pub(super) fn apply(args: &DoctorArgs, wanted: &[Wanted<'_>]) -> anyhow::Result<usize> {
    if wanted.is_empty() {
        return Ok(0);
    }
    let mut shown = String::from("these sysctls are to be set:");
    for Wanted { handle, change, code, .. } in wanted {
        let place = &handle.namespace.label;
        shown.push_str(&format!(
            "\n  {} from {} to {} in netns {place}  ({code})",
            change.name, change.from, change.to
        ));
    }
    // At boot the host's own namespace is set, no other.
    let (lasting, passing): (Vec<&Wanted<'_>>, Vec<&Wanted<'_>>) =
        wanted.iter().partition(|wanted| args.persist && is_the_hosts(wanted.handle));
    let path = Path::new(persist::PATH);
    if !lasting.is_empty() {
        shown.push_str(&format!(
            "\nand {} written to {}",
            if lasting.len() == wanted.len() { "all of them".to_owned() } else { lasting.len().to_string() },
            path.display()
        ));
    }
    note(&shown);
    if args.persist {
        for Wanted { change, .. } in passing {
            note(&format!(
                "{} of netns {} does not last: {} is read for the host's own namespace only",
                change.name,
                change.netns,
                path.display()
            ));
        }
    }
    if args.act.dry_run {
        note("nothing was changed");
        return Ok(0);
    }
    if !args.act.yes && !confirm("Set them?")? {
        note("nothing was changed");
        return Ok(0);
    }
    let journal = Journal::open().context("nothing was changed")?;
    let mut done: Vec<(&Wanted<'_>, Entry)> = Vec::new();
    for wanted in wanted {
        match set_one(&journal, wanted) {
            Ok(entry) => done.push((wanted, entry)),
            Err(error) => return Err(put_back(&journal, &done, error)),
        }
    }
    for (number, wanted) in lasting.iter().enumerate() {
        if let Err(error) =
            persist::add(&journal, path, &wanted.change, &format!("{}: {}", wanted.code, wanted.reason))
        {
            for wanted in &lasting[..number] {
                let _ = persist::take_back(path, wanted.change.name, &wanted.change.to, None);
            }
            return Err(put_back(&journal, &done, error));
        }
    }
    if !lasting.is_empty() {
        note(&format!("written to {}, for the host's own namespace at boot", path.display()));
        for Wanted { change, .. } in &lasting {
            if let Some(place) = persist::overruled(path, change.name, &change.to) {
                note(&format!("{place} is read later and wins at boot: change it there"));
            }
        }
    }
    note(&format!("`eleven doctor --undo` takes it back, as {} remembers it", journal.path().display()));
    Ok(done.len())
}

fn set_one(journal: &Journal, wanted: &Wanted<'_>) -> anyhow::Result<Entry> {
    let Wanted { handle, change, .. } = wanted;
    // Remembered first: what cannot be taken back is not begun.
    let entry = journal
        .append(Change::Sysctl {
            netns: change.netns.to_string(),
            netns_inode: handle.namespace.inode,
            name: change.name.to_owned(),
            from: change.from.clone(),
            to: change.to.split_ascii_whitespace().collect::<Vec<_>>().join(" "),
        })
        .with_context(|| format!("cannot remember what was in {}", journal.path().display()))?;
    match sysctl::set(handle, change.name, &change.to) {
        Ok(_) => {
            note(&format!("{} is {} now (was {})", change.name, change.to, change.from));
            Ok(entry)
        }
        Err(error) => {
            // What the kernel took but shows otherwise is put back.
            if matches!(error, SetError::Ignored { .. }) {
                let _ = sysctl::set(handle, change.name, &change.from);
            }
            journal.forget(&[entry])?;
            let hint = match &error {
                SetError::Refused { source, .. } => match source.kind() {
                    std::io::ErrorKind::ReadOnlyFilesystem => {
                        "; /proc/sys is mounted read-only here, as in many containers: set it from the host, with --netns"
                    }
                    std::io::ErrorKind::PermissionDenied => "; it takes root in that namespace, try sudo",
                    _ => "",
                },
                _ => "",
            };
            Err(anyhow::anyhow!("{error}{hint}"))
        }
    }
}

/// Undoes what was begun, the latest first, and returns the reason with what became of it.
fn put_back(journal: &Journal, done: &[(&Wanted<'_>, Entry)], error: anyhow::Error) -> anyhow::Error {
    let mut left = 0_u64;
    for (Wanted { handle, change, .. }, entry) in done.iter().rev() {
        let result = sysctl::set(handle, change.name, &change.from)
            .map_err(anyhow::Error::from)
            .and_then(|_| journal.forget(std::slice::from_ref(entry)));
        match result {
            Ok(()) => note(&format!("{} is {} again", change.name, change.from)),
            Err(error) => {
                left += 1;
                note(&format!("{} could not be put back: {error}", change.name));
            }
        }
    }
    error.context(match left {
        0 => "nothing was changed".to_owned(),
        left => {
            format!("{} stayed changed; `eleven doctor --undo` tries again", text::counted(left, "sysctl"))
        }
    })
}
