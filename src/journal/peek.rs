//! A look at the kept state of an account that may be guarded at this moment: nothing is locked, written or made.

use super::store::{Files, Loaded};
use super::{marker::Marker, table};
use rusqlite::{Connection, OpenFlags};
use std::path::Path;

/// The newest state that is kept of an account, as a start would find it.
///
/// With a write-ahead log beside it the database is read as another reader of a running guard's; without one nobody has
/// it open, and it is read as a file that does not change.
///
/// # Errors
///
/// In words, when the state cannot be reached; that says nothing of what it is.
pub fn peek(state_dir: &Path, account: &str) -> Result<Loaded, String> {
    match look(state_dir, account) {
        // A guard that began or ended meanwhile looks like damage: what is damaged still is at a second look.
        Err(_) | Ok(Loaded::Lost(_)) => look(state_dir, account),
        found => found,
    }
}

fn look(state_dir: &Path, account: &str) -> Result<Loaded, String> {
    let files = Files::of(state_dir, account).map_err(|error| error.to_string())?;
    // The marker is written after the rows that it speaks of, so it is read before them.
    let marker = match Marker::read(&files.marker) {
        Ok(marker) => marker,
        Err(why) => return Ok(Loaded::Lost(format!("its marker cannot be read: {why}"))),
    };
    let there = |path: &Path| path.try_exists().map_err(|error| error.to_string());
    if !there(&files.database)? {
        return Ok(match marker {
            Some(_) => Loaded::Lost("the account was guarded before, and its database is missing".into()),
            None => Loaded::Fresh,
        });
    }
    let mut log = files.database.as_os_str().to_owned();
    log.push("-wal");
    let how = if there(Path::new(&log))? {
        "readonly_shm=1"
    } else {
        "immutable=1"
    };
    match newest(&files.database, how) {
        Ok(None) if marker.as_ref().is_some_and(|marker| marker.number > 0) => {
            Ok(Loaded::Lost("it lost what it held".into()))
        }
        Ok(None) => Ok(Loaded::Fresh),
        Ok(Some(row)) if marker.is_some_and(|marker| row.number < marker.number) => {
            Ok(Loaded::Lost("it is an older copy, or it lost its end".into()))
        }
        Ok(Some(row)) => Ok(Loaded::State(row.payload)),
        Err(table::Unusable::Damaged(why)) => Ok(Loaded::Lost(why)),
        Err(table::Unusable::Unreachable(why)) => Err(why),
        Err(table::Unusable::Newer(format)) => Err(format!("a newer version wrote it (format {format})")),
    }
}

fn newest(database: &Path, how: &str) -> Result<Option<table::Row>, table::Unusable> {
    let mut address =
        url::Url::from_file_path(std::path::absolute(database).unwrap_or_else(|_| database.into()))
            .map_err(|()| table::Unusable::Unreachable("its path is no address".into()))?;
    address.set_query(Some(&format!("mode=ro&{how}")));
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(address.as_str(), flags).map_err(table::unusable)?;
    table::check_format(&connection)?;
    table::newest(&connection)
}

#[cfg(test)]
mod tests {
    use super::super::store::Store;
    use super::*;
    use sha2::{Digest, Sha256};
    use std::collections::BTreeMap;
    use std::time::Duration;

    /// Every file by its name, with the digest of its content. The shared memory, in which readers of one process mark
    /// their places, is only named.
    fn files(dir: &Path) -> BTreeMap<String, String> {
        let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        let digest = |path: &Path| hex::encode(Sha256::digest(std::fs::read(path).unwrap()));
        entries
            .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), path))
            .map(|(name, path)| {
                let content = if name.ends_with("-shm") {
                    String::new()
                } else {
                    digest(&path)
                };
                (name, content)
            })
            .collect()
    }

    async fn kept(dir: &Path, state: &str) -> Store {
        let (store, _) = Store::open(dir, "main").unwrap();
        store
            .save(state.into())
            .wait(Duration::from_secs(5))
            .await
            .unwrap();
        store
    }

    #[tokio::test]
    async fn the_state_of_a_running_and_of_a_stopped_guard_is_seen_and_nothing_is_touched() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("a b?c#d%e");
        assert_eq!(peek(&dir, "main"), Ok(Loaded::Fresh));
        assert!(!dir.exists(), "a look makes nothing");

        let store = kept(&dir, "one").await;
        let before = files(&dir);
        assert_eq!(
            peek(&dir, "main"),
            Ok(Loaded::State("one".into())),
            "while it runs"
        );
        assert_eq!(files(&dir), before);
        store
            .save("two".into())
            .wait(Duration::from_secs(5))
            .await
            .unwrap();
        assert_eq!(peek(&dir, "main"), Ok(Loaded::State("two".into())), "the newest");
        // A crash leaves the log behind, and no process that has it open.
        let left = folder.path().join("left");
        std::fs::create_dir(&left).unwrap();
        for name in files(&dir).into_keys() {
            std::fs::copy(dir.join(&name), left.join(&name)).unwrap();
        }
        let before = files(&left);
        assert_eq!(
            peek(&left, "main"),
            Ok(Loaded::State("two".into())),
            "after a crash"
        );
        assert_eq!(files(&left), before);

        store.close();
        let before = files(&dir);
        assert_eq!(
            peek(&dir, "main"),
            Ok(Loaded::State("two".into())),
            "after it stopped"
        );
        assert_eq!(files(&dir), before);
    }

    #[tokio::test]
    async fn pr_08_a_state_that_is_gone_damaged_or_older_is_lost_as_a_start_would_find() {
        let folder = tempfile::tempdir().unwrap();
        kept(folder.path(), "one").await.close();
        let older = std::fs::read(folder.path().join("main.db")).unwrap();
        kept(folder.path(), "two").await.close();
        let lost = |dir: &Path| matches!(peek(dir, "main"), Ok(Loaded::Lost(_)));
        assert!(!lost(folder.path()));
        std::fs::write(folder.path().join("main.db"), &older).unwrap();
        assert!(lost(folder.path()), "an older copy");
        std::fs::write(folder.path().join("main.db"), b"no database").unwrap();
        assert!(lost(folder.path()), "damaged");
        std::fs::remove_file(folder.path().join("main.db")).unwrap();
        assert!(lost(folder.path()), "gone");
    }
}
