//! Live capture on Linux: a packet socket whose ring the kernel fills (`AF_PACKET`, `TPACKET_V3`).
//!
//! Packets are not copied out of the ring. The kernel hands over a block when it is full or a twentieth of a second old,
//! and counts what it had to drop while all blocks were ours.

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;
use std::{io, thread};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice, socket_with, sockopt};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use rustix::time::Timespec;

use crate::filter::{Expression, Program};
use crate::{Interface, LinkType, Packet, Timestamp};

mod error;
mod frame;
mod sys;

pub use error::LiveError;
use frame::Frame;
use sys::{Layout, Ring};

/// A block of the ring. No packet is larger; Linux makes some of half a mebibyte.
const BLOCK: usize = 1 << 20;
/// A block is handed over after so many milliseconds, full or not.
const PATIENCE: u32 = 50;
/// Interfaces come and go; so many are told apart in one capture, further ones all look like the last.
const MOST_INTERFACES: usize = 4_096;

/// Kinds of hardware (`ARPHRD_…`).
const HARDWARE_ETHERNET: u16 = 1;
const HARDWARE_LOOPBACK: u16 = 772;
/// Those without a link's header, such as TUN and WireGuard.
const HARDWARE_NONE: u16 = 65_534;

/// How to capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveOptions {
    /// The interface's name; `None` or `any` for all of them, as cooked packets.
    pub interface: Option<String>,
    /// A file that stands for the network namespace to capture in; `None`: that of the calling thread.
    pub namespace: Option<PathBuf>,
    /// At most so many bytes of a packet are kept.
    pub snap_length: u32,
    /// Whether the interface shall take in what is not for this host.
    pub promiscuous: bool,
    /// What to capture; `None`: everything.
    pub filter: Option<Expression>,
    /// The size of the ring in bytes. If the kernel has not as much, it is halved until it has.
    pub ring: usize,
}

impl Default for LiveOptions {
    /// All interfaces of this namespace, packets whole, a ring of 32 MiB.
    fn default() -> Self {
        Self {
            interface: None,
            namespace: None,
            snap_length: 256 << 10,
            promiscuous: false,
            filter: None,
            ring: 32 << 20,
        }
    }
}

/// What the kernel counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct LiveCounters {
    /// Packets that the filter let through, dropped ones among them.
    pub passed: u64,
    /// Packets that were dropped because the ring was full.
    pub dropped: u64,
    /// How often the ring was full.
    pub freezes: u64,
}

/// A live capture.
#[derive(Debug)]
pub struct Live {
    // Unmapped before the socket is closed.
    ring: Ring,
    socket: OwnedFd,
    /// The block that is read.
    index: usize,
    /// Where the next packet in it is, and how many there are.
    block: Option<(usize, u32)>,
    link: LinkType,
    snap_length: u32,
    interfaces: Vec<Interface>,
    /// By the kernel's numbers.
    numbers: HashMap<i32, u32>,
    /// The interface it is bound to, by the kernel's number; 0: all.
    bound: i32,
    packets: u64,
    counters: LiveCounters,
    vanished: bool,
}

