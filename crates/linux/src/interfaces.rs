//! Names of network interfaces, which are numbered per namespace.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice, socket_with};

/// Names of the calling thread's namespace's interfaces, each asked for once.
#[derive(Debug, Default)]
pub struct Interfaces {
    socket: Option<OwnedFd>,
    names: FxHashMap<u32, Option<Arc<str>>>,
}

impl Interfaces {
    /// Name of interface `index`; `None` for 0 and for one that has gone.
    pub fn name(&mut self, index: u32) -> Option<Arc<str>> {
        if index == 0 {
            return None;
        }
        if let Some(known) = self.names.get(&index) {
            return known.clone();
        }
        let name = self.socket().and_then(|fd| netdevice::index_to_name(fd, index).ok()).map(Arc::from);
        self.names.insert(index, name.clone());
        name
    }

    /// Number of the interface called `name`.
    pub fn index(&mut self, name: &str) -> Option<u32> {
        netdevice::name_to_index(self.socket()?, name).ok()
    }

    fn socket(&mut self) -> Option<&OwnedFd> {
        if self.socket.is_none() {
            // Any socket will do: the requests are about the namespace it was opened in.
            self.socket =
                socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None).ok();
        }
        self.socket.as_ref()
    }
}
