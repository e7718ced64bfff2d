//! The control API (SPEC.md 7): look at the guard, tell it to kill, release a latch. Loopback HTTP, a token each role.
//!
//! It holds no state of the guard and decides nothing: the picture comes in over a channel, commands go out over
//! another, and whatever happens here, the guard goes on (PR-05).

pub mod auth;
mod connections;
mod metrics;
mod routes;
pub mod status;

pub use auth::{Role, Tokens};
use connections::Limited;
pub use status::Status;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

/// After the end is asked for, answers under way get this long.
const FAREWELL: Duration = Duration::from_secs(1);

/// The guard, as the control API sees it.
#[derive(Clone, Debug)]
pub struct Control {
    /// The newest picture.
    pub status: watch::Receiver<Arc<Status>>,
    /// What happens: one JSON object each, with a field `event`.
    pub events: broadcast::Sender<Arc<str>>,
    /// Where commands go.
    pub commands: mpsc::Sender<Request>,
    /// Where it goes that somebody has seen the alerts.
    pub acks: mpsc::Sender<Acknowledgement>,
}

/// Somebody has seen what is told of an account.
#[derive(Debug)]
pub struct Acknowledgement {
    /// The account's label; it was in the status.
    pub account: String,
    /// What came of it, in words for the operator.
    pub reply: oneshot::Sender<Result<String, String>>,
}

/// A command from the API and where its answer goes.
#[derive(Debug)]
pub struct Request {
    /// The account's label; it was in the status.
    pub account: String,
    /// The command.
    pub command: crate::event::Command,
    /// What was done, or why it was refused, in words for the operator.
    pub reply: oneshot::Sender<Result<String, String>>,
}

/// Serves until `cancel` is cancelled, and ends within a second then.
///
/// # Errors
///
/// When the listener is unusable. A client can cause none.
pub async fn serve(
    listener: TcpListener,
    tokens: Tokens,
    control: Control,
    cancel: CancellationToken,
) -> io::Result<()> {
    let listen = listener.local_addr()?;
    let router = routes::router(listen, tokens, control, cancel.clone());
    let serving =
        axum::serve(Limited::new(listener), router).with_graceful_shutdown(cancel.clone().cancelled_owned());
    let too_long = async {
        cancel.cancelled().await;
        tokio::time::sleep(FAREWELL).await;
    };
    tokio::select! {
        ended = serving => ended,
        () = too_long => Ok(()),
    }
}

#[cfg(test)]
mod tests;
