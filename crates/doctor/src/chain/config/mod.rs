//! Idle timeouts in the configuration files of web servers and proxies.
//!
//! Not the whole of their languages: the directives that decide, with the block they stand in. What one file includes
//! is told, so that whoever reads files can read on.

mod haproxy;
mod httpd;
mod lines;
mod nginx;

use std::time::Duration;

use super::Product;

/// A timeout in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The directive: `keepalive_timeout`.
    pub directive: String,
    /// Where it holds: `server`, `upstream backend`, `defaults`; empty for the whole file.
    pub scope: String,
    /// Its time; `None`: switched off, each connection is closed after its response.
    pub time: Option<Duration>,
    /// On which line, counted from 1.
    pub line: u32,
    /// Whether it is about connections toward servers.
    pub upstream: bool,
}

/// A directive that is there, and cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// On which line, counted from 1.
    pub line: u32,
    /// What is wrong.
    pub what: String,
}

/// What a file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Timeouts, in order.
    pub settings: Vec<Setting>,
    /// Whether connections toward servers are kept for further requests; `None`: it does not say.
    pub keeps_upstream: Option<bool>,
    /// Directory that relative paths start from, where the file sets it.
    pub root: Option<String>,
    /// Patterns of further files, with the line that names them.
    pub includes: Vec<(u32, String)>,
    /// What could not be understood; the rest counts.
    pub errors: Vec<ConfigError>,
}

/// Reads a file of nginx, Apache httpd or HAProxy; `None` for products whose files are not known.
pub fn read_config(product: &Product, text: &str) -> Option<Config> {
    match product.name {
        "nginx" => Some(nginx::read(text)),
        "apache" => Some(httpd::read(text)),
        "haproxy" => Some(haproxy::read(text)),
        _ => None,
    }
}

impl Config {
    fn unreadable(&mut self, line: u32, directive: &str, value: &str) {
        self.errors
            .push(ConfigError { line, what: format!("`{directive} {value}` has no time that can be read") });
    }
}

/// A number with one of the units a product knows, in milliseconds each; without unit the default one.
fn time(value: &str, units: &[(&str, u64)], default_ms: u64) -> Option<Duration> {
    let digits = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let (number, unit) = value.split_at(digits);
    let unit_ms = match unit {
        "" => default_ms,
        unit => units.iter().find(|(name, _)| *name == unit)?.1,
    };
    number.parse::<u64>().ok()?.checked_mul(unit_ms).map(Duration::from_millis)
}
