//! What is accepted, and how it prints.

use super::*;

/// Pairs of a filter and how it prints, which shows how it was understood.
fn prints(rows: &[(&str, &str)]) {
    for (text, printed) in rows {
        let filter = parse(text);
        assert_eq!(filter.to_string(), *printed, "{text}");
        assert_eq!(parse(printed), filter, "{text}");
    }
}

#[test]
fn states_unite_and_subtract_as_in_ss() {
    prints(&[
        ("", ""),
        ("  ", ""),
        ("state time-wait", "state TIME_WAIT"),
        ("state TIME_WAIT", "state TIME_WAIT"),
        ("STATE estab", "state ESTABLISHED"),
        ("state syn-recv", "state SYN_RECV"),
        ("state close-wait state time-wait", "state CLOSE_WAIT,TIME_WAIT"),
        ("state close-wait,time-wait", "state CLOSE_WAIT,TIME_WAIT"),
        ("state all", "state all"),
        ("state all exclude all", "state none"),
        ("exclude listening", "exclude LISTEN"),
        ("excl listening exclude time-wait", "exclude LISTEN,TIME_WAIT"),
        ("exclude listening state listening", "state all"),
        ("state connected", "exclude LISTEN,CLOSED"),
        ("state synchronized", "exclude LISTEN,SYN_SENT,CLOSED"),
        ("state bucket", "state SYN_RECV,TIME_WAIT"),
        ("state big", "exclude SYN_RECV,TIME_WAIT"),
        ("state connected exclude established", "exclude LISTEN,ESTABLISHED,CLOSED"),
        ("state bound", "kind = bound"),
        ("state listening state bound", "state LISTEN or kind = bound"),
        ("exclude bound", "state all and not kind = bound"),
        ("state = listen", "state LISTEN"),
        ("state != listen", "exclude LISTEN"),
        ("state \"listen\"", "state LISTEN"),
    ]);
}

#[test]
fn states_stand_anywhere() {
    prints(&[
        ("listening", "state LISTEN"),
        ("established dport 443", "state ESTABLISHED and dport = 443"),
        ("established time-wait", "state ESTABLISHED,TIME_WAIT"),
        ("established and time-wait", "state ESTABLISHED and state TIME_WAIT"),
        ("not state listen and dport 443", "not state LISTEN and dport = 443"),
        ("not (state listen)", "not state LISTEN"),
        ("dport 443 state listen state estab", "dport = 443 and state LISTEN,ESTABLISHED"),
        ("sport 1 or exclude listen", "sport = 1 or exclude LISTEN"),
        ("not state listen state closing", "not state LISTEN and state CLOSING"),
        ("not exclude bound", "not not kind = bound"),
        ("state estab state != listen", "state ESTABLISHED and exclude LISTEN"),
    ]);
}

#[test]
fn connectives_bind_as_documented() {
    prints(&[
        ("sport 1 or sport 2 and sport 3", "sport = 1 or sport = 2 and sport = 3"),
        ("(sport 1 or sport 2) and sport 3", "(sport = 1 or sport = 2) and sport = 3"),
        ("sport 1 | sport 2 || sport 3", "sport = 1 or sport = 2 or sport = 3"),
        ("sport 1 & sport 2 && sport 3 sport 4", "sport = 1 and sport = 2 and sport = 3 and sport = 4"),
        ("! sport 1", "not sport = 1"),
        ("!sport=1", "not sport = 1"),
        ("not sport 1 and sport 2", "not sport = 1 and sport = 2"),
        ("not not sport 1", "not not sport = 1"),
        ("not(sport 1 and sport 2)", "not (sport = 1 and sport = 2)"),
        ("((sport 1))", "sport = 1"),
        ("sport 1 and (sport 2 and sport 3)", "sport = 1 and (sport = 2 and sport = 3)"),
        ("( sport = :ssh or sport = :http )", "sport = 22 or sport = 80"),
        ("sport 1 AND NOT sport 2", "sport = 1 and not sport = 2"),
    ]);
}

