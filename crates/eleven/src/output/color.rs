//! Colours, the same for a state wherever it appears.

use eleven_tcp::State;

/// How a piece of text looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// As the terminal has it.
    Plain,
    /// Headings.
    Bold,
    /// What matters less.
    Dim,
    /// What is wrong.
    Alarm,
    /// Something to type.
    Code,
    /// A state.
    State(State),
}

impl Style {
    /// The ANSI sequence that turns the style on; `None` for the plain one.
    ///
    /// States are coloured by what they ask of the reader: green runs, blue waits for
    /// clients, yellow opens, cyan closes by itself, red waits for the program, grey is over.
    fn sequence(self) -> Option<&'static str> {
        Some(match self {
            Self::Plain => return None,
            Self::Bold => "\x1b[1m",
            Self::Dim | Self::State(State::TimeWait | State::Closed) => "\x1b[90m",
            Self::Alarm => "\x1b[1;31m",
            Self::Code | Self::State(State::FinWait1 | State::FinWait2) => "\x1b[36m",
            Self::State(State::Listen) => "\x1b[34m",
            Self::State(State::SynSent | State::SynReceived) => "\x1b[33m",
            Self::State(State::Established) => "\x1b[32m",
            Self::State(State::CloseWait) => "\x1b[31m",
            Self::State(State::Closing | State::LastAck) => "\x1b[35m",
        })
    }
}

/// Puts colours on text, or leaves it as it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint {
    enabled: bool,
}

impl Paint {
    /// With colours or without.
    pub(crate) const fn new(enabled: bool) -> Self {
        Self { enabled }
    }

    /// Whether there are colours.
    pub(crate) const fn is_enabled(self) -> bool {
        self.enabled
    }

    /// The text in a style.
    pub(crate) fn text(self, style: Style, text: &str) -> String {
        let mut out = String::with_capacity(text.len() + 10);
        self.push(&mut out, style, text);
        out
    }

    /// Appends the text in a style.
    pub(crate) fn push(self, out: &mut String, style: Style, text: &str) {
        match style.sequence().filter(|_| self.enabled) {
            Some(sequence) => {
                out.push_str(sequence);
                out.push_str(text);
                out.push_str("\x1b[0m");
            }
            None => out.push_str(text),
        }
    }

    /// Paints every part between backticks as something to type, without the backticks when
    /// there is a colour to tell it by.
    pub(crate) fn commands(self, text: &str) -> String {
        if !self.enabled {
            return text.to_owned();
        }
        let mut out = String::with_capacity(text.len() + 16);
        for (index, part) in text.split('`').enumerate() {
            self.push(&mut out, if index % 2 == 1 { Style::Code } else { Style::Plain }, part);
        }
        out
    }
}
