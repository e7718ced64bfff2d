//! HTTP to the venue: each request once, every answer bounded, no secret in any text.
//!
//! Two pools, so that a slow read never delays an order; the trading pool is kept warm, so that an order never waits for
//! a handshake. Redirects are not followed (LI-11), proxies of the environment are ignored (LI-12), and nothing is ever
//! sent twice by this layer (OR-06): repeating is the planner's decision.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::header::{CONTENT_LENGTH, HeaderMap, HeaderValue};
use reqwest::{Client, Method, StatusCode, redirect, retry};
use secrecy::{ExposeSecret, SecretString};
use tokio_util::sync::CancellationToken;

use super::answer::{Answer, NoAnswer, NoKey, head, no_answer, words};
use super::budget::{Budget, Importance, Refusal, WEIGHT_MAX};
use super::names::Names;
use crate::clock::Clock;
use crate::model::{Span, Timestamp};
use crate::venue::binance::outcome;
use crate::venue::binance::request::{KeepKey, Read};
use crate::venue::binance::sign::{ReadSigner, Signed};
use crate::venue::binance::stream;

/// How long a signed request stays valid: as long as we wait for its answer, so that no order executes after we gave up.
///
/// Source: venues/binance-usdm.md section 2.2 (`recvWindow`, at most 60000 ms), read 2026-11-22.
pub const RECV_WINDOW_MS: u32 = 3_000;

/// Longest answer that is read; exchangeInfo is about 2 MB.
const BODY_MAX: usize = 16 * 1024 * 1024;

/// How often the trading pool is pinged: well under the idle time-outs of load balancers (60 s and more).
const WARM_EVERY: Duration = Duration::from_secs(10);

/// Idle connections are given up after this, before the venue closes them under a request; pinged ones stay young.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// Silence after 403, the web firewall (LI-13: at least 30 s a try).
pub(crate) const FIREWALL_PAUSE: Span = Span::from_secs(60);

/// Silence of orders after -1015: the venue's shorter window of order counts.
const ORDERS_PAUSE: Span = Span::from_secs(10);

/// A clock that falls behind by less than this was not asleep.
const SLEPT_MIN_MS: i64 = 2_000;

/// The venue's and the wall's account of a sleep differ by less than this.
const WITNESSES_AGREE_MS: i64 = 1_000;

/// Readings of the venue's clock in one synchronisation; the one with the shortest round trip counts.
const CLOCK_SAMPLES: usize = 3;

/// What the HTTP side needs to know.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// Scheme and host of the REST interface, such as `https://fapi.binance.com`.
    pub rest_url: String,
    /// A request without an answer ends after this, as unknown (OR-07: at most 3 s).
    pub request_timeout: Span,
    /// Name, TCP and TLS together.
    pub connect_timeout: Span,
    /// Trading connections kept open, 2 to 4.
    pub warm: usize,
}

impl HttpConfig {
    /// The defaults for a venue at `rest_url`.
    pub fn new(rest_url: &str) -> HttpConfig {
        HttpConfig {
            rest_url: rest_url.trim_end_matches('/').to_owned(),
            request_timeout: Span::from_secs(3),
            connect_timeout: Span::from_secs(2),
            warm: 3,
        }
    }
}

/// The connections to one venue for one API key.
pub struct Http {
    config: HttpConfig,
    reads: Client,
    trades: Client,
    clock: Clock,
    offset_ms: AtomicI64,
    synced_at_ms: AtomicI64,
    slip_ms: AtomicI64,
    budget: Mutex<Budget>,
    /// The other host of the venue counts apart, and of its limits only the silences matter: it is asked once a day.
    elsewhere: Mutex<Budget>,
    names: Names,
}

impl Http {
    /// Prepares both pools; connects nothing.
    ///
    /// # Errors
    ///
    /// In words, when the key cannot be a header, or TLS cannot be set up.
    pub fn new(config: HttpConfig, api_key: &SecretString, clock: Clock) -> Result<Http, String> {
        let mut key = HeaderValue::from_str(api_key.expose_secret())
            .map_err(|_| "the API key has characters that no key has".to_owned())?;
        key.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert("x-mbx-apikey", key);
        let names = Names::default();
        Ok(Http {
            reads: client(&config, &headers, &names, true)?,
            trades: client(&config, &headers, &names, false)?,
            names,
            config,
            slip_ms: AtomicI64::new(clock.slip()),
            clock,
            offset_ms: AtomicI64::new(0),
            synced_at_ms: AtomicI64::new(i64::MIN),
            budget: Mutex::new(Budget::new(WEIGHT_MAX)),
            elsewhere: Mutex::new(Budget::new(u32::MAX)),
        })
    }

