//! Maintenance margin ÷ margin balance, one bucket at a time: cross per margin asset, each isolated position, the
//! whole account in multi-assets mode.
//!
//! Trips when a bucket's ratio is at or above a threshold; a bucket that needs margin and has no positive balance is
//! beyond all of them. Before the account was read, or when a mark price, an entry price or a maintenance tier is
//! missing, it is unknown. At every digest our count is compared with the venue's own, and the worse one counts.
//! Recovers when the ratio is `clear` under the threshold. Does not cover what the venue neither says nor documents
//! (portfolio margin, credits).
//!
//! Source: POLICIES.md b.2; binance-usdm.md 9.

use super::{Amount, Assessment, Measured, Scope, View};
use crate::book::Missing;
use crate::model::Ratio;

/// How far above its target a bucket may stay after a reduction: rounding and a tick of the market, not a reason for
/// another order.
const REACHED_WITHIN: Ratio = Ratio::bps(50);

/// Maintenance margin over margin balance, a bucket at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarginRatio;

impl MarginRatio {
    pub(super) fn assess(&self, view: View<'_>, out: &mut Vec<Assessment>) {
        let unknown = |why: Missing| Assessment {
            scope: Scope::Account,
            measured: Measured::Unknown(why),
        };
        if !view.book.is_ready() {
            return out.push(unknown(Missing::Snapshot));
        }
        let buckets = match view.book.buckets() {
            Ok(buckets) => buckets,
            Err(why) => return out.push(unknown(why)),
        };
        for bucket in buckets {
            let measured = match view.book.margin(&bucket) {
                Ok(margin) => match margin.ratio() {
                    Some(ratio) => Measured::Value(Amount::Ratio(ratio)),
                    None => Measured::Beyond,
                },
                Err(why) => Measured::Unknown(why),
            };
            out.push(Assessment {
                scope: Scope::Bucket(bucket),
                measured,
            });
        }
    }
}

/// The ratio with the numbers that make it.
pub(super) fn explain(view: View<'_>, scope: &Scope) -> String {
    let Scope::Bucket(bucket) = scope else {
        return "no bucket".into();
    };
    match view.book.margin(bucket) {
        Ok(margin) => {
            let ratio = margin.ratio().map_or("no balance left".into(), Ratio::percent);
            let (needed, there) = (Amount::Money(margin.maintenance), Amount::Money(margin.balance));
            let gap = view
                .book
                .gap(bucket)
                .map_or(String::new(), |gap| format!(" ({gap})"));
            format!("{bucket}: maintenance {needed} / balance {there} = {ratio}{gap}")
        }
        Err(why) => format!("{bucket}: {why}"),
    }
}

/// Whether a bucket's ratio is at its target, within [`REACHED_WITHIN`].
pub(super) fn has_reached(view: View<'_>, scope: &Scope, to: Amount) -> bool {
    let (Scope::Bucket(bucket), Amount::Ratio(to)) = (scope, to) else {
        return false;
    };
    match view.book.margin(bucket).map(|margin| margin.ratio()) {
        Ok(Some(ratio)) => ratio <= to + REACHED_WITHIN,
        Ok(None) | Err(_) => false,
    }
}
