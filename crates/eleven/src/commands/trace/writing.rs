//! Writes what is read as pcapng, on request with what it is and does.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use eleven_capture::{Interface, Packet, Writer};
use eleven_track::{Side, Verdict};

use super::segments::{meaning, states};

/// A capture file being written.
pub(super) struct Recorder {
    /// Until it is finished.
    writer: Option<Writer<BufWriter<File>>>,
    path: PathBuf,
    /// Whether each segment gets its verdict as a comment.
    comments: bool,
    /// The packet, until it is known what to say of it.
    packet: Packet<'static>,
    data: Vec<u8>,
    own: Vec<String>,
}

impl Recorder {
    pub(super) fn create(path: &Path, comments: bool) -> anyhow::Result<Self> {
        let cannot = || format!("cannot write {}", path.display());
        let file = File::create(path).with_context(cannot)?;
        let application = concat!("eleven ", env!("CARGO_PKG_VERSION"));
        let writer =
            Writer::new(BufWriter::with_capacity(1 << 18, file), application).with_context(cannot)?;
        let (packet, data, own) = Default::default();
        Ok(Self { writer: Some(writer), path: path.to_owned(), comments, packet, data, own })
    }

    /// Keeps a packet to be written.
    pub(super) fn take(&mut self, packet: &Packet<'_>) {
        self.data.clear();
        self.data.extend_from_slice(packet.data);
        self.own.clear();
        self.own.extend(packet.comments.iter().map(std::borrow::Cow::into_owned));
        self.packet = Packet {
            number: packet.number,
            time: packet.time,
            interface: packet.interface,
            link: packet.link,
            original_length: packet.original_length,
            ..Packet::default()
        };
    }

    /// Writes it.
    pub(super) fn write(
        &mut self,
        interfaces: &[Interface],
        verdict: Option<&Verdict>,
    ) -> anyhow::Result<()> {
        if let Some(verdict) = verdict.filter(|_| self.comments) {
            self.own.push(comment(verdict));
        }
        let comments: Vec<&str> = self.own.iter().map(String::as_str).collect();
        let packet = Packet { data: &self.data, ..self.packet };
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let written = writer.write(&packet, interfaces, &comments);
        written.with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// What is still in memory goes to the file.
    pub(super) fn finish(&mut self) -> anyhow::Result<()> {
        let Some(writer) = self.writer.take() else { return Ok(()) };
        writer.into_inner().flush().with_context(|| format!("cannot write {}", self.path.display()))
    }
}

/// `client: CLOSED → SYN_SENT, server: CLOSED; closed.active-open`.
fn comment(verdict: &Verdict) -> String {
    let [client, server] = Side::BOTH.map(|side| states(verdict, side));
    format!("client: {client}, server: {server}; {} ({})", meaning(verdict), verdict.provenance())
}
