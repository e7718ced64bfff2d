//! The control API (SPEC.md section 7): copies of the state to read, two commands to give.
//!
//! Every request passes the same doors in the same order: the exact host, the origin, the token's role, the content
//! type, a strict body. Nothing here can slow a guard: it reads copies, and commands wait in a bounded queue.

mod auth;
mod connections;
mod metrics;
mod routes;
pub mod status;

pub use auth::{Role, TokenError, Tokens};
pub use status::Status;

use crate::event::Command;
use std::io;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

/// What the API shows and where it sends commands.
#[derive(Clone)]
pub struct Control {
    /// Copies of the accounts' state.
    pub status: watch::Receiver<Arc<Status>>,
    /// Decisions, notes and states, each a JSON object with a field `event`.
    pub events: broadcast::Sender<Arc<str>>,
    /// Where commands go.
    pub commands: mpsc::Sender<Request>,
}

/// A command for an account.
#[derive(Debug)]
pub struct Request {
    /// The account's label.
    pub account: String,
    /// What is wanted.
    pub command: Command,
    /// The answer: `Err` is a refusal, in words for people.
    pub reply: oneshot::Sender<Result<String, String>>,
}

/// Serves until `cancel`.
///
/// # Errors
///
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    tokens: Tokens,
    control: Control,
    cancel: CancellationToken,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    let app = routes::router(routes::Shared::new(tokens, control, address, cancel.clone()));
    axum::serve(connections::Limited::new(listener), app)
        .with_graceful_shutdown(async move { cancel.cancelled().await })
        .await
}

#[cfg(test)]
mod tests;
