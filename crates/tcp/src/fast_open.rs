//! TCP Fast Open (RFC 7413): the server's cookies, and the client's memory of them.

use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

use siphasher::sip::SipHasher24;

use crate::FourTuple;
use crate::hash::{Keyed, Purpose};
use crate::policy::Secret;

pub use crate::policy::FastOpenSecret;

/// A Fast Open cookie: 4 to 16 bytes, an even number of them (RFC 7413 §4.1.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FastOpenCookie {
    bytes: [u8; Self::LONGEST],
    length: u8,
}

impl FastOpenCookie {
    /// The longest there is.
    pub const LONGEST: usize = 16;

    /// From an option's data; `None` if it cannot be a cookie. Empty data is a request for one.
    pub fn from_bytes(data: &[u8]) -> Option<Self> {
        if !(4..=Self::LONGEST).contains(&data.len()) || !data.len().is_multiple_of(2) {
            return None;
        }
        let mut bytes = [0; Self::LONGEST];
        bytes.get_mut(..data.len())?.copy_from_slice(data);
        Some(Self { bytes, length: data.len() as u8 })
    }

    /// The bytes of the option.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// The cookie a server gives a client: eight bytes that only it can make from the two addresses
    /// (RFC 7413 §4.1.2). Ports do not matter, so that the client may use it for each of the server's. Linux makes the
    /// same one of the same secret.
    pub fn make(pair: &FourTuple, secret: &FastOpenSecret) -> Self {
        let mut input = [0; 32];
        let length = match (pair.remote_address, pair.local_address) {
            (IpAddr::V4(remote), IpAddr::V4(local)) => {
                input[..4].copy_from_slice(&remote.octets());
                input[4..8].copy_from_slice(&local.octets());
                8
            }
            (remote, local) => {
                for (place, address) in input.chunks_exact_mut(16).zip([remote, local]) {
                    let address = match address {
                        IpAddr::V4(address) => address.to_ipv6_mapped(),
                        IpAddr::V6(address) => address,
                    };
                    place.copy_from_slice(&address.octets());
                }
                32
            }
        };
        let hash = SipHasher24::new_with_key(&secret.0).hash(&input[..length]);
        let mut bytes = [0; Self::LONGEST];
        bytes[..8].copy_from_slice(&hash.to_le_bytes());
        Self { bytes, length: 8 }
    }

    /// Whether a client's cookie is one made here. With a secret that changes, ask again with the one before
    /// (RFC 7413 §4.1.2: cookies expire).
    pub fn is_valid(data: &[u8], pair: &FourTuple, secret: &FastOpenSecret) -> bool {
        let made = Self::make(pair, secret);
        // All bytes are compared whatever they are: the time it takes tells nothing.
        data.len() == made.as_bytes().len()
            && data.iter().zip(made.as_bytes()).fold(0, |wrong, (left, right)| wrong | (left ^ right)) == 0
    }
}

impl FastOpenSecret {
    /// One of the host's own, where none is given.
    pub fn of_host(secret: &Secret) -> Self {
        let mut bytes = [0; 16];
        for (number, place) in (0..).zip(bytes.chunks_exact_mut(8)) {
            let hash = Keyed::new(secret, Purpose::FastOpen).number(number).finish();
            place.copy_from_slice(&hash.to_le_bytes());
        }
        Self(bytes)
    }
}

/// Two hexadecimal digits a byte.
impl fmt::Display for FastOpenCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for FastOpenCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FastOpenCookie({self})")
    }
}

/// What a client remembers of a server (RFC 7413 §4.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remembered {
    /// A cookie, and the maximum segment size the server told: how much text may go with the SYN.
    Cookie {
        /// The cookie to send.
        cookie: FastOpenCookie,
        /// In bytes.
        mss: u16,
        /// It came in the option of the experiment (RFC 7413 appendix A), and is to be sent so.
        experiment: bool,
    },
    /// It gave none when asked (§4.1.3.1).
    Refused {
        /// In bytes.
        mss: u16,
        /// It was asked by the option of the experiment too.
        experiment: bool,
    },
}

/// A client's cookies: those of the servers it has talked to last.
#[derive(Clone, Debug)]
pub struct CookieCache {
    /// The least recently used is the first.
    entries: Vec<(IpAddr, Remembered)>,
    capacity: usize,
}

impl CookieCache {
    /// For so many servers. A look-up costs a comparison for each.
    pub const fn new(capacity: usize) -> Self {
        Self { entries: Vec::new(), capacity }
    }

    /// How many servers are remembered.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What is known of a server; it is then the most recently used.
    pub fn get(&mut self, server: IpAddr) -> Option<Remembered> {
        let index = self.position(server)?;
        if let Some(recent) = self.entries.get_mut(index..) {
            recent.rotate_left(1);
        }
        self.entries.last().map(|&(_, remembered)| remembered)
    }

