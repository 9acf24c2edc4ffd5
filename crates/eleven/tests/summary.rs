//! The screen a newcomer sees first.

use eleven_knowledge::Language;
use eleven_tcp::State;
use eleven_testbed::namespace::Net;
use eleven_testbed::or_skip;
use eleven_testbed::sockets::{ANYWHERE6, LOOPBACK, address, connect, listen, pair, time_wait};

use crate::support::program::{RunInside, eleven};
use crate::support::sockets::half_closed;

/// The line that begins with a word.
#[track_caller]
fn line<'a>(screen: &'a str, start: &str) -> &'a str {
    screen
        .lines()
        .find(|line| line.split_whitespace().next() == Some(start))
        .unwrap_or_else(|| panic!("no line begins with {start}:\n{screen}"))
}

#[test]
fn one_screen_shows_states_listeners_programs_and_peers() {
    let net = or_skip!(Net::new());
    let (listener, full, _held) = net.run(|| {
        time_wait(LOOPBACK);
        let listener = listen(ANYWHERE6, 7);
        let full = listen(LOOPBACK, 1);
        let waiting = [connect(address(&full)), connect(address(&full))];
        (
            address(&listener).port(),
            address(&full).port(),
            (listener, full, waiting, pair(LOOPBACK), half_closed(LOOPBACK)),
        )
    });
    let name = std::fs::read_to_string("/proc/self/comm").expect("a process has a name");
    for (language, tag, titles) in [
        (
            Language::English,
            "en",
            ["Listeners", "Programs with the most sockets", "Peers with the most sockets"],
        ),
        (Language::SimplifiedChinese, "zh-CN", ["监听端口", "套接字最多的程序", "套接字最多的对端"]),
    ] {
        let screen = net.eleven(&["--lang", tag]).done();
        for (state, count) in [
            (State::Listen, 2),
            (State::Established, 6),
            (State::FinWait2, 1),
            (State::CloseWait, 1),
            (State::TimeWait, 1),
        ] {
            let line = line(&screen, state.as_str());
            assert_eq!(line.split_whitespace().nth(1), Some(count.to_string().as_str()), "{line}");
            let meaning = eleven_knowledge::state(state, language).short;
            assert!(line.ends_with(&meaning), "{line} does not end with {meaning}");
            assert!(line.contains('█') || line.contains('▏') || line.contains('▍'), "{line} has no bar");
        }
        for title in titles {
            assert!(screen.lines().any(|line| line == title), "no {title} in\n{screen}");
        }
        let words = |port: u16, at: &str| {
            let words: Vec<String> =
                line(&screen, &format!("{at}:{port}")).split_whitespace().map(str::to_owned).collect();
            (words[1].clone(), words[2].clone())
        };
        assert_eq!(words(listener, "[::]"), ("0".to_owned(), "7".to_owned()));
        assert_eq!(words(full, "127.0.0.1"), ("2".to_owned(), "1".to_owned()));
        assert!(screen.contains(&format!(" {} (", name.trim())) || screen.contains(name.trim()), "{screen}");
        // Both ends of every conversation are here.
        assert!(line(&screen, "127.0.0.1").contains("6 ESTABLISHED"), "{screen}");
        assert!(screen.contains("eleven explain STATE"), "{screen}");
    }
}

#[test]
fn the_language_is_the_environments() {
    let net = or_skip!(Net::new());
    let _listener = net.run(|| listen(LOOPBACK, 1));
    for (variable, value, title) in [
        ("LC_ALL", "zh_CN.UTF-8", "监听端口"),
        ("LC_ALL", "de_DE.UTF-8", "Listeners"),
        ("LC_ALL", "C", "Listeners"),
    ] {
        let mut command = eleven(&[]);
        command.env(variable, value);
        let screen = net.output(&mut command).done();
        assert!(screen.contains(title), "{variable}={value}:\n{screen}");
    }
}
