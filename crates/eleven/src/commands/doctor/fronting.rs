//! Which server of this host fronts which, and whether their idle timeouts are in order.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use eleven_doctor::chain::{Chain, Hop, Idle, Origin, PRODUCTS, Product, Role};
use eleven_doctor::{Evidence, Finding, Look, Severity, Value};
use eleven_knowledge::DoctorTexts;
use eleven_linux::act::HeldSocket;

use super::config::product_of;
use super::servers::{Connection, Server, Traffic};
use crate::commands::WrongUsage;
use crate::output::note;
use crate::text;

/// What the servers of the host were found to be, and the findings on their order.
pub(super) struct Fronting {
    pub(super) findings: Vec<Finding>,
    /// A line a server: its timeouts and where they stand.
    pub(super) lines: Vec<String>,
}

/// The files named by `--config`, each with its product.
pub(super) fn given(configs: &[PathBuf]) -> Result<Vec<(&'static Product, PathBuf)>, WrongUsage> {
    let known = |path: &PathBuf| {
        product_of(path).map(|product| (product, path.clone())).ok_or_else(|| {
            WrongUsage::Other(format!(
                "{}: it is not told whether this is of nginx, httpd or haproxy",
                path.display()
            ))
        })
    };
    configs.iter().map(known).collect()
}

