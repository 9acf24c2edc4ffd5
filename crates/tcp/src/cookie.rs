//! SYN cookies.

use core::time::Duration;

pub(crate) const LIFETIME: Duration = Duration::from_secs(120);
