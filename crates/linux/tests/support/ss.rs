//! What `ss` says of the calling thread's namespace.

use std::collections::BTreeMap;
use std::process::Command;

/// A row of `ss -tanOeoH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SsRow {
    pub(crate) state: String,
    pub(crate) recv_queue: u32,
    pub(crate) send_queue: u32,
    pub(crate) local: String,
    pub(crate) remote: String,
    /// `timer:(on,1sec,0)` gives `on`.
    pub(crate) timer: Option<String>,
    /// `uid:`, `ino:`, `sk:` and the like.
    pub(crate) details: BTreeMap<String, String>,
}

impl SsRow {
    /// The kernel's cookie, which ss prints as `sk:` in hexadecimal.
    pub(crate) fn cookie(&self) -> u64 {
        u64::from_str_radix(&self.details["sk"], 16).expect("ss prints cookies in hexadecimal")
    }
}

/// Runs it.
///
/// # Errors
/// Why there is nothing to compare with.
pub(crate) fn rows() -> Result<Vec<SsRow>, String> {
    let output = Command::new("ss").args(["-tanOeoH"]).output().map_err(|error| format!("no ss: {error}"))?;
    if !output.status.success() {
        return Err(format!("no ss that works: {}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(parse).collect())
}

fn parse(line: &str) -> SsRow {
    let mut words = line.split_ascii_whitespace();
    let mut word = || words.next().unwrap_or_else(|| panic!("a row of ss is short: {line}")).to_owned();
    let (state, recv_queue, send_queue, local, remote) = (word(), word(), word(), word(), word());
    let details: BTreeMap<String, String> = words
        .filter_map(|word| word.split_once(':'))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    SsRow {
        state,
        recv_queue: recv_queue.parse().expect("a number"),
        send_queue: send_queue.parse().expect("a number"),
        local,
        remote,
        timer: details
            .get("timer")
            .and_then(|timer| timer.strip_prefix('(')?.split(',').next())
            .map(str::to_owned),
        details,
    }
}
