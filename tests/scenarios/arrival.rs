//! Events in every order, repeated, lost, and beside readings that come late: the account ends as the venue has it.

use super::rules::rules;
use backstop::book::Book;
use backstop::event::{
    AccountUpdate, BalanceChange, Event, Holdings, Link, PositionChange, Reason, Settings,
};
use backstop::model::{
    Asset, Balance, Leg, MarginType, MarkPrice, Money, Order, OrderId, OrderKind, OrderStatus, Position,
    PositionMode, PositionSide, Price, Qty, Side, Span, Store, Symbol, Timestamp,
};
use proptest::prelude::*;
use rust_decimal::Decimal;
use std::collections::BTreeMap;

const START: Timestamp = Timestamp::from_ms(1_795_564_800_000);
const SYMBOLS: [&str; 2] = ["BTCUSDT", "ALTUSDT"];

/// What happens at the venue: a kind, a choice, a number, and the milliseconds since the one before.
type Draw = (u8, u8, i16, u16);

fn draws() -> impl Strategy<Value = Vec<Draw>> {
    prop::collection::vec((any::<u8>(), any::<u8>(), -500i16..500, 1u16..800), 1..25)
}

/// The venue itself.
#[derive(Clone, Default)]
struct Venue {
    now: Timestamp,
    wallet: Money,
    wallet_at: Timestamp,
    held: BTreeMap<Leg, (Qty, Timestamp)>,
    orders: BTreeMap<OrderId, Order>,
    deposits: Money,
    count: i64,
}

fn usdt() -> Asset {
    Asset::new("USDT").unwrap()
}

fn leg(choice: u8) -> Leg {
    Leg::both(Symbol::new(SYMBOLS[usize::from(choice) % 2]).unwrap())
}

fn price() -> Price {
    "100".parse().unwrap()
}

impl Venue {
    fn new() -> Venue {
        Venue {
            now: START,
            wallet: "1000".parse().unwrap(),
            wallet_at: START,
            ..Venue::default()
        }
    }

    fn account(&mut self, reason: Reason, change: Money, moved: Option<&Leg>) -> Event {
        self.wallet_at = self.now;
        let positions = moved.map(|leg| PositionChange {
            leg: leg.clone(),
            amount: self.held[leg].0,
            entry: Some(price()).filter(|_| !self.held[leg].0.is_zero()),
            margin: Some(MarginType::Cross),
            isolated_wallet: Money::ZERO,
        });
        Event::Account(AccountUpdate {
            reason,
            balances: vec![BalanceChange {
                asset: usdt(),
                wallet: self.wallet,
                cross_wallet: self.wallet,
                change,
            }],
            positions: positions.into_iter().collect(),
            at: self.now,
        })
    }

    fn trade(&mut self, leg: &Leg, quantity: Qty) -> Event {
        let held = self.held.entry(leg.clone()).or_default();
        *held = (held.0 + quantity, self.now);
        self.wallet = self.wallet - "0.1".parse().unwrap();
        self.account(Reason::Profit, Money::ZERO, Some(leg))
    }

    /// Something happens; the events that tell of it.
    fn act(&mut self, (kind, choice, number, pause): Draw) -> Vec<Event> {
        self.now = self.now.after(Span::from_ms(pause.into()));
        let leg = leg(choice);
        let number = Decimal::new(i64::from(number), 1);
        let open = self.orders.values().nth(usize::from(choice) % 3).cloned();
        match (kind % 7, open) {
            (0, _) => vec![self.trade(&leg, Qty::new(number).unwrap())],
            (1, _) => {
                self.wallet += Money::new(number).unwrap();
                vec![self.account(Reason::Profit, Money::ZERO, None)]
            }
            (2, _) => {
                let amount = Money::new(number + Decimal::ONE_THOUSAND).unwrap();
                self.wallet += amount;
                self.deposits += amount;
                vec![self.account(Reason::External, amount, None)]
            }
            (3, Some(mut order)) => {
                // Half of it fills, then the rest.
                let is_regular = order.id.store == Store::Regular;
                order.at = self.now;
                if !is_regular {
                    order.status = OrderStatus::Filled;
                } else if order.executed.is_zero() {
                    order.executed = order.quantity.share("0.5".parse().unwrap());
                    order.status = OrderStatus::PartiallyFilled;
                } else {
                    order.executed = order.quantity;
                    order.status = OrderStatus::Filled;
                }
                self.orders.insert(order.id.clone(), order.clone());
                if order.status.is_terminal() {
                    self.orders.remove(&order.id);
                }
                let mut told = vec![Event::Order(order.clone())];
                if is_regular {
                    told.push(self.trade(&order.leg(), "1".parse().unwrap()));
                } else {
                    // Its child lives on in the other store.
                    told.push(self.place(Store::Regular, &order.leg()));
                }
                told
            }
            (4, Some(mut order)) => {
                (order.status, order.at) = (OrderStatus::Ended, self.now);
                self.orders.remove(&order.id);
                vec![Event::Order(order)]
            }
            (5, _) => vec![self.place(Store::Conditional, &leg)],
            _ => vec![self.place(Store::Regular, &leg)],
        }
    }

