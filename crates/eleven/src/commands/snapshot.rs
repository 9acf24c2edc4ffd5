//! `eleven snapshot`: saves what is seen now.

use std::fs::{self, File};
use std::io::BufWriter;
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::Context;
use eleven_linux::{ReadError, Taking};
use eleven_snapshot::{Socket, Tail};

use crate::cli::{Global, SnapshotArgs};
use crate::output::{Output, note};
use crate::text;

pub(super) fn run(global: &Global, args: &SnapshotArgs) -> anyhow::Result<()> {
    let mut taking = Taking::begin(&global.netns, global.reader.into())?;
    match &args.output {
        None => {
            write(&mut taking, &mut Output::open(global)?)?;
        }
        Some(path) => {
            let count = write_file(&mut taking, path)
                .with_context(|| format!("cannot write the snapshot {}", path.display()))?;
            note(&format!("{} saved in {}", text::counted(count, "socket"), path.display()));
        }
    }
    Ok(())
}

/// Writes beside the file and renames: a snapshot that was interrupted never replaces a
/// whole one.
fn write_file(taking: &mut Taking, path: &Path) -> anyhow::Result<u64> {
    // A pipe or a device is written to as it is.
    if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        return write(taking, &mut BufWriter::new(File::options().write(true).open(path)?));
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".part");
    let outcome = File::create(&beside).map_err(anyhow::Error::from).and_then(|file| {
        let count = write(taking, &mut BufWriter::with_capacity(1 << 17, file))?;
        fs::rename(&beside, path)?;
        Ok(count)
    });
    if outcome.is_err() {
        let _ = fs::remove_file(&beside);
    }
    outcome
}

fn write(taking: &mut Taking, out: &mut (impl std::io::Write + Send)) -> anyhow::Result<u64> {
    let head = taking.head().clone();
    let count = eleven_snapshot::write(out, &head, |write| -> anyhow::Result<Tail> {
        let mut failure = None;
        let tail = taking.sockets(&mut |socket: &Socket| match write(socket) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failure = Some(error);
                ControlFlow::Break(())
            }
        });
        match failure {
            Some(error) => Err(error.into()),
            None => tail.map_err(|error: ReadError| error.into()),
        }
    })?;
    for text in taking.notes() {
        note(text);
    }
    Ok(count)
}
