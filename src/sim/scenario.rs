//! Scenario files: a market's script, the account's start, and a bot that trades on it. TOML, strict.

use super::faults::{FAULTS_MAX, Fault};
use super::keys::KeyScript;
use super::script::{EventScript, LoadScript};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const BUILT_IN: [(&str, &str); 6] = [
    (
        "flash-crash",
        include_str!("../../fixtures/scenarios/flash-crash.toml"),
    ),
    (
        "slow-bleed",
        include_str!("../../fixtures/scenarios/slow-bleed.toml"),
    ),
    (
        "refilling-bot",
        include_str!("../../fixtures/scenarios/refilling-bot.toml"),
    ),
    (
        "hedge-book",
        include_str!("../../fixtures/scenarios/hedge-book.toml"),
    ),
    ("calm-day", include_str!("../../fixtures/scenarios/calm-day.toml")),
    ("drill", include_str!("../../fixtures/scenarios/drill.toml")),
];
const NAMES: [&str; 6] = [
    "flash-crash",
    "slow-bleed",
    "refilling-bot",
    "hedge-book",
    "calm-day",
    "drill",
];
/// Longest script: a day.
const DURATION_MAX_S: i64 = 86_400;

/// Why a scenario was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("error[scenario]: {message}{place}\n  hint: {hint}")]
pub struct ScenarioError {
    message: String,
    place: String,
    hint: String,
}

/// A script of market, account and actors.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// What it shows, in a sentence.
    pub description: String,
    /// Decides all randomness.
    #[serde(default)]
    pub seed: u64,
    /// The script is over after this.
    pub duration: At,
    /// A bucket whose maintenance reaches this share of its balance is called. The venue's own threshold is secret.
    #[serde(default = "margin_call_at")]
    pub margin_call_at: Decimal,
    /// Fee of a fill that took, as a share of its value; VIP 0 when it is not said.
    #[serde(default = "taker_fee")]
    pub taker_fee: Decimal,
    /// Fee of a fill that rested; VIP 0 when it is not said.
    #[serde(default = "maker_fee")]
    pub maker_fee: Decimal,
    /// A reduce-only market order is refused with -4118 while resting reduce-only orders cover the position, as seen
    /// live (S26); else it knocks them out, as documented (S2).
    #[serde(default)]
    pub reduce_only_conflicts: bool,
    /// Contracts.
    pub symbol: Vec<SymbolScript>,
    /// The account.
    pub account: AccountScript,
    /// Orders that rest at the start.
    #[serde(default)]
    pub order: Vec<Placement>,
    /// What the bot does.
    #[serde(default)]
    pub bot: Vec<Rule>,
    /// Money in and out.
    #[serde(default)]
    pub transfer: Vec<TransferScript>,
    /// Funding payments.
    #[serde(default)]
    pub funding: Vec<FundingScript>,
    /// What goes wrong.
    #[serde(default)]
    pub fault: Vec<Fault>,
    /// How long a conditional order stays in state `TRIGGERING`.
    #[serde(default = "at_once")]
    pub trigger_ms: At,
    /// What venue and humans do.
    #[serde(default)]
    pub event: Vec<EventScript>,
    /// What others take from the shared limits.
    #[serde(default)]
    pub load: Vec<LoadScript>,
}

/// A contract and its price path.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SymbolScript {
    /// Its symbol.
    pub name: String,
    /// The price over time; straight lines between the points.
    pub path: Vec<Point>,
    /// Random noise around the path, in hundredths of a percent.
    #[serde(default)]
    pub noise_bps: u32,
    /// Distance of best bid and ask from the price, in hundredths of a percent.
    #[serde(default = "one")]
    pub spread_bps: u32,
    /// Quantity at each level of the book.
    #[serde(default)]
    pub depth: Option<Decimal>,
    /// Distance between levels, in hundredths of a percent.
    #[serde(default = "one")]
    pub level_bps: u32,
    /// Levels on each side; 0 is an empty book.
    #[serde(default = "levels")]
    pub levels: u32,
    /// Price step, when not the contract's usual one.
    #[serde(default)]
    pub tick: Option<Decimal>,
    /// Quantity step, when not the contract's usual one.
    #[serde(default)]
    pub step: Option<Decimal>,
    /// Most that a market order may carry.
    #[serde(default)]
    pub market_max: Option<Decimal>,
    /// Least value of an order that is not reduce-only.
    #[serde(default)]
    pub min_notional: Option<Decimal>,
    /// Maintenance tiers as (cap, rate); floors and deductions follow from them.
    #[serde(default)]
    pub tiers: Option<Vec<(Decimal, Decimal)>>,
    /// `PERPETUAL` unless the name has a date; `TRADIFI_PERPETUAL` for stocks and metals.
    #[serde(default)]
    pub contract_type: Option<String>,
    /// `TRADING`, or `PENDING_TRADING` for a contract that an event lists later.
    #[serde(default)]
    pub status: Option<String>,
}

