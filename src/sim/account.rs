//! The account at the venue: wallets, positions, and the margin model of binance-usdm.md section 9.

use super::market::Market;
use super::scenario::AccountScript;
use rust_decimal::Decimal;
use std::collections::{BTreeMap, BTreeSet};

/// A leg: symbol and `BOTH`, `LONG` or `SHORT`.
pub type Leg = (String, String);

/// A wallet.
#[derive(Clone, Debug, Default)]
pub struct Wallet {
    /// Balance, isolated margin included.
    pub balance: Decimal,
    /// Last change.
    pub updated: i64,
}

/// A position.
#[derive(Clone, Debug, Default)]
pub struct Holding {
    /// Signed amount.
    pub amount: Decimal,
    /// Average entry price; zero when flat.
    pub entry: Decimal,
    /// Isolated wallet; `None` is cross.
    pub isolated: Option<Decimal>,
    /// Leverage setting.
    pub leverage: u32,
    /// Realised profit so far, before fees.
    pub realised: Decimal,
    /// Last change.
    pub updated: i64,
}

/// The account.
#[derive(Clone, Debug)]
pub struct Ledger {
    /// Hedge mode.
    pub hedge: bool,
    /// Multi-assets mode.
    pub multi_assets: bool,
    /// Wallets by asset.
    pub wallets: BTreeMap<String, Wallet>,
    /// Positions by leg; flat ones stay, with their settings.
    pub positions: BTreeMap<Leg, Holding>,
    /// Collateral buffers of the script, by asset.
    buffers: BTreeMap<String, Decimal>,
}

/// Margin of a bucket.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// Legs that stand on it.
    pub legs: Vec<Leg>,
    /// Margin asset.
    pub asset: String,
    /// Whether it is one isolated position.
    pub is_isolated: bool,
    /// Maintenance margin.
    pub maintenance: Decimal,
    /// Margin balance.
    pub balance: Decimal,
}

impl Bucket {
    /// Maintenance ÷ balance; `None` when nothing is left and something is needed.
    pub fn ratio(&self) -> Option<Decimal> {
        if self.maintenance.is_zero() {
            return Some(Decimal::ZERO);
        }
        if self.balance <= Decimal::ZERO {
            None
        } else {
            self.maintenance.checked_div(self.balance)
        }
    }
}

/// Markets by symbol.
pub type Markets = BTreeMap<String, Market>;

impl Ledger {
    /// The account at the start of a scenario.
    pub fn new(script: &AccountScript, now: i64) -> Ledger {
        let mut ledger = Ledger {
            hedge: script.hedge,
            multi_assets: script.multi_assets,
            wallets: BTreeMap::new(),
            positions: BTreeMap::new(),
            buffers: script.buffer.clone(),
        };
        for (asset, balance) in &script.wallet {
            ledger.wallets.insert(
                asset.clone(),
                Wallet {
                    balance: *balance,
                    updated: now,
                },
            );
        }
        for position in &script.position {
            let holding = Holding {
                amount: position.quantity,
                entry: position.entry_price,
                isolated: position.isolated_wallet,
                leverage: position.leverage,
                realised: Decimal::ZERO,
                updated: now,
            };
            ledger
                .positions
                .insert((position.symbol.clone(), position.side.clone()), holding);
        }
        ledger
    }

    /// A leg's signed amount.
    pub fn amount(&self, leg: &Leg) -> Decimal {
        self.positions
            .get(leg)
            .map_or(Decimal::ZERO, |holding| holding.amount)
    }

    /// Wallet balance of an asset less what isolated positions hold of it.
    pub fn cross_wallet(&self, markets: &Markets, asset: &str) -> Decimal {
        let held: Decimal = self
            .positions
            .iter()
            .filter(|((symbol, _), _)| margin_asset(markets, symbol) == asset)
            .filter_map(|(_, holding)| holding.isolated.filter(|_| !holding.amount.is_zero()))
            .sum();
        self.wallets
            .get(asset)
            .map_or(Decimal::ZERO, |wallet| wallet.balance)
            - held
    }

