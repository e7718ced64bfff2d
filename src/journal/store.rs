//! The kept state of an account on disk: an embedded database, a row a save, on a thread of its own.
//!
//! A save begins at once and gives a ticket; who must know waits for it. A marker beside the database remembers that
//! the account was guarded and how far the rows went, so that a database that is missing, damaged or put back from an
//! older copy is noticed. Damaged files are set aside, never deleted.

use super::lock;
use super::marker::Marker;
use super::rows::{self, Rows};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// The marker is renewed after this many rows, and at open and close: an older copy put back shows by its number.
const MARK_EVERY: i64 = 16;
/// Saves waiting for the disk: minutes of lazy ones. When full the disk stands still, which health says.
const SAVES_MAX: usize = 256;
/// The pause before a state that could not be written is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How long closing waits for the disk.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

type Health = Arc<Mutex<Result<(), String>>>;

fn set(health: &Health, to: Result<(), String>) {
    *health.lock().unwrap_or_else(PoisonError::into_inner) = to;
}

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
    saves: SyncSender<Save>,
    health: Health,
    /// Ends when the thread has.
    ended: Mutex<Receiver<()>>,
}

/// A save under way.
#[derive(Debug)]
pub struct Ticket(Result<oneshot::Receiver<Result<(), String>>, String>);

