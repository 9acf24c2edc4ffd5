use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn change(states: (&str, &str)) -> Option<Change> {
    (!states.1.is_empty()).then(|| Change { before: states.0.into(), after: states.1.into() })
}

/// A segment sent and received at the given milliseconds, and what that does to sender and receiver.
fn segment(
    from: Side,
    times: (u64, Option<u64>),
    label: &str,
    sender: (&str, &str),
    receiver: (&str, &str),
) -> Entry {
    Entry::Segment(Flight {
        from,
        sent: Instant::from_millis(times.0),
        received: times.1.map(Instant::from_millis),
        label: label.into(),
        sender: change(sender),
        receiver: change(receiver),
    })
}

fn note(side: Side, time: u64, text: &str, states: (&str, &str)) -> Entry {
    Entry::Note(Note { side, time: Instant::from_millis(time), text: text.into(), change: change(states) })
}

fn ladder(entries: Vec<Entry>) -> Ladder {
    Ladder { left: "client 10.0.0.1:40000".into(), right: "server 10.0.0.2:80".into(), entries }
}

const NONE: (&str, &str) = ("", "");

fn ordinary() -> Ladder {
    use Side::{Left, Right};
    ladder(vec![
        note(Left, 0, "connect()", NONE),
        segment(Left, (0, Some(50)), "SYN seq=0 win=64240", ("CLOSED", "SYN_SENT"), ("LISTEN", "SYN_RECV")),
        segment(
            Right,
            (50, Some(100)),
            "SYN+ACK seq=0 ack=1 win=65160",
            ("SYN_RECV", "SYN_RECV"),
            ("SYN_SENT", "ESTABLISHED"),
        ),
        segment(Left, (100, Some(150)), "ACK ack=1", NONE, ("SYN_RECV", "ESTABLISHED")),
        segment(Left, (101, None), "PSH+ACK seq=1 ack=1 len=100", NONE, NONE),
        segment(Left, (401, Some(451)), "PSH+ACK seq=1 ack=1 len=100", NONE, NONE),
        segment(Right, (451, None), "ACK ack=101", NONE, NONE),
        segment(Left, (1_001, Some(1_051)), "PSH+ACK seq=1 ack=1 len=100", NONE, NONE),
        segment(Right, (1_051, Some(1_101)), "ACK ack=101", NONE, NONE),
        note(Left, 2_000, "close()", ("ESTABLISHED", "FIN_WAIT1")),
        segment(
            Left,
            (2_000, Some(2_050)),
            "FIN+ACK seq=101 ack=1",
            ("FIN_WAIT1", "FIN_WAIT1"),
            ("ESTABLISHED", "CLOSE_WAIT"),
        ),
        segment(Right, (2_050, Some(2_100)), "ACK ack=102", NONE, ("FIN_WAIT1", "FIN_WAIT2")),
        note(Right, 3_000, "close()", ("CLOSE_WAIT", "LAST_ACK")),
        segment(Right, (3_000, Some(3_050)), "FIN+ACK seq=1 ack=102", NONE, ("FIN_WAIT2", "TIME_WAIT")),
        segment(Left, (3_050, Some(3_100)), "ACK ack=2", NONE, ("LAST_ACK", "CLOSED")),
        note(Left, 63_050, "2·MSL are over", ("TIME_WAIT", "CLOSED")),
    ])
}

fn simultaneous() -> Ladder {
    use Side::{Left, Right};
    ladder(vec![
        segment(Left, (0, Some(50)), "SYN seq=0", ("CLOSED", "SYN_SENT"), ("SYN_SENT", "SYN_RECV")),
        segment(Right, (10, Some(60)), "SYN seq=0", ("CLOSED", "SYN_SENT"), ("SYN_SENT", "SYN_RECV")),
        segment(
            Right,
            (50, Some(100)),
            "SYN+ACK seq=0 ack=1 win=64240 <mss 1460>",
            NONE,
            ("SYN_RECV", "ESTABLISHED"),
        ),
        segment(Left, (60, Some(110)), "SYN+ACK seq=0 ack=1", NONE, ("SYN_RECV", "ESTABLISHED")),
    ])
}

