//! `backstop alerts`: tries the channels, and acknowledges what they told.

use super::control::{Desk, Where};
use super::{accounts, fail};
use crate::alert::{Alert, Channel, Failure, Letter, Mail, Rules, Sender, Target, Tls};
use crate::clock::Clock;
use crate::config::{
    AlertConfig, ChannelConfig, ConfigError, MailTls, MinSeverity, Overrides, Refusal, SecretSource,
};
use crate::guard::Severity;
use crate::serve::Role;
use anstream::println;
use secrecy::SecretString;
use serde_json::json;
use std::path::PathBuf;

/// Tries the channels of alerts, and acknowledges what they told.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  backstop alerts test                 sends a test message on every channel\n  backstop alerts test ops             on [alerts.ops] alone\n  backstop alerts ack                  somebody is awake: critical alerts are no longer repeated\n  backstop alerts ack --account main   of one account, when several are guarded"
)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Sends a test message, once, and says what came of it; needs no running guard.
    Test {
        /// The channel; else every one.
        name: Option<String>,
        /// The configuration file.
        #[arg(long, env = "BACKSTOP_CONFIG", value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Says that somebody has seen the critical alerts: they are not repeated, and go to no further channel.
    Ack {
        /// Which account, when several are guarded.
        #[arg(long, value_name = "LABEL")]
        account: Option<String>,
        #[command(flatten)]
        place: Where,
    },
}

/// Runs the verb; gives the exit code.
pub async fn run(args: Args, clock: Clock) -> i32 {
    match args.what {
        What::Test { name, config } => test(name.as_deref(), config, &clock).await,
        What::Ack { account, place } => ack(account.as_deref(), &place).await,
    }
}

async fn test(name: Option<&str>, config: Option<PathBuf>, clock: &Clock) -> i32 {
    let config = match accounts::load(config.as_deref(), &Overrides::default()) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let chosen: Vec<&AlertConfig> = config
        .alerts
        .iter()
        .filter(|channel| name.is_none_or(|name| channel.name == name))
        .collect();
    if chosen.is_empty() {
        let known: Vec<&str> = config
            .alerts
            .iter()
            .map(|channel| channel.name.as_str())
            .collect();
        return match known.is_empty() {
            true => fail(
                2,
                "no channel is configured; add a table [alerts.ops], see README.md",
            ),
            false => fail(2, format!("no such channel; there are: {}", known.join(", "))),
        };
    }
    let mut code = 0;
    for config in chosen {
        let channel = match channel(config) {
            Ok(channel) => channel,
            Err(error) => {
                code = code.max(fail(error.exit_code(), error));
                continue;
            }
        };
        let letter = Letter {
            alert: Alert::test(&channel.name, clock.now()),
            repeats: 0,
            wants_ack: false,
            missed: 0,
        };
        match channel.sender.send(&letter).await {
            Ok(()) => println!("{}: sent; look whether it arrived", channel.name),
            Err(Failure::Refused(why) | Failure::Later(why, _)) => {
                code = code.max(fail(1, format!("{}: not delivered: {why}", channel.name)));
            }
        }
    }
    code
}

async fn ack(account: Option<&str>, place: &Where) -> i32 {
    let desk = match Desk::open(place) {
        Ok(desk) => desk,
        Err(code) => return code,
    };
    let account = match account {
        Some(label) => label.to_owned(),
        None => match desk.status().await.and_then(|status| desk.choose(&status, None)) {
            Ok(account) => account,
            Err(code) => return code,
        },
    };
    desk.command(Role::Kill, "/api/v1/ack", &json!({ "account": account }))
        .await
}

/// The channels, with their secrets.
///
/// # Errors
///
/// As [`channel`].
pub fn channels(config: &[AlertConfig]) -> Result<Vec<Channel>, ConfigError> {
    config.iter().map(channel).collect()
}

/// A channel, with its secrets; connects nothing.
///
/// # Errors
///
/// [`ConfigError::Refused`] when a secret is not kept from others (SE-14), or when the channel leads where it must not
/// (SE-11); [`ConfigError::Invalid`] when a secret is missing.
pub fn channel(config: &AlertConfig) -> Result<Channel, ConfigError> {
    let read =
        |source: &SecretSource, what: &str| source.read(&format!("{what} of alerts `{}`", config.name));
    let token =
        |source: &Option<SecretSource>| source.as_ref().map(|source| read(source, "token")).transpose();
    let target = match &config.channel {
        ChannelConfig::Telegram {
            server,
            bot_token,
            chat_id,
        } => Target::Telegram {
            server: server.clone(),
            token: read(bot_token, "bot_token")?,
            chat_id: chat_id.clone(),
        },
        ChannelConfig::Slack(url) => Target::Slack {
            url: read(url, "url")?,
        },
        ChannelConfig::Discord(url) => Target::Discord {
            url: read(url, "url")?,
        },
        ChannelConfig::Ntfy {
            server,
            topic,
            token: t,
        } => Target::Ntfy {
            server: server.clone(),
            topic: topic.clone(),
            token: token(t)?,
        },
        ChannelConfig::Pagerduty { server, routing_key } => Target::Pagerduty {
            server: server.clone(),
            routing_key: read(routing_key, "routing_key")?,
        },
        ChannelConfig::Webhook { url, token: t } => Target::Webhook {
            url: read(url, "url")?,
            token: token(t)?,
        },
        ChannelConfig::Alertmanager { server, token: t } => Target::Alertmanager {
            server: server.clone(),
            token: token(t)?,
        },
        ChannelConfig::Email {
            host,
            port,
            tls,
            login,
            from,
            to,
        } => {
            let login = login.as_ref().map(|(user, password)| {
                let password: Result<SecretString, ConfigError> = read(password, "password");
                password.map(|password| (user.clone(), password))
            });
            Target::Email(Mail {
                host: host.clone(),
                port: *port,
                tls: match tls {
                    MailTls::Tls => Tls::Wrapped,
                    MailTls::StartTls => Tls::StartTls,
                    MailTls::None => Tls::None,
                },
                login: login.transpose()?,
                from: from.clone(),
                to: to.clone(),
            })
        }
    };
    let sender = Sender::new(target, config.allow_private).map_err(|why| {
        let message = format!("alerts `{}`: {why}", config.name);
        Refusal::new(message, "name another address")
    })?;
    Ok(Channel {
        name: config.name.clone(),
        rules: Rules {
            least: match config.min_severity {
                MinSeverity::Info => Severity::Info,
                MinSeverity::Warning => Severity::Warning,
                MinSeverity::Critical => Severity::Critical,
            },
            group: config.group,
            repeat: config.repeat,
            escalate_after: config.escalate_after,
        },
        sender,
    })
}

/// Whether a finding says that a secret is not there.
pub fn is_missing(code: &str) -> bool {
    ["no-secret", "secret-file"].contains(&code)
}
