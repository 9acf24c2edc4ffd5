//! From tokens to a tree, by recursive descent.
//!
//! ```text
//! filter = [ or ]
//! or     = and { "or" and }
//! and    = item { [ "and" ] item }
//! item   = states | unary
//! states = ( "state" S | "exclude" S | S ) { "state" S | "exclude" S | S }
//! unary  = "not" unary | "(" or ")" | test
//! test   = KEYWORD [ OPERATOR ] VALUE | KEYWORD | STATE
//! ```
//!
//! `states` is ss's: `state A state B exclude C` is one set of states, although everything
//! else that stands side by side must hold at once. An `and` between them ends the set.

use std::ops::Range;

use eleven_snapshot::{Family, KernelOnly, SocketKind, TimerKind};
use eleven_tcp::{State, StateSet};

use super::ast::{Expression, NoOwner, Predicate, Side};
use super::comparison::Comparison;
use super::error::{Cause, FilterError};
use super::flow::{self, ClosedBy, End, FlowPredicate, Measure};
use super::keywords::{self, Keyword, Operators, Subject, Topic};
use super::lex::{Operator, Token, TokenKind, tokens};
use super::names::Names;
use super::pattern::Pattern;
use super::suggest::nearest;
use super::value::{self, BadValue};

/// How deep parentheses and negations may nest. Everything that walks the tree recurses,
/// so this bounds the stack of all of it.
const DEEPEST: usize = 100;

/// `None` is the empty filter.
pub(super) fn parse(
    text: &str,
    subject: Subject,
    names: &dyn Names,
) -> Result<Option<Expression>, FilterError> {
    let mut parser = Parser { text, subject, names, tokens: tokens(text)?, at: 0, depth: 0 };
    if parser.tokens.is_empty() {
        return Ok(None);
    }
    let expression = parser.or()?;
    match parser.next() {
        None => Ok(Some(expression)),
        // `or` ends at nothing else.
        Some(token) => Err(FilterError::new(token.span, Cause::UnopenedParenthesis)),
    }
}

struct Parser<'a> {
    text: &'a str,
    subject: Subject,
    names: &'a dyn Names,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

/// A set of states being put together, and apart from it the kind `bound`, which is none.
struct States {
    set: StateSet,
    bound: Bound,
}

/// What has been said about `bound`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bound {
    Unsaid,
    Added,
    TakenAway,
}

impl States {
    fn into_expression(self) -> Expression {
        let bound = Expression::from(Predicate::Kind(SocketKind::Bound));
        let set = Expression::from(Predicate::States(self.set));
        match self.bound {
            Bound::Unsaid => set,
            Bound::Added if self.set.is_empty() => bound,
            Bound::Added => Expression::Or(vec![set, bound]),
            Bound::TakenAway => Expression::And(vec![set, Expression::Not(Box::new(bound))]),
        }
    }
}

