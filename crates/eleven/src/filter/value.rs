//! What stands behind a keyword: hosts, ports, durations, sizes and other numbers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use eleven_linux::bytecode::Prefix;
use eleven_snapshot::Family;

use super::error::Cause;
use super::names::Names;
use super::suggest::nearest;

/// What is wrong with a value, and what may have been meant.
#[derive(Debug)]
pub(super) struct BadValue {
    pub(super) cause: Cause,
    pub(super) suggestion: Option<String>,
}

impl From<Cause> for BadValue {
    fn from(cause: Cause) -> Self {
        Self { cause, suggestion: None }
    }
}

/// `[FAMILY:]` and what follows it: ss lets a host or port say which sockets it is about.
pub(super) fn split_family(text: &str) -> (Option<Family>, &str) {
    for (prefix, family) in [("inet:", Family::Inet), ("inet6:", Family::Inet6)] {
        if let Some(rest) = text.strip_prefix(prefix) {
            return (Some(family), rest);
        }
    }
    (None, text)
}

/// A host: the prefixes that hold its addresses (none for any address) and its port.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Host {
    pub(super) prefixes: Vec<Prefix>,
    pub(super) port: Option<u16>,
}

pub(super) fn host(text: &str, names: &dyn Names) -> Result<Host, BadValue> {
    // Without brackets, an IPv6 address has no port: its last colon is its own.
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Ok(Host { prefixes: vec![Prefix::host(address.into())], port: None });
    }
    // First of all: `fe80::1%eth0` would otherwise be taken apart at its last colon.
    if let Some((_, zone)) = text.split_once('%') {
        let end = zone.find([']', '/', ':']).unwrap_or(zone.len());
        return Err(Cause::Zone(zone[..end].to_owned()).into());
    }
    let not_an_address = || BadValue::from(Cause::NotAnAddress(text.to_owned()));
    let (address, length, port_text) = if let Some(rest) = text.strip_prefix('[') {
        let (inside, behind) = rest.split_once(']').ok_or_else(not_an_address)?;
        let (address, length) = split_length(inside);
        match (behind.strip_prefix('/'), behind.strip_prefix(':')) {
            (Some(behind), _) if length.is_none() => {
                let (length, port) = split_port(behind);
                (address, Some(length), port)
            }
            (None, Some(port)) => (address, length, Some(port)),
            (None, None) if behind.is_empty() => (address, length, None),
            _ => return Err(not_an_address()),
        }
    } else if let Some((address, behind)) = text.split_once('/') {
        let (length, port) = split_port(behind);
        (address, Some(length), port)
    } else {
        let (address, port) = split_port(text);
        (address, None, port)
    };
    let port = match port_text {
        None | Some("*") => None,
        Some(port) => Some(self::port(port, names)?),
    };
    if matches!(address, "" | "*") && !text.starts_with('[') {
        return if length.is_none() && !text.is_empty() {
            Ok(Host { prefixes: Vec::new(), port })
        } else {
            Err(not_an_address())
        };
    }
    let numeric = address.parse::<IpAddr>().ok().or_else(|| length.and(short_v4(address)));
    let addresses = match numeric {
        Some(address) => vec![address],
        None => host_addresses(address, text, names)?,
    };
    let prefixes = addresses.into_iter().map(|address| prefix(address, length)).collect::<Result<_, _>>()?;
    Ok(Host { prefixes, port })
}

fn split_length(text: &str) -> (&str, Option<&str>) {
    text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)))
}

fn split_port(text: &str) -> (&str, Option<&str>) {
    text.rsplit_once(':').map_or((text, None), |(before, port)| (before, Some(port)))
}

fn prefix(address: IpAddr, length: Option<&str>) -> Result<Prefix, BadValue> {
    let Some(length) = length else { return Ok(Prefix::host(address)) };
    length.parse().ok().and_then(|bits| Prefix::new(address, bits)).ok_or_else(|| {
        let longest = if address.is_ipv4() { 32 } else { 128 };
        Cause::PrefixLength { length: length.to_owned(), longest }.into()
    })
}

/// `10` in `10/8`: the octets that are left out are zero.
fn short_v4(text: &str) -> Option<IpAddr> {
    let mut octets = [0; 4];
    let mut rest = octets.iter_mut();
    for part in text.split('.') {
        *rest.next()? = part.parse().ok()?;
    }
    Some(IpAddr::V4(Ipv4Addr::from(octets)))
}

