//! Web servers and proxies that run here: their configuration files, and what these say of idle connections.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use eleven_doctor::chain::{Idle, Origin, PRODUCTS, Product};
use eleven_snapshot::{Owner, Socket, SocketKind};
use eleven_tcp::State;

use super::config::{Found, Root, read_all};

/// Names of their processes, and what they are.
const PROGRAMS: &[(&str, &str)] =
    &[("nginx", "nginx"), ("apache2", "apache"), ("httpd", "apache"), ("haproxy", "haproxy")];

/// Where their main configuration mostly is.
const USUAL: &[(&str, &[&str])] = &[
    (
        "nginx",
        &["/etc/nginx/nginx.conf", "/usr/local/nginx/conf/nginx.conf", "/usr/local/etc/nginx/nginx.conf"],
    ),
    (
        "apache",
        &["/etc/apache2/apache2.conf", "/etc/httpd/conf/httpd.conf", "/usr/local/apache2/conf/httpd.conf"],
    ),
    ("haproxy", &["/etc/haproxy/haproxy.cfg", "/usr/local/etc/haproxy/haproxy.cfg"]),
];

/// Of a million connections some tell who talks with whom: so many that were opened here, and accepted here.
const MOST_CONNECTIONS: usize = 20_000;

/// HAProxy closes half of its idle connections to a server as often as this (`pool-purge-delay`).
const PURGE_DELAY: Duration = Duration::from_secs(5);

/// A connection of such a program.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    pub(super) netns: Option<Arc<str>>,
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    pub(super) owner: Owner,
    pub(super) cookie: Option<u64>,
}

/// What of a host's sockets belongs to such programs; it is filled while they are read.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    pub(super) connections: Vec<Connection>,
    /// How many of them were accepted.
    accepted: usize,
    /// Ports that are listened on, and by whom.
    ports: Vec<(Option<Arc<str>>, u16, u32)>,
    /// Processes that listen.
    listening: BTreeMap<u32, &'static Product>,
}

fn product(process: &str) -> Option<&'static Product> {
    let (_, name) = PROGRAMS.iter().find(|(program, _)| *program == process)?;
    PRODUCTS.iter().find(|product| product.name == *name)
}

impl Traffic {
    /// Takes a socket into account.
    pub(super) fn add(&mut self, socket: &Socket) {
        let Some(owner) = socket.owners.first() else { return };
        let Some(product) = product(&owner.process) else { return };
        match (socket.state, socket.kind) {
            (State::Listen, _) => {
                self.ports.extend(socket.local_port.map(|port| (socket.netns.clone(), port, owner.pid)));
                self.listening.extend(socket.owners.iter().map(|owner| (owner.pid, product)));
            }
            (State::Established, SocketKind::Full) => {
                // Listeners come first. Of a crowd of clients the few calls to servers behind must not be missed.
                let was_accepted =
                    self.listener(socket.netns.as_ref(), socket.local_port.unwrap_or_default()).is_some();
                let kept = if was_accepted { self.accepted } else { self.connections.len() - self.accepted };
                if kept >= MOST_CONNECTIONS {
                    return;
                }
                self.accepted += usize::from(was_accepted);
                let end = |address: std::net::IpAddr, port: Option<u16>| {
                    SocketAddr::new(address.to_canonical(), port.unwrap_or_default())
                };
                self.connections.push(Connection {
                    netns: socket.netns.clone(),
                    local: end(socket.local_address, socket.local_port),
                    remote: end(socket.remote_address, socket.remote_port),
                    owner: owner.clone(),
                    cookie: socket.cookie,
                });
            }
            _ => {}
        }
    }

    /// Which of these programs listens on a port of a namespace.
    pub(super) fn listener(&self, netns: Option<&Arc<str>>, port: u16) -> Option<u32> {
        let found =
            self.ports.iter().find(|(there, listening, _)| there.as_ref() == netns && *listening == port);
        found.map(|(.., pid)| *pid)
    }

