//! One guard an account: a lock on a file, which the system lets go of when the process dies (PR-18).

use super::store::StoreError;
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Takes the lock of an account. It is held for as long as the file is open; a file that nobody holds is no obstacle.
///
/// # Errors
///
/// [`StoreError::Held`] when another guard has it; [`StoreError::Io`] when the file cannot be used.
pub(super) fn take(path: &Path, account: &str) -> Result<File, StoreError> {
    let io = |error| StoreError::Io(path.to_owned(), error);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Held(account.to_owned())),
        Err(TryLockError::Error(error)) => Err(io(error)),
    }
}
