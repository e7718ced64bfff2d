//! Where faults strike the exchange: its clock, its readings, its answers, its frames.

use super::account::Ledger;
use super::auth::{Params, Refusal};
use super::exchange::Exchange;
use super::faults::{Answer, Fault, Side, What, Wire};
use super::orders::Order;
use super::{Act, HttpRequest, HttpResponse, Outgoing, Target};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Readings lag by this much at most (FAILURES.md MO-23).
const LAG_MAX_MS: i64 = 5_000;
/// Frames that may be held back; more are let through.
const LATE_MAX: usize = 20_000;
/// Pings of one step.
const PINGS_MAX: u32 = 1_000;
/// The status of a request that is not answered.
pub(super) const NEVER: u16 = 0;

/// The account at a moment.
#[derive(Clone, Debug)]
pub(super) struct Past {
    at: i64,
    ledger: Ledger,
    orders: BTreeMap<i64, Order>,
}

impl Exchange {
    /// Adds a fault that begins now; without one, everything heals.
    ///
    /// # Errors
    ///
    /// In words, when there are too many.
    pub fn fault(&mut self, fault: Option<Fault>) -> Result<(), String> {
        let at = self.at();
        match fault {
            None => self.faults.clear(),
            Some(fault) => {
                if !self.faults.add(fault, at) {
                    return Err("too many faults; clear them first".into());
                }
            }
        }
        self.go_wrong();
        Ok(())
    }

    /// What the network does on one side.
    pub fn wire(&self, side: Side) -> Wire {
        self.faults.wire(self.at(), side)
    }

    /// Whether only the newest socket of a key is told anything.
    pub fn tells_newest_only(&self) -> bool {
        let only = self
            .faults
            .lasting(self.at(), |what, _| (*what == What::NewestOnly).then_some(()));
        only.is_some()
    }

    /// Whether a subscription is acknowledged.
    pub fn acknowledges(&mut self) -> bool {
        let at = self.at();
        self.faults.strikes(at, |what| *what == What::NoAcks).is_none()
    }

    /// How far the venue's clock is off, ms.
    pub(super) fn clock_error(&self) -> i64 {
        let error = self.faults.lasting(self.at(), |what, since| match what {
            What::Clock { offset_ms, drift_ppm } => Some(offset_ms + since * drift_ppm / 1_000_000),
            _ => None,
        });
        error.unwrap_or(0)
    }

    /// Whether nobody is in the book.
    pub(super) fn is_deserted(&self) -> bool {
        let empty = self
            .faults
            .lasting(self.at(), |what, _| (*what == What::EmptyBook).then_some(()));
        empty.is_some()
    }

    /// What happens once, and what happens at every step.
    pub(super) fn go_wrong(&mut self) {
        let at = self.at();
        for what in self.faults.happenings(at) {
            match what {
                What::ExpireKey { silent } => {
                    if let (false, Some((key, _))) = (silent, self.listen.clone()) {
                        self.push("listenKeyExpired", json!({ "listenKey": key }));
                    }
                    self.listen = None;
                }
                What::DeleteKey => self.listen = None,
                What::Say { text } => self.everybody(Act::Say, text),
                What::Utter { form } => self.everybody(Act::Utter(form), String::new()),
                What::Close { code, reason } => self.everybody(Act::Close(code), reason),
                _ => {}
            }
        }
        let pings = self.faults.lasting(at, |what, _| match what {
            What::Pings { per_second } => Some(per_second.div_ceil(10)),
            _ => None,
        });
        for _ in 0..pings.unwrap_or(0).min(PINGS_MAX) {
            self.everybody(Act::Ping, String::new());
        }
        self.remember();
    }

    fn everybody(&mut self, act: Act, text: String) {
        self.outgoing.push(Outgoing {
            target: Target::Everybody(act),
            text,
        });
    }

    /// Takes the frames that are due, in order. Faults of the streams strike here.
    pub fn drain(&mut self) -> Vec<Outgoing> {
        let (real, at) = (self.real(), self.at());
        let mut due = Vec::new();
        while let Some(first) = self.late.first_entry() {
            if first.key().0 > real {
                break;
            }
            due.push(first.remove());
        }
        for mut frame in std::mem::take(&mut self.outgoing) {
            let (name, is_private) = match &frame.target {
                Target::Private { event, .. } => (event.clone(), true),
                Target::Market { .. } => ("markPriceUpdate".to_owned(), false),
                Target::Everybody(_) => {
                    due.push(frame);
                    continue;
                }
            };
            let mut again = None;
            match self
                .faults
                .strikes(at, |what| what.is_for_event(&name, is_private))
            {
                Some(What::Drop { .. }) => continue,
                Some(What::Delay { within_ms, .. }) if self.late.len() < LATE_MAX => {
                    let delay = self.faults.delay(within_ms);
                    self.hold(frame, real + delay);
                    continue;
                }
                Some(What::Duplicate {
                    copies, within_ms, ..
                }) => again = Some((copies, within_ms)),
                Some(What::Garble { text, .. }) => frame.text = text,
                _ => {}
            }
            if let Some((copies, within_ms)) = again {
                for _ in 0..copies.min(16) {
                    let delay = self.faults.delay(within_ms);
                    if self.late.len() < LATE_MAX {
                        self.hold(frame.clone(), real + delay);
                    }
                }
            }
            due.push(frame);
        }
        due
    }