fn burst() -> Ladder {
    use Side::{Left, Right};
    ladder(vec![
        segment(Left, (0, Some(50)), "ACK seq=1 ack=1 len=1460", NONE, NONE),
        segment(Left, (1, Some(51)), "ACK seq=1461 ack=1 len=1460", NONE, NONE),
        segment(Left, (2, None), "ACK seq=2921 ack=1 len=1460", NONE, NONE),
        segment(Left, (3, Some(53)), "ACK seq=4381 ack=1 len=1460", NONE, NONE),
        segment(Right, (51, Some(101)), "ACK ack=2921", NONE, NONE),
        segment(Right, (53, Some(103)), "ACK ack=2921 <sack 4381-5841>", NONE, NONE),
        segment(
            Left,
            (104, Some(154)),
            "PSH+ACK seq=2921 ack=1 win=501 len=1460 <nop,nop,timestamp 1234567890 ecr 987654321>",
            NONE,
            NONE,
        ),
    ])
}

/// Three that cross each other, on a path that also reorders.
fn crossing() -> Ladder {
    use Side::{Left, Right};
    ladder(vec![
        segment(Left, (0, Some(50)), "ACK seq=1 len=1000", NONE, NONE),
        segment(Left, (1, Some(90)), "ACK seq=1001 len=1000", NONE, NONE),
        segment(Left, (2, Some(60)), "ACK seq=2001 len=1000", NONE, NONE),
        segment(Right, (30, Some(80)), "PSH+ACK seq=1 ack=1 len=10", NONE, NONE),
        segment(Right, (61, Some(111)), "ACK ack=1001 <sack 2001-3001>", NONE, NONE),
    ])
}

#[test]
fn an_ordinary_connection_is_drawn() {
    assert_eq!(ordinary().text(), include_str!("tests/ordinary.txt"));
}

#[test]
fn segments_that_cross_are_drawn_crossing() {
    assert_eq!(simultaneous().text(), include_str!("tests/simultaneous.txt"));
    assert_eq!(burst().text(), include_str!("tests/burst.txt"));
    assert_eq!(crossing().text(), include_str!("tests/crossing.txt"));
}

#[test]
#[ignore = "writes the expected diagrams, and pictures of the same, into the source tree and the directory for temporary files"]
fn write_expected() {
    for (name, ladder) in [
        ("ordinary", ordinary()),
        ("simultaneous", simultaneous()),
        ("burst", burst()),
        ("crossing", crossing()),
    ] {
        let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sim/ladder/tests");
        std::fs::write(directory.join(name).with_extension("txt"), ladder.text()).unwrap();
        std::fs::write(std::env::temp_dir().join(name).with_extension("svg"), ladder.svg()).unwrap();
    }
}

#[test]
fn an_empty_ladder_is_drawn() {
    assert_eq!(Ladder::default().text(), format!("\n  │{}│\n", " ".repeat(94)));
    assert!(Ladder::default().svg().ends_with("</svg>\n"));
}

#[test]
fn names_too_long_for_one_line_stand_in_two() {
    let mut ladder = ordinary();
    ladder.left = "[2001:db8:1111:2222:3333:4444:5555:6666]:40000".into();
    ladder.right = "[2001:db8:1111:2222:3333:4444:5555:7777]:443".into();
    let text = ladder.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0].trim(), ladder.left);
    assert_eq!(lines[1].trim(), ladder.right);
    assert_eq!(width(lines[1]), width(lines[2].trim_end_matches(" LISTEN")));
}

#[test]
fn words_are_escaped_in_pictures() {
    let mut ladder = ordinary();
    ladder.left = "<script>alert(\"1\") & 'x'</script>\u{1}".into();
    let svg = ladder.svg();
    assert!(svg.contains("&lt;script&gt;alert(&quot;1&quot;) &amp; &#39;x&#39;&lt;/script&gt;\u{fffd}<"));
    assert!(!svg.contains("<script"));
}

