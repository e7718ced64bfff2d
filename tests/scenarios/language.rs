//! The words of scenario lines, and a small venue that holds what they said.

mod answers;
mod shapes;
mod supposed;

use super::rules::rules;
use super::said::{look, weighed, words};
use answers::outcome;
use backstop::event::{
    AccountUpdate, BalanceChange, Baseline, CalledPosition, Command, Event, Holdings, Input, KillAction,
    Link, MarginCall, PositionChange, Reason, Settings, Transfer,
};
use backstop::guard::{Decision, Guard, Start};
use backstop::model::{
    Asset, Balance, ClientOrderId, Intent, IntentKey, Leg, MarginType, MarkPrice, Money, Order, OrderId,
    OrderKind, OrderStatus, Position, PositionMode, PositionSide, Price, Qty, Side, Span, Store, Symbol,
    Timestamp,
};
use backstop::policy::{Amount, Scope};
use std::collections::BTreeMap;

/// 2026-11-25 00:00:00 UTC, a Wednesday.
const START_MS: i64 = 1_795_564_800_000;

/// A guard and what the scenario has said of its account.
pub struct Stage {
    guard: Guard,
    policies: String,
    now: Timestamp,
    mode: PositionMode,
    wallet: Money,
    positions: BTreeMap<Leg, (Qty, Option<Price>)>,
    margin: MarginType,
    marks: BTreeMap<Symbol, Price>,
    orders: BTreeMap<i64, Order>,
    last: Vec<IntentKey>,
    transfers: Vec<Transfer>,
    digests: bool,
    /// Whether readings leave the margin type of cross positions out, as the venue's do.
    is_cross_unsaid: bool,
    reads: BTreeMap<&'static str, u32>,
    shapes: shapes::Shapes,
}

fn guard(policies: &str, start: Start) -> Guard {
    let set =
        backstop::config::policy::parse("scenario", policies).unwrap_or_else(|errors| panic!("{errors}"));
    Guard::new("main", set, Span::from_secs(15), start)
}

impl Stage {
    pub fn new(policies: &str) -> Stage {
        Stage {
            guard: guard(policies, Start::Fresh),
            policies: policies.into(),
            now: Timestamp::from_ms(START_MS),
            mode: PositionMode::OneWay,
            wallet: Money::ZERO,
            positions: BTreeMap::new(),
            margin: MarginType::Cross,
            marks: BTreeMap::new(),
            orders: BTreeMap::new(),
            last: Vec::new(),
            transfers: Vec::new(),
            digests: false,
            is_cross_unsaid: false,
            reads: BTreeMap::new(),
            shapes: shapes::Shapes::default(),
        }
    }

    /// Plays a line and says what the guard decided.
    pub fn play(&mut self, line: &str) -> String {
        let mut words = line.split_whitespace();
        let at = offset(words.next().unwrap());
        let mut said = Vec::new();
        self.wait(Timestamp::from_ms(START_MS).after(at), &mut said);
        let words: Vec<&str> = words.collect();
        for input in self.inputs(&words, &mut said) {
            self.step(&input, &mut said);
        }
        if said.is_empty() {
            ".".into()
        } else {
            said.join("; ")
        }
    }

    /// Lets time pass, waking the guard when it wants to be woken; with digests, reading the account every 5 s.
    fn wait(&mut self, until: Timestamp, said: &mut Vec<String>) {
        let every = Span::from_secs(5);
        let mut digest = self.now.after(every);
        loop {
            let wake = self.guard.deadline().filter(|deadline| *deadline <= until);
            if self.digests && digest <= until && wake.is_none_or(|wake| digest <= wake) {
                self.now = digest;
                digest = digest.after(every);
                let input = self.holdings();
                self.step(&input, said);
            } else if let Some(wake) = wake {
                self.now = wake;
                self.step(&Input::Tick, said);
            } else {
                break;
            }
        }
        self.now = until;
    }

