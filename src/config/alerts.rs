//! The channels on which people are told: `[alerts.NAME]`.

use super::endpoint;
use super::fields::{Fields, choice, number, short, span, text, texts};
use super::mask::is_secret_key;
use super::node::{Node, Place, Value};
use super::reading::Reading;
use super::secret::SecretSource;
use super::source::{Owner, source};
use crate::model::Span;

/// Channels of one process.
const CHANNELS_MAX: usize = 32;
/// Receivers of one channel's mails.
const RECEIVERS_MAX: usize = 16;

/// One channel.
#[derive(Clone, Debug)]
pub struct AlertConfig {
    /// Its name here, `[a-z0-9_-]`.
    pub name: String,
    /// Where it leads.
    pub channel: ChannelConfig,
    /// What is less grave is not told.
    pub min_severity: MinSeverity,
    /// What follows within this of a message waits for its end.
    pub group: Span,
    /// A critical alert is told again after this until it is acknowledged; `None` is never.
    pub repeat: Option<Span>,
    /// The channel is for critical alerts that nobody acknowledged for this long; `None` is for all.
    pub escalate_after: Option<Span>,
    /// Whether it may lead to this machine or its network.
    pub allow_private: bool,
}

/// Where a channel leads.
#[derive(Clone, Debug)]
pub enum ChannelConfig {
    /// A chat of a Telegram bot.
    Telegram {
        /// Address of the Bot API.
        server: String,
        /// Where the bot's token is.
        bot_token: SecretSource,
        /// The chat.
        chat_id: String,
    },
    /// An incoming webhook of Slack.
    Slack(SecretSource),
    /// A webhook of Discord.
    Discord(SecretSource),
    /// A topic of ntfy.
    Ntfy {
        /// Address of the server.
        server: String,
        /// The topic.
        topic: String,
        /// Where an access token is, if one is needed.
        token: Option<SecretSource>,
    },
    /// A service of PagerDuty.
    Pagerduty {
        /// Address of the Events API.
        server: String,
        /// Where the integration key is.
        routing_key: SecretSource,
    },
    /// A mailbox.
    Email {
        /// The mail server.
        host: String,
        /// Its port.
        port: u16,
        /// How the connection is encrypted.
        tls: MailTls,
        /// The user, and where the password is.
        login: Option<(String, SecretSource)>,
        /// The sender.
        from: String,
        /// The receivers.
        to: Vec<String>,
    },
    /// Any receiver of JSON.
    Webhook {
        /// Where its address is.
        url: SecretSource,
        /// Where a bearer token is, if one is needed.
        token: Option<SecretSource>,
    },
    /// An Alertmanager.
    Alertmanager {
        /// Its address.
        server: String,
        /// Where a bearer token is, if one is needed.
        token: Option<SecretSource>,
    },
}

/// The least grave alert that a channel is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MinSeverity {
    /// Everything.
    Info,
    /// What should be looked at.
    Warning,
    /// What somebody must get up for.
    Critical,
}

/// How the connection to a mail server is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailTls {
    /// From its beginning.
    Tls,
    /// After a greeting in the clear.
    StartTls,
    /// Not at all.
    None,
}

#[derive(Clone, Copy)]
enum Kind {
    Telegram,
    Slack,
    Discord,
    Ntfy,
    Pagerduty,
    Email,
    Webhook,
    Alertmanager,
}

const KINDS: [(&str, Kind); 8] = [
    ("telegram", Kind::Telegram),
    ("slack", Kind::Slack),
    ("discord", Kind::Discord),
    ("ntfy", Kind::Ntfy),
    ("pagerduty", Kind::Pagerduty),
    ("email", Kind::Email),
    ("webhook", Kind::Webhook),
    ("alertmanager", Kind::Alertmanager),
];

const SEVERITIES: [(&str, MinSeverity); 3] = [
    ("info", MinSeverity::Info),
    ("warning", MinSeverity::Warning),
    ("critical", MinSeverity::Critical),
];

const TLS: [(&str, MailTls); 3] = [
    ("tls", MailTls::Tls),
    ("starttls", MailTls::StartTls),
    ("none", MailTls::None),
];

