//! One socket in every state and of every kind, all at once.
//!
//! A dump walks the sockets of the whole host, so they are made once and looked at together;
//! each test then asks for the row it is about.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use eleven_linux::ReaderChoice;
use eleven_linux::namespace::NamespaceChoice;
use eleven_snapshot::{Family, Socket, SocketKind};
use eleven_tcp::{State, StateSet};
use eleven_testbed::sockets::{
    ANYWHERE6, LOOPBACK, LOOPBACK6, address, bound, connect, connecting, fill, listen, listen_on, pair,
    time_wait, wait_for_end,
};
use eleven_testbed::wire::{HERE, INTERFACE, NOWHERE, THERE, Wire};
use eleven_testbed::{skipped, wait_for};

use super::rows::{ALL_NAMES, bare, read};
use super::segment;

/// A user who is not root and has a name on every host.
pub(crate) const NOBODY: u32 = 65_534;
/// The mark of the row `established`.
pub(crate) const MARK: u32 = 0x1177;
/// Bytes that nobody has read in the row `established`.
pub(crate) const UNREAD: &[u8] = b"eleven";

/// Where a row must be, and what this process knows of the socket behind it.
#[derive(Clone, Debug)]
pub(crate) struct Witness {
    pub(crate) state: State,
    pub(crate) kind: SocketKind,
    pub(crate) local: SocketAddr,
    pub(crate) remote: Option<SocketAddr>,
    /// Of the file this process or a child holds; `None` when nobody does.
    pub(crate) inode: Option<u64>,
    /// By `SO_COOKIE`, for the same.
    pub(crate) cookie: Option<u64>,
    /// Its descriptor in this process.
    pub(crate) fd: Option<u32>,
}

impl Witness {
    fn is_shown_by(&self, row: &Socket) -> bool {
        let remote = row.remote_port.map(|port| SocketAddr::new(row.remote_address, port));
        row.state == self.state
            && SocketAddr::new(row.local_address, row.local_port.unwrap_or(0)) == self.local
            && remote == self.remote
    }
}

/// The sockets and the rows that show them.
#[derive(Debug)]
pub(crate) struct Gallery {
    pub(crate) wire: Wire,
    witnesses: BTreeMap<&'static str, Witness>,
    /// By netlink, with all names.
    pub(crate) rows: Vec<Socket>,
    /// From the first socket to the last of those rows.
    pub(crate) elapsed: Duration,
    /// By `/proc`, with all names.
    pub(crate) rows_of_proc: Vec<Socket>,
    /// From the first socket to the last of those rows.
    pub(crate) elapsed_of_proc: Duration,
    /// Holds a copy of the socket `shared`; ends when this process does.
    pub(crate) sharer: Child,
    _held: Vec<socket2::Socket>,
}

impl Gallery {
    /// The gallery, made when it is first asked for. `None` where that is not possible: the
    /// calling test is then marked as skipped.
    pub(crate) fn open() -> Option<&'static Self> {
        static GALLERY: OnceLock<Result<Gallery, String>> = OnceLock::new();
        match GALLERY.get_or_init(Self::build) {
            Ok(gallery) => Some(gallery),
            Err(why) => {
                skipped(why);
                None
            }
        }
    }

    /// A gallery of the caller's own, for tests that read it again: TIME_WAIT lasts a minute.
    pub(crate) fn fresh() -> Option<Self> {
        Self::build().map_err(|why| skipped(&why)).ok()
    }

    pub(crate) fn witness(&self, name: &str) -> &Witness {
        self.witnesses.get(name).unwrap_or_else(|| panic!("there is no witness called {name}"))
    }

    pub(crate) fn witnesses(&self) -> impl Iterator<Item = (&'static str, &Witness)> {
        self.witnesses.iter().map(|(name, witness)| (*name, witness))
    }

    /// The row that netlink gives for a witness.
    pub(crate) fn row(&self, name: &str) -> &Socket {
        the_row(&self.rows, self.witness(name), name)
    }

    /// The row that `/proc` gives for a witness.
    pub(crate) fn row_of_proc(&self, name: &str) -> &Socket {
        the_row(&self.rows_of_proc, self.witness(name), name)
    }

    fn build() -> Result<Self, String> {
        let wire = Wire::new()?;
        let begin = Instant::now();
        let mut maker = Maker { wire: &wire, witnesses: BTreeMap::new(), held: Vec::new() };
        let sharer = wire.here.run(|| maker.make_all());
        let Maker { witnesses, held, .. } = maker;
        let [(rows, elapsed), (rows_of_proc, elapsed_of_proc)] = wire.here.run(|| {
            wait_for("every witness to reach its state", || {
                let rows = bare(StateSet::ALL);
                let missing: Vec<_> = witnesses
                    .iter()
                    .filter(|(_, witness)| !rows.iter().any(|row| witness.is_shown_by(row)))
                    .collect();
                if missing.is_empty() { Ok(()) } else { Err((missing, rows)) }
            });
            [ReaderChoice::Netlink, ReaderChoice::Proc].map(|choice| {
                let (rows, _) = read(&NamespaceChoice::This, choice, StateSet::ALL, ALL_NAMES);
                (rows, begin.elapsed())
            })
        });
        Ok(Self { wire, witnesses, rows, elapsed, rows_of_proc, elapsed_of_proc, sharer, _held: held })
    }
}

