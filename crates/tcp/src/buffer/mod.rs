//! The two queues of text: what waits to be sent or acknowledged, and what waits to be read.
//!
//! Both keep their bytes in a ring that is allocated when there is something to keep and
//! given back when there is not: a host with a million idle connections pays for none.

mod receive;
mod ring;
mod send;

pub(crate) use receive::ReceiveBuffer;
pub(crate) use send::SendBuffer;

#[cfg(test)]
mod tests;
