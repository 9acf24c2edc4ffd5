//! The endpoint against the kernel, over a TUN device in a private network namespace (as root).
//!
//! ```text
//! cargo run --release -p eleven-tcp --example tun -- --bytes 1G
//! cargo run --release -p eleven-tcp --example tun -- --bytes 64M --loss 0.01 --reorder 0.01
//! cargo run --release -p eleven-tcp --example tun -- --serve
//! ```
//!
//! Without `--serve`, text goes four ways, each byte is compared, and the rates are printed: our
//! client to a kernel server and back, a kernel client to our server and back; then `curl` and `nc`
//! fetch from our server, where they are installed. With `--serve`, our server waits and the
//! command that enters the namespace is printed. `--offload` hands the kernel segments of up to 64 KiB and
//! takes as large ones from it. Loss and reordering happen to packets of both directions.

mod device;
mod kernel;
mod programs;

use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant as Clock};

use eleven_tcp::demux::{Demux, DemuxEvent, ListenerId};
use eleven_tcp::listener::ListenerOptions;
use eleven_tcp::{Instant, Policy};
use eleven_testbed::namespace::Net;
use eleven_testbed::wait_for;

use device::{Faults, Tun};
use programs::{Program, Role};

/// The kernel's end of the device, and ours.
const KERNEL: &str = "10.11.0.1";
const OURS: &str = "10.11.0.2";
const SINK: u16 = 9;
const SOURCE: u16 = 19;
const HTTP: u16 = 80;

struct Options {
    bytes: u64,
    faults: Faults,
    offload: bool,
    serve: bool,
}

fn main() -> ExitCode {
    match options().and_then(|options| run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Result<Options, String> {
    let mut options =
        Options { bytes: 256 << 20, faults: Faults::default(), offload: false, serve: false };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            "--bytes" => options.bytes = parse_bytes(&value()?)?,
            "--loss" => options.faults.loss = parse_probability(&value()?)?,
            "--reorder" => options.faults.reordering = parse_probability(&value()?)?,
            "--offload" => options.offload = true,
            "--serve" => options.serve = true,
            _ => return Err(format!("{word}: not an option; there are --bytes, --loss, --reorder, --offload, --serve")),
        }
    }
    Ok(options)
}

fn parse_bytes(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.trim_end_matches(['K', 'M', 'G']) {
        digits if text.ends_with('K') => (digits, 10),
        digits if text.ends_with('M') => (digits, 20),
        digits if text.ends_with('G') => (digits, 30),
        digits => (digits, 0),
    };
    digits.parse::<u64>().map(|count| count << shift).map_err(|_| format!("{text}: not a number of bytes, as 64M"))
}

fn parse_probability(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|share| (0.0..=1.0).contains(share)).ok_or(format!("{text}: not between 0 and 1"))
}

fn run(options: &Options) -> Result<(), String> {
    let net = Net::new()?;
    net.run(|| {
        let tun = Tun::new(KERNEL, options.offload)?;
        let mut stack = Stack::new(tun, options);
        if options.serve {
            println!("our server: {OURS}, ports {SINK} (discard), {SOURCE} (source), {HTTP} (http)");
            println!("enter with: nsenter --net={} curl http://{OURS}/", net.path());
            loop {
                stack.turn(Duration::from_secs(1))?;
            }
        }
        check(&mut stack, options.bytes)
    })
}

fn check(stack: &mut Stack, bytes: u64) -> Result<(), String> {
    let kernel: IpAddr = KERNEL.parse().map_err(|_| "an address")?;
    let ours: IpAddr = OURS.parse().map_err(|_| "an address")?;

    let (peer, at) = kernel::sink(kernel)?;
    let rate = stack.client(at, Role::Send(bytes), bytes)?;
    report("our client → kernel server", rate, peer.join(), bytes)?;

    let (peer, at) = kernel::source(kernel, bytes)?;
    let rate = stack.client(at, Role::Receive, bytes)?;
    report("our client ← kernel server", rate, peer.join(), bytes)?;

    stack.source_bytes = bytes;
    let peer = kernel::send_to(SocketAddr::new(ours, SINK), bytes);
    let rate = stack.serve_until(&peer, bytes)?;
    report("kernel client → our server", rate, peer.join(), bytes)?;

    let peer = kernel::receive_from(SocketAddr::new(ours, SOURCE));
    let rate = stack.serve_until(&peer, bytes)?;
    report("kernel client ← our server", rate, peer.join(), bytes)?;

    for (name, command) in [
        ("curl ← our server", format!("curl -sS --max-time 300 http://{OURS}:{HTTP}/ | wc -c")),
        ("nc   ← our server", format!("nc -d {OURS} {SOURCE} </dev/null | wc -c")),
    ] {
        let program = name.split_whitespace().next().unwrap_or_default();
        if !kernel::is_installed(program) {
            println!("{name}: skipped: {program} is not installed");
            continue;
        }
        let peer = kernel::shell(&command);
        let rate = stack.serve_until(&peer, bytes)?;
        report(name, rate, peer.join(), bytes)?;
    }
    println!("states seen on our side: {}", stack.states());
    Ok(())
}

