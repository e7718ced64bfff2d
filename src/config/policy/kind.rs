//! The types of policy: their own keys, and what their thresholds are written in.

use super::amount::{Unit, money, share};
use crate::config::fields::{Fields, number, short, texts};
use crate::config::nearest::{list, nearest};
use crate::config::node::Problems;
use crate::model::Ratio;
use crate::policy::blind::Blind;
use crate::policy::drawdown::{Drawdown, HighWater};
use crate::policy::foreign_activity::ForeignActivity;
use crate::policy::margin_call::MarginCall;
use crate::policy::margin_ratio::MarginRatio;
use crate::policy::max_position::{MaxPosition, Measure};
use crate::policy::order_limits::OrderLimits;
use crate::policy::orphan_orders::OrphanOrders;
use crate::policy::period_loss::{Base, Period, PeriodLoss};
use crate::policy::spec::Kind;
use crate::policy::unprotected_position::UnprotectedPosition;
use jiff::civil::Time;
use jiff::tz::TimeZone;

/// The types that this version has.
const BUILT: [&str; 10] = [
    "margin_ratio",
    "margin_call",
    "max_position",
    "drawdown",
    "period_loss",
    "blind",
    "unprotected_position",
    "orphan_orders",
    "order_limits",
    "foreign_activity",
];

/// The types that are planned.
const PLANNED: [&str; 9] = [
    "liquidation_distance",
    "loss_velocity",
    "max_exposure",
    "forced_event",
    "loss_streak",
    "trading_window",
    "symbol_allowlist",
    "profit_giveback",
    "custom",
];

/// Keys that only one type has, to explain them in another.
const OWN_KEYS: [(&str, &str); 16] = [
    ("high_water", "drawdown"),
    ("lock_floor_at", "drawdown"),
    ("period", "period_loss"),
    ("reset", "period_loss"),
    ("timezone", "period_loss"),
    ("base", "period_loss"),
    ("initial", "period_loss"),
    ("measure", "max_position"),
    ("count_open_orders", "max_position"),
    ("min_coverage", "unprotected_position"),
    ("max_stop_distance", "unprotected_position"),
    ("client_id_prefixes", "foreign_activity"),
    ("max_open_orders", "order_limits"),
    ("max_order_notional", "order_limits"),
    ("max_orders_per_minute", "order_limits"),
    ("max_price_deviation", "order_limits"),
];

