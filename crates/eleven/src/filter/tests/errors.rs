//! What is said about a filter that is not understood.

use super::*;

fn error(text: &str) -> FilterError {
    match Filter::parse(text, &TestNames) {
        Ok(filter) => panic!("{text} was understood as {filter}"),
        Err(error) => error,
    }
}

#[test]
fn errors_point_at_the_place_and_suggest() {
    let filters = [
        "dprot 443",
        "state established and dprot = :443",
        "state tiem-wait",
        "state listen,estb,closing",
        "exclude",
        "dport",
        "dport and sport 22",
        "dport > ",
        "dport 443 or",
        "or dport 443",
        "and",
        "()",
        "(dport 443",
        "dport 443)",
        ")",
        "not",
        "dport => 443",
        "dport <> 443",
        "dport 70000",
        "dport htps",
        "dport = 10.0.0.1:443",
        "dst 443",
        "dst 10.0.0.300",
        "dst 10.0.0.0/33",
        "dst [::1",
        "dst fe80::1%eth0",
        "dst nowhere.example",
        "dst =",
        "443",
        ":443",
        "10.0.0.1",
        "nginx",
        "process",
        "process > nginx",
        "process ~ ngin.*",
        "process 'nginx",
        "process = (",
        "autobound = 1",
        "exclude = listen",
        "pid nginx",
        "uid 4294967296",
        "dev 77",
        "fwmark x",
        "age > soon",
        "age > 10 m",
        "rtt > 100",
        "recvq > 4x",
        "kind fill",
        "timer keepalvie",
        "owner nobody",
        "family inet7",
        "\"state\" listen",
        "src 10.0.0.1 = 5",
        "dport 443 §",
    ];
    let report: Vec<String> = filters.iter().map(|text| error(text).render()).collect();
    insta::assert_snapshot!(report.join("\n\n"));
}

#[test]
fn an_error_is_one_line_for_logs() {
    let error = error("dprot 443");
    assert_eq!(
        error.to_string(),
        "filter: `dprot` is not a word of the filter language; did you mean `dport`?"
    );
    assert_eq!(error.span(), 0..5);
    assert_eq!(error.suggestion(), Some("dport"));
    assert_eq!(error.cause(), &Cause::UnknownWord("dprot".to_owned()));
}

#[test]
fn carets_stand_under_wide_and_multibyte_text() {
    insta::assert_snapshot!(error("process 名前 and dst größe! dprt 1").render(), @r"
      process 名前 and dst größe! dprt 1
                           ^^^^^
    the host `größe` has no address: no such host
    ");
    insta::assert_snapshot!(error("process nginx and 名前").render(), @r"
      process nginx and 名前
                        ^^^^
    `名前` is not a word of the filter language
    ");
}

#[test]
fn of_a_long_filter_the_surroundings_are_shown() {
    let text = format!("{}dprot 443{}", "sport 1 or ".repeat(1000), " or sport 1".repeat(1000));
    insta::assert_snapshot!(error(&text).render(), @r"
      …or sport 1 or sport 1 or sport 1 or dprot 443 or sport 1 or sport 1 or sport …
                                           ^^^^^
    `dprot` is not a word of the filter language; did you mean `dport`?
    ");
    let word = error(&"x".repeat(100_000)).render();
    assert!(word.lines().all(|line| line.chars().count() < 300), "{word}");
}

#[test]
fn nothing_in_an_error_moves_the_cursor() {
    for text in ["dport 1 \u{1b}[2J", "dst \u{202e}x", "process x and\n\tdprot\r\n1"] {
        let rendered = error(text).render();
        assert_eq!(rendered.lines().count(), 3, "{rendered:?}");
        assert!(rendered.chars().all(|c| c == '\n' || !c.is_control()), "{rendered:?}");
        assert!(!rendered.contains('\u{202e}'), "{rendered:?}");
        assert!(!error(text).to_string().contains('\n'));
    }
}

#[test]
fn depth_is_bounded() {
    for (open, close) in [("(", ")"), ("not ", ""), ("!", ""), ("not (", ")")] {
        let text = format!("{}sport 1{}", open.repeat(100_000), close.repeat(100_000));
        assert_eq!(error(&text).cause(), &Cause::TooDeep(100), "{open}");
    }
    let nested = format!("{}sport 1{}", "(".repeat(100), ")".repeat(100));
    assert_eq!(parse(&nested).to_string(), "sport = 1");
    assert!(Filter::parse(&format!("{}sport 1", "not ".repeat(100)), &TestNames).is_ok());
}

#[test]
fn a_filter_may_be_long() {
    let text = vec!["sport 1"; 100_000].join(" or ");
    let filter = parse(&text);
    assert!(filter.kernel_filter(&TestNames).compile().is_err());
    let sides = format!("{}sport 1", "state listen ".repeat(100_000));
    assert_eq!(parse(&sides).to_string(), "state LISTEN and sport = 1");
}
