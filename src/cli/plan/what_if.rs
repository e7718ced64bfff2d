//! What `--shock` and `--withdraw` would bring, beside what is.

use super::Look;
use super::text::{BOLD, PLAIN, RED, cents, digits, line, now, policies, ratio};
use crate::book::{Bucket, BucketMargin, Missing};
use crate::guard::preview::{Held, Preview};
use crate::model::{Money, Ratio};
use std::fmt::Write;

/// Adds the account as it would be after the shock.
pub(super) fn section(page: &mut String, look: &Look) -> std::fmt::Result {
    writeln!(page, "\n{BOLD}  WHAT IF{PLAIN}   {}", supposed(look))?;
    let Some(then) = &look.then else {
        return line(
            page,
            "THEN",
            &format!("{RED}unknown: the account could not be read{PLAIN}"),
        );
    };
    for held in &then.positions {
        price(page, held, &look.preview)?;
    }
    line(
        page,
        "equity",
        &format!("{} → {}", worth(&look.preview.equity), worth(&then.equity)),
    )?;
    for (bucket, margin) in &then.buckets {
        line(page, "margin", &of_bucket(bucket, margin, &look.preview))?;
    }
    now(page, "THEN", then)?;
    policies(page, &then.policies, Some(&look.preview.policies))
}

/// `3,000.00 USDT withdrawn, BTCUSDT -8%, every other contract 5%`
fn supposed(look: &Look) -> String {
    let shock = &look.shock;
    let mut words = Vec::new();
    if !shock.withdrawal.is_zero() {
        words.push(format!(
            "{} {} withdrawn",
            cents(shock.withdrawal),
            crate::book::CURRENCY
        ));
    }
    let is_alone = shock.moves.len() == 1;
    for it in &shock.moves {
        let name = match &it.symbol {
            Some(symbol) => symbol.as_str(),
            None if is_alone => "every contract",
            None => "every other contract",
        };
        words.push(format!("{name} {}", it.by.percent()));
    }
    words.join(", ")
}

/// A price that moved; one that did not is no line.
fn price(page: &mut String, held: &Held, before: &Preview) -> std::fmt::Result {
    let known = before.positions.iter().find(|known| known.leg == held.leg);
    match (known.and_then(|known| known.mark), held.mark) {
        (Some(from), Some(to)) if from != to => line(
            page,
            "price",
            &format!("{}   {} → {}", held.leg, digits(from), digits(to)),
        ),
        _ => Ok(()),
    }
}

fn worth(equity: &Result<Money, Missing>) -> String {
    match equity {
        Ok(equity) => cents(*equity),
        Err(why) => format!("{RED}unknown: {why}{PLAIN}"),
    }
}

/// `cross USDT: 4.2% → 31.3% = 400.00 of 1,280.00`
fn of_bucket(bucket: &Bucket, margin: &Result<BucketMargin, Missing>, before: &Preview) -> String {
    let known = before.buckets.iter().find(|(known, _)| known == bucket);
    let was = match known.map(|(_, margin)| margin) {
        Some(Ok(margin)) => margin.ratio().map_or("NO BALANCE".into(), Ratio::percent),
        Some(Err(_)) | None => "unknown".into(),
    };
    let (will, is_over) = match margin {
        Ok(margin) => (
            ratio(margin),
            margin.ratio().is_none_or(|ratio| ratio >= Ratio::ONE),
        ),
        Err(why) => (format!("{RED}unknown: {why}{PLAIN}"), false),
    };
    let end = if is_over {
        format!("   {RED}THE VENUE LIQUIDATES BEFORE THAT{PLAIN}")
    } else {
        String::new()
    };
    format!("{bucket}: {was} → {will}{end}")
}
