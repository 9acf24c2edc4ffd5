//! One file: finds out what it is, and hands out its records.

use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{fs, io};

use rustix::fs::inotify;

use super::input::{Input, Lack};
use super::pcap::{self, Pcap};
use super::pcapng::{self, Pcapng};
use super::source::{self, Counted, Reader};
use super::{Fault, Interfaces, Record, Step, lacking};
use crate::error::{CaptureError, CaptureErrorKind};
use crate::packet::{Comments, Packet};

/// A file that is read.
pub(crate) struct File {
    name: Arc<str>,
    input: Input,
    format: Format,
    /// The last packet's.
    record: Record,
    /// Nothing more is read.
    finished: bool,
    followed: Option<Followed>,
    read: Arc<AtomicU64>,
    length: Option<u64>,
}

enum Format {
    /// Not enough was read to tell.
    Unknown,
    Pcap(Pcap),
    Pcapng(Box<Pcapng>),
}

/// A file that grows.
struct Followed {
    path: Box<Path>,
    file: fs::File,
    /// Tells when it grows; without it, time does.
    watch: Option<OwnedFd>,
}

impl File {
    /// Opens a file and reads its beginning.
    pub(crate) fn open(path: &Path, interfaces: &mut Interfaces) -> Result<Self, CaptureError> {
        let name = name_of(path);
        let failed = |kind| CaptureError { file: name.clone(), offset: 0, kind };
        let file = fs::File::open(path).map_err(|error| failed(CaptureErrorKind::Open(error)))?;
        let metadata = file.metadata().map_err(|error| failed(CaptureErrorKind::Open(error)))?;
        let length = metadata.is_file().then_some(metadata.len());
        let mut file = Self::from_reader(name, Box::new(file), length)?;
        file.begin(interfaces).map_err(|fault| file.error(fault))?;
        Ok(file)
    }

    /// Any reader. It is not read beyond what tells whether it is compressed.
    pub(crate) fn from_reader(
        name: Arc<str>,
        reader: Reader,
        length: Option<u64>,
    ) -> Result<Self, CaptureError> {
        let read = Arc::new(AtomicU64::new(0));
        let counted = Box::new(Counted { reader, count: read.clone() });
        let reader =
            source::unpack(counted).map_err(|kind| CaptureError { file: name.clone(), offset: 0, kind })?;
        Ok(Self { read, length, ..Self::new(name, reader) })
    }

    /// A file that grows while it is read; it may still be empty.
    pub(crate) fn follow(path: &Path) -> Result<Self, CaptureError> {
        let name = name_of(path);
        let failed =
            |error| CaptureError { file: name.clone(), offset: 0, kind: CaptureErrorKind::Open(error) };
        let file = fs::File::open(path).map_err(failed)?;
        let reader = file.try_clone().map_err(failed)?;
        let read = Arc::new(AtomicU64::new(0));
        let counted = Counted { reader, count: read.clone() };
        let followed = Followed { path: path.into(), file, watch: watch(path).ok() };
        Ok(Self { followed: Some(followed), read, ..Self::new(name, Box::new(counted)) })
    }

    fn new(name: Arc<str>, reader: Reader) -> Self {
        Self {
            name,
            input: Input::new(reader),
            format: Format::Unknown,
            record: Record::default(),
            finished: false,
            followed: None,
            read: Arc::default(),
            length: None,
        }
    }

    /// The next packet.
    #[inline]
    pub(crate) fn next(&mut self, interfaces: &mut Interfaces) -> Result<Step, CaptureError> {
        if self.finished {
            return Ok(Step::End);
        }
        let step = match &mut self.format {
            Format::Pcap(pcap) => pcap.next(&mut self.input, &mut self.record),
            Format::Pcapng(pcapng) => pcapng.next(&mut self.input, interfaces, &mut self.record),
            Format::Unknown => match self.begin(interfaces) {
                Ok(true) => return self.next(interfaces),
                Ok(false) => Ok(Step::Wait),
                Err(fault) => Err(fault),
            },
        };
        match step {
            Ok(Step::Packet) => Ok(Step::Packet),
            Ok(Step::Wait) => Ok(Step::Wait),
            other => self.stop(other),
        }
    }

