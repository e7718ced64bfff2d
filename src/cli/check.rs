//! `backstop check`: validates configuration and policies without a connection.

use super::alerts;
use crate::config::{
    Config, ConfigError, Diagnostics, Overrides, SecretSource, Surroundings, load, policy, print,
    read_policies,
};
use crate::policy::spec::PolicySet;
use crate::venue::binance::sign::ReadSigner;
use serde::Serialize;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

/// Validates the configuration and its policies offline.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(after_help = "Examples:
  backstop check                                        the configuration that `run` would use, and its policies
  backstop check --print                                each value, and where it came from
  backstop check --policies policies/standard.toml      policy files alone

Exit codes: 0 fine, 1 an error was found, 3 refused for safety.")]
pub struct Args {
    /// The configuration file; default: ./backstop.toml, then the user's
    #[arg(long, value_name = "FILE", env = "BACKSTOP_CONFIG")]
    pub config: Option<PathBuf>,
    /// Check these policy files; the configuration only if --config names one
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub policies: Vec<PathBuf>,
    /// Print the configuration, each value with where it came from, secrets masked
    #[arg(long)]
    pub print: bool,
    /// Print what was found as JSON
    #[arg(long)]
    pub json: bool,
}

/// What was checked and what was found.
#[derive(Default)]
struct Report {
    files: Vec<Checked>,
    found: Diagnostics,
    refusals: Vec<String>,
    notes: Vec<String>,
    config: Option<Config>,
}

/// One file that was read.
#[derive(Serialize)]
struct Checked {
    file: String,
    what: String,
    rungs: Vec<Sentence>,
}

/// One rung of a policy.
#[derive(Serialize)]
struct Sentence {
    policy: String,
    action: &'static str,
    sentence: String,
}

/// Checks, prints, and returns the exit code.
pub fn run(args: &Args) -> i32 {
    let report = check(args, &Surroundings::of_process());
    if args.json {
        anstream::println!("{}", json(&report));
    } else {
        let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        if !report.found.is_empty() {
            anstream::eprintln!("{}\n", report.found.render(colour));
        }
        for refusal in &report.refusals {
            anstream::eprintln!("{refusal}\n");
        }
        anstream::print!("{}", words(&report, args.print));
    }
    code(&report)
}

fn check(args: &Args, around: &Surroundings) -> Report {
    let mut report = Report::default();
    if args.policies.is_empty() || args.config.is_some() {
        configuration(args.config.as_deref(), around, &mut report);
    }
    for file in &args.policies {
        policies(file, &mut report);
    }
    report
}

fn configuration(path: Option<&Path>, around: &Surroundings, report: &mut Report) {
    let config = match load(path, &Overrides::default(), around) {
        Ok(config) => config,
        Err(error) => return report.fail(error),
    };
    let file = config
        .file
        .as_ref()
        .map_or("environment".to_owned(), |path| path.display().to_string());
    report.files.push(Checked {
        file,
        what: count(config.accounts.len(), "account"),
        rungs: Vec::new(),
    });
    report.found.extend(config.warnings.clone());
    let mut seen = Vec::new();
    for account in &config.accounts {
        secrets(account, report);
        let before = report.found.has_errors();
        for file in &account.policies {
            if !seen.contains(file) {
                policies(file, report);
                seen.push(file.clone());
            }
        }
        // Together they may clash although each is fine.
        if !before
            && !report.found.has_errors()
            && let Err(found) = read_policies(&account.policies)
        {
            report.found.extend(found);
        }
    }
    for channel in &config.alerts {
        match alerts::channel(channel) {
            Ok(_) => {}
            // As with keys: that a secret is not there yet is no error before `run`.
            Err(ConfigError::Invalid(found))
                if found.items.iter().all(|item| alerts::is_missing(item.code)) =>
            {
                let said = found.items.iter().map(|item| item.message.clone());
                report
                    .notes
                    .extend(said.map(|said| format!("alerts.{}: {said}", channel.name)));
            }
            Err(error) => report.fail(error),
        }
    }
    report.config = Some(config);
}

/// Secrets that are there must be readable and private. That there is none is no error before `run`.
fn secrets(account: &crate::config::AccountConfig, report: &mut Report) {
    for (name, source) in [("api_key", &account.api_key), ("api_secret", &account.api_secret)] {
        let what = format!("{name} of account `{}`", account.label);
        match (source, source.read(&what)) {
            (_, Ok(_)) => {}
            (_, Err(error @ ConfigError::Refused(_))) => report.fail(error),
            (SecretSource::Missing(looked), Err(_)) => {
                report.notes.push(format!("{what} is not set: {looked}"))
            }
            (source, Err(_)) => report.notes.push(format!("{what} cannot be read from {source}")),
        }
    }
    match account.credentials() {
        Ok(both) => {
            if let Err(error) = ReadSigner::new(&both.secret) {
                let refusal = format!("refused: api_secret of account `{}`: {error}", account.label);
                report.refusals.push(refusal);
            }
        }
        Err(error @ ConfigError::Refused(_)) if report.refusals.is_empty() => report.fail(error),
        Err(_) => {}
    }
}

