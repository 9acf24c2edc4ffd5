//! Blocks of the ring and the packets in them (linux/if_packet.h: `tpacket_block_desc`, `tpacket3_hdr`), as bytes.

/// Free room before each packet: for a header of a cooked capture, 20 bytes, and a VLAN tag.
pub(super) const RESERVE: u32 = 32;

/// `TP_STATUS_VLAN_VALID` and `TP_STATUS_VLAN_TPID_VALID`.
const VLAN_VALID: u32 = 0x10;
const VLAN_TYPE_VALID: u32 = 0x40;
/// What a VLAN tag's type is, if the kernel does not say.
const VLAN: u16 = 0x8100;
/// The addresses of Ethernet, behind which a tag stands.
const ADDRESSES: usize = 12;
const COOKED_HEADER: usize = 20;
const TAG: usize = 4;

/// A packet in a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) seconds: u32,
    pub(super) nanos: u32,
    /// As many bytes were captured.
    pub(super) captured: usize,
    pub(super) length: u32,
    /// Where in the block they are.
    pub(super) data: usize,
    /// Type and value of the VLAN tag that the card took off.
    vlan: Option<(u16, u16)>,
    /// Who it is from and of what kind: `struct sockaddr_ll`.
    link: Link,
    /// Where the next is, counted from this one; 0 for the last.
    pub(super) next: usize,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    protocol: u16,
    interface: i32,
    hardware: u16,
    kind: u8,
    address_length: u8,
    address: [u8; 8],
}

fn word(block: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*block.get(at..)?.first_chunk()?))
}

fn half(block: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*block.get(at..)?.first_chunk()?))
}

/// How many packets a block has, and where the first is.
pub(super) fn packets(block: &[u8]) -> Option<(u32, usize)> {
    Some((word(block, 12)?, word(block, 16)? as usize))
}

impl Frame {
    /// The packet at a place in a block. `None` only if the kernel wrote nonsense.
    pub(super) fn read(block: &[u8], at: usize) -> Option<Self> {
        let header = block.get(at..)?;
        let status = word(header, 20)?;
        let vlan_type = if status & VLAN_TYPE_VALID == 0 { VLAN } else { half(header, 36)? };
        let vlan = if status & VLAN_VALID == 0 { None } else { Some((vlan_type, word(header, 32)? as u16)) };
        let &[_, _, p0, p1, i0, i1, i2, i3, h0, h1, kind, address_length, ref address @ ..] =
            header.get(48..)?.first_chunk::<20>()?;
        let frame = Self {
            next: word(header, 0)? as usize,
            seconds: word(header, 4)?,
            nanos: word(header, 8)?,
            captured: word(header, 12)? as usize,
            length: word(header, 16)?,
            data: at + usize::from(half(header, 24)?),
            vlan,
            link: Link {
                protocol: u16::from_be_bytes([p0, p1]),
                interface: i32::from_ne_bytes([i0, i1, i2, i3]),
                hardware: u16::from_ne_bytes([h0, h1]),
                kind,
                address_length,
                address: *address.first_chunk()?,
            },
        };
        // All of it is there, and the room before it too.
        let behind = at + RESERVE as usize;
        let sound =
            frame.data >= behind && block.get(frame.data..frame.data.checked_add(frame.captured)?).is_some();
        sound.then_some(frame)
    }

    /// The interface, by the kernel's number.
    pub(super) const fn interface(&self) -> i32 {
        self.link.interface
    }

    /// Puts the VLAN tag back behind the addresses of Ethernet, and gives the length of what was added.
    pub(super) fn restore_tag(&mut self, block: &mut [u8]) {
        let Some((kind, tag)) = self.vlan.take() else { return };
        if self.captured < ADDRESSES {
            return;
        }
        let data = self.data - TAG;
        block.copy_within(self.data..self.data + ADDRESSES, data);
        if let Some(room) = block.get_mut(data + ADDRESSES..).and_then(<[u8]>::first_chunk_mut) {
            *room = tag_bytes(kind, tag);
        }
        self.added(TAG);
    }