    /// The end, or what is wrong; for a file that grows neither need be so.
    #[cold]
    fn stop(&mut self, step: Result<Step, Fault>) -> Result<Step, CaptureError> {
        let at_end = matches!(step, Ok(_) | Err(Fault { kind: CaptureErrorKind::Truncated { .. }, .. }));
        if at_end && let Some(followed) = &self.followed {
            if followed.is_shorter_than(self.read.load(Ordering::Relaxed)) {
                self.finished = true;
                return Err(self.error(Fault::at(&self.input, CaptureErrorKind::Shrunk)));
            }
            return Ok(Step::Wait);
        }
        let error = match step {
            Ok(step) => {
                self.finished = true;
                return Ok(step);
            }
            Err(fault) => self.error(fault),
        };
        self.finished = !error.can_continue();
        Err(error)
    }

    fn error(&self, Fault { offset, kind }: Fault) -> CaptureError {
        CaptureError { file: self.name.clone(), offset, kind }
    }

    /// Finds out what the file is; `false` if more has to be there for that.
    fn begin(&mut self, interfaces: &mut Interfaces) -> Result<bool, Fault> {
        let input = &mut self.input;
        let waits = self.followed.is_some();
        if !input.require(4).map_err(|error| Fault::read(input, error))? {
            if waits || input.lack() == Lack::Moment {
                return Ok(false);
            }
            let there = input.ready().len() as u64;
            let truncated = CaptureErrorKind::Truncated { there, needed: 24 };
            return Err(Fault::at(input, if there == 0 { CaptureErrorKind::Empty } else { truncated }));
        }
        let magic = input.ready().first_chunk().copied().unwrap_or_default();
        if pcap::is_magic(magic) {
            let Some(pcap) = Pcap::begin(input, interfaces)? else {
                return match lacking(input, 24) {
                    Err(fault) if !waits => Err(fault),
                    _ => Ok(false),
                };
            };
            self.format = Format::Pcap(pcap);
        } else if pcapng::is_magic(magic) {
            self.format = Format::Pcapng(Box::default());
        } else if waits && source::is_compressed(&magic) {
            return Err(Fault::at(input, CaptureErrorKind::CompressedFollowed));
        } else {
            return Err(Fault::at(input, CaptureErrorKind::NotACapture { magic }));
        }
        Ok(true)
    }

    /// What [`Self::next`] gave last.
    #[inline]
    pub(crate) const fn record(&self) -> &Record {
        &self.record
    }

    /// The packet that [`Self::next`] gave last.
    #[inline]
    pub(crate) fn packet(&self, number: u64) -> Packet<'_> {
        let Record { time, interface, link, start, length, original_length, options, big_endian } =
            self.record;
        let data = self.input.taken(start, length);
        let comments = match options {
            0 => Comments::default(),
            _ => {
                let options = self.input.taken(start + length.next_multiple_of(4), options);
                Comments::new(options, big_endian)
            }
        };
        // What is there was there, whatever the record says.
        let original_length = original_length.max(length as u32);
        Packet { number, time, interface, link, data, original_length, comments }
    }

    /// How many packets recorders said they lost.
    pub(crate) fn dropped(&self) -> u64 {
        match &self.format {
            Format::Pcapng(pcapng) => pcapng.dropped(),
            Format::Unknown | Format::Pcap(_) => 0,
        }
    }

    /// How much of the file was read, compressed as it is, and how long it is, if known.
    pub(crate) fn progress(&self) -> (u64, Option<u64>) {
        (self.read.load(Ordering::Relaxed), self.length)
    }

    /// Whether it may still grow.
    pub(crate) fn is_followed(&self) -> bool {
        self.followed.is_some() && !self.finished
    }

    /// What becomes readable when the file grows.
    pub(crate) fn watch(&self) -> Option<&OwnedFd> {
        self.followed.as_ref().filter(|_| !self.finished)?.watch.as_ref()
    }
}

impl Followed {
    fn is_shorter_than(&self, read: u64) -> bool {
        let Ok(ours) = self.file.metadata() else { return false };
        // Another file of that name takes its place only when all of ours is read; that is when this is asked.
        let replaced = fs::metadata(&self.path)
            .is_ok_and(|theirs| (theirs.dev(), theirs.ino()) != (ours.dev(), ours.ino()));
        ours.is_file() && (ours.len() < read || replaced)
    }
}

fn watch(path: &Path) -> io::Result<OwnedFd> {
    use inotify::{CreateFlags, WatchFlags};
    let watch = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
    let events = WatchFlags::MODIFY | WatchFlags::MOVE_SELF | WatchFlags::DELETE_SELF | WatchFlags::ATTRIB;
    inotify::add_watch(&watch, path, events)?;
    Ok(watch)
}

fn name_of(path: &Path) -> Arc<str> {
    path.display().to_string().into()
}
