//! Signatures: two signers of the guard, of which only one can sign what changes something.
//!
//! A dry run makes no [`TradeSigner`], so it has no means to send an order; a [`ReadSigner`] cannot sign a
//! [`Mutation`], by type.
//!
//! The secret's form says how it signs: a PKCS#8 private key is Ed25519, anything else is a secret for HMAC. The
//! configuration has compared that with what `key_type` says.
//!
//! Source: general info page, "SIGNED Endpoint security", read 2026-11-22: HMAC-SHA256 in hex over the query as it is
//! sent, percent-encoded; `signature` comes last; everything goes into the query, so no body is involved. Ed25519:
//! base64 of the signature, percent-encoded (venues/binance-usdm.md section 2.3: the venue's own clients use it on
//! futures REST; the futures page itself is silent).

use super::request::{Mutation, Read, Security};
use crate::model::Timestamp;
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use secrecy::zeroize::{Zeroize, Zeroizing};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use std::fmt;
use std::sync::Arc;

/// The longest secret that is taken for one; the venue's have 64 characters.
const SECRET_LEN_MAX: usize = 512;

/// Why a secret cannot sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// It is no secret of this kind: empty, too long, or with characters that only a copying error puts there.
    #[error("the API secret must be 1 to {SECRET_LEN_MAX} printable ASCII characters without spaces")]
    BadSecret,
    /// It is a private key of another kind, or damaged.
    #[error(
        "the API secret is a private key, but not a plain Ed25519 key in PKCS#8 form; make one with `openssl genpkey -algorithm ed25519`"
    )]
    BadKey,
}

/// A request that is ready to send; only the signers make one.
#[derive(Clone, PartialEq, Eq)]
pub struct Signed {
    method: &'static str,
    path_and_query: String,
}

impl Signed {
    pub(super) fn new(method: &'static str, path_and_query: String) -> Signed {
        Signed {
            method,
            path_and_query,
        }
    }

    /// HTTP method.
    pub fn method(&self) -> &'static str {
        self.method
    }

    /// Path and query with timestamp and signature, exactly as to be sent.
    pub fn path_and_query(&self) -> &str {
        &self.path_and_query
    }
}

/// Signs reads.
#[derive(Clone)]
pub struct ReadSigner(Key);

/// Signs mutations.
#[derive(Clone)]
pub struct TradeSigner(Key);

impl ReadSigner {
    /// A signer for this secret.
    ///
    /// # Errors
    ///
    /// [`SignError`] when it is neither an API secret nor an Ed25519 key.
    pub fn new(secret: &SecretString) -> Result<ReadSigner, SignError> {
        Key::new(secret).map(ReadSigner)
    }

    /// Whether it signs with Ed25519.
    pub fn is_ed25519(&self) -> bool {
        matches!(self.0, Key::Ed25519(_))
    }

    /// The read as it is sent; one that needs no signature is left as it is.
    pub fn sign(&self, read: &Read, timestamp: Timestamp, recv_window_ms: u32) -> Signed {
        let path_and_query = match read.security() {
            Security::Signed => self.0.sign(read.path(), read.query(), timestamp, recv_window_ms),
            Security::None | Security::Key => read.path_and_query(),
        };
        Signed {
            method: read.method(),
            path_and_query,
        }
    }
}

impl TradeSigner {
    /// A signer for this secret.
    ///
    /// # Errors
    ///
    /// [`SignError`] when it is neither an API secret nor an Ed25519 key.
    pub fn new(secret: &SecretString) -> Result<TradeSigner, SignError> {
        Key::new(secret).map(TradeSigner)
    }

    /// The mutation as it is sent.
    pub fn sign(&self, mutation: &Mutation, timestamp: Timestamp, recv_window_ms: u32) -> Signed {
        Signed {
            method: mutation.method(),
            path_and_query: self
                .0
                .sign(mutation.path(), mutation.query(), timestamp, recv_window_ms),
        }
    }
}

/// The secret, prepared once and used for each request.
#[derive(Clone)]
pub(super) enum Key {
    Hmac(Hmac<Sha256>),
    Ed25519(Arc<Ed25519KeyPair>),
}