fn host_addresses(name: &str, text: &str, names: &dyn Names) -> Result<Vec<IpAddr>, BadValue> {
    let could_be_name = name.contains(char::is_alphabetic)
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_'));
    if !could_be_name {
        let is_port = text.parse::<u16>().is_ok();
        return Err(BadValue {
            cause: Cause::NotAnAddress(text.to_owned()),
            suggestion: is_port.then(|| format!(":{text}")),
        });
    }
    let unknown = |reason| Cause::UnknownHost { name: name.to_owned(), reason };
    let mut addresses = names.host(name).map_err(|error| unknown(error.to_string()))?;
    // A resolver repeats an address for each kind of socket.
    addresses.sort_unstable();
    addresses.dedup();
    if addresses.is_empty() { Err(unknown("none is known".to_owned()).into()) } else { Ok(addresses) }
}

/// A port by number or by the name of its service, with or without a colon.
pub(super) fn port(text: &str, names: &dyn Names) -> Result<u16, BadValue> {
    let word = text.strip_prefix(':').unwrap_or(text);
    if word.starts_with(|c: char| c.is_ascii_digit()) && word.chars().all(|c| c.is_ascii_alphanumeric()) {
        if let Some(number) = parse_u64(word) {
            return u16::try_from(number).map_err(|_| Cause::PortTooHigh(word.to_owned()).into());
        }
        if word.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Cause::PortTooHigh(word.to_owned()).into());
        }
    }
    names.service(word).ok_or_else(|| BadValue {
        cause: Cause::UnknownService(word.to_owned()),
        suggestion: nearest(word, names.services()),
    })
}

/// Digits, or `0x` and hexadecimal digits.
fn parse_u64(text: &str) -> Option<u64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            u64::from_str_radix(digits, 16).ok()
        }
        None if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    }
}

pub(super) fn number(text: &str) -> Result<u64, BadValue> {
    parse_u64(text).ok_or_else(|| Cause::NotANumber(text.to_owned()).into())
}

pub(super) fn number32(text: &str) -> Result<u32, BadValue> {
    number(text)?.try_into().map_err(|_| Cause::NotANumber(text.to_owned()).into())
}

/// `N[/MASK]`; without a mask all bits count.
pub(super) fn mark(text: &str) -> Result<(u32, u32), BadValue> {
    let parse = |text| parse_u64(text).and_then(|number| u32::try_from(number).ok());
    let (value, mask) = text.split_once('/').map_or((text, None), |(value, mask)| (value, Some(mask)));
    let value = parse(value);
    let mask = mask.map_or(Some(u32::MAX), parse);
    value.zip(mask).ok_or_else(|| Cause::NotAMark(text.to_owned()).into())
}

/// Bytes, or a number with a suffix that counts by 1024.
pub(super) fn size(text: &str) -> Result<u64, BadValue> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return parse_u64(text).ok_or_else(|| Cause::NotASize(text.to_owned()).into()),
    };
    parse_u64(digits)
        .filter(|_| !digits.is_empty())
        .and_then(|number| number.checked_mul(1 << shift))
        .ok_or_else(|| Cause::NotASize(text.to_owned()).into())
}

/// Numbers with units, added up: `2h30m`. A single number without one is seconds.
pub(super) fn duration(text: &str) -> Result<Duration, BadValue> {
    let bad = || BadValue::from(Cause::NotADuration(text.to_owned()));
    let mut total: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let number = &rest[..rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len())];
        rest = &rest[number.len()..];
        let unit = &rest[..rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len())];
        rest = &rest[unit.len()..];
        let size: u64 = match unit.to_lowercase().as_str() {
            "us" | "µs" | "μs" => 1,
            "ms" => 1_000,
            "" if number.len() == text.len() => 1_000_000,
            "s" | "sec" => 1_000_000,
            "m" | "min" => 60_000_000,
            "h" => 3_600_000_000,
            "d" => 86_400_000_000,
            "w" => 604_800_000_000,
            _ => return Err(bad()),
        };
        let micros = scaled(number, size).ok_or_else(bad)?;
        total = total.checked_add(micros).ok_or_else(bad)?;
    }
    if text.is_empty() { Err(bad()) } else { Ok(Duration::from_micros(total)) }
}

