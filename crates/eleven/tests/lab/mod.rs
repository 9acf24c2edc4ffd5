//! `eleven lab`: what it prints, what it refuses, and that it leaves nothing behind.

mod bad_input;
mod compared;
mod contract;
mod killed;
mod scripts;
mod traced;
mod unprivileged;

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::process::{Child, Stdio};

use crate::support::is_root;
use crate::support::program::{Ran, eleven};

/// Whether kernels can be played with here, else why not.
fn kernel_works() -> Result<(), String> {
    if !is_root() {
        return Err("the kernel's side takes root; the simulator's is tested".to_owned());
    }
    if !std::path::Path::new("/dev/net/tun").exists() {
        return Err("there is no /dev/net/tun".to_owned());
    }
    Ok(())
}

/// A run that is held until it gets Enter.
struct Held(Child);

impl Held {
    /// Starts it, and waits until it says that it is held. What it has said so far is the second value.
    #[track_caller]
    fn start(arguments: &[&str]) -> (Self, String) {
        let mut command = eleven(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the command starts");
        let mut stderr = BufReader::new(child.stderr.take().expect("it is a pipe"));
        let mut said = String::new();
        while !said.contains("Enter for the end") {
            assert_ne!(stderr.read_line(&mut said).expect("messages are UTF-8"), 0, "it ended: {said}");
        }
        // The rest is read with the end.
        child.stderr = Some(stderr.into_inner());
        (Self(child), said)
    }

    /// Presses Enter, and waits for the end.
    fn release(mut self) -> Ran {
        self.0.stdin.take().expect("it is a pipe").write_all(b"\n").expect("it still reads");
        self.end()
    }

    fn end(mut self) -> Ran {
        let (mut stdout, mut stderr) = (String::new(), String::new());
        let out = self.0.stdout.take().expect("it is a pipe").read_to_string(&mut stdout);
        let err = self.0.stderr.take().expect("it is a pipe").read_to_string(&mut stderr);
        out.and(err).expect("output is UTF-8");
        let status = self.0.wait().expect("it is a child");
        Ran { code: status.code(), stdout, stderr }
    }
}
