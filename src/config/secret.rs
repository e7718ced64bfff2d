//! Keys and secrets of an account: where they are, and reading them without showing them.
//!
//! Order: the environment, the file named in the configuration, a systemd credential; as everywhere, the environment
//! wins over the file, and what the service manager offers is for where nothing else is said. A file that others may read is
//! refused (SE-14), also when it is reached through a link, because the check is made on the file that was opened.

use super::ConfigError;
use secrecy::{ExposeSecret, SecretString};
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use zero::Wiped;

/// A key file is some hundred bytes; a larger one is another file.
const FILE_MAX: u64 = 16 * 1024;
/// How a private key begins.
const PEM: &str = "-----BEGIN";

/// A start that is refused for safety: exit code 3.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("refused: {message}\n  {hint}")]
pub struct Refusal {
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

impl Refusal {
    /// A refusal.
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> Refusal {
        Refusal {
            message: message.into(),
            hint: hint.into(),
        }
    }
}

/// Whether a secret is a private key rather than a shared secret; whether it is a good one is the signer's to say.
pub(super) fn is_private_key(secret: &SecretString) -> bool {
    let text = secret.expose_secret();
    // Where every Ed25519 key in PKCS#8 form names its algorithm (RFC 8410), in base64.
    text.contains(PEM) || text.get(8..16) == Some("BQYDK2Vw")
}

/// Where a secret is.
#[derive(Clone)]
pub enum SecretSource {
    /// A file named in the configuration.
    File(PathBuf),
    /// This environment variable.
    Environment(String, SecretString),
    /// A systemd credential.
    Credential(PathBuf),
    /// Nowhere; the text says where it was looked for.
    Missing(String),
}

/// The key of an account and its secret.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The key, sent with requests.
    pub key: SecretString,
    /// The secret, which signs requests.
    pub secret: SecretString,
}

impl SecretSource {
    /// Reads the secret; a trailing line end is taken off.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Refused`] when others may read the file, it belongs to somebody else, or it is empty;
    /// [`ConfigError::Invalid`] when there is none. Neither shows any of it.
    pub fn read(&self, what: &str) -> Result<SecretString, ConfigError> {
        match self {
            SecretSource::File(path) => read_file(path, what, false),
            SecretSource::Credential(path) => read_file(path, what, true),
            SecretSource::Environment(name, value) => {
                let text = value.expose_secret().trim_end_matches(['\n', '\r']);
                checked(text, what, &format!("environment variable {name}")).map_err(ConfigError::Refused)
            }
            SecretSource::Missing(looked) => {
                let message = format!("{what}: none was found");
                Err(ConfigError::invalid(
                    "configuration",
                    "no-secret",
                    message,
                    Some(looked.clone()),
                ))
            }
        }
    }
}

impl fmt::Display for SecretSource {
    /// The place, never the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretSource::File(path) => write!(f, "file {}", path.display()),
            SecretSource::Environment(name, _) => write!(f, "environment variable {name}"),
            SecretSource::Credential(path) => write!(f, "systemd credential {}", path.display()),
            SecretSource::Missing(_) => f.write_str("nowhere"),
        }
    }
}

impl fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretSource({self})")
    }
}

fn read_file(path: &Path, what: &str, credential: bool) -> Result<SecretString, ConfigError> {
    let shown = path.display();
    let failed = |error: &std::io::Error| {
        let message = format!("{what}: {shown} cannot be read: {}", error.kind());
        ConfigError::invalid("configuration", "secret-file", message, None)
    };
    let mut file = File::open(path).map_err(|error| failed(&error))?;
    let about = file.metadata().map_err(|error| failed(&error))?;
    if !about.is_file() {
        let refusal = Refusal::new(
            format!("{what}: {shown} is not a plain file"),
            "name a file that holds the secret",
        );
        return Err(ConfigError::Refused(refusal));
    }
    guarded(&about, &format!("{what}: {shown}"), credential).map_err(ConfigError::Refused)?;
    if about.len() > FILE_MAX {
        let refusal = Refusal::new(
            format!("{what}: {shown} is too large to be a secret"),
            "name another file",
        );
        return Err(ConfigError::Refused(refusal));
    }
    let mut bytes = Wiped(Vec::new());
    (&mut file)
        .take(FILE_MAX)
        .read_to_end(&mut bytes.0)
        .map_err(|error| failed(&error))?;
    let text = std::str::from_utf8(&bytes.0).map_err(|_| {
        let refusal = Refusal::new(format!("{what}: {shown} is not a text"), "name another file");
        ConfigError::Refused(refusal)
    })?;
    checked(text.trim_end_matches(['\n', '\r']), what, &shown.to_string()).map_err(ConfigError::Refused)
}

