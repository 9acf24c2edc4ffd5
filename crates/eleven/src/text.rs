//! Small pieces of text that every command prints alike: addresses, durations, numbers.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::IpAddr;

use eleven_snapshot::{Age, Timer};

/// `10.0.0.1:443`, `[::1]:443`; a port that is any is `*`.
pub(crate) fn endpoint(address: IpAddr, port: Option<u16>) -> String {
    let mut out = String::new();
    write_endpoint(&mut out, address, port);
    out
}

/// Writes what [`endpoint`] returns.
pub(crate) fn write_endpoint(out: &mut String, address: IpAddr, port: Option<u16>) {
    match address {
        IpAddr::V4(address) => {
            let mut digits = itoa::Buffer::new();
            for (index, octet) in address.octets().into_iter().enumerate() {
                if index > 0 {
                    out.push('.');
                }
                out.push_str(digits.format(octet));
            }
        }
        // Writing to a String cannot fail.
        IpAddr::V6(address) => {
            let _ = write!(out, "[{address}]");
        }
    }
    out.push(':');
    match port {
        Some(port) => out.push_str(itoa::Buffer::new().format(port)),
        None => out.push('*'),
    }
}

/// `≥ 42 s`, `3 m 20 s`.
pub(crate) fn write_age(out: &mut String, age: Age) {
    if age.is_lower_bound {
        out.push_str("≥ ");
    }
    write_duration(out, age.ms);
}

/// `850 ms`, `42 s`, `3 m 20 s`, `2 h 5 m`, `3 d 4 h`: two units at most.
pub(crate) fn write_duration(out: &mut String, ms: u64) {
    let s = ms / 1000;
    let (minutes, hours, days) = (s / 60, s / 3600, s / 86_400);
    // Writing to a String cannot fail.
    let _ = if ms < 1000 {
        write!(out, "{ms} ms")
    } else if s < 60 {
        write!(out, "{s} s")
    } else if hours == 0 {
        write!(out, "{minutes} m {} s", s % 60)
    } else if days == 0 {
        write!(out, "{hours} h {} m", minutes % 60)
    } else {
        write!(out, "{days} d {} h", hours % 24)
    };
}

/// What [`write_duration`] writes.
pub(crate) fn duration(ms: u64) -> String {
    let mut out = String::new();
    write_duration(&mut out, ms);
    out
}

/// `retransmit 1.2 s ×3`.
pub(crate) fn write_timer(out: &mut String, timer: Timer) {
    let _ = write!(out, "{} ", timer.kind.as_str());
    if timer.expires_ms < 10_000 {
        let _ = write!(out, "{}.{} s", timer.expires_ms / 1000, timer.expires_ms % 1000 / 100);
    } else {
        write_duration(out, timer.expires_ms);
    }
    if timer.retransmits > 0 {
        let _ = write!(out, " ×{}", timer.retransmits);
    }
}

/// `1,234,567`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 socket`, `1,234 sockets`: so many things whose plural takes an s.
pub(crate) fn counted(number: u64, thing: &str) -> String {
    format!("{} {thing}{}", thousands(number), if number == 1 { "" } else { "s" })
}

/// Words with `(s)` in a filled sentence, for the number before them: `1 connection(s)`, `2 idle connection(s)`.
pub(crate) fn numbered(sentence: &str) -> String {
    let mut parts = sentence.split("(s)").peekable();
    let mut out = String::with_capacity(sentence.len());
    while let Some(part) = parts.next() {
        out.push_str(part);
        if parts.peek().is_none() {
            break;
        }
        // The noun itself, and at most two adjectives before it.
        let mut words = part.split_whitespace().rev().skip(1).take(3);
        let number = words.find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
        if number != Some("1") {
            out.push('s');
        }
    }
    out
}

/// `this socket`, `these 1,234 sockets`.
pub(crate) fn these(number: u64, thing: &str) -> String {
    if number == 1 { format!("this {thing}") } else { format!("these {}", counted(number, thing)) }
}

/// A name from outside without the control characters that a terminal would obey.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if text.chars().any(char::is_control) {
        text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect::<String>().into()
    } else {
        text.into()
    }
}

/// Columns a text takes on a terminal.
pub(crate) fn width(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { unicode_width::UnicodeWidthStr::width(text) }
}

/// Cuts a text to so many columns, with `…` where something is left out.
pub(crate) fn cut(text: &str, columns: usize) -> Cow<'_, str> {
    if width(text) <= columns {
        return text.into();
    }
    let mut kept = String::new();
    let mut used = 0;
    for c in text.chars() {
        let next = unicode_width::UnicodeWidthChar::width(c).unwrap_or(0);
        if used + next + 1 > columns {
            break;
        }
        used += next;
        kept.push(c);
    }
    kept.push('…');
    kept.into()
}

/// Cuts a cell as [`cut`] does, but leaves an endpoint its port, which tells connections
/// apart: `192.0…:40000`.
pub(crate) fn cut_cell(cell: &str, columns: usize) -> Cow<'_, str> {
    let port = cell.rfind(':').map(|at| &cell[at..]).filter(|port| {
        port[1..].parse::<u16>().is_ok() && port.len() + 2 <= columns && width(cell) > columns
    });
    match port {
        Some(port) => {
            let address = cut(&cell[..cell.len() - port.len()], columns - port.len());
            format!("{address}{port}").into()
        }
        None => cut(cell, columns),
    }
}