impl Live {
    /// Begins to capture. What arrives from now on waits in the ring.
    ///
    /// # Errors
    /// If the caller may not, or the interface, the namespace or the filter is none.
    pub fn open(options: &LiveOptions) -> Result<Self, LiveError> {
        let Some(path) = &options.namespace else { return Self::open_here(options) };
        let failed = |source| LiveError::Namespace { path: path.clone(), source };
        let namespace = File::open(path).map_err(failed)?;
        // Entering a namespace changes only the thread, and a socket stays where it was made.
        thread::scope(|scope| {
            let inside = || {
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                    .map_err(|error| failed(error.into()))?;
                Self::open_here(options)
            };
            let thread = thread::Builder::new().name("netns".to_owned()).spawn_scoped(scope, inside);
            match thread.map_err(failed)?.join() {
                Ok(opened) => opened,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    fn open_here(options: &LiveOptions) -> Result<Self, LiveError> {
        let program =
            Program::compile(options.filter.as_ref(), options.snap_length).map_err(LiveError::Filter)?;
        let (bound, link) = match options.interface.as_deref() {
            None | Some("any") => (0, LinkType::LINUX_SLL2),
            Some(name) => find(name)?,
        };
        // A cooked capture has no link's header: we write one.
        let kind = if link == LinkType::LINUX_SLL2 { SocketType::DGRAM } else { SocketType::RAW };
        let socket = socket_with(AddressFamily::PACKET, kind, SocketFlags::CLOEXEC, None)
            .map_err(|error| LiveError::system("open a packet socket")(error.into()))?;
        let ring = make_ring(&socket, options.ring)?;
        sys::set_filter(socket.as_fd(), program.instructions())
            .map_err(LiveError::system("attach the filter"))?;
        if options.promiscuous && bound != 0 {
            sys::set_promiscuous(socket.as_fd(), bound)
                .map_err(LiveError::system("make the interface promiscuous"))?;
        }
        let mut live = Self {
            ring,
            socket,
            index: 0,
            block: None,
            link,
            snap_length: options.snap_length,
            interfaces: Vec::new(),
            numbers: HashMap::new(),
            bound,
            packets: 0,
            counters: LiveCounters::default(),
            vanished: false,
        };
        if bound != 0 {
            live.number(bound);
        }
        // Until it is bound nothing comes, so nothing slips past the filter.
        sys::bind(live.socket.as_fd(), bound).map_err(LiveError::system("capture on that interface"))?;
        Ok(live)
    }

    /// The next packet; `None` if there is none at the moment, see [`Self::wait`].
    ///
    /// # Errors
    /// [`LiveError::Down`], after which packets may come again, and [`LiveError::Vanished`], after which none do.
    #[inline]
    pub fn next_packet(&mut self) -> Result<Option<Packet<'_>>, LiveError> {
        let Some((at, left)) = self.next_place()? else { return Ok(None) };
        let Some(mut frame) = self.ring.block(self.index).and_then(|block| Frame::read(block, at)) else {
            // The kernel wrote nonsense, which nobody has seen it do: the rest of the block is left out.
            self.block = Some((at, 0));
            return Ok(None);
        };
        self.block = Some((at + frame.next, if frame.next == 0 { 0 } else { left - 1 }));
        let interface = self.number(frame.interface());
        self.packets += 1;
        let Some(block) = self.ring.block(self.index) else { return Ok(None) };
        match self.link {
            LinkType::LINUX_SLL2 => frame.add_cooked_header(block),
            LinkType::ETHERNET => frame.restore_tag(block),
            _ => {}
        }
        let data = block.get(frame.data..frame.data + frame.captured).unwrap_or_default();
        Ok(Some(Packet {
            number: self.packets,
            time: Timestamp::new(frame.seconds.into(), frame.nanos),
            interface,
            link: self.link,
            data,
            original_length: frame.length.max(frame.captured as u32),
            ..Packet::default()
        }))
    }

    /// Where the next packet is, in the block that is read, and how many there are with it.
    fn next_place(&mut self) -> Result<Option<(usize, u32)>, LiveError> {
        loop {
            match self.block {
                Some((at, left)) if left > 0 => return Ok(Some((at, left))),
                Some(_) => {
                    self.ring.release(self.index);
                    self.index = (self.index + 1) % self.ring.blocks();
                    self.block = None;
                }
                None => match self.ring.block(self.index) {
                    Some(block) => {
                        let (packets, first) = frame::packets(block).unwrap_or((0, 0));
                        self.block = Some((first, packets));
                    }
                    None => {
                        self.look_for_error()?;
                        return Ok(None);
                    }
                },
            }
        }
    }

    /// What happened to the interface. It is asked when there is nothing to read, so that all that came before is
    /// handed out first.
    #[cold]
    fn look_for_error(&mut self) -> Result<(), LiveError> {
        let failed = LiveError::system("read on");
        let Err(error) = sockopt::socket_error(&self.socket).map_err(|error| failed(error.into()))? else {
            return Ok(());
        };
        if error.raw_os_error() != libc::ENETDOWN {
            return Err(failed(error.into()));
        }
        let name = self
            .interfaces
            .first()
            .and_then(|interface| interface.name.as_deref())
            .unwrap_or("any")
            .to_owned();
        if self.bound != 0 && netdevice::index_to_name(&self.socket, self.bound.cast_unsigned()).is_err() {
            self.vanished = true;
            return Err(LiveError::Vanished { name });
        }
        Err(LiveError::Down { name })
    }

    /// Waits until there are packets, at most so long, and says whether there may be some. A signal ends it early.
    ///
    /// # Errors
    /// If the kernel does not let us wait.
    pub fn wait(&self, timeout: Duration) -> Result<bool, LiveError> {
        let timeout = Timespec::try_from(timeout).ok();
        match poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], timeout.as_ref()) {
            Ok(ready) => Ok(ready > 0),
            Err(error) if error == rustix::io::Errno::INTR => Ok(false),
            Err(error) => Err(LiveError::system("wait for packets")(error.into())),
        }
    }

    /// What the kernel counted so far.
    ///
    /// # Errors
    /// If it does not say.
    pub fn counters(&mut self) -> Result<LiveCounters, LiveError> {
        // Asking resets them.
        let [passed, dropped, freezes] =
            sys::take_counters(self.socket.as_fd()).map_err(LiveError::system("read its counters"))?;
        self.counters.passed += u64::from(passed);
        self.counters.dropped += u64::from(dropped);
        self.counters.freezes += u64::from(freezes);
        Ok(self.counters)
    }

    /// Whether nothing more can come: the interface is no more.
    pub const fn is_finished(&self) -> bool {
        self.vanished
    }

    /// What packets begin with.
    pub const fn link(&self) -> LinkType {
        self.link
    }

    /// The interfaces that packets came from so far, by [`Packet::interface`].
    pub fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    /// Our number of an interface, which is named when it is first seen.
    fn number(&mut self, interface: i32) -> u32 {
        if let Some(number) = self.numbers.get(&interface) {
            return *number;
        }
        let last = self.interfaces.len().saturating_sub(1) as u32;
        if self.interfaces.len() >= MOST_INTERFACES {
            return last;
        }
        let name = netdevice::index_to_name(&self.socket, interface.cast_unsigned()).ok();
        let number = self.interfaces.len() as u32;
        self.interfaces.push(Interface {
            name: name.map(Into::into),
            description: None,
            link: self.link,
            snap_length: self.snap_length,
        });
        self.numbers.insert(interface, number);
        number
    }
}

/// Readable when there are packets.
impl AsFd for Live {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The kernel's number of an interface, and what its packets begin with.
fn find(name: &str) -> Result<(i32, LinkType), LiveError> {
    // Any socket knows the interfaces of its namespace; this one takes no privilege.
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
        .map_err(|error| LiveError::system("open a socket")(error.into()))?;
    let Ok(index) = netdevice::name_to_index(&socket, name) else {
        return Err(LiveError::NoInterface { name: name.to_owned(), known: names(&socket) });
    };
    let hardware = sys::hardware(socket.as_fd(), name).map_err(LiveError::system("look at the interface"))?;
    let link = match hardware {
        HARDWARE_ETHERNET | HARDWARE_LOOPBACK => LinkType::ETHERNET,
        HARDWARE_NONE => LinkType::RAW,
        _ => LinkType::LINUX_SLL2,
    };
    Ok((index.cast_signed(), link))
}

/// The names of the interfaces of a socket's namespace, as far as their numbers are low.
fn names(socket: &OwnedFd) -> Vec<String> {
    const HIGHEST: u32 = 1_024;
    (1..=HIGHEST).filter_map(|index| netdevice::index_to_name(socket, index).ok()).collect()
}

/// Makes a ring as large as asked for, or as the kernel has memory for.
fn make_ring(socket: &OwnedFd, size: usize) -> Result<Ring, LiveError> {
    let mut blocks = (size / BLOCK).clamp(2, 4_096);
    loop {
        let layout = Layout { block: BLOCK, blocks, patience: PATIENCE, reserve: frame::RESERVE };
        let made = sys::set_ring(socket.as_fd(), &layout);
        match made.and_then(|()| Ring::map(socket.as_fd(), &layout)) {
            Ok(ring) => return Ok(ring),
            Err(error) if error.kind() == io::ErrorKind::OutOfMemory && blocks > 2 => blocks /= 2,
            Err(error) => return Err(LiveError::system("make a ring for packets")(error)),
        }
    }
}
