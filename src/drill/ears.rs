//! Sockets that listen to the account's private stream, in any form of its address, and count what they hear.

use super::Trouble;
use crate::venue::binance::stream;
use futures_util::StreamExt;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A handshake ends within this.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Events that may wait to be counted; a probe makes a handful.
const HEARD_MAX: usize = 256;

/// The forms of a private address on which sources disagree.
///
/// Source: venues/binance-usdm.md section 1.2, read 2026-11-22.
pub const FORMS: [&str; 3] = ["query with events", "query without events", "path"];

/// A listening socket.
pub struct Ear {
    heard: mpsc::Receiver<String>,
    _stop: DropGuard,
}

impl Ear {
    /// Opens a socket by one of [`FORMS`].
    ///
    /// # Errors
    ///
    /// When it cannot be opened; without the address, which carries the listenKey.
    pub async fn open(base: &str, listen_key: &str, form: &str) -> Result<Ear, Trouble> {
        let url = match form {
            "query with events" => stream::private_url(base, listen_key),
            "query without events" => format!("{base}/private/ws?listenKey={listen_key}"),
            _ => format!("{base}/private/ws/{listen_key}"),
        };
        let Ok(Ok((mut socket, _))) = timeout(HANDSHAKE, connect_async(url)).await else {
            return Err(Trouble(format!("a private socket ({form}) could not be opened")));
        };
        let (told, heard) = mpsc::channel(HEARD_MAX);
        let stop = CancellationToken::new();
        let listening = async move {
            while let Some(Ok(message)) = socket.next().await {
                if let Message::Text(text) = message
                    && let Some(name) = event_name(&text)
                    && told.send(name).await.is_err()
                {
                    return;
                }
            }
        };
        tokio::spawn(stop.clone().run_until_cancelled_owned(listening));
        Ok(Ear {
            heard,
            _stop: stop.drop_guard(),
        })
    }

    /// Names of the events heard since the last call.
    pub fn heard(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.heard.try_recv().ok()).collect()
    }
}

/// The name of an event, bare or wrapped.
fn event_name(text: &str) -> Option<String> {
    let frame: serde_json::Value = serde_json::from_str(text).ok()?;
    let event = frame.get("data").unwrap_or(&frame);
    event.get("e")?.as_str().map(str::to_owned)
}
