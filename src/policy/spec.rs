//! What an owner wrote, checked and with units: the input of the policy engine. Built by `config`, never by hand.

use super::foreign_activity::ForeignActivity;
use super::liquidation_distance::LiquidationDistance;
use super::unprotected_position::UnprotectedPosition;
use super::{blind::Blind, drawdown::Drawdown, margin_call::MarginCall, margin_ratio::MarginRatio};
use super::{forced_event::ForcedEvent, symbol_allowlist::SymbolAllowlist, trading_window::TradingWindow};
use super::{
    loss_streak::LossStreak, loss_velocity::LossVelocity, max_exposure::MaxExposure,
    max_position::MaxPosition,
};
use super::{order_limits::OrderLimits, orphan_orders::OrphanOrders};
use super::{period_loss::PeriodLoss, profit_giveback::ProfitGiveback};
use crate::model::{Money, Qty, Ratio, Span, Symbol};
use rust_decimal::Decimal;
use std::fmt;

/// One policy file.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicySet {
    /// The file's own name for itself.
    pub name: String,
    /// In the order written; ids are unique.
    pub policies: Vec<PolicySpec>,
}

/// One policy: what it measures, and the envelope around it.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicySpec {
    /// Stable name; appears in every record.
    pub id: String,
    /// What it measures.
    pub kind: Kind,
    /// Whether it acts.
    pub mode: Mode,
    /// The contracts that it judges or acts upon; for `symbol_allowlist` those that it leaves alone.
    pub symbols: SymbolFilter,
    /// How long a breach must hold before a rung trips.
    pub hold: Span,
    /// How far on the safe side of its threshold a rung clears, in the unit of the thresholds.
    pub clear: Clear,
    /// How long a tripped rung stays in force.
    pub latch: Latch,
    /// Rungs in rising severity.
    pub ladder: Vec<Rung>,
    /// How a reduction chooses between positions.
    pub wishes: Wishes,
}

/// What an owner wishes of a reduction. Flattening heeds none of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Contracts that no reduction closes; they still count for what they need.
    pub never_cut: Option<SymbolFilter>,
    /// Contracts that are cut only when cutting the others does not help any more.
    pub last: Option<SymbolFilter>,
    /// Contracts that are cut in the same proportion, and that are taken to move together.
    pub pairs: Vec<Vec<Symbol>>,
    /// Whether everything is cut in the same proportion.
    pub is_pro_rata: bool,
}

/// The types of policy.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Maintenance margin over margin balance.
    MarginRatio(MarginRatio),
    /// The venue's margin call.
    MarginCall(MarginCall),
    /// Adverse move to liquidation.
    LiquidationDistance(LiquidationDistance),
    /// Size of one symbol's position.
    MaxPosition(MaxPosition),
    /// Size of all positions together.
    MaxExposure(MaxExposure),
    /// Fall from the high-water mark.
    Drawdown(Drawdown),
    /// Loss since the period began.
    PeriodLoss(PeriodLoss),
    /// Fall from the highest equity of a moving window.
    LossVelocity(LossVelocity),
    /// Share of the period's best profit given back.
    ProfitGiveback(ProfitGiveback),
    /// Outside the allowed hours.
    TradingWindow(TradingWindow),
    /// Exposure or an order outside the allowed contracts.
    SymbolAllowlist(SymbolAllowlist),
    /// The venue traded on the account by itself.
    ForcedEvent(ForcedEvent),
    /// Losing round trips in a row.
    LossStreak(LossStreak),
    /// Time without proof of life.
    Blind(Blind),
    /// Time that a position stands without a stop.
    UnprotectedPosition(UnprotectedPosition),
    /// Time that a closing order outlives its position.
    OrphanOrders(OrphanOrders),
    /// Limits on orders.
    OrderLimits(OrderLimits),
    /// What is done by others.
    ForeignActivity(ForeignActivity),
}

/// Whether a policy or a rung acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// Not evaluated.
    Off,
    /// Evaluated and recorded: "would have".
    Shadow,
    /// Recorded, and people are told.
    Warn,
    /// Acts.
    Enforce,
}

