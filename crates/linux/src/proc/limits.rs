//! Limits and identity of processes.

use std::fs;

/// Soft limit of open descriptors of a process; `None` when unlimited or unreadable.
pub fn descriptors(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    parse_descriptors(&text)
}

/// `Max open files            1024                 524288               files`
fn parse_descriptors(text: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix("Max open files"))?
        .split_ascii_whitespace()
        .next()?
        .parse()
        .ok()
}

/// Effective user of a process.
pub fn effective_uid(pid: u32) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_read() {
        let text = "Limit                     Soft Limit           Hard Limit           Units\n\
                    Max open files            1024                 524288               files\n";
        assert_eq!(parse_descriptors(text), Some(1024));
        assert_eq!(parse_descriptors("Max open files unlimited unlimited files"), None);
        assert!(descriptors(std::process::id()).is_some());
        assert!(effective_uid(std::process::id()).is_some());
    }
}
