//! From what was seen of a host's TCP sockets to causes: what is wrong, on what evidence, who
//! must act, what to type, and how to see that it worked.
//!
//! A [`Look`] is one reading of the host. Its sockets are not kept: they stream through a
//! [`Digest`], which holds what the rules ask for and is bounded whatever the size of the host.
//! Two looks make a [`Case`], and [`RULES`] judge it. Everything here is plain data in and plain
//! data out: no clock, no file, no thread, and no sentence. A finding names its texts by key and
//! fills them with typed values; `eleven-knowledge` holds the texts, in every language.

mod case;
pub mod chain;
mod digest;
mod finding;
mod look;
mod rule;
mod rules;
mod thresholds;
mod why;

pub use case::Case;
pub use digest::Digest;
pub use finding::{
    Confidence, Evidence, Finding, Fix, Missing, Responsible, Severity, Subject, SysctlChange, Value,
};
pub use look::Look;
pub use rule::{Judgement, Need, Rule, Verdict, judge};
pub use rules::{FOLKLORE, Folklore, RULES};
pub use thresholds::Thresholds;
pub use why::{Why, why};
