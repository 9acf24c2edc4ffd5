use super::*;
use crate::sockets::Settings;

fn error(text: &str) -> ScriptError {
    parse(text).expect_err(text)
}

#[test]
fn times_have_all_their_forms() {
    let text = "0.5 close(3) = 0\n+.25 close(3) = 0\n* > . 1:1(0) ack 1\n1~2.5 > . 1:1(0)\n+.1~+.2 > . 1:1(0)\n\
                +0...0.2 read(3, ..., 10) = 1\n";
    let times: Vec<(Time, Option<i64>)> =
        parse(text).unwrap().events.iter().map(|event| (event.time, event.end)).collect();
    assert_eq!(
        times,
        [
            (Time::Absolute(500_000), None),
            (Time::Relative(250_000), None),
            (Time::Any, None),
            (Time::AbsoluteRange(1_000_000, 2_500_000), None),
            (Time::RelativeRange(100_000, 200_000), None),
            (Time::Relative(0), Some(200_000)),
        ]
    );
}

#[test]
fn segments_and_options_are_read() {
    let script = parse(
        "--tolerance_usecs=9000 // more\n0 < [ce] SEW 5:15(10) win 7 <mss 1000,sackOK,TS val 1 ecr 2,nop,wscale 3,FO 01ab>\n\
         +0 > . 1:1(0) ack 1 <nop,nop,sack 1:2 3:4>\n+0 > R 1:1(0) <...>\n",
    )
    .unwrap();
    assert_eq!(script.options, [("tolerance_usecs".to_string(), "9000".to_string())]);
    let Action::Inbound(first) = &script.events[0].action else { panic!() };
    assert_eq!((first.start, first.length, first.window), (5, 10, Some(7)));
    assert_eq!(first.ecn, Some(crate::Ecn::Ce));
    assert_eq!(
        first.options.as_deref().unwrap().last(),
        Some(&OptionSpec::FastOpen { cookie: vec![1, 0xab], experiment: false })
    );
    let Action::Outbound(second) = &script.events[1].action else { panic!() };
    assert_eq!(second.options.as_deref().unwrap()[2], OptionSpec::Sack(vec![(1, 2), (3, 4)]));
    let Action::Outbound(third) = &script.events[2].action else { panic!() };
    assert_eq!(third.options, None);
}

#[test]
fn errors_tell_where_and_why() {
    let wrong = error("0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 > X. 0:0(0)\n");
    assert_eq!((wrong.line, wrong.column), (2, 6));
    assert_eq!(
        wrong.to_string(),
        "line 2, column 6: 'X' is no flag: F S R P . U E W or - are\n  +0 > X. 0:0(0)\n       ^"
    );
    for (text, message) in [
        ("0 `rm -rf /`", "rm is a shell command: only sysctl -q net.ipv4.NAME=VALUE is understood here"),
        ("0 > . 1:5(3)", "from 1 to 5 there are not 3 bytes"),
        ("0 close(SOMETHING) = 0", "SOMETHING is no number's name"),
        ("0 < . 1:1(0) <foo>", "\"foo\" is no option that is known here"),
        ("0 %{ assert tcpi_nothing == 0 }%", "tcpi_nothing is no field of TCP_INFO, nor a number's name"),
        ("0 %{ tcpi_rtt }%", "expected \"assert\" or \"}%\" here"),
        ("0 conect(3, ..., ...) = 0", "conect is no call of the language; did you mean connect?"),
        ("0 frobnicate(3) = 0", "frobnicate is no call of the language"),
        ("0 close(3 = 0", "expected \",\" here"),
        ("x", "expected a time in seconds here, as in 0.100"),
        ("0 `sysctl", "this never ends: \"`\" is missing"),
    ] {
        assert_eq!(error(text).message, message, "{text}");
    }
}

