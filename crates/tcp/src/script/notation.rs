//! Writing what happened as scripts write it.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write;

use super::ast::{OptionSpec, SegmentSpec, SystemCall, Value};
use crate::Flags;

/// Seconds.
pub(super) fn time_text(micros: i64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros.rem_euclid(1_000_000))
}

/// What a call returns.
pub(super) fn result_text(call: &SystemCall) -> String {
    let value = match &call.result {
        Value::Number(number) => number.to_string(),
        _ => "...".into(),
    };
    call.errno.as_ref().map_or(value.clone(), |errno| format!("{value} {errno}"))
}

/// A segment.
pub(super) fn spec_text(spec: &SegmentSpec) -> String {
    let letters = [
        (Flags::FIN, 'F'),
        (Flags::SYN, 'S'),
        (Flags::RST, 'R'),
        (Flags::PSH, 'P'),
        (Flags::URG, 'U'),
        (Flags::ECE, 'E'),
        (Flags::CWR, 'W'),
        (Flags::ACK, '.'),
    ];
    let mut text: String =
        letters.iter().filter(|(flag, _)| spec.flags.contains(*flag)).map(|(_, letter)| *letter).collect();
    if text.is_empty() {
        text.push('-');
    }
    text.push_str(&format!(" {}:{}({})", spec.start, spec.end, spec.length));
    if let Some(ack) = spec.ack {
        text.push_str(&format!(" ack {ack}"));
    }
    if let Some(window) = spec.window {
        text.push_str(&format!(" win {window}"));
    }
    let Some(options) = &spec.options else { return text + " <...>" };
    if !options.is_empty() {
        let shown: Vec<String> = options.iter().map(option_text).collect();
        text.push_str(&format!(" <{}>", shown.join(",")));
    }
    text
}

fn option_text(option: &OptionSpec) -> String {
    match option {
        OptionSpec::NoOperation => "nop".into(),
        OptionSpec::EndOfList => "eol".into(),
        OptionSpec::MaximumSegmentSize(size) => format!("mss {size}"),
        OptionSpec::WindowScale(shift) => format!("wscale {shift}"),
        OptionSpec::SackPermitted => "sackOK".into(),
        OptionSpec::Sack(blocks) => {
            let shown: Vec<String> = blocks.iter().map(|(start, end)| format!("{start}:{end}")).collect();
            format!("sack {}", shown.join(" "))
        }
        OptionSpec::Other(what) => what.clone(),
        OptionSpec::Timestamps { value, echo } => format!("TS val {value} ecr {echo}"),
        OptionSpec::FastOpen { cookie, experiment } => {
            let digits = cookie.iter().fold(String::new(), |mut digits, byte| {
                let _ = write!(digits, "{byte:02x}");
                digits
            });
            let name = if *experiment { "FOEXP" } else { "FO" };
            if digits.is_empty() { name.into() } else { format!("{name} {digits}") }
        }
    }
}
