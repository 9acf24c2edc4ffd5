//! `--fix`: sets the sysctls that findings name, keeps a record, and looks again.

use std::path::Path;

use anyhow::Context;
use eleven_doctor::{FOLKLORE, Finding, Severity, SysctlChange};
use eleven_knowledge::DoctorTexts;
use eleven_linux::act::sysctl;
use eleven_linux::namespace::{self, NamespaceChoice, NamespaceHandle};

use super::undo::{Entry, Record};
use super::{Chosen, Looks, Report, looking};
use crate::ask::confirm;
use crate::cli::{DoctorArgs, Global};
use crate::commands::{WrongUsage, language};
use crate::output::note;

/// Where lasting values go.
const PERSISTENT: &str = "/etc/sysctl.d/90-eleven.conf";

/// Applies what the findings propose.
pub(super) fn run(
    global: &Global,
    args: &DoctorArgs,
    chosen: &Chosen,
    looks: &Looks,
    findings: &[Finding],
) -> anyhow::Result<()> {
    let mut changes: Vec<(&SysctlChange, &'static str)> = Vec::new();
    // The best change of each finding; what is only worth a word is left alone unless it is named.
    let is_meant = |finding: &&Finding| {
        finding.severity > Severity::Info || args.only.contains(&finding.code.to_owned())
    };
    for finding in findings.iter().filter(is_meant) {
        let change = finding.fixes.iter().find_map(|fix| fix.change.as_ref());
        let is_new = |change: &&SysctlChange| {
            !changes.iter().any(|(other, _)| other.name == change.name && other.netns == change.netns)
        };
        if let Some(change) = change.filter(is_new) {
            changes.push((change, finding.code));
        }
    }
    if changes.is_empty() {
        note("no finding names a sysctl to set: there is nothing that --fix could do");
        return Ok(());
    }
    let handles = namespace::open(&global.netns)?.0;
    let mut wanted = Vec::new();
    for (change, code) in changes {
        let inode = looks.after.namespace(&change.netns).map(|state| state.namespace.inode);
        let handle = handles.iter().find(|handle| Some(handle.namespace.inode) == inode);
        match handle {
            Some(handle) => wanted.push((handle, change.clone(), code)),
            None => note(&format!("{}: its namespace {} is gone", change.name, change.netns)),
        }
    }
    let done = apply(args, &wanted)?;
    if done == 0 {
        return Ok(());
    }
    note("looking again …");
    let last = looking::again(global, &looks.after, args.during)?;
    let again = Looks { before: None, after: last };
    // Rates need a look before; the one that was judged is it.
    let case = eleven_doctor::Case::new(Some(&looks.after), &again.after);
    let (left, _) = eleven_doctor::judge(&case, |rule| chosen.has(rule));
    let texts = DoctorTexts::of(language(global));
    for code in codes(&wanted) {
        match left.iter().find(|finding| finding.code == code) {
            None => note(&format!("{code}: the evidence is gone")),
            Some(finding) => note(&format!("{code}: still there: {}", Report::of(finding, &texts).title)),
        }
    }
    Ok(())
}

fn codes(wanted: &[(&NamespaceHandle, SysctlChange, &'static str)]) -> Vec<&'static str> {
    let mut codes: Vec<&'static str> = wanted.iter().map(|(_, _, code)| *code).collect();
    codes.dedup();
    codes
}

/// `--set NAME=VALUE`, unless it is known to do harm.
pub(super) fn set(global: &Global, args: &DoctorArgs) -> anyhow::Result<()> {
    let texts = DoctorTexts::of(language(global));
    let handles = namespace::open(&global.netns)?.0;
    let mut wanted = Vec::new();
    for word in &args.set {
        let Some((name, value)) = word.split_once('=') else {
            return Err(WrongUsage::Other(format!("`{word}` is not of the form NAME=VALUE")).into());
        };
        let (name, value) = (name.trim(), value.trim());
        let name = if name.contains('.') { name.to_owned() } else { format!("net.ipv4.{name}") };
        let number = value.parse::<u64>().ok();
        if let Some(folklore) = FOLKLORE.iter().find(|folklore| folklore.sysctl == name)
            && number.is_some_and(folklore.is_harmful)
        {
            let why = texts.cause("harmful-sysctl", Some(folklore.reason)).unwrap_or_default();
            return Err(WrongUsage::Other(format!("{name}={value} is refused: {why}")).into());
        }
        let Some((name, _)) = eleven_knowledge::sysctls().into_iter().find(|(known, _)| *known == name)
        else {
            return Err(WrongUsage::Other(format!("`{name}` is no sysctl that eleven knows")).into());
        };
        for handle in &handles {
            let from = handle.run(|| eleven_linux::proc::sysctl::read(&name))?.unwrap_or_default();
            let change = SysctlChange {
                netns: handle.namespace.label.clone(),
                name: leak(&name),
                from,
                to: value.to_owned(),
            };
            wanted.push((handle, change, "set"));
        }
    }
    apply(args, &wanted)?;
    Ok(())
}

/// The few names given on the command line live as long as the program.
fn leak(name: &str) -> &'static str {
    Box::leak(name.to_owned().into_boxed_str())
}

/// Shows, asks, sets and records; returns how many were set.
fn apply(
    args: &DoctorArgs,
    wanted: &[(&NamespaceHandle, SysctlChange, &'static str)],
) -> anyhow::Result<usize> {
    let mut text = String::from("these sysctls are to be set:");
    for (handle, change, code) in wanted {
        let place = &handle.namespace.label;
        text.push_str(&format!(
            "\n  {} from {} to {} in netns {place}  ({code})",
            change.name, change.from, change.to
        ));
    }
    note(&text);
    if !args.act.yes && !confirm("Set them?")? {
        note("nothing was changed");
        return Ok(0);
    }
    let mut record = Record::load()?;
    let mut done = 0;
    for (handle, change, _) in wanted {
        // Recorded first: what cannot be taken back is not begun.
        record.push(Entry::of(handle, change));
        record.save().context("the undo record cannot be written, so nothing is changed")?;
        match sysctl::set(handle, change.name, &change.to) {
            Ok(_) => {
                done += 1;
                note(&format!("{} is {} now (was {})", change.name, change.to, change.from));
            }
            Err(error) => {
                // What the kernel took but shows otherwise is put back.
                if matches!(error, sysctl::SetError::Ignored { .. }) {
                    let _ = sysctl::set(handle, change.name, &change.from);
                }
                record.pop();
                record.save()?;
                note(&error.to_string());
            }
        }
    }
    if args.persist && done > 0 {
        persist(Path::new(PERSISTENT), wanted)?;
    }
    if done > 0 {
        note("`eleven doctor --undo` takes it back");
    } else {
        anyhow::bail!("no sysctl could be set");
    }
    Ok(done)
}

/// Adds lines to the file of lasting values, in place of those of the same name.
fn persist(path: &Path, wanted: &[(&NamespaceHandle, SysctlChange, &'static str)]) -> anyhow::Result<()> {
    let old = std::fs::read_to_string(path).unwrap_or_default();
    let is_new = |line: &&str| {
        let name = line.split('=').next().unwrap_or_default().trim();
        !wanted.iter().any(|(_, change, _)| change.name == name)
    };
    let mut text = String::new();
    for line in old.lines().filter(is_new) {
        text.push_str(line);
        text.push('\n');
    }
    if text.is_empty() {
        text.push_str("# Written by `eleven doctor --fix --persist`.\n");
    }
    for (_, change, _) in wanted {
        text.push_str(&format!("{} = {}\n", change.name, change.to));
    }
    let beside = path.with_extension("conf.part");
    std::fs::write(&beside, text)
        .and_then(|()| std::fs::rename(&beside, path))
        .with_context(|| format!("cannot write {}", path.display()))?;
    note(&format!("written to {}, for the host's own namespace at boot", path.display()));
    Ok(())
}

/// The namespace that an entry was set in, if it still is there: among those that the command
/// line names, else wherever it is found.
pub(super) fn namespace_of(named: &NamespaceChoice, inode: u64) -> Option<NamespaceHandle> {
    let choices = [named.clone(), NamespaceChoice::This, NamespaceChoice::One(inode.to_string())];
    choices.iter().find_map(|choice| {
        let (handles, _) = namespace::open(choice).ok()?;
        handles.into_iter().find(|handle| handle.namespace.inode == inode)
    })
}
