//! The parts of a scenario that venue, humans and neighbours play: events, and load on the shared limits.

use super::scenario::{At, Placement};
use rust_decimal::Decimal;
use serde::Deserialize;

/// Something that happens at the venue, or that a human does with the account. A human's orders are named `web_...`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventScript {
    /// When; at the start if it is not said. Over the control route: now.
    #[serde(default = "at_start")]
    pub at: At,
    /// What.
    pub kind: Kind,
    /// Contract; for kinds that concern one.
    #[serde(default)]
    pub symbol: Option<String>,
    /// `adl`, `settle`: the share of each position that is closed; all of it when absent.
    #[serde(default)]
    pub fraction: Option<Decimal>,
    /// `price_gap`: how far the price jumps and stays, in hundredths of a percent.
    #[serde(default)]
    pub bps: Option<i64>,
    /// `leverage`: the new setting.
    #[serde(default)]
    pub leverage: Option<u32>,
    /// `mode`: hedge mode on or off. `multi_assets`: the same for the asset mode.
    #[serde(default)]
    pub on: Option<bool>,
    /// `margin_type`: `ISOLATED` or `CROSSED`.
    #[serde(default)]
    pub margin_type: Option<String>,
    /// `order`: what the human places.
    #[serde(default)]
    pub place: Option<Placement>,
    /// `rules`: price step.
    #[serde(default)]
    pub tick: Option<Decimal>,
    /// `rules`: quantity step.
    #[serde(default)]
    pub step: Option<Decimal>,
    /// `rules`: most of a market order.
    #[serde(default)]
    pub market_max: Option<Decimal>,
    /// `rules`: most of an order with a price.
    #[serde(default)]
    pub limit_max: Option<Decimal>,
    /// `rules`: least value of an opening order.
    #[serde(default)]
    pub min_notional: Option<Decimal>,
    /// `rules`: band of orders with a price, as a share of the mark: 0.05 is 5 % up for buys and 5 % down for sells.
    #[serde(default)]
    pub band: Option<Decimal>,
    /// `rules`: how far from the mark a market order executes, as a share.
    #[serde(default)]
    pub market_bound: Option<Decimal>,
    /// `rules`: maintenance tiers as (cap, rate).
    #[serde(default)]
    pub tiers: Option<Vec<(Decimal, Decimal)>>,
}

impl EventScript {
    /// What happens now to one contract, and to which share of it.
    pub fn now(kind: Kind, symbol: &str, fraction: Option<Decimal>) -> EventScript {
        EventScript {
            at: at_start(),
            kind,
            symbol: Some(symbol.to_owned()),
            fraction,
            bps: None,
            leverage: None,
            on: None,
            margin_type: None,
            place: None,
            tick: None,
            step: None,
            market_max: None,
            limit_max: None,
            min_notional: None,
            band: None,
            market_bound: None,
            tiers: None,
        }
    }
}

fn at_start() -> At {
    At(0)
}

/// Kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Auto-deleveraging takes a share of a position.
    Adl,
    /// A contract is settled: its orders go, its positions are closed at the mark.
    Settle,
    /// Trading in a contract stops; cancels still work.
    Halt,
    /// Trading goes on.
    Resume,
    /// A contract leaves: settled, and closed for good.
    Delist,
    /// A contract that was `PENDING_TRADING` opens.
    List,
    /// Filters or tiers change.
    Rules,
    /// The account turns to hedge mode or back, if the venue lets it.
    Mode,
    /// The account turns to multi-assets mode or back, if the venue lets it.
    MultiAssets,
    /// A human changes the leverage.
    Leverage,
    /// A human changes the margin type.
    MarginType,
    /// The price jumps.
    PriceGap,
    /// The venue calls for margin on what stands on one bucket with a contract, whatever its ratio.
    MarginCall,
    /// A human places an order.
    Order,
    /// A human cancels everything of a contract, in both stores.
    Cancel,
}

/// What others take from the limits that the guard shares with them: the IP's weight, the account's order counts.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadScript {
    /// From this time.
    pub from: At,
    /// Until this time.
    pub until: At,
    /// Weight a second.
    #[serde(default)]
    pub weight_per_second: u32,
    /// Orders a second.
    #[serde(default)]
    pub orders_per_second: u32,
}
