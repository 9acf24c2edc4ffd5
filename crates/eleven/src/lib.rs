//! Shows which of the eleven TCP states every connection of a host is in, who owns it and what it means.

pub mod filter;
