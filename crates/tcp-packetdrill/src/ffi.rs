//! The C side: packetdrill's table of functions, and `getsockopt` for `LD_PRELOAD`.
//!
//! packetdrill is a C program; its interface is pointers and lengths. Nothing but their translation happens here.
#![allow(unsafe_code, reason = "the functions are called by a C program, with its pointers")]
#![allow(clippy::cast_possible_wrap, reason = "lengths and counts have the signs that C gives them")]

use std::ffi::{CStr, c_char, c_int, c_long, c_longlong, c_short, c_uint, c_ulong, c_void};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::ptr;
use std::sync::OnceLock;
use std::time::Duration;

use eleven_tcp::Instant;
use eleven_tcp::fast_open::CookieCache;
use eleven_tcp::sockets::constants::{level, message, tcp};
use eleven_tcp::sockets::{Call, EpollChange, Errno, Outcome, PollEntry, Shutdown, Sockets};
use libc::{epoll_event, iovec, msghdr, pollfd, sockaddr, socklen_t, ssize_t, timeval};

use crate::host::Host;
use crate::sysctl;

/// The one host of the process. It is never freed: `getsockopt` may be called until the end.
static HOST: OnceLock<Host> = OnceLock::new();

/// `struct packetdrill_interface` of packetdrill.h.
#[repr(C)]
pub(crate) struct Interface {
    userdata: *mut c_void,
    free: extern "C" fn(*mut c_void),
    socket: extern "C" fn(*mut c_void, c_int, c_int, c_int) -> c_int,
    bind: unsafe extern "C" fn(*mut c_void, c_int, *const sockaddr, socklen_t) -> c_int,
    listen: extern "C" fn(*mut c_void, c_int, c_int) -> c_int,
    accept: unsafe extern "C" fn(*mut c_void, c_int, *mut sockaddr, *mut socklen_t) -> c_int,
    connect: unsafe extern "C" fn(*mut c_void, c_int, *const sockaddr, socklen_t) -> c_int,
    read: unsafe extern "C" fn(*mut c_void, c_int, *mut c_void, usize) -> ssize_t,
    readv: unsafe extern "C" fn(*mut c_void, c_int, *const iovec, c_int) -> ssize_t,
    recv: unsafe extern "C" fn(*mut c_void, c_int, *mut c_void, usize, c_int) -> ssize_t,
    recvfrom: unsafe extern "C" fn(
        *mut c_void,
        c_int,
        *mut c_void,
        usize,
        c_int,
        *mut sockaddr,
        *mut socklen_t,
    ) -> ssize_t,
    recvmsg: unsafe extern "C" fn(*mut c_void, c_int, *mut msghdr, c_int) -> ssize_t,
    write: unsafe extern "C" fn(*mut c_void, c_int, *const c_void, usize) -> ssize_t,
    writev: unsafe extern "C" fn(*mut c_void, c_int, *const iovec, c_int) -> ssize_t,
    send: unsafe extern "C" fn(*mut c_void, c_int, *const c_void, usize, c_int) -> ssize_t,
    sendto: unsafe extern "C" fn(
        *mut c_void,
        c_int,
        *const c_void,
        usize,
        c_int,
        *const sockaddr,
        socklen_t,
    ) -> ssize_t,
    sendmsg: unsafe extern "C" fn(*mut c_void, c_int, *const msghdr, c_int) -> ssize_t,
    // Variadic in C; every ABI of Linux passes one more integer or pointer as it does to these.
    fcntl: extern "C" fn(*mut c_void, c_int, c_int, c_long) -> c_int,
    ioctl: unsafe extern "C" fn(*mut c_void, c_int, c_ulong, *mut c_int) -> c_int,
    close: extern "C" fn(*mut c_void, c_int) -> c_int,
    shutdown: extern "C" fn(*mut c_void, c_int, c_int) -> c_int,
    getsockopt: unsafe extern "C" fn(*mut c_void, c_int, c_int, c_int, *mut c_void, *mut socklen_t) -> c_int,
    setsockopt: unsafe extern "C" fn(*mut c_void, c_int, c_int, c_int, *const c_void, socklen_t) -> c_int,
    poll: unsafe extern "C" fn(*mut c_void, *mut pollfd, c_ulong, c_int) -> c_int,
    netdev_send: unsafe extern "C" fn(*mut c_void, *const c_void, usize) -> c_int,
    netdev_receive: unsafe extern "C" fn(*mut c_void, *mut c_void, *mut usize, *mut c_longlong) -> c_int,
    usleep: extern "C" fn(*mut c_void, c_uint) -> c_int,
    gettimeofday: unsafe extern "C" fn(*mut c_void, *mut timeval, *mut c_void) -> c_int,
    epoll_create: extern "C" fn(*mut c_void, c_int) -> c_int,
    epoll_ctl: unsafe extern "C" fn(*mut c_void, c_int, c_int, c_int, *mut epoll_event) -> c_int,
    epoll_wait: unsafe extern "C" fn(*mut c_void, c_int, *mut epoll_event, c_int, c_int) -> c_int,
    pipe: unsafe extern "C" fn(*mut c_void, *mut c_int) -> c_int,
    splice: unsafe extern "C" fn(*mut c_void, c_int, *mut i64, c_int, *mut i64, usize, c_uint) -> ssize_t,
}

