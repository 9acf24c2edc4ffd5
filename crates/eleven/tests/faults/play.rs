//! Playing the rows: several at a time, each in a namespace of its own; a wrong one once more, alone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, Stdio};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;

use eleven_testbed::namespace::Net;
use serde_json::Value;

use crate::judge::{Shown, judge};
use crate::row::{Fault, Row, Skip};

/// What came of a row.
#[derive(Debug)]
pub(crate) struct Played {
    name: String,
    /// What doctor said, or why it could not be asked.
    pub(crate) shown: Result<Shown, String>,
    /// It was wrong at first, among others, and was played again alone.
    pub(crate) again: bool,
}

impl Played {
    /// Whether it was played, and shows something wrong.
    pub(crate) fn is_wrong(&self, row: &Row) -> bool {
        self.shown.as_ref().is_ok_and(|shown| !shown.is_right(row))
    }
}

/// So many may work at the same time; who waits lets others go first.
struct Places {
    free: Mutex<usize>,
    left: Condvar,
}

impl Places {
    fn new(count: usize) -> Self {
        Self { free: Mutex::new(count), left: Condvar::new() }
    }

    fn taken<T>(&self, work: impl FnOnce() -> T) -> T {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = self.left.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        drop(free);
        let done = work();
        *self.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.left.notify_one();
        done
    }
}

/// Plays all of them; what came of each, in their order.
pub(crate) fn all(rows: &[Row], at_once: usize) -> Vec<Played> {
    let places = Places::new(at_once);
    // What has waited for long is not to wait for others: a server may have timeouts of its own.
    let ripe = Places::new(2 * at_once);
    let mut played: Vec<Played> = thread::scope(|scope| {
        // Those that have to wait first begin first.
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by_key(|index| std::cmp::Reverse(rows[*index].ripens));
        let mut running: Vec<_> = order
            .into_iter()
            .map(|index| {
                let (row, places, ripe) = (&rows[index], &places, &ripe);
                let thread = thread::Builder::new().name(row.name.clone());
                (index, thread.spawn_scoped(scope, move || once(row, places, ripe)).expect("a thread"))
            })
            .collect();
        running.sort_by_key(|(index, _)| *index);
        running
            .into_iter()
            .map(|(index, thread)| {
                let shown = thread.join().unwrap_or_else(|_| Err("it panicked".to_owned()));
                Played { name: rows[index].name.clone(), shown, again: false }
            })
            .collect()
    });
    // A busy machine may have been too slow for what a row makes or for what it shows.
    let alone = Places::new(1);
    thread::scope(|scope| {
        let wrong = rows.iter().zip(&mut played).filter(|(row, played)| played.is_wrong(row));
        let running: Vec<_> = wrong
            .map(|(row, played)| {
                let alone = &alone;
                (played, scope.spawn(move || once(row, alone, alone)))
            })
            .collect();
        for (played, thread) in running {
            // For whoever wants to know what a busy machine does.
            if let Ok(shown) = &played.shown {
                let notes = shown.notes.iter().chain(&shown.lacks);
                notes.for_each(|note| eprintln!("{}: at first: {note}", played.name));
            }
            played.shown = thread.join().unwrap_or_else(|_| Err("it panicked".to_owned()));
            played.again = true;
        }
    });
    played
}

fn once(row: &Row, places: &Places, ripe: &Places) -> Result<Shown, String> {
    if let Some(why) = row.unseen {
        return Err(why.to_owned());
    }
    let shown = catch_unwind(AssertUnwindSafe(|| try_once(row, places, ripe)));
    let shown = shown.unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().cloned();
        let said = said.or_else(|| panic.downcast_ref::<&str>().map(|said| (*said).to_owned()));
        Ok(broken(said.unwrap_or_default()))
    });
    shown.map_err(|Skip(why)| why)
}

/// A row that did not come about although it should have: wrong.
fn broken(why: String) -> Shown {
    Shown { lacks: vec![why], ..Shown::default() }
}

fn try_once(row: &Row, places: &Places, ripe: &Places) -> Result<Shown, Skip> {
    let net = Net::new()?;
    let look = |fault: &Fault| match findings(&net, row, fault) {
        Ok(findings) => judge(row, fault, &findings),
        Err(why) => broken(why),
    };
    if row.ripens.is_zero() {
        return places.taken(|| {
            let fault = (row.make)(&net)?;
            let shown = look(&fault);
            fault.end();
            Ok(shown)
        });
    }
    let fault = places.taken(|| (row.make)(&net))?;
    thread::sleep(row.ripens);
    let shown = ripe.taken(|| look(&fault));
    fault.end();
    Ok(shown)
}

/// What doctor finds in a namespace, or where the fault says.
fn findings(net: &Net, row: &Row, fault: &Fault) -> Result<Vec<Value>, String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eleven"));
    command.args(["doctor", "--format", "json"]);
    if fault.asks.is_empty() {
        let netns = fault.netns.clone().unwrap_or_else(|| net.path());
        let apart = format!("{}ms", row.looks.as_millis());
        command.args(["--netns", &netns, "--for", &apart]);
    } else {
        command.args(&fault.asks);
    }
    command.stdin(Stdio::null()).env("LC_ALL", "C.UTF-8");
    for name in ["LANG", "LC_MESSAGES", "NO_COLOR", "COLUMNS"] {
        command.env_remove(name);
    }
    let output = command.output().map_err(|error| format!("doctor does not start: {error}"))?;
    match serde_json::from_slice(&output.stdout) {
        Ok(Value::Array(findings)) if output.status.success() => Ok(findings),
        _ => Err(format!("doctor {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim())),
    }
}
