//! Finding, reading and checking the configuration.

use super::account::{AccountConfig, account};
use super::alerts::alerts;
use super::diagnostic::{Diagnostics, Severity};
use super::fields::{Fields, choice, short, text};
use super::layers::{Overrides, merge, secret_variables, variables};
use super::mask::{hide, hide_nodes};
use super::node::{Node, Place, Problems, Value, parse_toml};
use super::policy::{FILE_MAX, parse};
use super::reading::{Reading, Surroundings};
use super::{Config, ConfigError, ControlConfig, RunMode};
use crate::policy::spec::PolicySet;
use std::collections::BTreeSet;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Accounts of one process.
const ACCOUNTS_MAX: usize = 1_000;

/// Reads the configuration: `path` if given, else `./backstop.toml`, else the user's; then environment and flags.
///
/// Key files are not opened: [`AccountConfig::credentials`] does.
///
/// # Errors
///
/// [`ConfigError::Invalid`] with every mistake; [`ConfigError::Refused`] when label and hosts of an account disagree.
pub fn load(path: Option<&Path>, flags: &Overrides, around: &Surroundings) -> Result<Config, ConfigError> {
    let file = find(path, around)?;
    let (name, text) = match &file {
        Some(path) => (path.display().to_string(), read_text(path)?),
        None => ("configuration".to_owned(), String::new()),
    };
    let base = file.as_ref().map_or_else(
        || around.folder.clone(),
        |path| path.parent().map_or_else(PathBuf::new, Path::to_path_buf),
    );
    let mut reading = Reading {
        problems: Problems::new(&name, &hide(&text)),
        refusals: Vec::new(),
        around,
        base,
        sources: Vec::new(),
    };
    let config = read(&text, flags, &mut reading, file);
    let Reading {
        problems, refusals, ..
    } = reading;
    let failed = problems.has_errors();
    let found = Diagnostics::new(&name, &problems.text, problems.items);
    if failed {
        return Err(ConfigError::Invalid(found));
    }
    if let Some(refusal) = refusals.into_iter().next() {
        return Err(refusal.into());
    }
    let mut config = config.ok_or_else(|| {
        ConfigError::invalid(&name, "unreadable", "the configuration could not be read", None)
    })?;
    config.warnings = found;
    Ok(config)
}

/// Reads the policy files of an account into one set; ids must be unique over all of them.
///
/// # Errors
///
/// [`Diagnostics`] with every mistake of every file.
pub fn read_policies(files: &[PathBuf]) -> Result<PolicySet, Diagnostics> {
    let mut found = Diagnostics::default();
    let mut names = Vec::new();
    let mut policies = Vec::new();
    let mut ids = BTreeSet::new();
    for path in files {
        let name = path.display().to_string();
        let parsed = match read_text(path) {
            Ok(text) => parse(&name, &text),
            Err(ConfigError::Invalid(problems)) => Err(problems),
            Err(ConfigError::Refused(refusal)) => {
                Err(Diagnostics::single(&name, "refused", refusal.message, None))
            }
        };
        match parsed {
            Ok(set) => {
                for policy in &set.policies {
                    if !ids.insert(policy.id.clone()) {
                        let message = format!("the id `{}` is taken by a policy of another file", policy.id);
                        found.extend(Diagnostics::single(
                            &name,
                            "id",
                            message,
                            Some("ids are unique".into()),
                        ));
                    }
                }
                names.push(set.name);
                policies.extend(set.policies);
            }
            Err(problems) => found.extend(problems),
        }
    }
    if found.has_errors() {
        return Err(found);
    }
    Ok(PolicySet {
        name: names.join("+"),
        policies,
    })
}

