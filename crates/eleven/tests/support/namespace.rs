//! A private network namespace that lives as long as a value.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use std::thread;

use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

/// A network namespace of the test's own.
#[derive(Debug)]
pub(crate) struct Net(File);

impl Net {
    /// Makes one, with its loopback up.
    ///
    /// # Errors
    /// A sentence that says what is missing, for [`super::skipped`].
    pub(crate) fn new() -> Result<Self, String> {
        let made = thread::scope(|scope| scope.spawn(make).join().expect("the thread only makes calls"));
        let net = Self(made.map_err(|error| {
            format!("no private network namespace: {error}; root may make one, or `unshare -rn cargo test`")
        })?);
        net.ip("link set lo up")?;
        Ok(net)
    }

    /// A path that leads to it for as long as it lives, as `--netns` takes one.
    pub(crate) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }

    /// Its identity, and what sockets in it are labelled with as it has no name.
    pub(crate) fn inode(&self) -> u64 {
        self.0.metadata().expect("an open file has metadata").ino()
    }

    /// Runs `work` inside, in a thread of its own. Programs started there are inside too.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            // The harness names its threads after tests; skipped() prints that.
            let name = thread::current().name().unwrap_or("netns").to_owned();
            let inside = || {
                move_into_link_name_space(self.0.as_fd(), Some(LinkNameSpaceType::Network))
                    .expect("what made the namespace may enter it");
                work()
            };
            let thread = thread::Builder::new().name(name).spawn_scoped(scope, inside).expect("a thread");
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Runs commands of `ip`, one a line, inside.
    ///
    /// # Errors
    /// What `ip` said, or that there is none.
    pub(crate) fn ip(&self, commands: &str) -> Result<(), String> {
        self.run(|| run_ip(commands))
    }
}

fn make() -> io::Result<File> {
    // SAFETY: only the network namespace of this thread changes, which ends right here; file
    // descriptor tables, memory and file systems stay shared.
    #[allow(unsafe_code, reason = "unshare(2) is unsafe for flags that are not used here")]
    unsafe {
        unshare_unsafe(UnshareFlags::NEWNET)?;
    }
    File::open("/proc/thread-self/ns/net")
}

/// Runs commands of `ip`, one a line, where the calling thread is.
fn run_ip(commands: &str) -> Result<(), String> {
    let missing = |error: io::Error| format!("no ip command: {error}");
    let mut ip = Command::new("ip")
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(missing)?;
    // Dropped at the end of the statement: that is the end of the batch.
    ip.stdin.take().expect("stdin is a pipe").write_all(commands.as_bytes()).map_err(missing)?;
    let output = ip.wait_with_output().map_err(missing)?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("ip refused `{commands}`: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

/// A namespace with a name under `/run/netns`, which goes when the value does.
#[derive(Debug)]
pub(crate) struct Named(String);

impl Named {
    /// Gives `net` a name that no other process uses.
    ///
    /// # Errors
    /// A sentence that says what is missing.
    pub(crate) fn new(net: &Net, word: &str) -> Result<Self, String> {
        let name = format!("eleven-{word}-{}", std::process::id());
        let holder = format!("/proc/{}/fd/{}", std::process::id(), net.0.as_raw_fd());
        // `ip netns attach` takes a process, so one is started inside for as long as that takes.
        let mut inside = net
            .run(|| Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn())
            .map_err(|error| format!("no cat to name {holder} by: {error}"))?;
        let outcome = run_ip(&format!("netns attach {name} {}", inside.id()));
        let _ = inside.kill();
        let _ = inside.wait();
        outcome.map(|()| Self(name))
    }

    /// The name.
    pub(crate) fn name(&self) -> &str {
        &self.0
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        let _ = run_ip(&format!("netns delete {}", self.0));
    }
}

/// Two namespaces and a wire between them on which frames from here to there are lost.
///
/// Link addresses are given, not resolved: ARP would turn silence into EHOSTUNREACH.
#[derive(Debug)]
pub(crate) struct CutWire {
    pub(crate) here: Net,
    pub(crate) there: Net,
}

/// This end of the wire.
pub(crate) const HERE: &str = "10.77.0.1";
/// The other end.
pub(crate) const THERE: &str = "10.77.0.2";

impl CutWire {
    /// Builds it.
    ///
    /// # Errors
    /// A sentence that says what is missing.
    pub(crate) fn new() -> Result<Self, String> {
        let (here, there) = (Net::new()?, Net::new()?);
        // A half-open connection would end after a minute, which a busy machine may take.
        let retries = here.run(|| std::fs::write("/proc/sys/net/ipv4/tcp_synack_retries", "100"));
        retries.map_err(|error| format!("no sysctl to write: {error}"))?;
        here.ip(&format!(
            "link add wire0 address 02:00:00:00:00:01 type veth peer name wire1 address 02:00:00:00:00:02 netns {}\n\
             addr add {HERE}/24 dev wire0\n\
             link set wire0 up\n\
             neigh replace {THERE} lladdr 02:00:00:00:00:99 nud permanent dev wire0\n",
            there.path()
        ))?;
        there.ip(&format!(
            "addr add {THERE}/24 dev wire1\n\
             link set wire1 up\n\
             neigh replace {HERE} lladdr 02:00:00:00:00:01 nud permanent dev wire1\n"
        ))?;
        Ok(Self { here, there })
    }
}
