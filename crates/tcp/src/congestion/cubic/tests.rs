use super::*;
use crate::SeqNumber;

const MSS: u32 = 1_000;
const RTT: u32 = 100_000;

fn progress(now: u64, bytes: u32) -> Progress {
    Progress {
        now: Instant::from_micros(now),
        bytes,
        window_limited: true,
        rtt: Some(RTT),
        srtt: RTT,
        una: SeqNumber(0),
        next: SeqNumber(0),
    }
}

/// A window of so many segments that has just lost something.
fn after_loss(segments: u32) -> Cubic {
    let mut cubic = Cubic::new().paced();
    cubic.start(segments * MSS, MSS);
    cubic.on_congestion(Instant::ZERO, Congestion::Loss, segments * MSS);
    cubic
}

/// Acknowledges windows until `until` microseconds, one acknowledgment for two segments.
fn run(cubic: &mut Cubic, from: u64, until: u64) {
    let mut now = from;
    while now < until {
        let acks = (cubic.window() / (2 * MSS)).max(1);
        let step = u64::from(RTT / acks).max(1);
        for _ in 0..acks {
            now += step;
            if now < until {
                cubic.on_ack(&progress(now, 2 * MSS));
            }
        }
    }
}

#[test]
fn the_cube_root_is_one() {
    for number in [1e-9, 0.3, 1.0, 2.0, 8.0, 27.0, 1e3, 123_456_789.0, 1e12] {
        let root = cube_root(number);
        assert!((root * root * root / number - 1.0).abs() < 1e-12, "{number}: {root}");
    }
    assert!(cube_root(0.0).abs() < f64::EPSILON && cube_root(-1.0).abs() < f64::EPSILON);
}

#[test]
fn a_loss_leaves_seven_tenths() {
    let cubic = after_loss(1_000);
    assert_eq!((cubic.window(), cubic.threshold()), (700 * MSS, 700 * MSS));
    assert_eq!(cubic.epoch.plateau, 1_000 * MSS);
}

/// RFC 9438 figure 1: W_cubic(t) = C·(t − K)³ + W_max with K = ³√(W_max·(1 − β)/C).
#[test]
fn the_window_follows_the_curve() {
    let mut cubic = after_loss(1_000);
    let k = (1_000.0_f64 * 0.3 / 0.4).cbrt();
    // The first acknowledgment begins the epoch.
    cubic.on_ack(&progress(0, 2 * MSS));
    assert!((f64::from(cubic.epoch.k) - k).abs() < 1e-4);
    let mut now = 0;
    for seconds in [1_u32, 3, 5, 7, 9, 10, 12, 15] {
        let until = u64::from(seconds) * 1_000_000;
        run(&mut cubic, now, until);
        now = until;
        let curve = |t: f64| 0.4 * (t - k).powi(3) + 1_000.0;
        let (low, high) = (curve(f64::from(seconds) - 0.2), curve(f64::from(seconds) + 0.2));
        let window = f64::from(cubic.window()) / f64::from(MSS);
        assert!(window >= low - 3.0 && window <= high + 3.0, "at {seconds} s {window}, not {low} to {high}");
    }
}

/// §4.3: on a short path with a small window, Reno is faster, and CUBIC keeps up with it.
#[test]
fn small_windows_grow_like_reno() {
    let mut cubic = after_loss(20);
    cubic.on_ack(&progress(0, MSS));
    assert_eq!(cubic.window() / MSS, 14);
    // α = 0.529 a round trip up to 20 segments, then one.
    run(&mut cubic, 0, 1_000_000);
    let window = cubic.window() / MSS;
    assert!((18..=20).contains(&window), "{window}");
}

#[test]
fn a_second_loss_on_the_way_up_lowers_the_plateau() {
    let mut cubic = after_loss(1_000);
    let before = cubic.window();
    cubic.on_congestion(Instant::ZERO, Congestion::Loss, before);
    assert_eq!(cubic.epoch.plateau, 595 * MSS, "700·(1 + β)/2");
    assert_eq!(cubic.epoch.prior, 700 * MSS);
}

