//! What an alert says, and the text of it.

use crate::guard::Severity;
use crate::model::Timestamp;
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// Lines of one kind in one alert: more are not read at night.
pub const LINES_MAX: usize = 10;

/// What an alert is about. The same trouble has the same topic for as long as it lasts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Topic {
    /// The account's label.
    pub account: String,
    /// The policy's id; or `state`, `unknown`, `event`, `test`.
    pub policy: String,
    /// What of the account; empty for all of it.
    pub scope: String,
}

/// Whether it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It began, or grew, and goes on.
    Begins,
    /// It happened, and there is no end to wait for.
    Happened,
    /// What began is over.
    Over,
}

/// One thing that people are told.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// What it is about.
    pub topic: Topic,
    /// When it was decided.
    pub at: Timestamp,
    /// How bad it is.
    pub severity: Severity,
    /// Whether it goes on.
    pub phase: Phase,
    /// The rung's action.
    pub rung: Option<&'static str>,
    /// What, in one line.
    pub title: String,
    /// Why, with the policy's own arithmetic; empty when the title says it all.
    pub why: String,
    /// The measurement.
    pub value: Option<String>,
    /// The limit that it met.
    pub threshold: Option<String>,
    /// What was done about it, or would have been.
    pub done: Vec<String>,
    /// The next rung, and where it lies.
    pub next: Option<String>,
    /// What doing nothing means; empty when there is nothing to wait for.
    pub otherwise: String,
    /// What a person could do instead.
    pub instead: String,
    /// What else was to be told of the same topic.
    pub also: Vec<String>,
}

/// An alert on its way to one channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Letter {
    /// What it says.
    pub alert: Alert,
    /// How often it was told before.
    pub repeats: u32,
    /// Whether it is told again until somebody acknowledges it.
    pub wants_ack: bool,
    /// Alerts that were lost before this one, because more came than the channel took.
    pub missed: u64,
}

impl Topic {
    /// The same text for the same topic, at most 255 characters: what channels tell messages apart by.
    pub fn key(&self) -> String {
        let all = format!("backstop/{}/{}/{}", self.account, self.policy, self.scope);
        all.chars().take(255).collect()
    }
}

impl Alert {
    /// An alert that says only this.
    pub fn new(topic: Topic, at: Timestamp, severity: Severity, phase: Phase, title: String) -> Alert {
        Alert {
            topic,
            at,
            severity,
            phase,
            rung: None,
            title,
            why: String::new(),
            value: None,
            threshold: None,
            done: Vec::new(),
            next: None,
            otherwise: String::new(),
            instead: String::new(),
            also: Vec::new(),
        }
    }

    /// What a person who tries a channel is sent.
    pub fn test(channel: &str, at: Timestamp) -> Alert {
        let topic = Topic {
            account: "test".into(),
            policy: "test".into(),
            scope: channel.into(),
        };
        let title = format!("a test of the channel {channel}: messages of Backstop arrive here");
        let mut alert = Alert::new(topic, at, Severity::Info, Phase::Happened, title);
        alert.otherwise = "nothing happens: no account is concerned".into();
        alert
    }

    /// Takes in a newer alert of the topic. What was not told yet is not lost by it.
    pub fn renew(&mut self, newer: Alert, is_told: bool) {
        let older = std::mem::replace(self, newer);
        if is_told {
            return;
        }
        self.severity = self.severity.max(older.severity);
        let lines = older.also.into_iter().chain([older.title]);
        let newer = std::mem::take(&mut self.also);
        self.also = lines.chain(newer).filter(|line| *line != self.title).collect();
        self.also.dedup();
        let left_out = self.also.len().saturating_sub(LINES_MAX);
        self.also.drain(..left_out);
    }
}

