//! Network namespaces: finding them, naming them, reading in them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{io, thread};

use eleven_snapshot::Namespace;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::{ReadError, mounts};

/// Where `ip netns add` keeps names.
const NAMED: &str = "/run/netns";

/// `NSFS_MAGIC`, the file system of the files that stand for namespaces.
const NAMESPACE_FILES: u64 = 0x6e73_6673;

/// Which namespaces to look into.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum NamespaceChoice {
    /// The one the calling thread runs in; a process that never moved has only this one.
    #[default]
    This,
    /// Every one that can be found on the host.
    All,
    /// A name under `/run/netns`, a process id, or a path to a namespace file.
    One(String),
}

impl From<&str> for NamespaceChoice {
    fn from(text: &str) -> Self {
        match text {
            "this" => Self::This,
            "all" => Self::All,
            other => Self::One(other.to_owned()),
        }
    }
}

/// A namespace, held open: it exists as long as this value.
#[derive(Debug)]
pub struct NamespaceHandle {
    /// Who it is.
    pub namespace: Namespace,
    file: File,
    is_own: bool,
}

impl NamespaceHandle {
    /// The namespace of the calling thread, which need not be its process's.
    ///
    /// # Errors
    /// [`ReadError::File`] where `/proc` is not mounted.
    pub fn own() -> Result<Self, ReadError> {
        let mut handle = Self::open(Path::new("/proc/thread-self/ns/net"))?;
        handle.is_own = true;
        handle.namespace.pid = Some(std::process::id());
        handle.give_name();
        Ok(handle)
    }

    fn open(path: &Path) -> Result<Self, ReadError> {
        // Without waiting: a FIFO would make us wait for somebody to write to it.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = openat(CWD, path, flags, Mode::empty())
            .map(File::from)
            .map_err(|error| ReadError::file(path, error.into()))?;
        // What is left of a name under /run/netns whose mount is gone is an ordinary file.
        if rustix::fs::fstatfs(&file).is_ok_and(|system| system.f_type as u64 != NAMESPACE_FILES) {
            return Err(ReadError::file(path, io::Error::new(io::ErrorKind::NotFound, "it is no namespace")));
        }
        let inode = file.metadata().map_err(|error| ReadError::file(path, error))?.ino();
        let namespace =
            Namespace { label: inode.to_string().into(), inode, name: None, pid: None, path: None };
        Ok(Self { namespace, file, is_own: false })
    }

    /// Looks the namespace up among the named ones.
    fn give_name(&mut self) {
        let Ok(entries) = fs::read_dir(NAMED) else { return };
        let name = entries.flatten().find_map(|entry| {
            let inode = entry.path().metadata().ok()?.ino();
            (inode == self.namespace.inode).then(|| entry.file_name().to_string_lossy().into_owned())
        });
        self.set_name(name);
    }

    fn set_name(&mut self, name: Option<String>) {
        if let Some(name) = name {
            self.namespace.label = Arc::from(name.as_str());
            self.namespace.name = Some(name);
        }
    }

