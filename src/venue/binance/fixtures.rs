//! Tests over `fixtures/frames`: every shape that the venue sends is read as what it is.

use super::request::{KeepKey, Mutation, Read};
use super::session::Session;
use super::sign::{ReadSigner, Signed, TradeSigner};
use super::{outcome, stream};
use crate::event::{Event, Input, Link, Outcome, Reading, Reason};
use crate::model::{
    ClientOrderId, Intent, Leg, OrderId, PositionSide, Pricing, ProtectiveStop, ReduceOrder, Store, Symbol,
    Timestamp,
};
use crate::venue::{Received, Via};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;

const NOW: Timestamp = Timestamp::from_ms(1_795_000_010_000);

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/frames")
}

pub(super) fn fixture(name: &str) -> String {
    let text = std::fs::read_to_string(folder().join(format!("{name}.json"))).unwrap();
    text.trim_end().to_owned()
}

pub(super) fn names() -> BTreeSet<String> {
    std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(".json").map(str::to_owned))
        .collect()
}

pub(super) fn rest(request: &str, status: u16, body: &str) -> Received {
    let (request, body) = (request.to_owned(), body.to_owned());
    Received {
        at: NOW,
        via: Via::Rest {
            request,
            status,
            body,
        },
    }
}

pub(super) fn events(session: &mut Session, received: &Received) -> Vec<Event> {
    session
        .take(received)
        .into_iter()
        .map(|input| match input {
            Input::Venue(event) => event,
            other => panic!("a venue says events, not {other:?}"),
        })
        .collect()
}

pub(super) fn reduce() -> Mutation {
    let [held, step] = ["0.25", "0.001"].map(|text| text.parse().unwrap());
    let leg = Leg::both(Symbol::new("BTCUSDT").unwrap());
    let id = ClientOrderId::new("bs-7f3a-001").unwrap();
    let order = ReduceOrder::against(id, leg, held, held, step, Pricing::Market).unwrap();
    Mutation::from_intent(&Intent::Reduce(order))
}

pub(super) fn cancel(store: Store) -> Mutation {
    let symbol = Symbol::new("BTCUSDT").unwrap();
    Mutation::from_intent(&Intent::Cancel(OrderId { store, symbol, id: 7 }))
}

/// What a file is received as.
pub(super) fn received(name: &str) -> Option<Received> {
    let text = fixture(name);
    let (class, shape) = name.split_once('-').unwrap();
    let read = match shape {
        "account" => Read::account(),
        "position-risk" => Read::position_risk(),
        "account-config" => Read::account_config(),
        "symbol-config" => Read::symbol_config(),
        "exchange-info" => Read::exchange_info(),
        "leverage-bracket" | "leverage-bracket-one" => Read::leverage_bracket(),
        "open-orders" => Read::open_orders(),
        "open-algo-orders" => Read::open_algo_orders(),
        "asset-index" => Read::asset_index(),
        "income" => Read::transfers(NOW),
        _ => Read::time(),
    };
    let via = match class {
        "private" => Via::Private(text),
        "market" => Via::Market(text),
        "rest" => {
            return Some(rest(
                &read.line(),
                if shape == "error" { 429 } else { 200 },
                &text,
            ));
        }
        _ => return None,
    };
    Some(Received { at: NOW, via })
}

/// An event in a few words.
pub(super) fn kind(event: &Event) -> String {
    match event {
        Event::Link(Link::Down(why)) => format!("down: {why}"),
        Event::Link(Link::Up) => "up".into(),
        Event::Account(update) => format!(
            "account {} {}+{}",
            match &update.reason {
                Reason::External => "external",
                Reason::Internal => "internal",
                Reason::Profit => "profit",
                Reason::Unclassified(_) => "unclassified",
            },
            update.balances.len(),
            update.positions.len()
        ),
        Event::Order(order) => format!("{:?} order {:?} {:?}", order.id.store, order.kind, order.status),
        Event::MarginCall(call) => format!("margin call {}", call.positions.len()),
        Event::SettingsChanged => "settings changed".into(),
        Event::Marks(marks) => format!("marks {}", marks.len()),
        Event::Holdings(all) => format!("holdings {}+{}", all.balances.len(), all.positions.len()),
        Event::OpenOrders(store, orders) => format!("open {store:?} {}", orders.len()),
        Event::Settings(_) => "settings".into(),
        Event::MarginTypes(all) => format!("margin types {}", all.len()),
        Event::Rules(all) => format!("rules {}", all.len()),
        Event::Tiers(all) => format!("tiers {}", all.len()),
        Event::AssetIndexes(all) => format!("indexes {}", all.len()),
        Event::Transfers(all) => format!("transfers {}", all.len()),
        Event::FillHint(symbol) => format!("fill {symbol}"),
        Event::ReadFailed(reading) => format!("failed {reading:?}"),
        Event::KeyRefused => "key refused".into(),
        Event::Unknown(what) => format!("unknown: {what}"),
    }
}

