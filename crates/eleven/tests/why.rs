//! What a socket waits for: `list --why`, and `explain LOCAL-REMOTE`.

use std::net::Shutdown;

use eleven_testbed::namespace::Net;
use eleven_testbed::or_skip;
use eleven_testbed::sockets::{LOOPBACK, address, fill, listen, pair, time_wait};

use crate::support::program::run;
use crate::support::sockets::half_closed;

#[test]
fn every_row_says_what_it_waits_for() {
    let net = or_skip!(Net::new());
    net.run(|| {
        let _listener = listen(LOOPBACK, 4);
        let _half = half_closed(LOOPBACK);
        time_wait(LOOPBACK);
        let (writer, reader) = pair(LOOPBACK);
        fill(&writer, &reader, b"hello");
        let rows = run(&["list", "--why", "--format", "ndjson"]).ndjson();
        assert!(rows.len() >= 6);
        for row in &rows {
            let (state, why) = (row["state"].as_str().expect("a state"), &row["why"]);
            let sentence = why["sentence"].as_str().expect("a sentence");
            assert!(sentence.ends_with('.') && !sentence.contains(['{', '[', '?']), "{state}: {sentence}");
            match state {
                "CLOSE_WAIT" => {
                    assert_eq!(why["responsible"], "local-program");
                    assert!(sentence.contains("close()") && why["ends_ms"].is_null(), "{sentence}");
                }
                "FIN_WAIT2" => assert_eq!(why["responsible"], "peer"),
                "TIME_WAIT" => {
                    assert!(why["ends_ms"].as_u64().is_some_and(|ms| ms <= 60_000), "{why}");
                    assert!(why["responsible"].is_null());
                }
                _ => {}
            }
        }
        let unread = rows.iter().filter(|row| row["recv_queue"] == 5).collect::<Vec<_>>();
        assert_eq!(unread.len(), 1);
        assert!(
            unread[0]["why"]["sentence"].as_str().expect("one").contains("5 bytes"),
            "{}",
            unread[0]["why"]
        );
        let chinese = run(&["list", "--why", "--lang", "zh-CN"]).done();
        assert!(chinese.contains("必须调用 close()"), "{chinese}");
        let csv = run(&["list", "--why", "--format", "csv"]).done();
        assert!(csv.lines().next().is_some_and(|heading| heading.ends_with(",why")), "{csv}");
    });
}

#[test]
fn both_ends_of_a_connection_are_told() {
    let net = or_skip!(Net::new());
    net.run(|| {
        let (client, server) = pair(LOOPBACK);
        server.shutdown(Shutdown::Write).expect("it is connected");
        eleven_testbed::sockets::wait_for_end(&client);
        let name = format!("{}-{}", address(&client), address(&server));
        let ends = run(&["explain", &name, "--format", "json"]).json();
        let states: Vec<_> = ends.as_array().expect("two").iter().map(|end| end["state"].clone()).collect();
        assert_eq!(states, ["CLOSE_WAIT", "FIN_WAIT2"]);
        let told = run(&["explain", &name]).done();
        assert!(told.contains("must call close()") && told.contains("must close"), "{told}");
        drop((client, server));
        run(&["explain", "127.0.0.1:1-127.0.0.1:2"]).fails(1, &["no connection", "--netns all"]);
    });
}