    /// The clock that answers are stamped with.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The venue's time as far as we know it: our clock and the measured offset.
    pub fn timestamp(&self) -> Timestamp {
        Timestamp::from_ms(self.clock.now().ms().saturating_add(self.offset_ms()))
    }

    /// Venue's clock minus ours, in milliseconds.
    pub fn offset_ms(&self) -> i64 {
        self.offset_ms.load(Ordering::Relaxed)
    }

    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    /// Weight used in the running minute, and the limit.
    pub fn usage(&self) -> (u32, u32) {
        self.budget(&self.config.rest_url).usage()
    }

    /// Believes the venue's weight limit, from exchangeInfo.
    pub fn told_limit(&self, limit: u32) {
        self.budget(&self.config.rest_url).told_limit(limit);
    }

    /// How long a mutation has to wait because the venue asked for silence; `order` when it places one.
    pub fn wait(&self, order: bool) -> Option<Span> {
        self.budget(&self.config.rest_url).wait(self.timestamp(), order)
    }

    /// Sends a read, signed or keyed as it needs.
    ///
    /// # Errors
    ///
    /// [`NoAnswer`] when the budget refuses it or no complete answer came.
    pub async fn read(
        &self,
        read: &Read,
        signer: &ReadSigner,
        importance: Importance,
    ) -> Result<Answer, NoAnswer> {
        let base = &self.config.rest_url;
        self.read_at(base, read, signer, importance).await
    }

    /// Sends a read to another host of the same venue, such as the one that knows the key's permissions.
    ///
    /// # Errors
    ///
    /// As [`Http::read`].
    pub async fn read_at(
        &self,
        base: &str,
        read: &Read,
        signer: &ReadSigner,
        importance: Importance,
    ) -> Result<Answer, NoAnswer> {
        self.take(base, importance, read.weight())?;
        let signed = signer.sign(read, self.timestamp(), RECV_WINDOW_MS);
        self.send(&self.reads, Method::GET, base, signed.path_and_query())
            .await
    }

    /// Sends a mutation, once, on the trading pool. Whether it may be sent is asked of [`Http::wait`] before it is signed.
    ///
    /// # Errors
    ///
    /// [`NoAnswer`] when no complete answer came: the outcome is then unknown, unless nothing can have been written.
    pub async fn mutate(&self, signed: &Signed) -> Result<Answer, NoAnswer> {
        let method =
            Method::from_bytes(signed.method().as_bytes()).map_err(|_| NoAnswer::unsent("method"))?;
        let base = &self.config.rest_url;
        let answer = self
            .send(&self.trades, method, base, signed.path_and_query())
            .await?;
        if answer.status == 429 && answer.body.contains("-1015") {
            self.budget(base)
                .silence_orders(self.timestamp().after(ORDERS_PAUSE));
        }
        Ok(answer)
    }

    /// Creates the account's listenKey, or extends it: the venue answers the same key while it lives.
    ///
    /// Source: venues/binance-usdm.md section 3.1, read 2026-11-22.
    ///
    /// # Errors
    ///
    /// In words, without the key.
    pub async fn keep_key(&self) -> Result<String, NoKey> {
        let no_key = |none: NoAnswer| NoKey {
            why: format!("listenKey: {}", none.why),
            refused: false,
        };
        let base = &self.config.rest_url;
        self.take(base, Importance::Vital, KeepKey::WEIGHT)
            .map_err(no_key)?;
        let answer = self
            .send(&self.reads, Method::POST, base, KeepKey::PATH)
            .await
            .map_err(no_key)?;
        match (answer.status, stream::listen_key(&answer.body)) {
            (200, Some(key)) => Ok(key),
            (200, None) => Err(NoKey {
                why: "listenKey: the answer has no key".to_owned(),
                refused: false,
            }),
            (status, _) => Err(NoKey {
                why: format!("listenKey: HTTP {status}: {}", head(&answer.body)),
                // By the key's rights, or by the firewall (LI-13): neither is mended by asking again soon.
                refused: matches!(status, 401 | 403),
            }),
        }
    }

