//! Events of the private stream, translated.
//!
//! Source: user data streams page, read 2026-11-22.

use super::frames::shown;
use super::{algo_status, element, margin_type, order_kind, order_status, position_side, side};
use crate::event::{AccountUpdate, BalanceChange, CalledPosition, Event, MarginCall, PositionChange, Reason};
use crate::model::{ClientOrderId, Leg, MarginType, Money, Order, OrderId, Price, Qty, Store, Timestamp};
use crate::venue::binance::wire::{self, Bad};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Balances and positions that changed; what is absent is unchanged (MO-05).
pub fn account_update(update: wire::AccountUpdate<'_>) -> Result<Vec<Event>, Bad> {
    let (balances, bad_balance) = split(&update.a.balances, |row: wire::BalanceRow<'_>| {
        Ok(BalanceChange {
            asset: row.a.read("a")?,
            wallet: row.wb.read("wb")?,
            cross_wallet: row.cw.read("cw")?,
            change: row.bc.read("bc")?,
        })
    });
    let (positions, bad_position) = split(&update.a.positions, position_change);
    let event = Event::Account(AccountUpdate {
        reason: reason(update.a.m.as_str()),
        balances,
        positions,
        at: Timestamp::from_ms(update.transaction_time.read("T")?),
    });
    Ok(with_doubt(event, "ACCOUNT_UPDATE", bad_balance.or(bad_position)))
}

fn position_change(row: wire::PositionRow<'_>) -> Result<PositionChange, Bad> {
    let margin = row.mt.as_ref().and_then(margin_type);
    let isolated_wallet = match (row.iw, margin) {
        (Some(number), _) => number.read("iw")?,
        (None, Some(MarginType::Isolated)) => return Err(Bad("iw")),
        (None, _) => Money::ZERO,
    };
    Ok(PositionChange {
        leg: Leg {
            symbol: row.s.read("s")?,
            side: position_side(&row.ps)?,
        },
        amount: row.pa.read("pa")?,
        entry: row.ep.price("ep")?,
        margin,
        isolated_wallet,
    })
}

/// Why balances changed. Source: POLICIES.md b.1.
fn reason(name: &str) -> Reason {
    match name {
        "DEPOSIT" | "WITHDRAW" | "WITHDRAW_REJECT" | "ASSET_TRANSFER" => Reason::External,
        _ if name.starts_with("ADMIN_") => Reason::External,
        "MARGIN_TRANSFER" | "MARGIN_TYPE_CHANGE" | "AUTO_EXCHANGE" => Reason::Internal,
        _ if name.starts_with("COIN_SWAP_") => Reason::Internal,
        "ORDER" | "FUNDING_FEE" | "INSURANCE_CLEAR" => Reason::Profit,
        "OPTIONS_PREMIUM_FEE" | "OPTIONS_SETTLE_PROFIT" => Reason::Profit,
        _ => Reason::Unclassified(shown(name)),
    }
}

/// An order of the regular store.
pub fn order_update(update: wire::OrderEvent<'_, wire::OrderBody<'_>>) -> Result<Vec<Event>, Bad> {
    let o = update.o;
    Ok(vec![Event::Order(Order {
        id: OrderId {
            store: Store::Regular,
            symbol: o.s.read("s")?,
            id: o.i.read("i")?,
        },
        client_id: o.c.and_then(|text| ClientOrderId::new(text.as_str()).ok()),
        side: side(&o.side)?,
        position_side: position_side(&o.ps)?,
        kind: order_kind(o.o.as_str()),
        price: wire::price(o.p, "p")?,
        trigger: wire::price(o.sp, "sp")?,
        quantity: o.q.read("q")?,
        executed: o.z.read("z")?,
        average: wire::price(o.ap, "ap")?,
        reduce_only: o.reduce_only,
        close_position: o.cp,
        status: order_status(o.status.as_str()),
        at: Timestamp::from_ms(update.transaction_time.read("T")?),
    })])
}

