//! The types of policy: their own keys, and what their thresholds are written in.

use super::amount::{Unit, money};
use super::{hours, hygiene, losses};
use crate::config::fields::{Fields, short};
use crate::config::nearest::{list, nearest};
use crate::config::node::Problems;
use crate::policy::blind::Blind;
use crate::policy::drawdown::{Drawdown, HighWater};
use crate::policy::forced_event::ForcedEvent;
use crate::policy::liquidation_distance::LiquidationDistance;
use crate::policy::margin_call::MarginCall;
use crate::policy::margin_ratio::MarginRatio;
use crate::policy::max_position::{MaxPosition, Measure};
use crate::policy::orphan_orders::OrphanOrders;
use crate::policy::period_loss::{Base, Period, PeriodLoss};
use crate::policy::spec::Kind;
use crate::policy::symbol_allowlist::SymbolAllowlist;
use jiff::civil::Time;
use jiff::tz::TimeZone;

/// The types that this version has.
const BUILT: [&str; 18] = [
    "margin_ratio",
    "margin_call",
    "liquidation_distance",
    "max_position",
    "max_exposure",
    "drawdown",
    "period_loss",
    "loss_velocity",
    "profit_giveback",
    "trading_window",
    "symbol_allowlist",
    "forced_event",
    "loss_streak",
    "blind",
    "unprotected_position",
    "orphan_orders",
    "order_limits",
    "foreign_activity",
];

/// The types that are planned.
const PLANNED: [&str; 1] = ["custom"];

/// The types that count in periods.
const PERIODIC: &[&str] = &["period_loss", "profit_giveback"];

/// Keys that only some types have, to explain them in another.
const OWN_KEYS: [(&str, &[&str]); 20] = [
    ("high_water", &["drawdown"]),
    ("lock_floor_at", &["drawdown"]),
    ("period", PERIODIC),
    ("reset", PERIODIC),
    ("timezone", &["period_loss", "profit_giveback", "trading_window"]),
    ("allow", &["trading_window"]),
    ("base", PERIODIC),
    ("initial", PERIODIC),
    ("arm_at", &["profit_giveback"]),
    ("window", &["loss_velocity", "loss_streak"]),
    ("min_loss", &["loss_streak"]),
    ("measure", &["max_position", "max_exposure"]),
    ("count_open_orders", &["max_position"]),
    ("min_coverage", &["unprotected_position"]),
    ("max_stop_distance", &["unprotected_position"]),
    ("client_id_prefixes", &["foreign_activity"]),
    ("max_open_orders", &["order_limits"]),
    ("max_order_notional", &["order_limits"]),
    ("max_orders_per_minute", &["order_limits"]),
    ("max_price_deviation", &["order_limits"]),
];

/// What the thresholds of a type mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// What `at` is written in; `None` for a type that only fires.
    pub at: Option<Unit>,
    /// What the `to` of a reduction is written in; `None` when closing does not lower the measure.
    pub to: Option<Unit>,
    /// Whether a breach has a length, so that it can hold `for` a time.
    pub lasts: bool,
}

/// The actions that a type allows.
pub(super) fn actions(type_name: &str) -> &'static [&'static str] {
    match type_name {
        "orphan_orders" => &["alert", "cancel"],
        "unprotected_position" => &["alert", "place_stop", "block", "reduce", "flatten"],
        "order_limits" => &["alert", "cancel", "block"],
        _ => &["alert", "block", "reduce", "flatten"],
    }
}

