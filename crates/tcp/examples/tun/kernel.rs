//! The kernel's side: ordinary sockets in threads, and ordinary programs.

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use eleven_testbed::wait_for;

use crate::programs::{fill, is_right};

type Peer = JoinHandle<Result<u64, String>>;

/// A server that reads and compares until the end.
pub(crate) fn sink(address: IpAddr) -> Result<(Peer, SocketAddr), String> {
    let (listener, at) = listen(address)?;
    Ok((thread::spawn(move || read(accept(&listener)?)), at))
}

/// A server that sends so many bytes.
pub(crate) fn source(address: IpAddr, bytes: u64) -> Result<(Peer, SocketAddr), String> {
    let (listener, at) = listen(address)?;
    Ok((thread::spawn(move || write(accept(&listener)?, bytes)), at))
}

pub(crate) fn send_to(at: SocketAddr, bytes: u64) -> Peer {
    thread::spawn(move || write(connect(at)?, bytes))
}

pub(crate) fn receive_from(at: SocketAddr) -> Peer {
    thread::spawn(move || read(connect(at)?))
}

/// A server that closes its connection when it is told to.
pub(crate) struct Closer {
    tell: Sender<()>,
    done: Receiver<Result<(), String>>,
}

pub(crate) fn close_when_told(address: IpAddr) -> Result<(Closer, SocketAddr), String> {
    let (listener, at) = listen(address)?;
    let (tell, told) = channel();
    let (report, done) = channel();
    thread::spawn(move || {
        let closed = accept(&listener).and_then(|stream| {
            let _ = told.recv();
            stream.shutdown(Shutdown::Write).map_err(|error| error.to_string())?;
            Ok(stream)
        });
        let _ = report.send(closed.as_ref().map(drop).map_err(Clone::clone));
        // Reads to the end, so that nothing unread makes the close a reset.
        if let Ok(mut stream) = closed {
            let _ = stream.read(&mut [0; 16]);
        }
    });
    Ok((Closer { tell, done }, at))
}

impl Closer {
    /// Returns when the FIN has left.
    pub(crate) fn close_and_wait(&self) -> Result<(), String> {
        self.tell.send(()).map_err(|error| error.to_string())?;
        self.done.recv().map_err(|error| error.to_string())?
    }
}

/// A command whose output is the number of bytes it got.
pub(crate) fn shell(command: &str) -> Peer {
    let command = command.to_owned();
    thread::spawn(move || {
        let output = Command::new("sh").args(["-c", &command]).output().map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout);
        text.trim()
            .parse()
            .map_err(|_| format!("{command}: {text}{}", String::from_utf8_lossy(&output.stderr)))
    })
}

pub(crate) fn is_installed(program: &str) -> bool {
    let look =
        Command::new("sh").args(["-c", &format!("command -v {program}")]).stdout(Stdio::null()).status();
    look.is_ok_and(|status| status.success())
}

fn listen(address: IpAddr) -> Result<(TcpListener, SocketAddr), String> {
    let mut made = None;
    wait_for("the device's address", || {
        TcpListener::bind((address, 0)).map(|listener| made = Some(listener))
    });
    let listener = made.ok_or("no listener")?;
    let at = listener.local_addr().map_err(|error| error.to_string())?;
    Ok((listener, at))
}

fn accept(listener: &TcpListener) -> Result<TcpStream, String> {
    listener.accept().map(|(stream, _)| stream).map_err(|error| error.to_string())
}

fn connect(at: SocketAddr) -> Result<TcpStream, String> {
    TcpStream::connect(at).map_err(|error| error.to_string())
}

fn read(mut stream: TcpStream) -> Result<u64, String> {
    let mut text = vec![0; 256 * 1024];
    let mut received = 0;
    loop {
        let count = stream.read(&mut text).map_err(|error| error.to_string())?;
        if count == 0 {
            return Ok(received);
        }
        if !is_right(&text[..count], received) {
            return Err(format!("wrong text behind byte {received}"));
        }
        received += count as u64;
    }
}

fn write(mut stream: TcpStream, bytes: u64) -> Result<u64, String> {
    let mut text = vec![0; 256 * 1024];
    let mut sent = 0;
    while sent < bytes {
        let length = (bytes - sent).min(text.len() as u64) as usize;
        fill(&mut text[..length], sent);
        stream.write_all(&text[..length]).map_err(|error| error.to_string())?;
        sent += length as u64;
    }
    stream.shutdown(Shutdown::Write).map_err(|error| error.to_string())?;
    // The other side closes when it has everything.
    let rest = stream.read(&mut text).map_err(|error| error.to_string())?;
    if rest == 0 { Ok(sent) } else { Err("text where there should be none".to_owned()) }
}
