//! The wire between a client and the exchange, on which the faults of the network are: every byte goes through here.

use crate::sim::faults::Wire;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;

/// Connections of one side at a time.
const CONNECTIONS_MAX: usize = 1_024;
/// When the exchange stops, what it still says passes for this long.
const FAREWELL: Duration = Duration::from_millis(500);
/// Bytes that pass at once.
const PIECE: usize = 16 * 1_024;

/// What the network does on both sides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wires {
    pub(super) rest: Wire,
    pub(super) stream: Wire,
}

/// Which of the two a connection looks at.
pub(super) type Pick = fn(&Wires) -> &Wire;

pub(super) fn rest(wires: &Wires) -> &Wire {
    &wires.rest
}

pub(super) fn stream(wires: &Wires) -> &Wire {
    &wires.stream
}

/// A connection as the wire sees it.
#[derive(Clone)]
struct Line {
    wires: watch::Receiver<Wires>,
    pick: Pick,
    /// Made while new connections stall: nothing passes for as long as they do.
    born_stalled: bool,
    /// Where its jitter and its luck begin.
    number: u64,
}

/// Accepts connections until `stop` and carries their bytes to the exchange behind.
pub(super) async fn run(
    listener: TcpListener,
    behind: SocketAddr,
    pick: Pick,
    wires: watch::Receiver<Wires>,
    stop: CancellationToken,
) {
    let tasks = TaskTracker::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut number: u64 = 0;
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let Ok((client, _)) = accepted else {
            // Out of descriptors, most likely: a pause instead of a spin.
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            continue;
        };
        number = number.wrapping_add(1);
        let line = Line {
            born_stalled: pick(&wires.borrow()).stalled,
            wires: wires.clone(),
            pick,
            number,
        };
        let stop = stop.clone();
        let goodbye = async move {
            stop.cancelled().await;
            sleep(FAREWELL).await;
        };
        tasks.spawn(async move {
            let ended = tokio::select! {
                () = goodbye => Ok(()),
                ended = carry(client, behind, line) => ended,
            };
            if let Err(error) = ended {
                debug!(%error, "a connection ended");
            }
            drop(place);
        });
    }
    tasks.close();
    tasks.wait().await;
}

async fn carry(client: TcpStream, behind: SocketAddr, line: Line) -> io::Result<()> {
    if line.now().cut {
        client.set_zero_linger()?;
        return Ok(());
    }
    client.set_nodelay(true)?;
    let server = TcpStream::connect(behind).await?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let up = pump(from_client, to_server, line.clone(), true);
    let down = pump(from_server, to_client, line, false);
    // The first that breaks takes the other with it; one that ends well leaves the other open, as TCP does.
    tokio::try_join!(up, down).map(|_| ())
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut line: Line,
    is_upload: bool,
) -> io::Result<()> {
    let mut buffer = vec![0; PIECE];
    let (mut passed, mut random) = (0u64, line.number);
    loop {
        if line.is_frozen() {
            if line.is_cut_by_a_change().await {
                return reset(&from, &to);
            }
            continue;
        }
        let count = tokio::select! {
            cut = line.is_cut_by_a_change() => {
                if cut {
                    return reset(&from, &to);
                }
                continue;
            }
            count = from.read(&mut buffer) => count?,
        };
        if count == 0 {
            return to.shutdown().await;
        }
        let wire = line.now();
        if let Some((ms, jitter)) = wire.latency {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let extra = (random >> 33).checked_rem(jitter.saturating_add(1)).unwrap_or(0);
            sleep(Duration::from_millis(ms.saturating_add(extra))).await;
        }
        // What was read before the network went away does not arrive either.
        while line.is_frozen() {
            if line.is_cut_by_a_change().await {
                return reset(&from, &to);
            }
        }
        let mut bytes = buffer.get(..count).unwrap_or_default();
        let limit = wire.reset.filter(|(_, upload, percent)| {
            *upload == is_upload && line.number.wrapping_mul(61) % 100 < u64::from(*percent)
        });
        if let Some((after, ..)) = limit {
            let left = usize::try_from(after.saturating_sub(passed)).unwrap_or(usize::MAX);
            if left <= bytes.len() {
                to.write_all(bytes.get(..left).unwrap_or_default()).await?;
                return reset(&from, &to);
            }
        }
        passed = passed.saturating_add(u64::try_from(count).unwrap_or(0));
        let piece = wire.split.unwrap_or(PIECE);
        while !bytes.is_empty() {
            let (first, rest) = bytes.split_at(piece.min(bytes.len()));
            to.write_all(first).await?;
            bytes = rest;
            if wire.split.is_some() {
                tokio::task::yield_now().await;
            }
        }
    }
}

/// Both ends are told that the connection is broken, as soon as the halves are dropped.
fn reset(from: &OwnedReadHalf, to: &OwnedWriteHalf) -> io::Result<()> {
    from.as_ref().set_zero_linger()?;
    to.as_ref().set_zero_linger()?;
    Err(io::Error::new(io::ErrorKind::ConnectionReset, "a fault"))
}

impl Line {
    fn now(&self) -> Wire {
        (self.pick)(&self.wires.borrow()).clone()
    }

    fn is_frozen(&self) -> bool {
        let wire = self.now();
        wire.frozen || (self.born_stalled && wire.stalled)
    }

    /// Waits for the network to change; tells whether it is cut then.
    async fn is_cut_by_a_change(&mut self) -> bool {
        if self.wires.changed().await.is_err() {
            // The exchange has stopped: what it still says passes.
            std::future::pending::<()>().await;
        }
        self.now().cut
    }
}
