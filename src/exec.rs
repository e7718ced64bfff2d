//! Sends each mutation once, says what is known of it, and asks the venue when nothing is.
//!
//! Refusing needs proof: a time-out, a reset, a redirect or an unreadable answer leave an order unknown, and then it is
//! looked for by its client order id until it is found or proven absent. Nothing is sent a second time here; that is the
//! planner's decision. A dry executor has no signer and no connection: it cannot send, by type.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::event::{Doubt, Outcome, Rejection, RejectionKind};
use crate::model::{ClientOrderId, Intent, IntentKey, Span, Symbol, Timestamp};
use crate::venue::binance::client::{FIREWALL_PAUSE, Http, Importance, RECV_WINDOW_MS, clock_is_off};
use crate::venue::binance::outcome;
use crate::venue::binance::request::{Mutation, Read};
use crate::venue::binance::sign::{ReadSigner, TradeSigner};

/// Absence is believed this long after the sending, not earlier: reads lag behind the engine (OR-04).
const SETTLE: Span = Span::from_secs(5);

/// First pause before an unknown order is looked for; doubles.
const LOOK_FIRST: Span = Span::from_ms(250);

/// Longest pause between two looks. Looking goes on for as long as the venue gives no answer (OR-05).
const LOOK_MAX: Span = Span::from_secs(5);

/// Pause between the two looks that prove absence.
const LOOK_TWICE: Span = Span::from_ms(500);

/// Looks, at or after the settle time, that must say "absent".
const ABSENT_MIN: u32 = 2;

/// A cancel of unknown outcome may be repeated after this; the core reads the orders in between.
const CANCEL_AGAIN: Span = Span::from_ms(250);

/// Carries out intents; cheap to clone.
#[derive(Clone)]
pub struct Executor {
    mode: Mode,
    outcomes: mpsc::Sender<(IntentKey, Outcome)>,
    broken: Arc<AtomicBool>,
}

#[derive(Clone)]
enum Mode {
    Live(Arc<Live>),
    Dry,
}

struct Live {
    http: Arc<Http>,
    trade: TradeSigner,
    reader: ReadSigner,
    cancel: CancellationToken,
    settle: Span,
}

impl Executor {
    /// An executor that trades. `cancel` ends the looking; it is called by the executor itself when a task of it panics.
    pub fn live(
        http: Arc<Http>,
        trade: TradeSigner,
        reader: ReadSigner,
        outcomes: mpsc::Sender<(IntentKey, Outcome)>,
        cancel: CancellationToken,
    ) -> Executor {
        Executor::settling(http, trade, reader, outcomes, cancel, SETTLE)
    }

    fn settling(
        http: Arc<Http>,
        trade: TradeSigner,
        reader: ReadSigner,
        outcomes: mpsc::Sender<(IntentKey, Outcome)>,
        cancel: CancellationToken,
        settle: Span,
    ) -> Executor {
        Executor {
            mode: Mode::Live(Arc::new(Live {
                http,
                trade,
                reader,
                cancel,
                settle,
            })),
            outcomes,
            broken: Arc::new(AtomicBool::new(false)),
        }
    }

    /// An executor that cannot send anything and answers [`Outcome::Suppressed`].
    pub fn dry(outcomes: mpsc::Sender<(IntentKey, Outcome)>) -> Executor {
        Executor {
            mode: Mode::Dry,
            outcomes,
            broken: Arc::new(AtomicBool::new(false)),
        }
    }

    /// Whether a task of the executor panicked; `cancel` was called then, and the process must end with an error.
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// Sends an intent, once. Never blocks; must be called inside the runtime.
    ///
    /// The request is signed and handed to its connection before this returns. Each intent has one or more outcomes; all
    /// but the last are [`Outcome::Unknown`]. None is dropped.
    pub fn submit(&self, intent: Intent) {
        let outcomes = self.outcomes.clone();
        match &self.mode {
            Mode::Dry => self.launch(None, async move {
                tell(&outcomes, intent.key(), Outcome::Suppressed).await
            }),
            Mode::Live(live) => {
                let work = live.clone();
                self.launch(Some(live.cancel.clone()), async move {
                    work.carry_out(&intent, &outcomes).await
                });
            }
        }
    }

    /// Finds out what became of an order that an earlier run sent; answers under its [`IntentKey`] when it is known.
    pub fn ask(&self, symbol: Symbol, id: ClientOrderId) {
        let outcomes = self.outcomes.clone();
        match &self.mode {
            Mode::Dry => {
                self.launch(None, async move {
                    tell(&outcomes, IntentKey::Reduce(id), Outcome::Suppressed).await
                });
            }
            Mode::Live(live) => {
                let work = live.clone();
                self.launch(Some(live.cancel.clone()), async move {
                    let sent = work.http.clock().now();
                    let outcome = work.look_for(&symbol, &id, sent, Span::ZERO).await;
                    tell(&outcomes, IntentKey::Reduce(id), outcome).await;
                });
            }
        }
    }

    /// Runs the work as far as it goes without waiting, here and now, and the rest in a task of its own.
    fn launch(&self, cancel: Option<CancellationToken>, work: impl Future<Output = ()> + Send + 'static) {
        let guard = Loud {
            broken: self.broken.clone(),
            cancel,
        };
        let mut work: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move {
            let _guard = guard;
            work.await;
        });
        // The spawned task polls it again at once and leaves its own waker, so nothing is missed by this one.
        if work
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_pending()
        {
            tokio::spawn(work);
        }
    }
}

