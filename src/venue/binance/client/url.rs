//! Which addresses may be spoken to: encrypted ones, and plain ones on this machine only.
//!
//! Source: SPEC.md section 3.

use url::{Host, Url};

/// Checks the REST address and the stream address, and the one of the key's permissions unless it is empty.
///
/// # Errors
///
/// A sentence that names the setting and what is wrong with it.
pub fn check_urls(rest_url: &str, stream_url: &str, sapi_url: &str) -> Result<(), String> {
    check("rest_url", rest_url, "https", "http")?;
    check("stream_url", stream_url, "wss", "ws")?;
    if sapi_url.is_empty() {
        Ok(())
    } else {
        check("sapi_url", sapi_url, "https", "http")
    }
}

fn check(name: &str, text: &str, safe: &str, plain: &str) -> Result<(), String> {
    let url = Url::parse(text).map_err(|error| format!("`{name}` is not an address: {error}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!("`{name}` must not carry a user name or password"));
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(format!(
            "`{name}` must be scheme and host only, such as `{safe}://example.com`"
        ));
    }
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => return Err(format!("`{name}` has no host")),
    };
    match url.scheme() {
        scheme if scheme == safe => Ok(()),
        scheme if scheme == plain && loopback => Ok(()),
        scheme if scheme == plain => Err(format!(
            "`{name}` = `{plain}://...` is accepted for this machine only; write `{safe}://`"
        )),
        scheme => Err(format!("`{name}` begins with `{scheme}://`; write `{safe}://`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_for_this_machine_only() {
        for (rest, stream, sapi, fine) in [
            (
                "https://fapi.binance.com",
                "wss://fstream.binance.com",
                "https://api.binance.com",
                true,
            ),
            ("http://127.0.0.1:8080", "ws://localhost:8081", "", true),
            ("http://[::1]:8080", "ws://[::1]:1", "", true),
            ("http://fapi.binance.com", "wss://fstream.binance.com", "", false),
            ("https://fapi.binance.com", "ws://fstream.binance.com", "", false),
            ("http://127.0.0.1.evil.example", "wss://x.example", "", false),
            ("http://localhost.evil.example", "wss://x.example", "", false),
            ("https://user:pw@fapi.binance.com", "wss://x.example", "", false),
            ("https://fapi.binance.com/fapi", "wss://x.example", "", false),
            (
                "https://fapi.binance.com",
                "https://fstream.binance.com",
                "",
                false,
            ),
            (
                "https://fapi.binance.com",
                "wss://x.example",
                "http://api.binance.com",
                false,
            ),
            ("", "wss://x.example", "", false),
            ("file:///etc/passwd", "wss://x.example", "", false),
        ] {
            assert_eq!(
                check_urls(rest, stream, sapi).is_ok(),
                fine,
                "{rest} {stream} {sapi}"
            );
        }
    }
}
