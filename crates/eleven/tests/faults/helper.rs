//! Small programs of our own that a row needs as processes: this very program, started with other arguments.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, ExitCode, Stdio};

use eleven_testbed::namespace::Net;
use eleven_testbed::sockets::new;
use rustix::process::{Resource, Rlimit, setrlimit};
use socket2::{Domain, Socket};

use crate::children::Program;
use crate::row::Skip;

/// What comes first then.
const WORD: &str = "--helper";

/// Starts a helper inside `net`, and waits until it is ready.
///
/// # Errors
/// If it cannot be started.
pub(crate) fn start(net: &Net, arguments: &[&str]) -> Result<Program, Skip> {
    let this = std::env::current_exe().map_err(|error| Skip(format!("no program: {error}")))?;
    let mut command = Command::new(this);
    command.arg(WORD).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut program = Program::start(Some(net), &mut command)?;
    let (_, stdout, _) = program.pipes();
    let mut line = String::new();
    let read = BufReader::new(stdout.ok_or("no pipe")?).read_line(&mut line);
    if read.unwrap_or(0) == 0 {
        return Err(Skip(format!("the helper {arguments:?} is not ready")));
    }
    Ok(program)
}

/// Is one, if the arguments say so.
pub(crate) fn run(mut arguments: impl Iterator<Item = String>) -> Option<ExitCode> {
    arguments.next().filter(|first| first == WORD)?;
    let arguments: Vec<String> = arguments.collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let _held = match arguments[..] {
        ["listens", port, backlog] => (listener(port, backlog), Vec::new()),
        ["is-bound", port] => (bound(port), Vec::new()),
        // Listens, and has room for so many descriptors, all but `left` of which it uses.
        ["hoards", port, limit, left] => {
            let limit: u64 = limit.parse().expect("a number");
            setrlimit(Resource::Nofile, Rlimit { current: Some(limit), maximum: Some(limit) })
                .expect("less than before");
            let listener = listener(port, "16");
            let mut files: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
            let left: usize = left.parse().expect("a number");
            files.truncate(files.len().saturating_sub(left));
            (listener, files)
        }
        _ => return Some(ExitCode::from(2)),
    };
    println!("ready");
    let _ = std::io::stdout().flush();
    loop {
        std::thread::park();
    }
}

/// At this port, with SO_REUSEADDR.
fn bound(port: &str) -> Socket {
    let socket = new(Domain::IPV4);
    socket.set_reuse_address(true).expect("before bind");
    let at: std::net::SocketAddr = format!("0.0.0.0:{port}").parse().expect("a port");
    socket.bind(&at.into()).expect("a namespace of its own");
    socket
}

fn listener(port: &str, backlog: &str) -> Socket {
    let socket = bound(port);
    socket.listen(backlog.parse().expect("a number")).expect("it is bound");
    socket
}
