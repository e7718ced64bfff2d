//! One guarded account: its venue, addresses, policies, keys and times.

use super::ConfigError;
use super::endpoint::{self, Class, Venue};
use super::fields::{Fields, choice, short, text, texts};
use super::mask::is_secret_key;
use super::node::{Node, Place, Value};
use super::reading::Reading;
use super::secret::{Credentials, Refusal, SecretSource, is_private_key};
use super::source::{Owner, source};
use super::timing::{Timing, timing};
use std::path::PathBuf;

/// Policy files of one account.
const POLICY_FILES_MAX: usize = 16;

/// One guarded account.
#[derive(Clone, Debug)]
pub struct AccountConfig {
    /// Its name here, `[a-z0-9_-]`.
    pub label: String,
    /// Where it is.
    pub venue: Venue,
    /// Its policy files, at least one.
    pub policies: Vec<PathBuf>,
    /// Address of the REST interface, without a slash at the end.
    pub rest_url: String,
    /// Address of the streams, without path.
    pub stream_url: String,
    /// Address that tells a key's permissions; `None` when the venue has none.
    pub sapi_url: Option<String>,
    /// How requests are signed.
    pub key_type: KeyType,
    /// Where the key is.
    pub api_key: SecretSource,
    /// Where the secret is.
    pub api_secret: SecretSource,
    /// Its times.
    pub timing: Timing,
}

/// How requests are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyType {
    /// HMAC-SHA256 with a shared secret.
    Hmac,
    /// Ed25519 with a private key, of which the venue knows the public half only.
    Ed25519,
}

impl KeyType {
    const WORDS: [(&'static str, KeyType); 2] = [("hmac", KeyType::Hmac), ("ed25519", KeyType::Ed25519)];

    /// The name in configuration files.
    pub fn name(self) -> &'static str {
        match self {
            KeyType::Hmac => "hmac",
            KeyType::Ed25519 => "ed25519",
        }
    }
}

impl AccountConfig {
    /// Whether the real exchange may be behind one of its addresses. A host that nobody knows counts.
    pub fn is_mainnet(&self) -> bool {
        let urls = [
            Some(&self.rest_url),
            Some(&self.stream_url),
            self.sapi_url.as_ref(),
        ];
        urls.into_iter().flatten().any(|url| endpoint::may_be_real(url))
    }

