//! The state diagram in the terminal: whole, or around one state.

use std::io::{self, Write};

use eleven_knowledge::Language;
use eleven_tcp::State;
use eleven_tcp::diagram::{Edge, edges, edges_from, edges_into};

use super::words::heading;
use crate::output::{Output, Paint, Style};
use crate::text;

/// The life of a connection without accidents. The arrows are [`DRAWN`]; their inscriptions
/// are those of `eleven_tcp::diagram`, and a test holds both against the rules.
const PICTURE: &str = include_str!("diagram.txt");

/// The arrows of the picture.
#[cfg(test)]
const DRAWN: [(State, State); 20] = [
    (State::Closed, State::Listen),
    (State::Closed, State::SynSent),
    (State::Listen, State::SynReceived),
    (State::Listen, State::SynSent),
    (State::Listen, State::Closed),
    (State::SynSent, State::SynReceived),
    (State::SynSent, State::Established),
    (State::SynSent, State::Closed),
    (State::SynReceived, State::Established),
    (State::SynReceived, State::FinWait1),
    (State::Established, State::FinWait1),
    (State::Established, State::CloseWait),
    (State::FinWait1, State::FinWait2),
    (State::FinWait1, State::Closing),
    (State::FinWait1, State::TimeWait),
    (State::FinWait2, State::TimeWait),
    (State::Closing, State::TimeWait),
    (State::CloseWait, State::LastAck),
    (State::LastAck, State::Closed),
    (State::TimeWait, State::Closed),
];

/// Prints the picture, and below it the arrows that it leaves out.
pub(super) fn print_whole(output: &mut Output, language: Language) -> io::Result<()> {
    let paint = output.paint;
    let fits = output.columns.is_none_or(|columns| columns >= picture_width());
    if fits {
        for line in PICTURE.lines() {
            writeln!(output, "{}", paint_states(paint, line))?;
        }
        writeln!(output, "\n{}", paint.text(Style::Bold, heading("accidents", language)))?;
        // Of an arrow in the picture, what it can stand for besides.
        let besides = |edge: Edge| if is_drawn(&edge) { edge.accidents() } else { Some(edge) };
        for edge in edges().into_iter().filter_map(besides) {
            print_edge(output, &edge)?;
        }
    } else {
        for edge in edges() {
            print_edge(output, &edge)?;
        }
    }
    Ok(())
}

fn picture_width() -> usize {
    PICTURE.lines().map(text::width).max().unwrap_or(0)
}

/// The picture shows the ordinary arrows between boxes.
fn is_drawn(edge: &Edge) -> bool {
    let beside = [
        (State::SynReceived, State::Listen),
        (State::SynSent, State::CloseWait),
        (State::SynReceived, State::CloseWait),
        (State::TimeWait, State::SynReceived),
    ];
    edge.is_ordinary() && !beside.contains(&(edge.from, edge.to))
}

fn print_edge(output: &mut Output, edge: &Edge) -> io::Result<()> {
    let (paint, columns) = (output.paint, output.columns.unwrap_or(usize::MAX));
    let from = paint.text(Style::State(edge.from), &format!("{:<11}", edge.from));
    let to = paint.text(Style::State(edge.to), edge.to.as_str());
    let labels = edge.labels().join(" | ");
    if EDGE_INDENT + text::width(&labels) <= columns {
        let blank = " ".repeat(11_usize.saturating_sub(edge.to.as_str().len()));
        return writeln!(output, "  {from} → {to}{blank}  {}", paint.text(Style::Dim, &labels));
    }
    writeln!(output, "  {from} → {to}")?;
    for label in edge.labels() {
        for line in text::wrap(&label, columns.saturating_sub(6)) {
            writeln!(output, "      {}", paint.text(Style::Dim, &line))?;
        }
    }
    Ok(())
}

/// Columns before the inscriptions of an arrow that has a line of its own.
const EDGE_INDENT: usize = 2 + 11 + 3 + 11 + 2;

/// Paints the names of states wherever they stand in a line.
fn paint_states(paint: Paint, line: &str) -> String {
    let mut painted = line.to_owned();
    // Longer names first: no state's name is part of another's, but the order costs nothing.
    for state in State::ALL {
        if painted.contains(state.as_str()) {
            painted = painted.replace(state.as_str(), &paint.text(Style::State(state), state.as_str()));
        }
    }
    painted
}