#[test]
fn every_fixture_is_read_as_what_it_is() {
    let expected: &[(&str, &[&str])] = &[
        ("market-mark-price", &["marks 1"]),
        ("market-mark-price-array", &["marks 2"]),
        ("market-mark-price-wrapped", &["marks 1"]),
        ("market-refused", &["unknown: the stream refused a request"]),
        ("market-subscribed", &[]),
        ("private-account-config-update-assets", &["settings changed"]),
        ("private-account-config-update-leverage", &["settings changed"]),
        (
            "private-account-update-deposit-wrapped",
            &["account external 1+0"],
        ),
        ("private-account-update-funding", &["account profit 1+0"]),
        ("private-account-update-hedge-flat", &["account profit 1+2"]),
        ("private-account-update-order", &["account profit 1+1"]),
        (
            "private-algo-update-finished",
            &["Conditional order TakeProfit Filled"],
        ),
        ("private-algo-update-new", &["Conditional order Stop New"]),
        (
            "private-conditional-order-trigger-reject",
            &["unknown: CONDITIONAL_ORDER_TRIGGER_REJECT"],
        ),
        ("private-listen-key-expired", &["down: listenKey expired"]),
        (
            "private-listen-key-expired-text-time",
            &["down: listenKey expired"],
        ),
        ("private-margin-call", &["margin call 1"]),
        (
            "private-order-trade-update-filled",
            &["Regular order Market Filled"],
        ),
        (
            "private-order-trade-update-liquidation",
            &["Regular order Liquidation New"],
        ),
        ("private-order-trade-update-new", &["Regular order Limit New"]),
        ("private-strategy-update", &["unknown: STRATEGY_UPDATE"]),
        ("private-trade-lite", &["fill BTCUSDT"]),
        ("rest-account", &[]),
        ("rest-account-config", &["settings"]),
        ("rest-asset-index", &["indexes 2"]),
        ("rest-error", &[]),
        ("rest-exchange-info", &["rules 3"]),
        ("rest-income", &["transfers 2"]),
        ("rest-leverage-bracket", &["tiers 2"]),
        ("rest-leverage-bracket-one", &["tiers 1"]),
        ("rest-open-algo-orders", &["open Conditional 1"]),
        ("rest-open-orders", &["open Regular 1"]),
        ("rest-position-risk", &[]),
        ("rest-symbol-config", &["margin types 2"]),
        ("rest-time", &[]),
    ];
    let mut listed = BTreeSet::new();
    for (name, kinds) in expected {
        let got: Vec<String> = events(&mut Session::new(), &received(name).unwrap())
            .iter()
            .map(kind)
            .collect();
        assert_eq!(&got, kinds, "{name}");
        listed.insert((*name).to_owned());
    }
    let received: BTreeSet<String> = names()
        .into_iter()
        .filter(|n| !n.starts_with("answer-"))
        .collect();
    assert_eq!(listed, received);
}

#[test]
fn every_answer_fixture_is_an_outcome() {
    for (name, mutation, expected) in [
        ("answer-order-result", reduce(), "accepted, executed 0.25, over"),
        ("answer-order-refused", reduce(), "refused -2022"),
        ("answer-cancel-order", cancel(Store::Regular), "accepted"),
        ("answer-cancel-algo", cancel(Store::Conditional), "accepted"),
        (
            "answer-cancel-all",
            Mutation::from_intent(&Intent::CancelAll(Symbol::new("BTCUSDT").unwrap())),
            "accepted",
        ),
    ] {
        let status = if name.ends_with("refused") { 400 } else { 200 };
        let got = match outcome::classify(&mutation, status, &fixture(name)) {
            Outcome::Accepted(None) => "accepted".to_owned(),
            Outcome::Accepted(Some(report)) => format!(
                "accepted, executed {}, {}",
                report.executed,
                if report.terminal { "over" } else { "alive" }
            ),
            Outcome::Rejected(rejection) => format!("refused {}", rejection.code),
            other => format!("{other:?}"),
        };
        assert_eq!(got, expected, "{name}");
    }
    assert!(stream::listen_key(&fixture("answer-listen-key")).is_some());
}

