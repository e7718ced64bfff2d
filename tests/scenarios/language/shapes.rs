//! Words for the shapes that accounts, contracts and answers come in.

use super::{Stage, leg_of, rules};
use backstop::event::{Claim, Claims, Event, Input, LegClaim, Reading, Settings, Transfer};
use backstop::model::{
    Asset, AssetIndex, ClientOrderId, Instrument, IntentKey, Leg, MarginType, MarkPrice, Money, Order,
    OrderId, OrderKind, OrderStatus, PositionMode, PositionSide, Price, Qty, Store, Symbol, Tier, Timestamp,
    Trade, TradingStatus,
};
use std::collections::BTreeMap;

/// What a scenario has said of the account's shape.
#[derive(Default)]
pub struct Shapes {
    pub multi_assets: bool,
    /// Wallets besides the one in USDT.
    pub wallets: BTreeMap<Asset, Money>,
    /// Legs that stand on a wallet of their own.
    pub isolated: BTreeMap<Leg, Money>,
    pub disputed: Vec<Leg>,
    /// Where the venue says that it liquidates.
    pub liquidations: Vec<(Leg, Price)>,
    /// The last order of the guard that was shown.
    own: Option<Order>,
    /// Our orders that the venue ended: another one has another number.
    withdrawn: i64,
    /// How far the venue's clock is from ours.
    pub dated_ms: i64,
    /// Whether readings say when each position changed last, and when that was.
    pub is_timed: bool,
    pub changed_at: BTreeMap<Leg, Timestamp>,
    /// The venue's own count: by asset, by leg, and of everything.
    asset_claims: BTreeMap<Asset, Claim>,
    leg_claims: BTreeMap<Leg, Claim>,
    whole_claim: Option<Claim>,
    /// Contracts whose largest market order changed, and those that are halted.
    most: BTreeMap<Symbol, Qty>,
    halted: Vec<Symbol>,
    delisted: Vec<Symbol>,
}

impl Shapes {
    /// The contracts as they are now.
    pub fn changed(&self, rules: Vec<Instrument>) -> Vec<Instrument> {
        let listed = rules
            .into_iter()
            .filter(|found| !self.delisted.contains(&found.symbol));
        let changed = listed.map(|mut found| {
            if let Some(most) = self.most.get(&found.symbol) {
                found.market_lot.max = *most;
            }
            if self.halted.contains(&found.symbol) {
                found.status = TradingStatus::Other;
            }
            found
        });
        changed.collect()
    }
}

impl Stage {
    /// `mark SYMBOL PRICE`, with `behind TIME` for a venue's time that far behind our clock, and `index PRICE`.
    pub(super) fn mark(&mut self, symbol: &str, price: &str, rest: &[&str]) -> Event {
        let (symbol, price): (Symbol, Price) = (symbol.parse().unwrap(), price.parse().unwrap());
        self.marks.insert(symbol.clone(), price);
        let (mut at, mut index) = (self.now, None);
        match rest {
            [] => {}
            ["behind", behind] => at = Timestamp::from_ms(self.now.ms() - super::offset(behind).ms()),
            ["index", written] => index = Some(written.parse().unwrap()),
            other => panic!("not a mark: {other:?}"),
        }
        Event::Marks(vec![MarkPrice {
            symbol,
            price,
            index,
            at,
        }])
    }

    pub(super) fn margin_of(&self, leg: &Leg) -> MarginType {
        if self.shapes.isolated.contains_key(leg) {
            MarginType::Isolated
        } else {
            self.margin
        }
    }

    /// What the venue says of margin beside its readings, once a scenario has made it say anything.
    pub(super) fn claims(&self) -> Option<Claims> {
        let shapes = &self.shapes;
        if shapes.asset_claims.is_empty() && shapes.leg_claims.is_empty() && shapes.whole_claim.is_none() {
            return None;
        }
        let zero = Claim {
            maintenance: Money::ZERO,
            balance: Money::ZERO,
        };
        let legs = self.positions.iter().map(|(leg, (amount, _))| {
            let margin = shapes.leg_claims.get(leg).copied().unwrap_or(zero);
            let notional = amount.notional(self.marks[&leg.symbol]);
            (leg.clone(), LegClaim { notional, margin })
        });
        Some(Claims {
            assets: shapes.asset_claims.clone().into_iter().collect(),
            legs: legs.collect(),
            whole: shapes.whole_claim.unwrap_or(zero),
        })
    }

