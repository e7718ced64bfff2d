//! The kept state of an account on disk: an embedded database, a row a save, each row chained to the one before.
//!
//! A marker beside the database remembers that the account was guarded and how far the rows went, so that a database
//! that is missing, damaged or put back from an older copy is noticed. Damaged files are set aside, never deleted.
//!
//! Writes happen on a thread of their own. A save begins at once and gives a ticket; who must know waits for it.

use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

/// Rows kept: enough to look back over an episode.
const ROWS_KEPT: i64 = 64;
/// The marker is renewed after this many rows, and at open and close: an older copy put back shows by its number.
const MARK_EVERY: i64 = 16;
/// Saves waiting for the disk. When full, the oldest that nobody waits for was superseded anyway.
const SAVES_MAX: usize = 256;
/// How long closing waits for the disk.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// What was found at open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loaded {
    /// The account was never guarded with this state directory.
    Fresh,
    /// The newest state.
    State(String),
    /// There was one, and it is gone or damaged: why.
    Lost(String),
}

/// Why the state could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another guard holds the account.
    #[error("another guard holds account `{0}` with this state directory; only one may guard an account")]
    Held(String),
    /// The directory or a file in it cannot be used.
    #[error("{0}: {1}; state_dir must be a directory that this user can write")]
    Io(PathBuf, std::io::Error),
    /// The database cannot be made.
    #[error("{0}: {1}")]
    Database(PathBuf, rusqlite::Error),
}

/// Why a save is not known to be durable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotDurable {
    /// It takes longer than the caller could wait; it may still succeed.
    #[error("the disk is slow")]
    Slow,
    /// It failed.
    #[error("the disk failed: {0}")]
    Failed(String),
}

/// The kept state of one account.
#[derive(Debug)]
pub struct Store {
    saves: Option<SyncSender<Save>>,
    health: Arc<Mutex<Result<(), String>>>,
    thread: Option<JoinHandle<()>>,
    // Held for as long as the store lives; the system lets go of it when the process dies.
    _lock: File,
}

/// A save under way.
#[derive(Debug)]
pub struct Ticket(Result<oneshot::Receiver<Result<(), String>>, String>);

enum Save {
    Urgent(String, oneshot::Sender<Result<(), String>>),
    Lazy(String),
}

struct Paths {
    lock: PathBuf,
    database: PathBuf,
    marker: PathBuf,
}

impl Store {
    /// Opens the kept state of an account, making what is missing, and takes its lock.
    ///
    /// # Errors
    ///
    /// [`StoreError::Held`] when another process guards the account; the others when the directory cannot be used.
    pub fn open(state_dir: &Path, account: &str) -> Result<(Store, Loaded), StoreError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |error| StoreError::Io(path, error)
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(state_dir)
            .map_err(io(state_dir))?;
        let file = |ending: &str| state_dir.join(format!("{account}.{ending}"));
        let paths = Paths {
            lock: file("lock"),
            database: file("state.db"),
            marker: file("guarded"),
        };
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&paths.lock)
            .map_err(io(&paths.lock))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::Held(account.to_owned())),
            Err(TryLockError::Error(error)) => return Err(StoreError::Io(paths.lock, error)),
        }
        let (database, loaded) = open_database(&paths)?;
        let (saves, waiting) = sync_channel(SAVES_MAX);
        let health = Arc::new(Mutex::new(Ok(())));
        let writer = Writer {
            database,
            marker: paths.marker.clone(),
            health: Arc::clone(&health),
        };
        let thread = std::thread::Builder::new()
            .name(format!("state-{account}"))
            .spawn(move || writer.run(&waiting))
            .map_err(io(&paths.lock))?;
        Ok((
            Store {
                saves: Some(saves),
                health,
                thread: Some(thread),
                _lock: lock,
            },
            loaded,
        ))
    }

    /// Begins to save; the ticket tells when it is durable.
    pub fn save(&self, payload: String) -> Ticket {
        let (done, told) = oneshot::channel();
        match self
            .saves
            .as_ref()
            .map(|saves| saves.try_send(Save::Urgent(payload, done)))
        {
            Some(Ok(())) => Ticket(Ok(told)),
            Some(Err(TrySendError::Full(_))) => Ticket(Err("too many saves are waiting for the disk".into())),
            _ => Ticket(Err("the state's thread is gone".into())),
        }
    }

    /// Saves when there is time; a newer state may take its place.
    pub fn save_lazily(&self, payload: String) {
        if let Some(saves) = &self.saves {
            // When the queue is full, the next lazy save says all that this one would have.
            let _ = saves.try_send(Save::Lazy(payload));
        }
    }

    /// Whether the last save worked.
    pub fn health(&self) -> Result<(), String> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes what is waiting and lets go of the account.
    pub fn close(mut self) {
        self.saves = None;
        if let Some(thread) = self.thread.take() {
            let begun = crate::clock::now();
            while !thread.is_finished()
                && crate::clock::now().since(begun).ms() < CLOSE_WITHIN.as_millis() as i64
            {
                std::thread::sleep(Duration::from_millis(2));
            }
            if thread.is_finished() {
                let _ = thread.join();
            }
        }
    }
}

