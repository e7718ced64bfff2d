//! What the venue lets in: filters, modes, margin and reduce-only rules before an order reaches the book
//! (binance-usdm.md 5.2 and section 6).

use super::account::{Leg, margin_asset};
use super::auth::{Refusal, refuse};
use super::exchange::Exchange;
use super::orders::Order;
use super::rules::Rules;
use rust_decimal::{Decimal, dec};

/// Regular orders of a symbol.
const OPEN_MAX: usize = 200;
/// Prefix of every order that a guard gives.
pub(super) const GUARD: &str = "bs-";
/// `maxPrice` of every contract here.
const PRICE_MAX: Decimal = dec!(10000000);
/// A GTD order must live at least this long (text of -5040).
const GTD_MIN_MS: i64 = 600_000;

/// Whether an overloaded venue still takes an order: -1008 spares what only reduces, by its flags or its leg (6.7).
pub(super) fn is_exempt(order: &Order) -> bool {
    order.only_reduces()
}

impl Exchange {
    /// Open reduce-only orders of the regular store that close the same leg from the same side.
    fn resting_closers(&self, order: &Order) -> Vec<i64> {
        let closes = |other: &&Order| {
            other.is_open()
                && !other.is_algo
                && other.leg() == order.leg()
                && other.side == order.side
                && other.only_reduces()
                && other.id != order.id
        };
        self.orders
            .values()
            .filter(closes)
            .map(|other| other.id)
            .collect()
    }

    /// What other resting orders will close of the same leg.
    pub(super) fn promised(&self, order: &Order) -> Decimal {
        let resting = self.resting_closers(order);
        let resting = resting.iter().filter_map(|id| self.orders.get(id));
        resting.map(Order::remaining).sum()
    }

    /// Accepts or refuses an order for the regular store, and lets it take what it finds.
    ///
    /// # Errors
    ///
    /// The venue's refusal, by the rules of binance-usdm.md 5.2 and section 6.
    pub(super) fn place(&mut self, mut order: Order) -> Result<i64, Refusal> {
        self.mistreat(&mut order);
        self.check_account(&order)?;
        if self.named(&order.client_id) {
            return refuse(-4116, "ClientOrderId is duplicated.");
        }
        order.price = self.matched_price(&order)?;
        self.check_filters(&order)?;
        if order.tif == "GTD" && order.good_till <= self.now + GTD_MIN_MS {
            return refuse(
                -5040,
                "The goodTillDate timestamp must be greater than the current time plus 600 seconds.",
            );
        }
        self.check_side(&order)?;
        self.check_notional(&order, -4164)?;
        let open = self.open_of(&order.symbol, false);
        if order.kind != "MARKET" && open >= OPEN_MAX {
            return refuse(-2025, "Reach max open order limit.");
        }
        self.check_book(&order)?;
        self.check_reduction(&mut order)?;
        if !order.only_reduces() {
            self.check_margin(&order, order.quantity)?;
        }
        self.check_promise(&order);
        order.id = self.next_order;
        self.next_order += 1;
        order.status = "NEW".into();
        (order.time, order.updated) = (self.now, self.now);
        let id = order.id;
        self.orders.insert(id, order.clone());
        self.push_order(&order, "NEW", None);
        self.take(id);
        Ok(id)
    }

    /// Open orders of a symbol in one store.
    fn open_of(&self, symbol: &str, is_algo: bool) -> usize {
        let open = self.orders.values().filter(|order| order.is_open());
        open.filter(|order| order.is_algo == is_algo && order.symbol == symbol)
            .count()
    }

    /// Whether an open order of either store has this name (6.4).
    pub(super) fn named(&self, client_id: &str) -> bool {
        self.orders
            .values()
            .any(|other| other.is_open() && other.client_id == client_id)
    }

    /// The rules of a symbol.
    pub(super) fn rules_of(&self, symbol: &str) -> Result<&Rules, Refusal> {
        self.markets
            .get(symbol)
            .map_or_else(|| refuse(-1121, "Invalid symbol."), |market| Ok(&market.rules))
    }

    /// What account, venue and contract allow at all.
    pub(super) fn check_account(&self, order: &Order) -> Result<(), Refusal> {
        let rules = self.rules_of(&order.symbol)?;
        if self.liquidating {
            return refuse(-2023, "User in liquidation mode now.");
        }
        if rules.contract_type == "TRADIFI_PERPETUAL" && !self.scenario.account.tradfi_signed {
            // A code that no page lists (S36).
            return refuse(-4411, "Please sign TradFi-Perps agreement contract.");
        }
        match rules.status.as_str() {
            "TRADING" => Ok(()),
            _ if order.only_reduces() => refuse(-4141, "Symbol is closed."),
            _ => refuse(-4140, "Invalid symbol status for opening position."),
        }
    }

    /// What the way in lets through while the venue is overloaded. What a trigger sends comes from inside.
    pub(super) fn check_load(&mut self, order: &Order) -> Result<(), Refusal> {
        if !is_exempt(order) && self.is_overloaded() {
            return Err(Refusal {
                status: 503,
                code: -1008,
                message:
                    "Server is currently overloaded with other requests. Please try again in a few minutes."
                        .into(),
            });
        }
        Ok(())
    }

