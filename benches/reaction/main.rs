//! How long after a margin call the signed order arrives, beside a bare socket that does the same.
//!
//! A raw server on the loopback writes a `MARGIN_CALL` and takes the time until the bytes of `POST /fapi/v1/order` are
//! there. It asks two clients: the real guard (session, ten policies, kept state on the disk, signer, HTTP), and two
//! blocking sockets that parse nothing and answer with a request made beforehand. Both also after a burst of 10,000
//! events. The bench prints and never judges.
#![expect(clippy::disallowed_methods, reason = "a bench measures time")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "a bench that cannot go on stops"
)]

mod venue;

use backstop::clock::{self, Clock};
use backstop::config::{Timing, policy};
use backstop::run::Outlets;
use backstop::run::account::{Account, guard_account};
use backstop::serve::Status;
use secrecy::SecretString;
use std::io::{BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::{broadcast, mpsc, watch};
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::{Message, WebSocket, accept_hdr};
use tokio_util::sync::CancellationToken;
use venue::*;

/// Rounds without a burst, rounds with one, and rounds that do not count.
const ROUNDS: usize = 200;
const BURST_ROUNDS: usize = 40;
const WARM_UP: usize = 10;
/// Events of a burst, half marks and half account updates.
const BURST: usize = 10_000;
/// Rest between two steps of a round, in which the guard settles.
const REST: Duration = Duration::from_millis(15);
/// An order that takes longer does not come.
const PATIENCE: Duration = Duration::from_secs(15);
/// A series ends after this with the rounds that it has.
const SERIES_MAX: Duration = Duration::from_secs(8);

const POLICIES: &str = r#"
version = 1
name    = "bench"
[[policy]]
id = "margin-call"
type = "margin_call"
ladder = [ { action = "alert" }, { action = "reduce", to = "45%" } ]
[[policy]]
id = "margin"
type = "margin_ratio"
ladder = [ { at = "80%", action = "alert" }, { at = "85%", action = "block" }, { at = "95%", action = "flatten" } ]
[[policy]]
id = "position"
type = "max_position"
measure = "equity_multiple"
ladder = [ { at = "30x", action = "alert" }, { at = "40x", action = "reduce", to = "35x" } ]
[[policy]]
id = "notional"
type = "max_position"
ladder = [ { at = "900000", action = "block" } ]
[[policy]]
id = "quantity"
type = "max_position"
measure = "quantity"
symbols = ["BTCUSDT"]
ladder = [ { at = "20", action = "reduce", to = "15" } ]
[[policy]]
id = "drawdown"
type = "drawdown"
ladder = [ { at = "40%", action = "alert" }, { at = "50%", action = "flatten", latch = "manual" } ]
[[policy]]
id = "drawdown-money"
type = "drawdown"
ladder = [ { at = "4000", action = "block" } ]
[[policy]]
id = "daily-loss"
type = "period_loss"
ladder = [ { at = "40%", action = "alert" }, { at = "50%", action = "block" } ]
[[policy]]
id = "weekly-loss"
type = "period_loss"
period = "week"
ladder = [ { at = "60%", action = "block" } ]
[[policy]]
id = "blind"
type = "blind"
ladder = [ { at = "15s", action = "alert" }, { at = "60s", action = "block" } ]
"#;

/// What the account holds when it is called: a ratio of 50 %, to be cut to 45 %.
const FULL: &str = "1.000";

fn main() {
    // RUST_LOG=info tells what the guard says meanwhile; without it nothing is written, which would be measured too.
    if std::env::var_os("RUST_LOG").is_some() {
        tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_writer(std::io::stderr)
            .init();
    }
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let real = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let memory = Path::new("/dev/shm");
    println!("from MARGIN_CALL written to POST /fapi/v1/order read; microseconds, median and p99\n");
    println!(
        "{:<34}{:>9}{:>9}{:>13}{:>9}",
        "", "quiet", "p99", "after burst", "p99"
    );
    let bare = bare();
    bare.print("bare sockets");
    let on_disk = guarded(real);
    on_disk.print("guard, state on disk");
    if memory.is_dir() {
        guarded(memory).print("guard, state in memory");
    }
    println!(
        "\nreaction: {} x bare socket (median), after a burst of {BURST} events: {} x",
        ratio(on_disk.quiet.median(), bare.quiet.median()),
        ratio(on_disk.burst.median(), bare.burst.median()),
    );
}

/// Two decimals without floating point.
fn ratio(a: u128, b: u128) -> String {
    let hundredths = a * 100 / b.max(1);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// Nanoseconds, sorted.
struct Times(Vec<u128>);

impl Times {
    fn median(&self) -> u128 {
        self.0[self.0.len() / 2]
    }

    fn p99(&self) -> u128 {
        self.0[(self.0.len() * 99 / 100).min(self.0.len() - 1)]
    }
}

struct Row {
    quiet: Times,
    burst: Times,
}

impl Row {
    fn print(&self, name: &str) {
        println!(
            "{name:<34}{:>9}{:>9}{:>13}{:>9}",
            self.quiet.median() / 1_000,
            self.quiet.p99() / 1_000,
            self.burst.median() / 1_000,
            self.burst.p99() / 1_000
        );
    }
}

// --- the server ---------------------------------------------------------------------------------------------------

/// The two streams to a client.
struct Client<'a> {
    venue: &'a Venue,
    private: TcpStream,
    market: TcpStream,
    surprises: usize,
}

impl Client<'_> {
    fn tell(&mut self, bytes: &[u8]) {
        self.private.write_all(bytes).unwrap();
    }

    /// Shows the effect of an order.
    fn show(&mut self, order: &Arrived) {
        let (amount, at) = *self.venue.held.lock().unwrap();
        let bytes = [order_update(at, order), account_update(at, &shown(amount))].concat();
        self.tell(&bytes);
    }

    /// The account holds the whole position again; what a guard does about that by itself is let pass.
    fn restore(&mut self) {
        for _ in 0..20 {
            let now = clock::now().ms();
            *self.venue.held.lock().unwrap() = (1_000, now);
            self.market.write_all(&mark(now, 0)).unwrap();
            self.tell(&account_update(now, FULL));
            match self.venue.orders.recv_timeout(REST) {
                Err(RecvTimeoutError::Timeout) => return,
                Err(RecvTimeoutError::Disconnected) => panic!("the server is gone"),
                Ok(order) => {
                    self.surprises += 1;
                    self.show(&order);
                    thread::sleep(REST);
                }
            }
        }
        panic!("the guard cuts without being called");
    }

    /// One call; the time until its order arrived.
    fn round(&mut self, with_burst: bool) -> Option<u128> {
        self.restore();
        let now = clock::now().ms();
        if with_burst {
            let marks: Vec<u8> = (0..BURST / 2).flat_map(|n| mark(now, n % 10)).collect();
            let updates = account_update(now, FULL).repeat(BURST / 2);
            self.market.write_all(&marks).unwrap();
            self.tell(&updates);
        }
        let call = margin_call(now);
        let began = Instant::now();
        self.tell(&call);
        let order = self.venue.orders.recv_timeout(PATIENCE).ok()?;
        let took = order.at.saturating_duration_since(began).as_nanos();
        self.show(&order);
        thread::sleep(REST);
        Some(took)
    }

    fn rounds(&mut self, count: usize, with_burst: bool) -> Times {
        let mut times = Vec::new();
        let began = Instant::now();
        for _ in 0..count {
            if !times.is_empty() && SERIES_MAX < began.elapsed() {
                break;
            }
            match self.round(with_burst) {
                Some(took) => times.push(took),
                None => panic!("no order came within {PATIENCE:?} of a margin call"),
            }
        }
        times.sort_unstable();
        Times(times)
    }

    fn row(&mut self) -> Row {
        self.rounds(WARM_UP, false);
        let quiet = self.rounds(ROUNDS, false);
        let burst = self.rounds(BURST_ROUNDS, true);
        if 0 < self.surprises {
            println!("({} orders came without a call)", self.surprises);
        }
        Row { quiet, burst }
    }
}

