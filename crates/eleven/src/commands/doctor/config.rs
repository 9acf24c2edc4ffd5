//! Configuration files of servers: found, read with bounds, and what they include.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use eleven_doctor::chain::{Config, PRODUCTS, Product, read_config};
use rustix::fs::{Dir, Mode, OFlags, ResolveFlags};

use crate::text;

/// Files that include each other without end are left at this.
const MOST_FILES: usize = 1_000;

/// Files larger than this are not configurations that somebody wrote.
const MOST_BYTES: u64 = 4 << 20;

/// A file, and the settings in it.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) file: PathBuf,
    pub(super) config: Config,
}

/// Whose configuration a file is, by its name and that of its directory.
pub(super) fn product_of(path: &Path) -> Option<&'static Product> {
    let path = path.to_string_lossy().to_ascii_lowercase();
    let known = PRODUCTS.iter().filter(|product| matches!(product.name, "nginx" | "apache" | "haproxy"));
    known.into_iter().find(|product| {
        path.contains(product.name) || product.aliases.iter().any(|alias| path.contains(alias))
    })
}

/// Reads a file that may be anything: a pipe, a device, a picture, the log of a year.
fn read_text(file: File) -> io::Result<String> {
    let strange = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    let data = file.metadata()?;
    if data.is_dir() {
        return Err(strange("it is a directory".to_owned()));
    }
    if !data.is_file() {
        return Err(strange("it is no file".to_owned()));
    }
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(strange(format!("it is larger than {} MiB, and not read", MOST_BYTES >> 20)));
    }
    if bytes.contains(&0) {
        return Err(strange("it is no text".to_owned()));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Where the paths in a program's configuration lead: for a program in a container not into the host's files.
#[derive(Debug)]
pub(super) struct Root(Option<OwnedFd>);

impl Root {
    /// The files as they are seen here.
    pub(super) fn here() -> Self {
        Self(None)
    }

    /// The files as a process sees them.
    ///
    /// # Errors
    /// Whoever may not trace the process may not see them.
    pub(super) fn of_process(pid: u32) -> io::Result<Self> {
        let path = format!("/proc/{pid}/root");
        Ok(Self(Some(rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)))
    }

    /// Opens a file of the program; neither a link nor a step upwards leads out of its root.
    fn open(&self, path: &Path) -> io::Result<File> {
        // Without waiting for somebody to write to a pipe.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = match &self.0 {
            None => rustix::fs::open(path, flags, Mode::empty())?,
            Some(root) => rustix::fs::openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT)?,
        };
        Ok(file.into())
    }

    /// Names in a directory.
    fn names(&self, directory: &Path) -> io::Result<Vec<String>> {
        let directory = Dir::new(self.open(directory)?)?;
        let names = directory.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        Ok(names.filter(|name| name != "." && name != "..").collect())
    }

    /// The files in a directory whose names end so, in the order of their names.
    pub(super) fn files_in(&self, directory: &Path, end: &str) -> io::Result<Vec<PathBuf>> {
        let mut names = self.names(directory)?;
        names.retain(|name| name.ends_with(end) && !name.starts_with('.'));
        names.sort();
        Ok(names.into_iter().map(|name| directory.join(name)).collect())
    }

    /// Whether there is a file of the program, and whether it is a directory.
    pub(super) fn is_directory(&self, path: &Path) -> Option<bool> {
        Some(self.open(path).ok()?.metadata().ok()?.is_dir())
    }
}

/// A file and what it includes. What is wrong with one of those is told to `say`, and the rest counts.
///
/// # Errors
/// Why the first one cannot be read.
pub(super) fn read_all(
    product: &Product,
    root: &Root,
    first: &Path,
    base: &Path,
    say: &mut dyn FnMut(String),
) -> io::Result<Vec<Found>> {
    let mut found: Vec<Found> = Vec::new();
    let mut left = vec![first.to_owned()];
    let mut base = base.to_owned();
    while let Some(file) = left.pop() {
        if found.len() >= MOST_FILES || found.iter().any(|known| known.file == file) {
            continue;
        }
        let shown = text::printable(&file.to_string_lossy()).into_owned();
        let text = match root.open(&file).and_then(read_text) {
            Ok(text) => text,
            // The file that was named must be there; of what it includes the rest counts.
            Err(error) if file == first => return Err(error),
            Err(error) => {
                say(format!("{shown}: {error}"));
                continue;
            }
        };
        let Some(config) = read_config(product, &text) else { continue };
        for error in &config.errors {
            say(format!("{shown}:{}: {}", error.line, error.what));
        }
        // httpd's paths start from its ServerRoot.
        if let Some(root) = config.root.as_ref().filter(|_| found.is_empty()) {
            base = base.join(root);
        }
        for (line, pattern) in &config.includes {
            let included = matching(root, &base.join(pattern));
            if included.is_empty() && !pattern.contains('*') {
                say(format!("{shown}:{line}: there is no {}", text::printable(pattern)));
            }
            left.extend(included);
        }
        found.push(Found { file, config });
    }
    Ok(found)
}

/// The files that a pattern names: stars in its last part stand for any characters.
fn matching(root: &Root, pattern: &Path) -> Vec<PathBuf> {
    let directory = pattern.parent().unwrap_or(Path::new("."));
    let name = pattern.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if !name.contains('*') {
        // A directory stands for all that is in it, as httpd has it.
        return match root.is_directory(pattern) {
            Some(true) => matching(root, &pattern.join("*")),
            Some(false) => vec![pattern.to_owned()],
            None => Vec::new(),
        };
    }
    let Ok(names) = root.names(directory) else { return Vec::new() };
    let fits = |candidate: &str| {
        let mut parts = name.split('*');
        let (first, last) = (parts.next().unwrap_or_default(), parts.next_back().unwrap_or_default());
        let Some(mut rest) = candidate.strip_prefix(first).and_then(|rest| rest.strip_suffix(last)) else {
            return false;
        };
        parts.all(|part| match rest.split_once(part) {
            Some((_, behind)) => {
                rest = behind;
                true
            }
            None => false,
        })
    };
    let mut files: Vec<PathBuf> =
        names.iter().filter(|name| fits(name)).map(|name| directory.join(name)).collect();
    files.retain(|file| root.is_directory(file) == Some(false));
    files.sort();
    files.truncate(MOST_FILES);
    files
}
