//! Counting sockets inside the kernel (`bpf/count.bpf.c`).

use std::net::IpAddr;

use aya::maps::{Array, HashMap, MapError};
use aya::{Pod, include_bytes_aligned};
use eleven_snapshot::{Family, SocketKind};
use eleven_tcp::{State, StateSet};

use super::{kind_of, read_some, refused, start, state_mask};
use crate::{ReadError, classify};

static OBJECT: &[u8] = include_bytes_aligned!("../../../../bpf/count.bpf.o");

/// What to tell sockets apart by, beside state, kind and family, which always are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupKeys {
    /// Local port.
    pub local_port: bool,
    /// Remote port.
    pub remote_port: bool,
    /// Local address.
    pub local_address: bool,
    /// Remote address.
    pub remote_address: bool,
    /// User.
    pub user: bool,
}

impl GroupKeys {
    /// The program's constant KEYS.
    fn mask(self) -> u32 {
        [self.local_port, self.remote_port, self.local_address, self.remote_address, self.user]
            .into_iter()
            .enumerate()
            .fold(0, |mask, (bit, set)| mask | u32::from(set) << bit)
    }
}

/// Sockets that are alike in what was asked for; what was not is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketGroup {
    /// State.
    pub state: State,
    /// How the kernel stores them.
    pub kind: SocketKind,
    /// Address family.
    pub family: Family,
    /// Local port.
    pub local_port: Option<u16>,
    /// Remote port.
    pub remote_port: Option<u16>,
    /// Local address.
    pub local_address: Option<IpAddr>,
    /// Remote address.
    pub remote_address: Option<IpAddr>,
    /// User.
    pub uid: Option<u32>,
    /// How many.
    pub count: u64,
}

/// `struct group` of the program.
#[derive(Clone, Copy)]
#[repr(C)]
struct Group {
    local_address: [u8; 16],
    remote_address: [u8; 16],
    user: u32,
    local_port: u16,
    remote_port: u16,
    cell: u32,
}

// SAFETY: plain integers without padding (16 + 16 + 4 + 2 + 2 + 4 bytes); any bytes are valid.
#[allow(unsafe_code, reason = "aya asks for the promise that any bytes are valid")]
unsafe impl Pod for Group {}

/// `NO_USER` of the program.
const NO_USER: u32 = u32::MAX;
/// `STATES_MAX` and `KINDS_MAX` of the program.
const STATES_MAX: u32 = 16;
const KINDS_MAX: u32 = 4;

/// State, kind and family of a cell; `None` for those no socket falls into.
fn cell(index: u32) -> Option<(State, SocketKind, Family)> {
    let family = if index.is_multiple_of(2) { Family::Inet } else { Family::Inet6 };
    let state = State::from_kernel_number((index / 2 % STATES_MAX) as u8)?;
    Some((state, kind_of((index / 2 / STATES_MAX) as u8)?, family))
}

/// Counts the sockets of the calling thread's network namespace. Sockets that are only
/// bound are not among them: the iterator does not walk their table.
///
/// # Errors
/// [`ReadError::Bpf`] where the kernel refuses the program, or there are more groups than
/// it keeps (65,536); then count rows instead.
pub fn count(keys: GroupKeys, states: StateSet) -> Result<Vec<SocketGroup>, ReadError> {
    let constants = [("KEYS", &keys.mask()), ("STATES", &state_mask(states))];
    let (ebpf, mut iterator) = start(OBJECT, &constants, "count_sockets", "tcp")?;
    // The program writes nothing: the first read that ends has walked all sockets.
    while read_some(&mut iterator, &mut [0; 64])? > 0 {}

    let map =
        |name: &str| ebpf.map(name).ok_or_else(|| ReadError::Bpf(format!("the object lacks the map {name}")));
    let overflow: Array<_, u64> = map("overflow")?.try_into().map_err(refused)?;
    let lost = overflow.get(&0, 0).map_err(refused)?;
    if lost > 0 {
        return Err(ReadError::Bpf(format!("{lost} sockets fell into more groups than the program keeps")));
    }
    let mut found = Vec::new();
    if keys == GroupKeys::default() {
        let cells: Array<_, u64> = map("cells")?.try_into().map_err(refused)?;
        for index in 0..STATES_MAX * KINDS_MAX * 2 {
            let count = cells.get(&index, 0).map_err(refused)?;
            if let (1.., Some((state, kind, family))) = (count, cell(index)) {
                found.push(SocketGroup {
                    state,
                    kind,
                    family,
                    local_port: None,
                    remote_port: None,
                    local_address: None,
                    remote_address: None,
                    uid: None,
                    count,
                });
            }
        }
        return Ok(found);
    }
    let groups: HashMap<_, Group, u64> = map("groups")?.try_into().map_err(refused)?;
    #[allow(clippy::explicit_iter_loop, reason = "aya's map implements no IntoIterator")]
    for entry in groups.iter() {
        let (group, count) = entry.map_err(|error: MapError| refused(error))?;
        let Some((state, kind, family)) = cell(group.cell) else { continue };
        found.push(SocketGroup {
            state,
            kind,
            family,
            local_port: keys.local_port.then_some(group.local_port).filter(|port| *port != 0),
            remote_port: keys.remote_port.then_some(group.remote_port).filter(|port| *port != 0),
            local_address: keys.local_address.then(|| classify::address(family, &group.local_address)),
            remote_address: keys.remote_address.then(|| classify::address(family, &group.remote_address)),
            uid: keys.user.then_some(group.user).filter(|uid| *uid != NO_USER),
            count,
        });
    }
    Ok(found)
}
