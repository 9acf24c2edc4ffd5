//! Executes a command as a person would copy it, and looks whether it does what it says.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use eleven_testbed::namespace::Net;
use eleven_testbed::wait_for;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::program::{Ran, RunInside, clean_environment};

/// What became of a command.
#[derive(Debug)]
pub(super) enum Done {
    /// Executed; rows that it showed, where it shows rows.
    Ran(Option<u64>),
    /// It changed something, and that was seen.
    Changed,
    /// Not executed here, because.
    Skipped(String),
    /// No command: a name, an option, a line of a configuration.
    Word,
}

/// Where commands are executed, and what stands for the words in them that a reader fills in.
pub(super) struct Place<'a> {
    pub(super) net: &'a Net,
    pub(super) fill: &'a BTreeMap<String, String>,
}

/// Names that are quoted without being commands.
const NAMES: &[&str] = &[
    "--sport PORT",
    "/etc/sysctl.d/",
    "/proc/net/sockstat",
    "LimitNOFILE=65536",
    "grep",
    "ip6tables",
    "keepalive",
    "lingering_close",
    "rwnd_limited",
    "sndbuf_limited",
    "timer:(keepalive,…)",
];

/// Commands that are never executed by a test.
const NEVER: &[(&str, &str)] = &[
    ("perf top", "it is a live view, for a terminal"),
    ("systemctl disable", "it would disable a unit of this host"),
];

/// Whether a command changes something.
pub(super) fn changes(command: &str) -> bool {
    ["sysctl -w", "ss -K", "prlimit --pid", "kill -", "eleven kill", "systemctl disable", "iptables "]
        .iter()
        .any(|start| inner(command).starts_with(start))
        || command.contains("eleven keepalive") && command.contains("--set")
}

/// Without what leads into a namespace.
fn inner(command: &str) -> &str {
    match command.strip_prefix("nsenter ") {
        Some(rest) => rest.split_once(' ').map_or(rest, |(_, rest)| rest),
        None => command,
    }
}

/// A line of a configuration file, and whose.
fn configuration(quoted: &str) -> Option<String> {
    quoted
        .starts_with("listen 80 ")
        .then(|| format!("events {{}}\nhttp {{ server {{ {} }} }}\n", quoted.replace(" 80 ", " 18080 ")))
}

fn shell(command: &str) -> Command {
    let ours = Path::new(env!("CARGO_BIN_EXE_eleven")).parent().expect("a directory");
    let path = std::env::var("PATH").unwrap_or_default();
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).stdin(Stdio::null()).env("PATH", format!("{}:{path}", ours.display()));
    clean_environment(&mut shell);
    shell
}

