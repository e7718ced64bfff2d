//! Balances and positions: two answers that are one reading, or none.
//!
//! Source: account page ("Account Information V3") and trade page ("Position Information V3"), read 2026-11-22.

use super::position_side;
use crate::event::{Claim, Claims, Holdings, LegClaim};
use crate::model::{
    Asset, Balance, Leg, MarginType, MarkPrice, Money, Position, Price, Qty, Symbol, Timestamp,
};
use crate::venue::binance::wire;
use std::collections::{BTreeMap, BTreeSet};

/// The margin asset of accounts in the venue's credits mode. Source: venues/binance-usdm.md section 9.5, read 2026-11-22.
const CREDITS: &str = "BNFCR";

/// The answer of `GET /fapi/v3/account`: balances, and the amounts that positionRisk must agree with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccountHalf {
    balances: Vec<(Asset, Balance)>,
    /// Assets whose balances are blank: nothing has happened in them yet.
    inactive: BTreeSet<Asset>,
    amounts: BTreeMap<Leg, Qty>,
    claims: Option<Claims>,
}

/// The answer of `GET /fapi/v3/positionRisk`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RiskHalf {
    positions: BTreeMap<Leg, Position>,
    marks: Vec<MarkPrice>,
    liquidations: Vec<(Leg, Price)>,
    /// What the positions are margined in; `None` where that is not told.
    margined: BTreeSet<Option<Asset>>,
}

/// Balances and amounts of an account answer; `None` when any part of it cannot be read.
///
/// The venue writes blank balances for assets that the account has never used (section 9.5, seen, not documented).
/// Blank is not zero: such a row counts as no balance only if no position stands on it, which [`holdings`] judges.
pub fn account(body: &str) -> Option<AccountHalf> {
    let account: wire::Account<'_> = wire::object(body).ok()?;
    let (mut balances, mut inactive) = (BTreeMap::new(), BTreeSet::new());
    for row in &account.assets {
        let asset: Asset = row.asset.read("asset").ok()?;
        if row.wallet_balance.is_blank() && row.cross_wallet_balance.is_blank() {
            (inactive.insert(asset.clone()) && !balances.contains_key(&asset)).then_some(())?;
            continue;
        }
        let balance = Balance {
            wallet: row.wallet_balance.read("walletBalance").ok()?,
            cross_wallet: row.cross_wallet_balance.read("crossWalletBalance").ok()?,
            at: Timestamp::from_ms(row.update_time.read("updateTime").ok()?),
        };
        let is_first = !inactive.contains(&asset) && balances.insert(asset, balance).is_none();
        is_first.then_some(())?;
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
        inactive,
        amounts,
        claims: claims(&account),
    })
}

/// What the venue counts of margin; `None` when any of it is missing or cannot be read: half of it proves nothing.
fn claims(account: &wire::Account<'_>) -> Option<Claims> {
    let money = |number: Option<wire::Num<'_>>| number?.read::<Money>("margin").ok();
    let asset = |row: &wire::AssetRow<'_>| {
        let balance = money(Some(row.cross_wallet_balance))? + money(row.cross_un_pnl)?;
        let maintenance = money(row.maint_margin)?;
        Some((row.asset.read("asset").ok()?, Claim { maintenance, balance }))
    };
    let leg = |row: &wire::HeldRow<'_>| {
        let leg = Leg {
            symbol: row.symbol.read("symbol").ok()?,
            side: position_side(&row.position_side).ok()?,
        };
        let margin = Claim {
            maintenance: money(row.maint_margin)?,
            balance: money(row.isolated_wallet)? + money(row.unrealized_profit)?,
        };
        let notional = money(row.notional)?.abs();
        Some((leg, LegClaim { notional, margin }))
    };
    Some(Claims {
        assets: account.assets.iter().map(asset).collect::<Option<_>>()?,
        legs: account.positions.iter().map(leg).collect::<Option<_>>()?,
        whole: Claim {
            maintenance: money(account.total_maint_margin)?,
            balance: money(account.total_margin_balance)?,
        },
    })
}

