//! Two namespaces and a wire between them that can be cut in one direction.

use std::net::Ipv4Addr;

use super::namespace::Net;

/// This end of the wire.
pub(crate) const HERE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// The other end.
pub(crate) const THERE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
/// An address on the wire at which nobody listens and nobody refuses: frames to it carry a
/// link address that no interface has.
pub(crate) const NOWHERE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 99);
/// Name of this end's interface.
pub(crate) const INTERFACE: &str = "wire0";

/// Where the tests play: `here` holds the sockets that are looked at, `there` their peers.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) here: Net,
    pub(crate) there: Net,
}

impl Stage {
    /// Builds it.
    ///
    /// # Errors
    /// A sentence that says what is missing.
    pub(crate) fn new() -> Result<Self, String> {
        let (here, there) = (Net::new()?, Net::new()?);
        // Link addresses are given, not resolved: ARP would turn silence into EHOSTUNREACH.
        here.ip(&format!(
            "link add {INTERFACE} address 02:00:00:00:00:01 type veth peer name wire1 address 02:00:00:00:00:02 netns {}\n\
             addr add {HERE}/24 dev {INTERFACE}\n\
             link set {INTERFACE} up\n\
             neigh replace {THERE} lladdr 02:00:00:00:00:02 nud permanent dev {INTERFACE}\n\
             neigh replace {NOWHERE} lladdr 02:00:00:00:00:99 nud permanent dev {INTERFACE}\n",
            there.path()
        ))?;
        there.ip(&format!(
            "addr add {THERE}/24 dev wire1\n\
             link set wire1 up\n\
             neigh replace {HERE} lladdr 02:00:00:00:00:01 nud permanent dev wire1\n"
        ))?;
        Ok(Self { here, there })
    }

    /// Loses every frame from here to there from now on; the other direction stays.
    pub(crate) fn cut_outgoing(&self) {
        self.here
            .ip(&format!("neigh replace {THERE} lladdr 02:00:00:00:00:99 nud permanent dev {INTERFACE}"))
            .expect("the entry exists");
    }
}