#[test]
fn expressions_have_values() {
    let info = crate::sockets::TcpInfo { rtt: 20, state: 1, options: 34, ..Default::default() };
    for (text, value) in [
        ("tcpi_rtt == 20", 1),
        ("10 <= tcpi_rtt < 20", 0),
        ("tcpi_state == TCP_ESTABLISHED and not tcpi_rtt > 30", 1),
        ("(tcpi_options & TCPI_OPT_SYN_DATA) != 0 or 1 == 2", 1),
        ("tcpi_rtt + 2 * 3 == 26", 1),
        ("1 << 4 | 1 == 17", 1),
        ("-1", -1),
    ] {
        let script = parse(&format!("0 %{{ assert {text}, 'a message; }}' }}%")).unwrap();
        let Action::Assert(statements) = &script.events[0].action else { panic!() };
        assert_eq!(statements[0].condition.value(&info), value, "{text}");
        assert_eq!(statements[0].text, text);
    }
}

#[test]
fn sysctls_become_settings() {
    let script =
        parse("`sysctl -q net.ipv4.tcp_rmem=\"4096 9000 10000\" net.ipv4.tcp_sack=0 2>/dev/null`\n").unwrap();
    let pair = |name: &str, value: &str| (name.to_string(), value.to_string());
    let wanted = Action::Set(vec![pair("tcp_rmem", "4096 9000 10000"), pair("tcp_sack", "0")]);
    assert_eq!(script.events[0].action, wanted);
}

/// The first line that differs is told, in the script's own notation.
#[test]
fn the_first_difference_is_reported() {
    let open = "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 bind(3, ..., ...) = 0\n+0 listen(3, 1) = 0\n\
                +0 < S 0:0(0) win 1000 <mss 1000>\n";
    for (then, report) in [
        (
            "+0 > S. 0:0(0) ack 2 <mss 1460>",
            "line 5: another segment left\n  +0 > S. 0:0(0) ack 2 <mss 1460>\n  expected: S. 0:0(0) ack 2 <mss 1460>\n  \
             got:      S. 0:0(0) ack 1 <mss 1460>",
        ),
        (
            "+.1 > S. 0:0(0) ack 1 <mss 1460>",
            "line 5: the segment left at another time\n  +.1 > S. 0:0(0) ack 1 <mss 1460>\n  expected: 0.100000\n  \
             got:      0.000000",
        ),
        (
            "+0 close(9) = 0",
            "line 5: the call returned something else\n  +0 close(9) = 0\n  expected: 0\n  got:      -1 EBADF",
        ),
        (
            "+0 accept(3, ..., ...) = 4",
            "line 5: the call blocks\n  +0 accept(3, ..., ...) = 4\n  expected: 4\n  got:      nothing",
        ),
        (
            "+0...0.1 accept(3, ..., ...) = 4\n+0 %{ assert tcpi_state == TCP_CLOSE, 1 }%",
            "line 6: the assertion does not hold\n  +0 %{ assert tcpi_state == TCP_CLOSE, 1 }%\n  \
             expected: tcpi_state == TCP_CLOSE\n  got:      tcpi_state = 10",
        ),
        (
            "+0...0.1 accept(3, ..., ...) = 4\n+0 > S. 0:0(0) ack 1 <mss 1460>\n+.01 < . 1:1(0) ack 1 win 10\n+1 close(3) = 0",
            "line 5: the call returned at another time\n  +0...0.1 accept(3, ..., ...) = 4\n  expected: 0.100000\n  \
             got:      0.010000",
        ),
    ] {
        let script = parse(&format!("{open}{then}\n")).unwrap();
        assert_eq!(run(&script, &Settings::default()).to_string(), report);
    }
}

/// A call that has run into its deadline does not keep time from passing while a segment is waited for.
#[test]
fn a_call_that_has_returned_is_not_waited_for() {
    let text = "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 bind(3, ..., ...) = 0\n+0 listen(3, 1) = 0\n\
                +0...0.040 poll([{fd=2, events=POLLOUT, revents=POLLOUT}], 1, 1000) = 1\n\
                +0 > . 1:1(0) ack 7\n";
    assert!(!run(&parse(text).unwrap(), &Settings::default()).passed());
}
