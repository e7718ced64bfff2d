//! `backstop rearm`: releases kills and manual latches, once their cause is shown and the label is typed.

use super::control::{Desk, Where};
use super::fail;
use crate::serve::Role;
use anstream::{print, println};
use serde_json::json;
use std::io::{IsTerminal, Write};

/// Releases kills and manual latches.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  backstop rearm                      shows the cause, asks for the label\n  backstop rearm --baseline rebase    counts drawdown and losses anew from the present equity\n  backstop rearm --confirm main       without a terminal\n\nRefused while the cause still stands, unless the baseline is set anew."
)]
pub struct Args {
    /// Which account, when several are guarded.
    #[arg(long, value_name = "LABEL")]
    account: Option<String>,
    /// What becomes of high-water marks and period bases.
    #[arg(long, value_parser = ["keep", "rebase"], default_value = "keep")]
    baseline: String,
    /// The account's label, typed again.
    #[arg(long, value_name = "LABEL")]
    confirm: Option<String>,
    #[command(flatten)]
    place: Where,
}

/// Runs the verb; gives the exit code.
pub async fn run(args: &Args) -> i32 {
    let found = async {
        let desk = Desk::open(&args.place)?;
        let status = desk.status().await?;
        let account = desk.choose(&status, args.account.as_deref())?;
        Ok::<_, i32>((desk, status, account))
    };
    let (desk, status, account) = match found.await {
        Ok(found) => found,
        Err(code) => return code,
    };
    let Some(state) = status.accounts.iter().find(|known| known.label == account) else {
        return fail(2, format!("account {account} is not guarded"));
    };
    let unknown = || "unknown".to_owned();
    match &state.latch {
        Some(latch) => println!("{account} is {} because of {}", state.state, latch.cause),
        None => println!("{account} is {}; nothing is latched", state.state),
    }
    println!(
        "equity {}, high-water mark {}, drawdown {}, margin ratio {}",
        state
            .equity
            .as_ref()
            .map_or_else(unknown, |equity| format!("{equity} USDT")),
        state.high_water.clone().unwrap_or_else(unknown),
        state.drawdown.clone().unwrap_or_else(unknown),
        state.margin_ratio.clone().unwrap_or_else(unknown),
    );
    let confirm = match &args.confirm {
        Some(typed) => typed.clone(),
        None if std::io::stdin().is_terminal() => {
            print!(
                "type the account's label to re-arm it (baseline {}): ",
                args.baseline
            );
            let _ = std::io::stdout().flush();
            let mut typed = String::new();
            if std::io::stdin().read_line(&mut typed).is_err() {
                return fail(2, "nothing could be read");
            }
            typed.trim().to_owned()
        }
        None => return fail(2, format!("without a terminal, add --confirm {account}")),
    };
    if confirm != account {
        return fail(1, format!("`{confirm}` is not `{account}`: nothing was changed"));
    }
    let body = json!({ "account": account, "confirm": confirm, "baseline": args.baseline });
    desk.command(Role::Rearm, "/api/v1/rearm", &body).await
}