#[test]
fn ports_and_operators() {
    prints(&[
        ("dport 443", "dport = 443"),
        ("dport :443", "dport = 443"),
        ("dport = :443", "dport = 443"),
        ("dport=443", "dport = 443"),
        ("dport == https", "dport = 443"),
        ("dport eq :https", "dport = 443"),
        ("dport != :443", "dport != 443"),
        ("dport ne 443", "dport != 443"),
        ("dport neq 443", "dport != 443"),
        ("sport gt :1024", "sport > 1024"),
        ("sport > 1024", "sport > 1024"),
        ("sport>=1024", "sport >= 1024"),
        ("sport ge 1024", "sport >= 1024"),
        ("sport geq 1024", "sport >= 1024"),
        ("sport lt 1024", "sport < 1024"),
        ("sport le 1024", "sport <= 1024"),
        ("sport leq 1024", "sport <= 1024"),
        ("dport 0x50", "dport = 80"),
        ("port 53", "port = 53"),
        ("port != 53", "port != 53"),
        ("dport *", "dst = *"),
        ("dport = inet:443", "family = inet and dport = 443"),
        ("autobound", "autobound"),
    ]);
}

#[test]
fn hosts() {
    prints(&[
        ("src 10.0.0.0/8", "src = 10.0.0.0/8"),
        ("src 10/8", "src = 10.0.0.0/8"),
        ("dst = 10.0.0.1:443", "dst = 10.0.0.1:443"),
        ("dst != 10.0.0.1", "dst != 10.0.0.1"),
        ("dst :443", "dst = :443"),
        ("dst *", "dst = *"),
        ("dst ::1", "dst = [::1]"),
        ("dst [::1]:https", "dst = [::1]:443"),
        ("dst 2001:db8::/32", "dst = [2001:db8::]/32"),
        ("dst db", "dst = 10.0.0.7"),
        ("dst db:ssh", "dst = 10.0.0.7:22"),
        ("dst localhost", "dst = 127.0.0.1 or dst = [::1]"),
        ("dst != localhost:80", "not (dst = 127.0.0.1:80 or dst = [::1]:80)"),
        ("dst inet:localhost", "family = inet and (dst = 127.0.0.1 or dst = [::1])"),
        ("dst inet6:[::1]:80", "family = inet6 and dst = [::1]:80"),
        ("dst != inet:10.0.0.1", "family = inet and dst != 10.0.0.1"),
        ("address 10.0.0.1", "address = 10.0.0.1"),
        ("addr != 10.0.0.1:22", "address != 10.0.0.1:22"),
    ]);
}

#[test]
fn other_tests() {
    prints(&[
        ("dev lo", "dev = lo"),
        ("dev 2", "dev = eth0"),
        ("interface != eth0", "dev != eth0"),
        ("fwmark 0x10", "fwmark = 0x10"),
        ("fwmark = 1/3", "fwmark = 0x1/0x3"),
        ("fwmark != 0x01/0x03", "fwmark != 0x1/0x3"),
        ("cgroup /user.slice", "cgroup = /user.slice"),
        ("cgroup /sys/fs/cgroup/user.slice/", "cgroup = /user.slice"),
        ("cgroup /sys/fs/cgroup/unified/user.slice", "cgroup = /user.slice"),
        ("cgroup user.slice", "cgroup = /user.slice"),
        ("cgroup /", "cgroup = /"),
        (r"cgroup /system.slice/a\x2db.service", r"cgroup = /system.slice/a\x2db.service"),
        ("inet", "family = inet"),
        ("ipv6 and not ipv4", "family = inet6 and not family = inet"),
        ("family != inet6", "family != inet6"),
        ("process nginx", "process = nginx"),
        ("process != ngin*", "process != ngin*"),
        ("process \"two words\"", "process = \"two words\""),
        ("process 'and'", "process = \"and\""),
        ("process state", "process = state"),
        ("process 'say \"hi\"'", "process = \"say \"'\"'\"hi\"'\"'\"\""),
        ("process ''", "process = \"\""),
        ("pid 812", "pid = 812"),
        ("user www-data", "user = www-data"),
        ("user 33", "uid = 33"),
        ("user '33'", "user = \"33\""),
        ("uid != 0", "uid != 0"),
        ("owner none", "owner = none"),
        ("owner NOT-ACCEPTED", "owner = not-accepted"),
        ("owner not_accepted", "owner = not-accepted"),
        ("age > 10m", "age > 10m"),
        ("age < 2h30m", "age < 150m"),
        ("age >= 90", "age >= 90s"),
        ("age > 0", "age > 0s"),
        ("recvq > 0", "recvq > 0"),
        ("sendq >= 4k", "sendq >= 4096"),
        ("backlog > 100", "backlog > 100"),
        ("kind timewait", "kind = timewait"),
        ("kind != time-wait", "kind != timewait"),
        ("timer none", "timer = none"),
        ("timer time-wait", "timer = time_wait"),
        ("retransmits >= 3", "retransmits >= 3"),
        ("rtt > 100ms", "rtt > 100ms"),
        ("rtt < 1.5ms", "rtt < 1500us"),
        ("congestion bbr", "congestion = bbr"),
        ("container web", "container = web"),
        ("netns blue", "netns = blue"),
        ("netns 4026531840", "netns = \"4026531840\""),
        ("inode 12345", "inode = 12345"),
        ("cookie 0x1f", "cookie = 0x1f"),
    ]);
}

