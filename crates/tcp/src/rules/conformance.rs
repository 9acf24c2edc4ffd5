//! What the endpoint does, clause by clause, as a page: made from the rules.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{RULES, Rule, rules_from};
use crate::State;

/// What is implemented besides the transition rules, and where: RFC, title, what of it, module.
const BESIDES: [(&str, &str, &str, &str); 28] = [
    (
        "RFC 1191, 8201",
        "Path MTU discovery",
        "ICMP reports shrink the segments of a connection",
        "connection/icmp",
    ),
    ("RFC 1337", "TIME_WAIT assassination", "resets can be kept from ending TIME_WAIT", "rules, policy"),
    ("RFC 2018", "Selective acknowledgments", "sent and used", "buffer/receive, recovery"),
    ("RFC 2883", "Duplicate SACK", "sent and used to undo reductions", "connection/receive, recovery"),
    ("RFC 3042", "Limited transmit", "yes", "recovery"),
    (
        "RFC 3168",
        "Explicit congestion notification",
        "offered and accepted by policy",
        "connection, recovery",
    ),
    ("RFC 3465", "Appropriate byte counting", "L = 2", "congestion/new_reno"),
    ("RFC 3522, 4015", "Eifel detection and response", "by timestamps", "recovery"),
    (
        "RFC 4821",
        "Packetization-layer path MTU discovery",
        "black holes are found; larger sizes are tried by probes, by policy",
        "connection/path_mtu",
    ),
    ("RFC 4987", "SYN flooding", "SYN cookies: off, on overflow, always", "cookie, listener"),
    (
        "RFC 5482",
        "User timeout option",
        "announced and taken in SYN and SYN+ACK, by policy",
        "connection/handshake",
    ),
    ("RFC 5681", "Congestion control", "NewReno", "congestion/new_reno"),
    ("RFC 5682", "Forward RTO recovery", "yes", "recovery"),
    ("RFC 5927", "ICMP attacks", "only errors about numbers in flight are believed", "connection/icmp"),
    (
        "RFC 5961",
        "Blind in-window attacks",
        "RST, SYN and ACK; challenge ACKs are rate-limited",
        "rules, connection",
    ),
    ("RFC 6056", "Port randomization", "double hash, algorithm 4", "demux/ports"),
    ("RFC 6191", "Reducing TIME_WAIT by timestamps", "yes", "connection/facts"),
    ("RFC 6298", "Retransmission timer", "yes", "recovery/rtt"),
    ("RFC 6528", "Initial sequence numbers", "SipHash-2-4 under the host's secret", "isn"),
    ("RFC 6582", "NewReno", "without SACK", "recovery"),
    ("RFC 6675", "SACK-based loss recovery", "the pipe and what counts as lost", "recovery"),
    ("RFC 6928", "Initial window", "ten segments", "policy"),
    ("RFC 6937", "Proportional rate reduction", "yes", "recovery/prr"),
    ("RFC 7323", "Window scaling, timestamps, PAWS", "yes", "connection"),
    ("RFC 7413", "Fast Open", "client and server, by policy", "fast_open, connection/fast_open, listener"),
    ("RFC 8985", "RACK and tail loss probe", "yes", "recovery"),
    ("RFC 9406", "HyStart++", "in CUBIC's first slow start", "congestion/hystart"),
    ("RFC 9438", "CUBIC", "yes", "congestion/cubic"),
];

/// The page in Markdown: for each state a table of its rules with clause and Linux's deviation, and what else
/// is implemented.
pub fn page() -> String {
    let mut page = String::from(
        "# What the endpoint conforms to\n\n\
         This page is made from the transition rules (`cargo run -p eleven-tcp --example conformance`); a test \
         compares them. Every rule is driven through the endpoint by `connection/tests/every_rule.rs`.\n\n\
         A rule says: in this state, on this event, under these conditions, an endpoint does this and is in that \
         state afterwards. *Linux* tells what the policy `Linux` does otherwise.\n",
    );
    for state in State::ALL {
        page.push_str(&format!("\n## {state}\n\n| event | if | does | then | clause | Linux |\n| --- | --- | --- | --- | --- | --- |\n"));
        for rule in rules_from(state) {
            page.push_str(&row(rule));
        }
    }
    page.push_str(&format!("\n{} rules.\n\n## Besides the rules\n\n| where it is written | what it is | what of it | where it is done |\n| --- | --- | --- | --- |\n", RULES.len()));
    for (rfc, title, what, module) in BESIDES {
        page.push_str(&format!("| {rfc} | {title} | {what} | `{module}` |\n"));
    }
    page
}

fn row(rule: &Rule) -> String {
    let actions: Vec<String> = rule.actions.iter().map(ToString::to_string).collect();
    let then = if rule.changes_state() { rule.to.to_string() } else { String::from("–") };
    let linux = rule.linux.map_or_else(String::new, |deviation| {
        let to = deviation.to.map(|state| format!(" → {state}")).unwrap_or_default();
        format!("{}{to}", deviation.what)
    });
    // A bar would end the cell.
    let cells =
        [rule.event.to_string(), rule.guard.to_string(), actions.join("; "), then, rule.clause.into(), linux];
    format!("| {} |\n", cells.map(|cell| cell.replace('|', "\\|")).join(" | "))
}
