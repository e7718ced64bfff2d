//! What was received, in order, as inputs of the core; live runs and replays use the same.

use super::parse::{answers, frames};
use super::request::path;
use crate::event::{Event, Input, Reading};
use crate::model::{Span, Store, Timestamp};
use crate::venue::{Received, Via};

/// The longest frame or body that is read; the longest honest one, the rules of all contracts, has about 3 MB.
const TEXT_LEN_MAX: usize = 8 * 1024 * 1024;

/// Halves of one reading of the account that are further apart do not belong together: they are asked for at the
/// same time, and a request ends within three seconds.
const PAIR_APART_MAX: Span = Span::from_secs(4);

/// The state that translation needs: the half of an account reading that came first.
#[derive(Clone, Debug, Default)]
pub struct Session {
    account: Option<(Timestamp, answers::AccountHalf)>,
    risk: Option<(Timestamp, answers::RiskHalf)>,
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
    /// two disagree, or one of them cannot be read, that is a failed read. Answers to mutations are not read here:
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
                self.account = answers::account(body).map(|half| (at, half));
                self.paired(self.account.is_some(), at)
            }
            (path::POSITION_RISK, Some(body)) => {
                self.risk = answers::position_risk(body, at).map(|half| (at, half));
                self.paired(self.risk.is_some(), at)
            }
            (path::ACCOUNT | path::POSITION_RISK, None) => self.paired(false, at),
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
            (true, Some((_, account)), Some((_, risk))) => vec![
                answers::holdings(account, risk)
                    .map_or(Event::ReadFailed(Reading::Holdings), Event::Holdings),
            ],
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
