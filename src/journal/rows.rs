//! The rows of the kept state: numbered, each chained by its hash to the one before, the newest few kept.
//!
//! A row holds `before`, the chain of the row before it, and `chain` = SHA-256 of `before`, number and payload. A byte
//! that changed anywhere in them is noticed, and so is a row that is missing in between (PR-08).

use rusqlite::{Connection, ErrorCode, OptionalExtension, params};
use sha2::{Digest, Sha256};
use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Rows kept: enough to look back over an episode.
pub(super) const ROWS_KEPT: i64 = 64;
/// Copies set aside that are told apart by number.
const ASIDE_MAX: u32 = 10_000;

/// An open database of rows.
#[derive(Debug)]
pub(super) struct Rows {
    database: Connection,
    /// Numbers up to this one were used, by rows that may be gone.
    floor: i64,
}

/// The newest row, or why it is not to be believed.
pub(super) type Newest = Result<Option<(i64, String)>, String>;

impl Rows {
    /// Opens the database, making it when there is none.
    pub(super) fn open(path: &Path) -> Result<Rows, rusqlite::Error> {
        // The file is made by us first, so that nobody else can read it; SQLite gives its companions the same mode.
        let _ = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path);
        let database = Connection::open(path)?;
        database.pragma_update(None, "journal_mode", "WAL")?;
        database.pragma_update(None, "synchronous", "FULL")?;
        database.execute_batch(
            "CREATE TABLE IF NOT EXISTS state (
                number INTEGER PRIMARY KEY, before TEXT NOT NULL, chain TEXT NOT NULL, payload TEXT NOT NULL
            )",
        )?;
        Ok(Rows { database, floor: 0 })
    }

    /// The same, with numbers that go on above `floor`, so that an old copy never looks newer.
    pub(super) fn above(self, floor: i64) -> Rows {
        Rows { floor, ..self }
    }

    /// Reads and verifies every row.
    pub(super) fn newest(&self) -> Result<Newest, rusqlite::Error> {
        let integrity: String = self
            .database
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if integrity != "ok" {
            return Ok(Err(format!("the database is corrupt: {integrity}")));
        }
        let mut all = self
            .database
            .prepare("SELECT number, before, chain, payload FROM state ORDER BY number")?;
        let mut rows = all.query([])?;
        let mut last: Option<(i64, String, String)> = None;
        while let Some(row) = rows.next()? {
            let (number, before): (i64, String) = (row.get(0)?, row.get(1)?);
            let (chain, payload): (String, String) = (row.get(2)?, row.get(3)?);
            let follows = last.as_ref().is_none_or(|(previous, previous_chain, _)| {
                Some(number) == previous.checked_add(1) && before == *previous_chain
            });
            if !follows || link(&before, number, &payload) != chain {
                return Ok(Err(format!(
                    "state number {number} does not fit to the one before: it was changed"
                )));
            }
            last = Some((number, chain, payload));
        }
        Ok(Ok(last.map(|(number, _, payload)| (number, payload))))
    }

    /// Appends a row durably; gives its number.
    pub(super) fn append(&self, payload: &str) -> Result<i64, rusqlite::Error> {
        let before: Option<(i64, String)> = self
            .database
            .prepare_cached("SELECT number, chain FROM state ORDER BY number DESC LIMIT 1")?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let (last, before) = before.unwrap_or((self.floor, String::new()));
        let number = last.saturating_add(1);
        let chain = link(&before, number, payload);
        let transaction = self.database.unchecked_transaction()?;
        transaction
            .prepare_cached("INSERT INTO state (number, before, chain, payload) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![number, before, chain, payload])?;
        transaction
            .prepare_cached("DELETE FROM state WHERE number <= ?1")?
            .execute(params![number.saturating_sub(ROWS_KEPT)])?;
        transaction.commit()?;
        Ok(number)
    }
}

/// The hash that chains a row to the one before.
fn link(before: &str, number: i64, payload: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(before.as_bytes());
    hash.update(number.to_le_bytes());
    hash.update(payload.as_bytes());
    hex::encode(hash.finalize())
}

/// Whether an error says nothing about what is in the file, only that it cannot be worked with now.
pub(super) fn is_passing(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::ReadOnly
                | ErrorCode::DiskFull
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::OutOfMemory
        )
    )
}

