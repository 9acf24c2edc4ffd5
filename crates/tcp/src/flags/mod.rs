//! The control flags of a segment (RFC 9293 §3.1) and the spellings of their combinations.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use crate::suggest::edit_distance;

mod legality;

pub use legality::{FlagRule, FlagsClass, Legality, Verdict};

/// A combination of the nine control flags, numbered as in the header: FIN is bit 0.
///
/// [`fmt::Display`] prints `SYN+ACK`, and `none` for the empty combination. [`FromStr`]
/// accepts names joined by `+ , | / -` or blanks (`syn,ack`) or by nothing (`SYNACK`), single
/// letters as tcpdump and other tools print them (`[S.]`, `F.`, `SA`), `none`, `null`, `xmas`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub struct Flags(u16);

/// A row of the one table of flags, in the order they are printed.
struct Spelling {
    flag: Flags,
    name: &'static str,
    /// The single characters that stand for it.
    letters: &'static str,
}

const SPELLINGS: [Spelling; 9] = [
    Spelling { flag: Flags::SYN, name: "SYN", letters: "S" },
    Spelling { flag: Flags::FIN, name: "FIN", letters: "F" },
    Spelling { flag: Flags::RST, name: "RST", letters: "R" },
    Spelling { flag: Flags::PSH, name: "PSH", letters: "P" },
    Spelling { flag: Flags::ACK, name: "ACK", letters: ".A" },
    Spelling { flag: Flags::URG, name: "URG", letters: "U" },
    Spelling { flag: Flags::ECE, name: "ECE", letters: "E" },
    Spelling { flag: Flags::CWR, name: "CWR", letters: "WC" },
    Spelling { flag: Flags::AE, name: "AE", letters: "N" },
];

/// Further names of flags and combinations, in lower case.
const ALIASES: [(&str, Flags); 8] = [
    ("ns", Flags::AE),
    ("push", Flags::PSH),
    ("reset", Flags::RST),
    ("urgent", Flags::URG),
    ("none", Flags::NONE),
    ("null", Flags::NONE),
    ("xmas", Flags::XMAS),
    ("christmas", Flags::XMAS),
];

impl Flags {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// No more text from the sender.
    pub const FIN: Self = Self(0x001);
    /// Synchronize sequence numbers.
    pub const SYN: Self = Self(0x002);
    /// Reset the connection.
    pub const RST: Self = Self(0x004);
    /// Hand the text to the program without waiting for more.
    pub const PSH: Self = Self(0x008);
    /// The acknowledgment number counts.
    pub const ACK: Self = Self(0x010);
    /// The urgent pointer counts.
    pub const URG: Self = Self(0x020);
    /// Congestion was experienced, or ECN is offered (RFC 3168).
    pub const ECE: Self = Self(0x040);
    /// The congestion window was reduced, or ECN is offered (RFC 3168).
    pub const CWR: Self = Self(0x080);
    /// Accurate ECN (RFC 9768). Was the nonce sum, NS (RFC 3540, historic).
    pub const AE: Self = Self(0x100);
    /// The combination a Christmas tree scan sends: FIN, PSH and URG lit.
    pub const XMAS: Self = Self(0x029);
    /// The six flags of RFC 9293 that are not about congestion.
    pub const CLASSIC: Self = Self(0x03f);
    /// The three flags of explicit congestion notification.
    pub const ECN: Self = Self(0x1c0);
    /// All nine.
    pub const ALL: Self = Self(0x1ff);

    /// The flags in the low nine bits of a header field; other bits are dropped.
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits & Self::ALL.0)
    }

    /// The flags as the low nine bits of a header field.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// Whether all of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any of `other` is set.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether no flag is set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What is set in either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is set in both.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is set here and not in `other`.
    #[must_use]
    pub const fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The flags set, one by one, in the order they are printed.
    pub fn iter(self) -> impl Iterator<Item = Self> {
        SPELLINGS.iter().map(|row| row.flag).filter(move |flag| self.contains(*flag))
    }

    /// As tcpdump prints them: `[S.]` without the brackets, `none` if empty.
    pub fn tcpdump(self) -> String {
        // tcpdump's own order, and its lower-case letter for AE.
        const ORDER: [(Flags, char); 9] = [
            (Flags::FIN, 'F'),
            (Flags::SYN, 'S'),
            (Flags::RST, 'R'),
            (Flags::PSH, 'P'),
            (Flags::ACK, '.'),
            (Flags::URG, 'U'),
            (Flags::ECE, 'E'),
            (Flags::CWR, 'W'),
            (Flags::AE, 'e'),
        ];
        if self.is_empty() {
            return "none".to_owned();
        }
        ORDER.iter().filter(|(flag, _)| self.contains(*flag)).map(|(_, letter)| letter).collect()
    }
}

