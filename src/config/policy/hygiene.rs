//! The keys of the types that watch orders and stops.

use super::amount::{money, share};
use crate::config::fields::{Fields, number, short, texts};
use crate::config::node::Problems;
use crate::model::Ratio;
use crate::policy::foreign_activity::ForeignActivity;
use crate::policy::order_limits::OrderLimits;
use crate::policy::spec::Kind;
use crate::policy::unprotected_position::UnprotectedPosition;

pub(super) fn unprotected_position(fields: &mut Fields<'_>, problems: &mut Problems) -> Option<Kind> {
    /// Stops that a bot rounds to its lots cover not quite all (POLICIES.md b.5).
    const COVERAGE: Ratio = Ratio::bps(9_500);
    let min_coverage = match fields.get("min_coverage") {
        None => Some(COVERAGE),
        Some(node) => share(node, "min_coverage", problems),
    };
    let furthest = match fields.get("max_stop_distance") {
        None => Some(None),
        Some(node) => share(node, "max_stop_distance", problems).map(Some),
    };
    let (min_coverage, max_stop_distance) = min_coverage.zip(furthest)?;
    Some(Kind::UnprotectedPosition(UnprotectedPosition {
        min_coverage,
        max_stop_distance,
    }))
}

pub(super) fn foreign_activity(fields: &mut Fields<'_>, problems: &mut Problems) -> Option<Kind> {
    /// Programs of one account.
    const MOST: usize = 32;
    let Some(node) = fields.get("client_id_prefixes") else {
        return Some(Kind::ForeignActivity(ForeignActivity::default()));
    };
    let written = texts(node, "client_id_prefixes", problems)?;
    if written.is_empty() || written.len() > MOST {
        let message = format!(
            "`client_id_prefixes` has {} entries, not 1 to {MOST}",
            written.len()
        );
        let hint = "without the key no order is foreign".to_owned();
        problems.error(&node.place, "prefixes", message, hint);
        return None;
    }
    let mut is_fine = true;
    for (prefix, node) in &written {
        // The venue's alphabet and length of a client order id (binance-usdm.md 6.1).
        let plain = |c: char| c.is_ascii_alphanumeric() || ".:/_-".contains(c);
        if prefix.is_empty() || prefix.len() > 36 || !prefix.chars().all(plain) {
            let message = format!("`{}` cannot begin a client order id", short(prefix));
            let hint = "1 to 36 of the characters A-Z, a-z, 0-9 and `.:/_-`".to_owned();
            problems.error(&node.place, "prefixes", message, hint);
            is_fine = false;
        }
    }
    let prefixes = written.into_iter().map(|(prefix, _)| prefix.to_owned()).collect();
    is_fine.then_some(Kind::ForeignActivity(ForeignActivity {
        client_id_prefixes: Some(prefixes),
    }))
}

pub(super) fn order_limits(fields: &mut Fields<'_>, problems: &mut Problems) -> Option<Kind> {
    /// Well above what the venue takes of one account: 1,200 in a minute, 200 open in a symbol.
    const MOST: u32 = 4_000;
    let before = problems.items.len();
    let mut whole = |name: &'static str| {
        let node = fields.get(name)?;
        let written = number(node, name, problems)?;
        let read = written.parse().ok().filter(|read| (1..=MOST).contains(read));
        if read.is_none() {
            let message = format!(
                "`{name}` is `{}`, not a whole number of 1 to {MOST}",
                short(&written)
            );
            problems.error(
                &node.place,
                "range",
                message,
                format!("write it like {name} = 50"),
            );
        }
        read
    };
    let max_open_orders = whole("max_open_orders");
    let max_orders_per_minute = whole("max_orders_per_minute");
    let max_order_notional = fields
        .get("max_order_notional")
        .and_then(|node| money(node, "max_order_notional", problems));
    let max_price_deviation = fields
        .get("max_price_deviation")
        .and_then(|node| share(node, "max_price_deviation", problems));
    let limits = OrderLimits {
        max_open_orders,
        max_order_notional,
        max_orders_per_minute,
        max_price_deviation,
    };
    if problems.items.len() > before {
        return None;
    }
    if limits == OrderLimits::default() {
        let hint = "write at least one limit, such as max_order_notional = \"20000\"".to_owned();
        fields.missing("max_order_notional", hint, problems);
        return None;
    }
    Some(Kind::OrderLimits(limits))
}