    /// Unrealised profit of a position at the mark.
    pub fn unrealised(&self, markets: &Markets, leg: &Leg) -> Decimal {
        let (Some(holding), Some(market)) = (self.positions.get(leg), markets.get(&leg.0)) else {
            return Decimal::ZERO;
        };
        (market.price - holding.entry) * holding.amount
    }

    /// Maintenance margin of a position at the mark.
    pub fn maintenance(&self, markets: &Markets, leg: &Leg) -> Decimal {
        markets.get(&leg.0).map_or(Decimal::ZERO, |market| {
            market.rules.maintenance(self.amount(leg).abs() * market.price)
        })
    }

    /// Legs that are not flat.
    pub fn held(&self) -> Vec<Leg> {
        let held = self
            .positions
            .iter()
            .filter(|(_, holding)| !holding.amount.is_zero());
        held.map(|(leg, _)| leg.clone()).collect()
    }

    /// Every bucket that holds positions: each isolated one, and the cross ones of each asset. In multi-assets mode one
    /// for all, in dollars.
    pub fn buckets(&self, markets: &Markets) -> Vec<Bucket> {
        let mut buckets: Vec<Bucket> = Vec::new();
        for leg in self.held() {
            let asset = margin_asset(markets, &leg.0).to_owned();
            let isolated = self.positions.get(&leg).and_then(|holding| holding.isolated);
            let (maintenance, profit) = (self.maintenance(markets, &leg), self.unrealised(markets, &leg));
            if let (Some(wallet), false) = (isolated, self.multi_assets) {
                buckets.push(Bucket {
                    legs: vec![leg],
                    asset,
                    is_isolated: true,
                    maintenance,
                    balance: wallet + profit,
                });
                continue;
            }
            let dollars = if self.multi_assets {
                maintenance * index(markets, &asset)
            } else {
                maintenance
            };
            let shared = buckets
                .iter_mut()
                .find(|bucket| !bucket.is_isolated && (self.multi_assets || bucket.asset == asset));
            match shared {
                Some(bucket) => {
                    bucket.legs.push(leg);
                    bucket.maintenance += dollars;
                }
                None => {
                    let balance = if self.multi_assets {
                        let assets = self.assets(markets).into_iter();
                        assets
                            .map(|asset| self.value(markets, &asset, self.cross_balance(markets, &asset)))
                            .sum()
                    } else {
                        self.cross_balance(markets, &asset)
                    };
                    buckets.push(Bucket {
                        legs: vec![leg],
                        asset,
                        is_isolated: false,
                        maintenance: dollars,
                        balance,
                    });
                }
            }
        }
        buckets
    }

    /// Assets in which there is a wallet or a position.
    pub fn assets(&self, markets: &Markets) -> BTreeSet<String> {
        let held = self.held();
        let of_positions = held.iter().map(|leg| margin_asset(markets, &leg.0).to_owned());
        self.wallets.keys().cloned().chain(of_positions).collect()
    }

    /// Cross wallet and unrealised profit of the cross positions of one asset, in that asset.
    pub fn cross_balance(&self, markets: &Markets, asset: &str) -> Decimal {
        let profit: Decimal = self
            .held()
            .iter()
            .filter(|leg| margin_asset(markets, &leg.0) == asset)
            .filter(|leg| self.multi_assets || self.positions.get(*leg).is_some_and(|h| h.isolated.is_none()))
            .map(|leg| self.unrealised(markets, leg))
            .sum();
        self.cross_wallet(markets, asset) + profit
    }

    /// What an amount of an asset counts for in dollars: what is there at the bid, what is owed at the ask (9.2; the
    /// page calls the rule by sign unsure).
    pub fn value(&self, markets: &Markets, asset: &str, amount: Decimal) -> Decimal {
        let (index, buffer) = (index(markets, asset), self.buffer(asset));
        let rate = if amount.is_sign_negative() {
            index * (Decimal::ONE + buffer)
        } else {
            index * (Decimal::ONE - buffer)
        };
        amount * rate
    }

