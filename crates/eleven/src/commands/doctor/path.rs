//! `--path`: idle timeouts from client to server, with those of configuration files.

use std::path::{Path, PathBuf};

use anyhow::Context;
use eleven_doctor::Finding;
use eleven_doctor::chain::{Chain, ChainError, Hop, Idle, Origin, Role};

use super::config::{Found, Root, product_of, read_all};
use crate::commands::WrongUsage;
use crate::output::note;
use crate::text;

/// Judges the path, its gaps filled from the files.
pub(super) fn judge(path: &str, configs: &[PathBuf]) -> anyhow::Result<Vec<Finding>> {
    let mut chain: Chain = path.parse().map_err(|error| WrongUsage::Other(pointed_at(&error)))?;
    for config in configs {
        let product = product_of(config).with_context(|| {
            format!("{}: it is not told whether this is of nginx, httpd or haproxy", config.display())
        })?;
        let base = config.parent().unwrap_or(Path::new("."));
        let read = read_all(product, &Root::here(), config, base, &mut |text| note(&text))
            .with_context(|| format!("cannot read {}", config.display()))?;
        let mut used = false;
        for hop in &mut chain.hops {
            used |= hop.product == Some(product) && take(hop, &read);
        }
        if !used {
            note(&format!(
                "{}: no hop of the path has kind={} and an idle timeout that it does not give itself",
                config.display(),
                product.name
            ));
        }
    }
    Ok(chain.findings())
}

/// The path, with carets under what is wrong, in columns of a terminal, and why.
fn pointed_at(error: &ChainError) -> String {
    let columns = |part: Option<&str>| text::width(&text::printable(part.unwrap_or_default()));
    let before = " ".repeat(columns(error.text.get(..error.place.start)));
    let carets = "^".repeat(columns(error.text.get(error.place.clone())).max(1));
    let path = text::printable(&error.text);
    format!("the path is not understood\n\n{path}\n{before}{carets} {}", text::printable(&error.what))
}

/// Fills in what the path does not give; the shortest time of several counts, for that is the one that strikes.
fn take(hop: &mut Hop, found: &[Found]) -> bool {
    let shortest = |upstream: bool| {
        let settings = found.iter().flat_map(|found| {
            found.config.settings.iter().map(move |setting| (found.file.display().to_string(), setting))
        });
        settings
            .filter(|(_, setting)| setting.upstream == upstream)
            .filter_map(|(file, setting)| Some((setting.time?, file, setting.line)))
            .min_by_key(|(time, ..)| *time)
            .map(|(time, file, line)| Idle { time, source: Origin::File(file, line) })
    };
    let is_free = |idle: &Option<Idle>| !matches!(idle, Some(idle) if idle.source == Origin::Given);
    // One time that is given stands for both directions.
    let both = !is_free(&hop.idle) && hop.upstream_idle.is_none();
    let mut used = false;
    if is_free(&hop.idle)
        && let Some(idle) = shortest(false)
    {
        hop.idle = Some(idle);
        used = true;
    }
    if hop.role == Role::Proxy
        && !both
        && is_free(&hop.upstream_idle)
        && let Some(idle) = shortest(true)
    {
        hop.upstream_idle = Some(idle);
        used = true;
    }
    used
}