    /// The programs, each with its files read; those given by the user stand for those that would be found.
    pub(super) fn servers(&self, given: &[(&'static Product, PathBuf)]) -> Vec<Server> {
        let mut servers: BTreeMap<Identity, Server> = BTreeMap::new();
        for (pid, product) in &self.listening {
            let chief = chief(*pid);
            let identity = Identity {
                product: product.name,
                mounts: fs::metadata(format!("/proc/{chief}/ns/mnt")).map_or(0, |data| data.ino()),
                chief,
            };
            let server = servers.entry(identity).or_insert_with(|| Server::of(chief, product, given));
            server.pids.push(*pid);
        }
        servers.into_values().collect()
    }
}

/// Processes of one server have one ancestor of their name.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Identity {
    product: &'static str,
    mounts: u64,
    chief: u32,
}

/// A running server.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) product: &'static Product,
    /// The process that started the others.
    pub(super) pid: u32,
    pub(super) process: String,
    pids: Vec<u32>,
    /// Its files, or why they cannot be read.
    files: Result<Vec<Found>, String>,
    /// What is wrong in them.
    pub(super) remarks: Vec<String>,
}

impl Server {
    fn of(pid: u32, product: &'static Product, given: &[(&'static Product, PathBuf)]) -> Self {
        let named: Vec<&PathBuf> =
            given.iter().filter(|(of, _)| of.name == product.name).map(|(_, path)| path).collect();
        let mut remarks = Vec::new();
        let mut say = |remark| remarks.push(remark);
        let files = if named.is_empty() {
            found(pid, product, &mut say)
        } else {
            read_given(product, &named, &mut say)
        };
        Self { product, pid, process: comm(pid).unwrap_or_default(), pids: Vec::new(), files, remarks }
    }

    pub(super) fn has(&self, pid: u32) -> bool {
        self.pids.contains(&pid) || chief(pid) == self.pid
    }

    /// `nginx (pid 812)`.
    pub(super) fn name(&self) -> String {
        format!("{} (pid {})", crate::text::printable(&self.process), self.pid)
    }

    /// Where the settings come from, or why they are unknown.
    pub(super) fn source(&self) -> Result<String, &str> {
        let files = self.files.as_ref().map_err(String::as_str)?;
        Ok(files.first().map_or_else(String::new, |found| found.file.display().to_string()))
    }

    fn files(&self) -> &[Found] {
        self.files.as_deref().unwrap_or_default()
    }

    fn times(&self, upstream: bool, is_meant: impl Fn(&str) -> bool) -> Vec<Idle> {
        let settings = self.files().iter().flat_map(|found| {
            let file = found.file.display().to_string();
            found.config.settings.iter().map(move |setting| (file.clone(), setting))
        });
        settings
            .filter(|(_, setting)| setting.upstream == upstream && is_meant(&setting.directive))
            .filter_map(|(file, setting)| {
                Some(Idle { time: setting.time?, source: Origin::File(file, setting.line) })
            })
            .collect()
    }

    /// Whether its files are known.
    pub(super) fn is_known(&self) -> bool {
        self.files.is_ok()
    }

    /// After how long it closes an idle connection of a client, at the latest; `None`: it does not say, or never.
    pub(super) fn toward_clients(&self) -> Option<Idle> {
        // HAProxy has three, of which the first that is set counts.
        let ranks: &[&[&str]] = match self.product.name {
            "haproxy" => &[&["timeout http-keep-alive"], &["timeout http-request"], &["timeout client"]],
            _ => &[&["keepalive_timeout", "KeepAliveTimeout", "keepalivetimeout"]],
        };
        let set = ranks.iter().find_map(|names| {
            let is_meant = |directive: &str| names.iter().any(|name| name.eq_ignore_ascii_case(directive));
            self.times(false, is_meant).into_iter().max_by_key(|idle| idle.time)
        });
        let default = || self.product.idle_s.map(|s| (Duration::from_secs(s), Origin::Default));
        set.or_else(|| default().map(|(time, source)| Idle { time, source }))
    }

    /// Whether it keeps connections of clients open for further requests anywhere.
    pub(super) fn keeps_clients(&self) -> bool {
        let mut settings = self
            .files()
            .iter()
            .flat_map(|found| &found.config.settings)
            .filter(|setting| !setting.upstream)
            .peekable();
        settings.peek().is_none() || settings.any(|setting| setting.time.is_some())
    }

    /// Whether it keeps connections to its servers for further requests.
    pub(super) fn keeps_upstream(&self) -> bool {
        let mut said = self.files().iter().filter_map(|found| found.config.keeps_upstream);
        match self.product.name {
            // Not unless it is told to.
            "haproxy" => !said.any(|keeps| !keeps),
            _ => said.any(|keeps| keeps),
        }
    }

    /// After how long it closes an idle connection to a server, at the soonest; `None`: never.
    pub(super) fn toward_servers(&self) -> Option<Idle> {
        let shortest = |is_meant: &dyn Fn(&str) -> bool| {
            self.times(true, is_meant).into_iter().min_by_key(|idle| idle.time)
        };
        let default = |time| Some(Idle { time, source: Origin::Default });
        match self.product.name {
            // proxy_read_timeout is for answers that do not come.
            "nginx" => shortest(&|name| name == "keepalive_timeout")
                .or_else(|| default(Duration::from_secs(self.product.upstream_idle_s?))),
            "haproxy" => {
                let purge = shortest(&|name| name == "pool-purge-delay").or_else(|| default(PURGE_DELAY));
                [purge, shortest(&|name| name == "timeout server")]
                    .into_iter()
                    .flatten()
                    .min_by_key(|idle| idle.time)
            }
            _ => shortest(&|_| true),
        }
    }
}