/// The real guard, its state kept under `folder`.
fn guarded(folder: &Path) -> Row {
    let state = tempfile::tempdir_in(folder).unwrap();
    let venue = Venue::start();
    let policies = policy::parse("bench.toml", POLICIES).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(policies.policies.len(), 10);
    let account = Account {
        label: "bench".into(),
        venue: "binance".into(),
        rest_url: format!("http://{}", venue.rest),
        stream_url: format!("ws://{}", venue.stream),
        sapi_url: None,
        is_mainnet: false,
        key: SecretString::from("benchkeybenchkeybenchkeybenchkey"),
        secret: SecretString::from("benchsecretbenchsecretbenchsecre"),
        timing: Timing::default(),
        policies,
        digest: String::new(),
        is_live: true,
        is_new_key: false,
        record: None,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let cancel = CancellationToken::new();
    let outlets = Outlets {
        status: watch::Sender::new(Arc::new(Status::default())),
        events: broadcast::Sender::new(1_024),
        story: None,
        alerts: backstop::alert::Alerts::default(),
    };
    let (_door, commands) = mpsc::channel(1);
    let place = state.path().to_owned();
    let guard = runtime.spawn({
        let cancel = cancel.clone();
        async move { guard_account(account, &place, Clock::start(), outlets, commands, cancel).await }
    });
    let mut client = Client {
        venue: &venue,
        private: venue.privates.recv_timeout(PATIENCE).unwrap(),
        market: venue.markets.recv_timeout(PATIENCE).unwrap(),
        surprises: 0,
    };
    // The snapshot, and the warm connections.
    thread::sleep(Duration::from_millis(700));
    let row = client.row();
    cancel.cancel();
    runtime.block_on(guard).unwrap().unwrap();
    row
}

/// Two blocking sockets: reads frames without looking into them, and sends a request made beforehand.
fn bare() -> Row {
    let venue = Venue::start();
    let stop = Arc::new(AtomicBool::new(false));
    let private = upgrade(&venue.stream, "/private/ws");
    let market = upgrade(&venue.stream, "/market/ws");
    // A masked frame that subscribes, with a mask of zero.
    let subscribe = br#"{"method":"SUBSCRIBE","params":["btcusdt@markPrice@1s"],"id":1}"#;
    let mut bytes = vec![0x81, 0x80 | u8::try_from(subscribe.len()).unwrap(), 0, 0, 0, 0];
    bytes.extend_from_slice(subscribe);
    (&market).write_all(&bytes).unwrap();
    let mut rest = TcpStream::connect(&venue.rest).unwrap();
    rest.set_nodelay(true).unwrap();
    let request = format!(
        "POST /fapi/v1/order?symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.100&reduceOnly=true&newClientOrderId=bs-00000000000000000000&newOrderRespType=RESULT&recvWindow=5000&timestamp=1795000000000&signature={} HTTP/1.1\r\nhost: {}\r\nx-mbx-apikey: benchkeybenchkeybenchkeybenchkey\r\naccept: */*\r\ncontent-length: 0\r\n\r\n",
        "0".repeat(64),
        venue.rest
    );
    rest.write_all(b"GET /fapi/v1/ping HTTP/1.1\r\nhost: bench\r\n\r\n")
        .unwrap();
    answer(&mut rest);
    // As much is read at once as the real client reads.
    let (mut private, mut market) = (
        BufReader::with_capacity(8_192, private),
        BufReader::with_capacity(8_192, market),
    );
    thread::spawn(move || while next_frame(&mut market).is_some() {});
    let ended = Arc::clone(&stop);
    thread::spawn(move || {
        while let Some(payload) = next_frame(&mut private) {
            if payload.starts_with(br#"{"e":"MARGIN_CALL""#) && !ended.load(Ordering::Relaxed) {
                rest.write_all(request.as_bytes()).unwrap();
                answer(&mut rest);
            }
        }
    });
    let mut client = Client {
        venue: &venue,
        private: venue.privates.recv_timeout(PATIENCE).unwrap(),
        market: venue.markets.recv_timeout(PATIENCE).unwrap(),
        surprises: 0,
    };
    let row = client.row();
    stop.store(true, Ordering::Relaxed);
    let _ = client.private.shutdown(std::net::Shutdown::Both);
    let _ = client.market.shutdown(std::net::Shutdown::Both);
    row
}

fn upgrade(address: &str, path: &str) -> TcpStream {
    let mut tcp = TcpStream::connect(address).unwrap();
    tcp.set_nodelay(true).unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    tcp.write_all(request.as_bytes()).unwrap();
    // Byte by byte, so that no frame is taken with the head.
    let (mut seen, mut byte) = (Vec::new(), [0]);
    while !seen.ends_with(b"\r\n\r\n") {
        tcp.read_exact(&mut byte).unwrap();
        seen.push(byte[0]);
    }
    tcp
}

/// Reads one answer whole.
fn answer(tcp: &mut TcpStream) {
    let mut buffer = Vec::new();
    let head = head(tcp, &mut buffer).unwrap();
    let length = head.split_once("content-length: ").unwrap().1;
    let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
    let mut rest = vec![0; length.saturating_sub(buffer.len())];
    tcp.read_exact(&mut rest).unwrap();
}

/// The payload of the next frame; `None` when the server is gone.
fn next_frame(tcp: &mut impl Read) -> Option<Vec<u8>> {
    let mut start = [0; 2];
    tcp.read_exact(&mut start).ok()?;
    let mut length = usize::from(start[1] & 0x7f);
    if length == 126 {
        let mut long = [0; 2];
        tcp.read_exact(&mut long).ok()?;
        length = usize::from(u16::from_be_bytes(long));
    }
    let mut payload = vec![0; length];
    tcp.read_exact(&mut payload).ok()?;
    Some(payload)
}