struct Save {
    payload: String,
    ticket: Option<oneshot::Sender<Result<(), String>>>,
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
        let lock = lock::take(&paths.lock, account)?;
        let (rows, loaded) = open_rows(&paths)?;
        let (saves, waiting) = sync_channel(SAVES_MAX);
        let (ended, told) = sync_channel(0);
        let health = Arc::new(Mutex::new(Ok(())));
        let writer = Writer {
            rows,
            marker: paths.marker,
            health: Arc::clone(&health),
            lock,
            ended,
        };
        std::thread::Builder::new()
            .name(format!("state-{account}"))
            .spawn(move || writer.run(&waiting))
            .map_err(io(state_dir))?;
        let store = Store {
            saves,
            health,
            ended: Mutex::new(told),
        };
        Ok((store, loaded))
    }

    /// Begins to save; the ticket tells when it is durable.
    pub fn save(&self, payload: String) -> Ticket {
        let (done, told) = oneshot::channel();
        Ticket(self.send(payload, Some(done)).map(|()| told))
    }

    /// Saves when there is time; a newer state may take its place.
    pub fn save_lazily(&self, payload: String) {
        // What went wrong is in the health.
        let _ = self.send(payload, None);
    }

    fn send(
        &self,
        payload: String,
        ticket: Option<oneshot::Sender<Result<(), String>>>,
    ) -> Result<(), String> {
        let why = match self.saves.try_send(Save { payload, ticket }) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Full(_)) => "the disk stands still: too many saves are waiting for it",
            Err(TrySendError::Disconnected(_)) => "the state's thread is gone",
        };
        set(&self.health, Err(why.to_owned()));
        Err(why.to_owned())
    }

    /// Whether the last save worked.
    pub fn health(&self) -> Result<(), String> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes what is waiting and lets go of the account; waits two seconds at most.
    pub fn close(self) {
        let Store { saves, ended, .. } = self;
        drop(saves);
        let ended = ended.into_inner().unwrap_or_else(PoisonError::into_inner);
        // Nothing is ever sent: this returns when the thread drops its side.
        let _ = ended.recv_timeout(CLOSE_WITHIN);
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

/// Opens the database and reads the newest state; a damaged one is set aside and a new one begun.
fn open_rows(paths: &Paths) -> Result<(Rows, Loaded), StoreError> {
    let open = || Rows::open(&paths.database).map_err(|e| StoreError::Database(paths.database.clone(), e));
    let mark = |marker: Marker| {
        marker
            .write(&paths.marker)
            .map_err(|error| StoreError::Io(paths.marker.clone(), error))
    };
    let marker = Marker::read(&paths.marker);
    let is_there = match fs::symlink_metadata(&paths.database) {
        Ok(_) => true,
        Err(error) if error.kind() == ErrorKind::NotFound => false,
        Err(error) => return Err(StoreError::Io(paths.database.clone(), error)),
    };
    // A database that is not there is made only once it is clear that none is missed.
    let read = is_there.then(|| Rows::open(&paths.database).and_then(|rows| Ok((rows.newest()?, rows))));
    let newest = match &read {
        Some(Ok((Ok(Some((number, _))), _))) => *number,
        _ => 0,
    };
    let why = match (read, &marker) {
        (None, Marker::Absent) => {
            let rows = open()?;
            mark(Marker::At(0))?;
            return Ok((rows, Loaded::Fresh));
        }
        // It went missing, or a start was cut short after one was set aside.
        (None | Some(Ok((Ok(None), _))), Marker::Lost(_, why)) => why.clone(),
        (None, Marker::At(_) | Marker::Unreadable) => {
            "the database is missing although the account was guarded".into()
        }
        (Some(Err(error)), _) if rows::is_passing(&error) => {
            return Err(StoreError::Database(paths.database.clone(), error));
        }
        (Some(Err(error)), _) => format!("the database cannot be read: {error}"),
        (Some(Ok((Err(why), _))), _) => why,
        (Some(Ok(_)), Marker::Unreadable) => {
            "the marker beside the database cannot be read: how new the database is cannot be told".into()
        }
        (Some(Ok((Ok(None), rows))), Marker::Absent | Marker::At(0)) => {
            mark(Marker::At(0))?;
            return Ok((rows, Loaded::Fresh));
        }
        (Some(Ok((Ok(None), _))), Marker::At(_)) => {
            "the database is empty although the account was guarded".into()
        }
        (Some(Ok((Ok(Some((number, _))), _))), marker) if number < marker.number() => format!(
            "the newest state is number {number}, and number {} was written: an older copy was put back",
            marker.number()
        ),
        // The damaged database is back: its last row is not newer than what was lost.
        (Some(Ok((Ok(Some((number, _))), _))), Marker::Lost(lost, why)) if number <= *lost => why.clone(),
        (Some(Ok((Ok(Some((number, payload))), rows))), marker) => {
            if *marker != Marker::At(number) {
                mark(Marker::At(number))?;
            }
            return Ok((rows, Loaded::State(payload)));
        }
    };
    let floor = marker.number().max(newest);
    // First the marker, then the rename: until something is saved, every start finds it lost, and a crash in between
    // is no way around the latch.
    mark(Marker::Lost(floor, why.clone()))?;
    rows::set_aside(&paths.database).map_err(|error| StoreError::Io(paths.database.clone(), error))?;
    Ok((open()?.above(floor), Loaded::Lost(why)))
}

/// The thread that writes. It holds the lock until its last write is over, however long the disk takes.
struct Writer {
    rows: Rows,
    marker: PathBuf,
    health: Health,
    lock: File,
    ended: SyncSender<()>,
}

impl Writer {
    fn run(self, waiting: &Receiver<Save>) {
        let (mut last, mut marked) = (0, 0);
        // The newest state that could not be written; tried again until it can be, or a newer one takes its place.
        let mut unwritten: Option<String> = None;
        loop {
            let first = match &unwritten {
                None => waiting.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(_) => waiting.recv_timeout(RETRY_AFTER),
            };
            let mut tickets = Vec::new();
            let mut payload = None;
            match first {
                // Everything that waits becomes one row: the newest state holds all that the older ones did.
                Ok(first) => {
                    for save in std::iter::once(first).chain(waiting.try_iter()) {
                        tickets.extend(save.ticket);
                        payload = Some(save.payload);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            let Some(payload) = payload.or(unwritten.take()) else {
                continue;
            };
            let written = self.rows.append(&payload).map_err(|error| error.to_string());
            let result = written.map(|number| last = number);
            set(&self.health, result.clone());
            unwritten = result.is_err().then_some(payload);
            for ticket in tickets {
                let _ = ticket.send(result.clone());
            }
            let is_due = last > marked && (marked == 0 || last >= marked + MARK_EVERY);
            if is_due && Marker::At(last).write(&self.marker).is_ok() {
                marked = last;
            }
        }
        if let Some(payload) = unwritten
            && let Ok(number) = self.rows.append(&payload)
        {
            last = number;
        }
        if last > marked {
            let _ = Marker::At(last).write(&self.marker);
        }
        let Writer {
            rows, lock, ended, ..
        } = self;
        drop(rows);
        drop(lock);
        drop(ended);
    }
}

#[cfg(test)]
mod tests;
