//! What the bench is asked for.

/// Said when it is asked wrongly.
pub(crate) const USAGE: &str =
    "usage: faults [--list] [--only NAME]… [--at-once N] [--format json] [PART OF A NAME]…";

/// Options of other tests, which one command hands to all of them: they mean nothing here. Those that take a value.
const WITH_VALUE: &[&str] = &["--test-threads", "--color", "--skip", "--logfile", "-Z"];
/// Those that do not.
const FLAGS: &[&str] =
    &["--nocapture", "--no-capture", "--show-output", "--quiet", "-q", "--include-ignored"];

/// The options.
#[derive(Debug, Default)]
pub(crate) struct Arguments {
    /// Only what there is, and nothing is played.
    pub(crate) list: bool,
    /// An array for programs instead of a table.
    pub(crate) json: bool,
    /// So many rows at a time.
    pub(crate) at_once: usize,
    only: Vec<String>,
    parts: Vec<String>,
    /// Nothing at all, whatever the names: other tests are meant.
    none: bool,
}

impl Arguments {
    /// Reads the command line behind the name of the program.
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut arguments = arguments;
        let mut read = Self { at_once: 8, ..Self::default() };
        while let Some(argument) = arguments.next() {
            let (name, value) = match argument.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (argument, None),
            };
            let mut value =
                || value.clone().or_else(|| arguments.next()).ok_or(format!("{name} needs a value"));
            match name.as_str() {
                "--list" => read.list = true,
                // Of the formats of other tests none means anything here.
                "--format" => read.json = value()? == "json",
                "--only" => read.only.push(value()?),
                "--at-once" => {
                    let number = value()?.parse().ok().filter(|number| *number > 0);
                    read.at_once = number.ok_or("--at-once needs a number")?;
                }
                "--ignored" => read.none = true,
                name if FLAGS.contains(&name) => {}
                name if WITH_VALUE.contains(&name) => drop(value()?),
                name if name.starts_with('-') => return Err(format!("there is no option {name}")),
                name => read.parts.push(name.to_owned()),
            }
        }
        Ok(read)
    }

    /// Whether a row is to be played.
    pub(crate) fn wants(&self, name: &str) -> bool {
        let is_named = self.only.is_empty() || self.only.iter().any(|only| only == name);
        let is_meant = self.parts.is_empty() || self.parts.iter().any(|part| name.contains(part.as_str()));
        is_named && is_meant && !self.none
    }
}
