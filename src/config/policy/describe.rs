//! A rung in one plain sentence.

use crate::model::{Money, Qty, Ratio, Span, Symbol};
use crate::policy::max_exposure;
use crate::policy::max_position::Measure;
use crate::policy::order_limits::OrderLimits;
use crate::policy::period_loss::{Period, PeriodLoss};
use crate::policy::spec::{
    Action, Amount, Clear, Cut, Kind, Latch, Mode, PolicySpec, Rung, SymbolFilter, Wishes,
};
use rust_decimal::Decimal;

/// What a rung will do, when, and for how long, in one sentence.
pub fn sentence(policy: &PolicySpec, rung: &Rung) -> String {
    let hold = match rung.hold.unwrap_or(policy.hold) {
        Span::ZERO => String::new(),
        hold => format!(" for {hold}"),
    };
    let mode = match rung.mode.unwrap_or(policy.mode).min(policy.mode) {
        Mode::Enforce => "",
        Mode::Warn => " (mode warn: only told and recorded)",
        Mode::Shadow => " (mode shadow: only recorded)",
        Mode::Off => " (mode off: not evaluated)",
    };
    let (when, what) = (when(&policy.kind, rung.at), what(policy, &rung.action));
    let stays = match rung.action {
        Action::Alert | Action::Cancel | Action::PlaceStop(_) => String::new(),
        _ => stays(policy, rung),
    };
    format!("{when}{hold}: {what}{stays}{mode}.")
}

fn when(kind: &Kind, at: Option<Amount>) -> String {
    let at = at.map_or(String::new(), |at| exact(&at));
    match kind {
        Kind::MarginRatio(_) => format!("when the maintenance margin is {at} of the margin balance"),
        Kind::MarginCall(_) => "when the venue sends a margin call".into(),
        Kind::LiquidationDistance(_) => format!("when a move of {at} would reach liquidation"),
        Kind::MaxPosition(position) => match position.measure {
            Measure::Notional => format!("when one position is worth {at}"),
            Measure::Quantity => format!("when one position is {at} units large"),
            Measure::EquityMultiple => format!("when one position is worth {at} the equity"),
        },
        Kind::MaxExposure(exposure) => match exposure.measure {
            max_exposure::Measure::Gross => format!("when all positions together are worth {at}"),
            max_exposure::Measure::Net => {
                format!("when longs and shorts together leave {at} of net exposure")
            }
            max_exposure::Measure::Leverage => {
                format!("when all positions together are worth {at} the equity")
            }
        },
        Kind::Drawdown(_) => format!("when equity is {at} under its high-water mark"),
        Kind::PeriodLoss(loss) => format!("when the loss of {} is {at}", period(loss)),
        Kind::ProfitGiveback(giveback) => {
            let arm_at = exact(&Amount::Money(giveback.arm_at));
            let period = period(&giveback.period);
            format!("when, after a profit of {arm_at} in {period}, {at} of the best profit is given back")
        }
        Kind::LossVelocity(velocity) => {
            format!(
                "when equity is {at} under its highest of the last {}",
                velocity.window
            )
        }
        Kind::TradingWindow(window) => {
            let zone = window.timezone.iana_name().unwrap_or("the zone's clock");
            format!("outside {} {zone}", window.hours())
        }
        Kind::SymbolAllowlist(_) => "when a position or an order is in a contract that is not listed".into(),
        Kind::LossStreak(streak) => {
            format!(
                "when {at} round trips in a row within {} have lost",
                streak.window
            )
        }
        Kind::ForcedEvent(_) => {
            "for an hour after a liquidation, auto-deleveraging or settlement fill".into()
        }
        Kind::Blind(_) => format!("after {at} without proof of life"),
        Kind::OrderLimits(limits) => format!("when {}", beyond(limits)),
        Kind::UnprotectedPosition(stops) => {
            let least = exact(&Amount::Ratio(stops.min_coverage));
            let within = stops.max_stop_distance.map_or(String::new(), |furthest| {
                format!(" within {} of the mark price", exact(&Amount::Ratio(furthest)))
            });
            format!("when less than {least} of a position has had a stop{within} for {at}")
        }
        Kind::ForeignActivity(foreign) => {
            let orders = foreign
                .client_id_prefixes
                .as_ref()
                .map_or(String::new(), |known| {
                    format!(
                        "an order shows whose id does not begin with {}, or ",
                        known.join(" or ")
                    )
                });
            format!("when {orders}a setting of the account is changed, or money leaves it")
        }
        Kind::OrphanOrders(_) => format!("when a closing order has had no position to close for {at}"),
    }
}

fn period(loss: &PeriodLoss) -> String {
    let period = match loss.period {
        Period::Day => "day",
        Period::Week => "week",
        Period::Month => "month",
    };
    let zone = loss.timezone.iana_name().unwrap_or("the zone's clock");
    format!("the {period} (since {} {zone})", loss.reset.strftime("%H:%M"))
}

