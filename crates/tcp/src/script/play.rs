//! Plays a script on a host in virtual time.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;

use super::ast::{Action, Event, Script, SystemCall, Time};
use super::host::{Endpoint, ScriptHost};
use super::notation::time_text;
use super::report::{Difference, Report, Verdict};
use crate::Instant;
use crate::sockets::{Call, Descriptor, Errno, Outcome, Settings, Sockets};

mod calls;
mod segments;

/// When scripts begin: some numbers reach back from there.
pub const START: Instant = Instant::from_secs(1_000);
const LOCAL: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 1);
const REMOTE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const PORT: u16 = 8080;

/// Plays a script on an endpoint whose sysctls are `settings` at first.
pub fn run(script: &Script, settings: &Settings) -> Report {
    let mut sockets = Sockets::new(settings.clone());
    let network = Network::of(script);
    sockets.set_device(network.local, Ipv6Addr::LOCALHOST, network.mtu);
    sockets.advance(START, |_| false);
    run_on(script, Endpoint { sockets, settings: settings.clone() })
}

/// The network that a script is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// The address of the host under test.
    pub local: Ipv4Addr,
    /// The address that its segments come from.
    pub remote: Ipv4Addr,
    /// The MTU of the device.
    pub mtu: u16,
}

impl Network {
    /// As the script's options have it.
    pub fn of(script: &Script) -> Self {
        let address = |name: &str, default: Ipv4Addr| {
            script.option(name).and_then(|value| value.parse().ok()).unwrap_or(default)
        };
        let mtu = script.option("mtu").and_then(|value| value.parse().ok()).unwrap_or(1500);
        Self { local: address("local_ip", LOCAL), remote: address("remote_ip", REMOTE), mtu }
    }
}

/// Plays a script on any host, whose time is [`START`] and whose [`Network`] is the script's.
pub fn run_on<H: ScriptHost>(script: &Script, host: H) -> Report {
    let mut player = Player::new(script, host);
    let mut report = Report { verdicts: Vec::new(), text: String::new() };
    for event in &script.events {
        let difference = player.play(event).and_then(|()| player.check_returned()).err();
        let failed = difference.is_some();
        let line = difference.as_ref().and_then(|_| player.failed_line.take()).unwrap_or(event.line);
        report.verdicts.push(Verdict { line, difference });
        if failed {
            report.text = script.lines.get(line - 1).cloned().unwrap_or_default();
            return report;
        }
    }
    if let Some(pending) = player.pending.take() {
        let difference = differs::<()>("the call has not returned at the end", "a result", "nothing");
        if let Some(last) = report.verdicts.last_mut() {
            last.line = pending.line;
            last.difference = difference.err();
            report.text = script.lines.get(pending.line - 1).cloned().unwrap_or_default();
        }
    }
    report
}

fn differs<T>(
    what: impl Into<String>,
    expected: impl Into<String>,
    got: impl Into<String>,
) -> Result<T, Difference> {
    Err(Difference { what: what.into(), expected: expected.into(), got: got.into() })
}

/// What the numbers of segments are relative to.
#[derive(Clone, Debug)]
struct Flow {
    local: SocketAddr,
    remote: SocketAddr,
    /// Ours as it is, and as the script has it.
    local_isn: u32,
    script_isn: u32,
    remote_isn: u32,
    /// Timestamps of ours: as the script has them, and as they are.
    stamps: Vec<(u32, u32)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Nothing,
    Listening,
    Connecting,
    Open,
}

/// A call that has to wait.
struct Pending {
    call: Call,
    expected: SystemCall,
    /// When it should return.
    end: Option<Instant>,
    /// How exact that is.
    tolerance: i64,
    line: usize,
}

struct Player<H> {
    sockets: H,
    descriptors: BTreeMap<i64, Descriptor>,
    /// The descriptor whose connection assertions are about.
    latest: Option<Descriptor>,
    flow: Flow,
    stage: Stage,
    next_port: u16,
    tolerance: i64,
    pending: Option<Pending>,
    /// What it has come to, and when.
    returned: Option<(Result<Outcome, Errno>, Instant)>,
    /// When the event before should have happened, if it was an inbound segment.
    anchor: Option<Instant>,
    last: Instant,
    failed_line: Option<usize>,
}

impl<H: ScriptHost> Player<H> {
    fn new(script: &Script, host: H) -> Self {
        let Network { local, remote, .. } = Network::of(script);
        let asked = script.option("tolerance_usecs").and_then(|value| value.parse().ok()).unwrap_or(4_000);
        let least = i64::try_from(host.least_tolerance().as_micros()).unwrap_or(i64::MAX);
        Self {
            sockets: host,
            descriptors: BTreeMap::new(),
            latest: None,
            flow: Flow {
                local: (IpAddr::from(local), PORT).into(),
                remote: (IpAddr::from(remote), PORT).into(),
                local_isn: 0,
                script_isn: 0,
                remote_isn: 0,
                stamps: Vec::new(),
            },
            stage: Stage::Nothing,
            next_port: 33_000,
            tolerance: least.max(asked),
            pending: None,
            returned: None,
            anchor: None,
            last: START,
            failed_line: None,
        }
    }

    fn micros(at: Instant) -> i64 {
        at.as_micros().saturating_sub(START.as_micros()).cast_signed()
    }

    fn instant(micros: i64) -> Instant {
        START + Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    }