    /// The promise, at every step of every scenario: an order closes, and never more than is there.
    fn keeps_its_word(&self, decision: &Decision) {
        for intent in &decision.intents {
            if let Intent::PlaceStop(stop) = intent {
                let held = self.guard.book().amount(stop.leg());
                assert_eq!(Some(stop.side()), Side::closing(held), "{stop:?} against {held}");
            }
            let Intent::Reduce(order) = intent else { continue };
            let held = self.guard.book().amount(order.leg());
            assert_eq!(
                Some(order.side()),
                Side::closing(held),
                "{order:?} against {held}"
            );
            assert!(order.qty() <= held.abs(), "{order:?} against {held}");
        }
    }

    /// The wallet at the venue.
    pub fn wallet(&self) -> rust_decimal::Decimal {
        self.wallet.decimal()
    }

    /// What a policy measures of the account now.
    pub fn measured(&self, id: &str) -> Option<Amount> {
        let mut policies = self.guard.policies().iter();
        let policy = policies.find(|policy| policy.spec.id == id)?;
        policy.tracks.get(&Scope::Account)?.measured.value()
    }

    /// Ids of the orders that are open at the venue.
    pub fn open_ids(&self) -> Vec<i64> {
        self.orders.keys().copied().collect()
    }

    fn step(&mut self, input: &Input, said: &mut Vec<String>) {
        let decision = self.guard.step(self.now, input);
        self.keeps_its_word(&decision);
        if !decision.intents.is_empty() {
            self.last = decision.intents.iter().map(Intent::key).collect();
        }
        for (what, is_needed) in [
            ("holdings", decision.needs.holdings),
            ("orders", decision.needs.orders),
            ("settings", decision.needs.settings),
            ("rules", decision.needs.rules),
        ] {
            *self.reads.entry(what).or_default() += u32::from(is_needed);
        }
        said.extend(words(&decision));
    }