/// What packetdrill calls once it has loaded the object.
///
/// # Safety
/// `interface` points to a `struct packetdrill_interface` that may be written, `flags` is a C string or null.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn packetdrill_interface_init(flags: *const c_char, interface: *mut Interface) {
    let mtu = if flags.is_null() {
        None
    } else {
        // SAFETY: the caller gives a C string.
        let flags = unsafe { CStr::from_ptr(flags) };
        flags.to_str().ok().and_then(|flags| flags.trim().strip_prefix("mtu=")?.parse().ok())
    };
    HOST.get_or_init(|| {
        let mut sockets = Sockets::new(sysctl::read());
        let (v4, v6) = (Ipv4Addr::new(192, 168, 0, 1), Ipv6Addr::new(0xfd3d, 0x0a0b, 0x17d6, 0, 0, 0, 0, 1));
        sockets.set_device(v4, v6, mtu.unwrap_or(1500));
        sockets.set_descriptors(Box::new(kernel_descriptor));
        Host::new(sockets)
    });
    let table = Interface {
        userdata: ptr::null_mut(),
        free,
        socket,
        bind,
        listen,
        accept,
        connect,
        read,
        readv,
        recv,
        recvfrom,
        recvmsg,
        write,
        writev,
        send,
        sendto,
        sendmsg,
        fcntl,
        ioctl,
        close,
        shutdown,
        getsockopt: getsockopt_of_ours,
        setsockopt,
        poll,
        netdev_send,
        netdev_receive,
        usleep,
        gettimeofday,
        epoll_create,
        epoll_ctl,
        epoll_wait,
        pipe,
        splice,
    };
    // SAFETY: the caller gives room for the table.
    unsafe { interface.write(table) };
}

/// A descriptor that the kernel knows too, so that nothing else gets its number.
fn kernel_descriptor() -> c_int {
    // SAFETY: no pointers are involved.
    unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0) }
}

/// `getsockopt` for those who bypass the table, by `LD_PRELOAD`; what is not ours goes to the kernel.
///
/// # Safety
/// As `getsockopt` in C.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn getsockopt(
    descriptor: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    length: *mut socklen_t,
) -> c_int {
    if is_ours(descriptor) {
        // SAFETY: the caller's pointers, as `getsockopt` wants them.
        return unsafe { getsockopt_of_ours(ptr::null_mut(), descriptor, level, name, value, length) };
    }
    // SAFETY: the arguments go to the kernel as they came.
    let result = unsafe { libc::syscall(libc::SYS_getsockopt, descriptor, level, name, value, length) };
    result as c_int
}

fn is_ours(descriptor: c_int) -> bool {
    HOST.get().is_some_and(|host| host.with(|sockets| sockets.knows(descriptor)))
}

fn host() -> Option<&'static Host> {
    HOST.get()
}

/// Sets `errno` and returns what a failing call returns.
fn fail(errno: c_int) -> c_int {
    // SAFETY: errno is this thread's own.
    unsafe { *libc::__errno_location() = errno };
    -1
}