/// How far on the safe side a rung clears.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Clear {
    /// A distance in the unit of the thresholds (for ratios: percentage points, so `5%` under `70%` is `65%`).
    By(Amount),
    /// A share of each threshold.
    Share(Ratio),
}

/// How long a tripped rung stays in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Latch {
    /// Until the condition has cleared.
    UntilClear,
    /// Until the next period begins and the condition has cleared.
    UntilReset,
    /// Until an operator re-arms.
    Manual,
    /// For this long, and until the condition has cleared.
    For(Span),
}

/// One rung of a ladder.
#[derive(Clone, Debug, PartialEq)]
pub struct Rung {
    /// The threshold; `None` for types that only fire.
    pub at: Option<Amount>,
    /// What it does.
    pub action: Action,
    /// Its own mode, else the policy's.
    pub mode: Option<Mode>,
    /// Its own hold, else the policy's.
    pub hold: Option<Span>,
    /// Its own latch, else the policy's.
    pub latch: Option<Latch>,
}

/// What a rung does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Action {
    /// Tells people.
    Alert,
    /// Cancels the orders that the policy names, and nothing else.
    Cancel,
    /// Places a stop that closes the position at this distance from the mark price, as a share of it.
    PlaceStop(Ratio),
    /// Cancels what could add exposure, and keeps doing so.
    Block,
    /// Blocks, and closes the least that reaches the aim.
    Reduce(Cut),
    /// Blocks, and closes everything in scope.
    Flatten,
}

/// The aim of a reduction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cut {
    /// Until the measure is at this.
    To(Amount),
    /// This share of the position, once.
    Fraction(Ratio),
}

/// A threshold or a measurement, in its unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// A fraction; written with `%`.
    Ratio(Ratio),
    /// Money in the account's currency.
    Money(Money),
    /// Contract units.
    Quantity(Qty),
    /// Times the equity; written like `3x`.
    Multiple(Ratio),
    /// Time.
    Time(Span),
    /// How many.
    Count(u32),
}

/// Which contracts: globs, `!` excludes, the last match decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SymbolFilter(Vec<String>);

impl Kind {
    /// The name in policy files.
    pub fn name(&self) -> &'static str {
        match self {
            Kind::MarginRatio(_) => "margin_ratio",
            Kind::MarginCall(_) => "margin_call",
            Kind::LiquidationDistance(_) => "liquidation_distance",
            Kind::MaxPosition(_) => "max_position",
            Kind::MaxExposure(_) => "max_exposure",
            Kind::Drawdown(_) => "drawdown",
            Kind::PeriodLoss(_) => "period_loss",
            Kind::LossVelocity(_) => "loss_velocity",
            Kind::ProfitGiveback(_) => "profit_giveback",
            Kind::TradingWindow(_) => "trading_window",
            Kind::SymbolAllowlist(_) => "symbol_allowlist",
            Kind::ForcedEvent(_) => "forced_event",
            Kind::LossStreak(_) => "loss_streak",
            Kind::Blind(_) => "blind",
            Kind::UnprotectedPosition(_) => "unprotected_position",
            Kind::OrphanOrders(_) => "orphan_orders",
            Kind::OrderLimits(_) => "order_limits",
            Kind::ForeignActivity(_) => "foreign_activity",
        }
    }
}

impl Kind {
    /// Whether smaller is graver.
    pub fn is_falling(&self) -> bool {
        matches!(self, Kind::LiquidationDistance(_))
    }
}

impl Wishes {
    /// Whether a reduction may close something of this contract.
    pub fn may_cut(&self, symbol: &Symbol) -> bool {
        self.never_cut.as_ref().is_none_or(|never| !never.covers(symbol))
    }
}

impl Action {
    /// The name in policy files and records.
    pub fn name(&self) -> &'static str {
        match self {
            Action::Alert => "alert",
            Action::Cancel => "cancel",
            Action::PlaceStop(_) => "place_stop",
            Action::Block => "block",
            Action::Reduce(_) => "reduce",
            Action::Flatten => "flatten",
        }
    }

    /// The number of an action in a kept state. It never changes and says nothing of severity: see [`Action::severity`].
    pub fn level(&self) -> u8 {
        match self {
            Action::Alert => 1,
            Action::Block => 2,
            Action::Reduce(_) => 3,
            Action::Flatten => 4,
            Action::Cancel => 5,
            Action::PlaceStop(_) => 6,
        }
    }

    /// Severity, in the order of ladders: the more of what an owner has it takes away, the higher.
    pub fn severity(&self) -> u8 {
        match self {
            Action::Alert => 1,
            Action::Cancel => 2,
            Action::PlaceStop(_) => 3,
            Action::Block => 4,
            Action::Reduce(_) => 5,
            Action::Flatten => 6,
        }
    }

    /// Whether it cancels everything that could add exposure.
    pub fn blocks(&self) -> bool {
        self.severity() >= Action::Block.severity()
    }
}