    fn inputs(&mut self, words: &[&str], said: &mut Vec<String>) -> Vec<Input> {
        let venue = |event: Event| Input::Venue(event);
        match words {
            ["wait"] => vec![],
            ["digests"] => {
                self.digests = true;
                vec![]
            }
            ["hedge"] => {
                self.mode = PositionMode::Hedge;
                vec![]
            }
            ["isolated"] => {
                self.margin = MarginType::Isolated;
                vec![]
            }
            ["cross"] => {
                (self.margin, self.is_cross_unsaid) = (MarginType::Cross, true);
                vec![]
            }
            // What a person who looks now is shown: of a policy, of `now`, or of the `stops`.
            ["look", what] => {
                let preview = self.guard.preview(self.now);
                for close in &preview.now.closes {
                    let held = self.guard.book().amount(&close.leg);
                    assert!(Some(close.side) == Side::closing(held), "{close:?} of {held}");
                    assert!(close.quantity <= held.abs(), "{close:?} of {held}");
                }
                said.extend(look(&preview, what));
                vec![]
            }
            // What a person who looks now is told of the costs of a policy's reductions.
            ["weigh", policy] => {
                said.extend(weighed(&self.guard.preview(self.now), policy));
                vec![]
            }
            // How often the orders were asked for since the last such line.
            ["looks"] => {
                let looks = self.reads.remove("orders").unwrap_or(0);
                said.push(format!("{looks} looks at the orders"));
                vec![]
            }
            ["wallet", amount] => {
                self.wallet = amount.parse().unwrap();
                vec![]
            }
            ["hold", leg, amount, entry] => {
                let leg = leg_of(leg);
                let at = self.venue_now();
                self.shapes.changed_at.insert(leg.clone(), at);
                self.positions.insert(
                    leg.clone(),
                    (amount.parse().unwrap(), Some(entry.parse().unwrap())),
                );
                self.marks.insert(leg.symbol, entry.parse().unwrap());
                vec![]
            }
            ["snapshot"] => {
                let settings = Settings {
                    mode: self.mode,
                    multi_assets: self.shapes.multi_assets,
                };
                let mut all = vec![
                    venue(Event::Link(Link::Up)),
                    venue(Event::Settings(settings)),
                    venue(Event::Rules(self.shapes.changed(rules()))),
                ];
                all.extend([
                    self.holdings(),
                    self.open(Store::Regular),
                    self.open(Store::Conditional),
                ]);
                all.push(venue(Event::Transfers(self.transfers.clone())));
                all
            }
            ["holdings"] => vec![self.holdings()],
            ["orders"] => vec![self.open(Store::Regular), self.open(Store::Conditional)],
            ["transfers"] => vec![venue(Event::Transfers(self.transfers.clone()))],
            // The venue lists only these yet.
            ["transfers", listed @ ..] => {
                let listed: Vec<i64> = listed.iter().map(|id| id.parse().unwrap()).collect();
                let all = self.transfers.iter();
                let some = all.filter(|transfer| listed.contains(&transfer.id)).cloned();
                vec![venue(Event::Transfers(some.collect()))]
            }
            ["mark", symbol, price, rest @ ..] => vec![venue(self.mark(symbol, price, rest))],
            // The position becomes this and profit goes to the wallet, as the stream tells it.
            ["position", leg, amount] => {
                let update = self.moved(&leg_of(leg), amount.parse().unwrap());
                vec![venue(Event::Account(update))]
            }
            // The same, and the stream says nothing.
            ["silently", leg, amount] => {
                self.moved(&leg_of(leg), amount.parse().unwrap());
                vec![]
            }
            ["transfer", amount] | ["transfer", amount, "silently"] => {
                let change: Money = amount.parse().unwrap();
                self.wallet += change;
                let asset = Asset::new("USDT").unwrap();
                let id = self.transfers.len() as i64 + 1;
                self.transfers.push(Transfer {
                    id,
                    asset: asset.clone(),
                    amount: change,
                    at: self.now,
                });
                if words.len() == 3 {
                    return vec![];
                }
                let balance = BalanceChange {
                    asset,
                    wallet: self.wallet,
                    cross_wallet: self.wallet,
                    change,
                };
                vec![venue(Event::Account(AccountUpdate {
                    reason: Reason::External,
                    balances: vec![balance],
                    positions: vec![],
                    at: self.now,
                }))]
            }
            // The wallet moves by this; the stream gives this reason, and how much of it came in from outside.
            ["balance", amount, reason, change] => {
                self.wallet += amount.parse().unwrap();
                vec![venue(Event::Account(AccountUpdate {
                    reason: match *reason {
                        "external" => Reason::External,
                        "internal" => Reason::Internal,
                        "profit" => Reason::Profit,
                        other => Reason::Unclassified(other.to_owned()),
                    },
                    balances: vec![BalanceChange {
                        asset: Asset::new("USDT").unwrap(),
                        wallet: self.wallet,
                        cross_wallet: self.wallet,
                        change: change.parse().unwrap(),
                    }],
                    positions: vec![],
                    at: self.now,
                }))]
            }
            ["call", symbol] => {
                let leg = leg_of(symbol);
                let (amount, _) = self.positions.get(&leg).copied().unwrap();
                let mark = self.marks.get(&leg.symbol).copied();
                let called = CalledPosition {
                    leg,
                    amount,
                    margin: self.margin,
                    mark,
                    maintenance: None,
                };
                vec![venue(Event::MarginCall(MarginCall {
                    cross_wallet: Some(self.wallet),
                    positions: vec![called],
                    at: self.now,
                }))]
            }
            // order ID SYMBOL SIDE QTY [stop|ro|close] [at PRICE]
            ["order", id, leg, side, quantity, rest @ ..] => {
                let order = self.order(id.parse().unwrap(), &leg_of(leg), side, quantity, rest);
                self.orders.insert(order.id.id, order.clone());
                vec![venue(Event::Order(order))]
            }
            ["gone", id] => {
                let mut order = self.orders.remove(&id.parse().unwrap()).unwrap();
                order.status = OrderStatus::Ended;
                order.at = self.now;
                vec![venue(Event::Order(order))]
            }
            ["link", "down"] => vec![venue(Event::Link(Link::Down("reset by peer".into())))],
            ["link", "up"] => vec![venue(Event::Link(Link::Up))],
            ["kill", action, rest @ ..] => {
                let action = if *action == "block" {
                    KillAction::Block
                } else {
                    KillAction::Flatten
                };
                let symbol = rest.first().map(|symbol| symbol.parse().unwrap());
                vec![Input::Command(Command::Kill {
                    action,
                    symbol,
                    reason: "by hand".into(),
                })]
            }
            ["rearm", baseline] => {
                let baseline = if *baseline == "keep" {
                    Baseline::Keep
                } else {
                    Baseline::Rebase
                };
                vec![Input::Command(Command::Rearm { baseline })]
            }
            ["killfile", state] => vec![Input::Command(Command::KillFile(*state == "on"))],
            ["restart"] => {
                let saved = self.guard.saved_state();
                self.guard = guard(&self.policies, Start::Saved(Box::new(saved)));
                said.push("restarted".into());
                vec![Input::Tick]
            }
            // Started, stopped before anything was heard, and started again.
            ["restart", "twice"] => {
                let saved = Box::new(self.guard.saved_state());
                let unheard = guard(&self.policies, Start::Saved(saved)).saved_state();
                self.guard = guard(&self.policies, Start::Saved(Box::new(unheard)));
                said.push("restarted".into());
                vec![Input::Tick]
            }
            // The policy file was edited meanwhile: the first text became the second.
            ["restart", "edited", from, to] => {
                assert!(self.policies.contains(from), "not in the policy file: {from}");
                self.policies = self.policies.replace(from, to);
                let saved = self.guard.saved_state();
                self.guard = guard(&self.policies, Start::Saved(Box::new(saved)));
                said.push("restarted".into());
                vec![Input::Tick]
            }
            ["lost"] => {
                self.guard = guard(&self.policies, Start::Lost("the database is damaged".into()));
                vec![Input::Tick]
            }
            // outcome N WORD…: of the Nth intent of the last decision that had any.
            // outcome any N WORD…: the same, counted round; nothing when there is none.
            ["outcome", "any", number, rest @ ..] => {
                let number: usize = number.parse().unwrap();
                let chosen = number
                    .checked_rem(self.last.len())
                    .map(|index| self.last[index].clone());
                chosen
                    .into_iter()
                    .map(|key| Input::Outcome(key, outcome(rest, self.venue_now())))
                    .collect()
            }
            ["outcome", number, rest @ ..] => {
                let Some(key) = self.last.get(number.parse::<usize>().unwrap() - 1).cloned() else {
                    said.push(format!("there is no request {number}"));
                    return vec![];
                };
                vec![Input::Outcome(key, outcome(rest, self.venue_now()))]
            }
            _ => self.shape(words, said),
        }
    }

