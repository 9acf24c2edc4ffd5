//! Every note: a conversation that brings it about, and one that comes near and must not.
//!
//! A line is a segment: `@ms` when (milliseconds), who (`c` or `s`), flags as tcpdump prints them, sequence number, acknowledgment
//! (`-` for none), length of the text; then what else there is (`win=`, `ttl=`, `id=`, `ts=`, `mss=`, `ws=`, `sack=from-to`,
//! `tfo`, `bad`, `port=`). Behind `!` stand notes it has to get, behind `~` notes it must not get. Numbers are relative.

use std::collections::BTreeSet;
use std::net::IpAddr;

use eleven_tcp::{Ecn, Flags, Options, SackBlock, Segment, SeqNumber, State, TcpOption, Timestamps};
use eleven_track::{Flow, Note, Report, Reported, Settings, Side, Sighting, Tracker, Verdict};

const BASE: [u32; 2] = [4_294_967_000, 1_000_000];

struct Line {
    verdict: Verdict,
    text: String,
}

fn play_with(
    tracker: &mut Tracker,
    script: &str,
    shown: &mut BTreeSet<Note>,
    avoided: &mut BTreeSet<Note>,
) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut time_ns = 0;
    for (number, text) in (1..).zip(script.lines().map(str::trim).filter(|line| !line.is_empty())) {
        let mut words = text.split_whitespace().peekable();
        if let Some(time) = words.peek().and_then(|word| word.strip_prefix('@')) {
            time_ns = time.parse::<i64>().unwrap() * 1_000_000;
            words.next();
        } else {
            time_ns += 1_000_000;
        }
        let client = words.next().unwrap() == "c";
        let flags: Flags = words.next().unwrap().parse().unwrap();
        let (mine, theirs) = if client { (0, 1) } else { (1, 0) };
        let relative =
            |word: &str, base: u32| SeqNumber(base.wrapping_add_signed(word.parse::<i32>().unwrap()));
        let seq = relative(words.next().unwrap(), BASE[mine]);
        let ack = words.next().unwrap();
        let ack = if ack == "-" { SeqNumber(0) } else { relative(ack, BASE[theirs]) };
        let length: u32 = words.next().unwrap().parse().unwrap();
        let (mut window, mut ttl, mut id, mut bad, mut port) = (60_000, 64, None, false, 40_000);
        let mut options = Options::EMPTY;
        let mut expected = Vec::new();
        let mut forbidden = Vec::new();
        let mut list = 0;
        for word in words {
            let number = |text: &str| text.parse::<u32>().unwrap();
            if word == "!" || word == "~" {
                list = if word == "!" { 1 } else { 2 };
                continue;
            }
            match (list, word.split_once('=')) {
                (1, _) => expected.push(Note::from_name(word).unwrap_or_else(|| panic!("{word}"))),
                (2, _) => forbidden.push(Note::from_name(word).unwrap_or_else(|| panic!("{word}"))),
                (_, Some(("win", value))) => window = number(value) as u16,
                (_, Some(("ttl", value))) => ttl = number(value) as u8,
                (_, Some(("id", value))) => id = Some(number(value) as u16),
                (_, Some(("port", value))) => port = number(value) as u16,
                (_, Some(("mss", value))) => {
                    options.push(TcpOption::MaximumSegmentSize(number(value) as u16)).unwrap();
                }
                (_, Some(("ws", value))) => {
                    options.push(TcpOption::WindowScale(number(value) as u8)).unwrap()
                }
                (_, Some(("raw", value))) => {
                    options.push(TcpOption::Unknown { kind: number(value) as u8, data: &[] }).unwrap();
                }
                (_, Some(("ts", value))) => {
                    let timestamps = Timestamps { value: number(value), echo_reply: 0 };
                    options.push(TcpOption::Timestamps(timestamps)).unwrap();
                }
                (_, Some(("sack", value))) => {
                    let blocks = value
                        .split(',')
                        .map(|block| {
                            let (start, end) = block.split_once('-').unwrap();
                            let base = BASE[theirs];
                            SackBlock { start: relative(start, base), end: relative(end, base) }
                        })
                        .collect();
                    options.push(TcpOption::Sack(blocks)).unwrap();
                }
                (_, None) if word == "sackok" => options.push(TcpOption::SackPermitted).unwrap(),
                (_, None) if word == "tfo" => options.push(TcpOption::FastOpen(&[1, 2, 3, 4])).unwrap(),
                (_, None) if word == "broken" => options = Options::from_bytes(&[2, 40, 0, 0]).unwrap(),
                (_, None) if word == "bad" => bad = true,
                _ => panic!("`{word}` in {text}"),
            }
        }
        let addresses: [IpAddr; 2] = [[10, 0, 0, 1].into(), [10, 0, 0, 2].into()];
        let segment = Segment {
            source_port: if client { port } else { 80 },
            destination_port: if client { 80 } else { port },
            seq,
            ack,
            flags,
            window,
            options,
            ..Segment::default()
        };
        let verdict = tracker.observe(&Sighting {
            number,
            time_ns,
            source: addresses[mine],
            destination: addresses[theirs],
            identification: id,
            hop_limit: ttl,
            ecn: Ecn::NotEct,
            segment: &segment,
            text_length: length,
            checksum_bad: bad,
            path: 0,
        });
        for note in expected {
            assert!(verdict.has(note), "{note} is missing: {text}\n{verdict:?}\nin {script}");
            shown.insert(note);
        }
        for note in forbidden {
            assert!(!verdict.has(note), "{note} is wrong: {text}\n{verdict:?}\nin {script}");
            avoided.insert(note);
        }
        lines.push(Line { verdict, text: text.to_owned() });
    }
    lines
}

