//! Addresses of venues, and the environment lock: label and hosts must agree (PR-17).

use super::secret::Refusal;
use std::net::Ipv4Addr;
use url::{Host, Url};

/// A venue that can be guarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Venue {
    /// Binance USD-M futures.
    BinanceUsdm,
    /// Its test network.
    BinanceUsdmTestnet,
    /// The embedded exchange.
    Sim,
}

impl Venue {
    /// The names in configuration files.
    pub(super) const WORDS: [(&'static str, Venue); 3] = [
        ("binance-usdm", Venue::BinanceUsdm),
        ("binance-usdm-testnet", Venue::BinanceUsdmTestnet),
        ("sim", Venue::Sim),
    ];

    /// The name in configuration files.
    pub fn name(self) -> &'static str {
        match self {
            Venue::BinanceUsdm => "binance-usdm",
            Venue::BinanceUsdmTestnet => "binance-usdm-testnet",
            Venue::Sim => "sim",
        }
    }

    /// REST, stream and permissions address that the venue implies; empty where there is none.
    ///
    /// Source: the venue's general information and websocket pages, read 2026-11-22.
    pub(super) fn implied(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Venue::BinanceUsdm => (
                "https://fapi.binance.com",
                "wss://fstream.binance.com",
                "https://api.binance.com",
            ),
            Venue::BinanceUsdmTestnet => (
                "https://demo-fapi.binance.com",
                "wss://demo-fstream.binance.com",
                "",
            ),
            Venue::Sim => ("", "", ""),
        }
    }
}

/// What a host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// This machine.
    Loopback,
    /// The real exchange.
    Mainnet,
    /// A test network of it.
    Testnet,
    /// Not known; nobody can tell that nothing real is behind it.
    Other,
}

/// Reads an address; the answer is without a slash at the end.
///
/// # Errors
///
/// What is wrong and what to write, without the user and password that an address may carry.
pub(super) fn parse(text: &str, secure: &str, plain: &str) -> Result<(String, Class), (String, String)> {
    let example = format!("write it like \"{secure}://host\"");
    let url = Url::parse(text).map_err(|error| (format!("not an address: {error}"), example.clone()))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(("an address must not carry a user or a password".into(), example));
    }
    let host = url
        .host()
        .ok_or_else(|| ("it names no host".to_owned(), example.clone()))?;
    let class = class(&host);
    let scheme = url.scheme();
    if scheme != secure && scheme != plain {
        return Err((format!("`{scheme}` is not {secure}"), example));
    }
    if scheme == plain && class != Class::Loopback {
        return Err((
            format!("`{plain}` is not encrypted; it is for addresses of this machine only"),
            format!("write {secure}://"),
        ));
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err((
            "only scheme, host and port belong here".into(),
            "the guard adds the paths itself".into(),
        ));
    }
    let port = url.port().map_or(String::new(), |port| format!(":{port}"));
    Ok((format!("{scheme}://{host}{port}"), class))
}

fn class(host: &Host<&str>) -> Class {
    match host {
        Host::Ipv4(address) if address.is_loopback() => Class::Loopback,
        Host::Ipv6(address) if address.is_loopback() => Class::Loopback,
        Host::Ipv6(address)
            if address
                .to_ipv4_mapped()
                .is_some_and(|a: Ipv4Addr| a.is_loopback()) =>
        {
            Class::Loopback
        }
        Host::Domain(name) => {
            let name = name.trim_end_matches('.').to_lowercase();
            let under = |domain: &str| {
                name.strip_suffix(domain)
                    .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            };
            if name == "localhost" {
                Class::Loopback
            } else if under("binancefuture.com") || (under("binance.com") && name.starts_with("demo-")) {
                Class::Testnet
            } else if under("binance.com") {
                Class::Mainnet
            } else {
                Class::Other
            }
        }
        Host::Ipv4(_) | Host::Ipv6(_) => Class::Other,
    }
}

/// Whether the real exchange may be behind an address. One that cannot be read counts.
pub(super) fn may_be_real(url: &str) -> bool {
    let url = Url::parse(url).ok();
    let class = url.as_ref().and_then(Url::host).map(|host| class(&host));
    !matches!(class, Some(Class::Loopback | Class::Testnet))
}

