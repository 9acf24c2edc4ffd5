//! Findings for a person: what is wrong, who must act, why, what to type.

use std::io::{self, Write};

use eleven_doctor::{Confidence, Judgement, Severity, Verdict};
use eleven_knowledge::DoctorTexts;

use super::report::{self, Report, key_of};
use super::{Looks, Shown};
use crate::output::{Output, Paint, Style, note, print_paragraph};
use crate::text;

/// Lines that begin a section stand so far in.
const INDENT: &str = "  ";

pub(super) fn all(output: &mut Output, texts: &DoctorTexts, shown: &Shown<'_>) -> io::Result<()> {
    let columns = output.text_columns();
    if let Some(looks) = shown.looks
        && shown.findings.iter().all(|finding| finding.severity == Severity::Info)
    {
        let healthy = format!("{} ({}).", texts.word("healthy"), what_was_seen(looks, texts));
        print_paragraph(output, &healthy, "", "", columns)?;
        if !shown.findings.is_empty() {
            writeln!(output)?;
        }
    }
    for (index, finding) in shown.findings.iter().enumerate() {
        if index > 0 {
            writeln!(output)?;
        }
        let report = Report::of(finding, texts);
        let brief = finding.severity == Severity::Info && shown.verdicts.is_none();
        one(output, texts, &report, brief)?;
    }
    if let Some(verdicts) = shown.verdicts {
        writeln!(output)?;
        for verdict in verdicts {
            let (word, why) = verdict_words(verdict, texts);
            let gap = " ".repeat(WORD.saturating_sub(text::width(&word)));
            let first = format!("{:<26} {word}{gap} ", verdict.rule.code);
            if why.is_empty() {
                writeln!(output, "{}", first.trim_end())?;
            }
            paragraph(output, &why, &first, &" ".repeat(28 + WORD), columns)?;
        }
        for server in shown.servers {
            print_paragraph(output, server, "", INDENT, columns)?;
        }
    }
    Ok(())
}

/// `12,345 sockets, 5 s`.
fn what_was_seen(looks: &Looks, texts: &DoctorTexts) -> String {
    let sockets = format!("{} {}", text::thousands(looks.after.digest.rows()), texts.word("sockets"));
    let sockets = text::numbered(&sockets);
    match looks.elapsed_s() {
        Some(elapsed) => format!("{sockets}, {}", text::duration((elapsed * 1000.0) as u64)),
        None => sockets,
    }
}

