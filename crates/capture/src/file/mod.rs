//! Reads capture files record by record.

mod clock;
mod input;
mod pcap;
mod pcapng;
mod reader;
mod resync;
mod source;
mod zstd;

use std::collections::HashMap;
use std::io;

use crate::error::CaptureErrorKind;
use crate::packet::Interface;
use crate::{LinkType, Timestamp};

use input::{Input, Lack};
pub(crate) use reader::File;
pub(crate) use source::Reader;

/// So many interfaces are believed. Each is kept in memory.
const MAX_INTERFACES: usize = 65_536;

/// A packet whose bytes are in the reader's buffer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Record {
    pub(crate) time: Timestamp,
    pub(crate) interface: u32,
    pub(crate) link: LinkType,
    /// Where in the buffer.
    pub(crate) start: usize,
    pub(crate) length: usize,
    pub(crate) original_length: u32,
    /// The length of the options behind the packet and its padding.
    pub(crate) options: usize,
    pub(crate) big_endian: bool,
}

/// What came next in a file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// A packet: its record is where records are put, as moving one costs as much as reading it.
    Packet,
    /// Nothing at the moment.
    Wait,
    /// The end.
    End,
}

/// What is wrong, and where.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) offset: u64,
    pub(crate) kind: CaptureErrorKind,
}

impl Fault {
    fn at(input: &Input, kind: CaptureErrorKind) -> Self {
        Self { offset: input.offset(), kind }
    }

    fn read(input: &Input, error: io::Error) -> Self {
        Self::at(input, source::read_error(error))
    }
}

/// What it means that fewer bytes are ready than `needed`.
fn lacking(input: &Input, needed: usize) -> Result<Step, Fault> {
    match (input.lack(), input.ready().len()) {
        (Lack::Moment, _) => Ok(Step::Wait),
        (Lack::End, 0) => Ok(Step::End),
        (Lack::End, there) => {
            let kind = CaptureErrorKind::Truncated { there: there as u64, needed: needed as u64 };
            Err(Fault::at(input, kind))
        }
    }
}

/// All interfaces of a capture; those that look alike are one.
#[derive(Debug, Default)]
pub(crate) struct Interfaces {
    list: Vec<Interface>,
    numbers: HashMap<Interface, u32>,
}

impl Interfaces {
    pub(crate) fn list(&self) -> &[Interface] {
        &self.list
    }

    /// Its number; `None` if there are too many.
    pub(crate) fn add(&mut self, interface: Interface) -> Option<u32> {
        if let Some(number) = self.numbers.get(&interface) {
            return Some(*number);
        }
        if self.list.len() >= MAX_INTERFACES {
            return None;
        }
        let number = self.list.len() as u32;
        self.list.push(interface.clone());
        self.numbers.insert(interface, number);
        Some(number)
    }
}
