use super::*;
use crate::event::Input;
use crate::model::{
    ClientOrderId, Instrument, LotRule, MarginType, MarkPrice, OrderKind, PositionSide, Pricing, Side,
    Symbol, TradingStatus,
};

const BEGAN: i64 = 1_795_000_000_000;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_ms(BEGAN + ms)
}

fn usdt() -> Asset {
    Asset::new("USDT").unwrap()
}

fn leg() -> Leg {
    Leg::both(Symbol::new("BTCUSDT").unwrap())
}

fn rules() -> Instrument {
    let lot = LotRule {
        min: Qty::ZERO,
        max: Qty::ZERO,
        step: Qty::ZERO,
    };
    Instrument {
        symbol: leg().symbol,
        margin_asset: usdt(),
        status: TradingStatus::Trading,
        tick: Decimal::ZERO,
        lot,
        market_lot: lot,
        min_notional: Money::ZERO,
        band: None,
        market_bound: None,
        tiers: Vec::new(),
    }
}

/// What the stream tells of the account: `amount @ entry, wallet`.
fn told_of(text: &str, ms: i64) -> Event {
    let (held, wallet) = text.split_once(", ").unwrap();
    let (amount, entry) = held.split_once(" @ ").unwrap_or((held, "0"));
    let wallet: Money = wallet.parse().unwrap();
    Event::Account(AccountUpdate {
        reason: Reason::Profit,
        balances: vec![BalanceChange {
            asset: usdt(),
            wallet,
            cross_wallet: wallet,
            change: Money::ZERO,
        }],
        positions: vec![PositionChange {
            leg: leg(),
            amount: amount.parse().unwrap(),
            entry: entry.parse().ok(),
            margin: Some(MarginType::Cross),
            isolated_wallet: Money::ZERO,
        }],
        at: at(ms),
    })
}

fn in_words(event: &Event) -> String {
    let Event::Account(update) = event else {
        return format!("{event:?}");
    };
    let (balance, position) = (&update.balances[0], &update.positions[0]);
    let entry = position
        .entry
        .map_or(String::new(), |entry| format!(" @ {entry}"));
    format!("{}{entry}, {}", position.amount, balance.wallet)
}

fn mark() -> MarkPrice {
    MarkPrice {
        symbol: leg().symbol,
        price: "100".parse().unwrap(),
        index: None,
        at: at(0),
    }
}

/// An account as recorded: 1000 USDT and a position, at a mark price of 100.
fn account(position: &str) -> Apart {
    let mut apart = Apart::default();
    for event in [
        Event::Rules(vec![rules()]),
        Event::Marks(vec![mark()]),
        told_of(&format!("{position}, 1000"), 0),
    ] {
        assert!(apart.instead(at(0), event, &Told::default()).is_some());
    }
    apart
}

fn reduction(held: &str, qty: &str) -> ReduceOrder {
    let id = ClientOrderId::new("bs-1").unwrap();
    let (held, qty) = (held.parse().unwrap(), qty.parse().unwrap());
    ReduceOrder::against(id, leg(), held, qty, Qty::ZERO, Pricing::Market).unwrap()
}

#[test]
fn what_the_owner_does_after_a_modelled_cut_keeps_being_done() {
    for (name, held, owner, expected) in [
        (
            "adds 1 at 110, fee 0.1",
            "1 @ 100",
            "2 @ 105, 999.9",
            "1.6 @ 106.25, 999.86",
        ),
        (
            "closes 0.5 at 120",
            "1 @ 100",
            "0.5 @ 100, 1010",
            "0.1 @ 100, 1009.96",
        ),
        (
            "closes 0.8 at 120: only 0.6 are there",
            "1 @ 100",
            "0.2 @ 100, 1016",
            "0, 1011.96",
        ),
        ("goes flat at 120", "1 @ 100", "0, 1020", "0, 1011.96"),
        ("turns at 120", "1 @ 100", "-1 @ 120, 1020", "-1 @ 120, 1011.96"),
        (
            "closes half of a short at 80",
            "-1 @ 100",
            "-0.5 @ 100, 1010",
            "-0.1 @ 100, 1009.96",
        ),
        (
            "adds to a short at 90",
            "-1 @ 100",
            "-2 @ 95, 1000",
            "-1.6 @ 93.75, 999.96",
        ),
        (
            "pays funding of 3",
            "1 @ 100",
            "1 @ 100, 997",
            "0.6 @ 100, 996.96",
        ),
    ] {
        let mut apart = account(held);
        let book = apart.recorded().clone();
        let (amount, _) = held.split_once(' ').unwrap();
        // 0.4 at 100, less a thousandth: 0.04.
        let order = reduction(amount, "0.4");
        let (event, report) = apart.fill(at(1), &order, &book).unwrap();
        let left = if amount.starts_with('-') { "-0.6" } else { "0.6" };
        assert_eq!(in_words(&event), format!("{left} @ 100, 999.96"), "{name}");
        assert_eq!(report.executed, "0.4".parse().unwrap(), "{name}");
        let event = apart.instead(at(9), told_of(owner, 9), &Told::default());
        assert_eq!(in_words(&event.unwrap()), expected, "{name}");
    }
}

