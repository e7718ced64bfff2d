//! Connections with limits: a slow or a thousandth client costs a slot for a while and never the guard its work (SE-08).

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep, sleep};

/// Open at once: some browsers, a scraper and a few commands. One more takes the place of the oldest, so that a kill
/// always finds a way in.
const OPEN_MAX: usize = 128;
/// A connection on which nothing moves is closed; the event stream says something every five seconds.
const IDLE: Duration = Duration::from_secs(20);

/// A listener whose connections are counted and closed when idle.
pub(super) struct Limited {
    listener: TcpListener,
    open: VecDeque<oneshot::Sender<()>>,
}

impl Limited {
    pub fn new(listener: TcpListener) -> Limited {
        Limited {
            listener,
            open: VecDeque::new(),
        }
    }
}

impl axum::serve::Listener for Limited {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let (stream, from) = axum::serve::Listener::accept(&mut self.listener).await;
        self.open.retain(|slot| !slot.is_closed());
        if OPEN_MAX <= self.open.len()
            && let Some(oldest) = self.open.pop_front()
        {
            let _ = oldest.send(());
        }
        let (slot, evicted) = oneshot::channel();
        self.open.push_back(slot);
        let _ = stream.set_nodelay(true);
        let connection = Connection {
            stream,
            evicted: Some(evicted),
            over: false,
            idle: Box::pin(sleep(IDLE)),
        };
        (connection, from)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that ends when nothing moves on it or its place is needed.
pub(super) struct Connection {
    stream: TcpStream,
    /// `None` when the listener is gone: nobody needs the place any more.
    evicted: Option<oneshot::Receiver<()>>,
    over: bool,
    idle: Pin<Box<Sleep>>,
}

impl Connection {
    /// Counts a movement, or says whether the connection is over.
    fn watched<T>(&mut self, context: &mut Context<'_>, moved: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if moved.is_ready() && !self.over {
            self.idle.as_mut().reset(later());
            return moved;
        }
        match self
            .evicted
            .as_mut()
            .map(|evicted| Pin::new(evicted).poll(context))
        {
            Some(Poll::Ready(answer)) => {
                self.evicted = None;
                self.over = answer.is_ok();
            }
            Some(Poll::Pending) | None => {}
        }
        if self.over || self.idle.as_mut().poll(context).is_ready() {
            self.over = true;
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

fn later() -> Instant {
    let now = Instant::now();
    now.checked_add(IDLE).unwrap_or(now)
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let moved = Pin::new(&mut self.stream).poll_read(context, into);
        self.watched(context, moved)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let moved = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watched(context, moved)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
