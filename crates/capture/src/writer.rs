//! Writes packets as pcapng, with what is said about them.

use std::io;

use eleven_tcp::pcapng::{self, InterfaceId, IoSink, PcapngWriter, Resolution, SeenPacket};

use crate::{Interface, Packet};

/// Writes a capture. Each packet is handed to the sink whole, so what was written is a complete capture at any time; a
/// sink that buffers makes it fast.
///
/// Times are written in nanoseconds; those before 1970 as 1970, which is what the format can tell.
#[derive(Debug)]
pub struct Writer<W> {
    inner: PcapngWriter<IoSink<W>>,
    /// By the interface's number in what is read.
    interfaces: Vec<Option<InterfaceId>>,
}

impl<W: io::Write> Writer<W> {
    /// Begins a capture, and says which program writes it.
    ///
    /// # Errors
    /// The sink's.
    pub fn new(sink: W, application: &str) -> io::Result<Self> {
        Ok(Self { inner: PcapngWriter::new(IoSink(sink), application)?, interfaces: Vec::new() })
    }

    /// Writes a packet with the comments it came with and more. `interfaces` are those of the capture it is
    /// from; each is described when its first packet comes.
    ///
    /// # Errors
    /// The sink's.
    pub fn write(
        &mut self,
        packet: &Packet<'_>,
        interfaces: &[Interface],
        comments: &[&str],
    ) -> io::Result<()> {
        let interface = self.interface(packet, interfaces)?;
        let own: Vec<_> = packet.comments.iter().collect();
        let all: Vec<&str> = own.iter().map(AsRef::as_ref).chain(comments.iter().copied()).collect();
        let seen = SeenPacket {
            nanos: u64::try_from(packet.time.0).unwrap_or(0),
            bytes: packet.data,
            original_length: packet.original_length,
            comments: &all,
            ..SeenPacket::default()
        };
        self.inner.packet(interface, &seen)
    }

    /// The number of the packet's interface in what is written.
    fn interface(&mut self, packet: &Packet<'_>, interfaces: &[Interface]) -> io::Result<InterfaceId> {
        let index = packet.interface as usize;
        if let Some(Some(id)) = self.interfaces.get(index) {
            return Ok(*id);
        }
        let unknown = Interface { link: packet.link, ..Interface::default() };
        let interface = interfaces.get(index).unwrap_or(&unknown);
        let id = self.inner.interface(&pcapng::Interface {
            name: interface.name.as_deref().unwrap_or_default(),
            description: interface.description.as_deref().unwrap_or_default(),
            resolution: Resolution::Nanos,
            link: packet.link.0,
            snap_length: interface.snap_length,
        })?;
        // An interface beyond all that are known is described for each of its packets, and not remembered.
        if index < interfaces.len() {
            self.interfaces.resize(self.interfaces.len().max(index + 1), None);
            if let Some(entry) = self.interfaces.get_mut(index) {
                *entry = Some(id);
            }
        }
        Ok(id)
    }

    /// What was written to.
    pub fn into_inner(self) -> W {
        self.inner.into_inner().0
    }
}
