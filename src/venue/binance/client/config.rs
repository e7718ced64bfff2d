//! What the session is told at its start.

use crate::model::{Span, Timestamp};

/// What the task needs to know.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// Scheme and host of the streams, such as `wss://fstream.binance.com`.
    pub stream_url: String,
    /// How often balances and positions are read.
    pub digest_interval: Span,
    /// How often the key is extended; it lives 60 minutes.
    pub keepalive: Span,
    /// Frames are held back for the first snapshot this long at most. They carry absolute values with their time, and
    /// the core drops what is older than what it has, so showing them late and unproven beats hiding a margin call
    /// while REST is down.
    pub hold_max: Span,
    /// A connection is replaced when it gets this old; the venue cuts it at 24 h.
    pub switch_after: Span,
    /// Transfers are wanted from here on, when the account was guarded before; else from two minutes before the start.
    pub transfers_since: Option<Timestamp>,
}

impl SessionConfig {
    /// The defaults for streams at `stream_url`.
    pub fn new(stream_url: &str) -> SessionConfig {
        SessionConfig {
            stream_url: stream_url.trim_end_matches('/').to_owned(),
            digest_interval: Span::from_secs(5),
            keepalive: Span::from_secs(20 * 60),
            hold_max: Span::from_secs(10),
            switch_after: Span::from_secs(23 * 3600),
            transfers_since: None,
        }
    }
}