impl Key {
    pub(super) fn new(secret: &SecretString) -> Result<Key, SignError> {
        let secret = secret.expose_secret();
        if let Some(pair) = ed25519(secret)? {
            return Ok(Key::Ed25519(Arc::new(pair)));
        }
        let fine =
            (1..=SECRET_LEN_MAX).contains(&secret.len()) && secret.bytes().all(|b| b.is_ascii_graphic());
        if !fine {
            return Err(SignError::BadSecret);
        }
        Hmac::new_from_slice(secret.as_bytes())
            .map(Key::Hmac)
            .map_err(|_| SignError::BadSecret)
    }

    pub(super) fn sign(&self, path: &str, query: &str, timestamp: Timestamp, recv_window_ms: u32) -> String {
        let glue = if query.is_empty() { "" } else { "&" };
        let payload = format!(
            "{query}{glue}recvWindow={recv_window_ms}&timestamp={}",
            timestamp.ms()
        );
        let signature = self.signature(&payload);
        format!("{path}?{payload}&signature={signature}")
    }

    /// The signature as it stands in a query.
    fn signature(&self, payload: &str) -> String {
        match self {
            Key::Hmac(keyed) => {
                let mut mac = keyed.clone();
                mac.update(payload.as_bytes());
                hex::encode(mac.finalize().into_bytes())
            }
            Key::Ed25519(pair) => {
                let signature = STANDARD.encode(pair.sign(payload.as_bytes()));
                url::form_urlencoded::byte_serialize(signature.as_bytes()).collect()
            }
        }
    }
}

/// The key pair of a private key in PKCS#8 form, as PEM or as the base64 inside of it; `None` when it is no such text.
fn ed25519(secret: &str) -> Result<Option<Ed25519KeyPair>, SignError> {
    /// The algorithm's name in DER, in base64, and where it stands in every Ed25519 key (RFC 8410).
    const NAME: &str = "BQYDK2Vw";
    let der = if secret.contains("-----BEGIN") {
        let mut der = PrivatePkcs8KeyDer::from_pem_slice(secret.as_bytes()).map_err(|_| SignError::BadKey)?;
        let copy = Zeroizing::new(der.secret_pkcs8_der().to_vec());
        der.zeroize();
        copy
    } else if secret.get(8..16) == Some(NAME) {
        Zeroizing::new(STANDARD.decode(secret).map_err(|_| SignError::BadKey)?)
    } else {
        return Ok(None);
    };
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der)
        .map(Some)
        .map_err(|_| SignError::BadKey)
}

impl fmt::Debug for Signed {
    /// Without the signature.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self
            .path_and_query
            .split("&signature=")
            .next()
            .unwrap_or_default();
        write!(f, "Signed({} {shown})", self.method)
    }
}

impl fmt::Debug for ReadSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReadSigner(..)")
    }
}

