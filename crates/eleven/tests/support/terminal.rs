//! A terminal of a given width, and what a program prints on it.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, Winsize, tcgetattr, tcsetattr, tcsetwinsize};

use super::program::Ran;

/// Runs a command with its standard output on a terminal so many columns wide.
///
/// # Errors
/// Why there is no terminal.
pub(crate) fn run_in_terminal(columns: u16, command: &mut Command) -> Result<Ran, String> {
    let no_terminal = |error: rustix::io::Errno| format!("no terminal: {error}");
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).map_err(no_terminal)?;
    grantpt(&master).map_err(no_terminal)?;
    unlockpt(&master).map_err(no_terminal)?;
    let name = ptsname(&master, Vec::new()).map_err(no_terminal)?;
    let open = || {
        let path = OsStr::from_bytes(name.as_bytes());
        OpenOptions::new().read(true).write(true).open(path).map_err(|error| format!("no terminal: {error}"))
    };
    let slave = open()?;
    let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&slave, size).map_err(no_terminal)?;
    // Raw, so that what is read is what was written.
    let mut modes = tcgetattr(&slave).map_err(no_terminal)?;
    modes.make_raw();
    tcsetattr(&slave, OptionalActions::Now, &modes).map_err(no_terminal)?;

    let mut child = command
        .stdin(Stdio::null())
        .stdout(slave)
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("no command: {error}"))?;
    // The command itself still holds the other end.
    command.stdout(Stdio::null());
    let mut stdout = Vec::new();
    let mut screen = File::from(master);
    let mut piece = [0; 4096];
    // A terminal without anybody at its other end answers EIO.
    while let Ok(length @ 1..) = screen.read(&mut piece) {
        stdout.extend_from_slice(&piece[..length]);
    }
    let mut stderr = String::new();
    child.stderr.take().expect("it is a pipe").read_to_string(&mut stderr).expect("messages are UTF-8");
    let status = child.wait().expect("it is a child");
    Ok(Ran { code: status.code(), stdout: String::from_utf8(stdout).expect("output is UTF-8"), stderr })
}

/// A command that asks, with somebody at a terminal to answer.
pub(crate) struct Asking {
    child: Child,
    answers: File,
    said: String,
}

impl Asking {
    /// Starts it and waits for its question on standard error.
    ///
    /// # Errors
    /// Why there is no terminal.
    pub(crate) fn start(command: &mut Command) -> Result<Self, String> {
        let no_terminal = |error: rustix::io::Errno| format!("no terminal: {error}");
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).map_err(no_terminal)?;
        grantpt(&master).map_err(no_terminal)?;
        unlockpt(&master).map_err(no_terminal)?;
        let name = ptsname(&master, Vec::new()).map_err(no_terminal)?;
        let slave = OpenOptions::new().read(true).write(true).open(OsStr::from_bytes(name.as_bytes()));
        let slave = slave.map_err(|error| format!("no terminal: {error}"))?;
        command.stdin(slave).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("no command: {error}"))?;
        command.stdin(Stdio::null());
        let stderr = child.stderr.as_mut().expect("a pipe");
        let mut said = Vec::new();
        let mut byte = [0];
        while !said.ends_with(b"[y/N] ") {
            assert_eq!(
                stderr.read(&mut byte).expect("it can be read"),
                1,
                "{}",
                String::from_utf8_lossy(&said)
            );
            said.push(byte[0]);
        }
        Ok(Self { child, answers: master.into(), said: String::from_utf8(said).expect("messages are UTF-8") })
    }

    /// Answers, and waits for the end.
    pub(crate) fn answer(mut self, answer: &str) -> Ran {
        writeln!(self.answers, "{answer}").expect("somebody reads it");
        let ran = Ran::from(self.child.wait_with_output().expect("it is a child"));
        Ran { stderr: self.said + &ran.stderr, ..ran }
    }
}

/// The text without sequences that set colours.
pub(crate) fn without_colors(text: &str) -> String {
    let mut plain = String::new();
    let mut parts = text.split("\x1b[");
    plain.push_str(parts.next().unwrap_or_default());
    for part in parts {
        plain.push_str(part.split_once('m').map_or("", |(_, rest)| rest));
    }
    plain
}