    /// Runs `work` in the namespace, in a thread of its own: entering a namespace changes
    /// only the thread, which ends afterwards. In the own namespace it runs right here.
    ///
    /// # Errors
    /// [`ReadError::EnterNamespace`] when the namespace cannot be entered.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, ReadError> {
        if self.is_own {
            return Ok(work());
        }
        let failed = |source| ReadError::EnterNamespace { name: self.namespace.label.to_string(), source };
        thread::scope(|scope| {
            let entered = thread::Builder::new()
                .name("netns".to_owned())
                .spawn_scoped(scope, || {
                    move_into_link_name_space(self.file.as_fd(), Some(LinkNameSpaceType::Network))
                        .map_err(io::Error::from)?;
                    Ok(work())
                })
                .map_err(failed)?
                .join();
            match entered {
                Ok(outcome) => outcome.map_err(failed),
                // The panic is the caller's own; let it go on.
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }
}

/// Opens the chosen namespaces. Those that exist but cannot be opened are sentences in the
/// second value.
///
/// # Errors
/// [`ReadError::NoNamespace`] when the one asked for does not exist, or
/// [`ReadError::EnterNamespace`] when it may not be opened.
pub fn open(choice: &NamespaceChoice) -> Result<(Vec<NamespaceHandle>, Vec<String>), ReadError> {
    match choice {
        NamespaceChoice::This => Ok((vec![NamespaceHandle::own()?], Vec::new())),
        NamespaceChoice::One(text) => Ok((vec![open_one(text)?], Vec::new())),
        NamespaceChoice::All => open_all(),
    }
}

fn open_one(text: &str) -> Result<NamespaceHandle, ReadError> {
    let is_pid = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let candidates: Vec<PathBuf> = if text.contains('/') {
        vec![PathBuf::from(text)]
    } else {
        let named = Path::new(NAMED).join(text);
        if is_pid { vec![named, format!("/proc/{text}/ns/net").into()] } else { vec![named] }
    };
    for path in candidates {
        match NamespaceHandle::open(&path) {
            Ok(mut handle) => {
                let own = NamespaceHandle::own()?;
                handle.is_own = own.namespace.inode == handle.namespace.inode;
                handle.give_name();
                handle.namespace.pid = if is_pid { text.parse().ok() } else { None };
                return Ok(handle);
            }
            Err(ReadError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            Err(ReadError::File { source, .. }) => {
                return Err(ReadError::EnterNamespace { name: text.to_owned(), source });
            }
            Err(error) => return Err(error),
        }
    }
    // The inode number, which is how rows of unnamed namespaces are labelled. A namespace
    // keeps it when it gets a name.
    let (all, _) = open_all()?;
    let mut known = Vec::new();
    for handle in all {
        if *handle.namespace.label == *text || handle.namespace.inode.to_string() == text {
            return Ok(handle);
        }
        known.extend(handle.namespace.name);
    }
    Err(ReadError::NoNamespace { name: text.to_owned(), known })
}

fn open_all() -> Result<(Vec<NamespaceHandle>, Vec<String>), ReadError> {
    let own = NamespaceHandle::own()?;
    let own_inode = own.namespace.inode;
    let mut found = BTreeMap::from([(own_inode, own)]);
    let mut unreadable = 0_u64;
    // A namespace that has gone is none; any other that cannot be opened is one missing.
    let mut missing: Vec<String> = Vec::new();
    let mut open = |path: &Path| match NamespaceHandle::open(path) {
        Ok(handle) => Some(handle),
        Err(error) => {
            let has_gone = matches!(&error, ReadError::File { source, .. }
                if matches!(source.kind(), io::ErrorKind::NotFound)
                    || source.raw_os_error() == Some(Errno::SRCH.raw_os_error()));
            missing.extend((!has_gone).then(|| error.to_string()));
            None
        }
    };

    for name in named_files() {
        if let Some(handle) = open(&Path::new(NAMED).join(&name)) {
            let entry = found.entry(handle.namespace.inode).or_insert(handle);
            entry.set_name(Some(name));
        }
    }
    for pid in process_ids() {
        let path = format!("/proc/{pid}/ns/net");
        // Reading the link costs less than opening it, and most processes share a namespace.
        let inode = match fs::metadata(&path) {
            Ok(metadata) => metadata.ino(),
            Err(error) => {
                unreadable += u64::from(error.kind() == io::ErrorKind::PermissionDenied);
                continue;
            }
        };
        if let Some(known) = found.get_mut(&inode) {
            known.namespace.pid = Some(known.namespace.pid.map_or(pid, |lowest| lowest.min(pid)));
        } else if let Some(mut handle) = open(Path::new(&path)) {
            handle.namespace.pid = Some(pid);
            found.insert(inode, handle);
        }
    }
    for path in bind_mounts() {
        if let Some(mut handle) = open(&path) {
            let inode = handle.namespace.inode;
            handle.namespace.path = Some(path.display().to_string());
            found.entry(inode).or_insert(handle);
        }
    }
    // The own namespace comes first, the others by number.
    let mut handles: Vec<_> = found.into_values().collect();
    handles.sort_by_key(|handle| (!handle.is_own, handle.namespace.inode));
    let mut notes = Vec::new();
    if unreadable > 0 {
        let processes = if unreadable == 1 { "process" } else { "processes" };
        notes.push(format!("the network namespaces of {unreadable} {processes} could not be looked at"));
    }
    if let Some(first) = missing.first() {
        notes.push(format!("{} namespaces are left out: {first}", missing.len()));
    }
    Ok((handles, notes))
}

fn named_files() -> Vec<String> {
    let Ok(entries) = fs::read_dir(NAMED) else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

fn process_ids() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Files at which a namespace is mounted: it may have neither a process nor a name.
fn bind_mounts() -> Vec<PathBuf> {
    let text = fs::read_to_string("/proc/thread-self/mountinfo").unwrap_or_default();
    mounts::parse(&text)
        .filter(|mount| mount.file_system == "nsfs" && mount.root.starts_with("net:"))
        .map(|mount| PathBuf::from(mount.point))
        .collect()
}