/// Whether a program is installed.
pub(super) fn installed(program: &str) -> bool {
    shell(&format!("command -v {program}"))
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The first word behind every sign that begins a command.
fn programs(command: &str) -> Vec<&str> {
    let mut outside = Vec::new();
    let mut quoted = false;
    let mut start = 0;
    for (at, c) in command.char_indices() {
        match c {
            '\'' => quoted = !quoted,
            '|' | ';' if !quoted => {
                outside.push(&command[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    outside.push(&command[start..]);
    outside.into_iter().filter_map(|part| part.split_whitespace().next()).collect()
}

impl Place<'_> {
    /// The text with its words filled in.
    pub(super) fn filled(&self, text: &str) -> String {
        let named = eleven_knowledge::fill(text, |name| {
            self.fill.get(name).unwrap_or_else(|| panic!("{{{name}}} of `{text}` has no value")).clone()
        });
        let mut filled = String::new();
        let mut word = String::new();
        for c in named.chars().chain([' ']) {
            if c.is_ascii_alphanumeric() || c == '_' {
                word.push(c);
                continue;
            }
            filled.push_str(
                self.fill
                    .get(&word)
                    .filter(|_| word.chars().all(|c| c.is_ascii_uppercase()))
                    .unwrap_or(&word),
            );
            word.clear();
            filled.push(c);
        }
        filled.trim_end().to_owned()
    }

    pub(super) fn run(&self, command: &str) -> Ran {
        let history = tempfile::tempdir().expect("a place for files");
        let mut shell = shell(command);
        // nstat compares with what it has shown this user before, in whichever namespace.
        shell.env("NSTAT_HISTORY", history.path().join("nstat"));
        self.net.output(&mut shell)
    }

    #[track_caller]
    fn ran(&self, command: &str) -> String {
        let ran = self.run(command);
        assert_eq!(ran.code, Some(0), "`{command}`: {ran:#?}");
        ran.stdout
    }

    /// Executes what is quoted in a text.
    pub(super) fn quoted(&self, text: &str) -> Done {
        if NAMES.contains(&text) {
            return Done::Word;
        }
        if (text.starts_with("net.") || text.starts_with("fs.")) && !text.contains(' ') {
            assert!(eleven_knowledge::sysctls().contains_key(text), "`{text}` is no sysctl that is known");
            return Done::Word;
        }
        if let Some(file) = configuration(text) {
            return nginx_takes(&file);
        }
        self.execute(&self.filled(text))
    }

    /// Executes a command with everything filled in.
    pub(super) fn execute(&self, command: &str) -> Done {
        let bare = inner(command);
        if let Some((_, why)) = NEVER.iter().find(|(start, _)| bare.starts_with(start)) {
            return Done::Skipped((*why).to_owned());
        }
        if let Some(missing) = programs(bare).into_iter().find(|program| !installed(program)) {
            return Done::Skipped(format!("{missing} is not installed"));
        }
        match bare.split_whitespace().next().unwrap_or_default() {
            "systemctl" if !Path::new("/run/systemd/system").exists() => {
                Done::Skipped("no systemd runs here".to_owned())
            }
            "systemctl" => {
                // 3: the unit does not run; 4: the process belongs to none.
                let ran = self.run(command);
                assert!(matches!(ran.code, Some(0 | 3 | 4)), "`{command}`: {ran:#?}");
                Done::Ran(None)
            }
            "sysctl" if bare.starts_with("sysctl -w") => self.sets(command, bare),
            "sysctl" if bare.starts_with("sysctl -a") => {
                assert!(!self.ran(command).trim().is_empty(), "`{command}` shows nothing");
                Done::Ran(None)
            }
            "sysctl" => {
                let is_here = |name: &str| self.sysctl(name).is_some();
                let said = if bare.split_whitespace().skip(1).all(is_here) {
                    self.ran(command)
                } else {
                    // One value for the whole host, which may be read.
                    let ran: Ran = shell(bare).output().expect("there is a shell").into();
                    ran.done()
                };
                for name in bare.split_whitespace().skip(1) {
                    assert!(said.contains(name), "`{command}` does not show {name}: {said}");
                }
                Done::Ran(None)
            }
            "nstat" => {
                self.counters(command);
                Done::Ran(None)
            }
            "tcpdump" => self.captures(command),
            "prlimit" => {
                let ran = self.run(command);
                if ran.stderr.contains("cannot exceed the hard limit") {
                    // The text says what then: both limits, which takes a privilege.
                    let number = command.rsplit_once('=').expect("its option").1.trim_end_matches(':');
                    let both = self.run(&format!("{command}{number}"));
                    if both.stderr.contains("not permitted") {
                        return Done::Skipped("to raise a hard limit takes CAP_SYS_RESOURCE".to_owned());
                    }
                    both.done();
                } else {
                    ran.done();
                }
                let (pid, limit) = command
                    .split_once("--pid ")
                    .and_then(|(_, rest)| rest.split_once(" --nofile="))
                    .expect("its options");
                let limits = fs::read_to_string(format!("/proc/{pid}/limits")).expect("it lives");
                let line =
                    limits.lines().find(|line| line.starts_with("Max open files")).expect("it has that line");
                let soft = limit.split_once(':').expect("two limits").0;
                assert_eq!(line.split_whitespace().nth(3), Some(soft), "`{command}`: {line}");
                Done::Changed
            }
            "kill" => self.signals(command),
            "iptables" => {
                // A namespace has a firewall of its own, if the kernel has those tables.
                let ran = self.run(command);
                if ran.code != Some(0) {
                    return Done::Skipped(ran.stderr.lines().next().unwrap_or("it failed").to_owned());
                }
                let chain =
                    command.split(" -A ").nth(1).and_then(|rest| rest.split(' ').next()).expect("its chain");
                let table = command.split(' ').nth(2).expect("its table");
                let rules = self.ran(&format!("iptables -t {table} -S {chain}"));
                assert!(rules.lines().count() > 1, "`{command}`: {rules}");
                Done::Changed
            }
            "eleven" => self.ours(command, bare),
            "ss" => {
                let rows = self.ran(command).lines().count().saturating_sub(1);
                Done::Ran(Some(rows as u64))
            }
            // What they look for may not be there; an error would be said.
            "grep" | "dmesg" if command.contains("sysctl") || command.contains("| grep") => {
                let ran = self.run(command);
                assert!(matches!(ran.code, Some(0..=2)) && ran.stderr.is_empty(), "`{command}`: {ran:#?}");
                Done::Ran(None)
            }
            "cat" | "grep" | "ls" | "ps" | "ip" | "tc" | "ethtool" | "mtr" | "tracepath" => {
                if let Some((process, rest)) = command.split_once("; systemctl") {
                    assert!(!self.ran(process).trim().is_empty(), "`{process}` shows nothing");
                    return self.execute(&format!("systemctl{rest}"));
                }
                assert!(!self.ran(command).trim().is_empty(), "`{command}` shows nothing");
                Done::Ran(None)
            }
            _ => panic!("nothing here knows how to execute `{command}`"),
        }
    }

    /// Values that `nstat` shows, in the order of its words.
    pub(super) fn counters(&self, command: &str) -> Vec<u64> {
        let said = self.ran(command);
        let names = command.split_whitespace().filter(|word| word.starts_with("Tcp"));
        let value = |name: &str| {
            let line = said.lines().find(|line| line.split_whitespace().next() == Some(name));
            let line = line.unwrap_or_else(|| panic!("this kernel does not count {name}: {said}"));
            line.split_whitespace().nth(1).and_then(|value| value.parse().ok()).expect("a number")
        };
        names.map(value).collect()
    }

    fn sysctl(&self, name: &str) -> Option<String> {
        let name = name.to_owned();
        self.net.run(move || eleven_linux::proc::sysctl::read(&name))
    }

    /// Whether the namespace has a value of its own.
    fn has_own(&self, name: &str) -> bool {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        let mode = self.net.run(|| {
            fs::metadata(path).map(|data| std::os::unix::fs::PermissionsExt::mode(&data.permissions()))
        });
        mode.is_ok_and(|mode| mode & 0o200 != 0)
    }

    fn sets(&self, command: &str, bare: &str) -> Done {
        let words = bare.strip_prefix("sysctl -w ").expect("that is how it begins");
        let mut settings: Vec<(&str, String)> = Vec::new();
        if let Some((name, value)) = words.split_once("='") {
            settings.push((name, value.trim_end_matches('\'').to_owned()));
        } else {
            settings.extend(words.split_whitespace().map(|word| {
                let (name, value) = word.split_once('=').expect("NAME=VALUE");
                (name, value.to_owned())
            }));
        }
        if let Some((name, _)) = settings.iter().find(|(name, _)| !self.has_own(name)) {
            // One value for the whole host: that is looked at, and left alone.
            let facts =
                eleven_knowledge::sysctls().remove(*name).unwrap_or_else(|| panic!("{name} is not known"));
            assert!(!facts.per_namespace, "{name} is said to be of every namespace");
            let dry = bare.replace("sysctl -w", "sysctl --dry-run -w");
            if eleven_linux::proc::sysctl::read(name).is_none() {
                return Done::Skipped(format!("this kernel has no {name}"));
            }
            let ran: Ran = shell(&dry).output().expect("there is a shell").into();
            assert_eq!(ran.code, Some(0), "`{dry}`: {ran:#?}");
            return Done::Skipped(format!("{name} is one for the whole host, so with --dry-run"));
        }
        self.ran(command);
        for (name, value) in settings {
            assert_eq!(self.sysctl(name).as_deref(), Some(value.as_str()), "after `{command}`");
        }
        Done::Changed
    }

    /// It would go on for ever: it is ended when it has begun.
    fn captures(&self, command: &str) -> Done {
        let mut shell = shell(&format!("exec {command}"));
        shell.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = self.net.run(|| shell.spawn()).expect("it starts");
        let mut said = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut all = String::new();
        loop {
            let mut line = String::new();
            let length = said.read_line(&mut line).expect("it can be read");
            all.push_str(&line);
            assert!(length > 0, "`{command}`: {all}");
            if line.contains("listening on") {
                break;
            }
        }
        let pid = Pid::from_child(&child);
        kill_process(pid, Signal::INT).expect("it runs");
        let status = child.wait().expect("it ends");
        assert!(status.success(), "`{command}`: {status}, {all}");
        Done::Ran(None)
    }

    fn signals(&self, command: &str) -> Done {
        let pid = command.rsplit(' ').next().expect("the process");
        let stopped = || {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
            status.lines().any(|line| line.starts_with("State:\tT"))
        };
        self.ran(command);
        let wanted = command.contains("-STOP");
        wait_for("the signal", || if stopped() == wanted { Ok(()) } else { Err(command.to_owned()) });
        if wanted {
            self.ran(&format!("kill -CONT {pid}"));
        }
        Done::Changed
    }

    fn ours(&self, command: &str, bare: &str) -> Done {
        let words: Vec<&str> = bare.split_whitespace().collect();
        match words[1] {
            "list" | "count" => {
                self.ran(command);
                let json: Value =
                    serde_json::from_str(&self.ran(&format!("{command} --format json"))).expect("JSON");
                let rows = json.as_array().map(|rows| rows.len() as u64).or(json["total"].as_u64());
                Done::Ran(Some(rows.expect("rows")))
            }
            "kill" => {
                let json = self.ran(&format!("{command} --yes --format json"));
                let closed: Value = serde_json::from_str(&json).expect("JSON");
                let closed = closed.as_array().expect("rows");
                assert!(!closed.is_empty(), "`{command}` closed nothing");
                assert!(closed.iter().all(|row| row["result"] == "closed"), "`{command}`: {closed:#?}");
                Done::Changed
            }
            "keepalive" if command.contains("--set") => {
                let state = tempfile::tempdir().expect("a place for files");
                let kept = format!("XDG_STATE_HOME={} {command} --yes --format json", state.path().display());
                let rows: Value = serde_json::from_str(&self.ran(&kept)).expect("JSON");
                let rows = rows.as_array().expect("rows");
                assert!(rows.iter().any(|row| row["result"] == "changed"), "`{command}`: {rows:#?}");
                assert!(
                    rows.iter().all(|row| row["keepalive"]["enabled"] != false),
                    "`{command}`: {rows:#?}"
                );
                Done::Changed
            }
            "keepalive" | "explain" | "trace" => {
                assert!(!self.ran(command).trim().is_empty(), "`{command}` shows nothing");
                Done::Ran(None)
            }
            "doctor" => {
                self.ran(command);
                Done::Ran(None)
            }
            _ => panic!("nothing here knows how to execute `{command}`"),
        }
    }

    /// Looks twice whether counters stand still.
    pub(super) fn stands_still(&self, command: &str) {
        let before = self.counters(command);
        // Not for an event, but for a while in which there is none.
        thread::sleep(Duration::from_millis(500));
        assert_eq!(before, self.counters(command), "`{command}`");
    }
}

/// Asks nginx whether it understands a file.
fn nginx_takes(file: &str) -> Done {
    if !installed("nginx") {
        return Done::Skipped("nginx is not installed".to_owned());
    }
    let directory = tempfile::tempdir().expect("a place for files");
    let path = directory.path().join("nginx.conf");
    fs::write(&path, format!("pid {0}/pid; error_log {0}/log;\n{file}", directory.path().display()))
        .expect("there is room");
    let ran: Ran = Command::new("nginx").arg("-t").arg("-c").arg(&path).output().expect("it is there").into();
    assert_eq!(ran.code, Some(0), "{file}: {ran:#?}");
    Done::Word
}
