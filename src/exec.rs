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
use crate::venue::binance::client::{Http, Importance, RECV_WINDOW_MS, clock_is_off};
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
            // Repeating a cancel is harmless, and the orders are read again in any case.
            Intent::Cancel(_) | Intent::CancelAll(_) | Intent::CancelAllConditional(_) => {
                not_sent("the cancel may or may not have happened", CANCEL_AGAIN)
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
                    if let Err(why) = self.http.sync_clock(&self.reader).await {
                        tracing::warn!(why, "the venue's clock could not be read");
                    }
                }
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
mod tests {
    use std::sync::atomic::AtomicUsize;

    use secrecy::SecretString;

    use super::*;
    use crate::model::{Leg, OrderId, PositionSide, Pricing, ReduceOrder, Store};
    use crate::venue::binance::client::testing::{API_SECRET, Asked, Reply, Server, ok, reader, short, soon};

    const SETTLE: Span = Span::from_ms(800);

    fn symbol() -> Symbol {
        Symbol::new("BTCUSDT").unwrap()
    }

    fn id() -> ClientOrderId {
        ClientOrderId::new("bs-1").unwrap()
    }

    fn reduce() -> Intent {
        let leg = Leg {
            symbol: symbol(),
            side: PositionSide::Both,
        };
        let q = |text: &str| text.parse().unwrap();
        Intent::Reduce(ReduceOrder::against(id(), leg, q("1"), q("1"), q("0.001"), Pricing::Market).unwrap())
    }

    fn cancel() -> Intent {
        Intent::Cancel(OrderId {
            store: Store::Regular,
            symbol: symbol(),
            id: 7,
        })
    }