#[test]
fn tests_of_flows() {
    for (text, expected) in [
        ("closed-by server", "closed-by = server"),
        ("closed_by != none", "closed-by != none"),
        ("anomaly zero-window", "anomaly = zero-window"),
        ("anomaly *retransmission", "anomaly = *retransmission"),
        ("end-state TIME-WAIT,CLOSED", "end-state = TIME_WAIT,CLOSED"),
        ("client-state estab", "client-state = ESTABLISHED"),
        ("server-state != listen", "server-state != LISTEN"),
        ("retransmissions > 0", "retransmissions > 0"),
        ("packets 5", "packets = 5"),
        ("bytes >= 4k", "bytes >= 4096"),
        ("duration > 10s", "duration > 10s"),
        ("handshake > 1.5ms", "handshake > 1500us"),
        ("conn_state S0", "conn-state = S0"),
        ("flow 3 or flow = 4", "flow = 3 or flow = 4"),
        ("dport 443 and state established", "dport = 443 and state ESTABLISHED"),
    ] {
        assert_eq!(parse_about(Subject::Flows, text).to_string(), expected);
        assert_eq!(parse_about(Subject::Flows, expected).to_string(), expected);
    }
    for (subject, text) in [(Subject::Flows, "process nginx"), (Subject::Sockets, "closed-by client")] {
        let error = Filter::parse_about(subject, text, &TestNames).expect_err("it is about something else");
        assert!(matches!(error.cause(), Cause::OtherSubject { .. }), "{error}");
    }
    let error = Filter::parse_about(Subject::Flows, "anomaly zero-windw", &TestNames).expect_err("misspelt");
    assert_eq!(error.suggestion(), Some("zero-window"));
}

#[test]
fn every_keyword_and_alias_is_understood() {
    for keyword in KEYWORDS {
        let value = match keyword.topic {
            Topic::State | Topic::Exclude => "listen",
            Topic::Kind => "full",
            Topic::Family => "inet",
            Topic::Timer | Topic::Owner => "none",
            Topic::Destination | Topic::Source | Topic::Address => "10.0.0.1",
            Topic::Age | Topic::RoundTripTime | Topic::Duration | Topic::Handshake => "10ms",
            Topic::Inet | Topic::Inet6 | Topic::AutoBound => "",
            Topic::EndState | Topic::ClientState | Topic::ServerState => "time-wait",
            Topic::ClosedBy => "client",
            Topic::Anomaly => "zero-window",
            _ => "1",
        };
        let subject = if keyword.is_about(Subject::Sockets) { Subject::Sockets } else { Subject::Flows };
        for name in std::iter::once(&keyword.name).chain(keyword.aliases) {
            parse_about(subject, &format!("{name} {value}"));
            let refused: &[&str] = match keyword.operators {
                Operators::None | Operators::ValueOnly => &["=", "!=", "<"],
                Operators::Equality => &["<", "ge"],
                Operators::Order => &[],
            };
            for operator in refused {
                let text = format!("{name} {operator} {value}");
                assert!(Filter::parse_about(subject, &text, &TestNames).is_err(), "{text}");
            }
        }
        // A word that is also a state or a class would never be reached.
        assert!(keyword.name.parse::<eleven_tcp::State>().is_err(), "{}", keyword.name);
        assert!(STATE_CLASSES.iter().all(|class| class.name != keyword.name), "{}", keyword.name);
    }
    let names: Vec<&str> = KEYWORDS
        .iter()
        .flat_map(|keyword| std::iter::once(&keyword.name).chain(keyword.aliases))
        .copied()
        .collect();
    let mut unique = names.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), names.len(), "a word stands in the table twice");
}

#[test]
fn the_help_shows_every_word() {
    for (subject, name) in [(Subject::Sockets, "sockets"), (Subject::Flows, "flows")] {
        let help = help(subject);
        assert!(help.lines().all(|line| line.chars().count() <= 110), "{help}");
        insta::assert_snapshot!(name, help);
    }
}