/// The topmost ancestor of the same name: workers forget their arguments, and may have locked themselves up.
fn chief(pid: u32) -> u32 {
    let mut chief = pid;
    let name = comm(pid);
    // Nobody has more generations of workers.
    for _ in 0..8 {
        match parent(chief) {
            Some(parent) if parent > 1 && comm(parent) == name => chief = parent,
            _ => break,
        }
    }
    chief
}

fn comm(pid: u32) -> Option<String> {
    Some(fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim_end().to_owned())
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything.
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

/// Longest command line that is looked at.
const MOST_ARGUMENTS: u64 = 64 << 10;

/// Arguments of a process; nginx writes its title over them, with the arguments behind it.
fn arguments(pid: u32) -> Vec<String> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let file = fs::File::open(format!("/proc/{pid}/cmdline"));
    if file.and_then(|file| file.take(MOST_ARGUMENTS).read_to_end(&mut bytes)).is_err() {
        return Vec::new();
    }
    let text = String::from_utf8_lossy(&bytes);
    match text.trim_end_matches('\0').strip_prefix("nginx: master process ") {
        Some(rest) => rest.split([' ', '\0']).filter(|word| !word.is_empty()).map(str::to_owned).collect(),
        None => text.split('\0').filter(|word| !word.is_empty()).map(str::to_owned).collect(),
    }
}

/// Values of an option with one letter: `-c FILE`, `-cFILE`.
fn values<'a>(arguments: &'a [String], option: &str) -> Vec<&'a str> {
    let mut found = Vec::new();
    let mut words = arguments.iter().skip(1);
    while let Some(word) = words.next() {
        if word == option {
            found.extend(words.next().map(String::as_str));
        } else if let Some(value) = word.strip_prefix(option) {
            found.push(value);
        }
    }
    found
}

/// Reads the files that a running process was started with, as that process sees them.
fn found(pid: u32, product: &'static Product, say: &mut dyn FnMut(String)) -> Result<Vec<Found>, String> {
    let root = Root::of_process(pid).map_err(|error| error.to_string())?;
    let arguments = arguments(pid);
    let (file_option, directory_option) = match product.name {
        "nginx" => ("-c", "-p"),
        "apache" => ("-f", "-d"),
        _ => ("-f", "-C"),
    };
    let working = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_else(|_| PathBuf::from("/"));
    let directory = values(&arguments, directory_option).last().map(|directory| working.join(directory));
    let base = directory.clone().unwrap_or(working);
    let mut files: Vec<PathBuf> =
        values(&arguments, file_option).into_iter().map(|file| base.join(file)).collect();
    if files.is_empty() {
        let usual = USUAL.iter().find(|(name, _)| *name == product.name).map_or(&[][..], |(_, usual)| usual);
        files.extend(usual.iter().map(PathBuf::from).find(|file| root.is_directory(file) == Some(false)));
    }
    if files.is_empty() {
        return Err("no configuration file is found".to_owned());
    }
    let mut all = Vec::new();
    for file in files {
        let parts = if root.is_directory(&file) == Some(true) {
            root.files_in(&file, ".cfg").map_err(|error| format!("{}: {error}", file.display()))?
        } else {
            vec![file]
        };
        for file in parts {
            let base = directory.as_deref().filter(|_| product.name == "apache");
            let read = read_all(product, &root, &file, base.or(file.parent()).unwrap_or(Path::new("/")), say);
            all.extend(read.map_err(|error| format!("{}: {error}", file.display()))?);
        }
    }
    Ok(all)
}

