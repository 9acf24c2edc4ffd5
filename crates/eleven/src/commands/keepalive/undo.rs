//! What was before, remembered until it is put back.

use std::io;

use eleven_linux::act::{HeldSocket, OptionChange, ReachError, SocketTimers};
use eleven_snapshot::{Keepalive, Owner, Socket};
use serde::{Deserialize, Serialize};

use crate::ask::confirm;
use crate::cli::Global;
use crate::output::{Output, note};
use crate::text;
use crate::undo::{Journal, boot_id};

/// One socket as it was.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    boot_id: String,
    cookie: u64,
    owners: Vec<Owner>,
    local: String,
    remote: String,
    keepalive: Keepalive,
    user_timeout_ms: Option<u32>,
}

/// The record, open for writing.
pub(super) struct Record {
    journal: Journal<Entry>,
    boot_id: String,
}

impl Record {
    pub(super) fn open() -> anyhow::Result<Self> {
        Ok(Self { journal: Journal::open("keepalive")?, boot_id: boot_id() })
    }

    pub(super) fn path(&self) -> String {
        self.journal.path().display().to_string()
    }

    pub(super) fn write(&mut self, socket: &Socket, before: &SocketTimers) -> io::Result<()> {
        self.journal.append(&Entry {
            boot_id: self.boot_id.clone(),
            cookie: socket.cookie.unwrap_or(0),
            owners: socket.owners.clone(),
            local: text::endpoint(socket.local_address, socket.local_port),
            remote: text::endpoint(socket.remote_address, socket.remote_port),
            keepalive: before.keepalive,
            user_timeout_ms: before.user_timeout_ms,
        })
    }
}

/// Puts back what was before the changes that are remembered.
pub(super) fn run(global: &Global, yes: bool) -> anyhow::Result<()> {
    let mut journal: Journal<Entry> = Journal::open("keepalive")?;
    let boot = boot_id();
    let mut entries = journal.entries()?;
    // What was changed before this boot is gone with it.
    entries.retain(|entry| entry.boot_id == boot && entry.cookie != 0);
    // Of several changes the first one knows what was in the beginning.
    let mut oldest: Vec<Entry> = Vec::new();
    for entry in entries {
        if !oldest.iter().any(|known| known.cookie == entry.cookie) {
            oldest.push(entry);
        }
    }
    let output = Output::open(global)?;
    if oldest.is_empty() {
        journal.clear()?;
        note("there is nothing to undo");
        return Ok(());
    }
    let count = text::counted(oldest.len() as u64, "socket");
    if !yes && !confirm(&format!("Put the former settings of {count} back?"))? {
        note("nothing was changed");
        return Ok(());
    }
    let (mut back, mut gone, mut failed) = (0_u64, 0_u64, Vec::new());
    for entry in oldest {
        match put_back(&entry) {
            Ok(()) => back += 1,
            Err(ReachError::Gone) => gone += 1,
            Err(error) => {
                note(&format!("{} to {}: {error}", entry.local, entry.remote));
                failed.push(entry);
            }
        }
    }
    // What could not be put back is kept for the next attempt.
    journal.replace(&failed)?;
    drop(output);
    note(&format!("{} put back, {} closed meanwhile", text::thousands(back), text::thousands(gone)));
    anyhow::ensure!(failed.is_empty(), "{} could not be put back", failed.len());
    Ok(())
}

fn put_back(entry: &Entry) -> Result<(), ReachError> {
    let mut result = Err(ReachError::Gone);
    for owner in &entry.owners {
        result = HeldSocket::of(owner, Some(entry.cookie));
        if result.is_ok() {
            break;
        }
    }
    let timers = SocketTimers { keepalive: entry.keepalive, user_timeout_ms: entry.user_timeout_ms };
    result?.change(&OptionChange::back_to(&timers)).map(drop)
}
