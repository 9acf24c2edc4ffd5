//! Programs and threads inside a namespace that end with the fault they are part of.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use eleven_testbed::namespace::Net;
use rustix::process::{Pid, Signal, kill_process_group, set_parent_process_death_signal};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::row::Skip;

/// A program, with all the processes that it starts in its group.
pub(crate) struct Program(Child);

impl Program {
    /// Starts a command, inside `net` where one is given. It ends when this value does, and also when the calling
    /// thread does, however that comes about.
    ///
    /// # Errors
    /// If it is not installed, or may not be started.
    pub(crate) fn start(net: Option<&Net>, command: &mut Command) -> Result<Self, Skip> {
        let name = command.get_program().to_string_lossy().into_owned();
        let inside = match net {
            Some(net) => {
                Some(File::open(net.path()).map_err(|error| Skip(format!("no namespace: {error}")))?)
            }
            None => None,
        };
        command.process_group(0);
        let before = move || -> io::Result<()> {
            set_parent_process_death_signal(Some(Signal::KILL))?;
            if let Some(inside) = &inside {
                move_into_link_name_space(inside.as_fd(), Some(LinkNameSpaceType::Network))?;
            }
            Ok(())
        };
        // SAFETY: between fork and exec it makes two system calls and allocates nothing.
        #[allow(unsafe_code, reason = "what a child does before exec is unsafe to say")]
        unsafe {
            command.pre_exec(before);
        }
        match command.spawn() {
            Ok(child) => Ok(Self(child)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(Skip(format!("{name} is not installed")))
            }
            Err(error) => Err(Skip(format!("{name} does not start: {error}"))),
        }
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Its standard output and standard error, where they are pipes, and its input.
    pub(crate) fn pipes(&mut self) -> (Option<ChildStdin>, Option<ChildStdout>, Option<ChildStderr>) {
        (self.0.stdin.take(), self.0.stdout.take(), self.0.stderr.take())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Some(group) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A thread inside a namespace that does something again and again.
pub(crate) struct Meanwhile {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Meanwhile {
    /// Calls `act` inside `net` until this value is dropped. Each call has to return soon.
    ///
    /// # Errors
    /// If the namespace cannot be entered.
    pub(crate) fn start(net: &Net, mut act: impl FnMut() + Send + 'static) -> Result<Self, Skip> {
        let inside = File::open(net.path()).map_err(|error| Skip(format!("no namespace: {error}")))?;
        let ends = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&ends);
        let thread = std::thread::spawn(move || {
            if move_into_link_name_space(inside.as_fd(), Some(LinkNameSpaceType::Network)).is_err() {
                return;
            }
            while !stop.load(Ordering::Relaxed) {
                act();
            }
        });
        Ok(Self { ends, thread: Some(thread) })
    }
}

impl Drop for Meanwhile {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic in it was told already.
            let _ = thread.join();
        }
    }
}
