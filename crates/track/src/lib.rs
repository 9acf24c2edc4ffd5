//! Rebuilds the TCP states of both ends of every connection from packets seen in between.
//!
//! Segments with a time go in ([`Sighting`]), verdicts ([`Verdict`]) and flows ([`Flow`]) come out; no clock, no thread, no
//! file. The states move by the rules of [`eleven_tcp::rules`], and every step cites its rule.
//!
//! ```
//! use eleven_tcp::{Ecn, Flags, Segment, SeqNumber, State};
//! use eleven_track::{Settings, Side, Sighting, Tracker};
//!
//! let mut tracker = Tracker::new(Settings::default());
//! let segment = Segment { source_port: 40_000, destination_port: 80, seq: SeqNumber(7), flags: Flags::SYN, ..Segment::default() };
//! let verdict = tracker.observe(&Sighting {
//!     number: 1,
//!     time_ns: 0,
//!     source: [10, 0, 0, 1].into(),
//!     destination: [10, 0, 0, 2].into(),
//!     identification: None,
//!     hop_limit: 64,
//!     ecn: Ecn::NotEct,
//!     segment: &segment,
//!     text_length: 0,
//!     checksum_bad: false,
//!     path: 0,
//! });
//! assert_eq!((verdict.from, verdict.after(Side::Client)), (Side::Client, State::SynSent));
//! assert_eq!(verdict.rule().map(|rule| rule.id), Some("closed.active-open"));
//! ```
//!
//! # What a midpoint can know
//!
//! A capture shows what was *sent*, not what *arrived*, and nothing of what a program calls or a timer does until a segment
//! shows it. So a state is always meant like this:
//!
//! - **As sent on the wire.** The state of an end is the one it would be in if its program had called CLOSE in the moment in
//!   which its first FIN passed here. A CLOSE that waits behind unsent text cannot be seen; nor can a call that sends
//!   nothing, a crash, the end of a timer, an orphan's silent death. A path ends where the last segment shows it, and what
//!   happened unseen behind it is not part of it. LISTEN is only inferred, from the answer to a SYN.
//! - **As if it arrived.** What was seen on its way to an end moves it at once, [inferred](Inference::SeenTravelling), until
//!   something this end sends confirms it or shows that it had not happened: then it is taken back, what the end shows is put in its
//!   place, and what is still under way is applied again behind it ([`Note::TakenBack`]). A FIN is there when nothing before it
//!   is missing; a segment outside the window moves nothing.
//! - **Observed** is what the end itself showed by what it sent, and what stays true whatever else the capture lost: its SYN, its
//!   SYN+ACK, its FIN that does not acknowledge the peer's, the ACK of a FIN with the number of a FIN it has not sent. Everything
//!   else is [`Provenance::Inferred`] or [`Provenance::Assumed`], with the reason.
//! - **Passing states.** Whether FIN_WAIT2 or CLOSING lies between FIN_WAIT1 and TIME_WAIT depends on which of two segments
//!   arrived first, and the end sends the same in both. Only a capture at the end's own host shows it. Nor does ESTABLISHED
//!   show between SYN_RECV and CLOSE_WAIT: the FIN may have been the first segment that arrived. And an ACK of nothing but the
//!   SYN shows neither SYN_RECV nor ESTABLISHED: the one questions with it what the other answers with it; nor does a SYN+ACK,
//!   where both opened and the two may have crossed. As little does the ACK of the peer's FIN show CLOSING or TIME_WAIT. Text
//!   does show ESTABLISHED, also where the FIN comes with it.
//! - TIME_WAIT and CLOSED differ by a timer: [`Settings::time_wait`] after the last segment the end is
//!   [assumed](Assumption::TimeWaitOver) to be CLOSED.
//!
//! `tests/simulated.rs` holds the tracker to this: thousands of simulated worlds, captured at either host or between, of which the
//! simulator knows the true states of both ends. What a midpoint can know is computed from that truth, clause by clause, and has
//! to equal what the tracker says.
//!
//! # Flows
//!
//! A new flow between the same sockets begins only with a SYN of another number, after the old one is over or outside its
//! window. Idleness ends nothing. A flow's identity is the number of its first packet.
//!
//! Several trackers can share the work ([`Tracker::shard`], [`Tracker::hash`]). What depends on all flows, which is the how
//! manieth and who floods or scans, they leave to a [`Census`], and [`Shards`] tells their flows as one tracker would.

mod census;
mod conversation;
mod flow;
mod fuzz;
mod half;
mod key;
mod machine;
mod moves;
mod note;
mod numbers;
mod path;
mod provenance;
mod report;
mod rtt;
mod seen;
mod settings;
mod shards;
mod sighting;
mod sketch;
mod slab;
mod tracker;
mod verdict;
mod wireshark;
mod zeek;

pub use census::{Census, CensusEntry, Event};
pub use conversation::Anomaly;
pub use flow::{End, Ending, Flow, Zeek};
#[doc(hidden)]
pub use fuzz::try_any_bytes;
pub use note::{Note, Notes};
pub use path::Step;
pub use provenance::{Assumption, Inference, Provenance};
pub use report::{Report, Reported};
pub use rtt::RoundTrips;
pub use settings::{Checksums, Settings};
pub use shards::Shards;
pub use sighting::{Side, Sighting};
pub use tracker::{Totals, Tracker};
pub use verdict::Verdict;
pub use wireshark::Completeness;
