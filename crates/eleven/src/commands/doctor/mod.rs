//! `eleven doctor`: what is wrong, who must act, and what helps.

mod apply;
mod config;
mod fixing;
mod fronting;
mod looking;
mod path;
mod persist;
mod print;
mod report;
mod servers;
mod undo;
mod watch;

use std::io::Write;
use std::process::ExitCode;

use eleven_doctor::{Case, Finding, Look, RULES, Rule, Severity, Verdict, judge};
use eleven_knowledge::DoctorTexts;

pub(super) use looking::one_look;
pub(super) use print::titles as print_titles;
pub(super) use report::{Report, words};

use self::looking::Looking;
use self::servers::Traffic;
use super::{WrongUsage, language, parse_filter};
use crate::cli::{DoctorArgs, Format, Global};
use crate::filter::suggest::nearest;
use crate::output::{CsvRecords, JsonRecords, Output, note};

/// Code of the fault that is also judged on the servers found here.
const TIMEOUT_ORDER: &str = "idle-timeout-order";

/// Exit code of `--exit-code` when something is a warning or worse.
const FOUND: u8 = 3;

pub(super) fn run(global: &Global, args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let chosen = Chosen::parse(args)?;
    if let Some(path) = &args.path {
        let findings = path::judge(path, &args.config)?;
        let shown = Shown { findings: &findings, verdicts: None, looks: None, servers: &[] };
        show(global, &DoctorTexts::of(language(global)), &shown)?;
        return Ok(exit_code(args, &findings));
    }
    if args.undo {
        undo::run(global, args.act)?;
        return Ok(ExitCode::SUCCESS);
    }
    let expected = args.expect.as_ref().map(|words| parse_filter(std::slice::from_ref(words))).transpose()?;
    let looking = Looking { global, expected };
    if args.watch {
        watch::run(&looking, args, &chosen)?;
        return Ok(ExitCode::SUCCESS);
    }
    if !args.set.is_empty() {
        fixing::set(global, args)?;
        return Ok(ExitCode::SUCCESS);
    }
    let given = fronting::given(&args.config)?;
    let mut traffic = Traffic::default();
    let looks = if args.from.is_empty() {
        looking.twice(args.during, &mut traffic)?
    } else {
        looking::from_files(&args.from, looking.expected.as_ref())?
    };
    looks.say_notes();
    let (mut findings, verdicts) = looks.judge(&chosen);
    let texts = DoctorTexts::of(language(global));
    let mut servers = Vec::new();
    if chosen.has_code(TIMEOUT_ORDER) {
        let fronting = fronting::judge(&traffic, &looks.after, &given, &texts);
        findings.extend(fronting.findings);
        // Those of the rules keep their order among themselves.
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        servers = fronting.lines;
    }
    let shown = Shown {
        findings: &findings,
        verdicts: args.verbose.then_some(&verdicts),
        looks: Some(&looks),
        servers: &servers,
    };
    show(global, &texts, &shown)?;
    if args.fix {
        fixing::run(&looking, args, &chosen, &looks, &findings)?;
    }
    Ok(exit_code(args, &findings))
}

fn exit_code(args: &DoctorArgs, findings: &[Finding]) -> ExitCode {
    let is_bad = findings.iter().any(|finding| finding.severity >= Severity::Warning);
    if args.exit_code && is_bad { ExitCode::from(FOUND) } else { ExitCode::SUCCESS }
}

/// Which rules are to judge.
struct Chosen {
    only: Vec<String>,
    skip: Vec<String>,
}

impl Chosen {
    fn parse(args: &DoctorArgs) -> Result<Self, WrongUsage> {
        for code in args.only.iter().chain(&args.skip) {
            if !RULES.iter().any(|rule| rule.code == *code) {
                let hint = nearest(code, RULES.iter().map(|rule| rule.code)).map_or_else(
                    || "; `eleven doctor --verbose` names all".to_owned(),
                    |near| format!("; did you mean `{near}`?"),
                );
                return Err(WrongUsage::Other(format!("there is no fault `{code}`{hint}")));
            }
        }
        Ok(Self { only: args.only.clone(), skip: args.skip.clone() })
    }

    fn has(&self, rule: &Rule) -> bool {
        self.has_code(rule.code)
    }

    fn has_code(&self, wanted: &str) -> bool {
        let named = |codes: &[String]| codes.iter().any(|code| code == wanted);
        (self.only.is_empty() || named(&self.only)) && !named(&self.skip)
    }
}

/// One look, or two.
struct Looks {
    before: Option<Look>,
    after: Look,
}

impl Looks {
    fn judge(&self, chosen: &Chosen) -> (Vec<Finding>, Vec<Verdict>) {
        judge(&Case::new(self.before.as_ref(), &self.after), |rule| chosen.has(rule))
    }

    fn say_notes(&self) {
        let before = self.before.iter().flat_map(|before| &before.notes);
        let mut said: Vec<&String> = Vec::new();
        for text in before.chain(&self.after.notes) {
            if !said.contains(&text) {
                note(text);
                said.push(text);
            }
        }
    }

    /// Seconds between them.
    fn elapsed_s(&self) -> Option<f64> {
        Case::new(self.before.as_ref(), &self.after).elapsed_s()
    }
}

/// What is to be shown.
struct Shown<'a> {
    findings: &'a [Finding],
    /// With `--verbose`, the answer of every rule.
    verdicts: Option<&'a Vec<Verdict>>,
    /// `None` where no host was looked at.
    looks: Option<&'a Looks>,
    /// Timeouts of the servers that run here, a line each.
    servers: &'a [String],
}

fn show(global: &Global, texts: &DoctorTexts, shown: &Shown<'_>) -> anyhow::Result<()> {
    let mut output = Output::open(global)?;
    let reports = || shown.findings.iter().map(|finding| Report::of(finding, texts));
    match output.format {
        Format::Table => print::all(&mut output, texts, shown)?,
        Format::Json => {
            // With --verbose the verdicts go to standard error: the array is a contract.
            output.json(&reports().collect::<Vec<_>>())?;
            print::say_verdicts(texts, shown);
        }
        Format::Ndjson => {
            let mut records = JsonRecords::new(&mut output, Format::Ndjson);
            for report in reports() {
                records.write(&report)?;
            }
            records.finish()?;
            print::say_verdicts(texts, shown);
        }
        Format::Csv => {
            let mut records = CsvRecords::new(&mut output, report::CSV_HEADING)?;
            for report in reports() {
                records.write(report.csv())?;
            }
            records.finish()?;
            print::say_verdicts(texts, shown);
        }
    }
    output.flush()?;
    Ok(())
}
