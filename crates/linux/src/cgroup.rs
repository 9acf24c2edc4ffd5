//! Control groups, and the container or service behind one.

use std::fs;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustc_hash::FxHashMap;

/// Directories looked at before the index is called complete enough; a host has hundreds
/// to some thousands.
const MOST_GROUPS: usize = 200_000;

/// A control group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup {
    /// Path below the cgroup file system's root.
    pub path: Arc<str>,
    /// Container or service that owns it.
    pub container: Option<Arc<str>>,
}

/// The host's control groups: the unified hierarchy by id, any hierarchy by process. Each
/// is read when it is first asked for.
#[derive(Debug, Default)]
pub struct Cgroups {
    by_id: OnceLock<FxHashMap<u64, Cgroup>>,
    unified_only: OnceLock<bool>,
    by_process: Mutex<FxHashMap<u32, Option<Cgroup>>>,
}

impl Cgroups {
    /// The group with this id, which is the inode number of its directory (cgroup v2).
    pub fn by_id(&self, id: u64) -> Option<Cgroup> {
        self.by_id.get_or_init(index_unified_hierarchy).get(&id).cloned()
    }

    /// The group of a socket: the one it was made in, by `id`, where that tells anything.
    /// A host that (also) mounts hierarchies of version 1 may keep its containers in those,
    /// and every socket then bears the unified root's id; its owner's group tells more.
    pub fn of_socket(&self, id: Option<u64>, owner: Option<u32>) -> Option<Cgroup> {
        let made_in = id.and_then(|id| self.by_id(id));
        if id.is_some_and(|id| self.is_told_by(id)) {
            return made_in;
        }
        owner.and_then(|pid| self.of_process(pid)).or(made_in)
    }

    /// Whether this id says all there is to know of a socket's group, whoever owns it.
    pub(crate) fn is_told_by(&self, id: u64) -> bool {
        let index = self.by_id.get_or_init(index_unified_hierarchy);
        index.get(&id).is_some_and(|group| &*group.path != "/" || self.unified_only())
    }

    /// Whether owners may have to be asked: where version 1 is (also) mounted, or nothing is,
    /// as inside `ip netns exec`.
    pub fn may_need_owners(&self) -> bool {
        !self.unified_only() || unified_mount().is_none()
    }

    /// Whether no hierarchy of version 1 is mounted.
    fn unified_only(&self) -> bool {
        *self.unified_only.get_or_init(|| {
            let mounts = fs::read_to_string("/proc/thread-self/mountinfo").unwrap_or_default();
            !crate::mounts::parse(&mounts).any(|mount| mount.file_system == "cgroup")
        })
    }

    /// The group a process runs in.
    pub fn of_process(&self, pid: u32) -> Option<Cgroup> {
        self.by_process
            .lock()
            // The table is whole whatever a panicking holder did.
            .unwrap_or_else(PoisonError::into_inner)
            .entry(pid)
            .or_insert_with(|| {
                let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
                Some(Cgroup::at(path_of_process(&text)?))
            })
            .clone()
    }
}

impl Cgroup {
    fn at(path: &str) -> Self {
        let container = container_of(path).map(|found| match found {
            Container::Named(name) => name.into(),
            Container::Docker(id) => docker_name(id).unwrap_or_else(|| short(id).to_owned()).into(),
            Container::Id(id) => short(id).into(),
        });
        Self { path: path.into(), container }
    }
}

/// Picks the telling line of `/proc/PID/cgroup`: the unified hierarchy's, unless that is the
/// root and another hierarchy places the process deeper (hosts that mount both).
fn path_of_process(text: &str) -> Option<&str> {
    text.lines()
        .filter_map(|line| line.splitn(3, ':').nth(2))
        .max_by_key(|path| (container_of(path).is_some(), path.len()))
}

/// The kernel's id of the control group at `path` below the root of the unified hierarchy:
/// the inode number of its directory.
pub fn cgroup_id(path: &str) -> Option<u64> {
    let directory = unified_mount()?.join(path.trim_start_matches('/'));
    fs::metadata(directory).ok().map(|metadata| metadata.ino())
}

/// Where the unified hierarchy is mounted.
fn unified_mount() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/thread-self/mountinfo").ok()?;
    crate::mounts::parse(&mounts)
        .find(|mount| mount.file_system == "cgroup2")
        .map(|mount| PathBuf::from(mount.point))
}