impl Parser<'_> {
    fn peek(&self) -> Option<&TokenKind> {
        self.tokens.get(self.at).map(|token| &token.kind)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += usize::from(token.is_some());
        token
    }

    fn source(&self, span: Range<usize>) -> String {
        self.text[span].to_owned()
    }

    /// The error that `wanted` does not follow what was read last.
    fn expected(&self, wanted: &'static str) -> FilterError {
        let found = self.tokens.get(self.at);
        let after = self.at.checked_sub(1).map(|last| self.source(self.tokens[last].span.clone()));
        FilterError::new(
            found.map_or(self.text.len()..self.text.len(), |token| token.span.clone()),
            Cause::Expected { wanted, after, found: found.map(|token| self.source(token.span.clone())) },
        )
    }

    fn or(&mut self) -> Result<Expression, FilterError> {
        let mut parts = vec![self.and()?];
        while self.peek() == Some(&TokenKind::Or) {
            self.at += 1;
            parts.push(self.and()?);
        }
        Ok(Expression::or(parts))
    }

    fn and(&mut self) -> Result<Expression, FilterError> {
        let mut parts = vec![self.item()?];
        loop {
            match self.peek() {
                None | Some(TokenKind::Or | TokenKind::Close) => return Ok(Expression::and(parts)),
                Some(TokenKind::And) => self.at += 1,
                Some(_) => {}
            }
            parts.push(self.item()?);
        }
    }

    fn item(&mut self) -> Result<Expression, FilterError> {
        let mut states: Option<States> = None;
        while let Some((takes_away, word_at)) = self.states_ahead() {
            self.at = word_at;
            let added = self.states_value()?;
            let states = states.get_or_insert(if takes_away {
                States { set: StateSet::ALL, bound: Bound::Unsaid }
            } else {
                States { set: StateSet::EMPTY, bound: Bound::Unsaid }
            });
            if takes_away {
                states.set = states.set.intersection(added.set.complement());
            } else {
                states.set = states.set.union(added.set);
            }
            if added.bound == Bound::Added {
                states.bound = if takes_away { Bound::TakenAway } else { Bound::Added };
            }
        }
        states.map_or_else(|| self.unary(), |states| Ok(states.into_expression()))
    }

    /// If `state S`, `exclude S` or a bare state comes next: whether it takes away, and
    /// where its value stands. `state != S` is an ordinary test.
    fn states_ahead(&self) -> Option<(bool, usize)> {
        let TokenKind::Word { text, quoted: false } = self.peek()? else { return None };
        match keywords::find(text).map(|keyword| keyword.topic) {
            Some(Topic::State) => match self.tokens.get(self.at + 1).map(|token| &token.kind) {
                Some(TokenKind::Operator(Operator::EQUAL)) => Some((false, self.at + 2)),
                Some(TokenKind::Operator(_)) => None,
                _ => Some((false, self.at + 1)),
            },
            Some(Topic::Exclude) => Some((true, self.at + 1)),
            Some(_) => None,
            None => named_states(text).map(|_| (false, self.at)),
        }
    }

    /// States and classes, separated by commas.
    fn states_value(&mut self) -> Result<States, FilterError> {
        let (text, span) = self.word("a state")?;
        let mut states = States { set: StateSet::EMPTY, bound: Bound::Unsaid };
        let mut start = span.start;
        for name in text.split(',') {
            match named_states(name) {
                Some(Named::Set(set)) => states.set = states.set.union(set),
                Some(Named::Bound) => states.bound = Bound::Added,
                None => {
                    // Quotes make the text shorter than its place; then the place is all of it.
                    let place = if span.len() == text.len() { start..start + name.len() } else { span };
                    let words = keywords::state_words();
                    return Err(FilterError::new(place, Cause::UnknownState(name.to_owned()))
                        .suggest(nearest(name, words.iter().map(String::as_str))));
                }
            }
            start += name.len() + 1;
        }
        Ok(states)
    }

    fn unary(&mut self) -> Result<Expression, FilterError> {
        let (kind, span) = match self.tokens.get(self.at) {
            Some(token) => (token.kind.clone(), token.span.clone()),
            None => return Err(self.expected("a test")),
        };
        match kind {
            TokenKind::Not => {
                self.at += 1;
                self.deeper(span, |parser| Ok(Expression::Not(Box::new(parser.unary()?))))
            }
            TokenKind::Open => {
                self.at += 1;
                self.deeper(span.clone(), |parser| {
                    let expression = parser.or()?;
                    match parser.next() {
                        Some(Token { kind: TokenKind::Close, .. }) => Ok(expression),
                        _ => Err(FilterError::new(span, Cause::UnclosedParenthesis)),
                    }
                })
            }
            TokenKind::Word { text, quoted: false } => match keywords::find(&text) {
                Some(keyword) if !keyword.is_about(self.subject) => {
                    Err(FilterError::new(span, other_subject(keyword, self.subject)))
                }
                Some(keyword) => {
                    self.at += 1;
                    self.test(keyword)
                }
                None if named_states(&text).is_some() => self.states_value().map(States::into_expression),
                None => Err(unknown_word(span, text, self.subject)),
            },
            TokenKind::Close if self.at == 0 => Err(FilterError::new(span, Cause::UnopenedParenthesis)),
            TokenKind::Close
            | TokenKind::And
            | TokenKind::Or
            | TokenKind::Operator(_)
            | TokenKind::Word { quoted: true, .. } => Err(self.expected("a test")),
        }
    }

    fn deeper(
        &mut self,
        span: Range<usize>,
        inner: impl FnOnce(&mut Self) -> Result<Expression, FilterError>,
    ) -> Result<Expression, FilterError> {
        if self.depth == DEEPEST {
            return Err(FilterError::new(span, Cause::TooDeep(DEEPEST)));
        }
        self.depth += 1;
        let expression = inner(self);
        self.depth -= 1;
        expression
    }

    /// The rest of a test, behind its keyword.
    fn test(&mut self, keyword: &'static Keyword) -> Result<Expression, FilterError> {
        let mut operator = Operator::EQUAL;
        if let Some(Token { kind: TokenKind::Operator(written), span }) = self.tokens.get(self.at) {
            let refused = match keyword.operators {
                Operators::None | Operators::ValueOnly => Some(Cause::NotCompared(keyword.name)),
                Operators::Equality if !written.is_equality() => Some(Cause::NotOrdered(keyword.name)),
                Operators::Equality | Operators::Order => None,
            };
            if let Some(cause) = refused {
                return Err(FilterError::new(span.clone(), cause));
            }
            operator = *written;
            self.at += 1;
        }
        let Operator { comparison, negated } = operator;
        let test = |predicate| Expression::Test { predicate, negated };
        Ok(match keyword.topic {
            Topic::State => {
                let states = self.states_value()?;
                let expression = states.into_expression();
                match (expression, negated) {
                    (Expression::Test { predicate: Predicate::States(set), .. }, true) => {
                        Predicate::States(set.complement()).into()
                    }
                    (expression, true) => Expression::Not(Box::new(expression)),
                    (expression, false) => expression,
                }
            }
            Topic::Exclude => match self.states_value()?.into_expression() {
                Expression::Test { predicate: Predicate::States(set), .. } => {
                    Predicate::States(set.complement()).into()
                }
                expression => Expression::Not(Box::new(expression)),
            },
            Topic::Kind => {
                let choices = &["full", "request", "timewait", "bound"];
                test(Predicate::Kind(self.choice(keyword, choices, &SocketKind::ALL)?))
            }
            Topic::Family => {
                let (text, span) = self.value(keyword)?;
                test(Predicate::Family(match text.to_ascii_lowercase().as_str() {
                    "inet" | "ipv4" | "4" => Family::Inet,
                    "inet6" | "ipv6" | "6" => Family::Inet6,
                    _ => return Err(not_a_choice(keyword, text, span, &["inet", "inet6"])),
                }))
            }
            Topic::Inet => Predicate::Family(Family::Inet).into(),
            Topic::Inet6 => Predicate::Family(Family::Inet6).into(),
            Topic::Destination => self.host(keyword, Side::Remote, negated)?,
            Topic::Source => self.host(keyword, Side::Local, negated)?,
            Topic::Address => self.host(keyword, Side::Either, negated)?,
            Topic::DestinationPort => self.port(keyword, Side::Remote, comparison, negated)?,
            Topic::SourcePort => self.port(keyword, Side::Local, comparison, negated)?,
            Topic::Port => self.port(keyword, Side::Either, comparison, negated)?,
            Topic::AutoBound => Predicate::AutoBound(self.names.ephemeral_ports()).into(),
            Topic::Interface => test(Predicate::Interface(self.interface(keyword)?)),
            Topic::Mark => {
                let (value, mask) = self.parsed(keyword, value::mark)?;
                test(Predicate::Mark { value, mask })
            }
            Topic::Process => test(Predicate::Process(self.pattern(keyword)?)),
            Topic::Pid => test(Predicate::Pid(self.parsed(keyword, value::number32)?)),
            Topic::User => {
                let quoted = self.next_is_quoted();
                let (name, _) = self.value(keyword)?;
                test(match name.parse() {
                    Ok(uid) if !quoted => Predicate::Uid(uid),
                    _ => {
                        let name = Pattern::new(&name);
                        // A user that is not known here may be on the host of a snapshot.
                        let uid = name.literal().and_then(|name| self.names.user(name));
                        Predicate::User { name, uid }
                    }
                })
            }
            Topic::Uid => test(Predicate::Uid(self.parsed(keyword, value::number32)?)),
            Topic::Owner => {
                let choices = &["none", "orphan", "unreadable", "not-accepted", "kernel"];
                let meanings = [
                    NoOwner::Any,
                    NoOwner::Because(KernelOnly::Orphan),
                    NoOwner::Because(KernelOnly::Unreadable),
                    NoOwner::Because(KernelOnly::NotAccepted),
                    NoOwner::Because(KernelOnly::MiniSocket),
                ];
                test(Predicate::NoOwner(self.choice(keyword, choices, &meanings)?))
            }
            Topic::Cgroup => {
                let (path, _) = self.value(keyword)?;
                test(Predicate::Cgroup(Pattern::new(&cgroup_path(&path))))
            }
            Topic::Container => test(Predicate::Container(self.pattern(keyword)?)),
            Topic::Netns => test(Predicate::Netns(self.pattern(keyword)?)),
            Topic::Age => test(Predicate::Age(comparison, self.parsed(keyword, value::duration)?)),
            Topic::ReceiveQueue => {
                test(Predicate::ReceiveQueue(comparison, self.parsed(keyword, value::size)?))
            }
            Topic::SendQueue => test(Predicate::SendQueue(comparison, self.parsed(keyword, value::size)?)),
            Topic::Backlog => test(Predicate::Backlog(comparison, self.parsed(keyword, value::number)?)),
            Topic::Timer => {
                let choices = &["retransmit", "keepalive", "time_wait", "persist", "none"];
                let [retransmit, keepalive, time_wait, persist] = TimerKind::ALL.map(Some);
                let meanings = [retransmit, keepalive, time_wait, persist, None];
                test(Predicate::Timer(self.choice(keyword, choices, &meanings)?))
            }
            Topic::Retransmits => {
                test(Predicate::Retransmits(comparison, self.parsed(keyword, value::number)?))
            }
            Topic::RoundTripTime => {
                let time = self.parsed(keyword, value::duration_with_unit)?;
                test(Predicate::RoundTripTime(comparison, time))
            }
            Topic::Congestion => test(Predicate::Congestion(self.pattern(keyword)?)),
            Topic::Inode => test(Predicate::Inode(self.parsed(keyword, value::number)?)),
            Topic::Cookie => test(Predicate::Cookie(self.parsed(keyword, value::number)?)),
            _ => test(Predicate::Flow(self.flow_test(keyword, comparison)?)),
        })
    }

    /// What only a flow can be asked.
    fn flow_test(&mut self, keyword: &Keyword, comparison: Comparison) -> Result<FlowPredicate, FilterError> {
        let number = |measure, value| FlowPredicate::Number { measure, comparison, value };
        let time = |measure, value| FlowPredicate::Time { measure, comparison, value };
        Ok(match keyword.topic {
            Topic::Flow => number(Measure::Number, self.parsed(keyword, value::number)?),
            Topic::Retransmissions => number(Measure::Retransmissions, self.parsed(keyword, value::number)?),
            Topic::Packets => number(Measure::Packets, self.parsed(keyword, value::number)?),
            Topic::Bytes => number(Measure::Bytes, self.parsed(keyword, value::size)?),
            Topic::Duration => time(Measure::Duration, self.parsed(keyword, value::duration)?),
            Topic::Handshake => time(Measure::Handshake, self.parsed(keyword, value::duration_with_unit)?),
            Topic::ClientState => FlowPredicate::EndState(End::Client, self.states_value()?.set),
            Topic::ServerState => FlowPredicate::EndState(End::Server, self.states_value()?.set),
            Topic::ClosedBy => {
                let choices = &["client", "server", "none"];
                let meanings = [ClosedBy::Client, ClosedBy::Server, ClosedBy::Nobody];
                FlowPredicate::ClosedBy(self.choice(keyword, choices, &meanings)?)
            }
            Topic::Anomaly => {
                let (text, span) = self.value(keyword)?;
                let name = Pattern::new(&text);
                let known = flow::anomaly_names();
                if !known.iter().any(|known| name.matches(known)) {
                    return Err(FilterError::new(span, Cause::UnknownAnomaly(text.clone()))
                        .suggest(nearest(&text, known.iter().copied())));
                }
                FlowPredicate::Anomaly(name)
            }
            Topic::ConnState => FlowPredicate::ConnState(self.pattern(keyword)?),
            // Everything else is a word about sockets, or about both.
            _ => FlowPredicate::EndState(End::Either, self.states_value()?.set),
        })
    }

    /// The word that must come next.
    fn word(&mut self, wanted: &'static str) -> Result<(String, Range<usize>), FilterError> {
        match self.tokens.get(self.at) {
            Some(Token { kind: TokenKind::Word { text, .. }, span }) => {
                self.at += 1;
                Ok((text.clone(), span.clone()))
            }
            _ => Err(self.expected(wanted)),
        }
    }

    fn value(&mut self, keyword: &Keyword) -> Result<(String, Range<usize>), FilterError> {
        self.word(keyword.value)
    }

    fn next_is_quoted(&self) -> bool {
        matches!(self.peek(), Some(TokenKind::Word { quoted: true, .. }))
    }

    fn parsed<T>(
        &mut self,
        keyword: &Keyword,
        parse: impl FnOnce(&str) -> Result<T, BadValue>,
    ) -> Result<T, FilterError> {
        let (text, span) = self.value(keyword)?;
        parse(&text).map_err(|bad| FilterError::new(span, bad.cause).suggest(bad.suggestion))
    }

    fn pattern(&mut self, keyword: &Keyword) -> Result<Pattern, FilterError> {
        Ok(Pattern::new(&self.value(keyword)?.0))
    }

    /// One of a few words; case, dashes and underscores do not matter.
    fn choice<T: Copy>(
        &mut self,
        keyword: &Keyword,
        choices: &'static [&'static str],
        meanings: &[T],
    ) -> Result<T, FilterError> {
        let fold = |text: &str| text.replace(['-', '_'], "").to_ascii_lowercase();
        let (text, span) = self.value(keyword)?;
        let folded = fold(&text);
        match choices.iter().zip(meanings).find(|(choice, _)| fold(choice) == folded) {
            Some((_, meaning)) => Ok(*meaning),
            None => Err(not_a_choice(keyword, text, span, choices)),
        }
    }

    fn host(&mut self, keyword: &Keyword, side: Side, negated: bool) -> Result<Expression, FilterError> {
        let names = self.names;
        let (family, host) = self.parsed(keyword, |text| {
            let (family, rest) = value::split_family(text);
            Ok((family, value::host(rest, names)?))
        })?;
        let predicate = |prefix| Predicate::Host { side, prefix, port: host.port };
        // A name may have several addresses: any of them, or with `!=` none of them.
        let mut predicates: Vec<Predicate> =
            host.prefixes.into_iter().map(|prefix| predicate(Some(prefix))).collect();
        if predicates.is_empty() {
            predicates.push(predicate(None));
        }
        let hosts = if predicates.len() == 1 {
            Expression::Test { predicate: predicates.swap_remove(0), negated }
        } else {
            let any = Expression::Or(predicates.into_iter().map(Expression::from).collect());
            if negated { Expression::Not(Box::new(any)) } else { any }
        };
        Ok(of_family(family, hosts))
    }

    fn port(
        &mut self,
        keyword: &Keyword,
        side: Side,
        comparison: Comparison,
        negated: bool,
    ) -> Result<Expression, FilterError> {
        let names = self.names;
        let (family, predicate) = self.parsed(keyword, |text| {
            let (family, rest) = value::split_family(text);
            // ss takes any port for `*`; it compares to nothing.
            let predicate = if comparison == Comparison::Equal && matches!(rest, "*" | ":*") {
                Predicate::Host { side, prefix: None, port: None }
            } else {
                Predicate::Port { side, comparison, port: value::port(rest, names)? }
            };
            Ok((family, predicate))
        })?;
        Ok(of_family(family, Expression::Test { predicate, negated }))
    }

    /// Interfaces print by name, so an index is turned into one.
    fn interface(&mut self, keyword: &Keyword) -> Result<Pattern, FilterError> {
        let quoted = self.next_is_quoted();
        let (text, span) = self.value(keyword)?;
        match text.parse::<u32>() {
            Ok(index) if !quoted => match self.names.interface_name(index) {
                Some(name) => Ok(Pattern::new(&name)),
                None => Err(FilterError::new(span, Cause::UnknownInterface(index))),
            },
            _ => Ok(Pattern::new(&text)),
        }
    }
}