/// A point of a price path.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// When.
    pub at: At,
    /// At which price.
    pub price: Decimal,
}

/// The account's start.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountScript {
    /// Hedge mode instead of one-way.
    #[serde(default)]
    pub hedge: bool,
    /// Multi-assets mode.
    #[serde(default)]
    pub multi_assets: bool,
    /// A portfolio margin account, which is told by a right of its keys.
    #[serde(default)]
    pub portfolio_margin: bool,
    /// The guard's key.
    #[serde(default)]
    pub key: KeyScript,
    /// Wallets by asset.
    pub wallet: BTreeMap<String, Decimal>,
    /// Collateral buffers by asset, as shares: 0.1 counts 90 % of what is there and 110 % of what is owed. Without one,
    /// stablecoins have none and others 0.1.
    #[serde(default)]
    pub buffer: BTreeMap<String, Decimal>,
    /// Whether the agreement for contracts on stocks and metals is signed.
    #[serde(default = "yes")]
    pub tradfi_signed: bool,
    /// Positions.
    #[serde(default)]
    pub position: Vec<PositionScript>,
}

/// A position at the start.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PositionScript {
    /// Contract.
    pub symbol: String,
    /// `BOTH`, `LONG` or `SHORT`.
    #[serde(default = "both")]
    pub side: String,
    /// Signed quantity.
    pub quantity: Decimal,
    /// Entry price.
    pub entry_price: Decimal,
    /// Isolated wallet; cross when absent.
    #[serde(default)]
    pub isolated_wallet: Option<Decimal>,
    /// Leverage setting.
    #[serde(default = "twenty")]
    pub leverage: u32,
}

/// An order to place.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Placement {
    /// Contract.
    pub symbol: String,
    /// `BUY` or `SELL`.
    pub side: String,
    /// `BOTH`, `LONG` or `SHORT`.
    #[serde(default = "both")]
    pub position_side: String,
    /// `LIMIT`, `MARKET`, `STOP_MARKET` or `TAKE_PROFIT_MARKET`.
    pub r#type: String,
    /// Quantity; absent with `close_position`.
    #[serde(default)]
    pub quantity: Option<Decimal>,
    /// Limit or trigger price.
    #[serde(default)]
    pub price: Option<Decimal>,
    /// Limit or trigger price, as a distance from the present price in hundredths of a percent.
    #[serde(default)]
    pub offset_bps: Option<i64>,
    /// Reduce-only.
    #[serde(default)]
    pub reduce_only: bool,
    /// Close-position (conditional orders only).
    #[serde(default)]
    pub close_position: bool,
}

/// A rule of the bot.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Once, at this time.
    #[serde(default)]
    pub at: Option<At>,
    /// Repeatedly, this far apart.
    #[serde(default)]
    pub every: Option<At>,
    /// From this time.
    #[serde(default)]
    pub from: Option<At>,
    /// Until this time.
    #[serde(default)]
    pub until: Option<At>,
    /// Only while the leg is flat.
    #[serde(default)]
    pub when_flat: bool,
    /// Only while the bot has no open order in the symbol.
    #[serde(default)]
    pub when_no_order: bool,
    /// What it places.
    pub place: Placement,
}

/// Money in or out.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransferScript {
    /// When.
    pub at: At,
    /// Asset.
    pub asset: String,
    /// Positive when it comes in.
    pub amount: Decimal,
}

/// A funding payment.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FundingScript {
    /// When.
    pub at: At,
    /// Contract.
    pub symbol: String,
    /// Rate; longs pay it when positive.
    pub rate: Decimal,
}

/// A time after the start, in ms; written as `1500ms`, `12s`, `2m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct At(pub i64);

impl From<At> for String {
    fn from(at: At) -> String {
        format!("{}ms", at.0)
    }
}

