//! How `kill`, `rearm` and `status` speak to the running guard.

use super::{accounts, fail};
use crate::config::Overrides;
use crate::serve::auth::TokenError;
use crate::serve::{Role, Status, Tokens};
use secrecy::ExposeSecret;
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A guard on this machine answers at once or not at all.
const WITHIN: Duration = Duration::from_secs(5);

/// Where the running guard is.
#[derive(clap::Args)]
pub struct Where {
    /// The configuration file of the running guard.
    #[arg(long, env = "BACKSTOP_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Its control API, instead of the configuration's.
    #[arg(long, value_name = "URL", requires = "token_file")]
    url: Option<String>,
    /// Its token file, instead of the configuration's.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// A way to the running guard.
pub struct Desk {
    url: String,
    tokens: Tokens,
    http: reqwest::Client,
}

impl Desk {
    /// Finds the guard; errors are printed, and given as an exit code.
    pub fn open(place: &Where) -> Result<Desk, i32> {
        let (url, token_file) = match (&place.url, &place.token_file) {
            (Some(url), Some(file)) => (url.trim_end_matches('/').to_owned(), file.clone()),
            _ => configured(place.config.as_deref())?,
        };
        let tokens = Tokens::load(&token_file).map_err(|error| match error {
            TokenError::Refused { .. } => fail(error.exit_code(), error),
            TokenError::Io { .. } => {
                let hint = "the guard makes this file at its first start; is it running, as this user?";
                fail(error.exit_code(), format!("{error}\n  hint: {hint}"))
            }
        })?;
        Desk::at(url, tokens)
    }

    /// For a guard at this address.
    fn at(url: String, tokens: Tokens) -> Result<Desk, i32> {
        let http = reqwest::Client::builder().no_proxy().timeout(WITHIN).build();
        let http = http.map_err(|error| fail(2, format!("no HTTP client: {error}")))?;
        Ok(Desk { url, tokens, http })
    }

    /// The state of every account.
    pub async fn status(&self) -> Result<Status, i32> {
        let token = self.tokens.of(Role::View).expose_secret();
        let asked = self
            .http
            .get(format!("{}/api/v1/status", self.url))
            .bearer_auth(token)
            .send()
            .await;
        let answer = asked.map_err(|error| self.absent(&error))?;
        let status = answer.status();
        if !status.is_success() {
            let message = message(answer).await;
            return Err(fail(2, format!("{} answered {status}: {message}", self.url)));
        }
        answer
            .json()
            .await
            .map_err(|error| fail(2, format!("the answer is not understood: {error}")))
    }

    /// Gives a command: done is printed, refused is printed with exit code 1.
    pub async fn command(&self, role: Role, path: &str, body: &Value) -> i32 {
        let token = self.tokens.of(role).expose_secret();
        let asked = self
            .http
            .post(format!("{}{path}", self.url))
            .bearer_auth(token)
            .json(body)
            .send()
            .await;
        let answer = match asked {
            Ok(answer) => answer,
            // It may have arrived: that is not the same as not being done.
            Err(error) if !error.is_connect() => {
                return fail(
                    2,
                    format!(
                        "the guard at {} has not answered; it may have taken the command: look at `backstop status`",
                        self.url
                    ),
                );
            }
            Err(error) => return self.absent(&error),
        };
        let status = answer.status();
        let message = message(answer).await;
        if status.is_success() {
            anstream::println!("{message}");
            return 0;
        }
        fail(1, format!("refused: {message}"))
    }

    /// The account meant: the one named, or the only one there is.
    pub fn choose(&self, status: &Status, named: Option<&str>) -> Result<String, i32> {
        let labels: Vec<&str> = status
            .accounts
            .iter()
            .map(|account| account.label.as_str())
            .collect();
        match (named, labels.as_slice()) {
            (Some(label), labels) if labels.contains(&label) => Ok(label.to_owned()),
            (None, [only]) => Ok((*only).to_owned()),
            _ => Err(fail(
                2,
                format!(
                    "name one account with --account; guarded are: {}",
                    labels.join(", ")
                ),
            )),
        }
    }

