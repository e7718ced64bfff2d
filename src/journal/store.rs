//! The durable state of an account: appended by a thread of its own, so that a slow or failing disk holds nothing up.
//!
//! The store keeps text and does not know what it means. What it promises: after [`Ticket::wait`] said yes, the text
//! is what the next start gets, also after a crash or a power cut; and a state that is not the newest that was ever
//! promised is recognised as such, as far as the marker beside the database tells (it is written at start, at the first
//! save, at the end, and at most once a minute between).

use super::marker::{Marker, private, sync_folder};
use super::table::{self, Hash, Row, Unusable};
use rusqlite::Connection;
use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// A label becomes the name of files; longer ones are no labels.
const LABEL_MAX: usize = 64;
/// Tickets waiting for one write. The core waits for each before the next, so more is a fault of ours.
const TICKETS_MAX: usize = 4_096;
/// A lazy state waits this long for a newer one.
const LAZY: Duration = Duration::from_millis(250);
/// A write that failed is tried again this often, so that the state is durable soon after the disk is well.
const RETRY: Duration = Duration::from_secs(1);
/// The marker is written at most this often: it bounds what a rollback can hide.
const MARKER: Duration = Duration::from_secs(60);
/// SPEC.md 5: shutdown takes at most 5 s; a disk that hangs gets 2 of them.
const CLOSE: Duration = Duration::from_secs(2);
/// Damaged copies that are kept under numbers of their own before the start is refused.
const DAMAGED_MAX: u32 = 10_000;

/// What was found at the start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Loaded {
    /// The account was never guarded from this directory.
    Fresh,
    /// The newest state.
    State(String),
    /// There was a state and it is damaged, rolled back or gone; in words. The account starts latched (PR-08, PR-09).
    Lost(String),
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// PR-18.
    #[error("another guard holds account `{account}` in {}", dir.display())]
    Held {
        /// The account.
        account: String,
        /// The state directory.
        dir: PathBuf,
    },
    /// The label cannot be the name of a file.
    #[error("account label `{0}` cannot be the name of a file: use letters, digits, `-` and `_`, at most 64")]
    Label(String),
    /// A later version wrote the state (PR-22).
    #[error("{} was written by a newer version (format {format}); use that version", path.display())]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its format.
        format: i64,
    },
    /// The directory or a file in it cannot be used.
    #[error("state in {} cannot be used: {why}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// In words.
        why: String,
    },
}

impl StoreError {
    /// The exit code of a start that ends with it: 3 for a refusal for safety, 2 otherwise.
    pub fn exit_code(&self) -> i32 {
        match self {
            StoreError::Held { .. } | StoreError::Newer { .. } => 3,
            StoreError::Label(_) | StoreError::Io { .. } => 2,
        }
    }
}

/// The state is not known to be durable.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the state is not durable: {0}")]
pub struct NotDurable(pub String);

/// The store of one account.
#[derive(Debug)]
pub struct Store {
    desk: Arc<Desk>,
    ended: Receiver<()>,
}

/// What is asked of the store's thread and what it answers.
#[derive(Debug, Default)]
struct Desk {
    wanted: Mutex<Wanted>,
    bell: Condvar,
}

#[derive(Debug, Default)]
struct Wanted {
    /// The newest state that is not durable yet.
    payload: Option<String>,
    /// Who waits for it, or for an older one that it replaced.
    tickets: Vec<oneshot::Sender<Result<(), NotDurable>>>,
    closing: bool,
    trouble: Option<String>,
    /// The thread ended.
    gone: bool,
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A promise that a state becomes durable.
#[derive(Debug)]
pub struct Ticket(oneshot::Receiver<Result<(), NotDurable>>);

impl Ticket {
    /// Waits until the state is durable, at most this long.
    ///
    /// # Errors
    ///
    /// [`NotDurable`] when the disk refused or took too long. The store keeps trying; a kill goes on without it
    /// (PR-06).
    pub async fn wait(self, at_most: Duration) -> Result<(), NotDurable> {
        match tokio::time::timeout(at_most, self.0).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(NotDurable("the store has ended".into())),
            Err(_) => Err(NotDurable(format!("the disk took longer than {at_most:?}"))),
        }
    }
}

