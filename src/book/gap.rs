//! Our margin against the venue's, at every digest; where they differ twice in a row, the worse one counts.
//!
//! Once is not enough: one odd reading must not close anything. The second is asked for at once, so that the wait is
//! that of a reading and not of a digest.
//!
//! The two are compared at the mark prices of the venue's own answer. Between digests marks move and the venue says
//! nothing, so what is kept is the gap: later numbers of ours are moved by it until the next digest, or until it is too
//! old. A reading that is older than what the stream said is not compared, for it tells of another position.
//!
//! Source: POLICIES.md b.2; binance-usdm.md 9.2 (exact equality of the REST numbers unsure, hence the tolerance).

use super::{Book, Bucket, BucketMargin, HOLDINGS_AGE_MAX, Missing};
use crate::event::{Claim, Claims, LegClaim};
use crate::model::{Asset, Leg, MarginType, Money, Ratio, Timestamp};
use std::fmt;

/// Ratios closer than this, relative to ours, are the same: the venue rounds (POLICIES.md b.2).
const TOLERANCE: Ratio = Ratio::bps(200);

/// What a reading holds that is older than what we know already.
#[derive(Debug, Default)]
pub(super) struct Late {
    pub assets: Vec<Asset>,
    pub legs: Vec<Leg>,
}

/// Two counts of one bucket's margin that differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    own: BucketMargin,
    venue: BucketMargin,
    at: Timestamp,
    /// Whether the reading before this one differed too (POLICIES.md b.2).
    is_confirmed: bool,
}

impl Gap {
    /// The gap between two counts of the same moment; `None` when they agree.
    fn between(own: BucketMargin, venue: BucketMargin, at: Timestamp) -> Option<Gap> {
        let differs = match (own.ratio(), venue.ratio()) {
            (Some(a), Some(b)) => (a - b).abs() > a.times(TOLERANCE),
            (a, b) => a != b,
        };
        differs.then_some(Gap {
            own,
            venue,
            at,
            is_confirmed: false,
        })
    }

    /// What the venue demands, as a multiple of what we count; `None` when we count nothing.
    fn factor(&self) -> Option<Ratio> {
        self.venue.maintenance.ratio_of(self.own.maintenance)
    }

    /// A count of ours as the venue would make it: maintenance in the same proportion, for it follows the position,
    /// and the balance moved by the same amount.
    fn moved(&self, own: BucketMargin) -> BucketMargin {
        BucketMargin {
            maintenance: self.factor().map_or_else(
                || own.maintenance + self.venue.maintenance,
                |factor| own.maintenance.share(factor),
            ),
            balance: own.balance + self.venue.balance - self.own.balance,
        }
    }

    /// The worse of our count and the venue's.
    pub(super) fn worse(&self, own: BucketMargin) -> BucketMargin {
        let venue = self.moved(own);
        // No balance left is worse than any ratio.
        match (own.ratio(), venue.ratio()) {
            (Some(a), Some(b)) if a < b => venue,
            (Some(_), None) => venue,
            _ => own,
        }
    }
}

impl Book {
    /// Where our margin and the venue's differed twice in a row; `None` when they agree, or when the last comparison
    /// is too old.
    pub fn gap(&self, bucket: &Bucket) -> Option<&Gap> {
        self.fresh_gap(bucket).filter(|gap| gap.is_confirmed)
    }

    fn fresh_gap(&self, bucket: &Bucket) -> Option<&Gap> {
        let gap = self.gaps.get(bucket)?;
        (self.now.since(gap.at) <= HOLDINGS_AGE_MAX).then_some(gap)
    }

    /// Whether the reading of this moment is the first that differs somewhere: another one must tell whether it counts.
    pub fn has_new_gap(&self) -> bool {
        self.gaps
            .values()
            .any(|gap| gap.at == self.now && !gap.is_confirmed)
    }

    /// Every bucket whose margin the venue counts otherwise.
    pub fn gaps(&self) -> impl Iterator<Item = (&Bucket, &Gap)> {
        self.gaps
            .keys()
            .filter_map(|bucket| Some((bucket, self.gap(bucket)?)))
    }

    /// What one unit of maintenance by our tiers is at the venue, as far as it counts now.
    pub fn maintenance_factor(&self, bucket: &Bucket) -> Ratio {
        let own = self.own_margin(bucket, |leg| self.mark_price(&leg.symbol));
        match (self.gap(bucket), own) {
            (Some(gap), Ok(own)) if gap.worse(own) != own => gap.factor().unwrap_or(Ratio::ONE),
            _ => Ratio::ONE,
        }
    }

    /// A digest came with the venue's own count. What is late, or cannot be counted here, keeps its last gap.
    pub(super) fn compare(&mut self, claims: &Claims, late: &Late) {
        let buckets = self.buckets().unwrap_or_default();
        self.gaps.retain(|bucket, _| buckets.contains(bucket));
        for bucket in buckets {
            let is_late = match &bucket {
                Bucket::Cross(asset) => late.assets.contains(asset),
                Bucket::Whole => !late.assets.is_empty(),
                Bucket::Isolated(_) => false,
            };
            if is_late || self.in_bucket(&bucket).any(|(leg, _)| late.legs.contains(leg)) {
                continue;
            }
            let own = self.own_margin(&bucket, |leg| {
                let claim = claim(claims, leg).ok_or_else(|| Missing::Mark(leg.symbol.clone()))?;
                let amount = self.amount(leg).abs();
                let mark = claim.notional.per_unit(amount);
                mark.ok_or_else(|| Missing::Mark(leg.symbol.clone()))
            });
            let (Ok(own), Some(venue)) = (own, self.claimed(claims, &bucket)) else {
                continue;
            };
            match Gap::between(own, venue, self.now) {
                Some(mut gap) => {
                    gap.is_confirmed = self.fresh_gap(&bucket).is_some();
                    self.gaps.insert(bucket, gap)
                }
                None => self.gaps.remove(&bucket),
            };
        }
    }

    /// The venue's count of a bucket.
    fn claimed(&self, claims: &Claims, bucket: &Bucket) -> Option<BucketMargin> {
        let Claim { maintenance, balance } = match bucket {
            Bucket::Whole => claims.whole,
            Bucket::Isolated(leg) => claim(claims, leg)?.margin,
            Bucket::Cross(asset) => {
                let (_, whole) = claims.assets.iter().find(|(known, _)| known == asset)?;
                let (mut cross, mut isolated) = (Money::ZERO, Money::ZERO);
                for (leg, claim) in &claims.legs {
                    let found = self.instrument(&leg.symbol).ok();
                    if found.is_some_and(|found| found.margin_asset == *asset) {
                        match self.margin_type(leg) {
                            MarginType::Cross => cross += claim.margin.maintenance,
                            MarginType::Isolated => isolated += claim.margin.maintenance,
                        }
                    }
                }
                // Whether an asset's maintenance includes isolated positions is unsure (9.2): the worse reading.
                let maintenance = cross.max(whole.maintenance - isolated);
                Claim {
                    maintenance,
                    balance: whole.balance,
                }
            }
        };
        Some(BucketMargin { maintenance, balance })
    }
}

fn claim<'a>(claims: &'a Claims, leg: &Leg) -> Option<&'a LegClaim> {
    claims
        .legs
        .iter()
        .find(|(known, _)| known == leg)
        .map(|(_, claim)| claim)
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ratio = |margin: &BucketMargin| margin.ratio().map_or("no balance left".into(), Ratio::percent);
        write!(
            f,
            "by our count {}, by the venue's {}: the worse one counts",
            ratio(&self.own),
            ratio(&self.venue)
        )
    }
}