    /// Reads the key and the secret.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Refused`] when others may read one, it is empty, or the secret is not of the key's type (SE-14);
    /// [`ConfigError::Invalid`] when there is none.
    pub fn credentials(&self) -> Result<Credentials, ConfigError> {
        let what = |name: &str| format!("{name} of account `{}`", self.label);
        let both = Credentials {
            key: self.api_key.read(&what("api_key"))?,
            secret: self.api_secret.read(&what("api_secret"))?,
        };
        if is_private_key(&both.key) {
            let message = format!("{} is a private key", what("api_key"));
            return Err(Refusal::new(
                message,
                "the venue shows the key that belongs to it; put that there",
            )
            .into());
        }
        let (is, write) = match (self.key_type, is_private_key(&both.secret)) {
            (KeyType::Hmac, true) => ("a private key", "write key_type = \"ed25519\""),
            (KeyType::Ed25519, false) => (
                "no private key",
                "put the private key there, in PKCS#8 form (PEM), or write key_type = \"hmac\"",
            ),
            (KeyType::Hmac, false) | (KeyType::Ed25519, true) => return Ok(both),
        };
        let message = format!(
            "{} is {is}, but its key_type is `{}`",
            what("api_secret"),
            self.key_type.name()
        );
        Err(Refusal::new(message, write).into())
    }
}

/// Reads one account; notes what is wrong with it.
pub(super) fn account(label: &str, node: &Node, reading: &mut Reading<'_>) -> Option<AccountConfig> {
    let Value::Table(table) = &node.value else {
        let message = format!("account `{}` is {}, not a table", short(label), node.value.noun());
        reading.problems.error(&node.place, "wrong-kind", message, None);
        return None;
    };
    if !super::policy::is_name(label) || label.contains("__") {
        let message = format!("`{}` cannot be the label of an account", short(label));
        let hint = "1 to 64 of the characters a-z, 0-9, `_` and `-`, no `__`".to_owned();
        reading.problems.error(&node.key, "label", message, hint);
        return None;
    }
    let mut fields = Fields::new(table, node.place.clone(), format!("account `{label}`"));
    let path = format!("account.{label}");
    let venue = match fields.get("venue") {
        Some(node) => {
            let read = choice(node, "venue", &Venue::WORDS, &mut reading.problems);
            reading.record(&path, "venue", read.map_or("", Venue::name), &node.place);
            read
        }
        None => {
            let hint = "such as venue = \"binance-usdm-testnet\"".to_owned();
            fields.missing("venue", hint, &mut reading.problems);
            None
        }
    };
    let policies = policies(&mut fields, &path, reading);
    let key_type = key_type(&mut fields, &path, reading);
    let addresses = addresses(label, &mut fields, venue, reading);
    let owner = Owner::account(label);
    let api_key = source(&owner, "api_key", "api_key_file", &mut fields, reading);
    let api_secret = source(&owner, "api_secret", "api_secret_file", &mut fields, reading);
    let timing = timing(&mut fields, &path, reading);
    fields.finish(&mut reading.problems, |key| {
        is_secret_key(key).then(|| {
            "a secret belongs into `api_key_file` and `api_secret_file`, or into the environment, never here".to_owned()
        })
    });
    let (rest_url, stream_url, sapi_url) = addresses?;
    Some(AccountConfig {
        label: label.to_owned(),
        venue: venue?,
        policies: policies?,
        rest_url,
        stream_url,
        sapi_url,
        key_type: key_type?,
        api_key: api_key?,
        api_secret: api_secret?,
        timing: timing?,
    })
}

fn policies(fields: &mut Fields<'_>, path: &str, reading: &mut Reading<'_>) -> Option<Vec<PathBuf>> {
    let Some(node) = fields.get("policies") else {
        let hint =
            "write policies = [\"policies/standard.toml\"]; without policies nothing is guarded".to_owned();
        fields.missing("policies", hint, &mut reading.problems);
        return None;
    };
    let names = texts(node, "policies", &mut reading.problems)?;
    if names.is_empty() || names.len() > POLICY_FILES_MAX {
        let message = format!(
            "`policies` names {} files, not 1 to {POLICY_FILES_MAX}",
            names.len()
        );
        reading.problems.error(&node.place, "policies", message, None);
        return None;
    }
    let shown: Vec<String> = names.iter().map(|(name, _)| format!("{name:?}")).collect();
    reading.record_raw(path, "policies", format!("[{}]", shown.join(", ")), &node.place);
    let read: Vec<PathBuf> = names
        .iter()
        .filter_map(|(name, node)| reading.path(name, "policies", &node.place))
        .collect();
    (read.len() == names.len()).then_some(read)
}

fn key_type(fields: &mut Fields<'_>, path: &str, reading: &mut Reading<'_>) -> Option<KeyType> {
    let Some(node) = fields.get("key_type") else {
        reading.record(path, "key_type", "hmac", &Place::Default);
        return Some(KeyType::Hmac);
    };
    let read = choice(node, "key_type", &KeyType::WORDS, &mut reading.problems)?;
    reading.record(path, "key_type", read.name(), &node.place);
    Some(read)
}

/// REST, stream and permissions address.
type Addresses = (String, String, Option<String>);

fn addresses(
    label: &str,
    fields: &mut Fields<'_>,
    venue: Option<Venue>,
    reading: &mut Reading<'_>,
) -> Option<Addresses> {
    let implied = venue.map_or(("", "", ""), Venue::implied);
    let rest = address(
        label,
        "rest_url",
        ("https", "http"),
        implied.0,
        venue,
        fields,
        reading,
    );
    let stream = address(
        label,
        "stream_url",
        ("wss", "ws"),
        implied.1,
        venue,
        fields,
        reading,
    );
    // A REST interface on this machine does not have its permissions at the real exchange.
    let local = matches!(&rest, Some(Some((_, Class::Loopback))));
    let implied_sapi = if local { "" } else { implied.2 };
    let sapi = address(
        label,
        "sapi_url",
        ("https", "http"),
        implied_sapi,
        venue,
        fields,
        reading,
    )?;
    let (rest, stream) = (rest??, stream??);
    let mut hosts = vec![
        ("rest_url", rest.0.as_str(), rest.1),
        ("stream_url", stream.0.as_str(), stream.1),
    ];
    if let Some((url, class)) = &sapi {
        hosts.push(("sapi_url", url, *class));
    }
    if let Some(venue) = venue
        && let Err(refusal) = endpoint::lock(label, venue, &hosts)
    {
        reading.refuse(refusal);
    }
    Some((rest.0, stream.0, sapi.map(|(url, _)| url)))
}

/// One address; `Some(None)` when there is none and none is needed.
fn address(
    label: &str,
    name: &'static str,
    (secure, plain): (&str, &str),
    implied: &str,
    venue: Option<Venue>,
    fields: &mut Fields<'_>,
    reading: &mut Reading<'_>,
) -> Option<Option<(String, Class)>> {
    let path = format!("account.{label}");
    let node = fields.get(name);
    let written = match node {
        Some(node) => text(node, name, &mut reading.problems)?,
        None => implied,
    };
    if written.is_empty() {
        if name == "sapi_url" {
            reading.record_from(&path, name, "", node.map(|node| &node.place));
            return Some(None);
        }
        if let Some(venue) = venue {
            let example =
                format!("write {name} = \"{plain}://127.0.0.1:8080\", where `backstop sim` listens");
            match node {
                Some(node) => {
                    let message = format!("`{name}` is empty");
                    reading.problems.error(
                        &node.place,
                        "address",
                        message,
                        format!("the venue implies it when it is left out of `{}`", venue.name()),
                    );
                }
                None => fields.missing(name, example, &mut reading.problems),
            }
        }
        return None;
    }
    match endpoint::parse(written, secure, plain) {
        Ok((url, class)) => {
            reading.record_from(&path, name, &url, node.map(|node| &node.place));
            Some(Some((url, class)))
        }
        Err((message, hint)) => {
            let place = node.map_or(Place::Default, |node| node.place.clone());
            reading
                .problems
                .error(&place, "address", format!("`{name}`: {message}"), hint);
            None
        }
    }
}
