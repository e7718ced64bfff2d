//! Where the secrets of a table are: finding them, without reading them.

use super::Origin;
use super::fields::{Fields, text};
use super::layers::secret_variable;
use super::mask::looks_like_a_secret;
use super::reading::Reading;
use super::secret::SecretSource;
use secrecy::SecretString;
use std::path::PathBuf;

/// Whose secret it is.
pub(super) struct Owner {
    /// The table: `account.main`.
    path: String,
    /// How its environment variables begin.
    variable: String,
    /// How its systemd credentials begin.
    credential: String,
}

impl Owner {
    /// An account.
    pub(super) fn account(label: &str) -> Owner {
        Owner {
            path: format!("account.{label}"),
            variable: secret_variable("account", label, ""),
            credential: format!("backstop-{label}-"),
        }
    }

    /// A channel of alerts.
    pub(super) fn alerts(name: &str) -> Owner {
        Owner {
            path: format!("alerts.{name}"),
            variable: secret_variable("alerts", name, ""),
            credential: format!("backstop-alerts-{name}-"),
        }
    }
}

/// Where a secret is: the environment, the file named, a systemd credential.
pub(super) fn source(
    owner: &Owner,
    inline: &'static str,
    file: &'static str,
    fields: &mut Fields<'_>,
    reading: &mut Reading<'_>,
) -> Option<SecretSource> {
    if let Some(node) = fields.get(inline) {
        let message =
            format!("`{inline}` is written into the configuration, where everybody who reads it learns it");
        let hint =
            format!("put it into a file of mode 600 and name that in `{file}`; think of this one as known");
        reading.problems.error(&node.key, "inline-secret", message, hint);
        return None;
    }
    let path = &owner.path;
    let mut named = None;
    if let Some(node) = fields.get(file) {
        let name = text(node, file, &mut reading.problems)?;
        if looks_like_a_secret(name) {
            let message = format!("`{file}` holds what looks like the secret itself");
            reading.problems.error(
                &node.key,
                "inline-secret",
                message,
                "name the file that holds it".to_owned(),
            );
            return None;
        }
        named = Some(reading.path(name, file, &node.place)?);
        reading.record(path, file, name, &node.place);
    }
    let variable = format!("{}{}", owner.variable, inline.to_uppercase());
    if let Some(value) = reading.around.environment.get(&variable) {
        let origin = Origin::Environment(variable.clone());
        reading.record_origin(path, inline, "********".into(), origin);
        return Some(SecretSource::Environment(
            variable,
            SecretString::from(value.as_str()),
        ));
    }
    if let Some(file) = named {
        return Some(SecretSource::File(file));
    }
    let name = format!("{}{inline}", owner.credential);
    if let Some(dir) = reading.around.environment.get("CREDENTIALS_DIRECTORY") {
        let credential = PathBuf::from(dir).join(&name);
        if credential.exists() {
            let origin = Origin::Environment("CREDENTIALS_DIRECTORY".into());
            reading.record_origin(path, inline, "********".into(), origin);
            return Some(SecretSource::Credential(credential));
        }
    }
    let looked = format!("set `{file}`, or {variable}, or the systemd credential {name}");
    Some(SecretSource::Missing(looked))
}