impl TryFrom<String> for At {
    type Error = String;
    fn try_from(text: String) -> Result<At, String> {
        let wrong = || format!("`{text}` is not a time; write 1500ms, 12s or 2m");
        let (digits, unit) = match (
            text.strip_suffix("ms"),
            text.strip_suffix('s'),
            text.strip_suffix('m'),
        ) {
            (Some(digits), _, _) => (digits, 1),
            (_, Some(digits), _) => (digits, 1_000),
            (_, _, Some(digits)) => (digits, 60_000),
            _ => return Err(wrong()),
        };
        let number: i64 = digits.parse().map_err(|_| wrong())?;
        if !(0..=DURATION_MAX_S * 1_000).contains(&number.saturating_mul(unit)) {
            return Err(wrong());
        }
        Ok(At(number.saturating_mul(unit)))
    }
}

fn margin_call_at() -> Decimal {
    Decimal::new(70, 2)
}
fn taker_fee() -> Decimal {
    Decimal::new(5, 4)
}
fn maker_fee() -> Decimal {
    Decimal::new(2, 4)
}
fn one() -> u32 {
    1
}
fn levels() -> u32 {
    50
}
fn twenty() -> u32 {
    20
}
fn yes() -> bool {
    true
}
fn at_once() -> At {
    At(0)
}
fn both() -> String {
    "BOTH".into()
}

impl Scenario {
    /// Reads a scenario.
    ///
    /// # Errors
    ///
    /// [`ScenarioError`] with line and column, and what to write instead.
    pub fn parse(text: &str) -> Result<Scenario, ScenarioError> {
        let scenario: Scenario = toml_edit::de::from_str(text).map_err(|error| {
            let place = error.span().map_or(String::new(), |span| {
                let before = text.get(..span.start).unwrap_or("");
                let line = before.matches('\n').count() + 1;
                let column = before
                    .rsplit('\n')
                    .next()
                    .map_or(1, |last| last.chars().count() + 1);
                format!("\n  --> {line}:{column}")
            });
            ScenarioError {
                message: error.message().to_owned(),
                place,
                hint: "fixtures/scenarios/flash-crash.toml and fixtures/config/scenario.toml show every table; prices and amounts are strings"
                    .into(),
            }
        })?;
        scenario.check()?;
        Ok(scenario)
    }

    /// One of the scenarios that come with the program.
    pub fn builtin(name: &str) -> Option<Scenario> {
        let (_, text) = BUILT_IN.iter().find(|(known, _)| *known == name)?;
        Scenario::parse(text).ok()
    }

    /// The names of those.
    pub fn names() -> &'static [&'static str] {
        &NAMES
    }

    fn check(&self) -> Result<(), ScenarioError> {
        let wrong = |message: String, hint: &str| {
            Err(ScenarioError {
                message,
                place: String::new(),
                hint: hint.into(),
            })
        };
        for symbol in &self.symbol {
            if symbol.path.is_empty() || symbol.path.iter().any(|point| point.price <= Decimal::ZERO) {
                let message = format!("the path of {} needs points with prices above 0", symbol.name);
                return wrong(message, "path = [ { at = \"0s\", price = \"60000\" } ]");
            }
            if symbol.path.is_sorted_by(|a, b| a.at < b.at) {
                continue;
            }
            return wrong(
                format!("the path of {} runs backwards", symbol.name),
                "give the points in their order",
            );
        }
        if self.fault.len() > FAULTS_MAX {
            return wrong(
                format!("more than {FAULTS_MAX} faults"),
                "use `percent` and `until`",
            );
        }
        let known = |name: &str| self.symbol.iter().any(|symbol| symbol.name == name);
        let named = self.account.position.iter().map(|position| &position.symbol);
        let named = named.chain(self.order.iter().map(|order| &order.symbol));
        let named = named.chain(self.bot.iter().map(|rule| &rule.place.symbol));
        let named = named.chain(self.funding.iter().map(|funding| &funding.symbol));
        let named = named.chain(self.event.iter().filter_map(|event| event.symbol.as_ref()));
        for name in named {
            if !known(name) {
                return wrong(
                    format!("`{name}` has no [[symbol]] table"),
                    "add one with its path",
                );
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_scenario_is_well_formed() {
        for (name, text) in BUILT_IN {
            let scenario = Scenario::parse(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(scenario.name, name);
            assert!(NAMES.contains(&name) && Scenario::builtin(name).is_some());
        }
    }

    #[test]
    fn a_wrong_scenario_is_told_where_and_what_to_write() {
        let good = BUILT_IN[0].1;
        for (from, to, said) in [
            ("duration", "durations", "unknown field"),
            ("at = \"0s\"", "at = \"soon\"", "1500ms"),
            ("[account]", "[acount]", "unknown field"),
        ] {
            let error = Scenario::parse(&good.replacen(from, to, 1))
                .unwrap_err()
                .to_string();
            assert!(error.contains(said) && error.contains("hint"), "{error}");
        }
    }
}