/// The file, or `None` when the environment alone describes an account.
fn find(path: Option<&Path>, around: &Surroundings) -> Result<Option<PathBuf>, ConfigError> {
    if let Some(path) = path {
        return Ok(Some(path.to_owned()));
    }
    let here = if around.folder == Path::new(".") {
        PathBuf::from("backstop.toml")
    } else {
        around.folder.join("backstop.toml")
    };
    let home = around
        .config_home
        .as_ref()
        .map(|dir| dir.join("backstop").join("backstop.toml"));
    let looked: Vec<PathBuf> = std::iter::once(here).chain(home).collect();
    if let Some(found) = looked.iter().find(|path| path.exists()) {
        return Ok(Some(found.clone()));
    }
    let described = |name: &String| name.starts_with("BACKSTOP_ACCOUNT__") && name.ends_with("__VENUE");
    if around.environment.keys().any(described) {
        return Ok(None);
    }
    let places: Vec<String> = looked.iter().map(|path| path.display().to_string()).collect();
    let message = format!("there is no configuration: looked for {}", places.join(" and "));
    let hint = "name one with --config FILE, or try `backstop run --sim`, which needs none".to_owned();
    Err(ConfigError::invalid(
        "configuration",
        "no-file",
        message,
        Some(hint),
    ))
}

/// The text of a file that is not too large.
pub(super) fn read_text(path: &Path) -> Result<String, ConfigError> {
    let name = path.display().to_string();
    let failed = |error: &std::io::Error| {
        let message = format!("cannot be read: {error}");
        ConfigError::invalid(&name, "no-file", message, None)
    };
    let file = std::fs::File::open(path).map_err(|error| failed(&error))?;
    let mut bytes = Vec::new();
    let limit = u64::try_from(FILE_MAX).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit)
        .read_to_end(&mut bytes)
        .map_err(|error| failed(&error))?;
    if bytes.len() > FILE_MAX {
        let message = format!("the file is larger than {} KiB", FILE_MAX / 1024);
        return Err(ConfigError::invalid(&name, "too-large", message, None));
    }
    String::from_utf8(bytes)
        .map_err(|_| ConfigError::invalid(&name, "no-text", "the file is not UTF-8 text", None))
}

fn read(
    text_of_file: &str,
    flags: &Overrides,
    reading: &mut Reading<'_>,
    file: Option<PathBuf>,
) -> Option<Config> {
    let table = parse_toml(text_of_file, &mut reading.problems)?;
    hide_nodes(&table, &mut reading.problems);
    let names = |of: &str| match table.get(of).map(|node| &node.value) {
        Some(Value::Table(inner)) => inner.keys().cloned().collect(),
        _ => Vec::new(),
    };
    let variables = variables(&reading.around.environment, &names("account"), &names("alerts"));
    let root = merge(text_of_file, &table, &variables, flags, &mut reading.problems)?;
    let mut fields = Fields::new(&root, Place::File(0..0), "the configuration");
    let mode = mode(&mut fields, reading);
    let state_dir = state_dir(&mut fields, reading);
    let control = control(&mut fields, state_dir.as_deref(), reading);
    let accounts = accounts(&mut fields, reading);
    let alerts = alerts(&mut fields, reading);
    fields.finish(&mut reading.problems, |key| match key {
        "policies" | "venue" | "rest_url" | "stream_url" => {
            Some(format!("`{key}` belongs to an account: [account.main]"))
        }
        _ => None,
    });
    Some(Config {
        file,
        mode: mode?,
        state_dir: state_dir?,
        accounts: accounts?,
        control: control?,
        alerts: alerts?,
        sources: std::mem::take(&mut reading.sources),
        warnings: Diagnostics::default(),
    })
}

fn mode(fields: &mut Fields<'_>, reading: &mut Reading<'_>) -> Option<RunMode> {
    let node = fields.get("mode")?;
    let words = [("dry-run", RunMode::DryRun), ("live", RunMode::Live)];
    let read = choice(node, "mode", &words, &mut reading.problems)?;
    reading.record("", "mode", read.name(), &node.place);
    Some(read)
}

fn state_dir(fields: &mut Fields<'_>, reading: &mut Reading<'_>) -> Option<PathBuf> {
    if let Some(node) = fields.get("state_dir") {
        let name = text(node, "state_dir", &mut reading.problems)?;
        let path = match node.place {
            Place::Flag(_) => Some(reading.around.folder.join(name)),
            _ => reading.path(name, "state_dir", &node.place),
        }?;
        reading.record("", "state_dir", &path.display().to_string(), &node.place);
        return Some(path);
    }
    match &reading.around.state_home {
        Some(home) => {
            let path = home.join("backstop");
            reading.record("", "state_dir", &path.display().to_string(), &Place::Default);
            Some(path)
        }
        None => {
            fields.missing(
                "state_dir",
                "the user has no home folder; name one".to_owned(),
                &mut reading.problems,
            );
            None
        }
    }
}