    /// Puts a header of a cooked capture, version 2, before the packet, and a VLAN tag behind that if there was one.
    pub(super) fn add_cooked_header(&mut self, block: &mut [u8]) {
        let mut protocol = self.link.protocol;
        if let Some((kind, tag)) = self.vlan.take() {
            // The type stands in the header; the tag's value and what was the type follow.
            let behind = [tag.to_be_bytes(), protocol.to_be_bytes()].concat();
            if let Some(room) = block.get_mut(self.data - TAG..self.data) {
                room.copy_from_slice(&behind);
            }
            protocol = kind;
            self.added(TAG);
        }
        let Link { interface, hardware, kind, address_length, address, .. } = self.link;
        let mut header = [0; COOKED_HEADER];
        header[0..2].copy_from_slice(&protocol.to_be_bytes());
        header[4..8].copy_from_slice(&interface.to_be_bytes());
        header[8..10].copy_from_slice(&hardware.to_be_bytes());
        header[10] = kind;
        header[11] = address_length;
        header[12..20].copy_from_slice(&address);
        if let Some(room) = block.get_mut(self.data - COOKED_HEADER..self.data) {
            room.copy_from_slice(&header);
        }
        self.added(COOKED_HEADER);
    }

    fn added(&mut self, length: usize) {
        self.data -= length;
        self.captured += length;
        self.length = self.length.saturating_add(length as u32);
    }
}

/// A tag as it stands in a frame.
fn tag_bytes(kind: u16, tag: u16) -> [u8; TAG] {
    let ([k0, k1], [t0, t1]) = (kind.to_be_bytes(), tag.to_be_bytes());
    [k0, k1, t0, t1]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dissected, Dissector, LinkType, Packet, Timestamp};
    use eleven_tcp::{Ecn, Segment, ip};

    /// A block of one packet, with what precedes it of the frame and a tag that was taken off.
    fn block(frame: &[u8]) -> Vec<u8> {
        let mut block = vec![0; 48];
        block[12..16].copy_from_slice(&1_u32.to_ne_bytes());
        block[16..20].copy_from_slice(&48_u32.to_ne_bytes());
        let mut header = vec![0; 68];
        header[4..8].copy_from_slice(&9_u32.to_ne_bytes());
        for at in [12, 16] {
            header[at..at + 4].copy_from_slice(&(frame.len() as u32).to_ne_bytes());
        }
        header[20..24].copy_from_slice(&(1 | VLAN_VALID).to_ne_bytes());
        header[24..26].copy_from_slice(&112_u16.to_ne_bytes());
        header[32..36].copy_from_slice(&7_u32.to_ne_bytes());
        header[50..52].copy_from_slice(&[8, 0]);
        header[52..56].copy_from_slice(&3_i32.to_ne_bytes());
        header.resize(112, 0);
        [block, header, frame.to_vec()].concat()
    }

    #[test]
    fn tags_are_put_back() {
        let mut packet = Vec::new();
        let segment = Segment { destination_port: 80, ..Segment::default() };
        let addresses = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        ip::emit_segment(&segment, addresses.0, addresses.1, Ecn::NotEct, 64, &mut packet).unwrap();
        let ethernet = [&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 8, 0], &*packet].concat();
        for (link, frame) in [(LinkType::ETHERNET, &ethernet), (LinkType::LINUX_SLL2, &packet)] {
            let mut block = block(frame);
            assert_eq!(packets(&block), Some((1, 48)));
            let mut frame = Frame::read(&block, 48).unwrap();
            assert_eq!((frame.interface(), frame.seconds), (3, 9));
            if link == LinkType::ETHERNET {
                frame.restore_tag(&mut block);
            } else {
                frame.add_cooked_header(&mut block);
            }
            let data = &block[frame.data..frame.data + frame.captured];
            assert_eq!(data.len(), frame.length as usize);
            let mut dissector = Dissector::default();
            match dissector.dissect(&Packet::new(link, Timestamp(0), data)) {
                Dissected::Tcp(tcp) => {
                    assert_eq!((tcp.segment.destination_port, tcp.path.to_string().as_str()), (80, "vlan 7"));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let whole = block(&[0; 60]);
        for length in 0..whole.len() {
            assert!(Frame::read(&whole[..length], 48).is_none());
        }
        assert!(Frame::read(&whole, usize::MAX / 2).is_none());
    }
}
