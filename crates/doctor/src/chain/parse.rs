//! `client:idle=60 lb:idle=300,kind=f5 server:idle=15,kind=apache`

use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

use super::{Chain, ChainError, Hop, Idle, Origin, PRODUCTS, Product, Role};

/// More hops than any path has.
const MOST: usize = 64;

impl FromStr for Chain {
    type Err = ChainError;

    fn from_str(text: &str) -> Result<Self, ChainError> {
        let mut hops = Vec::new();
        for place in words(text, char::is_whitespace) {
            if hops.len() == MOST {
                return Err(ChainError::new(text, place, "a path has at most 64 hops"));
            }
            hops.push(hop(text, place)?);
        }
        let whole = 0..text.len();
        if hops.len() < 2 {
            let what = "a path has at least two ends, such as client:idle=60 server:idle=75";
            return Err(ChainError::new(text, whole, what));
        }
        for hop in [hops.first(), hops.last()].into_iter().flatten() {
            if hop.role == Role::Filter {
                let start = text.find(&hop.name).unwrap_or(0);
                let what = format!("`{}` only lets connections pass: it lies between two ends", hop.name);
                return Err(ChainError::new(text, start..start + hop.name.len(), what));
            }
        }
        Ok(Self { hops })
    }
}

/// Where the words lie.
fn words(text: &str, is_between: impl Fn(char) -> bool) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    text.split(is_between).filter_map(move |word| {
        let place = start..start + word.len();
        // What stands between takes one byte, or as many as the character has.
        start = text[place.end..].chars().next().map_or(place.end, |between| place.end + between.len_utf8());
        (!word.is_empty()).then_some(place)
    })
}

fn hop(text: &str, place: Range<usize>) -> Result<Hop, ChainError> {
    let word = &text[place.clone()];
    let (name, settings) = word.split_once(':').unwrap_or((word, ""));
    if name.is_empty() {
        return Err(ChainError::new(text, place, "a hop begins with its name"));
    }
    let begin = place.start + name.len() + 1;
    let mut hop = Hop {
        name: name.to_owned(),
        role: role_of(name),
        product: None,
        idle: None,
        upstream_idle: None,
        keepalive: None,
    };
    let mut settings: Vec<Range<usize>> = words(settings, |c| c == ',').collect();
    for place in &mut settings {
        *place = begin + place.start..begin + place.end;
    }
    // What it is comes first, wherever it stands: the rest is told on top of it.
    let kinds = settings.iter().filter(|place| text[(*place).clone()].starts_with("kind="));
    let kind = kinds.cloned().next_back().map(|place| product(text, place)).transpose()?;
    if let Some(product) = kind.or_else(|| Product::named(name)) {
        apply(&mut hop, product, kind.is_some());
    }
    for place in settings {
        setting(text, place, &mut hop)?;
    }
    Ok(hop)
}

/// What a name says about what it names.
fn role_of(name: &str) -> Role {
    let name = name.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
    if has(&["client", "browser"]) {
        Role::Client
    } else if has(&["lb", "balancer", "proxy", "ingress", "gateway"]) {
        Role::Proxy
    } else if has(&["nat", "firewall", "fw"]) {
        Role::Filter
    } else {
        Role::Server
    }
}

fn product(text: &str, place: Range<usize>) -> Result<&'static Product, ChainError> {
    let place = place.start + "kind=".len()..place.end;
    Product::named(&text[place.clone()]).ok_or_else(|| {
        let names: Vec<&str> = PRODUCTS.iter().map(|product| product.name).collect();
        ChainError::new(text, place, format!("no such kind is known; there are {}", names.join(", ")))
    })
}

fn apply(hop: &mut Hop, product: &'static Product, asked: bool) {
    let default = |seconds: Option<u64>| {
        seconds.map(|seconds| Idle { time: Duration::from_secs(seconds), source: Origin::Default })
    };
    hop.product = Some(product);
    hop.idle = default(product.idle_s);
    hop.upstream_idle = default(product.upstream_idle_s);
    hop.keepalive = product.keepalive_s.map(Duration::from_secs);
    // nginx as `lb` is a proxy; a name that says nothing leaves it to the product.
    if product.role == Role::Filter || (asked && hop.role == Role::Server) || product.name == hop.name {
        hop.role = product.role;
    }
}

fn setting(text: &str, place: Range<usize>, hop: &mut Hop) -> Result<(), ChainError> {
    let word = &text[place.clone()];
    let Some((key, value)) = word.split_once('=') else {
        return Err(ChainError::new(text, place, "a setting is KEY=VALUE, such as idle=60"));
    };
    let value_place = place.start + key.len() + 1..place.end;
    let given = |time: Option<Duration>| time.map(|time| Idle { time, source: Origin::Given });
    match key {
        "kind" => {}
        "idle" => {
            hop.idle = given(time(text, value_place, value)?);
            hop.upstream_idle = None;
        }
        "upstream-idle" => hop.upstream_idle = given(time(text, value_place, value)?),
        "keepalive" => hop.keepalive = time(text, value_place, value)?,
        _ => {
            let end = place.start + key.len();
            let what = "there are idle, upstream-idle, keepalive and kind";
            return Err(ChainError::new(text, place.start..end, what));
        }
    }
    Ok(())
}

/// `60`, `60s`, `5m`, `2h`, `500ms`; `never` and `off` are none.
fn time(text: &str, place: Range<usize>, value: &str) -> Result<Option<Duration>, ChainError> {
    if matches!(value, "never" | "off" | "none") {
        return Ok(None);
    }
    let digits = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let (number, unit) = value.split_at(digits);
    let unit_ms = match unit {
        "" | "s" => Some(1_000),
        "ms" => Some(1),
        "m" | "min" => Some(60_000),
        "h" => Some(3_600_000),
        "d" => Some(86_400_000),
        _ => None,
    };
    let ms = number.parse::<u64>().ok().zip(unit_ms).and_then(|(number, unit)| number.checked_mul(unit));
    match ms {
        Some(ms) if ms > 0 => Ok(Some(Duration::from_millis(ms))),
        _ => Err(ChainError::new(text, place, "a time is a number of seconds, or 500ms, 5m, 2h, or never")),
    }
}