fn read_given(
    product: &'static Product,
    files: &[&PathBuf],
    say: &mut dyn FnMut(String),
) -> Result<Vec<Found>, String> {
    let mut all = Vec::new();
    for file in files {
        let base = file.parent().unwrap_or(Path::new("."));
        let read = read_all(product, &Root::here(), file, base, say);
        all.extend(read.map_err(|error| format!("{}: {error}", file.display()))?);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_found_in_either_form() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(values(&words("haproxy -Ws -f a -f b"), "-f"), ["a", "b"]);
        assert_eq!(values(&words("nginx -g x -c/etc/n.conf"), "-c"), ["/etc/n.conf"]);
        assert!(values(&words("apache2 -k start"), "-f").is_empty());
    }

    /// A server with one file.
    fn server(name: &str, text: &str) -> Server {
        let product = PRODUCTS.iter().find(|product| product.name == name).unwrap();
        let config = eleven_doctor::chain::read_config(product, text).unwrap();
        let files = Ok(vec![Found { file: "file".into(), config }]);
        Server { product, pid: 1, process: name.to_owned(), pids: vec![1], files, remarks: Vec::new() }
    }

    fn seconds(idle: Option<Idle>) -> Option<u64> {
        idle.map(|idle| idle.time.as_secs())
    }

    #[test]
    fn what_surely_holds_is_taken_of_several_settings() {
        // The far end must close sooner everywhere, the near end later anywhere, before anybody is warned.
        let nginx = server(
            "nginx",
            "http { keepalive_timeout 65; server { keepalive_timeout 15; } server { keepalive_timeout 0; }
               upstream a { server b; keepalive 4; keepalive_timeout 50s; }
               upstream c { server d; keepalive_timeout 40s; } server { proxy_read_timeout 5s; } }",
        );
        assert_eq!(
            (seconds(nginx.toward_clients()), seconds(nginx.toward_servers()), nginx.keeps_upstream()),
            (Some(65), Some(40), true)
        );
        assert_eq!(seconds(server("nginx", "").toward_clients()), Some(75));
        assert!(server("nginx", "").keeps_clients() && !server("nginx", "").keeps_upstream());
        assert!(!server("nginx", "keepalive_timeout 0;").keeps_clients());
        let httpd = server("apache", "KeepAliveTimeout 15\nProxyPass / http://a/\n");
        assert_eq!(
            (seconds(httpd.toward_clients()), httpd.toward_servers(), httpd.keeps_upstream()),
            (Some(15), None, true)
        );
        assert!(!server("apache", "KeepAlive Off").keeps_clients());
        let haproxy = server(
            "haproxy",
            "defaults\n timeout client 30s\n timeout server 90s\n timeout http-keep-alive 8s\n",
        );
        assert_eq!(
            (seconds(haproxy.toward_clients()), seconds(haproxy.toward_servers())),
            (Some(8), Some(5))
        );
        assert!(
            haproxy.keeps_upstream() && !server("haproxy", "backend b\n http-reuse never\n").keeps_upstream()
        );
    }

    #[test]
    fn a_process_knows_its_parent_and_arguments() {
        assert_eq!(parent(std::process::id()), Some(std::os::unix::process::parent_id()));
        assert!(!arguments(std::process::id()).is_empty());
        assert_eq!(chief(u32::MAX), u32::MAX);
    }
}
