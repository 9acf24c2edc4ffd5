//! SYN cookies (RFC 4987 §3.6): a connection request kept in the number it is answered with.
//!
//! The scheme is that of Linux: the initial sequence number holds a count of minutes and 24 bits of a hash with the
//! maximum segment size in them; what else was agreed on comes back in the low bits of the timestamp.

use core::time::Duration;

use crate::hash::{Keyed, Purpose};
use crate::policy::Secret;
use crate::{FourTuple, Instant, SeqNumber};

/// The maximum segment sizes a cookie can tell: three bits. The common ones of Ethernet with IPv4 and IPv6, of
/// tunnels, of PPPoE, and of jumbo frames.
const SIZES: [u16; 8] = [536, 1220, 1360, 1400, 1440, 1452, 1460, 8940];

/// So many bits are hash and maximum segment size; the rest count minutes.
const HASH_BITS: u32 = 24;
const HASH_MASK: u32 = (1 << HASH_BITS) - 1;
/// A cookie is good in the minute it was made and the next (Linux `MAX_SYNCOOKIE_AGE`).
const MINUTES: u32 = 2;

/// So long after the last cookie was made none is good any more.
pub(crate) const LIFETIME: Duration = Duration::from_secs(60 * MINUTES as u64);

/// Bits of the timestamp that hold options (Linux `TSBITS`).
const OPTION_BITS: u32 = 6;
/// The window scale; all of them: none.
const SCALE_MASK: u32 = 0xf;
const SACK: u32 = 1 << 4;
const ECN: u32 = 1 << 5;

/// What a cookie brings back of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CookieOptions {
    /// The peer's maximum segment size, or a little less: the next of eight sizes.
    pub(crate) mss: u16,
    /// The peer's window scale; `None`: not agreed on.
    pub(crate) window_scale: Option<u8>,
    /// Whether SACK was agreed on.
    pub(crate) sack: bool,
    /// Whether ECN was.
    pub(crate) ecn: bool,
    /// Whether timestamps were. Without them window scale, SACK and ECN are lost.
    pub(crate) timestamps: bool,
}

/// The sequence number to answer a SYN with: `pair` as this side sees it, `peer` the SYN's sequence number and `mss` its
/// maximum segment size.
pub(crate) fn make(now: Instant, pair: &FourTuple, peer: SeqNumber, mss: u16, secret: &Secret) -> SeqNumber {
    let minute = minute(now);
    let index = SIZES.iter().rposition(|&size| size <= mss).unwrap_or(0) as u32;
    let hash = hash(pair, minute, secret).wrapping_add(index) & HASH_MASK;
    SeqNumber(base(pair, peer, secret).wrapping_add((minute as u32) << HASH_BITS).wrapping_add(hash))
}

/// The timestamp to send with the cookie: `clock`, the time in ticks of the timestamp clock without the pair's offset,
/// with the options in its low bits, and never in the future. Add the offset to it.
pub(crate) fn timestamp(clock: u32, options: CookieOptions) -> u32 {
    let mut bits = options.window_scale.map_or(SCALE_MASK, |scale| u32::from(scale.min(14)));
    if options.sack {
        bits |= SACK;
    }
    if options.ecn {
        bits |= ECN;
    }
    let stamp = clock >> OPTION_BITS << OPTION_BITS | bits;
    if stamp > clock { stamp.wrapping_sub(1 << OPTION_BITS) } else { stamp }
}

/// Whether an ACK answers a cookie made here in the last two minutes, and what was agreed on.
///
/// `seq` and `ack` are the segment's, `echoed` its echoed timestamp with the pair's offset taken off, if it has one.
/// A guess passes with a probability of one in two million for each minute of validity.
pub(crate) fn check(
    now: Instant,
    pair: &FourTuple,
    seq: SeqNumber,
    ack: SeqNumber,
    echoed: Option<u32>,
    secret: &Secret,
) -> Option<CookieOptions> {
    let cookie = (ack - 1).0.wrapping_sub(base(pair, seq - 1, secret));
    let current = minute(now);
    let age = (current as u32).wrapping_sub(cookie >> HASH_BITS) & (u32::MAX >> HASH_BITS);
    if age >= MINUTES {
        return None;
    }
    // Whether there was such a minute is told by the hash.
    let made = current.wrapping_sub(u64::from(age));
    let index = cookie.wrapping_sub(hash(pair, made, secret)) & HASH_MASK;
    let &mss = SIZES.get(index as usize)?;
    let bits = echoed.unwrap_or(SCALE_MASK);
    let scale = bits & SCALE_MASK;
    Some(CookieOptions {
        mss,
        window_scale: (scale != SCALE_MASK).then_some(scale as u8),
        sack: bits & SACK != 0,
        ecn: bits & ECN != 0,
        timestamps: echoed.is_some(),
    })
}

/// Minutes since the start. All of them go into the hash, only eight bits into the cookie.
fn minute(now: Instant) -> u64 {
    now.as_micros() / 60_000_000
}

