//! Why a call of a program failed, as Linux numbers it.

use core::fmt;

use crate::CallError;
use crate::demux::OpenError;
use crate::rules::Failure;

macro_rules! errnos {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $name:literal;)*) => {
        /// The errors that socket calls return, with the numbers of Linux.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(i32)]
        pub enum Errno {
            $($(#[$doc])* $variant = $number,)*
        }

        impl Errno {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// `ECONNRESET` and the like.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

errnos! {
    /// The descriptor is none.
    BadDescriptor = 9, "EBADF";
    /// Nothing can be done at once.
    WouldBlock = 11, "EAGAIN";
    /// The program may not do this.
    NotPermitted = 1, "EPERM";
    /// A signal came first.
    Interrupted = 4, "EINTR";
    /// The program may not do this here.
    AccessDenied = 13, "EACCES";
    /// The memory named is none of the program's.
    BadAddress = 14, "EFAULT";
    /// An argument makes no sense here.
    Invalid = 22, "EINVAL";
    /// This side has closed, or the connection is gone.
    BrokenPipe = 32, "EPIPE";
    /// The message is too large.
    MessageSize = 90, "EMSGSIZE";
    /// The option is unknown.
    NoSuchOption = 92, "ENOPROTOOPT";
    /// The descriptor cannot do this.
    NotSupported = 95, "EOPNOTSUPP";
    /// The address and port are taken.
    AddressInUse = 98, "EADDRINUSE";
    /// No port is left.
    AddressNotAvailable = 99, "EADDRNOTAVAIL";
    /// The network cannot be reached.
    NetworkUnreachable = 101, "ENETUNREACH";
    /// The connection was given up by this host.
    ConnectionAborted = 103, "ECONNABORTED";
    /// The peer has reset the connection.
    ConnectionReset = 104, "ECONNRESET";
    /// There is no memory for it.
    NoBuffers = 105, "ENOBUFS";
    /// There is a connection already.
    IsConnected = 106, "EISCONN";
    /// There is none.
    NotConnected = 107, "ENOTCONN";
    /// Nothing was acknowledged for too long.
    TimedOut = 110, "ETIMEDOUT";
    /// Nobody listens there.
    ConnectionRefused = 111, "ECONNREFUSED";
    /// The host cannot be reached.
    HostUnreachable = 113, "EHOSTUNREACH";
    /// The connection is being opened already.
    AlreadyInProgress = 114, "EALREADY";
    /// The connection is being opened from now on.
    InProgress = 115, "EINPROGRESS";
}

impl Errno {
    /// The number that programs know it by.
    pub const fn number(self) -> i32 {
        self as i32
    }

    /// The error with this number, if it is one of these.
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.iter().copied().find(|errno| errno.number() == number)
    }

    /// The error with this name, if it is one of these.
    pub fn from_name(name: &str) -> Option<Self> {
        // Two names of one number.
        let name = if name == "EWOULDBLOCK" { "EAGAIN" } else { name };
        Self::ALL.iter().copied().find(|errno| errno.name() == name)
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl core::error::Error for Errno {}

impl From<Failure> for Errno {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::ConnectionDoesNotExist | Failure::RemoteUnspecified => Self::NotConnected,
            Failure::ConnectionAlreadyExists => Self::IsConnected,
            Failure::ConnectionClosing => Self::BrokenPipe,
            Failure::ConnectionReset => Self::ConnectionReset,
            Failure::ConnectionRefused => Self::ConnectionRefused,
            Failure::TimedOut => Self::TimedOut,
            Failure::Unreachable => Self::HostUnreachable,
        }
    }
}

impl From<CallError> for Errno {
    fn from(error: CallError) -> Self {
        match error {
            CallError::WouldBlock => Self::WouldBlock,
            CallError::Failed(failure) => failure.into(),
        }
    }
}

impl From<OpenError> for Errno {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::AddressInUse => Self::AddressInUse,
            OpenError::NoPortLeft => Self::AddressNotAvailable,
            OpenError::Call(error) => error.into(),
        }
    }
}
