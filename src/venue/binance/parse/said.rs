//! The venue's own margin numbers and liquidation prices, to stand beside ours. Nothing is judged by them.
//!
//! Source: account page ("Account Information V3") and trade page ("Position Information V3"), read 2026-11-22.

use super::position_side;
use crate::model::{Asset, Leg, Money, Price};
use crate::venue::binance::request::path;
use crate::venue::binance::wire;
use crate::venue::{Received, Via};
use std::collections::BTreeMap;

/// Maintenance margin and margin balance, as the venue counts them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SaidMargin {
    /// What it demands.
    pub maintenance: Money,
    /// What it sees.
    pub balance: Money,
}

/// What the venue says of an account. What it does not say, or says in a way that cannot be read, is absent.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Said {
    /// The whole account.
    pub whole: Option<SaidMargin>,
    /// The cross positions of each margin asset.
    pub cross: BTreeMap<Asset, SaidMargin>,
    /// Each isolated position.
    pub isolated: BTreeMap<Leg, SaidMargin>,
    /// Liquidation prices; the venue says zero where it sees none, and then there is no entry.
    pub liquidation: BTreeMap<Leg, Price>,
}

impl Said {
    /// What the newest answers in `received` say.
    pub fn read(received: &[Received]) -> Said {
        let newest = |wanted: &str| {
            received.iter().rev().find_map(|item| match &item.via {
                Via::Rest {
                    request,
                    status: 200,
                    body,
                } if request.strip_prefix("GET ") == Some(wanted) => Some(body.as_str()),
                _ => None,
            })
        };
        let mut said = Said::default();
        if let Some(body) = newest(path::POSITION_RISK) {
            said.risk(body);
        }
        if let Some(body) = newest(path::ACCOUNT) {
            said.account(body);
        }
        said
    }

    /// The maintenance of cross positions waits in `cross` for the balance that the account answer has.
    fn risk(&mut self, body: &str) {
        let rows: Vec<wire::RiskSaid<'_>> = serde_json::from_str(body).unwrap_or_default();
        for row in &rows {
            // A row that cannot be read is left out with all that it says.
            let _ = self.row(row);
        }
    }

    fn row(&mut self, row: &wire::RiskSaid<'_>) -> Result<(), wire::Bad> {
        let leg = Leg {
            symbol: row.symbol.read("symbol")?,
            side: position_side(&row.position_side)?,
        };
        if let Ok(Some(price)) = row.liquidation_price.price("liquidationPrice") {
            self.liquidation.insert(leg.clone(), price);
        }
        let maintenance: Money = row.maint_margin.read("maintMargin")?;
        let wallet: Money = row.isolated_wallet.read("isolatedWallet")?;
        let balance: Money = row.isolated_margin.read("isolatedMargin")?;
        if wallet.is_zero() && balance.is_zero() {
            let none = SaidMargin {
                maintenance: Money::ZERO,
                balance: Money::ZERO,
            };
            self.cross
                .entry(row.margin_asset.read("marginAsset")?)
                .or_insert(none)
                .maintenance += maintenance;
        } else {
            self.isolated.insert(leg, SaidMargin { maintenance, balance });
        }
        Ok(())
    }

    fn account(&mut self, body: &str) {
        let Ok(account) = wire::object::<wire::AccountSaid<'_>>(body) else {
            self.cross.clear();
            return;
        };
        let maintenance = account.total_maint_margin.read("totalMaintMargin");
        let balance = account.total_margin_balance.read("totalMarginBalance");
        if let (Ok(maintenance), Ok(balance)) = (maintenance, balance) {
            self.whole = Some(SaidMargin { maintenance, balance });
        }
        let mut maintenances = std::mem::take(&mut self.cross);
        for row in &account.assets {
            let asset = row.asset.read::<Asset>("asset").ok();
            let wallet = row.cross_wallet_balance.read::<Money>("crossWalletBalance");
            let profit = row.cross_un_pnl.read::<Money>("crossUnPnl");
            if let (Some(asset), Ok(wallet), Ok(profit)) = (asset, wallet, profit)
                && let Some(margin) = maintenances.remove(&asset)
            {
                let balance = wallet + profit;
                self.cross.insert(asset, SaidMargin { balance, ..margin });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::venue::binance::fixtures::{fixture, rest};

    fn said(account: &str, risk: &str) -> Said {
        Said::read(&[
            rest("GET /fapi/v3/account", 200, account),
            rest("GET /fapi/v3/positionRisk", 200, risk),
        ])
    }

    #[test]
    fn cross_and_isolated_margins_are_told_apart_and_a_liquidation_price_of_zero_is_none() {
        let row = |symbol: &str, liquidation: &str, wallet: &str| {
            format!(
                r#"{{"symbol":"{symbol}","positionSide":"BOTH","liquidationPrice":"{liquidation}","marginAsset":"USDT",
                "maintMargin":"70","isolatedMargin":"{wallet}","isolatedWallet":"{wallet}"}}"#
            )
        };
        let rows = [
            row("BTCUSDT", "51000.5", "0"),
            row("ETHUSDT", "0", "0"),
            row("XUSDT", "9", "200"),
        ];
        let account = r#"{"totalMaintMargin":"210","totalMarginBalance":"1200","assets":[
            {"asset":"USDT","crossWalletBalance":"1000","crossUnPnl":"-50"}]}"#;
        let said = said(account, &format!("[{}]", rows.join(",")));
        let usdt = said.cross.get(&Asset::new("USDT").unwrap()).unwrap();
        assert_eq!(
            (usdt.maintenance.to_string(), usdt.balance.to_string()),
            ("140".into(), "950".into())
        );
        assert_eq!(said.isolated.len(), 1);
        let prices: Vec<String> = said
            .liquidation
            .iter()
            .map(|(leg, price)| format!("{leg} {price}"))
            .collect();
        assert_eq!(prices, ["BTCUSDT 51000.5", "XUSDT 9"]);
    }

    #[test]
    fn the_fixtures_of_the_venue_are_read() {
        let said = said(&fixture("rest-account"), &fixture("rest-position-risk"));
        assert!(said.whole.is_some() && said.cross.len() == 1, "{said:?}");
    }

    #[test]
    fn a9_what_cannot_be_read_is_absent_and_never_zero() {
        assert_eq!(said("null", "{}"), Said::default());
        assert_eq!(said("{}", &fixture("rest-position-risk")).cross.len(), 0);
    }
}
