//! How `kill`, `rearm` and `status` speak to the running guard.

use super::{accounts, fail};
use crate::config::Overrides;
use crate::serve::{Role, Status, Tokens};
use secrecy::ExposeSecret;
use serde_json::Value;
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
        let tokens = Tokens::load(&token_file).map_err(|error| {
            fail(2, format!("{error}\n  hint: the guard makes this file at its first start; is it running, as this user?"))
        })?;
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
        let answer = asked.map_err(|_| self.absent())?;
        if !answer.status().is_success() {
            return Err(fail(2, format!("{} answered {}", self.url, answer.status())));
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
        let Ok(answer) = asked else { return self.absent() };
        let status = answer.status();
        let body: Value = answer.json().await.unwrap_or_default();
        let message = body
            .get("message")
            .and_then(Value::as_str)
            .unwrap_or("no message")
            .to_owned();
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

    fn absent(&self) -> i32 {
        fail(
            2,
            format!(
                "no guard answers at {}; is `backstop run` running with control.listen set to that?",
                self.url
            ),
        )
    }
}

fn configured(path: Option<&Path>) -> Result<(String, PathBuf), i32> {
    let config = accounts::load(path, &Overrides::default())?;
    let Some(address) = config.control.listen else {
        return Err(fail(
            2,
            "control.listen is \"\" in the configuration: the guard cannot be spoken to. A file named KILL in its state directory works all the same",
        ));
    };
    Ok((format!("http://{address}"), config.control.token_file))
}