/// Renames a database and its companions, never over another, so that SQLite could still open them together.
///
/// # Errors
///
/// When a file cannot be renamed.
pub(super) fn set_aside(path: &Path) -> std::io::Result<()> {
    let with = |path: &Path, ending: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    let free = (1..ASIDE_MAX)
        .map(|n| with(path, &format!(".damaged-{n}")))
        .find(|to| {
            ["", "-wal", "-shm"]
                .iter()
                .all(|ending| fs::symlink_metadata(with(to, ending)).is_err())
        });
    let to =
        free.ok_or_else(|| std::io::Error::other("too many damaged copies are there; move them away"))?;
    for ending in ["", "-wal", "-shm"] {
        match fs::rename(with(path, ending), with(&to, ending)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pr_08_no_changed_byte_of_any_row_passes() {
        let folder = tempfile::tempdir().unwrap();
        let rows = Rows::open(&folder.path().join("main.state.db"))
            .unwrap()
            .above(40);
        for payload in ["first", "second", "third \u{1f512}"] {
            rows.append(payload).unwrap();
        }
        assert_eq!(
            rows.newest().unwrap(),
            Ok(Some((43, "third \u{1f512}".to_owned())))
        );
        for number in 41..=43 {
            for column in ["before", "chain", "payload"] {
                let read = format!("SELECT CAST({column} AS BLOB) FROM state WHERE number = {number}");
                let write = format!("UPDATE state SET {column} = CAST(?1 AS TEXT) WHERE number = {number}");
                let whole: Vec<u8> = rows.database.query_row(&read, [], |row| row.get(0)).unwrap();
                for at in 0..whole.len() {
                    let mut changed = whole.clone();
                    changed[at] ^= 1;
                    rows.database.execute(&write, [&changed]).unwrap();
                    let found = rows.newest();
                    assert!(
                        !matches!(found, Ok(Ok(_))),
                        "{number} {column} byte {at}: {found:?}"
                    );
                }
                rows.database.execute(&write, [&whole]).unwrap();
                assert!(matches!(rows.newest(), Ok(Ok(Some((43, _))))));
            }
        }
        rows.database
            .execute("DELETE FROM state WHERE number = 42", [])
            .unwrap();
        assert!(matches!(rows.newest(), Ok(Err(_))), "a row is missing in between");
    }

    #[test]
    fn pr_06_a_full_disk_is_an_error_that_passes() {
        let folder = tempfile::tempdir().unwrap();
        let rows = Rows::open(&folder.path().join("main.state.db")).unwrap();
        rows.append("one").unwrap();
        let pages = |most: &str| {
            let text = format!("PRAGMA max_page_count = {most}");
            rows.database
                .query_row(&text, [], |row| row.get::<_, i64>(0))
                .unwrap()
        };
        pages("1");
        let large = "x".repeat(100_000);
        let error = rows.append(&large).unwrap_err();
        assert!(is_passing(&error), "{error}");
        assert_eq!(
            rows.newest().unwrap(),
            Ok(Some((1, "one".to_owned()))),
            "nothing is half there"
        );
        pages("100000");
        assert_eq!(rows.append(&large).unwrap(), 2);
    }

    #[test]
    fn only_the_newest_rows_are_kept_and_still_verified() {
        let folder = tempfile::tempdir().unwrap();
        let rows = Rows::open(&folder.path().join("main.state.db")).unwrap();
        rows.database.pragma_update(None, "synchronous", "OFF").unwrap();
        for n in 1..=ROWS_KEPT + 5 {
            assert_eq!(rows.append(&n.to_string()).unwrap(), n);
        }
        let count: i64 = rows
            .database
            .query_row("SELECT count(*) FROM state", [], |row| row.get(0))
            .unwrap();
        assert_eq!(count, ROWS_KEPT);
        assert_eq!(rows.newest().unwrap(), Ok(Some((69, "69".to_owned()))));
        rows.database
            .execute("UPDATE state SET payload = 'x' WHERE number = 6", [])
            .unwrap();
        assert!(rows.newest().unwrap().is_err(), "the oldest that is kept as well");
    }
}
