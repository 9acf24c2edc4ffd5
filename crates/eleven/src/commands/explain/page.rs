//! A page of explanation: sections that print as text and serialise as JSON.

use std::collections::BTreeSet;
use std::io::{self, Write};

use eleven_knowledge::{Language, SysctlFacts, fill};
use eleven_linux::proc::sysctl;
use eleven_tcp::rules::{Action, Event};
use eleven_tcp::{Flags, Rule, State, diagram as edges};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::diagram;
use super::words::{heading, value_here};
use crate::output::{Output, Style, print_paragraph};
use crate::text;

/// A page about one thing.
#[derive(Debug)]
pub(super) struct Page {
    /// What kind of thing: `state`, `transition`, `flags`, `errno`, `sysctl`, `finding`, `anomaly`.
    pub(super) kind: &'static str,
    /// Its name.
    pub(super) name: String,
    /// How the name is painted.
    style: Style,
    /// One line behind the name.
    short: String,
    sections: Vec<Section>,
    language: Language,
}

#[derive(Debug)]
struct Section {
    key: &'static str,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Paragraph(String),
    /// Sentences, one below the other.
    List(Vec<String>),
    /// Names with values.
    Pairs(Vec<(String, String)>),
    /// The ways into and out of a state as a drawing; not in JSON.
    Drawing(State),
    /// Outcomes of a transition.
    Outcomes(Vec<Outcome>),
    /// In JSON only.
    Value(serde_json::Value),
}

/// A rule in words.
#[derive(Debug, serde::Serialize)]
struct Outcome {
    rule: &'static str,
    from: &'static str,
    event: &'static str,
    guard: String,
    to: &'static str,
    what: String,
    actions: Vec<String>,
    clause: &'static str,
    linux: Option<String>,
}

impl Page {
    fn new(kind: &'static str, name: impl Into<String>, language: Language) -> Self {
        let name = name.into();
        Self { kind, name, style: Style::Bold, short: String::new(), sections: Vec::new(), language }
    }

    fn paragraph(&mut self, key: &'static str, text: impl Into<String>) {
        let text = text.into();
        if !text.is_empty() {
            self.sections.push(Section { key, body: Body::Paragraph(text) });
        }
    }

    fn list(&mut self, key: &'static str, items: Vec<String>) {
        if !items.is_empty() {
            self.sections.push(Section { key, body: Body::List(items) });
        }
    }

    fn push(&mut self, key: &'static str, body: Body) {
        self.sections.push(Section { key, body });
    }

    /// Every text of the page by key, for CSV.
    pub(super) fn flat(&self) -> Vec<(&'static str, String)> {
        let mut rows = Vec::new();
        for Section { key, body } in &self.sections {
            match body {
                Body::Paragraph(text) => rows.push((*key, text.clone())),
                Body::List(items) => rows.extend(items.iter().map(|item| (*key, item.clone()))),
                Body::Pairs(pairs) => {
                    rows.extend(pairs.iter().map(|(name, value)| (*key, format!("{name} = {value}"))))
                }
                Body::Outcomes(outcomes) => {
                    rows.extend(
                        outcomes.iter().map(|outcome| (*key, format!("{}: {}", outcome.rule, outcome.what))),
                    );
                }
                Body::Drawing(_) | Body::Value(_) => {}
            }
        }
        rows
    }

    /// Prints the page for a person.
    pub(super) fn print(&self, output: &mut Output) -> io::Result<()> {
        let columns = output.text_columns();
        let paint = output.paint;
        let name = paint.text(self.style, &self.name);
        if self.short.is_empty() {
            writeln!(output, "{name}")?;
        } else if text::width(&self.name) + 2 + text::width(&self.short) <= columns {
            writeln!(output, "{name}  {}", self.short)?;
        } else {
            writeln!(output, "{name}")?;
            print_paragraph(output, &self.short, "  ", "  ", columns)?;
        }
        for Section { key, body } in &self.sections {
            if matches!(body, Body::Value(_)) {
                continue;
            }
            writeln!(output, "\n{}", paint.text(Style::Bold, heading(key, self.language)))?;
            match body {
                Body::Paragraph(text) => print_paragraph(output, text, "  ", "  ", columns)?,
                Body::List(items) => {
                    for item in items {
                        print_paragraph(output, item, "  - ", "    ", columns)?;
                    }
                }
                Body::Pairs(pairs) => {
                    let width = pairs.iter().map(|(name, _)| text::width(name)).max().unwrap_or(0);
                    for (name, value) in pairs {
                        if 2 + width + 2 + text::width(value) <= columns {
                            writeln!(output, "  {name:<width$}  {value}")?;
                        } else {
                            print_paragraph(output, name, "  ", "  ", columns)?;
                            print_paragraph(output, value, "    ", "    ", columns)?;
                        }
                    }
                }
                Body::Drawing(state) => diagram::print_around(output, *state)?,
                Body::Outcomes(outcomes) => self.print_outcomes(output, outcomes, columns)?,
                Body::Value(_) => {}
            }
        }
        Ok(())
    }

