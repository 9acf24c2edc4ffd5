//! The state diagram with both ends' places in it, small enough to be drawn anew at each step.

use eleven_tcp::State;

use crate::output::{Paint, Style};

/// Each name of a state has a blank on both sides, for the marks.
const PICTURE: &str = include_str!("diagram.txt");

/// Stands before the name of the subject's state.
const SUBJECT: char = '◆';
/// Stands behind the name of the peer's state.
const PEER: char = '◇';

/// The lines of the diagram, with the subject and the peer in these states.
pub(super) fn lines(paint: Paint, subject: State, peer: State) -> Vec<String> {
    let mut lines: Vec<String> =
        PICTURE.lines().map(|line| marked(paint, &format!("{line} "), subject, peer)).collect();
    let place = |mark, name, state: State| {
        format!("{mark} {name} {}", paint.text(Style::State(state), &format!("{:<11}", state.as_str())))
    };
    lines.push(String::new());
    lines.push(format!("     {}    {}", place(SUBJECT, "subject", subject), place(PEER, "peer", peer)));
    lines
}

/// A line with the marks where these states stand in it.
fn marked(paint: Paint, line: &str, subject: State, peer: State) -> String {
    let mut line = line.to_owned();
    let mut here: Vec<State> = State::ALL.into_iter().filter(|state| line.contains(&word(*state))).collect();
    here.sort_unstable_by_key(|state| std::cmp::Reverse(line.find(&word(*state))));
    // From the right to the left, so that places stay where they are.
    for state in here {
        let before = if state == subject { SUBJECT } else { ' ' };
        let after = if state == peer { PEER } else { ' ' };
        let is_place = state == subject || state == peer;
        let style = if is_place { Style::State(state) } else { Style::Dim };
        let name = paint.text(style, state.as_str());
        let name = if is_place { paint.text(Style::Bold, &name) } else { name };
        line = line.replacen(&word(state), &format!("{before}{name}{after}"), 1);
    }
    line.trim_end().to_owned()
}

fn word(state: State) -> String {
    format!(" {state} ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_its_place_and_is_marked_there() {
        for state in State::ALL {
            let count = PICTURE.lines().filter(|line| format!("{line} ").contains(&word(state))).count();
            assert_eq!(count, 1, "{state}");
            let text = lines(Paint::new(false), state, state).join("\n");
            assert!(text.contains(&format!("{SUBJECT}{state}{PEER}")), "{text}");
            assert_eq!(text.matches(SUBJECT).count(), 2, "once in the diagram, once below: {text}");
        }
    }
}