fn report(
    what: &str,
    seconds: f64,
    peer: std::thread::Result<Result<u64, String>>,
    bytes: u64,
) -> Result<(), String> {
    let got = peer.map_err(|_| format!("{what}: the kernel's side panicked"))?.map_err(|error| format!("{what}: {error}"))?;
    if got != bytes {
        return Err(format!("{what}: {got} of {bytes} bytes"));
    }
    println!("{what}: {} MiB intact, {:.2} Gbit/s", bytes >> 20, bytes as f64 * 8.0 / seconds / 1e9);
    Ok(())
}

/// Our host: its TCP, its device, and a program for each connection.
struct Stack {
    tun: Tun,
    demux: Demux,
    listeners: [(ListenerId, u16); 3],
    programs: Vec<Program>,
    start: Clock,
    source_bytes: u64,
    seen: eleven_tcp::StateSet,
}

impl Stack {
    fn new(tun: Tun, options: &Options) -> Self {
        let mut policy = Policy::linux();
        policy.receive_buffer = 1 << 20;
        if options.offload {
            policy.segmentation_offload = 60_000;
        }
        let mut tun = tun;
        tun.faults = options.faults;
        let mut demux = Demux::new(Arc::new(policy));
        let mut listen = |port| {
            let at = SocketAddr::new(OURS.parse().expect("an address"), port);
            (demux.listen(at, ListenerOptions::default()).expect("ports are free"), port)
        };
        let listeners = [listen(SINK), listen(SOURCE), listen(HTTP)];
        Self {
            tun,
            demux,
            listeners,
            programs: Vec::new(),
            start: Clock::now(),
            source_bytes: options.bytes,
            seen: eleven_tcp::StateSet::EMPTY,
        }
    }

    fn now(&self) -> Instant {
        Instant::from_secs(1).plus_micros(self.start.elapsed().as_micros() as u64)
    }

    fn states(&self) -> String {
        self.seen.iter().map(|state| state.to_string()).collect::<Vec<_>>().join(" ")
    }

    /// Connects, runs one program to its end, and tells how many seconds that took.
    fn client(&mut self, to: SocketAddr, role: Role, bytes: u64) -> Result<f64, String> {
        let local = OURS.parse().map_err(|_| "an address")?;
        let id = self.demux.connect(self.now(), local, to).map_err(|error| error.to_string())?;
        self.programs.push(Program::new(id, role));
        let start = Clock::now();
        while !self.programs.is_empty() {
            self.turn(Duration::from_millis(100))?;
            limit(start, bytes)?;
        }
        Ok(start.elapsed().as_secs_f64())
    }

    /// Serves until the kernel's side has finished.
    fn serve_until<T>(&mut self, peer: &std::thread::JoinHandle<T>, bytes: u64) -> Result<f64, String> {
        let start = Clock::now();
        while !peer.is_finished() {
            self.turn(Duration::from_millis(10))?;
            limit(start, bytes)?;
        }
        let seconds = start.elapsed().as_secs_f64();
        // What is still to be said: the last ACKs.
        while !self.programs.is_empty() && start.elapsed().as_secs_f64() < seconds + 5.0 {
            self.turn(Duration::from_millis(10))?;
        }
        Ok(seconds)
    }

    /// Takes what has arrived, lets programs work, sends what is to be sent, and waits for more.
    fn turn(&mut self, longest: Duration) -> Result<(), String> {
        let now = self.now();
        self.tun.receive_all(now, &mut self.demux)?;
        self.demux.handle_timeout(now);
        while let Some(event) = self.demux.poll_event() {
            if let DemuxEvent::Incoming(listener) = event {
                let port = self.listeners.iter().find(|(id, _)| *id == listener).map_or(0, |(_, port)| *port);
                let role = match port {
                    SINK => Role::Receive,
                    HTTP => Role::Http(self.source_bytes),
                    _ => Role::Send(self.source_bytes),
                };
                if let Some(id) = self.demux.accept(listener) {
                    self.programs.push(Program::new(id, role));
                }
            }
        }
        let demux = &mut self.demux;
        for (_, connection) in demux.connections() {
            self.seen = self.seen.with(connection.state());
        }
        if demux.time_wait_count() > 0 {
            self.seen = self.seen.with(eleven_tcp::State::TimeWait);
        }
        let mut failed = None;
        self.programs.retain_mut(|program| match program.work(now, demux) {
            Ok(going_on) => going_on,
            Err(error) => {
                failed = Some(error);
                false
            }
        });
        if let Some(error) = failed {
            return Err(error);
        }
        self.tun.send_all(now, &mut self.demux)?;
        let wait = self.demux.poll_timeout().map_or(longest, |next| next.duration_since(now).min(longest));
        self.tun.wait(wait)
    }
}

/// A transfer that stands still is an error, not a reason to wait for ever.
fn limit(start: Clock, bytes: u64) -> Result<(), String> {
    let seconds = 60 + bytes / (1 << 20) * 5;
    if start.elapsed().as_secs() > seconds { Err(format!("not finished after {seconds} s")) } else { Ok(()) }
}

/// Waits until something in the namespace answers.
fn wait_until(what: &str, look: impl FnMut() -> Result<(), String>) {
    wait_for(what, look);
}
