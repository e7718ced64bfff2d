//! Tokens and roles: `view` < `kill` < `rearm`.

use aws_lc_rs::{constant_time, rand};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Three short lines; a larger file is another file.
const FILE_MAX: u64 = 4096;

/// What a token allows; a higher role may do what a lower one may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reading.
    View,
    /// Stopping.
    Kill,
    /// Releasing.
    Rearm,
}

/// One token for each role. Has no printed form.
#[derive(Clone)]
pub struct Tokens {
    view: SecretString,
    kill: SecretString,
    rearm: SecretString,
}

/// Why the tokens cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read or made.
    #[error("control.token_file {0}: {1}")]
    Io(PathBuf, std::io::Error),
    /// Others may read it.
    #[error("control.token_file {0} can be read by others; `chmod 600` it")]
    Exposed(PathBuf),
    /// It is not what it must be.
    #[error(
        "control.token_file {0}: {1}; it holds view = \"…\", kill = \"…\" and rearm = \"…\", each of 16 characters or more"
    )]
    Content(PathBuf, String),
    /// No randomness.
    #[error("control.token_file: the system gives no random numbers")]
    NoRandomness,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    view: SecretString,
    kill: SecretString,
    rearm: SecretString,
}

impl Tokens {
    /// Reads the token file.
    ///
    /// # Errors
    ///
    /// [`TokenError`] when it is missing, exposed, or not what it must be.
    pub fn load(path: &Path) -> Result<Tokens, TokenError> {
        let io = |error| TokenError::Io(path.to_owned(), error);
        let content = |what: &str| TokenError::Content(path.to_owned(), what.into());
        // Opening a pipe would wait for a writer: what it is, is looked at first, and again at what was opened.
        if !fs::metadata(path).map_err(io)?.is_file() {
            return Err(content("it is not a plain file"));
        }
        let file = File::open(path).map_err(io)?;
        let about = file.metadata().map_err(io)?;
        if about.mode() & 0o077 != 0 {
            return Err(TokenError::Exposed(path.to_owned()));
        }
        let mut text = String::new();
        file.take(FILE_MAX).read_to_string(&mut text).map_err(io)?;
        // The parser's own words could quote a token: only the place is told.
        let kept: Kept = toml_edit::de::from_str(&text).map_err(|_| content("it is not understood"))?;
        let tokens = Tokens {
            view: kept.view,
            kill: kept.kill,
            rearm: kept.rearm,
        };
        let all = [&tokens.view, &tokens.kill, &tokens.rearm];
        if all.iter().any(|token| token.expose_secret().len() < 16) {
            return Err(content("a token is too short"));
        }
        // A token that two roles share would give the lower one all that the higher one may.
        let same = |a: &SecretString, b: &SecretString| a.expose_secret() == b.expose_secret();
        if same(&tokens.view, &tokens.kill)
            || same(&tokens.kill, &tokens.rearm)
            || same(&tokens.view, &tokens.rearm)
        {
            return Err(content("two roles have the same token"));
        }
        Ok(tokens)
    }

    /// Reads the token file, or makes one with random tokens when there is none.
    ///
    /// # Errors
    ///
    /// As [`Tokens::load`], or when it cannot be made.
    pub fn load_or_create(path: &Path) -> Result<Tokens, TokenError> {
        let io = |error| TokenError::Io(path.to_owned(), error);
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .map_err(io)?;
        }
        if fs::symlink_metadata(path).is_ok() {
            return Tokens::load(path);
        }
        let mut text = String::new();
        for role in ["view", "kill", "rearm"] {
            let mut bytes = [0u8; 24];
            rand::fill(&mut bytes).map_err(|_| TokenError::NoRandomness)?;
            text.push_str(&format!("{role} = \"{}\"\n", hex::encode(bytes)));
        }
        // Written beside and then linked: it is there whole or not at all, and never put over one that is there.
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}.new", std::process::id()));
        let made = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&beside)
            .and_then(|mut file| {
                file.write_all(text.as_bytes())?;
                file.sync_all()
            })
            .and_then(|()| fs::hard_link(&beside, path));
        let _ = fs::remove_file(&beside);
        match made {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(io(error)),
            _ => Tokens::load(path),
        }
    }

    /// The role of a presented token; `None` when it is none of ours. Takes the same time for every wrong one.
    pub fn role(&self, presented: &str) -> Option<Role> {
        let all = [
            (&self.rearm, Role::Rearm),
            (&self.kill, Role::Kill),
            (&self.view, Role::View),
        ];
        let mut found = None;
        for (token, role) in all {
            let same = constant_time::verify_slices_are_equal(
                token.expose_secret().as_bytes(),
                presented.as_bytes(),
            );
            if same.is_ok() && found.is_none() {
                found = Some(role);
            }
        }
        found
    }

    /// The token of a role, for the verbs that speak to the guard.
    pub fn token(&self, role: Role) -> &SecretString {
        match role {
            Role::View => &self.view,
            Role::Kill => &self.kill,
            Role::Rearm => &self.rearm,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn se_14_tokens_are_made_private_and_refused_when_others_may_read_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/control.token");
        let made = Tokens::load_or_create(&path).unwrap();
        let again = Tokens::load_or_create(&path).unwrap();
        for role in [Role::View, Role::Kill, Role::Rearm] {
            assert_eq!(again.role(made.token(role).expose_secret()), Some(role));
        }
        assert_eq!(made.role("wrong"), None);
        assert_eq!(made.role(""), None);
        assert_eq!(
            path.parent().unwrap().read_dir().unwrap().count(),
            1,
            "nothing is left beside"
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Tokens::load(&path), Err(TokenError::Exposed(_))));
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(
            matches!(Tokens::load_or_create(&link), Err(TokenError::Exposed(_))),
            "a link leads to it"
        );
    }

    #[test]
    fn se_01_a_broken_token_file_is_refused_without_being_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.token");
        for text in [
            "view = canary",
            "view = \"canary\"",
            "view = \"canary\"\nkill=\"x\"\nrearm=\"y\"",
            "view = \"canary-0123456789\"\nkill = \"canary-0123456789\"\nrearm = \"0123456789abcdef\"",
        ] {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            let error = Tokens::load(&path).err().unwrap().to_string();
            assert!(!error.contains("canary"), "{error}");
        }
    }
}
