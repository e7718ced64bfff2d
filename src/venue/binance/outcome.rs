//! What the answer to a mutation proves, and what it leaves in doubt.
//!
//! A refusal needs proof: a code of the venue that says the request had no effect. Whatever is not proof is doubt,
//! and the order is then asked for by its client order id.
//!
//! Source: general info page ("HTTP Return Codes") and error codes page, read 2026-11-22.

use super::parse;
use super::request::{Mutation, MutationKind};
use super::wire;
use crate::event::{Doubt, Outcome, Rejection, RejectionKind, Report};
use crate::model::{ClientOrderId, Span, Timestamp};

/// The venue's advice for a throttled or failed, not executed, request; doubled by the caller on repetition.
const AGAIN: Span = Span::from_ms(200);
/// A conditional order that is being triggered is over, or an ordinary order, after about this long.
const TRIGGERING: Span = Span::from_secs(1);
/// Between attempts while the venue is under maintenance.
const MAINTENANCE: Span = Span::from_secs(5);
/// The shorter of the two order windows.
const ORDER_WINDOW: Span = Span::from_secs(10);
/// After a block by the venue's firewall, which names no deadline.
const FIREWALL: Span = Span::from_secs(30);
/// A full weight window, for a 429 without a deadline.
const WEIGHT_WINDOW: Span = Span::from_secs(60);
/// The shortest ban of an IP.
const BAN: Span = Span::from_secs(120);
/// The longest ban of an IP; deadlines beyond it are not believed.
const BAN_MAX: Span = Span::from_secs(3 * 24 * 3600);
/// The least wait that is made of a deadline, so that a wrong clock cannot make a hot loop.
const WAIT_MIN: Span = Span::from_secs(1);
/// How much of the venue's words is kept.
const MESSAGE_CHARS_MAX: usize = 200;

/// What an HTTP answer to a mutation proves.
///
/// `Accepted` carries a report for orders only. A refusal's code counts whatever the status is below 500, also with
/// 200; at 500 and above only the codes that say "not executed" do.
pub fn classify(mutation: &Mutation, status: u16, body: &str) -> Outcome {
    let verdict = verdict(body);
    match (status, verdict) {
        (401, verdict) => rejected(verdict, "key refused", RejectionKind::Powerless),
        (403, verdict) => rejected(verdict, "blocked by the firewall", RejectionKind::Retry(FIREWALL)),
        (418 | 429, verdict) => {
            let pause = pause(status, verdict.as_ref().map(|v| v.code));
            rejected(verdict, "too many requests", RejectionKind::Retry(pause))
        }
        (200..=299, None) => accepted(mutation, status, body),
        (200..=299, Some(verdict)) if verdict.code == 200 && !mutation.is_order() => Outcome::Accepted(None),
        (200..=299 | 400..=407 | 409..=499, Some(verdict)) => refused(mutation, status, verdict),
        (503, verdict) if is_unavailable(body, verdict.as_ref()) => {
            rejected(verdict, "service unavailable", RejectionKind::Retry(AGAIN))
        }
        (500..=599, Some(verdict)) if not_executed(verdict.code) => refused(mutation, status, verdict),
        (_, verdict) => doubt(status, verdict, "the answer proves nothing"),
    }
}

/// What is known when no answer came: nothing, unless it is sure that not one byte was written.
pub fn no_answer(bytes_may_have_been_written: bool, why: &str) -> Outcome {
    if bytes_may_have_been_written {
        Outcome::Unknown(Doubt {
            status: None,
            code: None,
            why: bounded(why),
        })
    } else {
        Outcome::Rejected(Rejection {
            code: 0,
            message: bounded(why),
            kind: RejectionKind::Retry(AGAIN),
        })
    }
}