fn result_of(result: Result<c_int, Errno>) -> c_int {
    result.unwrap_or_else(|errno| fail(errno.number()))
}

fn done(result: Result<(), Errno>) -> c_int {
    result_of(result.map(|()| 0))
}

fn with<R>(act: impl FnOnce(&mut Sockets) -> Result<R, Errno>) -> Result<R, Errno> {
    host().ok_or(Errno::BadDescriptor)?.with(act)
}

fn make(call: Call) -> Result<Outcome, Errno> {
    host().ok_or(Errno::BadDescriptor)?.call(call)
}

/// # Safety
/// `address` points to `length` bytes, or is null.
unsafe fn address_of(address: *const sockaddr, length: socklen_t) -> Option<SocketAddr> {
    if address.is_null() {
        return None;
    }
    // SAFETY: the caller gives a socket address; its family says how much of it there is.
    let family = unsafe { (*address).sa_family };
    match c_int::from(family) {
        libc::AF_INET if length as usize >= size_of::<libc::sockaddr_in>() => {
            // SAFETY: it is long enough for what its family says it is.
            let address = unsafe { address.cast::<libc::sockaddr_in>().read_unaligned() };
            let ip = Ipv4Addr::from_bits(u32::from_be(address.sin_addr.s_addr));
            Some(SocketAddrV4::new(ip, u16::from_be(address.sin_port)).into())
        }
        libc::AF_INET6 if length as usize >= size_of::<libc::sockaddr_in6>() => {
            // SAFETY: it is long enough for what its family says it is.
            let address = unsafe { address.cast::<libc::sockaddr_in6>().read_unaligned() };
            let ip = Ipv6Addr::from(address.sin6_addr.s6_addr);
            Some(SocketAddrV6::new(ip, u16::from_be(address.sin6_port), 0, 0).into())
        }
        _ => None,
    }
}

/// # Safety
/// `address` points to `*length` bytes that may be written, or either is null.
unsafe fn tell_address(from: SocketAddr, address: *mut sockaddr, length: *mut socklen_t) {
    if address.is_null() || length.is_null() {
        return;
    }
    let bytes: Vec<u8> = match from {
        SocketAddr::V4(from) => {
            let mut bytes = (libc::AF_INET as u16).to_ne_bytes().to_vec();
            bytes.extend(from.port().to_be_bytes());
            bytes.extend(from.ip().octets());
            bytes.resize(size_of::<libc::sockaddr_in>(), 0);
            bytes
        }
        SocketAddr::V6(from) => {
            let mut bytes = (libc::AF_INET6 as u16).to_ne_bytes().to_vec();
            bytes.extend(from.port().to_be_bytes());
            bytes.extend([0; 4]);
            bytes.extend(from.ip().octets());
            bytes.resize(size_of::<libc::sockaddr_in6>(), 0);
            bytes
        }
    };
    // SAFETY: no more is written than there is room for.
    unsafe {
        let room = (*length as usize).min(bytes.len());
        ptr::copy_nonoverlapping(bytes.as_ptr(), address.cast(), room);
        *length = bytes.len() as socklen_t;
    }
}

/// The bytes that a call sends; an address that cannot be is refused as the kernel does.
///
/// # Safety
/// `data` points to `length` bytes, or is null.
unsafe fn bytes_of(data: *const c_void, length: usize) -> Result<Vec<u8>, Errno> {
    if length == 0 {
        return Ok(Vec::new());
    }
    if data.is_null() {
        return Err(Errno::BadAddress);
    }
    // SAFETY: the caller gives so many bytes.
    Ok(unsafe { std::slice::from_raw_parts(data.cast::<u8>(), length) }.to_vec())
}

/// # Safety
/// `vectors` points to `count` vectors of memory of the caller.
unsafe fn gather(vectors: *const iovec, count: usize) -> Result<Vec<u8>, Errno> {
    let mut bytes = Vec::new();
    for index in 0..count {
        // SAFETY: there are so many vectors.
        let vector = unsafe { &*vectors.add(index) };
        // SAFETY: each has memory as long as it says.
        bytes.extend(unsafe { bytes_of(vector.iov_base, vector.iov_len) }?);
    }
    Ok(bytes)
}

