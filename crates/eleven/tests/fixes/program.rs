//! The program at fault, as a process of its own: commands of fixes stop it, watch it and set its limits.
//!
//! It is this test program started once more, with a role. A line on its standard input lets it mend what it did.

use std::any::Any;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use eleven_testbed::namespace::Net;
use eleven_testbed::sockets::{LOOPBACK, address, connect, connecting, listen, pair, wait_for_end};
use rustix::process::{Resource, Rlimit, setrlimit};
use socket2::Socket;

const ROLE: &str = "ELEVEN_TEST_ROLE";

/// A running one; it ends with the value.
pub(crate) struct Program {
    child: Child,
    said: BufReader<std::process::ChildStdout>,
}

impl Program {
    /// Starts one in a namespace and waits until the fault is there.
    pub(crate) fn start(net: &Net, role: &str) -> Self {
        let program = std::env::current_exe().expect("this is a program");
        let mut command = Command::new(program);
        command.args(["fixes::program::program", "--exact", "--ignored", "--nocapture"]).env(ROLE, role);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = net.run(|| command.spawn()).expect("it can be started again");
        let said = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut program = Self { child, said };
        program.wait_for("ready");
        program
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets it do what the finding asks of it.
    pub(crate) fn mend(&mut self) {
        let input = self.child.stdin.as_mut().expect("a pipe");
        input.write_all(b"mend\n").expect("it listens");
        self.wait_for("mended");
    }

    fn wait_for(&mut self, word: &str) {
        let mut line = String::new();
        loop {
            line.clear();
            let length = self.said.read_line(&mut line).expect("it can be read");
            assert!(length > 0, "the program ended before it was {word}");
            if line.contains(word) {
                return;
            }
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Not a test: the program.
#[test]
#[ignore = "started by other tests"]
fn program() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let held = play(&role);
    println!("\nready");
    let mut line = String::new();
    let _ = std::io::stdin().read_line(&mut line);
    drop(held);
    println!("\nmended");
    let _ = std::io::stdin().read(&mut [0]);
}

/// Connections whose peer has closed.
fn abandoned() -> Socket {
    let (client, server) = pair(LOOPBACK);
    drop(client);
    wait_for_end(&server);
    server
}

fn play(role: &str) -> Box<dyn Any> {
    let words: Vec<&str> = role.split(' ').collect();
    let number = |index: usize| words[index].parse::<usize>().expect("a number");
    let place = |index: usize| words[index].parse::<SocketAddr>().expect("address and port");
    match words[0] {
        "abandoned" => Box::new((0..number(1)).map(|_| abandoned()).collect::<Vec<_>>()),
        "half-closed" => {
            let pairs: Vec<(Socket, Socket)> = (0..number(1)).map(|_| pair(LOOPBACK)).collect();
            for (client, server) in &pairs {
                client.shutdown(Shutdown::Write).expect("connected");
                wait_for_end(server);
            }
            Box::new(pairs)
        }
        "descriptors" => {
            let listener = listen(LOOPBACK, 16);
            let clients: Vec<Socket> = (0..4).map(|_| connect(address(&listener))).collect();
            // The other limit stays: to raise that is for the whole host's root only.
            let limit = Rlimit { current: Some(256), ..rustix::process::getrlimit(Resource::Nofile) };
            setrlimit(Resource::Nofile, limit).expect("anybody may lower it");
            let files: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
            Box::new((listener, clients, files))
        }
        "never-accepts" => {
            let listener = listen(LOOPBACK, words[1].parse().expect("a number"));
            let at = address(&listener);
            let clients: Vec<Socket> =
                (0..5).map(|_| connect(at)).chain((0..4).map(|_| connecting(at))).collect();
            Box::new((listener, clients))
        }
        "connecting" => {
            let to = place(1);
            let attempts =
                (0..number(2)).map(|index| connecting(SocketAddr::new(to.ip(), to.port() + index as u16)));
            Box::new(attempts.collect::<Vec<_>>())
        }
        "connecting-again" => Box::new((0..number(2)).map(|_| connecting(place(1))).collect::<Vec<_>>()),
        "listens" => Box::new(TcpListener::bind(place(1)).expect("a free port")),
        "reads-nothing" => {
            let listener = TcpListener::bind(place(1)).expect("a free port");
            let accepted: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
            let into = accepted.clone();
            thread::spawn(move || {
                for connection in listener.incoming().flatten() {
                    into.lock().expect("nobody panics").push(connection);
                }
            });
            Box::new(Held(accepted))
        }
        "talks" => {
            let connections: Vec<TcpStream> =
                (0..number(2)).map(|_| TcpStream::connect(place(1)).expect("it listens")).collect();
            let text = vec![b'x'; number(3)];
            let pace = Duration::from_millis(if text.len() > 1000 { 1 } else { 100 });
            let speakers: Vec<TcpStream> =
                connections.iter().map(|one| one.try_clone().expect("an open descriptor")).collect();
            thread::spawn(move || {
                // Until the kernel gives one of them up.
                while speakers.iter().all(|mut one| one.write_all(&text).is_ok()) {
                    thread::sleep(pace);
                }
            });
            Box::new(connections)
        }
        "serves" => {
            let listener = listen(place(1), 64);
            let at = address(&listener);
            let pairs: Vec<_> =
                (0..number(2)).map(|_| (connect(at), listener.accept().expect("a client waits").0)).collect();
            // Nothing of them lingers when the program ends.
            for socket in pairs.iter().flat_map(|(client, server)| [client, server]) {
                socket.set_linger(Some(Duration::ZERO)).expect("an open descriptor");
            }
            Box::new((listener, pairs))
        }
        "short" => {
            let listener = TcpListener::bind(place(1)).expect("a free port");
            for _ in 0..number(2) {
                let (client, server) = connection(&listener);
                let (done, mut other) =
                    if words[3] == "server" { (server, client) } else { (client, server) };
                drop(done);
                let _ = other.read(&mut [0; 1]);
            }
            Box::new(listener)
        }
        // What happens again and again, until it is mended.
        habit => Box::new(Habit::of(habit)),
    }
}

/// Connections that are closed with it, whoever else knows them.
struct Held(Arc<Mutex<Vec<TcpStream>>>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.lock().expect("nobody panics").clear();
    }
}

fn connection(listener: &TcpListener) -> (TcpStream, TcpStream) {
    let client = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
    (client, listener.accept().expect("it waits").0)
}

/// Something done some dozens of times a second.
struct Habit {
    _listener: TcpListener,
    ends: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Habit {
    fn of(name: &str) -> Self {
        let kept = TcpListener::bind(LOOPBACK).expect("a free port");
        let listener = kept.try_clone().expect("an open descriptor");
        let work: Box<dyn Fn() + Send> = match name {
            "closes-with-data-unread" => Box::new(move || {
                let (mut client, server) = connection(&listener);
                client.write_all(b"x").expect("connected");
                while server.peek(&mut [0; 1]).is_ok_and(|length| length == 0) {}
            }),
            "closes-at-once" => Box::new(move || {
                let (_client, server) = connection(&listener);
                Socket::from(server).set_linger(Some(Duration::ZERO)).expect("an open descriptor");
            }),
            "calls-closed-ports" => Box::new(|| assert!(TcpStream::connect("127.0.0.1:9").is_err())),
            "closes-first" => Box::new(move || {
                let (mut client, server) = connection(&listener);
                drop(server);
                let _ = client.read(&mut [0; 1]);
            }),
            other => panic!("no role {other}"),
        };
        let ends = Arc::new(AtomicBool::new(false));
        let until = ends.clone();
        let thread = thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                work();
                // Not for an event, but for a pace.
                thread::sleep(Duration::from_millis(40));
            }
        });
        Self { _listener: kept, ends, thread: Some(thread) }
    }
}

impl Drop for Habit {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
