//! Letting time pass, until something is seen or for a while.

use std::time::Duration;

use eleven_snapshot::Socket;
use eleven_tcp::{Instant, State};

use super::Lab;
use crate::error::{LabError, Stop};
use crate::evidence::{PassageRecord, What};
use crate::host::{HostId, kernel_look};
use crate::wire::Pattern;

/// How long a held scenario may be deaf.
const SHORT_PATIENCE: Duration = Duration::from_millis(100);

impl Lab {
    /// Waits until `look` finds what it looks for; `what` says what that is.
    ///
    /// # Errors
    /// [`Stop::NotReached`] if it takes longer than the patience there is.
    pub fn wait_until(
        &mut self,
        what: &str,
        mut look: impl FnMut(&mut Self) -> Result<bool, LabError>,
    ) -> Result<(), Stop> {
        self.gate()?;
        let deadline = self.now() + self.patience;
        loop {
            self.work()?;
            if look(self)? {
                return Ok(());
            }
            if self.now() >= deadline {
                let states = (0..self.hosts.len())
                    .map(HostId)
                    .map(|host| format!("{} in {}", host.name(), self.evidence.state(host)));
                let states: Vec<String> = states.collect();
                let waited = self.patience.as_secs_f64();
                return Err(Stop::NotReached(format!(
                    "waited {waited} s in vain for {what}; {}",
                    states.join(", ")
                )));
            }
            self.sleep(deadline)?;
        }
    }

    /// Waits until a host's end of the connection is in a state.
    ///
    /// # Errors
    /// As [`wait_until`](Self::wait_until).
    pub fn wait_state(&mut self, host: HostId, state: State) -> Result<(), Stop> {
        self.wait_until(&format!("{} in {state}", host.name()), |lab| Ok(lab.evidence.state(host) == state))
    }

    /// Waits until a host's row of the connection shows what `test` looks for.
    ///
    /// # Errors
    /// As [`wait_until`](Self::wait_until).
    pub fn wait_row(&mut self, host: HostId, what: &str, test: impl Fn(&Socket) -> bool) -> Result<(), Stop> {
        self.wait_until(&format!("{}: {what}", host.name()), |lab| {
            let row = lab.evidence.latest(host).and_then(|sample| sample.row.as_ref());
            Ok(row.is_some_and(&test))
        })
    }

    /// Waits until all the rows of a host show what `test` looks for, and keeps `what` as seen
    /// ([`Promise::Seen`](crate::Promise::Seen)).
    ///
    /// # Errors
    /// As [`wait_until`](Self::wait_until).
    pub fn wait_rows(
        &mut self,
        host: HostId,
        what: &'static str,
        test: impl Fn(&[Socket]) -> bool,
    ) -> Result<(), Stop> {
        let mut seen = String::new();
        self.wait_until(&format!("{}: {what}", host.name()), |lab| {
            let rows = lab.host_mut(host).rows()?;
            if !lab.quiet {
                lab.note_rows(host, &rows);
            }
            let found = test(&rows);
            seen = tally(&rows);
            Ok(found)
        })?;
        self.evidence.sights.push((host, what.to_owned()));
        let state = self.evidence.state(host);
        self.tell(host, What::Seen(format!("{what} ({seen})")), state, state);
        Ok(())
    }

    /// Waits until so many segments of a kind from `host` have arrived.
    ///
    /// # Errors
    /// As [`wait_until`](Self::wait_until).
    pub fn wait_segments(&mut self, host: HostId, pattern: Pattern, count: usize) -> Result<(), Stop> {
        self.wait_until(&format!("{count} × {} from the {}", pattern.name, host.name()), |lab| {
            let arrived = |passage: &&PassageRecord| {
                passage.from == host
                    && passage.received.is_some()
                    && passage.segment(pattern.matches) == Some(true)
            };
            Ok(lab.evidence.passages.iter().filter(arrived).count() >= count)
        })
    }

    /// Lets time pass, whatever happens.
    ///
    /// # Errors
    /// If the user interrupts.
    pub fn pass(&mut self, time: Duration) -> Result<(), Stop> {
        self.gate()?;
        let end = self.now() + time;
        loop {
            self.work()?;
            if self.now() >= end {
                return Ok(());
            }
            self.sleep(end)?;
        }
    }

    /// Has `happen` happen again and again, quietly, while the scenario is held: a fault that goes on is seen by what
    /// grows. What it does not reach it may reach the next time.
    pub fn meanwhile(
        &mut self,
        every: Duration,
        happen: impl FnMut(&mut Self) -> Result<(), Stop> + 'static,
    ) {
        self.meanwhile = Some((every, Box::new(happen)));
    }

    /// Serves the hosts for as long as `goes_on` says so. A simulation's time stands still meanwhile.
    ///
    /// # Errors
    /// If the user interrupts.
    pub fn serve_while(&mut self, mut goes_on: impl FnMut() -> bool) -> Result<(), Stop> {
        let mut meanwhile = self.meanwhile.take().filter(|_| self.is_kernel());
        let mut next = self.now();
        while goes_on() {
            self.work()?;
            if let Some((every, happen)) = &mut meanwhile
                && self.now() >= next
            {
                next = self.now() + *every;
                let patience = std::mem::replace(&mut self.patience, SHORT_PATIENCE);
                let happened = self.quietly(happen);
                self.patience = patience;
                match happened {
                    Err(stop @ (Stop::Interrupted | Stop::Failed(_))) => return Err(stop),
                    Err(Stop::NotReached(_)) | Ok(()) => {}
                }
            }
            if self.is_kernel() {
                let soon = self.now() + kernel_look();
                self.sleep(soon)?;
            }
        }
        Ok(())
    }

    /// Where the user may want to look before the scenario goes on.
    pub(super) fn gate(&mut self) -> Result<(), Stop> {
        while self.observer.waits() {
            self.work()?;
            self.check_interrupt()?;
            if self.is_kernel() {
                let soon = self.now() + kernel_look();
                self.sleep(soon)?;
            }
        }
        self.check_interrupt()
    }

    /// Waits until something may happen, `until` at the latest, and notes what has changed by itself.
    fn sleep(&mut self, until: Instant) -> Result<(), Stop> {
        let timers = self.hosts.iter().filter_map(|host| host.next_timer());
        let next = timers.chain(self.wire.next_arrival()).chain([until]).min().unwrap_or(until);
        let descriptors: Vec<_> = self.hosts.iter().filter_map(|host| host.descriptor()).collect();
        self.clock.wait(next, kernel_look(), &descriptors);
        self.check_interrupt()?;
        let now = self.now();
        for index in 0..self.hosts.len() {
            self.hosts[index].advance(now);
            let (before, after) = self.sample(HostId(index))?;
            if before != after {
                self.record(HostId(index), What::ByItself, before, after);
            }
        }
        Ok(())
    }
}

/// How many rows of each state there are: `17 × SYN_RECV, 1 × LISTEN`.
fn tally(rows: &[Socket]) -> String {
    let mut counts: Vec<(usize, State)> = Vec::new();
    for row in rows {
        match counts.iter_mut().find(|(_, state)| *state == row.state) {
            Some((count, _)) => *count += 1,
            None => counts.push((1, row.state)),
        }
    }
    counts.sort_unstable_by(|one, other| other.cmp(one));
    let told: Vec<String> = counts.iter().map(|(count, state)| format!("{count} × {state}")).collect();
    if told.is_empty() { "no rows".to_owned() } else { told.join(", ") }
}
