//! Fixtures: bytes in hexadecimal, `#` begins a remark.

use std::path::PathBuf;

/// The directory of recorded messages.
pub(crate) fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/messages")
}

/// Name and bytes of every recorded message, in the order of their names.
pub(crate) fn recorded() -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<(String, Vec<u8>)> = std::fs::read_dir(directory())
        .expect("the fixtures are part of the source")
        .map(|entry| entry.expect("the directory can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "hex"))
        .map(|path| {
            let name = path.file_stem().expect("it has a name").to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).expect("fixtures are text");
            let bytes = parse(&text).unwrap_or_else(|| panic!("{name} is not hexadecimal"));
            (name, bytes)
        })
        .collect();
    found.sort();
    assert!(!found.is_empty());
    found
}

fn parse(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .lines()
        .flat_map(|line| line.split('#').next().unwrap_or_default().bytes())
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok().filter(|_| pair.len() == 2))
        .collect()
}
