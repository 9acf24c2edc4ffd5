//! The laboratory: puts a real kernel socket into any state of TCP, or into a fault, on demand.
//!
//! A [`Scenario`] is written once, as steps over a few typed values, and is played on one of two [`Backend`]s:
//!
//! - the kernel of a private network namespace, with an endpoint of `eleven-tcp` behind a TUN device as its unruly
//!   peer, in real time;
//! - a simulator, in which an endpoint stands in for the kernel, in virtual time and without privilege.
//!
//! What a scenario promises is judged by what a witness saw: the kernel's own rows, what calls returned, its counters,
//! and the packets.
//!
//! - [`lab`]: what scenarios are played with;
//! - [`host`]: hosts and their sockets; [`wire`]: what lies between them;
//! - [`evidence`] and [`promise`]: what was seen, and what it keeps;
//! - [`run`]: plays a scenario and tells what came of it;
//! - [`ladder`]: draws it;
//! - [`compare`]: where the endpoint is unlike the kernel;
//! - [`script`]: scripts of packetdrill, played on the kernel.

mod capture;
mod clock;
pub mod compare;
mod error;
pub mod evidence;
pub mod host;
pub mod lab;
pub mod ladder;
pub mod promise;
mod run;
mod scenario;
mod scenarios;
pub mod script;
mod stage;
pub mod wire;

pub use capture::Sink;
pub use error::{LabError, Stop};
pub use lab::{Answer, Handle, Lab, Observer};
pub use promise::{Promise, Sight, Verdict};
pub use run::{Afterwards, Backend, Options, Outcome, run};
pub use scenario::{Group, Scenario, Setting, all, find};
pub use stage::{Privilege, prepare};
