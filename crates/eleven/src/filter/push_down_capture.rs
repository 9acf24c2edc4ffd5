//! What of a filter of flows the kernel can decide of a packet: addresses and ports, of either end.
//!
//! As with sockets, at least what matches is let through: the upper bound. A packet does not tell which of its ends is
//! the client, so `src` and `dst` come to "from or to"; turned round by a `not` they decide nothing.

use eleven_capture::filter::Expression as Capture;

use super::ast::{Expression, Predicate, Side};
use super::comparison::Comparison;

const TCP: u8 = 6;
const ICMP: u8 = 1;
const ICMP_V6: u8 = 58;

/// TCP to or from what is asked for, and ICMP, which may report about it.
///
/// It looks at the outermost header: who asks for flows within a tunnel gets none of them live.
pub(super) fn expression(filter: &Expression) -> Capture {
    let segments = Capture::Protocol(TCP).and(bound(filter, true));
    Capture::Any(vec![segments, Capture::Protocol(ICMP), Capture::Protocol(ICMP_V6)])
}

const EVERYTHING: Capture = Capture::All(Vec::new());
const NOTHING: Capture = Capture::Any(Vec::new());

/// At least what matches (`upper`), or at most that.
fn bound(filter: &Expression, upper: bool) -> Capture {
    let unknown = if upper { EVERYTHING } else { NOTHING };
    match filter {
        Expression::And(parts) => Capture::All(parts.iter().map(|part| bound(part, upper)).collect()),
        Expression::Or(parts) => Capture::Any(parts.iter().map(|part| bound(part, upper)).collect()),
        Expression::Not(inner) => !bound(inner, !upper),
        Expression::Test { predicate, negated } => {
            let (of_either_end, found) = match predicate {
                Predicate::Host { side, prefix, port } => {
                    let prefix = prefix.map(|prefix| Capture::Net(prefix.address(), prefix.length()));
                    let parts: Vec<_> = prefix.into_iter().chain(port.map(Capture::Port)).collect();
                    // Address and port of one end: the kernel would also take one of each.
                    (*side == Side::Either && parts.len() < 2, Capture::All(parts))
                }
                Predicate::Port { side, comparison: Comparison::Equal, port } => {
                    (*side == Side::Either, Capture::Port(*port))
                }
                _ => return unknown,
            };
            match (*negated, upper, of_either_end) {
                (false, true, _) | (false, false, true) => found,
                (true, _, true) => !found,
                (true, _, false) | (false, false, false) => unknown,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Filter, NoNames, Subject};

    fn captured(filter: &str) -> String {
        let filter = Filter::parse_about(Subject::Flows, filter, &NoNames).expect("it is right");
        let expression = filter.capture_expression().expect("not everything");
        let text = expression.to_string();
        let text = text
            .strip_prefix("((proto 6) and (")
            .and_then(|text| text.strip_suffix(")) or (proto 1) or (proto 58)"));
        text.unwrap_or_else(|| panic!("{expression}")).to_owned()
    }

    #[test]
    fn addresses_and_ports_go_to_the_kernel() {
        assert_eq!(captured("port 443"), "port 443");
        assert_eq!(captured("not port 22"), "not (port 22)");
        assert_eq!(captured("port != 22"), "not (port 22)");
        assert_eq!(captured("src 10.0.0.0/8"), "(net 10.0.0.0/8)");
        assert_eq!(captured("dport 80 or dport 443"), "(port 80) or (port 443)");
    }

    #[test]
    fn what_a_packet_does_not_tell_lets_everything_through() {
        for filter in
            ["closed-by client", "anomaly zero-window", "not src 10.0.0.1", "sport > 1024", "not sport = 80"]
        {
            let captured = captured(filter);
            assert!(captured.is_empty() || captured == "not ()", "{filter}: {captured}");
        }
        assert!(Filter::everything().capture_expression().is_none());
    }
}
