//! The task that keeps one account's private stream alive, and the account proven by REST.
//!
//! * Snapshot, then deltas: after each connect, private frames are held back until balances and positions were read.
//! * Silence is never health: the digest goes on by REST whether or not the stream says anything, and whether or not it
//!   is connected. Whether the stream tells the truth is the core's judgement; it says so with [`Want::Reconnect`].
//! * The key is extended by POST only, which creates or extends, and is never deleted: the whole account shares it.
//! * A planned switch opens the new socket before it drops the old one; what arrives twice is told apart by the core.
//!
//! Source: venues/binance-usdm.md sections 0, 3 and 4.0, read 2026-11-22.

use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::answer::NoKey;
pub use super::config::SessionConfig;
use super::connect::{NotOpened, Opened, open, scrub};
use super::http::{Http, millis};
use super::market;
use super::pause::Pause;
use super::reads::{Kind, Reads, SNAPSHOT};
use super::round::{Finished, importance, perform};
use super::socket::Socket;
use super::wants::{Want, Wanted};
use crate::event::Link;
use crate::model::{Span, Symbol, Timestamp};
use crate::venue::binance::sign::ReadSigner;
use crate::venue::binance::stream;
use crate::venue::{Received, Via};

/// Frames held back while the first snapshot is read: a burst of ten thousand and a second of the busiest rate. More is
/// an overflow.
const HELD_MAX: usize = 16_384;

/// The old socket of a planned switch is read this long after the new one is open.
const OVERLAP: Span = Span::from_secs(2);

/// Pause before the key is extended again after a failure; it stays valid for 40 minutes more.
const KEEP_AGAIN: Span = Span::from_secs(5);

/// Pause after the venue refused our key (ST-25), or its firewall us (LI-13), at connect or when the key is extended.
const REFUSED_PAUSE: Span = Span::from_secs(60);

/// A fresh connection that has shown no proof of life within this time counts as failed: another one is opened beside it
/// (ST-06). The venue accepts connections that never tell anything.
const PROVE_WITHIN: Span = Span::from_secs(5);

/// Transfers are read again from this long before a gap, because the venue lists them late.
const TRANSFERS_SLACK: Span = Span::from_secs(120);

/// Runs until cancelled, or until nobody listens any more.
///
/// Everything received goes to `out` in order of arrival, stamped with the clock of `http`. When `out` is full for a
/// private frame, the connection is dropped and the account is read afresh (ST-23): a gap that is known beats one that
/// is not. Returning without `cancel` having been called means that something broke: the caller ends the process.
pub async fn run(
    config: SessionConfig,
    http: Arc<Http>,
    reader: ReadSigner,
    out: mpsc::Sender<Received>,
    wants: Wanted,
    cancel: CancellationToken,
) {
    let (watch_tx, watch_rx) = watch::channel(BTreeSet::new());
    let market = tokio::spawn(market::run(
        config.stream_url.clone(),
        http.clone(),
        watch_rx,
        out.clone(),
        cancel.child_token(),
    ));
    let market = AbortOnDropHandle::new(market);
    let work = async {
        let synced = http.sync_clock(&reader).await;
        let now = http.clock().now();
        let mut reads = Reads::new(config.digest_interval, now);
        if let Err(none) = synced {
            tracing::warn!(none.why, "the venue's clock could not be read");
            reads.ended(Kind::Clock, false, none.not_before, now);
        }
        let start = http.timestamp().ms().saturating_sub(TRANSFERS_SLACK.ms());
        let mut session = Session {
            transfers_since: config.transfers_since.unwrap_or(Timestamp::from_ms(start)),
            reads,
            slept: http.clock().slept(),
            is_reserve_open: false,
            jobs: JoinSet::new(),
            running: BTreeMap::new(),
            epoch: 0,
            live: None,
            retiring: None,
            opening: None,
            open_at: Some(now),
            keeping: None,
            pause: Pause::new(),
            watched: watch_tx,
            config,
            http,
            reader,
            out,
            wants,
        };
        session.work().await;
    };
    tokio::select! {
        () = cancel.cancelled() => {}
        () = work => {}
        ended = market => match ended {
            Err(error) if error.is_panic() => tracing::error!("the market task panicked"),
            _ => tracing::debug!("the market task ended"),
        },
    }
}

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