fn policies(file: &Path, report: &mut Report) {
    match read_policies(&[file.to_owned()]) {
        Ok(set) => report.files.push(Checked {
            file: file.display().to_string(),
            what: described(&set),
            rungs: set
                .policies
                .iter()
                .flat_map(|policy| policy.ladder.iter().map(move |rung| (policy, rung)))
                .map(|(policy, rung)| Sentence {
                    policy: policy.id.clone(),
                    action: rung.action.name(),
                    sentence: policy::sentence(policy, rung),
                })
                .collect(),
        }),
        Err(found) => report.found.extend(found),
    }
}

fn described(set: &PolicySet) -> String {
    let rungs: usize = set.policies.iter().map(|policy| policy.ladder.len()).sum();
    format!(
        "{}, {}",
        count(set.policies.len(), "policy"),
        count(rungs, "rung")
    )
}

fn count(number: usize, noun: &str) -> String {
    match (number, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) => format!("{number} {stem}ies"),
        (_, None) => format!("{number} {noun}s"),
    }
}

impl Report {
    fn fail(&mut self, error: ConfigError) {
        match error {
            ConfigError::Invalid(found) => self.found.extend(found),
            ConfigError::Refused(refusal) => self.refusals.push(refusal.to_string()),
        }
    }
}

fn code(report: &Report) -> i32 {
    match (report.refusals.is_empty(), report.found.has_errors()) {
        (false, _) => 3,
        (true, true) => 1,
        (true, false) => 0,
    }
}

fn words(report: &Report, with_settings: bool) -> String {
    let mut lines = Vec::new();
    if with_settings && let Some(config) = &report.config {
        lines.push(print(config));
    }
    for checked in &report.files {
        lines.push(format!("{}: {}", checked.file, checked.what));
        let longest = checked
            .rungs
            .iter()
            .map(|rung| rung.policy.len())
            .max()
            .unwrap_or(0);
        for rung in &checked.rungs {
            lines.push(format!("  {:longest$}  {}", rung.policy, rung.sentence));
        }
    }
    lines.extend(report.notes.iter().map(|note| format!("note: {note}")));
    let errors = report
        .found
        .items
        .iter()
        .filter(|item| item.severity == crate::config::Severity::Error)
        .count();
    lines.push(match code(report) {
        0 => "No errors.".to_owned(),
        1 => format!("{}.", count(errors, "error")),
        _ => "Refused.".to_owned(),
    });
    lines.join("\n") + "\n"
}

fn json(report: &Report) -> String {
    let settings: Vec<serde_json::Value> = report
        .config
        .iter()
        .flat_map(|config| &config.sources)
        .map(|setting| {
            serde_json::json!({ "path": setting.path, "value": setting.value, "from": setting.origin.to_string() })
        })
        .collect();
    serde_json::json!({
        "ok": code(report) == 0,
        "files": report.files,
        "diagnostics": report.found.items,
        "refusals": report.refusals,
        "notes": report.notes,
        "settings": settings,
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks a folder with these files; the exit code and what is printed.
    fn told(files: &[(&str, &str)], policies: &[&str], print: bool) -> (i32, String) {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let around = Surroundings {
            folder: dir.path().to_owned(),
            state_home: Some("/state".into()),
            ..Surroundings::default()
        };
        let args = Args {
            policies: policies.iter().map(|name| dir.path().join(name)).collect(),
            print,
            ..Args::default()
        };
        let report = check(&args, &around);
        let all = format!(
            "{}\n{}\n{}",
            report.found,
            report.refusals.join("\n"),
            words(&report, print)
        );
        let json = json(&report);
        assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{json}");
        (
            code(&report),
            all.replace(&format!("{}/", dir.path().display()), ""),
        )
    }

    const CONFIG: &str = "[account.main]\nvenue = \"binance-usdm-testnet\"\npolicies = [\"p.toml\"]\n";
    const STANDARD: &str = include_str!("../../policies/standard.toml");

    #[test]
    fn what_was_checked_is_said() {
        let (code, told) = told(&[("backstop.toml", CONFIG), ("p.toml", STANDARD)], &[], true);
        assert_eq!(code, 0, "{told}");
        for part in [
            "backstop.toml: 1 account",
            "p.toml: 6 policies, 16 rungs",
            "margin       when the maintenance margin is 50% of the margin balance: tells people.",
            "account.main.venue = \"binance-usdm-testnet\"",
            "note: api_key of account `main` is not set",
            "No errors.",
        ] {
            assert!(told.contains(part), "{part} in\n{told}");
        }
    }

    #[test]
    fn an_error_is_one_and_a_refusal_is_three() {
        let live = CONFIG.replace(
            "-testnet\"",
            "-testnet\"\nrest_url = \"https://fapi.binance.com\"",
        );
        for (files, expected) in [
            (vec![("backstop.toml", CONFIG)], 1),
            (vec![("backstop.toml", CONFIG), ("p.toml", "version = 2")], 1),
            (vec![("backstop.toml", "mode = 1")], 1),
            (vec![("backstop.toml", live.as_str())], 3),
            (vec![], 1),
        ] {
            assert_eq!(told(&files, &[], false).0, expected, "{files:?}");
        }
    }

    #[test]
    fn policy_files_can_be_checked_alone() {
        assert_eq!(told(&[("p.toml", STANDARD)], &["p.toml"], false).0, 0);
        let (code, told) = told(&[("p.toml", "version = 1\nnaem = \"x\"\n")], &["p.toml"], false);
        assert_eq!(code, 1);
        assert!(
            told.contains("p.toml:2:1") && told.contains("did you mean `name`?"),
            "{told}"
        );
    }
}
