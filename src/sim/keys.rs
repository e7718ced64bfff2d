//! The guard's key at the exchange: how it signs, what it may do, and what the venue tells about that.

use super::scenario::At;
use serde::Deserialize;
use serde_json::{Value, json};

/// A private key for the tests of whoever has none: the first one of RFC 8032 (section 7.1), known to everybody.
pub const ED25519: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END PRIVATE KEY-----
";

/// The guard's key. Play money: unless a scenario says otherwise it is the same everywhere, and opens nothing else.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeyScript {
    /// The key.
    pub key: String,
    /// Its secret. A private key (PKCS#8 as PEM) makes it an Ed25519 key.
    pub secret: String,
    /// Only some addresses may use it.
    pub ip_restrict: bool,
    /// It may read.
    pub reading: bool,
    /// It may trade futures.
    pub futures: bool,
    /// It may withdraw.
    pub withdrawals: bool,
    /// It may withdraw from this time on.
    pub withdrawals_from: Option<At>,
    /// And no longer from this time on.
    pub withdrawals_until: Option<At>,
    /// It may transfer to other accounts of the venue.
    pub internal_transfer: bool,
    /// It may transfer between wallets.
    pub universal_transfer: bool,
}

impl Default for KeyScript {
    fn default() -> KeyScript {
        KeyScript {
            key: "guard-key-of-the-embedded-exchange".into(),
            secret: "guard-secret-of-the-embedded-exchange".into(),
            ip_restrict: true,
            reading: true,
            futures: true,
            withdrawals: false,
            withdrawals_from: None,
            withdrawals_until: None,
            internal_transfer: false,
            universal_transfer: false,
        }
    }
}

impl KeyScript {
    /// What the venue answers to `GET /sapi/v1/account/apiRestrictions`, `elapsed_ms` after the start.
    ///
    /// Source: venues/binance-usdm.md section 2.5, read 2026-11-22.
    pub(super) fn restrictions(&self, elapsed_ms: i64, portfolio_margin: bool) -> Value {
        let has_passed = |at: Option<At>| at.is_some_and(|at| at.0 <= elapsed_ms);
        let granted = self.withdrawals || has_passed(self.withdrawals_from);
        let withdrawals = granted && !has_passed(self.withdrawals_until);
        json!({
            "ipRestrict": self.ip_restrict, "createTime": 1_700_000_000_000i64, "enableReading": self.reading,
            "enableWithdrawals": withdrawals, "enableInternalTransfer": self.internal_transfer,
            "enableMargin": false, "enableFutures": self.futures,
            "permitsUniversalTransfer": self.universal_transfer, "enableVanillaOptions": false,
            "enableFixApiTrade": false, "enableFixReadOnly": false, "enableSpotAndMarginTrading": false,
            "enablePortfolioMarginTrading": portfolio_margin,
        })
    }

    /// Whether the key may ask for this at all; the venue says -2015 when it may not.
    pub(super) fn may(&self, line: &str) -> bool {
        match line {
            "GET /sapi/v1/account/apiRestrictions" => true,
            _ if line.starts_with("GET ") => self.reading,
            _ => self.futures || line.ends_with("/listenKey"),
        }
    }
}
