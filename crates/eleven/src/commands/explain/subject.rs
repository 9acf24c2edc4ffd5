//! What the words of `eleven explain` mean.

use eleven_knowledge::Language;
use eleven_tcp::rules::{Event, RULES, applicable, segment_rules};
use eleven_tcp::{Flags, Rule, State, diagram};

use crate::filter::suggest;

/// Something that can be explained.
#[derive(Debug)]
pub(super) enum Subject {
    State(State),
    /// A transition: the rules that something in a state can hit.
    Rules {
        title: String,
        rules: Vec<&'static Rule>,
    },
    Flags(Flags),
    Errno(String),
    Sysctl(String),
    Finding(String),
    Anomaly(String),
}

/// Every state, in the order of a connection's life.
pub(super) fn all_states() -> Vec<Subject> {
    State::ALL.into_iter().map(Subject::State).collect()
}

/// Understands the words: a state and what happens in it, or every word for itself.
///
/// # Errors
/// A sentence about the first word that means nothing, with the nearest that does.
pub(super) fn parse(words: &[String]) -> Result<Vec<Subject>, String> {
    // `'FIN_WAIT1 FIN+ACK'` in quotes is the same as without.
    let split: Vec<String> =
        words.iter().flat_map(|word| word.split_whitespace()).map(str::to_owned).collect();
    if let Some(transition) = parse_transition(&split) {
        return Ok(vec![transition]);
    }
    let mut subjects = Vec::new();
    for word in words {
        subjects.extend(parse_word(word)?);
    }
    Ok(subjects)
}

/// `FIN_WAIT1 FIN+ACK`, `ESTABLISHED close`, `SYN_SENT ESTABLISHED`.
fn parse_transition(words: &[String]) -> Option<Subject> {
    let [first, rest @ ..] = words else { return None };
    let state: State = first.parse().ok()?;
    let what = rest.join(" ");
    if what.is_empty() {
        return None;
    }
    if let Some(event) = parse_event(&what) {
        let rules: Vec<_> = applicable(state, event).iter().collect();
        return Some(Subject::Rules { title: format!("{state}, {event}"), rules });
    }
    if let Ok(to) = what.parse::<State>() {
        // Two states without a way between them are two questions.
        let edge = diagram::edge(state, to)?;
        return Some(Subject::Rules { title: format!("{state} → {to}"), rules: edge.rules });
    }
    let flags: Flags = what.parse().ok()?;
    Some(Subject::Rules { title: format!("{state}, {flags}"), rules: segment_rules(state, flags) })
}

/// An event by its own name, or by the name of the system call behind it.
fn parse_event(text: &str) -> Option<Event> {
    let folded = text.to_ascii_lowercase().replace(['_', '-', '(', ')'], " ");
    let folded = folded.trim();
    let by_call = match folded {
        "connect" | "open" => Some(Event::ActiveOpen),
        "listen" => Some(Event::PassiveOpen),
        "write" => Some(Event::Send),
        "read" | "recv" => Some(Event::Receive),
        "half close" => Some(Event::Shutdown),
        "2msl" => Some(Event::TimeWaitTimeout),
        "rto" | "timeout" => Some(Event::RetransmissionTimeout),
        "icmp" => Some(Event::IcmpHardError),
        _ => None,
    };
    by_call.or_else(|| {
        Event::ALL
            .into_iter()
            .filter(|event| *event != Event::Segment)
            .find(|event| event.as_str().to_ascii_lowercase().replace('_', " ") == folded)
    })
}

/// Whether `text` is the sentence the C library prints for an errno, in either language.
fn is_title_of(text: &str, errno: &str) -> bool {
    // No other word has blanks in it, or Chinese: the texts need not be read for those.
    (text.contains(' ') || !text.is_ascii())
        && Language::ALL.into_iter().any(|language| {
            eleven_knowledge::errno(errno, language)
                .is_some_and(|(_, words)| words.title.eq_ignore_ascii_case(text))
        })
}

