//! Packets, the passing of time, and what programs are told of them.

use alloc::vec::Vec;

use super::{Departure, Descriptor, Errno, Kind, Sockets, constants, number_of};
use crate::demux::DemuxEvent;
use crate::ip::{self, IcmpKind, Received, Unreachable};
use crate::rules::Failure;
use crate::{ConnectionEvent, FourTuple, IcmpError, Instant, Segment};

impl Sockets {
    /// A packet has arrived; what is none for TCP is passed over.
    pub fn receive_packet(&mut self, packet: &[u8]) {
        let now = self.now;
        match Received::parse(packet) {
            Ok(Received::Tcp(packet)) => {
                if let Ok(segment) = Segment::parse(packet.tcp) {
                    let envelope = crate::Envelope {
                        source: packet.source,
                        destination: packet.destination,
                        ecn: packet.ecn,
                    };
                    self.demux.handle_segment(now, &envelope, &segment);
                }
            }
            Ok(Received::Icmp(message)) => {
                let seq = message.quoted.seq;
                let error = match message.kind {
                    IcmpKind::PacketTooBig { mtu } => {
                        IcmpError::PacketTooBig { seq, mtu: u16::try_from(mtu).unwrap_or(u16::MAX) }
                    }
                    // Linux takes these for hard ones (`icmp_err_convert`).
                    IcmpKind::Unreachable(Unreachable::Protocol | Unreachable::Port) => {
                        IcmpError::Unreachable { seq }
                    }
                    IcmpKind::Unreachable(_) | IcmpKind::TimeExceeded { .. } => IcmpError::Transient { seq },
                };
                let pair = message.quoted.pair();
                self.demux.handle_icmp(now, &pair, error);
                let refused = matches!(message.kind, IcmpKind::Unreachable(Unreachable::Port));
                self.work();
                if refused {
                    self.refuse(&pair);
                }
            }
            Err(_) => {}
        }
        self.work();
    }

    /// A port that is not reachable is one where nobody listens.
    fn refuse(&mut self, pair: &FourTuple) {
        for socket in self.table.values_mut() {
            if let Kind::Connection(id) = socket.kind
                && self.demux.connection(id).is_some_and(|connection| connection.pair() == *pair)
                && socket.error == Some(Errno::HostUnreachable)
            {
                socket.error = Some(Errno::ConnectionRefused);
            }
        }
    }

    /// The next packet that leaves.
    pub fn take_packet(&mut self) -> Option<Departure> {
        self.departures.pop_front()
    }

    /// When something happens by itself.
    pub fn next_timer(&self) -> Option<Instant> {
        self.demux.poll_timeout()
    }

    /// Time passes: everything up to `to` happens. It stops early, and says so by `false`, when `stop` finds something.
    pub fn advance(&mut self, to: Instant, mut stop: impl FnMut(&mut Self) -> bool) -> bool {
        while let Some(timer) = self.next_timer().filter(|timer| *timer <= to) {
            self.now = self.now.max(timer);
            let now = self.now;
            self.demux.handle_timeout(now);
            self.work();
            if stop(self) {
                return false;
            }
        }
        self.now = self.now.max(to);
        true
    }

    /// Everything that follows from what happened: packets leave, programs are told.
    pub(super) fn work(&mut self) {
        let now = self.now;
        while let Some(out) = self.demux.poll_transmit(now) {
            // A device that does not cut segments gets them cut.
            let size = if self.offload { usize::MAX } else { usize::from(out.segment_size) };
            let (source, destination) = (out.envelope.source, out.envelope.destination);
            for segment in out.segment.cut(size) {
                let mut packet = Vec::new();
                if ip::emit_segment(&segment, source, destination, out.envelope.ecn, 64, &mut packet).is_ok()
                {
                    self.departures.push_back(Departure { at: now, packet });
                }
            }
        }
        while let Some(event) = self.demux.poll_event() {
            self.take_event(event);
        }
        let roomy: Vec<Descriptor> = self
            .table
            .iter()
            .filter(|(it, socket)| {
                socket.wants_room && self.readiness(**it) & constants::readiness::POLLOUT != 0
            })
            .map(|(it, _)| *it)
            .collect();
        for descriptor in roomy {
            if let Some(socket) = self.table.get_mut(&descriptor) {
                socket.wants_room = false;
            }
            self.wake(descriptor);
        }
        self.finish_zero_copies();
    }

    fn take_event(&mut self, event: DemuxEvent) {
        match event {
            DemuxEvent::Incoming(listener) => {
                let found = self
                    .table
                    .iter()
                    .find(|(_, socket)| socket.kind == Kind::Listening(listener))
                    .map(|(it, _)| *it);
                if let Some(descriptor) = found {
                    self.wake(descriptor);
                }
            }
            DemuxEvent::Connection(id, event) => {
                let Some(&descriptor) = self.owners.get(&number_of(id)) else { return };
                if let Some(socket) = self.table.get_mut(&descriptor) {
                    match event {
                        ConnectionEvent::Failed(failure) => socket.error = Some(failure_of(failure)),
                        ConnectionEvent::Opened => socket.opened = true,
                        _ => {}
                    }
                }
                self.wake(descriptor);
            }
        }
    }
}

fn failure_of(failure: Failure) -> Errno {
    failure.into()
}
