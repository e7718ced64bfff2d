//! Frames of the private and the market stream.
//!
//! One frame gives one event, and an [`Event::Unknown`] beside it when a part of it could not be read: the parts that
//! could are applied, and the core reads the rest again (PA-02). What cannot be read is described by its size and the
//! place of the fault, never quoted: a wrapped frame carries the stream's key.
//!
//! Source: user data streams and market streams pages, read 2026-11-22.

use super::{algo_status, element, margin_type, order_kind, order_status, position_side, side};
use crate::event::{
    AccountUpdate, BalanceChange, CalledPosition, Event, Link, MarginCall, PositionChange, Reason,
};
use crate::model::{
    ClientOrderId, Leg, MarginType, MarkPrice, Money, Order, OrderId, Price, Qty, Store, Timestamp,
};
use crate::venue::binance::wire::{self, Bad};
use serde::Deserialize;
use serde_json::value::RawValue;

/// How much of an unknown name is kept.
const NAME_CHARS_MAX: usize = 64;

/// What a frame says.
#[derive(Default, PartialEq, Eq, Debug)]
pub(in crate::venue::binance) struct Frame {
    /// In the order to be applied.
    pub events: Vec<Event>,
    /// Mark prices that could not be read and are left out.
    pub dropped: u64,
}

impl From<Event> for Frame {
    fn from(event: Event) -> Frame {
        Frame {
            events: vec![event],
            dropped: 0,
        }
    }
}

/// Reads a frame of the private stream.
pub(in crate::venue::binance) fn private(text: &str) -> Frame {
    let opened = match open(text) {
        Ok(opened) => opened,
        Err(event) => return event.map(Frame::from).unwrap_or_default(),
    };
    let (name, inner) = (opened.name.as_str(), opened.inner);
    let events = match name {
        "ACCOUNT_UPDATE" => read(name, inner, account_update),
        "ORDER_TRADE_UPDATE" => read(name, inner, order_update),
        "ALGO_UPDATE" => read(name, inner, algo_update),
        "TRADE_LITE" => read(name, inner, |lite: wire::TradeLite<'_>| {
            Ok(vec![Event::FillHint(lite.s.read("s")?)])
        }),
        "MARGIN_CALL" => read(name, inner, margin_call),
        "ACCOUNT_CONFIG_UPDATE" => vec![Event::SettingsChanged],
        "listenKeyExpired" => vec![Event::Link(Link::Down("listenKey expired".to_owned()))],
        "markPriceUpdate" => return market(inner),
        _ => vec![unknown(name)],
    };
    Frame { events, dropped: 0 }
}

/// Reads a frame of the market stream; nothing that it says can change the account.
pub(in crate::venue::binance) fn market(text: &str) -> Frame {
    // The hot path: a mark price or an array of them, read in one pass.
    if let Ok(mark) = wire::object::<wire::Mark<'_>>(text)
        && mark.e.as_str() == "markPriceUpdate"
    {
        return marks(std::iter::once(mark_price(&mark)));
    }
    if text.trim_start().starts_with('[') {
        return market_array(text);
    }
    match open(text) {
        Ok(opened) if opened.is_array => market_array(opened.inner),
        Ok(opened) if opened.name == "markPriceUpdate" => {
            let parsed = wire::object::<wire::Mark<'_>>(opened.inner).map_err(|_| Bad("e"));
            marks(std::iter::once(parsed.and_then(|mark| mark_price(&mark))))
        }
        Ok(opened) => unknown(&opened.name).into(),
        Err(event) => event.map(Frame::from).unwrap_or_default(),
    }
}

fn market_array(text: &str) -> Frame {
    if let Ok(all) = serde_json::from_str::<Vec<wire::Mark<'_>>>(text) {
        return marks(all.iter().map(mark_price));
    }
    match serde_json::from_str::<Vec<&RawValue>>(text) {
        Ok(all) => marks(
            all.iter()
                .map(|raw| element::<wire::Mark<'_>>(raw, "e").and_then(|mark| mark_price(&mark))),
        ),
        Err(error) => unreadable("frame", text, &error).into(),
    }
}

fn marks(all: impl Iterator<Item = Result<Option<MarkPrice>, Bad>>) -> Frame {
    let (mut good, mut dropped) = (Vec::new(), 0);
    for one in all {
        match one {
            Ok(Some(mark)) => good.push(mark),
            Ok(None) => {}
            Err(_) => dropped += 1,
        }
    }
    let events = if good.is_empty() {
        Vec::new()
    } else {
        vec![Event::Marks(good)]
    };
    Frame { events, dropped }
}