    fn hold(&mut self, frame: Outgoing, until: i64) {
        self.late_count += 1;
        self.late.insert((until, self.late_count), frame);
    }

    /// Answers a request by a fault, if one strikes it. The bot's requests are spared, so that it goes on trading.
    pub(super) fn struck(
        &mut self,
        line: &str,
        request: &HttpRequest,
        params: &Params,
    ) -> Option<HttpResponse> {
        if request.api_key == Some(self.bot_credentials().0) {
            return None;
        }
        let at = self.at();
        let what = self
            .faults
            .strikes(at, |what| what.is_for_request(line, &request.query))?;
        let (executed, answer) = match what {
            What::Answer(answer) => (answer.executed, said(answer)),
            What::Silence { executed, .. } => (executed, never()),
            _ => return None,
        };
        if executed {
            // What came of it is what the client is not told.
            let _ = self.answer(line, request, params);
        } else {
            self.note(line, request.api_key.as_deref());
        }
        Some(answer)
    }

    /// A reading, of the account as it was a while ago when readings lag.
    pub(super) fn read_as_of(&mut self, line: &str, params: &Params) -> Result<Value, Refusal> {
        let lag = self.faults.lasting(self.at(), |what, _| match what {
            What::ReadLag { ms } => Some((*ms).min(LAG_MAX_MS)),
            _ => None,
        });
        let seen = lag.and_then(|lag| {
            let then = self.at() - lag;
            let seen = self.past.iter().rev().find(|past| past.at <= then);
            seen.or(self.past.front()).cloned()
        });
        let Some(mut seen) = seen else {
            return self.read(line, params);
        };
        std::mem::swap(&mut self.ledger, &mut seen.ledger);
        std::mem::swap(&mut self.orders, &mut seen.orders);
        let answer = self.read(line, params);
        std::mem::swap(&mut self.ledger, &mut seen.ledger);
        std::mem::swap(&mut self.orders, &mut seen.orders);
        answer
    }

    fn remember(&mut self) {
        let lags = self.faults.lasting(self.at(), |what, _| {
            matches!(what, What::ReadLag { .. }).then_some(())
        });
        if lags.is_none() {
            return self.past.clear();
        }
        let at = self.at();
        self.past.push_back(Past {
            at,
            ledger: self.ledger.clone(),
            orders: self.orders.clone(),
        });
        while self
            .past
            .front()
            .is_some_and(|past| at - past.at > LAG_MAX_MS + 1_000)
        {
            self.past.pop_front();
        }
    }

    /// How many of so many orders a cancel-all really cancels.
    pub(super) fn cancels_done(&mut self, open: usize) -> usize {
        let at = self.at();
        match self
            .faults
            .strikes(at, |what| matches!(what, What::CancelSubset { .. }))
        {
            Some(What::CancelSubset { done_percent }) => open * done_percent.min(100) / 100,
            _ => open,
        }
    }

    /// Whether the venue is overloaded for this order.
    pub(super) fn is_overloaded(&mut self) -> bool {
        let at = self.at();
        self.faults.strikes(at, |what| *what == What::Overload).is_some()
    }

    /// What a fault does to an order before anything looks at it.
    pub(super) fn mistreat(&mut self, order: &mut Order) {
        let at = self.at();
        let ignored = order.reduce_only
            && self
                .faults
                .strikes(at, |what| *what == What::IgnoreReduceOnly)
                .is_some();
        if ignored {
            (order.reduce_only, order.flag_ignored) = (false, true);
        }
    }
}

fn said(answer: Answer) -> HttpResponse {
    let body = answer.body.map_or_else(
        || json!({ "code": answer.code, "msg": answer.message }).to_string(),
        |body| body.repeat(usize::try_from(answer.repeat).unwrap_or(1)),
    );
    HttpResponse {
        status: answer.status,
        headers: answer.headers.into_iter().collect(),
        body,
    }
}

fn never() -> HttpResponse {
    HttpResponse {
        status: NEVER,
        headers: Vec::new(),
        body: String::new(),
    }
}
