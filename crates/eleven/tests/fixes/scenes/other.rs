//! Commands that belong to no single finding.

use std::collections::BTreeSet;

use eleven_testbed::namespace::Net;

use super::set;
use crate::fixes::program::Program;
use crate::fixes::{execute, texts};
use crate::support::program::{RunInside, run};

#[test]
fn what_other_texts_quote_is_executed() {
    let net = eleven_testbed::or_skip!(Net::new());
    let fill = std::collections::BTreeMap::new();
    let place = execute::Place { net: &net, fill: &fill };
    let help = run(&["doctor", "--help"]).done();
    for text in texts::elsewhere() {
        match text.as_str() {
            option if option.starts_with("--") => {
                let name = option.split(' ').next().expect("a word");
                assert!(help.contains(name), "`{option}` is no option of the doctor");
            }
            "eleven doctor --from A B" => {
                let directory = tempfile::tempdir().expect("a place for files");
                let names =
                    ["a", "b"].map(|name| directory.path().join(name).to_str().expect("plain").to_owned());
                for name in &names {
                    net.eleven(&["snapshot", "-o", name]).done();
                }
                net.eleven(&["doctor", "--from", &names[0], &names[1]]).done();
            }
            text => drop(place.quoted(text)),
        }
    }
}

/// What is to be written into a configuration is understood by the program it is for.
#[test]
fn settings_are_taken_by_their_programs() {
    let directory = tempfile::tempdir().expect("a place for files");
    let file = directory.path().join("file");
    let file = file.to_str().expect("plain");
    let nginx =
        |inside: &str| format!("pid {file}.pid; error_log {file}.log;\nevents {{}}\nhttp {{ {inside} }}\n");
    let server = "server { listen 18080; location / { proxy_pass http://up; } }";
    for (path, key, program, text) in [
        (
            "client:idle=60 web:idle=15,kind=nginx",
            0,
            &["nginx", "-t", "-c", file][..],
            &(|setting: &str| nginx(setting)) as &dyn Fn(&str) -> String,
        ),
        ("lb:idle=60,kind=nginx web:idle=15", 1, &["nginx", "-t", "-c", file], &|setting| {
            let setting = setting.strip_suffix(" in upstream { }").expect("it says where");
            nginx(&format!("upstream up {{ server 127.0.0.1:18081; {setting} keepalive 8; }} {server}"))
        }),
        ("client:idle=60 web:idle=15,kind=apache", 0, &["apache2", "-t", "-f", file], &|setting| {
            let modules = "/usr/lib/apache2/modules";
            format!(
                "ServerRoot /tmp\nServerName x\nErrorLog {file}.log\nPidFile {file}.pid\nLoadModule mpm_event_module {modules}/mod_mpm_event.so\nListen 18080\n{setting}\n"
            )
        }),
        (
            "client:idle=60 lb:idle=15,kind=haproxy web:idle=90",
            0,
            &["haproxy", "-c", "-f", file],
            &|setting| {
                format!(
                    "defaults\n mode http\n timeout connect 1s\n timeout client 9s\n timeout server 9s\n {setting}\nfrontend f\n bind 127.0.0.1:18080\n"
                )
            },
        ),
        ("lb:idle=60,kind=haproxy web:idle=15", 1, &["haproxy", "-c", "-f", file], &|setting| {
            format!(
                "defaults\n mode http\n timeout connect 1s\n timeout client 9s\n {setting}\nfrontend f\n bind 127.0.0.1:18080\n"
            )
        }),
    ] {
        let findings = run(&["doctor", "--format", "json", "--path", path]).json();
        let setting =
            findings[0]["fixes"][key]["command"].as_str().unwrap_or_else(|| panic!("{path}: {findings:#}"));
        if !execute::installed(program[0]) {
            eleven_testbed::skipped(&format!("`{setting}`: {} is not installed", program[0]));
            continue;
        }
        std::fs::write(file, text(setting)).expect("there is room");
        let ran = std::process::Command::new(program[0]).args(&program[1..]).output().expect("it is there");
        assert!(ran.status.success(), "{} does not take `{setting}`: {ran:?}", program[0]);
    }
}

/// Commands for another namespace lead there.
#[test]
fn commands_lead_into_other_namespaces() {
    let (net, elsewhere) = (eleven_testbed::or_skip!(Net::new()), eleven_testbed::or_skip!(Net::new()));
    set(&net, "net.ipv4.tcp_abort_on_overflow", "1");
    let _program = Program::start(&net, "calls-closed-ports");
    let findings =
        elsewhere.eleven(&["doctor", "--format", "json", "--for", "2s", "--netns", &net.path()]).json();
    let findings = findings.as_array().expect("an array");
    let nothing = std::collections::BTreeMap::new();
    let place = execute::Place { net: &elsewhere, fill: &nothing };
    let entrance = format!("nsenter --net={} ", net.path());
    let mut codes = BTreeSet::new();
    for finding in findings {
        codes.insert(finding["code"].as_str().expect("a code"));
        // What verifies it looks there too.
        let verify = finding["verify"].as_str().expect("a text");
        for command in verify.split('`').skip(1).step_by(2) {
            assert!(command.starts_with(&entrance), "{}: {command}", finding["code"]);
            place.execute(command);
        }
        for command in
            finding["fixes"].as_array().expect("a list").iter().filter_map(|fix| fix["command"].as_str())
        {
            if command.starts_with("grep -rns") {
                continue;
            }
            assert!(command.starts_with(&entrance), "{}: {command}", finding["code"]);
            if command.contains("sysctl -w") {
                let ran = place.run(command);
                assert_eq!(ran.code, Some(0), "{command}: {ran:#?}");
            } else {
                place.execute(command);
            }
        }
    }
    assert!(codes.contains("harmful-sysctl") && codes.contains("refused-connections"), "{codes:?}");
    let value =
        net.run(|| std::fs::read_to_string("/proc/sys/net/ipv4/tcp_abort_on_overflow")).expect("it is there");
    assert_eq!(value.trim(), "0");
}

/// Our own commands and the kernel's counters, wherever a text names them.
#[test]
fn commands_of_all_texts_are_understood() {
    let net = eleven_testbed::or_skip!(Net::new());
    let directory = tempfile::tempdir().expect("a place for files");
    let file = |name: &str| directory.path().join(name).to_str().expect("plain").to_owned();
    let (capture, snapshot) = (file("flow.pcapng"), file("before.json"));
    run(&["lab", "run", "lost-data", "--simulate", "-w", &capture]).done();
    net.eleven(&["snapshot", "-o", &snapshot]).done();
    let words = [
        ("FILE", &*capture),
        ("FLOW", "1"),
        ("PORT", "80"),
        ("ADDRESS", "192.0.2.1"),
        ("PID", "1"),
        ("NAME", "x"),
    ];
    let fill = words.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let place = execute::Place { net: &net, fill: &fill };
    let mut wrong = Vec::new();
    for text in texts::everywhere() {
        let words: Vec<&str> = text.split_whitespace().collect();
        let is_ours = matches!(
            words[..],
            ["eleven", "list" | "count" | "explain" | "trace" | "snapshot" | "diff", ..]
                | ["nstat", "-az", ..]
        );
        // With `…` or a word to choose it is no whole command.
        if !is_ours || text.contains(['…', '{']) || text.ends_with("FLAGS") || text == "eleven trace -i" {
            continue;
        }
        let command = place.filled(&text).replace("before.json", &snapshot);
        if words[0] == "nstat" {
            place.counters(&command);
            continue;
        }
        let ran = place.run(&command);
        if ran.code != Some(0) {
            wrong.push((text, ran.stderr));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
