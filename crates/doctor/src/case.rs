//! Two looks side by side.

use std::sync::Arc;

use eleven_snapshot::{Counters, NamespaceState};

use crate::digest::{Kind, Netns, Sample, is_within_host};
use crate::look::tcp_ext;
use crate::{Fix, Look, Missing, Subject, SysctlChange, Thresholds};

/// What is judged.
pub struct Case<'a> {
    /// The earlier look, where there is one.
    pub before: Option<&'a Look>,
    /// The later look, or the only one.
    pub after: &'a Look,
    /// Where healthy ends.
    pub thresholds: Thresholds,
}

impl<'a> Case<'a> {
    /// A case with the usual thresholds.
    pub fn new(before: Option<&'a Look>, after: &'a Look) -> Self {
        Self { before, after, thresholds: Thresholds::default() }
    }

    /// Seconds between the looks; `None` with one look, or with looks in the wrong order.
    pub fn elapsed_s(&self) -> Option<f64> {
        let elapsed = self.after.taken_at_s - self.before?.taken_at_s;
        (elapsed > 0.05).then_some(elapsed)
    }

    /// Whether both looks saw the same boot, so that counters only rise and cookies last.
    pub fn same_boot(&self) -> bool {
        self.before.is_some_and(|before| before.boot_id == self.after.boot_id)
    }

    /// What `sooner` and `later` differ by, in a minute.
    pub(crate) fn per_minute(&self, sooner: u64, later: u64) -> Option<f64> {
        Some((later as f64 - sooner as f64) * 60.0 / self.elapsed_s()?)
    }

