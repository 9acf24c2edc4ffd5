//! Snapshots in files: one JSON object, a socket a line, readable even when cut short.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, Read, Write};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::{NamespaceState, Snapshot, Socket};

/// Version of the layout that [`write()`] writes and [`read`] understands.
/// It rises when a reader of the old version would misunderstand the new one;
/// a new key alone does not raise it.
pub const FORMAT_VERSION: u32 = 1;

/// Why a snapshot file gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file could not be read.
    #[error("cannot read the snapshot: {0}")]
    Io(#[from] io::Error),
    /// It is no snapshot.
    #[error("not a snapshot written by `eleven snapshot`: {0}")]
    NotASnapshot(String),
    /// A later release wrote it.
    #[error(
        "the snapshot has layout version {found}, this program reads up to {FORMAT_VERSION}; \
         update eleven, or take the snapshot again with this version"
    )]
    Newer {
        /// Version in the file.
        found: u64,
    },
}

/// Says that a file ended early, and what was kept of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partial {
    /// Sockets that were read.
    pub sockets: u64,
    /// What the reader stumbled over.
    pub cause: String,
}

impl fmt::Display for Partial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the snapshot is cut short: {} sockets could be read ({})", self.sockets, self.cause)
    }
}

/// Writes a snapshot, streaming its sockets.
///
/// `snapshot` gives the host and its namespaces. `sockets` is called once, hands every
/// socket to its argument, and returns what is known only then.
///
/// # Errors
/// Those of `out`, and those that `sockets` returns.
pub fn write<W, F, E>(mut out: W, snapshot: &Snapshot, sockets: F) -> Result<u64, E>
where
    W: Write + Send,
    F: FnOnce(&mut (dyn FnMut(&Socket) -> io::Result<()> + Send)) -> Result<Tail, E>,
    E: From<io::Error>,
{
    let head = Head {
        taken_at_s: snapshot.taken_at_s,
        host: &snapshot.host,
        kernel: &snapshot.kernel,
        boot_id: snapshot.boot_id.as_deref(),
        namespaces: &snapshot.namespaces,
    };
    let head = serde_json::to_string(&head).map_err(io::Error::from)?;
    // The version comes first, so that a reader knows it before anything else.
    write!(out, "{{\"eleven_snapshot\":{FORMAT_VERSION},{},\n\"sockets\":[", &head[1..head.len() - 1])?;
    let mut count = 0_u64;
    let mut line = Vec::with_capacity(1024);
    let tail = sockets(&mut |socket| {
        line.clear();
        line.extend_from_slice(if count == 0 { b"\n" } else { b",\n" });
        serde_json::to_writer(&mut line, socket)?;
        count += 1;
        out.write_all(&line)
    })?;
    let processes = serde_json::to_string(&tail.processes).map_err(io::Error::from)?;
    let notes = serde_json::to_string(&tail.notes).map_err(io::Error::from)?;
    let reader = serde_json::to_string(&tail.reader).map_err(io::Error::from)?;
    writeln!(
        out,
        "\n],\n\"reader\":{reader},\n\"processes\":{processes},\n\"notes\":{notes},\n\"socket_count\":{count}}}"
    )?;
    out.flush()?;
    Ok(count)
}

/// The keys that stand before the sockets, beside the version.
#[derive(serde::Serialize)]
struct Head<'a> {
    taken_at_s: f64,
    host: &'a str,
    kernel: &'a str,
    boot_id: Option<&'a str>,
    namespaces: &'a [NamespaceState],
}

/// What is known only after the last socket.
#[derive(Clone, Debug, Default)]
pub struct Tail {
    /// How the sockets were read.
    pub reader: Option<crate::ReaderKind>,
    /// The processes that own sockets.
    pub processes: Vec<crate::Process>,
    /// What could not be seen.
    pub notes: Vec<String>,
}

