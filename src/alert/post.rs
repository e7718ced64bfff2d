//! The tasks that deliver, one a channel, and the handle that the guard's loop has of them.

use super::deliver::{Failure, Sender};
use super::facts::{Alert, Letter};
use super::ledger::{Ledger, Rules};
use super::outbox::Outbox;
use crate::clock::Clock;
use crate::model::Timestamp;
use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

/// Decisions that may wait for a channel's task, which only sorts them: it is never behind for long.
const INBOX_MAX: usize = 1_024;
/// The first and the longest pause after a failure; random in between, so that channels do not march in step.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(300);
/// What is left at the end gets this long; SPEC.md section 5 allows 5 s for all of it.
const FAREWELL: Duration = Duration::from_millis(1_500);
/// After a bug in its own code a channel starts over after this.
const AGAIN: Duration = Duration::from_secs(1);

/// One channel.
pub struct Channel {
    /// Its name in the configuration.
    pub name: String,
    /// When it says what.
    pub rules: Rules,
    /// The way to it.
    pub sender: Sender,
}

/// The channels, for whoever has something to tell. Clones lead to the same channels.
#[derive(Clone, Default)]
pub struct Alerts {
    doors: Arc<[Door]>,
}

struct Door {
    name: String,
    told: mpsc::Sender<Told>,
    missed: Arc<AtomicU64>,
}

enum Told {
    Alerts(Arc<[Alert]>),
    Acknowledged(String),
}

impl Alerts {
    /// Starts a task for each channel. They end some moments after `cancel`, and `tracker` can be waited for.
    pub fn start(
        channels: Vec<Channel>,
        clock: &Clock,
        tracker: &TaskTracker,
        cancel: &CancellationToken,
    ) -> Alerts {
        let doors = channels.into_iter().map(|channel| {
            let (told, inbox) = mpsc::channel(INBOX_MAX);
            let missed = Arc::new(AtomicU64::new(0));
            let sender = channel.sender;
            let round = Round {
                name: channel.name.clone(),
                ledger: Ledger::new(channel.rules),
                outbox: Outbox::default(),
                inbox,
                missed: Arc::clone(&missed),
                clock: clock.clone(),
                pause: PAUSE_MIN,
                pauses: None,
                not_before: None,
                flying: None,
            };
            let deliver = move |letter: Letter| {
                let sender = sender.clone();
                async move { sender.send(&letter).await }
            };
            tracker.spawn(keep(round, deliver, cancel.clone()));
            Door {
                name: channel.name,
                told,
                missed,
            }
        });
        Alerts {
            doors: doors.collect(),
        }
    }

    /// Whether nobody is to be told.
    pub fn is_empty(&self) -> bool {
        self.doors.is_empty()
    }

    /// Tells every channel; never waits. What a channel has no room for is counted, and the count is told.
    pub fn tell(&self, alerts: Vec<Alert>) {
        if alerts.is_empty() {
            return;
        }
        let alerts: Arc<[Alert]> = alerts.into();
        for door in self.doors.iter() {
            if let Err(TrySendError::Full(_)) = door.told.try_send(Told::Alerts(Arc::clone(&alerts))) {
                let count = u64::try_from(alerts.len()).unwrap_or(u64::MAX);
                door.missed.fetch_add(count, Ordering::Relaxed);
            }
        }
    }

    /// Somebody has seen what is told of an account: its critical alerts are not repeated and go to no further channel.
    ///
    /// # Errors
    ///
    /// The names of channels that could not be told.
    pub fn acknowledge(&self, account: &str) -> Result<(), String> {
        let deaf = self
            .doors
            .iter()
            .filter(|door| door.told.try_send(Told::Acknowledged(account.into())).is_err());
        let deaf: Vec<&str> = deaf.map(|door| door.name.as_str()).collect();
        match deaf.is_empty() {
            true => Ok(()),
            false => Err(format!("these channels cannot be told now: {}", deaf.join(", "))),
        }
    }
}

/// What one channel's task knows.
struct Round {
    name: String,
    ledger: Ledger,
    outbox: Outbox,
    inbox: mpsc::Receiver<Told>,
    missed: Arc<AtomicU64>,
    clock: Clock,
    pause: Duration,
    /// The pauses after failures in a row; `None` while it goes well.
    pauses: Option<ExponentialBackoff>,
    not_before: Option<Timestamp>,
    flying: Option<(Letter, AbortOnDropHandle<Result<(), Failure>>)>,
}

