//! The calls of programs, each noted with what it returned and what it did to the state.

use std::net::SocketAddr;

use eleven_tcp::FourTuple;

use super::{Handle, Lab};
use crate::error::{LabError, Stop};
use crate::evidence::What;
use crate::host::{Direction, Errno, Host, HostId, SocketId, SocketOption};

/// What a call returned.
pub type Answer<T> = Result<T, Errno>;

impl Lab {
    /// Makes a call, and notes it as `text`.
    fn call<T>(
        &mut self,
        host: HostId,
        text: String,
        call: impl FnOnce(&mut dyn Host) -> Answer<T>,
        told: impl FnOnce(&T) -> String,
    ) -> Result<Answer<T>, Stop> {
        self.gate()?;
        let now = self.now();
        self.host_mut(host).advance(now);
        let answer = call(self.host_mut(host));
        self.note_call(host, text, answer, told)
    }

    fn note_call<T>(
        &mut self,
        host: HostId,
        text: String,
        answer: Answer<T>,
        told: impl FnOnce(&T) -> String,
    ) -> Result<Answer<T>, Stop> {
        let (before, after) = self.sample(host)?;
        let noted = answer.as_ref().map(told).map_err(|errno| *errno);
        self.record(host, What::Call { text, answer: noted }, before, after);
        Ok(answer)
    }

    /// A socket of IPv4. It is not worth an event.
    ///
    /// # Errors
    /// If there can be none.
    pub fn socket(&mut self, host: HostId) -> Result<Handle, Stop> {
        self.gate()?;
        let socket = must("socket()", self.host_mut(host).socket(false))?;
        Ok(Handle { host, socket })
    }

    /// `setsockopt()`.
    ///
    /// # Errors
    /// If the host refuses.
    pub fn set_option(&mut self, handle: Handle, option: SocketOption) -> Result<(), Stop> {
        let set = |host: &mut dyn Host| host.set_option(handle.socket, option);
        let answer = self.call(handle.host, format!("setsockopt({option:?})"), set, |()| ok())?;
        must("setsockopt()", answer)
    }

    /// `bind()` to a port of the host's IPv4 address.
    ///
    /// # Errors
    /// If the laboratory fails; what the call returned is the value.
    pub fn bind(&mut self, handle: Handle, port: u16) -> Result<Answer<()>, Stop> {
        let local = handle.host.at(port);
        self.call(handle.host, format!("bind({local})"), |host| host.bind(handle.socket, local), |()| ok())
    }

    /// `listen()`.
    ///
    /// # Errors
    /// If the laboratory fails; what the call returned is the value.
    pub fn listen(&mut self, handle: Handle, backlog: i32) -> Result<Answer<()>, Stop> {
        let listen = |host: &mut dyn Host| host.listen(handle.socket, backlog);
        self.call(handle.host, format!("listen({backlog})"), listen, |()| ok())
    }

    /// A socket that listens at a port.
    ///
    /// # Errors
    /// If it cannot.
    pub fn listener(&mut self, host: HostId, port: u16, backlog: i32) -> Result<Handle, Stop> {
        let handle = self.socket(host)?;
        must(
            "setsockopt()",
            self.host_mut(host).set_option(handle.socket, SocketOption::ReuseAddress(true)),
        )?;
        must("bind()", self.bind(handle, port)?)?;
        must("listen()", self.listen(handle, backlog)?)?;
        Ok(handle)
    }

    /// `connect()`, which returns at once: EINPROGRESS, as a rule.
    ///
    /// # Errors
    /// If the laboratory fails; what the call returned is the value.
    pub fn connect(&mut self, handle: Handle, remote: SocketAddr) -> Result<Answer<()>, Stop> {
        let connect = |host: &mut dyn Host| host.connect(handle.socket, remote);
        self.call(handle.host, format!("connect({remote})"), connect, |()| ok())
    }

    /// A socket whose connection is being opened, from a port that the host chooses.
    ///
    /// # Errors
    /// If it cannot be.
    pub fn connecting(&mut self, host: HostId, remote: SocketAddr) -> Result<Handle, Stop> {
        let handle = self.socket(host)?;
        match self.connect(handle, remote)? {
            Ok(()) | Err(Errno::IN_PROGRESS) => Ok(handle),
            Err(errno) => Err(Stop::NotReached(format!("connect() returned {errno}"))),
        }
    }

    /// Waits for what becomes of a `connect()`.
    ///
    /// # Errors
    /// If nothing becomes of it; what it returned is the value.
    pub fn connected(&mut self, handle: Handle) -> Result<Answer<()>, Stop> {
        let mut outcome = None;
        self.wait_until("connect() to return", |lab| {
            outcome = lab.host_mut(handle.host).connect_outcome(handle.socket);
            Ok(outcome.is_some())
        })?;
        self.note_call(handle.host, "connect()".to_owned(), outcome.unwrap_or(Ok(())), |()| ok())
    }

