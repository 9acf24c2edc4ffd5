//! Apache httpd: a directive a line, in sections.

use super::lines::words;
use super::{Config, Setting, time};

/// Without a unit these are seconds; `ms` is all that `KeepAliveTimeout` knows besides.
const UNITS: &[(&str, u64)] = &[("ms", 1), ("s", 1_000), ("min", 60_000), ("h", 3_600_000)];

pub(super) fn read(text: &str) -> Config {
    let mut config = Config::default();
    let mut sections: Vec<String> = Vec::new();
    for (number, line) in logical_lines(text) {
        let line = line.trim();
        if let Some(section) = line.strip_prefix("</") {
            let _ = section;
            sections.pop();
        } else if let Some(section) = line.strip_prefix('<') {
            sections.push(section.trim_end_matches('>').to_owned());
        } else if let [name, value, rest @ ..] = &*words(line) {
            let scope = sections.last().cloned().unwrap_or_default();
            directive(name, value, rest, number, scope, &mut config);
        }
    }
    config
}

fn directive(name: &str, value: &str, rest: &[String], line: u32, scope: String, config: &mut Config) {
    let set = |time, upstream| Setting { directive: name.to_owned(), scope, time, line, upstream };
    match &*name.to_ascii_lowercase() {
        "serverroot" => config.root = Some(value.to_owned()),
        "include" | "includeoptional" => config.includes.push((line, value.to_owned())),
        "keepalive" if value.eq_ignore_ascii_case("off") => config.settings.push(set(None, false)),
        "keepalivetimeout" => match time(value, UNITS, 1_000) {
            Some(time) => config.settings.push(set(Some(time), false)),
            None => config.unreadable(line, name, value),
        },
        // ProxyPass /path url ttl=60: how long idle connections to the server are kept.
        "proxypass" | "proxypassmatch" | "balancermember" => {
            let reuses = !rest.iter().any(|word| word.eq_ignore_ascii_case("disablereuse=on"));
            config.keeps_upstream = Some(config.keeps_upstream.unwrap_or(false) || reuses);
            if let Some(ttl) = rest.iter().find_map(|word| word.strip_prefix("ttl=")) {
                match time(ttl, UNITS, 1_000) {
                    Some(time) => config.settings.push(set(Some(time), true)),
                    None => config.unreadable(line, name, ttl),
                }
            }
        }
        _ => {}
    }
}

/// Lines with their numbers; a backslash at the end takes the next one in.
fn logical_lines(text: &str) -> impl Iterator<Item = (u32, String)> {
    let mut lines = (1..).zip(text.lines());
    std::iter::from_fn(move || {
        let (number, first) = lines.next()?;
        let mut line = first.to_owned();
        while line.ends_with('\\') {
            line.pop();
            match lines.next() {
                Some((_, more)) => line.push_str(more),
                None => break,
            }
        }
        Some((number, line))
    })
}
