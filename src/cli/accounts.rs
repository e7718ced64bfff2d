//! From the configuration to accounts that can be guarded or recorded.

use super::fail;
use crate::config::{self, AccountConfig, Config, Overrides, RunMode, Surroundings};
use crate::replay::play;
use crate::run::account::Account;
use crate::venue::binance::sign::ReadSigner;
use std::path::Path;

/// Loads the configuration; errors are printed, and given as an exit code.
pub fn load(path: Option<&Path>, overrides: &Overrides) -> Result<Config, i32> {
    match config::load(path, overrides, &Surroundings::of_process()) {
        Ok(config) => {
            if !config.warnings.is_empty() {
                anstream::eprintln!("{}", config.warnings);
            }
            Ok(config)
        }
        Err(error) => Err(fail(error.exit_code(), error)),
    }
}

/// The account of this label, or the only one; errors are printed, and given as an exit code.
pub fn chosen<'a>(config: &'a Config, label: Option<&str>) -> Result<&'a AccountConfig, i32> {
    let chosen = match label {
        Some(label) => config.accounts.iter().find(|account| account.label == label),
        None if config.accounts.len() == 1 => config.accounts.first(),
        None => None,
    };
    chosen.ok_or_else(|| {
        let labels = config.accounts.iter().map(|account| account.label.as_str());
        let labels = labels.collect::<Vec<&str>>().join(", ");
        fail(
            2,
            format!("name one account with --account; configured are: {labels}"),
        )
    })
}

/// An account with its policies and keys; errors are printed, and given as an exit code.
pub fn account(config: &AccountConfig, mode: RunMode) -> Result<Account, i32> {
    let policies = config::read_policies(&config.policies).map_err(|errors| fail(2, errors))?;
    let texts: Vec<String> = config
        .policies
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .collect();
    let credentials = config
        .credentials()
        .map_err(|error| fail(error.exit_code(), error))?;
    // A key that cannot sign is refused before anything begins (SE-14).
    ReadSigner::new(&credentials.secret)
        .map_err(|error| fail(3, format!("refused: account {}: {error}", config.label)))?;
    Ok(Account {
        label: config.label.clone(),
        venue: config.venue.name().into(),
        rest_url: config.rest_url.clone(),
        stream_url: config.stream_url.clone(),
        sapi_url: config.sapi_url.clone(),
        is_mainnet: config.is_mainnet(),
        key: credentials.key,
        secret: credentials.secret,
        timing: config.timing,
        policies,
        digest: play::digest(&texts),
        is_live: mode == RunMode::Live,
        is_new_key: false,
        record: None,
    })
}
