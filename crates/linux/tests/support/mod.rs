//! What the tests on the real kernel stand on, beside the testbed.

pub(crate) mod gallery;
pub(crate) mod proc_table;
pub(crate) mod rows;
pub(crate) mod segment;
pub(crate) mod ss;
