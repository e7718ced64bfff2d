//! `backstop replay`: recordings through the policies, dry.

use super::fail;
use crate::config::policy;
use crate::replay::lines::DecisionLine;
use crate::replay::play::{self, Played};
use crate::replay::recording;
use anstream::{eprintln, println};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

/// The policies that are used when none are named.
const STANDARD: &str = include_str!("../../policies/standard.toml");

/// Replays recordings: what would the policies have decided?
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  backstop replay fixtures/recordings/flash-crash.jsonl\n  backstop replay --policies mine.toml --json run.jsonl | jq .why\n\nExit code 1: the recording holds decisions made under the same policies, and the replay differs from them."
)]
pub struct Args {
    /// Recordings, plain or gzipped, in the order given.
    #[arg(required = true, value_name = "RECORDING")]
    recordings: Vec<PathBuf>,
    /// Policy file; the shipped standard policies when absent.
    #[arg(long, value_name = "FILE")]
    policies: Vec<PathBuf>,
    /// One decision a line, as JSON.
    #[arg(long)]
    json: bool,
    /// Plays at N times the recorded speed instead of as fast as possible.
    #[arg(long, value_name = "N")]
    speed: Option<u32>,
}

/// Runs the verb; gives the exit code.
pub fn run(args: &Args) -> i32 {
    let (set, texts) = match policies(&args.policies) {
        Ok(found) => found,
        Err(code) => return code,
    };
    let digest = play::digest(&texts);
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
        let bar = progress();
        let mut last = None;
        let paced = |at: crate::model::Timestamp| {
            bar.inc(1);
            if let (Some(speed), Some(before)) = (args.speed.filter(|speed| *speed > 0), last.replace(at)) {
                let wait = at.since(before).ms() / i64::from(speed);
                std::thread::sleep(Duration::from_millis(u64::try_from(wait).unwrap_or(0)));
            }
        };
        let played = play::play(&header, entries, &set, &digest, paced, |line| {
            bar.suspend(|| show(args.json, line));
        });
        bar.finish_and_clear();
        match played {
            Ok(played) => code = code.max(summary(args.json, &played)),
            Err(error) => return fail(2, error),
        }
    }
    code
}

fn policies(files: &[PathBuf]) -> Result<(crate::policy::PolicySet, Vec<String>), i32> {
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

/// A bar on a terminal only, and only when it takes longer than a second.
fn progress() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {pos} lines, {per_sec}, {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(1_000));
    bar
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
