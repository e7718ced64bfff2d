//! The marker of an account: that it was guarded before, and how far its journal had come.
//!
//! It lies beside the database and is no part of it, so that a database which vanished or was put back from an older
//! copy is noticed (PR-08, PR-09).

use super::table::{Hash, Row};
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

/// The marker is one line; more is another file.
const FILE_MAX: u64 = 256;

/// What the marker says: the newest row when it was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Marker {
    /// Number of the newest row; 0 when there was none.
    pub number: i64,
    /// Its hash.
    pub hash: Hash,
}

impl Marker {
    /// The marker for a newest row.
    pub fn of(row: &Row) -> Marker {
        Marker {
            number: row.number,
            hash: row.hash,
        }
    }

    /// Reads it; `Ok(None)` only when there is proof that there is none.
    ///
    /// # Errors
    ///
    /// In words, when it is there and cannot be read.
    pub fn read(path: &Path) -> Result<Option<Marker>, String> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        let mut text = String::new();
        file.take(FILE_MAX)
            .read_to_string(&mut text)
            .map_err(|error| error.to_string())?;
        let unreadable = || "it is not a marker".to_owned();
        let (number, hash) = text.trim_end().split_once(' ').ok_or_else(unreadable)?;
        let number: i64 = number.parse().map_err(|_| unreadable())?;
        let mut bytes: Hash = [0; 32];
        hex::decode_to_slice(hash, &mut bytes).map_err(|_| unreadable())?;
        Ok(Some(Marker { number, hash: bytes }))
    }

    /// Writes it durably: a new file takes the place of the old one.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut fresh = path.as_os_str().to_owned();
        fresh.push(".new");
        let fresh = PathBuf::from(fresh);
        let mut file = private().write(true).create(true).truncate(true).open(&fresh)?;
        file.write_all(format!("{} {}\n", self.number, hex::encode(self.hash)).as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&fresh, path)?;
        sync_folder(path)
    }
}

/// Options that create files for this user alone.
pub(super) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Makes the names in the folder of `path` durable.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        #[cfg(unix)]
        Some(folder) => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}