    /// Measures the venue's clock: three readings of `GET /fapi/v1/time`, half the round trip of the fastest taken off.
    ///
    /// # Errors
    ///
    /// In words, when none was answered; the old offset stays. An answer that is none ends it: more of them would only
    /// prolong what the firewall holds against us (LI-13).
    pub async fn sync_clock(&self, signer: &ReadSigner) -> Result<i64, NoAnswer> {
        let mut best: Option<(i64, i64)> = None;
        let mut trouble = NoAnswer::lost("no answer");
        for _ in 0..CLOCK_SAMPLES {
            let sent = self.clock.now().ms();
            match self.read(&Read::time(), signer, Importance::Vital).await {
                Ok(answer) => match stream::server_time(&answer.body) {
                    Some(server) if answer.status == 200 => {
                        let trip = answer.at.ms().saturating_sub(sent);
                        let offset = server.ms().saturating_sub(sent.saturating_add(trip / 2));
                        if best.is_none_or(|(shortest, _)| trip < shortest) {
                            best = Some((trip, offset));
                        }
                    }
                    _ => {
                        trouble = NoAnswer::lost(&format!("HTTP {}: {}", answer.status, head(&answer.body)));
                        if answer.status == 403 {
                            trouble.not_before = Some(answer.at.after(FIREWALL_PAUSE));
                            break;
                        }
                    }
                },
                Err(none) => {
                    trouble = none;
                    if best.is_none() {
                        break;
                    }
                }
            }
        }
        let (_, measured) = best.ok_or(trouble)?;
        let offset = self.woken(measured);
        self.offset_ms.store(offset, Ordering::Relaxed);
        self.synced_at_ms.store(self.clock.now().ms(), Ordering::Relaxed);
        Ok(offset)
    }

    /// Tells a machine that slept from a wall clock that was set (LI-06, LI-07): after a sleep both the venue and the
    /// wall are ahead of our clock by the same time. Then our clock moves, and the offset stays what it was.
    fn woken(&self, measured: i64) -> i64 {
        let slip = self.clock.slip();
        let slipped = slip.saturating_sub(self.slip_ms.load(Ordering::Relaxed));
        let jumped = measured.saturating_sub(self.offset_ms());
        let slept = self.synced_at().is_some()
            && SLEPT_MIN_MS <= jumped
            && jumped.saturating_sub(slipped).abs() <= WITNESSES_AGREE_MS;
        if slept {
            tracing::warn!(jumped, "the machine slept: the clock moves forward");
            self.clock.advance(Span::from_ms(jumped));
            return self.offset_ms();
        }
        self.slip_ms.store(slip, Ordering::Relaxed);
        measured
    }

    /// Whether the wall clock moved against ours since the venue's was last read: reading it again tells why.
    pub(super) fn is_slipped(&self) -> bool {
        let slipped = self
            .clock
            .slip()
            .saturating_sub(self.slip_ms.load(Ordering::Relaxed));
        SLEPT_MIN_MS <= slipped.abs()
    }

    /// When the clock was last measured; `None` before the first time.
    pub fn synced_at(&self) -> Option<Timestamp> {
        match self.synced_at_ms.load(Ordering::Relaxed) {
            i64::MIN => None,
            ms => Some(Timestamp::from_ms(ms)),
        }
    }

