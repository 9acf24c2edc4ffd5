//! What is to be changed, as the command line says it.

use std::time::Duration;

use eleven_linux::act::OptionChange;

use crate::cli::KeepaliveArgs;
use crate::commands::WrongUsage;
use crate::filter::parse_duration;

/// Largest `TCP_KEEPIDLE` and `TCP_KEEPINTVL`, in seconds, and `TCP_KEEPCNT` (`include/net/tcp.h`).
const MOST_SECONDS: u64 = 32_767;
const MOST_PROBES: u32 = 127;

/// The change, or `None` where only looking was asked for.
pub(super) fn wanted(args: &KeepaliveArgs) -> Result<Option<OptionChange>, WrongUsage> {
    let mut change = OptionChange::default();
    if args.off {
        change.enabled = Some(false);
    }
    for word in &args.set {
        let (name, value) = word.split_once('=').ok_or_else(|| wrong(word, "it has no `=`"))?;
        match name {
            "time" | "idle" => change.idle_s = Some(seconds(word, value)?),
            "interval" | "intvl" => change.interval_s = Some(seconds(word, value)?),
            "probes" | "count" => {
                let probes = value.parse().ok().filter(|probes| (1..=MOST_PROBES).contains(probes));
                change.probes = Some(probes.ok_or_else(|| wrong(word, "probes are a number from 1 to 127"))?);
            }
            _ => return Err(wrong(word, "there are time, interval and probes")),
        }
        change.enabled = Some(true);
    }
    if let Some(timeout) = args.user_timeout {
        let ms = u32::try_from(timeout.as_millis()).ok().filter(|ms| i32::try_from(*ms).is_ok());
        change.user_timeout_ms =
            Some(ms.ok_or_else(|| WrongUsage::Other("--user-timeout is at most 24 days".to_owned()))?);
    }
    Ok((change != OptionChange::default()).then_some(change))
}

fn seconds(word: &str, value: &str) -> Result<u32, WrongUsage> {
    let time = match value.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => parse_duration(value).ok(),
    };
    let whole = time.filter(|time| time.subsec_nanos() == 0 && (1..=MOST_SECONDS).contains(&time.as_secs()));
    whole
        .map(|time| time.as_secs() as u32)
        .ok_or_else(|| wrong(word, "times are whole seconds from 1 to 32767, such as 60 or 2m"))
}

fn wrong(word: &str, why: &str) -> WrongUsage {
    WrongUsage::Other(format!(
        "`--set {word}` is not understood: {why}; an example is --set time=60,interval=10,probes=3"
    ))
}

/// The change in words, for the question.
pub(super) fn sentence(change: &OptionChange) -> String {
    let mut parts = Vec::new();
    match change.enabled {
        Some(true) => parts.push("keepalive on".to_owned()),
        Some(false) => parts.push("keepalive off".to_owned()),
        None => {}
    }
    let mut times = Vec::new();
    times.extend(change.idle_s.map(|time| format!("time {time} s")));
    times.extend(change.interval_s.map(|interval| format!("interval {interval} s")));
    times.extend(change.probes.map(|probes| format!("{probes} probes")));
    if !times.is_empty() {
        parts.push(times.join(", "));
    }
    match change.user_timeout_ms {
        Some(0) => parts.push("no user timeout".to_owned()),
        Some(ms) => parts.push(format!("user timeout {}", crate::text::duration(ms.into()))),
        None => {}
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(set: &[&str], user_timeout: Option<u64>) -> KeepaliveArgs {
        KeepaliveArgs {
            set: set.iter().map(|word| (*word).to_owned()).collect(),
            user_timeout: user_timeout.map(Duration::from_secs),
            off: false,
            undo: false,
            act: crate::cli::ActArgs::default(),
            filter: crate::cli::FilterArgs { filter: Vec::new() },
        }
    }

    #[test]
    fn settings_are_read() {
        let change = wanted(&args(&["time=2m", "interval=10", "probes=3"], Some(30))).unwrap().unwrap();
        assert_eq!(
            (change.enabled, change.idle_s, change.interval_s, change.probes, change.user_timeout_ms),
            (Some(true), Some(120), Some(10), Some(3), Some(30_000))
        );
        assert_eq!(sentence(&change), "keepalive on, time 120 s, interval 10 s, 3 probes, user timeout 30 s");
        assert_eq!(wanted(&args(&[], None)).unwrap(), None);
        for word in ["time", "time=0", "time=32768", "time=1.5s", "probes=128", "probes=x", "tme=3"] {
            assert!(wanted(&args(&[word], None)).is_err(), "{word}");
        }
    }
}