fn play(script: &str) -> (Vec<Line>, Vec<Flow>) {
    let mut tracker = Tracker::new(Settings::default());
    let lines = play_with(&mut tracker, script, &mut BTreeSet::new(), &mut BTreeSet::new());
    (lines, tracker.finish().collect())
}

const OPEN: &str = "
    c S 0 - 0 mss=1460
    s SA 0 1 0 mss=1460
    c A 1 1 0
";

/// Conversations behind the handshake.
const OPENED: &[&str] = &[
    // Text sent again after a timeout; the same not sent before is new.
    "c PA 1 1 100 ~ retransmission
     @300 c PA 1 1 100 ! retransmission ~ fast-retransmission spurious-retransmission out-of-order
     s A 1 101 0
     c PA 101 1 100 ~ retransmission spurious-retransmission
     s A 1 201 0
     @900 c PA 101 1 100 ! spurious-retransmission ~ retransmission",
    // Three duplicates ask for it; two do not, and new text in between is no duplicate.
    "c PA 1 1 100
     c PA 101 1 100
     c PA 201 1 100
     c PA 301 1 100
     s A 1 1 0 ! duplicate-ack
     s A 1 1 0 ! duplicate-ack
     s A 1 1 0 ! duplicate-ack
     c PA 1 1 100 ! fast-retransmission ~ retransmission
     s A 1 401 0 ~ duplicate-ack
     s A 1 401 0 ~ duplicate-ack",
    "c PA 1 1 100
     c PA 101 1 100
     s A 1 1 0 ! duplicate-ack
     s A 1 1 0 ! duplicate-ack
     @400 c PA 1 1 100 ! retransmission ~ fast-retransmission",
    // Overtaken on the way: within a round trip. Long after, it was sent again.
    "c PA 101 1 100 ! gap ~ lost-in-capture
     c PA 1 1 100 ! out-of-order ~ retransmission gap
     s A 1 201 0 ~ lost-in-capture acked-unseen",
    "c PA 101 1 100 ! gap
     @900 c PA 1 1 100 ! retransmission ~ out-of-order",
    // Its timestamp tells that it was sent before, however late it comes.
    "c PA 1 1 100 ts=100
     c PA 201 1 100 ts=102 ! gap
     @900 c PA 101 1 100 ts=101 ! out-of-order old-timestamp ~ retransmission",
    "c PA 1 1 100 ts=100
     c PA 201 1 100 ts=102 ! gap
     c PA 101 1 100 ts=103 ! retransmission ~ out-of-order old-timestamp",
    // Its IP identification tells the same.
    "c PA 1 1 100 id=7
     c PA 101 1 100 id=8
     c PA 301 1 100 id=10
     @900 c PA 201 1 100 id=9 ! out-of-order ~ retransmission ip-id-change",
    // SACK tells what is missing: reported text sent again was not needed.
    "c PA 1 1 100 sackok
     c PA 101 1 100
     s A 1 1 0 sack=101-201 ! duplicate-ack
     @400 c PA 101 1 100 ! spurious-retransmission ~ fast-retransmission
     c PA 1 1 100 ~ spurious-retransmission",
    // Acknowledged, but never seen.
    "s A 1 501 0 ! acked-unseen
     c PA 501 1 100 ~ gap
     s A 1 601 0 ~ acked-unseen",
    // Never seen, although what came behind it was.
    "c PA 101 1 100 ! gap
     s A 1 201 0 ! lost-in-capture ~ acked-unseen",
    // The window: full, zero, asked about, open again.
    "s A 1 1 0 win=200 ! window-update
     c PA 1 1 199 win=50000 ~ window-full window-update
     c PA 200 1 1 ! window-full
     s A 1 201 0 win=0 ! zero-window ~ zero-window-probe-ack
     @300 c A 200 1 0 ! zero-window-probe ~ keepalive
     s A 1 201 0 win=0 ! zero-window-probe-ack zero-window ~ duplicate-ack keepalive-ack
     @600 s A 1 201 0 win=500 ! window-update ~ zero-window zero-window-probe-ack
     c PA 201 1 500 ! window-full ~ out-of-window
     c PA 90000 1 100 ! out-of-window ~ window-full",
    // Keepalive, and a text of one byte that is new.
    "@5000 c A 0 1 0 ~ keepalive
     c PA 1 1 10
     s A 1 11 0
     @9000 c A 10 1 0 ! keepalive ~ zero-window-probe duplicate-ack
     s A 1 11 0 ! keepalive-ack ~ duplicate-ack zero-window-probe-ack
     c PA 11 1 1 ~ keepalive
     s A 1 12 0 ~ keepalive-ack",
    // Resets: outside, in the window, exact.
    "s R 100000 - 0 ! rst-out-of-window ~ rst-exact rst-in-window
     s R 500 - 0 ! rst-in-window ~ rst-exact rst-out-of-window
     c A 1 1 0 ! challenge-ack ~ duplicate-ack
     c A 1 1 0 ~ challenge-ack
     s R 1 - 0 ! rst-exact ~ rst-in-window suspected-injection
     s R 1 - 0 ! rst-after-close ~ rst-exact",
    // The victim acknowledges what came behind the reset.
    "c PA 1 1 100
     s R 1 - 0 ! rst-exact
     s PA 1 101 50
     c A 101 51 0 ! suspected-injection taken-back
     s PA 51 101 50 ~ suspected-injection
     c A 101 101 0 ~ suspected-injection taken-back",
    // What was under way when the reset came is no sign.
    "s PA 1 1 50
     s R 51 - 0 ! rst-exact ~ rst-after-close
     c A 1 51 0 ~ suspected-injection",
    // Flags that no TCP sends.
    "c SF 1 - 0 ! syn-fin ~ syn-rst
     c SR 1 - 0 ! syn-rst ~ syn-fin
     c FR 1 - 0 ! rst-fin
     c P 1 - 0 ! illegal-flags ~ null-scan xmas-scan
     c none 1 - 0 ! illegal-flags ~ null-scan
     c F 1 - 0 ! illegal-flags ~ fin-scan
     c FPU 1 - 0 ! illegal-flags ~ xmas-scan
     c A 1 1 0 ~ illegal-flags syn-fin syn-rst rst-fin",
    // Both close before they see the other's FIN; one after the other is no such thing.
    "c FA 1 1 0 ~ fin-retransmission
     s FA 1 1 0 ! simultaneous-close
     c A 2 2 0
     s A 2 2 0",
    "c FA 1 1 0
     s FA 1 2 0 ~ simultaneous-close
     @500 s FA 1 2 0 ! fin-retransmission ~ spurious-retransmission
     c A 2 2 0 ~ fin-retransmission",
    // Its first copy was not captured, as an acknowledgment behind it shows; or it was overtaken.
    "s A 2 1 0 ! gap
     @900 s FA 1 1 0 ! fin-retransmission ~ out-of-order retransmission",
    "s A 2 1 0 ! gap
     s FA 1 1 0 ! out-of-order ~ fin-retransmission",
    // A SYN in the middle.
    "c S 50 - 0 ! syn-in-connection ~ port-reuse
     s A 1 1 0 ! challenge-ack",
    // Nobody is there any more: text into the void, and text answered with a reset.
    "c PA 1 1 100
     @300 c PA 1 1 100 ~ half-open
     @900 c PA 1 1 100 ~ half-open
     @2100 c PA 1 1 100 ! half-open ~ mtu-black-hole",
    "s PA 1 1 10
     c A 1 11 0
     c PA 1 11 100
     s R 11 - 0 ! half-open rst-exact
     s R 11 - 0 ~ half-open",
    "s PA 1 1 10
     c A 1 11 0
     @90000 c PA 1 11 100
     s RA 11 1 0 ! rst-exact ~ half-open",
    // Large text vanishes while small text passes.
    "c PA 1 1 1400
     s PA 1 1 10
     c A 1401 11 0
     @300 c PA 1 11 1400
     @900 c PA 1 11 1400 ~ mtu-black-hole
     @2100 c PA 1 11 1400 ! mtu-black-hole ~ half-open",
    "c PA 1 1 400
     s PA 1 1 10
     c A 401 11 0
     @300 c PA 1 11 400
     @900 c PA 1 11 400
     @2100 c PA 1 11 400 ~ mtu-black-hole",
    // Somebody in between.
    "c A 1 1 0 ttl=64 ~ ttl-change
     c A 1 1 0 ttl=57 ! ttl-change
     c A 1 1 0 ttl=57 ~ ttl-change",
    // Whoever goes on as before is not accused of what another sent in between.
    "c A 1 1 0 ttl=64
     c R 1 - 0 ttl=57 ! ttl-change
     c R 1 - 0 ttl=57 ! ttl-change
     c PA 1 1 10 ttl=64 ~ ttl-change
     c PA 11 1 10 ttl=50 ! ttl-change
     c PA 21 1 10 ttl=64 ~ ttl-change",
    "c A 1 1 0 id=100
     c A 1 1 0 id=101
     c A 1 1 0 id=0 ~ ip-id-change
     c A 1 1 0 id=150 ~ ip-id-change
     c A 1 1 0 id=40000 ! ip-id-change",
    // Wrong numbers, wrong sums.
    "c A 1 900000000 0 ! bad-ack
     c A 1 1 0 ~ bad-ack",
    "c PA 1 1 10 bad ! bad-checksum
     c PA 11 1 10 ~ bad-checksum",
    // D-SACK.
    "s A 1 1 0 sackok
     c PA 1 1 100 sackok ~ d-sack
     s A 1 101 0 sackok sack=1-51 ! d-sack
     c PA 101 1 100
     c PA 201 1 100
     s A 1 101 0 sackok sack=201-301 ~ d-sack",
];

