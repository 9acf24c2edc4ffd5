//! What TCP states, flags, transitions, errnos, sysctls, findings and anomalies mean, and the
//! sentences that tell the story of a flow, in English and Simplified Chinese.
//!
//! The texts stand in `texts/`, one file a subject and language, laid out as
//! `texts/FORMAT.md` says, and are embedded. Only the subject that is asked for is parsed.

mod doctor;
mod language;
mod placeholder;
mod source;
mod subjects;

pub use doctor::{DoctorTexts, FixText};
pub use language::{Language, UnknownLanguage};
pub use placeholder::{fill, keep_known};
pub use subjects::{
    AnomalyText, CombinationText, ErrnoFacts, ErrnoText, FindingText, KillText, StateText, SysctlFacts,
    SysctlText, anomaly, anomaly_names, combination, errno, errno_name, errno_names, finding, finding_codes,
    flag, kill, state, story, sysctl, sysctls, transition, verdict,
};
