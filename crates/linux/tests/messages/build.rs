//! Netlink messages made by hand.

/// `NLMSG_ERROR`.
pub(crate) const ERROR: u16 = 2;
/// `NLMSG_DONE`.
pub(crate) const DONE: u16 = 3;
/// `NLMSG_OVERRUN`.
pub(crate) const OVERRUN: u16 = 4;
/// `SOCK_DIAG_BY_FAMILY`: a socket.
pub(crate) const SOCKET: u16 = 20;
/// `NLM_F_DUMP_INTR`.
pub(crate) const INTERRUPTED: u16 = 0x10;
/// `INET_DIAG_INFO`.
pub(crate) const INFO: u16 = 2;

/// A message with its padding.
pub(crate) fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = ((body.len() + 16) as u32).to_ne_bytes().to_vec();
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(&flags.to_ne_bytes());
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(body);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// An attribute with its padding.
pub(crate) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = ((value.len() + 4) as u16).to_ne_bytes().to_vec();
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// `struct inet_diag_msg` of an established IPv4 socket.
pub(crate) fn established(cookie: u64) -> Vec<u8> {
    let mut body = vec![0; 72];
    (body[0], body[1]) = (2, 1);
    body[4..6].copy_from_slice(&443_u16.to_be_bytes());
    body[6..8].copy_from_slice(&50_000_u16.to_be_bytes());
    body[8..12].copy_from_slice(&[192, 0, 2, 1]);
    body[24..28].copy_from_slice(&[198, 51, 100, 7]);
    body[44..48].copy_from_slice(&(cookie as u32).to_ne_bytes());
    body[48..52].copy_from_slice(&((cookie >> 32) as u32).to_ne_bytes());
    body[64..68].copy_from_slice(&33_u32.to_ne_bytes());
    body[68..72].copy_from_slice(&4711_u32.to_ne_bytes());
    body
}

/// The body of an error or of the end of a dump.
pub(crate) fn errno(errno: i32) -> Vec<u8> {
    errno.wrapping_neg().to_ne_bytes().to_vec()
}

/// A message of an established socket with this cookie.
pub(crate) fn socket(cookie: u64) -> Vec<u8> {
    message(SOCKET, 0, &established(cookie))
}

/// The end of a dump.
pub(crate) fn done() -> Vec<u8> {
    message(DONE, 0, &errno(0))
}
