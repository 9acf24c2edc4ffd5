//! From the text of a script to what it consists of.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::ast::{Action, Event, Icmp, OptionSpec, Script, SegmentSpec, SystemCall, Time, Value};
use super::cursor::{Cursor, ScriptError};
use super::{expression, symbols};
use crate::ip::{IcmpKind, Unreachable};
use crate::suggest::edit_distance;
use crate::{Ecn, Flags};

/// The calls of the language. Some of them nothing here plays; that is told where they are played.
const CALLS: [&str; 30] = [
    "accept",
    "bind",
    "cap_set",
    "close",
    "connect",
    "epoll_create",
    "epoll_ctl",
    "epoll_wait",
    "fcntl",
    "getsockopt",
    "ioctl",
    "listen",
    "open",
    "pipe",
    "poll",
    "read",
    "readv",
    "recv",
    "recvfrom",
    "recvmsg",
    "send",
    "sendfile",
    "sendmsg",
    "sendto",
    "setsockopt",
    "shutdown",
    "socket",
    "splice",
    "write",
    "writev",
];

/// Values nested deeper than this are none.
const DEEPEST: u32 = 20;

/// Reads a script.
///
/// # Errors
/// With place and reason, if something is not of the language or is not supported.
pub fn parse(text: &str) -> Result<Script, ScriptError> {
    let mut cursor = Cursor::new(text);
    let mut script =
        Script { options: Vec::new(), events: Vec::new(), lines: text.lines().map(String::from).collect() };
    while cursor.eat("--") {
        let name = cursor.take_while(|letter| !letter.is_whitespace() && letter != '=').to_string();
        let value = if cursor.rest().starts_with('=') {
            cursor.bump();
            cursor.take_while(|letter| !letter.is_whitespace()).to_string()
        } else {
            String::new()
        };
        script.options.push((name, value));
    }
    loop {
        cursor.skip();
        if cursor.peek().is_none() {
            return Ok(script);
        }
        let line = cursor.line();
        // A command in front, or between, needs no time.
        let (time, end) =
            if cursor.rest().starts_with('`') { (Time::Relative(0), None) } else { time(&mut cursor)? };
        cursor.skip();
        let actions = match cursor.peek() {
            Some('`') => commands(&mut cursor)?,
            Some('%') if cursor.eat("%{") => {
                alloc::vec![Action::Assert(expression::statements(&mut cursor)?)]
            }
            Some('<') => alloc::vec![inbound(&mut cursor)?],
            Some('>') => {
                cursor.bump();
                alloc::vec![Action::Outbound(segment(&mut cursor)?)]
            }
            _ => alloc::vec![Action::Call(call(&mut cursor)?)],
        };
        for (place, action) in actions.into_iter().enumerate() {
            let time = if place == 0 { time } else { Time::Relative(0) };
            script.events.push(Event { time, end, line, action });
        }
    }
}

/// The time of an event, and the end of a blocking call.
fn time(cursor: &mut Cursor<'_>) -> Result<(Time, Option<i64>), ScriptError> {
    if cursor.eat("*") {
        return Ok((Time::Any, None));
    }
    let relative = cursor.eat("+");
    let start = cursor.seconds()?;
    if cursor.eat("~") {
        let marked = cursor.eat("+");
        let end = cursor.seconds()?;
        if marked != relative {
            return Err(cursor.error("both ends of a range have to be relative, or none"));
        }
        return Ok((
            if relative { Time::RelativeRange(start, end) } else { Time::AbsoluteRange(start, end) },
            None,
        ));
    }
    let mut end = None;
    if cursor.eat("...") {
        cursor.eat("+");
        end = Some(cursor.seconds()?);
    }
    Ok((if relative { Time::Relative(start) } else { Time::Absolute(start) }, end))
}

