//! Calls that take plain numbers, as scripts have them: options by level and name, and what waits on either side.
//!
//! All `unsafe` of the script's host is here.

#![allow(unsafe_code, reason = "options by number have no safe interface; each block says why it is sound")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use eleven_tcp::sockets::Errno;

/// The error of the call before.
fn last() -> Errno {
    let number = io::Error::last_os_error().raw_os_error().unwrap_or(0);
    // Scripts name no others.
    Errno::from_number(number).unwrap_or(Errno::Invalid)
}

/// The longest option that is read.
const LONGEST: usize = 1_024;

/// `setsockopt()`.
pub(super) fn set_option(fd: BorrowedFd<'_>, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
    let length = libc::socklen_t::try_from(value.len()).map_err(|_| Errno::Invalid)?;
    // SAFETY: the kernel reads `length` bytes behind the pointer, which are the slice's, and keeps none of them.
    let result = unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, value.as_ptr().cast(), length) };
    if result == 0 { Ok(()) } else { Err(last()) }
}

/// `getsockopt()`.
pub(super) fn option(fd: BorrowedFd<'_>, level: i32, name: i32) -> Result<Vec<u8>, Errno> {
    let mut value = vec![0_u8; LONGEST];
    let mut length = LONGEST as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes behind the pointer, as many as the vector has, and says in
    // `length` how many those were.
    let result =
        unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, value.as_mut_ptr().cast(), &raw mut length) };
    if result != 0 {
        return Err(last());
    }
    value.truncate(length as usize);
    Ok(value)
}

/// `ioctl()` of requests that answer with a number: `SIOCINQ`, `SIOCOUTQ`.
pub(super) fn count(fd: BorrowedFd<'_>, request: libc::Ioctl) -> Result<u32, Errno> {
    let mut count: libc::c_int = 0;
    // SAFETY: both requests write one `int` behind the pointer.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), request, &raw mut count) };
    if result == 0 { Ok(u32::try_from(count).unwrap_or(0)) } else { Err(last()) }
}
