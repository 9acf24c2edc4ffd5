//! A client, a load balancer and a server, and the order of their idle timeouts.
//!
//! The subject is the load balancer: a small TCP proxy with real sockets, which keeps its connection to the server open
//! from one request to the next. The server is a host of its own.

use std::time::Duration;

use eleven_tcp::State::{CloseWait, Closed, Established, TimeWait};

use super::super::PORT;
use crate::error::Stop;
use crate::host::{HostId, PEER, SERVER, SUBJECT};
use crate::lab::crowds::count;
use crate::lab::{Handle, Lab};
use crate::promise::Promise;
use crate::scenario::{Group, Scenario, Setting};
use crate::wire::Pattern;

pub(in super::super) const ALL: &[Scenario] = &[IDLE_TIMEOUT_WRONG_ORDER];
pub(in super::super) const HEALTHY: &[Scenario] = &[IDLE_TIMEOUT_RIGHT_ORDER];

/// Where the load balancer listens; the server does at [`PORT`].
const FRONT: u16 = 8_080;

const fn balancer_idle(value: &'static str, usual: &'static str) -> Setting {
    Setting {
        name: "balancer-idle",
        value,
        usual,
        why: "milliseconds after which the load balancer closes an idle connection to the server",
    }
}

const fn server_idle(value: &'static str, usual: &'static str) -> Setting {
    Setting {
        name: "server-idle",
        value,
        usual,
        why: "milliseconds after which the server closes an idle connection",
    }
}

/// The three programs, on three hosts.
struct Chain {
    client: Handle,
    /// The load balancer's end of the client's connection.
    front: Handle,
    server_listens: Handle,
    /// The connection between the load balancer and the server: the ends of both.
    back: Option<(Handle, Handle)>,
}

impl Chain {
    fn new(lab: &mut Lab) -> Result<Self, Stop> {
        lab.step("the peer is the client, the subject a load balancer; a third host is the server");
        let server: HostId = lab.third_host()?;
        let server_listens = lab.listener(server, PORT, 16)?;
        let front_listens = lab.listener(SUBJECT, FRONT, 16)?;
        let client = lab.connecting(PEER, SUBJECT.at(FRONT))?;
        let _ = lab.connected(client)?;
        let front = lab.accept(front_listens)?;
        Ok(Self { client, front, server_listens, back: None })
    }

    /// The load balancer opens a connection to the server, if it has none.
    fn connect(&mut self, lab: &mut Lab) -> Result<(Handle, Handle), Stop> {
        if let Some(back) = self.back {
            return Ok(back);
        }
        let ours = lab.connecting(SUBJECT, SERVER.at(PORT))?;
        lab.focus_on_socket(ours, SERVER.at(PORT))?;
        let _ = lab.connected(ours)?;
        let back = (ours, lab.accept(self.server_listens)?);
        self.back = Some(back);
        Ok(back)
    }

    /// The client asks, the load balancer hands it on, and the server's answer comes back.
    fn request(&mut self, lab: &mut Lab) -> Result<(), Stop> {
        let _ = lab.send(self.client, b"request")?;
        let _ = lab.receive(self.front)?;
        let (ours, theirs) = self.connect(lab)?;
        let _ = lab.send(ours, b"request")?;
        let _ = lab.receive(theirs)?;
        let _ = lab.send(theirs, b"answer")?;
        let _ = lab.receive(ours)?;
        self.respond(lab, b"200 OK")
    }

    fn respond(&self, lab: &mut Lab, text: &[u8]) -> Result<(), Stop> {
        let _ = lab.send(self.front, text)?;
        let _ = lab.receive(self.client)?;
        Ok(())
    }

    /// Nobody asks anything until the first of the two timeouts. Whether it is the server's.
    fn idle(lab: &mut Lab) -> Result<bool, Stop> {
        let (balancer, server) = (lab.parameter("balancer-idle"), lab.parameter("server-idle"));
        lab.pass(Duration::from_millis(balancer.min(server)))?;
        Ok(server <= balancer)
    }

    /// Nobody asks anything for longer than that: whose timeout is first closes, and the other side closes too.
    fn idle_long(&mut self, lab: &mut Lab) -> Result<(), Stop> {
        let server_first = Self::idle(lab)?;
        let Some((ours, theirs)) = self.back.take() else { return Ok(()) };
        let (first, second) = if server_first { (theirs, ours) } else { (ours, theirs) };
        lab.close(first)?;
        let _ = lab.receive(second)?;
        lab.close(second)?;
        lab.pass(Duration::from_millis(20))
    }