/// What of a shell is understood: commands that change sysctls.
fn commands(cursor: &mut Cursor<'_>) -> Result<Vec<Action>, ScriptError> {
    cursor.expect("`")?;
    let start = *cursor;
    let text = cursor.until("`")?.replace("\\\n", " ");
    let mut actions = Vec::new();
    for command in text.split(['\n', ';']).flat_map(|line| line.split("||")) {
        let mut words =
            command.split_whitespace().filter(|word| !word.contains("/dev/null") && *word != "2>&1");
        let Some(program) = words.next() else { continue };
        let rest: Vec<&str> = words.take_while(|word| !word.starts_with('#')).collect();
        if program.ends_with("defaults.sh") && rest.is_empty() {
            actions.push(Action::Set(defaults()));
        } else if program == "sysctl" || program.ends_with("set_sysctls.py") {
            let settings = rest_of_sysctl(command).ok_or_else(|| {
                start.error(format!("expected NAME=VALUE after {program}, as in net.ipv4.tcp_sack=1"))
            })?;
            actions.push(Action::Set(settings));
        } else if program.contains("sysctl_restore") {
            actions.push(Action::Restore);
        } else if program == "ip" && rest.starts_with(&["tcp_metrics", "flush"]) {
            actions.push(Action::ForgetCookies);
        } else if program == "ethtool" && rest.contains(&"off") {
            actions.push(Action::NoOffload);
        } else {
            return Err(start.error(format!(
                "{program} is a shell command: only sysctl -q net.ipv4.NAME=VALUE is understood here"
            )));
        }
    }
    Ok(actions)
}

/// `-q net.ipv4.tcp_rmem="4096 540000 15728640" …`.
fn rest_of_sysctl(command: &str) -> Option<Vec<(String, String)>> {
    let mut settings = Vec::new();
    let mut rest = command.trim();
    rest = rest.split_once(char::is_whitespace)?.1.trim();
    while !rest.is_empty() && !rest.starts_with(['#', '&', '>']) {
        if rest.starts_with('-') {
            rest = rest.split_once(char::is_whitespace).map_or("", |(_, rest)| rest).trim();
            continue;
        }
        let word = rest.split_whitespace().next().unwrap_or_default();
        if word.contains('>') {
            // Where the output goes.
            rest = rest.get(word.len()..).unwrap_or_default().trim();
            continue;
        }
        let (name, value) = rest.split_once('=')?;
        let name = name.rsplit(['/', '.']).next()?.trim();
        let (value, after) = if let Some(quoted) = value.strip_prefix('"') {
            quoted.split_once('"')?
        } else {
            value.split_once(char::is_whitespace).unwrap_or((value, ""))
        };
        settings.push((name.to_string(), value.to_string()));
        rest = after.trim();
    }
    (!settings.is_empty()).then_some(settings)
}

/// What the public scripts' `defaults.sh` comes to.
fn defaults() -> Vec<(String, String)> {
    [
        ("tcp_rmem", "4096 540000 15728640"),
        ("tcp_wmem", "4096 262144 4194304"),
        ("tcp_timestamps", "1"),
        ("tcp_syn_retries", "5"),
        ("tcp_synack_retries", "5"),
        ("tcp_sack", "1"),
        ("tcp_congestion_control", "cubic"),
        ("tcp_slow_start_after_idle", "0"),
        ("tcp_ecn", "0"),
        ("tcp_fastopen", "0x70403"),
        ("tcp_fastopen_key", "a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4"),
        ("tcp_syncookies", "1"),
    ]
    .map(|(name, value)| (name.to_string(), value.to_string()))
    .to_vec()
}

fn inbound(cursor: &mut Cursor<'_>) -> Result<Action, ScriptError> {
    cursor.expect("<")?;
    if cursor.eat_word("icmp") {
        return icmp(cursor).map(Action::Icmp);
    }
    Ok(Action::Inbound(segment(cursor)?))
}

