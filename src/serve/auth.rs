//! Who may do what: three tokens, each for a role, and a higher role may do what a lower one may.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

/// Three tokens and their names are some 250 bytes.
const FILE_MAX: u64 = 4 * 1024;
/// A shorter token could be guessed.
const TOKEN_MIN: usize = 20;
/// Random bytes of a token that we make.
const TOKEN_BYTES: usize = 32;

/// What a token allows; a later one includes the earlier.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Role {
    /// To look.
    View,
    /// To reduce risk.
    Kill,
    /// To release a latch.
    Rearm,
}

impl Role {
    /// Its name, as in the token file.
    pub fn name(self) -> &'static str {
        match self {
            Role::View => "view",
            Role::Kill => "kill",
            Role::Rearm => "rearm",
        }
    }
}

/// The tokens of the control API.
#[derive(Clone, Debug)]
pub struct Tokens {
    view: SecretString,
    kill: SecretString,
    rearm: SecretString,
}

/// Why there are no tokens.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It is not safe to use this file.
    #[error("token file {}: {why}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// In words, without its content.
        why: String,
    },
    /// The file cannot be read or written.
    #[error("token file {}: {why}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// In words.
        why: String,
    },
}

impl TokenError {
    /// The exit code of a start that ends with it: 3 for a refusal for safety, 2 otherwise.
    pub fn exit_code(&self) -> i32 {
        match self {
            TokenError::Refused { .. } => 3,
            TokenError::Io { .. } => 2,
        }
    }
}

/// The token file as it is written (SPEC.md 8).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    view: SecretString,
    kill: SecretString,
    rearm: SecretString,
}

impl Tokens {
    /// Reads the token file, or creates it with random tokens (mode 0600) when there is none.
    ///
    /// # Errors
    ///
    /// [`TokenError`]; a file that others can read is refused.
    pub fn load_or_create(path: &Path) -> Result<Tokens, TokenError> {
        match std::fs::symlink_metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let tokens = Tokens::random()?;
                tokens.create(path).map_err(|error| io(path, &error))?;
                Ok(tokens)
            }
            _ => Tokens::load(path),
        }
    }

    /// Reads the token file.
    ///
    /// # Errors
    ///
    /// [`TokenError`]; a file that others can read is refused.
    pub fn load(path: &Path) -> Result<Tokens, TokenError> {
        let refused = |why: String| TokenError::Refused {
            path: path.to_owned(),
            why,
        };
        let file = File::open(path).map_err(|error| io(path, &error))?;
        let about = file.metadata().map_err(|error| io(path, &error))?;
        if !about.is_file() || FILE_MAX < about.len() {
            return Err(refused("it is not a token file".into()));
        }
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::MetadataExt::mode(&about) & 0o777;
            if mode & 0o077 != 0 {
                return Err(refused(format!(
                    "others can read or write it (mode {mode:03o}); remove it to get new tokens, or chmod 600"
                )));
            }
        }
        let mut text = String::new();
        file.take(FILE_MAX)
            .read_to_string(&mut text)
            .map_err(|error| io(path, &error))?;
        // The parser's own words could show a token.
        let written: Written = toml_edit::de::from_str(&text)
            .map_err(|_| refused("it must hold `view`, `kill` and `rearm`, each a text in quotes".into()))?;
        let tokens = Tokens {
            view: written.view,
            kill: written.kill,
            rearm: written.rearm,
        };
        tokens.check().map_err(refused)?;
        Ok(tokens)
    }

    /// New tokens of 256 random bits each.
    ///
    /// # Errors
    ///
    /// [`TokenError::Io`] when the system gives no random bytes.
    pub fn random() -> Result<Tokens, TokenError> {
        let token = || {
            let mut bytes = [0; TOKEN_BYTES];
            aws_lc_rs::rand::fill(&mut bytes).map_err(|_| TokenError::Io {
                path: PathBuf::new(),
                why: "the system gives no random bytes".into(),
            })?;
            Ok(SecretString::from(hex::encode(bytes)))
        };
        Ok(Tokens {
            view: token()?,
            kill: token()?,
            rearm: token()?,
        })
    }

    /// The token of a role.
    pub fn of(&self, role: Role) -> &SecretString {
        match role {
            Role::View => &self.view,
            Role::Kill => &self.kill,
            Role::Rearm => &self.rearm,
        }
    }

    /// The role that a token stands for. Takes the same time for any token that is wrong, however wrong.
    pub fn role(&self, given: &str) -> Option<Role> {
        let given = Sha256::digest(given.as_bytes());
        let mut found = None;
        for role in [Role::View, Role::Kill, Role::Rearm] {
            let own = Sha256::digest(self.of(role).expose_secret().as_bytes());
            if verify_slices_are_equal(&given, &own).is_ok() {
                found = Some(role);
            }
        }
        found
    }

    fn check(&self) -> Result<(), String> {
        let mut seen: Vec<&str> = Vec::new();
        for role in [Role::View, Role::Kill, Role::Rearm] {
            let token = self.of(role).expose_secret();
            if token.len() < TOKEN_MIN || !token.chars().all(|c| c.is_ascii_graphic()) {
                let name = role.name();
                return Err(format!(
                    "`{name}` must have {TOKEN_MIN} or more characters and no spaces"
                ));
            }
            if seen.contains(&token) {
                return Err("two roles have the same token; each needs its own".into());
            }
            seen.push(token);
        }
        Ok(())
    }

    fn create(&self, path: &Path) -> std::io::Result<()> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            let mut builder = DirBuilder::new();
            #[cfg(unix)]
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            builder.recursive(true).create(folder)?;
        }
        let mut options = OpenOptions::new();
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut fresh = path.as_os_str().to_owned();
        fresh.push(".new");
        let fresh = PathBuf::from(fresh);
        match std::fs::remove_file(&fresh) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = options.write(true).create_new(true).open(&fresh)?;
        writeln!(
            file,
            "# Tokens of the control API. Whoever has one may do what its name says, and less."
        )?;
        for role in [Role::View, Role::Kill, Role::Rearm] {
            writeln!(file, "{} = \"{}\"", role.name(), self.of(role).expose_secret())?;
        }
        file.sync_all()?;
        std::fs::rename(&fresh, path)
    }
}

