//! The configuration while it is read: what is around the process, what was found, where each value came from.

use super::diagnostic::position;
use super::fields::short;
use super::node::{Place, Problems};
use super::secret::Refusal;
use super::{Origin, Setting};
use etcetera::BaseStrategy;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What the process finds around it. May hold secrets, so it has no printed form.
#[derive(Clone, Default)]
pub struct Surroundings {
    /// Environment variables.
    pub environment: BTreeMap<String, String>,
    /// The folder that the process was started in.
    pub folder: PathBuf,
    /// The user's folder for configuration.
    pub config_home: Option<PathBuf>,
    /// The user's folder for state.
    pub state_home: Option<PathBuf>,
}

impl Surroundings {
    /// Those of this process: the names that begin with `BACKSTOP_`, and the folders.
    pub fn of_process() -> Surroundings {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| name.starts_with("BACKSTOP_") || name == "CREDENTIALS_DIRECTORY")
            .collect();
        let folders = etcetera::choose_base_strategy().ok();
        Surroundings {
            environment,
            folder: PathBuf::from("."),
            config_home: folders.as_ref().map(|folders| folders.config_dir()),
            state_home: folders
                .as_ref()
                .map(|folders| folders.state_dir().unwrap_or_else(|| folders.data_dir())),
        }
    }
}

/// The configuration while it is read.
pub(super) struct Reading<'a> {
    pub problems: Problems,
    pub refusals: Vec<Refusal>,
    pub around: &'a Surroundings,
    pub base: PathBuf,
    pub sources: Vec<Setting>,
}

impl Reading<'_> {
    /// A path, relative to the configuration file.
    pub(super) fn path(&mut self, written: &str, name: &str, place: &Place) -> Option<PathBuf> {
        if written.is_empty() || written.starts_with('~') || written.contains('\0') {
            let message = format!("`{}` is not a path for `{name}`", short(written));
            let hint =
                "write it in full or relative to the configuration file; `~` is not replaced".to_owned();
            self.problems.error(place, "path", message, hint);
            return None;
        }
        Some(self.base.join(written))
    }

    /// Remembers a text value for `check --print`.
    pub(super) fn record(&mut self, table: &str, key: &str, value: &str, place: &Place) {
        self.record_raw(table, key, format!("{value:?}"), place);
    }

    /// Remembers a value that is already written as it should be shown.
    pub(super) fn record_raw(&mut self, table: &str, key: &str, value: String, place: &Place) {
        let origin = match place {
            Place::File(span) => Origin::File(position(&self.problems.text, span.start).0),
            Place::Environment(name) => Origin::Environment(name.clone()),
            Place::Flag(name) => Origin::Flag((*name).to_owned()),
            Place::Default => Origin::Default,
        };
        self.record_origin(table, key, value, origin);
    }

    /// Remembers a value that the venue implies when it has no place.
    pub(super) fn record_from(&mut self, table: &str, key: &str, value: &str, place: Option<&Place>) {
        match place {
            Some(place) => self.record(table, key, value, place),
            None => self.record_origin(table, key, format!("{value:?}"), Origin::Venue),
        }
    }

    /// Remembers a value with its origin.
    pub(super) fn record_origin(&mut self, table: &str, key: &str, value: String, origin: Origin) {
        let dot = if table.is_empty() { "" } else { "." };
        self.sources.push(Setting {
            path: format!("{table}{dot}{key}"),
            value,
            origin,
        });
    }

    /// Notes a refusal; the first one is reported.
    pub(super) fn refuse(&mut self, refusal: Refusal) {
        self.refusals.push(refusal);
    }
}