impl Ticket {
    /// Waits until the save is durable, at most this long.
    ///
    /// # Errors
    ///
    /// [`NotDurable`] when it failed, or is not known to be durable in time.
    pub async fn wait(self, at_most: Duration) -> Result<(), NotDurable> {
        let told = self.0.map_err(NotDurable::Failed)?;
        match tokio::time::timeout(at_most, told).await {
            Err(_) => Err(NotDurable::Slow),
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(why))) => Err(NotDurable::Failed(why)),
            Ok(Err(_)) => Err(NotDurable::Failed("the state's thread is gone".into())),
        }
    }
}

/// What the marker beside the database says.
enum Marker {
    /// The account was never guarded.
    Absent,
    /// It was, and rows went up to this number.
    At(i64),
    /// Its state was found lost, and nothing was saved since.
    Lost(String),
}

/// Opens the database and reads the newest state; a damaged one is set aside and a new one begun.
fn open_database(paths: &Paths) -> Result<(Connection, Loaded), StoreError> {
    let open = || connect(&paths.database).map_err(|e| StoreError::Database(paths.database.clone(), e));
    let mark = |text: &str| {
        write_marker(&paths.marker, text).map_err(|error| StoreError::Io(paths.marker.clone(), error))
    };
    let why = match (read_marker(&paths.marker), paths.database.exists()) {
        (Marker::Absent, false) => {
            let database = open()?;
            mark("0")?;
            return Ok((database, Loaded::Fresh));
        }
        (Marker::Lost(why), false) => why,
        (Marker::At(_), false) => "the database is missing although the account was guarded".into(),
        (marker, true) => {
            let read = connect(&paths.database).and_then(|database| Ok((newest(&database)?, database)));
            match (read, marker) {
                (Err(error), _) => format!("the database cannot be read: {error}"),
                (Ok((Err(why), _)), _) => why,
                (Ok((Ok(Some((number, _))), _)), Marker::At(marked)) if number < marked => format!(
                    "the newest state is number {number}, and number {marked} was written: an older copy was put back"
                ),
                (Ok((Ok(Some((_, payload))), database)), _) => return Ok((database, Loaded::State(payload))),
                (Ok((Ok(None), _)), Marker::Lost(why)) => why,
                (Ok((Ok(None), _)), Marker::At(marked)) if marked > 0 => {
                    "the database is empty although the account was guarded".into()
                }
                (Ok((Ok(None), database)), _) => {
                    mark("0")?;
                    return Ok((database, Loaded::Fresh));
                }
            }
        }
    };
    set_aside(paths);
    let database = open()?;
    // Until something is saved, every start finds it lost: a crash right after is no way around the latch.
    mark(&format!("lost {}", why.replace('\n', " ")))?;
    Ok((database, Loaded::Lost(why)))
}

fn connect(path: &Path) -> Result<Connection, rusqlite::Error> {
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
        "CREATE TABLE IF NOT EXISTS state (number INTEGER PRIMARY KEY, chain TEXT NOT NULL, payload TEXT NOT NULL)",
    )?;
    Ok(database)
}

/// A number and a payload, or why the newest row is not to be believed.
type Newest = Result<Option<(i64, String)>, String>;

