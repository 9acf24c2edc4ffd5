//! Our host: its TCP, its device, a program for each connection; and what is checked with it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant as Clock};

use eleven_tcp::demux::{Demux, DemuxEvent, ListenerId};
use eleven_tcp::listener::ListenerOptions;
use eleven_tcp::{Instant, Policy, State, StateSet};

use crate::device::{Faults, Tun};
use crate::kernel;
use crate::programs::{Program, Role};

/// The kernel's end of the device, and ours.
pub(crate) const KERNEL: &str = "10.11.0.1";
pub(crate) const OURS: &str = "10.11.0.2";
pub(crate) const SINK: u16 = 9;
pub(crate) const SOURCE: u16 = 19;
pub(crate) const HTTP: u16 = 80;

/// What is to be checked, and how.
pub(crate) struct Options {
    pub(crate) bytes: u64,
    pub(crate) faults: Faults,
    pub(crate) offload: bool,
}

/// Text in all directions between our endpoint and the kernel's; what is printed for each. Runs in the
/// namespace whose kernel is meant.
pub(crate) fn check(options: &Options, mut print: impl FnMut(String)) -> Result<StateSet, String> {
    let mut stack = Stack::new(options)?;
    let stack = &mut stack;
    let bytes = options.bytes;
    let kernel: IpAddr = KERNEL.parse().map_err(|_| "an address")?;
    let ours: IpAddr = OURS.parse().map_err(|_| "an address")?;

    let (peer, at) = kernel::sink(kernel)?;
    let seconds = stack.client(at, Role::Send(bytes), &peer, bytes)?;
    print(verdict("our client → kernel server", seconds, peer.join(), bytes)?);

    let (peer, at) = kernel::source(kernel, bytes)?;
    let seconds = stack.client(at, Role::Receive, &peer, bytes)?;
    print(verdict("our client ← kernel server", seconds, peer.join(), bytes)?);

    let peer = kernel::send_to(SocketAddr::new(ours, SINK), bytes);
    let seconds = stack.serve_until(&peer, bytes)?;
    print(verdict("kernel client → our server", seconds, peer.join(), bytes)?);

    let peer = kernel::receive_from(SocketAddr::new(ours, SOURCE));
    let seconds = stack.serve_until(&peer, bytes)?;
    print(verdict("kernel client ← our server", seconds, peer.join(), bytes)?);

    for (name, command) in [
        ("curl ← our server", format!("curl -sS --max-time 300 http://{OURS}:{HTTP}/ | wc -c")),
        ("nc   ← our server", format!("nc -d {OURS} {SOURCE} </dev/null | wc -c")),
    ] {
        let program = name.split_whitespace().next().unwrap_or_default();
        if !kernel::is_installed(program) {
            print(format!("{name}: skipped: {program} is not installed"));
            continue;
        }
        let peer = kernel::shell(&command);
        let seconds = stack.serve_until(&peer, bytes)?;
        print(verdict(name, seconds, peer.join(), bytes)?);
    }
    stack.close_at_once(kernel)?;
    Ok(stack.tun.seen)
}

pub(crate) fn verdict(
    what: &str,
    seconds: f64,
    peer: std::thread::Result<Result<u64, String>>,
    bytes: u64,
) -> Result<String, String> {
    let got = peer
        .map_err(|_| format!("{what}: the kernel's side panicked"))?
        .map_err(|error| format!("{what}: {error}"))?;
    if got != bytes {
        return Err(format!("{what}: {got} of {bytes} bytes"));
    }
    Ok(format!("{what}: {} MiB intact, {:.2} Gbit/s", bytes >> 20, bytes as f64 * 8.0 / seconds / 1e9))
}

/// Our host.
pub(crate) struct Stack {
    tun: Tun,
    demux: Demux,
    listeners: [(ListenerId, u16); 3],
    programs: Vec<Program>,
    source_bytes: u64,
}

impl Stack {
    pub(crate) fn new(options: &Options) -> Result<Self, String> {
        let mut policy = Policy::linux();
        policy.receive_buffer = 1 << 20;
        if options.offload {
            policy.segmentation_offload = 60_000;
        }
        let tun = Tun::new(KERNEL, options.offload, options.faults)?;
        let mut demux = Demux::new(Arc::new(policy));
        let mut listen = |port| {
            let at = SocketAddr::new(OURS.parse().expect("an address"), port);
            (demux.listen(at, ListenerOptions::default()).expect("ports are free"), port)
        };
        let listeners = [listen(SINK), listen(SOURCE), listen(HTTP)];
        Ok(Self { tun, demux, listeners, programs: Vec::new(), source_bytes: options.bytes })
    }

    fn now(&self) -> Instant {
        self.tun.now()
    }

    /// Connects and runs one program until the kernel's side has finished; tells how many seconds that took.
    fn client<T>(
        &mut self,
        to: SocketAddr,
        role: Role,
        peer: &JoinHandle<T>,
        bytes: u64,
    ) -> Result<f64, String> {
        let local = OURS.parse().map_err(|_| "an address")?;
        let id = self.demux.connect(self.now(), local, to).map_err(|error| error.to_string())?;
        self.programs.push(Program::new(id, role));
        self.serve_until(peer, bytes)
    }

    /// Serves until the kernel's side has finished.
    fn serve_until<T>(&mut self, peer: &JoinHandle<T>, bytes: u64) -> Result<f64, String> {
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

    /// Both sides close before either hears of it: the way through CLOSING.
    fn close_at_once(&mut self, kernel: IpAddr) -> Result<(), String> {
        let (peer, at) = kernel::close_when_told(kernel)?;
        let local = OURS.parse().map_err(|_| "an address")?;
        let id = self.demux.connect(self.now(), local, at).map_err(|error| error.to_string())?;
        let start = Clock::now();
        while self.demux.connection(id).is_some_and(|it| it.state() == State::SynSent) {
            self.turn(Duration::from_millis(10))?;
            limit(start, 0)?;
        }
        // The kernel's FIN has left and waits, unread, when ours leaves.
        self.tun.stop_faults();
        peer.close_and_wait()?;
        let fin = self.tun.keep_fin(&mut self.demux)?;
        self.demux.close(self.now(), id).map_err(|error| error.to_string())?;
        self.tun.send_all(&mut self.demux)?;
        self.tun.hand_on(&mut self.demux, &fin);
        while self.demux.connection(id).is_some() {
            self.turn(Duration::from_millis(10))?;
            limit(start, 0)?;
        }
        Ok(())
    }

    /// Takes what has arrived, lets programs work, sends what is to be sent, and waits for more.
    pub(crate) fn turn(&mut self, longest: Duration) -> Result<(), String> {
        self.tun.receive_all(&mut self.demux)?;
        let now = self.now();
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
        self.tun.send_all(&mut self.demux)?;
        let wait = self.demux.poll_timeout().map_or(longest, |next| next.duration_since(now).min(longest));
        self.tun.wait(wait)
    }
}

/// A transfer that stands still is an error, not a reason to wait for ever.
fn limit(start: Clock, bytes: u64) -> Result<(), String> {
    let seconds = 60 + bytes / (1 << 20) * 5;
    if start.elapsed().as_secs() > seconds { Err(format!("not finished after {seconds} s")) } else { Ok(()) }
}
