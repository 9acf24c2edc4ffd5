//! Values of this host, or of a flow, in the texts.

/// Replaces every `{name}` in `text` by what `value` gives for it. A name is a sysctl
/// (`net.…`, `fs.…`) or a word in lower case (`client_state`); braces around anything else
/// are left alone.
pub fn fill(text: &str, mut value: impl FnMut(&str) -> String) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('{') {
        let (before, from_brace) = rest.split_at(start);
        filled.push_str(before);
        match from_brace.find('}') {
            Some(end) if is_name(&from_brace[1..end]) => {
                filled.push_str(&value(&from_brace[1..end]));
                rest = &from_brace[end + 1..];
            }
            _ => {
                filled.push('{');
                rest = &from_brace[1..];
            }
        }
    }
    filled.push_str(rest);
    filled
}

/// Drops every part in double brackets in which a name has no value, and the brackets of the
/// others; what is left is for [`fill`]. Parts do not nest.
pub fn keep_known(text: &str, mut is_known: impl FnMut(&str) -> bool) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, from)) = rest.split_once("[[") {
        kept.push_str(before);
        let Some((part, behind)) = from.split_once("]]") else {
            rest = from;
            break;
        };
        let mut all_known = true;
        fill(part, |name| {
            all_known &= is_known(name);
            String::new()
        });
        if all_known {
            kept.push_str(part);
        }
        rest = behind;
    }
    kept.push_str(rest);
    kept
}

fn is_name(name: &str) -> bool {
    is_word(name) || is_sysctl(name)
}

fn is_word(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

fn is_sysctl(name: &str) -> bool {
    (name.starts_with("net.") || name.starts_with("fs."))
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::{fill, keep_known};

    #[test]
    fn sysctls_and_words_are_replaced() {
        let value = |name: &str| format!("<{name}>");
        assert_eq!(fill("after {net.ipv4.tcp_fin_timeout}.", value), "after <net.ipv4.tcp_fin_timeout>.");
        assert_eq!(fill("{client_state}{side}", value), "<client_state><side>");
        assert_eq!(fill("{} {_} {A} {print $1} ${1}", value), "{} {_} {A} {print $1} ${1}");
        assert_eq!(fill("{pid, fd} {net.x", value), "{pid, fd} {net.x");
        assert_eq!(fill("{{net.a}}", value), "{<net.a>}");
    }

    #[test]
    fn parts_without_a_value_are_left_out() {
        let known = |name: &str| name == "a";
        assert_eq!(keep_known("x[[ {a}]][[, {b}]].", known), "x {a}.");
        assert_eq!(keep_known("[[{a} {b}]]y [[z", known), "y z");
        assert_eq!(keep_known("{b}", known), "{b}");
    }
}
