//! The verbs of the command line, a file each.

pub mod accounts;
pub mod alerts;
pub mod check;
pub mod control;
pub mod drill;
pub mod kill;
pub mod plan;
pub mod rearm;
pub mod record;
pub mod replay;
pub mod run;
pub mod sim;
pub mod status;
pub mod test;

use crate::clock::Clock;
use clap::{Parser, Subcommand};

/// An independent risk guard for crypto-futures accounts: it can only shrink risk.
#[derive(Parser)]
#[command(name = "backstop", version, about, max_term_width = 110)]
#[command(
    after_help = "First steps:\n  backstop run --sim        watch it guard an account on the embedded exchange\n  backstop check            validate your configuration and policies\n  backstop plan             see what would fire now, and what each rung would send\n  backstop run              guard your accounts, dry: nothing is sent"
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
    /// What goes to the log on stderr, such as `info` or `backstop=debug`.
    #[arg(
        long,
        global = true,
        env = "BACKSTOP_LOG",
        default_value = "warn",
        value_name = "FILTER"
    )]
    pub log: String,
}

/// What to do.
#[derive(Subcommand)]
pub enum Verb {
    /// Guards every configured account.
    Run(run::Args),
    /// Replays recordings: what would the policies have decided?
    Replay(replay::Args),
    /// Plays policy tests; why did one fail, what is untested?
    Test(test::Args),
    /// Writes an account's stream and readings as a recording.
    Record(record::Args),
    /// Validates configuration and policies, offline.
    Check(check::Args),
    /// What would fire now, headroom, and what each rung would send; reads only.
    Plan(plan::Args),
    /// Closes entries or everything, and keeps it so until re-arm.
    Kill(kill::Args),
    /// Releases kills and manual latches.
    Rearm(rearm::Args),
    /// One line an account.
    Status(status::Args),
    /// Tries the channels of alerts, and acknowledges what they told.
    Alerts(alerts::Args),
    /// Serves the embedded exchange alone.
    Sim(sim::Args),
    /// Proves the whole chain with play money, and writes a report.
    Drill(drill::Args),
}

/// Does it; gives the exit code.
pub async fn dispatch(cli: Cli, clock: Clock) -> i32 {
    match cli.verb {
        Verb::Run(args) => run::run(args, clock).await,
        Verb::Replay(args) => replay::run(&args),
        Verb::Test(args) => test::run(&args),
        Verb::Record(args) => record::run(args, clock).await,
        Verb::Check(args) => check::run(&args),
        Verb::Plan(args) => plan::run(args, clock).await,
        Verb::Kill(args) => kill::run(&args).await,
        Verb::Rearm(args) => rearm::run(&args).await,
        Verb::Status(args) => status::run(&args).await,
        Verb::Alerts(args) => alerts::run(args, clock).await,
        Verb::Drill(args) => drill::run(args, clock).await,
        Verb::Sim(args) => sim::run(args, || crate::clock::now().ms()).await,
    }
}

/// Prints an error as every verb does, and gives its exit code back.
fn fail(code: i32, text: impl std::fmt::Display) -> i32 {
    anstream::eprintln!("{text}");
    code
}