/// Reads a snapshot. A file that ends early gives what it still holds, and says so.
///
/// # Errors
/// [`ReadError`] when not even the head can be read, or a newer release wrote it.
pub fn read(input: impl Read) -> Result<(Snapshot, Option<Partial>), ReadError> {
    let collected = RefCell::new(Collected::default());
    let mut deserializer = serde_json::Deserializer::from_reader(io::BufReader::new(input));
    let outcome = Fields(&collected).deserialize(&mut deserializer).and_then(|()| deserializer.end());
    let collected = collected.into_inner();

    let Some(version) = collected.version else {
        return Err(match outcome {
            Err(error) if error.is_io() => ReadError::Io(error.into()),
            Err(error) => ReadError::NotASnapshot(error.to_string()),
            Ok(()) => ReadError::NotASnapshot("it has no key `eleven_snapshot`".to_owned()),
        });
    };
    if version > u64::from(FORMAT_VERSION) {
        return Err(ReadError::Newer { found: version });
    }
    // A number that a cut shortened reads like a whole one: 17 in place of 1763700000.1.
    // Only what another key follows is known to be whole.
    if let (Err(error), false) = (&outcome, collected.head_is_whole) {
        return Err(ReadError::NotASnapshot(format!("it ends before its first socket ({error})")));
    }
    let sockets = collected.snapshot.sockets.len() as u64;
    let mut snapshot = collected.snapshot;
    let cause = match outcome {
        Err(error) => Some(error.to_string()),
        Ok(()) if snapshot.socket_count != sockets => {
            Some(format!("it promises {} sockets", snapshot.socket_count))
        }
        Ok(()) => None,
    };
    snapshot.socket_count = sockets;
    let partial = cause.map(|cause| Partial { sockets, cause });
    if let Some(partial) = &partial {
        snapshot.notes.push(partial.to_string());
    }
    Ok((snapshot, partial))
}

/// What was read so far; it outlives the error that ended the reading.
struct Collected {
    version: Option<u64>,
    /// The sockets were reached, which the head stands before.
    head_is_whole: bool,
    snapshot: Snapshot,
}

impl Default for Collected {
    fn default() -> Self {
        Self { version: None, head_is_whole: false, snapshot: Snapshot::empty() }
    }
}

impl Snapshot {
    /// A snapshot in which nothing was seen.
    pub fn empty() -> Self {
        Self {
            eleven_snapshot: FORMAT_VERSION,
            taken_at_s: 0.0,
            host: String::new(),
            kernel: String::new(),
            boot_id: None,
            reader: None,
            notes: Vec::new(),
            namespaces: Vec::new(),
            sockets: Vec::new(),
            processes: Vec::new(),
            socket_count: 0,
        }
    }
}

struct Fields<'a>(&'a RefCell<Collected>);

impl<'de> DeserializeSeed<'de> for Fields<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a snapshot object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            let collected = self.0;
            match key.as_str() {
                "eleven_snapshot" => {
                    let version = map.next_value()?;
                    collected.borrow_mut().version = Some(version);
                    // A newer layout may say anything from here on.
                    if version > u64::from(FORMAT_VERSION) {
                        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                        return Ok(());
                    }
                }
                "taken_at_s" => collected.borrow_mut().snapshot.taken_at_s = map.next_value()?,
                "host" => collected.borrow_mut().snapshot.host = map.next_value()?,
                "kernel" => collected.borrow_mut().snapshot.kernel = map.next_value()?,
                "boot_id" => collected.borrow_mut().snapshot.boot_id = map.next_value()?,
                "reader" => collected.borrow_mut().snapshot.reader = map.next_value()?,
                "notes" => {
                    let notes: Vec<String> = map.next_value()?;
                    collected.borrow_mut().snapshot.notes.extend(notes);
                }
                "namespaces" => collected.borrow_mut().snapshot.namespaces = map.next_value()?,
                "sockets" => {
                    collected.borrow_mut().head_is_whole = true;
                    map.next_value_seed(Sockets(collected))?;
                }
                "processes" => collected.borrow_mut().snapshot.processes = map.next_value()?,
                "socket_count" => collected.borrow_mut().snapshot.socket_count = map.next_value()?,
                // A key of a later release that did not need a new version.
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

struct Sockets<'a>(&'a RefCell<Collected>);

impl<'de> DeserializeSeed<'de> for Sockets<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Sockets<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of sockets")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(socket) = seq.next_element()? {
            self.0.borrow_mut().snapshot.sockets.push(socket);
        }
        Ok(())
    }
}
