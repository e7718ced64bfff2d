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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::model::Span;
    use crate::venue::binance::client::testing::{Reply, Server, ok};

    #[tokio::test]
    async fn st_14_a_connect_that_stalls_ends_within_ten_seconds_wherever_it_stalls() {
        // A listener that never answers: the name and TCP are fine, the upgrade never ends.
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream_url = format!("ws://{}", silent.local_addr().unwrap());
        let stalls = Server::start(|_| Reply::Hang).await;
        let answers = Server::start(|_| ok(r#"{"listenKey":"k"}"#)).await;
        let clock = Clock::start();
        let began = clock.now();
        let (key, upgrade) = tokio::join!(
            async { (open(stalls.http(), stream_url.clone()).await, clock.now()) },
            async { (open(answers.http(), stream_url.clone()).await, clock.now()) },
        );
        let mut total = Span::ZERO;
        for (opened, ended) in [key, upgrade] {
            let why = opened.err().unwrap().why;
            let took = ended.since(began);
            total = Span::from_ms(total.ms() + took.ms());
            assert!(took <= Span::from_secs(6), "{why}: {took}");
        }
        // A stall in each phase, one after the other, is the worst that can happen.
        assert!(total <= Span::from_secs(10), "{total}");
    }
}
