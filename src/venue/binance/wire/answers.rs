//! Answers over REST.

use super::{Label, Num, Text};
use serde::Deserialize;
use serde_json::value::RawValue;

/// An error body, or the body of a cancellation that succeeded with code 200. Source: error codes page.
#[derive(Deserialize)]
pub struct Verdict<'a> {
    #[serde(borrow)]
    pub code: Num<'a>,
    #[serde(borrow)]
    pub msg: Option<Text<'a>>,
}

/// `GET /fapi/v3/account`. Source: account page, "Account Information V3".
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Account<'a> {
    #[serde(borrow)]
    pub total_maint_margin: Option<Num<'a>>,
    #[serde(borrow)]
    pub total_margin_balance: Option<Num<'a>>,
    #[serde(borrow)]
    pub assets: Vec<AssetRow<'a>>,
    #[serde(borrow)]
    pub positions: Vec<HeldRow<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AssetRow<'a> {
    #[serde(borrow)]
    pub asset: Text<'a>,
    #[serde(borrow)]
    pub wallet_balance: Num<'a>,
    #[serde(borrow)]
    pub cross_wallet_balance: Num<'a>,
    #[serde(borrow)]
    pub maint_margin: Option<Num<'a>>,
    #[serde(borrow)]
    pub cross_un_pnl: Option<Num<'a>>,
    #[serde(borrow)]
    pub update_time: Num<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldRow<'a> {
    #[serde(borrow)]
    pub symbol: Text<'a>,
    #[serde(borrow)]
    pub position_side: Text<'a>,
    #[serde(borrow)]
    pub position_amt: Num<'a>,
    #[serde(borrow)]
    pub notional: Option<Num<'a>>,
    #[serde(borrow)]
    pub maint_margin: Option<Num<'a>>,
    #[serde(borrow)]
    pub isolated_wallet: Option<Num<'a>>,
    #[serde(borrow)]
    pub unrealized_profit: Option<Num<'a>>,
}

/// `GET /fapi/v3/positionRisk`. Source: trade page, "Position Information V3".
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RiskRow<'a> {
    #[serde(borrow)]
    pub symbol: Text<'a>,
    #[serde(borrow)]
    pub position_side: Text<'a>,
    #[serde(borrow)]
    pub position_amt: Num<'a>,
    #[serde(borrow)]
    pub entry_price: Num<'a>,
    #[serde(borrow)]
    pub mark_price: Num<'a>,
    #[serde(borrow)]
    pub liquidation_price: Option<Num<'a>>,
    #[serde(borrow)]
    pub isolated_margin: Num<'a>,
    #[serde(borrow)]
    pub isolated_wallet: Num<'a>,
    #[serde(borrow)]
    pub margin_asset: Option<Text<'a>>,
    #[serde(borrow)]
    pub update_time: Num<'a>,
}

/// An order of `GET /fapi/v1/openOrders` or `order`, or the answer to a placement.
/// Source: trade page, "Current All Open Orders" and "New Order".
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderRow<'a> {
    #[serde(borrow)]
    pub order_id: Num<'a>,
    #[serde(borrow)]
    pub client_order_id: Option<Label<'a>>,
    #[serde(borrow)]
    pub symbol: Text<'a>,
    #[serde(borrow)]
    pub status: Text<'a>,
    #[serde(borrow)]
    pub side: Text<'a>,
    #[serde(borrow)]
    pub position_side: Text<'a>,
    #[serde(borrow, rename = "type")]
    pub kind: Text<'a>,
    #[serde(borrow)]
    pub orig_qty: Num<'a>,
    #[serde(borrow)]
    pub executed_qty: Num<'a>,
    #[serde(borrow)]
    pub price: Option<Num<'a>>,
    #[serde(borrow)]
    pub avg_price: Option<Num<'a>>,
    #[serde(borrow)]
    pub stop_price: Option<Num<'a>>,
    pub reduce_only: bool,
    #[serde(default)]
    pub close_position: bool,
    #[serde(borrow)]
    pub update_time: Num<'a>,
}

/// What the answer to a placement must say at least. Source: trade page, "New Order".
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Placed<'a> {
    #[serde(borrow)]
    pub order_id: Num<'a>,
    #[serde(borrow)]
    pub client_order_id: Option<Label<'a>>,
    #[serde(borrow)]
    pub status: Text<'a>,
    #[serde(borrow)]
    pub executed_qty: Num<'a>,
    #[serde(borrow)]
    pub update_time: Num<'a>,
    /// Kept as it is: whatever stands here, the order was taken.
    #[serde(borrow)]
    pub reduce_only: Option<&'a RawValue>,
}