fn beyond(limits: &OrderLimits) -> String {
    let mut told = Vec::new();
    if let Some(most) = limits.max_open_orders {
        told.push(format!("more than {most} orders are open"));
    }
    if let Some(most) = limits.max_orders_per_minute {
        told.push(format!("more than {most} orders are placed in a minute"));
    }
    if let Some(most) = limits.max_order_notional {
        told.push(format!("an order is worth more than {most}"));
    }
    if let Some(most) = limits.max_price_deviation {
        let most = exact(&Amount::Ratio(most));
        told.push(format!("an order lies further than {most} from the mark price"));
    }
    told.join(", or ")
}

fn what(policy: &PolicySpec, action: &Action) -> String {
    match action {
        Action::Alert => "tells people".into(),
        Action::Cancel => "cancels just these orders".into(),
        Action::PlaceStop(distance) => format!(
            "places a stop that closes the position {} away from the mark price, unless the guard has one there",
            exact(&Amount::Ratio(*distance))
        ),
        Action::Block => "cancels orders that could add exposure".into(),
        Action::Reduce(Cut::Fraction(share)) => {
            let share = exact(&Amount::Ratio(*share));
            format!(
                "cancels orders that could add exposure and closes {share} of the position{}",
                wishes(&policy.wishes)
            )
        }
        Action::Reduce(Cut::To(to)) => {
            let goal = match policy.kind {
                Kind::MarginRatio(_) | Kind::MarginCall(_) => "the margin ratio",
                Kind::LiquidationDistance(_) => "the distance to liquidation",
                _ => "it",
            };
            let to = exact(to);
            format!(
                "cancels orders that could add exposure and closes the least that brings {goal} to {to}{}",
                wishes(&policy.wishes)
            )
        }
        Action::Flatten => "cancels orders that could add exposure and closes everything".into(),
    }
}

fn wishes(wishes: &Wishes) -> String {
    let listed = |word: &str, filter: &Option<SymbolFilter>| {
        filter
            .as_ref()
            .map_or(String::new(), |filter| format!(", {word} {filter}"))
    };
    let pairs = wishes.pairs.iter().map(|pair| {
        let names: Vec<&str> = pair.iter().map(Symbol::as_str).collect();
        format!(", {} in one proportion", names.join(" and "))
    });
    let pro_rata = if wishes.is_pro_rata {
        ", everything in one proportion"
    } else {
        ""
    };
    let (never, last) = (listed("never", &wishes.never_cut), listed("last", &wishes.last));
    format!("{never}{last}{}{pro_rata}", pairs.collect::<String>())
}

fn stays(policy: &PolicySpec, rung: &Rung) -> String {
    match rung.latch.unwrap_or(policy.latch) {
        Latch::Manual => "; stays blocked until an operator re-arms".into(),
        Latch::UntilReset => "; stays until the next period begins and it has cleared".into(),
        Latch::For(length) => format!("; stays for at least {length}"),
        Latch::UntilClear if matches!(policy.kind, Kind::UnprotectedPosition(_)) => {
            "; stays until the position is covered or closed".into()
        }
        Latch::UntilClear if matches!(policy.kind, Kind::Blind(_)) => {
            "; stays until the venue is heard again".into()
        }
        Latch::UntilClear => match rung.at.and_then(|at| cleared(at, policy)) {
            Some(level) => format!("; stays until it is back at {}", exact(&level)),
            None => "; stays until it has cleared".into(),
        },
    }
}

/// Where a rung clears.
fn cleared(at: Amount, policy: &PolicySpec) -> Option<Amount> {
    let away = match policy.clear {
        Clear::By(distance) => distance.number(),
        Clear::Share(share) => at.number().checked_mul(share.decimal())?,
    };
    let level = if policy.kind.is_falling() {
        at.number().checked_add(away)?
    } else {
        at.number().checked_sub(away)?
    };
    Some(match at {
        Amount::Ratio(_) => Amount::Ratio(Ratio::new(level).ok()?),
        Amount::Multiple(_) => Amount::Multiple(Ratio::new(level).ok()?),
        Amount::Money(_) => Amount::Money(Money::new(level).ok()?),
        Amount::Quantity(_) => Amount::Quantity(Qty::new(level).ok()?),
        Amount::Count(_) => Amount::Count(level.floor().to_string().parse().ok()?),
        Amount::Time(_) => {
            let ms = level.checked_mul(Decimal::ONE_THOUSAND)?.trunc();
            Amount::Time(Span::from_ms(ms.to_string().parse().ok()?))
        }
    })
}

/// As it was written: the owner's own numbers are not rounded.
fn exact(amount: &Amount) -> String {
    match amount {
        Amount::Ratio(ratio) => {
            let percent = ratio.decimal().checked_mul(Decimal::ONE_HUNDRED);
            percent.map_or_else(
                || amount.to_string(),
                |percent| format!("{}%", percent.normalize()),
            )
        }
        Amount::Multiple(ratio) => format!("{}x", ratio.decimal().normalize()),
        Amount::Money(money) => money.to_string(),
        Amount::Quantity(_) | Amount::Time(_) | Amount::Count(_) => amount.to_string(),
    }
}
