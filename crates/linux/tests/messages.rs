//! The walk over netlink messages: recorded ones, ones made by hand, and any bytes at all.
//!
//! The recorded messages are a little-endian machine's, so these tests are for such.
#![cfg(target_endian = "little")]

#[path = "messages/arbitrary.rs"]
mod arbitrary;
#[path = "messages/build.rs"]
mod build;
#[path = "messages/by_hand.rs"]
mod by_hand;
#[path = "messages/hex.rs"]
mod hex;
#[path = "messages/recorded.rs"]
mod recorded;
#[path = "messages/seeds.rs"]
mod seeds;
#[path = "messages/walk.rs"]
mod walk;