    /// The venue's clock.
    fn venue_now(&self) -> Timestamp {
        Timestamp::from_ms(self.now.ms() + self.shapes.dated_ms)
    }

    fn moved(&mut self, leg: &Leg, amount: Qty) -> AccountUpdate {
        let at = self.venue_now();
        self.shapes.changed_at.insert(leg.clone(), at);
        let (before, entry) = self.positions.get(leg).copied().unwrap_or((Qty::ZERO, None));
        let mark = self.marks.get(&leg.symbol).copied().unwrap();
        let closes = amount.abs() < before.abs();
        if let Some(entry) = entry.filter(|_| closes) {
            self.wallet += (before - amount).times(mark.minus(entry));
        }
        let entry = if closes { entry } else { Some(mark) };
        self.positions.insert(leg.clone(), (amount, entry));
        AccountUpdate {
            reason: Reason::Profit,
            balances: vec![BalanceChange {
                asset: Asset::new("USDT").unwrap(),
                wallet: self.wallet,
                cross_wallet: self.wallet,
                change: Money::ZERO,
            }],
            positions: vec![PositionChange {
                leg: leg.clone(),
                amount,
                entry: entry.filter(|_| !amount.is_zero()),
                margin: Some(self.margin_of(leg)),
                isolated_wallet: self.shapes.isolated.get(leg).copied().unwrap_or(Money::ZERO),
            }],
            at,
        }
    }