impl Store {
    /// Opens the store of an account, creating the directory (mode 0700) and the files (mode 0600) as needed, and
    /// starts its thread. Only one process at a time can have it; a lock file that a crash left is no obstacle.
    ///
    /// What is damaged is renamed, never deleted, and a new database begins.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; its exit code is for the process.
    pub fn open(state_dir: &Path, account: &str) -> Result<(Store, Loaded), StoreError> {
        let files = Files::of(state_dir, account)?;
        let lock = files.lock(state_dir, account)?;
        let (keeper, loaded) = Keeper::open(files, lock)?;
        let desk = Arc::new(Desk::default());
        let (farewell, ended) = sync_channel(1);
        let theirs = Arc::clone(&desk);
        std::thread::Builder::new()
            .name(format!("state-{account}"))
            .spawn(move || {
                let leaving = Leaving(Arc::clone(&theirs), farewell);
                keeper.work(&theirs);
                drop(leaving);
            })
            .map_err(|error| StoreError::Io {
                path: state_dir.to_owned(),
                why: format!("no thread for it: {error}"),
            })?;
        Ok((Store { desk, ended }, loaded))
    }

    /// Begins to make this state durable and returns at once. It replaces any state that still waits.
    pub fn save(&self, payload: String) -> Ticket {
        let (answer, ticket) = oneshot::channel();
        let mut wanted = self.desk.lock();
        if wanted.gone {
            drop(answer);
        } else if TICKETS_MAX <= wanted.tickets.len() {
            wanted.payload = Some(payload);
            let _ = answer.send(Err(NotDurable("too many states wait for the disk".into())));
        } else {
            wanted.payload = Some(payload);
            wanted.tickets.push(answer);
        }
        self.desk.bell.notify_one();
        Ticket(ticket)
    }

    /// Makes this state durable within a moment, unless a newer one replaces it first.
    pub fn save_lazily(&self, payload: String) {
        let mut wanted = self.desk.lock();
        if !wanted.gone {
            wanted.payload = Some(payload);
            self.desk.bell.notify_one();
        }
    }

    /// Whether the last write succeeded.
    ///
    /// # Errors
    ///
    /// Why it did not, in words.
    pub fn health(&self) -> Result<(), String> {
        let wanted = self.desk.lock();
        match &wanted.trouble {
            Some(why) => Err(why.clone()),
            None if wanted.gone => Err("the store has ended".into()),
            None => Ok(()),
        }
    }

    /// Makes what waits durable and ends the thread, in at most 2 s.
    pub fn close(self) {
        drop(self);
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.desk.lock().closing = true;
        self.desk.bell.notify_one();
        let _ = self.ended.recv_timeout(CLOSE);
    }
}

/// Says that the thread ended, however it ends.
struct Leaving(Arc<Desk>, SyncSender<()>);

impl Drop for Leaving {
    fn drop(&mut self) {
        let mut wanted = self.0.lock();
        wanted.gone = true;
        wanted.tickets.clear();
        drop(wanted);
        let _ = self.1.try_send(());
    }
}

/// The files of an account.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) database: PathBuf,
    pub(super) marker: PathBuf,
    lock: PathBuf,
}

impl Files {
    pub(super) fn of(dir: &Path, account: &str) -> Result<Files, StoreError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if account.is_empty() || LABEL_MAX < account.len() || !account.chars().all(plain) {
            return Err(StoreError::Label(account.to_owned()));
        }
        let named = |end: &str| dir.join(format!("{account}.{end}"));
        Ok(Files {
            database: named("db"),
            marker: named("guarded"),
            lock: named("lock"),
        })
    }

    /// Takes the account. The lock is the kernel's and goes with the process; the file may stay.
    fn lock(&self, dir: &Path, account: &str) -> Result<File, StoreError> {
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder
            .recursive(true)
            .create(dir)
            .map_err(|error| io_error(dir, &error))?;
        let file = private()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&self.lock)
            .map_err(|error| io_error(&self.lock, &error))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(StoreError::Held {
                account: account.to_owned(),
                dir: dir.to_owned(),
            }),
            Err(TryLockError::Error(error)) => Err(io_error(&self.lock, &error)),
        }
    }

    /// The database and what SQLite puts beside it.
    fn parts(&self) -> Vec<PathBuf> {
        ["", "-wal", "-shm"]
            .into_iter()
            .map(|end| {
                let mut name = self.database.as_os_str().to_owned();
                name.push(end);
                PathBuf::from(name)
            })
            .collect()
    }

    /// Renames the database's files to `*.damaged-<n>` with the first free `n`; a marker that cannot be read is kept so
    /// as well.
    fn set_aside(&self, and_the_marker: bool) -> io::Result<()> {
        let mut parts = self.parts();
        parts.extend(and_the_marker.then(|| self.marker.clone()));
        let aside = |part: &PathBuf, n: u32| {
            let mut name = part.as_os_str().to_owned();
            name.push(format!(".damaged-{n}"));
            PathBuf::from(name)
        };
        let there = |path: &PathBuf| std::fs::symlink_metadata(path).is_ok();
        let n = (1..=DAMAGED_MAX)
            .find(|n| !parts.iter().any(|part| there(&aside(part, *n))))
            .ok_or_else(|| io::Error::other("too many damaged copies: move them away"))?;
        for part in parts.iter().filter(|part| there(part)) {
            // The marker keeps its name too until a new one takes it: without one, the next start would be a first.
            let linked = *part == self.marker && std::fs::hard_link(part, aside(part, n)).is_ok();
            if !linked {
                std::fs::rename(part, aside(part, n))?;
            }
        }
        sync_folder(&self.database)
    }

    /// Opens the database, making an empty one if there is none.
    fn open(&self) -> Result<Connection, Unusable> {
        let unreachable = |error: io::Error| Unusable::Unreachable(error.to_string());
        private()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&self.database)
            .map_err(unreachable)?;
        let connection = table::open(&self.database)?;
        sync_folder(&self.database).map_err(unreachable)?;
        Ok(connection)
    }
}

