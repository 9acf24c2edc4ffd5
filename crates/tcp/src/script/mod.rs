//! Scripts in the language of packetdrill, run against the endpoint in virtual time.
//!
//! A script says what a program calls and what the network brings, when, and what has to come of it: the results of the
//! calls and the segments that leave. [`parse`] reads it, [`run`] plays it on a host of [`Sockets`](crate::sockets) and
//! tells the first line where what happened is not what the script says.
//!
//! Of the language there is what scripts about TCP use: socket calls, segments with relative numbers and options, ICMP
//! errors, all forms of time, and assertions on the fields of `TCP_INFO` in a small expression language of its own.
//! Shell commands are refused, but for those that change sysctls: they change the policy.
//!
//! ```
//! use eleven_tcp::script;
//! use eleven_tcp::sockets::Settings;
//!
//! let script = script::parse(
//!     "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n\
//!      +0 bind(3, ..., ...) = 0\n\
//!      +0 listen(3, 1) = 0\n\
//!      +.1 < S 0:0(0) win 1000 <mss 1000>\n\
//!      +0 > S. 0:0(0) ack 1 <mss 1460>\n\
//!      +.1 < . 1:1(0) ack 1 win 1000\n\
//!      +0 accept(3, ..., ...) = 4\n\
//!      +0 %{ assert tcpi_state == TCP_ESTABLISHED }%\n",
//! )
//! .unwrap();
//! let report = script::run(&script, &Settings::default());
//! assert!(report.passed(), "{report}");
//! ```

mod ast;
mod cursor;
mod expression;
mod host;
mod notation;
mod parser;
mod play;
mod report;
mod symbols;

pub use ast::{Action, Event, Icmp, OptionSpec, Script, SegmentSpec, SystemCall, Time, Value};
pub use cursor::ScriptError;
pub use expression::{Expression, Operator, Statement};
pub use host::ScriptHost;
pub use parser::parse;
pub use play::{Network, START, run, run_on};
pub use report::{Difference, Report, Verdict};

/// Reads any bytes as a script: for fuzzing. A script that can be read is played for a while.
#[doc(hidden)]
pub fn try_any_bytes(bytes: &[u8]) {
    let Ok(text) = core::str::from_utf8(bytes) else { return };
    match parse(text) {
        Ok(script) if script.events.len() <= 50 => {
            let report = run(&script, &crate::sockets::Settings::default());
            assert!(report.verdicts().len() <= script.events.len());
        }
        Ok(_) => {}
        Err(error) => assert!(error.line > 0 && error.column > 0),
    }
}

#[cfg(test)]
mod tests;