    fn order(&self, id: i64, leg: &Leg, side: &str, quantity: &str, rest: &[&str]) -> Order {
        let conditional = rest.contains(&"stop") || rest.contains(&"close");
        let store = if conditional {
            Store::Conditional
        } else {
            Store::Regular
        };
        Order {
            id: OrderId {
                store,
                symbol: leg.symbol.clone(),
                id,
            },
            client_id: Some(ClientOrderId::new(&format!("bot-{id}")).unwrap()),
            side: if side == "BUY" { Side::Buy } else { Side::Sell },
            position_side: leg.side,
            kind: if rest.contains(&"liquidation") {
                OrderKind::Liquidation
            } else if conditional {
                OrderKind::Stop
            } else {
                OrderKind::Limit
            },
            price: None,
            trigger: rest
                .iter()
                .position(|word| *word == "at")
                .map(|at| rest[at + 1].parse().unwrap()),
            quantity: quantity.parse().unwrap(),
            executed: Qty::ZERO,
            average: None,
            reduce_only: rest.contains(&"ro"),
            close_position: rest.contains(&"close"),
            status: OrderStatus::New,
            at: self.now,
            trade: None,
        }
    }

    fn holdings(&self) -> Input {
        let own: Money = self.shapes.isolated.values().copied().sum();
        let balance = |wallet: Money, isolated: Money| Balance {
            wallet,
            cross_wallet: wallet - isolated,
            at: Timestamp::default(),
        };
        let mut balances = vec![(Asset::new("USDT").unwrap(), balance(self.wallet, own))];
        let others = self.shapes.wallets.iter();
        balances.extend(others.map(|(asset, wallet)| (asset.clone(), balance(*wallet, Money::ZERO))));
        let held = self.positions.iter().filter(|(_, (amount, _))| !amount.is_zero());
        let positions = held.map(|(leg, (amount, entry))| {
            let position = Position {
                amount: *amount,
                entry: *entry,
                margin: Some(self.margin_of(leg))
                    .filter(|margin| *margin == MarginType::Isolated || !self.is_cross_unsaid),
                isolated_wallet: match (self.shapes.isolated.get(leg), self.margin) {
                    (Some(wallet), _) => *wallet,
                    (None, MarginType::Isolated) => self.wallet,
                    (None, MarginType::Cross) => Money::ZERO,
                },
                at: self
                    .shapes
                    .changed_at
                    .get(leg)
                    .copied()
                    .filter(|_| self.shapes.is_timed)
                    .unwrap_or_default(),
            };
            (leg.clone(), position)
        });
        let marks = self.marks.iter();
        Input::Venue(Event::Holdings(Holdings {
            balances,
            positions: positions.collect(),
            disputed: self.shapes.disputed.clone(),
            liquidations: self.shapes.liquidations.clone(),
            claims: self.claims(),
            marks: marks
                .map(|(symbol, price)| MarkPrice {
                    index: None,
                    symbol: symbol.clone(),
                    price: *price,
                    at: self.now,
                })
                .collect(),
        }))
    }

    fn open(&self, store: Store) -> Input {
        let orders = self
            .orders
            .values()
            .filter(|order| order.id.store == store)
            .cloned()
            .collect();
        Input::Venue(Event::OpenOrders(store, orders))
    }
}

/// `12s`, `1m30s`, `2h`, `2d`, `250ms`.
fn offset(text: &str) -> Span {
    let mut total = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let unit = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => panic!("no such unit: {unit}"),
        };
        total += number.parse::<i64>().unwrap() * unit;
        rest = tail;
    }
    Span::from_ms(total)
}

/// `BTCUSDT`, `BTCUSDT/LONG`.
fn leg_of(text: &str) -> Leg {
    let (symbol, side) = text.split_once('/').unwrap_or((text, "BOTH"));
    let side = match side {
        "LONG" => PositionSide::Long,
        "SHORT" => PositionSide::Short,
        _ => PositionSide::Both,
    };
    Leg {
        symbol: symbol.parse().unwrap(),
        side,
    }
}