#[test]
fn every_fixture_names_its_source() {
    let sources = std::fs::read_to_string(folder().join("SOURCES.md")).unwrap();
    let listed: BTreeSet<String> = sources
        .lines()
        .filter_map(|line| {
            let (name, rest) = line.strip_prefix("| `")?.split_once(".json` | ")?;
            assert!(rest.contains("https://developers.binance.com/"), "{line}");
            Some(name.to_owned())
        })
        .collect();
    assert_eq!(listed, names());
}

#[test]
fn mo_12_anything_but_a_complete_valid_list_is_a_failed_read() {
    let bodies = [
        "null",
        "",
        "\"\"",
        "{}",
        "{\"code\":-1000,\"msg\":\"An unknown error\"}",
        "<html>",
        "[{}]",
        "[1]",
        "[[],[]]",
    ];
    for read in [
        Read::account(),
        Read::position_risk(),
        Read::open_orders(),
        Read::open_algo_orders(),
    ] {
        for body in bodies {
            let got = events(&mut Session::new(), &rest(&read.line(), 200, body));
            assert!(
                matches!(got[..], [Event::ReadFailed(_)]),
                "{} {body}: {got:?}",
                read.line()
            );
        }
        for status in [0, 302, 400, 429, 503] {
            let got = events(&mut Session::new(), &rest(&read.line(), status, "[]"));
            assert!(
                matches!(got[..], [Event::ReadFailed(_)]),
                "{} {status}: {got:?}",
                read.line()
            );
        }
    }
    let got = events(&mut Session::new(), &rest(&Read::open_orders().line(), 200, "[]"));
    assert_eq!(got, [Event::OpenOrders(Store::Regular, Vec::new())]);
}

#[test]
fn pa_12_deep_and_wide_texts_are_refused_within_limits() {
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    let deep_field = format!("{{\"e\":\"ACCOUNT_UPDATE\",\"T\":1,\"a\":{deep}}}");
    let wide = format!("[{}1]", "1,".repeat(999_999));
    for text in [&deep, &deep_field, &wide] {
        for via in [Via::Private(text.clone()), Via::Market(text.clone())] {
            let got = events(&mut Session::new(), &Received { at: NOW, via });
            assert!(
                got.iter()
                    .all(|event| matches!(event, Event::Unknown(why) if why.len() < 200)),
                "{} bytes",
                text.len()
            );
        }
        let got = events(
            &mut Session::new(),
            &rest(&Read::position_risk().line(), 200, text),
        );
        assert_eq!(got, [Event::ReadFailed(Reading::Holdings)]);
    }
}