fn io(path: &Path, error: &std::io::Error) -> TokenError {
    TokenError::Io {
        path: path.to_owned(),
        why: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exposed(tokens: &Tokens) -> Vec<String> {
        [Role::View, Role::Kill, Role::Rearm]
            .map(|role| tokens.of(role).expose_secret().to_owned())
            .to_vec()
    }

    #[test]
    fn missing_tokens_are_created_once_and_for_their_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/tokens.toml");
        let made = Tokens::load_or_create(&path).unwrap();
        #[cfg(unix)]
        {
            let about = std::fs::metadata(&path).unwrap();
            assert_eq!(std::os::unix::fs::MetadataExt::mode(&about) & 0o777, 0o600);
        }
        assert_eq!(exposed(&Tokens::load_or_create(&path).unwrap()), exposed(&made));
        assert_eq!(exposed(&Tokens::load(&path).unwrap()), exposed(&made));
        assert!(exposed(&made).iter().all(|token| token.len() == 64));
    }

    #[test]
    fn a_token_stands_for_its_role_and_no_other_text_does() {
        let tokens = Tokens::random().unwrap();
        for role in [Role::View, Role::Kill, Role::Rearm] {
            let token = tokens.of(role).expose_secret();
            assert_eq!(tokens.role(token), Some(role));
            assert_eq!(tokens.role(&token[1..]), None);
            assert_eq!(tokens.role(&format!("{token} ")), None);
        }
        assert_eq!(tokens.role(""), None);
        assert!(Role::View < Role::Kill && Role::Kill < Role::Rearm);
    }

    #[cfg(unix)]
    #[test]
    fn se_14_a_token_file_that_is_not_safe_is_refused_without_showing_it() {
        use std::os::unix::fs::PermissionsExt;
        let good = "view = \"CANARY-0123456789-a\"\nkill = \"CANARY-0123456789-b\"\nrearm = \"CANARY-0123456789-c\"\n";
        let long = good.replace("CANARY-", "CANARY-----");
        for (text, mode, fine) in [
            (long.clone(), 0o600, true),
            (long.clone(), 0o400, true),
            (long.clone(), 0o640, false),
            (long.clone(), 0o604, false),
            (good.replace("CANARY-0123456789", "CANARY"), 0o600, false),
            (long.replace("-b", "-a"), 0o600, false),
            (format!("{long}more = \"CANARY\""), 0o600, false),
            (long.replace('"', ""), 0o600, false),
            (String::new(), 0o600, false),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("tokens.toml");
            std::fs::write(&path, &text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            match Tokens::load(&path) {
                Ok(tokens) => {
                    assert!(fine, "{text} {mode:o}");
                    assert!(!format!("{tokens:?}").contains("CANARY"));
                }
                Err(error) => {
                    assert!(!fine, "{text} {mode:o}: {error}");
                    assert_eq!(error.exit_code(), 3);
                    assert!(!format!("{error} {error:?}").contains("CANARY"), "{error}");
                }
            }
        }
    }
}
