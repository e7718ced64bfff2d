//! One set of policies in an account of its own: the recording, less what the recorded guard did, plus what these do.

use super::apart::Apart;
use super::drive::TICKS_MAX;
use super::lines::{DecisionLine, GuardLine, decision_lines, order_line};
use super::play::{BLIND_AFTER, start_of};
use super::recording::Entry;
use super::told::Told;
use super::{Drive, Fed};
use crate::book::Book;
use crate::event::{Event, Input, Outcome};
use crate::guard::{Decision, Guard, Saved, Start};
use crate::model::{Intent, Money, Ratio, Span, Timestamp};
use crate::policy::PolicySet;
use std::collections::VecDeque;

/// Steps that may follow from one input by what is modelled: a flatten of every position in slices. What is left is asked for
/// again at the next input.
const REACTIONS_MAX: usize = 4_096;

/// One set of policies and its account.
pub struct World {
    account: String,
    set: PolicySet,
    drive: Option<Drive>,
    apart: Apart,
    saved: Option<Saved>,
    sums: Sums,
}

/// How the account fared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Decisions made.
    pub decisions: u64,
    /// The last known equity.
    pub equity: Option<Money>,
    /// The lowest equity, and when.
    pub lowest: Option<(Money, Timestamp)>,
    /// The worst margin ratio, and when; `None` inside when a balance was gone.
    pub worst: Option<(Option<Ratio>, Timestamp)>,
}

/// What one input led to.
pub struct Stepped<'a> {
    /// When.
    pub at: Timestamp,
    /// The guard after it.
    pub guard: &'a Guard,
    /// How the account differs from the recorded one.
    pub apart: &'a Apart,
    /// What was decided.
    pub lines: &'a [DecisionLine],
}

impl World {
    /// A world for the account of a recording.
    pub fn new(account: &str, set: PolicySet) -> World {
        World {
            account: account.into(),
            set,
            drive: None,
            apart: Apart::default(),
            saved: None,
            sums: Sums::default(),
        }
    }

    /// The guard; `None` before the first line.
    pub fn guard(&self) -> Option<&Guard> {
        self.drive.as_ref().map(Drive::guard)
    }

    /// How the account differs from the recorded one.
    pub fn apart(&self) -> &Apart {
        &self.apart
    }

    /// How the account fared.
    pub fn sums(&self) -> &Sums {
        &self.sums
    }