struct Session {
    config: SessionConfig,
    http: Arc<Http>,
    reader: ReadSigner,
    out: mpsc::Sender<Received>,
    wants: Wanted,
    watched: watch::Sender<BTreeSet<Symbol>>,
    reads: Reads,
    jobs: JoinSet<(u64, Finished)>,
    running: BTreeMap<Kind, AbortHandle>,
    /// Counts connections, so that an answer from before the newest one is known.
    epoch: u64,
    live: Option<Live>,
    retiring: Option<(Box<Socket>, String, Timestamp)>,
    opening: Option<Boxed<Opened>>,
    open_at: Option<Timestamp>,
    keeping: Option<Boxed<Result<String, NoKey>>>,
    pause: Pause,
    /// An episode works: what proves its end may use the reserve of the budget.
    is_reserve_open: bool,
    /// How long the machine had slept when we last looked.
    slept: Span,
    transfers_since: Timestamp,
}

/// The connection that is in use.
struct Live {
    socket: Box<Socket>,
    key: String,
    switch_at: Timestamp,
    /// When it gets too old, once it is proven; until then `switch_at` is near.
    old_at: Timestamp,
    is_proven: bool,
    keep_at: Timestamp,
    /// Frames held back, and until when at the latest; `None` when they flow.
    held: Option<(Vec<Received>, Timestamp)>,
}

impl Live {
    /// It told something, or a reading after its connect worked: it is used until it gets old.
    fn prove(&mut self) {
        if !self.is_proven {
            self.is_proven = true;
            self.switch_at = self.old_at;
        }
    }
}

enum Step {
    Frame(Result<String, String>),
    OldFrame(Result<String, String>),
    Opened(Opened),
    Kept(Result<String, NoKey>),
    Finished(u64, Finished),
    Broken,
    Want(Want),
    Alone,
    Tick,
}

/// Nobody listens any more.
struct Deaf;

impl Session {
    async fn work(&mut self) {
        loop {
            let now = self.http.clock().now();
            self.start_what_is_due(now);
            let step = self.next(now).await;
            if self.handle(step).await.is_err() {
                return;
            }
        }
    }

    fn start_what_is_due(&mut self, now: Timestamp) {
        if self.opening.is_none() && self.open_at.is_some_and(|at| at <= now) {
            self.open_at = None;
            self.opening = Some(Box::pin(open(self.http.clone(), self.config.stream_url.clone())));
        }
        if let Some(live) = &mut self.live {
            if self.keeping.is_none() && live.keep_at <= now {
                let http = self.http.clone();
                self.keeping = Some(Box::pin(async move { http.keep_key().await }));
            }
            if live.switch_at <= now && self.opening.is_none() && self.open_at.is_none() {
                self.open_at = Some(now);
                return self.start_what_is_due(now);
            }
        }
        if self.retiring.as_ref().is_some_and(|(_, _, until)| *until <= now) {
            self.retiring = None;
        }
        if self.http.is_slipped() {
            self.reads.ask(Kind::Clock, now);
        }
        for kind in self.reads.start(now) {
            let (http, reader, since) = (self.http.clone(), self.reader.clone(), self.transfers_since);
            let epoch = self.epoch;
            let importance = importance(kind, self.is_reserve_open);
            let job = self
                .jobs
                .spawn(async move { (epoch, perform(kind, importance, &http, &reader, since).await) });
            self.running.insert(kind, job);
        }
    }

    /// What happens next. Every branch may be dropped while it waits.
    async fn next(&mut self, now: Timestamp) -> Step {
        let wake = [
            self.reads.wake(),
            self.opening.is_none().then_some(self.open_at).flatten(),
            self.live
                .as_ref()
                .map(|live| live.switch_at)
                .filter(|_| self.opening.is_none() && self.open_at.is_none()),
            self.live
                .as_ref()
                .map(|live| live.keep_at)
                .filter(|_| self.keeping.is_none()),
            self.live
                .as_ref()
                .and_then(|live| live.held.as_ref())
                .map(|(_, until)| *until),
            self.retiring.as_ref().map(|(_, _, until)| *until),
        ];
        let sleep = wake.into_iter().flatten().min().map(|at| millis(at.since(now)));
        tokio::select! {
            frame = async {
                match &mut self.live {
                    Some(live) => live.socket.next().await,
                    None => pending().await,
                }
            } => Step::Frame(frame),
            frame = async {
                match &mut self.retiring {
                    Some((socket, _, _)) => socket.next().await,
                    None => pending().await,
                }
            } => Step::OldFrame(frame),
            opened = poll(&mut self.opening) => Step::Opened(opened),
            kept = poll(&mut self.keeping) => Step::Kept(kept),
            Some(finished) = self.jobs.join_next(), if !self.jobs.is_empty() => match finished {
                Ok((epoch, finished)) => Step::Finished(epoch, finished),
                Err(error) if error.is_panic() => Step::Broken,
                // Given up by us, at a new connection.
                Err(_) => Step::Tick,
            },
            want = self.wants.next() => want.map_or(Step::Alone, Step::Want),
            () = async {
                match sleep {
                    Some(sleep) => tokio::time::sleep(sleep).await,
                    None => pending().await,
                }
            } => Step::Tick,
        }
    }