#[test]
fn text_is_wrapped_at_blanks_or_where_it_must() {
    assert_eq!(wrapped("", 5), [""]);
    assert_eq!(wrapped("ab cd  ef", 5), ["ab cd", "ef"]);
    assert_eq!(wrapped("abcdefg hi", 3), ["abc", "def", "g", "hi"]);
    assert_eq!(wrapped("ab", 0), ["a", "b"]);
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let side = || any::<bool>().prop_map(|left| if left { Side::Left } else { Side::Right });
    let change = || proptest::option::of(("[A-Z]{0,11}", "[A-Z]{0,11}"));
    let change = move || change().prop_map(|change| change.map(|(before, after)| Change { before, after }));
    let label = || prop_oneof![r"\PC{0,30}", "[a-z =<>&]{0,200}"];
    let time = || (0..200_u64).prop_map(Instant::from_millis);
    let flight = (side(), time(), proptest::option::of(0..100_u64), label(), change(), change()).prop_map(
        |(from, sent, takes, label, sender, receiver)| {
            let received = takes.map(|takes| sent.plus_micros(takes * 1_000));
            Entry::Segment(Flight { from, sent, received, label, sender, receiver })
        },
    );
    let note = (side(), time(), label(), change())
        .prop_map(|(side, time, text, change)| Entry::Note(Note { side, time, text, change }));
    prop_oneof![4 => flight, 1 => note]
}

/// The times at one end from top to bottom.
fn times(steps: &[Step<'_>], side: Side) -> Vec<Instant> {
    let at = |flight: &Flight, sent: bool, received: bool| {
        let received = if received { flight.received } else { None };
        if flight.from == side { sent.then_some(flight.sent) } else { received }
    };
    let of = |step: &Step<'_>| match step {
        Step::Note(note) => [(note.side == side).then_some(note.time), None],
        Step::Lost(flight) | Step::Departure(flight, _) => [at(flight, true, false), None],
        Step::Arrival(flight, _) => [at(flight, false, true), None],
        Step::Arrow(flight) => [at(flight, true, true), None],
        Step::Cross { from_left, from_right } => {
            let both = [at(from_left, true, true), at(from_right, true, true)];
            if side == Side::Left { both } else { [both[1], both[0]] }
        }
    };
    steps.iter().flat_map(of).flatten().collect()
}

proptest! {
    /// Each end goes down in order of time, every event is drawn once, and no line is too long.
    #[test]
    fn any_entries_are_drawn(entries in vec(any_entry(), 0..12)) {
        let ladder = ladder(entries);
        let steps = ladder.steps();
        for side in [Side::Left, Side::Right] {
            let drawn = times(&steps, side);
            prop_assert!(drawn.is_sorted(), "{steps:?}");
            prop_assert_eq!(drawn.len(), ladder.events(side).len());
        }
        for line in ladder.text().lines() {
            prop_assert!(width(line) <= 100, "{line}");
            prop_assert_eq!(line.trim_end(), line);
        }
        let svg = ladder.svg();
        let opened = svg.matches("<text").count();
        prop_assert_eq!(opened, svg.matches("</text>").count());
        // Each element is written by this module; no other `<` is left.
        let tags = ["<text", "</text>", "<path", "<circle", "<rect", "<style", "</style>", "<svg", "</svg>"];
        prop_assert_eq!(svg.matches('<').count(), tags.iter().map(|tag| svg.matches(tag).count()).sum::<usize>());
    }

    /// Times that cannot be harm nobody.
    #[test]
    fn entries_from_a_broken_clock_are_drawn(times in vec((any::<bool>(), any::<u64>(), any::<u64>()), 0..8)) {
        let entries = times.iter().map(|(left, sent, received)| {
            let from = if *left { Side::Left } else { Side::Right };
            Entry::Segment(Flight {
                from,
                sent: Instant::from_micros(*sent),
                received: Some(Instant::from_micros(*received)),
                label: "ACK".into(),
                sender: None,
                receiver: None,
            })
        });
        let ladder = ladder(entries.collect());
        let ends: usize = ladder
            .steps()
            .iter()
            .map(|step| match step {
                Step::Cross { .. } => 4,
                Step::Arrow(_) => 2,
                _ => 1,
            })
            .sum();
        prop_assert_eq!(ends, 2 * times.len());
        prop_assert!(!ladder.text().is_empty() && !ladder.svg().is_empty());
    }
}
