//! A connection of this host, by its two ends: `10.0.0.1:443-10.0.0.9:51234`.

use std::io::Write;
use std::net::SocketAddr;

use anyhow::Context;
use eleven_snapshot::Socket;
use serde::Serialize;

use crate::cli::{Format, Global};
use crate::commands::why::{Said, Whys};
use crate::commands::{collect, language, parse_filter, print_sockets};
use crate::fields::Needs;
use crate::output::{CsvRecords, JsonRecords, Output, print_paragraph};
use crate::text;

/// The two ends, if a word is one of these.
pub(super) fn ends(word: &str) -> Option<(SocketAddr, SocketAddr)> {
    let (local, remote) = word.split_once('-')?;
    Some((local.parse().ok()?, remote.parse().ok()?))
}

#[derive(Serialize)]
struct Record<'a> {
    why: Said,
    #[serde(flatten)]
    socket: &'a Socket,
}

/// Shows the connection, or both of its ends where both are here, and says what each waits for.
pub(super) fn run(global: &Global, (local, remote): (SocketAddr, SocketAddr)) -> anyhow::Result<()> {
    let side = |one: SocketAddr, other: SocketAddr| {
        format!(
            "src {} and sport = :{} and dst {} and dport = :{}",
            one.ip(),
            one.port(),
            other.ip(),
            other.port()
        )
    };
    // The other end is often on this host too, and tells the other half.
    let filter = format!("({}) or ({})", side(local, remote), side(remote, local));
    let filter = parse_filter(&[filter])?;
    let mut needs = Needs::NOTHING;
    needs.labelling.owners = true;
    needs.extensions.tcp_info = true;
    let mut sockets = collect(global, &filter, needs)?;
    sockets.sort_by_key(|socket| socket.local_port != Some(local.port()));
    sockets.first().with_context(|| {
        format!("there is no connection from {local} to {remote} here; `--netns all` looks everywhere")
    })?;
    let mut whys = Whys::new(language(global));
    let mut output = Output::open(global)?;
    match output.format {
        Format::Table => {
            for (index, socket) in sockets.iter().enumerate() {
                if index > 0 {
                    writeln!(output)?;
                }
                print_sockets(&mut output, global, std::slice::from_ref(socket), 1)?;
                let columns = output.text_columns();
                print_paragraph(&mut output, &whys.say(socket).sentence, "  ", "  ", columns)?;
            }
        }
        Format::Json | Format::Ndjson => {
            let format = output.format;
            let mut records = JsonRecords::new(&mut output, format);
            for socket in &sockets {
                records.write(&Record { why: whys.say(socket), socket })?;
            }
            records.finish()?;
        }
        Format::Csv => {
            let mut records = CsvRecords::new(&mut output, ["state", "local", "remote", "why"])?;
            for socket in &sockets {
                records.write([
                    socket.state.as_str(),
                    &text::endpoint(socket.local_address, socket.local_port),
                    &text::endpoint(socket.remote_address, socket.remote_port),
                    &whys.say(socket).sentence,
                ])?;
            }
            records.finish()?;
        }
    }
    output.flush()?;
    Ok(())
}