fn icmp(cursor: &mut Cursor<'_>) -> Result<Icmp, ScriptError> {
    cursor.skip();
    let start = *cursor;
    let what = cursor.word();
    if what == "packet_too_big" {
        if !cursor.eat_word("mtu") {
            return Err(cursor.error("expected \"mtu\" here"));
        }
        let mtu = cursor.number_as("MTU")?;
        return Ok(Icmp { kind: IcmpKind::PacketTooBig { mtu }, seq: quoted(cursor)? });
    }
    if what != "unreachable" {
        return Err(start.error("of ICMP there is \"unreachable\" and \"packet_too_big\""));
    }
    cursor.skip();
    let place = *cursor;
    let kind = match cursor.word() {
        "frag_needed" => {
            if !cursor.eat_word("mtu") {
                return Err(cursor.error("expected \"mtu\" here"));
            }
            IcmpKind::PacketTooBig { mtu: cursor.number_as("MTU")? }
        }
        "net_unreachable" => IcmpKind::Unreachable(Unreachable::Network),
        "host_unreachable" | "CODE" | "" => IcmpKind::Unreachable(Unreachable::Host),
        "protocol_unreachable" => IcmpKind::Unreachable(Unreachable::Protocol),
        "port_unreachable" => IcmpKind::Unreachable(Unreachable::Port),
        "source_route_failed" => IcmpKind::Unreachable(Unreachable::SourceRoute),
        other => {
            return Err(place.error(format!("{other} is no code of ICMP unreachable that is known here")));
        }
    };
    Ok(Icmp { kind, seq: quoted(cursor)? })
}

/// `[0:1000(1000)]`: what the error is about.
fn quoted(cursor: &mut Cursor<'_>) -> Result<Option<u32>, ScriptError> {
    if !cursor.eat("[") {
        return Ok(None);
    }
    let (start, _, _) = numbers(cursor)?;
    cursor.expect("]")?;
    Ok(Some(start))
}

/// `1:1001(1000)`.
fn numbers(cursor: &mut Cursor<'_>) -> Result<(u32, u32, u32), ScriptError> {
    cursor.skip();
    let start = *cursor;
    let first = cursor.number_as("sequence number")?;
    cursor.expect(":")?;
    let end: u32 = cursor.number_as("sequence number")?;
    cursor.expect("(")?;
    let length = cursor.number_as("length")?;
    cursor.expect(")")?;
    if end.wrapping_sub(first) != length {
        return Err(start.error(format!("from {first} to {end} there are not {length} bytes")));
    }
    if length > 65_535 {
        return Err(start.error("no packet carries so much text"));
    }
    Ok((first, end, length))
}

fn segment(cursor: &mut Cursor<'_>) -> Result<SegmentSpec, ScriptError> {
    let mut ecn = None;
    if cursor.eat("[") {
        let inside = cursor.until("]")?;
        ecn = Some(
            mark(inside.trim())
                .ok_or_else(|| cursor.error(format!("{inside} is no mark: noecn, ect0, ect1 and ce are")))?,
        );
    }
    cursor.skip();
    let place = *cursor;
    let mut flags = Flags::NONE;
    let letters = cursor.take_while(|letter| !letter.is_whitespace());
    for letter in letters.chars() {
        flags = flags
            | match letter {
                'F' => Flags::FIN,
                'S' => Flags::SYN,
                'R' => Flags::RST,
                'P' => Flags::PSH,
                '.' => Flags::ACK,
                'U' => Flags::URG,
                'E' => Flags::ECE,
                'W' => Flags::CWR,
                '-' => Flags::NONE,
                _ => return Err(place.error(format!("{letter:?} is no flag: F S R P . U E W or - are"))),
            };
    }
    if letters.is_empty() {
        return Err(place.error("expected the flags of a segment here, as in S. for SYN and ACK"));
    }
    let (start, end, length) = numbers(cursor)?;
    let mut spec =
        SegmentSpec { flags, start, end, length, ack: None, window: None, urgent: None, options: None, ecn };
    if cursor.eat_word("ack") {
        spec.ack = Some(cursor.number_as("acknowledgment number")?);
    }
    if cursor.eat_word("win") {
        spec.window = Some(cursor.number_as("window")?);
    }
    if cursor.eat_word("urg") {
        spec.urgent = Some(cursor.number_as("urgent pointer")?);
    }
    spec.options = options(cursor)?;
    Ok(spec)
}