/// Reads the keys of the type `name`. The shape is known even when the keys are wrong, so that the ladder can be
/// checked too.
pub(super) fn read(
    name: &str,
    fields: &mut Fields<'_>,
    problems: &mut Problems,
) -> Option<(Shape, Option<Kind>)> {
    let both = |unit| Shape {
        at: Some(unit),
        to: Some(unit),
        lasts: true,
    };
    let at_only = |unit| Shape {
        at: Some(unit),
        to: None,
        lasts: true,
    };
    let event = Shape {
        at: None,
        to: None,
        lasts: false,
    };
    let lasting = Shape { lasts: true, ..event };
    let read = match name {
        "margin_ratio" => (both(Unit::Percent), Some(Kind::MarginRatio(MarginRatio))),
        "margin_call" => {
            let shape = Shape {
                at: None,
                to: Some(Unit::Percent),
                lasts: false,
            };
            (shape, Some(Kind::MarginCall(MarginCall)))
        }
        "liquidation_distance" => {
            let kind = Kind::LiquidationDistance(LiquidationDistance);
            (both(Unit::Percent), Some(kind))
        }
        "blind" => (at_only(Unit::Time), Some(Kind::Blind(Blind))),
        "order_limits" => (event, hygiene::order_limits(fields, problems)),
        "unprotected_position" => (
            at_only(Unit::Time),
            hygiene::unprotected_position(fields, problems),
        ),
        "foreign_activity" => (event, hygiene::foreign_activity(fields, problems)),
        "orphan_orders" => (at_only(Unit::Time), Some(Kind::OrphanOrders(OrphanOrders))),
        "max_position" => {
            let (unit, kind) = max_position(fields, problems);
            (both(unit), kind)
        }
        "max_exposure" => {
            let (unit, kind) = max_exposure(fields, problems);
            (both(unit), kind)
        }
        "drawdown" => (at_only(Unit::PercentOrMoney), drawdown(fields, problems)),
        "period_loss" => {
            let kind = period_loss(fields, problems).map(Kind::PeriodLoss);
            (at_only(Unit::PercentOrMoney), kind)
        }
        "profit_giveback" => {
            let period = period_loss(fields, problems);
            (
                at_only(Unit::Percent),
                losses::profit_giveback(fields, period, problems),
            )
        }
        "loss_velocity" => (
            at_only(Unit::PercentOrMoney),
            losses::loss_velocity(fields, problems),
        ),
        "trading_window" => (lasting, hours::trading_window(fields, problems)),
        "symbol_allowlist" => (lasting, allowlist(fields, problems)),
        "forced_event" => (event, Some(Kind::ForcedEvent(ForcedEvent))),
        "loss_streak" => (at_only(Unit::Count), losses::loss_streak(fields, problems)),
        _ => return None,
    };
    Some(read)
}

/// Notes that there is no such type, or not yet.
pub(super) fn unknown(fields: &mut Fields<'_>, name: &str, problems: &mut Problems) {
    let Some(node) = fields.get("type") else { return };
    let built = format!("built are {}", list(BUILT));
    if PLANNED.contains(&name) {
        let message = format!("type `{name}` is not built yet in this version");
        problems.error(&node.place, "not-built", message, built);
    } else {
        let hint = match nearest(name, BUILT.into_iter().chain(PLANNED)) {
            Some(near) if BUILT.contains(&near) => format!("did you mean `{near}`?"),
            Some(near) => format!("did you mean `{near}`? {built}"),
            None => built,
        };
        let message = format!("there is no type `{}`", short(name));
        problems.error(&node.place, "unknown-type", message, hint);
    }
}

/// The types that a key belongs to, when it is not this one's.
pub(super) fn owner(key: &str, kind: &str) -> Option<String> {
    if super::wishes::KEYS.contains(&key) {
        let types = list(super::wishes::TYPES);
        return Some(format!(
            "`{key}` says how a reduction chooses between positions; it belongs to {types}"
        ));
    }
    OWN_KEYS
        .iter()
        .find(|(name, owners)| *name == key && !owners.contains(&kind))
        .map(|(name, owners)| format!("`{name}` belongs to type {}", list(owners.iter().copied())))
}

fn max_position(fields: &mut Fields<'_>, problems: &mut Problems) -> (Unit, Option<Kind>) {
    let words = [
        ("notional", Measure::Notional),
        ("quantity", Measure::Quantity),
        ("equity_multiple", Measure::EquityMultiple),
    ];
    let measure = match fields.get("measure") {
        None => Some(Measure::Notional),
        Some(_) => fields.choice("measure", &words, problems),
    };
    let count_open_orders = fields.flag("count_open_orders", true, problems);
    let unit = match measure {
        Some(Measure::Quantity) => Unit::Quantity,
        Some(Measure::EquityMultiple) => Unit::Multiple,
        Some(Measure::Notional) | None => Unit::Money,
    };
    let kind = measure
        .zip(count_open_orders)
        .map(|(measure, count_open_orders)| {
            Kind::MaxPosition(MaxPosition {
                measure,
                count_open_orders,
            })
        });
    (unit, kind)
}

/// The list of what is allowed is `symbols`; without one everything is, and it would never fire.
fn allowlist(fields: &mut Fields<'_>, problems: &mut Problems) -> Option<Kind> {
    if fields.get("symbols").is_none() {
        let hint = "write symbols = [\"BTCUSDT\"], the contracts that are allowed".to_owned();
        fields.missing("symbols", hint, problems);
        return None;
    }
    Some(Kind::SymbolAllowlist(SymbolAllowlist))
}

fn max_exposure(fields: &mut Fields<'_>, problems: &mut Problems) -> (Unit, Option<Kind>) {
    use crate::policy::max_exposure::{MaxExposure, Measure};
    let words = [
        ("gross", Measure::Gross),
        ("net", Measure::Net),
        ("leverage", Measure::Leverage),
    ];
    let measure = match fields.get("measure") {
        None => Some(Measure::Gross),
        Some(_) => fields.choice("measure", &words, problems),
    };
    let unit = match measure {
        Some(Measure::Leverage) => Unit::Multiple,
        Some(Measure::Gross | Measure::Net) | None => Unit::Money,
    };
    (
        unit,
        measure.map(|measure| Kind::MaxExposure(MaxExposure { measure })),
    )
}

