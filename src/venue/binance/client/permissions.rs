//! What the API key may do, and what kind of account it opens.
//!
//! Source: venues/binance-usdm.md section 2.5 (`GET /sapi/v1/account/apiRestrictions`), read 2026-11-22.

use serde::Deserialize;

use super::answer::{Answer, NoAnswer, head};
use super::budget::Importance;
use super::http::Http;
use crate::venue::binance::parse::holdings;
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
    /// May trade in a portfolio margin account. The page does not say that only such accounts have this right, nor names
    /// another sign of them; it is taken for one.
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
        let portfolio = self
            .enable_portfolio_margin_trading
            .then_some("enablePortfolioMarginTrading");
        let mut beyond = self.excessive();
        beyond.extend(self.needless());
        beyond.extend(portfolio);
        beyond
    }

    /// The rights that a guard has no use for, by the venue's names; none of them lets money leave the venue.
    pub fn needless(&self) -> Vec<&'static str> {
        [
            (self.enable_margin, "enableMargin"),
            (self.enable_spot_and_margin_trading, "enableSpotAndMarginTrading"),
            (self.enable_vanilla_options, "enableVanillaOptions"),
        ]
        .into_iter()
        .filter_map(|(granted, name)| granted.then_some(name))
        .collect()
    }
}

/// Asks the account host, such as `https://api.binance.com`, what the key may do.
///
/// # Errors
///
/// In words: no answer, a refusal with the venue's message, or an answer that leaves out a right that matters.
pub async fn permissions(http: &Http, reader: &ReadSigner, sapi_url: &str) -> Result<Permissions, String> {
    timed(http, reader).await?;
    let base = sapi_url.trim_end_matches('/');
    let read = Read::restrictions();
    let answer = http.read_at(base, &read, reader, Importance::Vital).await;
    let body = body("key permissions", answer)?;
    serde_json::from_str(&body).map_err(|error| format!("key permissions: {error}"))
}

/// Whether the account is in the venue's credits mode, as far as balances and positions tell. The venue has accepted the
/// key when there is an answer.
///
/// # Errors
///
/// In words: no answer, a refusal with the venue's message, or an answer that cannot be read.
pub async fn uses_credits(http: &Http, reader: &ReadSigner) -> Result<bool, String> {
    timed(http, reader).await?;
    let (account, risk) = (Read::account(), Read::position_risk());
    let (account, risk) = tokio::join!(
        http.read(&account, reader, Importance::Vital),
        http.read(&risk, reader, Importance::Vital)
    );
    let account = holdings::account(&body("account", account)?);
    let risk = holdings::position_risk(&body("positionRisk", risk)?, http.clock().now());
    match (account, risk) {
        (Some(account), Some(risk)) => Ok(holdings::uses_credits(&account, &risk)),
        _ => Err("the account's balances or positions cannot be read".into()),
    }
}

/// The first question needs the venue's clock: a timestamp that is off would look like a key that may do nothing.
async fn timed(http: &Http, reader: &ReadSigner) -> Result<(), String> {
    if http.synced_at().is_some() {
        return Ok(());
    }
    let synced = http.sync_clock(reader).await;
    synced
        .map(|_| ())
        .map_err(|why| format!("the venue's clock: {why}"))
}

fn body(what: &str, answer: Result<Answer, NoAnswer>) -> Result<String, String> {
    let answer = answer.map_err(|none| format!("{what}: {none}"))?;
    match answer.status {
        200 => Ok(answer.body),
        status => Err(format!("{what}: HTTP {status}: {}", head(&answer.body))),
    }
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