/// Every request that can be sent, as it is sent: one file for each endpoint and shape.
#[test]
fn or_30_every_request_is_sent_as_its_golden_file_has_it() {
    let secret = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j".into();
    let (reader, trade) = (
        ReadSigner::new(&secret).unwrap(),
        TradeSigner::new(&secret).unwrap(),
    );
    let at = Timestamp::from_ms(1_795_000_000_000);
    let symbol = Symbol::new("测试USDT").unwrap();
    let order = |store| {
        let (symbol, id) = (symbol.clone(), 4_000_001_234_567_890);
        Intent::Cancel(OrderId { store, symbol, id })
    };
    let reduce = |symbol: &str, side, held: &str, qty: &str, pricing| {
        let leg = Leg {
            symbol: Symbol::new(symbol).unwrap(),
            side,
        };
        let id = ClientOrderId::new("bs-1").unwrap();
        let [held, qty, step] = [held, qty, "0"].map(|text| text.parse().unwrap());
        Intent::Reduce(ReduceOrder::against(id, leg, held, qty, step, pricing).unwrap())
    };
    let stop = |symbol: &str, side, held| Intent::PlaceStop(ProtectiveStop::example(symbol, side, held));
    let (both, ioc) = (PositionSide::Both, Pricing::Ioc("58910.10".parse().unwrap()));
    let resting = Pricing::Resting("60000".parse().unwrap());
    let mut sent: Vec<(&str, Signed)> = [
        ("time", Read::time()),
        ("exchange-info", Read::exchange_info()),
        ("account", Read::account()),
        ("position-risk", Read::position_risk()),
        ("account-config", Read::account_config()),
        ("symbol-config", Read::symbol_config()),
        ("leverage-bracket", Read::leverage_bracket()),
        ("open-orders", Read::open_orders()),
        ("open-algo-orders", Read::open_algo_orders()),
        ("asset-index", Read::asset_index()),
        ("income", Read::transfers(Timestamp::from_ms(1_794_900_000_000))),
        (
            "order-query",
            Read::order(&symbol, &ClientOrderId::new("bs-1").unwrap()),
        ),
        ("restrictions", Read::restrictions()),
    ]
    .map(|(name, read)| (name, reader.sign(&read, at, 5_000)))
    .into();
    let hedge = |side, held| reduce("BTCUSDT", side, held, "0.250", Pricing::Market);
    sent.extend(
        [
            (
                "order-market",
                reduce("测试USDT", both, "2", "0.250", Pricing::Market),
            ),
            (
                "order-market-buy",
                reduce("BTCUSDT", both, "-2", "1E3", Pricing::Market),
            ),
            ("order-market-long", hedge(PositionSide::Long, "2")),
            ("order-market-short", hedge(PositionSide::Short, "-2")),
            ("order-ioc", reduce("BTCUSDT", both, "2", "0.250", ioc)),
            ("order-resting", reduce("BTCUSDT", both, "2", "0.250", resting)),
            (
                "order-ioc-long",
                reduce("BTCUSDT", PositionSide::Long, "2", "0.250", ioc),
            ),
            ("cancel-order", order(Store::Regular)),
            ("cancel-algo-order", order(Store::Conditional)),
            ("cancel-all", Intent::CancelAll(symbol.clone())),
            ("place-stop", stop("测试USDT", both, "2")),
            ("place-stop-short", stop("BTCUSDT", PositionSide::Short, "-2")),
            ("cancel-all-algo", Intent::CancelAllConditional(symbol.clone())),
        ]
        .map(|(name, intent)| (name, trade.sign(&Mutation::from_intent(&intent), at, 5_000))),
    );
    sent.push((
        "listen-key",
        Signed::new(KeepKey::METHOD, KeepKey::PATH.to_owned()),
    ));
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/requests");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    for (name, request) in sent {
        let path = folder.join(format!("{name}.txt"));
        let text = format!("{} {}\n", request.method(), request.path_and_query());
        assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), text, "{name}");
        files.retain(|known| *known != path);
    }
    assert!(files.is_empty(), "no request is like {files:?}");
}

/// Every text that differs from this one in the JSON type of one scalar, and whether that is the same number in its
/// other spelling.
fn swapped(value: &Value) -> Vec<(Value, bool)> {
    let all = |wrong: &[Value], same: Option<Value>| {
        let wrong = wrong.iter().map(|form| (form.clone(), false));
        wrong.chain(same.map(|form| (form, true))).collect()
    };
    match value {
        Value::Array(items) => (0..items.len())
            .flat_map(|index| {
                swapped(&items[index]).into_iter().map(move |(item, same)| {
                    let mut all = items.clone();
                    all[index] = item;
                    (Value::Array(all), same)
                })
            })
            .collect(),
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, field)| {
                swapped(field).into_iter().map(move |(field, same)| {
                    let mut all = fields.clone();
                    all.insert(name.clone(), field);
                    (Value::Object(all), same)
                })
            })
            .collect(),
        Value::Number(number) => all(&[json!(true), json!("word")], Some(json!(number.to_string()))),
        Value::String(text) => match serde_json::from_str(text) {
            // `62000.0` would be read back as it is, `0.250` would not.
            Ok(number @ Value::Number(_)) => {
                let spelled = number.to_string();
                all(&[json!(true)], (spelled == *text).then_some(number))
            }
            _ => all(&[json!(true), json!(7)], None),
        },
        Value::Bool(_) => all(&[json!("word"), json!(7)], None),
        Value::Null => all(&[json!(true)], None),
    }
}

