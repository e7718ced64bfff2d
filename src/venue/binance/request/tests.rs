//! Requests as they are sent, byte for byte.

use super::*;
use crate::model::Leg;
use crate::venue::binance::sign::{ReadSigner, TradeSigner};
use secrecy::SecretString;

fn reduce(symbol: &str, side: PositionSide, held: &str, qty: &str, pricing: Pricing) -> Intent {
    let leg = Leg {
        symbol: Symbol::new(symbol).unwrap(),
        side,
    };
    let id = ClientOrderId::new("bs-1").unwrap();
    let (held, qty, step) = (held.parse().unwrap(), qty.parse().unwrap(), "0".parse().unwrap());
    Intent::Reduce(ReduceOrder::against(id, leg, held, qty, step, pricing).unwrap())
}

fn line(intent: &Intent) -> String {
    Mutation::from_intent(intent).line()
}

#[test]
fn or_12_e1_one_way_sends_reduce_only_and_hedge_sends_the_leg_and_never_both() {
    let market = Pricing::Market;
    for (side, held, expected) in [
        (
            PositionSide::Both,
            "2",
            "side=SELL&type=MARKET&quantity=1&reduceOnly=true",
        ),
        (
            PositionSide::Both,
            "-2",
            "side=BUY&type=MARKET&quantity=1&reduceOnly=true",
        ),
        (
            PositionSide::Long,
            "2",
            "side=SELL&type=MARKET&quantity=1&positionSide=LONG",
        ),
        (
            PositionSide::Short,
            "-2",
            "side=BUY&type=MARKET&quantity=1&positionSide=SHORT",
        ),
    ] {
        assert_eq!(
            line(&reduce("BTCUSDT", side, held, "1", market)),
            format!(
                "POST /fapi/v1/order?symbol=BTCUSDT&{expected}&newClientOrderId=bs-1&newOrderRespType=RESULT"
            ),
            "{side} {held}"
        );
    }
}

#[test]
fn or_24_an_ioc_order_says_which_side_of_a_self_trade_expires() {
    let pricing = Pricing::Ioc("58910.10".parse().unwrap());
    assert_eq!(
        line(&reduce("BTCUSDT", PositionSide::Both, "2", "0.250", pricing)),
        "POST /fapi/v1/order?symbol=BTCUSDT&side=SELL&type=LIMIT&timeInForce=IOC&quantity=0.25&price=58910.1\
         &selfTradePreventionMode=EXPIRE_MAKER&reduceOnly=true&newClientOrderId=bs-1&newOrderRespType=RESULT"
    );
}

#[test]
fn pa_07_quantities_and_prices_are_sent_in_plain_notation() {
    for (qty, expected) in [
        ("1e-8", "quantity=0.00000001&"),
        ("1E3", "quantity=1000&"),
        ("2.500", "quantity=2.5&"),
    ] {
        let line = line(&reduce(
            "PEPEUSDT",
            PositionSide::Both,
            "5000",
            qty,
            Pricing::Market,
        ));
        assert!(line.contains(expected), "{line}");
    }
    // A multiple of the step, and never more than was asked for.
    let [held, qty, step] = ["5", "0.1239", "0.001"].map(|text| text.parse().unwrap());
    let (id, leg) = (
        ClientOrderId::new("bs-1").unwrap(),
        Leg::both(Symbol::new("BTCUSDT").unwrap()),
    );
    let order = ReduceOrder::against(id, leg, held, qty, step, Pricing::Market).unwrap();
    let stepped = line(&Intent::Reduce(order));
    assert!(stepped.contains("&quantity=0.123&"), "{stepped}");
    let pricing = Pricing::Ioc("2.8E-7".parse().unwrap());
    let line = line(&reduce("PEPEUSDT", PositionSide::Both, "5000", "1", pricing));
    assert!(line.contains("&price=0.00000028&"), "{line}");
}

#[test]
fn pa_08_symbols_of_any_script_are_percent_encoded() {
    let intent = Intent::CancelAll(Symbol::new("测试USDT").unwrap());
    assert_eq!(
        line(&intent),
        "DELETE /fapi/v1/allOpenOrders?symbol=%E6%B5%8B%E8%AF%95USDT"
    );
}