impl Live {
    async fn carry_out(&self, intent: &Intent, outcomes: &mpsc::Sender<(IntentKey, Outcome)>) {
        let key = intent.key();
        let mutation = Mutation::from_intent(intent);
        if let Some(rest) = self.http.wait(mutation.is_order()) {
            return tell(outcomes, key, not_sent("the venue wants silence", rest)).await;
        }
        let sent = self.http.clock().now();
        let signed = self.trade.sign(&mutation, self.http.timestamp(), RECV_WINDOW_MS);
        let outcome = match self.http.mutate(&signed).await {
            Ok(answer) if clock_is_off(&answer.body) => {
                // Refused for its timestamp and not executed; worth repeating as soon as the clock is right.
                let synced = self.http.sync_clock(&self.reader).await;
                not_sent(
                    if synced.is_ok() {
                        "clock corrected"
                    } else {
                        "clock is off"
                    },
                    Span::ZERO,
                )
            }
            Ok(answer) => outcome::classify(&mutation, answer.status, &answer.body),
            Err(none) => outcome::no_answer(none.bytes_may_have_been_written, &none.why),
        };
        let unknown = matches!(outcome, Outcome::Unknown(_));
        tell(outcomes, key.clone(), outcome).await;
        if !unknown {
            return;
        }
        let settled = match intent {
            Intent::Reduce(order) => self.look_for(intent.symbol(), order.id(), sent, LOOK_FIRST).await,
            // The store that lists it tells the core whether it stands.
            Intent::PlaceStop(_) => return,
            // Repeating a cancel is harmless, and the orders are read again in any case.
            Intent::Cancel(_) | Intent::CancelAll(_) | Intent::CancelAllConditional(_) => {
                not_sent("sent again if there is still something to cancel", CANCEL_AGAIN)
            }
        };
        tell(outcomes, key, settled).await;
    }

    /// Asks for an order until the venue shows it, or shows twice that it is not there, late enough to be believed.
    async fn look_for(&self, symbol: &Symbol, id: &ClientOrderId, sent: Timestamp, first: Span) -> Outcome {
        let read = Read::order(symbol, id);
        let believed = sent.after(self.settle);
        let (mut pause, mut absent) = (first, 0);
        loop {
            tokio::select! {
                () = self.cancel.cancelled() => return stopped(),
                () = tokio::time::sleep(millis(pause)) => {}
            }
            let asked = self.http.clock().now();
            let mut not_before = None;
            match self.http.read(&read, &self.reader, Importance::Vital).await {
                Ok(answer) if clock_is_off(&answer.body) => {
                    if let Err(none) = self.http.sync_clock(&self.reader).await {
                        tracing::warn!(none.why, "the venue's clock could not be read");
                        not_before = none.not_before;
                    }
                }
                // The firewall: asking on would only prolong it (LI-13), and the stream and the position tell as well.
                Ok(answer) if answer.status == 403 => not_before = Some(answer.at.after(FIREWALL_PAUSE)),
                Ok(answer) => match outcome::queried(answer.status, &answer.body) {
                    Some(Outcome::Rejected(rejection)) if rejection.kind == RejectionKind::Absent => {
                        absent = if believed <= asked { absent + 1 } else { 0 };
                        if ABSENT_MIN <= absent {
                            return Outcome::Rejected(rejection);
                        }
                    }
                    Some(found) => return found,
                    None => {}
                },
                Err(none) => not_before = none.not_before,
            }
            let now = self.http.clock().now();
            let doubled = Span::from_ms(pause.ms().saturating_mul(2))
                .max(LOOK_FIRST)
                .min(LOOK_MAX);
            pause = match not_before {
                Some(at) => at.since(now).max(LOOK_FIRST),
                None if 0 < absent => LOOK_TWICE,
                // Land on the moment from which absence counts, rather than long after it.
                None if now < believed => doubled.min(believed.since(now)),
                None => doubled,
            };
        }
    }
}

/// Delivers an outcome, however long it takes. Nobody listening any more is the end of the run.
async fn tell(outcomes: &mpsc::Sender<(IntentKey, Outcome)>, key: IntentKey, outcome: Outcome) {
    if outcomes.send((key, outcome)).await.is_err() {
        tracing::debug!("an outcome came after the end of the run");
    }
}

fn not_sent(why: &str, rest: Span) -> Outcome {
    Outcome::Rejected(Rejection {
        code: 0,
        message: why.to_owned(),
        kind: RejectionKind::Retry(rest),
    })
}

fn stopped() -> Outcome {
    Outcome::Unknown(Doubt {
        status: None,
        code: None,
        why: "the run ended before the venue said".to_owned(),
    })
}

fn millis(span: Span) -> std::time::Duration {
    std::time::Duration::from_millis(u64::try_from(span.ms()).unwrap_or(0))
}

/// Makes a panic of a task the end of the run: half an executor is worse than none.
struct Loud {
    broken: Arc<AtomicBool>,
    cancel: Option<CancellationToken>,
}

impl Drop for Loud {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("a task of the executor panicked: ending the run");
            self.broken.store(true, Ordering::Relaxed);
            if let Some(cancel) = &self.cancel {
                cancel.cancel();
            }
        }
    }
}

#[cfg(test)]
mod tests;
