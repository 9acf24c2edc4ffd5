//! The table.

use serde_json::{Value, json};

use crate::play::Played;
use crate::row::Row;

const HEADING: [&str; 7] =
    ["fault", "expected", "first found", "responsible", "pid/peer", "false alarms", "verdict"];

/// Prints all rows, what was wrong, and the sum.
pub(crate) fn print(rows: &[Row], played: &[Played]) {
    let cells: Vec<[String; 7]> = rows.iter().zip(played).map(|(row, played)| cells(row, played)).collect();
    let width = |column: usize| {
        let cells = cells.iter().map(|cells| cells[column].chars().count());
        cells.chain([HEADING[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..HEADING.len()).map(width).collect();
    let line = |cells: &[String; 7]| {
        let cells = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        println!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    };
    line(&HEADING.map(str::to_owned));
    cells.iter().for_each(line);
    println!();
    for (row, played) in rows.iter().zip(played).filter(|(row, played)| played.is_wrong(row)) {
        let Ok(shown) = &played.shown else { continue };
        for note in shown.notes.iter().chain(&shown.lacks) {
            println!("{}: {note}", row.name);
        }
    }
    let wrong = rows.iter().zip(played).filter(|(row, played)| played.is_wrong(row)).count();
    let skipped = played.iter().filter(|played| played.shown.is_err()).count();
    let note = if skipped == 0 { String::new() } else { format!(" ({skipped} skipped)") };
    println!("{} of {} right{note}", rows.len() - wrong - skipped, rows.len());
}

/// The same as an array, an object a row.
pub(crate) fn json(rows: &[Row], played: &[Played]) -> Value {
    let one = |(row, played): (&Row, &Played)| {
        let shown = played.shown.as_ref().ok();
        json!({
            "fault": row.name,
            "expected": row.expected.map(|expected| expected.code),
            "first_found": shown.and_then(|shown| shown.first.as_deref()),
            "responsible_right": shown.and_then(|shown| shown.responsible),
            "subject_right": shown.and_then(|shown| shown.who),
            "false_alarms": shown.map(|shown| &shown.false_alarms),
            "right": shown.map(|shown| shown.is_right(row)),
            "played_again": played.again,
            "skipped": played.shown.as_ref().err(),
            "notes": shown.map(|shown| shown.notes.iter().chain(&shown.lacks).collect::<Vec<_>>()),
        })
    };
    rows.iter().zip(played).map(one).collect()
}

fn cells(row: &Row, played: &Played) -> [String; 7] {
    let expected = row.expected.map_or("(healthy)", |expected| expected.code);
    let shown = match &played.shown {
        Ok(shown) => shown,
        Err(why) => {
            let verdict = format!("skipped: {why}");
            return [&row.name, expected, "", "", "", "", &verdict].map(str::to_owned);
        }
    };
    let word = |is_right: Option<bool>| match is_right {
        Some(true) => "yes",
        Some(false) => "NO",
        None => "-",
    };
    let alarms = if shown.false_alarms.is_empty() { "-".to_owned() } else { shown.false_alarms.join(", ") };
    let verdict = match (shown.is_right(row), played.again) {
        (true, false) => "right",
        (true, true) => "right (played again, alone)",
        (false, _) => "WRONG",
    };
    let first = shown.first.as_deref().unwrap_or("nothing");
    let (responsible, who) = (word(shown.responsible), word(shown.who));
    [&row.name, expected, first, responsible, who, &alarms, verdict].map(str::to_owned)
}