/// Conversations from their first segment on.
const WHOLE: &[&str] = &[
    "c S 0 - 0 mss=1460 ws=7 ~ syn-retransmission
     @1000 c S 0 - 0 mss=1460 ws=7 ! syn-retransmission ~ mss-altered window-scale-lost port-reuse syn-in-connection
     @3000 c S 0 - 0 mss=536 ! syn-retransmission mss-altered window-scale-lost
     s SA 0 1 0
     @5000 s SA 0 1 0 ! syn-retransmission",
    "c S 0 - 0
     s RA 0 1 0 ! refused rst-exact",
    "c S 0 - 0
     s R 0 - 0 ! rst-out-of-window ~ refused",
    "c S 0 - 0
     s S 0 - 0 ~ split-handshake
     c SA 0 1 0 ! simultaneous-open
     s SA 0 1 0 ! simultaneous-open",
    "c S 0 - 0
     s A 0 1 0
     s S 0 - 0 ! split-handshake
     c SA 0 1 0
     s A 1 1 0",
    "c S 0 - 0
     s SA 0 1 0 ~ simultaneous-open split-handshake
     c A 1 1 0
     c FA 1 1 0
     s FA 1 2 0
     c A 2 2 0
     @9000 c S 70000 - 0 ! port-reuse",
    "c S 0 - 0
     s A 5000 99999 0 ! bad-ack half-open ~ acked-unseen",
    "c SEW 0 - 0
     s SAE 0 1 0 ! ecn-negotiated",
    "c SEW 0 - 0
     s SA 0 1 0 ~ ecn-negotiated",
    "c S 0 - 0 tfo ! fast-open
     s SA 0 1 0 ~ fast-open",
    "c none 0 - 0 ! null-scan ~ illegal-flags",
    "c FPU 0 - 0 ! xmas-scan ~ fin-scan",
    "c F 0 - 0 ! fin-scan ~ xmas-scan null-scan",
    "c PA 1 1 100 ! midstream
     s A 1 101 0",
    "c PA 1 1 100 broken ! malformed-options
     c PA 101 1 100 ~ malformed-options",
    "c S 0 - 0 broken ! malformed-options ~ midstream
     c S 0 - 0 mss=1460 ~ malformed-options",
];

