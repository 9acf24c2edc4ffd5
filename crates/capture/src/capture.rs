//! Packets from files: one, several merged by time, a reader, or one that grows.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;

use crate::error::CaptureError;
use crate::file::{File, Interfaces, Reader, Record, Step};
use crate::packet::{Interface, Packet};
use crate::{Dissector, Timestamp};

/// A capture that is read packet by packet.
///
/// ```no_run
/// # fn main() -> Result<(), eleven_capture::CaptureError> {
/// let mut capture = eleven_capture::Capture::open("trace.pcapng")?;
/// while let Some(packet) = capture.next_packet()? {
///     println!("{} {}", packet.time, packet.original_length);
/// }
/// # Ok(())
/// # }
/// ```
pub struct Capture {
    sources: Vec<Source>,
    interfaces: Interfaces,
    statistics: Statistics,
    last: Option<Timestamp>,
}

/// A file, and its packet that waits for its turn.
struct Source {
    file: File,
    next: Next,
}

enum Next {
    /// Not read yet.
    Unknown,
    Packet,
    /// None at the moment, or none any more.
    Nothing,
}

/// What was read so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Packets that were handed out.
    pub packets: u64,
    /// Their captured bytes.
    pub bytes: u64,
    /// Packets that are older than the one before them.
    pub backwards: u64,
    /// The number of the first of those.
    pub first_backwards: Option<u64>,
    /// Packets of which more was captured than there was, their records say. Their original length is taken to be
    /// what was captured.
    pub longer_than_original: u64,
    /// The number of the first of those.
    pub first_longer: Option<u64>,
    /// Bytes that were skipped as no part of any block.
    pub skipped_bytes: u64,
    /// Errors that were handed out.
    pub errors: u64,
}

impl Statistics {
    #[inline]
    fn count(&mut self, record: &Record, last: Option<Timestamp>) {
        self.packets += 1;
        self.bytes += record.length as u64;
        if last.is_some_and(|last| record.time < last) {
            self.backwards += 1;
            self.first_backwards.get_or_insert(self.packets);
        }
        if record.original_length < record.length as u32 {
            self.longer_than_original += 1;
            self.first_longer.get_or_insert(self.packets);
        }
    }
}

/// How long to wait for a file to grow where nothing tells when it does.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