/// What the thresholds of a type mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// What `at` is written in; `None` for a type that only fires.
    pub at: Option<Unit>,
    /// What the `to` of a reduction is written in; `None` when closing does not lower the measure.
    pub to: Option<Unit>,
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
    };
    let at_only = |unit| Shape {
        at: Some(unit),
        to: None,
    };
    let read = match name {
        "margin_ratio" => (both(Unit::Percent), Some(Kind::MarginRatio(MarginRatio))),
        "margin_call" => {
            let shape = Shape {
                at: None,
                to: Some(Unit::Percent),
            };
            (shape, Some(Kind::MarginCall(MarginCall)))
        }
        "blind" => (at_only(Unit::Time), Some(Kind::Blind(Blind))),
        "order_limits" => {
            let shape = Shape { at: None, to: None };
            (shape, order_limits(fields, problems))
        }
        "unprotected_position" => (at_only(Unit::Time), unprotected_position(fields, problems)),
        "foreign_activity" => {
            let shape = Shape { at: None, to: None };
            (shape, foreign_activity(fields, problems))
        }
        "orphan_orders" => (at_only(Unit::Time), Some(Kind::OrphanOrders(OrphanOrders))),
        "max_position" => {
            let (unit, kind) = max_position(fields, problems);
            (both(unit), kind)
        }
        "drawdown" => (at_only(Unit::PercentOrMoney), drawdown(fields, problems)),
        "period_loss" => (at_only(Unit::PercentOrMoney), period_loss(fields, problems)),
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

/// The type that a key belongs to, when it is not this one's.
pub(super) fn owner(key: &str, kind: &str) -> Option<String> {
    OWN_KEYS
        .iter()
        .find(|(name, owner)| *name == key && *owner != kind)
        .map(|(name, owner)| format!("`{name}` belongs to type `{owner}`"))
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

fn unprotected_position(fields: &mut Fields<'_>, problems: &mut Problems) -> Option<Kind> {
    /// Stops that a bot rounds to its lots cover not quite all (POLICIES.md b.5).
    const COVERAGE: Ratio = Ratio::bps(9_500);
    let min_coverage = match fields.get("min_coverage") {
        None => Some(COVERAGE),
        Some(node) => share(node, "min_coverage", problems),
    };
    let furthest = match fields.get("max_stop_distance") {
        None => Some(None),
        Some(node) => share(node, "max_stop_distance", problems).map(Some),
    };
    let (min_coverage, max_stop_distance) = min_coverage.zip(furthest)?;
    Some(Kind::UnprotectedPosition(UnprotectedPosition {
        min_coverage,
        max_stop_distance,
    }))
}

fn foreign_activity(fields: &mut Fields<'_>, problems: &mut Problems) -> Option<Kind> {
    /// Programs of one account.
    const MOST: usize = 32;
    let Some(node) = fields.get("client_id_prefixes") else {
        return Some(Kind::ForeignActivity(ForeignActivity::default()));
    };
    let written = texts(node, "client_id_prefixes", problems)?;
    if written.is_empty() || written.len() > MOST {
        let message = format!(
            "`client_id_prefixes` has {} entries, not 1 to {MOST}",
            written.len()
        );
        let hint = "without the key no order is foreign".to_owned();
        problems.error(&node.place, "prefixes", message, hint);
        return None;
    }
    let mut is_fine = true;
    for (prefix, node) in &written {
        // The venue's alphabet and length of a client order id (binance-usdm.md 6.1).
        let plain = |c: char| c.is_ascii_alphanumeric() || ".:/_-".contains(c);
        if prefix.is_empty() || prefix.len() > 36 || !prefix.chars().all(plain) {
            let message = format!("`{}` cannot begin a client order id", short(prefix));
            let hint = "1 to 36 of the characters A-Z, a-z, 0-9 and `.:/_-`".to_owned();
            problems.error(&node.place, "prefixes", message, hint);
            is_fine = false;
        }
    }
    let prefixes = written.into_iter().map(|(prefix, _)| prefix.to_owned()).collect();
    is_fine.then_some(Kind::ForeignActivity(ForeignActivity {
        client_id_prefixes: Some(prefixes),
    }))
}

fn order_limits(fields: &mut Fields<'_>, problems: &mut Problems) -> Option<Kind> {
    /// Well above what the venue takes of one account: 1,200 in a minute, 200 open in a symbol.
    const MOST: u32 = 4_000;
    let before = problems.items.len();
    let mut whole = |name: &'static str| {
        let node = fields.get(name)?;
        let written = number(node, name, problems)?;
        let read = written.parse().ok().filter(|read| (1..=MOST).contains(read));
        if read.is_none() {
            let message = format!(
                "`{name}` is `{}`, not a whole number of 1 to {MOST}",
                short(&written)
            );
            problems.error(
                &node.place,
                "range",
                message,
                format!("write it like {name} = 50"),
            );
        }
        read
    };
    let max_open_orders = whole("max_open_orders");
    let max_orders_per_minute = whole("max_orders_per_minute");
    let max_order_notional = fields
        .get("max_order_notional")
        .and_then(|node| money(node, "max_order_notional", problems));
    let max_price_deviation = fields
        .get("max_price_deviation")
        .and_then(|node| share(node, "max_price_deviation", problems));
    let limits = OrderLimits {
        max_open_orders,
        max_order_notional,
        max_orders_per_minute,
        max_price_deviation,
    };
    if problems.items.len() > before {
        return None;
    }
    if limits == OrderLimits::default() {
        let hint = "write at least one limit, such as max_order_notional = \"20000\"".to_owned();
        fields.missing("max_order_notional", hint, problems);
        return None;
    }
    Some(Kind::OrderLimits(limits))
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

fn period_loss(fields: &mut Fields<'_>, problems: &mut Problems) -> Option<Kind> {
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
    Some(Kind::PeriodLoss(PeriodLoss {
        period: period?,
        reset: reset?,
        timezone: timezone?,
        base: base?,
        initial: initial?,
    }))
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

fn timezone(fields: &mut Fields<'_>, problems: &mut Problems) -> Option<TimeZone> {
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
