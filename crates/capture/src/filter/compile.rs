//! Makes a program of an expression.
//!
//! Conditional jumps reach 255 instructions far, and unconditional ones everywhere. So each test ends in two
//! unconditional jumps, to where it goes on when it holds and when not, and no expression is too large for that. The
//! kernel translates the program to machine code, where the detour costs next to nothing.

use std::net::IpAddr;

use super::program::{Instruction, Program, code, place};
use super::{Expression, FilterError};

/// As many instructions as the kernel takes (`BPF_MAXINSNS`).
const LONGEST: usize = 4_096;
const DEEPEST: u32 = 100;

const IPV4: u32 = 0x0800;
const IPV6: u32 = 0x86dd;
const VLAN: u32 = 0x8100;
const SERVICE_VLAN: u32 = 0x88a8;
const TCP: u32 = 6;
const UDP: u32 = 17;
const SCTP: u32 = 132;
/// The next header of an IPv6 fragment.
const FRAGMENT: u32 = 44;
/// `PACKET_OUTGOING` and `ARPHRD_LOOPBACK`.
const OUTGOING: u32 = 4;
const LOOPBACK: u32 = 772;

/// Somewhere in the program, known when all of it is there.
#[derive(Clone, Copy)]
struct Label(usize);

struct Compiler {
    instructions: Vec<Instruction>,
    /// Where each label is.
    labels: Vec<usize>,
    /// Which instructions jump to which label.
    jumps: Vec<(usize, Label)>,
    /// Where the IP header begins.
    network: u32,
}

/// Which version of IP a piece of program is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    V4,
    V6,
    /// Neither.
    Other,
}

impl Program {
    /// Keeps `snap_length` bytes of each packet that the expression lets through, of every packet if there is none.
    ///
    /// What a loopback interface sends comes in there at once, so what goes out there is never kept.
    ///
    /// # Errors
    /// If the expression makes no program; see [`FilterError`].
    pub fn compile(expression: Option<&Expression>, snap_length: u32) -> Result<Self, FilterError> {
        let mut compiler = Compiler {
            instructions: Vec::new(),
            labels: Vec::new(),
            jumps: Vec::new(),
            network: place::NETWORK,
        };
        let (keep, drop) = (compiler.label(), compiler.label());
        compiler.skip_loopback(drop);
        match expression {
            Some(expression) => compiler.by_version(expression, keep, drop)?,
            None => compiler.jump(keep),
        }
        compiler.put(keep);
        compiler.emit(code::RETURN, snap_length);
        compiler.put(drop);
        compiler.emit(code::RETURN, 0);
        compiler.finish()
    }
}

impl Compiler {
    fn label(&mut self) -> Label {
        self.labels.push(0);
        Label(self.labels.len() - 1)
    }

    fn put(&mut self, label: Label) {
        let here = self.instructions.len();
        if let Some(place) = self.labels.get_mut(label.0) {
            *place = here;
        }
    }

    fn emit(&mut self, code: u16, operand: u32) {
        self.instructions.push(Instruction { code, operand, ..Instruction::default() });
    }

    fn jump(&mut self, to: Label) {
        self.jumps.push((self.instructions.len(), to));
        self.emit(code::JUMP, 0);
    }

    /// Goes one way if A equals the operand (or has one of its bits), another if not.
    fn branch(&mut self, code: u16, operand: u32, yes: Label, no: Label) {
        self.instructions.push(Instruction { code, jump_true: 0, jump_false: 1, operand });
        self.jump(yes);
        self.jump(no);
    }

    /// Goes there if A equals the operand, else on.
    fn leave_if(&mut self, code: u16, operand: u32, to: Label) {
        self.instructions.push(Instruction { code, jump_true: 0, jump_false: 1, operand });
        self.jump(to);
    }

    fn finish(mut self) -> Result<Program, FilterError> {
        let instructions = self.instructions.len();
        if instructions > LONGEST {
            return Err(FilterError::TooLong { instructions });
        }
        for (at, label) in self.jumps {
            let target = self.labels.get(label.0).copied().unwrap_or_default();
            if let Some(jump) = self.instructions.get_mut(at) {
                // Labels are only ever put behind the jumps to them.
                jump.operand = target.saturating_sub(at + 1) as u32;
            }
        }
        Ok(Program(self.instructions))
    }

    fn skip_loopback(&mut self, drop: Label) {
        let on = self.label();
        let outgoing = self.label();
        self.emit(code::LOAD_BYTE, place::PACKET_TYPE);
        self.branch(code::JUMP_EQUAL, OUTGOING, outgoing, on);
        self.put(outgoing);
        self.emit(code::LOAD_HALF, place::HARDWARE);
        self.leave_if(code::JUMP_EQUAL, LOOPBACK, drop);
        self.put(on);
    }

    /// One piece of program for each version of IP, with and without a VLAN tag before it.
    fn by_version(&mut self, expression: &Expression, keep: Label, drop: Label) -> Result<(), FilterError> {
        let tagged = self.label();
        self.emit(code::LOAD_HALF, place::PROTOCOL);
        self.leave_if(code::JUMP_EQUAL, VLAN, tagged);
        self.leave_if(code::JUMP_EQUAL, SERVICE_VLAN, tagged);
        self.versions(expression, keep, drop)?;
        self.put(tagged);
        self.emit(code::LOAD_HALF, place::NETWORK + 2);
        self.network = place::NETWORK + 4;
        self.versions(expression, keep, drop)
    }

