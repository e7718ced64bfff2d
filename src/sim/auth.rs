//! Signatures over the exact bytes, and parameters (binance-usdm.md section 2).

use super::HttpRequest;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use sha2::Sha256;
use std::collections::BTreeMap;

/// The venue's default window, ms.
const WINDOW_MS: i64 = 5_000;
/// The widest window (S25).
const WINDOW_MAX_MS: i64 = 60_000;

/// A refusal: HTTP status, code, words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// The venue's code.
    pub code: i64,
    /// The venue's words.
    pub message: String,
}

/// A refusal with HTTP 400.
pub fn refuse<T>(code: i64, message: &str) -> Result<T, Refusal> {
    Err(Refusal {
        status: 400,
        code,
        message: message.into(),
    })
}

/// HMAC-SHA256 in hexadecimal.
pub fn sign(secret: &str, payload: &str) -> String {
    // A key of any length is a key.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return String::new();
    };
    mac.update(payload.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

/// The key pair of an Ed25519 key as PEM; `None` when the secret is another.
fn ed25519(secret: &str) -> Option<Ed25519KeyPair> {
    let der = PrivatePkcs8KeyDer::from_pem_slice(secret.as_bytes()).ok()?;
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der()).ok()
}

/// Whether `given`, a signature as it was sent, is the one of `payload`, whose bytes it covers as they were sent.
fn is_signed(secret: &str, payload: &str, given: &str) -> bool {
    let Some(pair) = ed25519(secret) else {
        return given.eq_ignore_ascii_case(&sign(secret, payload));
    };
    let decoded = url::form_urlencoded::parse(format!("signature={given}").as_bytes())
        .next()
        .and_then(|(_, text)| STANDARD.decode(text.as_bytes()).ok());
    let public = UnparsedPublicKey::new(&ED25519, pair.public_key());
    decoded.is_some_and(|signature| public.verify(payload.as_bytes(), &signature).is_ok())
}

/// Decoded parameters; one that stands in the query and in the body is taken from the query.
#[derive(Clone, Debug, Default)]
pub struct Params(BTreeMap<String, String>);

impl Params {
    /// Those of a request.
    pub fn of(request: &HttpRequest) -> Params {
        let mut params = BTreeMap::new();
        for part in [&request.body, &request.query] {
            for (name, value) in url::form_urlencoded::parse(part.as_bytes()) {
                params.insert(name.into_owned(), value.into_owned());
            }
        }
        Params(params)
    }

    /// A parameter, when it is there and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// A parameter that must be there.
    pub fn need(&self, name: &str) -> Result<&str, Refusal> {
        match self.get(name) {
            Some(value) => Ok(value),
            None => refuse(
                -1102,
                &format!("Mandatory parameter '{name}' was not sent, was empty/null, or malformed."),
            ),
        }
    }

    /// A decimal parameter in plain notation.
    pub fn decimal(&self, name: &str) -> Result<Option<rust_decimal::Decimal>, Refusal> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        let plain = !text.is_empty()
            && text.chars().all(|c| c.is_ascii_digit() || c == '.')
            && text.matches('.').count() <= 1
            && !text.starts_with('.')
            && !text.ends_with('.');
        match (plain, text.parse()) {
            (true, Ok(value)) => Ok(Some(value)),
            _ => refuse(
                -1100,
                &format!(
                    "Illegal characters found in parameter '{name}'; legal range is '^([0-9]{{1,20}})(\\.[0-9]{{1,20}})?$'."
                ),
            ),
        }
    }

    /// A flag.
    pub fn flag(&self, name: &str) -> Result<bool, Refusal> {
        match self.get(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => refuse(-1130, &format!("Data sent for parameter '{name}' is not valid.")),
        }
    }
}