/// Whether the file is kept from others. A systemd credential may carry the group's bit: an access list shows as it.
#[cfg(unix)]
fn guarded(about: &std::fs::Metadata, what: &str, credential: bool) -> Result<(), Refusal> {
    use std::os::unix::fs::MetadataExt;
    let forbidden = if credential { 0o007 } else { 0o077 };
    if about.mode() & forbidden != 0 {
        return Err(Refusal::new(
            format!(
                "{what} can be read or written by others (mode {:03o})",
                about.mode() & 0o777
            ),
            "make it yours alone (chmod 600), and think of the secret in it as known",
        ));
    }
    // The owner of `/proc/self` is the user that this process runs as; elsewhere the check is left out.
    let own = std::fs::metadata("/proc/self").map(|about| about.uid()).ok();
    if own.is_some_and(|own| own != about.uid() && about.uid() != 0) {
        return Err(Refusal::new(
            format!("{what} belongs to another user, who can change it"),
            "make the user that runs the guard its owner",
        ));
    }
    Ok(())
}

#[cfg(not(unix))]
fn guarded(_: &std::fs::Metadata, _: &str, _: bool) -> Result<(), Refusal> {
    Ok(())
}

fn checked(text: &str, what: &str, place: &str) -> Result<SecretString, Refusal> {
    if text.trim().is_empty() {
        return Err(Refusal::new(
            format!("{what}: {place} is empty"),
            "put the secret into it, alone on one line",
        ));
    }
    if !text.starts_with(PEM) && text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(Refusal::new(
            format!("{what}: {place} holds more than one word"),
            "it must hold the secret alone on one line, or a private key as PEM",
        ));
    }
    Ok(SecretString::from(text))
}

/// Bytes that do not outlive their use.
mod zero {
    use secrecy::zeroize::Zeroize;

    pub(super) struct Wiped(pub Vec<u8>);

    impl Drop for Wiped {
        fn drop(&mut self) {
            self.0.zeroize();
        }
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    /// A secret in a file of this mode: what reading it says.
    fn check(text: &[u8], mode: u32, through_a_link: bool, credential: bool) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let link = dir.path().join("link");
        symlink(&path, &link).unwrap();
        let named = if through_a_link { link } else { path };
        let source = if credential {
            SecretSource::Credential(named)
        } else {
            SecretSource::File(named)
        };
        match source.read("api_key") {
            Ok(secret) => secret.expose_secret().to_owned(),
            Err(error) => {
                assert!(!format!("{error} {error:?}").contains("CANARY"), "{error:?}");
                format!("exit {}", error.exit_code())
            }
        }
    }

    #[test]
    fn se_14_a_secret_that_others_can_read_is_refused() {
        for (text, mode, link, credential, expected) in [
            (&b"CANARY"[..], 0o600, false, false, "CANARY"),
            (b"CANARY\n", 0o400, false, false, "CANARY"),
            (b"CANARY\r\n", 0o600, true, false, "CANARY"),
            (b"CANARY", 0o640, false, false, "exit 3"),
            (b"CANARY", 0o604, false, false, "exit 3"),
            (b"CANARY", 0o644, true, false, "exit 3"),
            (b"CANARY", 0o620, false, false, "exit 3"),
            (b"CANARY", 0o440, false, true, "CANARY"),
            (b"CANARY", 0o444, false, true, "exit 3"),
            (b"", 0o600, false, false, "exit 3"),
            (b"\n", 0o600, false, false, "exit 3"),
            (b"CANARY\nCANARY", 0o600, false, false, "exit 3"),
            (
                b"-----BEGIN X\nCANARY\n",
                0o600,
                false,
                false,
                "-----BEGIN X\nCANARY",
            ),
            (b"CANARY\xff", 0o600, false, false, "exit 3"),
        ] {
            assert_eq!(
                check(text, mode, link, credential),
                expected,
                "{text:?} {mode:o} {link}"
            );
        }
    }

    #[test]
    fn se_14_a_folder_or_a_missing_file_is_no_secret() {
        let dir = tempfile::tempdir().unwrap();
        let folder = SecretSource::File(dir.path().to_owned()).read("api_key");
        assert_eq!(folder.unwrap_err().exit_code(), 3);
        let missing = SecretSource::File(dir.path().join("none")).read("api_key");
        assert_eq!(missing.unwrap_err().exit_code(), 2);
    }

    #[test]
    fn se_01_no_form_of_a_secret_shows_it() {
        let secret = SecretSource::Environment("X".into(), SecretString::from("CANARY"));
        let both = Credentials {
            key: secret.read("api_key").unwrap(),
            secret: secret.read("api_secret").unwrap(),
        };
        let shown = format!("{secret} {secret:?} {both:?} {both:#?}");
        assert!(!shown.contains("CANARY"), "{shown}");
    }
}