    fn absent(&self, error: &reqwest::Error) -> i32 {
        let url = &self.url;
        if !error.is_connect() {
            return fail(2, format!("the guard at {url} does not answer"));
        }
        let text =
            format!("no guard answers at {url}; is `backstop run` running with control.listen set to that?");
        fail(
            2,
            format!("{text} Without it: a file named KILL in its state directory closes everything"),
        )
    }
}

/// What the guard says, for people.
async fn message(answer: reqwest::Response) -> String {
    let body: Value = answer.json().await.unwrap_or_default();
    let text = body.get("message").and_then(Value::as_str);
    text.unwrap_or("it gave no reason").to_owned()
}

fn configured(path: Option<&Path>) -> Result<(String, PathBuf), i32> {
    let config = accounts::load(path, &Overrides::default())?;
    let Some(address) = config.control.listen else {
        return Err(fail(
            2,
            "control.listen is \"\" in the configuration: the guard cannot be spoken to. A file named KILL in its state directory works all the same",
        ));
    };
    Ok((
        format!("http://{}", reachable(address)),
        config.control.token_file,
    ))
}

/// Where to find a guard that listens there: one that listens everywhere is found on this machine.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let mut address = listen;
    match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::status::AccountStatus;
    use crate::serve::{Control, Request, serve};
    use serde_json::json;
    use std::sync::Arc;
    use tokio::net::TcpListener;
    use tokio::sync::{broadcast, mpsc, watch};
    use tokio_util::sync::CancellationToken;

    /// A served guard that refuses to re-arm, and the way to it.
    async fn served(folder: &Path) -> (Desk, CancellationToken) {
        let tokens = Tokens::load_or_create(&folder.join("control.token")).unwrap();
        let accounts = ["main", "other"].map(|label| AccountStatus {
            label: label.into(),
            state: "armed".into(),
            ..AccountStatus::default()
        });
        let (_, status) = watch::channel(Arc::new(Status {
            accounts: accounts.to_vec(),
        }));
        let (commands, mut requests) = mpsc::channel::<Request>(8);
        tokio::spawn(async move {
            while let Some(request) = requests.recv().await {
                let answer = match request.command {
                    crate::event::Command::Rearm { .. } => Err("drawdown 0.12 is above 0.10".to_owned()),
                    _ => Ok("everything is being closed".to_owned()),
                };
                let _ = request.reply.send(answer);
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let control = Control {
            status,
            events: broadcast::channel(8).0,
            commands,
            acks: mpsc::channel(1).0,
        };
        let cancel = CancellationToken::new();
        tokio::spawn(serve(listener, tokens.clone(), control, cancel.clone()));
        (Desk::at(url, tokens).unwrap(), cancel)
    }

    #[tokio::test]
    async fn done_is_0_and_refused_is_1() {
        let folder = tempfile::tempdir().unwrap();
        let (desk, _cancel) = served(folder.path()).await;
        let status = desk.status().await.unwrap();
        for (named, expected) in [
            (Some("main"), Ok("main".to_owned())),
            (Some("nobody"), Err(2)),
            (None, Err(2)),
        ] {
            assert_eq!(desk.choose(&status, named), expected, "{named:?}");
        }
        let kill = json!({ "account": "main", "action": "flatten", "symbol": null, "reason": "test" });
        assert_eq!(desk.command(Role::Kill, "/api/v1/kill", &kill).await, 0);
        assert_eq!(desk.command(Role::View, "/api/v1/kill", &kill).await, 1);
        let rearm = json!({ "account": "main", "confirm": "main", "baseline": "keep" });
        assert_eq!(desk.command(Role::Rearm, "/api/v1/rearm", &rearm).await, 1);
    }

    #[tokio::test]
    async fn no_guard_is_2_for_every_verb() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = Tokens::load_or_create(&folder.path().join("control.token")).unwrap();
        // A port that was free a moment ago.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let desk = Desk::at(url, tokens).unwrap();
        assert_eq!(desk.status().await.unwrap_err(), 2);
        assert_eq!(desk.command(Role::Kill, "/api/v1/kill", &json!({})).await, 2);
    }

    #[test]
    fn a_guard_that_listens_everywhere_is_found_here() {
        for (listen, expected) in [
            ("127.0.0.1:7878", "127.0.0.1:7878"),
            ("0.0.0.0:7878", "127.0.0.1:7878"),
            ("[::]:7878", "[::1]:7878"),
            ("192.0.2.5:7878", "192.0.2.5:7878"),
        ] {
            assert_eq!(reachable(listen.parse().unwrap()).to_string(), expected);
        }
    }
}