    /// The collateral buffer of an asset, on both sides of its index.
    pub fn buffer(&self, asset: &str) -> Decimal {
        let usual = if is_stable(asset) {
            Decimal::ZERO
        } else {
            Decimal::new(1, 1)
        };
        self.buffers.get(asset).copied().unwrap_or(usual)
    }

    /// Wallets and unrealised profit together, other assets at their index.
    pub fn equity(&self, markets: &Markets) -> Decimal {
        let wallets: Decimal = self
            .wallets
            .iter()
            .map(|(asset, wallet)| wallet.balance * index(markets, asset))
            .sum();
        let profit: Decimal = self.held().iter().map(|leg| self.unrealised(markets, leg)).sum();
        wallets + profit
    }

    /// Initial margin of a position: notional ÷ leverage.
    pub fn initial(&self, markets: &Markets, leg: &Leg) -> Decimal {
        let (Some(holding), Some(market)) = (self.positions.get(leg), markets.get(&leg.0)) else {
            return Decimal::ZERO;
        };
        holding.amount.abs() * market.price / Decimal::from(holding.leverage.max(1))
    }

    /// Changes a position by a fill; gives the realised profit.
    pub fn fill(&mut self, leg: &Leg, signed: Decimal, price: Decimal, now: i64) -> Decimal {
        let holding = self.positions.entry(leg.clone()).or_insert_with(|| Holding {
            leverage: 20,
            ..Holding::default()
        });
        let before = holding.amount;
        let after = before + signed;
        let closes = before.is_sign_negative() != signed.is_sign_negative() && !before.is_zero();
        let mut realised = Decimal::ZERO;
        if closes {
            let closed = signed.abs().min(before.abs());
            let sign = if before.is_sign_negative() {
                Decimal::NEGATIVE_ONE
            } else {
                Decimal::ONE
            };
            realised = (price - holding.entry) * closed * sign;
            if let Some(wallet) = &mut holding.isolated {
                // A part of the isolated wallet is released with the part that is closed.
                *wallet -= *wallet * closed / before.abs();
            }
            if after.is_zero() {
                holding.entry = Decimal::ZERO;
            } else if after.is_sign_negative() != before.is_sign_negative() {
                holding.entry = price;
                if let Some(wallet) = &mut holding.isolated {
                    *wallet = after.abs() * price / Decimal::from(holding.leverage.max(1));
                }
            }
        } else {
            let cost = holding.entry * before.abs() + price * signed.abs();
            holding.entry = cost / after.abs();
            if let Some(wallet) = &mut holding.isolated {
                *wallet += signed.abs() * price / Decimal::from(holding.leverage.max(1));
            }
        }
        holding.amount = after;
        holding.realised += realised;
        holding.updated = now;
        realised
    }

    /// Adds to a wallet.
    pub fn credit(&mut self, asset: &str, amount: Decimal, now: i64) {
        let wallet = self.wallets.entry(asset.to_owned()).or_default();
        wallet.balance += amount;
        wallet.updated = now;
    }

