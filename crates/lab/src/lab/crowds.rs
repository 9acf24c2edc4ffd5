//! More than one connection between two hosts: many of them, strangers, and a third host.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use eleven_snapshot::Socket;
use eleven_tcp::ip::{Ecn, emit_segment};
use eleven_tcp::segment::TcpOption;
use eleven_tcp::{Flags, FourTuple, Options, Segment, SeqNumber, State};

use super::{Answer, Handle, Lab};
use crate::error::Stop;
use crate::evidence::What;
use crate::host::{EndpointHost, Host, HostId, KernelHost, SUBJECT};
use crate::lab::calls::must;

/// Hosts of the network behind the device that are none of ours: 192.0.2.100 and the next.
const STRANGERS: u8 = 100;
/// So many addresses of them.
const STRANGER_ADDRESSES: u32 = 100;

impl Lab {
    /// Lets something happen that is too much to be told: neither calls nor packets of it are kept as evidence. Rows
    /// are seen where they are waited for, and the capture has the packets.
    ///
    /// # Errors
    /// Those of what happens.
    pub fn quietly<T>(&mut self, happen: impl FnOnce(&mut Self) -> Result<T, Stop>) -> Result<T, Stop> {
        let before = (self.quiet, self.sampling);
        (self.quiet, self.sampling) = (true, false);
        let done = happen(self);
        (self.quiet, self.sampling) = before;
        done
    }

    /// Opens so many connections from `client` to a listener, one after the other, quietly: the client's and the
    /// server's end of each. The first of them is the one that is looked at.
    ///
    /// # Errors
    /// If one does not come about.
    pub fn open_many(
        &mut self,
        client: HostId,
        listener: Handle,
        port: u16,
        count: u64,
    ) -> Result<Vec<(Handle, Handle)>, Stop> {
        let server = listener.host;
        let pairs = self.quietly(|lab| {
            let mut pairs = Vec::new();
            for _ in 0..count {
                let ours = lab.connecting(client, server.at(port))?;
                must("connect()", lab.connected(ours)?)?;
                pairs.push((ours, lab.accept(listener)?));
            }
            Ok(pairs)
        })?;
        if let Some((ours, _)) = pairs.first() {
            self.focus_on_socket(*ours, server.at(port))?;
        }
        self.summarize(client, format!("{count} × connect()"))?;
        self.summarize(server, format!("{count} × accept()"))?;
        Ok(pairs)
    }

    /// Does something with each of very many; now and then packets move, so that no device's queue overflows.
    ///
    /// # Errors
    /// Those of what is done.
    pub fn each<T>(
        &mut self,
        all: &[T],
        mut act: impl FnMut(&mut Self, &T) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        for part in all.chunks(super::BURST) {
            for one in part {
                act(self, one)?;
            }
            self.pass(Duration::ZERO)?;
        }
        Ok(())
    }

    /// Looks at another connection from now on: that of this socket with `remote`.
    ///
    /// # Errors
    /// If it is not bound.
    pub fn focus_on_socket(&mut self, handle: Handle, remote: std::net::SocketAddr) -> Result<(), Stop> {
        let pair = self.pair(handle, remote)?;
        self.focus_on(if handle.host == SUBJECT { pair } else { pair.reversed() });
        Ok(())
    }

    /// Tells in a few words what a host's programs have done quietly, and looks at it.
    ///
    /// # Errors
    /// If the witness cannot.
    pub fn summarize(&mut self, host: HostId, text: String) -> Result<(), Stop> {
        let (before, after) = self.sample(host)?;
        self.record(host, What::Call { text, answer: Ok(String::new()) }, before, after);
        Ok(())
    }

    /// Has the witness look at a host now.
    ///
    /// # Errors
    /// If it cannot.
    pub fn look(&mut self, host: HostId) -> Result<(), Stop> {
        let (before, after) = self.sample(host)?;
        if before != after {
            self.record(host, What::ByItself, before, after);
        }
        Ok(())
    }

    /// The latest row that a host has of each of its connections and listeners.
    ///
    /// # Errors
    /// If the witness cannot look.
    pub fn rows(&mut self, host: HostId) -> Result<Vec<Socket>, Stop> {
        Ok(self.host_mut(host).rows()?)
    }

    /// SYNs of strangers to a port of the subject's, numbered from `first`: their addresses are forged, so that nobody
    /// ever answers what the subject sends there.
    ///
    /// # Errors
    /// If the laboratory fails.
    pub fn forge_syns(&mut self, port: u16, first: u32, count: u32) -> Result<(), Stop> {
        let now = self.now();
        for number in (0..count).map(|number| first.wrapping_add(number)) {
            let last = STRANGERS + (number % STRANGER_ADDRESSES) as u8;
            let source = IpAddr::V4(Ipv4Addr::new(192, 0, 2, last));
            let mut options = Options::default();
            // It fits.
            let _ = options.push(TcpOption::MaximumSegmentSize(1_460));
            let segment = Segment {
                source_port: (number / STRANGER_ADDRESSES) as u16 | 1_024,
                destination_port: port,
                seq: SeqNumber(number.wrapping_mul(0x9e37_79b9)),
                flags: Flags::SYN,
                window: 65_535,
                options,
                ..Segment::default()
            };
            let mut packet = Vec::new();
            if emit_segment(&segment, source, SUBJECT.v4().into(), Ecn::default(), 64, &mut packet).is_err() {
                continue;
            }
            if let Some(capture) = &mut self.capture {
                capture.packet(self.clock.nanos(now), &packet, false)?;
            }
            let subject = self.host_mut(SUBJECT);
            subject.advance(now);
            subject.receive_packet(&packet)?;
        }
        self.check_interrupt()
    }

    /// A third host of the subject's kind, with real sockets in a namespace of its own where the subject has them.
    ///
    /// # Errors
    /// If there can be none.
    pub fn third_host(&mut self) -> Result<HostId, Stop> {
        let id = HostId(self.hosts.len());
        let host: Box<dyn Host> = if self.is_kernel() {
            Box::new(KernelHost::new(id)?)
        } else {
            Box::new(EndpointHost::new(id, self.now()))
        };
        Ok(self.add_host(host))
    }

    /// Receives so many bytes, or fewer if the end of file or an error comes first.
    ///
    /// # Errors
    /// If nothing comes; what the last call returned is the value.
    pub fn receive_all(&mut self, handle: Handle, count: usize) -> Result<Answer<usize>, Stop> {
        let mut sum = 0;
        while sum < count {
            match self.receive(handle)? {
                Ok(text) if text.is_empty() => break,
                Ok(text) => sum += text.len(),
                Err(errno) => return Ok(Err(errno)),
            }
        }
        Ok(Ok(sum))
    }
}

/// How many of the rows are in a state.
pub(crate) fn count(rows: &[Socket], state: State) -> usize {
    rows.iter().filter(|row| row.state == state).count()
}

/// The other side's view of the same connection, for whoever is not the subject.
pub(super) fn seen_by(host: HostId, pair: FourTuple) -> FourTuple {
    if host == SUBJECT { pair } else { pair.reversed() }
}