fn mark(text: &str) -> Option<Ecn> {
    Some(match text {
        "noecn" => Ecn::NotEct,
        "ect0" => Ecn::Ect0,
        "ect1" | "ect01" => Ecn::Ect1,
        "ce" => Ecn::Ce,
        _ => return None,
    })
}

/// `<mss 1460,nop,wscale 7>`; none at all is an empty list, `<...>` is any.
fn options(cursor: &mut Cursor<'_>) -> Result<Option<Vec<OptionSpec>>, ScriptError> {
    let before = *cursor;
    let mut found = Vec::new();
    // An event begins with a time: what follows on the same event is no segment.
    if !cursor.eat("<") {
        return Ok(Some(found));
    }
    if cursor.eat("...") {
        cursor.expect(">")?;
        return Ok(None);
    }
    loop {
        cursor.skip();
        let place = *cursor;
        let option = match cursor.word() {
            "nop" => OptionSpec::NoOperation,
            "eol" => OptionSpec::EndOfList,
            "mss" => OptionSpec::MaximumSegmentSize(cursor.number_as("maximum segment size")?),
            "wscale" => OptionSpec::WindowScale(cursor.number_as("window scale")?),
            "sackOK" => OptionSpec::SackPermitted,
            "sack" => {
                let mut blocks = Vec::new();
                loop {
                    let start = cursor.number_as("sequence number")?;
                    cursor.expect(":")?;
                    blocks.push((start, cursor.number_as("sequence number")?));
                    cursor.skip();
                    if blocks.len() > 4 || !cursor.peek().is_some_and(|next| next.is_ascii_digit()) {
                        break;
                    }
                }
                OptionSpec::Sack(blocks)
            }
            "TS" => {
                if !cursor.eat_word("val") {
                    return Err(cursor.error("expected \"val\" here"));
                }
                let value = cursor.number_as("timestamp")?;
                if !cursor.eat_word("ecr") {
                    return Err(cursor.error("expected \"ecr\" here"));
                }
                OptionSpec::Timestamps { value, echo: cursor.number_as("timestamp")? }
            }
            name @ ("FO" | "FOEXP") => {
                OptionSpec::FastOpen { cookie: cookie(cursor)?, experiment: name == "FOEXP" }
            }
            other => return Err(place.error(format!("{other:?} is no option that is known here"))),
        };
        found.push(option);
        if cursor.eat(">") {
            break;
        }
        cursor.expect(",")?;
    }
    if found.len() > 40 {
        return Err(before.error("a segment has room for 40 bytes of options"));
    }
    Ok(Some(found))
}

