//! What the account is worth.
//!
//! Equity is `Σ price × wallet + Σ unrealised` (POLICIES.md b.1), in [`CURRENCY`]. It is unknown when anything that
//! it needs is unknown; it is never a sum of what happened to be there.

use super::{Book, Missing};
use crate::model::{Asset, Balance, Money, Ratio};

/// The currency that equity, drawdowns and losses are counted in.
pub const CURRENCY: &str = "USDT";

impl Book {
    /// Wallets plus unrealised profit, in [`CURRENCY`]. Worked out once a step, however many policies ask.
    pub fn equity(&self) -> Result<Money, Missing> {
        self.equity_now.get_or_init(|| self.work_out_equity()).clone()
    }

    fn work_out_equity(&self) -> Result<Money, Missing> {
        let mut total = self.wallets()?;
        for (leg, position) in self.positions() {
            let mark = self.mark_price(&leg.symbol)?;
            let profit = position
                .unrealised(mark)
                .ok_or_else(|| Missing::Entry(leg.clone()))?;
            let asset = &self.instrument(&leg.symbol)?.margin_asset;
            total += self.value_of(asset, profit)?;
        }
        Ok(total)
    }

    /// The sum of all wallets, in [`CURRENCY`]; unrealised profit is not in it.
    pub fn wallets(&self) -> Result<Money, Missing> {
        if !self.is_ready() {
            return Err(Missing::Snapshot);
        }
        if !self.is_fresh() {
            return Err(Missing::StaleHoldings);
        }
        let mut total = Money::ZERO;
        for (asset, purse) in &self.purses {
            total += self.value_of(asset, purse.balance.wallet)?;
        }
        Ok(total)
    }

    /// Every wallet that was read, by asset.
    pub fn balances(&self) -> impl Iterator<Item = (&Asset, &Balance)> {
        self.purses.iter().map(|(asset, purse)| (asset, &purse.balance))
    }

    /// Equity that loss policies may judge: known, every move of a balance explained, and by mark prices that their
    /// index bears out (POLICIES.md b.1, the bridge and the quorum).
    pub fn trusted_equity(&self) -> Result<Money, Missing> {
        if self.wants_transfers() {
            return Err(Missing::Transfers);
        }
        if self.unclassified {
            return Err(Missing::Unclassified);
        }
        let doubtful = self.positions().find(|(leg, _)| self.is_doubtful(&leg.symbol));
        if let Some((leg, _)) = doubtful {
            return Err(Missing::DoubtfulMark(leg.symbol.clone()));
        }
        self.equity()
    }

    /// An amount of an asset in [`CURRENCY`], at index prices. Nothing of an asset needs no price.
    pub fn value_of(&self, asset: &Asset, amount: Money) -> Result<Money, Missing> {
        if amount.is_zero() || asset.as_str() == CURRENCY {
            return Ok(amount);
        }
        let missing = || Missing::Index(asset.clone());
        let index = self.indexes.get(asset).ok_or_else(missing)?;
        let currency = Asset::new(CURRENCY)
            .ok()
            .and_then(|asset| self.indexes.get(&asset));
        let dollars = Ratio::new(index.index.decimal()).map_err(|_| missing())?;
        match currency {
            // The index of the currency itself is close to one dollar, and not one.
            Some(currency) => {
                let unit = Ratio::new(currency.index.decimal()).map_err(|_| missing())?;
                dollars
                    .over(unit)
                    .map(|rate| amount.share(rate))
                    .ok_or_else(missing)
            }
            None => Ok(amount.share(dollars)),
        }
    }
}