    pub(super) fn shape(&mut self, words: &[&str], said: &mut Vec<String>) -> Vec<Input> {
        let venue = |event: Event| vec![Input::Venue(event)];
        match words {
            ["if", withdrawal, moves @ .., "look", what] => {
                said.extend(self.suppose(withdrawal, moves, what));
                vec![]
            }
            ["multi"] => {
                self.shapes.multi_assets = true;
                vec![]
            }
            ["asset", asset, amount] => {
                let (asset, amount) = (asset.parse().unwrap(), amount.parse().unwrap());
                self.shapes.wallets.insert(asset, amount);
                vec![]
            }
            ["index", asset, index, bid, ask] => {
                let price = |text: &str| text.parse::<Price>().unwrap();
                venue(Event::AssetIndexes(vec![AssetIndex {
                    asset: asset.parse().unwrap(),
                    index: price(index),
                    bid: price(bid),
                    ask: price(ask),
                }]))
            }
            ["isolated", leg, wallet] => {
                self.shapes.isolated.insert(leg_of(leg), wallet.parse().unwrap());
                vec![]
            }
            // Where the venue says that it liquidates a leg, from the next reading on.
            ["liquidates", leg, price] => {
                self.shapes
                    .liquidations
                    .push((leg_of(leg), price.parse().unwrap()));
                vec![]
            }
            // The venue's own count from now on: says asset|LEG|whole, maintenance, balance.
            ["says", "nothing"] => {
                self.shapes.asset_claims.clear();
                self.shapes.leg_claims.clear();
                self.shapes.whole_claim = None;
                vec![]
            }
            ["says", what, maintenance, balance] => {
                let claim = Claim {
                    maintenance: maintenance.parse().unwrap(),
                    balance: balance.parse().unwrap(),
                };
                match *what {
                    "whole" => self.shapes.whole_claim = Some(claim),
                    "USDT" | "USDC" => {
                        self.shapes.asset_claims.insert(what.parse().unwrap(), claim);
                    }
                    leg => {
                        self.shapes.leg_claims.insert(leg_of(leg), claim);
                    }
                }
                vec![]
            }
            // Two answers of the venue contradict each other on this leg.
            ["disputed", leg] => {
                self.shapes.disputed.push(leg_of(leg));
                vec![]
            }
            ["disputed"] => {
                self.shapes.disputed.clear();
                vec![]
            }
            // From here on readings say when each position changed last.
            ["timed"] => {
                self.shapes.is_timed = true;
                vec![]
            }
            ["dated", rest @ ..] => {
                self.shapes.dated_ms = match rest {
                    [text] if text.starts_with('-') => -super::offset(&text[1..]).ms(),
                    [text] => super::offset(text).ms(),
                    _ => 0,
                };
                vec![]
            }
            ["reads"] => {
                let reads = std::mem::take(&mut self.reads);
                let reads = reads.into_iter().filter(|(_, count)| *count > 0);
                let told: Vec<String> = reads.map(|(what, count)| format!("{what} {count}")).collect();
                said.push(format!("reads: {}", told.join(", ")));
                vec![]
            }
            // The list of transfers has this one from now on; the wallet moved by it before.
            ["income", amount] => {
                self.transfers.push(Transfer {
                    id: self.transfers.len() as i64 + 1,
                    asset: Asset::new("USDT").unwrap(),
                    amount: amount.parse().unwrap(),
                    at: self.now,
                });
                vec![]
            }
            // The venue refuses the key for a reading of balances and positions.
            ["fails", "key"] => vec![
                Input::Venue(Event::KeyRefused),
                Input::Venue(Event::ReadFailed(Reading::Holdings)),
            ],
            ["fails", what] => venue(Event::ReadFailed(match *what {
                "holdings" => Reading::Holdings,
                "orders" => Reading::OpenOrders(Store::Regular),
                "settings" => Reading::Settings,
                "rules" => Reading::Rules,
                "transfers" => Reading::Transfers,
                other => panic!("no such reading: {other}"),
            })),
            ["settings", mode] => {
                self.mode = match *mode {
                    "hedge" => PositionMode::Hedge,
                    _ => PositionMode::OneWay,
                };
                venue(Event::Settings(Settings {
                    mode: self.mode,
                    multi_assets: self.shapes.multi_assets,
                }))
            }
            ["settings"] => venue(Event::SettingsChanged),
            ["unknown", what] => venue(Event::Unknown((*what).to_owned())),
            ["hint", symbol] => venue(Event::FillHint(symbol.parse().unwrap())),
            ["most", symbol, quantity] => {
                let (symbol, quantity) = (symbol.parse().unwrap(), quantity.parse().unwrap());
                self.shapes.most.insert(symbol, quantity);
                vec![]
            }
            ["halted", symbol] => {
                self.shapes.halted.push(symbol.parse().unwrap());
                vec![]
            }
            ["unlisted", symbol] => {
                self.shapes.delisted.push(symbol.parse().unwrap());
                vec![]
            }
            ["listed", symbol] => {
                self.shapes.delisted.retain(|known| known.as_str() != *symbol);
                vec![]
            }
            ["rules"] => {
                let rules = self.shapes.changed(rules());
                let tiers: Vec<(Symbol, Vec<Tier>)> = rules
                    .iter()
                    .map(|found| (found.symbol.clone(), found.tiers.clone()))
                    .collect();
                vec![
                    Input::Venue(Event::Rules(rules)),
                    Input::Venue(Event::Tiers(tiers)),
                ]
            }
            // own N new|partly|filled|ended EXECUTED [plain]: the stream on the Nth intent's order.
            ["own", number, status, executed, rest @ ..] => {
                let order = self.own(number.parse().unwrap(), status, executed, rest);
                self.shapes.own.clone_from(&order);
                order
                    .into_iter()
                    .map(|order| Input::Venue(Event::Order(order)))
                    .collect()
            }
            // stood ID LEG: the venue shows the stop of the guard that is in the air.
            ["stood", id, leg] => {
                let leg = leg_of(leg);
                let flights = self.guard.flights().iter();
                let stop = flights
                    .filter_map(|(_, flight)| match &flight.intent {
                        backstop::model::Intent::PlaceStop(stop) if *stop.leg() == leg => Some(stop.clone()),
                        _ => None,
                    })
                    .next();
                let stop = stop.unwrap();
                let side = stop.side().to_string();
                let mut order = self.order(id.parse().unwrap(), &leg, &side, "0", &["close"]);
                order.client_id = Some(stop.id().clone());
                order.trigger = Some(stop.trigger());
                self.orders.insert(order.id.id, order.clone());
                vec![Input::Venue(Event::Order(order))]
            }
            // The last order of ours that was shown is over, cancelled.
            ["withdrawn"] => {
                let mut order = self.shapes.own.clone().unwrap();
                (order.status, order.at) = (OrderStatus::Ended, self.now);
                self.shapes.withdrawn += 1;
                vec![Input::Venue(Event::Order(order))]
            }
            // venue CLIENT_ID ID LEG SIDE QTY STATUS: an order that nobody of the account sent.
            ["venue", client, id, leg, side, quantity, status] => {
                let mut order = self.order(id.parse().unwrap(), &leg_of(leg), side, quantity, &[]);
                order.client_id = Some(ClientOrderId::new(client).unwrap());
                order.kind = if client.starts_with("autoclose-") {
                    OrderKind::Liquidation
                } else {
                    OrderKind::Market
                };
                order.status = status_of(status);
                if order.status == OrderStatus::Filled {
                    order.executed = order.quantity;
                    self.orders.remove(&order.id.id);
                } else {
                    self.orders.insert(order.id.id, order.clone());
                }
                vec![Input::Venue(Event::Order(order))]
            }
            // trade NUMBER LEG SIDE QTY PROFIT FEE [ours|partly]: a fill, as the stream settles it.
            ["trade", number, leg, side, quantity, realised, fee, rest @ ..] => {
                let number: i64 = number.parse().unwrap();
                let mut order = self.order(number, &leg_of(leg), side, quantity, &[]);
                (order.kind, order.executed) = (OrderKind::Market, order.quantity);
                order.status = if rest.contains(&"partly") {
                    OrderStatus::PartiallyFilled
                } else {
                    OrderStatus::Filled
                };
                if rest.contains(&"ours") {
                    (order.client_id, order.reduce_only) = (ClientOrderId::new("bs-0123").ok(), true);
                }
                order.trade = Some(Trade {
                    id: number,
                    realised: realised.parse().unwrap(),
                    fee: Some((Asset::new("USDT").unwrap(), fee.parse().unwrap())),
                });
                venue(Event::Order(order))
            }
            // algo ID triggering|filled|ended: what became of a conditional order; the child is told on its own.
            ["algo", id, status] => {
                let id = id.parse().unwrap();
                let mut order = self.orders.get(&id).cloned().unwrap();
                (order.status, order.at) = (status_of(status), self.now);
                if order.status.is_terminal() {
                    self.orders.remove(&id);
                } else {
                    self.orders.insert(id, order.clone());
                }
                vec![Input::Venue(Event::Order(order))]
            }
            _ => panic!("no such line: {words:?}"),
        }
    }