fn cookie(cursor: &mut Cursor<'_>) -> Result<Vec<u8>, ScriptError> {
    cursor.skip();
    let place = *cursor;
    let digits = cursor.take_while(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    let digits = if digits == "TFO_COOKIE" { "3021b9d889017eeb" } else { digits };
    let pairs = digits.as_bytes().chunks(2);
    let cookie: Option<Vec<u8>> = pairs
        .map(|pair| u8::from_str_radix(core::str::from_utf8(pair).ok().filter(|it| it.len() == 2)?, 16).ok())
        .collect();
    cookie.ok_or_else(|| place.error("expected a cookie in hexadecimal here, two digits a byte"))
}

fn call(cursor: &mut Cursor<'_>) -> Result<SystemCall, ScriptError> {
    cursor.skip();
    let place = *cursor;
    let name = cursor.word().to_string();
    if name.is_empty() {
        return Err(place.error("expected a call, a segment (< or >), %{ or ` here"));
    }
    if !CALLS.contains(&name.as_str()) {
        let nearest = CALLS.iter().min_by_key(|call| edit_distance(&name, call)).copied().unwrap_or_default();
        let is_near = edit_distance(&name, nearest) <= 2;
        let hint = if is_near { format!("; did you mean {nearest}?") } else { String::new() };
        return Err(place.error(format!("{name} is no call of the language{hint}")));
    }
    cursor.expect("(")?;
    let mut arguments = Vec::new();
    if !cursor.eat(")") {
        loop {
            arguments.push(value(cursor, 0)?);
            if cursor.eat(")") {
                break;
            }
            cursor.expect(",")?;
        }
    }
    cursor.expect("=")?;
    let result = value(cursor, 0)?;
    let mut errno = None;
    let before = *cursor;
    let word = cursor.word();
    if word.starts_with('E') && word.bytes().all(|letter| letter.is_ascii_uppercase()) {
        errno = Some(word.to_string());
    } else {
        *cursor = before;
    }
    // What it means, for readers: on the same line.
    let line = cursor.rest().split('\n').next().unwrap_or_default();
    if line.trim_start().starts_with('(') {
        cursor.until(")")?;
    }
    Ok(SystemCall { name, arguments, result, errno })
}

fn value(cursor: &mut Cursor<'_>, depth: u32) -> Result<Value, ScriptError> {
    if depth > DEEPEST {
        return Err(cursor.error("this is nested too deeply"));
    }
    cursor.skip();
    if cursor.eat("...") {
        return Ok(Value::Ellipsis);
    }
    match cursor.peek() {
        Some('"') => string(cursor),
        Some('[') => {
            cursor.bump();
            let mut list = Vec::new();
            if cursor.eat("]") {
                return Ok(Value::List(list));
            }
            loop {
                list.push(value(cursor, depth + 1)?);
                if cursor.eat("]") {
                    return Ok(Value::List(list));
                }
                cursor.expect(",")?;
            }
        }
        Some('{') => {
            cursor.bump();
            record(cursor, depth).map(Value::Record)
        }
        _ => sum(cursor),
    }
}

/// Numbers and names joined by `|`.
fn sum(cursor: &mut Cursor<'_>) -> Result<Value, ScriptError> {
    let mut total = 0;
    loop {
        cursor.skip();
        let place = *cursor;
        let name = cursor.word();
        total |= if name.is_empty() {
            cursor.number()?
        } else {
            // Defined on the command line of the public scripts.
            let name = match name {
                "CMSG_LEVEL_IP" => "SOL_IP",
                "CMSG_TYPE_RECVERR" => "IP_RECVERR",
                name => name,
            };
            symbols::number(name).ok_or_else(|| place.error(format!("{name} is no number's name")))?
        };
        if !cursor.eat("|") {
            return Ok(Value::Number(total));
        }
    }
}

fn record(cursor: &mut Cursor<'_>, depth: u32) -> Result<Vec<(String, Value)>, ScriptError> {
    let mut fields = Vec::new();
    if cursor.eat("}") {
        return Ok(fields);
    }
    loop {
        let before = *cursor;
        let mut name = cursor.word().to_string();
        if cursor.eat("(") {
            cursor.until(")")?;
        }
        if name.is_empty() || !cursor.eat("=") {
            *cursor = before;
            name = String::new();
        }
        fields.push((name, value(cursor, depth + 1)?));
        if cursor.eat("}") {
            return Ok(fields);
        }
        cursor.expect(",")?;
    }
}

fn string(cursor: &mut Cursor<'_>) -> Result<Value, ScriptError> {
    let place = *cursor;
    cursor.bump();
    let mut bytes = Vec::new();
    loop {
        match cursor.bump() {
            None => return Err(place.error("this string never ends")),
            Some('"') => return Ok(Value::Text(bytes)),
            Some('\\') => match cursor.bump() {
                Some('x') => {
                    let digits: String = [cursor.bump(), cursor.bump()].into_iter().flatten().collect();
                    let byte = u8::from_str_radix(&digits, 16);
                    bytes.push(byte.map_err(|_| place.error("expected two hexadecimal digits after \\x"))?);
                }
                Some('n') => bytes.push(b'\n'),
                Some('0') => bytes.push(0),
                Some(other) => bytes.extend(other.to_string().bytes()),
                None => return Err(place.error("this string never ends")),
            },
            Some(other) => bytes.extend(other.to_string().bytes()),
        }
    }
}
