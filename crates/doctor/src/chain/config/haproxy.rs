//! HAProxy: sections that a keyword at the line's beginning opens, a directive a line.

use super::lines::words;
use super::{Config, Setting, time};

const SECTIONS: [&str; 7] = ["global", "defaults", "frontend", "backend", "listen", "peers", "resolvers"];

/// Without a unit these are milliseconds.
const UNITS: &[(&str, u64)] =
    &[("us", 0), ("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// `server a 192.0.2.1:80 pool-purge-delay 10s`: how often half of the idle connections to it are closed.
fn pool_purge_delay(words: &[String], line: u32, scope: &str, config: &mut Config) {
    const NAME: &str = "pool-purge-delay";
    let Some(value) = words.iter().position(|word| word == NAME).and_then(|at| words.get(at + 1)) else {
        return;
    };
    match time(value, UNITS, 1) {
        Some(time) => config.settings.push(Setting {
            directive: NAME.to_owned(),
            scope: scope.to_owned(),
            time: Some(time),
            line,
            upstream: true,
        }),
        None => config.unreadable(line, NAME, value),
    }
}

pub(super) fn read(text: &str) -> Config {
    let mut config = Config::default();
    let mut scope = String::new();
    for (line, text) in (1..).zip(text.lines()) {
        let words = words(text);
        let Some(first) = words.first() else { continue };
        if SECTIONS.contains(&&**first) {
            scope = words.join(" ");
            continue;
        }
        match &*words {
            [option, what, ..]
                if option == "option" && matches!(&**what, "httpclose" | "http-server-close") =>
            {
                config.keeps_upstream = Some(false);
            }
            [reuse, how, ..] if reuse == "http-reuse" => config.keeps_upstream = Some(how != "never"),
            [server, ..] if matches!(&**server, "server" | "default-server") => {
                pool_purge_delay(&words, line, &scope, &mut config);
            }
            _ => {}
        }
        if let [timeout, which, value, ..] = &*words
            && timeout == "timeout"
        {
            // Toward clients the first of these that is set, toward servers the last one.
            let upstream = match &**which {
                "http-keep-alive" | "http-request" | "client" => false,
                "server" => true,
                _ => continue,
            };
            match time(value, UNITS, 1) {
                Some(time) => config.settings.push(Setting {
                    directive: format!("timeout {which}"),
                    scope: scope.clone(),
                    time: Some(time),
                    line,
                    upstream,
                }),
                None => config.unreadable(line, &format!("timeout {which}"), value),
            }
        }
    }
    config
}