/// What hides the count of minutes.
fn base(pair: &FourTuple, peer: SeqNumber, secret: &Secret) -> u32 {
    (Keyed::new(secret, Purpose::CookieBase).pair(pair).finish() as u32).wrapping_add(peer.0)
}

fn hash(pair: &FourTuple, minute: u64, secret: &Secret) -> u32 {
    Keyed::new(secret, Purpose::CookieMinute).pair(pair).number(minute).finish() as u32
}

#[cfg(test)]
mod tests {
    use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    const SECRET: Secret = Secret([9; 16]);
    const NOW: Instant = Instant::from_secs(1_000_000);

    fn pair() -> FourTuple {
        FourTuple {
            local_address: Ipv4Addr::new(10, 0, 0, 1).into(),
            remote_address: Ipv4Addr::new(10, 0, 0, 9).into(),
            local_port: 80,
            remote_port: 51_234,
        }
    }

    #[test]
    fn a_cookie_comes_back_with_the_next_smaller_size() {
        for (told, kept) in [(0, 536), (535, 536), (536, 536), (1459, 1452), (1460, 1460), (u16::MAX, 8940)] {
            let peer = SeqNumber(77);
            let cookie = make(NOW, &pair(), peer, told, &SECRET);
            let options = check(NOW, &pair(), peer + 1, cookie + 1, None, &SECRET).unwrap();
            assert_eq!(options.mss, kept);
            assert!(!options.sack && !options.ecn && !options.timestamps && options.window_scale.is_none());
        }
    }

    #[test]
    fn it_is_good_for_this_minute_and_the_next() {
        let peer = SeqNumber(77);
        let cookie = make(NOW, &pair(), peer, 1460, &SECRET);
        let good = |after| {
            let now = NOW + Duration::from_secs(after);
            check(now, &pair(), peer + 1, cookie + 1, None, &SECRET).is_some()
        };
        // The test begins forty seconds into a minute.
        assert_eq!(NOW.as_micros() / 1_000_000 % 60, 40);
        assert!(good(0) && good(19) && good(20) && good(79));
        assert!(!good(80) && !good(1_000));
        // The count of minutes comes round after 256 of them, the hash does not.
        assert!(!good(256 * 60));
        assert!(check(NOW - Duration::from_secs(60), &pair(), peer + 1, cookie + 1, None, &SECRET).is_none());
    }

    #[test]
    fn another_pair_another_number_another_secret_are_refused() {
        let peer = SeqNumber(77);
        let cookie = make(NOW, &pair(), peer, 1460, &SECRET);
        let refused = |pair: &FourTuple, seq, secret: &Secret| {
            check(NOW, pair, seq, cookie + 1, None, secret).is_none()
        };
        assert!(!refused(&pair(), peer + 1, &SECRET));
        assert!(refused(&pair(), peer + 1_000, &SECRET));
        assert!(refused(&pair(), peer + 1, &Secret([8; 16])));
        assert!(refused(&FourTuple { remote_port: 51_235, ..pair() }, peer + 1, &SECRET));
        assert!(refused(
            &FourTuple { local_address: Ipv6Addr::LOCALHOST.into(), ..pair() },
            peer + 1,
            &SECRET
        ));
    }

    proptest! {
        #[test]
        fn options_come_back_by_the_timestamp(
            clock in any::<u32>(),
            scale in prop::option::of(0..=14_u8),
            sack in any::<bool>(),
            ecn in any::<bool>(),
            micros in any::<u64>(),
            peer in any::<u32>(),
            address in any::<u128>(),
        ) {
            let now = Instant::from_micros(micros);
            let pair = FourTuple { remote_address: IpAddr::V6(address.into()), ..pair() };
            let told = CookieOptions { mss: 1440, window_scale: scale, sack, ecn, timestamps: true };
            let stamp = timestamp(clock, told);
            prop_assert!(clock.wrapping_sub(stamp) < 64, "never ahead of the clock, and near it");
            let cookie = make(now, &pair, SeqNumber(peer), 1440, &SECRET);
            let back = check(now, &pair, SeqNumber(peer) + 1, cookie + 1, Some(stamp), &SECRET);
            prop_assert_eq!(back, Some(told));
        }

        #[test]
        fn a_guess_is_refused(ack in any::<u32>(), seq in any::<u32>(), echoed in prop::option::of(any::<u32>())) {
            // One in a million passes by right; this test draws 256.
            prop_assert_eq!(check(NOW, &pair(), SeqNumber(seq), SeqNumber(ack), echoed, &SECRET), None);
        }
    }

    /// Of all numbers, sixteen for each peer's number are good: eight sizes in each of two minutes.
    #[test]
    fn few_numbers_are_good() {
        let good = (0..4_000_000_u32)
            .filter(|step| {
                let ack = SeqNumber(step.wrapping_mul(1_073));
                check(NOW, &pair(), SeqNumber(1), ack, None, &SECRET).is_some()
            })
            .count();
        assert!(good <= 3, "{good}");
    }
}
