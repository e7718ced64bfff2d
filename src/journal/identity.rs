//! Whose state it is: a file beside the state that remembers venue, hosts and key of the account (PR-17).
//!
//! A latch, a high-water mark and a day's opening equity belong to one account. The venue has no number for it that a key
//! could ask for, so the key itself stands for the account; of it only a digest is kept. Another key on the same hosts may
//! be a new key of the same account, which only the operator knows. A state that remembers nobody takes the first account
//! that the venue lets in.

use super::marker::{private, sync_folder};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use url::{Host, Url};

/// Some hundred bytes; more is another file.
const FILE_MAX: u64 = 4 * 1024;

/// What stands for an account.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    venue: String,
    rest: String,
    stream: String,
    /// SHA-256 of label and key.
    key: String,
}

/// Why a start on a kept state is refused; in words, with what to do.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("refused: account {label}: {why}")]
pub struct AnotherAccount {
    label: String,
    why: String,
}

impl Identity {
    /// The identity of an account of this label.
    pub fn of(label: &str, venue: &str, rest_url: &str, stream_url: &str, key: &SecretString) -> Identity {
        let mut digest = Sha256::new();
        // A NUL cannot stand in a label: no two pairs give the same bytes.
        digest.update(label.as_bytes());
        digest.update([0]);
        digest.update(key.expose_secret().as_bytes());
        Identity {
            venue: venue.to_owned(),
            rest: host(rest_url),
            stream: host(stream_url),
            key: hex::encode(digest.finalize()),
        }
    }

    /// Compares with what the state in `dir` remembers. It must be held (see [`super::store::Store::open`]).
    ///
    /// # Errors
    ///
    /// [`AnotherAccount`] when venue or hosts differ, when the key does and `is_new_key` does not say that this is
    /// meant, or when the file cannot be read.
    pub fn check(&self, dir: &Path, label: &str, is_new_key: bool) -> Result<(), AnotherAccount> {
        let path = file(dir, label);
        let refused = |why: String| {
            Err(AnotherAccount {
                label: label.to_owned(),
                why,
            })
        };
        let kept = match read(&path) {
            Ok(None) => return Ok(()),
            Ok(Some(kept)) => kept,
            Err(why) => {
                return refused(format!(
                    "whose state it is cannot be read from {}: {why}; remove that file if the state is this account's",
                    path.display()
                ));
            }
        };
        let differ: Vec<String> = [
            ("venue", &kept.venue, &self.venue),
            ("rest_url", &kept.rest, &self.rest),
            ("stream_url", &kept.stream, &self.stream),
        ]
        .into_iter()
        .filter(|(_, kept, given)| kept != given)
        .map(|(name, kept, given)| format!("{name} was {kept} and is {given}"))
        .collect();
        let (all, folder) = (format!("{label}.*"), dir.display());
        if !differ.is_empty() {
            return refused(format!(
                "its state in {folder} belongs to another account: {}; choose another label, or move the files {all} out of that folder to begin anew",
                differ.join(", ")
            ));
        }
        if kept.key != self.key && !is_new_key {
            return refused(format!(
                "its state in {folder} was kept with another API key; if this is a new key of the same account, start once with --new-key {label}; if it is another account, choose another label, or move the files {all} out of that folder to begin anew"
            ));
        }
        Ok(())
    }

    /// Remembers this identity durably. Called once the venue has accepted the key, so that a mistyped one leaves no trace.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn keep(&self, dir: &Path, label: &str) -> io::Result<()> {
        let path = file(dir, label);
        if read(&path).is_ok_and(|kept| kept.as_ref() == Some(self)) {
            return Ok(());
        }
        let fresh = path.with_extension("account.new");
        let mut file = private().write(true).create(true).truncate(true).open(&fresh)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        std::fs::rename(&fresh, &path)?;
        sync_folder(&path)
    }
}

fn file(dir: &Path, label: &str) -> PathBuf {
    dir.join(format!("{label}.account"))
}

fn read(path: &Path) -> Result<Option<Identity>, String> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let mut text = String::new();
    file.take(FILE_MAX)
        .read_to_string(&mut text)
        .map_err(|error| error.to_string())?;
    serde_json::from_str(&text)
        .map(Some)
        .map_err(|error| error.to_string())
}

/// The host of an address. Ports of this machine change with every start of the embedded exchange and say nothing.
fn host(url: &str) -> String {
    let parsed = Url::parse(url).ok();
    let is_local = match parsed.as_ref().and_then(Url::host) {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if is_local {
        "this machine".to_owned()
    } else {
        url.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: [&str; 2] = ["http://127.0.0.1:7900", "ws://127.0.0.1:7901"];
    const REAL: [&str; 2] = ["https://fapi.binance.com", "wss://fstream.binance.com"];

    fn of(venue: &str, [rest, stream]: [&str; 2], key: &str) -> Identity {
        Identity::of("main", venue, rest, stream, &SecretString::from(key))
    }

    #[test]
    fn pr_17_a_state_is_for_one_venue_one_set_of_hosts_and_one_key() {
        let other_stream = [REAL[0], "wss://other.binance.com"];
        for (kept, given, is_new_key, expected) in [
            (of("a", REAL, "k"), of("a", REAL, "k"), false, ""),
            (
                of("sim", LOCAL, "k"),
                of("sim", ["http://[::1]:1", "ws://localhost:2"], "k"),
                false,
                "",
            ),
            (of("a", REAL, "k"), of("a", REAL, "x"), false, "--new-key main"),
            (of("a", REAL, "k"), of("a", REAL, "x"), true, ""),
            (
                of("a", REAL, "k"),
                of("b", REAL, "k"),
                true,
                "venue was a and is b",
            ),
            (of("a", REAL, "k"), of("a", LOCAL, "k"), true, "is this machine"),
            (
                of("a", REAL, "k"),
                of("a", other_stream, "k"),
                true,
                "stream_url was wss://fstream",
            ),
        ] {
            let dir = tempfile::tempdir().unwrap();
            assert_eq!(given.check(dir.path(), "main", false), Ok(()), "the first start");
            kept.keep(dir.path(), "main").unwrap();
            assert_eq!(given.check(dir.path(), "other", false), Ok(()), "another label");
            let said = given
                .check(dir.path(), "main", is_new_key)
                .err()
                .map_or(String::new(), |e| e.to_string());
            assert!(
                said.contains(expected) && said.is_empty() == expected.is_empty(),
                "{said}"
            );
            given.keep(dir.path(), "main").unwrap();
            assert_eq!(
                given.check(dir.path(), "main", false),
                Ok(()),
                "what was kept last"
            );
        }
    }

    #[test]
    fn pr_17_an_identity_that_cannot_be_read_is_a_refusal_and_shows_no_key() {
        let dir = tempfile::tempdir().unwrap();
        let account = of("a", REAL, "CANARY");
        account.keep(dir.path(), "main").unwrap();
        let path = dir.path().join("main.account");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            !text.contains("CANARY") && !format!("{account:?}").contains("CANARY"),
            "{text}"
        );
        for damaged in ["", "{}", &text[..40]] {
            std::fs::write(&path, damaged).unwrap();
            let said = account.check(dir.path(), "main", true).unwrap_err().to_string();
            assert!(said.contains("main.account"), "{said}");
        }
    }
}
