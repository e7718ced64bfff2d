//! How many events a second a replay takes: a million marks and account updates of one position, from memory.
//!
//! A thousand events are one second of the recording; every five seconds the account is read, as live. Making the
//! texts is not counted. The bench prints and never judges.
#![expect(clippy::disallowed_methods, reason = "a bench measures time")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "a bench that cannot go on stops"
)]

use backstop::config::policy;
use backstop::guard::{Guard, Start};
use backstop::model::{Span, Timestamp};
use backstop::replay::recording::Entry;
use backstop::replay::told::Told;
use backstop::replay::world::World;
use backstop::replay::{Drive, Fed};
use backstop::venue::binance::request::Read;
use backstop::venue::binance::session::Session;
use backstop::venue::{Received, Via};
use std::hint::black_box;
use std::time::{Duration, Instant};

const EVENTS: i64 = 1_000_000;
/// Texts that are in memory at once.
const CHUNK: i64 = 50_000;
/// One in so many is an account update, the others are marks.
const UPDATE_EVERY: i64 = 10;
/// Events between two readings of the account: five seconds.
const DIGEST_EVERY: i64 = 5_000;
const BEGAN: i64 = 1_795_000_000_000;

const THREE: &str = r#"
version = 1
name    = "three"
[[policy]]
id = "margin"
type = "margin_ratio"
ladder = [ { at = "50%", action = "alert" }, { at = "70%", action = "reduce", to = "45%" }, { at = "90%", action = "flatten" } ]
[[policy]]
id = "position"
type = "max_position"
measure = "equity_multiple"
ladder = [ { at = "10x", action = "alert" }, { at = "15x", action = "reduce", to = "12x" } ]
[[policy]]
id = "drawdown"
type = "drawdown"
ladder = [ { at = "10%", action = "alert" }, { at = "20%", action = "flatten", latch = "manual" } ]
"#;

const SEVEN_MORE: &str = r#"
[[policy]]
id = "margin-call"
type = "margin_call"
ladder = [ { action = "alert" }, { action = "reduce", to = "45%" } ]
[[policy]]
id = "notional"
type = "max_position"
ladder = [ { at = "900000", action = "block" } ]
[[policy]]
id = "quantity"
type = "max_position"
measure = "quantity"
symbols = ["BTCUSDT"]
ladder = [ { at = "20", action = "reduce", to = "15" } ]
[[policy]]
id = "drawdown-money"
type = "drawdown"
ladder = [ { at = "4000", action = "block" } ]
[[policy]]
id = "daily-loss"
type = "period_loss"
ladder = [ { at = "5%", action = "alert" }, { at = "25%", action = "flatten", latch = "manual" } ]
[[policy]]
id = "weekly-loss"
type = "period_loss"
period = "week"
ladder = [ { at = "40%", action = "block" } ]
[[policy]]
id = "blind"
type = "blind"
ladder = [ { at = "15s", action = "alert" }, { at = "60s", action = "block" } ]
"#;

const EXCHANGE_INFO: &str = r#"{"timezone":"UTC","serverTime":1795000000000,"futuresType":"U_MARGINED","rateLimits":[],"exchangeFilters":[],"assets":[],"symbols":[{"symbol":"BTCUSDT","pair":"BTCUSDT","contractType":"PERPETUAL","deliveryDate":4133404800000,"onboardDate":1569398400000,"status":"TRADING","baseAsset":"BTC","quoteAsset":"USDT","marginAsset":"USDT","pricePrecision":2,"quantityPrecision":3,"underlyingType":"COIN","underlyingSubType":["PoW"],"triggerProtect":"0.0500","liquidationFee":"0.012500","marketTakeBound":"0.05","filters":[{"filterType":"PRICE_FILTER","minPrice":"261.10","maxPrice":"809484","tickSize":"0.10"},{"filterType":"LOT_SIZE","minQty":"0.001","maxQty":"1000","stepSize":"0.001"},{"filterType":"MARKET_LOT_SIZE","minQty":"0.001","maxQty":"120","stepSize":"0.001"},{"filterType":"MIN_NOTIONAL","notional":"50"},{"filterType":"PERCENT_PRICE","multiplierUp":"1.0500","multiplierDown":"0.9500","multiplierDecimal":"4"}],"orderTypes":["LIMIT","MARKET"],"timeInForce":["GTC","IOC","FOK","GTX"]}]}"#;
const BRACKETS: &str = r#"[{"symbol":"BTCUSDT","brackets":[{"bracket":1,"initialLeverage":125,"notionalCap":50000,"notionalFloor":0,"maintMarginRatio":0.004,"cum":0.0},{"bracket":2,"initialLeverage":100,"notionalCap":250000,"notionalFloor":50000,"maintMarginRatio":0.005,"cum":50.0},{"bracket":3,"initialLeverage":50,"notionalCap":50000000,"notionalFloor":250000,"maintMarginRatio":0.01,"cum":1300.0}]}]"#;
const ACCOUNT_CONFIG: &str = r#"{"dualSidePosition":false,"multiAssetsMargin":false}"#;
const SYMBOL_CONFIG: &str = r#"[{"symbol":"BTCUSDT","marginType":"CROSSED","isAutoAddMargin":false,"leverage":20,"maxNotionalValue":"80000000"}]"#;

fn main() {
    println!("{EVENTS} events, one position; events per second");
    show("translation alone", translate());
    show("replay, three policies", replay(THREE));
    show("replay, ten policies", replay(&format!("{THREE}{SEVEN_MORE}")));
    show("what if, ten policies", what_if(&format!("{THREE}{SEVEN_MORE}")));
}

