//! What a program does with its end of a connection, step by step.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use super::schedule::{Written, parse_duration};

/// One step of a program. The next follows when it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Do {
    /// The first steps do not wait for the connection to be open, as they do otherwise.
    AtOnce,
    /// Sends so many bytes, as there is room for them.
    Send(u64),
    /// Reads so many bytes, or until the peer has closed.
    Receive(u64),
    /// Reads until the peer has closed.
    ReceiveAll,
    /// Sends so many bytes, and reads meanwhile what comes.
    Exchange(u64),
    /// Sends back whatever it reads, until the peer has closed.
    Echo,
    /// Reads no more than so many bytes at a time from now on, and waits after each.
    Pace {
        /// At a time; at least 1.
        bytes: u32,
        /// From one to the next.
        every: Duration,
    },
    /// Does nothing.
    Wait(Duration),
    /// Closes its sending direction.
    Shutdown,
    /// Closes the connection. What is not read by then makes this a reset.
    Close,
    /// Gives the connection up with a reset.
    Abort,
}

/// What a program does, from the first step to the last. An empty one opens a connection and leaves it alone.
///
/// A program whose connection fails is over; it closes what is left.
///
/// It can be written in words, a step each, with `;` between:
///
/// ```
/// use eleven_tcp::sim::{Do, Program};
///
/// let program: Program = "send 1000; shutdown; receive all; wait 50ms; close".parse()?;
/// assert_eq!(program.0.len(), 5);
/// assert_eq!(program.0[2], Do::ReceiveAll);
/// assert_eq!(program.to_string(), "send 1000; shutdown; receive all; wait 50ms; close");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Program(
    /// The steps.
    pub Vec<Do>,
);

impl<const N: usize> From<[Do; N]> for Program {
    fn from(steps: [Do; N]) -> Self {
        Self(steps.into())
    }
}

impl fmt::Display for Do {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtOnce => f.write_str("at once"),
            Self::Send(bytes) => write!(f, "send {bytes}"),
            Self::Receive(bytes) => write!(f, "receive {bytes}"),
            Self::ReceiveAll => f.write_str("receive all"),
            Self::Exchange(bytes) => write!(f, "exchange {bytes}"),
            Self::Echo => f.write_str("echo"),
            Self::Pace { bytes, every } => write!(f, "pace {bytes} {}", Written(*every)),
            Self::Wait(time) => write!(f, "wait {}", Written(*time)),
            Self::Shutdown => f.write_str("shutdown"),
            Self::Close => f.write_str("close"),
            Self::Abort => f.write_str("abort"),
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            write!(f, "{}{step}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

/// A step of a program that is not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseProgramError(
    /// The step.
    pub String,
);

impl fmt::Display for ParseProgramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is no step of a program; those are: at once, send N, receive N, receive all, exchange N, echo, \
             pace N 10ms, wait 10ms, shutdown, close, abort",
            self.0
        )
    }
}

impl core::error::Error for ParseProgramError {}

impl FromStr for Do {
    type Err = ParseProgramError;

    fn from_str(step: &str) -> Result<Self, ParseProgramError> {
        let words: Vec<&str> = step.split_whitespace().collect();
        let number = |word: &str| word.parse::<u64>().ok();
        let found = match *words.as_slice() {
            ["at", "once"] => Some(Self::AtOnce),
            ["send", bytes] => number(bytes).map(Self::Send),
            ["receive", "all"] => Some(Self::ReceiveAll),
            ["receive", bytes] => number(bytes).map(Self::Receive),
            ["exchange", bytes] => number(bytes).map(Self::Exchange),
            ["echo"] => Some(Self::Echo),
            ["pace", bytes, every] => bytes
                .parse()
                .ok()
                .zip(parse_duration(every))
                .map(|(bytes, every)| Self::Pace { bytes, every }),
            ["wait", time] => parse_duration(time).map(Self::Wait),
            ["shutdown"] => Some(Self::Shutdown),
            ["close"] => Some(Self::Close),
            ["abort"] => Some(Self::Abort),
            _ => None,
        };
        found.ok_or_else(|| ParseProgramError(step.trim().to_string()))
    }
}

impl FromStr for Program {
    type Err = ParseProgramError;

    fn from_str(text: &str) -> Result<Self, ParseProgramError> {
        let steps = text.split(';').filter(|step| !step.trim().is_empty());
        steps.map(Do::from_str).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_understood_and_printed() {
        let text = "at once; send 5; receive 3; receive all; exchange 7; echo; pace 10 5ms; wait 1s; shutdown; \
                    close; abort";
        let program: Program = text.parse().unwrap();
        assert_eq!(program.to_string(), text);
        for wrong in ["send", "send all", "wait 5", "pace 3", "shout"] {
            let error = wrong.parse::<Program>().unwrap_err();
            assert!(error.to_string().contains(&format!("`{wrong}`")), "{error}");
        }
        assert_eq!("".parse(), Ok(Program::default()));
    }
}
