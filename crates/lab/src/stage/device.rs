//! The TUN device: the kernel's only way out of the namespace, and it leads to us.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::Errno;
use tun_rs::{DeviceBuilder, SyncDevice};

use crate::LabError;
use crate::stage::sysctl;

/// The largest packet there is.
const LARGEST: usize = 65_535;

/// A TUN device in the namespace of the thread that made it.
pub(crate) struct Tun {
    device: SyncDevice,
    buffer: Vec<u8>,
}

impl Tun {
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
        let build = |v6: Option<(Ipv6Addr, u8)>| {
            let builder = DeviceBuilder::new().name(name).ipv4(v4.0, v4.1, None).mtu(mtu);
            match v6 {
                Some((address, bits)) => builder.ipv6(address, bits),
                None => builder,
            }
            .build_sync()
        };
        let has_v6 = std::path::Path::new("/proc/sys/net/ipv6").exists();
        let device = build(has_v6.then_some(v6)).map_err(|source| LabError::NoDevice { source })?;
        device.set_nonblocking(true).map_err(|source| LabError::NoDevice { source })?;
        Ok(Self { device, buffer: vec![0; LARGEST] })
    }

    /// The next packet that the kernel sends, if there is one.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn read(&mut self) -> Result<Option<&[u8]>, LabError> {
        loop {
            match rustix::io::read(self.device.as_fd(), &mut self.buffer) {
                Ok(length) => return Ok(Some(&self.buffer[..length])),
                Err(Errno::AGAIN) => return Ok(None),
                Err(Errno::INTR) => {}
                Err(error) => return Err(failed("read from", error)),
            }
        }
    }

    /// Hands the kernel a packet. It has been answered when this returns, or never will be.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn write(&self, packet: &[u8]) -> Result<(), LabError> {
        match rustix::io::write(self.device.as_fd(), packet) {
            // A full queue drops, as on any wire.
            Ok(_) | Err(Errno::AGAIN | Errno::NOBUFS) => Ok(()),
            Err(error) => Err(failed("write to", error)),
        }
    }

    /// What becomes readable when the kernel has sent something.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}

fn failed(operation: &'static str, error: Errno) -> LabError {
    LabError::Device { operation, source: io::Error::from(error) }
}