/// Judges the chains that the host itself shows.
pub(super) fn judge(
    traffic: &Traffic,
    look: &Look,
    given: &[(&'static Product, PathBuf)],
    texts: &DoctorTexts,
) -> Fronting {
    let servers = traffic.servers(given);
    for (product, path) in given {
        if !servers.iter().any(|server| server.product.name == product.name) {
            note(&format!("{}: no {} listens here", path.display(), product.title));
        }
    }
    // Of files that nobody named only --verbose tells.
    let is_given = |server: &&Server| given.iter().any(|(product, _)| product.name == server.product.name);
    for server in servers.iter().filter(is_given) {
        server.source().err().into_iter().for_each(note);
        server.remarks.iter().for_each(|remark| note(remark));
    }
    let mut findings = Vec::new();
    for link in links(traffic, &servers) {
        findings.extend(of_link(look, &link));
    }
    let lines = servers
        .iter()
        .flat_map(|server| std::iter::once(line(server, texts)).chain(server.remarks.iter().cloned()))
        .collect();
    Fronting { findings, lines }
}

/// Two servers of which one calls the other.
struct Link<'a> {
    near: &'a Server,
    far: &'a Server,
    /// The connections between them, at either end.
    between: Vec<Between<'a>>,
}

/// A connection as the near end has it, and as the far end has it, where that was seen.
type Between<'a> = (&'a Connection, Option<&'a Connection>);

fn links<'a>(traffic: &'a Traffic, servers: &'a [Server]) -> Vec<Link<'a>> {
    let mut by_tuple: BTreeMap<(SocketAddr, SocketAddr), Vec<&Connection>> = BTreeMap::new();
    for connection in &traffic.connections {
        by_tuple.entry((connection.local, connection.remote)).or_default().push(connection);
    }
    let other_end = |connection: &Connection| {
        let others = by_tuple.get(&(connection.remote, connection.local))?;
        let here = others.iter().find(|other| other.netns == connection.netns);
        // Between namespaces addresses tell ends apart, except those that every namespace has.
        here.or_else(|| others.first().filter(|_| !connection.remote.ip().is_loopback())).copied()
    };
    let mut pids: BTreeMap<u32, Option<usize>> = BTreeMap::new();
    let mut server_of =
        |pid: u32| *pids.entry(pid).or_insert_with(|| servers.iter().position(|server| server.has(pid)));
    let mut found: BTreeMap<(usize, usize), Vec<Between<'_>>> = BTreeMap::new();
    for connection in &traffic.connections {
        // The one with the port of a listener is the far one.
        if traffic.listener(connection.netns.as_ref(), connection.local.port()).is_some() {
            continue;
        }
        let other = other_end(connection);
        let remote = connection.remote;
        let far = match other {
            Some(other) => traffic.listener(other.netns.as_ref(), remote.port()).map(|_| other.owner.pid),
            // One of very many: then whoever listens there, where that can only be here.
            None if remote.ip().is_loopback() || remote.ip() == connection.local.ip() => {
                traffic.listener(connection.netns.as_ref(), remote.port())
            }
            None => None,
        };
        if let (Some(near), Some(far)) = (server_of(connection.owner.pid), far.and_then(&mut server_of))
            && near != far
        {
            found.entry((near, far)).or_default().push((connection, other));
        }
    }
    let link = |((near, far), between): ((usize, usize), _)| Link {
        near: &servers[near],
        far: &servers[far],
        between,
    };
    found.into_iter().map(link).collect()
}

fn of_link(look: &Look, Link { near, far, between }: &Link<'_>) -> Vec<Finding> {
    // Without its files a server may have any timeout; and who keeps no connections has none that are idle.
    if !near.is_known() || !far.is_known() || !near.keeps_upstream() || !far.keeps_clients() {
        return Vec::new();
    }
    let Some((connection, other)) = between.first() else { return Vec::new() };
    let hop = |server: &Server, role, idle, end: Option<&Connection>| Hop {
        name: server.name(),
        role,
        product: Some(server.product),
        idle,
        upstream_idle: None,
        keepalive: end.and_then(keepalive),
    };
    let mut hops = vec![hop(near, Role::Client, near.toward_servers(), Some(connection))];
    hops.extend(connection.netns.as_deref().and_then(|netns| tracking(look, netns)));
    hops.push(hop(far, Role::Server, far.toward_clients(), *other));
    let mut findings = Chain { hops }.findings();
    findings.retain(|finding| finding.severity > Severity::Info);
    for finding in &mut findings {
        if finding.variant == Some("together") {
            // By chance now and then: worth a word.
            finding.severity = Severity::Info;
        }
        finding.count = between.len() as u64;
        finding.subject.netns.clone_from(&connection.netns);
        finding.subject.process = Some(Arc::from(&*far.process));
        finding.subject.pid = Some(far.pid);
        finding.evidence.push(Evidence {
            key: "connections",
            value: Value::Count(between.len() as u64),
            unit: Some("connections"),
        });
    }
    findings
}

/// Silence after which the socket itself sends a keepalive.
fn keepalive(connection: &Connection) -> Option<Duration> {
    let timers = HeldSocket::of(&connection.owner, connection.cookie).ok()?.timers().ok()?;
    let keepalive = timers.keepalive;
    keepalive.idle_s.filter(|_| keepalive.enabled).map(|s| Duration::from_secs(s.into()))
}

/// Connection tracking of the namespace, if it tracks anything.
fn tracking(look: &Look, netns: &str) -> Option<Hop> {
    let sysctls = &look.namespace(netns)?.sysctls;
    let number = |name: &str| sysctls.get(name)?.parse::<u64>().ok();
    number("net.netfilter.nf_conntrack_count").filter(|count| *count > 0)?;
    let time = Duration::from_secs(number("net.netfilter.nf_conntrack_tcp_timeout_established")?);
    let product = PRODUCTS.iter().find(|product| product.name == "conntrack")?;
    Some(Hop {
        name: "conntrack".to_owned(),
        role: Role::Filter,
        product: Some(product),
        idle: Some(Idle { time, source: Origin::Given }),
        upstream_idle: None,
        keepalive: None,
    })
}

/// `nginx (pid 812), /etc/nginx/nginx.conf: idle clients 1 m 5 s (…:12), idle servers 1 m 0 s (default)`.
fn line(server: &Server, texts: &DoctorTexts) -> String {
    let name = server.name();
    let source = match server.source() {
        Ok(source) => source,
        Err(why) => return format!("{name}: {}", text::printable(why)),
    };
    let time = |idle: Option<Idle>| match idle {
        None => texts.word("never").to_owned(),
        Some(Idle { time, source }) => {
            let time = text::duration(time.as_millis() as u64);
            match source {
                Origin::File(file, line) => format!("{time} ({file}:{line})"),
                Origin::Default | Origin::Given => format!("{time} ({})", texts.word("by-default")),
            }
        }
    };
    let clients = format!("{} {}", texts.word("idle-clients"), time(server.toward_clients()));
    let servers = if server.keeps_upstream() {
        format!(", {} {}", texts.word("idle-servers"), time(server.toward_servers()))
    } else {
        String::new()
    };
    format!("{name}, {}: {}", text::printable(&source), text::printable(&format!("{clients}{servers}")))
}
