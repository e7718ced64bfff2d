//! One try to deliver one letter. Nothing that it says of a failure shows where it went: addresses are secrets.

use super::address::{Judged, allow_host};
use super::body::Target;
use super::email::Mailer;
use super::facts::Letter;
use reqwest::header::RETRY_AFTER;
use reqwest::{Client, Response, redirect, retry};
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// One try ends within this.
const TRY_MAX: Duration = Duration::from_secs(10);
/// A connection is made within this.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// As much of an answer is looked at: they are a line of JSON.
const ANSWER_MAX: usize = 4_096;
/// Longer than this no channel makes us wait.
const PAUSE_MAX: Duration = Duration::from_secs(3_600);

/// Why a letter was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It will never be taken as it is.
    Refused(String),
    /// It may be taken later; not before this, when the channel said so.
    Later(String, Option<Duration>),
}

/// The way to one channel.
#[derive(Clone)]
pub enum Sender {
    /// By POST.
    Http(Arc<Post>),
    /// By mail.
    Mail(Arc<Mailer>),
}

/// What a POST needs.
pub struct Post {
    target: Target,
    client: Client,
}

impl Sender {
    /// The way to a target; connects nothing.
    ///
    /// # Errors
    ///
    /// When the target is on this machine or its network and `allow_private` is not set, when it is a metadata service, or
    /// when it cannot be a target at all; without any secret.
    pub fn new(target: Target, allow_private: bool) -> Result<Sender, String> {
        let Some(address) = target.address() else {
            let Target::Email(mail) = target else {
                return Err("it has no address".into());
            };
            return Ok(Sender::Mail(Arc::new(Mailer::new(mail, allow_private)?)));
        };
        check(&address, allow_private)?;
        let client = Client::builder()
            .user_agent(concat!("backstop/", env!("CARGO_PKG_VERSION")))
            // A redirect is another target than the one that was judged (SE-11).
            .redirect(redirect::Policy::none())
            .referer(false)
            .retry(retry::never())
            .no_proxy()
            .dns_resolver(Arc::new(Judged { allow_private }))
            .http1_only()
            .timeout(TRY_MAX)
            .connect_timeout(CONNECT_MAX)
            .build()
            .map_err(|error| format!("no HTTP client: {}", error.without_url()))?;
        Ok(Sender::Http(Arc::new(Post { target, client })))
    }

    /// Tries once.
    ///
    /// # Errors
    ///
    /// [`Failure`], without any secret.
    pub async fn send(&self, letter: &Letter) -> Result<(), Failure> {
        match self {
            Sender::Http(post) => post.send(letter).await,
            Sender::Mail(mailer) => mailer.send(letter).await,
        }
    }
}

impl Post {
    async fn send(&self, letter: &Letter) -> Result<(), Failure> {
        let Some(request) = self.target.request(letter) else {
            return Err(Failure::Refused("it has no address".into()));
        };
        let mut asked = self
            .client
            .post(request.url.expose_secret())
            .header("idempotency-key", request.id)
            .json(&request.body);
        if let Some(token) = &request.bearer {
            asked = asked.bearer_auth(token.expose_secret());
        }
        let answer = asked
            .send()
            .await
            .map_err(|error| Failure::Later(words(error), None))?;
        let status = answer.status().as_u16();
        let pause = answer
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        if (200..300).contains(&status) {
            return Ok(());
        }
        // Of the answer only the pause is read: its words may quote what we sent, tokens included.
        let pause = pause
            .map(Duration::from_secs)
            .or(pause_in(&beginning(answer).await));
        let pause = pause.map(|pause| pause.min(PAUSE_MAX));
        let why = format!("the channel answered {status}");
        match status {
            // The text itself is not liked; everything else may be mended over there.
            400 | 413 | 422 => Err(Failure::Refused(why)),
            300..400 => Err(Failure::Later(
                format!("{why}, a redirect, which is not followed"),
                pause,
            )),
            _ => Err(Failure::Later(why, pause)),
        }
    }
}

