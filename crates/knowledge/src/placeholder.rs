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

fn is_name(name: &str) -> bool {
    is_word(name) || is_sysctl(name)
}

fn is_word(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

fn is_sysctl(name: &str) -> bool {
    (name.starts_with("net.") || name.starts_with("fs."))
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::fill;

    #[test]
    fn sysctls_and_words_are_replaced() {
        let value = |name: &str| format!("<{name}>");
        assert_eq!(fill("after {net.ipv4.tcp_fin_timeout}.", value), "after <net.ipv4.tcp_fin_timeout>.");
        assert_eq!(fill("{client_state}{side}", value), "<client_state><side>");
        assert_eq!(fill("{} {_} {A} {print $1} ${1}", value), "{} {_} {A} {print $1} ${1}");
        assert_eq!(fill("{pid, fd} {net.x", value), "{pid, fd} {net.x");
        assert_eq!(fill("{{net.a}}", value), "{<net.a>}");
    }
}
