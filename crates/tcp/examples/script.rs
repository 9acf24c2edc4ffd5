//! Plays packetdrill scripts on the endpoint: `cargo run -p eleven-tcp --example script -- FILE…`.

use std::process::ExitCode;

use eleven_tcp::script;
use eleven_tcp::sockets::Settings;

fn main() -> ExitCode {
    let (mut passed, mut failed) = (0, 0);
    for file in std::env::args().skip(1) {
        let outcome = std::fs::read_to_string(&file)
            .map_err(|error| error.to_string())
            .and_then(|text| script::parse(&text).map_err(|error| error.to_string()))
            .map(|script| script::run(&script, &Settings::default()))
            .and_then(|report| if report.passed() { Ok(()) } else { Err(report.to_string()) });
        match outcome {
            Ok(()) => {
                passed += 1;
                println!("pass {file}");
            }
            Err(reason) => {
                failed += 1;
                println!("FAIL {file}\n{reason}");
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