/// Positions and marks of a positionRisk answer; `None` when any position cannot be read.
///
/// A mark has no time of its own here and takes that of its receipt; a mark of zero is no mark.
pub fn position_risk(body: &str, received: Timestamp) -> Option<RiskHalf> {
    let rows: Vec<wire::RiskRow<'_>> = serde_json::from_str(body).ok()?;
    let (mut positions, mut marks, mut margined) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
    let mut liquidations = Vec::new();
    for row in &rows {
        let symbol: Symbol = row.symbol.read("symbol").ok()?;
        if let Ok(Some(price)) = row.mark_price.price("markPrice") {
            marks.insert(symbol.clone(), price);
        }
        let leg = Leg {
            symbol,
            side: position_side(&row.position_side).ok()?,
        };
        // A price that is missing, zero or odd is none: nothing else of the row depends on it.
        let liquidation = row
            .liquidation_price
            .and_then(|price| price.price("liquidationPrice").ok()?);
        liquidations.extend(liquidation.map(|price| (leg.clone(), price)));
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
        if !position.amount.is_zero() {
            let asset = row.margin_asset.as_ref();
            margined.insert(asset.map(|asset| asset.read("marginAsset")).transpose().ok()?);
        }
        positions.insert(leg, position).is_none().then_some(())?;
    }
    positions.retain(|_, position| !position.amount.is_zero());
    Some(RiskHalf {
        positions,
        marks: marks
            .into_iter()
            .map(|(symbol, price)| MarkPrice {
                index: None,
                symbol,
                price,
                at: received,
            })
            .collect(),
        liquidations,
        margined,
    })
}

/// Whether the account is in credits mode: it has a balance in credits, or a position that is margined in them.
///
/// The venue documents no field for it (section 9.5 tells of the asset only), so an account of that kind that holds
/// neither is not recognised.
pub fn uses_credits(account: &AccountHalf, risk: &RiskHalf) -> bool {
    let balances = account.balances.iter();
    let credited =
        |(asset, balance): &(Asset, Balance)| asset.as_str() == CREDITS && !balance.wallet.is_zero();
    balances.into_iter().any(credited)
        || risk
            .margined
            .iter()
            .flatten()
            .any(|asset| asset.as_str() == CREDITS)
}