/// What a word means: one thing, or several of the same name.
fn parse_word(word: &str) -> Result<Vec<Subject>, String> {
    if let Ok(state) = word.parse() {
        return Ok(vec![Subject::State(state)]);
    }
    if let Some(name) = word.parse().ok().and_then(eleven_knowledge::errno_name) {
        return Ok(vec![Subject::Errno(name)]);
    }
    let errnos = eleven_knowledge::errno_names();
    let upper = match word.to_ascii_uppercase().as_str() {
        // Two names of one number.
        "EWOULDBLOCK" => "EAGAIN".to_owned(),
        upper => upper.to_owned(),
    };
    if errnos.contains(&upper) {
        return Ok(vec![Subject::Errno(upper)]);
    }
    let sysctls: Vec<String> = eleven_knowledge::sysctls().into_keys().collect();
    // `tcp_fin_timeout`, `net.ipv4.tcp_fin_timeout`, and the path form with slashes.
    let dotted = word.strip_prefix("/proc/sys/").unwrap_or(word).replace('/', ".");
    let is_named = |name: &&String| **name == dotted || name.rsplit('.').next() == Some(&dotted);
    if let Some(name) = sysctls.iter().find(is_named) {
        return Ok(vec![Subject::Sysctl(name.clone())]);
    }
    if let Some(name) = errnos.iter().find(|name| is_title_of(word, name)) {
        return Ok(vec![Subject::Errno(name.clone())]);
    }
    let codes = eleven_knowledge::finding_codes();
    let code = word.to_ascii_lowercase().replace('_', "-");
    let anomalies = eleven_knowledge::anomaly_names();
    // The same fault on a host and on the wire, or flags and the anomaly they are: both are meant.
    let mut namesakes = Vec::new();
    if codes.contains(&code) {
        namesakes.push(Subject::Finding(code.clone()));
    }
    if anomalies.contains(&code) {
        namesakes.push(Subject::Anomaly(code));
    }
    if namesakes.is_empty()
        && let Some(rule) = RULES.iter().find(|rule| rule.id == word)
    {
        let title = format!("{}, {}", rule.from, rule.event);
        return Ok(vec![Subject::Rules { title, rules: vec![rule] }]);
    }
    if let Ok(flags) = word.parse() {
        namesakes.push(Subject::Flags(flags));
    }
    if !namesakes.is_empty() {
        return Ok(namesakes);
    }
    let known = State::ALL.iter().map(|state| state.as_str()).chain(errnos.iter().map(String::as_str));
    let short = sysctls.iter().filter_map(|name| name.rsplit('.').next());
    let named = codes.iter().chain(&anomalies).map(String::as_str);
    let nearest = suggest::nearest(word, known.chain(short).chain(named));
    let hint = nearest.map_or_else(String::new, |nearest| format!("; did you mean `{nearest}`?"));
    Err(format!(
        "`{word}` is no state, flags, errno, sysctl, rule, finding or anomaly{hint}\n\
         `eleven explain --help` shows what can be explained"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(words: &[&str]) -> Vec<String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        match parse(&words) {
            Ok(subjects) => subjects.iter().map(|subject| format!("{subject:?}")).collect(),
            Err(error) => vec![error],
        }
    }

    #[test]
    fn words_are_understood() {
        for (words, expected) in [
            (&["fin-wait-2"][..], "State(FinWait2)"),
            (&["111"], "Errno(\"ECONNREFUSED\")"),
            (&["econnreset"], "Errno(\"ECONNRESET\")"),
            (&["tcp_fin_timeout"], "Sysctl(\"net.ipv4.tcp_fin_timeout\")"),
            (&["net/core/somaxconn"], "Sysctl(\"net.core.somaxconn\")"),
        ] {
            assert_eq!(kinds(words), [expected], "{words:?}");
        }
        assert!(kinds(&["SYN+FIN"])[0].starts_with("Flags("));
        assert!(kinds(&["TIME_WAIT", "ESTABLISHED"])[0].starts_with("State(TimeWait)"));
        assert!(kinds(&["TIEM_WAIT"])[0].contains("did you mean `TIME_WAIT`?"));
        assert_eq!(kinds(&["Zero_Window"]), ["Anomaly(\"zero-window\")"]);
        assert!(kinds(&["zero-windwo"])[0].contains("did you mean `zero-window`?"));
    }

    #[test]
    fn things_of_the_same_name_are_explained_together() {
        assert_eq!(kinds(&["syn-flood"]), ["Finding(\"syn-flood\")", "Anomaly(\"syn-flood\")"]);
        let both = kinds(&["syn-fin"]);
        assert!(
            both.len() == 2 && both[0] == "Anomaly(\"syn-fin\")" && both[1].starts_with("Flags("),
            "{both:?}"
        );
        for name in eleven_knowledge::anomaly_names() {
            assert!(kinds(&[&name]).contains(&format!("Anomaly({name:?})")), "{name}");
        }
    }

    #[test]
    fn what_the_anomalies_send_the_reader_to_can_be_explained() {
        for language in Language::ALL {
            for name in eleven_knowledge::anomaly_names() {
                let text = eleven_knowledge::anomaly(&name, language).expect("listed");
                for item in text.next {
                    let commands = item.split('`').skip(1).step_by(2);
                    for words in commands.filter_map(|command| command.strip_prefix("eleven explain ")) {
                        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
                        assert!(words == ["FLAGS"] || parse(&words).is_ok(), "{name}: {words:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_state_with_what_happens_in_it_is_a_transition() {
        for words in [
            &["FIN_WAIT1", "FIN+ACK"][..],
            &["ESTABLISHED", "close"],
            &["SYN_SENT", "ESTABLISHED"],
            &["TIME_WAIT", "2MSL", "timeout"],
            &["fin_wait2", "FIN_WAIT2", "timeout"],
            &["CLOSED", "listen"],
        ] {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            match parse(&words).unwrap().as_slice() {
                [Subject::Rules { rules, .. }] => assert!(!rules.is_empty(), "{words:?}"),
                other => panic!("{words:?}: {other:?}"),
            }
        }
    }
}
