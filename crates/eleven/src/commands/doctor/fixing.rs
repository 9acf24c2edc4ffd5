//! `--fix`: which sysctls are to be set, and whether the evidence is gone afterwards.

use eleven_doctor::{FOLKLORE, Finding, Severity, SysctlChange};
use eleven_knowledge::DoctorTexts;
use eleven_linux::namespace::{self, NamespaceHandle};

use super::apply::{Wanted, apply, not_of_this_namespace};
use super::looking::Looking;
use super::servers::Traffic;
use super::{Chosen, Looks, Report};
use crate::cli::{DoctorArgs, Global};
use crate::commands::interrupt::Waiter;
use crate::commands::{WrongUsage, language};
use crate::output::note;

/// Applies what the findings propose.
pub(super) fn run(
    looking: &Looking<'_>,
    args: &DoctorArgs,
    chosen: &Chosen,
    looks: &Looks,
    findings: &[Finding],
) -> anyhow::Result<()> {
    let global = looking.global;
    let texts = DoctorTexts::of(language(global));
    let mut changes: Vec<(&SysctlChange, &Finding)> = Vec::new();
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
            changes.push((change, finding));
        }
    }
    if changes.is_empty() {
        note("no finding names a sysctl to set: there is nothing that --fix could do");
        return Ok(());
    }
    let handles = namespace::open(&global.netns)?.0;
    let mut wanted = Vec::new();
    for (change, finding) in changes {
        let inode = looks.after.namespace(&change.netns).map(|state| state.namespace.inode);
        let Some(handle) = handles.iter().find(|handle| Some(handle.namespace.inode) == inode) else {
            note(&format!("{}: its namespace {} is gone", change.name, change.netns));
            continue;
        };
        if let Some(why) = not_of_this_namespace(handle, change.name) {
            note(&why);
            continue;
        }
        let reason = Report::of(finding, &texts).title;
        wanted.push(Wanted { handle, change: change.clone(), code: finding.code, reason });
    }
    let done = apply(args, &wanted)?;
    if done == 0 {
        return Ok(());
    }
    note("looking again …");
    let last = looking.again(&looks.after, args.during, &Waiter::new()?, &mut Traffic::default())?;
    let again = Looks { before: None, after: last };
    // Rates need a look before; the one that was judged is it.
    let case = eleven_doctor::Case::new(Some(&looks.after), &again.after);
    let (left, _) = eleven_doctor::judge(&case, |rule| chosen.has(rule));
    let mut codes: Vec<&str> = wanted.iter().map(|wanted| wanted.code).collect();
    codes.dedup();
    for code in codes {
        match left.iter().find(|finding| finding.code == code) {
            None => note(&format!("{code}: the evidence is gone")),
            Some(finding) => note(&format!("{code}: still there: {}", Report::of(finding, &texts).title)),
        }
    }
    Ok(())
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
        let name = known_name(name.trim())?;
        let value = value.trim();
        if let Some(folklore) = FOLKLORE.iter().find(|folklore| folklore.sysctl == name)
            && number(value).is_some_and(folklore.is_harmful)
        {
            let why = texts.cause("harmful-sysctl", Some(folklore.reason)).unwrap_or_default();
            return Err(WrongUsage::Other(format!("{name}={value} is refused: {why}")).into());
        }
        for handle in &handles {
            if let Some(why) = not_of_this_namespace(handle, &name) {
                anyhow::bail!(why);
            }
            let from = handle.run(|| eleven_linux::proc::sysctl::read(&name))?.unwrap_or_default();
            let netns = handle.namespace.label.clone();
            let change = SysctlChange { netns, name: leak(&name), from, to: value.to_owned() };
            wanted.push(Wanted { handle, change, code: "set", reason: format!("--set {word}") });
        }
    }
    apply(args, &wanted)?;
    Ok(())
}

/// The full name of a sysctl that is known, as written with dots, slashes, or without its beginning.
fn known_name(name: &str) -> Result<String, WrongUsage> {
    let dotted = name.replace('/', ".");
    let full = if dotted.contains('.') { dotted } else { format!("net.ipv4.{dotted}") };
    let known = eleven_knowledge::sysctls();
    if known.contains_key(&full) {
        return Ok(full);
    }
    let hint = crate::filter::suggest::nearest(&full, known.keys().map(String::as_str))
        .map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    Err(WrongUsage::Other(format!("`{full}` is no sysctl that eleven knows{hint}")))
}

/// A number as the kernel reads one (`strtoul` with base 0).
fn number(value: &str) -> Option<u64> {
    match value.strip_prefix("0x").or(value.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None if value.len() > 1 && value.starts_with('0') => u64::from_str_radix(value, 8).ok(),
        None => value.parse().ok(),
    }
}

/// The few names given on the command line live as long as the program.
fn leak(name: &str) -> &'static str {
    Box::leak(name.to_owned().into_boxed_str())
}

/// The namespace that an entry was set in, if it still is there: among those that the command
/// line names, else wherever it is found.
pub(super) fn namespace_of(named: &namespace::NamespaceChoice, inode: u64) -> Option<NamespaceHandle> {
    use namespace::NamespaceChoice;
    let choices = [named.clone(), NamespaceChoice::This, NamespaceChoice::One(inode.to_string())];
    let found = choices.iter().find_map(|choice| {
        let (handles, _) = namespace::open(choice).ok()?;
        handles.into_iter().find(|handle| handle.namespace.inode == inode)
    });
    found.or_else(|| {
        let (handles, _) = namespace::open(&NamespaceChoice::All).ok()?;
        handles.into_iter().find(|handle| handle.namespace.inode == inode)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_the_kernel_reads_them() {
        assert_eq!(["1", "0x1", "0X10", "010", "0", "00"].map(number), [1, 1, 16, 8, 0, 0].map(Some));
        assert_eq!(["", "x", "-1", "1 2"].map(number), [None; 4]);
    }

    #[test]
    fn names_are_completed() {
        for name in ["tcp_sack", "net.ipv4.tcp_sack", "net/ipv4/tcp_sack"] {
            assert_eq!(known_name(name).unwrap(), "net.ipv4.tcp_sack");
        }
        let error = known_name("tcp_sak").unwrap_err().to_string();
        assert!(error.contains("did you mean `net.ipv4.tcp_sack`"), "{error}");
    }
}
