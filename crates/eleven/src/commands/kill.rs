//! `eleven kill`: closes chosen sockets, and no others.

use std::collections::BTreeMap;
use std::io::Write as _;

use eleven_linux::act::{Destroyed, destroy};
use eleven_snapshot::Socket;
use eleven_tcp::State;
use serde::Serialize;
use serde_json::json;

use super::{WrongUsage, collect, in_its_namespace, language, nothing_found, parse_filter, print_sockets};
use crate::ask::confirm;
use crate::cli::{Format, Global, KillArgs};
use crate::fields::Needs;
use crate::output::{CsvRecords, JsonRecords, Output, Style, note, print_paragraph};
use crate::text;

/// Rows shown before it is asked.
const SHOWN: usize = 30;

pub(super) fn run(global: &Global, args: &KillArgs) -> anyhow::Result<()> {
    let filter = parse_filter(&args.filter.filter)?;
    if filter.is_everything() {
        return Err(WrongUsage::Other(
            "kill needs a filter: without one it would close every socket of the host; `eleven list FILTER` shows what one chooses"
                .to_owned(),
        )
        .into());
    }
    let mut needs = Needs::NOTHING;
    needs.labelling.owners = true;
    let chosen = collect(global, &filter, needs)?;
    let mut output = Output::open(global)?;
    let table = output.format == Format::Table;
    if chosen.is_empty() {
        if output.format == Format::Json {
            output.json(&json!([]))?;
        }
        output.flush()?;
        note(&nothing_found(global, &filter));
        return Ok(());
    }
    if table {
        print_sockets(&mut output, global, &chosen, SHOWN)?;
        print_consequences(&mut output, global, &chosen)?;
        output.flush()?;
    }
    if args.act.dry_run {
        return if table { Ok(()) } else { report(output, &would_close(&chosen)) };
    }
    let sockets = text::these(chosen.len() as u64, "socket");
    if !args.act.yes && !confirm(&format!("Close {sockets}?"))? {
        note("nothing was closed");
        return Ok(());
    }
    let closings = close(&chosen)?;
    let failed = closings.iter().filter(|closing| closing.result == Outcome::Failed).count();
    report(output, &closings)?;
    if failed > 0 {
        return Err(anyhow::anyhow!(
            "{failed} of {} could not be closed",
            text::counted(closings.len() as u64, "socket")
        ));
    }
    Ok(())
}

/// What became of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    WouldClose,
    Closed,
    /// Before it was its turn.
    Gone,
    Failed,
}

#[derive(Serialize)]
struct Closing<'a> {
    result: Outcome,
    /// Why it could not be closed.
    error: Option<String>,
    #[serde(flatten)]
    socket: &'a Socket,
}

fn would_close(chosen: &[Socket]) -> Vec<Closing<'_>> {
    let would = |socket| Closing { result: Outcome::WouldClose, error: None, socket };
    chosen.iter().map(would).collect()
}

fn close(chosen: &[Socket]) -> anyhow::Result<Vec<Closing<'_>>> {
    let mut closings = Vec::with_capacity(chosen.len());
    let mut by_namespace: BTreeMap<Option<&str>, Vec<&Socket>> = BTreeMap::new();
    for socket in chosen {
        by_namespace.entry(socket.netns.as_deref()).or_default().push(socket);
    }
    for (namespace, sockets) in by_namespace {
        in_its_namespace(namespace, || {
            destroy(sockets, |socket, destroyed| {
                let (result, error) = judge(destroyed);
                closings.push(Closing { result, error, socket });
            })
        })??;
    }
    Ok(closings)
}

fn judge(destroyed: Destroyed) -> (Outcome, Option<String>) {
    let error = match destroyed {
        Destroyed::Closed => return (Outcome::Closed, None),
        Destroyed::Gone => return (Outcome::Gone, None),
        Destroyed::Unreachable => {
            "the kernel finds no such socket from outside: only its program can close it".to_owned()
        }
        Destroyed::NotPermitted => {
            "it takes CAP_NET_ADMIN in the socket's network namespace; try sudo".to_owned()
        }
        Destroyed::Unsupported => {
            "this kernel cannot close sockets in that state from outside (CONFIG_INET_DIAG_DESTROY)"
                .to_owned()
        }
        Destroyed::Failed(error) => error.to_string(),
    };
    (Outcome::Failed, Some(error))
}

/// Once for each state: what program and peer will see.
fn print_consequences(output: &mut Output, global: &Global, chosen: &[Socket]) -> anyhow::Result<()> {
    let mut counts: BTreeMap<State, u64> = BTreeMap::new();
    for socket in chosen {
        *counts.entry(socket.state).or_default() += 1;
    }
    let columns = output.text_columns();
    for (state, count) in counts {
        let text = eleven_knowledge::kill(state, language(global));
        let name = output.paint.text(Style::State(state), state.as_str());
        writeln!(output, "\n{name} × {}", text::thousands(count))?;
        print_paragraph(output, &text.program, "  program  ", "           ", columns)?;
        print_paragraph(output, &text.peer, "  peer     ", "           ", columns)?;
    }
    writeln!(output)?;
    Ok(())
}

fn report(mut output: Output, closings: &[Closing<'_>]) -> anyhow::Result<()> {
    match output.format {
        Format::Json | Format::Ndjson => {
            let format = output.format;
            let mut records = JsonRecords::new(output, format);
            for closing in closings {
                records.write(closing)?;
            }
            records.finish()?;
        }
        Format::Csv => {
            let mut records = CsvRecords::new(output, ["result", "state", "local", "remote", "error"])?;
            for Closing { result, error, socket } in closings {
                let result = serde_json::to_value(result)?;
                records.write([
                    result.as_str().unwrap_or_default(),
                    socket.state.as_str(),
                    &text::endpoint(socket.local_address, socket.local_port),
                    &text::endpoint(socket.remote_address, socket.remote_port),
                    error.as_deref().unwrap_or_default(),
                ])?;
            }
            records.finish()?;
        }
        Format::Table => {
            let count = |result| closings.iter().filter(|closing| closing.result == result).count() as u64;
            let mut line = format!("closed {}", text::thousands(count(Outcome::Closed)));
            for (result, words) in [(Outcome::Gone, "gone before"), (Outcome::Failed, "not closed")] {
                if count(result) > 0 {
                    line.push_str(&format!(", {words} {}", text::thousands(count(result))));
                }
            }
            writeln!(output, "{line}")?;
            for Closing { socket, .. } in
                closings.iter().filter(|closing| closing.result == Outcome::Gone).take(SHOWN)
            {
                let (local, remote) = (
                    text::endpoint(socket.local_address, socket.local_port),
                    text::endpoint(socket.remote_address, socket.remote_port),
                );
                writeln!(output, "{} {local} to {remote} was gone before its turn", socket.state)?;
            }
            let mut failures: BTreeMap<&str, Vec<&Socket>> = BTreeMap::new();
            for closing in closings {
                if let Some(error) = &closing.error {
                    failures.entry(error).or_default().push(closing.socket);
                }
            }
            for (error, sockets) in failures {
                let first = sockets[0];
                let whom = text::endpoint(first.local_address, first.local_port);
                let more = match sockets.len() {
                    1 => String::new(),
                    count => format!(" and {} more", count - 1),
                };
                writeln!(output, "{} {whom}{more}: {error}", first.state)?;
            }
            output.flush()?;
        }
    }
    Ok(())
}