/// Reads all channels; notes what is wrong with them.
pub(super) fn alerts(fields: &mut Fields<'_>, reading: &mut Reading<'_>) -> Option<Vec<AlertConfig>> {
    let Some(node) = fields.get("alerts") else {
        return Some(Vec::new());
    };
    let Value::Table(table) = &node.value else {
        let message = format!("`alerts` is {}, not a table", node.value.noun());
        let hint = "write [alerts.ops]".to_owned();
        reading.problems.error(&node.place, "wrong-kind", message, hint);
        return None;
    };
    if table.len() > CHANNELS_MAX {
        let message = format!("there are {} channels, not at most {CHANNELS_MAX}", table.len());
        reading.problems.error(&node.place, "alerts", message, None);
        return None;
    }
    let read: Vec<AlertConfig> = table
        .iter()
        .filter_map(|(name, node)| channel(name, node, reading))
        .collect();
    (read.len() == table.len()).then_some(read)
}

fn channel(name: &str, node: &Node, reading: &mut Reading<'_>) -> Option<AlertConfig> {
    let Value::Table(table) = &node.value else {
        let message = format!("`alerts.{}` is {}, not a table", short(name), node.value.noun());
        let hint = "write [alerts.ops]".to_owned();
        reading.problems.error(&node.place, "wrong-kind", message, hint);
        return None;
    };
    if !super::policy::is_name(name) || name.contains("__") {
        let message = format!("`{}` cannot be the name of a channel", short(name));
        let hint = "1 to 64 of the characters a-z, 0-9, `_` and `-`, no `__`".to_owned();
        reading.problems.error(&node.key, "label", message, hint);
        return None;
    }
    let mut desk = Desk {
        fields: Fields::new(table, node.place.clone(), format!("alerts `{name}`")),
        path: format!("alerts.{name}"),
        owner: Owner::alerts(name),
        reading,
    };
    let Some(kind) = desk.word("kind", &KINDS, None) else {
        // Which keys belong here depends on it.
        return None;
    };
    let min_severity = desk.word("min_severity", &SEVERITIES, Some("warning"));
    let group = desk.span(
        "group",
        Some(Span::from_secs(10)),
        Span::ZERO,
        Span::from_secs(3600),
    );
    let repeat = desk.span(
        "repeat",
        Some(Span::from_secs(300)),
        Span::ZERO,
        Span::from_secs(24 * 3600),
    );
    let escalate = desk.span(
        "escalate_after",
        None,
        Span::from_secs(1),
        Span::from_secs(24 * 3600),
    );
    let allow_private = desk.flag("allow_private");
    let channel = desk.target(kind);
    desk.finish();
    let repeat = repeat?.unwrap_or(Span::ZERO);
    Some(AlertConfig {
        name: name.to_owned(),
        channel: channel?,
        min_severity: min_severity?,
        group: group?.unwrap_or(Span::ZERO),
        repeat: (repeat > Span::ZERO).then_some(repeat),
        escalate_after: escalate?,
        allow_private: allow_private?,
    })
}

/// One table while it is read.
struct Desk<'n, 'r, 'a> {
    fields: Fields<'n>,
    path: String,
    owner: Owner,
    reading: &'r mut Reading<'a>,
}