    /// Keeps the trading pool warm until cancelled: pings on all of its connections at once, every ten seconds.
    pub async fn warm(&self, cancel: CancellationToken) {
        let mut every = tokio::time::interval(WARM_EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                _ = every.tick() => self.warm_once().await,
            }
        }
    }

    /// One round of pings; after it the trading pool has its connections, if the venue can be reached.
    pub async fn warm_once(&self) {
        let count = u32::try_from(self.config.warm).unwrap_or(u32::MAX);
        let base = &self.config.rest_url;
        // As a reading: the firewall silences pings too, and each one that it answers would prolong the silence.
        if self.take(base, Importance::Sight, count).is_err() {
            return;
        }
        let ping = || self.send(&self.trades, Method::GET, base, "/fapi/v1/ping");
        for none in join_all((0..count).map(|_| ping()))
            .await
            .into_iter()
            .filter_map(Result::err)
        {
            tracing::debug!(why = none.why, "a trading connection could not be warmed");
        }
    }

    fn take(&self, base: &str, importance: Importance, weight: u32) -> Result<(), NoAnswer> {
        let now = self.timestamp();
        self.budget(base)
            .take(now, importance, weight)
            .map_err(|refusal| NoAnswer {
                bytes_may_have_been_written: false,
                why: match refusal {
                    Refusal::Told(at) => format!("not asked: the venue wants silence until {at}"),
                    Refusal::Spent(at) => format!("not asked: the weight budget is used up until {at}"),
                },
                not_before: Some(Timestamp::from_ms(
                    refusal.until().ms().saturating_sub(self.offset_ms()),
                )),
            })
    }

    async fn send(
        &self,
        pool: &Client,
        method: Method,
        base: &str,
        target: &str,
    ) -> Result<Answer, NoAnswer> {
        let url = reqwest::Url::parse(&format!("{base}{target}"))
            .map_err(|_| NoAnswer::unsent("malformed address"))?;
        // What was signed is what is sent, byte for byte (section 2.2): a parser that re-encodes would break the signature.
        if url.query().unwrap_or_default() != target.split_once('?').map_or("", |(_, query)| query) {
            return Err(NoAnswer::unsent("the query is not percent-encoded"));
        }
        let mut request = pool.request(method.clone(), url);
        if method == Method::POST {
            // Without it some front ends answer 411.
            request = request.header(CONTENT_LENGTH, 0);
        }
        let asked = self.timestamp();
        let mut response = request.send().await.map_err(no_answer)?;
        let status = response.status();
        self.heed(base, asked, response.headers());
        let retry_after = response
            .headers()
            .get("retry-after")
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(no_answer)? {
            if BODY_MAX < body.len().saturating_add(chunk.len()) {
                return Err(NoAnswer::lost("the answer is longer than 16 MiB"));
            }
            body.extend_from_slice(&chunk);
        }
        let body = String::from_utf8(body).map_err(|_| NoAnswer::lost("the answer is not text"))?;
        let at = self.clock.now();
        self.heed_refusal(base, status, retry_after.as_deref(), &body);
        Ok(Answer {
            status: status.as_u16(),
            body,
            at,
        })
    }

    fn heed(&self, base: &str, asked: Timestamp, headers: &HeaderMap) {
        let used = headers
            .get("x-mbx-used-weight-1m")
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.parse().ok());
        if let Some(used) = used {
            let now = self.timestamp();
            self.budget(base).told_used(asked, now, used);
        }
    }

    fn heed_refusal(&self, base: &str, status: StatusCode, retry_after: Option<&str>, body: &str) {
        if status.is_success() {
            return;
        }
        let now = self.timestamp();
        // Too many orders is counted by account and leaves reads alone; `mutate` silences orders.
        if body.len() < 4_096 && body.contains("-1015") {
            return;
        }
        if status == StatusCode::FORBIDDEN {
            self.budget(base).silence_reads(now.after(FIREWALL_PAUSE));
        } else if let Some(at) = outcome::retry_after(status.as_u16(), retry_after, body, now) {
            tracing::warn!(status = status.as_u16(), until = %at, "the venue wants silence");
            self.budget(base).silence(at);
        }
    }

    /// What the host counts. A ban of the other one must not keep an order from this one.
    fn budget(&self, base: &str) -> MutexGuard<'_, Budget> {
        let budget = if base == self.config.rest_url {
            &self.budget
        } else {
            &self.elsewhere
        };
        // Held for a few instructions and never across an await; a poisoned budget is still a budget.
        budget.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn client(config: &HttpConfig, headers: &HeaderMap, names: &Names, gzip: bool) -> Result<Client, String> {
    Client::builder()
        .default_headers(headers.clone())
        .user_agent(concat!("backstop/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .referer(false)
        .retry(retry::never())
        .no_proxy()
        .dns_resolver(Arc::new(names.clone()))
        // HTTP/1.1 keeps the connections apart: one lost packet then never holds up two requests.
        .http1_only()
        .tcp_nodelay(true)
        .timeout(millis(config.request_timeout))
        .connect_timeout(millis(config.connect_timeout))
        .pool_idle_timeout(IDLE_MAX)
        .gzip(gzip)
        .build()
        .map_err(words)
}

pub(super) fn millis(span: Span) -> Duration {
    Duration::from_millis(u64::try_from(span.ms()).unwrap_or(0))
}
