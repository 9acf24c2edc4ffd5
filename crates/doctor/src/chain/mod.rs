//! Idle timeouts along a path: client, load balancers, server, and what forgets in between.
//!
//! On every connection of the path the side nearer the client has to give up first. It knows that it has nothing to send,
//! while the other side cannot know whether a request is on its way: if that side closes first, a request can cross its
//! FIN, and is answered with RST.

mod config;
mod error;
mod findings;
mod parse;
mod product;

use std::time::Duration;

pub use config::{Config, ConfigError, Setting, read_config};
pub use error::ChainError;
pub use product::{PRODUCTS, Product, Role};

/// A host or a middlebox on the path.
#[derive(Clone, Debug, PartialEq)]
pub struct Hop {
    /// As the user calls it.
    pub name: String,
    /// What it is.
    pub role: Role,
    /// Which product, if known.
    pub product: Option<&'static Product>,
    /// After how long it closes (or forgets) an idle connection toward the client; `None`: never.
    pub idle: Option<Idle>,
    /// The same toward the server; `None`: as toward the client.
    pub upstream_idle: Option<Idle>,
    /// Silence after which it sends TCP keepalives; `None`: it sends none.
    pub keepalive: Option<Duration>,
}

/// A timeout, and where its value comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Idle {
    /// How long.
    pub time: Duration,
    /// Where it was found.
    pub source: Origin,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The user gave it.
    Given,
    /// The product has it unless it is set.
    Default,
    /// A configuration file: name and line.
    File(String, u32),
}

/// A path from the client to the server.
#[derive(Clone, Debug, PartialEq)]
pub struct Chain {
    /// In order; the first and the last end connections.
    pub hops: Vec<Hop>,
}

/// One connection of the path, between two hops that end connections.
#[derive(Clone, Debug, PartialEq)]
pub struct Link<'a> {
    /// The end nearer the client.
    pub near: &'a Hop,
    /// The end nearer the server.
    pub far: &'a Hop,
    /// When each gives up.
    pub idle: [Option<&'a Idle>; 2],
    /// What follows from that.
    pub order: Order,
    /// The box in between that forgets the connection before either end gives up, and after how long.
    pub forgotten: Option<(&'a Hop, Duration)>,
}

/// Who gives an idle connection up first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The near end: as it should be. It gets TIME_WAIT, and with it an ephemeral port stays taken.
    NearFirst,
    /// The far end: a request can cross its FIN. It gets TIME_WAIT.
    FarFirst,
    /// Both at about the same time: requests cross FINs, and either may get TIME_WAIT, or both.
    Together,
    /// Nobody, ever.
    Never,
}

/// Timeouts nearer to each other than this, and than a tenth, are the same: timers are checked once in a while, and a
/// packet takes its time.
const MARGIN: Duration = Duration::from_secs(2);

impl Chain {
    /// The connections of the path, from the client's to the server's.
    pub fn links(&self) -> Vec<Link<'_>> {
        let ends: Vec<usize> =
            (0..self.hops.len()).filter(|place| self.hops[*place].role != Role::Filter).collect();
        ends.windows(2).map(|pair| self.link(pair[0], pair[1])).collect()
    }

    fn link(&self, near: usize, far: usize) -> Link<'_> {
        let between = &self.hops[near + 1..far];
        let (near, far) = (&self.hops[near], &self.hops[far]);
        let idle = [near.upstream_idle.as_ref().or(near.idle.as_ref()), far.idle.as_ref()];
        let times = idle.map(|idle| idle.map(|idle| idle.time));
        let order = match times {
            [None, None] => Order::Never,
            [Some(_), None] => Order::NearFirst,
            [None, Some(_)] => Order::FarFirst,
            [Some(near), Some(far)] => {
                let margin = MARGIN.max(far.min(near) / 10);
                if near.abs_diff(far) < margin.min(far.max(near)) {
                    Order::Together
                } else if near < far {
                    Order::NearFirst
                } else {
                    Order::FarFirst
                }
            }
        };
        // A keepalive of either end passes the box, and it remembers.
        let awake = [near.keepalive, far.keepalive].into_iter().flatten().min();
        let ends = times.into_iter().flatten().min();
        let forgotten = between
            .iter()
            .filter_map(|hop| Some((hop, hop.idle.as_ref()?.time)))
            .filter(|(_, time)| {
                ends.is_none_or(|ends| *time < ends) && awake.is_none_or(|awake| awake >= *time)
            })
            .min_by_key(|(_, time)| *time);
        Link { near, far, idle, order, forgotten }
    }
}

/// For the fuzz target and its replay: any text as the description of a path, and as each of the configuration files.
#[doc(hidden)]
pub fn try_any_text(text: &str) {
    match text.parse::<Chain>() {
        Ok(chain) => {
            for finding in chain.findings() {
                assert!(
                    finding.subject.local.is_some() && !finding.evidence.is_empty()
                        || finding.variant == Some("never")
                );
            }
        }
        Err(error) => assert!(text.get(error.place.clone()).is_some() && error.to_string().contains('^')),
    }
    for product in PRODUCTS {
        if let Some(config) = read_config(product, text) {
            let last = text.lines().count().max(1) as u32;
            assert!(config.settings.iter().all(|setting| (1..=last).contains(&setting.line)));
        }
    }
}

#[cfg(test)]
mod tests;
