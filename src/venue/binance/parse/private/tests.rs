//! Private events, in every form that the venue or an accident gives them.

use super::*;
use crate::venue::binance::fixtures::{fixture, kind};
use crate::venue::binance::parse::frames::{Frame, private};

fn kinds(frame: &Frame) -> Vec<String> {
    frame.events.iter().map(kind).collect()
}

fn account(balances: &str, positions: &str) -> String {
    format!(r#"{{"e":"ACCOUNT_UPDATE","E":6,"T":5,"a":{{"m":"ORDER","B":[{balances}],"P":[{positions}]}}}}"#)
}

fn position(amount: &str, more: &str) -> String {
    format!(r#"{{"s":"BTCUSDT","ps":"BOTH","pa":{amount},"ep":"0","mt":"cross","iw":"0"{more}}}"#)
}

#[test]
fn mo_16_each_reason_is_profit_or_flow_or_neither() {
    let table: &[(&str, &[&str])] = &[
        (
            "external",
            &[
                "DEPOSIT",
                "WITHDRAW",
                "WITHDRAW_REJECT",
                "ADMIN_DEPOSIT",
                "ADMIN_WITHDRAW",
                "ASSET_TRANSFER",
            ],
        ),
        (
            "internal",
            &[
                "MARGIN_TRANSFER",
                "MARGIN_TYPE_CHANGE",
                "AUTO_EXCHANGE",
                "COIN_SWAP_DEPOSIT",
                "COIN_SWAP_WITHDRAW",
            ],
        ),
        (
            "profit",
            &[
                "ORDER",
                "FUNDING_FEE",
                "INSURANCE_CLEAR",
                "OPTIONS_PREMIUM_FEE",
                "OPTIONS_SETTLE_PROFIT",
            ],
        ),
        ("unclassified", &["ADJUSTMENT", "SOMETHING_NEW", ""]),
    ];
    for (class, names) in table {
        for name in *names {
            let text = account("", "").replace("ORDER", name);
            assert_eq!(kinds(&private(&text)), [format!("account {class} 0+0")], "{name}");
        }
    }
}

#[test]
fn pa_02_f12_one_bad_element_of_twenty_leaves_nineteen_and_a_doubt() {
    let mut rows: Vec<String> = (0..19).map(|i| position(&format!("\"{i}.5\""), "")).collect();
    for bad in [
        position("\"\"", ""),
        position("null", ""),
        position("\"1e400\"", ""),
        position("true", ""),
        position("\"1\"", "").replace("BOTH", "DIAGONAL"),
        position("\"1\"", "").replace("BTCUSDT", ""),
        position("\"1\"", r#","pa":"2""#),
        position("\"1\"", "")
            .replace("cross", "isolated")
            .replace(r#","iw":"0""#, ""),
        "{}".into(),
        "[]".into(),
        "7".into(),
    ] {
        rows.insert(7, bad.clone());
        let got = kinds(&private(&account("", &rows.join(","))));
        rows.remove(7);
        assert_eq!(got.len(), 2, "{bad}: {got:?}");
        assert_eq!(got[0], "account profit 0+19", "{bad}");
        assert!(
            got[1].starts_with("unknown: unreadable part of ACCOUNT_UPDATE: field `"),
            "{bad}: {got:?}"
        );
    }
}

#[test]
fn pa_05_amounts_are_read_exactly_in_every_form() {
    for (amount, expected) in [
        ("\"0.250\"", "0.25"),
        ("0.250", "0.25"),
        ("\"-0\"", "0"),
        ("2.8E-4", "0.00028"),
        ("\"2.8E-4\"", "0.00028"),
        ("-3", "-3"),
    ] {
        let frame = private(&account("", &position(amount, "")));
        let [Event::Account(update)] = &frame.events[..] else {
            panic!("{amount}: {frame:?}");
        };
        assert_eq!(update.positions[0].amount.to_string(), expected, "{amount}");
        assert_eq!((update.positions[0].entry, update.at.ms()), (None, 5));
    }
}

#[test]
fn pa_03_names_of_the_future_are_other_or_a_doubt() {
    let order = fixture("private-order-trade-update-new");
    let algo = fixture("private-algo-update-new");
    for (text, from, to, expected) in [
        (
            &order,
            r#""X":"NEW""#,
            r#""X":"PENDING""#,
            "Regular order Limit Other",
        ),
        (
            &order,
            r#""X":"NEW""#,
            r#""X":"NEW_ADL""#,
            "Regular order Limit New",
        ),
        (
            &order,
            r#""X":"NEW""#,
            r#""X":"EXPIRED_IN_MATCH""#,
            "Regular order Limit Ended",
        ),
        (
            &order,
            r#""o":"LIMIT""#,
            r#""o":"ICEBERG""#,
            "Regular order Other New",
        ),
        (&order, r#""f":"GTC""#, r#""f":"XYZ""#, "Regular order Limit New"),
        (
            &order,
            r#""S":"BUY""#,
            r#""S":"BORROW""#,
            "unknown: unreadable ORDER_TRADE_UPDATE: field `side`",
        ),
        (
            &order,
            r#""ps":"LONG""#,
            r#""ps":"WIDE""#,
            "unknown: unreadable ORDER_TRADE_UPDATE: field `positionSide`",
        ),
        (
            &algo,
            r#""X":"NEW""#,
            r#""X":"TRIGGERING""#,
            "Conditional order Stop Triggering",
        ),
        (
            &algo,
            r#""X":"NEW""#,
            r#""X":"TRIGGERED""#,
            "Conditional order Stop Filled",
        ),
        (
            &algo,
            r#""X":"NEW""#,
            r#""X":"FINISHED""#,
            "Conditional order Stop Filled",
        ),
        (
            &algo,
            r#""X":"NEW""#,
            r#""X":"CANCELED""#,
            "Conditional order Stop Ended",
        ),
        (
            &algo,
            r#""X":"NEW""#,
            r#""X":"REJECTED""#,
            "Conditional order Stop Ended",
        ),
        (
            &algo,
            r#""X":"NEW""#,
            r#""X":"EXPIRED""#,
            "Conditional order Stop Ended",
        ),
        (
            &algo,
            r#""X":"NEW""#,
            r#""X":"PAUSED""#,
            "Conditional order Stop Other",
        ),
        (
            &algo,
            r#""o":"STOP_MARKET""#,
            r#""o":"TRAILING_STOP_MARKET""#,
            "Conditional order Trailing New",
        ),
    ] {
        assert!(text.contains(from), "{from}");
        assert_eq!(kinds(&private(&text.replace(from, to))), [expected], "{to}");
    }
}

#[test]
fn an_order_event_keeps_what_decides_whether_it_can_add_exposure() {
    let frame = private(&fixture("private-algo-update-new"));
    let [Event::Order(stop)] = &frame.events[..] else {
        panic!("{frame:?}");
    };
    assert!(stop.reduce_only && stop.close_position && stop.can_only_reduce());
    assert_eq!(
        (stop.id.id, stop.at.ms()),
        (4_000_001_234_567_890, 1_795_000_100_200)
    );
    assert_eq!(stop.client_id.as_ref().map(|id| id.as_str()), Some("bot-sl-9"));
    assert_eq!((stop.price, stop.trigger), (None, "58000".parse().ok()));
    let frame = private(&fixture("private-order-trade-update-new"));
    let [Event::Order(limit)] = &frame.events[..] else {
        panic!("{frame:?}");
    };
    assert!(!limit.can_only_reduce());
    assert_eq!(
        (limit.price, limit.trigger, limit.average),
        ("2400.1".parse().ok(), None, None)
    );
    assert_eq!(limit.remaining(), "3".parse().unwrap());
}

#[test]
fn a_margin_call_is_heard_even_when_its_numbers_cannot_be_read() {
    let text = fixture("private-margin-call")
        .replace(r#""mp":"58910.10""#, r#""mp":"0""#)
        .replace(r#""mm":"58.91""#, r#""mm":"""#)
        .replace(r#""cw":"812.40","#, "");
    let frame = private(&text);
    let [Event::MarginCall(call)] = &frame.events[..] else {
        panic!("{frame:?}");
    };
    assert_eq!((call.cross_wallet, call.at.ms()), (None, 1_795_009_000_000));
    assert_eq!(
        (call.positions[0].mark, call.positions[0].maintenance),
        (None, None)
    );
    assert_eq!(call.positions[0].margin, MarginType::Cross);
}

#[test]
fn pa_03_a_reason_of_the_future_is_neither_profit_nor_a_transfer() {
    for name in ["REBATE", "order", "FUNDING_FEE_2"] {
        let text = account("", "").replace("ORDER", name);
        assert_eq!(kinds(&private(&text)), ["account unclassified 0+0"], "{name}");
    }
}

#[test]
fn mo_11_a_position_of_the_stream_without_entry_price_is_still_a_position() {
    for entry in ["\"0\"", "\"0.0\"", "0"] {
        let text = account("", &position("\"2\"", "")).replace(r#""ep":"0""#, &format!(r#""ep":{entry}"#));
        let frame = private(&text);
        let [Event::Account(update)] = &frame.events[..] else {
            panic!("{entry}: {frame:?}");
        };
        let [change] = &update.positions[..] else {
            panic!("{entry}: {update:?}");
        };
        assert_eq!((change.amount.to_string().as_str(), change.entry), ("2", None));
    }
}

#[test]
fn pa_14_the_expiry_of_the_key_takes_the_stream_down_whatever_form_its_time_has() {
    for time in ["1795003600000", "\"1795003600000\""] {
        let text = format!(r#"{{"e":"listenKeyExpired","E":{time},"listenKey":"x"}}"#);
        let frame = private(&text);
        assert!(
            matches!(&frame.events[..], [Event::Link(crate::event::Link::Down(_))]),
            "{frame:?}"
        );
    }
}

#[test]
fn a_fill_is_told_with_its_profit_and_its_fee_and_nothing_else_is_a_fill() {
    let filled = fixture("private-order-trade-update-filled");
    let check = |from: &str, to: &str| {
        assert!(filled.contains(from), "{from}");
        let frame = private(&filled.replace(from, to));
        let Some(Event::Order(order)) = frame.events.first() else {
            panic!("{frame:?}");
        };
        let fee = |trade: &Trade| {
            let fee = trade.fee.as_ref();
            fee.map_or("no fee".into(), |(asset, fee)| format!("{fee} {asset}"))
        };
        let told = order.trade.as_ref();
        let told = told.map_or("no fill".into(), |trade| {
            format!("{} {} {}", trade.id, trade.realised, fee(trade))
        });
        // What cannot be read of a fill leaves the order as it was told, and a doubt.
        if frame.events.len() > 1 {
            format!("{told}, in doubt")
        } else {
            told
        }
    };
    for (from, to, expected) in [
        (r#""X""#, r#""X""#, "510000077 -4.875 6.198 USDT"),
        (r#""N":"USDT","n":"6.198","#, "", "510000077 -4.875 no fee"),
        (
            r#""x":"TRADE""#,
            r#""x":"CALCULATED""#,
            "510000077 -4.875 6.198 USDT",
        ),
        (r#""x":"TRADE""#, r#""x":"NEW""#, "no fill"),
        (r#""x":"TRADE","#, "", "no fill"),
        (r#""rp":"-4.875","#, "", "no fill, in doubt"),
        (r#""rp":"-4.875""#, r#""rp":"NaN""#, "no fill, in doubt"),
        (r#""n":"6.198""#, r#""n":"x""#, "no fill, in doubt"),
        (r#""N":"USDT","#, "", "no fill, in doubt"),
    ] {
        assert_eq!(check(from, to), expected, "{from} -> {to}");
    }
}