    fn place(&mut self, store: Store, leg: &Leg) -> Event {
        self.count += 1;
        let id = OrderId {
            store,
            symbol: leg.symbol.clone(),
            id: self.count,
        };
        let order = Order {
            id: id.clone(),
            client_id: None,
            side: Side::Buy,
            position_side: PositionSide::Both,
            kind: OrderKind::Limit,
            price: None,
            trigger: None,
            quantity: "2".parse().unwrap(),
            executed: Qty::ZERO,
            average: None,
            reduce_only: false,
            close_position: false,
            trade: None,
            status: OrderStatus::New,
            at: self.now,
        };
        self.orders.insert(id, order.clone());
        Event::Order(order)
    }

    /// Everything as REST would tell it now; the times of rows may be left out.
    fn readings(&self, is_dated: bool) -> Vec<Event> {
        let dated = |at: Timestamp| if is_dated { at } else { Timestamp::default() };
        let held = self.held.iter().filter(|(_, (amount, _))| !amount.is_zero());
        let positions = held.map(|(leg, (amount, at))| {
            let position = Position {
                amount: *amount,
                entry: Some(price()),
                margin: None,
                isolated_wallet: Money::ZERO,
                at: dated(*at),
            };
            (leg.clone(), position)
        });
        let balance = Balance {
            wallet: self.wallet,
            cross_wallet: self.wallet,
            at: dated(self.wallet_at),
        };
        let open = |store: Store| {
            let orders = self.orders.values().filter(|order| order.id.store == store);
            Event::OpenOrders(store, orders.cloned().collect())
        };
        let marks = SYMBOLS.map(|symbol| MarkPrice {
            index: None,
            symbol: Symbol::new(symbol).unwrap(),
            price: price(),
            at: self.now,
        });
        vec![
            Event::Holdings(Holdings {
                balances: vec![(usdt(), balance)],
                positions: positions.collect(),
                marks: marks.into(),
                disputed: vec![],
                liquidations: vec![],
                claims: None,
            }),
            open(Store::Regular),
            open(Store::Conditional),
        ]
    }

    /// What a book must say in the end.
    fn truth(&self) -> State {
        let held = self.held.iter().filter(|(_, (amount, _))| !amount.is_zero());
        State {
            wallet: self.wallet,
            held: held.map(|(leg, (amount, _))| (leg.clone(), *amount)).collect(),
            orders: self.orders.values().map(told).collect(),
        }
    }
}

/// What is compared.
#[derive(Debug, PartialEq)]
struct State {
    wallet: Money,
    held: Vec<(Leg, Qty)>,
    orders: Vec<(OrderId, Qty, OrderStatus)>,
}

fn told(order: &Order) -> (OrderId, Qty, OrderStatus) {
    (order.id.clone(), order.executed, order.status)
}

fn state(book: &Book) -> State {
    let held = book.positions();
    State {
        wallet: book.wallets().unwrap(),
        held: held
            .map(|(leg, position)| (leg.clone(), position.amount))
            .collect(),
        orders: book.orders().iter().map(told).collect(),
    }
}

/// A book that was read at the start.
fn book() -> Book {
    let mut book = Book::default();
    let settings = Settings {
        mode: PositionMode::OneWay,
        multi_assets: false,
    };
    book.apply(START, &Event::Link(Link::Up));
    book.apply(START, &Event::Settings(settings));
    book.apply(START, &Event::Rules(rules()));
    for event in Venue::new().readings(true) {
        book.apply(START, &event);
    }
    book
}

