//! Margin by bucket: cross per margin asset, each isolated position, or the whole account in multi-assets mode.
//!
//! Source: binance-usdm.md 9.1 and 9.2; POLICIES.md b.2.

use super::{Book, Missing};
use crate::model::{Asset, Leg, MarginType, Money, Position, Price, Ratio};
use std::fmt;

/// Positions that stand on the same margin.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bucket {
    /// All cross positions of one margin asset, in that asset.
    Cross(Asset),
    /// The whole account, in US dollars.
    Whole,
    /// One isolated position.
    Isolated(Leg),
}

/// Maintenance margin and margin balance of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BucketMargin {
    /// What the venue demands, never negative.
    pub maintenance: Money,
    /// What there is: wallet plus unrealised profit.
    pub balance: Money,
}

impl BucketMargin {
    /// Maintenance margin ÷ margin balance; 1 is liquidation. A bucket that needs nothing is at 0.
    ///
    /// `None` when there is no positive balance and something is needed: worse than any ratio (C8).
    pub fn ratio(&self) -> Option<Ratio> {
        if self.maintenance.is_zero() {
            Some(Ratio::ZERO)
        } else {
            self.maintenance.ratio_of(self.balance)
        }
    }
}

impl Book {
    /// Which bucket a leg stands on; `None` when its margin asset is not known.
    pub fn bucket_of(&self, leg: &Leg, margin: Option<MarginType>) -> Option<Bucket> {
        if self.is_multi_assets() {
            return Some(Bucket::Whole);
        }
        match margin.unwrap_or_else(|| self.margin_type(leg)) {
            MarginType::Isolated => Some(Bucket::Isolated(leg.clone())),
            MarginType::Cross => self
                .instrument(&leg.symbol)
                .ok()
                .map(|found| Bucket::Cross(found.margin_asset.clone())),
        }
    }

    /// Margin type of a leg: what its position said, else what the symbol is set to, else cross.
    pub fn margin_type(&self, leg: &Leg) -> MarginType {
        self.position(leg)
            .and_then(|position| position.margin)
            .or_else(|| self.margin_types.get(&leg.symbol).copied())
            .unwrap_or(MarginType::Cross)
    }

    /// The buckets that hold positions. A position whose contract is not known gives an error, not an absence.
    pub fn buckets(&self) -> Result<Vec<Bucket>, Missing> {
        let mut buckets = Vec::new();
        for (leg, _) in self.positions() {
            let bucket = self
                .bucket_of(leg, None)
                .ok_or_else(|| Missing::Instrument(leg.symbol.clone()))?;
            if !buckets.contains(&bucket) {
                buckets.push(bucket);
            }
        }
        Ok(buckets)
    }

    /// The positions of a bucket.
    pub fn in_bucket<'a>(&'a self, bucket: &'a Bucket) -> impl Iterator<Item = (&'a Leg, &'a Position)> + 'a {
        self.positions()
            .filter(move |(leg, _)| self.bucket_of(leg, None).as_ref() == Some(bucket))
    }

    /// Margin of a bucket at the present marks.
    pub fn margin(&self, bucket: &Bucket) -> Result<BucketMargin, Missing> {
        if !self.is_ready() {
            return Err(Missing::Snapshot);
        }
        if !self.is_fresh() {
            return Err(Missing::StaleHoldings);
        }
        let mut maintenance = Money::ZERO;
        let mut balance = self.bucket_wallet(bucket)?;
        for (leg, position) in self.in_bucket(bucket) {
            let mark = self.mark_price(&leg.symbol)?;
            let needed = self.maintenance(leg, position, mark)?;
            let profit = position
                .unrealised(mark)
                .ok_or_else(|| Missing::Entry(leg.clone()))?;
            if *bucket == Bucket::Whole {
                let asset = &self.instrument(&leg.symbol)?.margin_asset;
                maintenance += self.dollars(asset, needed)?;
                balance += self.dollars(asset, profit)?;
            } else {
                maintenance += needed;
                balance += profit;
            }
        }
        Ok(BucketMargin { maintenance, balance })
    }

    /// The worst ratio of all buckets: `None` when some balance is gone. Without positions it is zero.
    pub fn worst_ratio(&self) -> Result<Option<Ratio>, Missing> {
        let mut worst = Some(Ratio::ZERO);
        for bucket in self.buckets()? {
            let ratio = self.margin(&bucket)?.ratio();
            worst = match (worst, ratio) {
                (Some(a), Some(b)) => Some(a.max(b)),
                _ => None,
            };
        }
        Ok(worst)
    }

    /// Maintenance margin of one position at a mark price, in its margin asset.
    pub fn maintenance(&self, leg: &Leg, position: &Position, mark: Price) -> Result<Money, Missing> {
        self.instrument(&leg.symbol)?
            .maintenance(position.amount.notional(mark))
            .ok_or_else(|| Missing::Tiers(leg.symbol.clone()))
    }

    fn bucket_wallet(&self, bucket: &Bucket) -> Result<Money, Missing> {
        match bucket {
            Bucket::Cross(asset) => Ok(self
                .purses
                .get(asset)
                .map_or(Money::ZERO, |purse| purse.balance.cross_wallet)),
            Bucket::Isolated(leg) => Ok(self
                .position(leg)
                .map_or(Money::ZERO, |position| position.isolated_wallet)),
            Bucket::Whole => {
                let mut total = Money::ZERO;
                for (asset, purse) in &self.purses {
                    total += self.dollars(asset, purse.balance.cross_wallet)?;
                }
                Ok(total)
            }
        }
    }

    /// An amount in US dollars as the venue counts collateral: what we have at the bid, what we owe at the ask.
    ///
    /// Source: binance-usdm.md 9.2 (fields documented, sign rule unsure).
    fn dollars(&self, asset: &Asset, amount: Money) -> Result<Money, Missing> {
        if amount.is_zero() {
            return Ok(amount);
        }
        let index = self
            .indexes
            .get(asset)
            .ok_or_else(|| Missing::Index(asset.clone()))?;
        let price = if amount.is_negative() {
            index.ask
        } else {
            index.bid
        };
        let rate = Ratio::new(price.decimal()).map_err(|_| Missing::Index(asset.clone()))?;
        Ok(amount.share(rate))
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bucket::Cross(asset) => write!(f, "cross {asset}"),
            Bucket::Whole => f.write_str("whole account"),
            Bucket::Isolated(leg) => write!(f, "isolated {leg}"),
        }
    }
}
