//! The TUN device: packets in and out, with a virtio header where the kernel cuts and checks
//! segments for us.

use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::time::{Duration, Instant as Clock};

use eleven_tcp::demux::Demux;
use eleven_tcp::ip::{Received, emit_segment};
use eleven_tcp::sim::Random;
use eleven_tcp::{Envelope, Flags, Instant, Segment, StateSet};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tun_rs::{DeviceBuilder, SyncDevice};

/// What happens to packets on their way, in both directions.
#[derive(Clone, Copy, Default)]
pub(crate) struct Faults {
    /// The share that is lost.
    pub(crate) loss: f64,
    /// The share that is overtaken by the next one.
    pub(crate) reordering: f64,
}

pub(crate) struct Tun {
    device: SyncDevice,
    offload: bool,
    faults: Faults,
    random: Random,
    /// Packets that are overtaken.
    held_in: Option<Vec<u8>>,
    held_out: VecDeque<Vec<u8>>,
    buffer: Vec<u8>,
    packet: Vec<u8>,
    start: Clock,
    /// The states that connections went through.
    pub(crate) seen: StateSet,
}

/// So many packets with text are received before anything is sent.
const GATHERED: usize = 16;

/// struct virtio_net_hdr (linux/virtio_net.h), as the device is set up: ten bytes.
const VIRTIO: usize = 10;
/// VIRTIO_NET_HDR_F_NEEDS_CSUM: the checksum covers only the pseudo-header so far.
const NEEDS_CHECKSUM: u8 = 1;
/// VIRTIO_NET_HDR_GSO_TCPV4.
const GSO_TCP_V4: u8 = 1;

/// A packet with a FIN that has arrived and was not looked at.
pub(crate) struct KeptFin(Vec<u8>);

impl Tun {
    pub(crate) fn new(kernel: &str, offload: bool, faults: Faults) -> Result<Self, String> {
        let device = DeviceBuilder::new()
            .name("eleven0")
            .ipv4(kernel, 24_u8, None)
            .mtu(1_500)
            .offload(offload)
            .build_sync()
            .map_err(|error| format!("no TUN device: {error}; root may make one where /dev/net/tun is"))?;
        device.set_nonblocking(true).map_err(|error| error.to_string())?;
        Ok(Self {
            device,
            offload,
            faults,
            random: Random::new(1),
            held_in: None,
            held_out: VecDeque::new(),
            buffer: vec![0; 70_000],
            packet: Vec::with_capacity(70_000),
            start: Clock::now(),
            seen: StateSet::EMPTY,
        })
    }

    fn chance(&mut self, share: f64) -> bool {
        share > 0.0 && self.random.chance(share)
    }

    /// Hands everything that has arrived to `demux`, and sends what it answers: at once to an
    /// acknowledgment, to text after a few packets, as behind a card that gathers what it receives.
    ///
    /// Each packet has its own time: loss recovery compares them within one round trip, and that is
    /// some ten microseconds here.
    pub(crate) fn receive_all(&mut self, demux: &mut Demux) -> Result<(), String> {
        for count in 1..=256 {
            let length = match rustix::io::read(self.device.as_fd(), &mut self.buffer) {
                Ok(length) => length,
                Err(Errno::AGAIN) => break,
                Err(error) => return Err(format!("reading from the device: {error}")),
            };
            if self.chance(self.faults.loss) {
                continue;
            }
            if self.held_in.is_none() && self.chance(self.faults.reordering) {
                self.held_in = Some(self.buffer[..length].to_vec());
                continue;
            }
            let mut has_text = self.take(demux, length);
            if let Some(held) = self.held_in.take() {
                self.buffer[..held.len()].copy_from_slice(&held);
                has_text |= self.take(demux, held.len());
            }
            if !has_text || count % GATHERED == 0 {
                self.send_all(demux)?;
            }
        }
        self.send_all(demux)
    }

    /// From now on nothing is lost or overtaken.
    pub(crate) fn stop_faults(&mut self) {
        self.faults = Faults::default();
    }

    /// The kernel's FIN, which is kept back; what comes before it is handed on.
    pub(crate) fn keep_fin(&mut self, demux: &mut Demux) -> Result<KeptFin, String> {
        let skip = if self.offload { VIRTIO } else { 0 };
        for _ in 0..10_000 {
            let length = match rustix::io::read(self.device.as_fd(), &mut self.buffer) {
                Ok(length) => length,
                Err(Errno::AGAIN) => {
                    self.wait(Duration::from_millis(10))?;
                    continue;
                }
                Err(error) => return Err(format!("reading from the device: {error}")),
            };
            let fin = match Received::parse(&self.buffer[skip..length]) {
                Ok(Received::Tcp(packet)) => {
                    Segment::parse(packet.tcp).is_ok_and(|segment| segment.flags.contains(Flags::FIN))
                }
                _ => false,
            };
            if fin {
                return Ok(KeptFin(self.buffer[..length].to_vec()));
            }
            self.take(demux, length);
            self.send_all(demux)?;
        }
        Err("no FIN came from the kernel".to_owned())
    }