    /// Asks A, the protocol.
    fn versions(&mut self, expression: &Expression, keep: Label, drop: Label) -> Result<(), FilterError> {
        let (v4, v6) = (self.label(), self.label());
        self.leave_if(code::JUMP_EQUAL, IPV4, v4);
        self.leave_if(code::JUMP_EQUAL, IPV6, v6);
        self.expression(expression, Version::Other, keep, drop, 0)?;
        self.put(v4);
        self.expression(expression, Version::V4, keep, drop, 0)?;
        self.put(v6);
        self.expression(expression, Version::V6, keep, drop, 0)
    }

    fn expression(
        &mut self,
        expression: &Expression,
        version: Version,
        yes: Label,
        no: Label,
        depth: u32,
    ) -> Result<(), FilterError> {
        if depth > DEEPEST {
            return Err(FilterError::TooDeep);
        }
        // Far beyond what is taken there is no use in going on.
        if self.instructions.len() > 16 * LONGEST {
            return Err(FilterError::TooLong { instructions: self.instructions.len() });
        }
        match expression {
            Expression::Host(address) => {
                let length = if address.is_ipv4() { 32 } else { 128 };
                self.net(*address, length, version, yes, no);
            }
            Expression::Net(address, length) => {
                if *length > if address.is_ipv4() { 32 } else { 128 } {
                    return Err(FilterError::PrefixLength(*length));
                }
                self.net(*address, *length, version, yes, no);
            }
            Expression::Port(port) => self.port((*port).into(), version, yes, no),
            Expression::Protocol(number) => self.protocol((*number).into(), version, yes, no),
            Expression::All(parts) => {
                for part in parts {
                    let next = self.label();
                    self.expression(part, version, next, no, depth + 1)?;
                    self.put(next);
                }
                self.jump(yes);
            }
            Expression::Any(parts) => {
                for part in parts {
                    let next = self.label();
                    self.expression(part, version, yes, next, depth + 1)?;
                    self.put(next);
                }
                self.jump(no);
            }
            Expression::Not(part) => self.expression(part, version, no, yes, depth + 1)?,
        }
        Ok(())
    }

    fn net(&mut self, address: IpAddr, length: u8, version: Version, yes: Label, no: Label) {
        let (fits, bits, source, destination) = match address {
            IpAddr::V4(address) => (Version::V4, u128::from(address.to_bits()) << 96, 12, 16),
            IpAddr::V6(address) => (Version::V6, address.to_bits(), 8, 24),
        };
        if version != fits {
            return self.jump(no);
        }
        let other = self.label();
        self.prefix(source, bits, length, yes, other);
        self.put(other);
        self.prefix(destination, bits, length, yes, no);
    }

    /// Compares the address at a place in the header, word by word.
    fn prefix(&mut self, at: u32, bits: u128, length: u8, yes: Label, no: Label) {
        for word in 0..u32::from(length).div_ceil(32) {
            let wanted = (bits >> (96 - 32 * word)) as u32;
            let mask = match u32::from(length) - 32 * word {
                rest @ 0..32 => !(u32::MAX >> rest),
                _ => u32::MAX,
            };
            self.emit(code::LOAD_WORD, self.network.wrapping_add(at + 4 * word));
            if mask != u32::MAX {
                self.emit(code::AND, mask);
            }
            let next = self.label();
            self.branch(code::JUMP_EQUAL, wanted & mask, next, no);
            self.put(next);
        }
        self.jump(yes);
    }

    fn protocol(&mut self, number: u32, version: Version, yes: Label, no: Label) {
        let at = match version {
            Version::V4 => 9,
            Version::V6 => 6,
            Version::Other => return self.jump(no),
        };
        self.emit(code::LOAD_BYTE, self.network.wrapping_add(at));
        self.branch(code::JUMP_EQUAL, number, yes, no);
    }

    fn port(&mut self, port: u32, version: Version, yes: Label, no: Label) {
        let ports = self.label();
        match version {
            Version::Other => return self.jump(no),
            Version::V4 => {
                self.emit(code::LOAD_BYTE, self.network.wrapping_add(9));
                let known = self.label();
                self.leave_if(code::JUMP_EQUAL, TCP, known);
                self.leave_if(code::JUMP_EQUAL, UDP, known);
                self.branch(code::JUMP_EQUAL, SCTP, known, no);
                self.put(known);
                self.emit(code::LOAD_HALF, self.network.wrapping_add(6));
                self.branch(code::JUMP_SET, 0x1fff, yes, ports);
                self.put(ports);
                self.emit(code::LOAD_HEADER_LENGTH, self.network);
            }
            Version::V6 => {
                self.emit(code::LOAD_BYTE, self.network.wrapping_add(6));
                self.leave_if(code::JUMP_EQUAL, FRAGMENT, yes);
                self.leave_if(code::JUMP_EQUAL, TCP, ports);
                self.leave_if(code::JUMP_EQUAL, UDP, ports);
                self.branch(code::JUMP_EQUAL, SCTP, ports, no);
                self.put(ports);
            }
        }
        for (at, otherwise) in [(0, None), (2, Some(no))] {
            match version {
                Version::V4 => self.emit(code::LOAD_HALF_INDEXED, self.network.wrapping_add(at)),
                _ => self.emit(code::LOAD_HALF, self.network.wrapping_add(40 + at)),
            }
            match otherwise {
                None => self.leave_if(code::JUMP_EQUAL, port, yes),
                Some(no) => self.branch(code::JUMP_EQUAL, port, yes, no),
            }
        }
    }
}
