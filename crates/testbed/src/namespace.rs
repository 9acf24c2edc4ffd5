//! Private network namespaces that live as long as a value.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command, Stdio};
use std::thread;

use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

/// A network namespace of the test's own.
#[derive(Debug)]
pub struct Net(File);

impl Net {
    /// Makes one, with its loopback up.
    ///
    /// # Errors
    /// A sentence that says what is missing, for [`or_skip!`](crate::or_skip).
    pub fn new() -> Result<Self, String> {
        let made = thread::scope(|scope| scope.spawn(make).join().expect("the thread only makes calls"));
        let net =
            Self(made.map_err(|error| format!("no private network namespace: {error}; root may make one"))?);
        net.ip("link set lo up")?;
        Ok(net)
    }

    /// A path that leads to it for as long as it lives, as `--netns` takes one.
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }

    /// Its identity, and what sockets in it are labelled with as it has no name.
    pub fn inode(&self) -> u64 {
        self.0.metadata().expect("an open file has metadata").ino()
    }

    /// Runs `work` inside, in a thread of its own. Programs started there are inside too.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
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
    pub fn ip(&self, commands: &str) -> Result<(), String> {
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

/// A process that does nothing in a namespace, and ends when the value does.
#[derive(Debug)]
pub struct Inhabitant(Child);

impl Inhabitant {
    /// Starts one inside `net`.
    ///
    /// # Errors
    /// A sentence that says what is missing.
    pub fn new(net: &Net) -> Result<Self, String> {
        // It waits for the end of its input, which comes with this process at the latest.
        net.run(|| Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn())
            .map(Self)
            .map_err(|error| format!("no cat to run in a namespace: {error}"))
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Inhabitant {
    fn drop(&mut self) {
        // A child that another thread has just forked may hold its input open for a moment.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A namespace with a name under `/run/netns`, which goes when the value does.
#[derive(Debug)]
pub struct Named(String);

impl Named {
    /// Gives `net` a name that no other process uses.
    ///
    /// # Errors
    /// A sentence that says what is missing.
    pub fn new(net: &Net, word: &str) -> Result<Self, String> {
        let name = format!("eleven-{word}-{}", std::process::id());
        // `ip netns attach` takes a process, so one is inside for as long as that takes.
        let inhabitant = Inhabitant::new(net)?;
        run_ip(&format!("netns attach {name} {}", inhabitant.pid()))?;
        Ok(Self(name))
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        let _ = run_ip(&format!("netns delete {}", self.0));
    }
}
