//! Prints every transition rule, one a line, fields separated by tabs.

use eleven_tcp::rules::RULES;

fn main() {
    for rule in RULES {
        let actions: Vec<String> = rule.actions.iter().map(ToString::to_string).collect();
        let linux = rule.linux.map_or_else(
            || "-".to_owned(),
            |deviation| {
                let to = deviation.to.map(|state| format!(" → {state}")).unwrap_or_default();
                let name = deviation.decided_by.map(|name| format!(" [{name}]")).unwrap_or_default();
                format!("{}{to}{name}", deviation.what)
            },
        );
        println!(
            "{}\t{}\t{}\t{}\t{}\t{}\t{linux}",
            rule.id,
            rule.from,
            rule.event,
            rule.guard,
            actions.join("; "),
            rule.to
        );
    }
}
