//! Alerts by mail, over SMTP with TLS.
//!
//! The server's name is looked up and judged here, the connection is made to the judged address, and TLS is asked to prove
//! the name: the same rule as for the HTTP channels (SE-11).

use super::address::{allow_host, look_up};
use super::deliver::Failure;
use super::facts::{Letter, cut};
use lettre::message::{Mailbox, header::ContentType};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls as Layer, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use secrecy::{ExposeSecret, SecretString};
use std::time::Duration;

/// Each step of a conversation ends within this, and so does the whole of it.
const STEP_MAX: Duration = Duration::from_secs(10);
const TRY_MAX: Duration = Duration::from_secs(30);

/// A mailbox and the way to it.
#[derive(Clone, Debug)]
pub struct Mail {
    /// The mail server's name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is encrypted.
    pub tls: Tls,
    /// User and password.
    pub login: Option<(String, SecretString)>,
    /// The sender, as in a mail.
    pub from: String,
    /// The receivers.
    pub to: Vec<String>,
}

/// How a connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// From its beginning.
    Wrapped,
    /// After a greeting in the clear; without it nothing is sent.
    StartTls,
    /// Not at all: for a server on this machine.
    None,
}

/// A mailer that is ready.
pub struct Mailer {
    mail: Mail,
    from: Mailbox,
    to: Vec<Mailbox>,
    allow_private: bool,
}

impl Mailer {
    /// Checks all that can be checked without a connection.
    ///
    /// # Errors
    ///
    /// What is wrong, in words.
    pub(super) fn new(mail: Mail, allow_private: bool) -> Result<Mailer, String> {
        let host = url::Host::parse(&mail.host).map_err(|error| format!("host: {error}"))?;
        let host = match &host {
            url::Host::Domain(name) => url::Host::Domain(name.as_str()),
            url::Host::Ipv4(address) => url::Host::Ipv4(*address),
            url::Host::Ipv6(address) => url::Host::Ipv6(*address),
        };
        allow_host(&host, allow_private)?;
        let parse = |text: &String| {
            text.parse::<Mailbox>()
                .map_err(|error| format!("`{text}`: {error}"))
        };
        Ok(Mailer {
            from: parse(&mail.from)?,
            to: mail.to.iter().map(parse).collect::<Result<_, _>>()?,
            mail,
            allow_private,
        })
    }

    pub(super) async fn send(&self, letter: &Letter) -> Result<(), Failure> {
        let later = |why: String| Failure::Later(why, None);
        match tokio::time::timeout(TRY_MAX, self.talk(letter)).await {
            Ok(result) => result,
            Err(_) => Err(later("the mail server did not answer in time".into())),
        }
    }

    async fn talk(&self, letter: &Letter) -> Result<(), Failure> {
        let later = |why: String| Failure::Later(why, None);
        let message = self.message(letter).map_err(Failure::Refused)?;
        let Mail { host, port, tls, .. } = &self.mail;
        let found = look_up(host, *port, self.allow_private)
            .await
            .map_err(|error| later(error.to_string()))?;
        let mut trouble = later("the name has no address".into());
        for address in found {
            if *tls == Tls::None && !address.ip().is_loopback() {
                return Err(later("without TLS mail goes to this machine only".into()));
            }
            let proof = || TlsParameters::new(host.clone()).map_err(|error| later(error.to_string()));
            let layer = match tls {
                Tls::Wrapped => Layer::Wrapper(proof()?),
                Tls::StartTls => Layer::Required(proof()?),
                Tls::None => Layer::None,
            };
            let mut server =
                AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(address.ip().to_string())
                    .port(*port)
                    .tls(layer)
                    .timeout(Some(STEP_MAX));
            if let Some((user, password)) = &self.mail.login {
                server = server.credentials(Credentials::new(
                    user.clone(),
                    password.expose_secret().to_owned(),
                ));
            }
            match server.build().send(message.clone()).await {
                Ok(_) => return Ok(()),
                // A server may quote what it was sent; only its number is repeated.
                Err(error) if error.is_permanent() => {
                    let code = error.status().map_or(String::new(), |code| format!(" ({code})"));
                    return Err(later(format!("the mail server refuses{code}")));
                }
                Err(error) if error.is_transient() => trouble = later("the mail server says: later".into()),
                Err(error) if error.is_timeout() => {
                    trouble = later("the mail server did not answer in time".into())
                }
                Err(error) if error.is_tls() => trouble = later("no trusted TLS with the mail server".into()),
                Err(_) => trouble = later("the mail server cannot be reached or understood".into()),
            }
        }
        Err(trouble)
    }

    /// The mail. Its id is the letter's, so that a mailbox shows a second arrival as the same mail.
    fn message(&self, letter: &Letter) -> Result<Message, String> {
        let domain = self.from.email.domain();
        let mut message = Message::builder()
            .from(self.from.clone())
            .subject(cut(&letter.headline(), 200))
            .message_id(Some(format!("<{}@{domain}>", letter.id())))
            .header(ContentType::TEXT_PLAIN);
        for to in &self.to {
            message = message.to(to.clone());
        }
        message
            .body(format!("{}\n\n{}\n", letter.headline(), letter.rest()))
            .map_err(|error| format!("the mail cannot be written: {error}"))
    }
}