/// The answer of `POST /fapi/v1/algoOrder`. Source: trade page, "New Algo Order".
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlacedStop<'a> {
    #[serde(borrow)]
    pub algo_id: Num<'a>,
    #[serde(borrow)]
    pub client_algo_id: Text<'a>,
}

/// An order of `GET /fapi/v1/openAlgoOrders`. Source: trade page, "Current All Algo Open Orders".
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AlgoRow<'a> {
    #[serde(borrow)]
    pub algo_id: Num<'a>,
    #[serde(borrow)]
    pub client_algo_id: Option<Label<'a>>,
    #[serde(borrow)]
    pub order_type: Text<'a>,
    #[serde(borrow)]
    pub symbol: Text<'a>,
    #[serde(borrow)]
    pub side: Text<'a>,
    #[serde(borrow)]
    pub position_side: Text<'a>,
    #[serde(borrow)]
    pub quantity: Option<Num<'a>>,
    #[serde(borrow)]
    pub algo_status: Text<'a>,
    #[serde(borrow)]
    pub trigger_price: Option<Num<'a>>,
    #[serde(borrow)]
    pub price: Option<Num<'a>>,
    pub close_position: bool,
    pub reduce_only: bool,
    #[serde(borrow)]
    pub update_time: Num<'a>,
}

/// `GET /fapi/v1/accountConfig`. Source: account page, "Futures Account Configuration".
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountConfig {
    pub dual_side_position: bool,
    pub multi_assets_margin: bool,
}

/// `GET /fapi/v1/symbolConfig`. Source: account page, "Symbol Configuration".
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SymbolConfig<'a> {
    #[serde(borrow)]
    pub symbol: Text<'a>,
    #[serde(borrow)]
    pub margin_type: Text<'a>,
}

/// `GET /fapi/v1/exchangeInfo`. Source: market data page, "Exchange Information".
#[derive(Deserialize)]
pub struct ExchangeInfo<'a> {
    #[serde(borrow)]
    pub symbols: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SymbolRow<'a> {
    #[serde(borrow)]
    pub symbol: Text<'a>,
    #[serde(borrow)]
    pub margin_asset: Text<'a>,
    #[serde(borrow)]
    pub status: Text<'a>,
    #[serde(borrow)]
    pub market_take_bound: Option<Num<'a>>,
    #[serde(borrow)]
    pub filters: Vec<Filter<'a>>,
}

/// A filter of any type; what it has besides its type depends on the type.
/// Source: common definition page, "Filters".
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Filter<'a> {
    #[serde(borrow)]
    pub filter_type: Text<'a>,
    #[serde(borrow)]
    pub tick_size: Option<Num<'a>>,
    #[serde(borrow)]
    pub min_qty: Option<Num<'a>>,
    #[serde(borrow)]
    pub max_qty: Option<Num<'a>>,
    #[serde(borrow)]
    pub step_size: Option<Num<'a>>,
    #[serde(borrow)]
    pub notional: Option<Num<'a>>,
    #[serde(borrow)]
    pub multiplier_up: Option<Num<'a>>,
    #[serde(borrow)]
    pub multiplier_down: Option<Num<'a>>,
}

/// An element of `GET /fapi/v1/leverageBracket`. Source: account page, "Notional and Leverage Brackets".
#[derive(Deserialize)]
pub struct Brackets<'a> {
    #[serde(borrow)]
    pub symbol: Text<'a>,
    #[serde(borrow)]
    pub brackets: Vec<Bracket<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bracket<'a> {
    #[serde(borrow)]
    pub notional_cap: Num<'a>,
    #[serde(borrow)]
    pub notional_floor: Num<'a>,
    #[serde(borrow)]
    pub maint_margin_ratio: Num<'a>,
    #[serde(borrow)]
    pub cum: Num<'a>,
}

/// An element of `GET /fapi/v1/assetIndex`. Source: market data page, "Multi-Assets Mode Asset Index".
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IndexRow<'a> {
    #[serde(borrow)]
    pub symbol: Text<'a>,
    #[serde(borrow)]
    pub index: Num<'a>,
    #[serde(borrow)]
    pub bid_buffer: Num<'a>,
    #[serde(borrow)]
    pub ask_buffer: Num<'a>,
}

/// An element of `GET /fapi/v1/income`. Source: account page, "Get Income History".
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IncomeRow<'a> {
    #[serde(borrow)]
    pub income_type: Text<'a>,
    #[serde(borrow)]
    pub income: Num<'a>,
    #[serde(borrow)]
    pub asset: Text<'a>,
    #[serde(borrow)]
    pub time: Num<'a>,
    #[serde(borrow)]
    pub tran_id: Num<'a>,
}
