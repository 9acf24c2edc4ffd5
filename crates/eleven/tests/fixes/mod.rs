//! Every command that a finding proposes or that its texts quote is executed, in a private namespace where the fault is
//! real, and what the texts say of it is looked for: a change took place, the verification passes.
//!
//! A command that is new in the texts is executed here without anybody asking for it; one that nothing here knows how to
//! execute fails, and so does a fault or a fix without a scene. What cannot run here is listed with the reason.

mod execute;
mod play;
pub(crate) mod program;
mod scenes;
mod sysctls;
mod texts;