fn io_error(path: &Path, error: &io::Error) -> StoreError {
    StoreError::Io {
        path: path.to_owned(),
        why: error.to_string(),
    }
}

/// The store's thread: the only one that touches the files.
struct Keeper {
    files: Files,
    /// `None` after a failed write: opened again before the next.
    connection: Option<Connection>,
    number: i64,
    hash: Hash,
    /// No row was written yet; after a loss the numbers go on all the same.
    empty: bool,
    /// Which file the database is.
    #[cfg(unix)]
    inode: u64,
    /// When the marker was written since the first save.
    marked: Option<Instant>,
    /// Held as long as the thread lives.
    _lock: File,
}

impl Keeper {
    fn open(files: Files, lock: File) -> Result<(Keeper, Loaded), StoreError> {
        let (connection, newest, loaded) = load(&files)?;
        #[cfg(unix)]
        let inode = std::fs::symlink_metadata(&files.database)
            .map(|about| std::os::unix::fs::MetadataExt::ino(&about))
            .map_err(|error| io_error(&files.database, &error))?;
        let keeper = Keeper {
            #[cfg(unix)]
            inode,
            connection: Some(connection),
            empty: !matches!(loaded, Loaded::State(_)),
            number: newest.number,
            hash: newest.hash,
            marked: None,
            files,
            _lock: lock,
        };
        newest
            .write(&keeper.files.marker)
            .map_err(|error| io_error(&keeper.files.marker, &error))?;
        Ok((keeper, loaded))
    }

    /// Works until the store is closed.
    fn work(mut self, desk: &Desk) {
        loop {
            let mut wanted = desk.lock();
            while wanted.payload.is_none() && !wanted.closing {
                wanted = desk.bell.wait(wanted).unwrap_or_else(PoisonError::into_inner);
            }
            if wanted.tickets.is_empty() && !wanted.closing {
                let pause = if wanted.trouble.is_some() { RETRY } else { LAZY };
                let urgent = |wanted: &mut Wanted| wanted.tickets.is_empty() && !wanted.closing;
                let waited = desk.bell.wait_timeout_while(wanted, pause, urgent);
                wanted = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
            let tickets = std::mem::take(&mut wanted.tickets);
            let payload = wanted.payload.take();
            let closing = wanted.closing;
            drop(wanted);

            let written = match &payload {
                Some(payload) => self.write(payload, closing),
                None => self.mark(closing),
            };
            let mut wanted = desk.lock();
            wanted.trouble = written.clone().err();
            if written.is_err() && wanted.payload.is_none() {
                wanted.payload = payload;
            }
            drop(wanted);
            for ticket in tickets {
                let _ = ticket.send(written.clone().map_err(NotDurable));
            }
            if closing {
                return;
            }
        }
    }

    /// Appends a state; afterwards it is durable.
    fn write(&mut self, payload: &str, closing: bool) -> Result<(), String> {
        self.in_place()?;
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.again()?,
        };
        let number = self.number.saturating_add(1);
        let row = Row {
            number,
            hash: table::hash_of(&self.hash, number, payload),
            payload: payload.to_owned(),
        };
        table::append(&mut connection, &self.hash, &row).map_err(|error| error.to_string())?;
        self.connection = Some(connection);
        self.number = row.number;
        self.hash = row.hash;
        self.empty = false;
        self.mark(closing)
    }

