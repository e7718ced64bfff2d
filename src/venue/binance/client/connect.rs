//! A fresh private connection: the key first, then the socket, each within its deadline.
//!
//! Source: venues/binance-usdm.md sections 1.2 and 3, read 2026-11-22.

use std::sync::Arc;
use std::time::Duration;

use super::http::Http;
use super::socket::Socket;
use crate::venue::binance::stream;

/// Deadlines of the phases of a connect (ST-14): together under 10 s.
const KEY_MAX: Duration = Duration::from_secs(3);
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// A fresh connection and its key.
pub(super) type Opened = Result<(Box<Socket>, String), NotOpened>;

/// Why there is none.
pub(super) struct NotOpened {
    pub(super) why: String,
    /// The venue knows us and says no.
    pub(super) refused: bool,
}

/// The key, then the socket, each within its deadline.
pub(super) async fn open(http: Arc<Http>, stream_url: String) -> Opened {
    let key = tokio::time::timeout(KEY_MAX, http.keep_key()).await;
    let key = match key {
        Ok(Ok(key)) => key,
        Ok(Err(not)) => {
            return Err(NotOpened {
                why: not.why,
                refused: not.refused,
            });
        }
        Err(_) => {
            return Err(NotOpened {
                why: "listenKey: no answer in time".to_owned(),
                refused: false,
            });
        }
    };
    match Socket::open(http.names(), &stream::private_url(&stream_url, &key), CONNECT_MAX).await {
        Ok(socket) => Ok((Box::new(socket), key)),
        Err(why) => Err(NotOpened {
            why: scrub(why, &key),
            refused: false,
        }),
    }
}

/// The text without the listenKey, which is a bearer credential (SE-01).
pub(super) fn scrub(text: String, key: &str) -> String {
    if key.is_empty() || !text.contains(key) {
        return text;
    }
    text.replace(key, "REDACTED")
}