/// Prints the ways into and out of a state: drawn where the terminal is wide enough, else
/// listed.
pub(super) fn print_around(output: &mut Output, state: State) -> io::Result<()> {
    let lines = around(state);
    let width = lines.iter().map(|line| text::width(line)).max().unwrap_or(0);
    if output.columns.is_none_or(|columns| width <= columns) {
        return lines.iter().try_for_each(|line| writeln!(output, "{line}"));
    }
    edges_into(state).iter().chain(&edges_from(state)).try_for_each(|edge| print_edge(output, edge))
}

/// The ways into and out of a state, with the state in a box between them.
fn around(state: State) -> Vec<String> {
    let (into, out) = (edges_into(state), edges_from(state));
    let name = state.as_str();
    let from_width = into.iter().map(|edge| edge.from.as_str().len()).max().unwrap_or(0);
    let label_width =
        into.iter().chain(&out).flat_map(Edge::labels).map(|label| label.len()).max().unwrap_or(0);
    // The trunk that carries the arrows runs through the middle of the box.
    let trunk = (from_width + label_width + 9).max(name.len() / 2 + 4);
    let box_start = trunk - name.len() / 2 - 2;
    let pad = |columns: usize| " ".repeat(columns);
    let mut lines = Vec::new();

    let mut first = true;
    for edge in &into {
        for (index, label) in edge.labels().into_iter().enumerate() {
            let dash = dash(edge);
            let from = if index == 0 { edge.from.as_str() } else { "" };
            let used = 2 + from_width + 1 + 3 + label.len() + 1;
            let line = dash.repeat(trunk.saturating_sub(used + 1));
            let corner = if first { "╮" } else { "┤" };
            first = false;
            lines.push(format!("  {from:<from_width$} {dash}{dash} {label} {line}▶{corner}"));
        }
    }
    let width = name.len() + 2;
    let at = trunk - box_start;
    let edge_line = |left: &str, right: &str, mark: &str, marked: bool| {
        let mut line: Vec<&str> = vec!["─"; width];
        if marked {
            line[at.min(width).saturating_sub(1)] = mark;
        }
        format!("{}{left}{}{right}", pad(box_start), line.concat())
    };
    lines.push(edge_line("╭", "╮", "┴", !into.is_empty()));
    lines.push(format!("{}│ {name} │", pad(box_start)));
    lines.push(edge_line("╰", "╯", "┬", !out.is_empty()));
    let rows: Vec<(usize, &Edge, String)> = out
        .iter()
        .flat_map(|edge| {
            edge.labels().into_iter().enumerate().map(move |(index, label)| (index, edge, label))
        })
        .collect();
    let out_width = rows.iter().map(|(_, _, label)| label.len()).max().unwrap_or(0);
    // Long inscriptions go to the left of the trunk's column so that the drawing stays narrow.
    let out_trunk = trunk;
    for (place, (index, edge, label)) in rows.iter().enumerate() {
        let dash = dash(edge);
        let corner = if place + 1 == rows.len() { "╰" } else { "├" };
        let line = dash.repeat(out_width - label.len() + 1);
        let to = if *index == 0 { edge.to.as_str() } else { "" };
        let arrow = if to.is_empty() { "╯".to_owned() } else { format!("▶ {to}") };
        lines.push(format!("{}{corner}{dash} {label} {line}{arrow}", pad(out_trunk)).trim_end().to_owned());
    }
    lines
}

/// An ordinary arrow is drawn through, an accident's is dotted.
fn dash(edge: &Edge) -> &'static str {
    if edge.is_ordinary() { "─" } else { "┄" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_draws_the_rules_arrows() {
        let mut drawn = DRAWN.to_vec();
        let mut expected: Vec<(State, State)> =
            edges().iter().filter(|edge| is_drawn(edge)).map(|edge| (edge.from, edge.to)).collect();
        drawn.sort_unstable();
        expected.sort_unstable();
        assert_eq!(drawn, expected);
    }

    #[test]
    fn the_picture_names_every_state_and_fits_a_terminal() {
        for state in State::ALL {
            assert!(
                PICTURE.contains(&format!("│ {state} │"))
                    || PICTURE.contains(&format!("│ {state} ├"))
                    || PICTURE.contains(&format!("┤ {state} ├")),
                "{state} has no box"
            );
        }
        assert!(picture_width() <= 80, "{}", picture_width());
        for line in PICTURE.lines() {
            assert_eq!(line, line.trim_end());
        }
    }

    #[test]
    fn every_state_has_its_surroundings() {
        for state in State::ALL {
            let lines = around(state);
            assert!(lines.iter().any(|line| line.contains(&format!("│ {state} │"))), "{state}");
            for edge in edges_from(state) {
                assert!(lines.iter().any(|line| line.ends_with(edge.to.as_str())), "{state} → {}", edge.to);
            }
        }
    }
}
