//! `backstop kill`: the kill switch, through the running guard.

use super::control::{Desk, Where};
use crate::serve::Role;
use serde_json::json;

/// Closes entries, or closes everything, and keeps it so until re-arm.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  backstop kill --block                      no new entries; positions and stops stay\n  backstop kill --flatten                    close everything and stay flat\n  backstop kill --flatten --symbol BTCUSDT   close one symbol\n\nWithout the control API: put a file named KILL into the guard's state directory."
)]
#[command(group(clap::ArgGroup::new("action").required(true).args(["block", "flatten"])))]
pub struct Args {
    /// Which account, when several are guarded.
    #[arg(long, value_name = "LABEL")]
    account: Option<String>,
    /// One symbol instead of everything.
    #[arg(long, value_name = "SYMBOL")]
    symbol: Option<String>,
    /// Cancels what could add exposure, and keeps doing so.
    #[arg(long)]
    block: bool,
    /// Closes everything in scope, and keeps it closed.
    #[arg(long)]
    flatten: bool,
    /// For the record.
    #[arg(long, value_name = "TEXT", default_value = "by hand")]
    reason: String,
    #[command(flatten)]
    place: Where,
}

/// Runs the verb; gives the exit code.
pub async fn run(args: &Args) -> i32 {
    let desk = match Desk::open(&args.place) {
        Ok(desk) => desk,
        Err(code) => return code,
    };
    // The label is known without asking when it is given: one request less before the kill.
    let account = match &args.account {
        Some(label) => label.clone(),
        None => match desk.status().await.and_then(|status| desk.choose(&status, None)) {
            Ok(account) => account,
            Err(code) => return code,
        },
    };
    let action = if args.flatten { "flatten" } else { "block" };
    let body = json!({ "account": account, "action": action, "symbol": args.symbol, "reason": args.reason });
    desk.command(Role::Kill, "/api/v1/kill", &body).await
}