impl Capture {
    /// Opens a file: pcap or pcapng, as it is or in gzip or zstd.
    ///
    /// # Errors
    /// If it cannot be opened, or is no capture.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CaptureError> {
        Self::open_all([path])
    }

    /// Opens several files, whose packets are merged by time. Those of one file stay in their order.
    ///
    /// # Errors
    /// If one of them cannot be opened, or is no capture.
    pub fn open_all<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Result<Self, CaptureError> {
        let mut interfaces = Interfaces::default();
        let mut files = Vec::new();
        for path in paths {
            files.push(File::open(path.as_ref(), &mut interfaces)?);
        }
        Ok(Self { interfaces, ..Self::new(files) })
    }

    /// Reads standard input, a FIFO, or whatever else; `name` is for messages. As soon as a packet is complete, it
    /// is handed out.
    ///
    /// # Errors
    /// If nothing can be read. That it is no capture is told by the first [`Self::next_packet`].
    pub fn from_reader(name: &str, reader: impl Read + Send + 'static) -> Result<Self, CaptureError> {
        let reader: Reader = Box::new(reader);
        Ok(Self::new(vec![File::from_reader(name.into(), reader, None)?]))
    }

    /// Opens a file that a recorder still writes. At its end [`Self::next_packet`] gives `None`, and more after
    /// [`Self::wait`]. A half-written record is no error, and nor is an empty file.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn follow(path: impl AsRef<Path>) -> Result<Self, CaptureError> {
        Ok(Self::new(vec![File::follow(path.as_ref())?]))
    }

    fn new(files: Vec<File>) -> Self {
        let sources = files.into_iter().map(|file| Source { file, next: Next::Unknown }).collect();
        Self { sources, interfaces: Interfaces::default(), statistics: Statistics::default(), last: None }
    }

    /// The next packet. `None` at the end, and at what is the end at the moment: of a file that is followed, or
    /// of a reader that does not wait or was interrupted by a signal ([`Self::is_finished`] tells them apart).
    ///
    /// # Errors
    /// What is wrong with a file. What was handed out before is right, and the next call goes on: behind the damage
    /// where [`CaptureError::can_continue`] says so, else with the other files, if any.
    #[inline]
    pub fn next_packet(&mut self) -> Result<Option<Packet<'_>>, CaptureError> {
        // Small enough to become part of the caller's loop, so that the packet need not go through memory.
        let Some(index) = self.advance()? else { return Ok(None) };
        Ok(self.sources.get(index).map(|source| source.file.packet(self.statistics.packets)))
    }

    /// Reads the next packet, and says in which of the files it is.
    fn advance(&mut self) -> Result<Option<usize>, CaptureError> {
        let found = match &mut *self.sources {
            [source] => match source.file.next(&mut self.interfaces) {
                Ok(Step::Packet) => Ok(Some(0)),
                Ok(step) => {
                    if matches!(step, Step::End) {
                        source.next = Next::Nothing;
                    }
                    Ok(None)
                }
                Err(error) => Err(error),
            },
            _ => self.earliest(),
        };
        match found {
            Ok(Some(index)) => {
                if let Some(source) = self.sources.get(index) {
                    let record = source.file.record();
                    self.statistics.count(record, self.last);
                    self.last = Some(record.time);
                }
                Ok(Some(index))
            }
            Ok(None) => Ok(None),
            Err(error) => {
                self.count_error(&error);
                Err(error)
            }
        }
    }

    /// The oldest of the packets that are next in their files; the first file's of several that are as old.
    fn earliest(&mut self) -> Result<Option<usize>, CaptureError> {
        for source in &mut self.sources {
            if matches!(source.next, Next::Unknown) {
                source.next = match source.file.next(&mut self.interfaces)? {
                    Step::Packet => Next::Packet,
                    Step::Wait | Step::End => Next::Nothing,
                };
            }
        }
        let waiting =
            self.sources.iter().enumerate().filter(|(_, source)| matches!(source.next, Next::Packet));
        let earliest = waiting.min_by_key(|(_, source)| source.file.record().time).map(|(index, _)| index);
        if let Some(source) = earliest.and_then(|index| self.sources.get_mut(index)) {
            source.next = Next::Unknown;
        }
        Ok(earliest)
    }

    #[cold]
    fn count_error(&mut self, error: &CaptureError) {
        use crate::CaptureErrorKind::Garbage;
        self.statistics.errors += 1;
        if let Garbage { skipped, .. } = error.kind {
            self.statistics.skipped_bytes = self.statistics.skipped_bytes.saturating_add(skipped);
        }
    }

    /// Waits until a file that is followed may have grown, at most so long; returns at once if none is.
    ///
    /// A signal ends it early.
    pub fn wait(&mut self, timeout: Duration) {
        if !self.sources.iter().any(|source| source.file.is_followed()) {
            return;
        }
        let watches: Vec<_> = self.sources.iter().filter_map(|source| source.file.watch()).collect();
        let timeout = if watches.is_empty() { timeout.min(LOOK_AGAIN) } else { timeout };
        let mut polled: Vec<_> = watches.iter().map(|watch| PollFd::new(*watch, PollFlags::IN)).collect();
        let timeout = Timespec::try_from(timeout).ok();
        if poll(&mut polled, timeout.as_ref()).is_err() {
            return;
        }
        drop(polled);
        for watch in watches {
            // What happened matters not, only that it did.
            let mut events = [0_u8; 4_096];
            while rustix::io::read(watch, &mut events).is_ok_and(|length| length > 0) {}
        }
    }

    /// Whether nothing more can come.
    pub fn is_finished(&self) -> bool {
        let ended = |source: &Source| matches!(source.next, Next::Nothing);
        self.sources.iter().all(|source| ended(source) && !source.file.is_followed())
    }

    /// Where packets were captured, by [`Packet::interface`]. Grows while files are read.
    pub fn interfaces(&self) -> &[Interface] {
        self.interfaces.list()
    }

    /// What was read so far.
    pub fn statistics(&self) -> Statistics {
        self.statistics
    }

    /// How many packets the recorders said they lost, as far as they said so.
    pub fn dropped_by_recorders(&self) -> u64 {
        self.sources.iter().fold(0, |sum: u64, source| sum.saturating_add(source.file.dropped()))
    }

    /// How many bytes of the files were read, compressed ones as they are, and of how many; `None` where that
    /// is not known.
    pub fn progress(&self) -> (u64, Option<u64>) {
        self.sources.iter().map(|source| source.file.progress()).fold((0, Some(0)), |(read, of), next| {
            (read + next.0, of.zip(next.1).map(|(of, next)| of + next))
        })
    }
}

/// For the fuzz target and its replay: any bytes as a file. Its packets can be taken apart, and however often it is
/// damaged, reading ends.
#[doc(hidden)]
pub fn try_any_bytes(bytes: &[u8]) {
    let Ok(mut capture) = Capture::from_reader("any bytes", std::io::Cursor::new(bytes.to_vec())) else {
        return;
    };
    let mut dissector = Dissector::default();
    let mut results = 0_usize;
    // A bomb may be long; a few of its packets are as good as all.
    while results < 100_000 {
        results += 1;
        match capture.next_packet() {
            Ok(Some(packet)) => {
                assert!(packet.data.len() <= packet.original_length as usize);
                let _ = packet.comments.iter().count();
                let _ = dissector.dissect(&packet);
            }
            Ok(None) => {
                assert!(capture.is_finished());
                return;
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
            }
        }
    }
}
