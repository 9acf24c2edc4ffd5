//! What stands in backticks in the texts of findings, in both languages.

use std::collections::BTreeSet;

use toml::{Table, Value};

const DOCTOR: [&str; 2] = [
    include_str!("../../../knowledge/texts/en/doctor.toml"),
    include_str!("../../../knowledge/texts/zh-CN/doctor.toml"),
];
const FINDINGS: [&str; 2] = [
    include_str!("../../../knowledge/texts/en/findings.toml"),
    include_str!("../../../knowledge/texts/zh-CN/findings.toml"),
];
const KILL: [&str; 2] = [
    include_str!("../../../knowledge/texts/en/kill.toml"),
    include_str!("../../../knowledge/texts/zh-CN/kill.toml"),
];

fn table(text: &str) -> Table {
    text.parse().expect("the texts are TOML")
}

fn part(text: &str, key: &str) -> Value {
    table(text).remove(key).unwrap_or_else(|| panic!("no {key}"))
}

/// The quoted parts of all sentences in a value, or of those under one key.
fn quoted(value: &Value, only: Option<&str>, found: &mut BTreeSet<String>) {
    match value {
        Value::Table(table) => {
            for (key, value) in table {
                if value.is_table() || only.is_none_or(|only| only == key) {
                    quoted(value, only, found);
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| quoted(value, None, found)),
        Value::String(text) => found.extend(text.split('`').skip(1).step_by(2).map(str::to_owned)),
        _ => {}
    }
}

fn both(values: [Value; 2], only: Option<&str>, of: &str) -> BTreeSet<String> {
    let [english, chinese] = values.map(|value| {
        let mut found = BTreeSet::new();
        quoted(&value, only, &mut found);
        found
    });
    assert_eq!(english, chinese, "{of}: the languages name other commands");
    english
}

/// Codes of all findings.
pub(super) fn codes() -> BTreeSet<String> {
    let Value::Table(codes) = part(DOCTOR[0], "code") else { panic!("code is a table") };
    codes.keys().cloned().collect()
}

/// What the texts of a finding quote: those of the doctor and those of `eleven explain`.
pub(super) fn of_code(code: &str) -> BTreeSet<String> {
    all_of_code(code, None)
}

/// What they quote to verify that it is gone.
pub(super) fn that_verify(code: &str) -> BTreeSet<String> {
    all_of_code(code, Some("verify"))
}

fn all_of_code(code: &str, only: Option<&str>) -> BTreeSet<String> {
    let doctor = DOCTOR
        .map(|text| part(text, "code").as_table_mut().expect("a table").remove(code).expect("the code"));
    let explain = FINDINGS.map(|text| part(text, code));
    let mut found = both(doctor, only, code);
    found.extend(both(explain, only, code));
    found
}

/// What the other texts of the doctor and those of `eleven kill` quote.
pub(super) fn elsewhere() -> BTreeSet<String> {
    let rest = DOCTOR.map(|text| {
        let mut table = table(text);
        table.remove("code");
        Value::Table(table)
    });
    let mut found = both(rest, None, "doctor.toml");
    found.extend(both(KILL.map(|text| Value::Table(table(text))), None, "kill.toml"));
    found
}

/// Keys of everything that can be done about a finding.
pub(super) fn fixes() -> BTreeSet<String> {
    let Value::Table(fixes) = part(DOCTOR[0], "fix") else { panic!("fix is a table") };
    fixes.keys().cloned().collect()
}

/// What all texts quote, in either language.
pub(super) fn everywhere() -> BTreeSet<String> {
    let texts = concat!(env!("CARGO_MANIFEST_DIR"), "/../knowledge/texts");
    let mut found = BTreeSet::new();
    for language in ["en", "zh-CN"] {
        for file in std::fs::read_dir(format!("{texts}/{language}")).expect("a directory").flatten() {
            let text = std::fs::read_to_string(file.path()).expect("a text");
            quoted(&Value::Table(table(&text)), None, &mut found);
        }
    }
    found
}