/// What the answer to a query by client order id proves; `None`: nothing, ask again.
///
/// [`RejectionKind::Absent`] is one reading of "does not exist"; right after a time-out one is not yet proof,
/// because reads lag behind (OR-04).
pub fn queried(status: u16, body: &str) -> Option<Outcome> {
    match (status, verdict(body)) {
        (200, None) => report(body, None).map(|report| Outcome::Accepted(Some(report))),
        (200 | 400..=499, Some(verdict)) if verdict.code == -2013 => {
            Some(rejected(Some(verdict), "absent", RejectionKind::Absent))
        }
        _ => None,
    }
}

/// When the venue may be asked again after it said "too many"; `None` when it did not.
///
/// The latest of the header (whole seconds) and the body's `banned until <ms>`, else a pause by status; at least one
/// second and at most three days from `now`.
pub fn retry_after(
    status: u16,
    retry_after_header: Option<&str>,
    body: &str,
    now: Timestamp,
) -> Option<Timestamp> {
    let code = verdict(body).map(|verdict| verdict.code);
    if !matches!(status, 418 | 429) && code != Some(-1003) {
        return None;
    }
    let by_header = retry_after_header
        .and_then(|text| text.trim().parse::<u32>().ok())
        .map(|secs| now.after(Span::from_secs(secs)));
    let by_body = banned_until(body);
    let until = by_header
        .max(by_body)
        .unwrap_or_else(|| now.after(pause(status, code)));
    Some(until.clamp(now.after(WAIT_MIN), now.after(BAN_MAX)))
}

/// A code and words, from an error body or from a cancellation that succeeded.
struct Verdict {
    code: i64,
    message: String,
}

fn verdict(body: &str) -> Option<Verdict> {
    let parsed: wire::Verdict<'_> = wire::object(body).ok()?;
    Some(Verdict {
        code: parsed.code.read("code").ok()?,
        message: parsed.msg.map(|text| bounded(text.as_str())).unwrap_or_default(),
    })
}

fn accepted(mutation: &Mutation, status: u16, body: &str) -> Outcome {
    match mutation.kind() {
        MutationKind::Order(id) => match report(body, Some(id.as_str())) {
            Some(report) => Outcome::Accepted(Some(report)),
            None => doubt(status, None, "the answer does not describe the order"),
        },
        MutationKind::Stop(id) if is_stop(body, id.as_str()) => Outcome::Accepted(None),
        MutationKind::Stop(_) => doubt(status, None, "the answer does not describe the stop"),
        MutationKind::Cancel if report(body, None).is_some() => Outcome::Accepted(None),
        MutationKind::Cancel | MutationKind::CancelAll => {
            doubt(status, None, "the answer does not describe a cancellation")
        }
    }
}

/// Whether the answer is the stop of this name. Whether it stands is told by the store that lists it.
fn is_stop(body: &str, name: &str) -> bool {
    let placed: Option<wire::PlacedStop<'_>> = wire::object(body).ok();
    placed.is_some_and(|placed| {
        placed.client_algo_id.as_str() == name && placed.algo_id.read::<i64>("algoId").is_ok()
    })
}

/// How far an order got; `None` when the body is not an order, or another one than `expected`.
fn report(body: &str, expected: Option<&str>) -> Option<Report> {
    let placed: wire::Placed<'_> = wire::object(body).ok()?;
    let named: Option<ClientOrderId> = wire::label(placed.client_order_id, "clientOrderId").ok()?;
    if expected.is_some() && named.as_ref().map(ClientOrderId::as_str) != expected {
        return None;
    }
    placed.order_id.read::<i64>("orderId").ok()?;
    Some(Report {
        executed: placed.executed_qty.read("executedQty").ok()?,
        terminal: parse::order_status(placed.status.as_str()).is_terminal(),
        at: Timestamp::from_ms(placed.update_time.read("updateTime").ok()?),
        reduce_only: placed
            .reduce_only
            .and_then(|raw| raw.get().trim_matches('"').parse().ok()),
    })
}