fn newest(database: &Connection) -> Result<Newest, rusqlite::Error> {
    let integrity: String = database.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if integrity != "ok" {
        return Ok(Err(format!("the database is corrupt: {integrity}")));
    }
    let mut rows = database.prepare("SELECT number, chain, payload FROM state ORDER BY number")?;
    let mut before: Option<(i64, String)> = None;
    let mut last = None;
    let all = rows.query_map([], |row| {
        Ok((
            row.get::<_, i64>(0)?,
            row.get::<_, String>(1)?,
            row.get::<_, String>(2)?,
        ))
    })?;
    for row in all {
        let (number, chain, payload) = row?;
        let fits = match &before {
            Some((previous, hash)) => number == previous + 1 && link(hash, number, &payload) == chain,
            // Older rows are gone, except under the very first.
            None => number != 1 || link("", number, &payload) == chain,
        };
        if !fits {
            return Ok(Err(format!(
                "state number {number} does not fit to the one before: it was changed"
            )));
        }
        before = Some((number, chain));
        last = Some((number, payload));
    }
    Ok(Ok(last))
}

/// The hash that chains a row to the one before.
fn link(before: &str, number: i64, payload: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(before.as_bytes());
    hash.update(number.to_le_bytes());
    hash.update(payload.as_bytes());
    hex::encode(hash.finalize())
}

fn set_aside(paths: &Paths) {
    for ending in ["", "-wal", "-shm"] {
        let mut from = paths.database.clone().into_os_string();
        from.push(ending);
        let from = PathBuf::from(from);
        if !from.exists() {
            continue;
        }
        let free = (1..10_000).map(|n| paths.database.with_extension(format!("db{ending}.damaged-{n}")));
        if let Some(to) = free.into_iter().find(|to| !to.exists()) {
            let _ = fs::rename(&from, to);
        }
    }
}