/// Applies events at one moment each; gives what came in from outside by them.
fn apply<'a>(book: &mut Book, now: Timestamp, events: impl IntoIterator<Item = &'a Event>) -> Money {
    let mut flow = Money::ZERO;
    for event in events {
        book.apply(now, event);
        flow += book.flow().unwrap_or(Money::ZERO);
    }
    flow
}

/// The streams of the venue, each in its own order, merged as `picks` say.
fn merged(events: &[Event], picks: &[u8]) -> Vec<Event> {
    let stream = |event: &Event| match event {
        Event::Account(_) => 0,
        Event::Order(order) if order.id.store == Store::Regular => 1,
        _ => 2,
    };
    let mut streams: Vec<Vec<Event>> = vec![vec![]; 3];
    for event in events.iter().rev() {
        streams[stream(event)].push(event.clone());
    }
    let mut out = Vec::new();
    let mut picks = picks.iter().cycle();
    while out.len() < events.len() {
        let wanted = usize::from(*picks.next().unwrap());
        let next = (0..3).map(|i| (wanted + i) % 3).find(|i| !streams[*i].is_empty());
        out.extend(streams[next.unwrap()].pop());
    }
    out
}

/// Two connections that overlap, as at a change of the stream: the old one tells what happened before `ends`, the new one
/// what happened from `begins` on, and one of them may lag behind the other. So an event may come after newer ones of its
/// own kind, and twice.
fn overlapping(events: &[Event], begins: usize, ends: usize, picks: &[u8]) -> Vec<Event> {
    let mut old = merged(&events[..ends], picks);
    let mut new = merged(&events[begins.min(ends)..], picks);
    old.reverse();
    new.reverse();
    let mut out = Vec::new();
    let mut picks = picks.iter().rev().cycle();
    while !old.is_empty() || !new.is_empty() {
        let (first, second) = match picks.next().unwrap() {
            0 => (&mut old, &mut new),
            _ => (&mut new, &mut old),
        };
        out.extend(first.pop().or_else(|| second.pop()));
    }
    out
}

