//! Policies: what is measured ([`Kind`], one file a type), and when it counts ([`envelope`]).
//!
//! A policy answers with a measurement or with "unknown", never with "fine" for lack of data. Adding a type is a file,
//! a variant of [`Kind`] and a line in each `match` here.

pub mod blind;
pub mod drawdown;
pub mod envelope;
pub mod forced_event;
pub mod foreign_activity;
pub mod liquidation_distance;
pub mod loss_streak;
pub mod loss_velocity;
pub mod margin_call;
pub mod margin_ratio;
pub mod max_exposure;
pub mod max_position;
mod memory;
pub mod order_limits;
pub mod orphan_orders;
pub mod period_loss;
pub mod profit_giveback;
pub mod spec;
mod standing;
pub mod symbol_allowlist;
pub mod trading_window;
pub mod unprotected_position;

pub use memory::{Memory, Peak, Round};
pub use spec::{
    Action, Amount, Clear, Cut, Kind, Latch, Mode, PolicySet, PolicySpec, Rung, SymbolFilter, Wishes,
};
pub use unprotected_position::Protection;

use crate::book::{Book, Bucket, Missing};
use crate::model::{Leg, OrderId, Symbol, Timestamp};
use std::fmt;

/// What an assessment is about, and what a rung acts upon.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// The whole account.
    Account,
    /// The positions on one margin.
    Bucket(Bucket),
    /// One leg of one symbol.
    Leg(Leg),
}

/// What a policy sees.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The account.
    pub book: &'a Book,
    /// What this policy remembers.
    pub memory: &'a Memory,
    /// The policy as written.
    pub spec: &'a PolicySpec,
}

impl View<'_> {
    /// When the earliest of some clocks, begun at these times, reaches a threshold.
    fn next_threshold(&self, begun: impl Iterator<Item = Timestamp>) -> Option<Timestamp> {
        let now = self.book.now();
        let at = |began: Timestamp| {
            self.spec.ladder.iter().filter_map(move |rung| match rung.at {
                Some(Amount::Time(span)) => Some(began.after(span)),
                _ => None,
            })
        };
        begun.flat_map(at).filter(|at| *at > now).min()
    }
}

/// One measurement.
#[derive(Clone, Debug, PartialEq)]
pub struct Assessment {
    /// Of what.
    pub scope: Scope,
    /// The measurement.
    pub measured: Measured,
}

/// The result of measuring.
#[derive(Clone, Debug, PartialEq)]
pub enum Measured {
    /// A number to compare with thresholds.
    Value(Amount),
    /// Worse than every threshold: what the measure divides by is gone.
    Beyond,
    /// An event-like policy fires, for the event of this time.
    Fired(Timestamp),
    /// An event-like policy does not.
    Quiet,
    /// It cannot be measured.
    Unknown(Missing),
}

impl Kind {
    /// Follows the account: high-water marks, period bases. Changes only the policy's own memory.
    pub fn observe(&self, memory: &mut Memory, spec: &PolicySpec, book: &Book) {
        match self {
            Kind::Drawdown(drawdown) => drawdown.observe(memory, spec, book),
            Kind::PeriodLoss(period_loss) => period_loss.observe(memory, book),
            Kind::UnprotectedPosition(policy) => policy.observe(memory, spec, book),
            Kind::OrphanOrders(policy) => policy.observe(memory, spec, book),
            Kind::OrderLimits(policy) => policy.observe(memory, spec, book),
            Kind::ForeignActivity(policy) => policy.observe(memory, spec, book),
            Kind::LossVelocity(velocity) => velocity.observe(memory, spec, book),
            Kind::ProfitGiveback(giveback) => giveback.observe(memory, book),
            Kind::TradingWindow(window) => window.observe(memory, book),
            Kind::ForcedEvent(forced) => forced.observe(memory, spec, book),
            Kind::LossStreak(streak) => streak.observe(memory, spec, book),
            Kind::MarginRatio(_)
            | Kind::MarginCall(_)
            | Kind::LiquidationDistance(_)
            | Kind::MaxPosition(_)
            | Kind::MaxExposure(_)
            | Kind::SymbolAllowlist(_)
            | Kind::Blind(_) => {}
        }
    }

    /// Measures. An `Unknown` of the whole account stands for all scopes.
    pub fn assess(&self, view: View<'_>, out: &mut Vec<Assessment>) {
        match self {
            Kind::MarginRatio(policy) => policy.assess(view, out),
            Kind::MarginCall(policy) => policy.assess(view, out),
            Kind::LiquidationDistance(policy) => policy.assess(view, out),
            Kind::MaxPosition(policy) => policy.assess(view, out),
            Kind::MaxExposure(policy) => policy.assess(view, out),
            Kind::ProfitGiveback(policy) => policy.assess(view, out),
            Kind::TradingWindow(policy) => policy.assess(view, out),
            Kind::SymbolAllowlist(policy) => policy.assess(view, out),
            Kind::ForcedEvent(policy) => policy.assess(view, out),
            Kind::LossStreak(policy) => policy.assess(view, out),
            Kind::Drawdown(policy) => policy.assess(view, out),
            Kind::PeriodLoss(policy) => policy.assess(view, out),
            Kind::LossVelocity(policy) => policy.assess(view, out),
            Kind::Blind(policy) => policy.assess(view, out),
            Kind::UnprotectedPosition(policy) => policy.assess(view, out),
            Kind::OrphanOrders(policy) => policy.assess(view, out),
            Kind::OrderLimits(policy) => policy.assess(view, out),
            Kind::ForeignActivity(policy) => policy.assess(view, out),
        }
    }