    /// Waits for a connection and accepts it.
    ///
    /// # Errors
    /// If none comes.
    pub fn accept(&mut self, listener: Handle) -> Result<Handle, Stop> {
        let mut accepted = Err(Errno::WOULD_BLOCK);
        self.wait_until("accept() to return", |lab| {
            accepted = lab.host_mut(listener.host).accept(listener.socket);
            Ok(!matches!(accepted, Err(Errno::WOULD_BLOCK)))
        })?;
        let told = |(_, peer): &(SocketId, SocketAddr)| peer.to_string();
        let answer = self.note_call(listener.host, "accept()".to_owned(), accepted, told)?;
        Ok(Handle { host: listener.host, socket: must("accept()", answer)?.0 })
    }

    /// An open connection: the handles of `client`, who has connected, and of the other, who has accepted at `port`.
    ///
    /// # Errors
    /// If it does not come about.
    pub fn open(&mut self, client: HostId, server: HostId, port: u16) -> Result<(Handle, Handle), Stop> {
        let listener = self.listener(server, port, 16)?;
        let handle = self.connecting(client, server.at(port))?;
        must("connect()", self.connected(handle)?)?;
        let accepted = self.accept(listener)?;
        Ok((handle, accepted))
    }

    /// `send()`: what it takes at once.
    ///
    /// # Errors
    /// If the laboratory fails; what the call returned is the value.
    pub fn send(&mut self, handle: Handle, text: &[u8]) -> Result<Answer<usize>, Stop> {
        let send = |host: &mut dyn Host| host.send(handle.socket, text);
        self.call(handle.host, format!("send({} bytes)", text.len()), send, |taken| format!("{taken} bytes"))
    }

    /// `recv()`, which returns at once.
    ///
    /// # Errors
    /// If the laboratory fails; what the call returned is the value.
    pub fn try_receive(&mut self, handle: Handle) -> Result<Answer<Vec<u8>>, Stop> {
        let receive = |host: &mut dyn Host| host.receive(handle.socket, LONGEST);
        self.call(handle.host, "recv()".to_owned(), receive, |text| told_text(text))
    }

    /// `recv()` of so many bytes at the most, which returns at once.
    ///
    /// # Errors
    /// If the laboratory fails; what the call returned is the value.
    pub fn receive_at_most(&mut self, handle: Handle, length: usize) -> Result<Answer<Vec<u8>>, Stop> {
        let receive = |host: &mut dyn Host| host.receive(handle.socket, length);
        self.call(handle.host, format!("recv({length})"), receive, |text| told_text(text))
    }

    /// Waits until there is something to receive, the end of file or an error, and receives it.
    ///
    /// # Errors
    /// If nothing comes; what the call returned is the value.
    pub fn receive(&mut self, handle: Handle) -> Result<Answer<Vec<u8>>, Stop> {
        let mut received = Err(Errno::WOULD_BLOCK);
        self.wait_until("recv() to return", |lab| {
            received = lab.host_mut(handle.host).receive(handle.socket, LONGEST);
            Ok(!matches!(received, Err(Errno::WOULD_BLOCK)))
        })?;
        self.note_call(handle.host, "recv()".to_owned(), received, |text| told_text(text))
    }

    /// `shutdown()`.
    ///
    /// # Errors
    /// If the laboratory fails; what the call returned is the value.
    pub fn shutdown(&mut self, handle: Handle, direction: Direction) -> Result<Answer<()>, Stop> {
        let name = match direction {
            Direction::Read => "shutdown(SHUT_RD)",
            Direction::Write => "shutdown(SHUT_WR)",
            Direction::Both => "shutdown(SHUT_RDWR)",
        };
        let shutdown = |host: &mut dyn Host| host.shutdown(handle.socket, direction);
        self.call(handle.host, name.to_owned(), shutdown, |()| ok())
    }

    /// `close()`.
    ///
    /// # Errors
    /// If the socket is none.
    pub fn close(&mut self, handle: Handle) -> Result<(), Stop> {
        let close = |host: &mut dyn Host| host.close(handle.socket);
        let answer = self.call(handle.host, "close()".to_owned(), close, |()| ok())?;
        must("close()", answer)
    }

    /// `close()` with `SO_LINGER` of zero: an abort, which sends an RST.
    ///
    /// # Errors
    /// If the socket is none.
    pub fn abort(&mut self, handle: Handle) -> Result<(), Stop> {
        self.set_option(handle, SocketOption::Linger(Some(std::time::Duration::ZERO)))?;
        self.close(handle)
    }

    /// The connection of a socket of the subject's with this remote end.
    ///
    /// # Errors
    /// If it is not bound.
    pub fn pair(&mut self, handle: Handle, remote: SocketAddr) -> Result<FourTuple, Stop> {
        let local = self.host_mut(handle.host).local(handle.socket);
        let local = local.ok_or_else(|| Stop::NotReached("the socket is not bound".to_owned()))?;
        Ok(FourTuple::new(local, remote))
    }
}

/// At most so much is received at once.
const LONGEST: usize = 65_536;

fn ok() -> String {
    "0".to_owned()
}

fn told_text(text: &[u8]) -> String {
    if text.is_empty() { "0, the end of file".to_owned() } else { format!("{} bytes", text.len()) }
}

/// The value of a call that has to succeed.
pub(crate) fn must<T>(call: &str, answer: Answer<T>) -> Result<T, Stop> {
    answer.map_err(|errno| Stop::Failed(LabError::Call { call: call.to_owned(), errno }))
}
