//! Plays a scenario, and tells what came of it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use eleven_tcp::sockets::SETTING_NAMES;

use crate::capture::{Capture, Sink};
use crate::clock::{Clock, START};
use crate::error::{LabError, Stop};
use crate::evidence::Evidence;
use crate::host::{EndpointHost, KernelHost, SUBJECT};
use crate::lab::{Lab, Observer, Parts};
use crate::promise::Verdict;
use crate::scenario::{Scenario, Setting, near};
use crate::stage::Privilege;

/// What a scenario is played on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// The running kernel, in a namespace of its own.
    Kernel(Privilege),
    /// An endpoint of `eleven-tcp` with the habits of Linux.
    Simulator,
}

impl Backend {
    /// The word in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kernel(_) => "kernel",
            Self::Simulator => "simulator",
        }
    }
}

/// What is done when the scenario has been played, before everything goes away.
pub type Afterwards = Box<dyn FnOnce(&mut Lab, &[Verdict]) -> Result<(), Stop> + Send>;

/// How a scenario is played.
pub struct Options {
    /// On what.
    pub backend: Backend,
    /// Settings that take the place of the scenario's.
    pub settings: Vec<(String, String)>,
    /// What the capture is written to.
    pub capture: Option<Sink>,
    /// How long a packet of the simulator is under way.
    pub delay: Duration,
    /// Becomes true when the user interrupts.
    pub interrupt: Arc<AtomicBool>,
    /// Who follows.
    pub observer: Box<dyn Observer>,
    /// What is done at the end.
    pub afterwards: Option<Afterwards>,
}

impl Options {
    /// On a backend, and nothing more.
    pub fn new(backend: Backend) -> Self {
        Self {
            backend,
            settings: Vec::new(),
            capture: None,
            delay: SIMULATED_DELAY,
            interrupt: Arc::default(),
            observer: Box::new(()),
            afterwards: None,
        }
    }
}

/// What came of a scenario.
#[derive(Debug)]
pub struct Outcome {
    /// Which one.
    pub scenario: &'static Scenario,
    /// Each promise, and what was seen of it.
    pub verdicts: Vec<Verdict>,
    /// Why it was not played to its end.
    pub stopped: Option<String>,
    /// The user has interrupted it: while it was played, or while it was held.
    pub interrupted: bool,
    /// How long it took, in the time of its clock.
    pub elapsed: Duration,
    /// The settings it was played with.
    pub settings: Vec<(String, String)>,
    /// The values of a kernel's other sysctls that the endpoint knows too.
    pub sysctls: Vec<(String, String)>,
    /// What was seen.
    pub evidence: Evidence,
}

impl Outcome {
    /// Whether everything that was promised was seen.
    pub fn reached(&self) -> bool {
        self.stopped.is_none() && self.verdicts.iter().all(|verdict| verdict.kept)
    }
}

/// Plays a scenario.
///
/// A kernel is played with in a thread of its own, which ends with it: the caller stays in its namespace.
///
/// # Errors
/// If the laboratory cannot be set up or fails. What was interrupted has an outcome too.
pub fn run(scenario: &'static Scenario, options: Options) -> Result<Outcome, Stop> {
    match options.backend {
        Backend::Simulator => play(scenario, options),
        Backend::Kernel(_) => thread::scope(|scope| {
            let thread = thread::Builder::new().name("lab".to_owned());
            let played = thread
                .spawn_scoped(scope, || play(scenario, options))
                .map_err(|source| LabError::System { operation: "start a thread", source })?
                .join();
            // A panic is the scenario's own; let it go on.
            played.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        }),
    }
}