impl core::ops::BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.union(other)
    }
}

impl FromIterator<Flags> for Flags {
    fn from_iter<I: IntoIterator<Item = Flags>>(flags: I) -> Self {
        flags.into_iter().fold(Self::NONE, Self::union)
    }
}

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> =
            SPELLINGS.iter().filter(|row| self.contains(row.flag)).map(|row| row.name).collect();
        f.pad(if names.is_empty() { "none".to_owned() } else { names.join("+") }.as_str())
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Flags({self})")
    }
}

/// Words that name no combination of flags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseFlagsError {
    text: String,
    nearest: Flags,
}

impl ParseFlagsError {
    /// What was not understood.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What was probably meant.
    pub fn nearest(&self) -> Flags {
        self.nearest
    }
}

impl fmt::Display for ParseFlagsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not a combination of TCP flags; did you mean {}?", self.text, self.nearest)
    }
}

impl core::error::Error for ParseFlagsError {}

impl FromStr for Flags {
    type Err = ParseFlagsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let inner = text.trim().trim_start_matches('[').trim_end_matches(']');
        let mut flags = Self::NONE;
        let mut nearest = Self::NONE;
        let mut understood = true;
        let mut words = 0;
        for word in inner.split(['+', ',', '|', '/', '-', ' ']).filter(|word| !word.is_empty()) {
            words += 1;
            if let Some(found) = parse_word(word) {
                flags = flags | found;
            } else {
                understood = false;
                nearest = nearest | nearest_to(word);
            }
        }
        if words == 0 {
            return Err(ParseFlagsError { text: text.to_owned(), nearest: Self::SYN });
        }
        if understood {
            Ok(flags)
        } else {
            Err(ParseFlagsError { text: text.to_owned(), nearest: flags | nearest })
        }
    }
}

/// A name, several names run together, or single letters.
fn parse_word(word: &str) -> Option<Flags> {
    parse_names(&word.to_lowercase()).or_else(|| parse_letters(word))
}

fn parse_names(lower: &str) -> Option<Flags> {
    if lower.is_empty() {
        return Some(Flags::NONE);
    }
    if let Some((_, flags)) = ALIASES.iter().find(|(alias, _)| *alias == lower) {
        return Some(*flags);
    }
    SPELLINGS.iter().find_map(|row| {
        let rest = lower.strip_prefix(row.name.to_lowercase().as_str())?;
        parse_names(rest).map(|flags| flags | row.flag)
    })
}

fn parse_letters(word: &str) -> Option<Flags> {
    // `e` is AE for tcpdump, whose other letters are capitals; among other letters in
    // lower case it stands for ECE.
    let as_tcpdump = word == "e" || word.contains('.') || word.chars().any(char::is_uppercase);
    word.chars()
        .map(|letter| {
            if letter == 'e' && as_tcpdump {
                return Some(Flags::AE);
            }
            let letter = letter.to_ascii_uppercase();
            SPELLINGS.iter().find(|row| row.letters.contains(letter)).map(|row| row.flag)
        })
        .collect()
}

/// The flag, alias or pair run together whose name is closest to the word.
fn nearest_to(word: &str) -> Flags {
    let lower = word.to_lowercase();
    let names = SPELLINGS.iter().map(|row| (row.name.to_lowercase(), row.flag));
    let aliases = ALIASES.iter().map(|(alias, flags)| ((*alias).to_owned(), *flags));
    let pairs = SPELLINGS
        .iter()
        .filter(|row| row.flag != Flags::ACK)
        .map(|row| (format!("{}ack", row.name.to_lowercase()), row.flag | Flags::ACK));
    names
        .chain(aliases)
        .chain(pairs)
        .min_by_key(|(name, _)| edit_distance(&lower, name))
        .map_or(Flags::SYN, |(_, flags)| flags)
}

#[cfg(test)]
mod tests;