/// `None` for what is not ours: another kind of event, or the coin-margined half of a merged stream.
fn mark_price(mark: &wire::Mark<'_>) -> Result<Option<MarkPrice>, Bad> {
    let coin_margined = match mark.st {
        Some(kind) => kind.read::<i64>("st")? == 2,
        None => false,
    };
    if coin_margined || mark.e.as_str() != "markPriceUpdate" {
        return Ok(None);
    }
    Ok(Some(MarkPrice {
        symbol: mark.s.read("s")?,
        price: mark.p.read("p")?,
        at: Timestamp::from_ms(mark.event_time.read("E")?),
    }))
}

/// A frame's name and the text of the event itself.
struct Opened<'a> {
    name: String,
    inner: &'a str,
    is_array: bool,
}

/// Takes the wrapping off. `Err(None)` for an answer to a subscription, which says nothing.
fn open(text: &str) -> Result<Opened<'_>, Option<Event>> {
    let parse = |text| wire::object::<wire::Head<'_>>(text);
    let mut head = parse(text).map_err(|error| Some(unreadable("frame", text, &error)))?;
    let mut inner = text;
    if let (None, Some(data)) = (&head.e, head.data) {
        inner = data.get();
        if inner.starts_with('[') {
            return Ok(Opened {
                name: "array".to_owned(),
                inner,
                is_array: true,
            });
        }
        head = parse(inner).map_err(|error| Some(unreadable("frame", inner, &error)))?;
    }
    match head.e {
        Some(name) => Ok(Opened {
            name: shown(name.as_str()),
            inner,
            is_array: false,
        }),
        None if head.code.is_some() || head.error.is_some() => {
            Err(Some(Event::Unknown("the stream refused a request".to_owned())))
        }
        None if head.id.is_some() => Err(None),
        None => Err(Some(Event::Unknown("frame without a name".to_owned()))),
    }
}

/// Reads the event and translates it; what fails becomes an unknown event that says where.
fn read<'a, T: Deserialize<'a>>(
    name: &str,
    text: &'a str,
    translate: impl Fn(T) -> Result<Vec<Event>, Bad>,
) -> Vec<Event> {
    match wire::object::<T>(text) {
        Ok(parsed) => {
            translate(parsed).unwrap_or_else(|bad| vec![Event::Unknown(format!("unreadable {name}: {bad}"))])
        }
        Err(error) => vec![unreadable(name, text, &error)],
    }
}

fn account_update(update: wire::AccountUpdate<'_>) -> Result<Vec<Event>, Bad> {
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

fn order_update(update: wire::OrderEvent<'_, wire::OrderBody<'_>>) -> Result<Vec<Event>, Bad> {
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

fn algo_update(update: wire::OrderEvent<'_, wire::AlgoBody<'_>>) -> Result<Vec<Event>, Bad> {
    let o = update.o;
    let executed = o.aq.filter(|number| !number.is_blank());
    let average = o.ap.filter(|number| !number.is_blank());
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
        quantity: o.q.read("q")?,
        executed: executed.map_or(Ok(Qty::ZERO), |number| number.read("aq"))?,
        average: wire::price(average, "ap")?,
        reduce_only: o.reduce_only,
        close_position: o.cp,
        status: algo_status(o.status.as_str()),
        at: Timestamp::from_ms(update.transaction_time.read("T")?),
    })])
}