    /// Whether the open database is still the file of that name: what is written to a deleted file is gone with it.
    fn in_place(&self) -> Result<(), String> {
        #[cfg(unix)]
        let gone = |why: &str| Err(format!("the database was {why} while it was open"));
        #[cfg(unix)]
        match std::fs::symlink_metadata(&self.files.database) {
            Ok(about) if std::os::unix::fs::MetadataExt::ino(&about) == self.inode => {}
            Ok(_) => return gone("replaced"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return gone("removed"),
            Err(error) => return Err(error.to_string()),
        }
        Ok(())
    }

    /// Opens the database after a failed write. A commit whose answer was lost may be there after all.
    fn again(&mut self) -> Result<Connection, String> {
        let in_words = |unusable| match unusable {
            Unusable::Damaged(why) | Unusable::Unreachable(why) => why,
            Unusable::Newer(format) => format!("the database has format {format}"),
        };
        let connection = table::open(&self.files.database).map_err(in_words)?;
        match table::newest(&connection).map_err(in_words)? {
            Some(newest) if self.number <= newest.number => {
                self.number = newest.number;
                self.hash = newest.hash;
                self.empty = false;
            }
            None if self.empty => {}
            _ => return Err("the database lost what it held".into()),
        }
        Ok(connection)
    }

    /// Writes the marker if it is time.
    fn mark(&mut self, now: bool) -> Result<(), String> {
        // A reading of the clock that decides nothing but how often a file is written.
        if !now && self.marked.is_some_and(|at| at.elapsed() < MARKER) {
            return Ok(());
        }
        let marker = Marker {
            number: self.number,
            hash: self.hash,
        };
        marker
            .write(&self.files.marker)
            .map_err(|error| format!("marker: {error}"))?;
        self.marked = Some(Instant::now());
        Ok(())
    }
}

/// Opens the database and judges it by its own hashes and by the marker.
fn load(files: &Files) -> Result<(Connection, Marker, Loaded), StoreError> {
    let existed = std::fs::symlink_metadata(&files.database).is_ok();
    let marker = Marker::read(&files.marker);
    let failed = |unusable| match unusable {
        Unusable::Newer(format) => StoreError::Newer {
            path: files.database.clone(),
            format,
        },
        Unusable::Damaged(why) | Unusable::Unreachable(why) => StoreError::Io {
            path: files.database.clone(),
            why,
        },
    };
    // A new database goes on where the old one was, so that the old one stays recognisable as older.
    let known = marker.as_ref().ok().copied().flatten().unwrap_or(Marker {
        number: 0,
        hash: [0; 32],
    });
    match judge(files, existed, &marker) {
        Ok((connection, newest, loaded)) => {
            let marker = newest.as_ref().map_or(known, Marker::of);
            Ok((connection, marker, loaded))
        }
        Err(Unusable::Damaged(why)) => {
            files
                .set_aside(marker.is_err())
                .map_err(|error| io_error(&files.database, &error))?;
            // Above zero, and before there is a new database: until a state is saved in it, every start finds a loss.
            // A crash now is no way around the latch.
            let marker = Marker {
                number: known.number.max(1),
                ..known
            };
            marker
                .write(&files.marker)
                .map_err(|error| io_error(&files.marker, &error))?;
            let connection = files.open().map_err(failed)?;
            Ok((connection, marker, Loaded::Lost(why)))
        }
        Err(other) => Err(failed(other)),
    }
}

type Found = (Connection, Option<Row>, Loaded);

fn judge(files: &Files, existed: bool, marker: &Result<Option<Marker>, String>) -> Result<Found, Unusable> {
    let damaged = |why: String| Err(Unusable::Damaged(why));
    let connection = match (existed, marker) {
        (_, Err(why)) => return damaged(format!("its marker cannot be read: {why}")),
        (false, Ok(Some(_))) => {
            return damaged("the account was guarded before, and its database is missing".into());
        }
        _ => files.open()?,
    };
    let newest = table::newest(&connection)?;
    let reached = newest.as_ref().map_or(0, |row| row.number);
    if let Ok(Some(marker)) = marker {
        if reached < marker.number {
            return damaged(format!(
                "its newest row is {reached}, and row {} was written before: it is an older copy or lost its end",
                marker.number
            ));
        }
        if table::hash_at(&connection, marker.number)?.is_some_and(|hash| hash != marker.hash) {
            return damaged(format!("row {} is not the one that was written", marker.number));
        }
    }
    let loaded = match &newest {
        None => Loaded::Fresh,
        Some(row) => Loaded::State(row.payload.clone()),
    };
    Ok((connection, newest, loaded))
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