#[test]
fn pa_13_a_scalar_of_another_type_is_the_same_number_or_nothing_or_an_error() {
    let (mut tolerated, mut refused, mut wrong) = (0, 0, Vec::new());
    for name in names().into_iter().filter(|name| !name.starts_with("answer-")) {
        let read = |text: &Value| {
            let (mut session, mut whole) = (Session::new(), received(&name).unwrap());
            match &mut whole.via {
                Via::Private(body) | Via::Market(body) | Via::Rest { body, .. } => *body = text.to_string(),
                Via::Link(_) => {}
            }
            let halves = ["rest-account", "rest-position-risk"];
            if halves.contains(&name.as_str()) {
                let other = halves.into_iter().find(|half| *half != name).unwrap();
                session.take(&received(other).unwrap());
            }
            (events(&mut session, &whole), session.dropped())
        };
        let value: Value = serde_json::from_str(&fixture(&name)).unwrap();
        let honest = read(&value);
        for (text, is_same) in swapped(&value) {
            let got = read(&text);
            if got == honest {
                tolerated += 1;
                continue;
            }
            // Lists of rules leave out what they cannot read; of an account's lists nothing is left out.
            let is_error = |event: &Event| matches!(event, Event::Unknown(_) | Event::ReadFailed(_));
            let is_shorter = got.0.len() == 1 && honest.0.len() == 1 && kind(&got.0[0]) < kind(&honest.0[0]);
            let is_absent = super::objects::is_absent(&got.0, &honest.0);
            let is_told = got.0.iter().any(is_error) || got.1 > honest.1 || is_shorter || is_absent;
            refused += 1;
            if !is_told || is_same {
                wrong.push(format!("{name}: {text}\n{:?}", got.0));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(tolerated > 500 && refused > 300, "{tolerated} {refused}");
}

/// One of these fixtures with one byte changed, cut off, put in, or doubled from there on.
fn mutated(names: Vec<String>) -> impl Strategy<Value = (String, String)> {
    let place = any::<prop::sample::Index>();
    (prop::sample::select(names), place, any::<u8>(), 0..4_u8).prop_map(|(name, at, byte, how)| {
        let mut bytes = fixture(&name).into_bytes();
        let i = at.index(bytes.len());
        match how {
            0 => bytes[i] = byte,
            1 => bytes.truncate(i),
            2 => bytes.insert(i, byte),
            _ => bytes.extend_from_within(i..),
        }
        (name, String::from_utf8_lossy(&bytes).into_owned())
    })
}

fn any_name() -> Vec<String> {
    names().into_iter().collect()
}

fn complete_list() -> Vec<String> {
    [
        "rest-open-orders",
        "rest-open-algo-orders",
        "rest-account",
        "rest-position-risk",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// Everything that reads text from outside.
fn read_everywhere(text: &str) {
    let mut session = Session::new();
    for via in [Via::Private(text.to_owned()), Via::Market(text.to_owned())] {
        session.take(&Received { at: NOW, via });
    }
    for read in [
        Read::account(),
        Read::position_risk(),
        Read::account_config(),
        Read::symbol_config(),
        Read::exchange_info(),
        Read::leverage_bracket(),
        Read::open_orders(),
        Read::open_algo_orders(),
        Read::asset_index(),
        Read::transfers(NOW),
    ] {
        session.take(&rest(&read.line(), 200, text));
    }
    for status in [0, 200, 204, 302, 400, 401, 403, 408, 418, 429, 500, 503] {
        for mutation in [reduce(), cancel(Store::Regular), cancel(Store::Conditional)] {
            outcome::classify(&mutation, status, text);
        }
        outcome::queried(status, text);
        outcome::retry_after(status, Some(text), text, NOW);
    }
    stream::is_key_expired(text);
    stream::listen_key(text);
    stream::server_time(text);
    session.take(&rest(text, 200, text));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_text_makes_a_reader_panic(text in ".{0,200}") {
        read_everywhere(&text);
    }

    #[test]
    fn no_damaged_fixture_makes_a_reader_panic((_, text) in mutated(any_name())) {
        read_everywhere(&text);
    }

    #[test]
    fn mo_12_no_damaged_answer_says_that_there_is_nothing((name, text) in mutated(complete_list())) {
        let mut session = Session::new();
        let damaged = received(&name).map(|whole| match whole.via {
            Via::Rest { request, .. } => rest(&request, 200, &text),
            _ => whole,
        });
        for whole in ["rest-account", "rest-position-risk"] {
            if name != whole {
                session.take(&received(whole).unwrap());
            }
        }
        for event in events(&mut session, &damaged.unwrap()) {
            match event {
                Event::OpenOrders(_, orders) => prop_assert_eq!(orders.len(), 1),
                Event::Holdings(all) => prop_assert_eq!(all.positions.len(), 1),
                other => prop_assert!(matches!(other, Event::ReadFailed(_)), "{other:?}"),
            }
        }
    }
}