fn order(id: i64, name: &str, ms: i64) -> Order {
    Order {
        id: OrderId {
            store: Store::Regular,
            symbol: leg().symbol,
            id,
        },
        client_id: ClientOrderId::new(name).ok(),
        side: Side::Sell,
        position_side: PositionSide::Both,
        kind: OrderKind::Market,
        price: None,
        trigger: None,
        quantity: "0.4".parse().unwrap(),
        executed: "0.4".parse().unwrap(),
        average: None,
        trade: None,
        reduce_only: true,
        close_position: false,
        status: OrderStatus::Filled,
        at: at(ms),
    }
}

#[test]
fn a_fill_of_the_recorded_guard_counts_only_where_it_was_asked_for() {
    for (name, adopted, order_told, expected) in [
        // Sold 0.4 at 90, which lost 4, with a fee of 0.05.
        ("bs-7", true, true, "0.6 @ 100, 995.95"),
        ("bs-7", false, false, "1 @ 100, 1000"),
        ("bot-7", false, true, "0.6 @ 100, 995.95"),
    ] {
        let mut apart = account("1 @ 100");
        let mut told = Told::default();
        told.fill(&Input::Venue(Event::Order(order(7, name, 9))));
        if adopted {
            apart.adopt(IntentKey::Reduce(ClientOrderId::new(name).unwrap()));
        }
        let event = apart.instead(at(9), told_of("0.6 @ 100, 995.95", 9), &told);
        assert_eq!(in_words(&event.unwrap()), expected, "{name} {adopted}");
        let event = apart.instead(at(9), Event::Order(order(7, name, 9)), &told);
        assert_eq!(event.is_some(), order_told, "{name} {adopted}");
        assert_eq!(
            apart.closed().is_empty(),
            !adopted,
            "{name}: only what these policies asked for"
        );
        // The next reading tells of the same account.
        let reading = Holdings {
            balances: Vec::new(),
            positions: Vec::new(),
            marks: vec![mark()],
            disputed: Vec::new(),
            liquidations: Vec::new(),
            claims: None,
        };
        let event = apart
            .instead(at(10), Event::Holdings(reading.clone()), &told)
            .unwrap();
        if expected.starts_with("0.6") {
            assert_eq!(event, Event::Holdings(reading), "not apart: passed as it is");
        } else {
            let Event::Holdings(reading) = event else {
                panic!("{event:?}")
            };
            assert_eq!(reading.positions[0].1.amount, "1".parse().unwrap());
            // After a restart nothing else tells a price.
            assert_eq!(reading.marks, [mark()]);
            assert_eq!(reading.balances[0].1.wallet, "1000".parse().unwrap());
        }
    }
}

#[test]
fn a_fill_of_an_order_that_was_cancelled_here_has_not_happened() {
    let mut apart = account("1 @ 100");
    let mut told = Told::default();
    told.fill(&Input::Venue(Event::Order(order(8, "bot-8", 9))));
    let open = Order {
        status: OrderStatus::New,
        executed: Qty::ZERO,
        ..order(8, "bot-8", 1)
    };
    assert!(apart.instead(at(1), Event::Order(open), &told).is_some());
    let book = apart.recorded().clone();
    let events = apart.cancel(&Intent::CancelAll(leg().symbol), &book);
    assert!(
        matches!(&events[..], [Event::Order(order)] if order.status == OrderStatus::Ended),
        "{events:?}"
    );
    let event = apart.instead(at(9), told_of("0.6 @ 100, 996", 9), &told);
    assert_eq!(in_words(&event.unwrap()), "1 @ 100, 1000");
    assert!(
        apart
            .instead(at(9), Event::Order(order(8, "bot-8", 9)), &told)
            .is_none()
    );
}