/// Breaks a paragraph into lines of at most `columns`, at blanks, and between any two wide
/// characters (Chinese is written without blanks). A word that is longer than a line is
/// broken behind a sign in it, or anywhere.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(10);
    let mut lines = Vec::new();
    let mut line = String::new();
    for piece in pieces(text).into_iter().flat_map(|piece| shorten(piece, columns)) {
        if width(&line) + width(piece.trim_end()) > columns && !line.trim().is_empty() {
            lines.push(line.trim_end().to_owned());
            line.clear();
        }
        line.push_str(if line.is_empty() { piece.trim_start() } else { piece });
    }
    if !line.trim().is_empty() {
        lines.push(line.trim_end().to_owned());
    }
    lines
}

/// The piece in parts that fit a line.
fn shorten(piece: &str, columns: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = piece;
    while width(rest.trim_end()) > columns {
        let mut used = 0;
        let (mut end, mut sign) = (0, 0);
        for (at, c) in rest.char_indices() {
            used += unicode_width::UnicodeWidthChar::width(c).unwrap_or(0);
            if used > columns {
                break;
            }
            end = at + c.len_utf8();
            if matches!(c, '.' | '_' | '-' | '/' | ',' | ':' | '=') {
                sign = end;
            }
        }
        let (part, behind) = rest.split_at(if sign > 0 { sign } else { end });
        parts.push(part);
        rest = behind;
    }
    parts.push(rest);
    parts
}

/// Punctuation that must not begin a line.
const CLOSING: &str = "，。；：？！、）》」』”’,.;:?!)";

/// Parts of a text between which a line may break.
fn pieces(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut start = 0;
    let mut characters = text.char_indices().peekable();
    while let Some((_, c)) = characters.next() {
        let Some(&(next_index, next)) = characters.peek() else { break };
        let is_wide = |c: char| unicode_width::UnicodeWidthChar::width(c) == Some(2);
        let breaks = (c == ' ' && next != ' ')
            || ((is_wide(c) || is_wide(next))
                && c != ' '
                && next != ' '
                && !CLOSING.contains(next)
                && !"（《「『“‘".contains(c));
        if breaks {
            found.push(&text[start..next_index]);
            start = next_index;
        }
    }
    found.push(&text[start..]);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units() {
        for (ms, expected) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (42_000, "42 s"),
            (200_000, "3 m 20 s"),
            (7_500_000, "2 h 5 m"),
            (273_600_000, "3 d 4 h"),
        ] {
            assert_eq!(duration(ms), expected);
        }
    }

    #[test]
    fn endpoints_and_numbers() {
        assert_eq!(endpoint("::1".parse().unwrap(), Some(443)), "[::1]:443");
        assert_eq!(endpoint("0.0.0.0".parse().unwrap(), None), "0.0.0.0:*");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(thousands(999), "999");
        assert_eq!([0, 1, 1200].map(|n| counted(n, "socket")), ["0 sockets", "1 socket", "1,200 sockets"]);
        assert_eq!(
            numbered("1 connection(s) in LAST_ACK, 1,200 reset(s)"),
            "1 connection in LAST_ACK, 1,200 resets"
        );
        assert_eq!(numbered("21 idle connection(s); some socket(s)"), "21 idle connections; some sockets");
        assert_eq!([1, 2].map(|n| these(n, "socket")), ["this socket", "these 2 sockets"]);
    }

    #[test]
    fn a_hostile_name_cannot_drive_the_terminal() {
        assert_eq!(printable("ng\x1b[2Jinx\n"), "ng\u{fffd}[2Jinx\u{fffd}");
    }

    #[test]
    fn lines_break_where_each_script_allows() {
        assert_eq!(wrap("one two three", 10), ["one two", "three"]);
        assert_eq!(wrap("只有程序能结束它，没有定时器。", 10), ["只有程序能", "结束它，没", "有定时器。"]);
        assert_eq!(wrap("", 20), Vec::<String>::new());
        assert_eq!(wrap("see net.core.somaxconn now", 10), ["see", "net.core.", "somaxconn", "now"]);
        assert_eq!(wrap("abcdefghijklmno", 10), ["abcdefghij", "klmno"]);
        assert_eq!(cut("程序在此端口", 7), "程序在…");
    }

    #[test]
    fn an_endpoint_that_is_cut_keeps_its_port() {
        for (cell, columns, expected) in [
            ("192.0.2.17:40000", 13, "192.0.…:40000"),
            ("192.0.2.17:40000", 16, "192.0.2.17:40000"),
            ("[2001:db8::17]:443", 12, "[2001:d…:443"),
            ("192.0.2.17:40000", 7, "192.0.…"),
            ("192.0.2.17:*", 8, "192.0.2…"),
            ("nginx (12345)", 8, "nginx (…"),
        ] {
            assert_eq!(cut_cell(cell, columns), expected);
        }
    }
}
