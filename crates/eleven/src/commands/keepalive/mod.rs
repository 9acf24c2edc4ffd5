//! `eleven keepalive`: how soon sockets of running programs notice that their peer is gone, and making it sooner.

mod change;
mod row;
mod undo;

use eleven_linux::act::{HeldSocket, OptionChange, ReachError};
use eleven_snapshot::{Socket, SocketKind};
use eleven_tcp::State;

use self::row::{Row, Rows};
use super::{collect, nothing_found, parse_filter};
use crate::ask::confirm;
use crate::cli::{Global, KeepaliveArgs};
use crate::fields::Needs;
use crate::output::{Output, note};
use crate::text;
use crate::undo::Journal;

pub(super) fn run(global: &Global, args: &KeepaliveArgs) -> anyhow::Result<()> {
    if args.undo {
        return undo::run(args.act);
    }
    let change = change::wanted(args)?;
    let filter = parse_filter(&args.filter.filter)?;
    let mut needs = Needs::NOTHING;
    needs.labelling.owners = true;
    let mut sockets = collect(global, &filter, needs)?;
    let listeners = filter.states() != eleven_tcp::StateSet::ALL;
    sockets.retain(|socket| can_have_keepalive(socket, listeners));
    let rows: Vec<Row> = sockets.into_iter().map(look).collect();
    let mut output = Rows::open(Output::open(global)?, change.is_some())?;
    if rows.is_empty() {
        output.finish(&[])?;
        note(&nothing_found(global, &filter));
        return Ok(());
    }
    let Some(change) = change else {
        say_unreachable(&rows);
        return output.finish(&rows);
    };
    if change.idle_s.is_none() && change.user_timeout_ms.is_none() && change.enabled == Some(true) {
        note("the times stay as they are; --set time=60,interval=10,probes=3 sets them too");
    }
    let reachable = rows.iter().filter(|row| row.before.is_ok() && row.socket.cookie.is_some()).count();
    if args.act.dry_run || reachable == 0 {
        say_unreachable(&rows);
        output.finish(&rows)?;
        if reachable == 0 {
            anyhow::bail!("none of these sockets can be changed");
        }
        return Ok(());
    }
    output.preview(&rows)?;
    let sockets = text::these(reachable as u64, "socket");
    let question = format!("Set {} on {sockets}?", change::sentence(&change));
    if !args.act.yes && !confirm(&question)? {
        note("nothing was changed");
        return Ok(());
    }
    let journal = Journal::open()?;
    let rows: Vec<Row> = rows.into_iter().map(|row| set(row, &change, &journal)).collect();
    let failed = rows.iter().filter(|row| row.error().is_some()).count();
    say_unreachable(&rows);
    output.finish(&rows)?;
    note(&format!(
        "`eleven keepalive --undo` puts back what was, as {} remembers it",
        journal.path().display()
    ));
    let all = text::counted(rows.len() as u64, "socket");
    anyhow::ensure!(failed == 0, "{failed} of {all} could not be changed");
    Ok(())
}

/// Connections have it, and listeners, from which connections inherit it; these only where they are asked for.
fn can_have_keepalive(socket: &Socket, listeners: bool) -> bool {
    socket.kind == SocketKind::Full
        && match socket.state {
            State::Listen => listeners,
            State::Closed => false,
            _ => true,
        }
}

/// Asks the socket itself.
fn look(socket: Socket) -> Row {
    let before = held(&socket).and_then(|held| held.timers());
    Row { socket, before, after: None }
}

fn held(socket: &Socket) -> Result<HeldSocket, ReachError> {
    let mut result = Err(ReachError::Gone);
    // Any of several owners will do.
    for owner in &socket.owners {
        result = HeldSocket::of(owner, socket.cookie);
        if result.is_ok() {
            break;
        }
    }
    result
}

fn set(mut row: Row, change: &OptionChange, journal: &Journal) -> Row {
    if row.before.is_err() || row.socket.cookie.is_none() {
        return row;
    }
    let attempt = || -> Result<_, ReachError> {
        let held = held(&row.socket)?;
        // Written down first: who is interrupted in between can still go back.
        undo::remember(journal, &row.socket, &held.timers()?).map_err(ReachError::Other)?;
        held.change(change)?;
        held.timers()
    };
    row.after = Some(attempt());
    row
}

/// What could not be looked at, in a sentence a cause.
fn say_unreachable(rows: &[Row]) {
    let orphans = rows.iter().filter(|row| row.socket.owners.is_empty()).count();
    if orphans > 0 {
        note(&format!(
            "{} that no program is seen to hold: the options cannot be read",
            text::counted(orphans as u64, "socket")
        ));
    }
    let refused = |row: &&Row| {
        matches!(&row.before, Err(ReachError::NotPermitted(_) | ReachError::Unsupported))
            && !row.socket.owners.is_empty()
    };
    if let Some(row) = rows.iter().find(refused)
        && let Err(error) = &row.before
    {
        let count = rows.iter().filter(refused).count() as u64;
        note(&format!("{} could not be looked at: {error}", text::counted(count, "socket")));
    }
}