fn margin_call(call: wire::MarginCall<'_>) -> Result<Vec<Event>, Bad> {
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

fn unknown(name: &str) -> Event {
    Event::Unknown(shown(name))
}

/// Where and how a text stopped being readable, without quoting it.
fn unreadable(what: &str, text: &str, error: &serde_json::Error) -> Event {
    Event::Unknown(format!(
        "unreadable {what}: {:?} error at {}:{} of {} bytes",
        error.classify(),
        error.line(),
        error.column(),
        text.len()
    ))
}

/// A name from outside, short and printable.
fn shown(name: &str) -> String {
    name.chars()
        .filter(|c| !c.is_control())
        .take(NAME_CHARS_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::venue::binance::fixtures::{fixture, kind};

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
    fn pa_01_pa_04_unknown_and_broken_frames_are_told_and_never_quoted() {
        for (text, expected) in [
            (
                r#"{"e":"NEW_EVENT","E":1,"o":5,"a":[],"data":7,"code":[]}"#,
                "unknown: NEW_EVENT",
            ),
            (
                r#"{"e":5}"#,
                "unknown: unreadable frame: Data error at 1:6 of 7 bytes",
            ),
            (r#"{"x":1}"#, "unknown: frame without a name"),
            ("", "unknown: unreadable frame: Data error at 0:0 of 0 bytes"),
            (
                "secret",
                "unknown: unreadable frame: Data error at 0:0 of 6 bytes",
            ),
            ("null", "unknown: unreadable frame: Data error at 0:0 of 4 bytes"),
            ("[]", "unknown: unreadable frame: Data error at 0:0 of 2 bytes"),
            (
                r#"{"e":"A","e":"B"}"#,
                "unknown: unreadable frame: Data error at 1:12 of 17 bytes",
            ),
            (
                r#"{"stream":"secret","data":{"e":"#,
                "unknown: unreadable frame: Eof error at 1:31 of 31 bytes",
            ),
            (
                r#"{"stream":"secret","data":{"data":{"e":"ACCOUNT_UPDATE"}}}"#,
                "unknown: frame without a name",
            ),
            (
                r#"{"e":"ACCOUNT_UPDATE","T":5,"a":{"m":"ORDER","B":{}}}"#,
                "unknown: unreadable ACCOUNT_UPDATE: Data error at 1:49 of 53 bytes",
            ),
            (
                r#"{"e":"ACCOUNT_UPDATE","a":{"m":"ORDER"}}"#,
                "unknown: unreadable ACCOUNT_UPDATE: Data error at 1:40 of 40 bytes",
            ),
            (
                r#"{"e":"TRADE_LITE","s":""}"#,
                "unknown: unreadable TRADE_LITE: field `s`",
            ),
        ] {
            assert_eq!(kinds(&private(text)), [expected], "{text}");
        }
        assert_eq!(kinds(&private(r#"{"result":null,"id":3}"#)), [""; 0]);
        let long = format!(r#"{{"e":"{}"}}"#, "N".repeat(10_000));
        assert_eq!(
            kinds(&private(&long)),
            [format!("unknown: {}", "N".repeat(NAME_CHARS_MAX))]
        );
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

    fn mark(more: &str) -> String {
        format!(r#"{{"e":"markPriceUpdate","E":1795000001000,"s":"BTCUSDT"{more}}}"#)
    }

    #[test]
    fn pa_11_a_mark_that_is_no_price_is_dropped_and_counted() {
        for (more, marks, dropped) in [
            (r#","p":"1.5","st":1"#, 1, 0),
            (r#","p":"1.5""#, 1, 0),
            (r#","p":1.5,"st":"1""#, 1, 0),
            (r#","p":"1.5","st":2"#, 0, 0),
            (r#","p":"0.00","st":1"#, 0, 1),
            (r#","p":"-1","st":1"#, 0, 1),
            (r#","p":"","st":1"#, 0, 1),
            (r#","p":"NaN","st":1"#, 0, 1),
            (r#","p":null,"st":1"#, 0, 1),
            (r#","p":"1","st":"x""#, 0, 1),
            (r#","st":1"#, 0, 1),
            (r#","p":"1","p":"2""#, 0, 1),
        ] {
            let good = mark(r#","p":"7","st":1"#);
            let single = market(&mark(more));
            let array = market(&format!("[{good},{},{good}]", mark(more)));
            let wrapped = market(&format!(r#"{{"stream":"x","data":[{good},{}]}}"#, mark(more)));
            let count = |frame: &Frame| match &frame.events[..] {
                [Event::Marks(all)] => all.len(),
                [] => 0,
                other => panic!("{other:?}"),
            };
            assert_eq!((count(&single), single.dropped), (marks, dropped), "{more}");
            assert_eq!((count(&array), array.dropped), (marks + 2, dropped), "{more}");
            assert_eq!((count(&wrapped), wrapped.dropped), (marks + 1, dropped), "{more}");
        }
    }

    #[test]
    fn the_market_stream_cannot_change_the_account() {
        for name in [
            "private-account-update-order",
            "private-listen-key-expired",
            "private-algo-update-new",
        ] {
            let got = kinds(&market(&fixture(name)));
            assert!(
                got.len() == 1 && got[0].starts_with("unknown: "),
                "{name}: {got:?}"
            );
        }
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
