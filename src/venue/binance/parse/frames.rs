//! Frames of the private and the market stream.
//!
//! One frame gives one event, and an [`Event::Unknown`] beside it when a part of it could not be read: the parts that
//! could are applied, and the core reads the rest again (PA-02). What cannot be read is described by its size and the
//! place of the fault, never quoted: a wrapped frame carries the stream's key.
//!
//! Source: user data streams and market streams pages, read 2026-11-22.

use super::{element, private};
use crate::event::{Event, Link};
use crate::model::{MarkPrice, Timestamp};
use crate::venue::binance::wire::{self, Bad};
use serde::Deserialize;
use serde_json::value::RawValue;

/// How much of an unknown name is kept.
const NAME_CHARS_MAX: usize = 64;

/// The event of the market stream.
const MARK_PRICE: &str = "markPriceUpdate";

/// What a frame says.
#[derive(Default, PartialEq, Eq, Debug)]
pub struct Frame {
    /// In the order to be applied.
    pub events: Vec<Event>,
    /// Mark prices that could not be read and are left out.
    pub dropped: u64,
}

impl From<String> for Frame {
    fn from(doubt: String) -> Frame {
        Frame {
            events: vec![Event::Unknown(doubt)],
            dropped: 0,
        }
    }
}

/// Reads a frame of the private stream.
pub fn private(text: &str) -> Frame {
    let (name, inner) = match open(text) {
        Opened::Event(name, inner) => (name, inner),
        Opened::Array(_) => return "array".to_owned().into(),
        Opened::Answer => return Frame::default(),
        Opened::Doubt(doubt) => return doubt.into(),
    };
    let name = name.as_str();
    let events = match name {
        "ACCOUNT_UPDATE" => read(name, inner, private::account_update),
        "ORDER_TRADE_UPDATE" => read(name, inner, private::order_update),
        "ALGO_UPDATE" => read(name, inner, private::algo_update),
        "TRADE_LITE" => read(name, inner, private::fill_hint),
        "MARGIN_CALL" => read(name, inner, private::margin_call),
        "ACCOUNT_CONFIG_UPDATE" => vec![Event::SettingsChanged],
        "listenKeyExpired" => vec![Event::Link(Link::Down("listenKey expired".to_owned()))],
        MARK_PRICE => return market(inner),
        _ => return name.to_owned().into(),
    };
    Frame { events, dropped: 0 }
}

/// Reads a frame of the market stream; nothing that it says can change the account.
pub fn market(text: &str) -> Frame {
    // The hot path: a mark price or an array of them, read in one pass.
    if let Ok(mark) = wire::object::<wire::Mark<'_>>(text)
        && mark.e.as_str() == MARK_PRICE
    {
        return marks(std::iter::once(mark_price(&mark)));
    }
    if text.trim_start().starts_with('[') {
        return market_array(text);
    }
    match open(text) {
        Opened::Array(inner) => market_array(inner),
        Opened::Event(name, inner) if name == MARK_PRICE => {
            let parsed = wire::object::<wire::Mark<'_>>(inner).map_err(|_| Bad("e"));
            marks(std::iter::once(parsed.and_then(|mark| mark_price(&mark))))
        }
        Opened::Event(doubt, _) | Opened::Doubt(doubt) => doubt.into(),
        Opened::Answer => Frame::default(),
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
    if coin_margined || mark.e.as_str() != MARK_PRICE {
        return Ok(None);
    }
    Ok(Some(MarkPrice {
        symbol: mark.s.read("s")?,
        price: mark.p.read("p")?,
        // Beside the mark it is a second opinion: without it, or with a bad one, the mark stands alone.
        index: mark.i.as_ref().and_then(|index| index.read("i").ok()),
        at: Timestamp::from_ms(mark.event_time.read("E")?),
    }))
}

/// A frame without its wrapping.
enum Opened<'a> {
    /// An event: its name, short and printable, and its text.
    Event(String, &'a str),
    /// An array, of mark prices if of anything.
    Array(&'a str),
    /// The answer to a subscription: it says nothing.
    Answer,
    /// Not readable, or a refusal; the words say which.
    Doubt(String),
}

fn open(text: &str) -> Opened<'_> {
    let parse =
        |text| wire::object::<wire::Head<'_>>(text).map_err(|error| unreadable("frame", text, &error));
    let mut head = match parse(text) {
        Ok(head) => head,
        Err(doubt) => return Opened::Doubt(doubt),
    };
    let mut inner = text;
    if let (None, Some(data)) = (&head.e, head.data) {
        inner = data.get();
        if inner.starts_with('[') {
            return Opened::Array(inner);
        }
        head = match parse(inner) {
            Ok(head) => head,
            Err(doubt) => return Opened::Doubt(doubt),
        };
    }
    match head.e {
        Some(name) => Opened::Event(shown(name.as_str()), inner),
        None if head.code.is_some() || head.error.is_some() => {
            Opened::Doubt("the stream refused a request".to_owned())
        }
        None if head.id.is_some() => Opened::Answer,
        None => Opened::Doubt("frame without a name".to_owned()),
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
        Err(error) => vec![Event::Unknown(unreadable(name, text, &error))],
    }
}

/// Where and how a text stopped being readable, without quoting it.
fn unreadable(what: &str, text: &str, error: &serde_json::Error) -> String {
    format!(
        "unreadable {what}: {:?} error at {}:{} of {} bytes",
        error.classify(),
        error.line(),
        error.column(),
        text.len()
    )
}

/// A name from outside, short and printable.
pub(super) fn shown(name: &str) -> String {
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

    fn mark(more: &str) -> String {
        format!(r#"{{"e":"markPriceUpdate","E":1795000001000,"s":"BTCUSDT"{more}}}"#)
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
}