fn show(name: &str, took: Duration) {
    let rate = u128::from(EVENTS.unsigned_abs()) * 1_000_000 / took.as_micros().max(1);
    println!(
        "{name:<26}{rate:>12}/s{:>9} ns each",
        took.as_nanos() / u128::from(EVENTS.unsigned_abs())
    );
}

/// Text into events, and nothing done with them.
fn translate() -> Duration {
    let mut session = Session::new();
    for received in snapshot(BEGAN) {
        session.take(&received);
    }
    timed(|received| {
        black_box(session.take(received));
    })
}

/// The whole way: text, events, book, policies, plan.
fn replay(text: &str) -> Duration {
    let set = policy::parse("bench.toml", text).unwrap_or_else(|errors| panic!("{errors}"));
    let mut drive = Drive::new(Guard::new("bench", set, Span::from_secs(15), Start::Fresh));
    let (mut steps, mut intents) = (0_u64, 0_usize);
    for received in snapshot(BEGAN) {
        drive.feed(received.at, Fed::Received(&received), |_, _| {});
    }
    assert!(drive.guard().book().is_ready(), "the snapshot is complete");
    let took = timed(|received| {
        drive.feed(received.at, Fed::Received(received), |_, decision| {
            steps += 1;
            intents += decision.intents.len();
        });
    });
    assert!(steps > EVENTS.unsigned_abs(), "every event is a step");
    assert_eq!(intents, 0, "a calm market asks for nothing");
    took
}

/// One side of a what-if: the same, and an account that may come apart from the recorded one.
fn what_if(text: &str) -> Duration {
    let set = policy::parse("bench.toml", text).unwrap_or_else(|errors| panic!("{errors}"));
    let (mut world, told) = (World::new("bench", set), Told::default());
    let mut steps = 0_u64;
    for received in snapshot(BEGAN) {
        world.feed(&Entry::Received(received), &told, |_| {});
    }
    let took = timed(|received| {
        // The copy stands for reading the line.
        world.feed(&Entry::Received(received.clone()), &told, |_| steps += 1);
    });
    assert!(steps > EVENTS.unsigned_abs(), "every event is a step");
    assert!(!world.apart().is_apart(), "a calm market asks for nothing");
    took
}

/// Feeds a million events in pieces; only the feeding is counted.
fn timed(mut feed: impl FnMut(&Received)) -> Duration {
    let mut took = Duration::ZERO;
    for start in (0..EVENTS).step_by(usize::try_from(CHUNK).unwrap()) {
        let events: Vec<Received> = (start..start + CHUNK).flat_map(events).collect();
        let began = Instant::now();
        for received in &events {
            feed(received);
        }
        took += began.elapsed();
    }
    took
}

/// The event number `n`, and a reading of the account where one is due.
fn events(n: i64) -> Vec<Received> {
    let at = BEGAN + n;
    let mut all = Vec::with_capacity(1);
    if n % DIGEST_EVERY == 0 {
        all.extend(digest(at));
    }
    let via = if n % UPDATE_EVERY == 0 {
        Via::Private(format!(
            r#"{{"e":"ACCOUNT_UPDATE","E":{at},"T":{at},"a":{{"m":"ORDER","B":[{{"a":"USDT","wb":"6000","cw":"6000","bc":"0"}}],"P":[{{"s":"BTCUSDT","pa":"0.250","ep":"60000","bep":"60000","cr":"0","up":"0","mt":"cross","iw":"0","ps":"BOTH"}}]}}}}"#
        ))
    } else {
        let (dollars, cents) = (59_900 + n % 199, n % 100);
        Via::Market(format!(
            r#"{{"e":"markPriceUpdate","E":{at},"s":"BTCUSDT","p":"{dollars}.{cents:02}","ap":"60000.10","i":"60000.11","P":"60000.00","r":"0.00010000","T":1795008000000,"st":1}}"#
        ))
    };
    all.push(Received {
        at: Timestamp::from_ms(at),
        via,
    });
    all
}

fn answer(at: i64, read: &Read, body: &str) -> Received {
    Received {
        at: Timestamp::from_ms(at),
        via: Via::Rest {
            request: read.line(),
            status: 200,
            body: body.to_owned(),
        },
    }
}

fn digest(at: i64) -> [Received; 2] {
    let account = format!(
        r#"{{"assets":[{{"asset":"USDT","walletBalance":"6000","crossWalletBalance":"6000","updateTime":{at}}}],"positions":[{{"symbol":"BTCUSDT","positionSide":"BOTH","positionAmt":"0.250","updateTime":{at}}}]}}"#
    );
    let risk = format!(
        r#"[{{"symbol":"BTCUSDT","positionSide":"BOTH","positionAmt":"0.250","entryPrice":"60000","markPrice":"60000","unRealizedProfit":"0","isolatedMargin":"0","isolatedWallet":"0","marginAsset":"USDT","updateTime":{at}}}]"#
    );
    [
        answer(at, &Read::account(), &account),
        answer(at, &Read::position_risk(), &risk),
    ]
}

/// What a session reads first.
fn snapshot(at: i64) -> Vec<Received> {
    let link = Received {
        at: Timestamp::from_ms(at),
        via: Via::Link(backstop::event::Link::Up),
    };
    let mut all = vec![
        link,
        answer(at, &Read::exchange_info(), EXCHANGE_INFO),
        answer(at, &Read::leverage_bracket(), BRACKETS),
        answer(at, &Read::account_config(), ACCOUNT_CONFIG),
        answer(at, &Read::symbol_config(), SYMBOL_CONFIG),
    ];
    all.extend(digest(at));
    all.push(answer(at, &Read::open_orders(), "[]"));
    all.push(answer(at, &Read::open_algo_orders(), "[]"));
    all
}
