//! The state diagram.
