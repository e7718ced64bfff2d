//! When a channel says what: the filter, the grouping, the reminders and the escalation of one channel.
//!
//! The first alert of a topic goes out at once, and so does one that is graver than what was told. What else comes within
//! the group window goes out together at its end. What is over is told once, and only where its beginning was told.

use super::facts::{Alert, Letter, Phase, Topic};
use crate::guard::Severity;
use crate::model::{Span, Timestamp};
use std::collections::BTreeMap;

/// Topics that may be open at once: every policy over every position of a large account. More are counted as missed.
const OPEN_MAX: usize = 512;
/// Reminders of one alert: a day of them at the usual five minutes. Whoever has not come by then does not read them.
const REPEATS_MAX: u32 = 288;

/// What a channel wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// What is less grave is not told.
    pub least: Severity,
    /// What follows within this of a message waits for its end.
    pub group: Span,
    /// A critical alert is told again after this, until it is acknowledged or over; `None` is never.
    pub repeat: Option<Span>,
    /// This channel is for critical alerts that nobody has acknowledged for this long; `None` is for all.
    pub escalate_after: Option<Span>,
}

/// What one channel has told and has to tell.
#[derive(Clone, Debug)]
pub struct Ledger {
    rules: Rules,
    open: BTreeMap<Topic, Open>,
    over: Vec<Letter>,
    missed: u64,
}

/// One topic that was not closed yet.
#[derive(Clone, Debug)]
struct Open {
    alert: Alert,
    since: Timestamp,
    /// When it was last told, and how grave it was then.
    told: Option<(Timestamp, Severity)>,
    /// Something of it was not told yet.
    is_fresh: bool,
    is_acknowledged: bool,
    repeats: u32,
}

impl Ledger {
    /// Nothing told yet.
    pub fn new(rules: Rules) -> Ledger {
        Ledger {
            rules,
            open: BTreeMap::new(),
            over: Vec::new(),
            missed: 0,
        }
    }

    /// Alerts that were lost before they came here.
    pub fn missed(&mut self, count: u64) {
        self.missed = self.missed.saturating_add(count);
    }

    /// Takes in an alert.
    pub fn tell(&mut self, now: Timestamp, alert: Alert) {
        if alert.phase == Phase::Over {
            return self.end(alert);
        }
        if alert.severity < self.rules.least {
            return;
        }
        let is_full = self.open.len() >= OPEN_MAX;
        match self.open.get_mut(&alert.topic) {
            Some(known) => {
                let is_another = alert.phase == Phase::Happened && alert.severity == Severity::Critical;
                if is_another || known.alert.severity < alert.severity {
                    known.is_acknowledged = false;
                    known.repeats = 0;
                    // Whoever is to be asked first gets the whole time for what is graver, too.
                    if known.told.is_none() {
                        known.since = now;
                    }
                }
                let is_told = !known.is_fresh;
                known.alert.renew(alert, is_told);
                known.is_fresh = true;
            }
            None if is_full => self.missed(1),
            None => {
                let open = Open {
                    alert,
                    since: now,
                    told: None,
                    is_fresh: true,
                    is_acknowledged: false,
                    repeats: 0,
                };
                self.open.insert(open.alert.topic.clone(), open);
            }
        }
    }

    fn end(&mut self, alert: Alert) {
        let told = self.open.remove(&alert.topic).map(|open| open.told.is_some());
        // What nobody was told of has no end either; a channel for everything also hears of good news alone.
        let is_for_all = self.rules.least == Severity::Info && self.rules.escalate_after.is_none();
        if told.unwrap_or(is_for_all) && self.over.len() < OPEN_MAX {
            let missed = std::mem::take(&mut self.missed);
            self.over.push(Letter {
                alert,
                repeats: 0,
                wants_ack: false,
                missed,
            });
        }
    }

    /// Somebody has seen what is open at this account; gives how many critical alerts that quiets.
    pub fn acknowledge(&mut self, account: &str) -> usize {
        let mut quieted = 0;
        for open in self
            .open
            .values_mut()
            .filter(|open| open.alert.topic.account == account)
        {
            if open.alert.severity == Severity::Critical && !open.is_acknowledged {
                open.is_acknowledged = true;
                quieted += 1;
            }
        }
        quieted
    }

    /// What is to be told now.
    pub fn due(&mut self, now: Timestamp) -> Vec<Letter> {
        let mut letters = std::mem::take(&mut self.over);
        let rules = self.rules;
        for open in self.open.values_mut() {
            if open.due_at(&rules).is_some_and(|at| at <= now) {
                let missed = std::mem::take(&mut self.missed);
                letters.push(open.letter(now, &rules, missed));
            }
        }
        self.open
            .retain(|_, open| open.forgotten_at(&rules).is_none_or(|at| at > now));
        letters
    }