    fn print_outcomes(&self, output: &mut Output, outcomes: &[Outcome], columns: usize) -> io::Result<()> {
        let paint = output.paint;
        for (index, outcome) in outcomes.iter().enumerate() {
            if index > 0 {
                writeln!(output)?;
            }
            let to: State = outcome.to.parse().unwrap_or(State::Closed);
            let arrow = if outcome.from == outcome.to { "stays" } else { "→" };
            let arrow = if self.language == Language::SimplifiedChinese && outcome.from == outcome.to {
                "保持"
            } else {
                arrow
            };
            let to = paint.text(Style::State(to), outcome.to);
            let rule = format!("{}, {}", outcome.rule, outcome.clause);
            if 2 + text::width(arrow) + 1 + outcome.to.len() + 2 + text::width(&rule) <= columns {
                writeln!(output, "  {arrow} {to}  {}", paint.text(Style::Dim, &rule))?;
            } else {
                writeln!(output, "  {arrow} {to}")?;
                for line in text::wrap(&rule, columns.saturating_sub(4)) {
                    writeln!(output, "    {}", paint.text(Style::Dim, &line))?;
                }
            }
            let label = |key| heading(key, self.language);
            print_paragraph(
                output,
                &format!("{}: {}", label("if"), outcome.guard),
                "    ",
                "      ",
                columns,
            )?;
            print_paragraph(output, &outcome.what, "    ", "    ", columns)?;
            if !outcome.actions.is_empty() {
                let does = format!("{}: {}", label("does"), outcome.actions.join("; "));
                print_paragraph(output, &does, "    ", "      ", columns)?;
            }
            if let Some(linux) = &outcome.linux {
                print_paragraph(output, &format!("{}: {linux}", label("linux")), "    ", "      ", columns)?;
            }
        }
        Ok(())
    }
}

impl Serialize for Page {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("kind", self.kind)?;
        map.serialize_entry("name", &self.name)?;
        if !self.short.is_empty() {
            map.serialize_entry("short", &self.short)?;
        }
        map.serialize_entry("language", self.language.tag())?;
        for Section { key, body } in &self.sections {
            match body {
                Body::Paragraph(text) => map.serialize_entry(key, text)?,
                Body::List(items) => map.serialize_entry(key, items)?,
                Body::Pairs(pairs) => {
                    let object: serde_json::Map<String, serde_json::Value> =
                        pairs.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
                    map.serialize_entry(key, &object)?;
                }
                Body::Outcomes(outcomes) => map.serialize_entry(key, outcomes)?,
                Body::Value(value) => map.serialize_entry(key, value)?,
                Body::Drawing(_) => {}
            }
        }
        map.end()
    }
}

/// A sentence with the values of this host in it.
fn with_values(
    sentence: &str,
    facts: &std::collections::BTreeMap<String, SysctlFacts>,
    language: Language,
) -> String {
    fill(sentence, |name| value_here(name, facts.get(name), language))
}

/// A state.
pub(super) fn of_state(state: State, language: Language) -> Page {
    let text = eleven_knowledge::state(state, language);
    let facts = eleven_knowledge::sysctls();
    let filled = |sentence: &str| with_values(sentence, &facts, language);
    let mut page = Page::new("state", state.as_str(), language);
    page.style = Style::State(state);
    let spellings: BTreeSet<&str> =
        [state.rfc_name(), state.ss_name()].into_iter().filter(|name| *name != state.as_str()).collect();
    if !spellings.is_empty() {
        let spellings = spellings.into_iter().collect::<Vec<_>>().join(", ");
        page.paragraph("spellings", format!("{spellings} (RFC 9293, ss)"));
    }
    page.paragraph("what", filled(&text.what));
    page.push("ways", Body::Drawing(state));
    page.push("ways_in", Body::Value(ways(edges::edges_into(state))));
    page.push("ways_out", Body::Value(ways(edges::edges_from(state))));
    page.paragraph("enters", filled(&text.enters));
    page.paragraph("ends", filled(&text.ends));
    page.paragraph("pile", filled(&text.pile));
    let values: Vec<(String, String)> = facts
        .iter()
        .filter(|(_, facts)| {
            facts.removed.is_none() && facts.states.iter().any(|name| name == state.as_str())
        })
        .filter(|(name, _)| sysctl::read(name).is_some())
        .map(|(name, facts)| (name.clone(), value_here(name, Some(facts), language)))
        .collect();
    if !values.is_empty() {
        page.push("values", Body::Pairs(values));
    }
    page.list("next", text.next.iter().map(|item| filled(item)).collect());
    page.short = text.short;
    page
}

