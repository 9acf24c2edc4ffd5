//! Classic BPF, the language of socket filters (linux/filter.h), as far as it is needed.

/// An instruction, laid out as the kernel has it (`struct sock_filter`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Instruction {
    /// What to do.
    pub code: u16,
    /// How many instructions to skip if a condition holds.
    pub jump_true: u8,
    /// How many if it does not.
    pub jump_false: u8,
    /// Its operand.
    pub operand: u32,
}

/// A program for the kernel: how many bytes of a packet to keep, 0 for none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program(pub(super) Vec<Instruction>);

impl Program {
    /// Its instructions, at most 4,096.
    pub fn instructions(&self) -> &[Instruction] {
        &self.0
    }
}

/// Codes of instructions, put together from the kernel's classes, sizes and modes.
pub(super) mod code {
    /// A = the word, half-word or byte at a place in the packet.
    pub(in crate::filter) const LOAD_WORD: u16 = 0x20;
    pub(in crate::filter) const LOAD_HALF: u16 = 0x28;
    pub(in crate::filter) const LOAD_BYTE: u16 = 0x30;
    /// A = the half-word at X and a place.
    pub(in crate::filter) const LOAD_HALF_INDEXED: u16 = 0x48;
    /// X = four times the low half of the byte at a place.
    pub(in crate::filter) const LOAD_HEADER_LENGTH: u16 = 0xb1;
    /// A = A & operand.
    pub(in crate::filter) const AND: u16 = 0x54;
    pub(in crate::filter) const JUMP: u16 = 0x05;
    pub(in crate::filter) const JUMP_EQUAL: u16 = 0x15;
    pub(in crate::filter) const JUMP_SET: u16 = 0x45;
    /// Ends with the operand.
    pub(in crate::filter) const RETURN: u16 = 0x06;
}

/// Places that are not in the packet's bytes.
pub(super) mod place {
    /// The packet's network header, wherever that is (`SKF_NET_OFF`).
    pub(in crate::filter) const NETWORK: u32 = (-0x10_0000_i32).cast_unsigned();
    /// What the kernel knows about the packet (`SKF_AD_OFF`).
    const AUXILIARY: u32 = (-0x1000_i32).cast_unsigned();
    /// Its protocol among Ethernet's types.
    pub(in crate::filter) const PROTOCOL: u32 = AUXILIARY;
    /// Whether it came in or goes out.
    pub(in crate::filter) const PACKET_TYPE: u32 = AUXILIARY + 4;
    /// What kind of interface it is at.
    pub(in crate::filter) const HARDWARE: u32 = AUXILIARY + 28;
}