/// Whether messages may go there, as far as the address as written tells.
fn check(address: &SecretString, allow_private: bool) -> Result<(), String> {
    let url = Url::parse(address.expose_secret()).map_err(|error| format!("its address is none: {error}"))?;
    let host = url.host().ok_or("its address names no host")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("its address carries a user or a password; write a token into token_file".into());
    }
    allow_host(&host, allow_private)?;
    let is_here = match host {
        url::Host::Domain(name) => name == "localhost",
        url::Host::Ipv4(address) => address.is_loopback(),
        url::Host::Ipv6(address) => address.is_loopback(),
    };
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_here => Ok(()),
        "http" => Err("its address is http, which is not encrypted; write https".into()),
        _ => Err("its address is not https".into()),
    }
}

/// The beginning of an answer; empty when it cannot be read.
async fn beginning(mut answer: Response) -> Vec<u8> {
    let mut read = Vec::new();
    while read.len() < ANSWER_MAX {
        match answer.chunk().await {
            Ok(Some(chunk)) => read.extend_from_slice(&chunk),
            _ => break,
        }
    }
    read
}

/// How long an answer asks to wait: `parameters.retry_after` in seconds at Telegram, `retry_after` in seconds, with a
/// fraction, at Discord.
///
/// Source: <https://core.telegram.org/bots/api#responseparameters> and
/// <https://discord.com/developers/docs/topics/rate-limits>.
fn pause_in(answer: &[u8]) -> Option<Duration> {
    let answer: serde_json::Value = serde_json::from_slice(answer).ok()?;
    let said = answer
        .pointer("/parameters/retry_after")
        .or(answer.get("retry_after"))?;
    let seconds = said.as_u64().or_else(|| {
        said.to_string()
            .split('.')
            .next()?
            .parse()
            .ok()
            .map(|whole: u64| whole + 1)
    })?;
    Some(Duration::from_secs(seconds))
}

/// Why nothing was answered, without the address.
fn words(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    // The last source names the cause: refused, timed out, or where the address leads.
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn se_12_an_answer_tells_how_long_to_wait() {
        for (answer, expected) in [
            (r#"{"ok":false,"parameters":{"retry_after":35}}"#, Some(35)),
            (r#"{"message":"x","retry_after":0.65,"global":false}"#, Some(1)),
            (r#"{"retry_after":3}"#, Some(3)),
            (r#"{"retry_after":"soon"}"#, None),
            ("ok", None),
            ("", None),
        ] {
            assert_eq!(
                pause_in(answer.as_bytes()),
                expected.map(Duration::from_secs),
                "{answer}"
            );
        }
    }

    #[test]
    fn se_11_se_01_a_target_is_judged_before_it_is_used_and_its_address_is_not_shown() {
        for (url, allow_private, expected) in [
            ("https://hooks.example.com/CANARY", false, ""),
            ("https://10.0.0.1/CANARY", true, ""),
            ("http://127.0.0.1:1/CANARY", true, ""),
            ("https://10.0.0.1/CANARY", false, "on this machine or its network"),
            (
                "http://127.0.0.1:1/CANARY",
                false,
                "on this machine or its network",
            ),
            (
                "http://[::ffff:127.0.0.1]/CANARY",
                false,
                "on this machine or its network",
            ),
            ("https://localhost/CANARY", false, "this machine"),
            (
                "https://169.254.169.254/CANARY",
                true,
                "a cloud keeps its secrets",
            ),
            ("http://10.0.0.1/CANARY", true, "not encrypted"),
            ("ftp://example.com/CANARY", true, "not https"),
            ("https://user:CANARY@example.com/", true, "a user or a password"),
            ("CANARY", true, "its address is none"),
        ] {
            let url = SecretString::from(url);
            let made = Sender::new(Target::Slack { url: url.clone() }, allow_private);
            let said = made.err().unwrap_or_default();
            assert!(
                said.contains(expected) && said.is_empty() == expected.is_empty(),
                "{}: {said}",
                url.expose_secret()
            );
            assert!(!said.contains("CANARY"), "{said}");
        }
    }
}