fn the_row<'a>(rows: &'a [Socket], witness: &Witness, name: &str) -> &'a Socket {
    let mut matching = rows.iter().filter(|row| witness.is_shown_by(row));
    let row = matching.next().unwrap_or_else(|| panic!("no row shows {name}: {witness:?} in {rows:#?}"));
    assert!(matching.next().is_none(), "two rows show {name}");
    row
}

struct Maker<'a> {
    wire: &'a Wire,
    witnesses: BTreeMap<&'static str, Witness>,
    held: Vec<socket2::Socket>,
}

impl Maker<'_> {
    fn make_all(&mut self) -> Child {
        self.listeners();
        self.opening();
        let sharer = self.open();
        self.closing_on_loopback();
        self.closing_on_a_cut_wire();
        sharer
    }

    fn listeners(&mut self) {
        let listener = listen(LOOPBACK, 5);
        for name in ["client of not accepted 1", "client of not accepted 2"] {
            let client = connect(address(&listener));
            self.by_kernel(
                match name {
                    "client of not accepted 1" => "not accepted 1",
                    _ => "not accepted 2",
                },
                State::Established,
                SocketKind::Full,
                address(&listener),
                address(&client),
            );
            self.hold(name, State::Established, client);
        }
        self.hold("listener", State::Listen, listener);

        let of_nobody = listen(LOOPBACK, 5);
        give_to_nobody(&of_nobody);
        let client = connect(address(&of_nobody));
        self.by_kernel(
            "not accepted of nobody",
            State::Established,
            SocketKind::Full,
            address(&of_nobody),
            address(&client),
        );
        // This client has gone before anybody accepted it.
        let gone = connect(address(&of_nobody));
        self.by_kernel(
            "not accepted and closed",
            State::CloseWait,
            SocketKind::Full,
            address(&of_nobody),
            address(&gone),
        );
        drop(gone);
        self.held.push(client);
        self.hold("listener of nobody", State::Listen, of_nobody);

        self.hold("on an interface", State::Listen, listen_on(INTERFACE, SocketAddr::from((HERE, 0))));
        self.hold("bound", State::Closed, bound(LOOPBACK));
    }

    fn opening(&mut self) {
        let nowhere = |port| SocketAddrV4::new(NOWHERE, port);
        let syn_sent = connecting(nowhere(4000).into());
        self.hold("syn sent", State::SynSent, syn_sent);

        let listener = listen(SocketAddr::from((HERE, 0)), 5);
        let both_families = listen(ANYWHERE6, 5);
        let v4 = |socket: &socket2::Socket| SocketAddrV4::new(HERE, address(socket).port());
        // Both ends of a simultaneous open: ours by connect, theirs by hand.
        let crossing = connecting(nowhere(4003).into());
        self.wire.there.run(|| {
            segment::send_syn(nowhere(4001), v4(&listener));
            segment::send_syn(nowhere(4002), v4(&both_families));
            segment::send_syn(nowhere(4003), v4(&crossing));
        });
        self.by_kernel(
            "request",
            State::SynReceived,
            SocketKind::Request,
            v4(&listener).into(),
            nowhere(4001).into(),
        );
        self.by_kernel(
            "request to both families",
            State::SynReceived,
            SocketKind::Request,
            mapped(v4(&both_families)),
            mapped(nowhere(4002)),
        );
        self.hold("simultaneous open", State::SynReceived, crossing);
        self.held.extend([listener, both_families]);
    }

    fn open(&mut self) -> Child {
        let (client, server) = pair(LOOPBACK);
        client.set_keepalive(true).expect("an open socket");
        client.set_mark(MARK).expect("root may mark");
        client.set_tcp_congestion(b"reno").expect("reno is in every kernel");
        fill(&server, &client, UNREAD);
        self.hold("established", State::Established, client);
        self.hold("peer of established", State::Established, server);

        let (client, server) = pair(LOOPBACK6);
        self.hold("established v6", State::Established, client);
        self.held.push(server);

        let both_families = listen(ANYWHERE6, 5);
        let client = connect(SocketAddr::from((Ipv4Addr::LOCALHOST, address(&both_families).port())));
        let (server, _) = both_families.accept().expect("a client waits");
        self.hold("v4-mapped", State::Established, server);
        self.held.extend([client, both_families]);

        let (client, server) = pair(LOOPBACK);
        let copy: OwnedFd = server.try_clone().expect("a free descriptor").into();
        self.hold("shared", State::Established, server);
        self.held.push(client);
        // It waits for the end of its input, which comes when this process ends.
        Command::new("cat").stdin(Stdio::piped()).stdout(copy).spawn().expect("cat is everywhere")
    }

    fn closing_on_loopback(&mut self) {
        let (ours, theirs) = pair(LOOPBACK);
        ours.shutdown(std::net::Shutdown::Write).expect("it is connected");
        self.hold("close wait", State::CloseWait, theirs);
        self.hold("fin wait 2 held", State::FinWait2, ours);

        let (ours, theirs) = pair(LOOPBACK);
        self.by_kernel(
            "fin wait 2 closed",
            State::FinWait2,
            SocketKind::TimeWait,
            address(&ours),
            address(&theirs),
        );
        drop(ours);
        self.held.push(theirs);

        let (ours, theirs) = time_wait(LOOPBACK);
        self.by_kernel("time wait", State::TimeWait, SocketKind::TimeWait, ours, theirs);
    }

    fn closing_on_a_cut_wire(&mut self) {
        let listener = self.wire.there.run(|| listen(SocketAddr::from((THERE, 0)), 16));
        let connection = || {
            let client = connect(address(&listener));
            (client, listener.accept().expect("a client waits").0)
        };
        let (held_1, peer_1) = connection();
        let (closed_1, peer_2) = connection();
        let (of_nobody, peer_3) = connection();
        let (held_last, peer_4) = connection();
        let (closed_last, peer_5) = connection();
        let (closing, peer_6) = connection();
        give_to_nobody(&of_nobody);
        drop((peer_4, peer_5));
        wait_for_end(&held_last);
        wait_for_end(&closed_last);

        self.wire.cut_outgoing();
        let end = |socket: &socket2::Socket| {
            socket.shutdown(std::net::Shutdown::Write).expect("it is connected");
        };
        end(&held_1);
        self.hold("fin wait 1 held", State::FinWait1, held_1);
        self.close("fin wait 1 closed", State::FinWait1, closed_1);
        self.close("fin wait 1 closed by nobody", State::FinWait1, of_nobody);
        end(&held_last);
        self.hold("last ack held", State::LastAck, held_last);
        self.close("last ack closed", State::LastAck, closed_last);
        // Ours is lost, theirs arrives: the two have crossed.
        end(&closing);
        end(&peer_6);
        self.hold("closing", State::Closing, closing);
        self.held.extend([listener, peer_1, peer_2, peer_3, peer_6]);
    }

    /// Keeps a socket of this process, as a witness.
    fn hold(&mut self, name: &'static str, state: State, socket: socket2::Socket) {
        let kind = if state == State::Closed { SocketKind::Bound } else { SocketKind::Full };
        let stat = rustix::fs::fstat(&socket).expect("an open descriptor");
        let witness = Witness {
            state,
            kind,
            local: address(&socket),
            remote: socket.peer_addr().ok().or_else(|| connecting_to(state)).as_ref().map(as_std),
            inode: Some(stat.st_ino),
            cookie: Some(rustix::net::sockopt::socket_cookie(&socket).expect("Linux 4.12 has cookies")),
            fd: u32::try_from(socket.as_raw_fd()).ok(),
        };
        self.enter(name, witness);
        self.held.push(socket);
    }

    /// Closes a socket of this process; the kernel goes on with it.
    fn close(&mut self, name: &'static str, state: State, socket: socket2::Socket) {
        let remote = as_std(&socket.peer_addr().expect("it is connected"));
        self.by_kernel(name, state, SocketKind::Full, address(&socket), remote);
        drop(socket);
    }

    /// A witness that no program holds.
    fn by_kernel(
        &mut self,
        name: &'static str,
        state: State,
        kind: SocketKind,
        local: SocketAddr,
        remote: SocketAddr,
    ) {
        let witness =
            Witness { state, kind, local, remote: Some(remote), inode: None, cookie: None, fd: None };
        self.enter(name, witness);
    }

    fn enter(&mut self, name: &'static str, witness: Witness) {
        assert!(self.witnesses.insert(name, witness).is_none(), "two witnesses are called {name}");
    }
}

/// getpeername(2) does not answer before a connection is up.
fn connecting_to(state: State) -> Option<socket2::SockAddr> {
    match state {
        State::SynSent => Some(SocketAddrV4::new(NOWHERE, 4000).into()),
        State::SynReceived => Some(SocketAddrV4::new(NOWHERE, 4003).into()),
        _ => None,
    }
}

fn as_std(address: &socket2::SockAddr) -> SocketAddr {
    address.as_socket().expect("an internet socket")
}

fn mapped(address: SocketAddrV4) -> SocketAddr {
    SocketAddr::from((address.ip().to_ipv6_mapped(), address.port()))
}

/// The user of a socket is the owner of its file.
fn give_to_nobody(socket: &socket2::Socket) {
    rustix::fs::fchown(socket.as_fd(), Some(rustix::process::Uid::from_raw(NOBODY)), None)
        .expect("root may give files away");
}

/// The family a witness's row must show.
pub(crate) fn family_of(witness: &Witness) -> Family {
    if witness.local.is_ipv6() { Family::Inet6 } else { Family::Inet }
}
