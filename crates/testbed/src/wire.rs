//! Two namespaces and a wire between them that can be cut in one direction.

use std::net::{Ipv4Addr, TcpListener, TcpStream};

use crate::namespace::Net;

/// This end of the wire.
pub const HERE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// The other end.
pub const THERE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
/// An address on the wire at which nobody listens and nobody refuses: frames from here to it
/// carry a link address that no interface has.
pub const NOWHERE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 99);
/// Name of this end's interface.
pub const INTERFACE: &str = "wire0";

/// Name of the other end's interface.
const OTHER_INTERFACE: &str = "wire1";
/// Link addresses of both ends, and one that no interface has.
const LINK_HERE: &str = "02:00:00:00:00:01";
const LINK_THERE: &str = "02:00:00:00:00:02";
const LINK_NOWHERE: &str = "02:00:00:00:00:99";

/// Where tests play: `here` holds the sockets that are looked at, `there` their peers.
#[derive(Debug)]
pub struct Wire {
    /// The namespace at this end, with [`HERE`].
    pub here: Net,
    /// The namespace at the other end, with [`THERE`].
    pub there: Net,
}

impl Wire {
    /// Lays it.
    ///
    /// # Errors
    /// A sentence that says what is missing.
    pub fn new() -> Result<Self, String> {
        let (here, there) = (Net::new()?, Net::new()?);
        // Link addresses are given, not resolved: ARP would turn silence into EHOSTUNREACH.
        here.ip(&format!(
            "link add {INTERFACE} address {LINK_HERE} type veth \
             peer name {OTHER_INTERFACE} address {LINK_THERE} netns {}\n\
             addr add {HERE}/24 dev {INTERFACE}\n\
             link set {INTERFACE} up\n\
             neigh replace {THERE} lladdr {LINK_THERE} nud permanent dev {INTERFACE}\n\
             neigh replace {NOWHERE} lladdr {LINK_NOWHERE} nud permanent dev {INTERFACE}\n",
            there.path()
        ))?;
        there.ip(&format!(
            "addr add {THERE}/24 dev {OTHER_INTERFACE}\n\
             link set {OTHER_INTERFACE} up\n\
             neigh replace {HERE} lladdr {LINK_HERE} nud permanent dev {OTHER_INTERFACE}\n"
        ))?;
        Ok(Self { here, there })
    }

    /// Lays one that is cut from the start, for connections that stay half open: a SYN from
    /// there arrives, the answer to it does not.
    ///
    /// # Errors
    /// A sentence that says what is missing.
    pub fn new_cut() -> Result<Self, String> {
        let wire = Self::new()?;
        // A half-open connection would end after a minute, which a busy machine may take.
        let retries = wire.here.run(|| std::fs::write("/proc/sys/net/ipv4/tcp_synack_retries", "100"));
        retries.map_err(|error| format!("no sysctl to write: {error}"))?;
        wire.cut_outgoing();
        Ok(wire)
    }

    /// Connections from here to there, and their other ends.
    pub fn connections(&self, count: usize) -> (Vec<TcpStream>, Vec<TcpStream>) {
        let listener = self.there.run(|| TcpListener::bind((THERE, 0))).expect("bound");
        let at = listener.local_addr().expect("bound");
        let here =
            self.here.run(|| (0..count).map(|_| TcpStream::connect(at).expect("it listens")).collect());
        let there = self.there.run(|| (0..count).map(|_| listener.accept().expect("it waits").0).collect());
        (here, there)
    }

    /// Loses every frame from here to there from now on; the other direction stays.
    pub fn cut_outgoing(&self) {
        self.here
            .ip(&format!("neigh replace {THERE} lladdr {LINK_NOWHERE} nud permanent dev {INTERFACE}"))
            .expect("the entry exists");
    }
}
