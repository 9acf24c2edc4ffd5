//! The filter language: ss's, and questions that ss does not know.
//!
//! ```
//! use eleven::filter::{Filter, NoNames};
//!
//! let filter = Filter::parse("state time-wait and dport = :443", &NoNames)?;
//! assert_eq!(filter.to_string(), "state TIME_WAIT and dport = 443");
//! # Ok::<(), eleven::filter::FilterError>(())
//! ```
//!
//! [`Filter::parse`] reads a filter, [`Filter::matches`] decides about a socket, and
//! [`Filter::states`], [`Filter::families`], [`Filter::kernel_filter`] and
//! [`Filter::needs`] say how little has to be read to find the sockets that match.
//!
//! # Where it differs from ss
//!
//! - `and` binds tighter than `or`, as ss documents; ss's grammar takes them from left to
//!   right as they come.
//! - Signs need no blanks around them: `dport=443`, `(sport 22)`.
//! - `state` and `exclude` may stand anywhere. Side by side they are one set, as in ss;
//!   with `and`, `or` and `not` they are tests like any other.
//! - `autobound` goes by the range from which the kernel chooses ports, which can also be
//!   asked of a saved snapshot. The kernel's own flag says yes of every accepted
//!   connection, whatever its port.
//! - An IPv6 address without brackets has no port: `::1` is an address.
//!
//! The same language chooses flows of a capture: [`Subject`] says which words are about what.

use std::fmt;

use eleven_linux::bytecode::KernelFilter;
use eleven_snapshot::Socket;
use eleven_tcp::StateSet;

mod ast;
mod comparison;
mod error;
mod evaluate;
mod flow;
mod keywords;
mod lex;
mod names;
mod parse;
mod pattern;
mod push_down;
mod push_down_capture;
pub(crate) mod suggest;
mod value;

#[cfg(test)]
mod tests;

pub use ast::{Expression, NoOwner, Predicate, Side};
pub use comparison::Comparison;
pub use error::{Cause, FilterError};
pub use evaluate::Filterable;
pub use flow::{ClosedBy, End, FlowPredicate, Measure};
pub use keywords::{Group, KEYWORDS, Keyword, Operators, STATE_CLASSES, StateClass, Subject, Topic, help};
pub use names::{Names, NoNames, SystemNames};
pub use pattern::Pattern;
pub use push_down::{Families, Needs};

/// Which sockets are asked for.
///
/// It prints as a filter that parses to the same again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// `None` is every socket.
    expression: Option<Expression>,
}

impl Filter {
    /// Every socket.
    pub const fn everything() -> Self {
        Self { expression: None }
    }

    /// Reads a filter of sockets; an empty one is [`Self::everything`]. The words of a command
    /// line are joined by blanks first.
    ///
    /// # Errors
    ///
    /// What is not understood, where, and what may have been meant.
    pub fn parse(text: &str, names: &dyn Names) -> Result<Self, FilterError> {
        Self::parse_about(Subject::Sockets, text, names)
    }

    /// The same for other subjects: not every word can be asked of each.
    ///
    /// # Errors
    ///
    /// As [`Self::parse`].
    pub fn parse_about(subject: Subject, text: &str, names: &dyn Names) -> Result<Self, FilterError> {
        match parse::parse(text, subject, names) {
            Ok(expression) => Ok(Self { expression }),
            Err(error) => Err(error.within(text)),
        }
    }

    /// The filter as a tree; `None` is every socket.
    pub fn expression(&self) -> Option<&Expression> {
        self.expression.as_ref()
    }

    /// Whether the filter is [`Self::everything`].
    pub const fn is_everything(&self) -> bool {
        self.expression.is_none()
    }

    /// Whether a socket, or a flow, is asked for.
    ///
    /// What is unknown of it matches neither `=` nor `!=`; `not` around it does.
    /// Of an age that is a lower bound, what is known counts: see `age` in the help.
    pub fn matches(&self, subject: &impl Filterable) -> bool {
        self.expression.as_ref().is_none_or(|expression| expression.matches(subject))
    }

    /// States that matching sockets can be in: the mask of a dump. No socket in another
    /// state matches.
    pub fn states(&self) -> StateSet {
        self.expression.as_ref().map_or(StateSet::ALL, |expression| push_down::states(expression).upper)
    }

    /// Whether the state of a socket decides alone: exactly the sockets in
    /// [`Self::states`] match, and counting per state is enough.
    pub fn is_only_states(&self) -> bool {
        self.expression.as_ref().is_none_or(|expression| {
            let bounds = push_down::states(expression);
            bounds.upper == bounds.lower
        })
    }

    /// Families that matching sockets can be of.
    pub fn families(&self) -> Families {
        self.expression.as_ref().map_or(Families::ALL, |expression| push_down::families(expression).upper)
    }

    /// What the kernel can sort out while it dumps. It accepts at least what matches:
    /// [`Self::matches`] still decides.
    ///
    /// Interfaces and control groups are looked up again, because the same name has
    /// different numbers in different namespaces: `names` are those of the namespace that
    /// is dumped.
    pub fn kernel_filter(&self, names: &dyn Names) -> KernelFilter {
        self.expression
            .as_ref()
            .map_or(KernelFilter::All, |expression| push_down::kernel_filter(expression, names))
    }

    /// What a live capture has to see, so that no flow that matches is missed; `None` is everything.
    pub fn capture_expression(&self) -> Option<eleven_capture::filter::Expression> {
        self.expression.as_ref().map(push_down_capture::expression)
    }

    /// What has to be read of a socket before [`Self::matches`] can decide.
    pub fn needs(&self) -> Needs {
        match &self.expression {
            Some(expression) if !self.is_only_states() => push_down::needs(expression),
            _ => Needs::default(),
        }
    }
}

/// Reads a duration as filters write it: `90` (seconds), `250ms`, `2h30m`.
///
/// # Errors
///
/// When it is none.
pub fn parse_duration(text: &str) -> Result<std::time::Duration, Cause> {
    value::duration(text).map_err(|bad| bad.cause)
}

/// For the fuzz target and its replay: any text as a filter. A refusal can be shown, and an
/// accepted filter can be decided, pushed down, printed and read again.
#[doc(hidden)]
pub fn try_any_text(text: &str) {
    match Filter::parse_about(Subject::Flows, text, &NoNames) {
        Err(error) => assert!(!error.render().is_empty()),
        Ok(filter) => {
            let again = Filter::parse_about(Subject::Flows, &filter.to_string(), &NoNames);
            assert_eq!(again.as_ref(), Ok(&filter), "{filter}");
        }
    }
    match Filter::parse(text, &NoNames) {
        Err(error) => assert!(!error.render().is_empty()),
        Ok(filter) => {
            let socket = Socket::new(eleven_tcp::State::Established);
            assert!(!filter.matches(&socket) || filter.states().contains(socket.state));
            let _ = filter.kernel_filter(&NoNames).compile();
            let again = Filter::parse(&filter.to_string(), &NoNames);
            assert_eq!(again.as_ref(), Ok(&filter), "{filter}");
        }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.expression.as_ref().map_or(Ok(()), |expression| expression.fmt(f))
    }
}
