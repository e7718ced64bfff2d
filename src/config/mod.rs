//! Configuration: layers, secrets, validation, and the findings about them.
//!
//! A TOML file, then the environment, then flags; later wins. Unknown keys are errors. Every mistake is reported, each
//! with its place and a hint, and no finding shows a secret. Secrets are read as plain text and pass no parser.

mod account;
mod alerts;
mod diagnostic;
mod endpoint;
mod fields;
mod layers;
mod load;
mod mask;
mod nearest;
mod node;
pub mod policy;
mod print;
mod reading;
mod secret;
mod source;
#[cfg(test)]
mod tests;
mod timing;
pub mod trial;

pub use account::{AccountConfig, KeyType};
pub use alerts::{AlertConfig, ChannelConfig, MailTls, MinSeverity};
pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use endpoint::Venue;
pub use layers::Overrides;
pub use load::{load, read_policies};
pub use print::print;
pub use reading::Surroundings;
pub use secret::{Credentials, Refusal, SecretSource};
pub use timing::Timing;

use std::fmt;
use std::path::PathBuf;

/// Where the control API listens unless told otherwise.
const LISTEN_DEFAULT: &str = "127.0.0.1:7878";

/// The whole configuration of a process.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file that it was read from; `None` when the environment said it all.
    pub file: Option<PathBuf>,
    /// What the file says. What the process does is [`Config::effective_mode`].
    pub mode: RunMode,
    /// Where latches, journals and tokens are kept.
    pub state_dir: PathBuf,
    /// In the order of their labels, at least one.
    pub accounts: Vec<AccountConfig>,
    /// The control API.
    pub control: ControlConfig,
    /// The channels on which people are told, in the order of their names.
    pub alerts: Vec<AlertConfig>,
    /// Every value with where it came from, secrets masked.
    pub sources: Vec<Setting>,
    /// What is odd and allowed.
    pub warnings: Diagnostics,
}

/// Whether orders are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunMode {
    /// Nothing is sent that changes anything.
    DryRun,
    /// Reductions and cancels are sent.
    Live,
}

/// The control API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlConfig {
    /// Where it listens; `None` when it is off.
    pub listen: Option<std::net::SocketAddr>,
    /// The file with its tokens; made at the first start when it is missing.
    pub token_file: PathBuf,
}

/// One value of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its path: `account.main.rest_url`.
    pub path: String,
    /// The value as text; stars for a secret.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// The venue of the account implies it.
    Venue,
    /// This line of the file.
    File(usize),
    /// This environment variable.
    Environment(String),
    /// This flag.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::Venue => f.write_str("implied by the venue"),
            Origin::File(line) => write!(f, "line {line}"),
            Origin::Environment(name) => write!(f, "environment {name}"),
            Origin::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// Why there is no configuration.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ConfigError {
    /// It is wrong: exit code 2, and 1 from `check`.
    #[error("{0}")]
    Invalid(Diagnostics),
    /// It is refused for safety: exit code 3.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl ConfigError {
    fn invalid(
        file: &str,
        code: &'static str,
        message: impl Into<String>,
        hint: Option<String>,
    ) -> ConfigError {
        ConfigError::Invalid(Diagnostics::single(file, code, message, hint))
    }

    /// The exit code of every verb but `check`.
    pub fn exit_code(&self) -> i32 {
        match self {
            ConfigError::Invalid(_) => 2,
            ConfigError::Refused(_) => 3,
        }
    }
}

impl RunMode {
    /// The name in configuration files.
    pub fn name(self) -> &'static str {
        match self {
            RunMode::DryRun => "dry-run",
            RunMode::Live => "live",
        }
    }
}

impl Config {
    /// What the process does, given what the flags say: `--live`, `--dry-run` or nothing.
    ///
    /// Live needs the flag. Against a host that may be the real exchange it needs `mode = "live"` in the file as well,
    /// so that no single slip starts it.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Refused`] when only the flag says live.
    pub fn effective_mode(&self, flag: Option<RunMode>) -> Result<RunMode, ConfigError> {
        if flag != Some(RunMode::Live) {
            return Ok(RunMode::DryRun);
        }
        match self.accounts.iter().find(|account| account.is_mainnet()) {
            Some(account) if self.mode != RunMode::Live => Err(Refusal::new(
                format!(
                    "--live, but the file does not say so, and account `{}` is on the real exchange",
                    account.label
                ),
                "write mode = \"live\" at the top of the configuration file as well",
            )
            .into()),
            _ => Ok(RunMode::Live),
        }
    }
}
