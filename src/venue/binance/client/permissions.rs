//! What the API key may do.
//!
//! Source: venues/binance-usdm.md section 2.5 (`GET /sapi/v1/account/apiRestrictions`), read 2026-11-22.

use serde::Deserialize;

use super::answer::head;
use super::budget::Importance;
use super::http::Http;
use crate::venue::binance::request::Read;
use crate::venue::binance::sign::ReadSigner;

/// The rights of a key. A guard needs reading and futures, and nothing else.
///
/// Rights that matter for safety must be in the answer; others count as absent when the venue leaves them out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Permissions {
    /// Only the listed addresses may use it.
    pub ip_restrict: bool,
    /// May read.
    pub enable_reading: bool,
    /// May trade futures.
    pub enable_futures: bool,
    /// May withdraw.
    pub enable_withdrawals: bool,
    /// May transfer to other accounts of the venue.
    pub enable_internal_transfer: bool,
    /// May transfer between wallets.
    pub permits_universal_transfer: bool,
    /// May borrow on margin.
    #[serde(default)]
    pub enable_margin: bool,
    /// May trade spot.
    #[serde(default)]
    pub enable_spot_and_margin_trading: bool,
    /// May trade options.
    #[serde(default)]
    pub enable_vanilla_options: bool,
    /// May trade in a portfolio margin account.
    #[serde(default)]
    pub enable_portfolio_margin_trading: bool,
}

impl Permissions {
    /// The rights that let money leave the account, by the venue's names; a guard refuses to run with any (SE-02).
    pub fn excessive(&self) -> Vec<&'static str> {
        [
            (self.enable_withdrawals, "enableWithdrawals"),
            (self.enable_internal_transfer, "enableInternalTransfer"),
            (self.permits_universal_transfer, "permitsUniversalTransfer"),
        ]
        .into_iter()
        .filter_map(|(granted, name)| granted.then_some(name))
        .collect()
    }

    /// Every right that a guard does not need, by the venue's names: the excessive ones, and those to trade elsewhere.
    pub fn beyond_need(&self) -> Vec<&'static str> {
        let elsewhere = [
            (self.enable_margin, "enableMargin"),
            (self.enable_spot_and_margin_trading, "enableSpotAndMarginTrading"),
            (self.enable_vanilla_options, "enableVanillaOptions"),
            (
                self.enable_portfolio_margin_trading,
                "enablePortfolioMarginTrading",
            ),
        ];
        let mut beyond = self.excessive();
        beyond.extend(
            elsewhere
                .into_iter()
                .filter_map(|(granted, name)| granted.then_some(name)),
        );
        beyond
    }
}

/// Asks the account host, such as `https://api.binance.com`, what the key may do.
///
/// # Errors
///
/// In words: no answer, a refusal with the venue's message, or an answer that leaves out a right that matters.
pub async fn permissions(http: &Http, reader: &ReadSigner, sapi_url: &str) -> Result<Permissions, String> {
    // It is asked first of all, and a timestamp that is off would look like a key that may do nothing.
    if http.synced_at().is_none() {
        http.sync_clock(reader)
            .await
            .map_err(|why| format!("the venue's clock: {why}"))?;
    }
    let base = sapi_url.trim_end_matches('/');
    let answer = http
        .read_at(base, &Read::restrictions(), reader, Importance::Vital)
        .await
        .map_err(|none| format!("key permissions: {none}"))?;
    if answer.status != 200 {
        return Err(format!(
            "key permissions: HTTP {}: {}",
            answer.status,
            head(&answer.body)
        ));
    }
    serde_json::from_str(&answer.body).map_err(|error| format!("key permissions: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"ipRestrict":true,"createTime":1,"enableReading":true,"enableWithdrawals":false,
        "enableInternalTransfer":false,"permitsUniversalTransfer":false,"enableFutures":true,"new":1}"#;

    #[test]
    fn se_02_rights_that_let_money_leave_are_named() {
        for (from, to, expected) in [
            ("", "", &[][..]),
            (
                r#""enableWithdrawals":false"#,
                r#""enableWithdrawals":true"#,
                &["enableWithdrawals"],
            ),
            (
                r#""permitsUniversalTransfer":false"#,
                r#""permitsUniversalTransfer":true"#,
                &["permitsUniversalTransfer"],
            ),
        ] {
            let body = if from.is_empty() {
                GOOD.to_owned()
            } else {
                GOOD.replace(from, to)
            };
            let permissions: Permissions = serde_json::from_str(&body).unwrap();
            assert_eq!(permissions.excessive(), expected, "{body}");
        }
    }

    #[test]
    fn rights_to_trade_elsewhere_are_more_than_a_guard_needs() {
        let body = GOOD.replace(r#""new":1"#, r#""enableMargin":true,"enableVanillaOptions":true"#);
        let permissions: Permissions = serde_json::from_str(&body).unwrap();
        assert_eq!(permissions.excessive(), [""; 0]);
        assert_eq!(
            permissions.beyond_need(),
            ["enableMargin", "enableVanillaOptions"]
        );
    }

    #[test]
    fn se_03_a_missing_right_is_not_a_right_denied() {
        let body = GOOD.replace(r#""enableWithdrawals":false,"#, "");
        assert!(serde_json::from_str::<Permissions>(&body).is_err());
    }
}
