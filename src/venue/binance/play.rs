//! The one way to sign a request that opens a position: with proof that no real money is behind the address.
//!
//! The guard never holds a [`PlaySigner`]; only the drill makes one. A [`PlayVenue`] is this machine or a test network
//! whose hosts are listed here, by name: a host that nobody knows is no proof, and there is no other constructor.

use super::request::Security;
use super::sign::{Key, SignError, Signed};
use crate::model::Timestamp;
use secrecy::SecretString;
use url::{Host, Url};

/// The venue's names in configuration files that mean play money.
const NAMES: [&str; 2] = ["sim", "binance-usdm-testnet"];

/// The hosts of the test network, REST and streams.
///
/// Source: venues/binance-usdm.md section 1.3, read 2026-11-22.
const HOSTS: [&str; 5] = [
    "demo-fapi.binance.com",
    "demo-fstream.binance.com",
    "testnet.binancefuture.com",
    "fstream.binancefuture.com",
    "stream.binancefuture.com",
];

/// Proof that a venue trades with play money: its addresses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlayVenue {
    rest_url: String,
    stream_url: String,
}

impl PlayVenue {
    /// The proof, if the venue is named as one of play money and both of its hosts are known as such.
    pub fn of(name: &str, rest_url: &str, stream_url: &str) -> Option<PlayVenue> {
        let fine = NAMES.contains(&name) && is_play(rest_url) && is_play(stream_url);
        fine.then(|| PlayVenue {
            rest_url: rest_url.trim_end_matches('/').to_owned(),
            stream_url: stream_url.trim_end_matches('/').to_owned(),
        })
    }

    /// Address of its REST interface.
    pub fn rest_url(&self) -> &str {
        &self.rest_url
    }

    /// Address of its streams.
    pub fn stream_url(&self) -> &str {
        &self.stream_url
    }

    /// Whether it is on this machine.
    pub fn is_local(&self) -> bool {
        let host = |url: &Url| url.host().is_some_and(|host| is_loopback(&host));
        Url::parse(&self.rest_url).is_ok_and(|url| host(&url))
    }
}

fn is_play(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else { return false };
    let encrypted = matches!(url.scheme(), "https" | "wss");
    match url.host() {
        Some(host) if is_loopback(&host) => true,
        Some(Host::Domain(name)) => encrypted && HOSTS.contains(&name),
        _ => false,
    }
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

/// Signs anything, for a venue that was proven to trade with play money.
#[derive(Clone)]
pub struct PlaySigner(Key);

impl PlaySigner {
    /// A signer for this secret at that venue.
    ///
    /// # Errors
    ///
    /// [`SignError::BadSecret`] when it cannot be an API secret.
    pub fn new(_proof: &PlayVenue, secret: &SecretString) -> Result<PlaySigner, SignError> {
        Key::new(secret).map(PlaySigner)
    }

    /// The request as it is sent; one that needs no signature is left as it is.
    pub fn sign(
        &self,
        method: &'static str,
        path: &str,
        query: &str,
        security: Security,
        timestamp: Timestamp,
        recv_window_ms: u32,
    ) -> Signed {
        let glue = if query.is_empty() { "" } else { "?" };
        let path_and_query = match security {
            Security::Signed => self.0.sign(path, query, timestamp, recv_window_ms),
            Security::None | Security::Key => format!("{path}{glue}{query}"),
        };
        Signed::new(method, path_and_query)
    }
}

impl std::fmt::Debug for PlaySigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PlaySigner(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pr_17_only_play_money_is_proof() {
        let (test, stream) = ("https://demo-fapi.binance.com", "wss://fstream.binancefuture.com");
        let (here, there) = ("http://127.0.0.1:7900", "ws://[::1]:7901");
        for (name, rest, streams, proven) in [
            ("binance-usdm-testnet", test, stream, true),
            ("binance-usdm-testnet", here, there, true),
            ("sim", here, there, true),
            ("sim", "http://localhost:1", "ws://localhost:2", true),
            ("binance-usdm", test, stream, false),
            ("binance-usdm", here, there, false),
            ("", here, there, false),
            ("sim", "https://fapi.binance.com", there, false),
            ("sim", here, "wss://fstream.binance.com", false),
            (
                "binance-usdm-testnet",
                "https://demo-fapi.binance.com.evil.example",
                stream,
                false,
            ),
            (
                "binance-usdm-testnet",
                "https://demo-other.binance.com",
                stream,
                false,
            ),
            (
                "binance-usdm-testnet",
                "http://demo-fapi.binance.com",
                stream,
                false,
            ),
            ("binance-usdm-testnet", "https://10.0.0.1", stream, false),
            ("binance-usdm-testnet", "", stream, false),
        ] {
            assert_eq!(
                PlayVenue::of(name, rest, streams).is_some(),
                proven,
                "{name} {rest} {streams}"
            );
        }
    }
}
