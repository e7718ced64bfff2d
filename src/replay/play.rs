//! Replay: a recording's inputs through the same guard, and whether it decides as it did.

use super::drive::{Drive, Fed};
use super::lines::{DecisionLine, GuardLine, decision_lines};
use super::recording::{Entries, Entry, Header, RecordingError};
use crate::guard::{Guard, Start};
use crate::model::{Span, Timestamp};
use crate::policy::PolicySet;
use sha2::{Digest, Sha256};

/// When an account's state turns blind, where the recording does not say (SPEC.md section 3).
pub(super) const BLIND_AFTER: Span = Span::from_secs(15);

/// What a replay found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Played {
    /// Lines read.
    pub lines: u64,
    /// Decisions made.
    pub decisions: u64,
    /// Whether the recording has decisions made under the same policies.
    pub is_comparable: bool,
    /// The first decision that differs, as recorded and as replayed.
    pub difference: Option<(String, String)>,
}

/// The digest of the policies' text, by which a recording names them.
pub fn digest(policies: &[String]) -> String {
    let mut hash = Sha256::new();
    for text in policies {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    }
    hex::encode(hash.finalize())
}

/// Plays a recording; every decision goes to `each`, every line to `paced` before it is fed.
///
/// # Errors
///
/// [`RecordingError`] at the first line that cannot be read.
pub fn play(
    header: &Header,
    entries: Entries,
    set: &PolicySet,
    digest: &str,
    mut paced: impl FnMut(Timestamp),
    mut each: impl FnMut(&DecisionLine),
) -> Result<Played, RecordingError> {
    let mut played = Played::default();
    let mut drive: Option<Drive> = None;
    // Decisions of the replay that the recording has not told yet.
    let mut made: std::collections::VecDeque<DecisionLine> = std::collections::VecDeque::new();
    for entry in entries {
        let entry = entry?;
        played.lines += 1;
        paced(entry.at());
        if let Entry::Guard(_, line) = &entry {
            match &**line {
                GuardLine::Start {
                    policies,
                    saved,
                    lost,
                    blind_after,
                } => {
                    played.is_comparable = policies == digest;
                    let start = start_of(saved.as_deref(), lost.as_deref());
                    let blind_after = Span::from_ms(*blind_after);
                    drive = Some(Drive::new(Guard::new(
                        &header.account,
                        set.clone(),
                        blind_after,
                        start,
                    )));
                    continue;
                }
                GuardLine::Decision(recorded) => {
                    if played.is_comparable && played.difference.is_none() {
                        let replayed = made.pop_front();
                        if replayed.as_ref() != Some(recorded) {
                            played.difference = Some((text(Some(recorded)), text(replayed.as_ref())));
                        }
                    }
                    continue;
                }
                _ => {}
            }
        }
        let drive = drive.get_or_insert_with(|| {
            Drive::new(Guard::new(
                &header.account,
                set.clone(),
                BLIND_AFTER,
                Start::Fresh,
            ))
        });
        let fed = match &entry {
            Entry::Received(received) => Some(Fed::Received(received)),
            Entry::Guard(_, line) => match &**line {
                GuardLine::Outcome { of, result } => of
                    .key()
                    .zip(result.outcome())
                    .map(|(key, outcome)| Fed::Outcome(key, outcome)),
                GuardLine::Command(command) => command.command().map(Fed::Command),
                _ => Some(Fed::Wake),
            },
        };
        let Some(fed) = fed else { continue };
        drive.feed(entry.at(), fed, |_, decision| {
            for line in decision_lines(&header.account, &decision) {
                played.decisions += 1;
                each(&line);
                if played.is_comparable {
                    made.push_back(line);
                }
            }
        });
    }
    if played.is_comparable
        && played.difference.is_none()
        && let Some(extra) = made.pop_front()
    {
        played.difference = Some((text(None), text(Some(&extra))));
    }
    Ok(played)
}

/// What a recorded start began from.
pub(super) fn start_of(saved: Option<&str>, lost: Option<&str>) -> Start {
    match (saved, lost) {
        (_, Some(why)) => Start::Lost(why.into()),
        (Some(text), None) => match crate::journal::state::read(text) {
            Ok((saved, _)) => Start::Saved(Box::new(saved)),
            Err(error) => Start::Lost(error.to_string()),
        },
        (None, None) => Start::Fresh,
    }
}

fn text(line: Option<&DecisionLine>) -> String {
    match line {
        Some(line) => serde_json::to_string(line).unwrap_or_default(),
        None => "no decision".into(),
    }
}
