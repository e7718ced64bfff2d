//! Writes a recording on a thread of its own. The loop never waits for it: when the disk cannot follow, lines are
//! dropped, counted, and the recording says so.

use crate::model::Timestamp;
use crate::replay::recording::{Entry, Header};
use std::fs::OpenOptions;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Lines waiting for the disk: seconds of the busiest stream.
const LINES_MAX: usize = 65_536;
/// Quiet time after which what is buffered goes to the file, so that it can be followed.
const FLUSH_AFTER: Duration = Duration::from_millis(200);

/// A recording being written.
pub struct Tape {
    lines: Option<SyncSender<(Entry, Timestamp)>>,
    dropped: u64,
    thread: Option<JoinHandle<()>>,
}

impl Tape {
    /// Begins a recording. An existing file is not overwritten: a recording is evidence.
    ///
    /// # Errors
    ///
    /// A text for people, naming the file.
    pub fn open(path: &Path, header: &Header) -> Result<Tape, String> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(path)
            .map_err(|error| {
                format!(
                    "{}: {error}; a recording never overwrites a file, choose another name",
                    path.display()
                )
            })?;
        let (lines, waiting) = sync_channel(LINES_MAX);
        let first = header.line();
        let thread = std::thread::Builder::new()
            .name("tape".into())
            .spawn(move || write_all(BufWriter::new(file), &first, &waiting))
            .map_err(|error| format!("no thread for the recording: {error}"))?;
        Ok(Tape {
            lines: Some(lines),
            dropped: 0,
            thread: Some(thread),
        })
    }

    /// Adds an entry with the time that it counts as; never waits.
    pub fn write(&mut self, entry: &Entry, at: Timestamp) {
        let sent = self
            .lines
            .as_ref()
            .map(|lines| lines.try_send((entry.clone(), at)));
        if !matches!(sent, Some(Ok(()))) {
            self.dropped = self.dropped.saturating_add(1);
            if self.dropped == 1 {
                tracing::error!("the recording cannot follow and has gaps from here on");
            }
        }
    }

    /// Lines that the disk was too slow for.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

impl Drop for Tape {
    /// Writes out what is waiting.
    fn drop(&mut self) {
        self.lines = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn write_all(mut file: BufWriter<std::fs::File>, header: &str, waiting: &Receiver<(Entry, Timestamp)>) {
    let mut result = writeln!(file, "{header}");
    let mut is_dirty = true;
    loop {
        match waiting.recv_timeout(FLUSH_AFTER) {
            Ok((entry, at)) => {
                if result.is_ok() {
                    result = writeln!(file, "{}", entry.line(at));
                    is_dirty = true;
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                if is_dirty && result.is_ok() {
                    result = file.flush();
                    is_dirty = false;
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if let Err(error) = &result {
            tracing::error!("the recording ends here: {error}");
            return;
        }
    }
    let _ = file.flush();
}
