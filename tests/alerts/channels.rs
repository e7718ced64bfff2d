//! What arrives at each kind of channel.

use super::letter;
use super::receiver::{Asked, Receiver};
use backstop::alert::{Failure, Letter, Phase, Sender, Target};
use backstop::guard::Severity;
use secrecy::SecretString;
use serde_json::{Value, json};
use std::time::Duration;

fn secret(text: impl Into<String>) -> SecretString {
    SecretString::from(text.into())
}

async fn sent(target: Target, letter: &Letter) -> Result<(), Failure> {
    Sender::new(target, true).unwrap().send(letter).await
}

/// Sends one letter to a receiver that takes it; gives what arrived.
async fn arrived(answer: (u16, &'static str), target: impl Fn(String) -> Target, letter: &Letter) -> Asked {
    let receiver = Receiver::kind(answer.0, answer.1);
    sent(target(receiver.url.clone()), letter).await.unwrap();
    let asked = receiver.asked();
    assert_eq!(asked.len(), 1, "{asked:#?}");
    assert_eq!(asked[0].header("content-type"), "application/json");
    asked[0].clone()
}

fn begins() -> Letter {
    letter(Severity::Critical, Phase::Begins)
}

const TITLE: &str = "CRITICAL main: margin ratio 70.1%, limit 70% <!channel> & so on";

#[tokio::test]
async fn telegram_takes_a_message_of_a_bot() {
    let target = |server| Target::Telegram {
        server,
        token: secret("123:TOKEN"),
        chat_id: "-100".into(),
    };
    let asked = arrived((200, r#"{"ok":true,"result":{}}"#), target, &begins()).await;
    assert_eq!(asked.line, "POST /bot123:TOKEN/sendMessage");
    assert_eq!(asked.body["chat_id"], "-100");
    assert_eq!(asked.body["disable_notification"], false);
    let text = asked.body["text"].as_str().unwrap();
    assert!(text.starts_with(TITLE), "{text}");
    for line in [
        "Why: maintenance 5886 / balance 8397.1 = 70.1%",
        "Done: SELL 0.41 BTCUSDT at market, reduce-only",
        "Next: everything is closed at 90%",
        "If you do nothing: Backstop cuts until 45% is reached",
        "Instead: add margin",
        "backstop alerts ack --account main",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[tokio::test]
async fn slack_takes_a_text_in_which_nobody_is_called_by_accident() {
    let target = |url: String| Target::Slack {
        url: secret(format!("{url}/services/T0/B0/X")),
    };
    let asked = arrived((200, "ok"), target, &begins()).await;
    assert_eq!(asked.line, "POST /services/T0/B0/X");
    let text = asked.body["text"].as_str().unwrap();
    assert!(text.contains("&lt;!channel&gt; &amp; so on"), "{text}");
    assert_eq!(asked.body.as_object().unwrap().len(), 1);
}

#[tokio::test]
async fn discord_takes_at_most_2000_characters_and_mentions_nobody() {
    let target = |url: String| Target::Discord {
        url: secret(format!("{url}/api/webhooks/1/X")),
    };
    let mut long = begins();
    long.alert.why = "é".repeat(5_000);
    let asked = arrived((204, ""), target, &long).await;
    assert_eq!(asked.line, "POST /api/webhooks/1/X");
    assert_eq!(asked.body["allowed_mentions"], json!({ "parse": [] }));
    assert_eq!(asked.body["content"].as_str().unwrap().chars().count(), 2_000);
}

#[tokio::test]
async fn ntfy_takes_json_at_its_root_with_a_priority_that_rings() {
    for (severity, phase, priority) in [
        (Severity::Critical, Phase::Begins, 5),
        (Severity::Warning, Phase::Happened, 4),
        (Severity::Info, Phase::Over, 3),
    ] {
        let target = |server| Target::Ntfy {
            server,
            topic: "desk".into(),
            token: Some(secret("tk_1")),
        };
        let asked = arrived((200, "{}"), target, &letter(severity, phase)).await;
        assert_eq!(
            (asked.line.as_str(), asked.header("authorization")),
            ("POST /", "bearer tk_1")
        );
        assert_eq!(
            (&asked.body["topic"], &asked.body["priority"]),
            (&json!("desk"), &json!(priority))
        );
        assert!(asked.body["title"].as_str().unwrap().contains("margin ratio"));
        assert!(asked.body["message"].as_str().unwrap().len() <= 4_096);
        assert!(asked.body["tags"].is_array());
    }
}

#[tokio::test]
async fn pagerduty_takes_a_trigger_and_a_resolve_of_one_key() {
    let target = |server| Target::Pagerduty {
        server,
        routing_key: secret("R1"),
    };
    let taken = (202, r#"{"status":"success","dedup_key":"x"}"#);
    let asked = arrived(taken, target, &begins()).await;
    assert_eq!(asked.line, "POST /v2/enqueue");
    let Value::Object(body) = &asked.body else {
        panic!()
    };
    assert_eq!(
        (&body["routing_key"], &body["event_action"]),
        (&json!("R1"), &json!("trigger"))
    );
    let payload = &body["payload"];
    assert_eq!(
        (
            &payload["summary"],
            &payload["source"],
            &payload["severity"],
            &payload["timestamp"]
        ),
        (
            &json!(TITLE),
            &json!("backstop/main"),
            &json!("critical"),
            &json!("2026-11-18T11:06:40.000Z")
        )
    );
    assert_eq!(payload["custom_details"]["value"], "0.701");
    let over = arrived(taken, target, &letter(Severity::Info, Phase::Over)).await;
    assert_eq!(
        over.body,
        json!({ "routing_key": "R1", "event_action": "resolve", "dedup_key": body["dedup_key"] })
    );
}

#[tokio::test]
async fn an_alertmanager_takes_alerts_whose_labels_stay_and_ends_them() {
    let target = |server| Target::Alertmanager {
        server,
        token: Some(secret("T")),
    };
    for (phase, live) in [(Phase::Begins, vec!["critical"]), (Phase::Over, vec![])] {
        let asked = arrived((200, ""), target, &letter(Severity::Critical, phase)).await;
        assert_eq!(
            (asked.line.as_str(), asked.header("authorization")),
            ("POST /api/v2/alerts", "bearer t")
        );
        let alerts = asked.body.as_array().unwrap();
        let at = "2026-11-18T11:06:40.000Z";
        let on: Vec<&str> = alerts
            .iter()
            .filter(|alert| alert["endsAt"].as_str().unwrap() > at)
            .map(|alert| alert["labels"]["severity"].as_str().unwrap())
            .collect();
        assert_eq!(on, live);
        for alert in alerts {
            assert!(alert["startsAt"].as_str().unwrap() < alert["endsAt"].as_str().unwrap());
            assert_eq!(alert["labels"]["alertname"], "Backstop");
            assert_eq!(alert["labels"]["scope"], "cross USDT");
            assert!(
                alert["annotations"]["description"]
                    .as_str()
                    .unwrap()
                    .contains("Why: ")
            );
        }
    }
}

#[tokio::test]
async fn a_webhook_takes_every_field_and_an_id_that_stays_the_same() {
    let target = |url: String| Target::Webhook {
        url: secret(format!("{url}/hook?x=1")),
        token: Some(secret("W")),
    };
    let first = arrived((200, ""), target, &begins()).await;
    let second = arrived((200, ""), target, &begins()).await;
    assert_eq!(
        (first.line.as_str(), first.header("authorization")),
        ("POST /hook?x=1", "bearer w")
    );
    assert_eq!(first.header("idempotency-key"), second.header("idempotency-key"));
    assert_eq!(first.body["id"], first.header("idempotency-key"));
    for (field, expected) in [
        ("version", json!(1)),
        ("phase", json!("begins")),
        ("account", json!("main")),
        ("policy", json!("margin")),
        ("severity", json!("critical")),
        ("rung", json!("reduce")),
        ("why", json!("maintenance 5886 / balance 8397.1 = 70.1%")),
        ("value", json!("0.701")),
        ("threshold", json!("0.7")),
        ("done", json!(["SELL 0.41 BTCUSDT at market, reduce-only"])),
        ("if_nothing", json!("Backstop cuts until 45% is reached")),
        ("instead", json!("add margin")),
        ("wants_ack", json!(true)),
    ] {
        assert_eq!(first.body[field], expected, "{field}");
    }
}

#[tokio::test]
async fn se_12_an_answer_decides_whether_and_when_it_is_tried_again() {
    let none = String::new;
    for (status, headers, body, expected) in [
        (500, none(), "", Some(None)),
        (503, "retry-after: 7\r\n".into(), "", Some(Some(7))),
        (
            429,
            none(),
            r#"{"ok":false,"error_code":429,"parameters":{"retry_after":9}}"#,
            Some(Some(9)),
        ),
        (429, "retry-after: 99999999\r\n".into(), "", Some(Some(3_600))),
        (401, none(), "CANARY", Some(None)),
        (404, none(), "", Some(None)),
        (400, none(), "CANARY", None),
    ] {
        let receiver = Receiver::start(move |_| Some((status, headers.clone(), body.to_owned())));
        let url = secret(format!("{}/CANARY", receiver.url));
        let failure = sent(Target::Webhook { url, token: None }, &begins())
            .await
            .unwrap_err();
        assert!(!format!("{failure:?}").contains("CANARY"), "{failure:?}");
        let pause = match failure {
            Failure::Refused(_) => None,
            Failure::Later(_, pause) => Some(pause),
        };
        assert_eq!(
            pause,
            expected.map(|pause| pause.map(Duration::from_secs)),
            "{status}"
        );
    }
}

#[tokio::test]
async fn se_11_a_redirect_is_not_followed() {
    let other = Receiver::kind(200, "");
    let location = format!("location: {}/elsewhere\r\n", other.url);
    let receiver = Receiver::start(move |_| Some((307, location.clone(), String::new())));
    let url = secret(receiver.url.clone());
    let failure = sent(Target::Webhook { url, token: None }, &begins())
        .await
        .unwrap_err();
    assert!(
        matches!(&failure, Failure::Later(why, _) if why.contains("redirect")),
        "{failure:?}"
    );
    assert_eq!((receiver.asked().len(), other.asked().len()), (1, 0));
}

#[tokio::test]
async fn se_11_se_01_a_name_that_leads_to_this_machine_is_found_at_the_connection() {
    // The name is on no list; where it leads is known only when it is looked up for the connection.
    let name = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let url = secret(format!("https://{}/CANARY", name.trim()));
    let sender = Sender::new(Target::Webhook { url, token: None }, false).unwrap();
    let failure = sender.send(&begins()).await.unwrap_err();
    let said = format!("{failure:?}");
    assert!(
        said.contains("on this machine or its network") && !said.contains("CANARY"),
        "{said}"
    );
}

#[tokio::test]
async fn se_01_a_channel_that_cannot_be_reached_is_told_without_its_address() {
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let url = secret(format!("http://{free}/CANARY"));
    let failure = sent(Target::Slack { url }, &begins()).await.unwrap_err();
    assert!(
        matches!(&failure, Failure::Later(..)) && !format!("{failure:?}").contains("CANARY"),
        "{failure:?}"
    );
}
