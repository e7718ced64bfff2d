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
use crate::model::{Span, Timestamp};

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
        MutationKind::Cancel if report(body, None).is_some() => Outcome::Accepted(None),
        MutationKind::Cancel | MutationKind::CancelAll => {
            doubt(status, None, "the answer does not describe a cancellation")
        }
    }
}

/// How far an order got; `None` when the body is not an order, or another one than `expected`.
fn report(body: &str, expected: Option<&str>) -> Option<Report> {
    let placed: wire::Placed<'_> = wire::object(body).ok()?;
    let named = placed.client_order_id.as_ref().map(|id| id.as_str());
    if expected.is_some() && named != expected {
        return None;
    }
    placed.order_id.read::<i64>("orderId").ok()?;
    Some(Report {
        executed: placed.executed_qty.read("executedQty").ok()?,
        terminal: parse::order_status(placed.status.as_str()).is_terminal(),
        at: Timestamp::from_ms(placed.update_time.read("updateTime").ok()?),
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
mod tests {
    use super::*;
    use crate::venue::binance::fixtures::{cancel, reduce};

    const NOW: Timestamp = Timestamp::from_ms(1_795_000_000_000);

    fn shown(outcome: Outcome) -> String {
        match outcome {
            Outcome::Accepted(None) => "accepted".into(),
            Outcome::Accepted(Some(report)) => format!("accepted {} {}", report.executed, report.terminal),
            Outcome::Rejected(rejection) => match rejection.kind {
                RejectionKind::Retry(span) => format!("retry {span}"),
                kind => format!("{kind:?}").to_lowercase(),
            },
            Outcome::Unknown(_) => "unknown".into(),
            Outcome::Done => "done".into(),
            Outcome::Suppressed => "suppressed".into(),
        }
    }

    fn with_code(code: &str) -> String {
        format!(r#"{{"code":{code},"msg":"words"}}"#)
    }

    #[test]
    fn each_code_of_a_refusal_says_what_to_do_next() {
        let table: &[(&[i64], &str)] = &[
            (&[-2018, -2019, -2022, -2024, -2025, -4045, -4118], "conflict"),
            (&[-1106, -4060, -4061, -4062], "mode"),
            (&[-1111, -4003, -4004, -4005, -4023, -4164], "size"),
            (&[-2020, -4013, -4014, -4016, -4024, -4131, -5041], "band"),
            (&[-1001, -1008], "retry 200ms"),
            (&[-1003], "retry 1m"),
            (&[-1015], "retry 10s"),
            (&[-1021, -5028], "retry 0s"),
            (&[-4117], "retry 1s"),
            (&[-1016, -1109, 239_999], "retry 5s"),
            (&[-1000, -1006, -1007, -4116], "unknown"),
            (&[-2014, -2015, -2017], "powerless"),
            (&[-1121, -2023, -4088, -4109, -4140, -4141, -4192], "stuck"),
            (
                &[
                    -1022, -1100, -1102, -1130, -2010, -2021, -2026, -4015, -4120, -4400, -4401, -4411,
                    -4531, -9999, -2011, -2013,
                ],
                "structural",
            ),
        ];
        for (codes, expected) in table {
            for code in *codes {
                // Also as a string, and also with HTTP 200: a refusal is one by its code.
                for (status, body) in [
                    (400, with_code(&code.to_string())),
                    (400, with_code(&format!("\"{code}\""))),
                    (200, with_code(&code.to_string())),
                ] {
                    assert_eq!(
                        &shown(classify(&reduce(), status, &body)),
                        expected,
                        "{status} {body}"
                    );
                }
            }
        }
    }

    #[test]
    fn or_20_an_order_that_cannot_be_cancelled_because_it_is_over_is_done() {
        for store in [crate::model::Store::Regular, crate::model::Store::Conditional] {
            for (code, expected) in [
                ("-2011", "done"),
                ("-2013", "done"),
                ("-4117", "retry 1s"),
                ("-4116", "structural"),
            ] {
                let got = classify(&cancel(store), 400, &with_code(code));
                assert_eq!(shown(got), expected, "{store:?} {code}");
            }
        }
    }

    #[test]
    fn or_01_or_02_only_proof_is_a_refusal() {
        let unknown_error =
            r#"{"code":-1000,"msg":"Unknown error, please check your request or try again later."}"#;
        for (status, body, expected) in [
            (503, unknown_error, "unknown"),
            (
                503,
                "Unknown error, please check your request or try again later.",
                "unknown",
            ),
            (503, "Service Unavailable.", "retry 200ms"),
            (503, r#"{"code":0,"msg":"Service Unavailable."}"#, "retry 200ms"),
            (503, "<html>503 Service Temporarily Unavailable</html>", "unknown"),
            (
                503,
                r#"{"code":-1008,"msg":"Server is currently overloaded"}"#,
                "retry 200ms",
            ),
            (
                503,
                r#"{"code":-1001,"msg":"Internal error; unable to process your request."}"#,
                "retry 200ms",
            ),
            (503, r#"{"code":-1016,"msg":"maintenance"}"#, "retry 5s"),
            (500, r#"{"code":-2022,"msg":"odd"}"#, "unknown"),
            (500, "Request occur unknown error.", "unknown"),
            (502, "", "unknown"),
            (504, r#"{"code":-1007,"msg":"Timeout"}"#, "unknown"),
            (408, "", "unknown"),
            (408, r#"{"code":-2022,"msg":"x"}"#, "unknown"),
            (401, "", "powerless"),
            (401, r#"{"code":-2015,"msg":"Invalid API-key"}"#, "powerless"),
            (403, "<html>", "retry 30s"),
            (418, "", "retry 2m"),
            (429, "", "retry 1m"),
            (429, r#"{"code":-1015,"msg":"Too many new orders"}"#, "retry 10s"),
            (301, "", "unknown"),
            (302, r#"{"code":-2022,"msg":"x"}"#, "unknown"),
            (404, "<html>", "unknown"),
            (400, "", "unknown"),
            (400, "{}", "unknown"),
            (400, r#"{"code":200,"msg":"success"}"#, "unknown"),
            (200, "", "unknown"),
            (200, "null", "unknown"),
            (200, "[]", "unknown"),
            (200, "<html>", "unknown"),
            (200, r#"{"code":200,"msg":"success"}"#, "unknown"),
            (204, "", "unknown"),
            (0, "", "unknown"),
            (100, "", "unknown"),
        ] {
            assert_eq!(
                shown(classify(&reduce(), status, body)),
                expected,
                "{status} {body}"
            );
        }
    }

    fn order(id: &str, status: &str, executed: &str) -> String {
        format!(
            r#"{{"orderId":9,"clientOrderId":"{id}","symbol":"BTCUSDT","status":"{status}","executedQty":"{executed}","updateTime":1795000000101}}"#
        )
    }

    #[test]
    fn an_order_is_accepted_by_an_answer_that_describes_it() {
        for (body, expected) in [
            (order("bs-7f3a-001", "FILLED", "0.250"), "accepted 0.25 true"),
            (order("bs-7f3a-001", "NEW", "0"), "accepted 0 false"),
            (order("bs-7f3a-001", "EXPIRED", "0.1"), "accepted 0.1 true"),
            (
                order("bs-7f3a-001", "NAME_OF_THE_FUTURE", "0.1"),
                "accepted 0.1 false",
            ),
            (order("bs-7f3a-002", "FILLED", "0.250"), "unknown"),
            (order("bs-7f3a-001", "FILLED", ""), "unknown"),
            (order("bs-7f3a-001", "FILLED", "1e-400"), "unknown"),
        ] {
            assert_eq!(shown(classify(&reduce(), 200, &body)), expected, "{body}");
        }
    }

    #[test]
    fn or_06_an_order_of_which_not_one_byte_was_written_was_not_sent() {
        assert_eq!(shown(no_answer(true, "timeout")), "unknown");
        assert_eq!(shown(no_answer(false, "connection refused")), "retry 200ms");
    }

    #[test]
    fn or_03_or_04_a_query_proves_presence_or_absence_or_nothing() {
        for (status, body, expected) in [
            (
                200,
                order("bs-7f3a-001", "FILLED", "0.25"),
                Some("accepted 0.25 true"),
            ),
            (200, order("bs-7f3a-001", "NEW", "0"), Some("accepted 0 false")),
            (400, with_code("-2013"), Some("absent")),
            (200, with_code("-2013"), Some("absent")),
            (503, with_code("-2013"), None),
            (400, with_code("-1021"), None),
            (200, "null".into(), None),
            (200, "[]".into(), None),
            (0, "timeout".into(), None),
        ] {
            let got = queried(status, &body).map(shown);
            assert_eq!(got.as_deref(), expected, "{status} {body}");
        }
    }

    #[test]
    fn deadlines_are_heeded_within_reason() {
        let banned =
            |ms: i64| with_code("-1003").replace("words", &format!("IP banned until {ms}. Use websocket"));
        let ms = NOW.ms();
        for (status, header, body, expected_ms) in [
            (200, Some("5"), String::new(), None),
            (503, Some("5"), String::new(), None),
            (429, Some("5"), String::new(), Some(5_000)),
            (429, Some("0"), String::new(), Some(1_000)),
            (
                429,
                Some("Wed, 25 Nov 2026 07:28:00 GMT"),
                String::new(),
                Some(60_000),
            ),
            (429, None, String::new(), Some(60_000)),
            (429, None, with_code("-1015"), Some(10_000)),
            (418, None, String::new(), Some(120_000)),
            (418, Some("7"), banned(ms + 90_000), Some(90_000)),
            (418, Some("700"), banned(ms + 90_000), Some(700_000)),
            (400, None, banned(ms + 90_000), Some(90_000)),
            (418, None, banned(ms - 5), Some(1_000)),
            (418, None, banned(9_999_999_999_999_999), Some(259_200_000)),
            (418, Some("4294967295"), String::new(), Some(259_200_000)),
            (418, None, "banned until soon".into(), Some(120_000)),
        ] {
            let got = retry_after(status, header, &body, NOW).map(|until| until.ms() - ms);
            assert_eq!(got, expected_ms, "{status} {header:?} {body}");
        }
    }

    #[test]
    fn the_venues_words_are_kept_short_and_printable() {
        let body = format!(r#"{{"code":-2022,"msg":"a\u0000\n{}"}}"#, "x".repeat(10_000));
        let Outcome::Rejected(rejection) = classify(&reduce(), 400, &body) else {
            panic!("a refusal");
        };
        assert_eq!(rejection.message.chars().count(), MESSAGE_CHARS_MAX);
        assert!(rejection.message.starts_with("ax"));
    }
}