impl Amount {
    /// The number in its unit: ratios as fractions, time in seconds.
    pub fn number(&self) -> Decimal {
        match self {
            Amount::Ratio(ratio) | Amount::Multiple(ratio) => ratio.decimal(),
            Amount::Money(money) => money.decimal(),
            Amount::Quantity(qty) => qty.decimal(),
            Amount::Time(span) => Decimal::new(span.ms(), 3),
            Amount::Count(count) => Decimal::from(*count),
        }
    }

    /// Whether two amounts are of the same unit.
    pub fn same_unit(&self, other: &Amount) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

impl fmt::Display for Amount {
    /// For people: `71.23%`, `1000`, `0.5`, `3x`, `15s`, `3`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Amount::Ratio(ratio) => f.write_str(&ratio.percent()),
            Amount::Money(money) => write!(f, "{}", money.decimal().round_dp(2).normalize()),
            Amount::Quantity(qty) => write!(f, "{qty}"),
            Amount::Multiple(ratio) => write!(f, "{}x", ratio.decimal().round_dp(2).normalize()),
            Amount::Time(span) => write!(f, "{span}"),
            Amount::Count(count) => write!(f, "{count}"),
        }
    }
}

impl SymbolFilter {
    /// Every contract.
    pub fn all() -> SymbolFilter {
        SymbolFilter(vec!["*".into()])
    }

    /// From globs as written: `*` matches any run of characters, a leading `!` excludes.
    pub fn new(globs: Vec<String>) -> SymbolFilter {
        SymbolFilter(globs)
    }

    /// The globs as written.
    pub fn globs(&self) -> &[String] {
        &self.0
    }

    /// Whether a contract is meant. A list of exclusions alone means everything else.
    pub fn covers(&self, symbol: &Symbol) -> bool {
        let only_exclusions = self.0.iter().all(|glob| glob.starts_with('!'));
        self.0
            .iter()
            .fold(only_exclusions, |covered, glob| match glob.strip_prefix('!') {
                Some(excluded) if matches(excluded, symbol.as_str()) => false,
                None if matches(glob, symbol.as_str()) => true,
                _ => covered,
            })
    }
}

impl fmt::Display for SymbolFilter {
    /// As written: `BTC*, !XUSDT`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

/// Glob match with `*` only, in linear space and at most quadratic time.
fn matches(glob: &str, text: &str) -> bool {
    let mut parts = glob.split('*');
    let Some(first) = parts.next() else { return false };
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut tail: Vec<&str> = parts.collect();
    let Some(last) = tail.pop() else {
        return rest.is_empty();
    };
    for part in tail {
        match rest.find(part) {
            Some(found) => rest = rest.get(found + part.len()..).unwrap_or(""),
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_choose_symbols_and_the_last_match_decides() {
        for (globs, symbol, covered) in [
            (&["*"][..], "BTCUSDT", true),
            (&["BTC*"], "BTCUSDT", true),
            (&["BTC*"], "ETHUSDT", false),
            (&["*", "!XUSDT"], "XUSDT", false),
            (&["*", "!XUSDT"], "YUSDT", true),
            (&["!XUSDT"], "YUSDT", true),
            (&["BTC*T"], "BTCUSD", false),
            (&["BTCUSDT"], "BTCUSDT_260327", false),
            (&["测试*"], "测试USDT", true),
        ] {
            let filter = SymbolFilter::new(globs.iter().map(|g| g.to_string()).collect());
            assert_eq!(
                filter.covers(&Symbol::new(symbol).unwrap()),
                covered,
                "{globs:?} {symbol}"
            );
        }
    }
}
