//! How far the market may move against a bucket before the venue liquidates it, one bucket at a time.
//!
//! Measured by our own arithmetic over every scenario of [`crate::book::shock`]; for an isolated position the venue's
//! liquidation price is asked too, and the nearer one counts. At cross the venue's price assumes that everything else
//! stands still, and is not asked. Trips when the distance is at or below a threshold, so thresholds fall as they get
//! graver; at liquidation and beyond it is zero. It is unknown when the margin ratio is. Recovers when the distance is
//! `clear` above the threshold. Does not cover the loss of one leg of a pair, nor contracts that move more than others.
//!
//! Source: POLICIES.md b.2.

use super::{Amount, Assessment, Measured, Scope, View};
use crate::book::{Bucket, Missing};
use crate::model::Ratio;

/// The share of its target that may be missing after a reduction: rounding and a tick of the market, not a reason for
/// another order.
const REACHED_WITHIN: Ratio = Ratio::bps(200);

/// The adverse move to liquidation, a bucket at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiquidationDistance;

impl LiquidationDistance {
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
            let measured = match measure(view, &bucket) {
                Ok((distance, _)) => Measured::Value(Amount::Ratio(distance)),
                Err(why) => Measured::Unknown(why),
            };
            out.push(Assessment {
                scope: Scope::Bucket(bucket),
                measured,
            });
        }
    }

    /// The distance, and what brings it about.
    pub(super) fn explain(&self, view: View<'_>, scope: &Scope) -> String {
        let Scope::Bucket(bucket) = scope else {
            return "no bucket".into();
        };
        match measure(view, bucket) {
            Ok((distance, what)) => format!("{bucket}: {} to liquidation by {what}", distance.percent()),
            Err(why) => format!("{bucket}: {why}"),
        }
    }

    /// Whether a bucket's distance is at its target, within [`REACHED_WITHIN`].
    pub(super) fn has_reached(&self, view: View<'_>, scope: &Scope, to: Amount) -> bool {
        let (Scope::Bucket(bucket), Amount::Ratio(to)) = (scope, to) else {
            return false;
        };
        measure(view, bucket).is_ok_and(|(distance, _)| to - to.times(REACHED_WITHIN) <= distance)
    }
}

/// The nearer of our distance and the venue's, and what it is counted by.
fn measure(view: View<'_>, bucket: &Bucket) -> Result<(Ratio, String), Missing> {
    let ground = view.book.ground(bucket, &view.spec.wishes.pairs)?;
    let own = ground.distance();
    let venue = match bucket {
        Bucket::Isolated(leg) => view.book.venue_distance(leg),
        Bucket::Cross(_) | Bucket::Whole => None,
    };
    if let Some(venue) = venue.filter(|venue| *venue < own.by) {
        return Ok((
            venue,
            format!(
                "the venue's liquidation price (by our count {})",
                own.by.percent()
            ),
        ));
    }
    let what = match own.scenario {
        Some(scenario) => ground.words(scenario),
        None if own.by.is_positive() => "no move".into(),
        None => "no move: it is at liquidation".into(),
    };
    Ok((own.by, what))
}