#[test]
fn the_curve_waits_while_the_window_is_not_used() {
    let mut cubic = after_loss(1_000);
    cubic.on_ack(&progress(0, 2 * MSS));
    let before = cubic.window();
    for second in 1..60 {
        cubic.on_ack(&Progress { window_limited: false, ..progress(second * 1_000_000, 2 * MSS) });
    }
    assert_eq!(cubic.window(), before);
    cubic.on_ack(&progress(59_050_000, 2 * MSS));
    assert!(cubic.epoch.elapsed < 100_000, "{}", cubic.epoch.elapsed);
}

#[test]
fn it_never_grows_by_more_than_half_a_window_a_round_trip() {
    let mut cubic = after_loss(10);
    cubic.on_ack(&progress(0, MSS));
    // A long time later the curve is far above.
    let before = cubic.window();
    cubic.on_ack(&progress(60_000_000, before));
    assert!(cubic.window() <= before + before / 2 + 1, "{}", cubic.window());
}

#[test]
fn after_a_timeout_the_curve_begins_at_its_plateau() {
    let mut cubic = after_loss(1_000);
    cubic.on_timeout(Instant::ZERO, 700 * MSS, 0, true);
    assert_eq!((cubic.window(), cubic.threshold()), (MSS, 490 * MSS));
    let mut now = 0;
    while cubic.in_slow_start() {
        now += 1_000;
        cubic.on_ack(&progress(now, 2 * MSS));
    }
    cubic.on_ack(&progress(now + 1_000, 2 * MSS));
    assert!(cubic.epoch.k.abs() < f32::EPSILON);
    assert!(cubic.epoch.plateau >= 490 * MSS && cubic.epoch.plateau < 495 * MSS, "{}", cubic.epoch.plateau);
}

#[test]
fn a_reduction_for_nothing_is_taken_back_with_the_curve() {
    let mut cubic = after_loss(1_000);
    cubic.on_ack(&progress(0, 2 * MSS));
    run(&mut cubic, 0, 2_000_000);
    let before = cubic.clone();
    cubic.on_congestion(Instant::ZERO, Congestion::Loss, before.window());
    cubic.undo(Instant::ZERO);
    assert_eq!((cubic.window(), cubic.threshold()), (before.window(), before.threshold()));
    assert_eq!(cubic.epoch, before.epoch);
}

#[test]
fn the_first_slow_start_ends_by_delay() {
    let mut cubic = Cubic::new().paced();
    cubic.start(10 * MSS, MSS);
    let mut una = 0_u32;
    let mut now = 0;
    for round in 0..20_u32 {
        let window = cubic.window();
        let next = una + window;
        for _ in 0..window / MSS {
            una += MSS;
            now += 100;
            cubic.on_ack(&Progress {
                rtt: Some(RTT + round.saturating_sub(3) * 20_000),
                una: SeqNumber(una),
                next: SeqNumber(next),
                ..progress(now, MSS)
            });
        }
    }
    assert!(cubic.threshold() < NO_THRESHOLD, "no loss was needed");
    assert!(cubic.window() < 1_000 * MSS, "{}", cubic.window());
}

#[test]
fn extremes_do_not_overflow() {
    let mut cubic = Cubic::new().paced();
    cubic.start(u32::MAX, u32::MAX);
    for step in 0..50 {
        cubic.on_ack(&progress(step * (1 << 40), u32::MAX));
        if step % 7 == 0 {
            cubic.on_congestion(Instant::MAX, Congestion::Loss, u32::MAX);
        }
        if step % 11 == 0 {
            cubic.on_timeout(Instant::MAX, u32::MAX, u32::MAX, step % 2 == 0);
        }
        cubic.set_mss(step as u32);
        cubic.restart(Instant::ZERO, 0);
        cubic.undo(Instant::ZERO);
    }
}
