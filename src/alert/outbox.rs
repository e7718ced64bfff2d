//! Letters that one channel has not taken yet.
//!
//! One letter a topic: a newer one takes the place of the older, so that a channel that was away for an hour hears how
//! things are, and not how they were. The gravest goes first, then the oldest.

use super::facts::{Letter, Phase};

/// Letters that wait; with more, the least grave is dropped and counted.
const LETTERS_MAX: usize = 128;

/// What waits for one channel.
#[derive(Clone, Debug, Default)]
pub struct Outbox {
    letters: Vec<Letter>,
    dropped: u64,
}

impl Outbox {
    /// Takes in a letter.
    pub fn put(&mut self, mut letter: Letter) {
        let topic = &letter.alert.topic;
        if let Some(index) = self.letters.iter().position(|known| known.alert.topic == *topic) {
            let older = self.letters.remove(index);
            letter.missed = letter.missed.saturating_add(older.missed);
            // Its beginning was never delivered: the end must say what it was the end of.
            if letter.alert.phase == Phase::Over || older.alert.phase == Phase::Happened {
                let said = letter.alert.title.clone();
                let lines = older.alert.also.into_iter().chain([older.alert.title]);
                letter.alert.also.extend(lines.filter(|line| *line != said));
                letter.alert.also.truncate(super::facts::LINES_MAX);
            }
        }
        if self.letters.len() >= LETTERS_MAX {
            let least = self
                .letters
                .iter()
                .enumerate()
                .min_by_key(|(_, known)| known.alert.severity);
            let least = least.map(|(index, known)| (index, known.alert.severity));
            self.dropped = self.dropped.saturating_add(1);
            match least {
                Some((index, severity)) if severity <= letter.alert.severity => {
                    drop(self.letters.remove(index))
                }
                _ => return,
            }
        }
        self.letters.push(letter);
    }

    /// The letter to deliver next, which stays until [`Outbox::taken`].
    pub fn next(&mut self) -> Option<Letter> {
        let order = |(index, letter): &(usize, &Letter)| (letter.alert.severity, std::cmp::Reverse(*index));
        let (index, _) = self.letters.iter().enumerate().max_by_key(order)?;
        let letter = self.letters.get_mut(index)?;
        letter.missed = letter.missed.saturating_add(std::mem::take(&mut self.dropped));
        Some(letter.clone())
    }

    /// A letter was delivered, or will never be. A newer one of its topic stays.
    pub fn taken(&mut self, letter: &Letter) {
        self.letters.retain(|known| known.id() != letter.id());
    }

    /// Letters that are left.
    pub fn len(&self) -> usize {
        self.letters.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.letters.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::alert;
    use super::*;
    use crate::guard::Severity;

    fn letter(scope: &str, title: &str, severity: Severity, phase: Phase) -> Letter {
        let mut alert = alert(title, severity, phase);
        alert.topic.scope = scope.into();
        Letter {
            alert,
            repeats: 0,
            wants_ack: false,
            missed: 0,
        }
    }

    #[test]
    fn se_12_the_gravest_goes_first_and_a_newer_letter_replaces_an_older() {
        let mut outbox = Outbox::default();
        outbox.put(letter("a", "w", Severity::Warning, Phase::Begins));
        outbox.put(letter("b", "c", Severity::Critical, Phase::Begins));
        outbox.put(letter("a", "o", Severity::Info, Phase::Over));
        let first = outbox.next().unwrap();
        assert_eq!(first.alert.title, "c");
        outbox.taken(&first);
        let second = outbox.next().unwrap();
        assert_eq!(
            (second.alert.title.as_str(), &second.alert.also[..]),
            ("o", &["w".to_owned()][..])
        );
        outbox.taken(&second);
        assert!(outbox.is_empty());
    }

    #[test]
    fn se_12_when_too_many_wait_the_least_grave_is_dropped_and_that_is_told() {
        let mut outbox = Outbox::default();
        for index in 0..LETTERS_MAX {
            let severity = if index == 50 {
                Severity::Info
            } else {
                Severity::Warning
            };
            outbox.put(letter(&index.to_string(), "x", severity, Phase::Begins));
        }
        outbox.put(letter("new", "critical", Severity::Critical, Phase::Begins));
        assert_eq!(outbox.len(), LETTERS_MAX);
        assert!(
            outbox
                .letters
                .iter()
                .all(|letter| letter.alert.severity > Severity::Info)
        );
        outbox.put(letter("less", "less", Severity::Info, Phase::Begins));
        let first = outbox.next().unwrap();
        assert_eq!((first.alert.title.as_str(), first.missed), ("critical", 2));
    }
}