fn drawdown(fields: &mut Fields<'_>, problems: &mut Problems) -> Option<Kind> {
    let words = [
        ("realtime", HighWater::Realtime),
        ("daily_close", HighWater::DailyClose),
        ("static", HighWater::Static),
    ];
    let high_water = match fields.get("high_water") {
        None => Some(HighWater::Realtime),
        Some(_) => fields.choice("high_water", &words, problems),
    };
    let lock = match fields.get("lock_floor_at") {
        None => Some(None),
        Some(node) => money(node, "lock_floor_at", problems).map(Some),
    };
    let (high_water, lock_floor_at) = high_water.zip(lock)?;
    Some(Kind::Drawdown(Drawdown {
        high_water,
        lock_floor_at,
    }))
}

fn period_loss(fields: &mut Fields<'_>, problems: &mut Problems) -> Option<PeriodLoss> {
    let periods = [
        ("day", Period::Day),
        ("week", Period::Week),
        ("month", Period::Month),
    ];
    let bases = [
        ("equity", Base::Equity),
        ("balance", Base::Balance),
        ("max", Base::Max),
        ("initial", Base::Initial),
    ];
    let period = match fields.get("period") {
        None => Some(Period::Day),
        Some(_) => fields.choice("period", &periods, problems),
    };
    let base = match fields.get("base") {
        None => Some(Base::Equity),
        Some(_) => fields.choice("base", &bases, problems),
    };
    let reset = reset(fields, problems);
    let timezone = timezone(fields, problems);
    let initial = match fields.get("initial") {
        None => Some(None),
        Some(node) => money(node, "initial", problems).map(Some),
    };
    let given = fields.get("initial");
    match (base, given) {
        (Some(Base::Initial), None) => {
            let hint = "write initial = \"10000\", the capital that percentages refer to".to_owned();
            fields.missing("initial", hint, problems);
            return None;
        }
        (Some(Base::Equity | Base::Balance | Base::Max), Some(node)) => {
            let message = "`initial` has a meaning with base = \"initial\" only".to_owned();
            problems.error(
                &node.key,
                "initial",
                message,
                "remove it, or write base = \"initial\"".to_owned(),
            );
            return None;
        }
        _ => {}
    }
    Some(PeriodLoss {
        period: period?,
        reset: reset?,
        timezone: timezone?,
        base: base?,
        initial: initial?,
    })
}

/// `HH:MM` on the zone's clock.
fn reset(fields: &mut Fields<'_>, problems: &mut Problems) -> Option<Time> {
    let Some(node) = fields.get("reset") else {
        return Some(Time::midnight());
    };
    let written = fields.text("reset", problems)?;
    let read = parse_time(written);
    if read.is_none() {
        let message = format!("`{}` is not a time of day", short(written));
        problems.error(
            &node.place,
            "time",
            message,
            "write it like \"00:00\" or \"17:30\"".to_owned(),
        );
    }
    read
}

fn parse_time(written: &str) -> Option<Time> {
    let (hours, minutes) = written.split_once(':')?;
    let two = |digits: &str| -> Option<i8> {
        let plain = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| digits.parse().ok()).flatten()
    };
    Time::new(two(hours)?, two(minutes)?, 0, 0).ok()
}

pub(super) fn timezone(fields: &mut Fields<'_>, problems: &mut Problems) -> Option<TimeZone> {
    let Some(node) = fields.get("timezone") else {
        return Some(TimeZone::UTC);
    };
    let written = fields.text("timezone", problems)?;
    let plain = !written.is_empty()
        && written.len() <= 64
        && !written.contains("..")
        && written
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_+-/".contains(c));
    let found = if plain { TimeZone::get(written).ok() } else { None };
    if found.is_none() {
        let names: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
        let hint = match nearest(written, names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "write an IANA name such as \"UTC\" or \"Europe/Prague\"".to_owned(),
        };
        let message = format!("there is no time zone `{}`", short(written));
        problems.error(&node.place, "timezone", message, hint);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_day_has_four_digits() {
        for (text, expected) in [
            ("00:00", Some((0, 0))),
            ("17:30", Some((17, 30))),
            ("24:00", None),
            ("7:30", None),
            ("07:60", None),
            ("07:30:00", None),
            ("+7:30", None),
            ("", None),
        ] {
            let read = parse_time(text).map(|time| (time.hour(), time.minute()));
            assert_eq!(read, expected, "{text}");
        }
    }
}
