//! Asking before something is done that cannot be undone.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

/// The question could not be asked.
#[derive(Debug, thiserror::Error)]
#[error("standard input is no terminal to ask at; --yes does it unasked, --dry-run only shows it")]
pub(crate) struct NobodyToAsk;

/// Asks on standard error. Only `y`, `yes` and `是` are a yes.
///
/// # Errors
/// [`NobodyToAsk`] where standard input is no terminal, or what reading from it gave.
pub(crate) fn confirm(question: &str) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        return Err(NobodyToAsk.into());
    }
    let mut stderr = io::stderr();
    write!(stderr, "{question} [y/N] ")?;
    stderr.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes" | "是"))
}
