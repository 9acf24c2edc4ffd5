//! How long Linux waits for a peer that says nothing, before it gives the connection up.

use core::time::Duration;

/// `TCP_RTO_MIN` and `TCP_RTO_MAX` of Linux (`include/net/tcp.h`).
const RTO_MIN: Duration = Duration::from_millis(200);
const RTO_MAX: Duration = Duration::from_secs(120);

/// The least time for which data goes unacknowledged until `net.ipv4.tcp_retries2` repeats are over
/// (`tcp_model_timeout` in `net/ipv4/tcp_timer.c`): the timeout doubles from 200 ms up to two minutes. A path with a longer
/// round trip waits longer.
///
/// ```
/// # use core::time::Duration;
/// assert_eq!(eleven_tcp::patience::unacknowledged(15), Duration::from_millis(924_600));
/// assert_eq!(eleven_tcp::patience::unacknowledged(0), Duration::from_millis(200));
/// ```
pub fn unacknowledged(retries: u32) -> Duration {
    let mut timeout = RTO_MIN;
    let mut sum = timeout;
    for _ in 0..retries.min(255) {
        timeout = (timeout * 2).min(RTO_MAX);
        sum += timeout;
    }
    sum
}

/// The time after which an idle connection with keepalive finds out that its peer is gone
/// (`tcp_keepalive_timer` in `net/ipv4/tcp_timer.c`). With `TCP_USER_TIMEOUT` the number of probes does not count: the first
/// moment counts at which a probe is due, another one was sent before, and that time has passed.
///
/// ```
/// # use core::time::Duration;
/// let seconds = Duration::from_secs;
/// let default = eleven_tcp::patience::keepalive(seconds(7_200), seconds(75), 9, None);
/// assert_eq!(default, seconds(2 * 3_600 + 11 * 60 + 15));
/// let sooner = eleven_tcp::patience::keepalive(seconds(60), seconds(10), 9, Some(seconds(75)));
/// assert_eq!(sooner, seconds(80));
/// ```
pub fn keepalive(
    idle: Duration,
    interval: Duration,
    probes: u32,
    user_timeout: Option<Duration>,
) -> Duration {
    let probes = match user_timeout {
        None => probes,
        Some(timeout) => {
            let beyond = timeout.saturating_sub(idle).as_millis();
            u32::try_from(beyond.div_ceil(interval.as_millis().max(1))).unwrap_or(u32::MAX).max(1)
        }
    };
    idle.saturating_add(interval.saturating_mul(probes))
}