    /// The price that a price match gives, or the order's own.
    pub(super) fn matched_price(&self, order: &Order) -> Result<Decimal, Refusal> {
        let (level, opponent) = match order.price_match() {
            "OPPONENT" => (0, true),
            "OPPONENT_5" => (4, true),
            "QUEUE" => (0, false),
            "QUEUE_5" => (4, false),
            "QUEUE_10" => (9, false),
            "QUEUE_20" => (19, false),
            _ => return Ok(order.price),
        };
        let levels = self
            .markets
            .get(&order.symbol)
            .map_or_else(Vec::new, |market| market.levels(order.buys() == opponent));
        match levels.get(level) {
            Some((price, _)) => Ok(*price),
            None => refuse(-5041, "No depth matches this BBO order."),
        }
    }

    /// Quantity, price and band.
    pub(super) fn check_filters(&self, order: &Order) -> Result<(), Refusal> {
        let rules = self.rules_of(&order.symbol)?;
        let mark = self.mark(&order.symbol);
        if order.kind == "MARKET" {
            return check_quantity(order.quantity, rules.step, rules.market_max);
        }
        check_quantity(order.quantity, rules.step, rules.limit_max)?;
        check_price(order.price, rules)?;
        // The band is one-sided: nothing forbids a buy far below or a sell far above (5.2).
        if order.buys() && order.price > mark * rules.band_up {
            return refuse(-4016, "Price is higher than mark price multiplier cap.");
        }
        if !order.buys() && order.price < mark * rules.band_down {
            return refuse(-4024, "Price is lower than mark price multiplier floor.");
        }
        Ok(())
    }

    pub(super) fn mark(&self, symbol: &str) -> Decimal {
        self.markets
            .get(symbol)
            .map_or(Decimal::ZERO, |market| market.price)
    }

    /// Price × quantity, at the mark for market orders.
    ///
    /// Reduce-only orders are exempt (text of -4164). Whether the closing side of a hedge leg is exempt too is an open
    /// question of section 13; here it is, as -1008's exemption treats both alike.
    pub(super) fn check_notional(&self, order: &Order, code: i64) -> Result<(), Refusal> {
        let least = self.rules_of(&order.symbol)?.min_notional;
        if self.worth(order, order.quantity) >= least || order.only_reduces() {
            return Ok(());
        }
        refuse(
            code,
            &format!("Order's notional must be no smaller than {least} (unless you choose reduce only)."),
        )
    }

    fn worth(&self, order: &Order, quantity: Decimal) -> Decimal {
        let price = if order.kind == "MARKET" {
            self.mark(&order.symbol)
        } else {
            order.price
        };
        price * quantity
    }

    /// What the book says to an order that must take, or must not, or must take all (6.3).
    fn check_book(&self, order: &Order) -> Result<(), Refusal> {
        let takes: Vec<(Decimal, Decimal, Option<i64>)> = self.offers(order);
        if order.kind == "MARKET" && !takes.iter().any(|(_, _, own)| own.is_none()) {
            return refuse(
                -4131,
                "The counterparty's best price does not meet the PERCENT_PRICE filter limit.",
            );
        }
        if order.only_makes() && !takes.is_empty() {
            return refuse(
                -5022,
                "Due to the order could not be executed as maker, the Post Only order will be rejected.",
            );
        }
        let available: Decimal = takes.iter().map(|(_, quantity, _)| *quantity).sum();
        if order.tif == "FOK" && available < order.quantity {
            return refuse(
                -5021,
                "Due to the order could not be filled immediately, the FOK order has been rejected.",
            );
        }
        Ok(())
    }

    pub(super) fn check_side(&self, order: &Order) -> Result<(), Refusal> {
        let sided = order.position_side != "BOTH";
        if sided != self.ledger.hedge {
            return refuse(-4061, "Order's position side does not match user's setting.");
        }
        if sided && order.reduce_only {
            return refuse(-1106, "Parameter 'reduceonly' sent when not required.");
        }
        Ok(())
    }

    /// Reduce-only and hedge closes: something must be there, on the right side, and not already promised away (6.2, 6.5).
    fn check_reduction(&mut self, order: &mut Order) -> Result<(), Refusal> {
        if !order.only_reduces() {
            return Ok(());
        }
        let held = self.held(&order.leg());
        let closes = if order.buys() {
            held < Decimal::ZERO
        } else {
            held > Decimal::ZERO
        };
        if !closes {
            return refuse(-2022, "ReduceOnly Order is rejected.");
        }
        if order.position_side != "BOTH" && order.quantity > held.abs() {
            return refuse(-2022, "ReduceOnly Order is rejected.");
        }
        let resting = self.resting_closers(order);
        let promised = self.promised(order);
        if order.kind == "MARKET" {
            if promised >= held.abs() && self.scenario.reduce_only_conflicts {
                return refuse(
                    -4118,
                    "ReduceOnly order is rejected: cancel existing orders and resubmit.",
                );
            }
            // A market order of higher priority knocks resting ones out, newest first, until all fit (er=4).
            let mut room = held.abs() - order.quantity.min(held.abs());
            for id in resting {
                let rest = self.orders.get(&id).map_or(Decimal::ZERO, Order::remaining);
                if rest <= room {
                    room -= rest;
                } else {
                    self.end_order(id, "EXPIRED", "EXPIRED", 4);
                }
            }
        } else {
            if promised >= held.abs() {
                return refuse(-2022, "ReduceOnly Order is rejected.");
            }
            order.quantity = order.quantity.min(held.abs() - promised);
        }
        Ok(())
    }