    fn order() -> Reply {
        ok(
            r#"{"orderId":7,"symbol":"BTCUSDT","status":"FILLED","clientOrderId":"bs-1","origQty":"1","executedQty":"1",
            "avgPrice":"0","price":"0","stopPrice":"0","side":"SELL","positionSide":"BOTH","type":"MARKET",
            "origType":"MARKET","timeInForce":"GTC","reduceOnly":true,"closePosition":false,"time":5,"updateTime":5}"#,
        )
    }

    fn absent() -> Reply {
        Reply::Http(
            400,
            "",
            r#"{"code":-2013,"msg":"Order does not exist."}"#.to_owned(),
        )
    }

    type Outcomes = mpsc::Receiver<(IntentKey, Outcome)>;

    fn executor(server: &Server) -> (Executor, Outcomes, CancellationToken) {
        let (tx, rx) = mpsc::channel(8);
        let cancel = CancellationToken::new();
        let trade = TradeSigner::new(&SecretString::from(API_SECRET)).unwrap();
        let http = server.http_with(short);
        let executor = Executor::settling(http, trade, reader(), tx, cancel.clone(), SETTLE);
        (executor, rx, cancel)
    }

    async fn next(outcomes: &mut Outcomes) -> Outcome {
        soon(outcomes.recv()).await.unwrap().1
    }

    fn is_unknown(outcome: &Outcome) -> bool {
        matches!(outcome, Outcome::Unknown(_))
    }

    fn is_retry(outcome: &Outcome) -> bool {
        matches!(
            outcome,
            Outcome::Rejected(Rejection {
                kind: RejectionKind::Retry(_),
                ..
            })
        )
    }

    #[tokio::test]
    async fn an_order_that_is_answered_has_one_outcome() {
        let server = Server::start(|_| order()).await;
        let (executor, mut outcomes, _cancel) = executor(&server);
        executor.submit(reduce());
        let (key, outcome) = soon(outcomes.recv()).await.unwrap();
        assert_eq!(key, IntentKey::Reduce(id()));
        let Outcome::Accepted(Some(report)) = outcome else {
            panic!("{outcome:?}")
        };
        assert!(report.terminal);
        drop(executor);
        assert!(soon(outcomes.recv()).await.is_none());
        let asked = server.asked();
        assert_eq!(asked.len(), 1);
        assert!(asked[0].head.contains("content-length: 0"), "{asked:?}");
    }

    #[tokio::test]
    async fn or_01_or_03_an_order_is_sent_once_and_looked_for_when_its_answer_is_lost() {
        for lost in [
            Reply::Cut,
            Reply::Hang,
            Reply::Http(
                503,
                "",
                r#"{"code":-1000,"msg":"Unknown error, please check your request or try again later."}"#
                    .to_owned(),
            ),
            Reply::Http(408, "", String::new()),
            Reply::Http(502, "", "<html>".to_owned()),
            Reply::Http(302, "location: /elsewhere\r\n", String::new()),
        ] {
            let server = Server::start(move |asked| match asked.method.as_str() {
                "POST" => lost.clone(),
                _ => order(),
            })
            .await;
            let (executor, mut outcomes, _cancel) = executor(&server);
            executor.submit(reduce());
            let first = next(&mut outcomes).await;
            assert!(is_unknown(&first), "{first:?}");
            let second = next(&mut outcomes).await;
            assert!(matches!(second, Outcome::Accepted(Some(_))), "{second:?}");
            assert_eq!(server.count("POST /fapi/v1/order"), 1);
            assert_eq!(server.count("GET /fapi/v1/order"), 1);
            assert_eq!(server.count("GET /elsewhere"), 0);
        }
    }

    #[tokio::test]
    async fn or_06_an_order_on_a_kept_connection_that_dies_is_not_sent_again() {
        let posts = Arc::new(AtomicUsize::new(0));
        let server = Server::start(|asked: &Asked| match asked.method.as_str() {
            "POST" => Reply::Cut,
            _ if asked.path() == "/fapi/v1/ping" => ok("{}"),
            _ => absent(),
        })
        .await;
        let (executor, mut outcomes, cancel) = executor(&server);
        let Mode::Live(live) = &executor.mode else {
            panic!("live")
        };
        live.http.warm_once().await;
        executor.submit(reduce());
        assert!(is_unknown(&next(&mut outcomes).await));
        assert_eq!(server.count("POST /fapi/v1/order"), 1, "{posts:?}");
        cancel.cancel();
    }

    #[tokio::test]
    async fn or_04_absence_is_believed_only_after_the_settle_time_and_two_looks() {
        let server = Server::start(|asked| {
            if asked.method == "POST" {
                Reply::Cut
            } else {
                absent()
            }
        })
        .await;
        let (executor, mut outcomes, _cancel) = executor(&server);
        let clock = crate::clock::Clock::start();
        let start = clock.now();
        executor.submit(reduce());
        assert!(is_unknown(&next(&mut outcomes).await));
        let settled = next(&mut outcomes).await;
        let Outcome::Rejected(rejection) = settled else {
            panic!("{settled:?}")
        };
        assert_eq!(rejection.kind, RejectionKind::Absent);
        let took = clock.now().since(start);
        assert!(SETTLE.ms() + LOOK_TWICE.ms() <= took.ms(), "{took}");
        assert!(4 <= server.count("GET /fapi/v1/order"));
        assert_eq!(server.count("POST /fapi/v1/order"), 1);
    }

    #[tokio::test]
    async fn or_04_an_order_that_shows_up_late_is_found() {
        let looks = Arc::new(AtomicUsize::new(0));
        let server = Server::start(move |asked| match asked.method.as_str() {
            "POST" => Reply::Cut,
            _ if looks.fetch_add(1, Ordering::SeqCst) < 2 => absent(),
            _ => order(),
        })
        .await;
        let (executor, mut outcomes, _cancel) = executor(&server);
        executor.submit(reduce());
        assert!(is_unknown(&next(&mut outcomes).await));
        assert!(matches!(next(&mut outcomes).await, Outcome::Accepted(Some(_))));
    }

    #[tokio::test]
    async fn or_05_looking_goes_on_while_the_venue_gives_no_answer() {
        let looks = Arc::new(AtomicUsize::new(0));
        let server = Server::start(move |asked| match asked.method.as_str() {
            "POST" => Reply::Cut,
            _ if looks.fetch_add(1, Ordering::SeqCst) < 3 => Reply::Cut,
            _ => order(),
        })
        .await;
        let (executor, mut outcomes, _cancel) = executor(&server);
        executor.submit(reduce());
        assert!(is_unknown(&next(&mut outcomes).await));
        assert!(matches!(next(&mut outcomes).await, Outcome::Accepted(Some(_))));
    }

    #[tokio::test]
    async fn a_cancel_of_unknown_outcome_may_be_repeated() {
        let server = Server::start(|_| Reply::Cut).await;
        let (executor, mut outcomes, _cancel) = executor(&server);
        executor.submit(cancel());
        assert!(is_unknown(&next(&mut outcomes).await));
        assert!(is_retry(&next(&mut outcomes).await));
        assert_eq!(server.asked().len(), 1);
    }

    #[tokio::test]
    async fn li_01_nothing_is_sent_before_the_time_that_the_venue_named() {
        let server = Server::start(|_| {
            Reply::Http(
                429,
                "retry-after: 30\r\n",
                r#"{"code":-1003,"msg":"Too many requests"}"#.to_owned(),
            )
        })
        .await;
        let (executor, mut outcomes, _cancel) = executor(&server);
        executor.submit(reduce());
        assert!(is_retry(&next(&mut outcomes).await));
        executor.submit(reduce());
        let second = next(&mut outcomes).await;
        let Outcome::Rejected(Rejection {
            kind: RejectionKind::Retry(rest),
            ..
        }) = second
        else {
            panic!("{second:?}")
        };
        assert!(
            Span::from_secs(20) < rest && rest <= Span::from_secs(30),
            "{rest}"
        );
        assert_eq!(server.asked().len(), 1);
    }

    #[tokio::test]
    async fn li_05_a_refused_timestamp_corrects_the_clock_and_the_order_may_be_sent_again() {
        for code in [-1021, -5028] {
            let server = Server::start(move |asked| match asked.path() {
                "/fapi/v1/time" => ok(&format!(
                    r#"{{"serverTime":{}}}"#,
                    crate::clock::now().ms() + 9_000
                )),
                _ => Reply::Http(400, "", format!(r#"{{"code":{code},"msg":"Timestamp"}}"#)),
            })
            .await;
            let (executor, mut outcomes, _cancel) = executor(&server);
            executor.submit(reduce());
            let outcome = next(&mut outcomes).await;
            assert!(is_retry(&outcome), "{outcome:?}");
            let Mode::Live(live) = &executor.mode else {
                panic!("live")
            };
            assert!((live.http.offset_ms() - 9_000).abs() < 500);
        }
    }

    #[tokio::test]
    async fn an_order_of_an_earlier_run_is_asked_for_without_sending_anything() {
        let server = Server::start(|_| order()).await;
        let (executor, mut outcomes, _cancel) = executor(&server);
        executor.ask(symbol(), id());
        assert!(matches!(next(&mut outcomes).await, Outcome::Accepted(Some(_))));
        assert_eq!(server.count("GET /fapi/v1/order"), server.asked().len());
    }

    #[tokio::test]
    async fn or_10_a_symbol_that_stalls_does_not_delay_the_others() {
        let server = Server::start(|asked| {
            if asked.target.contains("ETHUSDT") {
                Reply::Hang
            } else {
                ok("{}")
            }
        })
        .await;
        let (executor, mut outcomes, _cancel) = executor(&server);
        executor.submit(Intent::CancelAll(Symbol::new("ETHUSDT").unwrap()));
        executor.submit(Intent::CancelAll(symbol()));
        let (key, _) = soon(outcomes.recv()).await.unwrap();
        assert_eq!(key, IntentKey::CancelAll(Store::Regular, symbol()));
    }

    #[tokio::test]
    async fn pr_16_a_dry_executor_sends_nothing_and_says_so() {
        let server = Server::start(|_| ok("{}")).await;
        let (tx, mut outcomes) = mpsc::channel(1);
        let executor = Executor::dry(tx);
        for intent in [
            reduce(),
            cancel(),
            Intent::CancelAll(symbol()),
            Intent::CancelAllConditional(symbol()),
        ] {
            let key = intent.key();
            executor.submit(intent);
            assert_eq!(soon(outcomes.recv()).await, Some((key, Outcome::Suppressed)));
        }
        executor.ask(symbol(), id());
        assert_eq!(next(&mut outcomes).await, Outcome::Suppressed);
        assert_eq!(server.connections.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn outcomes_wait_for_room_and_are_not_dropped() {
        let (tx, mut outcomes) = mpsc::channel(1);
        let executor = Executor::dry(tx);
        for _ in 0..50 {
            executor.submit(cancel());
        }
        for _ in 0..50 {
            assert_eq!(next(&mut outcomes).await, Outcome::Suppressed);
        }
    }

    #[tokio::test]
    async fn a_panic_ends_the_run() {
        let server = Server::start(|_| ok("{}")).await;
        let (executor, _outcomes, cancel) = executor(&server);
        executor.launch(Some(cancel.clone()), async {
            tokio::task::yield_now().await;
            panic!("a bug");
        });
        soon(cancel.cancelled()).await;
        assert!(executor.is_broken());
    }
}