/// # Safety
/// `vectors` points to `count` vectors of memory that may be written.
unsafe fn scatter(mut bytes: &[u8], vectors: *const iovec, count: usize) {
    for index in 0..count {
        // SAFETY: there are so many vectors.
        let vector = unsafe { &*vectors.add(index) };
        let (now, later) = bytes.split_at(bytes.len().min(vector.iov_len));
        if !now.is_empty() {
            // SAFETY: it has room for as much as it says.
            unsafe { ptr::copy_nonoverlapping(now.as_ptr(), vector.iov_base.cast(), now.len()) };
        }
        bytes = later;
    }
}

/// # Safety
/// `vectors` points to `count` vectors.
unsafe fn room_in(vectors: *const iovec, count: usize) -> usize {
    // SAFETY: there are so many vectors.
    (0..count).map(|index| unsafe { (*vectors.add(index)).iov_len }).sum()
}

extern "C" fn free(_: *mut c_void) {}

extern "C" fn socket(_: *mut c_void, domain: c_int, _kind: c_int, _protocol: c_int) -> c_int {
    refresh();
    result_of(with(|sockets| Ok(sockets.socket(domain == libc::AF_INET6))))
}

/// Takes over what shell commands of the script have changed.
fn refresh() {
    let settings = sysctl::read();
    let (offload, flushed) = (sysctl::has_offload(), sysctl::is_flushed());
    let _ = with(|sockets| {
        *sockets.settings_mut() = settings;
        sockets.set_offload(offload);
        if flushed {
            *sockets.demux_mut().cookies_mut() = CookieCache::default();
        }
        Ok(())
    });
}

/// `sendfile` for those who bypass the table, by `LD_PRELOAD`: to a socket of ours, from a file of the kernel.
///
/// # Safety
/// As `sendfile` in C.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn sendfile(to: c_int, from: c_int, offset: *mut i64, count: usize) -> ssize_t {
    if !is_ours(to) {
        // SAFETY: the arguments go to the kernel as they came.
        return unsafe { libc::syscall(libc::SYS_sendfile, to, from, offset, count) } as ssize_t;
    }
    let mut text = vec![0; count];
    // SAFETY: the vector has so much room; the offset is the caller's or null.
    let read = unsafe {
        if offset.is_null() {
            libc::read(from, text.as_mut_ptr().cast(), count)
        } else {
            libc::pread(from, text.as_mut_ptr().cast(), count, *offset)
        }
    };
    let Ok(read) = usize::try_from(read) else { return -1 };
    text.truncate(read);
    let sent = transmit(to, text, 0, None);
    if sent > 0 && !offset.is_null() {
        // SAFETY: the caller's offset.
        unsafe { *offset += sent as i64 };
    }
    sent
}

unsafe extern "C" fn bind(_: *mut c_void, fd: c_int, address: *const sockaddr, length: socklen_t) -> c_int {
    // SAFETY: the caller's address.
    let Some(local) = (unsafe { address_of(address, length) }) else {
        return fail(Errno::Invalid.number());
    };
    done(with(|sockets| sockets.bind(fd, local)))
}

extern "C" fn listen(_: *mut c_void, fd: c_int, backlog: c_int) -> c_int {
    done(with(|sockets| sockets.listen(fd, backlog)))
}

unsafe extern "C" fn accept(
    _: *mut c_void,
    fd: c_int,
    address: *mut sockaddr,
    length: *mut socklen_t,
) -> c_int {
    match make(Call::Accept { descriptor: fd }) {
        Ok(Outcome::Accepted(new, peer)) => {
            // SAFETY: the caller's room for an address.
            unsafe { tell_address(peer, address, length) };
            new
        }
        Ok(_) => fail(Errno::Invalid.number()),
        Err(errno) => fail(errno.number()),
    }
}

unsafe extern "C" fn connect(
    _: *mut c_void,
    fd: c_int,
    address: *const sockaddr,
    length: socklen_t,
) -> c_int {
    // SAFETY: the caller's address.
    let Some(remote) = (unsafe { address_of(address, length) }) else {
        return fail(Errno::NotSupported.number());
    };
    refresh();
    done(make(Call::Connect { descriptor: fd, remote, begun: false }).map(|_| ()))
}

