//! What the venue itself says of margin and liquidation. Apart from [`super::answers`], because a missing or odd number
//! here must not spoil a reading that the guard acts upon.
//!
//! Source: account page ("Account Information V3") and trade page ("Position Information V3"), read 2026-11-22.

use super::{Num, Text};
use serde::Deserialize;

/// `GET /fapi/v3/account`, its totals and the margin of each asset.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountSaid<'a> {
    #[serde(borrow)]
    pub total_maint_margin: Num<'a>,
    #[serde(borrow)]
    pub total_margin_balance: Num<'a>,
    #[serde(borrow)]
    pub assets: Vec<AssetSaid<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AssetSaid<'a> {
    #[serde(borrow)]
    pub asset: Text<'a>,
    #[serde(borrow)]
    pub cross_wallet_balance: Num<'a>,
    #[serde(borrow)]
    pub cross_un_pnl: Num<'a>,
}

/// `GET /fapi/v3/positionRisk`, one row.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RiskSaid<'a> {
    #[serde(borrow)]
    pub symbol: Text<'a>,
    #[serde(borrow)]
    pub position_side: Text<'a>,
    #[serde(borrow)]
    pub liquidation_price: Num<'a>,
    #[serde(borrow)]
    pub margin_asset: Text<'a>,
    #[serde(borrow)]
    pub maint_margin: Num<'a>,
    #[serde(borrow)]
    pub isolated_margin: Num<'a>,
    #[serde(borrow)]
    pub isolated_wallet: Num<'a>,
}