impl Desk<'_, '_, '_> {
    fn target(&mut self, kind: Kind) -> Option<ChannelConfig> {
        match kind {
            Kind::Telegram => {
                let server = self.server("https://api.telegram.org");
                let bot_token = self.secret("bot_token", "bot_token_file");
                let chat_id = self.written("chat_id", "the number of a chat, or \"@channel\"");
                Some(ChannelConfig::Telegram {
                    server: server?,
                    bot_token: bot_token?,
                    chat_id: chat_id?,
                })
            }
            Kind::Slack => self.secret("url", "url_file").map(ChannelConfig::Slack),
            Kind::Discord => self.secret("url", "url_file").map(ChannelConfig::Discord),
            Kind::Ntfy => {
                let server = self.server("https://ntfy.sh");
                let topic = self.written("topic", "on a public server, one that nobody guesses");
                let token = self.optional("token", "token_file");
                Some(ChannelConfig::Ntfy {
                    server: server?,
                    topic: topic?,
                    token: token?,
                })
            }
            Kind::Pagerduty => {
                let server = self.server("https://events.pagerduty.com");
                let routing_key = self.secret("routing_key", "routing_key_file");
                Some(ChannelConfig::Pagerduty {
                    server: server?,
                    routing_key: routing_key?,
                })
            }
            Kind::Webhook => {
                let url = self.secret("url", "url_file");
                let token = self.optional("token", "token_file");
                Some(ChannelConfig::Webhook {
                    url: url?,
                    token: token?,
                })
            }
            Kind::Alertmanager => {
                let server = self.server("");
                let token = self.optional("token", "token_file");
                Some(ChannelConfig::Alertmanager {
                    server: server?,
                    token: token?,
                })
            }
            Kind::Email => self.email(),
        }
    }

    fn email(&mut self) -> Option<ChannelConfig> {
        let host = self.written("host", "the name of a mail server");
        let tls = self.word("tls", &TLS, Some("tls"));
        let port = self.port(match tls {
            Some(MailTls::Tls) | None => 465,
            Some(MailTls::StartTls) => 587,
            Some(MailTls::None) => 25,
        });
        let user = self.fields.get("user").map(|node| {
            let user = text(node, "user", &mut self.reading.problems).map(str::to_owned);
            if let Some(user) = &user {
                self.reading.record(&self.path, "user", user, &node.place);
            }
            user
        });
        let password = self.optional("password", "password_file");
        let from = self.written("from", "the sender, like \"backstop@example.com\"");
        let to = self.receivers();
        let login = match (user, password?) {
            (None, None) => None,
            (Some(user), Some(password)) => Some((user?, password)),
            _ => {
                let message = format!(
                    "{} has one of `user` and `password_file`, and not the other",
                    self.fields.what
                );
                self.reading
                    .problems
                    .error(&self.fields.place, "missing-key", message, None);
                return None;
            }
        };
        Some(ChannelConfig::Email {
            host: host?,
            port: port?,
            tls: tls?,
            login,
            from: mailbox(from?, "from", self)?,
            to: to?,
        })
    }

    fn receivers(&mut self) -> Option<Vec<String>> {
        let hint = "write to = [\"you@example.com\"]";
        let Some(node) = self.fields.get("to") else {
            self.fields
                .missing("to", hint.to_owned(), &mut self.reading.problems);
            return None;
        };
        let all: Vec<String> = match &node.value {
            Value::Text(one) => vec![one.clone()],
            _ => texts(node, "to", &mut self.reading.problems)?
                .into_iter()
                .map(|(text, _)| text.to_owned())
                .collect(),
        };
        if all.is_empty() || all.len() > RECEIVERS_MAX {
            let message = format!("`to` names {} receivers, not 1 to {RECEIVERS_MAX}", all.len());
            self.reading
                .problems
                .error(&node.place, "to", message, hint.to_owned());
            return None;
        }
        let shown: Vec<String> = all.iter().map(|each| format!("{each:?}")).collect();
        self.reading
            .record_raw(&self.path, "to", format!("[{}]", shown.join(", ")), &node.place);
        all.into_iter().map(|each| mailbox(each, "to", self)).collect()
    }

    fn port(&mut self, default: u16) -> Option<u16> {
        let Some(node) = self.fields.get("port") else {
            self.reading
                .record_raw(&self.path, "port", default.to_string(), &Place::Default);
            return Some(default);
        };
        let written = number(node, "port", &mut self.reading.problems)?;
        let Ok(port) = written.parse() else {
            let message = format!("`{}` is not a port", short(&written));
            self.reading
                .problems
                .error(&node.place, "port", message, "1 to 65535".to_owned());
            return None;
        };
        self.reading.record_raw(&self.path, "port", written, &node.place);
        Some(port)
    }

    /// A text, or a number as it is written, that must be there.
    fn written(&mut self, name: &'static str, what: &str) -> Option<String> {
        let Some(node) = self.fields.get(name) else {
            self.fields
                .missing(name, what.to_owned(), &mut self.reading.problems);
            return None;
        };
        let written = number(node, name, &mut self.reading.problems)?;
        if written.is_empty() || written.chars().any(|c| c.is_control()) {
            let message = format!("`{name}` is empty or not one line");
            self.reading
                .problems
                .error(&node.place, "text", message, what.to_owned());
            return None;
        }
        self.reading.record(&self.path, name, &written, &node.place);
        Some(written)
    }

    /// Scheme, host and port; none is implied when `implied` is empty.
    fn server(&mut self, implied: &str) -> Option<String> {
        let node = self.fields.get("server");
        let place = node.map_or(Place::Default, |node| node.place.clone());
        let written = match node {
            Some(node) => text(node, "server", &mut self.reading.problems)?,
            None if implied.is_empty() => {
                let hint = "such as server = \"https://alertmanager.example.com\"".to_owned();
                self.fields.missing("server", hint, &mut self.reading.problems);
                return None;
            }
            None => implied,
        };
        match endpoint::parse(written, "https", "http") {
            Ok((url, _)) => {
                self.reading.record(&self.path, "server", &url, &place);
                Some(url)
            }
            Err((message, hint)) => {
                self.reading
                    .problems
                    .error(&place, "address", format!("`server`: {message}"), hint);
                None
            }
        }
    }

    /// A secret that must be there when the guard runs.
    fn secret(&mut self, inline: &'static str, file: &'static str) -> Option<SecretSource> {
        source(&self.owner, inline, file, &mut self.fields, self.reading)
    }

    /// A secret that may be missing.
    fn optional(&mut self, inline: &'static str, file: &'static str) -> Option<Option<SecretSource>> {
        match self.secret(inline, file)? {
            SecretSource::Missing(_) => Some(None),
            found => Some(Some(found)),
        }
    }

    fn word<T: Copy>(
        &mut self,
        name: &'static str,
        words: &[(&'static str, T)],
        default: Option<&'static str>,
    ) -> Option<T> {
        match (self.fields.get(name), default) {
            (Some(node), _) => {
                let read = choice(node, name, words, &mut self.reading.problems)?;
                let written = text(node, name, &mut self.reading.problems)?;
                self.reading.record(&self.path, name, written, &node.place);
                Some(read)
            }
            (None, Some(default)) => {
                self.reading.record(&self.path, name, default, &Place::Default);
                words
                    .iter()
                    .find(|(word, _)| *word == default)
                    .map(|(_, value)| *value)
            }
            (None, None) => {
                let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                let hint = format!("one of {}", known.join(", "));
                self.fields.missing(name, hint, &mut self.reading.problems);
                None
            }
        }
    }

    fn span(
        &mut self,
        name: &'static str,
        default: Option<Span>,
        least: Span,
        most: Span,
    ) -> Option<Option<Span>> {
        let Some(node) = self.fields.get(name) else {
            if let Some(default) = default {
                self.reading
                    .record_raw(&self.path, name, format!("\"{default}\""), &Place::Default);
            }
            return Some(default);
        };
        let read = span(node, name, &mut self.reading.problems)?;
        if read < least || read > most {
            let message = format!("`{name}` is {read}, not {least} to {most}");
            self.reading.problems.error(&node.place, "range", message, None);
            return None;
        }
        self.reading
            .record_raw(&self.path, name, format!("\"{read}\""), &node.place);
        Some(Some(read))
    }

    fn flag(&mut self, name: &'static str) -> Option<bool> {
        let place = self
            .fields
            .get(name)
            .map_or(Place::Default, |node| node.place.clone());
        let read = self.fields.flag(name, false, &mut self.reading.problems)?;
        self.reading
            .record_raw(&self.path, name, read.to_string(), &place);
        Some(read)
    }

    fn finish(self) {
        let Desk { fields, reading, .. } = self;
        fields.finish(&mut reading.problems, |key| {
            is_secret_key(key).then(|| {
                "a secret belongs into a file, named by a key that ends in `_file`, or into the environment".to_owned()
            })
        });
    }
}

/// A mail address, checked by whoever will write the mail.
fn mailbox(written: String, name: &'static str, desk: &mut Desk<'_, '_, '_>) -> Option<String> {
    if written.parse::<lettre::message::Mailbox>().is_ok() {
        return Some(written);
    }
    let message = format!("`{}` in `{name}` is no mail address", short(&written));
    let hint = "write it like \"you@example.com\"".to_owned();
    let place = desk
        .fields
        .get(name)
        .map_or(Place::Default, |node| node.place.clone());
    desk.reading.problems.error(&place, "address", message, hint);
    None
}
