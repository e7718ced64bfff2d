//! What was received, in order, as inputs of the core; live runs and replays use the same.

use super::parse::{answers, frames, holdings};
use super::request::path;
use crate::event::{Event, Input, Reading};
use crate::model::{Span, Store, Timestamp};
use crate::venue::{Received, Via};

/// The longest frame or body that is read; the longest honest one, the rules of all contracts, has about 3 MB.
const TEXT_LEN_MAX: usize = 8 * 1024 * 1024;

/// Halves of one reading of the account that are further apart do not belong together: they are asked for at the
/// same time, and a request ends within three seconds.
const PAIR_APART_MAX: Span = Span::from_secs(4);

/// Readings in a row whose halves contradict each other, after which that is no tear of time but a quarrel of the
/// venue with itself, and the larger exposure is assumed (MO-09).
const TORN_MAX: u32 = 3;

/// The state that translation needs: the half of an account reading that came first.
#[derive(Clone, Debug, Default)]
pub struct Session {
    account: Option<(Timestamp, holdings::AccountHalf)>,
    risk: Option<(Timestamp, holdings::RiskHalf)>,
    torn: u32,
    dropped: u64,
}

impl Session {
    /// A session that has received nothing.
    pub fn new() -> Session {
        Session::default()
    }

    /// How many mark prices could not be read so far and were left out.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The inputs that something received stands for; none for what says nothing of the account.
    ///
    /// Balances and positions come from two reads and become one event when the later of the two arrives; when the
    /// two disagree, or one of them cannot be read, that is a failed read. When they keep disagreeing, the larger
    /// exposure is told, and the quarrel with it. Answers to mutations are not read here:
    /// their outcomes come separately.
    pub fn take(&mut self, received: &Received) -> Vec<Input> {
        let events = match &received.via {
            Via::Private(text) => self.frame(text, frames::private),
            Via::Market(text) => self.frame(text, frames::market),
            Via::Rest {
                request,
                status,
                body,
            } => self.answer(received.at, request, *status, body),
            Via::Link(link) => vec![Event::Link(link.clone())],
        };
        events.into_iter().map(Input::Venue).collect()
    }

    fn frame(&mut self, text: &str, read: impl Fn(&str) -> frames::Frame) -> Vec<Event> {
        if text.len() > TEXT_LEN_MAX {
            return vec![Event::Unknown(format!("unreadable frame: {} bytes", text.len()))];
        }
        let frame = read(text);
        self.dropped = self.dropped.saturating_add(frame.dropped);
        frame.events
    }

    fn answer(&mut self, at: Timestamp, request: &str, status: u16, body: &str) -> Vec<Event> {
        let Some((path, reading)) = reading(request) else {
            return Vec::new();
        };
        let body = (status == 200 && body.len() <= TEXT_LEN_MAX).then_some(body);
        match (path, body) {
            (path::ACCOUNT, Some(body)) => {
                self.account = holdings::account(body).map(|half| (at, half));
                self.paired(self.account.is_some(), at)
            }
            (path::POSITION_RISK, Some(body)) => {
                self.risk = holdings::position_risk(body, at).map(|half| (at, half));
                self.paired(self.risk.is_some(), at)
            }
            (path::ACCOUNT | path::POSITION_RISK, None) => {
                // Source: venues/binance-usdm.md section 2.5 (a bad key, address or right is HTTP 401), read 2026-11-22.
                let refused = (status == 401).then_some(Event::KeyRefused);
                refused.into_iter().chain(self.paired(false, at)).collect()
            }
            (_, Some(body)) => answers::single(reading, body),
            (_, None) => vec![Event::ReadFailed(reading)],
        }
    }

    /// One event when both halves are there, nothing while one is missing, and a failed read otherwise.
    fn paired(&mut self, readable: bool, at: Timestamp) -> Vec<Event> {
        let fresh = |then: Timestamp| at.since(then) <= PAIR_APART_MAX;
        let (account, risk) = (self.account.take(), self.risk.take());
        let account = account.filter(|(then, _)| fresh(*then));
        let risk = risk.filter(|(then, _)| fresh(*then));
        match (readable, account, risk) {
            (true, Some((_, account)), Some((_, risk))) => {
                let Some(read) = holdings::holdings(account, risk) else {
                    return vec![Event::ReadFailed(Reading::Holdings)];
                };
                self.torn = match read.disputed[..] {
                    [] => 0,
                    _ => self.torn.saturating_add(1).min(TORN_MAX),
                };
                let counts = self.torn == 0 || self.torn == TORN_MAX;
                vec![if counts {
                    Event::Holdings(read)
                } else {
                    Event::ReadFailed(Reading::Holdings)
                }]
            }
            (true, account, risk) => {
                (self.account, self.risk) = (account, risk);
                Vec::new()
            }
            (false, ..) => vec![Event::ReadFailed(Reading::Holdings)],
        }
    }
}