fn control(
    fields: &mut Fields<'_>,
    state_dir: Option<&Path>,
    reading: &mut Reading<'_>,
) -> Option<ControlConfig> {
    let node = fields.get("control")?;
    let Value::Table(table) = &node.value else {
        let message = format!("`control` is {}, not a table", node.value.noun());
        reading.problems.error(&node.place, "wrong-kind", message, None);
        return None;
    };
    let mut fields = Fields::new(table, node.place.clone(), "`control`");
    let listen = fields.get("listen").and_then(|node| listen(node, reading));
    let token_file = match fields.get("token_file") {
        Some(node) => {
            let name = text(node, "token_file", &mut reading.problems);
            let path = name.and_then(|name| reading.path(name, "token_file", &node.place));
            if let Some(path) = &path {
                reading.record("control", "token_file", &path.display().to_string(), &node.place);
            }
            path
        }
        None => state_dir.map(|dir| {
            let path = dir.join("control.token");
            reading.record(
                "control",
                "token_file",
                &path.display().to_string(),
                &Place::Default,
            );
            path
        }),
    };
    fields.finish(&mut reading.problems, |_| None);
    Some(ControlConfig {
        listen: listen?,
        token_file: token_file?,
    })
}

fn listen(node: &Node, reading: &mut Reading<'_>) -> Option<Option<SocketAddr>> {
    let written = text(node, "listen", &mut reading.problems)?;
    let read = match written {
        "" => None,
        _ => match written.parse::<SocketAddr>() {
            Ok(address) => Some(address),
            Err(_) => {
                let message = format!("`{}` is not an address and a port", short(written));
                let hint = "write it like \"127.0.0.1:7878\", or \"\" for off".to_owned();
                reading.problems.error(&node.place, "listen", message, hint);
                return None;
            }
        },
    };
    if read.is_some_and(|address| !address.ip().is_loopback()) {
        let message =
            "the control API can be reached from other machines, and it is not encrypted".to_owned();
        let hint = Some("listen on 127.0.0.1 and put a proxy with TLS before it".to_owned());
        reading
            .problems
            .note(Severity::Warning, &node.place, "listen", message, hint);
    }
    reading.record("control", "listen", written, &node.place);
    Some(read)
}

fn accounts(fields: &mut Fields<'_>, reading: &mut Reading<'_>) -> Option<Vec<AccountConfig>> {
    let Some(node) = fields.get("account") else {
        let hint = "write [account.main] with its venue and policies".to_owned();
        fields.missing("account", hint, &mut reading.problems);
        return None;
    };
    let Value::Table(table) = &node.value else {
        let message = format!("`account` is {}, not a table", node.value.noun());
        reading.problems.error(
            &node.place,
            "wrong-kind",
            message,
            "write [account.main]".to_owned(),
        );
        return None;
    };
    if table.is_empty() || table.len() > ACCOUNTS_MAX {
        let message = format!("there are {} accounts, not 1 to {ACCOUNTS_MAX}", table.len());
        reading
            .problems
            .error(&node.place, "account", message, "write [account.main]".to_owned());
        return None;
    }
    let mut spelled = BTreeSet::new();
    for (label, node) in table {
        if !spelled.insert(label.replace('-', "_")) {
            let message = format!(
                "`{}` differs from another label in `-` and `_` only",
                short(label)
            );
            let hint = "both would have the same environment variables".to_owned();
            reading.problems.error(&node.key, "label", message, hint);
        }
    }
    for (label, name) in secret_variables(&reading.around.environment) {
        if !spelled.contains(&label) {
            let message = "it holds a secret of an account that is not configured".to_owned();
            let place = Place::Environment(name);
            reading
                .problems
                .note(Severity::Warning, &place, "no-account", message, None);
        }
    }
    let read: Vec<AccountConfig> = table
        .iter()
        .filter_map(|(label, node)| account(label, node, reading))
        .collect();
    (read.len() == table.len()).then_some(read)
}