#[test]
fn every_note_has_its_conversation_and_a_near_miss() {
    let (mut shown, mut avoided) = (BTreeSet::new(), BTreeSet::new());
    let whole = WHOLE.iter().map(|script| (*script).to_owned());
    for script in OPENED.iter().map(|script| format!("{OPEN}{script}")).chain(whole) {
        play_with(&mut Tracker::new(Settings::default()), &script, &mut shown, &mut avoided);
    }
    // Those have tests of their own below.
    let elsewhere = [Note::SynFlood, Note::Scan, Note::UnansweredSyn, Note::PacketTooBig];
    let missing = |set: &BTreeSet<Note>| {
        Note::all().filter(|note| !elsewhere.contains(note) && !set.contains(note)).collect::<Vec<_>>()
    };
    assert_eq!((missing(&shown), missing(&avoided)), (vec![], vec![]), "nothing shows, nothing comes near");
}

#[test]
fn an_unanswered_syn_is_told_at_the_end() {
    let (_, flows) = play("c S 0 - 0\n @1000 c S 0 - 0");
    assert_eq!((flows[0].count_of(Note::UnansweredSyn), flows[0].ending.as_str()), (2, "unanswered"));
    let (_, flows) = play("c S 0 - 0\n s SA 0 1 0");
    assert_eq!(flows[0].count_of(Note::UnansweredSyn), 0);
}