    /// The order of the Nth intent as the venue shows it.
    fn own(&self, number: usize, status: &str, executed: &str, rest: &[&str]) -> Option<Order> {
        let Some(IntentKey::Reduce(client)) = self.last.get(number - 1) else {
            return None;
        };
        let flight = self.guard.flights().reductions();
        let reduce = flight
            .filter_map(|(_, flight)| match &flight.intent {
                backstop::model::Intent::Reduce(order) if order.id() == client => Some(order.clone()),
                _ => None,
            })
            .next();
        let reduce = reduce?;
        Some(Order {
            id: OrderId {
                store: Store::Regular,
                symbol: reduce.leg().symbol.clone(),
                id: 900_000 + 100 * self.shapes.withdrawn + i64::try_from(number).unwrap(),
            },
            client_id: Some(client.clone()),
            side: reduce.side(),
            position_side: reduce.leg().side,
            kind: OrderKind::Market,
            price: None,
            trigger: None,
            quantity: reduce.qty(),
            executed: executed.parse().unwrap(),
            average: None,
            reduce_only: reduce.leg().side == PositionSide::Both && !rest.contains(&"plain"),
            close_position: false,
            trade: None,
            status: status_of(status),
            at: self.now,
        })
    }
}

fn status_of(word: &str) -> OrderStatus {
    match word {
        "new" => OrderStatus::New,
        "partly" => OrderStatus::PartiallyFilled,
        "triggering" => OrderStatus::Triggering,
        "filled" => OrderStatus::Filled,
        "ended" => OrderStatus::Ended,
        _ => panic!("no such status: {word}"),
    }
}
