//! The scripts beside this file, played on the endpoint.

use std::fs;
use std::path::Path;

use eleven_tcp::script;
use eleven_tcp::sockets::Settings;

#[test]
fn scripts_go_as_they_say() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut played = 0;
    for entry in fs::read_dir(directory).expect("the scripts are part of the source") {
        let path = entry.expect("the directory can be read").path();
        let text = fs::read_to_string(&path).expect("a script can be read");
        let script = script::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let report = script::run(&script, &Settings::default());
        assert!(report.passed(), "{}: {report}", path.display());
        played += 1;
    }
    assert!(played >= 13);
}