    async fn handle(&mut self, step: Step) -> Result<(), Deaf> {
        let now = self.http.clock().now();
        match step {
            Step::Frame(Ok(text)) => self.frame(text, now).await,
            Step::Frame(Err(why)) => self.lost(&why, now).await,
            Step::OldFrame(Ok(text)) => {
                let key = self.retiring.as_ref().map_or("", |(_, key, _)| key.as_str());
                // The old key's expiry is no news: the new connection is already there.
                if stream::is_key_expired(&text) {
                    self.retiring = None;
                    return Ok(());
                }
                let text = scrub(text, key);
                self.pass(text, now).await
            }
            Step::OldFrame(Err(_)) => {
                self.retiring = None;
                Ok(())
            }
            Step::Opened(Ok((socket, key))) => self.opened(socket, key, now).await,
            Step::Opened(Err(not)) => self.not_opened(not, now).await,
            Step::Kept(kept) => {
                self.kept(kept, now);
                Ok(())
            }
            Step::Finished(epoch, finished) => self.finished(epoch, finished, now).await,
            Step::Broken => {
                tracing::error!("a task that reads the account panicked");
                Err(Deaf)
            }
            Step::Want(want) => self.want(want, now).await,
            Step::Alone => Err(Deaf),
            Step::Tick => self.release_late(now).await,
        }
    }

    async fn frame(&mut self, text: String, now: Timestamp) -> Result<(), Deaf> {
        let expired = stream::is_key_expired(&text);
        let Some(live) = &mut self.live else { return Ok(()) };
        live.prove();
        let text = scrub(text, &live.key);
        if let Some((held, _)) = &mut live.held {
            let via = Via::Private(text);
            held.push(Received { at: now, via });
            if HELD_MAX < held.len() {
                return self.lost("overflow", now).await;
            }
        } else {
            self.pass(text, now).await?;
        }
        if expired {
            return self.lost("the listenKey expired", now).await;
        }
        Ok(())
    }