fn receive(fd: c_int, length: usize, flags: c_int) -> Result<Vec<u8>, Errno> {
    match make(Call::Receive { descriptor: fd, length, flags })? {
        Outcome::Text(text) => Ok(text),
        _ => Err(Errno::Invalid),
    }
}

fn transmit(fd: c_int, text: Vec<u8>, flags: c_int, to: Option<SocketAddr>) -> ssize_t {
    let taken = make(Call::Send { descriptor: fd, text, done: 0, flags, to });
    match taken {
        Ok(Outcome::Taken(count)) => count as ssize_t,
        Ok(_) => fail(Errno::Invalid.number()) as ssize_t,
        Err(errno) => fail(errno.number()) as ssize_t,
    }
}

unsafe extern "C" fn read(data: *mut c_void, fd: c_int, buffer: *mut c_void, count: usize) -> ssize_t {
    // SAFETY: the caller's buffer.
    unsafe { recv(data, fd, buffer, count, 0) }
}

unsafe extern "C" fn readv(_: *mut c_void, fd: c_int, vectors: *const iovec, count: c_int) -> ssize_t {
    let count = usize::try_from(count).unwrap_or(0);
    // SAFETY: the caller's vectors.
    match receive(fd, unsafe { room_in(vectors, count) }, 0) {
        Ok(text) => {
            // SAFETY: the same vectors, which have so much room.
            unsafe { scatter(&text, vectors, count) };
            text.len() as ssize_t
        }
        Err(errno) => fail(errno.number()) as ssize_t,
    }
}

unsafe extern "C" fn recv(
    _: *mut c_void,
    fd: c_int,
    buffer: *mut c_void,
    count: usize,
    flags: c_int,
) -> ssize_t {
    if buffer.is_null() && count > 0 {
        return fail(Errno::BadAddress.number()) as ssize_t;
    }
    match receive(fd, count, flags) {
        Ok(text) => {
            // SAFETY: no more is received than the buffer holds.
            unsafe { ptr::copy_nonoverlapping(text.as_ptr(), buffer.cast(), text.len()) };
            text.len() as ssize_t
        }
        Err(errno) => fail(errno.number()) as ssize_t,
    }
}

unsafe extern "C" fn recvfrom(
    data: *mut c_void,
    fd: c_int,
    buffer: *mut c_void,
    count: usize,
    flags: c_int,
    _address: *mut sockaddr,
    length: *mut socklen_t,
) -> ssize_t {
    if !length.is_null() {
        // SAFETY: the caller's length. TCP tells no sender.
        unsafe { *length = 0 };
    }
    // SAFETY: the caller's buffer.
    unsafe { recv(data, fd, buffer, count, flags) }
}

unsafe extern "C" fn recvmsg(_: *mut c_void, fd: c_int, message: *mut msghdr, flags: c_int) -> ssize_t {
    // SAFETY: the caller's message header.
    let message = unsafe { &mut *message };
    if flags & message::MSG_ERRQUEUE != 0 {
        let done = with(|sockets| sockets.take_zero_copied(fd));
        return match done {
            Ok((first, last)) => {
                message.msg_flags = libc::MSG_ERRQUEUE;
                let mut value = Vec::new();
                // struct sock_extended_err: no error, from zero copy, which ended in a copy; first and last.
                value.extend(0_u32.to_ne_bytes());
                value.extend([5, 0, 1, 0]);
                value.extend(first.to_ne_bytes());
                value.extend(last.to_ne_bytes());
                // The offender's address follows: none.
                value.resize(16 + size_of::<libc::sockaddr_in>(), 0);
                // SAFETY: the caller's room for control messages.
                unsafe { tell_control(message, libc::SOL_IP, libc::IP_RECVERR, &value) };
                0
            }
            Err(errno) => fail(errno.number()) as ssize_t,
        };
    }
    let count = message.msg_iovlen;
    // SAFETY: the header's vectors.
    match receive(fd, unsafe { room_in(message.msg_iov, count) }, flags) {
        Ok(text) => {
            message.msg_flags = 0;
            // SAFETY: the same vectors.
            unsafe { scatter(&text, message.msg_iov, count) };
            let unread = with(|sockets| Ok(sockets.unread_hint(fd)));
            if let Ok(Some(unread)) = unread {
                // SAFETY: the caller's room for control messages.
                unsafe { tell_control(message, level::TCP, tcp::TCP_INQ, &unread.to_ne_bytes()) };
            } else {
                message.msg_controllen = 0;
            }
            text.len() as ssize_t
        }
        Err(errno) => fail(errno.number()) as ssize_t,
    }
}

