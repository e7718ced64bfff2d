//! `backstop status`: one line an account that anybody understands.

use super::control::{Desk, Where};
use crate::model::Ratio;
use crate::serve::status::AccountStatus;
use anstream::{print, println};
use rust_decimal::{Decimal, RoundingStrategy};
use std::io::IsTerminal;
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
            if args.watch && std::io::stdout().is_terminal() {
                // Over the lines before, instead of below them.
                print!("\x1b[H\x1b[2J");
            }
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

/// `main    ARMED       live     equity 10,000.00 USDT   drawdown 0%   margin ratio 12.4%   1 position, 2 orders`
fn line(account: &AccountStatus) -> String {
    let share = |text: &Option<String>| {
        let parsed = text.as_ref().and_then(|text| text.parse::<Ratio>().ok());
        parsed.map_or("unknown".into(), Ratio::percent)
    };
    let equity = account.equity.as_ref().and_then(|text| text.parse().ok());
    let equity = equity.map_or("unknown".into(), |equity| format!("{} USDT", money(equity)));
    let some = |count: usize, what: &str| match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    };
    format!(
        "{:<7} {}{:<11}{PLAIN} {:<8} equity {equity}   drawdown {}   margin ratio {}   {}, {}",
        account.label,
        colour(&account.state),
        account.state.to_uppercase(),
        account.mode,
        share(&account.drawdown),
        share(&account.margin_ratio),
        some(account.positions.len(), "position"),
        some(account.orders.len(), "order"),
    )
}

/// The end of a colour.
const PLAIN: &str = "\x1b[0m";

/// Green is well, red wants somebody, yellow is in between; `anstream` takes it off where it cannot be shown.
fn colour(state: &str) -> &'static str {
    match state {
        "armed" => "\x1b[32m",
        "starting" | "blocked" | "reducing" => "\x1b[33m",
        _ => "\x1b[31m",
    }
}

/// Two decimals, and the thousands apart: `-10,000.13`.
pub(super) fn money(value: Decimal) -> String {
    let cents = value.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero);
    let text = format!("{:.2}", cents.abs());
    let (whole, rest) = text.split_once('.').unwrap_or((&text, "00"));
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && whole.len().saturating_sub(at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let sign = if cents < Decimal::ZERO { "-" } else { "" };
    format!("{sign}{grouped}.{rest}")
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
        let text = anstream::adapter::strip_str(&line(&account)).to_string();
        assert!(
            text.starts_with("main    ARMED       live     equity 10,000.13 USDT"),
            "{text}"
        );
        assert!(text.contains("margin ratio 12.38%"), "{text}");
    }

    #[test]
    fn money_is_read_in_thousands() {
        for (value, text) in [
            ("0", "0.00"),
            ("999.999", "1,000.00"),
            ("-123456.7", "-123,456.70"),
            ("1234567.891", "1,234,567.89"),
            ("100", "100.00"),
            ("-0.001", "0.00"),
        ] {
            assert_eq!(money(value.parse().unwrap()), text);
        }
    }
}