/// The two halves as one. Where legs or amounts differ, the leg is disputed and the larger exposure is assumed.
///
/// `None` when a position stands on an asset whose balance is blank, or may do so.
pub fn holdings(account: AccountHalf, risk: RiskHalf) -> Option<Holdings> {
    let is_told = account.amounts.keys().all(|leg| risk.positions.contains_key(leg));
    let in_use = |asset: &Asset| {
        !is_told
            || risk
                .margined
                .iter()
                .any(|used| used.as_ref().is_none_or(|used| used == asset))
    };
    if account.inactive.iter().any(in_use) {
        return None;
    }
    let (mut positions, mut disputed) = (risk.positions, Vec::new());
    for (leg, amount) in &account.amounts {
        let known = positions.get(leg).map_or(Qty::ZERO, |position| position.amount);
        if known == *amount {
            continue;
        }
        disputed.push(leg.clone());
        if known.abs() < amount.abs() {
            let position = positions.entry(leg.clone()).or_insert(Position {
                amount: *amount,
                entry: None,
                margin: None,
                isolated_wallet: Money::ZERO,
                at: Timestamp::default(),
            });
            position.amount = *amount;
        }
    }
    let only_at_risk = positions.keys().filter(|leg| !account.amounts.contains_key(*leg));
    disputed.extend(only_at_risk.cloned());
    Some(Holdings {
        balances: account.balances,
        positions: positions.into_iter().collect(),
        marks: risk.marks,
        disputed,
        liquidations: risk.liquidations,
        claims: account.claims,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::venue::binance::fixtures::fixture;

    #[test]
    fn what_the_venue_counts_of_margin_is_read_whole_or_not_at_all() {
        let body = fixture("rest-account");
        let claims = account(&body).unwrap().claims.unwrap();
        let shown = |claim: Claim| format!("{} of {}", claim.maintenance, claim.balance);
        assert_eq!(shown(claims.whole), "61.98 of 9984.017");
        assert_eq!(shown(claims.assets[0].1), "61.98 of 9984.017");
        let (leg, claim) = &claims.legs[0];
        assert_eq!(
            (leg.to_string().as_str(), shown(claim.margin).as_str()),
            ("BTCUSDT", "61.98 of -4.91")
        );
        assert_eq!(claim.notional.to_string(), "15495.09");
        for (from, to) in [
            (r#""totalMaintMargin":"61.98","#, ""),
            (r#""crossUnPnl":"-4.91","#, ""),
            (r#""notional":"15495.09""#, r#""notional":"""#),
            (r#""maintMargin":"0""#, r#""maintMargin":null"#),
        ] {
            assert!(body.contains(from), "{from}");
            // The balances and amounts are still good.
            let half = account(&body.replacen(from, to, 1)).unwrap();
            assert_eq!((half.claims, half.balances.len()), (None, 1), "{to}");
        }
    }

    fn halves(assets: &str, margin_asset: &str) -> (Option<AccountHalf>, RiskHalf) {
        let held = if margin_asset.is_empty() {
            ""
        } else {
            r#"{"symbol":"BTCUSDT","positionSide":"BOTH","positionAmt":"1"}"#
        };
        let risk = held.strip_suffix('}').map_or(String::new(), |held| format!(
            r#"{held},"entryPrice":"1","markPrice":"1","isolatedMargin":"0","isolatedWallet":"0","updateTime":0{margin_asset}}}"#
        ));
        (
            account(&format!(r#"{{"assets":[{assets}],"positions":[{held}]}}"#)),
            position_risk(&format!("[{risk}]"), Timestamp::default()).unwrap(),
        )
    }

    const USDT: &str = r#"{"asset":"USDT","walletBalance":"5","crossWalletBalance":"5","updateTime":0}"#;
    const BLANK: &str = r#"{"asset":"BNFCR","walletBalance":"","crossWalletBalance":"","updateTime":0}"#;
    const HALF: &str = r#"{"asset":"BNFCR","walletBalance":"","crossWalletBalance":"1","updateTime":0}"#;
    const CREDIT: &str = r#"{"asset":"BNFCR","walletBalance":"-1","crossWalletBalance":"-1","updateTime":0}"#;
    const NONE: &str = r#"{"asset":"BNFCR","walletBalance":"0.0","crossWalletBalance":"0.0","updateTime":0}"#;
    const IN_USDT: &str = r#","marginAsset":"USDT""#;
    const IN_CREDITS: &str = r#","marginAsset":"BNFCR""#;
    /// A position whose margin asset is not told.
    const UNTOLD: &str = " ";

    #[test]
    fn mo_19_a_blank_balance_is_left_out_only_if_no_position_stands_on_it() {
        for (assets, margin_asset, balances, credits) in [
            (format!("{USDT},{BLANK}"), IN_USDT, Some(1), false),
            (format!("{USDT},{BLANK}"), "", Some(1), false),
            (format!("{USDT},{BLANK}"), IN_CREDITS, None, true),
            (format!("{USDT},{BLANK}"), UNTOLD, None, false),
            (USDT.to_owned(), UNTOLD, Some(1), false),
            (format!("{USDT},{NONE}"), IN_USDT, Some(2), false),
            (format!("{USDT},{CREDIT}"), IN_USDT, Some(2), true),
            (format!("{USDT},{CREDIT}"), IN_CREDITS, Some(2), true),
        ] {
            let (account, risk) = halves(&assets, margin_asset);
            let account = account.unwrap();
            assert_eq!(uses_credits(&account, &risk), credits, "{assets} {margin_asset}");
            let read = holdings(account, risk).map(|read| read.balances.len());
            assert_eq!(read, balances, "{assets} {margin_asset}");
        }
        for assets in [
            HALF.to_owned(),
            format!("{BLANK},{BLANK}"),
            format!("{BLANK},{NONE}"),
            format!("{NONE},{BLANK}"),
        ] {
            assert_eq!(halves(&assets, "").0, None, "{assets}");
        }
    }
}
