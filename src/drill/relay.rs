//! A relay between a guard and the venue's streams, so that a drill can cut them.
//!
//! The guard speaks to it on this machine; it speaks to the venue as the guard would. Cut, it ends every connection and
//! takes no new one, as a broken network does. It logs nothing: the addresses that pass through carry the listenKey.

use super::Trouble;
use futures_util::{SinkExt, StreamExt};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::{accept_hdr_async, connect_async};
use tokio_util::sync::{CancellationToken, DropGuard};

/// A handshake on either side ends within this.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// After a connection could not be accepted.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// A running relay. Dropping it ends it.
pub struct Relay {
    address: SocketAddr,
    is_open: watch::Sender<bool>,
    carried: Arc<AtomicUsize>,
    _stop: DropGuard,
}

impl Relay {
    /// Starts a relay to the streams at `upstream`, on a free port of this machine.
    ///
    /// # Errors
    ///
    /// When no port can be listened on.
    pub async fn start(upstream: &str) -> Result<Relay, Trouble> {
        let trouble = |error: std::io::Error| Trouble(format!("the relay cannot listen: {error}"));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .map_err(trouble)?;
        let address = listener.local_addr().map_err(trouble)?;
        let is_open = watch::Sender::new(true);
        let carried = Arc::new(AtomicUsize::new(0));
        let stop = CancellationToken::new();
        tokio::spawn(stop.clone().run_until_cancelled_owned(accept(
            listener,
            upstream.to_owned(),
            is_open.subscribe(),
            Arc::clone(&carried),
        )));
        Ok(Relay {
            address,
            is_open,
            carried,
            _stop: stop.drop_guard(),
        })
    }

    /// Where the guard finds it.
    pub fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// Ends every connection, and takes no new one.
    pub fn cut(&self) {
        self.is_open.send_replace(false);
    }

    /// Takes connections again.
    pub fn heal(&self) {
        self.is_open.send_replace(true);
    }

    /// How many private connections were carried through to the venue so far.
    pub fn carried(&self) -> usize {
        self.carried.load(Ordering::Relaxed)
    }
}

async fn accept(
    listener: TcpListener,
    upstream: String,
    is_open: watch::Receiver<bool>,
    carried: Arc<AtomicUsize>,
) {
    loop {
        let Ok((tcp, _)) = listener.accept().await else {
            sleep(ACCEPT_AGAIN).await;
            continue;
        };
        if *is_open.borrow() {
            let mut open = is_open.clone();
            let (upstream, carried) = (upstream.clone(), Arc::clone(&carried));
            tokio::spawn(async move {
                // The end of the relay itself closes the channel, and with it every connection.
                tokio::select! {
                    () = carry(tcp, &upstream, &carried) => {}
                    _ = open.wait_for(|open| !open) => {}
                }
            });
        }
    }
}

/// Carries one connection until either side ends it. Pings are answered on each side by the library.
async fn carry(tcp: TcpStream, upstream: &str, carried: &AtomicUsize) {
    let mut target = String::new();
    #[expect(
        clippy::result_large_err,
        reason = "the signature of the handshake's callback"
    )]
    let note = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        target = request
            .uri()
            .path_and_query()
            .map_or_else(String::new, ToString::to_string);
        Ok(response)
    };
    let Ok(Ok(guard)) = timeout(HANDSHAKE, accept_hdr_async(tcp, note)).await else {
        return;
    };
    let Ok(Ok((venue, _))) = timeout(HANDSHAKE, connect_async(format!("{upstream}{target}"))).await else {
        return;
    };
    if target.starts_with("/private/") {
        carried.fetch_add(1, Ordering::Relaxed);
    }
    let ((mut to_guard, mut from_guard), (mut to_venue, mut from_venue)) = (guard.split(), venue.split());
    let passes = |message: &Message| matches!(message, Message::Text(_) | Message::Binary(_));
    let up = async {
        while let Some(Ok(message)) = from_guard.next().await {
            if passes(&message) && to_venue.send(message).await.is_err() {
                return;
            }
        }
    };
    let down = async {
        while let Some(Ok(message)) = from_venue.next().await {
            if passes(&message) && to_guard.send(message).await.is_err() {
                return;
            }
        }
    };
    tokio::select! { () = up => {}, () = down => {} }
}