/// Reads the marker. One that cannot be read says that the account was guarded.
fn read_marker(path: &Path) -> Marker {
    let mut text = String::new();
    match File::open(path).and_then(|mut file| file.read_to_string(&mut text)) {
        Ok(_) => match text.trim().strip_prefix("lost ") {
            Some(why) => Marker::Lost(why.to_owned()),
            None => Marker::At(text.trim().parse().unwrap_or(0)),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Marker::Absent,
        Err(_) => Marker::At(0),
    }
}

/// Written beside and renamed, so that it is never half there.
fn write_marker(path: &Path, text: &str) -> std::io::Result<()> {
    let beside = path.with_extension("guarded.new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

struct Writer {
    database: Connection,
    marker: PathBuf,
    health: Arc<Mutex<Result<(), String>>>,
}

impl Writer {
    fn run(self, waiting: &Receiver<Save>) {
        let mut last = 0;
        let mut marked = 0;
        while let Ok(first) = waiting.recv() {
            // Everything that is waiting becomes one row: the newest state holds all that the older ones did.
            let mut tickets = Vec::new();
            let mut payload = String::new();
            for save in std::iter::once(first).chain(std::iter::from_fn(|| waiting.try_recv().ok())) {
                payload = match save {
                    Save::Urgent(text, ticket) => {
                        tickets.push(ticket);
                        text
                    }
                    Save::Lazy(text) => text,
                };
            }
            let written = self.append(&payload).map_err(|error| error.to_string());
            if let Ok(number) = written {
                last = number;
            }
            let result = written.map(|_| ());
            *self.health.lock().unwrap_or_else(PoisonError::into_inner) = result.clone();
            for ticket in tickets {
                let _ = ticket.send(result.clone());
            }
            let is_due = last > 0 && (marked == 0 || last >= marked + MARK_EVERY);
            if is_due && write_marker(&self.marker, &last.to_string()).is_ok() {
                marked = last;
            }
        }
        if last > marked {
            let _ = write_marker(&self.marker, &last.to_string());
        }
    }

    fn append(&self, payload: &str) -> Result<i64, rusqlite::Error> {
        let before: Option<(i64, String)> = self
            .database
            .prepare_cached("SELECT number, chain FROM state ORDER BY number DESC LIMIT 1")?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let (number, hash) = before.map_or((1, String::new()), |(number, hash)| (number + 1, hash));
        let chain = link(&hash, number, payload);
        let transaction = self.database.unchecked_transaction()?;
        transaction
            .prepare_cached("INSERT INTO state (number, chain, payload) VALUES (?1, ?2, ?3)")?
            .execute(params![number, chain, payload])?;
        transaction
            .prepare_cached("DELETE FROM state WHERE number <= ?1")?
            .execute(params![number - ROWS_KEPT])?;
        transaction.commit()?;
        Ok(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    async fn saved(folder: &Path, payloads: &[&str]) {
        let (store, _) = Store::open(folder, "main").unwrap();
        for payload in payloads {
            store.save((*payload).into()).wait(SOON).await.unwrap();
        }
        store.close();
    }

    fn reopened(folder: &Path) -> Loaded {
        let (store, loaded) = Store::open(folder, "main").unwrap();
        store.close();
        loaded
    }

    #[tokio::test]
    async fn what_was_saved_last_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(reopened(folder.path()), Loaded::Fresh);
        saved(folder.path(), &["one", "two"]).await;
        assert_eq!(reopened(folder.path()), Loaded::State("two".into()));
        for _ in 0..3 {
            let many: Vec<String> = (0..40).map(|n| n.to_string()).collect();
            saved(
                folder.path(),
                &many.iter().map(String::as_str).collect::<Vec<_>>(),
            )
            .await;
        }
        assert_eq!(
            reopened(folder.path()),
            Loaded::State("39".into()),
            "old rows go, the newest stays"
        );
    }

    #[tokio::test]
    async fn pr_18_one_guard_an_account() {
        let folder = tempfile::tempdir().unwrap();
        let (first, _) = Store::open(folder.path(), "main").unwrap();
        assert!(matches!(
            Store::open(folder.path(), "main"),
            Err(StoreError::Held(_))
        ));
        assert!(
            Store::open(folder.path(), "other").is_ok(),
            "another account is free"
        );
        first.close();
        assert!(
            Store::open(folder.path(), "main").is_ok(),
            "a lock that nobody holds is no obstacle"
        );
    }

    #[tokio::test]
    async fn pr_08_a_changed_byte_is_noticed_and_the_file_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        saved(folder.path(), &["aaaa-first", "bbbb-second", "cccc-third"]).await;
        let path = folder.path().join("main.state.db");
        Connection::open(&path)
            .unwrap()
            .execute("UPDATE state SET payload = 'dddd-third' WHERE number = 3", [])
            .unwrap();
        assert!(matches!(reopened(folder.path()), Loaded::Lost(why) if why.contains("number 3")));
        assert!(
            folder.path().read_dir().unwrap().any(|f| f
                .unwrap()
                .file_name()
                .to_string_lossy()
                .contains("damaged-1"))
        );
        assert!(
            matches!(reopened(folder.path()), Loaded::Lost(_)),
            "lost until something is saved"
        );
        saved(folder.path(), &["new"]).await;
        assert_eq!(reopened(folder.path()), Loaded::State("new".into()));
    }

    #[tokio::test]
    async fn pr_08_a_truncated_file_and_an_older_copy_are_noticed() {
        let folder = tempfile::tempdir().unwrap();
        saved(folder.path(), &["one"]).await;
        let path = folder.path().join("main.state.db");
        let older = fs::read(&path).unwrap();
        saved(folder.path(), &["two", "three"]).await;
        fs::write(&path, &older).unwrap();
        assert!(matches!(reopened(folder.path()), Loaded::Lost(why) if why.contains("older copy")));

        let folder = tempfile::tempdir().unwrap();
        saved(folder.path(), &["one"]).await;
        let path = folder.path().join("main.state.db");
        let whole = fs::read(&path).unwrap();
        fs::write(&path, whole.get(..whole.len() / 2 + 100).unwrap()).unwrap();
        assert!(matches!(reopened(folder.path()), Loaded::Lost(_)));
    }

    #[tokio::test]
    async fn pr_09_a_missing_database_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        saved(folder.path(), &["one"]).await;
        fs::remove_file(folder.path().join("main.state.db")).unwrap();
        assert!(matches!(reopened(folder.path()), Loaded::Lost(why) if why.contains("missing")));
    }

    #[tokio::test]
    async fn pr_06_a_disk_that_refuses_fails_the_ticket_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(folder.path(), "main").unwrap();
        store.save("one".into()).wait(SOON).await.unwrap();
        // Another connection holds the write lock: as good as a disk that refuses.
        let other = Connection::open(folder.path().join("main.state.db")).unwrap();
        other.execute_batch("DROP TABLE state").unwrap();
        assert!(matches!(
            store.save("two".into()).wait(SOON).await,
            Err(NotDurable::Failed(_))
        ));
        assert!(store.health().is_err());
        store.close();
    }
}
