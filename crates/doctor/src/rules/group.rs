//! Connections that are told in one finding, because one program and one peer have them.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::digest::{Netns, Sample};
use crate::{Case, Subject};

/// What they have in common: of a server's connections the client's address, of a client's the
/// address and port of its server.
type Common = (Netns, Option<(u32, Arc<str>)>, SocketAddr);

fn common(case: &Case<'_>, sample: &Sample) -> Common {
    let is_served = case.after.digest.listeners.has_port(sample.netns, sample.tuple.local.port());
    let remote = sample.tuple.remote;
    let place = if is_served { SocketAddr::new(remote.ip(), 0) } else { remote };
    (sample.netns, sample.holder(), place)
}

/// Puts together what has the same program and peer; groups and their members stay in order.
pub(super) fn by_peer<T>(
    case: &Case<'_>,
    all: impl IntoIterator<Item = T>,
    sample: impl Fn(&T) -> &Sample,
) -> Vec<Vec<T>> {
    let mut groups: Vec<(Common, Vec<T>)> = Vec::new();
    for one in all {
        let common = common(case, sample(&one));
        match groups.iter_mut().find(|(known, _)| *known == common) {
            Some((_, group)) => group.push(one),
            None => groups.push((common, vec![one])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

/// What such a finding is about: both ends of one connection, or of several what they share.
pub(super) fn subject<'a>(case: &Case<'_>, mut group: impl Iterator<Item = &'a Sample> + Clone) -> Subject {
    let Some(first) = group.clone().next() else { return Subject::default() };
    let one_local = group.clone().all(|sample| sample.tuple.local == first.tuple.local);
    let one_remote = group.all(|sample| sample.tuple.remote == first.tuple.remote);
    let remote = first.tuple.remote;
    Subject {
        local: one_local.then(|| first.tuple.local.to_string()),
        remote: Some(if one_remote { remote.to_string() } else { remote.ip().to_string() }),
        state: Some(first.state.as_str()),
        ..case.subject(first.netns, first.holder())
    }
}

/// The filter that chooses these connections, and as few others as can be.
pub(super) fn these(group: &[&Sample]) -> String {
    let Some(first) = group.first() else { return String::new() };
    let (local, remote) = (first.tuple.local, first.tuple.remote);
    if group.len() == 1 {
        return format!(
            "src {} and sport = :{} and dst {} and dport = :{}",
            local.ip(),
            local.port(),
            remote.ip(),
            remote.port()
        );
    }
    let mut filter = format!("state {} and dst {}", first.state.ss_name().to_ascii_lowercase(), remote.ip());
    if group.iter().all(|sample| sample.tuple.remote == remote) {
        filter.push_str(&format!(" and dport = :{}", remote.port()));
    }
    if group.iter().all(|sample| sample.tuple.local.port() == local.port()) {
        filter.push_str(&format!(" and sport = :{}", local.port()));
    }
    if let Some((pid, _)) = first.holder() {
        filter.push_str(&format!(" and pid {pid}"));
    }
    filter
}
