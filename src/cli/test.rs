//! `backstop test`: plays policy tests, and shows why one failed.

use super::fail;
use crate::config::Diagnostics;
use crate::config::trial::{Script, TestFile, load};
use crate::model::Span;
use crate::trial::Played;
use crate::trial::mutate::{self, Survivor};
use crate::trial::play::Failure;
use crate::trial::suite::{Coverage, coverage, in_parallel, prove, tests};
use crate::trial::trace::{Entry, Kind};
use anstream::println;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The end of a test file's name.
const ENDING: &str = ".test.toml";
/// Entries of a timeline that are shown; the oldest are left out. `--json` has them all.
const SHOWN_MAX: usize = 120;

/// Plays policy tests against the embedded exchange, in virtual time.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  backstop test                                    every policies/*.test.toml
  backstop test mine.test.toml --only withdrawal   the tests whose names have this word
  backstop test --coverage=strict                  fails when a rung was never tripped
  backstop test --mutate                           fails when a changed limit is noticed by no test

A test in short:
  policies = [\"standard.toml\"]
  [[test]]
  name      = \"a fall of a fifth closes everything\"
  start     = \"2026-03-29T12:00:00Z\"
  account   = { wallet = { USDT = \"10000\" } }
  positions = [ { symbol = \"BTCUSDT\", quantity = \"0.5\", entry_price = \"60000\" } ]
  steps     = [ { at = \"1m\", mark = { BTCUSDT = \"55900\" } } ]
  expect    = [ { at = \"1m\", policy = \"drawdown\", rung = \"flatten\", state = \"latched\" } ]

Exit codes: 0 all passed, 1 one failed, 2 a file cannot be read.")]
pub struct Args {
    /// Test files, or folders with files *.test.toml
    #[arg(value_name = "PATH", default_value = "policies")]
    paths: Vec<PathBuf>,
    /// Only tests whose names contain this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// List the rungs that no test tripped; `strict` fails then
    #[arg(long, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "list")]
    coverage: Option<Strictness>,
    /// Change each limit, and lose, repeat and swap each event: would the tests notice?
    #[arg(long)]
    mutate: bool,
    /// Print one object a line, timelines included
    #[arg(long)]
    json: bool,
}

/// What `--coverage` does with a rung that was never tripped.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Strictness {
    /// Lists it.
    List,
    /// Lists it and fails.
    Strict,
}

/// Runs the verb; gives the exit code.
pub fn run(args: &Args) -> i32 {
    let mut files = match files(&args.paths) {
        Ok(files) => files,
        Err(found) => {
            let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            return fail(2, found.render(colour));
        }
    };
    if let Some(only) = &args.only {
        for file in &mut files {
            file.tests.retain(|test| test.name.contains(only.as_str()));
        }
        if tests(&files).is_empty() {
            return fail(2, format!("no test has `{only}` in its name"));
        }
    }
    let all = tests(&files);
    let bar = progress(all.len(), "tests");
    let played = in_parallel(&all, |(file, test)| prove(test, &file.set), || bar.inc(1));
    bar.finish_and_clear();
    let failed = played.iter().filter(|played| !played.failures.is_empty()).count();
    for ((file, test), played) in all.iter().zip(&played) {
        show(args.json, file, test, played);
    }
    if !args.json {
        println!("{} passed, {failed} failed", played.len() - failed);
    }
    let mut code = i32::from(failed > 0);
    if let Some(how) = args.coverage {
        let found = coverage(&files, &played);
        let has_gaps = found.iter().any(|one| !one.never.is_empty());
        found.iter().for_each(|one| show_coverage(args.json, one));
        code = code.max(i32::from(has_gaps && how == Strictness::Strict));
    }
    if args.mutate {
        if failed > 0 {
            return fail(
                1,
                "mutations say nothing while a test fails; mend the tests first",
            );
        }
        code = code.max(mutations(args.json, &files, &played));
    }
    code
}

/// Reads every test file that the paths name.
fn files(paths: &[PathBuf]) -> Result<Vec<TestFile>, Diagnostics> {
    let (mut read, mut found) = (Vec::new(), Diagnostics::default());
    for path in paths {
        let named = if path.is_dir() {
            below(path)
        } else {
            vec![path.clone()]
        };
        if named.is_empty() {
            let message = format!("no file here ends with {ENDING}");
            let name = path.display().to_string();
            found.extend(Diagnostics::single(&name, "no-tests", message, None));
        }
        for path in named {
            match load(&path) {
                Ok(file) => read.push(file),
                Err(problems) => found.extend(problems),
            }
        }
    }
    if found.has_errors() { Err(found) } else { Ok(read) }
}

fn below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut named: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.to_string_lossy().ends_with(ENDING))
        .collect();
    named.sort();
    named
}

/// A bar on a terminal only, and only when it takes longer than a second.
fn progress(count: usize, what: &'static str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(u64::try_from(count).unwrap_or(u64::MAX));
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}, {elapsed}") {
        bar.set_style(style);
    }
    bar.set_message(what);
    bar.enable_steady_tick(Duration::from_secs(1));
    bar
}

fn show(json: bool, file: &TestFile, test: &Script, played: &Played) {
    if json {
        let line = serde_json::json!({
            "file": file.name, "line": test.line, "test": test.name, "passed": played.failures.is_empty(),
            "failures": played.failures, "timeline": played.trace,
        });
        return println!("{line}");
    }
    if played.failures.is_empty() {
        return println!("ok    {}", test.name);
    }
    println!("FAIL  {}", test.name);
    for (index, failure) in played.failures.iter().enumerate() {
        print_failure(file, failure);
        // The later ones mostly follow from the first.
        if index == 0 {
            print_timeline(failure, &played.trace);
        }
    }
}

fn print_failure(file: &TestFile, failure: &Failure) {
    println!("  --> {}:{}", file.name, failure.line);
    let at = Span::from_ms(failure.at);
    match &failure.policy {
        Some(policy) => println!("  at {at}, policy `{policy}`:"),
        None => println!("  at {at}:"),
    }
    for clause in &failure.clauses {
        println!("    {:<14} expected  {}", clause.clause, clause.expected);
        println!("    {:<14} found     {}", "", clause.found);
    }
}

fn print_timeline(failure: &Failure, trace: &[Entry]) {
    let told = trace.iter().take(failure.entries);
    // With a policy named, the numbers of the others only hide its own.
    let matters = |entry: &&Entry| {
        entry.kind != Kind::Numbers || failure.policy.is_none() || entry.policy == failure.policy
    };
    let told: Vec<&Entry> = told.filter(matters).collect();
    println!("  until then:");
    let left_out = told.len().saturating_sub(SHOWN_MAX);
    if left_out > 0 {
        println!("    {left_out} earlier lines are left out; --json has them");
    }
    for entry in told.iter().skip(left_out) {
        let at = Span::from_ms(entry.at).to_string();
        let mark = match entry.kind {
            Kind::Step => "»",
            Kind::Numbers => "=",
            Kind::Decided => "!",
            Kind::Venue => "~",
            Kind::Note => "i",
        };
        match &entry.policy {
            Some(policy) => println!("    {at:>9} {mark} {policy}: {}", entry.text),
            None => println!("    {at:>9} {mark} {}", entry.text),
        }
    }
}

fn show_coverage(json: bool, found: &Coverage) {
    let names: Vec<String> = found
        .policies
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    if json {
        let line = serde_json::json!({ "coverage": {
            "policies": names, "exercised": found.exercised, "never": found.never,
            "never_cleared": found.never_cleared,
        } });
        return println!("{line}");
    }
    let count = found.exercised + found.never.len();
    println!(
        "coverage of {}: {} of {count} rungs tripped",
        names.join(", "),
        found.exercised
    );
    for words in &found.never {
        println!("  never tripped: {words}");
    }
    for words in &found.never_cleared {
        println!("  tripped, and never seen to clear: {words}");
    }
}

/// Plays the mutants; gives the exit code.
fn mutations(json: bool, files: &[TestFile], played: &[Played]) -> i32 {
    let mutants = mutate::mutants(files, played);
    let bar = progress(mutants.len(), "mutants");
    let found = in_parallel(
        &mutants,
        |mutant| mutate::try_one(mutant, files, played),
        || bar.inc(1),
    );
    bar.finish_and_clear();
    let survivors: Vec<Survivor> = found.into_iter().flatten().collect();
    if json {
        println!(
            "{}",
            serde_json::json!({ "mutants": mutants.len(), "survivors": survivors })
        );
    } else {
        println!("{} mutants, {} survived", mutants.len(), survivors.len());
        for survivor in &survivors {
            println!("  survived: {}: {}", survivor.mutant, survivor.why);
        }
    }
    i32::from(!survivors.is_empty())
}