    /// The client asks at the very moment of the first timeout. If it is the server's, the request that the load balancer
    /// hands on crosses the server's FIN; or, where the FIN is `delayed`, meets the RST before it.
    fn race(&mut self, lab: &mut Lab, delayed: bool) -> Result<(), Stop> {
        let server_first = Self::idle(lab)?;
        let Some((ours, theirs)) = self.back.take() else { return Ok(()) };
        if !server_first {
            lab.close(ours)?;
            self.request(lab)?;
            let _ = lab.receive(theirs)?;
            return lab.close(theirs);
        }
        let _ = lab.send(self.client, b"request")?;
        let _ = lab.receive(self.front)?;
        let fin = delayed.then(|| lab.wire().hold(SERVER, Pattern::FIN));
        lab.close(theirs)?;
        let _ = lab.send(ours, b"request")?;
        let _ = lab.receive(ours)?;
        if let Some(fin) = fin {
            lab.release(fin)?;
        }
        lab.close(ours)?;
        self.respond(lab, b"502 Bad Gateway")
    }
}

/// Requests that come in the midst of an idle time, at the end of one, and long after.
fn play(lab: &mut Lab) -> Result<(), Stop> {
    let mut chain = Chain::new(lab)?;
    lab.step(
        "the client asks; the load balancer connects to the server, and keeps the connection afterwards",
    );
    chain.request(lab)?;
    lab.step("nobody asks for a long time");
    chain.idle_long(lab)?;
    for delayed in [false, true] {
        lab.step("the client asks again");
        chain.request(lab)?;
        lab.step("and again, at the very moment of the first timeout");
        chain.race(lab, delayed)?;
    }
    lab.pass(Duration::from_millis(20))
}

const GATEWAY_ERROR: Pattern =
    Pattern { name: "a 502", matches: |segment| segment.text.len() == b"502 Bad Gateway".len() };

const IDLE_TIMEOUT_WRONG_ORDER: Scenario = Scenario {
    name: "idle-timeout-wrong-order",
    group: Group::Faults,
    purpose: "Behind a load balancer, the server's idle timeout is shorter than the load balancer's own. Now and then the \
              server closes at the very moment at which a request is handed on: the request gets an RST, and nobody knows \
              whether it was carried out. The client sees a sporadic 502.",
    look_at: "Who holds TIME_WAIT: the server, which closes first. At the load balancer `upstream prematurely closed`, or \
              ECONNRESET, for a connection that was ESTABLISHED when the request was sent.",
    ended_by: "The right order: the side that sends requests must close idle connections first, so each timeout must be \
               longer than the one before it on the way from client to server.",
    settings: &[balancer_idle("600", "60000"), server_idle("300", "5000 to 75000")],
    finding: Some("idle-timeout-order"),
    promises: &[
        Promise::Seen(SERVER, "TIME_WAIT at the server, which closes first"),
        Promise::Path(SUBJECT, &[Established, CloseWait]),
        Promise::Path(SUBJECT, &[Established, Closed]),
        Promise::Answer(SUBJECT, "recv", "0, the end of file"),
        Promise::Answer(SUBJECT, "recv", "ECONNRESET"),
        Promise::Segments(SUBJECT, GATEWAY_ERROR, 2, usize::MAX),
        Promise::Segments(SERVER, Pattern::RST, 2, usize::MAX),
        Promise::Seen(SUBJECT, "no TIME_WAIT at the load balancer"),
    ],
    play: |lab| {
        play(lab)?;
        lab.wait_rows(SERVER, "TIME_WAIT at the server, which closes first", |rows| {
            count(rows, TimeWait) >= 1
        })?;
        lab.wait_rows(SUBJECT, "no TIME_WAIT at the load balancer", |rows| count(rows, TimeWait) == 0)
    },
};

const IDLE_TIMEOUT_RIGHT_ORDER: Scenario = Scenario {
    name: "idle-timeout-right-order",
    group: Group::Healthy,
    purpose: "The same chain with timeouts that grow from the client to the server: the load balancer closes idle \
              connections before the server does. A request never meets a close: who is about to send is the one who \
              knows that it has closed.",
    look_at: "Who holds TIME_WAIT: the load balancer, which closes first. It costs ports there; all requests are answered.",
    ended_by: "Nothing is wrong.",
    settings: &[balancer_idle("300", "60000"), server_idle("600", "75000")],
    finding: None,
    promises: &[
        Promise::Seen(SUBJECT, "TIME_WAIT at the load balancer, which closes first"),
        Promise::Seen(SERVER, "no TIME_WAIT at the server"),
        Promise::Answer(PEER, "recv", "6 bytes"),
        Promise::Segments(SUBJECT, GATEWAY_ERROR, 0, 0),
        Promise::Segments(SERVER, Pattern::RST, 0, 0),
        Promise::Segments(SUBJECT, Pattern::RST, 0, 0),
    ],
    play: |lab| {
        play(lab)?;
        lab.wait_rows(SUBJECT, "TIME_WAIT at the load balancer, which closes first", |rows| {
            count(rows, TimeWait) == 3
        })?;
        lab.wait_rows(SERVER, "no TIME_WAIT at the server", |rows| count(rows, TimeWait) == 0)
    },
};