    /// Passes a private frame on at once, or gives the connection up when nobody keeps pace.
    async fn pass(&mut self, text: String, now: Timestamp) -> Result<(), Deaf> {
        let via = Via::Private(text);
        match self.out.try_send(Received { at: now, via }) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => self.lost("overflow", now).await,
            Err(TrySendError::Closed(_)) => Err(Deaf),
        }
    }

    /// Passes on what must not be dropped, however long it takes.
    async fn tell(&mut self, received: Received) -> Result<(), Deaf> {
        self.out.send(received).await.map_err(|_| Deaf)
    }

    /// The connection is gone, or is given up.
    async fn lost(&mut self, why: &str, now: Timestamp) -> Result<(), Deaf> {
        self.retiring = None;
        self.keeping = None;
        let Some(live) = self.live.take() else {
            return Ok(());
        };
        let why = scrub(why.to_owned(), &live.key);
        // The core tells people of it.
        tracing::info!(why, "the private stream was lost");
        // What was held back is older than the loss, and true.
        for received in live.held.into_iter().flat_map(|(held, _)| held).take(HELD_MAX) {
            self.tell(received).await?;
        }
        self.transfers_since = self.transfers_since.min(self.gap_start());
        if self.opening.is_none() {
            let pause = self.pause.next(now);
            self.open_at = Some(now.after(pause));
        }
        let via = Via::Link(Link::Down(why));
        self.tell(Received { at: now, via }).await
    }

    fn gap_start(&self) -> Timestamp {
        Timestamp::from_ms(self.http.timestamp().ms().saturating_sub(TRANSFERS_SLACK.ms()))
    }

    async fn opened(&mut self, socket: Box<Socket>, key: String, now: Timestamp) -> Result<(), Deaf> {
        self.opening = None;
        self.open_at = None;
        self.keeping = None;
        self.pause.up(now);
        // One that never showed life is replaced as if there had been none, but not dropped before the new one is there.
        let planned = self.live.as_ref().is_some_and(|live| live.is_proven);
        if let Some(old) = self.live.take() {
            let is_proven = old.is_proven;
            tracing::info!(is_proven, "the private stream was switched");
            for received in old.held.into_iter().flat_map(|(held, _)| held) {
                self.tell(received).await?;
            }
            self.retiring = Some((old.socket, old.key, now.after(OVERLAP)));
        }
        self.live = Some(Live {
            socket,
            key,
            switch_at: now.after(PROVE_WITHIN.min(self.config.switch_after)),
            old_at: now.after(self.config.switch_after),
            is_proven: false,
            keep_at: now.after(self.config.keepalive),
            held: (!planned).then(|| (Vec::new(), now.after(self.config.hold_max))),
        });
        if planned {
            self.reads.ask(Kind::Holdings, now);
            self.reads.ask(Kind::Orders, now);
            return Ok(());
        }
        // Answers on their way may be older than the connection: they would prove nothing.
        self.epoch = self.epoch.saturating_add(1);
        for kind in SNAPSHOT {
            if let Some(job) = self.running.remove(&kind) {
                job.abort();
            }
        }
        self.reads.snapshot(now);
        let via = Via::Link(Link::Up);
        self.tell(Received { at: now, via }).await
    }

    async fn not_opened(&mut self, not: NotOpened, now: Timestamp) -> Result<(), Deaf> {
        self.opening = None;
        let mut pause = self.pause.next(now);
        if not.refused {
            pause = pause.max(REFUSED_PAUSE);
        }
        self.open_at = Some(now.after(pause));
        tracing::info!(why = not.why, "the private stream could not be opened");
        if self.live.is_some() {
            return Ok(());
        }
        let via = Via::Link(Link::Down(not.why));
        self.tell(Received { at: now, via }).await
    }

    fn kept(&mut self, kept: Result<String, NoKey>, now: Timestamp) {
        self.keeping = None;
        let Some(live) = &mut self.live else { return };
        match kept {
            Ok(key) if key == live.key => live.keep_at = now.after(self.config.keepalive),
            Ok(_) => {
                tracing::warn!("the listenKey was changed by somebody: switching");
                live.keep_at = now.after(self.config.keepalive);
                live.switch_at = now;
            }
            Err(not) => {
                tracing::warn!(why = not.why, "the listenKey could not be extended");
                live.keep_at = now.after(if not.refused { REFUSED_PAUSE } else { KEEP_AGAIN });
            }
        }
    }

    async fn finished(&mut self, epoch: u64, finished: Finished, now: Timestamp) -> Result<(), Deaf> {
        if epoch != self.epoch && SNAPSHOT.contains(&finished.kind) {
            // Asked before the newest connection; asked again since.
            return Ok(());
        }
        self.running.remove(&finished.kind);
        let Finished {
            kind,
            received,
            well,
            not_before,
            clock_is_off,
        } = finished;
        self.reads.ended(kind, well, not_before, now);
        if clock_is_off {
            self.reads.ask(Kind::Clock, now);
        }
        if self.slept != self.http.clock().slept() {
            // Whatever was said meanwhile was said to nobody (LI-06).
            self.slept = self.http.clock().slept();
            self.lost("the machine slept", now).await?;
        }
        if kind == Kind::Transfers && well {
            // The next reading overlaps this one; the core knows transfers by their id.
            self.transfers_since = self.gap_start();
        }
        for one in received {
            self.tell(one).await?;
        }
        if kind == Kind::Holdings && well {
            if let Some(live) = &mut self.live {
                live.prove();
            }
            self.release().await
        } else {
            Ok(())
        }
    }

    /// Lets the frames flow that were held back, and those after them.
    async fn release(&mut self) -> Result<(), Deaf> {
        let held = self.live.as_mut().and_then(|live| live.held.take());
        for received in held.into_iter().flat_map(|(held, _)| held) {
            self.tell(received).await?;
        }
        Ok(())
    }

    async fn release_late(&mut self, now: Timestamp) -> Result<(), Deaf> {
        let held = self.live.as_ref().and_then(|live| live.held.as_ref());
        if held.is_some_and(|(_, until)| *until <= now) {
            tracing::warn!("no snapshot of the account yet: showing the stream without it");
            return self.release().await;
        }
        Ok(())
    }

    async fn want(&mut self, want: Want, now: Timestamp) -> Result<(), Deaf> {
        match want {
            Want::Reserve(is_open) => {
                self.is_reserve_open = is_open;
                if is_open {
                    // What was put off for want of budget need not wait for the next minute.
                    self.reads.resume(Kind::Holdings);
                    self.reads.resume(Kind::Orders);
                }
            }
            Want::Holdings => self.reads.ask(Kind::Holdings, now),
            Want::OpenOrders => self.reads.ask(Kind::Orders, now),
            Want::Settings => self.reads.ask(Kind::Settings, now),
            Want::Transfers => self.reads.ask(Kind::Transfers, now),
            Want::Rules => self.reads.ask(Kind::Rules, now),
            Want::Watch(symbols) => {
                self.watched.send_if_modified(|watched| {
                    let changed = *watched != symbols;
                    *watched = symbols;
                    changed
                });
            }
            Want::Reconnect(why) => return self.lost(&why, now).await,
        }
        Ok(())
    }
}

/// Waits for what is in the slot; for ever when it is empty.
async fn poll<T>(slot: &mut Option<Boxed<T>>) -> T {
    match slot {
        Some(future) => future.await,
        None => pending().await,
    }
}