#[test]
fn floods_and_scans_are_told_from_many_who_are_served() {
    let settings = Settings { flood_threshold: 50, scan_threshold: 20, ..Settings::default() };
    let many = |answered: bool| {
        let mut tracker = Tracker::new(settings.clone());
        let mut notes = BTreeSet::new();
        for port in 1_000..1_200 {
            let mut script = format!("c S 0 - 0 port={port}");
            if answered {
                script += &format!("\n s SA 0 1 0 port={port}\n c A 1 1 0 port={port}");
            }
            for line in play_with(&mut tracker, &script, &mut BTreeSet::new(), &mut BTreeSet::new()) {
                notes.extend(line.verdict.notes.iter());
            }
        }
        notes
    };
    let bad = many(false);
    assert!(bad.contains(&Note::SynFlood) && bad.contains(&Note::Scan));
    let good = many(true);
    assert!(!good.contains(&Note::SynFlood) && !good.contains(&Note::Scan), "{good:?}");
}

#[test]
fn reports_of_routers_count_only_for_what_is_under_way() {
    let report = |report, seq: u32, opened: bool| {
        let mut tracker = Tracker::new(Settings::default());
        let script = if opened { format!("{OPEN} c PA 1 1 1400") } else { "c S 0 - 0".to_owned() };
        play_with(&mut tracker, &script, &mut BTreeSet::new(), &mut BTreeSet::new());
        let reported = Reported {
            number: 9,
            time_ns: 9_000_000,
            source: "10.0.0.1:40000".parse().unwrap(),
            destination: "10.0.0.2:80".parse().unwrap(),
            seq: BASE[0].wrapping_add(seq),
            path: 0,
            report,
        };
        tracker.observe_icmp(&reported).unwrap()
    };
    let too_big = Report::PacketTooBig { mtu: 1_280 };
    assert!(report(too_big, 1, true).has(Note::PacketTooBig));
    assert!(!report(too_big, 50_000, true).has(Note::PacketTooBig));
    assert_eq!(report(Report::Unreachable, 0, false).after(Side::Client), State::Closed);
    assert_eq!(report(Report::Unreachable, 9, false).after(Side::Client), State::SynSent);
    // RFC 5927: an open connection outlives it.
    assert_eq!(report(Report::Unreachable, 1, true).after(Side::Client), State::Established);
    assert_eq!(report(Report::Transient, 0, false).after(Side::Client), State::SynSent);
}

