//! `--path`: idle timeouts from client to server, with those of configuration files.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use eleven_doctor::Finding;
use eleven_doctor::chain::{Chain, Config, Hop, Idle, Origin, PRODUCTS, Product, Role, read_config};

use crate::commands::WrongUsage;
use crate::output::note;

/// Files that include each other without end are left at this.
const MOST_FILES: usize = 1_000;

/// Judges the path, its gaps filled from the files.
pub(super) fn judge(path: &str, configs: &[PathBuf]) -> anyhow::Result<Vec<Finding>> {
    let mut chain: Chain =
        path.parse().map_err(|error| WrongUsage::Other(format!("the path is not understood\n\n{error}")))?;
    for config in configs {
        let product = product_of(config).with_context(|| {
            format!("{}: it is not told whether this is of nginx, httpd or haproxy", config.display())
        })?;
        let read = read_all(product, config)?;
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

/// Whose configuration a file is, by its name and that of its directory.
fn product_of(path: &Path) -> Option<&'static Product> {
    let path = path.to_string_lossy().to_ascii_lowercase();
    let known = PRODUCTS.iter().filter(|product| matches!(product.name, "nginx" | "apache" | "haproxy"));
    known.into_iter().find(|product| {
        path.contains(product.name) || product.aliases.iter().any(|alias| path.contains(alias))
    })
}

/// A timeout and where it stands.
struct Found {
    file: PathBuf,
    config: Config,
}

/// A file and what it includes.
fn read_all(product: &Product, first: &Path) -> anyhow::Result<Vec<Found>> {
    let mut found: Vec<Found> = Vec::new();
    let mut left = vec![first.to_owned()];
    while let Some(file) = left.pop() {
        if found.len() >= MOST_FILES || found.iter().any(|known| known.file == file) {
            continue;
        }
        let text = match fs::read(&file) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            // The file that was named must be there; of what it includes the rest counts.
            Err(error) if file == first => {
                return Err(error).with_context(|| format!("cannot read {}", file.display()));
            }
            Err(error) => {
                note(&format!("{}: {error}", file.display()));
                continue;
            }
        };
        let Some(config) = read_config(product, &text) else { continue };
        for error in &config.errors {
            note(&format!("{}:{}: {}", file.display(), error.line, error.what));
        }
        for (line, pattern) in &config.includes {
            let included = matching(&first.parent().unwrap_or(Path::new(".")).join(pattern));
            if included.is_empty() && !pattern.contains('*') {
                note(&format!("{}:{line}: there is no {pattern}", file.display()));
            }
            left.extend(included);
        }
        found.push(Found { file, config });
    }
    Ok(found)
}

/// The files that a pattern names: stars in its last part stand for any characters.
fn matching(pattern: &Path) -> Vec<PathBuf> {
    let name = pattern.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if !name.contains('*') {
        return if pattern.is_file() { vec![pattern.to_owned()] } else { Vec::new() };
    }
    let Ok(entries) = fs::read_dir(pattern.parent().unwrap_or(Path::new("."))) else { return Vec::new() };
    let fits = |candidate: &str| {
        let mut parts = name.split('*');
        let (first, last) = (parts.next().unwrap_or_default(), parts.next_back().unwrap_or_default());
        let Some(mut rest) = candidate.strip_prefix(first).and_then(|rest| rest.strip_suffix(last)) else {
            return false;
        };
        parts.all(|part| match rest.split_once(part) {
            Some((_, behind)) => {
                rest = behind;
                true
            }
            None => false,
        })
    };
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| fits(&entry.file_name().to_string_lossy()))
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    files
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
