//! One WebSocket connection to the venue's streams: opened within a deadline, bounded, text only.
//!
//! Pings are answered by the library: the pong is queued when the ping is read and written by the next read, which
//! follows at once because nobody here pauses between two reads (FAILURES ST-02).
//!
//! A connection whose other end is gone can stay open for ever (ST-11), so a silent one is pinged, which RFC 6455 section
//! 5.5.2 obliges the other side to answer. Silence is held against it only if it has answered a ping before.
//!
//! Source: venues/binance-usdm.md section 3.3, read 2026-11-22.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async_tls_with_config};

use super::names::Names;

/// A longer message ends the connection (ST-26); the largest real one, an array of all marks, is about 200 kB.
const MESSAGE_MAX: usize = 16 * 1024 * 1024;

/// The library's 128 KiB would cost a thousand accounts 137 MiB.
const READ_BUFFER: usize = 8 * 1024;

/// Writing ends within this, or the connection counts as broken.
const WRITE_MAX: Duration = Duration::from_secs(2);

/// How often a connection is looked at: silent for one look, it is pinged; for [`LOOKS_MAX`], it is given up.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Looks without a word from the other side; together at most 20 s.
const LOOKS_MAX: u32 = 3;

/// An open connection.
pub(super) struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    look: Interval,
    /// Looks since the other side last said anything.
    silent: u32,
    /// Whether it has answered a ping.
    answers: bool,
}

impl Socket {
    /// Opens a connection: name, TCP, TLS and upgrade together within `deadline` (ST-14).
    ///
    /// # Errors
    ///
    /// In words, without the address: it carries the listenKey.
    pub(super) async fn open(names: &Names, url: &str, deadline: Duration) -> Result<Socket, String> {
        tokio::time::timeout(deadline, connect(names, url))
            .await
            .map_err(|_| format!("no connection within {} ms", deadline.as_millis()))?
    }

    /// The next text frame. Safe to drop while it waits.
    ///
    /// # Errors
    ///
    /// In words, when the connection is over or not worth keeping: closed, broken, oversized, binary or not UTF-8.
    pub(super) async fn next(&mut self) -> Result<String, String> {
        loop {
            let message = tokio::select! {
                biased;
                message = self.stream.next() => message,
                _ = self.look.tick() => {
                    self.looked_at().await?;
                    continue;
                }
            };
            self.silent = 0;
            match message {
                Some(Ok(Message::Pong(_))) => self.answers = true,
                Some(Ok(Message::Text(text))) => return Ok(text.as_str().to_owned()),
                Some(Ok(Message::Ping(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Binary(_))) => return Err("a binary frame".to_owned()),
                Some(Ok(Message::Close(None))) => return Err("closed by the venue".to_owned()),
                Some(Ok(Message::Close(Some(frame)))) => {
                    return Err(format!("closed by the venue: {} {}", frame.code, frame.reason));
                }
                Some(Err(error)) => return Err(words(&error)),
                None => return Err("closed without a word".to_owned()),
            }
        }
    }

    async fn looked_at(&mut self) -> Result<(), String> {
        if LOOKS_MAX <= self.silent && self.answers {
            return Err("half-open: not even a ping is answered".to_owned());
        }
        // The first look is at once, so that each connection shows whether it answers.
        if self.silent > 0 || !self.answers {
            self.write(Message::Ping(Bytes::new())).await?;
        }
        self.silent = self.silent.saturating_add(1);
        Ok(())
    }

    /// Sends a text frame.
    ///
    /// # Errors
    ///
    /// In words, when it could not be written.
    pub(super) async fn send(&mut self, text: String) -> Result<(), String> {
        self.write(Message::text(text)).await
    }

    async fn write(&mut self, message: Message) -> Result<(), String> {
        match tokio::time::timeout(WRITE_MAX, self.stream.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(words(&error)),
            Err(_) => Err("a frame could not be written in time".to_owned()),
        }
    }
}

async fn connect(names: &Names, url: &str) -> Result<Socket, String> {
    let request = url.into_client_request().map_err(|error| words(&error))?;
    let uri = request.uri();
    let host = uri.host().ok_or("the stream address has no host")?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = uri
        .port_u16()
        .unwrap_or(if uri.scheme_str() == Some("ws") { 80 } else { 443 });
    let tcp = names
        .connect(&host, port)
        .await
        .map_err(|error| error.to_string())?;
    tcp.set_nodelay(true).map_err(|error| error.to_string())?;
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_message_size(Some(MESSAGE_MAX))
        .max_frame_size(Some(MESSAGE_MAX));
    let (socket, _) = client_async_tls_with_config(request, tcp, Some(config), None)
        .await
        .map_err(|error| words(&error))?;
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    Ok(Socket {
        stream: socket,
        look,
        silent: 0,
        answers: false,
    })
}

/// An error in words that never quotes the address.
fn words(error: &Error) -> String {
    match error {
        Error::Http(response) => {
            let status = response.status().as_u16();
            let moved = if matches!(status, 301 | 302 | 307 | 308 | 404 | 410) {
                "; the endpoint has moved: look for its new address and set stream_url"
            } else {
                ""
            };
            format!("the upgrade was answered with HTTP {status}{moved}")
        }
        Error::Url(_) | Error::HttpFormat(_) => "the stream address is malformed".to_owned(),
        Error::Utf8(_) => "a frame that is not UTF-8".to_owned(),
        other => other.to_string(),
    }
}