/// Writes one control message.
///
/// # Safety
/// `message` has `msg_controllen` bytes of room at `msg_control`.
unsafe fn tell_control(message: &mut msghdr, level: c_int, kind: c_int, value: &[u8]) {
    // SAFETY: what is written fits the room, or nothing is written.
    unsafe {
        let space = libc::CMSG_SPACE(value.len() as c_uint) as usize;
        let header = libc::CMSG_FIRSTHDR(message);
        if header.is_null() || message.msg_controllen < libc::CMSG_LEN(value.len() as c_uint) as usize {
            return;
        }
        (*header).cmsg_level = level;
        (*header).cmsg_type = kind;
        (*header).cmsg_len = libc::CMSG_LEN(value.len() as c_uint) as usize;
        ptr::copy_nonoverlapping(value.as_ptr(), libc::CMSG_DATA(header), value.len());
        message.msg_controllen = message.msg_controllen.min(space);
    }
}

unsafe extern "C" fn write(data: *mut c_void, fd: c_int, bytes: *const c_void, count: usize) -> ssize_t {
    // SAFETY: the caller's bytes.
    unsafe { send(data, fd, bytes, count, 0) }
}

unsafe extern "C" fn writev(_: *mut c_void, fd: c_int, vectors: *const iovec, count: c_int) -> ssize_t {
    // SAFETY: the caller's vectors.
    match unsafe { gather(vectors, usize::try_from(count).unwrap_or(0)) } {
        Ok(text) => transmit(fd, text, 0, None),
        Err(errno) => fail(errno.number()) as ssize_t,
    }
}

unsafe extern "C" fn send(
    data: *mut c_void,
    fd: c_int,
    bytes: *const c_void,
    count: usize,
    flags: c_int,
) -> ssize_t {
    // SAFETY: the caller's bytes; no address.
    unsafe { sendto(data, fd, bytes, count, flags, ptr::null(), 0) }
}

unsafe extern "C" fn sendto(
    _: *mut c_void,
    fd: c_int,
    bytes: *const c_void,
    count: usize,
    flags: c_int,
    address: *const sockaddr,
    length: socklen_t,
) -> ssize_t {
    // SAFETY: the caller's bytes and address.
    let (text, to) = unsafe { (bytes_of(bytes, count), address_of(address, length)) };
    if flags & message::MSG_FASTOPEN != 0 {
        refresh();
    }
    if flags & message::MSG_FASTOPEN != 0 && to.is_none() && !address.is_null() {
        return fail(Errno::NotSupported.number()) as ssize_t;
    }
    match text {
        Ok(text) => transmit(fd, text, flags, to),
        Err(errno) => fail(errno.number()) as ssize_t,
    }
}

unsafe extern "C" fn sendmsg(_: *mut c_void, fd: c_int, message: *const msghdr, flags: c_int) -> ssize_t {
    // SAFETY: the caller's message header with its vectors and address.
    let (text, to) = unsafe {
        let message = &*message;
        (
            gather(message.msg_iov, message.msg_iovlen),
            address_of(message.msg_name.cast(), message.msg_namelen),
        )
    };
    match text {
        Ok(text) => transmit(fd, text, flags, to),
        Err(errno) => fail(errno.number()) as ssize_t,
    }
}

extern "C" fn fcntl(_: *mut c_void, fd: c_int, command: c_int, argument: c_long) -> c_int {
    match command {
        libc::F_GETFL => result_of(with(|sockets| {
            let flags = if sockets.is_blocking(fd) { 0 } else { libc::O_NONBLOCK };
            Ok(libc::O_RDWR | flags)
        })),
        libc::F_SETFL => {
            let on = argument as c_int & libc::O_NONBLOCK != 0;
            done(with(|sockets| sockets.set_nonblocking(fd, on)))
        }
        _ => fail(Errno::Invalid.number()),
    }
}