    /// What relative times are relative to.
    fn origin(&self, event: &Event) -> Instant {
        let anchored = matches!(event.action, Action::Inbound(_) | Action::Icmp(_));
        self.anchor.filter(|_| anchored).unwrap_or(self.sockets.now())
    }

    fn play(&mut self, event: &Event) -> Result<(), Difference> {
        let origin = self.origin(event);
        let after = |micros: i64| Self::instant(Self::micros(origin) + micros);
        let (first, last) = match event.time {
            Time::Absolute(at) => (Self::instant(at), Self::instant(at)),
            Time::Relative(at) => (after(at), after(at)),
            Time::Any => (self.sockets.now(), self.sockets.now()),
            Time::AbsoluteRange(from, to) => (Self::instant(from), Self::instant(to)),
            Time::RelativeRange(from, to) => (after(from), after(to)),
        };
        let tolerance = self.tolerance.max((Self::micros(first) - Self::micros(self.last)).max(0) / 8);
        if let Action::Outbound(spec) = &event.action {
            self.anchor = None;
            let result = self.expect(spec, event.time, first, last, tolerance);
            self.last = first;
            return result;
        }
        self.wait_until(first);
        let late = Self::micros(self.sockets.now()) - Self::micros(last);
        if late > tolerance && event.time != Time::Any {
            return differs(
                "the time for this has passed",
                time_text(Self::micros(last)),
                time_text(Self::micros(self.sockets.now())),
            );
        }
        self.anchor = None;
        let end = event.end.map(|end| match event.time {
            Time::Absolute(_) => Self::instant(end),
            _ => after(end),
        });
        self.last = first;
        match &event.action {
            Action::Call(call) => {
                if self.pending.is_some() {
                    // The other thread is given its chance.
                    self.try_pending();
                }
                let tolerance = end.map_or(tolerance, |end| {
                    self.tolerance.max((Self::micros(end) - Self::micros(first)) / 8)
                });
                self.make(call, end, tolerance, event.line)
            }
            Action::Inbound(spec) => {
                self.anchor = Some(first);
                self.arrive(spec);
                Ok(())
            }
            Action::Icmp(icmp) => {
                self.anchor = Some(first);
                self.report(icmp);
                Ok(())
            }
            Action::Set(settings) => {
                for (name, value) in settings {
                    if let Err(error) = self.sockets.set_sysctl(name, value) {
                        return differs("this cannot be set", "a value that is understood", error);
                    }
                }
                Ok(())
            }
            Action::Restore => {
                self.sockets.restore_sysctls();
                Ok(())
            }
            Action::ForgetCookies => {
                self.sockets.forget_cookies();
                Ok(())
            }
            Action::NoOffload => {
                self.sockets.stop_offload();
                Ok(())
            }
            Action::Assert(statements) => self.assert(statements),
            Action::Outbound(_) => Ok(()),
        }
    }

    // Time.

    /// When the call that waits returns at the latest, if it has not yet.
    fn deadline_of_call(&self) -> Option<Instant> {
        self.pending.as_ref().filter(|_| self.returned.is_none())?.call.deadline()
    }

    fn wait_until(&mut self, until: Instant) {
        self.try_pending();
        loop {
            let deadline = self.deadline_of_call();
            let deadline = deadline.filter(|deadline| *deadline <= until);
            let (pending, returned) = (&mut self.pending, &mut self.returned);
            let whole = self.sockets.advance(deadline.unwrap_or(until), |sockets| {
                let Some(waiting) = pending.as_mut().filter(|_| returned.is_none()) else { return false };
                let Some(outcome) = sockets.attempt(&mut waiting.call) else { return false };
                *returned = Some((outcome, sockets.now()));
                true
            });
            self.try_pending();
            if whole && (deadline.is_none() || self.returned.is_some()) && self.sockets.now() >= until {
                return;
            }
        }
    }

    fn try_pending(&mut self) {
        if self.returned.is_none()
            && let Some(pending) = &mut self.pending
            && let Some(outcome) = self.sockets.attempt(&mut pending.call)
        {
            self.returned = Some((outcome, self.sockets.now()));
        }
    }

    /// A call that waited has returned: with what it should, and when it should.
    fn check_returned(&mut self) -> Result<(), Difference> {
        self.try_pending();
        let Some((outcome, at)) = self.returned.take() else { return Ok(()) };
        let Some(pending) = self.pending.take() else { return Ok(()) };
        self.failed_line = Some(pending.line);
        if let Some(end) = pending.end
            && (Self::micros(at) - Self::micros(end)).abs() > pending.tolerance
        {
            return differs(
                "the call returned at another time",
                time_text(Self::micros(end)),
                time_text(Self::micros(at)),
            );
        }
        self.compare(&pending.expected, outcome)?;
        self.failed_line = None;
        Ok(())
    }

    fn assert(&mut self, statements: &[super::Statement]) -> Result<(), Difference> {
        self.check_returned()?;
        let descriptor = self.latest.or_else(|| self.descriptors.values().next_back().copied());
        let info =
            descriptor.and_then(|descriptor| self.sockets.tcp_info(descriptor).ok()).unwrap_or_default();
        for statement in statements {
            if statement.condition.value(&info) == 0 {
                let mut fields = Vec::new();
                statement.condition.fields(&info, &mut fields);
                let shown: Vec<String> =
                    fields.iter().map(|(name, value)| format!("{name} = {value}")).collect();
                return differs("the assertion does not hold", statement.text.as_str(), shown.join(", "));
            }
        }
        Ok(())
    }
}