fn index_unified_hierarchy() -> FxHashMap<u64, Cgroup> {
    let mut index = FxHashMap::default();
    let Some(root) = unified_mount() else { return index };
    if let Ok(metadata) = fs::metadata(&root) {
        index.insert(metadata.ino(), Cgroup::at("/"));
    }
    let mut pending = vec![root.clone()];
    while let Some(directory) = pending.pop() {
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        for entry in entries.flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let path = entry.path();
            index.insert(entry.ino(), Cgroup::at(&below(&root, &path)));
            if index.len() >= MOST_GROUPS {
                return index;
            }
            pending.push(path);
        }
    }
    index
}

fn below(root: &Path, path: &Path) -> String {
    format!("/{}", path.strip_prefix(root).unwrap_or(path).display())
}

/// What the path of a control group says about its owner.
#[derive(Debug, PartialEq, Eq)]
enum Container<'a> {
    /// A service or a container under its name.
    Named(&'a str),
    /// A Docker container, whose name Docker keeps in a file.
    Docker(&'a str),
    /// A container of another runtime, by id.
    Id(&'a str),
}

/// The runtimes' ways to name a scope: what stands before the container's id.
const SCOPE_PREFIXES: [&str; 4] = ["cri-containerd-", "crio-", "libpod-", "nerdctl-"];

fn container_of(path: &str) -> Option<Container<'_>> {
    let components = || path.split('/').rev().filter(|component| !component.is_empty());
    // A container says more than the service it runs in, so look for one at every depth first.
    for component in components() {
        let stem = component.strip_suffix(".scope").unwrap_or(component);
        if let Some(id) = stem.strip_prefix("docker-").filter(|id| is_container_id(id)) {
            return Some(Container::Docker(id));
        }
        let prefixed = SCOPE_PREFIXES.iter().find_map(|prefix| stem.strip_prefix(prefix));
        if let Some(id) = prefixed.filter(|id| is_container_id(id)) {
            return Some(Container::Id(id));
        }
        if is_container_id(component) {
            let parent = path.split('/').collect::<Vec<_>>();
            return Some(if parent.contains(&"docker") {
                Container::Docker(component)
            } else {
                Container::Id(component)
            });
        }
        if let Some(name) = component.strip_prefix("lxc.payload.") {
            return Some(Container::Named(name));
        }
        if let Some(name) = stem.strip_prefix("machine-").filter(|_| stem.len() != component.len()) {
            return Some(Container::Named(name));
        }
    }
    components().find(|component| component.ends_with(".service")).map(Container::Named)
}

fn is_container_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The twelve digits by which `docker ps` and `crictl ps` show a container.
fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// The name Docker gave a container, which only root can read.
fn docker_name(id: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/var/lib/docker/containers/{id}/config.v2.json")).ok()?;
    let (_, rest) = text.split_once("\"Name\":\"/")?;
    rest.split('"').next().filter(|name| !name.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn every_runtime_is_recognised() {
        for (path, expected) in [
            (format!("/docker/{ID}"), Some(Container::Docker(ID))),
            (format!("/system.slice/docker-{ID}.scope"), Some(Container::Docker(ID))),
            (
                format!("/kubepods.slice/kubepods-pod1.slice/cri-containerd-{ID}.scope"),
                Some(Container::Id(ID)),
            ),
            (format!("/kubepods/besteffort/pod1/{ID}"), Some(Container::Id(ID))),
            (format!("/kubepods.slice/crio-{ID}.scope/container"), Some(Container::Id(ID))),
            (format!("/machine.slice/libpod-{ID}.scope"), Some(Container::Id(ID))),
            ("/lxc.payload.web/init.scope".to_owned(), Some(Container::Named("web"))),
            ("/machine.slice/machine-db.scope".to_owned(), Some(Container::Named("db"))),
            ("/system.slice/nginx.service".to_owned(), Some(Container::Named("nginx.service"))),
            ("/user.slice/user-0.slice/session-1.scope".to_owned(), None),
            ("/".to_owned(), None),
        ] {
            assert_eq!(container_of(&path), expected, "{path}");
        }
    }

    #[test]
    fn the_telling_hierarchy_is_chosen() {
        let hybrid = format!("12:pids:/\n1:name=systemd:/docker/{ID}\n0::/\n");
        assert_eq!(path_of_process(&hybrid), Some(&*format!("/docker/{ID}")));
        assert_eq!(path_of_process("0::/system.slice/sshd.service\n"), Some("/system.slice/sshd.service"));
        assert_eq!(path_of_process(""), None);
    }
}