    /// What is to be told at the end, when no window can be waited for any more.
    pub fn rest(&mut self, now: Timestamp) -> Vec<Letter> {
        let mut letters = self.due(now);
        let rules = self.rules;
        let waits =
            |open: &&mut Open| open.is_fresh && (rules.escalate_after.is_none() || open.told.is_some());
        for open in self.open.values_mut().filter(waits) {
            letters.push(open.letter(now, &rules, 0));
        }
        letters
    }

    /// When [`Ledger::due`] has something to do next.
    pub fn deadline(&self) -> Option<Timestamp> {
        if let Some(first) = self.over.first() {
            return Some(first.alert.at);
        }
        let times = self
            .open
            .values()
            .flat_map(|open| [open.due_at(&self.rules), open.forgotten_at(&self.rules)]);
        times.flatten().min()
    }
}

impl Open {
    /// Whether somebody is waited for.
    fn wants_ack(&self, rules: &Rules) -> bool {
        rules.repeat.is_some() && self.alert.severity == Severity::Critical && !self.is_acknowledged
    }

    fn due_at(&self, rules: &Rules) -> Option<Timestamp> {
        if let (Some(after), None) = (rules.escalate_after, self.told) {
            let is_unheard = self.alert.severity == Severity::Critical && !self.is_acknowledged;
            return is_unheard.then(|| self.since.after(after));
        }
        match self.told {
            None => Some(self.since),
            Some((at, severity)) if self.is_fresh && severity < self.alert.severity => Some(at),
            Some((at, _)) if self.is_fresh => Some(at.after(rules.group)),
            Some((at, _)) if self.wants_ack(rules) && self.repeats < REPEATS_MAX => {
                rules.repeat.map(|repeat| at.after(repeat))
            }
            Some(_) => None,
        }
    }

    /// When something that only happened is forgotten; `None` while it is not, and for what goes on.
    fn forgotten_at(&self, rules: &Rules) -> Option<Timestamp> {
        if self.alert.phase != Phase::Happened {
            return None;
        }
        match (self.told, rules.escalate_after) {
            (Some((at, _)), _) if !self.is_fresh && self.due_at(rules).is_none() => {
                Some(at.after(rules.group))
            }
            (None, Some(after)) if self.due_at(rules).is_none() => Some(self.since.after(after)),
            _ => None,
        }
    }