/// What a code of the venue means for what to do next.
///
/// Source: error codes page, read 2026-11-22; reactions are ours (binance-usdm 6.7).
fn refused(mutation: &Mutation, status: u16, verdict: Verdict) -> Outcome {
    let is_order = mutation.is_order();
    let kind = match verdict.code {
        -2011 | -2013 if !is_order => return Outcome::Done,
        -4116 if is_order => {
            return doubt(
                status,
                Some(verdict),
                "the client order id is taken: an earlier attempt may live",
            );
        }
        -1000 | -1006 | -1007 => return doubt(status, Some(verdict), "execution status unknown"),
        -2018 | -2019 | -2022 | -2024 | -2025 | -4045 | -4118 => RejectionKind::Conflict,
        -1106 | -4060 | -4061 | -4062 => RejectionKind::Mode,
        -1111 | -4003 | -4004 | -4005 | -4023 | -4164 => RejectionKind::Size,
        -2020 | -4013 | -4014 | -4016 | -4024 | -4131 | -5041 => RejectionKind::Band,
        -1001 | -1008 => RejectionKind::Retry(AGAIN),
        -1003 | -1015 => RejectionKind::Retry(pause(status, Some(verdict.code))),
        -1021 | -5028 => RejectionKind::Retry(Span::ZERO),
        -4117 => RejectionKind::Retry(TRIGGERING),
        -1016 | -1109 | 239_999 => RejectionKind::Retry(MAINTENANCE),
        -2014 | -2015 | -2017 => RejectionKind::Powerless,
        -1121 | -2023 | -4088 | -4109 | -4140 | -4141 | -4192 => RejectionKind::Stuck,
        // Restricted to reducing: ours reduce, so the venue will take them once it sees them so.
        -4087 | -4105 | -4106 | -4107 | -4189 | -4400 | -4401 => RejectionKind::Stuck,
        code if code < 0 => RejectionKind::Structural,
        _ => return doubt(status, Some(verdict), "not a code of a refusal"),
    };
    rejected(Some(verdict), "", kind)
}

/// Whether a code proves that nothing was executed even when the venue calls the failure its own.
fn not_executed(code: i64) -> bool {
    matches!(code, -1001 | -1003 | -1008 | -1015 | -1016 | -1109 | 239_999)
}

/// Whether a 503 is the one that says "not executed"; the others may have been.
fn is_unavailable(body: &str, verdict: Option<&Verdict>) -> bool {
    const WORDS: &str = "Service Unavailable.";
    let said = verdict.map_or(body, |verdict| &verdict.message);
    said.trim().trim_matches('"') == WORDS
}

fn pause(status: u16, code: Option<i64>) -> Span {
    match (status, code) {
        (418, _) => BAN,
        (_, Some(-1015)) => ORDER_WINDOW,
        _ => WEIGHT_WINDOW,
    }
}

/// The deadline in `... banned until 1795000000000. ...`.
fn banned_until(body: &str) -> Option<Timestamp> {
    let (_, rest) = body.split_once("banned until ")?;
    let digits: String = rest.chars().take(16).take_while(char::is_ascii_digit).collect();
    digits.parse().ok().map(Timestamp::from_ms)
}

fn rejected(verdict: Option<Verdict>, otherwise: &str, kind: RejectionKind) -> Outcome {
    let (code, message) = verdict.map_or((0, otherwise.to_owned()), |v| (v.code, v.message));
    Outcome::Rejected(Rejection { code, message, kind })
}

fn doubt(status: u16, verdict: Option<Verdict>, why: &str) -> Outcome {
    let code = verdict.as_ref().map(|verdict| verdict.code);
    let why = match verdict {
        Some(verdict) if !verdict.message.is_empty() => format!("{why}: {}", verdict.message),
        _ => why.to_owned(),
    };
    Outcome::Unknown(Doubt {
        status: Some(status),
        code,
        why,
    })
}

/// Words from outside, short and without control characters.
fn bounded(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(MESSAGE_CHARS_MAX)
        .collect()
}

#[cfg(test)]
mod tests;
