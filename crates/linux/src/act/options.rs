//! Options of a socket that another program holds, through a copy of its descriptor (`pidfd_getfd`, since Linux 5.6).

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use eleven_snapshot::{Keepalive, Owner};
use rustix::io::Errno;
use rustix::net::sockopt;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

/// What decides when a socket gives a silent peer up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketTimers {
    /// Keepalive, with the values in effect: the socket's own, else the sysctls'.
    pub keepalive: Keepalive,
    /// `TCP_USER_TIMEOUT` in milliseconds; `None`: not set.
    pub user_timeout_ms: Option<u32>,
}

/// What of it is to be changed; `None` stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OptionChange {
    /// `SO_KEEPALIVE`.
    pub enabled: Option<bool>,
    /// `TCP_KEEPIDLE` in seconds, 1 to 32767.
    pub idle_s: Option<u32>,
    /// `TCP_KEEPINTVL` in seconds, 1 to 32767.
    pub interval_s: Option<u32>,
    /// `TCP_KEEPCNT`, 1 to 127.
    pub probes: Option<u32>,
    /// `TCP_USER_TIMEOUT` in milliseconds; 0: none.
    pub user_timeout_ms: Option<u32>,
}

impl OptionChange {
    /// What leads back to these timers.
    pub fn back_to(timers: &SocketTimers) -> Self {
        let Keepalive { enabled, idle_s, interval_s, probes } = timers.keepalive;
        Self {
            enabled: Some(enabled),
            idle_s,
            interval_s,
            probes,
            user_timeout_ms: Some(timers.user_timeout_ms.unwrap_or(0)),
        }
    }
}

/// Why a socket of another program could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    /// The process, or its descriptor, is gone; or the descriptor stands for something else now.
    #[error("the program has closed it meanwhile")]
    Gone,
    /// `pidfd_getfd` asks for what a debugger needs.
    #[error("it takes the right to trace process {0}: the same user, or CAP_SYS_PTRACE; try sudo")]
    NotPermitted(u32),
    /// The kernel is older than 5.6.
    #[error("this kernel cannot lend descriptors (pidfd_getfd, since Linux 5.6)")]
    Unsupported,
    /// The kernel refused a value.
    #[error("the kernel refuses {option}: {source}")]
    Option {
        /// Which option.
        option: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// Anything else.
    #[error("{0}")]
    Other(io::Error),
}

/// A socket of another program, through a descriptor of our own.
#[derive(Debug)]
pub struct HeldSocket(OwnedFd);

impl HeldSocket {
    /// Borrows the descriptor, if it still stands for the socket with this cookie.
    ///
    /// # Errors
    /// [`ReachError`], never [`ReachError::Option`].
    pub fn of(owner: &Owner, cookie: Option<u64>) -> Result<Self, ReachError> {
        let failed = |errno: Errno| match errno {
            Errno::SRCH | Errno::BADF => ReachError::Gone,
            Errno::PERM | Errno::ACCESS => ReachError::NotPermitted(owner.pid),
            Errno::NOSYS => ReachError::Unsupported,
            other => ReachError::Other(other.into()),
        };
        let pid = i32::try_from(owner.pid).ok().and_then(Pid::from_raw).ok_or(ReachError::Gone)?;
        let number = i32::try_from(owner.fd).map_err(|_| ReachError::Gone)?;
        let process = pidfd_open(pid, PidfdFlags::empty()).map_err(failed)?;
        let fd = pidfd_getfd(process.as_fd(), number, PidfdGetfdFlags::empty()).map_err(failed)?;
        // The number may be another socket's by now, or no socket's at all.
        match (sockopt::socket_cookie(&fd), cookie) {
            (Ok(own), Some(cookie)) if own == cookie => Ok(Self(fd)),
            // What has no cookie can be looked at all the same.
            (Ok(_), None) => Ok(Self(fd)),
            _ => Err(ReachError::Gone),
        }
    }

    /// What is in effect now.
    ///
    /// # Errors
    /// [`ReachError::Option`].
    pub fn timers(&self) -> Result<SocketTimers, ReachError> {
        let fd = &self.0;
        let seconds = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
        let keepalive = Keepalive {
            enabled: sockopt::socket_keepalive(fd).map_err(named("SO_KEEPALIVE"))?,
            idle_s: Some(sockopt::tcp_keepidle(fd).map(seconds).map_err(named("TCP_KEEPIDLE"))?),
            interval_s: Some(sockopt::tcp_keepintvl(fd).map(seconds).map_err(named("TCP_KEEPINTVL"))?),
            probes: Some(sockopt::tcp_keepcnt(fd).map_err(named("TCP_KEEPCNT"))?),
        };
        let user_timeout = sockopt::tcp_user_timeout(fd).map_err(named("TCP_USER_TIMEOUT"))?;
        Ok(SocketTimers { keepalive, user_timeout_ms: (user_timeout > 0).then_some(user_timeout) })
    }

    /// Changes what is to be changed. Where the kernel refuses a value, what was changed before it is put back.
    ///
    /// # Errors
    /// [`ReachError::Option`].
    pub fn change(&self, change: &OptionChange) -> Result<SocketTimers, ReachError> {
        let before = self.timers()?;
        if let Err(error) = self.apply(change) {
            // Nothing half-way. What was in effect a moment ago is not refused.
            let _ = self.apply(&OptionChange::back_to(&before));
            return Err(error);
        }
        Ok(before)
    }

    fn apply(&self, change: &OptionChange) -> Result<(), ReachError> {
        let fd = &self.0;
        let seconds = |number: u32| Duration::from_secs(number.into());
        // The times first: with the switch a timer begins that goes by them.
        if let Some(idle) = change.idle_s {
            sockopt::set_tcp_keepidle(fd, seconds(idle)).map_err(named("TCP_KEEPIDLE"))?;
        }
        if let Some(interval) = change.interval_s {
            sockopt::set_tcp_keepintvl(fd, seconds(interval)).map_err(named("TCP_KEEPINTVL"))?;
        }
        if let Some(probes) = change.probes {
            sockopt::set_tcp_keepcnt(fd, probes).map_err(named("TCP_KEEPCNT"))?;
        }
        if let Some(timeout) = change.user_timeout_ms {
            sockopt::set_tcp_user_timeout(fd, timeout).map_err(named("TCP_USER_TIMEOUT"))?;
        }
        if let Some(enabled) = change.enabled {
            sockopt::set_socket_keepalive(fd, enabled).map_err(named("SO_KEEPALIVE"))?;
        }
        Ok(())
    }
}

fn named(option: &'static str) -> impl Fn(Errno) -> ReachError {
    move |errno| ReachError::Option { option, source: errno.into() }
}
