//! The kernel's only way out of the namespace, and it leads to us: a TUN device, or where that is closed to this user, a
//! wire of which we hold the other end.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::Errno;
use tun_rs::{DeviceBuilder, SyncDevice};

use crate::LabError;
use crate::stage::pair::Pair;
use crate::stage::sysctl;

/// The largest packet there is.
const LARGEST: usize = 65_535;

/// A device in the namespace of the thread that made it.
pub(crate) struct Device {
    kind: Kind,
}

enum Kind {
    Tun { device: SyncDevice, buffer: Vec<u8> },
    Pair(Pair),
}

impl Device {
    /// Makes a device with this host's addresses; the networks of so many bits around them are behind it.
    ///
    /// # Errors
    /// [`LabError::NoDevice`].
    pub(crate) fn new(
        name: &str,
        v4: (Ipv4Addr, u8),
        v6: (Ipv6Addr, u8),
        mtu: u16,
    ) -> Result<Self, LabError> {
        // Before there is a device: the kernel would announce itself and ask for routers, and captures would show it.
        for (name, value) in [("addr_gen_mode", "1"), ("accept_ra", "0"), ("router_solicitations", "0")] {
            // A kernel without IPv6 has none of them.
            let _ = sysctl::write(&format!("net.ipv6.conf.default.{name}"), value);
        }
        let v6 = std::path::Path::new("/proc/sys/net/ipv6").exists().then_some(v6);
        let kind = match make_tun(name, v4, v6, mtu) {
            Ok(device) => Kind::Tun { device, buffer: vec![0; LARGEST] },
            Err(source) => {
                let pair = Pair::new(name, v4, v6, mtu);
                Kind::Pair(pair.map_err(|pair| LabError::NoDevice { source, pair })?)
            }
        };
        Ok(Self { kind })
    }

    /// The next packet that the kernel sends, if there is one.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn read(&mut self) -> Result<Option<&[u8]>, LabError> {
        match &mut self.kind {
            Kind::Tun { device, buffer } => loop {
                match rustix::io::read(device.as_fd(), &mut *buffer) {
                    Ok(length) => return Ok(buffer.get(..length)),
                    Err(Errno::AGAIN) => return Ok(None),
                    Err(Errno::INTR) => {}
                    Err(error) => return Err(failed("read from", error.into())),
                }
            },
            Kind::Pair(pair) => pair.read().map_err(|error| failed("read from", error)),
        }
    }

    /// Hands the kernel a packet. It has been answered when this returns, or never will be.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn write(&self, packet: &[u8]) -> Result<(), LabError> {
        match &self.kind {
            Kind::Tun { device, .. } => match rustix::io::write(device.as_fd(), packet) {
                // A full queue drops, as on any wire.
                Ok(_) | Err(Errno::AGAIN | Errno::NOBUFS) => Ok(()),
                Err(error) => Err(failed("write to", error.into())),
            },
            Kind::Pair(pair) => pair.write(packet).map_err(|error| failed("write to", error)),
        }
    }

    /// What becomes readable when the kernel has sent something.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        match &self.kind {
            Kind::Tun { device, .. } => device.as_fd(),
            Kind::Pair(pair) => pair.descriptor(),
        }
    }
}

fn make_tun(name: &str, v4: (Ipv4Addr, u8), v6: Option<(Ipv6Addr, u8)>, mtu: u16) -> io::Result<SyncDevice> {
    let builder = DeviceBuilder::new().name(name).ipv4(v4.0, v4.1, None).mtu(mtu);
    let builder = match v6 {
        Some((address, bits)) => builder.ipv6(address, bits),
        None => builder,
    };
    let device = builder.build_sync()?;
    device.set_nonblocking(true)?;
    Ok(device)
}

fn failed(operation: &'static str, source: io::Error) -> LabError {
    LabError::Device { operation, source }
}