/// Runs a channel until the end; a panic of its own code is written down, and it goes on with what it knew (PR-05).
async fn keep<D, F>(mut round: Round, deliver: D, cancel: CancellationToken)
where
    D: Fn(Letter) -> F,
    F: Future<Output = Result<(), Failure>> + Send + 'static,
{
    loop {
        let ended = AssertUnwindSafe(round.work(&deliver, &cancel))
            .catch_unwind()
            .await;
        match ended {
            Ok(()) => break,
            Err(_) => {
                tracing::error!("alerts.{}: a bug stopped the channel; it starts over", round.name);
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
    let rest = tokio::time::timeout(FAREWELL, round.farewell(&deliver)).await;
    if rest.is_err() || !round.outbox.is_empty() {
        let left = round.outbox.len();
        tracing::error!(
            "alerts.{}: {left} alerts are not delivered at the end",
            round.name
        );
    }
}

impl Round {
    async fn work<D, F>(&mut self, deliver: &D, cancel: &CancellationToken)
    where
        D: Fn(Letter) -> F,
        F: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        loop {
            self.sort();
            let now = self.clock.now();
            if self.flying.is_none()
                && self.not_before.is_none_or(|at| at <= now)
                && let Some(letter) = self.outbox.next()
            {
                // A task of its own: a panic on the way is a failed try, and nothing more.
                let task = AbortOnDropHandle::new(tokio::spawn(deliver(letter.clone())));
                self.flying = Some((letter, task));
            }
            let waits = if self.outbox.is_empty() {
                None
            } else {
                self.not_before
            };
            let wake = [self.ledger.deadline(), waits]
                .into_iter()
                .flatten()
                .filter(|at| *at > now)
                .min();
            let landed = async {
                match &mut self.flying {
                    Some((_, task)) => task.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                landed = landed => self.landed(landed.unwrap_or_else(|_| {
                    Err(Failure::Later("a bug stopped the try".into(), None))
                })),
                told = self.inbox.recv() => match told {
                    Some(told) => self.take(told),
                    // Nobody is left who could tell anything: the end is near.
                    None => cancel.cancelled().await,
                },
                () = sleep_until(&self.clock, wake) => {}
            }
        }
    }

    fn take(&mut self, told: Told) {
        let now = self.clock.now();
        match told {
            Told::Alerts(alerts) => {
                for alert in alerts.iter() {
                    self.ledger.tell(now, alert.clone());
                }
            }
            Told::Acknowledged(account) => {
                let quieted = self.ledger.acknowledge(&account);
                tracing::info!(
                    "alerts.{}: {quieted} alerts of {account} are acknowledged",
                    self.name
                );
            }
        }
    }

    /// Moves what is due from the ledger to the outbox.
    fn sort(&mut self) {
        self.ledger.missed(self.missed.swap(0, Ordering::Relaxed));
        for letter in self.ledger.due(self.clock.now()) {
            self.outbox.put(letter);
        }
    }

    fn landed(&mut self, result: Result<(), Failure>) {
        let Some((letter, _)) = self.flying.take() else {
            return;
        };
        let name = &self.name;
        match result {
            Ok(()) => {
                if self.pauses.take().is_some() {
                    tracing::warn!("alerts.{name}: alerts are delivered again");
                }
                self.not_before = None;
                self.outbox.taken(&letter);
            }
            Err(Failure::Refused(why)) => {
                tracing::error!(
                    "alerts.{name}: an alert is given up: {why}: {}",
                    letter.alert.title
                );
                self.outbox.taken(&letter);
            }
            Err(Failure::Later(why, asked)) => {
                let builder = ExponentialBuilder::default()
                    .with_min_delay(self.pause)
                    .with_max_delay(PAUSE_MAX)
                    .with_jitter()
                    .without_max_times();
                if self.pauses.is_none() {
                    tracing::error!("alerts.{name}: not delivered, trying again: {why}");
                }
                let pauses = self.pauses.get_or_insert_with(|| builder.build());
                let pause = pauses.next().unwrap_or(PAUSE_MAX).max(asked.unwrap_or_default());
                let pause = crate::model::Span::from_ms(i64::try_from(pause.as_millis()).unwrap_or(i64::MAX));
                self.not_before = Some(self.clock.now().after(pause));
            }
        }
    }

    /// One try for everything that is left.
    async fn farewell<D, F>(&mut self, deliver: &D)
    where
        D: Fn(Letter) -> F,
        F: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        if let Some((_, task)) = self.flying.as_mut() {
            let result = task.await;
            self.landed(result.unwrap_or_else(|_| Err(Failure::Later("a bug stopped the try".into(), None))));
        }
        while let Ok(told) = self.inbox.try_recv() {
            self.take(told);
        }
        for letter in self.ledger.rest(self.clock.now()) {
            self.outbox.put(letter);
        }
        while let Some(letter) = self.outbox.next() {
            let task = AbortOnDropHandle::new(tokio::spawn(deliver(letter.clone())));
            if !matches!(task.await, Ok(Ok(()))) {
                return;
            }
            self.outbox.taken(&letter);
        }
    }
}

/// Sleeps until then; for ever when there is no then.
async fn sleep_until(clock: &Clock, wake: Option<Timestamp>) {
    match wake {
        Some(at) => {
            let left = u64::try_from(at.since(clock.now()).ms()).unwrap_or(0);
            tokio::time::sleep(Duration::from_millis(left)).await;
        }
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::super::facts::{Phase, Topic};
    use super::*;
    use crate::guard::Severity;
    use crate::model::Span;
    use std::sync::Mutex;

    const RULES: Rules = Rules {
        least: Severity::Warning,
        group: Span::from_secs(10),
        repeat: None,
        escalate_after: None,
    };

    /// A channel whose tries end as told, and what arrived.
    struct Tried {
        alerts: Alerts,
        arrived: Arc<Mutex<Vec<String>>>,
        tracker: TaskTracker,
        cancel: CancellationToken,
    }

    fn channel<F>(end: impl Fn(usize) -> F + Send + Sync + 'static) -> Tried
    where
        F: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        let (told, inbox) = mpsc::channel(4);
        let missed = Arc::new(AtomicU64::new(0));
        let round = Round {
            name: "ops".into(),
            ledger: Ledger::new(RULES),
            outbox: Outbox::default(),
            inbox,
            missed: Arc::clone(&missed),
            clock: Clock::start(),
            pause: Duration::from_millis(5),
            pauses: None,
            not_before: None,
            flying: None,
        };
        let arrived = Arc::new(Mutex::new(Vec::new()));
        let (tracker, cancel) = (TaskTracker::new(), CancellationToken::new());
        let log = Arc::clone(&arrived);
        let deliver = move |letter: Letter| {
            let mut log = log.lock().unwrap();
            log.push(format!("{} {}", letter.alert.title, letter.missed));
            end(log.len())
        };
        tracker.spawn(keep(round, deliver, cancel.clone()));
        let door = Door {
            name: "ops".into(),
            told,
            missed,
        };
        Tried {
            alerts: Alerts { doors: [door].into() },
            arrived,
            tracker,
            cancel,
        }
    }

    fn alert(scope: &str) -> Alert {
        let topic = Topic {
            account: "main".into(),
            policy: "p".into(),
            scope: scope.into(),
        };
        Alert::new(
            topic,
            Timestamp::from_ms(1),
            Severity::Critical,
            Phase::Begins,
            scope.into(),
        )
    }

    impl Tried {
        async fn until(&self, count: usize) -> Vec<String> {
            for _ in 0..2_000 {
                let arrived = self.arrived.lock().unwrap().clone();
                if arrived.len() >= count {
                    return arrived;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            panic!("{:?} arrived, not {count}", self.arrived.lock().unwrap());
        }
    }

    #[tokio::test]
    async fn se_12_pr_05_a_try_that_fails_or_panics_is_repeated_until_the_letter_is_taken() {
        let tried = channel(|try_no| async move {
            match try_no {
                1 => Err(Failure::Later("the channel answered 500".into(), None)),
                2 => panic!("a bug"),
                _ => Ok(()),
            }
        });
        tried.alerts.tell(vec![alert("a")]);
        assert_eq!(tried.until(3).await, ["a 0", "a 0", "a 0"]);
        tried.alerts.tell(vec![alert("b")]);
        assert_eq!(
            tried.until(4).await[3],
            "b 0",
            "a letter that was taken is not sent again"
        );
    }

    #[tokio::test]
    async fn se_12_a_letter_that_is_refused_for_good_holds_up_no_other() {
        let tried = channel(|try_no| async move {
            match try_no {
                1 => Err(Failure::Refused("the channel answered 400".into())),
                _ => Ok(()),
            }
        });
        tried.alerts.tell(vec![alert("a"), alert("b")]);
        assert_eq!(tried.until(2).await, ["a 0", "b 0"]);
    }

    #[tokio::test]
    async fn pr_05_se_12_telling_never_waits_for_a_channel_that_hangs_and_what_is_lost_is_counted() {
        let tried = channel(|try_no| async move {
            if try_no == 1 {
                std::future::pending::<()>().await;
            }
            Ok(())
        });
        tried.alerts.tell(vec![alert("first")]);
        tried.until(1).await;
        // This test has one thread: the channel's task does not run while this loop does.
        for index in 0..100 {
            tried.alerts.tell(vec![alert(&index.to_string())]);
        }
        assert_eq!(tried.alerts.doors[0].missed.load(Ordering::Relaxed), 96);
        tried.cancel.cancel();
        tried.tracker.close();
        tokio::time::timeout(Duration::from_secs(4), tried.tracker.wait())
            .await
            .expect("a channel that hangs does not hold up the end");
    }

    #[tokio::test]
    async fn what_is_told_right_before_the_end_is_still_delivered() {
        let tried = channel(|_| async { Ok(()) });
        tried.alerts.tell(vec![alert("stopped")]);
        tried.cancel.cancel();
        tried.tracker.close();
        tried.tracker.wait().await;
        assert_eq!(*tried.arrived.lock().unwrap(), ["stopped 0"]);
    }
}