/// What a request line reads; `None` for mutations, for reads that are no event, and for reads of one symbol, which
/// say nothing of the others.
fn reading(request: &str) -> Option<(&str, Reading)> {
    let target = request.strip_prefix("GET ")?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if query.split('&').any(|pair| pair.starts_with("symbol=")) {
        return None;
    }
    let reading = match path {
        path::ACCOUNT | path::POSITION_RISK => Reading::Holdings,
        path::OPEN_ORDERS => Reading::OpenOrders(Store::Regular),
        path::OPEN_ALGO_ORDERS => Reading::OpenOrders(Store::Conditional),
        path::ACCOUNT_CONFIG => Reading::Settings,
        path::SYMBOL_CONFIG => Reading::MarginTypes,
        path::EXCHANGE_INFO => Reading::Rules,
        path::LEVERAGE_BRACKET => Reading::Tiers,
        path::ASSET_INDEX => Reading::AssetIndexes,
        path::INCOME => Reading::Transfers,
        _ => return None,
    };
    Some((path, reading))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Link;
    use crate::model::{MarginType, PositionSide};
    use crate::venue::binance::fixtures::{events, fixture, rest};

    const ACCOUNT: &str = "GET /fapi/v3/account";
    const RISK: &str = "GET /fapi/v3/positionRisk";

    fn later(received: Received, ms: i64) -> Received {
        Received {
            at: received.at.after(Span::from_ms(ms)),
            ..received
        }
    }

    fn account() -> Received {
        rest(ACCOUNT, 200, &fixture("rest-account"))
    }

    fn risk() -> Received {
        rest(RISK, 200, &fixture("rest-position-risk"))
    }

    #[test]
    fn the_later_of_two_reads_completes_the_holdings() {
        for pair in [[account(), risk()], [risk(), account()]] {
            let mut session = Session::new();
            assert_eq!(events(&mut session, &pair[0]), []);
            let got = events(&mut session, &later(pair[1].clone(), 2_900));
            let [Event::Holdings(all)] = &got[..] else {
                panic!("{got:?}");
            };
            let [(asset, balance)] = &all.balances[..] else {
                panic!("{all:?}");
            };
            assert_eq!(
                (asset.as_str(), balance.wallet.to_string()),
                ("USDT", "9988.927".into())
            );
            let [(leg, position)] = &all.positions[..] else {
                panic!("{all:?}");
            };
            assert_eq!(
                (leg.to_string().as_str(), leg.side),
                ("BTCUSDT", PositionSide::Both)
            );
            assert_eq!(position.amount.to_string(), "0.25");
            assert_eq!(
                position.entry.map(|price| price.to_string()).as_deref(),
                Some("62000")
            );
            assert_eq!((position.margin, position.at.ms()), (None, 1_795_000_000_101));
            assert_eq!(all.marks[0].price.to_string(), "61980.36");
            // The pair is used up.
            assert_eq!(events(&mut session, &pair[1]), []);
        }
    }

    #[test]
    fn li_09_a_refused_key_is_told_apart_from_a_failed_read() {
        for (status, expected) in [
            (
                401,
                &[Event::KeyRefused, Event::ReadFailed(Reading::Holdings)][..],
            ),
            (403, &[Event::ReadFailed(Reading::Holdings)]),
            (503, &[Event::ReadFailed(Reading::Holdings)]),
        ] {
            for request in [ACCOUNT, RISK] {
                let body = r#"{"code":-2015,"msg":"Invalid API-key, IP, or permissions for action."}"#;
                assert_eq!(
                    events(&mut Session::new(), &rest(request, status, body)),
                    expected,
                    "{status}"
                );
            }
        }
    }

    #[test]
    fn mo_10_halves_that_disagree_are_a_failed_read() {
        let torn = |body: &str, from: &str, to: &str| rest(RISK, 200, &body.replace(from, to));
        let body = fixture("rest-position-risk");
        let failed = [Event::ReadFailed(Reading::Holdings)];
        for (name, second) in [
            ("another amount", torn(&body, "\"0.250\"", "\"0.251\"")),
            ("another sign", torn(&body, "\"0.250\"", "\"-0.250\"")),
            ("another leg", torn(&body, "\"BOTH\"", "\"LONG\"")),
            ("another symbol", torn(&body, "BTCUSDT", "ETHUSDT")),
            (
                "empty although the account holds something",
                rest(RISK, 200, "[]"),
            ),
            (
                "a leg named twice",
                rest(RISK, 200, &format!("{},{}", &body[..body.len() - 1], &body[1..])),
            ),
            ("unreadable", rest(RISK, 200, "null")),
            ("refused", rest(RISK, 429, "")),
            ("no answer", rest(RISK, 0, "timeout")),
        ] {
            let mut session = Session::new();
            events(&mut session, &account());
            assert_eq!(events(&mut session, &second), failed, "{name}");
            // Nothing of the failed pair is left over.
            assert_eq!(events(&mut session, &risk()), [], "{name}");
        }
    }

    #[test]
    fn mo_09_when_two_answers_keep_differing_the_larger_exposure_is_assumed_and_told() {
        let body = fixture("rest-position-risk");
        for (risk_says, assumed) in [
            (body.replace("\"0.250\"", "\"0.100\""), "0.25"),
            (body.replace("\"0.250\"", "\"-0.300\""), "-0.3"),
            ("[]".to_owned(), "0.25"),
        ] {
            let mut session = Session::new();
            let mut read = || {
                events(&mut session, &account());
                events(&mut session, &rest(RISK, 200, &risk_says)).remove(0)
            };
            for _ in 0..2 {
                assert_eq!(read(), Event::ReadFailed(Reading::Holdings), "{assumed}");
            }
            for _ in 0..2 {
                let Event::Holdings(all) = read() else {
                    panic!("{assumed}");
                };
                let [(leg, position)] = &all.positions[..] else {
                    panic!("{all:?}");
                };
                assert_eq!(
                    (position.amount.to_string().as_str(), &all.disputed[..]),
                    (assumed, &[leg.clone()][..])
                );
            }
            // They agree again: one good reading ends it, and the next quarrel starts from nothing.
            events(&mut session, &account());
            let got = events(&mut session, &risk());
            assert!(matches!(&got[..], [Event::Holdings(all)] if all.disputed.is_empty()));
            events(&mut session, &account());
            let got = events(&mut session, &rest(RISK, 200, &risk_says));
            assert_eq!(got, [Event::ReadFailed(Reading::Holdings)]);
        }
    }

    #[test]
    fn mo_12_an_empty_risk_list_counts_when_the_account_agrees() {
        let flat = fixture("rest-account").replace("\"0.250\"", "\"0.000\"");
        let mut session = Session::new();
        events(&mut session, &rest(ACCOUNT, 200, &flat));
        let got = events(&mut session, &rest(RISK, 200, "[]"));
        assert!(
            matches!(&got[..], [Event::Holdings(all)] if all.positions.is_empty()),
            "{got:?}"
        );
    }

    #[test]
    fn halves_far_apart_are_not_paired() {
        let mut session = Session::new();
        assert_eq!(events(&mut session, &account()), []);
        assert_eq!(events(&mut session, &later(risk(), 4_001)), []);
        let got = events(&mut session, &later(account(), 4_100));
        assert!(matches!(got[..], [Event::Holdings(_)]), "{got:?}");
    }

    #[test]
    fn mo_11_a_position_without_margin_entry_or_mark_is_still_a_position() {
        let body = fixture("rest-position-risk")
            .replace("\"62000.0\"", "\"0.0\"")
            .replace("\"61980.36\"", "\"0\"");
        let mut session = Session::new();
        events(&mut session, &account());
        let got = events(&mut session, &rest(RISK, 200, &body));
        let [Event::Holdings(all)] = &got[..] else {
            panic!("{got:?}");
        };
        assert_eq!((all.positions[0].1.entry, all.marks.len()), (None, 0));
    }

    #[test]
    fn an_isolated_position_is_known_by_its_wallet_or_margin() {
        for field in ["isolatedWallet", "isolatedMargin"] {
            let body = fixture("rest-position-risk")
                .replace(&format!("\"{field}\":\"0\""), &format!("\"{field}\":\"7\""));
            let mut session = Session::new();
            events(&mut session, &account());
            let got = events(&mut session, &rest(RISK, 200, &body));
            let [Event::Holdings(all)] = &got[..] else {
                panic!("{got:?}");
            };
            assert_eq!(all.positions[0].1.margin, Some(MarginType::Isolated), "{field}");
        }
    }

    #[test]
    fn what_says_nothing_of_the_account_is_no_input() {
        for request in [
            "POST /fapi/v1/order?symbol=BTCUSDT",
            "DELETE /fapi/v1/allOpenOrders?symbol=BTCUSDT",
            "POST /fapi/v1/listenKey",
            "GET /fapi/v1/time",
            "GET /fapi/v1/order?symbol=BTCUSDT&origClientOrderId=bs-1",
            "GET /fapi/v1/openOrders?symbol=BTCUSDT",
            "GET /fapi/v3/positionRisk?symbol=BTCUSDT",
            "GET /sapi/v1/account/apiRestrictions",
            "",
            "GET ",
        ] {
            for (status, body) in [(200, "[]"), (503, "")] {
                assert_eq!(
                    events(&mut Session::new(), &rest(request, status, body)),
                    [],
                    "{request}"
                );
            }
        }
    }

    #[test]
    fn pa_12_links_pass_and_huge_texts_do_not() {
        let mut session = Session::new();
        let at = Timestamp::from_ms(1);
        for link in [Link::Up, Link::Down("closed".into())] {
            let via = Via::Link(link.clone());
            assert_eq!(events(&mut session, &Received { at, via }), [Event::Link(link)]);
        }
        let huge = " ".repeat(TEXT_LEN_MAX + 1);
        let got = events(
            &mut session,
            &rest("GET /fapi/v1/openOrders", 200, &(huge.clone() + "[]")),
        );
        assert_eq!(got, [Event::ReadFailed(Reading::OpenOrders(Store::Regular))]);
        let via = Via::Private(huge);
        assert_eq!(
            events(&mut session, &Received { at, via }),
            [Event::Unknown("unreadable frame: 8388609 bytes".into())]
        );
    }
}
