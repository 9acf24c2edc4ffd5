//! `eleven doctor --path`: idle timeouts from client to server.

use std::fs;

use crate::support::program::run;

#[test]
fn who_closes_first_is_judged_link_by_link() {
    let path = "client:idle=60 lb:idle=300,kind=f5 server:idle=15,kind=apache";
    let findings = run(&["doctor", "--path", path, "--format", "json"]).json();
    let findings = findings.as_array().expect("an array");
    assert_eq!(findings.len(), 2);
    let (worst, right) = (&findings[0], &findings[1]);
    assert_eq!((&worst["code"], &worst["severity"]), (&"idle-timeout-order".into(), &"warning".into()));
    assert_eq!((&worst["subject"]["local"], &worst["subject"]["remote"]), (&"lb".into(), &"server".into()));
    assert_eq!(worst["responsible"], "configuration");
    assert_eq!(worst["fixes"][0]["command"], "KeepAliveTimeout 330");
    assert_eq!((&right["severity"], &right["subject"]["local"]), (&"info".into(), &"client".into()));
    let chinese = run(&["doctor", "--path", path, "--lang", "zh-CN"]).done();
    assert!(chinese.contains("TIME_WAIT") && !chinese.contains('{'), "{chinese}");
    assert_eq!(run(&["doctor", "--path", path, "--exit-code"]).code, Some(3));
    assert_eq!(run(&["doctor", "--path", "client:idle=5 server:idle=60", "--exit-code"]).code, Some(0));
}

#[test]
fn timeouts_come_from_configuration_files() {
    let directory = tempfile::tempdir().expect("a directory");
    let main = directory.path().join("nginx.conf");
    fs::create_dir(directory.path().join("conf.d")).expect("there is room");
    fs::write(&main, "http {\n include conf.d/*.conf;\n keepalive_timeout 75s;\n}\n").expect("there is room");
    fs::write(
        directory.path().join("conf.d/site.conf"),
        "server { keepalive_timeout 20s; keepalive_timeout x; }",
    )
    .expect("there is room");
    let main = main.to_str().expect("UTF-8");
    let ran =
        run(&["doctor", "--path", "client:idle=60 web:kind=nginx", "--config", main, "--format", "json"]);
    assert!(ran.stderr.contains("site.conf:1"), "{}", ran.stderr);
    let finding = &ran.json()[0];
    let far = finding["evidence"].as_array().expect("evidence").iter().find(|item| item["key"] == "far_idle");
    assert_eq!(far.expect("it is told")["value"], 20_000);
    let path = ["doctor", "--path", "client:idle=60 web:kind=nginx", "--config"];
    run(&[&path[..], &["/nowhere/nginx.conf"]].concat()).fails(1, &["/nowhere/nginx.conf"]);
}

#[test]
fn a_typo_is_pointed_at() {
    run(&["doctor", "--path", "client:idle=60 lb:idel=300 server"]).fails(2, &["^^^^", "upstream-idle"]);
    run(&["doctor", "--path", "client"]).fails(2, &["two ends"]);
    run(&["doctor", "--path", "client lb:kind=f6 server"]).fails(2, &["^^", "haproxy"]);
}