#[test]
fn e11_each_store_is_cancelled_by_its_own_endpoint() {
    let symbol = Symbol::new("BTCUSDT").unwrap();
    let order = |store, id| {
        Intent::Cancel(OrderId {
            store,
            symbol: symbol.clone(),
            id,
        })
    };
    for (intent, expected) in [
        (
            order(Store::Regular, 7),
            "DELETE /fapi/v1/order?symbol=BTCUSDT&orderId=7",
        ),
        (
            order(Store::Conditional, 4_000_001_234_567_890),
            "DELETE /fapi/v1/algoOrder?algoId=4000001234567890",
        ),
        (
            Intent::CancelAll(symbol.clone()),
            "DELETE /fapi/v1/allOpenOrders?symbol=BTCUSDT",
        ),
        (
            Intent::CancelAllConditional(symbol.clone()),
            "DELETE /fapi/v1/algoOpenOrders?symbol=BTCUSDT",
        ),
    ] {
        assert_eq!(line(&intent), expected);
        assert!(!Mutation::from_intent(&intent).is_order());
    }
}

#[test]
fn reads_say_what_they_cost_and_need() {
    let symbol = Symbol::new("BTCUSDT").unwrap();
    for (read, line, security, weight) in [
        (Read::time(), "GET /fapi/v1/time", Security::None, 1),
        (Read::account(), "GET /fapi/v3/account", Security::Signed, 5),
        (
            Read::open_orders(),
            "GET /fapi/v1/openOrders",
            Security::Signed,
            40,
        ),
        (
            Read::transfers(Timestamp::from_ms(5)),
            "GET /fapi/v1/income?incomeType=TRANSFER&startTime=5&limit=1000",
            Security::Signed,
            30,
        ),
        (
            Read::order(&symbol, &ClientOrderId::new("bs-1").unwrap()),
            "GET /fapi/v1/order?symbol=BTCUSDT&origClientOrderId=bs-1",
            Security::Signed,
            1,
        ),
    ] {
        assert_eq!(
            (read.line().as_str(), read.security(), read.weight()),
            (line, security, weight)
        );
    }
}

/// Every request that the guard can make, as it goes over the wire.
fn all_requests() -> Vec<String> {
    let secret = SecretString::from("2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9");
    let (reader, trade) = (
        ReadSigner::new(&secret).unwrap(),
        TradeSigner::new(&secret).unwrap(),
    );
    let now = Timestamp::from_ms(1_760_000_007_980);
    let id = ClientOrderId::new("bs-1").unwrap();
    let odd = Symbol::new("测试USDT").unwrap();
    let of_store = |store| {
        Intent::Cancel(OrderId {
            store,
            symbol: odd.clone(),
            id: 4_000_001_234_567_890,
        })
    };
    let ioc = Pricing::Ioc("58910.10".parse().unwrap());
    let reads = [
        Read::time(),
        Read::exchange_info(),
        Read::account(),
        Read::position_risk(),
        Read::account_config(),
        Read::symbol_config(),
        Read::leverage_bracket(),
        Read::open_orders(),
        Read::open_algo_orders(),
        Read::asset_index(),
        Read::transfers(Timestamp::from_ms(5)),
        Read::order(&odd, &id),
        Read::restrictions(),
    ];
    let intents = [
        reduce("BTCUSDT", PositionSide::Both, "2", "0.250", Pricing::Market),
        reduce("BTCUSDT", PositionSide::Both, "-2", "0.250", ioc),
        reduce("测试USDT", PositionSide::Long, "2", "1e-3", Pricing::Market),
        reduce("BTCUSDT_260327", PositionSide::Short, "-2", "1", ioc),
        of_store(Store::Regular),
        of_store(Store::Conditional),
        Intent::CancelAll(odd.clone()),
        Intent::CancelAllConditional(odd.clone()),
        Intent::PlaceStop(ProtectiveStop::example("测试USDT", PositionSide::Both, "2")),
    ];
    let reads = reads.iter().map(|read| reader.sign(read, now, 3_000));
    let mutations = intents
        .iter()
        .map(|intent| trade.sign(&Mutation::from_intent(intent), now, 3_000));
    let signed = reads.chain(mutations);
    let mut lines: Vec<String> = signed
        .map(|signed| format!("{} {}", signed.method(), signed.path_and_query()))
        .collect();
    lines.push(format!("{} {}", KeepKey::METHOD, KeepKey::PATH));
    lines
}

#[test]
fn or_30_every_request_is_byte_for_byte_the_stored_one() {
    let stored = include_str!("../../../../fixtures/requests.txt");
    let all = all_requests();
    for (made, stored) in all.iter().zip(stored.lines()) {
        assert_eq!(made, stored);
    }
    assert_eq!(all.len(), stored.lines().count());
}