    /// Hands on what was kept back.
    pub(crate) fn hand_on(&mut self, demux: &mut Demux, KeptFin(packet): &KeptFin) {
        self.buffer[..packet.len()].copy_from_slice(packet);
        self.take(demux, packet.len());
    }

    /// Hands one packet on. Whether it had text.
    fn take(&mut self, demux: &mut Demux, length: usize) -> bool {
        let now = self.now();
        let skip = if self.offload { VIRTIO } else { 0 };
        let bytes = &self.buffer[skip..length];
        match Received::parse(bytes) {
            Ok(Received::Tcp(packet)) => {
                // With offloads the kernel leaves its checksums to the device.
                let checked = self.offload && self.buffer[0] & NEEDS_CHECKSUM != 0;
                if !checked && !Segment::verify_checksum(packet.tcp, packet.source, packet.destination) {
                    return false;
                }
                if let Ok(segment) = Segment::parse(packet.tcp) {
                    let envelope =
                        Envelope { source: packet.source, destination: packet.destination, ecn: packet.ecn };
                    demux.handle_segment(now, &envelope, &segment);
                    for rule in demux.steps().iter() {
                        self.seen = self.seen.with(rule.from).with(rule.to);
                    }
                    return !segment.text.is_empty();
                }
            }
            // Neighbour discovery and the like is none of TCP's business.
            Ok(Received::Icmp(_)) | Err(_) => {}
        }
        false
    }

    pub(crate) fn send_all(&mut self, demux: &mut Demux) -> Result<(), String> {
        loop {
            let now = self.now();
            let Some(out) = demux.poll_transmit(now) else { return Ok(()) };
            self.packet.clear();
            if self.offload {
                self.packet.resize(VIRTIO, 0);
            }
            let Envelope { source, destination, ecn } = out.envelope;
            let (header, text) = (out.segment.header_len(), out.segment.text.len());
            emit_segment(&out.segment, source, destination, ecn, 64, &mut self.packet)
                .map_err(|error| error.to_string())?;
            if self.offload && text > usize::from(out.segment_size) {
                self.ask_to_cut(header, out.segment_size);
            }
            if self.chance(self.faults.loss) {
                continue;
            }
            if self.chance(self.faults.reordering) {
                self.held_out.push_back(self.packet.clone());
                continue;
            }
            self.write()?;
            while let Some(held) = self.held_out.pop_front() {
                self.packet.clone_from(&held);
                self.write()?;
            }
        }
    }

    /// The time of this host.
    pub(crate) fn now(&self) -> Instant {
        Instant::from_secs(1).plus_micros(self.start.elapsed().as_micros() as u64)
    }

    /// The kernel cuts the segment, and sums each part from the pseudo-header on.
    fn ask_to_cut(&mut self, header: usize, size: u16) {
        const IP: usize = 20;
        let sum = partial_checksum(&self.packet[VIRTIO..]);
        let virtio = &mut self.packet[..VIRTIO];
        virtio[0] = NEEDS_CHECKSUM;
        virtio[1] = GSO_TCP_V4;
        virtio[2..4].copy_from_slice(&((IP + header) as u16).to_ne_bytes());
        virtio[4..6].copy_from_slice(&size.to_ne_bytes());
        virtio[6..8].copy_from_slice(&(IP as u16).to_ne_bytes());
        virtio[8..10].copy_from_slice(&16_u16.to_ne_bytes());
        self.packet[VIRTIO + IP + 16..VIRTIO + IP + 18].copy_from_slice(&sum.to_be_bytes());
    }

    fn write(&self) -> Result<(), String> {
        match rustix::io::write(self.device.as_fd(), &self.packet) {
            // A full queue drops, as on any wire.
            Ok(_) | Err(Errno::AGAIN | Errno::NOBUFS) => Ok(()),
            Err(error) => Err(format!("writing to the device: {error}")),
        }
    }

    pub(crate) fn wait(&mut self, longest: Duration) -> Result<(), String> {
        let timeout = Timespec {
            tv_sec: i64::try_from(longest.as_secs()).unwrap_or(1),
            tv_nsec: longest.subsec_nanos().into(),
        };
        let fd = self.device.as_fd();
        match poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(format!("waiting for the device: {error}")),
        }
    }
}

/// The sum of the pseudo-header of an IPv4 packet, without the segment.
fn partial_checksum(packet: &[u8]) -> u16 {
    let words = packet[12..20].chunks_exact(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
    let sum: u32 = words.sum::<u32>() + 6 + (packet.len() - 20) as u32;
    let folded = (sum >> 16) + (sum & 0xffff);
    ((folded >> 16) + (folded & 0xffff)) as u16
}
