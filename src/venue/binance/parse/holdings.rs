//! Balances and positions: two answers that are one reading, or none.
//!
//! Source: account page ("Account Information V3") and trade page ("Position Information V3"), read 2026-11-22.

use super::position_side;
use crate::event::Holdings;
use crate::model::{Asset, Balance, Leg, MarginType, MarkPrice, Money, Position, Qty, Symbol, Timestamp};
use crate::venue::binance::wire;
use std::collections::BTreeMap;

/// The answer of `GET /fapi/v3/account`: balances, and the amounts that positionRisk must agree with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccountHalf {
    balances: Vec<(Asset, Balance)>,
    amounts: BTreeMap<Leg, Qty>,
}

/// The answer of `GET /fapi/v3/positionRisk`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RiskHalf {
    positions: BTreeMap<Leg, Position>,
    marks: Vec<MarkPrice>,
}

/// Balances and amounts of an account answer; `None` when any part of it cannot be read.
pub fn account(body: &str) -> Option<AccountHalf> {
    let account: wire::Account<'_> = wire::object(body).ok()?;
    let mut balances = BTreeMap::new();
    for row in &account.assets {
        let balance = Balance {
            wallet: row.wallet_balance.read("walletBalance").ok()?,
            cross_wallet: row.cross_wallet_balance.read("crossWalletBalance").ok()?,
            at: Timestamp::from_ms(row.update_time.read("updateTime").ok()?),
        };
        let before = balances.insert(row.asset.read::<Asset>("asset").ok()?, balance);
        before.is_none().then_some(())?;
    }
    let mut amounts = BTreeMap::new();
    for row in &account.positions {
        let leg = Leg {
            symbol: row.symbol.read("symbol").ok()?,
            side: position_side(&row.position_side).ok()?,
        };
        let amount: Qty = row.position_amt.read("positionAmt").ok()?;
        amounts.insert(leg, amount).is_none().then_some(())?;
    }
    amounts.retain(|_, amount| !amount.is_zero());
    Some(AccountHalf {
        balances: balances.into_iter().collect(),
        amounts,
    })
}

/// Positions and marks of a positionRisk answer; `None` when any position cannot be read.
///
/// A mark has no time of its own here and takes that of its receipt; a mark of zero is no mark.
pub fn position_risk(body: &str, received: Timestamp) -> Option<RiskHalf> {
    let rows: Vec<wire::RiskRow<'_>> = serde_json::from_str(body).ok()?;
    let (mut positions, mut marks) = (BTreeMap::new(), BTreeMap::new());
    for row in &rows {
        let symbol: Symbol = row.symbol.read("symbol").ok()?;
        if let Ok(Some(price)) = row.mark_price.price("markPrice") {
            marks.insert(symbol.clone(), price);
        }
        let leg = Leg {
            symbol,
            side: position_side(&row.position_side).ok()?,
        };
        let isolated_wallet: Money = row.isolated_wallet.read("isolatedWallet").ok()?;
        let isolated_margin: Money = row.isolated_margin.read("isolatedMargin").ok()?;
        let isolated = !isolated_wallet.is_zero() || !isolated_margin.is_zero();
        let position = Position {
            amount: row.position_amt.read("positionAmt").ok()?,
            entry: row.entry_price.price("entryPrice").ok()?,
            margin: isolated.then_some(MarginType::Isolated),
            isolated_wallet,
            at: Timestamp::from_ms(row.update_time.read("updateTime").ok()?),
        };
        positions.insert(leg, position).is_none().then_some(())?;
    }
    positions.retain(|_, position| !position.amount.is_zero());
    Some(RiskHalf {
        positions,
        marks: marks
            .into_iter()
            .map(|(symbol, price)| MarkPrice {
                symbol,
                price,
                at: received,
            })
            .collect(),
    })
}

/// The two halves as one; `None` when they are torn: legs or amounts differ.
pub fn holdings(account: AccountHalf, risk: RiskHalf) -> Option<Holdings> {
    let same = account.amounts.len() == risk.positions.len()
        && risk
            .positions
            .iter()
            .all(|(leg, position)| account.amounts.get(leg) == Some(&position.amount));
    same.then(|| Holdings {
        balances: account.balances,
        positions: risk.positions.into_iter().collect(),
        marks: risk.marks,
    })
}
