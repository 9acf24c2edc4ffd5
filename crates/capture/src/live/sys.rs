//! The few calls that packet sockets take and that have no safe wrapper: options, binding, and the ring in memory that is
//! shared with the kernel (packet(7), Documentation/networking/packet_mmap.rst).

// Options are structures that the kernel copies in or out by pointer and length, each made from a value of just that
// size; and the ring is memory that the kernel writes, of which a block is only touched while it is ours.
#![allow(unsafe_code)]

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::filter::Instruction;

/// Where in a block its status stands (`struct tpacket_block_desc`).
const STATUS: usize = 8;

fn check(outcome: libc::c_int) -> io::Result<()> {
    if outcome < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Sets an option to a plain structure of the kernel's.
fn set<T: Copy>(socket: BorrowedFd<'_>, level: i32, name: i32, value: &T) -> io::Result<()> {
    let length = size_of::<T>() as libc::socklen_t;
    // SAFETY: the kernel reads as many bytes as the value has, and keeps no pointer to it.
    check(unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, ptr::from_ref(value).cast(), length) })
}

/// What is chosen about a ring.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// Bytes of a block: a multiple of the page size.
    pub(super) block: usize,
    /// How many there are.
    pub(super) blocks: usize,
    /// After so many milliseconds a block that is not full is handed over too.
    pub(super) patience: u32,
    /// Free room before each packet, in bytes.
    pub(super) reserve: u32,
}

/// Makes the socket fill a ring of version 3.
pub(super) fn set_ring(socket: BorrowedFd<'_>, layout: &Layout) -> io::Result<()> {
    set(
        socket,
        libc::SOL_PACKET,
        libc::PACKET_VERSION,
        &(libc::tpacket_versions::TPACKET_V3 as libc::c_int),
    )?;
    set(socket, libc::SOL_PACKET, libc::PACKET_RESERVE, &layout.reserve)?;
    // In this version frames are as long as they need to be; the kernel only wants the numbers to be consistent.
    let frame = 1 << 11;
    let request = libc::tpacket_req3 {
        tp_block_size: layout.block as u32,
        tp_block_nr: layout.blocks as u32,
        tp_frame_size: frame,
        tp_frame_nr: (layout.block / frame as usize * layout.blocks) as u32,
        tp_retire_blk_tov: layout.patience,
        tp_sizeof_priv: 0,
        tp_feature_req_word: 0,
    };
    set(socket, libc::SOL_PACKET, libc::PACKET_RX_RING, &request)
}

/// Attaches a filter.
pub(super) fn set_filter(socket: BorrowedFd<'_>, program: &[Instruction]) -> io::Result<()> {
    // The kernel's structure has the same four fields.
    const { assert!(size_of::<Instruction>() == size_of::<libc::sock_filter>()) };
    let program = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?,
        filter: program.as_ptr().cast_mut().cast(),
    };
    // The kernel copies the instructions before the call returns, and does not write them.
    set(socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
}

/// Lets an interface take in what is not for this host, for as long as the socket is open.
pub(super) fn set_promiscuous(socket: BorrowedFd<'_>, interface: i32) -> io::Result<()> {
    let request = libc::packet_mreq {
        mr_ifindex: interface,
        mr_type: libc::PACKET_MR_PROMISC as u16,
        mr_alen: 0,
        mr_address: [0; 8],
    };
    set(socket, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &request)
}

/// Binds to an interface, 0 for all: packets come from here on.
pub(super) fn bind(socket: BorrowedFd<'_>, interface: i32) -> io::Result<()> {
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: (libc::ETH_P_ALL as u16).to_be(),
        sll_ifindex: interface,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let length = size_of_val(&address) as libc::socklen_t;
    // SAFETY: the kernel reads an address of that length, and keeps no pointer to it.
    check(unsafe { libc::bind(socket.as_raw_fd(), ptr::from_ref(&address).cast(), length) })
}

/// What kind of hardware an interface is (`ARPHRD_…`).
pub(super) fn hardware(socket: BorrowedFd<'_>, name: &str) -> io::Result<u16> {
    // SAFETY: a structure of plain numbers, for which zeros are a value.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    // The last byte stays zero, which ends the name.
    let room = request.ifr_name.len() - 1;
    if name.len() > room {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from.cast_signed() as libc::c_char;
    }
    // SAFETY: the request names an interface, and the kernel fills in its address, which is the variant that is read.
    unsafe {
        check(libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFHWADDR as _, &raw mut request))?;
        Ok(request.ifr_ifru.ifru_hwaddr.sa_family)
    }
}

/// What the kernel counted since the last call: packets that passed the filter, those of them that were dropped, and how
/// often the ring was full.
pub(super) fn take_counters(socket: BorrowedFd<'_>) -> io::Result<[u32; 3]> {
    let mut counters = [0_u32; 3];
    let mut length = size_of_val(&counters) as libc::socklen_t;
    // SAFETY: the kernel writes at most as many bytes as it is told there are.
    check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            counters.as_mut_ptr().cast(),
            &raw mut length,
        )
    })?;
    Ok(counters)
}

/// The ring, in memory that is shared with the kernel.
#[derive(Debug)]
pub(super) struct Ring {
    memory: NonNull<u8>,
    block: usize,
    blocks: usize,
}

// SAFETY: the memory belongs to the value alone on this side, and is as good in one thread as in another.
unsafe impl Send for Ring {}

impl Ring {
    /// Maps the ring of a socket that has one of that layout.
    pub(super) fn map(socket: BorrowedFd<'_>, layout: &Layout) -> io::Result<Self> {
        let Layout { block, blocks, .. } = *layout;
        let length = block.checked_mul(blocks).ok_or(io::ErrorKind::InvalidInput)?;
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        // SAFETY: a new mapping at a place that the kernel chooses.
        let memory = unsafe { libc::mmap(ptr::null_mut(), length, protection, flags, socket.as_raw_fd(), 0) };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let memory = NonNull::new(memory.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { memory, block, blocks })
    }

    pub(super) const fn blocks(&self) -> usize {
        self.blocks
    }

    /// The status of a block, whose number is taken modulo how many there are.
    fn status(&self, index: usize) -> &AtomicU32 {
        let start = (index % self.blocks) * self.block;
        // SAFETY: it lies in the mapping, aligned as blocks begin at pages, and is only accessed atomically.
        unsafe { AtomicU32::from_ptr(self.memory.add(start + STATUS).as_ptr().cast()) }
    }

    /// A block that the kernel has handed over; `None` if it still fills it. The status in it is not to be written.
    pub(super) fn block(&mut self, index: usize) -> Option<&mut [u8]> {
        // What the kernel wrote before it handed the block over is seen after this.
        if self.status(index).load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
            return None;
        }
        let start = (index % self.blocks) * self.block;
        // SAFETY: it lies in the mapping, and the kernel leaves it alone until it is given back, which takes the
        // value that the slice borrows.
        Some(unsafe { std::slice::from_raw_parts_mut(self.memory.add(start).as_ptr(), self.block) })
    }

    /// Gives a block back.
    pub(super) fn release(&mut self, index: usize) {
        self.status(index).store(libc::TP_STATUS_KERNEL, Ordering::Release);
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: as it was mapped; nothing borrows from it any more.
        unsafe { libc::munmap(self.memory.as_ptr().cast(), self.block * self.blocks) };
    }
}
