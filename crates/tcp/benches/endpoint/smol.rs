//! The same with smoltcp: two interfaces, packets in memory.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp::{CongestionControl, Socket, SocketBuffer, State};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr, IpEndpoint};

/// Packets on their way, and used buffers to take again: neither side should pay for allocation.
#[derive(Default)]
struct Wire {
    packets: VecDeque<Vec<u8>>,
    spare: Vec<Vec<u8>>,
}

struct Port {
    incoming: Rc<RefCell<Wire>>,
    outgoing: Rc<RefCell<Wire>>,
}

struct Incoming {
    packet: Vec<u8>,
    wire: Rc<RefCell<Wire>>,
}

struct Outgoing(Rc<RefCell<Wire>>);

impl RxToken for Incoming {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        let result = f(&self.packet);
        self.wire.borrow_mut().spare.push(self.packet);
        result
    }
}

impl TxToken for Outgoing {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let mut packet = self.0.borrow_mut().spare.pop().unwrap_or_default();
        packet.resize(length, 0);
        let result = f(&mut packet);
        self.0.borrow_mut().packets.push_back(packet);
        result
    }
}

impl Device for Port {
    type RxToken<'a> = Incoming;
    type TxToken<'a> = Outgoing;

    fn receive(&mut self, _: Instant) -> Option<(Incoming, Outgoing)> {
        let packet = self.incoming.borrow_mut().packets.pop_front()?;
        Some((Incoming { packet, wire: self.incoming.clone() }, Outgoing(self.outgoing.clone())))
    }

    fn transmit(&mut self, _: Instant) -> Option<Outgoing> {
        Some(Outgoing(self.outgoing.clone()))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = 1_500;
        capabilities
    }
}

struct Host {
    interface: Interface,
    port: Port,
    sockets: SocketSet<'static>,
    socket: SocketHandle,
}

impl Host {
    fn new(last: u8, incoming: Rc<RefCell<Wire>>, outgoing: Rc<RefCell<Wire>>, buffer: usize) -> Self {
        let mut port = Port { incoming, outgoing };
        let mut interface = Interface::new(Config::new(HardwareAddress::Ip), &mut port, Instant::ZERO);
        interface.update_ip_addrs(|addresses| {
            addresses.push(IpCidr::new(IpAddress::v4(10, 0, 0, last), 24)).unwrap();
        });
        let mut sockets = SocketSet::new(Vec::new());
        let mut socket = Socket::new(SocketBuffer::new(vec![0; buffer]), SocketBuffer::new(vec![0; buffer]));
        socket.set_congestion_control(CongestionControl::Cubic);
        let socket = sockets.add(socket);
        Self { interface, port, sockets, socket }
    }

    fn poll(&mut self, now: Instant) {
        self.interface.poll(now, &mut self.port, &mut self.sockets);
    }

    fn socket(&mut self) -> &mut Socket<'static> {
        self.sockets.get_mut(self.socket)
    }

    fn connect(&mut self, port: u16) {
        let remote = IpEndpoint::new(IpAddress::v4(10, 0, 0, 2), 80);
        let socket = self.sockets.get_mut::<Socket<'_>>(self.socket);
        socket.connect(self.interface.context(), remote, port).unwrap();
    }
}

fn hosts(buffer: usize) -> (Host, Host) {
    let (one, two) = (Rc::default(), Rc::default());
    (Host::new(1, Rc::clone(&one), Rc::clone(&two), buffer), Host::new(2, two, one, buffer))
}

pub(crate) fn transfer(bytes: usize, buffer: usize) {
    let (mut client, mut server) = hosts(buffer);
    server.socket().listen(80).unwrap();
    client.connect(40_000);
    let text = vec![0x5a; 64 * 1024];
    let mut out = vec![0; 64 * 1024];
    let mut now = Instant::ZERO;
    let (mut sent, mut received) = (0, 0);
    while received < bytes {
        if client.socket().can_send() {
            let want = text.len().min(bytes - sent);
            sent += client.socket().send_slice(&text[..want]).unwrap();
        }
        client.poll(now);
        server.poll(now);
        while server.socket().can_recv() {
            received += server.socket().recv_slice(&mut out).unwrap();
        }
        server.poll(now);
        now += smoltcp::time::Duration::from_micros(100);
    }
}