impl fmt::Debug for TradeSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TradeSigner(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Intent, Symbol};

    const SECRET: &str = "2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9";
    const SPOT_SECRET: &str = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j";
    const NOW: Timestamp = Timestamp::from_ms(1_760_000_007_980);

    fn secret(text: &str) -> SecretString {
        SecretString::from(text.to_owned())
    }

    #[test]
    fn signatures_agree_with_the_venues_published_vectors() {
        for (name, key, payload, expected) in [
            (
                "V1",
                SECRET,
                "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=9000&timeInForce=GTC&recvWindow=5000&timestamp=1591702613943",
                "3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9",
            ),
            (
                "V2: order matters",
                SECRET,
                "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=9000&recvWindow=5000&timestamp=1591702613943",
                "ec11dcc17e67e47f0d3c3f513dfe9062307e37619c5c82ebaa8fe0bdf3d59519",
            ),
            (
                "V4: signed as encoded",
                SECRET,
                "symbol=%E6%B5%8B%E8%AF%95USDT&side=SELL&type=MARKET&quantity=1&reduceOnly=true&timestamp=1760000007980",
                "aa7a4d8d53abecb3804bd9953d9d9f5c69b587f9b52251f20ef272f489e81a77",
            ),
            (
                "V5: spot page",
                SPOT_SECRET,
                "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559",
                "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71",
            ),
        ] {
            assert_eq!(
                Key::new(&secret(key)).unwrap().signature(payload),
                expected,
                "{name}"
            );
        }
    }

    /// A private key in PKCS#8 form (RFC 8410), as the base64 inside of a PEM.
    fn pkcs8(seed: &str) -> String {
        STANDARD.encode(hex::decode(format!("302e020100300506032b657004220420{seed}")).unwrap())
    }

    #[test]
    fn ed25519_signatures_are_those_of_rfc_8032() {
        for (seed, payload, expected) in [
            (
                "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                "",
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
            ),
            (
                "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                "r",
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
            ),
        ] {
            let inside = pkcs8(seed);
            let pem = format!("-----BEGIN PRIVATE KEY-----\n{inside}\n-----END PRIVATE KEY-----\n");
            for form in [inside, pem] {
                let sent = Key::new(&secret(&form)).unwrap().signature(payload);
                // Nothing but what a query may hold, and decoded it is the signature.
                assert!(
                    sent.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'%'),
                    "{sent}"
                );
                let (_, decoded) = url::form_urlencoded::parse(format!("s={sent}").as_bytes())
                    .into_owned()
                    .next()
                    .unwrap();
                assert_eq!(hex::encode(STANDARD.decode(decoded).unwrap()), expected);
            }
        }
    }

    #[test]
    fn se_14_a_private_key_of_another_kind_is_refused() {
        let good = pkcs8("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
        let pem =
            |kind: &str, inside: &str| format!("-----BEGIN {kind}-----\n{inside}\n-----END {kind}-----\n");
        for text in [
            pem("RSA PRIVATE KEY", &good),
            pem("ENCRYPTED PRIVATE KEY", &good),
            pem(
                "PUBLIC KEY",
                "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
            ),
            pem("PRIVATE KEY", "AAAA"),
            good.get(..60).unwrap().to_owned(),
        ] {
            assert_eq!(
                TradeSigner::new(&secret(&text)).err(),
                Some(SignError::BadKey),
                "{text}"
            );
            assert_eq!(
                ReadSigner::new(&secret(&text)).err(),
                Some(SignError::BadKey),
                "{text}"
            );
        }
    }

    #[test]
    fn the_signature_comes_last_and_covers_exactly_what_is_sent() {
        let intent = Intent::CancelAll(Symbol::new("测试USDT").unwrap());
        let signed =
            TradeSigner::new(&secret(SECRET))
                .unwrap()
                .sign(&Mutation::from_intent(&intent), NOW, 5000);
        let (sent, signature) = signed.path_and_query().split_once("&signature=").unwrap();
        let payload = sent.strip_prefix("/fapi/v1/allOpenOrders?").unwrap();
        assert_eq!(
            payload,
            "symbol=%E6%B5%8B%E8%AF%95USDT&recvWindow=5000&timestamp=1760000007980"
        );
        assert_eq!(signature, Key::new(&secret(SECRET)).unwrap().signature(payload));
        assert_eq!(signed.method(), "DELETE");
    }

    #[test]
    fn a_read_without_parameters_is_signed_and_a_public_one_is_not() {
        let signer = ReadSigner::new(&secret(SECRET)).unwrap();
        let account = signer.sign(&Read::account(), NOW, 5000);
        assert!(
            account
                .path_and_query()
                .starts_with("/fapi/v3/account?recvWindow=5000&timestamp=1760000007980&signature=")
        );
        assert_eq!(
            signer.sign(&Read::time(), NOW, 5000).path_and_query(),
            "/fapi/v1/time"
        );
    }

    #[test]
    fn se_no_secret_and_no_signature_appear_in_debug_output() {
        let signer = ReadSigner::new(&secret(SECRET)).unwrap();
        let trade = TradeSigner::new(&secret(SECRET)).unwrap();
        let shown = format!(
            "{signer:?} {trade:?} {:?}",
            signer.sign(&Read::account(), NOW, 5000)
        );
        assert!(!shown.contains(SECRET) && !shown.contains("signature"), "{shown}");
    }

    #[test]
    fn a_secret_with_copying_errors_is_refused() {
        for (text, fine) in [
            (SECRET, true),
            ("", false),
            ("abc\n", false),
            ("a b", false),
            ("ключ", false),
            (&"x".repeat(513), false),
        ] {
            assert_eq!(ReadSigner::new(&secret(text)).is_ok(), fine, "{text:?}");
            assert_eq!(TradeSigner::new(&secret(text)).is_ok(), fine, "{text:?}");
        }
    }
}
