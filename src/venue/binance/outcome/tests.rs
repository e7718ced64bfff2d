//! What each answer proves, as tables.

use super::*;
use crate::model::{Intent, PositionSide, ProtectiveStop};
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

#[test]
fn c10_a_stop_is_taken_when_the_answer_is_that_stop_and_in_doubt_otherwise() {
    let stop = ProtectiveStop::example("BTCUSDT", PositionSide::Both, "2");
    let mutation = Mutation::from_intent(&Intent::PlaceStop(stop));
    for (status, body, expected) in [
        (
            200,
            r#"{"algoId":4000001234567890,"clientAlgoId":"bs-s1","algoStatus":"NEW"}"#,
            "accepted",
        ),
        (
            200,
            r#"{"algoId":4000001234567890,"clientAlgoId":"bs-s2","algoStatus":"NEW"}"#,
            "unknown",
        ),
        (200, r#"{"clientAlgoId":"bs-s1"}"#, "unknown"),
        (200, "{}", "unknown"),
        (503, "", "unknown"),
        (
            400,
            r#"{"code":-4116,"msg":"ClientOrderId is duplicated."}"#,
            "unknown",
        ),
        (
            400,
            r#"{"code":-4045,"msg":"Reach max stop order limit."}"#,
            "conflict",
        ),
        (
            400,
            r#"{"code":-2021,"msg":"Order would immediately trigger."}"#,
            "structural",
        ),
        (400, r#"{"code":-1121,"msg":"Invalid symbol."}"#, "stuck"),
    ] {
        assert_eq!(
            shown(classify(&mutation, status, body)),
            expected,
            "{status} {body}"
        );
    }
}

fn with_code(code: &str) -> String {
    format!(r#"{{"code":{code},"msg":"words"}}"#)
}

#[test]
fn or_01_or_03_or_08_or_11_or_19_or_21_or_22_or_27_or_28_li_04_e9_each_code_says_what_to_do_next() {
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
        // OR-27: restricted to reducing; ours is tried again.
        (&[-4087, -4105, -4106, -4107, -4189, -4400, -4401], "stuck"),
        (
            &[
                -1022, -1100, -1102, -1130, -2010, -2021, -2026, -4015, -4120, -4411, -4531, -9999, -2011,
                -2013,
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
fn or_19_or_20_an_order_that_cannot_be_cancelled_because_it_is_over_is_done() {
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
fn or_01_or_02_li_09_li_13_li_14_only_proof_is_a_refusal() {
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
fn or_03_an_order_is_accepted_by_an_answer_that_describes_it() {
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
fn li_01_deadlines_are_heeded_within_reason() {
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

#[test]
fn or_13_the_answer_to_an_order_tells_its_reduce_only_flag_and_is_taken_whatever_stands_there() {
    let body = crate::venue::binance::fixtures::fixture("answer-order-result");
    for (said, expected) in [
        (r#""reduceOnly":true"#, Some(true)),
        (r#""reduceOnly":false"#, Some(false)),
        (r#""reduceOnly":"false""#, Some(false)),
        (r#""reduceOnly":null"#, None),
        (r#""reduceOnly":7"#, None),
        (r#""other":true"#, None),
    ] {
        let text = body.replace(r#""reduceOnly":true"#, said);
        assert!(text.contains(said), "{text}");
        for outcome in [Some(classify(&reduce(), 200, &text)), queried(200, &text)] {
            assert!(
                matches!(&outcome, Some(Outcome::Accepted(Some(report))) if report.reduce_only == expected),
                "{said}: {outcome:?}"
            );
        }
    }
}