/// An order of the conditional store.
pub fn algo_update(update: wire::OrderEvent<'_, wire::AlgoBody<'_>>) -> Result<Vec<Event>, Bad> {
    let o = update.o;
    let executed = o.aq.filter(|number| !number.is_blank());
    Ok(vec![Event::Order(Order {
        id: OrderId {
            store: Store::Conditional,
            symbol: o.s.read("s")?,
            id: o.aid.read("aid")?,
        },
        client_id: o.caid.and_then(|text| ClientOrderId::new(text.as_str()).ok()),
        side: side(&o.side)?,
        position_side: position_side(&o.ps)?,
        kind: order_kind(o.o.as_str()),
        price: wire::price(o.p, "p")?,
        trigger: wire::price(o.tp, "tp")?,
        quantity: wire::quantity(o.q, o.cp, "q")?,
        executed: executed.map_or(Ok(Qty::ZERO), |number| number.read("aq"))?,
        average: wire::price(o.ap, "ap")?,
        reduce_only: o.reduce_only,
        close_position: o.cp,
        status: algo_status(o.status.as_str()),
        at: Timestamp::from_ms(update.transaction_time.read("T")?),
    })])
}

/// A fill, told early.
pub fn fill_hint(lite: wire::TradeLite<'_>) -> Result<Vec<Event>, Bad> {
    Ok(vec![Event::FillHint(lite.s.read("s")?)])
}

/// A margin call: heard even when its numbers cannot be read.
pub fn margin_call(call: wire::MarginCall<'_>) -> Result<Vec<Event>, Bad> {
    let (positions, bad) = split(&call.p, |row: wire::CalledRow<'_>| {
        Ok(CalledPosition {
            leg: Leg {
                symbol: row.s.read("s")?,
                side: position_side(&row.ps)?,
            },
            amount: row.pa.read("pa")?,
            margin: margin_type(&row.mt).ok_or(Bad("mt"))?,
            mark: row.mp.and_then(|number| number.read::<Price>("mp").ok()),
            maintenance: row.mm.and_then(|number| number.read("mm").ok()),
        })
    });
    let event = Event::MarginCall(MarginCall {
        cross_wallet: call.cw.and_then(|number| number.read("cw").ok()),
        positions,
        at: Timestamp::from_ms(call.event_time.read("E")?),
    });
    Ok(with_doubt(event, "MARGIN_CALL", bad))
}

/// The elements that could be read, and the first fault among the others.
fn split<'a, W: Deserialize<'a>, T>(
    rows: &[&'a RawValue],
    translate: impl Fn(W) -> Result<T, Bad>,
) -> (Vec<T>, Option<Bad>) {
    let (mut good, mut fault) = (Vec::with_capacity(rows.len()), None);
    for &row in rows {
        match element(row, "element").and_then(&translate) {
            Ok(one) => good.push(one),
            Err(bad) => fault = fault.or(Some(bad)),
        }
    }
    (good, fault)
}

fn with_doubt(event: Event, name: &str, bad: Option<Bad>) -> Vec<Event> {
    let doubt = bad.map(|bad| Event::Unknown(format!("unreadable part of {name}: {bad}")));
    std::iter::once(event).chain(doubt).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::venue::binance::fixtures::{fixture, kind};
    use crate::venue::binance::parse::frames::{Frame, private};

    fn kinds(frame: &Frame) -> Vec<String> {
        frame.events.iter().map(kind).collect()
    }

    fn account(balances: &str, positions: &str) -> String {
        format!(
            r#"{{"e":"ACCOUNT_UPDATE","E":6,"T":5,"a":{{"m":"ORDER","B":[{balances}],"P":[{positions}]}}}}"#
        )
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
    fn pa_02_one_bad_element_of_twenty_leaves_nineteen_and_a_doubt() {
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
}