/// The titles of findings, one below the other.
pub(in crate::commands) fn titles(
    output: &mut Output,
    texts: &DoctorTexts,
    reports: &[Report<'_>],
) -> io::Result<()> {
    for report in reports.iter().take(TITLES) {
        title(output, texts, report)?;
    }
    if reports.len() > TITLES {
        let more = format!("… {}", reports.len() - TITLES);
        writeln!(output, "{}", output.paint.text(Style::Dim, &more))?;
    }
    Ok(())
}

/// Findings named on a screen that shows much else.
const TITLES: usize = 8;

/// The title of a finding, in the colour of its severity.
pub(super) fn title(output: &mut Output, texts: &DoctorTexts, report: &Report<'_>) -> io::Result<()> {
    let columns = output.text_columns();
    let word = texts.word(&key_of(&report.severity)).to_owned();
    let style = style(report.severity);
    let indent = " ".repeat(text::width(&word) + 1);
    for (index, line) in text::wrap(&report.title, columns.saturating_sub(indent.len())).iter().enumerate() {
        if index == 0 {
            writeln!(output, "{} {}", output.paint.text(style, &word), output.paint.text(Style::Bold, line))?;
        } else {
            writeln!(output, "{indent}{}", output.paint.text(Style::Bold, line))?;
        }
    }
    Ok(())
}

const fn style(severity: Severity) -> Style {
    match severity {
        Severity::Critical => Style::Alarm,
        Severity::Warning => Style::State(eleven_tcp::State::SynSent),
        Severity::Info => Style::Dim,
    }
}

/// A section's name and its text beside it.
fn section(output: &mut Output, name: &str, body: &str, columns: usize) -> io::Result<()> {
    let heading = format!("{INDENT}{}{}  ", output.paint.text(Style::Bold, name), pad(name));
    let rest = " ".repeat(INDENT.len() + HEADING + 2);
    paragraph(output, body, &heading, &rest, columns)
}

/// Columns of the longest answer of a rule.
const WORD: usize = 10;

/// Columns of the longest heading.
const HEADING: usize = 12;

fn pad(name: &str) -> String {
    " ".repeat(HEADING.saturating_sub(text::width(name)))
}

/// A paragraph whose first line stands behind something that may be painted.
fn paragraph(output: &mut Output, body: &str, first: &str, rest: &str, columns: usize) -> io::Result<()> {
    // print_paragraph measures `first`, and sequences of colour have no width.
    let plain = " ".repeat(rest.len());
    let mut lines = Vec::new();
    for line in text::wrap(body, columns.saturating_sub(rest.len())) {
        lines.push(line);
    }
    let mut inside = false;
    for (index, line) in lines.iter().enumerate() {
        let (painted, closes) = paint_line(output.paint, line, inside);
        inside = closes;
        writeln!(output, "{}{painted}", if index == 0 { first } else { &plain })?;
    }
    Ok(())
}

/// Paints the commands of a line; one may have begun on the line before.
fn paint_line(paint: Paint, line: &str, inside: bool) -> (String, bool) {
    let whole = if inside { format!("`{line}") } else { line.to_owned() };
    let open = whole.matches('`').count() % 2 == 1;
    if !paint.is_enabled() {
        return (line.to_owned(), open);
    }
    (paint.commands(&if open { format!("{whole}`") } else { whole }), open)
}

fn one(output: &mut Output, texts: &DoctorTexts, report: &Report<'_>, brief: bool) -> io::Result<()> {
    let columns = output.text_columns();
    title(output, texts, report)?;
    if brief {
        print_paragraph(output, &report.cause, INDENT, INDENT, columns)?;
        let code = format!("`eleven explain {}`", report.code);
        return print_paragraph(output, &code, INDENT, INDENT, columns);
    }
    let mut who = texts.word(&key_of(&report.responsible)).to_owned();
    if report.confidence < Confidence::Certain {
        who = format!("{who} ({})", texts.word(&key_of(&report.confidence)));
    }
    section(output, texts.word("who"), &who, columns)?;
    section(output, texts.word("cause"), &report.cause, columns)?;
    let width = report.evidence.iter().map(|evidence| text::width(&evidence.what)).max().unwrap_or(0).min(44);
    let rest = " ".repeat(INDENT.len() + HEADING + 2);
    for (index, evidence) in report.evidence.iter().enumerate() {
        let gap = " ".repeat(width.saturating_sub(text::width(&evidence.what)) + 2);
        let first = if index == 0 {
            let name = texts.word("evidence");
            format!("{INDENT}{}{}  ", output.paint.text(Style::Bold, name), pad(name))
        } else {
            rest.clone()
        };
        let hang = rest.len() + width + 2;
        for (row, line) in text::wrap(&evidence.text, columns.saturating_sub(hang).max(20)).iter().enumerate()
        {
            if row == 0 {
                writeln!(output, "{first}{}{gap}{line}", evidence.what)?;
            } else {
                writeln!(output, "{}{line}", " ".repeat(hang))?;
            }
        }
    }
    for (index, fix) in report.fixes.iter().enumerate() {
        let name = if index == 0 { texts.word("fix") } else { "" };
        let number = format!("{}. ", index + 1);
        let heading = format!("{INDENT}{}{}  {number}", output.paint.text(Style::Bold, name), pad(name));
        let hang = " ".repeat(rest.len() + number.len());
        paragraph(output, &fix.what, &heading, &hang, columns)?;
        if let Some(command) = &fix.command {
            // A command is never broken: it is to be copied.
            let current = fix.current.as_ref().map_or_else(String::new, |current| {
                output.paint.text(Style::Dim, &format!("   # {} {current}", texts.word("now")))
            });
            writeln!(output, "{hang}{}{current}", output.paint.text(Style::Code, command))?;
        }
        let is_real_risk =
            !fix.risk.is_empty() && fix.command.is_some() && !fix.risk.starts_with(texts.word("none"));
        if is_real_risk || !fix.reversible {
            let undo =
                if fix.reversible { String::new() } else { format!(" ({})", texts.word("not-reversible")) };
            let risk = format!("{}: {}{undo}", texts.word("risk"), fix.risk);
            for line in text::wrap(&risk, columns.saturating_sub(hang.len())) {
                writeln!(output, "{hang}{}", output.paint.text(Style::Dim, &line))?;
            }
        }
    }
    section(output, texts.word("verify"), &report.verify, columns)?;
    for (index, missing) in report.missing.iter().enumerate() {
        section(output, if index == 0 { texts.word("missing") } else { "" }, missing, columns)?;
    }
    let mut see = Vec::new();
    for reference in report.references {
        let is_command = reference.starts_with("eleven ");
        see.push(if is_command { format!("`{reference}`") } else { (*reference).to_owned() });
    }
    see.push(format!("`eleven explain {}`", report.code));
    section(output, texts.word("see"), &see.join("; "), columns)
}

fn verdict_words(verdict: &Verdict, texts: &DoctorTexts) -> (String, String) {
    match &verdict.judgement {
        Judgement::Found(found) => (texts.word("found").to_owned(), found.len().to_string()),
        Judgement::Passed(evidence) => (texts.word("passed").to_owned(), report::line(evidence, texts)),
        Judgement::Undecided(missing) => {
            let why: Vec<String> =
                missing.iter().map(|missing| report::missing_text(*missing, texts)).collect();
            (texts.word("undecided").to_owned(), why.join("; "))
        }
    }
}

/// The answers of the rules on standard error, where standard output is for programs.
pub(super) fn say_verdicts(texts: &DoctorTexts, shown: &Shown<'_>) {
    for verdict in shown.verdicts.into_iter().flatten() {
        let (word, why) = verdict_words(verdict, texts);
        note(&format!("{} {word} {why}", verdict.rule.code));
    }
    if shown.verdicts.is_some() {
        shown.servers.iter().for_each(|server| note(server));
    }
}
