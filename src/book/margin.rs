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

    /// Margin of a bucket at the present marks: by our arithmetic or by the venue's, whichever is worse.
    pub fn margin(&self, bucket: &Bucket) -> Result<BucketMargin, Missing> {
        if !self.is_ready() {
            return Err(Missing::Snapshot);
        }
        if !self.is_fresh() {
            return Err(Missing::StaleHoldings);
        }
        let own = self.own_margin(bucket, |leg| self.mark_price(&leg.symbol))?;
        Ok(self.gap(bucket).map_or(own, |gap| gap.worse(own)))
    }

    /// Margin of a bucket by our own arithmetic, at these mark prices.
    pub(super) fn own_margin(
        &self,
        bucket: &Bucket,
        mark_of: impl Fn(&Leg) -> Result<Price, Missing>,
    ) -> Result<BucketMargin, Missing> {
        let mut maintenance = Money::ZERO;
        let mut balance = self.bucket_wallet(bucket)?;
        for (leg, position) in self.in_bucket(bucket) {
            let mark = mark_of(leg)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Holdings, Settings};
    use crate::model::{
        Balance, Instrument, LotRule, MarkPrice, PositionMode, PositionSide, Qty, Store, Symbol, Tier,
        Timestamp, TradingStatus,
    };

    fn m(text: &str) -> Money {
        text.parse().unwrap()
    }

    /// Symbol, leg, amount, entry price, mark price, isolated wallet.
    type Row = (
        &'static str,
        PositionSide,
        &'static str,
        &'static str,
        &'static str,
        Option<&'static str>,
    );

    /// BTCUSDT and OTHERUSDT with the tiers of binance-usdm.md 9.3, read as the venue would tell it.
    fn book(wallet: &str, held: &[Row]) -> Book {
        let now = Timestamp::from_ms(1_795_000_000_000);
        let usdt = Asset::new("USDT").unwrap();
        let lot = LotRule {
            min: Qty::ZERO,
            max: Qty::ZERO,
            step: Qty::ZERO,
        };
        let tier = |floor: &str, cap: &str, rate: &str, deduction: &str| Tier {
            floor: m(floor),
            cap: m(cap),
            rate: rate.parse().unwrap(),
            deduction: m(deduction),
        };
        let instrument = |symbol: &str| Instrument {
            symbol: Symbol::new(symbol).unwrap(),
            margin_asset: usdt.clone(),
            status: TradingStatus::Trading,
            tick: rust_decimal::Decimal::ZERO,
            lot,
            market_lot: lot,
            min_notional: Money::ZERO,
            band: None,
            market_bound: None,
            tiers: vec![
                tier("0", "50000", "0.004", "0"),
                tier("50000", "250000", "0.005", "50"),
            ],
        };
        let positions = held.iter().map(|(symbol, side, amount, entry, _, isolated)| {
            let position = Position {
                amount: amount.parse().unwrap(),
                entry: Some(entry.parse().unwrap()),
                margin: isolated.map(|_| MarginType::Isolated),
                isolated_wallet: isolated.map_or(Money::ZERO, m),
                at: now,
            };
            (
                Leg {
                    symbol: Symbol::new(symbol).unwrap(),
                    side: *side,
                },
                position,
            )
        });
        let marks = held.iter().map(|(symbol, _, _, _, mark, _)| MarkPrice {
            index: None,
            symbol: Symbol::new(symbol).unwrap(),
            price: mark.parse().unwrap(),
            at: now,
        });
        let holdings = Holdings {
            balances: vec![(
                usdt.clone(),
                Balance {
                    wallet: m(wallet),
                    cross_wallet: m(wallet),
                    at: now,
                },
            )],
            positions: positions.collect(),
            marks: marks.collect(),
            disputed: vec![],
            liquidations: vec![],
            claims: None,
        };
        let mut book = Book::default();
        for event in [
            Event::Settings(Settings {
                mode: PositionMode::OneWay,
                multi_assets: false,
            }),
            Event::Rules(vec![instrument("BTCUSDT"), instrument("OTHERUSDT")]),
            Event::OpenOrders(Store::Regular, vec![]),
            Event::OpenOrders(Store::Conditional, vec![]),
            Event::Holdings(holdings),
        ] {
            book.apply(now, &event);
        }
        book
    }

    #[test]
    fn the_ratio_is_one_at_the_worked_liquidation_prices() {
        use PositionSide::{Both, Long, Short};
        // The other contract needs 120 (30 000 × 0.4 %) and has lost 800, as the third case asks.
        let other = ("OTHERUSDT", Both, "1", "30800", "30000", None);
        for (name, wallet, held) in [
            (
                "long",
                "6000",
                vec![("BTCUSDT", Both, "1", "60000", "54221.1055", None)],
            ),
            (
                "short",
                "6000",
                vec![("BTCUSDT", Both, "-1", "60000", "65721.3930", None)],
            ),
            (
                "beside another",
                "6000",
                vec![("BTCUSDT", Both, "1", "60000", "55145.7286", None), other],
            ),
            (
                "hedged",
                "6000",
                vec![
                    ("BTCUSDT", Long, "1", "60000", "49125.1682", None),
                    ("BTCUSDT", Short, "-0.4", "62000", "49125.1682", None),
                ],
            ),
            (
                "isolated",
                "9000",
                vec![("BTCUSDT", Both, "0.5", "60000", "57831.3253", Some("1200"))],
            ),
        ] {
            let book = book(wallet, &held);
            let worst = book.worst_ratio().unwrap().unwrap();
            let off = (worst - Ratio::ONE).abs();
            assert!(off < "0.00001".parse().unwrap(), "{name}: {worst}");
        }
    }

    #[test]
    fn c8_no_balance_is_worse_than_any_ratio() {
        let held = [("BTCUSDT", PositionSide::Both, "1", "60000", "50000", None)];
        assert_eq!(book("6000", &held).worst_ratio(), Ok(None));
    }

    #[test]
    fn a8_a_missing_mark_is_unknown_and_not_zero() {
        let mut book = book(
            "6000",
            &[("BTCUSDT", PositionSide::Both, "1", "60000", "60000", None)],
        );
        book.begin(Timestamp::from_ms(1_795_000_000_000 + 11_000));
        let symbol = Symbol::new("BTCUSDT").unwrap();
        assert_eq!(book.worst_ratio(), Err(Missing::StaleMark(symbol.clone())));
        assert_eq!(book.equity(), Err(Missing::StaleMark(symbol)));
    }
}