    /// The suspect as the earlier look saw it: the same socket, not another one at its address.
    pub(crate) fn earlier(&self, sample: &Sample) -> Option<&'a Sample> {
        let before = self.before?.digest.suspects.rows.get(&(sample.netns, sample.tuple))?;
        let is_other = self.same_boot()
            && before.cookie.zip(sample.cookie).is_some_and(|(sooner, later)| sooner != later);
        (!is_other).then_some(before)
    }

    /// Suspects of a kind, each with its earlier self.
    pub(crate) fn suspects(&self, kind: Kind) -> impl Iterator<Item = (&'a Sample, Option<&'a Sample>)> {
        let samples = self.after.digest.suspects.of(kind);
        samples.into_iter().map(move |sample| (sample, self.earlier(sample).filter(|before| before.is(kind))))
    }

    /// The other end of a connection, where this host has it.
    pub(crate) fn mirror(&self, sample: &Sample) -> Option<&'a Sample> {
        self.after.digest.mirrors.get(&sample.tuple.mirrored())
    }

    /// Whether the other end must be on this host and is not: proof that it has gone.
    pub(crate) fn mirror_is_missing(&self, sample: &Sample) -> bool {
        self.after.digest.asked_for_mirrors()
            && self.earlier(sample).is_some()
            && self.mirror(sample).is_none()
            && is_within_host(sample.tuple)
    }

    /// Growth of a `TcpExt` counter between the looks, in a namespace of the later one.
    pub(crate) fn grown(&self, state: &NamespaceState, name: &str) -> Option<u64> {
        let before = self.before.filter(|_| self.same_boot())?.namespace(&state.namespace.label)?;
        u64::try_from(tcp_ext(state, name)?.checked_sub(tcp_ext(before, name)?)?).ok()
    }

    /// In how many of the moments between the looks a sum of counters rose, and how many moments
    /// there were; `None` where the counters were not read in between.
    pub(crate) fn pulses(
        &self,
        state: &NamespaceState,
        sum: impl Fn(&Counters) -> Option<i64>,
    ) -> Option<(u64, u64)> {
        let label = &state.namespace.label;
        let first = &self.before.filter(|_| self.same_boot())?.namespace(label)?.counters;
        let between = self.after.pulses.iter().filter_map(|pulse| {
            pulse.iter().find(|(namespace, _)| namespace == label).map(|(_, counters)| counters)
        });
        let mut previous = sum(first)?;
        let (mut rises, mut moments) = (0, 0);
        for counters in between.chain([&state.counters]) {
            let now = sum(counters)?;
            rises += u64::from(now > previous);
            moments += 1;
            previous = now;
        }
        (moments > 1).then_some((rises, moments))
    }

    /// The same of a counter in group `Tcp`.
    pub(crate) fn grown_mib(&self, state: &NamespaceState, name: &str) -> Option<u64> {
        let before = self.before.filter(|_| self.same_boot())?.namespace(&state.namespace.label)?;
        u64::try_from(crate::look::tcp_mib(state, name)?.checked_sub(crate::look::tcp_mib(before, name)?)?)
            .ok()
    }

    /// Label of a namespace of the later look.
    pub(crate) fn label(&self, netns: Netns) -> Arc<str> {
        self.after.digest.label(netns).clone()
    }

    /// State of a namespace of the later look.
    pub(crate) fn state(&self, netns: Netns) -> Option<&'a NamespaceState> {
        self.after.namespace(self.after.digest.label(netns))
    }

    /// A sysctl in a namespace.
    pub(crate) fn sysctl(&self, netns: Netns, name: &str) -> Option<u64> {
        crate::look::sysctl(self.state(netns)?, name)
    }

    /// What a second look would settle, when there was none.
    pub(crate) fn second_look(&self) -> Vec<Missing> {
        if self.before.is_none() { vec![Missing::SecondLook] } else { Vec::new() }
    }

    /// A subject in a namespace, held by a process.
    pub(crate) fn subject(&self, netns: Netns, holder: Option<(u32, Arc<str>)>) -> Subject {
        let (pid, process) = holder.unzip();
        Subject { netns: Some(self.label(netns)), pid, process, ..Subject::default() }
    }

    /// Sets a sysctl: the command for that namespace, and what `--fix` would do.
    pub(crate) fn set_sysctl(
        &self,
        key: &'static str,
        state: &NamespaceState,
        name: &'static str,
        to: &str,
    ) -> Option<Fix> {
        let from = state.sysctls.get(name)?.clone();
        let command = format!("{}sysctl -w {name}={}", inside(self.after, state), quoted(to));
        let change = SysctlChange { netns: state.namespace.label.clone(), name, from, to: to.to_owned() };
        Some(Fix { key, command: Some(command), reversible: true, change: Some(change) })
    }

    /// What a command for the namespace of this label begins with.
    pub(crate) fn inside(&self, label: &str) -> String {
        self.after.namespace(label).map_or_else(String::new, |state| inside(self.after, state))
    }

    /// A command to run in a namespace, known by what was seen of it.
    pub(crate) fn command_in(&self, state: &NamespaceState, command: &str) -> String {
        format!("{}{command}", inside(self.after, state))
    }

    /// A command to run in a namespace.
    pub(crate) fn command(&self, netns: Netns, command: &str) -> String {
        self.state(netns).map_or_else(|| command.to_owned(), |state| self.command_in(state, command))
    }
}

/// A value as a shell takes it.
fn quoted(value: &str) -> String {
    if value.contains(' ') { format!("'{value}'") } else { value.to_owned() }
}

/// A name as one word of a shell, whatever is in it.
fn word(name: &str) -> String {
    let is_plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | ':' | '@' | '+');
    if name.chars().all(is_plain) { name.to_owned() } else { format!("'{}'", name.replace('\'', "'\\''")) }
}

/// How a command gets into a namespace; nothing for the one the look was started in.
fn inside(look: &Look, state: &NamespaceState) -> String {
    let namespace = &state.namespace;
    if look.own_namespace == Some(namespace.inode) {
        return String::new();
    }
    match (&namespace.name, namespace.pid, &namespace.path) {
        (Some(name), ..) => format!("ip netns exec {} ", word(name)),
        (None, Some(pid), _) => format!("nsenter -t {pid} -n "),
        (None, None, Some(path)) => format!("nsenter --net={} ", word(path)),
        (None, None, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::word;

    #[test]
    fn any_name_is_one_word() {
        assert_eq!(word("blue-1"), "blue-1");
        assert_eq!(word("/proc/1/fd/3"), "/proc/1/fd/3");
        assert_eq!(word("a; rm b's"), "'a; rm b'\\''s'");
    }
}