fn play(scenario: &'static Scenario, options: Options) -> Result<Outcome, Stop> {
    let settings = settings(scenario, &options.settings)?;
    let capture = options.capture.map(|sink| Capture::new(sink, scenario.name)).transpose()?;
    let parts = |clock, delay, entrance| Parts {
        clock,
        delay,
        observer: options.observer,
        interrupt: options.interrupt,
        capture,
        settings: settings.clone(),
        entrance,
    };
    let mut lab = match options.backend {
        Backend::Kernel(privilege) => {
            let kernel = KernelHost::new(SUBJECT)?;
            let user = match privilege {
                Privilege::Own => String::new(),
                Privilege::UserNamespace => {
                    format!("--user=/proc/{}/ns/user --preserve-credentials ", std::process::id())
                }
            };
            let entrance = format!("nsenter {user}--net={}", kernel.namespace_path());
            Lab::new(Box::new(kernel), parts(Clock::real(), Duration::ZERO, Some(entrance)))?
        }
        Backend::Simulator => {
            let clock = Clock::simulated();
            let endpoint = EndpointHost::new(SUBJECT, clock.now());
            Lab::new(Box::new(endpoint), parts(clock, options.delay, None))?
        }
    };
    let played = (scenario.play)(&mut lab);
    let stopped = match played {
        Ok(()) => None,
        Err(Stop::NotReached(why)) => Some(why),
        Err(stop @ (Stop::Interrupted | Stop::Failed(LabError::Call { .. }))) => Some(stop.to_string()),
        Err(stop) => return Err(stop),
    };
    let elapsed = lab.now().duration_since(START);
    lab.look_at_counters()?;
    lab.tell_played();
    let is_kernel = lab.is_kernel();
    let promises = scenario.promises.iter().filter(|promise| is_kernel || !promise.needs_kernel());
    let verdicts: Vec<Verdict> = promises.map(|promise| promise.judge(lab.evidence())).collect();
    if let Some(afterwards) = options.afterwards.filter(|_| !lab.is_interrupted()) {
        match afterwards(&mut lab, &verdicts) {
            // What was reached by then is told all the same.
            Ok(()) | Err(Stop::Interrupted) => {}
            Err(stop) => return Err(stop),
        }
    }
    let interrupted = lab.is_interrupted();
    let sysctls = if is_kernel { crate::stage::sysctl::read_all(&SETTING_NAMES) } else { Vec::new() };
    let (evidence, end) = lab.finish();
    end?;
    Ok(Outcome { scenario, verdicts, stopped, interrupted, elapsed, settings, sysctls, evidence })
}

/// How long a packet of the simulator is under way.
const SIMULATED_DELAY: Duration = Duration::from_millis(5);

/// The scenario's settings with those of the user in their place.
fn settings(scenario: &Scenario, wanted: &[(String, String)]) -> Result<Vec<(String, String)>, LabError> {
    let mut settings: Vec<(String, String)> =
        scenario.settings.iter().map(|setting| (setting.name.to_owned(), setting.value.to_owned())).collect();
    for (name, value) in wanted {
        let name = name.strip_prefix("net.ipv4.").unwrap_or(name);
        if !Setting::is_sysctl(name) && value.parse::<u64>().is_err() {
            let why = "a number is expected".to_owned();
            return Err(LabError::Setting { name: name.to_owned(), value: value.clone(), why });
        }
        if let Some(known) = settings.iter_mut().find(|(known, _)| known == name) {
            known.1.clone_from(value);
        } else if Setting::is_sysctl(name) && is_known_sysctl(name) {
            settings.push((name.to_owned(), value.clone()));
        } else {
            let known = scenario.settings.iter().map(|setting| setting.name).chain(SETTING_NAMES);
            return Err(LabError::NoSuchSetting { name: name.to_owned(), near: near(name, known) });
        }
    }
    Ok(settings)
}

/// Whether the endpoint or this kernel has it.
fn is_known_sysctl(name: &str) -> bool {
    let name = name.strip_prefix("peer.").unwrap_or(name);
    SETTING_NAMES.contains(&name) || name == "somaxconn" || crate::stage::sysctl::exists(name)
}