/// Refuses hosts that do not fit the label or each other.
pub(super) fn lock(label: &str, venue: Venue, hosts: &[(&str, &str, Class)]) -> Result<(), Refusal> {
    for (name, url, class) in hosts {
        let wrong = match (venue, class) {
            (Venue::BinanceUsdm, Class::Testnet) => Some("a test network"),
            (Venue::BinanceUsdmTestnet | Venue::Sim, Class::Mainnet) => Some("the real exchange"),
            (Venue::BinanceUsdmTestnet, Class::Other) => Some("not known to be a test network"),
            (Venue::Sim, Class::Testnet | Class::Other) => Some("not this machine"),
            _ => None,
        };
        if let Some(wrong) = wrong {
            return Err(Refusal::new(
                format!(
                    "account `{label}` is `{}`, but its {name} {url} is {wrong}",
                    venue.name()
                ),
                "make the venue and its addresses agree",
            ));
        }
    }
    let local = |class: &Class| *class == Class::Loopback;
    let some_local = hosts.iter().any(|(_, _, class)| local(class));
    if some_local && !hosts.iter().all(|(_, _, class)| local(class)) {
        let all: Vec<String> = hosts
            .iter()
            .map(|(name, url, _)| format!("{name} {url}"))
            .collect();
        return Err(Refusal::new(
            format!(
                "account `{label}` mixes this machine with another: {}",
                all.join(", ")
            ),
            "set all addresses of the account to one environment",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_encrypted_or_of_this_machine() {
        for (text, expected) in [
            ("https://fapi.binance.com", "https://fapi.binance.com Mainnet"),
            ("https://fapi.binance.com/", "https://fapi.binance.com Mainnet"),
            ("https://FAPI.binance.com.", "https://fapi.binance.com. Mainnet"),
            (
                "https://demo-fapi.binance.com",
                "https://demo-fapi.binance.com Testnet",
            ),
            (
                "https://testnet.binancefuture.com",
                "https://testnet.binancefuture.com Testnet",
            ),
            ("https://evilbinance.com", "https://evilbinance.com Other"),
            (
                "https://binance.com.evil.example",
                "https://binance.com.evil.example Other",
            ),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080 Loopback"),
            ("http://[::1]:80", "http://[::1] Loopback"),
            ("http://localhost:1", "http://localhost:1 Loopback"),
            ("http://localhost.evil.example", "error"),
            ("http://10.0.0.1", "error"),
            ("http://fapi.binance.com", "error"),
            ("wss://fapi.binance.com", "error"),
            ("https://user:CANARY@host", "error"),
            ("https://host/path", "error"),
            ("https://host?x=1", "error"),
            ("fapi.binance.com", "error"),
            ("", "error"),
        ] {
            let read = parse(text, "https", "http");
            if let Err(error) = &read {
                assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
            }
            let shown = read.map_or("error".into(), |(url, class)| format!("{url} {class:?}"));
            assert_eq!(shown, expected, "{text}");
        }
    }

    #[test]
    fn pr_17_label_and_hosts_must_agree() {
        use Class::{Loopback, Mainnet, Other, Testnet};
        use Venue::{BinanceUsdm, BinanceUsdmTestnet, Sim};
        for (venue, rest, stream, fine) in [
            (BinanceUsdm, Mainnet, Mainnet, true),
            (BinanceUsdm, Loopback, Loopback, true),
            (BinanceUsdm, Other, Mainnet, true),
            (BinanceUsdm, Testnet, Mainnet, false),
            (BinanceUsdm, Mainnet, Testnet, false),
            (BinanceUsdm, Loopback, Mainnet, false),
            (BinanceUsdmTestnet, Testnet, Testnet, true),
            (BinanceUsdmTestnet, Loopback, Loopback, true),
            (BinanceUsdmTestnet, Mainnet, Testnet, false),
            (BinanceUsdmTestnet, Testnet, Other, false),
            (Sim, Loopback, Loopback, true),
            (Sim, Mainnet, Loopback, false),
            (Sim, Testnet, Testnet, false),
        ] {
            let hosts = [("rest_url", "a", rest), ("stream_url", "b", stream)];
            assert_eq!(
                lock("main", venue, &hosts).is_ok(),
                fine,
                "{venue:?} {rest:?} {stream:?}"
            );
        }
    }
}
