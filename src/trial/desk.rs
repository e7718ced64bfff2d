//! Requests on their way to the exchange and back: the executor and the HTTP client of a world. Pure.
//!
//! Each mutation is sent once. What its answer leaves open is asked for, as live, until the venue shows the order or shows
//! twice, late enough, that it is not there.

use crate::event::{Outcome, Rejection, RejectionKind};
use crate::model::{ClientOrderId, IntentKey, Span, Symbol, Timestamp};
use crate::sim::{Exchange, HttpRequest, HttpResponse, sign};
use crate::venue::binance::outcome;
use crate::venue::binance::request::{Mutation, Read};

/// Absence is believed this long after the sending.
const SETTLE: Span = Span::from_secs(5);
/// Longest pause between two looks.
const LOOK_MAX_MS: i64 = 5_000;
/// First pause, and the pause after which a cancel of unknown outcome may be repeated.
const FIRST: Span = Span::from_ms(250);
/// Looks at or after the settle time that must say "absent".
const ABSENT_MIN: u32 = 2;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Guard,
    Bot,
}

/// An order that is looked for.
#[derive(Clone, Debug)]
pub(super) struct Look {
    symbol: Symbol,
    id: ClientOrderId,
    believed: Timestamp,
    pause: Span,
    absent: u32,
}

/// What a look led to.
pub(super) enum Seen {
    /// It is known.
    Known(IntentKey, Outcome),
    /// Look again after this long.
    Again(Look, Span),
}

/// Sends a request and gives the answer.
pub(super) fn ask(
    exchange: &mut Exchange,
    now: i64,
    who: Who,
    method: &str,
    path: &str,
    query: &str,
) -> HttpResponse {
    let (key, secret) = match who {
        Who::Guard => exchange.credentials(),
        Who::Bot => exchange.bot_credentials(),
    };
    let joint = if query.is_empty() { "" } else { "&" };
    let mut query = format!("{query}{joint}timestamp={now}&recvWindow=5000");
    let signature = sign(&secret, &query);
    query.push_str("&signature=");
    query.push_str(&signature);
    let request = HttpRequest {
        method: method.to_owned(),
        path: path.to_owned(),
        query,
        body: String::new(),
        api_key: Some(key),
    };
    exchange.handle(now, &request)
}

/// Answers a read, as it goes into recordings.
pub(super) fn read(exchange: &mut Exchange, now: i64, read: &Read) -> (String, u16, String) {
    let answer = ask(exchange, now, Who::Guard, "GET", read.path(), read.query());
    (read.line(), answer.status, answer.body)
}

/// Sends a mutation and says what its answer proves.
pub(super) fn mutate(exchange: &mut Exchange, now: i64, mutation: &Mutation) -> Outcome {
    let answer = ask(
        exchange,
        now,
        Who::Guard,
        mutation.method(),
        mutation.path(),
        mutation.query(),
    );
    outcome::classify(mutation, answer.status, &answer.body)
}

/// A cancel whose answer left it open: repeating it is harmless.
pub(super) fn cancel_again() -> Outcome {
    Outcome::Rejected(Rejection {
        code: 0,
        message: "sent again if there is still something to cancel".into(),
        kind: RejectionKind::Retry(FIRST),
    })
}

impl Look {
    pub(super) fn new(symbol: Symbol, id: ClientOrderId, sent: Timestamp) -> Look {
        Look {
            symbol,
            id,
            believed: sent.after(SETTLE),
            pause: FIRST,
            absent: 0,
        }
    }

    /// Looks once; `exchange` is `None` while nothing gets through.
    pub(super) fn look(mut self, exchange: Option<&mut Exchange>, now: Timestamp) -> Seen {
        let found = exchange.and_then(|exchange| {
            let (_, status, body) = read(exchange, now.ms(), &Read::order(&self.symbol, &self.id));
            outcome::queried(status, &body)
        });
        match found {
            Some(Outcome::Rejected(rejection)) if rejection.kind == RejectionKind::Absent => {
                self.absent = if self.believed <= now { self.absent + 1 } else { 0 };
                if ABSENT_MIN <= self.absent {
                    return Seen::Known(IntentKey::Reduce(self.id), Outcome::Rejected(rejection));
                }
            }
            Some(found) => return Seen::Known(IntentKey::Reduce(self.id), found),
            None => {}
        }
        let pause = self.pause;
        self.pause = Span::from_ms(pause.ms().saturating_mul(2).min(LOOK_MAX_MS));
        Seen::Again(self, pause)
    }
}