#[test]
fn numbers_that_both_sides_use_are_followed_over_gigabytes() {
    let (lines, flows) = play(
        "c S 0 - 0
         s SA 0 1 0
         c A 1 1 0
         s PA 1 1 1000
         c A 1 1001 0
         s PA 1500000000 1 1000
         c A 1 1500001000 0
         s PA 1500001000 1 1000
         c A 1 1500002000 0
         s PA -1300000000 1 1000
         c A 1 -1299999000 0
         s PA -1299999000 1 1000
         c A 1 -1299998000 0
         s FPA 900000000 1 1000
         c A 1 900000000 0
         c FA 1 900001001 0
         s A 900001001 2 0",
    );
    let notes = |line: usize| lines[line].verdict.notes;
    assert!(notes(5).contains(Note::OutOfWindow) && notes(6).contains(Note::AckedUnseen));
    assert!(notes(7).is_empty() && notes(8).is_empty(), "{:?} {:?}", notes(7), notes(8));
    assert!(notes(11).is_empty() && notes(12).is_empty(), "{:?} {:?}", notes(11), notes(12));
    // The FIN moves nobody until the peer acknowledges where it is.
    assert_eq!(lines[13].verdict.after(Side::Server), State::Established);
    assert_eq!(lines[14].verdict.after(Side::Server), State::FinWait1);
    let flow = &flows[0];
    assert_eq!((flow.client.state, flow.server.state), (State::Closed, State::TimeWait));
    assert_eq!((flow.server.unique_bytes, flow.server.all_retransmissions()), (6_000, 0));
    // Who only sends so far away moves nothing, and one who only acknowledges it neither.
    let (lines, flows) = play(
        "c S 0 - 0
         s SA 0 1 0
         c A 1 1 0
         s FPA 1500000000 1 1000
         c A 1 1500000500 0
         c FPA 1 1 10
         s A 1 12 0",
    );
    assert!(lines[4].verdict.has(Note::BadAck));
    assert_eq!((flows[0].client.state, flows[0].server.state), (State::FinWait2, State::CloseWait));
}

#[test]
fn an_ordinary_life_is_told_whole() {
    use State::{CloseWait, Closed, Established, FinWait1, LastAck, Listen, SynReceived, SynSent, TimeWait};
    let (lines, flows) = play(
        "@0 c S 0 - 0
         @20 s SA 0 1 0
         @21 c A 1 1 0
         @22 c PA 1 1 100
         @50 s PA 1 101 200
         @51 c FA 101 201 0
         @70 s FA 201 102 0
         @71 c A 102 202 0",
    );
    assert_eq!((lines.len(), flows.len()), (8, 1));
    let flow = &flows[0];
    let states = |side: Side| flow.end(side).path.iter().map(|step| step.state).collect::<Vec<_>>();
    assert_eq!(states(Side::Client), [SynSent, Established, FinWait1, TimeWait]);
    assert_eq!(states(Side::Server), [Listen, SynReceived, Established, CloseWait, LastAck, Closed]);
    assert_eq!((flow.handshake_us, flow.first_byte_us), (Some(21_000), Some(50_000)));
    assert_eq!(flow.close_us, Some(20_000));
    assert_eq!((flow.opened_by, flow.closed_by), (Some(Side::Client), Some(Side::Client)));
    assert_eq!((flow.ending.as_str(), flow.wireshark.bits()), ("fin", 31));
    assert_eq!((flow.client.bytes, flow.client.unique_bytes, flow.server.unique_bytes), (100, 100, 200));
    let zeek = flow.zeek.as_ref().unwrap();
    assert_eq!((zeek.conn_state, zeek.history.as_str()), ("SF", "ShADdFf"));
    assert!(flow.anomalies.is_empty(), "{:?}", flow.anomalies);
    let trips = flow.round_trips().unwrap();
    assert_eq!((trips.min_ns, trips.max_ns), (20_000_000, 29_000_000));
    assert!(lines.iter().all(|line| line.verdict.rule().is_some() || line.text.contains(" S ")));
}