fn of_family(family: Option<Family>, test: Expression) -> Expression {
    match family {
        None => test,
        Some(family) => Expression::And(vec![Predicate::Family(family).into(), test]),
    }
}

/// What a name of states stands for.
enum Named {
    Set(StateSet),
    Bound,
}

/// The states that a word names; several when commas separate them.
fn named_states(word: &str) -> Option<Named> {
    if let Some((first, rest)) = word.split_once(',') {
        // Only whether it is a list of states matters here.
        return rest
            .split(',')
            .chain([first])
            .all(|name| named_state(name).is_some())
            .then_some(Named::Set(StateSet::EMPTY));
    }
    named_state(word)
}

fn named_state(word: &str) -> Option<Named> {
    if let Some(class) = keywords::find_class(word) {
        return Some(class.states.map_or(Named::Bound, Named::Set));
    }
    // The parser of states searches for the nearest one, which long words are not worth.
    let state = if word.len() > 32 { None } else { word.parse::<State>().ok() };
    state.map(|state| Named::Set(StateSet::EMPTY.with(state)))
}

/// Control groups are written as below their root, and often pasted with its mount point.
fn cgroup_path(text: &str) -> String {
    let path = text.strip_prefix("/sys/fs/cgroup").filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let path = path.map_or(text, |rest| rest.strip_prefix("/unified").unwrap_or(rest)).trim_end_matches('/');
    if path.starts_with(['/', '*', '?']) { path.to_owned() } else { format!("/{path}") }
}

fn not_a_choice(
    keyword: &Keyword,
    word: String,
    span: Range<usize>,
    choices: &'static [&'static str],
) -> FilterError {
    let suggestion = nearest(&word, choices.iter().copied());
    FilterError::new(span, Cause::NotAChoice { keyword: keyword.name, word, choices }).suggest(suggestion)
}

fn other_subject(keyword: &Keyword, subject: Subject) -> Cause {
    let (sockets, flows) = ("the sockets of a host", "the flows of a capture");
    let (of, about) = match subject {
        Subject::Sockets => (flows, sockets),
        Subject::Flows => (sockets, flows),
    };
    Cause::OtherSubject { word: keyword.name, of, about }
}

fn unknown_word(span: Range<usize>, word: String, subject: Subject) -> FilterError {
    let words = keywords::term_words(subject);
    let number = word.strip_prefix(':').unwrap_or(&word);
    let suggestion = if number.parse::<u16>().is_ok() {
        Some(format!("port {number}"))
    } else if value::host(&word, &super::names::NoNames).is_ok() {
        Some(format!("address {word}"))
    } else {
        nearest(&word, words.iter().map(String::as_str))
    };
    FilterError::new(span, Cause::UnknownWord(word)).suggest(suggestion)
}
