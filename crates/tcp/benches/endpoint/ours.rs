//! Two of our connections, and the packets between them in memory.

use std::sync::Arc;

use eleven_tcp::ip::{Packet, emit_segment};
use eleven_tcp::{Connection, Envelope, FourTuple, Instant, Policy, Segment, State};

pub(crate) fn pair() -> FourTuple {
    FourTuple::new("10.0.0.1:40000".parse().unwrap(), "10.0.0.2:80".parse().unwrap())
}

pub(crate) fn open(policy: &Policy) -> (Connection, Connection) {
    let now = Instant::from_secs(1);
    let policy = Arc::new(policy.clone());
    let mut server = Connection::new(policy.clone());
    server.listen(now, pair().remote()).unwrap();
    let mut client = Connection::new(policy);
    client.connect(now, pair()).unwrap();
    let mut packet = Vec::new();
    while carry(now, &mut client, &mut server, &mut packet)
        + carry(now, &mut server, &mut client, &mut packet)
        > 0
    {}
    assert_eq!((client.state(), server.state()), (State::Established, State::Established));
    (client, server)
}

/// Carries everything one side has to send to the other, as bytes with checksums.
pub(crate) fn carry(now: Instant, from: &mut Connection, to: &mut Connection, packet: &mut Vec<u8>) -> usize {
    let mut count = 0;
    while let Some(out) = from.poll_transmit(now) {
        packet.clear();
        let envelope = &out.envelope;
        emit_segment(&out.segment, envelope.source, envelope.destination, envelope.ecn, 64, packet).unwrap();
        receive(now, to, packet);
        count += 1;
    }
    count
}

pub(crate) fn receive(now: Instant, to: &mut Connection, packet: &[u8]) {
    let parsed = Packet::parse(packet).unwrap();
    assert!(Segment::verify_checksum(parsed.tcp, parsed.source, parsed.destination));
    let segment = Segment::parse(parsed.tcp).unwrap();
    let envelope = Envelope { source: parsed.source, destination: parsed.destination, ecn: parsed.ecn };
    to.handle_segment(now, &envelope, &segment);
}
