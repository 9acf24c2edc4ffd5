//! Everything that crosses the subject's device, as a capture.

use std::io::{self, Write};

use eleven_tcp::pcapng::{Direction, Interface, InterfaceId, IoSink, PcapngWriter, Resolution, SeenPacket};

use crate::LabError;
use crate::host::kernel_device;

/// What a capture is written to.
pub type Sink = Box<dyn Write + Send>;

/// A capture being written, packet by packet: what is there when the program is killed can be read.
pub(crate) struct Capture {
    writer: PcapngWriter<IoSink<Sink>>,
    interface: InterfaceId,
}

impl Capture {
    pub(crate) fn new(sink: Sink, scenario: &str) -> Result<Self, LabError> {
        let begin = || -> io::Result<Self> {
            let mut writer = PcapngWriter::new(IoSink(sink), "eleven lab")?;
            let interface = writer.interface(&Interface {
                name: kernel_device(),
                description: &format!("the subject of the scenario {scenario}"),
                resolution: Resolution::Nanos,
                ..Interface::default()
            })?;
            Ok(Self { writer, interface })
        };
        begin().map_err(LabError::Capture)
    }

    /// Adds a packet that the subject sends or receives.
    pub(crate) fn packet(&mut self, nanos: u64, bytes: &[u8], outbound: bool) -> Result<(), LabError> {
        let direction = if outbound { Direction::Outbound } else { Direction::Inbound };
        let packet = SeenPacket { nanos, bytes, direction, ..SeenPacket::default() };
        self.writer.packet(self.interface, &packet).map_err(LabError::Capture)
    }

    /// Sees to it that everything is where it belongs.
    pub(crate) fn finish(self) -> Result<(), LabError> {
        self.writer.into_inner().0.flush().map_err(LabError::Capture)
    }
}
