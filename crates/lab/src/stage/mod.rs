//! Where real sockets play: a network namespace that nobody else has.
//!
//! Nothing is mounted and nothing has a name, so the kernel takes all of it away with the process, however that ends.

mod device;
mod namespace;
mod pair;
mod privilege;
mod route;
pub(crate) mod sysctl;

pub(crate) use device::Device;
pub(crate) use namespace::Namespace;
pub use privilege::{Privilege, prepare};
