//! What was before, remembered until it is put back.

use std::io;

use eleven_linux::act::{HeldSocket, OptionChange, ReachError, SocketTimers};
use eleven_snapshot::Socket;

use crate::ask::confirm;
use crate::cli::ActArgs;
use crate::output::note;
use crate::text;
use crate::undo::{Change, Entry, Journal};

/// Remembers a socket as it is.
pub(super) fn remember(journal: &Journal, socket: &Socket, before: &SocketTimers) -> io::Result<()> {
    let change = Change::Keepalive {
        cookie: socket.cookie.unwrap_or(0),
        owners: socket.owners.clone(),
        local: text::endpoint(socket.local_address, socket.local_port),
        remote: text::endpoint(socket.remote_address, socket.remote_port),
        keepalive: before.keepalive,
        user_timeout_ms: before.user_timeout_ms,
    };
    journal.append(change).map(drop)
}

/// The socket that an entry is about.
fn cookie(entry: &Entry) -> Option<u64> {
    match &entry.change {
        Change::Keepalive { cookie, .. } => Some(*cookie),
        Change::Sysctl { .. } | Change::Persisted { .. } => None,
    }
}

/// Puts back what was before the changes that are remembered.
pub(super) fn run(act: ActArgs) -> anyhow::Result<()> {
    let journal = Journal::look()?;
    let mut entries = journal.entries()?;
    entries.retain(|entry| cookie(entry).is_some());
    let (entries, old): (Vec<Entry>, Vec<Entry>) = entries.into_iter().partition(Entry::is_of_this_boot);
    // Of several changes the first one knows what was in the beginning.
    let mut oldest: Vec<&Entry> = Vec::new();
    for entry in &entries {
        if !oldest.iter().any(|known| cookie(known) == cookie(entry)) {
            oldest.push(entry);
        }
    }
    if !old.is_empty() {
        let changes = text::counted(old.len() as u64, "change");
        note(&format!("{changes} of before this boot: those sockets ended with it"));
    }
    if oldest.is_empty() {
        if !old.is_empty() && !act.dry_run {
            journal.forget(&old)?;
        }
        note("there is nothing to undo");
        return Ok(());
    }
    if act.dry_run {
        for entry in oldest {
            if let Change::Keepalive { local, remote, keepalive, .. } = &entry.change {
                let word = if keepalive.enabled { "on" } else { "off" };
                note(&format!("{local} to {remote} would be put back: keepalive {word}"));
            }
        }
        return Ok(());
    }
    let count = text::counted(oldest.len() as u64, "socket");
    if !act.yes && !confirm(&format!("Put the former settings of {count} back?"))? {
        note("nothing was changed");
        return Ok(());
    }
    let (mut back, mut gone, mut failed) = (0_u64, 0_u64, Vec::new());
    for entry in oldest {
        match put_back(entry) {
            Ok(()) => back += 1,
            Err(ReachError::Gone) => gone += 1,
            Err(error) => {
                if let Change::Keepalive { local, remote, .. } = &entry.change {
                    note(&format!("{local} to {remote}: {error}"));
                }
                failed.push(cookie(entry));
            }
        }
    }
    // What could not be put back is kept for the next attempt.
    let done = entries.iter().filter(|entry| !failed.contains(&cookie(entry)));
    journal.forget(&done.chain(&old).cloned().collect::<Vec<_>>())?;
    note(&format!("{} put back, {} closed meanwhile", text::thousands(back), text::thousands(gone)));
    anyhow::ensure!(failed.is_empty(), "{} could not be put back", failed.len());
    Ok(())
}

fn put_back(entry: &Entry) -> Result<(), ReachError> {
    let Change::Keepalive { cookie, owners, keepalive, user_timeout_ms, .. } = &entry.change else {
        return Err(ReachError::Gone);
    };
    let mut result = Err(ReachError::Gone);
    for owner in owners {
        result = HeldSocket::of(owner, Some(*cookie));
        if result.is_ok() {
            break;
        }
    }
    let timers = SocketTimers { keepalive: *keepalive, user_timeout_ms: *user_timeout_ms };
    result?.change(&OptionChange::back_to(&timers)).map(drop)
}
