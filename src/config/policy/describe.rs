//! A rung in one plain sentence.

use crate::model::{Money, Qty, Ratio, Span};
use crate::policy::max_position::Measure;
use crate::policy::order_limits::OrderLimits;
use crate::policy::period_loss::Period;
use crate::policy::spec::{Action, Amount, Clear, Cut, Kind, Latch, Mode, PolicySpec, Rung};
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
    let (when, what) = (when(&policy.kind, rung.at), what(&policy.kind, &rung.action));
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
        Kind::MaxPosition(position) => match position.measure {
            Measure::Notional => format!("when one position is worth {at}"),
            Measure::Quantity => format!("when one position is {at} units large"),
            Measure::EquityMultiple => format!("when one position is worth {at} the equity"),
        },
        Kind::Drawdown(_) => format!("when equity is {at} under its high-water mark"),
        Kind::PeriodLoss(loss) => {
            let period = match loss.period {
                Period::Day => "day",
                Period::Week => "week",
                Period::Month => "month",
            };
            let zone = loss.timezone.iana_name().unwrap_or("the zone's clock");
            format!(
                "when the loss of the {period} (since {} {zone}) is {at}",
                loss.reset.strftime("%H:%M")
            )
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

fn what(kind: &Kind, action: &Action) -> String {
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
            format!("cancels orders that could add exposure and closes {share} of the position")
        }
        Action::Reduce(Cut::To(to)) => {
            let goal = match kind {
                Kind::MarginRatio(_) | Kind::MarginCall(_) => "the margin ratio",
                _ => "it",
            };
            let to = exact(to);
            format!("cancels orders that could add exposure and closes the least that brings {goal} to {to}")
        }
        Action::Flatten => "cancels orders that could add exposure and closes everything".into(),
    }
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
        Latch::UntilClear => match rung.at.and_then(|at| cleared(at, policy.clear)) {
            Some(level) => format!("; stays until it is back at {}", exact(&level)),
            None => "; stays until it has cleared".into(),
        },
    }
}

/// Where a rung clears.
fn cleared(at: Amount, clear: Clear) -> Option<Amount> {
    let level = match clear {
        Clear::By(distance) => at.number().checked_sub(distance.number())?,
        Clear::Share(share) => at
            .number()
            .checked_mul(Decimal::ONE.checked_sub(share.decimal())?)?,
    };
    Some(match at {
        Amount::Ratio(_) => Amount::Ratio(Ratio::new(level).ok()?),
        Amount::Multiple(_) => Amount::Multiple(Ratio::new(level).ok()?),
        Amount::Money(_) => Amount::Money(Money::new(level).ok()?),
        Amount::Quantity(_) => Amount::Quantity(Qty::new(level).ok()?),
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
        Amount::Quantity(_) | Amount::Time(_) => amount.to_string(),
    }
}