pub(crate) fn cycles(count: usize) {
    let (mut client, mut server) = hosts(4_096);
    let mut now = Instant::ZERO;
    let mut text = [0; 256];
    let settle = |now: Instant, client: &mut Host, server: &mut Host| loop {
        client.poll(now);
        server.poll(now);
        let idle = client.port.incoming.borrow().packets.is_empty()
            && server.port.incoming.borrow().packets.is_empty();
        if idle {
            return;
        }
    };
    for number in 0..count {
        server.socket().listen(80).unwrap();
        client.connect(1_024 + (number % 60_000) as u16);
        settle(now, &mut client, &mut server);
        client.socket().send_slice(&[b'q'; 100]).unwrap();
        settle(now, &mut client, &mut server);
        assert_eq!(server.socket().recv_slice(&mut text).unwrap(), 100);
        server.socket().send_slice(&[b'a'; 200]).unwrap();
        settle(now, &mut client, &mut server);
        assert_eq!(client.socket().recv_slice(&mut text).unwrap(), 200);
        client.socket().close();
        settle(now, &mut client, &mut server);
        server.socket().close();
        settle(now, &mut client, &mut server);
        assert_eq!(server.socket().state(), State::Closed);
        // Its TIME_WAIT holds the socket; a table would keep it.
        client.socket().abort();
        settle(now, &mut client, &mut server);
        now += smoltcp::time::Duration::from_micros(1_100);
    }
}

/// How much arrives until `end` over a simulated network.
pub(crate) fn bytes_over(
    net: &mut eleven_tcp::sim::Network,
    client_id: eleven_tcp::sim::HostId,
    server_id: eleven_tcp::sim::HostId,
    end: eleven_tcp::Instant,
    buffer: usize,
) -> usize {
    // Four queues: what a host sends goes to the network, not to the other.
    let mut client = Host::new(1, Rc::default(), Rc::default(), buffer);
    let mut server = Host::new(2, Rc::default(), Rc::default(), buffer);
    server.socket().listen(80).unwrap();
    client.connect(40_000);
    let text = vec![0x5a; buffer];
    let mut out = vec![0; buffer];
    let mut now = eleven_tcp::Instant::ZERO;
    let mut received = 0;
    while now < end {
        let clock = Instant::from_micros(i64::try_from(now.as_micros()).unwrap_or(0));
        if client.socket().can_send() {
            client.socket().send_slice(&text).unwrap();
        }
        while server.socket().can_recv() {
            received += server.socket().recv_slice(&mut out).unwrap();
        }
        let mut next = None;
        for (host, id) in [(&mut client, client_id), (&mut server, server_id)] {
            host.poll(clock);
            for packet in host.port.outgoing.borrow_mut().packets.drain(..) {
                net.send(now, packet, id);
            }
            let wake = host.interface.poll_at(clock, &host.sockets);
            let wake = wake.map(|at| eleven_tcp::Instant::from_micros(at.total_micros().unsigned_abs()));
            next = [next, wake].into_iter().flatten().min();
        }
        let arrival = net.next_delivery_time();
        now = [arrival, next].into_iter().flatten().min().unwrap_or(end).max(now);
        let mut any = false;
        while let Some(delivery) = net.deliver(now) {
            any = true;
            let host = if delivery.to == client_id { &client } else { &server };
            host.port.incoming.borrow_mut().packets.push_back(delivery.packet);
        }
        if !any && next.is_none_or(|next| next <= now) {
            now = now.plus_micros(100);
        }
    }
    received
}