    fn letter(&mut self, now: Timestamp, rules: &Rules, missed: u64) -> Letter {
        if self.told.is_some() && !self.is_fresh {
            self.repeats += 1;
        }
        self.told = Some((now, self.alert.severity));
        self.is_fresh = false;
        Letter {
            alert: self.alert.clone(),
            repeats: self.repeats,
            wants_ack: self.wants_ack(rules),
            missed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{NOON, alert};
    use super::*;

    const RULES: Rules = Rules {
        least: Severity::Warning,
        group: Span::from_secs(10),
        repeat: Some(Span::from_secs(300)),
        escalate_after: None,
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_ms(NOON + second * 1000)
    }

    /// Plays `second what` lines; what is told, as `second word title`, asked whenever the ledger wants to be.
    fn play(rules: Rules, script: &[(i64, &str)], until: i64) -> Vec<String> {
        let mut ledger = Ledger::new(rules);
        let mut said = Vec::new();
        let mut script = script.iter().peekable();
        for second in 0..=until {
            while let Some((_, what)) = script.next_if(|(when, _)| *when == second) {
                let (severity, phase) = match what.chars().next() {
                    Some('i') => (Severity::Info, Phase::Begins),
                    Some('w') => (Severity::Warning, Phase::Begins),
                    Some('c') => (Severity::Critical, Phase::Begins),
                    Some('h') => (Severity::Critical, Phase::Happened),
                    Some('e') => (Severity::Warning, Phase::Happened),
                    Some('a') => {
                        ledger.acknowledge("main");
                        continue;
                    }
                    _ => (Severity::Info, Phase::Over),
                };
                ledger.tell(at(second), alert(what, severity, phase));
            }
            let wanted = ledger.deadline().is_some_and(|when| when <= at(second));
            let letters = ledger.due(at(second));
            assert!(
                letters.is_empty() || wanted,
                "told at {second} without a deadline"
            );
            for letter in letters {
                let also = letter.alert.also.join("+");
                let also = if also.is_empty() {
                    also
                } else {
                    format!(" also {also}")
                };
                said.push(format!("{second} {} {}{also}", letter.word(), letter.alert.title));
            }
        }
        said
    }

    #[test]
    fn a_quiet_topic_speaks_at_once_and_what_follows_goes_together() {
        for (script, expected) in [
            (&[(0, "w1")][..], &["0 WARNING w1"][..]),
            (
                &[(0, "w1"), (1, "w2"), (3, "w3")],
                &["0 WARNING w1", "10 WARNING w3 also w2"],
            ),
            (
                &[(0, "w1"), (1, "c2"), (30, "o")],
                &["0 WARNING w1", "1 CRITICAL c2", "30 OVER o"],
            ),
            (&[(0, "i1"), (1, "o")], &[]),
            (&[(0, "w1"), (3, "o"), (4, "o")], &["0 WARNING w1", "3 OVER o"]),
            (&[(0, "w1"), (2, "w2"), (3, "o")], &["0 WARNING w1", "3 OVER o"]),
            (&[(0, "e1"), (30, "e2")], &["0 WARNING e1", "30 WARNING e2"]),
            (
                &[(0, "e1"), (5, "e2"), (6, "e3")],
                &["0 WARNING e1", "10 WARNING e3 also e2"],
            ),
        ] {
            assert_eq!(play(RULES, script, 60), expected, "{script:?}");
        }
    }

    #[test]
    fn se_13_g3_a_critical_alert_is_repeated_until_it_is_acknowledged_or_over() {
        for (script, expected) in [
            (
                &[(0, "c")][..],
                &["0 CRITICAL c", "300 CRITICAL c", "600 CRITICAL c"][..],
            ),
            (&[(0, "c"), (400, "a")], &["0 CRITICAL c", "300 CRITICAL c"]),
            (
                &[(0, "c"), (400, "o")],
                &["0 CRITICAL c", "300 CRITICAL c", "400 OVER o"],
            ),
            (&[(0, "w")], &["0 WARNING w"]),
            // Something graver, or another event, needs to be seen again.
            (
                &[(0, "w"), (1, "a"), (2, "c")],
                &["0 WARNING w", "2 CRITICAL c", "302 CRITICAL c", "602 CRITICAL c"],
            ),
            (
                &[(0, "h1"), (1, "a"), (400, "h2")],
                &["0 CRITICAL h1", "400 CRITICAL h2"],
            ),
        ] {
            assert_eq!(play(RULES, script, 650), expected, "{script:?}");
        }
        let never = Rules {
            repeat: None,
            ..RULES
        };
        assert_eq!(play(never, &[(0, "c"), (20, "h")], 650).len(), 2);
        let day = play(RULES, &[(0, "c")], 100_000);
        assert_eq!(day.len(), 1 + usize::try_from(REPEATS_MAX).unwrap());
    }

    #[test]
    fn se_13_g3_what_nobody_acknowledges_goes_to_the_next_channel() {
        let next = Rules {
            escalate_after: Some(Span::from_secs(60)),
            ..RULES
        };
        for (script, expected) in [
            (&[(0, "c")][..], &["60 CRITICAL c", "360 CRITICAL c"][..]),
            (&[(0, "c"), (59, "a")], &[]),
            (
                &[(0, "c"), (100, "a"), (500, "o")],
                &["60 CRITICAL c", "500 OVER o"],
            ),
            (&[(0, "c"), (30, "o")], &[]),
            (&[(0, "w"), (70, "o")], &[]),
            (&[(0, "w"), (500, "c")], &["560 CRITICAL c also w"]),
            (&[(0, "h"), (5, "a"), (300, "h2")], &["360 CRITICAL h2"]),
        ] {
            assert_eq!(play(next, script, 620), expected, "{script:?}");
        }
    }

    #[test]
    fn at_the_end_no_window_is_waited_for_and_nobody_new_is_woken() {
        let next = Rules {
            escalate_after: Some(Span::from_secs(60)),
            ..RULES
        };
        for (rules, expected) in [(RULES, 1), (next, 0)] {
            let mut ledger = Ledger::new(rules);
            ledger.tell(at(0), alert("c1", Severity::Critical, Phase::Begins));
            ledger.due(at(0));
            ledger.tell(at(1), alert("c2", Severity::Critical, Phase::Begins));
            assert!(ledger.due(at(1)).is_empty());
            assert_eq!(ledger.rest(at(1)).len(), expected, "{rules:?}");
            assert!(ledger.rest(at(1)).is_empty());
        }
    }

    #[test]
    fn what_is_lost_is_counted_and_told_with_the_next_alert() {
        let mut ledger = Ledger::new(RULES);
        for index in 0..OPEN_MAX + 3 {
            let mut alert = alert("x", Severity::Warning, Phase::Begins);
            alert.topic.scope = index.to_string();
            ledger.tell(at(0), alert);
        }
        ledger.missed(4);
        let letters = ledger.due(at(0));
        assert_eq!(
            (letters.len(), letters[0].missed, letters[1].missed),
            (OPEN_MAX, 7, 0)
        );
        assert!(
            letters[0].rest().contains("7 earlier alerts were lost"),
            "{}",
            letters[0].rest()
        );
    }
}
