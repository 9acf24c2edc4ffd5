//! Help, manual pages and completions: all made from one definition, and complete.
//!
//! The snapshots are there to be read when they change: they are what a newcomer reads.

use std::collections::BTreeMap;

use clap::CommandFactory;
use eleven::cli::Cli;
use eleven::fields::FIELDS;
use eleven::filter::{KEYWORDS, STATE_CLASSES, Subject};

use crate::support::program::run;

/// Names of the commands, as the definition has them.
fn commands() -> Vec<String> {
    Cli::command().get_subcommands().map(|command| command.get_name().to_owned()).collect()
}

/// Long options of the program and of every command.
fn flags() -> Vec<String> {
    let program = Cli::command();
    let all = std::iter::once(&program).chain(program.get_subcommands());
    let mut flags: Vec<String> = all
        .flat_map(clap::Command::get_arguments)
        .filter_map(|argument| argument.get_long().map(str::to_owned))
        .collect();
    flags.sort();
    flags.dedup();
    assert!(flags.len() > 10, "{flags:?}");
    flags
}

/// A release changes the version, not the help.
fn without_version(text: &str) -> String {
    text.replace(env!("CARGO_PKG_VERSION"), "VERSION")
}

/// The row of a table that explains a word: the word, blanks, and an explanation.
fn explains(help: &str, word: &str) -> bool {
    let mut lines = help.lines().peekable();
    while let Some(line) = lines.next() {
        if line.split_whitespace().next() == Some(word) && line.starts_with("  ") {
            // A long row has its explanation on the line below.
            return line.split_whitespace().count() > 1
                || lines.peek().is_some_and(|next| next.starts_with("   "));
        }
    }
    false
}

#[test]
fn help_reads_as_it_did() {
    insta::assert_snapshot!("help", run(&["--help"]).done());
    insta::assert_snapshot!("help_short", run(&["-h"]).done());
    for command in commands() {
        let help = run(&[&command, "--help"]).done();
        insta::assert_snapshot!(format!("help_{command}"), help);
    }
}

#[test]
fn help_is_made_for_a_terminal() {
    for command in std::iter::once(None).chain(commands().into_iter().map(Some)) {
        for flag in ["-h", "--help"] {
            let arguments: Vec<&str> = command.as_deref().into_iter().chain([flag]).collect();
            let help = run(&arguments).done();
            for line in help.lines() {
                assert!(line.chars().count() <= 100, "{arguments:?}: {line}");
            }
            assert!(help.contains("Usage: eleven"), "{arguments:?} does not say how it is used");
        }
    }
}

#[test]
fn every_column_key_and_filter_word_is_in_the_help() {
    let (list, count) = (run(&["list", "--help"]).done(), run(&["count", "--help"]).done());
    for field in FIELDS {
        assert!(explains(&list, field.name), "column {} is not in `list --help`", field.name);
        if field.key.is_some() {
            assert!(explains(&count, field.name), "key {} is not in `count --help`", field.name);
        }
    }
    let trace = run(&["trace", "--help"]).done();
    for (help, subject) in [(&list, Subject::Sockets), (&count, Subject::Sockets), (&trace, Subject::Flows)] {
        for keyword in KEYWORDS.iter().filter(|keyword| keyword.is_about(subject)) {
            assert!(explains(help, keyword.name), "{} is not in the help", keyword.name);
        }
        for class in STATE_CLASSES {
            assert!(explains(help, class.name), "{} is not in the help", class.name);
        }
    }
}

#[test]
fn every_option_is_explained() {
    for command in Cli::command().get_subcommands() {
        for argument in command.get_arguments() {
            assert!(argument.get_help().is_some(), "{} {}", command.get_name(), argument.get_id());
        }
        assert!(command.get_about().is_some(), "{}", command.get_name());
    }
}

#[test]
fn the_manual_reads_as_it_did() {
    insta::assert_snapshot!("man", without_version(&run(&["man"]).done()));

    let directory = tempfile::tempdir().expect("a place for files");
    let path = directory.path().to_str().expect("a plain path");
    assert_eq!(run(&["man", "-o", path]).done(), "");
    let pages: BTreeMap<String, String> = std::fs::read_dir(path)
        .expect("it is there")
        .map(|entry| {
            let entry = entry.expect("it can be read");
            let text = std::fs::read_to_string(entry.path()).expect("a page is text");
            (entry.file_name().into_string().expect("a plain name"), text)
        })
        .collect();
    let expected: Vec<String> = std::iter::once("eleven.1".to_owned())
        .chain(commands().iter().map(|command| format!("eleven-{command}.1")))
        .collect();
    assert!(expected.iter().all(|name| pages.contains_key(name)), "{:?}", pages.keys());
    assert_eq!(pages.len(), expected.len(), "{:?}", pages.keys());
    for (name, page) in &pages {
        insta::assert_snapshot!(format!("man_{name}"), without_version(page));
    }
    // In roff a hyphen is escaped.
    let list = pages["eleven-list.1"].replace('\\', "");
    for field in FIELDS {
        assert!(explains(&list, field.name), "column {} is not in the manual", field.name);
    }
    for keyword in KEYWORDS.iter().filter(|keyword| keyword.is_about(Subject::Sockets)) {
        assert!(explains(&list, keyword.name), "{} is not in the manual", keyword.name);
    }
}

#[test]
fn completions_know_every_command_and_option() {
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&["completions", shell]).done();
        for command in commands() {
            assert!(script.contains(&command), "{command} is not completed in {shell}");
        }
        for flag in flags() {
            let written = if shell == "fish" { format!("-l {flag}") } else { format!("--{flag}") };
            assert!(script.contains(&written), "{written} is not completed in {shell}");
        }
        for value in ["ndjson", "netlink", "always"] {
            assert!(script.contains(value), "{value} is not completed in {shell}");
        }
    }
}

#[test]
fn the_version_is_the_packages() {
    assert_eq!(run(&["--version"]).done(), format!("eleven {}\n", env!("CARGO_PKG_VERSION")));
}