impl Letter {
    /// The same for each try to deliver it, so that a receiver can tell a second arrival from a second alert.
    pub fn id(&self) -> String {
        let Alert { topic, at, phase, .. } = &self.alert;
        let text = format!("{}\n{}\n{phase:?}\n{}", topic.key(), at.ms(), self.repeats);
        hex::encode(Sha256::digest(text).get(..16).unwrap_or_default())
    }

    /// The word that it begins with.
    pub fn word(&self) -> &'static str {
        match (self.alert.phase, self.alert.severity) {
            (Phase::Over, _) => "OVER",
            (_, Severity::Info) => "INFO",
            (_, Severity::Warning) => "WARNING",
            (_, Severity::Critical) => "CRITICAL",
        }
    }

    /// The word, and what it is.
    pub fn headline(&self) -> String {
        format!("{} {}", self.word(), self.alert.title)
    }

    /// Everything below the headline, a line each.
    pub fn rest(&self) -> String {
        let alert = &self.alert;
        let mut text = String::new();
        let mut line = |head: &str, said: &str| {
            if !said.is_empty() {
                // Writing to a string cannot fail.
                let _ = writeln!(text, "{head}{said}");
            }
        };
        line("Why: ", &alert.why);
        alert.done.iter().for_each(|done| line("Done: ", done));
        line("Next: ", alert.next.as_deref().unwrap_or_default());
        line("If you do nothing: ", &alert.otherwise);
        line("Instead: ", &alert.instead);
        alert.also.iter().for_each(|also| line("Also: ", also));
        if self.wants_ack {
            let times = match self.repeats {
                0 => "This is told again".to_owned(),
                repeats => format!("Reminder {repeats}. It goes on"),
            };
            let account = &alert.topic.account;
            line(
                "",
                &format!("{times} until you say: backstop alerts ack --account {account}"),
            );
        }
        if self.missed > 0 {
            line(
                "",
                &format!(
                    "{} earlier alerts were lost: more came than this channel took",
                    self.missed
                ),
            );
        }
        line("", &format!("{}  {}", alert.at, alert.topic.policy));
        text.trim_end().to_owned()
    }

    /// All of it, cut to `longest` characters.
    pub fn text(&self, longest: usize) -> String {
        cut(&format!("{}\n{}", self.headline(), self.rest()), longest)
    }
}

/// The beginning of a text; an ellipsis shows that there was more.
pub fn cut(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(longest.saturating_sub(1)).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::super::testing::alert;
    use super::*;

    #[test]
    fn a_text_is_cut_at_characters_and_says_so() {
        for (text, longest, expected) in [
            ("abc", 3, "abc"),
            ("abcd", 3, "ab…"),
            ("测试测试", 3, "测试…"),
            ("", 0, ""),
        ] {
            assert_eq!(cut(text, longest), expected);
        }
    }

    #[test]
    fn what_was_not_told_yet_is_told_with_what_came_after_it() {
        let mut first = alert("a", Severity::Critical, Phase::Happened);
        first.renew(alert("b", Severity::Info, Phase::Happened), false);
        first.renew(alert("c", Severity::Info, Phase::Happened), false);
        assert_eq!((first.title.as_str(), first.severity), ("c", Severity::Critical));
        assert_eq!(first.also, ["a", "b"]);
        first.renew(alert("d", Severity::Info, Phase::Happened), true);
        assert_eq!((first.severity, first.also.len()), (Severity::Info, 0));
        for number in 0..100 {
            first.renew(alert(&number.to_string(), Severity::Info, Phase::Happened), false);
        }
        assert_eq!(first.also.len(), LINES_MAX);
    }

    #[test]
    fn se_12_every_try_of_a_letter_has_its_id_and_every_reminder_another() {
        let letter = |repeats| Letter {
            alert: alert("a", Severity::Critical, Phase::Begins),
            repeats,
            wants_ack: true,
            missed: 0,
        };
        assert_eq!(letter(1).id(), letter(1).id());
        assert_ne!(letter(1).id(), letter(2).id());
    }
}