/// MO-08: years old, and no fill of it was ever told.
#[test]
fn mo_08_an_old_position_is_what_the_venue_says_and_no_fill_adds_to_it() {
    let years = Span::from_secs(3 * 365 * 86_400);
    let old = Timestamp::from_ms(START.ms() - years.ms());
    for is_dated in [true, false] {
        let mut venue = Venue::new();
        let amount = |text: &str| text.parse::<Qty>().unwrap();
        let dated = if is_dated { old } else { Timestamp::default() };
        venue.held.insert(leg(0), (amount("7"), dated));
        let mut book = book();
        let held = |book: &Book| book.amount(&leg(0)).to_string();
        apply(&mut book, START, &venue.readings(true));
        assert_eq!(held(&book), "7");
        // An order of the account fills; how much is held is not for the order to say.
        let Event::Order(mut order) = venue.place(Store::Regular, &leg(0)) else {
            panic!("an order is an order");
        };
        (order.executed, order.status) = (amount("2"), OrderStatus::Filled);
        apply(
            &mut book,
            START,
            &[Event::Order(order), Event::FillHint(leg(0).symbol)],
        );
        assert_eq!(held(&book), "7");
        // The stream tells the amount: it is what is held, not what was added.
        let told = venue.trade(&leg(0), amount("2"));
        apply(&mut book, START, &[told]);
        assert_eq!(held(&book), "9");
        // A minute later the venue has another amount, and dates it as of old.
        venue.held.insert(leg(0), (amount("4"), dated));
        let later = START.after(Span::from_secs(60));
        apply(&mut book, later, &venue.readings(true));
        assert_eq!(held(&book), "4", "{is_dated}");
        // And no reading of it at all is the one thing that says that it is gone.
        venue.held.clear();
        apply(&mut book, later.after(Span::from_secs(60)), &venue.readings(true));
        assert_eq!(held(&book), "0");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mo_01_every_legal_interleaving_gives_the_same_account(
        draws in draws(), picks in prop::collection::vec(0u8..3, 1..40)
    ) {
        let mut venue = Venue::new();
        let events: Vec<Event> = draws.into_iter().flat_map(|draw| venue.act(draw)).collect();
        let mut book = book();
        let flow = apply(&mut book, venue.now, &merged(&events, &picks));
        prop_assert_eq!(state(&book), venue.truth());
        prop_assert_eq!(flow, venue.deposits);
    }

    #[test]
    fn mo_01_mo_02_st_09_two_connections_that_overlap_give_the_same_account(
        draws in draws(), bounds in any::<[prop::sample::Index; 2]>(), picks in prop::collection::vec(0u8..3, 1..40)
    ) {
        let mut venue = Venue::new();
        let events: Vec<Event> = draws.into_iter().flat_map(|draw| venue.act(draw)).collect();
        let [begins, ends] = bounds.map(|bound| bound.index(events.len() + 1));
        let (mut book, mut backwards) = (book(), book());
        apply(&mut book, venue.now, &overlapping(&events, begins, ends, &picks));
        prop_assert_eq!(state(&book), venue.truth());
        // A lagging connection may deliver an order's whole life backwards, and nothing of it is left.
        apply(&mut backwards, venue.now, events.iter().rev());
        prop_assert_eq!(state(&backwards), venue.truth());
    }

    #[test]
    fn mo_02_repeated_events_count_once(
        draws in draws(),
        repeats in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..60)
    ) {
        let mut venue = Venue::new();
        let events: Vec<Event> = draws.into_iter().flat_map(|draw| venue.act(draw)).collect();
        // Each at its time, and some again at any later place, up to an hour later.
        let mut book = book();
        let mut order: Vec<usize> = (0..events.len()).collect();
        for (which, gap) in repeats {
            let which = which.index(events.len());
            let first = order.iter().position(|known| *known == which).unwrap();
            order.insert(first + 1 + gap.index(order.len() - first), which);
        }
        let flow = apply(&mut book, venue.now, order.iter().map(|index| &events[*index]));
        let hour = venue.now.after(Span::from_secs(3_600));
        let late = apply(&mut book, hour, events.iter().rev());
        prop_assert_eq!((flow, late), (venue.deposits, Money::ZERO));
        prop_assert_eq!(state(&book), venue.truth());
    }

    #[test]
    fn mo_02_lost_events_are_made_good_by_the_next_digest(
        draws in draws(), kept in prop::collection::vec(any::<bool>(), 25..26), is_dated in any::<bool>()
    ) {
        let mut venue = Venue::new();
        let mut book = book();
        for (draw, kept) in draws.into_iter().zip(kept) {
            let events = venue.act(draw);
            if kept {
                apply(&mut book, venue.now, &events);
            }
        }
        let later = venue.now.after(Span::from_secs(6));
        apply(&mut book, later, &venue.readings(is_dated));
        prop_assert_eq!(state(&book), venue.truth());
    }

    #[test]
    fn mo_03_a_late_reading_undoes_no_event(
        draws in draws(), taken in any::<prop::sample::Index>(), delay in 0u32..5_000, is_dated in any::<bool>()
    ) {
        let mut venue = Venue::new();
        let mut book = book();
        let taken = taken.index(draws.len());
        let mut late: Option<(Timestamp, Vec<Event>)> = None;
        for (index, draw) in draws.into_iter().enumerate() {
            let before = venue.clone();
            let events = venue.act(draw);
            if index == taken {
                late = Some((before.now.after(Span::from_ms(delay.into())), before.readings(is_dated)));
            }
            // At its time: readings lag by five seconds at most.
            if let Some((due, readings)) = late.take_if(|(due, _)| *due <= venue.now) {
                apply(&mut book, due, &readings);
            }
            apply(&mut book, venue.now, &events);
        }
        if let Some((due, readings)) = late {
            apply(&mut book, due, &readings);
        }
        prop_assert_eq!(state(&book), venue.truth());
    }

    #[test]
    fn mo_04_f7_events_of_one_millisecond_converge_at_the_next_digest(
        draws in draws(), swaps in prop::collection::vec(any::<prop::sample::Index>(), 0..40), is_dated in any::<bool>()
    ) {
        let mut venue = Venue::new();
        let same_moment = draws.into_iter().map(|(kind, choice, number, _)| (kind, choice, number, 0));
        let mut events: Vec<Event> = same_moment.flat_map(|draw| venue.act(draw)).collect();
        for (index, swap) in swaps.into_iter().enumerate() {
            let (a, b) = (index % events.len(), swap.index(events.len()));
            events.swap(a, b);
        }
        let mut book = book();
        apply(&mut book, venue.now, &events);
        let later = venue.now.after(Span::from_secs(6));
        apply(&mut book, later, &venue.readings(is_dated));
        prop_assert_eq!(state(&book), venue.truth());
    }
}