    /// A server has given a cookie, told its maximum segment size, or refused. Where there is no room the least recently
    /// used is forgotten.
    pub fn put(&mut self, server: IpAddr, remembered: Remembered) {
        if self.capacity == 0 {
            return;
        }
        if let Some(index) = self.position(server) {
            self.entries.remove(index);
        } else if self.entries.len() >= self.capacity {
            self.entries.remove(0);
        }
        self.entries.push((server, remembered));
    }

    /// Nothing is known of a server any more: its next connection asks for a cookie.
    pub fn forget(&mut self, server: IpAddr) {
        if let Some(index) = self.position(server) {
            self.entries.remove(index);
        }
    }

    fn position(&self, server: IpAddr) -> Option<usize> {
        self.entries.iter().rposition(|&(known, _)| known == server)
    }
}

impl Default for CookieCache {
    fn default() -> Self {
        Self::new(64)
    }
}

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;

    use super::*;

    const SECRET: FastOpenSecret = FastOpenSecret([5; 16]);

    fn from(host: u8, port: u16) -> FourTuple {
        FourTuple {
            local_address: Ipv4Addr::new(10, 0, 0, 1).into(),
            remote_address: Ipv4Addr::new(10, 0, 0, host).into(),
            local_port: 80,
            remote_port: port,
        }
    }

    #[test]
    fn a_cookie_belongs_to_an_address_and_a_secret() {
        let cookie = FastOpenCookie::make(&from(9, 1), &SECRET);
        assert_eq!(cookie.as_bytes().len(), 8);
        assert!(FastOpenCookie::is_valid(cookie.as_bytes(), &from(9, 2), &SECRET));
        assert!(!FastOpenCookie::is_valid(cookie.as_bytes(), &from(8, 1), &SECRET));
        assert!(!FastOpenCookie::is_valid(cookie.as_bytes(), &from(9, 1), &FastOpenSecret([6; 16])));
        assert!(!FastOpenCookie::is_valid(&cookie.as_bytes()[..6], &from(9, 1), &SECRET));
        assert!(!FastOpenCookie::is_valid(&[], &from(9, 1), &SECRET));
        for byte in 0..8 {
            let mut forged = cookie.as_bytes().to_vec();
            forged[byte] ^= 1;
            assert!(!FastOpenCookie::is_valid(&forged, &from(9, 1), &SECRET));
        }
    }

    /// The numbers are those of a Linux server with the same key.
    #[test]
    fn linux_makes_the_same_cookie() {
        let key = FastOpenSecret::from_sysctl("a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4").unwrap();
        let pair = FourTuple {
            local_address: Ipv4Addr::new(192, 168, 0, 1).into(),
            remote_address: Ipv4Addr::new(192, 0, 2, 1).into(),
            ..FourTuple::UNSPECIFIED
        };
        assert_eq!(FastOpenCookie::make(&pair, &key).to_string(), "3021b9d889017eeb");
        for wrong in ["", "a1a1a1a1", "1-2-3-x", "1-2-3-4-5", "1-2-3-", "123456789-2-3-4"] {
            assert_eq!(FastOpenSecret::from_sysctl(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn cookies_have_an_even_length_from_4_to_16() {
        let data = [0xab; 20];
        for length in 0..20 {
            let cookie = FastOpenCookie::from_bytes(&data[..length]);
            assert_eq!(cookie.is_some(), matches!(length, 4 | 6 | 8 | 10 | 12 | 14 | 16), "{length}");
            if let Some(cookie) = cookie {
                assert_eq!(cookie.as_bytes(), &data[..length]);
            }
        }
        assert_eq!(FastOpenCookie::from_bytes(&[1, 2, 0xfe, 4]).unwrap().to_string(), "0102fe04");
    }

    #[test]
    fn the_cache_forgets_the_least_recently_used() {
        let mut cache = CookieCache::new(3);
        let server = |host| IpAddr::from(Ipv4Addr::new(10, 0, 0, host));
        let told = |host| Remembered::Cookie {
            cookie: FastOpenCookie::make(&from(host, 1), &SECRET),
            mss: 1460,
            experiment: false,
        };
        for host in 1..=3 {
            cache.put(server(host), told(host));
        }
        assert_eq!(cache.get(server(1)), Some(told(1)));
        cache.put(server(4), told(4));
        assert_eq!((cache.get(server(2)), cache.len()), (None, 3));
        let refused = Remembered::Refused { mss: 1460, experiment: false };
        cache.put(server(1), refused);
        assert_eq!((cache.get(server(1)), cache.len()), (Some(refused), 3));
        cache.forget(server(1));
        assert_eq!((cache.get(server(1)), cache.get(server(3))), (None, Some(told(3))));
        let mut none = CookieCache::new(0);
        none.put(server(1), told(1));
        assert!(none.is_empty());
    }
}
