//! Tests over names and bodies that nobody hopes for: what they may do, and what they may not.

use super::fixtures::{cancel, events, fixture, reduce, rest};
use super::outcome::classify;
use super::request::{Mutation, Read};
use super::session::Session;
use crate::event::{Event, Outcome, Reading};
use crate::model::{ClientOrderId, Intent, Order, OrderId, OrderStatus, Store, Symbol, Timestamp};
use crate::venue::{Received, Via};

const NOW: Timestamp = Timestamp::from_ms(1_795_000_010_000);

fn private(text: &str) -> Vec<Event> {
    let via = Via::Private(text.to_owned());
    events(&mut Session::new(), &Received { at: NOW, via })
}

#[test]
fn mo_15_the_venues_own_orders_are_orders_with_a_class() {
    let body = fixture("private-order-trade-update-liquidation");
    for (client, kind, execution, status, alive, class) in [
        (
            "autoclose-1795000500000000001",
            "LIQUIDATION",
            "NEW",
            "NEW",
            true,
            Some("liquidation"),
        ),
        (
            "autoclose-1",
            "LIQUIDATION",
            "CALCULATED",
            "FILLED",
            false,
            Some("liquidation"),
        ),
        (
            "x",
            "LIQUIDATION",
            "NEW",
            "NEW_INSURANCE",
            true,
            Some("liquidation"),
        ),
        (
            "adl_autoclose",
            "MARKET",
            "CALCULATED",
            "NEW_ADL",
            true,
            Some("auto-deleveraging"),
        ),
        (
            "adl_autoclose",
            "LIMIT",
            "TRADE",
            "FILLED",
            false,
            Some("auto-deleveraging"),
        ),
        (
            "settlement_autoclose-7",
            "MARKET",
            "TRADE",
            "FILLED",
            false,
            Some("settlement"),
        ),
        (
            "delivery_autoclose-7",
            "MARKET",
            "TRADE",
            "FILLED",
            false,
            Some("settlement"),
        ),
        ("my-autoclose-7", "LIMIT", "EXPIRED", "EXPIRED", false, None),
    ] {
        let text = body
            .replace("autoclose-1795000500000000001", client)
            .replace("LIQUIDATION", kind)
            .replace(
                r#""x":"NEW","X":"NEW""#,
                &format!(r#""x":"{execution}","X":"{status}""#),
            );
        let got = private(&text);
        let [Event::Order(order)] = &got[..] else {
            panic!("{client} {status}: {got:?}");
        };
        assert_eq!(
            (order.forced(), !order.status.is_terminal()),
            (class, alive),
            "{client} {status}"
        );
        assert_ne!(order.status, OrderStatus::Other, "{client} {status}");
    }
}

#[test]
fn mo_10_mo_12_six_ways_of_saying_nothing_of_positions_are_five_failures_and_one_fact() {
    let risk = Read::position_risk().line();
    let flat = fixture("rest-account").replace("\"0.250\"", "\"0.000\"");
    for (status, body, is_fact) in [
        (200, "null", false),
        (200, "{}", false),
        (200, "\"\"", false),
        (200, r#"{"code":-1000,"msg":"An unknown error"}"#, false),
        (0, "timeout", false),
        (200, "[]", true),
    ] {
        let mut session = Session::new();
        events(&mut session, &rest(&Read::account().line(), 200, &flat));
        let got = events(&mut session, &rest(&risk, status, body));
        match (&got[..], is_fact) {
            ([Event::Holdings(all)], true) => assert_eq!(all.positions, []),
            ([Event::ReadFailed(Reading::Holdings)], false) => {}
            _ => panic!("{status} {body}: {got:?}"),
        }
    }
}

#[test]
fn pa_08_contracts_on_shares_come_in_a_message_of_their_own_and_no_message_is_complete() {
    let mark = |symbol: &str, more: &str| {
        format!(r#"{{"e":"markPriceUpdate","E":1795000001000,"s":"{symbol}","p":"7"{more}}}"#)
    };
    let mut session = Session::new();
    for (array, expected) in [
        (
            vec![
                mark("BTCUSDT", r#","st":1"#),
                mark("BTCUSDT_260327", r#","st":1"#),
            ],
            2,
        ),
        (vec![mark("TSLAUSDT", r#","st":1"#)], 1),
        (
            vec![
                mark("测试USDT", ""),
                mark(&"X".repeat(120), ""),
                mark("BTCUSD_PERP", r#","st":2"#),
            ],
            2,
        ),
    ] {
        let text = format!("[{}]", array.join(","));
        let got = events(
            &mut session,
            &Received {
                at: NOW,
                via: Via::Market(text),
            },
        );
        assert!(
            matches!(&got[..], [Event::Marks(all)] if all.len() == expected),
            "{got:?}"
        );
    }
}

#[test]
fn pa_08_an_order_of_any_name_is_asked_for_and_cancelled_by_one_line() {
    for (name, encoded) in [
        ("BTCUSDT_260327", "BTCUSDT_260327".to_owned()),
        ("测试USDT", "%E6%B5%8B%E8%AF%95USDT".to_owned()),
        (&"X".repeat(150), "X".repeat(150)),
    ] {
        let symbol = Symbol::new(name).unwrap();
        let query = Read::order(&symbol, &ClientOrderId::new("bs-1").unwrap()).line();
        assert!(query.contains(&format!("symbol={encoded}&")), "{query}");
        for (intent, path) in [
            (
                Intent::CancelAll(symbol.clone()),
                "DELETE /fapi/v1/allOpenOrders?",
            ),
            (
                Intent::CancelAllConditional(symbol.clone()),
                "DELETE /fapi/v1/algoOpenOrders?",
            ),
        ] {
            let line = Mutation::from_intent(&intent).line();
            assert!(
                line.starts_with(path) && line.contains(&format!("symbol={encoded}")),
                "{line}"
            );
        }
    }
}

#[test]
fn pa_09_a_symbol_cannot_leave_its_parameter_and_none_has_control_characters() {
    for name in [
        "A*B",
        "A?B",
        "A/B",
        "A\\B",
        "A'B",
        "A<B>",
        "..",
        "A%2F",
        "A&side=BUY",
        "A#B",
        "A B",
        "A+B=C",
    ] {
        let symbol = Symbol::new(name).unwrap();
        let id = OrderId {
            store: Store::Regular,
            symbol,
            id: 7,
        };
        let line = Mutation::from_intent(&Intent::Cancel(id)).line();
        let (_, query) = line.split_once('?').unwrap();
        let value = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("symbol="))
            .unwrap();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~%*+".contains(c);
        assert!(value.chars().all(is_plain), "{line}");
        assert_eq!(query.split('&').count(), 2, "{line}");
    }
    // A control character is no part of a name: the element is told and left out.
    let body = fixture("private-order-trade-update-new").replace("ETHUSDT", "ETH\\nUSDT");
    let got = private(&body);
    assert!(
        matches!(&got[..], [Event::Unknown(what)] if what.contains("field `s`")),
        "{got:?}"
    );
}

#[test]
fn pa_10_a_body_that_is_no_answer_fails_a_read_and_proves_nothing_of_a_mutation() {
    let whole = fixture("rest-open-orders");
    let long = "x".repeat(10_000_000);
    let bodies = [
        "<html><body>502</body></html>",
        "",
        &whole[..whole.len() / 2],
        "\u{1f}\u{8b}\u{8}\u{0}",
        &long,
    ];
    for body in bodies {
        let shown = &body.chars().take(40).collect::<String>();
        let got = events(&mut Session::new(), &rest(&Read::open_orders().line(), 200, body));
        assert_eq!(
            got,
            [Event::ReadFailed(Reading::OpenOrders(Store::Regular))],
            "{shown}"
        );
        // A body that reads well is no answer either, when the status says so.
        let got = events(&mut Session::new(), &rest(&Read::open_orders().line(), 500, "[]"));
        assert_eq!(got, [Event::ReadFailed(Reading::OpenOrders(Store::Regular))]);
        for mutation in [reduce(), cancel(Store::Regular), cancel(Store::Conditional)] {
            for status in [200, 202, 204, 500, 502] {
                let outcome = classify(&mutation, status, body);
                assert!(
                    matches!(outcome, Outcome::Unknown(_)),
                    "{status} {shown}: {outcome:?}"
                );
            }
        }
    }
}

#[test]
fn pa_15_code_200_is_a_success_of_a_cancel_and_of_nothing_else() {
    let all = Mutation::from_intent(&Intent::CancelAll(Symbol::new("BTCUSDT").unwrap()));
    for body in [
        r#"{"code":200,"msg":"The operation of cancel all open order is done."}"#,
        r#"{"code":"200","msg":"success"}"#,
    ] {
        for cancel in [&all, &cancel(Store::Conditional)] {
            assert_eq!(classify(cancel, 200, body), Outcome::Accepted(None), "{body}");
        }
        assert!(
            matches!(classify(&reduce(), 200, body), Outcome::Unknown(_)),
            "{body}"
        );
    }
    // No batch is ever sent; an array with an error in it is no proof of anything.
    let batch = r#"[{"orderId":1,"clientOrderId":"bs-7f3a-001","status":"NEW"},{"code":-2022,"msg":"x"}]"#;
    assert!(matches!(classify(&reduce(), 200, batch), Outcome::Unknown(_)));
}

/// Whoever sends an order chooses its client id. One that we cannot keep must neither hide its order nor the others.
#[test]
fn pa_02_pa_09_an_order_whose_client_id_cannot_be_kept_is_an_order_all_the_same() {
    let long = "x".repeat(10_000);
    let odd = ["", r"a\nb", r"\u0000", r"\ud800", r"\u202e<b>", &long];
    for (name, read, key, known) in [
        (
            "rest-open-orders",
            Read::open_orders(),
            "clientOrderId",
            Store::Regular,
        ),
        (
            "rest-open-algo-orders",
            Read::open_algo_orders(),
            "clientAlgoId",
            Store::Conditional,
        ),
        (
            "private-order-trade-update-new",
            Read::time(),
            "c",
            Store::Regular,
        ),
        (
            "private-algo-update-new",
            Read::time(),
            "caid",
            Store::Conditional,
        ),
    ] {
        let body = fixture(name);
        let (before, rest) = body.split_once(&format!("\"{key}\":\"")).unwrap();
        let (_, after) = rest.split_once('"').unwrap();
        for id in odd {
            let text = format!("{before}\"{key}\":\"{id}\"{after}");
            let got = if name.starts_with("rest-") {
                // Beside a good one, in either order.
                let inner = |list: &str| list[1..list.len() - 1].to_owned();
                let other = inner(&body).replacen("Id\":", "Id\":1", 1);
                let list = format!("[{other},{},{other}]", inner(&text));
                events(&mut Session::new(), &rest_of(&read, &list))
            } else {
                private(&text)
            };
            let orders: Vec<&Order> = got
                .iter()
                .flat_map(|event| match event {
                    Event::OpenOrders(store, orders) if *store == known => orders.iter().collect(),
                    Event::Order(order) if order.id.store == known => vec![order],
                    other => panic!("{name} {id:.20}: {other:?}"),
                })
                .collect();
            assert_eq!(orders.len(), if name.starts_with("rest-") { 3 } else { 1 });
            // It can be cancelled: that goes by the venue's own number.
            let odd = orders[orders.len() / 2];
            assert!(odd.id.id > 0 && odd.client_id.as_ref().is_none_or(|id| !id.is_ours()));
        }
    }
    // And the answer to its cancellation, which repeats the id, is one.
    let answer = fixture("answer-cancel-order");
    let (before, rest) = answer.split_once("\"clientOrderId\":\"").unwrap();
    let (_, after) = rest.split_once('"').unwrap();
    for id in odd {
        let text = format!("{before}\"clientOrderId\":\"{id}\"{after}");
        let outcome = classify(&cancel(Store::Regular), 200, &text);
        assert_eq!(outcome, Outcome::Accepted(None), "{id:.20}");
    }
}

fn rest_of(read: &Read, body: &str) -> Received {
    rest(&read.line(), 200, body)
}
