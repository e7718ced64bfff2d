//! What each kind of channel is sent, in the shape that its documentation gives.
//!
//! Only Alertmanager's page was read again for this; the others are named for whoever checks, and were written from knowledge
//! of them on 2026-11-25.

use super::email::Mail;
use super::facts::{Letter, Phase, cut};
use crate::guard::Severity;
use crate::model::{Span, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

/// An Alertmanager forgets an alert that has no end after five minutes; ours are told once, and last until they are over,
/// or a day. A guard that died then does not keep an alert for ever.
const ALERT_LASTS: Span = Span::from_secs(24 * 3600);

/// Where a channel leads.
#[derive(Clone, Debug)]
pub enum Target {
    /// A chat of a Telegram bot.
    Telegram {
        /// `https://api.telegram.org`, or a Bot API server of one's own.
        server: String,
        /// The bot's token; part of the path, so the address is a secret as well.
        token: SecretString,
        /// The chat's number, or the name of a channel.
        chat_id: String,
    },
    /// An incoming webhook of Slack.
    Slack {
        /// The address, which is the secret.
        url: SecretString,
    },
    /// A webhook of Discord.
    Discord {
        /// The address, which is the secret.
        url: SecretString,
    },
    /// A topic of ntfy.
    Ntfy {
        /// `https://ntfy.sh`, or a server of one's own.
        server: String,
        /// The topic.
        topic: String,
        /// An access token.
        token: Option<SecretString>,
    },
    /// A service of PagerDuty.
    Pagerduty {
        /// `https://events.pagerduty.com`.
        server: String,
        /// The integration key of the service.
        routing_key: SecretString,
    },
    /// An Alertmanager.
    Alertmanager {
        /// Its address, to which `/api/v2/alerts` is added.
        server: String,
        /// A bearer token.
        token: Option<SecretString>,
    },
    /// Any receiver of JSON.
    Webhook {
        /// Its address, which may be a secret.
        url: SecretString,
        /// A bearer token.
        token: Option<SecretString>,
    },
    /// A mailbox.
    Email(Mail),
}

/// One request; a POST of JSON.
pub(super) struct Request {
    /// The whole address.
    pub url: SecretString,
    /// A bearer token.
    pub bearer: Option<SecretString>,
    /// The same for every try, for receivers that can tell a second arrival by it.
    pub id: String,
    /// The body.
    pub body: Value,
}

impl Target {
    /// The address without its secrets, for the check of where it leads; `None` for a mailbox.
    pub(super) fn address(&self) -> Option<SecretString> {
        match self {
            Target::Email(_) => None,
            Target::Slack { url } | Target::Discord { url } | Target::Webhook { url, .. } => {
                Some(url.clone())
            }
            Target::Telegram { server, .. }
            | Target::Ntfy { server, .. }
            | Target::Pagerduty { server, .. }
            | Target::Alertmanager { server, .. } => Some(SecretString::from(server.as_str())),
        }
    }

    /// The request for a letter; `None` for a mailbox.
    pub(super) fn request(&self, letter: &Letter) -> Option<Request> {
        let (url, bearer, body) = match self {
            Target::Telegram {
                server,
                token,
                chat_id,
            } => {
                let url = format!("{server}/bot{}/sendMessage", token.expose_secret());
                (SecretString::from(url), None, telegram(letter, chat_id))
            }
            Target::Slack { url } => (url.clone(), None, slack(letter)),
            Target::Discord { url } => (url.clone(), None, discord(letter)),
            Target::Ntfy { server, topic, token } => (
                SecretString::from(server.as_str()),
                token.clone(),
                ntfy(letter, topic),
            ),
            Target::Pagerduty { server, routing_key } => {
                let url = SecretString::from(format!("{server}/v2/enqueue"));
                (url, None, pagerduty(letter, routing_key))
            }
            Target::Alertmanager { server, token } => {
                let url = SecretString::from(format!("{server}/api/v2/alerts"));
                (url, token.clone(), alertmanager(letter))
            }
            Target::Webhook { url, token } => (url.clone(), token.clone(), webhook(letter)),
            Target::Email(_) => return None,
        };
        Some(Request {
            url,
            bearer,
            id: letter.id(),
            body,
        })
    }
}

/// Source: `sendMessage` of <https://core.telegram.org/bots/api#sendmessage>: 1 to 4096 characters.
fn telegram(letter: &Letter, chat_id: &str) -> Value {
    json!({
        "chat_id": chat_id,
        "text": letter.text(4_000),
        "disable_notification": is_quiet(letter),
        "link_preview_options": { "is_disabled": true },
    })
}

/// Source: <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>. `&`, `<` and `>`
/// are its markup, and are escaped as <https://docs.slack.dev/messaging/formatting-message-text> says, so that no text of
/// ours can call a whole channel.
fn slack(letter: &Letter) -> Value {
    let text = letter.text(3_500);
    let text = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    json!({ "text": text })
}

/// Source: "Execute Webhook" of <https://discord.com/developers/docs/resources/webhook#execute-webhook>: at
/// most 2000 characters; an empty `parse` lets nobody be mentioned.
fn discord(letter: &Letter) -> Value {
    json!({
        "content": letter.text(2_000),
        "allowed_mentions": { "parse": [] },
    })
}

/// Source: "Publish as JSON" of <https://docs.ntfy.sh/publish/#publish-as-json>: posted to the server's
/// root; priorities 1 to 5, 5 rings through; at most 4096 bytes.
fn ntfy(letter: &Letter, topic: &str) -> Value {
    let (priority, tag) = match (letter.alert.phase, letter.alert.severity) {
        (Phase::Over, _) => (3, "white_check_mark"),
        (_, Severity::Info) => (3, "information_source"),
        (_, Severity::Warning) => (4, "warning"),
        (_, Severity::Critical) => (5, "rotating_light"),
    };
    json!({
        "topic": topic,
        "title": cut(&letter.headline(), 250),
        "message": cut(&letter.rest(), 1_300),
        "priority": priority,
        "tags": [tag],
    })
}

/// Source: "Send an Alert Event" of <https://developer.pagerduty.com/docs/send-alert-event>: `summary` at
/// most 1024 characters, `dedup_key` at most 255; a `resolve` needs no payload.
fn pagerduty(letter: &Letter, routing_key: &SecretString) -> Value {
    let alert = &letter.alert;
    let key = routing_key.expose_secret();
    if alert.phase == Phase::Over {
        return json!({ "routing_key": key, "event_action": "resolve", "dedup_key": alert.topic.key() });
    }
    json!({
        "routing_key": key,
        "event_action": "trigger",
        "dedup_key": alert.topic.key(),
        "client": "Backstop",
        "payload": {
            "summary": cut(&letter.headline(), 1_024),
            "source": format!("backstop/{}", alert.topic.account),
            "severity": word(alert.severity),
            "timestamp": alert.at.to_string(),
            "component": alert.topic.account,
            "group": alert.topic.policy,
            "class": alert.rung.unwrap_or(&alert.topic.policy),
            "custom_details": details(letter),
        },
    })
}

/// Source: <https://prometheus.io/docs/alerting/latest/alerts_api/>, read 2026-11-25: an array of alerts; the labels are what
/// tells them apart, an alert whose `endsAt` has passed is resolved.
///
/// The severity is a label, because routes are made of it. So an alert that changes it is another alert, and the ones of
/// the other severities are ended with each message.
fn alertmanager(letter: &Letter) -> Value {
    let alert = &letter.alert;
    let all = [Severity::Info, Severity::Warning, Severity::Critical].map(|severity| {
        let is_on = alert.phase != Phase::Over && severity == alert.severity;
        let until = if is_on {
            alert.at.after(ALERT_LASTS)
        } else {
            alert.at
        };
        // What has an end has begun before it.
        let since = if is_on {
            alert.at
        } else {
            Timestamp::from_ms(alert.at.ms().saturating_sub(1))
        };
        json!({
            "labels": {
                "alertname": "Backstop",
                "account": alert.topic.account,
                "policy": alert.topic.policy,
                "scope": alert.topic.scope,
                "severity": word(severity),
            },
            "annotations": { "summary": letter.headline(), "description": letter.rest() },
            "startsAt": since.to_string(),
            "endsAt": until.to_string(),
        })
    });
    Value::from(all.to_vec())
}

/// Our own shape; fields are only ever added to it.
fn webhook(letter: &Letter) -> Value {
    let mut body = details(letter);
    if let Value::Object(fields) = &mut body {
        let phase = match letter.alert.phase {
            Phase::Begins => "begins",
            Phase::Happened => "happened",
            Phase::Over => "over",
        };
        let more = json!({
            "version": 1, "id": letter.id(), "key": letter.alert.topic.key(), "phase": phase,
            "text": letter.text(8_000),
        });
        if let Value::Object(more) = more {
            fields.extend(more);
        }
    }
    body
}

/// Everything that an alert says, field by field.
fn details(letter: &Letter) -> Value {
    let alert = &letter.alert;
    json!({
        "account": alert.topic.account, "policy": alert.topic.policy, "scope": alert.topic.scope,
        "at": alert.at.to_string(), "severity": word(alert.severity), "rung": alert.rung,
        "title": alert.title, "why": alert.why, "value": alert.value, "threshold": alert.threshold,
        "done": alert.done, "next": alert.next, "if_nothing": alert.otherwise, "instead": alert.instead,
        "also": alert.also, "repeats": letter.repeats, "wants_ack": letter.wants_ack, "missed": letter.missed,
    })
}

fn is_quiet(letter: &Letter) -> bool {
    letter.alert.severity == Severity::Info
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    }
}
