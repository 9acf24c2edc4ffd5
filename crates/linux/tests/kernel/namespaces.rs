//! Sockets of other network namespaces, and what they are labelled with.

use std::collections::BTreeSet;
use std::process::Command;

use eleven_linux::namespace::{self, NamespaceChoice};
use eleven_linux::{Labelling, ReadError, ReaderChoice};
use eleven_snapshot::Socket;
use eleven_tcp::{State, StateSet};
use eleven_testbed::namespace::{Inhabitant, Net};
use eleven_testbed::or_skip;
use eleven_testbed::sockets::{LOOPBACK, address, listen};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::support::rows::read;

const LISTENERS: StateSet = StateSet::EMPTY.with(State::Listen);

/// A namespace with one listener and one process in it.
struct Populated {
    net: Net,
    listener: socket2::Socket,
    inhabitant: Inhabitant,
}

impl Populated {
    fn new() -> Result<Self, String> {
        let net = Net::new()?;
        let inhabitant = Inhabitant::new(&net)?;
        let listener = net.run(|| listen(LOOPBACK, 1));
        Ok(Self { net, listener, inhabitant })
    }

    fn port(&self) -> u16 {
        address(&self.listener).port()
    }

    fn label(&self) -> String {
        self.net.inode().to_string()
    }
}

fn listeners(choice: &NamespaceChoice) -> Vec<Socket> {
    read(choice, ReaderChoice::Netlink, LISTENERS, Labelling::default()).0
}

fn ports_with_label(rows: &[Socket], label: &str) -> BTreeSet<u16> {
    rows.iter().filter(|row| row.netns.as_deref() == Some(label)).filter_map(|row| row.local_port).collect()
}

#[test]
fn one_namespace_by_path_pid_or_number_gives_its_sockets_and_no_others() {
    let (ours, other) = (or_skip!(Populated::new()), or_skip!(Populated::new()));
    for name in [ours.net.path(), ours.inhabitant.pid().to_string(), ours.label()] {
        let rows = listeners(&NamespaceChoice::One(name.clone()));
        assert_eq!(ports_with_label(&rows, &ours.label()), BTreeSet::from([ours.port()]), "{name}");
        assert_eq!(rows.len(), 1, "{name}: {rows:?}");
    }
    let rows = listeners(&NamespaceChoice::One(other.net.path()));
    assert_eq!(ports_with_label(&rows, &other.label()), BTreeSet::from([other.port()]));
}

#[test]
fn all_namespaces_are_read_and_told_apart() {
    let (one, two) = (or_skip!(Populated::new()), or_skip!(Populated::new()));
    let rows = listeners(&NamespaceChoice::All);
    for net in [&one, &two] {
        assert_eq!(ports_with_label(&rows, &net.label()), BTreeSet::from([net.port()]));
    }
}

#[test]
fn a_thread_that_moved_reads_and_labels_the_namespace_it_is_in() {
    let ours = or_skip!(Populated::new());
    let process = std::process::id().to_string();
    let (here, of_process) =
        ours.net.run(|| (listeners(&NamespaceChoice::This), namespace::open(&NamespaceChoice::One(process))));
    assert_eq!(ports_with_label(&here, &ours.label()), BTreeSet::from([ours.port()]));
    // The process itself never moved: asking for it must not give this thread's.
    let (handles, _) = of_process.expect("this process exists");
    assert_ne!(handles[0].namespace.inode, ours.net.inode());
    let inside = ours.net.run(|| handles[0].run(|| rustix::fs::stat("/proc/thread-self/ns/net")));
    let inside = inside.expect("root may enter").expect("/proc is mounted");
    assert_eq!(inside.st_ino, handles[0].namespace.inode);
}

/// Runs `work` in a thread with mounts of its own and an empty `/run`.
fn with_private_mounts<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, String> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // SAFETY: this thread's mounts and working directory become its own; descriptors
            // and memory stay shared, and the thread ends here.
            #[allow(unsafe_code, reason = "unshare(2) is unsafe for flags that are not used here")]
            unsafe { unshare_unsafe(UnshareFlags::NEWNS) }
                .map_err(|error| format!("no private mounts: {error}"))?;
            mount(&["--make-rprivate", "/"])?;
            mount(&["-t", "tmpfs", "tmpfs", "/run"])?;
            Ok(work())
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn mount(arguments: &[&str]) -> Result<(), String> {
    let status = Command::new("mount").args(arguments).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        other => Err(format!("mount {} gave {other:?}", arguments.join(" "))),
    }
}

#[test]
fn a_named_namespace_is_labelled_by_its_name_and_an_unknown_one_names_those_there_are() {
    let ours = or_skip!(Populated::new());
    let outcome = with_private_mounts(|| {
        let pid = ours.inhabitant.pid();
        ours.net.ip(&format!("netns attach blue {pid}"))?;
        for choice in [NamespaceChoice::One("blue".to_owned()), NamespaceChoice::All] {
            let rows = listeners(&choice);
            assert_eq!(ports_with_label(&rows, "blue"), BTreeSet::from([ours.port()]), "{choice:?}");
            assert_eq!(ports_with_label(&rows, &ours.label()), BTreeSet::new(), "{choice:?}");
        }
        match namespace::open(&NamespaceChoice::One("bleu".to_owned())) {
            Err(ReadError::NoNamespace { name, known }) => {
                assert_eq!((name.as_str(), known), ("bleu", vec!["blue".to_owned()]));
            }
            other => panic!("there is no such namespace, but: {other:?}"),
        }
        Ok::<_, String>(())
    });
    or_skip!(outcome.and_then(|outcome| outcome));
}

#[test]
fn a_namespace_that_lives_only_by_a_mount_is_found() {
    let ours = or_skip!(Populated::new());
    let (label, port) = (ours.label(), ours.port());
    let outcome = with_private_mounts(|| {
        std::fs::write("/run/kept", []).map_err(|error| error.to_string())?;
        mount(&["--bind", &format!("/proc/{}/ns/net", ours.inhabitant.pid()), "/run/kept"])?;
        // Its process goes, the socket and the mount stay.
        drop(ours.inhabitant);
        let (handles, _) = namespace::open(&NamespaceChoice::All).expect("root may open them");
        let found = handles.iter().find(|handle| *handle.namespace.label == *label).expect("it is mounted");
        assert_eq!(found.namespace.path.as_deref(), Some("/run/kept"));
        assert_eq!((&found.namespace.name, found.namespace.pid), (&None, None));
        let rows = listeners(&NamespaceChoice::All);
        assert_eq!(ports_with_label(&rows, &label), BTreeSet::from([port]));
        Ok::<_, String>(())
    });
    or_skip!(outcome.and_then(|outcome| outcome));
}
