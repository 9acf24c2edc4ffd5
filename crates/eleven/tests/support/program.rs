//! Running the built command.

use std::process::{Command, Output, Stdio};

use eleven_testbed::namespace::Net;
use serde_json::Value;

/// What a run left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("output is UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("messages are UTF-8"),
        }
    }
}

impl Ran {
    /// Standard output of a run that did what was asked.
    #[track_caller]
    pub(crate) fn done(self) -> String {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self.stdout
    }

    /// Its standard output as one JSON value.
    #[track_caller]
    pub(crate) fn json(self) -> Value {
        let stdout = self.done();
        serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}"))
    }

    /// Its standard output as one JSON value a line.
    #[track_caller]
    pub(crate) fn ndjson(self) -> Vec<Value> {
        let stdout = self.done();
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        stdout.lines().map(parse).collect()
    }

    /// Asserts that it failed with this code, printed nothing, and said this among others.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, says: &[&str]) {
        assert_eq!((self.code, self.stdout.as_str()), (Some(code), ""), "{self:#?}");
        for words in says {
            assert!(self.stderr.contains(words), "`{words}` is missing in: {}", self.stderr);
        }
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
    }
}

/// The command with these arguments, in an environment that says nothing about language,
/// colour or width.
pub(crate) fn eleven(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eleven"));
    command.args(arguments).stdin(Stdio::null());
    clean_environment(&mut command);
    command
}

/// Removes what would change the output.
pub(crate) fn clean_environment(command: &mut Command) {
    for name in ["LANG", "LC_MESSAGES", "NO_COLOR", "COLUMNS"] {
        command.env_remove(name);
    }
    command.env("LC_ALL", "C.UTF-8").env("TERM", "xterm-256color");
}

/// Runs it where the test is.
pub(crate) fn run(arguments: &[&str]) -> Ran {
    eleven(arguments).output().expect("the command starts").into()
}

/// What can be run inside a namespace.
pub(crate) trait RunInside {
    /// Runs any command inside.
    fn output(&self, command: &mut Command) -> Ran;

    /// Runs the command inside.
    fn eleven(&self, arguments: &[&str]) -> Ran {
        self.output(&mut eleven(arguments))
    }
}

impl RunInside for Net {
    fn output(&self, command: &mut Command) -> Ran {
        self.run(|| command.output().expect("the command starts")).into()
    }
}
