//! Margin calls, liquidation tier by tier, and the orders that only the venue sends (binance-usdm.md 9.4).

use super::account::{Bucket, Leg, margin_asset};
use super::exchange::Exchange;
use super::orders::Order;
use super::report::leg_name;
use rust_decimal::{Decimal, RoundingStrategy, dec};

/// A bucket is called again after this.
const CALL_AGAIN_MS: i64 = 60_000;
/// Liquidation fee on what is closed (exchangeInfo `liquidationFee`).
const LIQUIDATION_FEE: Decimal = dec!(0.0125);

impl Exchange {
    /// Margin calls and liquidation. A liquidation takes one tier a step; until a step finds every bucket sound again,
    /// the account is in liquidation and its orders are refused with -2023.
    pub(super) fn margins(&mut self) {
        let buckets = self.ledger.buckets(&self.markets);
        let falls = |bucket: &Bucket| bucket.ratio().is_none_or(|ratio| ratio >= Decimal::ONE);
        let was_falling = std::mem::replace(&mut self.liquidating, buckets.iter().any(falls));
        if self.liquidating && !was_falling {
            self.report.liquidations += 1;
        }
        for bucket in buckets {
            if falls(&bucket) {
                self.liquidate(&bucket);
                continue;
            }
            let name = if bucket.is_isolated {
                bucket.legs.first().map_or(String::new(), leg_name)
            } else {
                bucket.asset.clone()
            };
            let is_called = bucket
                .ratio()
                .is_some_and(|ratio| ratio >= self.scenario.margin_call_at);
            let again = self
                .called
                .get(&name)
                .is_none_or(|at| self.now - at >= CALL_AGAIN_MS);
            if is_called && again {
                self.called.insert(name, self.now);
                self.report.margin_calls += 1;
                self.push_margin_call(&bucket.legs, bucket.is_isolated, &bucket.asset);
            }
        }
    }

    /// Calls for margin on every bucket that a contract's positions stand on.
    pub(super) fn call(&mut self, symbol: &str) {
        for bucket in self.ledger.buckets(&self.markets) {
            if bucket.legs.iter().any(|leg| leg.0 == symbol) {
                self.report.margin_calls += 1;
                self.push_margin_call(&bucket.legs, bucket.is_isolated, &bucket.asset);
            }
        }
    }

    /// Open orders go, then the largest position falls by one tier; what has no equity left, or finds no buyer, goes to
    /// the insurance fund at its bankruptcy price.
    fn liquidate(&mut self, bucket: &Bucket) {
        let concerned = |symbol: &str| !bucket.is_isolated || bucket.legs.iter().any(|leg| leg.0 == symbol);
        let open: Vec<i64> = self
            .orders
            .values()
            .filter(|order| order.is_open() && concerned(&order.symbol))
            .map(|order| order.id)
            .collect();
        for id in open {
            self.end_order(id, "EXPIRED", "EXPIRED", 5);
        }
        let worth = |leg: &Leg| self.ledger.amount(leg).abs() * self.mark(&leg.0);
        let Some(leg) = bucket.legs.iter().max_by_key(|leg| worth(leg)).cloned() else {
            return;
        };
        let held = self.ledger.amount(&leg);
        let Some(market) = self.markets.get(&leg.0) else {
            return;
        };
        let price = market.price;
        if bucket.balance <= Decimal::ZERO || market.levels(held < Decimal::ZERO).is_empty() {
            return self.take_over(bucket);
        }
        let floor = market.rules.floor(held.abs() * price);
        let step = market.rules.step;
        let slices = ((held.abs() * price - floor) / price / step)
            .round_dp_with_strategy(0, RoundingStrategy::AwayFromZero);
        let slice = (slices * step).min(held.abs());
        let autoclose = format!("autoclose-{}", self.next_order);
        self.force(&leg, slice, price, &autoclose);
        // What is left after the trade bounds the fee.
        let worth = slice * price;
        let left = (bucket.balance - worth * self.scenario.taker_fee).max(Decimal::ZERO);
        self.charge(&leg, -(worth * LIQUIDATION_FEE).min(left));
    }

    /// The insurance fund takes every position of a bucket: the first at the price where nothing is left, the others at
    /// the mark; what the wallet still lacks is paid in.
    fn take_over(&mut self, bucket: &Bucket) {
        let mut left = bucket.balance;
        for leg in &bucket.legs {
            let held = self.ledger.amount(leg);
            let mark = self.mark(&leg.0);
            let bankrupt = (mark - std::mem::take(&mut left) / held).max(Decimal::ZERO);
            let autoclose = format!("autoclose-{}", self.next_order);
            self.force(leg, held.abs(), bankrupt, &autoclose);
            let asset = margin_asset(&self.markets, &leg.0);
            let owed = self.ledger.cross_balance(&self.markets, asset);
            if owed < Decimal::ZERO && !self.ledger.multi_assets {
                self.charge(leg, -owed);
            }
        }
    }

    /// Books a payment from or to the insurance fund.
    fn charge(&mut self, leg: &Leg, amount: Decimal) {
        let asset = margin_asset(&self.markets, &leg.0).to_owned();
        let isolated = self
            .ledger
            .positions
            .get_mut(leg)
            .filter(|holding| !holding.amount.is_zero())
            .and_then(|holding| holding.isolated.as_mut());
        if let Some(wallet) = isolated {
            *wallet += amount;
        }
        self.ledger.credit(&asset, amount, self.now);
        self.earn("INSURANCE_CLEAR", &asset, amount, &leg.0);
        self.push_account("INSURANCE_CLEAR", &[(asset, Decimal::ZERO)], &[]);
    }

    /// Closes a part of a position by an order that nobody of the account sent.
    pub(super) fn force(&mut self, leg: &Leg, quantity: Decimal, price: Decimal, client_id: &str) {
        let held = self.ledger.amount(leg);
        let id = self.next_order;
        self.next_order += 1;
        let order = Order {
            id,
            client_id: client_id.into(),
            symbol: leg.0.clone(),
            side: if held > Decimal::ZERO { "SELL" } else { "BUY" }.into(),
            position_side: leg.1.clone(),
            kind: "LIQUIDATION".into(),
            tif: "IOC".into(),
            quantity,
            price,
            status: "NEW".into(),
            working_type: "CONTRACT_PRICE".into(),
            who: "venue".into(),
            time: self.now,
            updated: self.now,
            ..Order::default()
        };
        self.push_order(&order, "NEW", None);
        self.orders.insert(id, order);
        self.fill(id, quantity, price, false);
    }
}