unsafe extern "C" fn ioctl(_: *mut c_void, fd: c_int, request: c_ulong, value: *mut c_int) -> c_int {
    const SIOCINQ: c_ulong = libc::FIONREAD;
    const SIOCOUTQ: c_ulong = libc::TIOCOUTQ;
    let count = match request {
        SIOCINQ => with(|sockets| sockets.unread(fd)),
        SIOCOUTQ => with(|sockets| sockets.unacknowledged(fd)),
        _ => Err(Errno::Invalid),
    };
    match count {
        Ok(count) => {
            // SAFETY: the caller's integer.
            unsafe { value.write(count as c_int) };
            0
        }
        Err(errno) => fail(errno.number()),
    }
}

extern "C" fn close(_: *mut c_void, fd: c_int) -> c_int {
    let result = with(|sockets| sockets.close(fd));
    if result.is_ok() {
        // SAFETY: the descriptor was made for this socket alone.
        unsafe { libc::close(fd) };
    }
    done(result)
}

extern "C" fn shutdown(_: *mut c_void, fd: c_int, how: c_int) -> c_int {
    let how = match how {
        libc::SHUT_RD => Shutdown::Read,
        libc::SHUT_WR => Shutdown::Write,
        libc::SHUT_RDWR => Shutdown::Both,
        _ => return fail(Errno::Invalid.number()),
    };
    done(with(|sockets| sockets.shutdown(fd, how)))
}

unsafe extern "C" fn getsockopt_of_ours(
    _: *mut c_void,
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    length: *mut socklen_t,
) -> c_int {
    match with(|sockets| sockets.option(fd, level, name)) {
        Ok(bytes) => {
            // SAFETY: no more is written than the caller has room for.
            unsafe {
                let room = (*length as usize).min(bytes.len());
                ptr::copy_nonoverlapping(bytes.as_ptr(), value.cast(), room);
                *length = room as socklen_t;
            }
            0
        }
        Err(errno) => fail(errno.number()),
    }
}

unsafe extern "C" fn setsockopt(
    _: *mut c_void,
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *const c_void,
    length: socklen_t,
) -> c_int {
    refresh();
    // SAFETY: the caller's value.
    match unsafe { bytes_of(value, length as usize) } {
        Ok(value) => done(with(|sockets| sockets.set_option(fd, level, name, &value))),
        Err(errno) => fail(errno.number()),
    }
}

/// Until when a call with a timeout in milliseconds waits; negative: for ever.
fn deadline(timeout: c_int) -> Result<Option<Instant>, Errno> {
    let Ok(timeout) = u64::try_from(timeout) else { return Ok(None) };
    with(|sockets| Ok(Some(sockets.now() + Duration::from_millis(timeout))))
}

unsafe extern "C" fn poll(_: *mut c_void, entries: *mut pollfd, count: c_ulong, timeout: c_int) -> c_int {
    // SAFETY: the caller has so many entries.
    let entries = unsafe { std::slice::from_raw_parts_mut(entries, count as usize) };
    let asked = entries
        .iter()
        .map(|entry| PollEntry { descriptor: entry.fd, events: u32::from(entry.events as u16) })
        .collect();
    let outcome = deadline(timeout).and_then(|deadline| make(Call::Poll { entries: asked, deadline }));
    match outcome {
        Ok(Outcome::Ready(ready)) => {
            for (entry, ready) in entries.iter_mut().zip(&ready) {
                entry.revents = *ready as c_short;
            }
            ready.iter().filter(|ready| **ready != 0).count() as c_int
        }
        Ok(_) => fail(Errno::Invalid.number()),
        Err(errno) => fail(errno.number()),
    }
}

unsafe extern "C" fn netdev_send(_: *mut c_void, packet: *const c_void, count: usize) -> c_int {
    // SAFETY: the caller's packet.
    match unsafe { bytes_of(packet, count) } {
        Ok(packet) => done(with(|sockets| {
            sockets.receive_packet(&packet);
            Ok(())
        })),
        Err(errno) => fail(errno.number()),
    }
}