/// A duration that must say its unit, unless it is 0.
pub(super) fn duration_with_unit(text: &str) -> Result<Duration, BadValue> {
    let duration = duration(text)?;
    if !duration.is_zero() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        let suggestion = Some(format!("{text}ms"));
        return Err(BadValue { cause: Cause::NeedsUnit(text.to_owned()), suggestion });
    }
    Ok(duration)
}

/// `number * size`, where the number may have a fraction; what is below 1 is cut off.
fn scaled(number: &str, size: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let mut total = if whole.is_empty() && !fraction.is_empty() {
        0
    } else {
        whole.parse::<u64>().ok()?.checked_mul(size)?
    };
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut place = size;
    for digit in fraction.bytes() {
        // Digits too small to matter one by one are not worth more arithmetic.
        total = total.checked_add(place * u64::from(digit - b'0') / 10)?;
        place /= 10;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::NoNames;

    fn micros(text: &str) -> Option<u64> {
        duration(text).ok().map(|duration| duration.as_micros() as u64)
    }

    #[test]
    fn durations() {
        for (text, expected) in [
            ("0", Some(0)),
            ("90", Some(90_000_000)),
            ("1.5", Some(1_500_000)),
            ("10m", Some(600_000_000)),
            ("2h30m", Some(9_000_000_000)),
            ("1w1d", Some(691_200_000_000)),
            ("250ms", Some(250_000)),
            ("0.25ms", Some(250)),
            (".5s", Some(500_000)),
            ("7µs", Some(7)),
            ("2h30", None),
            ("", None),
            ("h", None),
            ("5 m", None),
            ("5x", None),
            ("1.2.3s", None),
            (".", None),
            ("-1s", None),
            ("99999999999w", None),
            ("99999999999999999999s", None),
        ] {
            assert_eq!(micros(text), expected, "{text}");
        }
        assert!(duration_with_unit("100").is_err());
        assert!(duration_with_unit("0").is_ok());
        assert!(duration_with_unit("100ms").is_ok());
    }

    #[test]
    fn sizes() {
        for (text, expected) in [
            ("0", Some(0)),
            ("4k", Some(4096)),
            ("4K", Some(4096)),
            ("1M", Some(1 << 20)),
            ("2GiB", Some(2 << 30)),
            ("10b", Some(10)),
            ("0x10", Some(16)),
            ("k", None),
            ("", None),
            ("4x", None),
            ("99999999999T", None),
            ("-1", None),
        ] {
            assert_eq!(size(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn hosts() {
        for (text, prefix, port) in [
            ("10.0.0.1", "10.0.0.1", None),
            ("10.0.0.1:443", "10.0.0.1", Some(443)),
            ("10.1.2.3/8", "10.0.0.0/8", None),
            ("10/8", "10.0.0.0/8", None),
            ("10.0.0.0/8:443", "10.0.0.0/8", Some(443)),
            ("0.0.0.0/0", "0.0.0.0/0", None),
            ("::1", "[::1]", None),
            ("::", "[::]", None),
            ("[::1]", "[::1]", None),
            ("[::1]:443", "[::1]", Some(443)),
            ("[2001:db8::]/32", "[2001:db8::]/32", None),
            ("[2001:db8::/32]", "[2001:db8::]/32", None),
            ("[2001:db8::]/32:443", "[2001:db8::]/32", Some(443)),
            ("[2001:db8::/32]:443", "[2001:db8::]/32", Some(443)),
            ("2001:db8::/32", "[2001:db8::]/32", None),
            (":::443", "[::]", Some(443)),
            ("10.0.0.1:*", "10.0.0.1", None),
            ("10.0.0.1:0x50", "10.0.0.1", Some(80)),
            (":443", "", Some(443)),
            ("*:443", "", Some(443)),
            ("*", "", None),
            ("*:*", "", None),
            (":*", "", None),
        ] {
            let host = host(text, &NoNames).unwrap_or_else(|error| panic!("{text}: {error:?}"));
            let prefixes: Vec<String> = host.prefixes.iter().map(Prefix::to_string).collect();
            assert_eq!((prefixes.join(" ").as_str(), host.port), (prefix, port), "{text}");
        }
        for text in [
            "",
            "10.0.0.300",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.1/8/8",
            "[::1",
            "[]",
            "[::1]x",
            "[::1]/129",
            "[::/8]/8",
            "[*]",
            "*/8",
            "10.0.0.1:70000",
            "443",
            "fe80::1%eth0",
            "a b",
        ] {
            assert!(host(text, &NoNames).is_err(), "{text}");
        }
    }
}
