//! nginx: directives that end with `;`, in blocks.

use super::{Config, Setting, time};

const UNITS: &[(&str, u64)] = &[("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// A piece of the text: a word, or one of `;`, `{`, `}`.
enum Token {
    Word(String),
    End,
    Open,
    Close,
}

pub(super) fn read(text: &str) -> Config {
    let mut config = Config::default();
    let mut blocks: Vec<String> = Vec::new();
    let mut words: Vec<String> = Vec::new();
    let mut begins = 0;
    for (line, token) in tokens(text) {
        match token {
            Token::Word(word) => {
                if words.is_empty() {
                    begins = line;
                }
                words.push(word);
            }
            Token::Open => blocks.push(std::mem::take(&mut words).join(" ")),
            Token::Close => {
                blocks.pop();
                words.clear();
            }
            Token::End => {
                directive(&std::mem::take(&mut words), begins, &blocks, &mut config);
            }
        }
    }
    config
}

fn directive(words: &[String], line: u32, blocks: &[String], config: &mut Config) {
    let [name, values @ ..] = words else { return };
    let Some(value) = values.first() else { return };
    let upstream = blocks.iter().any(|block| block.starts_with("upstream"));
    let upstream = match &**name {
        "include" => return config.includes.push((line, value.clone())),
        // keepalive 16: so many idle connections to the servers are kept.
        "keepalive" if upstream => return config.keeps_upstream = Some(value != "0"),
        "keepalive_timeout" => upstream,
        "proxy_read_timeout" | "proxy_timeout" => true,
        _ => return,
    };
    match time(value, UNITS, 1_000) {
        Some(time) => config.settings.push(Setting {
            directive: name.clone(),
            scope: blocks.last().cloned().unwrap_or_default(),
            time: (!time.is_zero()).then_some(time),
            line,
            upstream,
        }),
        None => config.unreadable(line, name, value),
    }
}

fn tokens(text: &str) -> Vec<(u32, Token)> {
    let mut tokens = Vec::new();
    let mut word = String::new();
    let (mut line, mut begun) = (1, 1);
    let mut quote = None;
    let mut comment = false;
    for c in text.chars() {
        let plain = quote.is_none() && !comment;
        let ends = plain && (c.is_whitespace() || matches!(c, ';' | '{' | '}'));
        if ends && !word.is_empty() {
            tokens.push((begun, Token::Word(std::mem::take(&mut word))));
        }
        match c {
            '\n' => {
                comment = false;
                line += 1;
            }
            _ if comment => {}
            _ if quote == Some(c) => quote = None,
            '"' | '\'' if plain && word.is_empty() => quote = Some(c),
            '#' if plain && word.is_empty() => comment = true,
            ';' if plain => tokens.push((line, Token::End)),
            '{' if plain => tokens.push((line, Token::Open)),
            '}' if plain => tokens.push((line, Token::Close)),
            _ if ends => {}
            _ => {
                if word.is_empty() {
                    begun = line;
                }
                word.push(c);
            }
        }
    }
    tokens
}
