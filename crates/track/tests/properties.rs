//! Whatever comes in: nothing panics, memory is bounded, no flow is lost, and shards say what one tracker says.

use std::fs;
use std::path::Path;

use eleven_tcp::{Ecn, Flags, Segment, SeqNumber};
use eleven_track::{Census, Settings, Shards, Sighting, Tracker};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_segments_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        eleven_track::try_any_bytes(&bytes);
    }

    #[test]
    fn likely_segments_are_survived(bytes in prop::collection::vec(prop_oneof![0_u8..64, Just(2), Just(16), Just(18), Just(17), any::<u8>()], 0..900)) {
        eleven_track::try_any_bytes(&bytes);
    }

    #[test]
    fn shards_say_what_one_tracker_says(steps in prop::collection::vec((0_u16..40, any::<bool>(), 0_u8..32, 0_u32..3_000), 1..400), round in 1_usize..60) {
        let settings = Settings { flood_threshold: 9, scan_threshold: 5, ..Settings::default() };
        let mut one = Tracker::new(settings.clone());
        let mut batched = Tracker::new(settings.clone());
        let mut shards = [(); 3].map(|()| Tracker::shard(settings.clone()));
        let mut census = Census::new(&settings);
        let segments: Vec<_> = steps.iter().map(|(port, client, flags, number)| Segment {
            source_port: if *client { 1_000 + port } else { 80 },
            destination_port: if *client { 80 } else { 1_000 + port },
            seq: SeqNumber(*number),
            ack: SeqNumber(*number / 2),
            flags: Flags::from_bits(u16::from(*flags)),
            window: 1_000,
            ..Segment::default()
        }).collect();
        let sightings: Vec<_> = (1..).zip(&segments).map(|(number, segment)| {
            let (client, server) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
            let (source, destination) = if segment.destination_port == 80 { (client, server) } else { (server, client) };
            Sighting {
                number,
                time_ns: number.cast_signed() * 1_000_000,
                source,
                destination,
                identification: None,
                hop_limit: 64,
                ecn: Ecn::NotEct,
                segment,
                text_length: 10,
                checksum_bad: false,
                path: number % 2,
            }
        }).collect();
        let verdicts: Vec<_> = sightings.iter().map(|sighting| one.observe(sighting)).collect();
        let mut numbers = Vec::new();
        batched.observe_batch(&sightings, |sighting| *sighting, |sighting, verdict| {
            assert_eq!(*verdict, verdicts[numbers.len()]);
            numbers.push(sighting.number);
        });
        prop_assert_eq!(numbers, sightings.iter().map(|sighting| sighting.number).collect::<Vec<_>>());
        for sightings in sightings.chunks(round) {
            for sighting in sightings {
                shards[Tracker::hash(&settings, sighting) as usize % 3].observe(sighting);
            }
            let mut events: Vec<_> = (0..)
                .zip(&mut shards)
                .flat_map(|(shard, tracker)| tracker.drain_events().into_iter().map(move |event| (shard, event)))
                .collect();
            events.sort_by_key(|(_, event)| event.packet);
            for (shard, event) in events {
                if let Some(entry) = census.count(&event) {
                    prop_assert!(shards[shard as usize].enter(&entry));
                }
            }
        }
        let shards = Shards::new(shards.into());
        prop_assert!(shards.outlines().map(|flow| flow.id).eq(one.outlines().map(|flow| flow.id)));
        let told: Vec<_> = shards.flows().collect();
        prop_assert_eq!(&told, &one.flows().collect::<Vec<_>>());
        prop_assert_eq!(shards.finish().collect::<Vec<_>>(), told);
    }
}

#[test]
fn track_seeds_pass() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/track");
    let mut seeds = 0;
    for entry in fs::read_dir(directory).expect("the seeds are part of the source") {
        let path = entry.expect("the directory can be read").path();
        println!("{}", path.display());
        eleven_track::try_any_bytes(&fs::read(&path).expect("a seed can be read"));
        seeds += 1;
    }
    assert!(seeds > 0);
}

#[test]
fn flows_that_are_over_go_first_and_the_longest_idle_next() {
    let settings = Settings { max_flows: 3, ..Settings::default() };
    let mut tracker = Tracker::new(settings);
    let mut number = 0;
    let mut send = |tracker: &mut Tracker, port: u16, client: bool, flags: Flags, seq: u32, ack: u32| {
        number += 1;
        let segment = Segment {
            source_port: if client { port } else { 80 },
            destination_port: if client { 80 } else { port },
            seq: SeqNumber(seq),
            ack: SeqNumber(ack),
            flags,
            window: 1_000,
            ..Segment::default()
        };
        let addresses = [[10, 0, 0, 1].into(), [10, 0, 0, 2].into()];
        let (source, destination) =
            if client { (addresses[0], addresses[1]) } else { (addresses[1], addresses[0]) };
        tracker.observe(&Sighting {
            number,
            time_ns: number.cast_signed() * 1_000_000_000,
            source,
            destination,
            identification: None,
            hop_limit: 64,
            ecn: Ecn::NotEct,
            segment: &segment,
            text_length: 0,
            checksum_bad: false,
            path: 0,
        });
    };
    send(&mut tracker, 1, true, Flags::SYN, 0, 0);
    send(&mut tracker, 2, true, Flags::SYN, 0, 0);
    send(&mut tracker, 3, true, Flags::SYN, 0, 0);
    send(&mut tracker, 2, false, Flags::RST | Flags::ACK, 0, 1);
    send(&mut tracker, 1, true, Flags::SYN, 0, 0);
    assert!(tracker.drain_evicted().is_empty());
    // Refused: over.
    send(&mut tracker, 4, true, Flags::SYN, 0, 0);
    let ports = |tracker: &mut Tracker| {
        tracker.drain_evicted().iter().map(|flow| flow.client.socket.port()).collect::<Vec<_>>()
    };
    assert_eq!(ports(&mut tracker), [2]);
    send(&mut tracker, 5, true, Flags::SYN, 0, 0);
    assert_eq!(ports(&mut tracker), [3]);
    let kept: Vec<u16> = tracker.flows().map(|flow| flow.client.socket.port()).collect();
    assert_eq!((kept, tracker.totals().flows, tracker.totals().evicted), (vec![1, 4, 5], 5, 2));
}
