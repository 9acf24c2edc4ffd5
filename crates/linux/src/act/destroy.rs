//! Closing sockets from outside: `SOCK_DESTROY` (since Linux 4.5, `net/ipv4/tcp_diag.c`).

use std::io;
use std::net::IpAddr;

use eleven_snapshot::{Family, Socket, SocketKind};
use rustix::io::Errno;

use crate::netlink::{FLAG_REQUEST, HEADER_LENGTH, Message, Messages, NetlinkSocket};
use crate::{Interfaces, ReadError};

/// `SOCK_DESTROY`.
const TYPE_DESTROY: u16 = 21;
/// `NLM_F_ACK`: the kernel answers even where all went well.
const FLAG_ACK: u16 = 0x4;

const IPPROTO_TCP: u8 = 6;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// What became of a socket that was to be closed.
#[derive(Debug)]
pub enum Destroyed {
    /// The kernel has aborted it.
    Closed,
    /// It was gone before, or another one has its addresses now.
    Gone,
    /// The kernel knows no way to close it from outside: a socket that is only bound is in none of its tables.
    Unreachable,
    /// It takes CAP_NET_ADMIN in the socket's namespace.
    NotPermitted,
    /// The kernel was built without `CONFIG_INET_DIAG_DESTROY`, or is too old for sockets in that state.
    Unsupported,
    /// Any other answer.
    Failed(io::Error),
}

/// Closes sockets in the calling thread's network namespace, one by one, and tells what became of each.
///
/// A socket without a cookie is not touched: nothing would tell it from another one with the same addresses.
///
/// # Errors
/// Where the kernel cannot be talked to at all.
pub fn destroy<'a>(
    sockets: impl IntoIterator<Item = &'a Socket>,
    mut each: impl FnMut(&'a Socket, Destroyed),
) -> Result<(), ReadError> {
    let netlink =
        NetlinkSocket::open().map_err(|error| ReadError::netlink("open a netlink socket", error))?;
    let mut interfaces = Interfaces::default();
    let mut buffer = vec![0; 8_192];
    for socket in sockets {
        let interface = socket.interface.as_deref().and_then(|name| interfaces.index(name)).unwrap_or(0);
        let Some(mut request) = encode(socket, interface) else {
            each(socket, Destroyed::Unreachable);
            continue;
        };
        netlink.send(&mut request).map_err(|error| ReadError::netlink("ask to close a socket", error))?;
        let length = netlink
            .receive(&mut buffer)
            .map_err(|error| ReadError::netlink("hear whether a socket is closed", error))?;
        let answer = Messages::new(buffer.get(..length).unwrap_or_default()).next();
        each(socket, judge(answer));
    }
    Ok(())
}

fn judge(answer: Option<Message<'_>>) -> Destroyed {
    let Some(Message::Error { errno }) = answer else {
        return Destroyed::Failed(io::Error::other("the kernel's answer makes no sense"));
    };
    let is = |known: &[Errno]| known.iter().any(|known| known.raw_os_error() == errno);
    match errno {
        0 => Destroyed::Closed,
        _ if is(&[Errno::NOENT, Errno::STALE]) => Destroyed::Gone,
        _ if is(&[Errno::PERM, Errno::ACCESS]) => Destroyed::NotPermitted,
        _ if is(&[Errno::OPNOTSUPP, Errno::INVAL]) => Destroyed::Unsupported,
        _ => Destroyed::Failed(io::Error::from_raw_os_error(errno)),
    }
}

/// `struct inet_diag_req_v2` for exactly this socket; `None` where it cannot be named.
fn encode(socket: &Socket, interface: u32) -> Option<Vec<u8>> {
    let cookie = socket.cookie?;
    if socket.kind == SocketKind::Bound {
        return None;
    }
    let mut request = vec![0; HEADER_LENGTH];
    request[4..6].copy_from_slice(&TYPE_DESTROY.to_ne_bytes());
    request[6..8].copy_from_slice(&(FLAG_REQUEST | FLAG_ACK).to_ne_bytes());
    let family = match socket.family {
        Family::Inet => AF_INET,
        Family::Inet6 => AF_INET6,
    };
    request.extend_from_slice(&[family, IPPROTO_TCP, 0, 0]);
    request.extend_from_slice(&u32::MAX.to_ne_bytes());
    request.extend_from_slice(&socket.local_port.unwrap_or(0).to_be_bytes());
    request.extend_from_slice(&socket.remote_port.unwrap_or(0).to_be_bytes());
    for address in [socket.local_address, socket.remote_address] {
        let mut bytes = [0; 16];
        match address {
            IpAddr::V4(address) => bytes[..4].copy_from_slice(&address.octets()),
            IpAddr::V6(address) => bytes = address.octets(),
        }
        request.extend_from_slice(&bytes);
    }
    request.extend_from_slice(&interface.to_ne_bytes());
    request.extend_from_slice(&(cookie as u32).to_ne_bytes());
    request.extend_from_slice(&((cookie >> 32) as u32).to_ne_bytes());
    Some(request)
}

#[cfg(test)]
mod tests {
    use eleven_tcp::State;

    use super::*;

    #[test]
    fn only_what_has_an_identity_is_named() {
        let mut socket = Socket::new(State::Established);
        assert!(encode(&socket, 0).is_none(), "no cookie");
        socket.cookie = Some(1 << 32 | 2);
        let request = encode(&socket, 7).unwrap();
        assert_eq!(request.len(), HEADER_LENGTH + 56);
        assert_eq!(request[request.len() - 12..], [7_u32, 2, 1].map(u32::to_ne_bytes).concat()[..]);
        socket.kind = SocketKind::Bound;
        assert!(encode(&socket, 0).is_none(), "in no table");
    }

    #[test]
    fn answers_are_told_apart() {
        let answer = |errno| judge(Some(Message::Error { errno }));
        assert!(matches!(answer(0), Destroyed::Closed));
        assert!(matches!(answer(2), Destroyed::Gone));
        assert!(matches!(answer(1), Destroyed::NotPermitted));
        assert!(matches!(answer(95), Destroyed::Unsupported));
        assert!(matches!(answer(105), Destroyed::Failed(_)));
        assert!(matches!(judge(None), Destroyed::Failed(_)));
    }
}