fn ways(edges: Vec<edges::Edge>) -> serde_json::Value {
    edges
        .into_iter()
        .map(|edge| {
            serde_json::json!({
                "from": edge.from.as_str(),
                "to": edge.to.as_str(),
                "labels": edge.labels(),
                "rules": edge.rules.iter().map(|rule| rule.id).collect::<Vec<_>>(),
                "ordinary": edge.is_ordinary(),
            })
        })
        .collect()
}

/// A transition: what can happen when something happens in a state.
pub(super) fn of_rules(title: &str, rules: &[&'static Rule], language: Language) -> Page {
    let facts = eleven_knowledge::sysctls();
    let mut page = Page::new("transition", title, language);
    let mut rules = rules.to_vec();
    // What moves the connection on comes first, what is refused last.
    rules.sort_by_key(|rule| (!rule.changes_state(), rule.actions.contains(&Action::DiscardSegment)));
    let outcomes = rules
        .into_iter()
        .map(|rule| Outcome {
            rule: rule.id,
            from: rule.from.as_str(),
            event: rule.event.as_str(),
            guard: guard(rule, language),
            to: rule.to.as_str(),
            what: with_values(
                &eleven_knowledge::transition(rule.id, language).unwrap_or_default(),
                &facts,
                language,
            ),
            actions: rule.actions.iter().map(ToString::to_string).collect(),
            clause: rule.clause,
            linux: rule.linux.map(|deviation| match deviation.to {
                Some(to) if to != rule.to => format!("{} (→ {to})", deviation.what),
                _ => deviation.what.to_owned(),
            }),
        })
        .collect();
    page.push("outcomes", Body::Outcomes(outcomes));
    page
}

fn guard(rule: &Rule, language: Language) -> String {
    let words = rule.guard.to_string();
    if words == "always" || words.is_empty() { heading("otherwise", language).to_owned() } else { words }
}

/// A combination of flags.
pub(super) fn of_flags(flags: Flags, language: Language) -> Page {
    let legality = flags.legality();
    let mut page = Page::new("flags", flags.to_string(), language);
    let verdict = legality.verdict.as_str();
    page.short = format!("{verdict} ({}, {})", legality.class.as_str(), legality.clause);
    page.push("verdict_word", Body::Value(verdict.into()));
    page.push("class", Body::Value(legality.class.as_str().into()));
    page.push("clause", Body::Value(legality.clause.into()));
    if let Some(what) = eleven_knowledge::combination(&flags.to_string(), language) {
        page.paragraph("what", what);
    }
    page.paragraph("verdict", eleven_knowledge::verdict(verdict, language).unwrap_or_default());
    let each: Vec<String> = flags
        .iter()
        .filter_map(|flag| {
            let name = flag.to_string();
            eleven_knowledge::flag(&name, language).map(|what| format!("{name}: {what}"))
        })
        .collect();
    page.list("flags", each);
    page.list("states", answers(flags));
    page
}

/// In which states such a segment moves the connection, and where to.
fn answers(flags: Flags) -> Vec<String> {
    let moves = State::ALL.into_iter().filter_map(|state| {
        let mut targets: Vec<String> = Vec::new();
        for rule in eleven_tcp::rules::segment_rules(state, flags) {
            let to = rule.to.to_string();
            if rule.event == Event::Segment && rule.changes_state() && !targets.contains(&to) {
                targets.push(to);
            }
        }
        (!targets.is_empty()).then(|| format!("{state} → {}", targets.join(" | ")))
    });
    moves.collect()
}

/// An errno.
pub(super) fn of_errno(name: &str, language: Language) -> Page {
    let mut page = Page::new("errno", name, language);
    let Some((facts, text)) = eleven_knowledge::errno(name, language) else { return page };
    let sysctls = eleven_knowledge::sysctls();
    page.short = format!("{}  {}", facts.number, text.title);
    page.push("number", Body::Value(facts.number.into()));
    page.push("title", Body::Value(text.title.into()));
    page.paragraph("when", with_values(&text.when, &sysctls, language));
    page.list("check", text.check.iter().map(|item| with_values(item, &sysctls, language)).collect());
    if !facts.states.is_empty() {
        page.paragraph("states", facts.states.join(", "));
    }
    page
}

/// A sysctl.
pub(super) fn of_sysctl(name: &str, language: Language) -> Page {
    let mut page = Page::new("sysctl", name, language);
    let Some((facts, text)) = eleven_knowledge::sysctl(name, language) else { return page };
    let sysctls = eleven_knowledge::sysctls();
    let filled = |sentence: &str| with_values(sentence, &sysctls, language);
    let is_english = language == Language::English;
    let unit = facts.unit.as_deref().map_or_else(String::new, |unit| format!(" {unit}"));
    match sysctl::read(name) {
        Some(value) => {
            page.short = format!("= {value}{unit}");
            page.paragraph("value", format!("{value}{unit}"));
        }
        None => page.push("value", Body::Value(serde_json::Value::Null)),
    }
    page.paragraph("what", filled(&text.what));
    let default = if facts.default.is_empty() {
        if is_english { "empty".to_owned() } else { "空".to_owned() }
    } else {
        format!("{}{unit}", facts.default.split_ascii_whitespace().collect::<Vec<_>>().join(" "))
    };
    page.paragraph("default", default);
    let kernels = match (&facts.since, &facts.removed, is_english) {
        (None, None, _) => String::new(),
        (Some(since), None, true) => format!("since Linux {since}"),
        (Some(since), None, false) => format!("自 Linux {since} 起"),
        (None, Some(removed), true) => format!("removed in Linux {removed}"),
        (None, Some(removed), false) => format!("Linux {removed} 起移除"),
        (Some(since), Some(removed), true) => format!("since Linux {since}, removed in {removed}"),
        (Some(since), Some(removed), false) => format!("自 Linux {since} 起，{removed} 移除"),
    };
    let module = facts.module.as_ref().map(|module| {
        if is_english {
            format!("while the module {module} is loaded")
        } else {
            format!("仅在模块 {module} 已加载时存在")
        }
    });
    let kernels: Vec<String> =
        Some(kernels).filter(|text| !text.is_empty()).into_iter().chain(module).collect();
    page.paragraph("kernels", kernels.join(if is_english { ", " } else { "，" }));
    if facts.removed.is_none() {
        page.paragraph(
            "scope",
            match (facts.per_namespace, is_english) {
                (true, true) => "every network namespace has its own value",
                (true, false) => "每个网络命名空间各有其值",
                (false, true) => "one value for the whole host",
                (false, false) => "整台主机共用一个值",
            },
        );
    }
    if !facts.states.is_empty() {
        page.paragraph("states", facts.states.join(", "));
    }
    page.paragraph("raise", filled(&text.raise));
    page.paragraph("never", filled(&text.never));
    page
}

/// A finding of the doctor.
pub(super) fn of_finding(code: &str, language: Language) -> Page {
    let mut page = Page::new("finding", code, language);
    let Some(text) = eleven_knowledge::finding(code, language) else { return page };
    let sysctls = eleven_knowledge::sysctls();
    let filled = |sentence: &str| with_values(sentence, &sysctls, language);
    page.short = text.title;
    page.paragraph("seen", filled(&text.seen));
    page.paragraph("cause", filled(&text.cause));
    page.paragraph("fix", filled(&text.fix));
    page.paragraph("verify", filled(&text.verify));
    page
}

/// An anomaly that a trace shows.
pub(super) fn of_anomaly(name: &str, language: Language) -> Page {
    let mut page = Page::new("anomaly", name, language);
    let Some(text) = eleven_knowledge::anomaly(name, language) else { return page };
    let sysctls = eleven_knowledge::sysctls();
    let filled = |sentence: &str| with_values(sentence, &sysctls, language);
    page.paragraph("what", filled(&text.what));
    page.paragraph("who", filled(&text.who));
    page.list("next", text.next.iter().map(|item| filled(item)).collect());
    page
}
