//! Documents that are made from the code are what the code makes.

use std::path::Path;

#[test]
fn the_page_of_conformance_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/conformance.md");
    let written = std::fs::read_to_string(path).expect("the repository has the page");
    assert!(
        written == eleven_tcp::rules::conformance::page(),
        "make it anew: cargo run -p eleven-tcp --example conformance > docs/conformance.md"
    );
}
