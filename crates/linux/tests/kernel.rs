//! scratch
mod support;
use std::net::*;
use support::*;
#[test]
fn explore() {
    let stage = stage::Stage::new().unwrap();
    stage.here.run(|| {
        let l = gallery::listen(SocketAddr::from((stage::HERE, 0)), 5);
        let a = gallery::address(&l);
        let SocketAddr::V4(a) = a else { panic!() };
        for i in 0..6 {
            stage.there.run(|| segment::send_syn(SocketAddrV4::new(stage::NOWHERE, 4000), a));
            std::thread::sleep(std::time::Duration::from_millis(600));
            if i == 3 || i == 5 {
                for r in rows::bare(eleven_tcp::StateSet::EMPTY.with(eleven_tcp::State::SynReceived)) {
                    eprintln!("{} {:?} {:?}", i, r.timer, r.age_ms);
                }
                eprintln!("{}", std::fs::read_to_string("/proc/thread-self/net/tcp").unwrap());
            }
        }
        let s = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        s.bind(&SocketAddr::from(([127, 0, 0, 1], 7777)).into()).unwrap();
        s.connect(&SocketAddr::from(([127, 0, 0, 1], 7777)).into()).unwrap();
        for r in rows::bare(eleven_tcp::StateSet::EMPTY.with(eleven_tcp::State::Established)) {
            eprintln!("{:?} {:?}", r, r.age_ms);
        }
    });
}
