//! `backstop status`: one line an account that anybody understands.

use super::control::{Desk, Where};
use crate::model::Ratio;
use crate::serve::status::AccountStatus;
use anstream::println;
use std::time::Duration;

/// One line an account.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  backstop status\n  backstop status --watch\n  backstop status --json | jq '.accounts[0].policies'"
)]
pub struct Args {
    /// Again every second, until Ctrl-C.
    #[arg(long)]
    watch: bool,
    /// Everything, as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Where,
}

/// Runs the verb; gives the exit code.
pub async fn run(args: &Args) -> i32 {
    let desk = match Desk::open(&args.place) {
        Ok(desk) => desk,
        Err(code) => return code,
    };
    loop {
        let status = match desk.status().await {
            Ok(status) => status,
            Err(code) => return code,
        };
        if args.json {
            println!("{}", serde_json::to_string(&status).unwrap_or_default());
        } else {
            for account in &status.accounts {
                println!("{}", line(account));
                if let Some(latch) = &account.latch {
                    println!(
                        "        because of {}; to release it: {}",
                        latch.cause, latch.rearm
                    );
                }
            }
        }
        if !args.watch {
            return 0;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// `main    ARMED        live     equity 10000.00 USDT   drawdown 0%   margin ratio 12.4%   1 position, 2 orders`
fn line(account: &AccountStatus) -> String {
    let share = |text: &Option<String>| {
        let parsed = text.as_ref().and_then(|text| text.parse::<Ratio>().ok());
        parsed.map_or("unknown".into(), Ratio::percent)
    };
    let equity = account
        .equity
        .as_ref()
        .and_then(|text| text.parse::<rust_decimal::Decimal>().ok());
    let equity = equity.map_or("unknown".into(), |equity| format!("{} USDT", equity.round_dp(2)));
    let some = |count: usize, what: &str| match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    };
    format!(
        "{:<7} {:<11} {:<8} equity {equity}   drawdown {}   margin ratio {}   {}, {}",
        account.label,
        account.state.to_uppercase(),
        account.mode,
        share(&account.drawdown),
        share(&account.margin_ratio),
        some(account.positions.len(), "position"),
        some(account.orders.len(), "order"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_it_all_and_unknown_is_not_zero() {
        let mut account = AccountStatus {
            label: "main".into(),
            state: "armed".into(),
            mode: "live".into(),
            ..AccountStatus::default()
        };
        assert!(
            line(&account).contains("equity unknown   drawdown unknown   margin ratio unknown   0 positions")
        );
        account.equity = Some("10000.128".into());
        account.margin_ratio = Some("0.1238".into());
        let text = line(&account);
        assert!(
            text.starts_with("main    ARMED       live     equity 10000.13 USDT"),
            "{text}"
        );
        assert!(text.contains("margin ratio 12.38%"), "{text}");
    }
}