    /// Feeds one line of the recording; every step goes to `each`.
    pub fn feed(&mut self, entry: &Entry, told: &Told, mut each: impl FnMut(&Stepped<'_>)) {
        let fed = match entry {
            Entry::Received(received) => Fed::Received(received),
            Entry::Guard(_, line) => match &**line {
                GuardLine::Start {
                    saved,
                    lost,
                    blind_after,
                    ..
                } => {
                    // A later start finds what this guard kept, and not what the recorded one did.
                    let start = match (self.drive.is_some(), self.saved.clone()) {
                        (true, Some(saved)) => Start::Saved(Box::new(saved)),
                        (true, None) => Start::Fresh,
                        (false, _) => start_of(saved.as_deref(), lost.as_deref()),
                    };
                    return self.start(Span::from_ms(*blind_after), start);
                }
                GuardLine::Outcome { of, result } => match of.key().zip(result.outcome()) {
                    Some((key, outcome)) if self.apart.is_adopted(&key) => Fed::Outcome(key, outcome),
                    _ => Fed::Wake,
                },
                GuardLine::Command(command) => match command.command() {
                    Some(command) => Fed::Command(command),
                    None => return,
                },
                GuardLine::Wake => Fed::Wake,
                GuardLine::Decision(_) => return,
            },
        };
        if self.drive.is_none() {
            self.start(BLIND_AFTER, Start::Fresh);
        }
        let Some(mut drive) = self.drive.take() else {
            return;
        };
        let at = drive.time_of(entry.at());
        for _ in 0..TICKS_MAX {
            let Some(decision) = drive.overdue(at) else { break };
            self.answer(&mut drive, decision, told, &mut each);
        }
        for input in drive.inputs(at, fed) {
            let input = match input {
                Input::Venue(event) => self.apart.instead(at, event, told).map(Input::Venue),
                other => Some(other),
            };
            if let Some(input) = input {
                let decision = drive.step(at, &input);
                self.answer(&mut drive, decision, told, &mut each);
            }
        }
        self.drive = Some(drive);
    }

    fn start(&mut self, blind_after: Span, start: Start) {
        let guard = Guard::new(&self.account, self.set.clone(), blind_after, start);
        self.drive = Some(Drive::new(guard));
    }

    /// Shows a decision, and lets what it asks for happen, and what is decided upon that.
    fn answer(
        &mut self,
        drive: &mut Drive,
        decision: Decision,
        told: &Told,
        each: &mut impl FnMut(&Stepped<'_>),
    ) {
        let at = decision.at;
        let mut waiting = VecDeque::new();
        self.show(drive, &decision, each);
        self.happen(drive.guard(), &decision, told, &mut waiting);
        for _ in 0..REACTIONS_MAX {
            let Some(input) = waiting.pop_front() else { return };
            let decision = drive.step(at, &input);
            self.show(drive, &decision, each);
            self.happen(drive.guard(), &decision, told, &mut waiting);
        }
    }

    fn show(&mut self, drive: &Drive, decision: &Decision, each: &mut impl FnMut(&Stepped<'_>)) {
        let (at, book) = (decision.at, drive.guard().book());
        if let Some(save) = &decision.save {
            self.saved = Some(save.saved.clone());
        }
        if let Ok(equity) = book.equity() {
            self.sums.equity = Some(equity);
            if self.sums.lowest.is_none_or(|(lowest, _)| equity < lowest) {
                self.sums.lowest = Some((equity, at));
            }
        }
        if let Some(ratio) = worst_ratio(book) {
            let is_worse = match (self.sums.worst, ratio) {
                (None, _) => true,
                (Some((None, _)), _) => false,
                (Some((Some(_), _)), None) => true,
                (Some((Some(worst), _)), Some(ratio)) => ratio > worst,
            };
            if is_worse {
                self.sums.worst = Some((ratio, at));
            }
        }
        let lines = decision_lines(&self.account, decision);
        self.sums.decisions += u64::try_from(lines.len()).unwrap_or(0);
        each(&Stepped {
            at,
            guard: drive.guard(),
            apart: &self.apart,
            lines: &lines,
        });
    }

    /// What becomes of what was asked: as recorded where the recorded guard sent the same, else by the model.
    fn happen(&mut self, guard: &Guard, decision: &Decision, told: &Told, waiting: &mut VecDeque<Input>) {
        for intent in &decision.intents {
            let key = intent.key();
            if told.was_sent(decision.at, &order_line(intent)) {
                self.apart.adopt(key);
                continue;
            }
            let (events, outcome): (Vec<Event>, Outcome) = match intent {
                Intent::Reduce(order) => match self.apart.fill(decision.at, order, guard.book()) {
                    Some((event, report)) => (vec![event], Outcome::Accepted(Some(report))),
                    None => (Vec::new(), Outcome::Suppressed),
                },
                _ => (self.apart.cancel(intent, guard.book()), Outcome::Accepted(None)),
            };
            waiting.extend(events.into_iter().map(Input::Venue));
            waiting.push_back(Input::Outcome(key, outcome));
        }
    }
}

/// The worst margin ratio, `None` inside when a balance is gone; `None` when it is not known: an account that was not read has
/// no positions yet, and that is not zero.
pub fn worst_ratio(book: &Book) -> Option<Option<Ratio>> {
    book.is_ready().then(|| book.worst_ratio().ok()).flatten()
}
