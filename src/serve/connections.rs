//! Connections with limits, so that neither slow clients nor many of them can hurt (SE-08).
//!
//! Two rules. A connection that could not be written to for [`QUIET_MAX`] is cut: that ends clients that never finish a
//! request, that never read the answer, and that idle; event streams live on, because they are written to all the time.
//! When [`CONNECTIONS_MAX`] are open, the oldest makes room for the newest: whoever presses the kill switch is new.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Connections open at once: a dashboard has a few, a scraper one; far below the usual 1024 files of a process.
const CONNECTIONS_MAX: usize = 128;
/// Twice the pause between the signs of life of an event stream.
const QUIET_MAX: Duration = Duration::from_secs(30);
/// The pause after a failed accept, as when files run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections within the limits.
pub struct Limited {
    listener: TcpListener,
    open: Arc<Open>,
    quiet_max: Duration,
}

/// What is open, oldest first.
struct Open {
    most: usize,
    next: AtomicU64,
    all: Mutex<BTreeMap<u64, CancellationToken>>,
}

/// A connection that ends when it is quiet for too long or has to make room.
pub struct Connection {
    stream: TcpStream,
    number: u64,
    open: Arc<Open>,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    quiet: Pin<Box<Sleep>>,
    quiet_max: Duration,
}

impl Limited {
    /// With the limits of this module.
    pub fn new(listener: TcpListener) -> Limited {
        Limited::within(listener, CONNECTIONS_MAX, QUIET_MAX)
    }

    fn within(listener: TcpListener, most: usize, quiet_max: Duration) -> Limited {
        let open = Open {
            most,
            next: AtomicU64::new(0),
            all: Mutex::new(BTreeMap::new()),
        };
        Limited {
            listener,
            open: Arc::new(open),
            quiet_max,
        }
    }
}

impl Open {
    fn all(&self) -> MutexGuard<'_, BTreeMap<u64, CancellationToken>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a connection; the oldest ones are cut until it fits.
    fn admit(&self) -> (u64, CancellationToken) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let cut = CancellationToken::new();
        let mut all = self.all();
        while all.len() >= self.most.max(1) {
            if let Some((_, oldest)) = all.pop_first() {
                oldest.cancel();
            }
        }
        all.insert(number, cut.clone());
        (number, cut)
    }
}

impl axum::serve::Listener for Limited {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => {
                    // An answer is one short write: it need not wait for more.
                    let _ = stream.set_nodelay(true);
                    let (number, cut) = self.open.admit();
                    let connection = Connection {
                        stream,
                        number,
                        open: Arc::clone(&self.open),
                        cut: Box::pin(cut.cancelled_owned()),
                        quiet: Box::pin(sleep(self.quiet_max)),
                        quiet_max: self.quiet_max,
                    };
                    return (connection, address);
                }
                Err(error) => {
                    tracing::debug!(%error, "the control API could not accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Connection {
    /// Whether the connection has to end; wakes the task when that changes.
    fn ended(&mut self, context: &mut Context<'_>) -> Option<io::Error> {
        if self.cut.as_mut().poll(context).is_ready() {
            return Some(io::ErrorKind::ConnectionAborted.into());
        }
        let quiet = self.quiet.as_mut().poll(context).is_ready();
        quiet.then(|| io::ErrorKind::TimedOut.into())
    }

    fn wrote(&mut self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if matches!(result, Poll::Ready(Ok(_))) {
            let until = Instant::now() + self.quiet_max;
            self.quiet.as_mut().reset(until);
        }
        result
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.open.all().remove(&self.number);
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.ended(context) {
            Some(error) => Poll::Ready(Err(error)),
            None => Pin::new(&mut self.stream).poll_read(context, into),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(error) = self.ended(context) {
            return Poll::Ready(Err(error));
        }
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wrote(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(error) = self.ended(context) {
            return Poll::Ready(Err(error));
        }
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.wrote(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::serve::Listener;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn pair(limited: &mut Limited) -> (TcpStream, Connection) {
        let address = limited.local_addr().unwrap();
        let (client, accepted) = tokio::join!(TcpStream::connect(address), limited.accept());
        (client.unwrap(), accepted.0)
    }

    async fn limited(most: usize, quiet_max: Duration) -> Limited {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Limited::within(listener, most, quiet_max)
    }

    #[tokio::test]
    async fn se_08_the_oldest_connection_makes_room_for_the_newest() {
        let mut limited = limited(2, Duration::from_secs(60)).await;
        let (_a, mut first) = pair(&mut limited).await;
        let (mut b, mut second) = pair(&mut limited).await;
        let (_c, _third) = pair(&mut limited).await;
        let mut byte = [0; 1];
        let error = first.read(&mut byte).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
        b.write_all(b"x").await.unwrap();
        assert_eq!(second.read(&mut byte).await.unwrap(), 1, "the others live on");
        drop(second);
        assert_eq!(limited.open.all().len(), 1, "what is closed is noted no more");
    }

    #[tokio::test(start_paused = true)]
    async fn se_08_a_connection_that_only_sends_is_cut_and_one_that_is_written_to_is_not() {
        let mut limited = limited(8, Duration::from_millis(150)).await;
        let (mut slow, mut served) = pair(&mut limited).await;
        let drip = async {
            while slow.write_all(b"x").await.is_ok() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        let mut bytes = Vec::new();
        let error = tokio::select! {
            result = served.read_to_end(&mut bytes) => result.unwrap_err(),
            () = drip => panic!("the client was cut first"),
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);

        let (_stream, mut served) = pair(&mut limited).await;
        for _ in 0..10 {
            sleep(Duration::from_millis(30)).await;
            served.write_all(b": alive").await.unwrap();
        }
    }
}