unsafe extern "C" fn netdev_receive(
    _: *mut c_void,
    buffer: *mut c_void,
    count: *mut usize,
    time: *mut c_longlong,
) -> c_int {
    let sniffed = host().and_then(Host::sniff);
    // SAFETY: no more is written than the caller has room for.
    unsafe {
        let Some((packet, at)) = sniffed else {
            // Nothing: packetdrill takes an empty packet for an error and ends.
            *count = 0;
            return 0;
        };
        let length = packet.len().min(*count);
        ptr::copy_nonoverlapping(packet.as_ptr(), buffer.cast(), length);
        *count = length;
        *time = at as c_longlong;
    }
    0
}

extern "C" fn usleep(_: *mut c_void, micros: c_uint) -> c_int {
    if let Some(host) = host() {
        host.sleep(u64::from(micros));
    }
    0
}

unsafe extern "C" fn gettimeofday(_: *mut c_void, time: *mut timeval, _zone: *mut c_void) -> c_int {
    let micros = host().map_or(0, Host::look_at_clock);
    let told = timeval { tv_sec: (micros / 1_000_000) as i64, tv_usec: (micros % 1_000_000) as i64 };
    // SAFETY: the caller's room for a time.
    unsafe { time.write(told) };
    0
}

extern "C" fn epoll_create(_: *mut c_void, _size: c_int) -> c_int {
    result_of(with(|sockets| Ok(sockets.epoll_create())))
}

unsafe extern "C" fn epoll_ctl(
    _: *mut c_void,
    set: c_int,
    operation: c_int,
    fd: c_int,
    event: *mut epoll_event,
) -> c_int {
    let change = match operation {
        libc::EPOLL_CTL_ADD => EpollChange::Add,
        libc::EPOLL_CTL_DEL => EpollChange::Delete,
        libc::EPOLL_CTL_MOD => EpollChange::Modify,
        _ => return fail(Errno::Invalid.number()),
    };
    // SAFETY: the caller's event, or null for a deletion.
    let event =
        if event.is_null() { epoll_event { events: 0, u64: 0 } } else { unsafe { event.read_unaligned() } };
    let (events, data) = (event.events, event.u64);
    done(with(|sockets| sockets.epoll_change(set, change, fd, events, data)))
}

unsafe extern "C" fn epoll_wait(
    _: *mut c_void,
    set: c_int,
    events: *mut epoll_event,
    most: c_int,
    timeout: c_int,
) -> c_int {
    let most = usize::try_from(most).unwrap_or(0);
    let outcome =
        deadline(timeout).and_then(|deadline| make(Call::EpollWait { descriptor: set, most, deadline }));
    match outcome {
        Ok(Outcome::Events(told)) => {
            for (index, (ready, data)) in told.iter().enumerate() {
                // SAFETY: no more are told than there is room for.
                unsafe { events.add(index).write_unaligned(epoll_event { events: *ready, u64: *data }) };
            }
            told.len() as c_int
        }
        Ok(_) => fail(Errno::Invalid.number()),
        Err(errno) => fail(errno.number()),
    }
}

unsafe extern "C" fn pipe(_: *mut c_void, ends: *mut c_int) -> c_int {
    // SAFETY: the caller's room for two descriptors; pipes are the kernel's.
    unsafe { libc::pipe(ends) }
}

unsafe extern "C" fn splice(
    _: *mut c_void,
    from: c_int,
    from_offset: *mut i64,
    to: c_int,
    to_offset: *mut i64,
    length: usize,
    flags: c_uint,
) -> ssize_t {
    if is_ours(from) {
        return match receive(from, length, 0) {
            // SAFETY: a pipe of the kernel takes the bytes.
            Ok(text) => unsafe { libc::write(to, text.as_ptr().cast(), text.len()) },
            Err(errno) => fail(errno.number()) as ssize_t,
        };
    }
    if is_ours(to) {
        let mut text = vec![0; length];
        // SAFETY: the vector has so much room.
        let count = unsafe { libc::read(from, text.as_mut_ptr().cast(), length) };
        let Ok(count) = usize::try_from(count) else { return -1 };
        text.truncate(count);
        return transmit(to, text, 0, None);
    }
    // SAFETY: the caller's arguments go to the kernel as they came.
    unsafe { libc::splice(from, from_offset, to, to_offset, length, flags) }
}