/// Checks signature and time of a signed request.
///
/// The payload is the query followed by the body with nothing between (S1); the signature is the last parameter.
pub fn check(request: &HttpRequest, params: &Params, secret: &str, now: i64) -> Result<(), Refusal> {
    let total = format!("{}{}", request.query, request.body);
    params.need("signature")?;
    let Some((payload, given)) = total.rsplit_once("signature=") else {
        return refuse(-1022, "Signature for this request is not valid.");
    };
    let payload = payload.strip_suffix('&').unwrap_or(payload);
    let is_last = !given.contains('&');
    if !is_last || !is_signed(secret, payload, given) {
        return refuse(-1022, "Signature for this request is not valid.");
    }
    let Ok(timestamp) = params.need("timestamp")?.parse::<i64>() else {
        return refuse(
            -1102,
            "Mandatory parameter 'timestamp' was not sent, was empty/null, or malformed.",
        );
    };
    let window = match params.get("recvWindow").map(str::parse::<i64>) {
        None => WINDOW_MS,
        Some(Ok(window)) if (0..=WINDOW_MAX_MS).contains(&window) => window,
        Some(_) => return refuse(-1131, "recvWindow must be less than 60000"),
    };
    if timestamp >= now + 1_000 {
        return refuse(
            -1021,
            "Timestamp for this request was 1000ms ahead of the server's time.",
        );
    }
    if now - timestamp > window {
        return refuse(-1021, "Timestamp for this request is outside of the recvWindow.");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9";

    #[test]
    fn signatures_are_those_of_the_documentation() {
        for (payload, signature) in [
            (
                "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=9000&timeInForce=GTC&recvWindow=5000&timestamp=1591702613943",
                "3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9",
            ),
            (
                "symbol=%E6%B5%8B%E8%AF%95USDT&side=SELL&type=MARKET&quantity=1&reduceOnly=true&timestamp=1760000007980",
                "aa7a4d8d53abecb3804bd9953d9d9f5c69b587f9b52251f20ef272f489e81a77",
            ),
        ] {
            assert_eq!(sign(SECRET, payload), signature);
        }
    }

    #[test]
    fn a_signature_is_over_the_exact_bytes_and_comes_last() {
        let now = 1_591_702_613_943;
        let payload = format!("symbol=BTCUSDT&timestamp={now}");
        let good = sign(SECRET, &payload);
        let late = format!("symbol=BTCUSDT&timestamp={}", now - 6_000);
        let early = format!("symbol=BTCUSDT&timestamp={}", now + 1_000);
        for (query, body, expected) in [
            (format!("{payload}&signature={good}"), String::new(), 0),
            (
                format!("{payload}&signature={}", good.to_uppercase()),
                String::new(),
                0,
            ),
            (String::new(), format!("{payload}&signature={good}"), 0),
            (format!("{payload}&signature={good}&x=1"), String::new(), -1022),
            (
                format!("timestamp={now}&symbol=BTCUSDT&signature={good}"),
                String::new(),
                -1022,
            ),
            (format!("{payload}&signature=00"), String::new(), -1022),
            (payload.clone(), String::new(), -1102),
            (
                format!("{late}&signature={}", sign(SECRET, &late)),
                String::new(),
                -1021,
            ),
            (
                format!("{early}&signature={}", sign(SECRET, &early)),
                String::new(),
                -1021,
            ),
        ] {
            let request = HttpRequest {
                query: query.clone(),
                body,
                ..HttpRequest::default()
            };
            let code = check(&request, &Params::of(&request), SECRET, now)
                .err()
                .map_or(0, |r| r.code);
            assert_eq!(code, expected, "{query}");
        }
    }

    #[test]
    fn an_ed25519_signature_is_over_the_exact_bytes_in_base64_that_a_query_can_carry() {
        let now = 1_591_702_613_943;
        let pair = ed25519(crate::sim::keys::ED25519).unwrap();
        let signed = |payload: &str| STANDARD.encode(pair.sign(payload.as_bytes()));
        let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        // With a `+` and a `/` in its signature, so that the encoding matters.
        let payload = (0..1_000)
            .map(|n| format!("symbol=BTCUSDT&n={n}&timestamp={now}"))
            .find(|payload| signed(payload).contains('+') && signed(payload).contains('/'))
            .unwrap();
        let good = signed(&payload);
        let reordered = format!(
            "timestamp={now}&{}",
            payload.replace(&format!("&timestamp={now}"), "")
        );
        for (payload, signature, expected) in [
            (&payload, encoded(&good), 0),
            (&payload, good.clone(), -1022),
            (&reordered, encoded(&good), -1022),
            (&payload, sign(SECRET, &payload), -1022),
            (&payload, "AAAA".into(), -1022),
        ] {
            let request = HttpRequest {
                query: format!("{payload}&signature={signature}"),
                ..HttpRequest::default()
            };
            let code = check(&request, &Params::of(&request), crate::sim::keys::ED25519, now)
                .err()
                .map_or(0, |r| r.code);
            assert_eq!(code, expected, "{payload} {signature}");
        }
    }
}
