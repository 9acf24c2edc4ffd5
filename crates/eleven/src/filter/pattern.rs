//! Names with `*` and `?`.

use std::fmt;
use std::sync::Arc;

/// A name, or a pattern of names: `*` is any run of characters, `?` is any one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern {
    text: Arc<str>,
    is_literal: bool,
}

impl Pattern {
    /// The pattern that `text` spells.
    pub fn new(text: &str) -> Self {
        Self { text: text.into(), is_literal: !text.contains(['*', '?']) }
    }

    /// How it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name, when it is one name and not a pattern.
    pub fn literal(&self) -> Option<&str> {
        self.is_literal.then_some(&*self.text)
    }

    /// Whether the whole of `name` fits.
    pub fn matches(&self, name: &str) -> bool {
        if self.is_literal {
            return *self.text == *name;
        }
        // On a mismatch the last `*` takes one character more and the rest starts over.
        // An earlier `*` never has to: what it could take, the later one can too.
        let (mut pattern, mut rest) = (self.text.chars(), name.chars());
        let mut retry = None;
        loop {
            let before = rest.clone();
            match (pattern.next(), rest.next()) {
                (Some('*'), _) => {
                    rest = before;
                    retry = Some((pattern.clone(), rest.clone()));
                }
                (None, None) => return true,
                (Some(wanted), Some(found)) if wanted == '?' || wanted == found => {}
                _ => {
                    let Some((after_star, from)) = &mut retry else { return false };
                    if from.next().is_none() {
                        return false;
                    }
                    (pattern, rest) = (after_star.clone(), from.clone());
                }
            }
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stars_and_question_marks() {
        for (pattern, name, fits) in [
            ("nginx", "nginx", true),
            ("nginx", "nginx2", false),
            ("ngin?", "nginx", true),
            ("ngin?", "ngin", false),
            ("*", "", true),
            ("?", "", false),
            ("*x", "nginx", true),
            ("n*x", "nginx", true),
            ("n*y", "nginx", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
            ("a*a", "a", false),
            ("**", "anything", true),
            ("名?服*", "名称服务器", true),
        ] {
            assert_eq!(Pattern::new(pattern).matches(name), fits, "{pattern} {name}");
        }
    }

    fn slow(pattern: &[char], name: &[char]) -> bool {
        match pattern.split_first() {
            None => name.is_empty(),
            Some(('*', rest)) => (0..=name.len()).any(|taken| slow(rest, &name[taken..])),
            Some((wanted, rest)) => name
                .split_first()
                .is_some_and(|(found, after)| (*wanted == '?' || wanted == found) && slow(rest, after)),
        }
    }

    proptest! {
        #[test]
        fn agrees_with_trying_everything(pattern in "[ab?*]{0,8}", name in "[ab]{0,8}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(Pattern::new(&pattern).matches(&name), slow(&chars(&pattern), &chars(&name)));
        }
    }
}