    /// Margin for another quantity of an order that may open, and the largest position of its leverage.
    ///
    /// Cross collateral pays: that of the margin asset, or all of it in multi-assets mode. Isolated positions have theirs
    /// already.
    pub(super) fn check_margin(&self, order: &Order, quantity: Decimal) -> Result<(), Refusal> {
        let leverage = |leg: &Leg| {
            self.ledger
                .positions
                .get(leg)
                .map_or(20, |held| held.leverage.max(1))
        };
        let amount = self.held(&order.leg());
        let after = (amount + if order.buys() { quantity } else { -quantity }).abs();
        let most = self.rules_of(&order.symbol)?.notional_max(leverage(&order.leg()));
        if after > amount.abs() && after * self.mark(&order.symbol) > most {
            return refuse(
                -2027,
                "Exceeded the maximum allowable position at current leverage.",
            );
        }
        // An order against a one-way position frees margin first.
        let against = order.position_side == "BOTH"
            && if order.buys() {
                amount < Decimal::ZERO
            } else {
                amount > Decimal::ZERO
            };
        if against {
            return Ok(());
        }
        let (asset, whole) = (
            margin_asset(&self.markets, &order.symbol),
            self.ledger.multi_assets,
        );
        let shares = |symbol: &str| whole || margin_asset(&self.markets, symbol) == asset;
        let balance: Decimal = if whole {
            let assets = self.ledger.assets(&self.markets).into_iter();
            assets
                .map(|asset| {
                    let cross = self.ledger.cross_balance(&self.markets, &asset);
                    self.ledger.value(&self.markets, &asset, cross)
                })
                .sum()
        } else {
            self.ledger.cross_balance(&self.markets, asset)
        };
        let is_cross = |leg: &Leg| {
            self.ledger
                .positions
                .get(leg)
                .is_some_and(|held| held.isolated.is_none())
        };
        let held = self.ledger.held();
        let used: Decimal = held
            .iter()
            .filter(|leg| shares(&leg.0) && is_cross(leg))
            .map(|leg| self.ledger.initial(&self.markets, leg))
            .sum();
        let open: Decimal = self
            .orders
            .values()
            .filter(|other| other.is_open() && !other.is_algo && !other.only_reduces())
            .filter(|other| shares(&other.symbol))
            .map(|other| other.remaining() * other.price / Decimal::from(leverage(&other.leg())))
            .sum();
        if self.worth(order, quantity) / Decimal::from(leverage(&order.leg())) > balance - used - open {
            return refuse(-2019, "Margin is insufficient.");
        }
        Ok(())
    }

    /// The first half of the promise: what a guard sends must not be able to open anything.
    pub(super) fn check_promise(&mut self, order: &Order) {
        if order.client_id.starts_with(GUARD) && !order.only_reduces() && !order.flag_ignored {
            self.violation(format!(
                "order {} could open a position: {} {} {} without reduce-only",
                order.client_id, order.side, order.quantity, order.symbol
            ));
        }
    }
}

pub(super) fn check_quantity(quantity: Decimal, step: Decimal, max: Decimal) -> Result<(), Refusal> {
    if quantity <= Decimal::ZERO {
        return refuse(-4003, "Quantity less than or equal to zero.");
    }
    if quantity.normalize().scale() > step.normalize().scale() {
        return refuse(-1111, "Precision is over the maximum defined for this asset.");
    }
    if quantity < step {
        return refuse(-4004, "Quantity less than min quantity.");
    }
    if quantity > max {
        return refuse(-4005, "Quantity greater than max quantity.");
    }
    if !(quantity % step).is_zero() {
        return refuse(-4023, "Quantity not increased by step size.");
    }
    Ok(())
}

pub(super) fn check_price(price: Decimal, rules: &Rules) -> Result<(), Refusal> {
    let tick = rules.tick;
    if price <= Decimal::ZERO {
        return refuse(-4013, "Price less than min price.");
    }
    if price.normalize().scale() > rules.price_precision {
        return refuse(-1111, "Precision is over the maximum defined for this asset.");
    }
    if price < tick {
        return refuse(-4013, "Price less than min price.");
    }
    if price > PRICE_MAX {
        return refuse(-4002, "Price greater than max price.");
    }
    if !(price % tick).is_zero() {
        return refuse(-4014, "Price not increased by tick size.");
    }
    Ok(())
}
