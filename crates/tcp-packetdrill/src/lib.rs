//! The endpoint as a shared object that the public packetdrill loads: `--so_filename=libtcp_packetdrill.so`.
//!
//! packetdrill then calls this stack instead of the kernel's: its system calls, its network device and its clock are
//! functions of ours (`ffi`). Time is virtual. Descriptors are duplicates of a kernel socket, so that what
//! bypasses the object finds something; and for the assertions on `TCP_INFO`, which bypass it too, the same file is
//! loaded with `LD_PRELOAD` and answers `getsockopt` for its own descriptors.
//!
//! The sysctls of the network namespace are read whenever a socket is made: scripts set them by shell commands.

mod ffi;
mod host;
mod sysctl;