    /// The arithmetic behind the present measurement, for records and people.
    pub fn explain(&self, view: View<'_>, scope: &Scope) -> String {
        match self {
            Kind::MarginRatio(_) | Kind::MarginCall(_) => margin_ratio::explain(view, scope),
            Kind::LiquidationDistance(policy) => policy.explain(view, scope),
            Kind::MaxPosition(policy) => policy.explain(view, scope),
            Kind::MaxExposure(policy) => policy.explain(view),
            Kind::ProfitGiveback(policy) => policy.explain(view),
            Kind::TradingWindow(policy) => policy.explain(view),
            Kind::SymbolAllowlist(policy) => policy.explain(view, scope),
            Kind::ForcedEvent(policy) => policy.explain(view),
            Kind::LossStreak(policy) => policy.explain(view),
            Kind::Drawdown(policy) => policy.explain(view),
            Kind::PeriodLoss(policy) => policy.explain(view),
            Kind::LossVelocity(policy) => policy.explain(view),
            Kind::Blind(policy) => policy.explain(view),
            Kind::UnprotectedPosition(policy) => policy.explain(view, scope),
            Kind::OrphanOrders(policy) => policy.explain(view, scope),
            Kind::OrderLimits(policy) => policy.explain(view),
            Kind::ForeignActivity(policy) => policy.explain(view),
        }
    }

    /// Whether a reduction has reached its aim. Unknown is "no".
    pub fn has_reached(&self, view: View<'_>, scope: &Scope, to: Amount) -> bool {
        match self {
            Kind::MarginRatio(_) | Kind::MarginCall(_) => margin_ratio::has_reached(view, scope, to),
            Kind::LiquidationDistance(policy) => policy.has_reached(view, scope, to),
            Kind::MaxPosition(policy) => policy.has_reached(view, scope, to),
            Kind::MaxExposure(policy) => policy.has_reached(view, to),
            Kind::Drawdown(_)
            | Kind::PeriodLoss(_)
            | Kind::ProfitGiveback(_)
            | Kind::LossVelocity(_)
            | Kind::TradingWindow(_)
            | Kind::SymbolAllowlist(_)
            | Kind::ForcedEvent(_)
            | Kind::LossStreak(_)
            | Kind::Blind(_)
            | Kind::UnprotectedPosition(_)
            | Kind::OrphanOrders(_)
            | Kind::OrderLimits(_)
            | Kind::ForeignActivity(_) => false,
        }
    }

    /// The orders that a `cancel` at this threshold is for. Only types that allow the action name any.
    pub fn offenders(&self, view: View<'_>, scope: &Scope, at: Option<Amount>) -> Vec<OrderId> {
        match self {
            Kind::OrphanOrders(policy) => policy.offenders(view, scope, at),
            Kind::OrderLimits(policy) => policy.offenders(view),
            _ => Vec::new(),
        }
    }

    /// Whether it counts from a baseline that an operator may set anew.
    pub fn has_baseline(&self) -> bool {
        matches!(
            self,
            Kind::Drawdown(_)
                | Kind::PeriodLoss(_)
                | Kind::ProfitGiveback(_)
                | Kind::LossVelocity(_)
                | Kind::ForcedEvent(_)
                | Kind::LossStreak(_)
        )
    }

    /// Whether it counts in periods, so that a rung may stay in force until the next one.
    pub fn has_periods(&self) -> bool {
        matches!(self, Kind::PeriodLoss(_) | Kind::ProfitGiveback(_))
    }

    /// When the measurement changes by time alone, if a rung could then trip or clear.
    pub fn next_change(&self, view: View<'_>) -> Option<Timestamp> {
        match self {
            Kind::MarginCall(policy) => policy.next_change(view),
            Kind::PeriodLoss(_) | Kind::ProfitGiveback(_) | Kind::Drawdown(_) => view.memory.until,
            Kind::LossVelocity(policy) => policy.next_change(view),
            Kind::TradingWindow(policy) => policy.next_change(view.book.now()),
            Kind::ForcedEvent(policy) => policy.next_change(view),
            Kind::LossStreak(policy) => policy.next_change(view),
            Kind::Blind(policy) => policy.next_change(view),
            Kind::UnprotectedPosition(policy) => policy.next_change(view),
            Kind::OrphanOrders(policy) => policy.next_change(view),
            Kind::OrderLimits(policy) => policy.next_change(view),
            Kind::ForeignActivity(policy) => policy.next_change(view),
            Kind::MarginRatio(_)
            | Kind::LiquidationDistance(_)
            | Kind::MaxPosition(_)
            | Kind::MaxExposure(_)
            | Kind::SymbolAllowlist(_) => None,
        }
    }
}

impl PolicySpec {
    /// Whether its rungs act on this contract.
    pub fn acts_on(&self, symbol: &Symbol) -> bool {
        match self.kind {
            // Its list names what is left alone.
            Kind::SymbolAllowlist(_) => !self.symbols.covers(symbol),
            _ => self.symbols.covers(symbol),
        }
    }

    /// Whether the thresholds are money.
    pub fn is_in_money(&self) -> bool {
        self.ladder
            .iter()
            .any(|rung| matches!(rung.at, Some(Amount::Money(_))))
    }
}

impl Scope {
    /// Whether something on this leg is in scope.
    pub fn covers(&self, book: &Book, leg: &Leg) -> bool {
        match self {
            Scope::Account => true,
            Scope::Bucket(bucket) => book.bucket_of(leg, None).as_ref() == Some(bucket),
            Scope::Leg(own) => own == leg,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::Account => f.write_str("account"),
            Scope::Bucket(bucket) => write!(f, "{bucket}"),
            Scope::Leg(leg) => write!(f, "{leg}"),
        }
    }
}
