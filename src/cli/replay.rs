//! `backstop replay`: recordings through the policies, dry.

mod against;
mod progress;

use super::fail;
use crate::config::policy;
use crate::policy::PolicySet;
use crate::replay::lines::DecisionLine;
use crate::replay::play::{self, Played};
use crate::replay::recording;
use crate::replay::report::{self, Section};
use anstream::{eprintln, println};
use progress::Progress;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The policies that are used when none are named.
const STANDARD: &str = include_str!("../../policies/standard.toml");

/// Replays recordings: what would the policies have decided?
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  backstop replay fixtures/recordings/flash-crash.jsonl\n  backstop replay --policies mine.toml --json run.jsonl | jq .why\n  backstop replay --policies mine.toml --against tighter.toml --report what-if.html run.jsonl\n\nExit code 1: the recording holds decisions made under the same policies, and the replay differs from them; or --against, and the two decide differently."
)]
pub struct Args {
    /// Recordings, plain or gzipped, in the order given.
    #[arg(required = true, value_name = "RECORDING")]
    recordings: Vec<PathBuf>,
    /// Policy file; the shipped standard policies when absent.
    #[arg(long, value_name = "FILE")]
    policies: Vec<PathBuf>,
    /// Policy file to compare with: where the two part, what each would have closed, and what the account would have been.
    #[arg(long, value_name = "FILE")]
    against: Vec<PathBuf>,
    /// One page that shows it in pictures, and needs nothing but itself.
    #[arg(long, value_name = "OUT.html")]
    report: Option<PathBuf>,
    /// One decision a line, as JSON; with `--against` one difference a line, and one for each recording.
    #[arg(long)]
    json: bool,
    /// Plays at N times the recorded speed instead of as fast as possible.
    #[arg(long, value_name = "N", conflicts_with = "against")]
    speed: Option<u32>,
}

/// Runs the verb; gives the exit code.
pub fn run(args: &Args) -> i32 {
    let (set, texts) = match policies(&args.policies) {
        Ok(found) => found,
        Err(code) => return code,
    };
    let digest = play::digest(&texts);
    if !args.against.is_empty() {
        return compare(args, &set);
    }
    let mut code = 0;
    for path in &args.recordings {
        let (header, entries) = match recording::read(path) {
            Ok(opened) => opened,
            Err(error) => return fail(2, error),
        };
        if !args.json {
            println!(
                "{}: account {} on {}",
                path.display(),
                header.account,
                header.venue
            );
        }
        let progress = RefCell::new(Progress::new(None));
        let mut last = None;
        let paced = |at: crate::model::Timestamp| {
            progress.borrow_mut().line();
            if let (Some(speed), Some(before)) = (args.speed.filter(|speed| *speed > 0), last.replace(at)) {
                let wait = at.since(before).ms() / i64::from(speed);
                std::thread::sleep(Duration::from_millis(u64::try_from(wait).unwrap_or(0)));
            }
        };
        let played = play::play(&header, entries, &set, &digest, paced, |line| {
            progress.borrow().aside(|| show(args.json, line));
        });
        progress.into_inner().end();
        match played {
            Ok(played) => code = code.max(summary(args.json, &played)),
            Err(error) => return fail(2, error),
        }
    }
    let Some(out) = &args.report else { return code };
    let mut sections = Vec::new();
    for path in &args.recordings {
        match against::watched(path, &set) {
            Ok(section) => sections.push(section),
            Err(error) => return fail(2, error),
        }
    }
    code.max(write(out, &[names(&args.policies)], &sections))
}

/// Writes the page; gives the exit code.
fn write(out: &Path, sides: &[String], sections: &[Section]) -> i32 {
    match std::fs::write(out, report::page(sides, sections)) {
        Ok(()) => 0,
        Err(error) => fail(2, format!("{}: {error}", out.display())),
    }
}

fn policies(files: &[PathBuf]) -> Result<(PolicySet, Vec<String>), i32> {
    if files.is_empty() {
        let set = policy::parse("policies/standard.toml", STANDARD).map_err(|errors| fail(2, errors))?;
        return Ok((set, vec![STANDARD.into()]));
    }
    let set = crate::config::read_policies(files).map_err(|errors| fail(2, errors))?;
    Ok((
        set,
        files
            .iter()
            .filter_map(|file| std::fs::read_to_string(file).ok())
            .collect(),
    ))
}

/// Two sets of policies over the same recordings; exit code 1 when they part.
fn compare(args: &Args, set: &PolicySet) -> i32 {
    let other = match policies(&args.against) {
        Ok((other, _)) => other,
        Err(code) => return code,
    };
    let (ours, theirs) = (names(&args.policies), names(&args.against));
    let mut code = 0;
    let mut sections = Vec::new();
    for path in &args.recordings {
        let sides = [(ours.as_str(), set), (theirs.as_str(), &other)];
        match against::compare(path, sides, args.json, args.report.is_some()) {
            Ok((section, parts)) => {
                code = code.max(i32::from(parts));
                sections.extend(section);
            }
            Err(error) => return fail(2, error),
        }
    }
    match &args.report {
        Some(out) => code.max(write(out, &[ours, theirs], &sections)),
        None => code,
    }
}

/// The files of a set, for people.
fn names(files: &[PathBuf]) -> String {
    match files {
        [] => "the standard policies".into(),
        files => {
            let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
            names.join(" + ")
        }
    }
}

fn show(json: bool, line: &DecisionLine) {
    if json {
        println!("{}", serde_json::to_string(line).unwrap_or_default());
        return;
    }
    let numbers = match (&line.value, &line.threshold) {
        (Some(value), Some(threshold)) => format!("  {value} against {threshold}"),
        _ => String::new(),
    };
    let rung = line.rung.as_deref().unwrap_or("-");
    let at = crate::model::Timestamp::from_ms(line.at);
    println!("{at}  {}: {rung} {}{numbers}", line.policy, line.state);
    println!("    why: {}", line.why);
    for order in &line.orders {
        let detail = match (&order.side, &order.quantity) {
            (Some(side), Some(quantity)) => format!(" {side} {quantity}"),
            _ => order.order_id.map_or(String::new(), |id| format!(" {id}")),
        };
        println!("    → {}{detail} {}", order.kind, order.symbol);
    }
}

fn summary(json: bool, played: &Played) -> i32 {
    if !json {
        println!("{} lines, {} decisions", played.lines, played.decisions);
    }
    match (&played.difference, played.is_comparable) {
        (Some((recorded, replayed)), _) => {
            eprintln!("the replay differs from the recording:\n  recorded {recorded}\n  replayed {replayed}");
            1
        }
        (None, true) => {
            if !json {
                println!("the same decisions as the run that was recorded");
            }
            0
        }
        (None, false) => 0,
    }
}
