//! The journal's table: numbered rows, each carrying the hash of the one before.

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use sha2::{Digest, Sha256};
use std::path::Path;
use std::time::Duration;

/// A SHA-256.
pub(super) type Hash = [u8; 32];

/// Rows kept: enough to see what led to the present, few enough to verify at every start.
const KEPT: i64 = 64;

/// Version of the table; a newer one is refused (PR-22).
const FORMAT: i64 = 1;

/// Versions above this are no versions but damage.
const FORMAT_MAX: i64 = 1_000;

/// Nobody else writes; a reader such as a backup may hold the file for a moment.
const BUSY: Duration = Duration::from_millis(500);

/// The newest row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Row {
    /// Its number, from 1.
    pub number: i64,
    /// Hash of the previous hash, the number and the payload.
    pub hash: Hash,
    /// The state.
    pub payload: String,
}

/// Why a table cannot be used.
#[derive(Debug)]
pub(super) enum Unusable {
    /// Its content is not what was written.
    Damaged(String),
    /// A later version wrote it.
    Newer(i64),
    /// It cannot be reached: permissions, a full or failing disk. Says nothing about the content.
    Unreachable(String),
}

/// Opens an existing file, makes the table when it has none, and sets durability.
pub(super) fn open(path: &Path) -> Result<Connection, Unusable> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(unusable)?;
    connection.busy_timeout(BUSY).map_err(unusable)?;
    let set = |name: &str, value: &str| connection.pragma_update(None, name, value).map_err(unusable);
    set("journal_mode", "WAL")?;
    set("synchronous", "FULL")?;
    set("trusted_schema", "OFF")?;
    match format(&connection)? {
        FORMAT => Ok(connection),
        0 => {
            let make = format!(
                "BEGIN IMMEDIATE;
                 CREATE TABLE state (number INTEGER PRIMARY KEY, before BLOB NOT NULL, hash BLOB NOT NULL,
                                     payload TEXT NOT NULL) STRICT;
                 PRAGMA user_version = {FORMAT};
                 COMMIT;"
            );
            connection.execute_batch(&make).map_err(unusable)?;
            Ok(connection)
        }
        other => Err(strange(other)),
    }
}

/// Whether this version can read it, asked without changing anything.
pub(super) fn check_format(connection: &Connection) -> Result<(), Unusable> {
    match format(connection)? {
        FORMAT => Ok(()),
        other => Err(strange(other)),
    }
}

fn format(connection: &Connection) -> Result<i64, Unusable> {
    connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(unusable)
}

fn strange(format: i64) -> Unusable {
    if (FORMAT..=FORMAT_MAX).contains(&format) {
        Unusable::Newer(format)
    } else {
        Unusable::Damaged(format!("its format number is {format}"))
    }
}

/// Verifies every kept row and gives the newest, `None` when there is none yet.
pub(super) fn newest(connection: &Connection) -> Result<Option<Row>, Unusable> {
    let verdict: String = connection
        .pragma_query_value(None, "integrity_check", |row| row.get(0))
        .map_err(unusable)?;
    if verdict != "ok" {
        return Err(Unusable::Damaged(verdict));
    }
    let mut query = connection
        .prepare("SELECT number, before, hash, payload FROM state ORDER BY number")
        .map_err(unusable)?;
    let mut rows = query.query([]).map_err(unusable)?;
    let mut newest: Option<Row> = None;
    while let Some(row) = rows.next().map_err(unusable)? {
        let number: i64 = row.get(0).map_err(unusable)?;
        let before: Hash = row.get(1).map_err(unusable)?;
        let hash: Hash = row.get(2).map_err(unusable)?;
        let payload: String = row.get(3).map_err(unusable)?;
        if hash != hash_of(&before, number, &payload) {
            return Err(Unusable::Damaged(format!("row {number} is not what was written")));
        }
        if newest
            .as_ref()
            .is_some_and(|last| last.hash != before || last.number.checked_add(1) != Some(number))
        {
            return Err(Unusable::Damaged(format!(
                "row {number} does not follow the one before"
            )));
        }
        newest = Some(Row {
            number,
            hash,
            payload,
        });
    }
    Ok(newest)
}

/// The hash of the row with this number, if it is still kept.
pub(super) fn hash_at(connection: &Connection, number: i64) -> Result<Option<Hash>, Unusable> {
    connection
        .query_row("SELECT hash FROM state WHERE number = ?1", [number], |row| {
            row.get(0)
        })
        .optional()
        .map_err(unusable)
}

/// Appends a row durably and drops what is no longer kept.
pub(super) fn append(connection: &mut Connection, before: &Hash, row: &Row) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    transaction
        .prepare_cached("INSERT INTO state (number, before, hash, payload) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![row.number, before, row.hash, row.payload])?;
    transaction
        .prepare_cached("DELETE FROM state WHERE number <= ?1")?
        .execute([row.number.saturating_sub(KEPT)])?;
    transaction.commit()
}

/// The hash of a row.
pub(super) fn hash_of(before: &Hash, number: i64, payload: &str) -> Hash {
    let mut digest = Sha256::new();
    digest.update(before);
    digest.update(number.to_be_bytes());
    digest.update(payload.as_bytes());
    digest.finalize().into()
}

/// What an error of SQLite says about the content. An error that is not known to be about reaching the file is damage:
/// a state that cannot be read is not a state (PR-08).
pub(super) fn unusable(error: rusqlite::Error) -> Unusable {
    use rusqlite::ErrorCode::{
        CannotOpen, DatabaseBusy, DatabaseLocked, DiskFull, FileLockingProtocolFailed, OutOfMemory,
        PermissionDenied, ReadOnly, SystemIoFailure,
    };
    /// `SQLITE_IOERR_SHORT_READ`: the file ends too early.
    const SHORT_READ: i32 = 522;
    let text = error.to_string();
    if error
        .sqlite_error()
        .is_some_and(|code| code.extended_code == SHORT_READ)
    {
        return Unusable::Damaged(text);
    }
    match error.sqlite_error_code() {
        Some(
            CannotOpen
            | DatabaseBusy
            | DatabaseLocked
            | DiskFull
            | FileLockingProtocolFailed
            | OutOfMemory
            | PermissionDenied
            | ReadOnly
            | SystemIoFailure,
        ) => Unusable::Unreachable(text),
        _ => Unusable::Damaged(text),
    }
}