    /// Liquidation price of a leg as the venue's FAQ gives it (9.3); zero when there is none.
    pub fn liquidation_price(&self, markets: &Markets, leg: &Leg) -> Decimal {
        let Some(market) = markets.get(&leg.0) else {
            return Decimal::ZERO;
        };
        let Some(holding) = self.positions.get(leg) else {
            return Decimal::ZERO;
        };
        let asset = margin_asset(markets, &leg.0);
        let (mut wallet, own): (Decimal, Vec<Leg>) = match holding.isolated {
            Some(wallet) => (wallet, vec![leg.clone()]),
            None => {
                let own = self.held().into_iter().filter(|other| {
                    other.0 == leg.0 && self.positions.get(other).is_some_and(|h| h.isolated.is_none())
                });
                (self.cross_wallet(markets, asset), own.collect())
            }
        };
        if holding.isolated.is_none() {
            for other in self.held() {
                let cross = self
                    .positions
                    .get(&other)
                    .is_some_and(|found| found.isolated.is_none());
                if cross && other.0 != leg.0 && margin_asset(markets, &other.0) == asset {
                    wallet += self.unrealised(markets, &other) - self.maintenance(markets, &other);
                }
            }
        }
        // Solve equity(P) = maintenance(P); repeat with the tier at P until it holds.
        let mut price = market.price;
        for _ in 0..20 {
            let (mut top, mut bottom) = (wallet, Decimal::ZERO);
            for leg in &own {
                let Some(held) = self.positions.get(leg) else {
                    continue;
                };
                let (rate, cum) = market.rules.tier(held.amount.abs() * price);
                top += cum - held.amount * held.entry;
                bottom += held.amount.abs() * rate - held.amount;
            }
            if bottom.is_zero() {
                return Decimal::ZERO;
            }
            let next = top / bottom;
            if next <= Decimal::ZERO {
                return Decimal::ZERO;
            }
            if (next - price).abs() < Decimal::new(1, 8) {
                return next;
            }
            price = next;
        }
        price
    }
}

/// The margin asset of a symbol.
pub fn margin_asset<'a>(markets: &'a Markets, symbol: &str) -> &'a str {
    markets
        .get(symbol)
        .map_or("USDT", |market| market.rules.margin_asset.as_str())
}

fn is_stable(asset: &str) -> bool {
    matches!(asset, "USDT" | "USDC" | "FDUSD")
}

/// Index price of an asset in dollars: stablecoins at 1, others at the market of that name, else 0.
pub fn index(markets: &Markets, asset: &str) -> Decimal {
    if is_stable(asset) {
        return Decimal::ONE;
    }
    markets
        .values()
        .find(|market| market.rules.base == asset)
        .map_or(Decimal::ZERO, |market| market.price)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::scenario::Scenario;
    use rust_decimal::dec;

    /// The worked cases of binance-usdm.md 9.3.
    #[test]
    fn liquidation_prices_are_those_of_the_worked_cases() {
        let case = |wallet: &str, positions: &str, extra: &str| {
            let text = format!(
                "name='t'\ndescription=''\nduration='1s'\n[[symbol]]\nname='BTCUSDT'\npath=[{{at='0s',price='60000'}}]\n{extra}[account]\nwallet={{USDT='{wallet}'}}\n{positions}"
            );
            let scenario = Scenario::parse(&text).unwrap();
            let markets: Markets = scenario
                .symbol
                .iter()
                .map(|s| (s.name.clone(), Market::new(s, 1)))
                .collect();
            (Ledger::new(&scenario.account, 0), markets)
        };
        let position = |side: &str, quantity: &str, entry: &str, more: &str| {
            format!(
                "[[account.position]]\nsymbol='BTCUSDT'\nside='{side}'\nquantity='{quantity}'\nentry_price='{entry}'\n{more}"
            )
        };
        for (wallet, positions, expected) in [
            ("6000", position("BOTH", "1", "60000", ""), dec!(54221.1055)),
            ("6000", position("BOTH", "-1", "60000", ""), dec!(65721.3930)),
            (
                "6000",
                position("LONG", "1", "60000", "") + &position("SHORT", "-0.4", "62000", ""),
                dec!(49125.1682),
            ),
            (
                "9000",
                position("BOTH", "0.5", "60000", "isolated_wallet='1200'\n"),
                dec!(57831.3253),
            ),
        ] {
            let (ledger, markets) = case(wallet, &positions, "");
            let leg = ledger.held()[0].clone();
            assert_eq!(
                ledger.liquidation_price(&markets, &leg).round_dp(4),
                expected,
                "{positions}"
            );
        }
    }
}
