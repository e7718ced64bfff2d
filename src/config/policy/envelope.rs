//! What every policy has: mode, symbols, how far a rung clears, how long it stays.

use super::amount::{Unit, amount, is_percent, ratio};
use crate::config::fields::{Fields, choice, number, parse_span, short, text, texts};
use crate::config::node::{Node, Problems, Value};
use crate::model::{Ratio, Span};
use crate::policy::spec::{Amount, Clear, Kind, Latch, Mode, Rung, SymbolFilter};
use rust_decimal::Decimal;

/// Globs of one policy; a list longer than this is generated and belongs in several policies.
const GLOBS_MAX: usize = 200;
/// What a rung clears at when the policy does not say: 5 % of the threshold under it.
const CLEAR_DEFAULT: Ratio = Ratio::bps(500);

/// How a policy or a rung acts.
pub(super) fn mode(node: &Node, problems: &mut Problems) -> Option<Mode> {
    let words = [
        ("off", Mode::Off),
        ("shadow", Mode::Shadow),
        ("warn", Mode::Warn),
        ("enforce", Mode::Enforce),
    ];
    choice(node, "mode", &words, problems)
}

/// `until_clear`, `until_reset`, `manual` or `for 1h`.
pub(super) fn latch(node: &Node, kind: Option<&Kind>, problems: &mut Problems) -> Option<Latch> {
    if let Value::Text(written) = &node.value
        && let Some(length) = written.strip_prefix("for ")
    {
        let read = parse_span(length).filter(|length| *length > Span::ZERO);
        if read.is_none() {
            let message = format!("`latch` names no length of time: `{}`", short(written));
            problems.error(
                &node.place,
                "latch",
                message,
                "write it like \"for 1h\"".to_owned(),
            );
        }
        return read.map(Latch::For);
    }
    let words = [
        ("until_clear", Latch::UntilClear),
        ("until_reset", Latch::UntilReset),
        ("manual", Latch::Manual),
        ("for 1h", Latch::For(Span::from_secs(3600))),
    ];
    let read = choice(node, "latch", &words, problems)?;
    match kind {
        Some(kind) if read == Latch::UntilReset && !kind.has_periods() => {
            let message = format!("type `{}` has no periods, so it is never reset", kind.name());
            let hint = "`until_reset` is for `period_loss` and `profit_giveback`; write \"until_clear\", \"manual\" or \"for 1h\""
                .to_owned();
            problems.error(&node.place, "latch", message, hint);
            None
        }
        _ => Some(read),
    }
}

/// Which contracts; all of them when nothing is said.
pub(super) fn symbols(fields: &mut Fields<'_>, problems: &mut Problems) -> Option<SymbolFilter> {
    let Some(node) = fields.get("symbols") else {
        return Some(SymbolFilter::all());
    };
    globs(node, "symbols", problems)
}

/// A list of globs.
pub(super) fn globs(node: &Node, name: &'static str, problems: &mut Problems) -> Option<SymbolFilter> {
    let globs = texts(node, name, problems)?;
    if globs.is_empty() || globs.len() > GLOBS_MAX {
        let message = format!("`{name}` has {} entries, not 1 to {GLOBS_MAX}", globs.len());
        let hint = (name == "symbols").then(|| "write [\"*\"] for every contract".to_owned());
        problems.error(&node.place, name, message, hint);
        return None;
    }
    let mut fine = true;
    for (glob, node) in &globs {
        let bare = glob.strip_prefix('!').unwrap_or(glob);
        let strange = |c: char| c.is_control() || c.is_whitespace() || "!?[]".contains(c);
        if bare.is_empty() || bare.len() > 200 || bare.contains(strange) {
            let message = format!("`{}` is not a glob of symbols", short(glob));
            let hint =
                "`*` stands for any characters, a leading `!` excludes: \"BTC*\", \"!XUSDT\"".to_owned();
            problems.error(&node.place, name, message, hint);
            fine = false;
        } else if bare.contains(|c: char| c.is_ascii_lowercase())
            && !bare.contains(|c: char| c.is_ascii_uppercase())
        {
            let message = format!("`{glob}` matches nothing: symbols are in capitals");
            problems.error(
                &node.place,
                name,
                message,
                format!("write \"{}\"", glob.to_ascii_uppercase()),
            );
            fine = false;
        }
    }
    let globs = globs.into_iter().map(|(glob, _)| glob.to_owned()).collect();
    fine.then(|| SymbolFilter::new(globs))
}

/// How far a rung clears. A percentage is percentage points under ratios, and a share of other thresholds.
pub(super) fn clear(
    fields: &mut Fields<'_>,
    at: Option<Unit>,
    is_falling: bool,
    rungs: &[Rung],
    problems: &mut Problems,
) -> Option<Clear> {
    let Some(node) = fields.get("clear") else {
        return Some(Clear::Share(CLEAR_DEFAULT));
    };
    if is_falling {
        return clear_above(node, rungs, problems);
    }
    let least = rungs
        .iter()
        .filter_map(|rung| rung.at)
        .min_by(|a, b| a.number().cmp(&b.number()));
    let on_ratios = match (at, least) {
        (Some(Unit::Percent), _) => true,
        (Some(Unit::PercentOrMoney), Some(least)) => matches!(least, Amount::Ratio(_)),
        (Some(Unit::PercentOrMoney), None) => return None, // the thresholds are wrong; that has been said
        _ => false,
    };
    if is_percent(node) && !on_ratios {
        return share_of_each(node, problems).map(Clear::Share);
    }
    let unit = match at {
        Some(Unit::PercentOrMoney) if !on_ratios => Unit::Money,
        Some(Unit::PercentOrMoney) | None => Unit::Percent,
        Some(unit) => unit,
    };
    let distance = amount(node, "clear", unit, problems)?;
    match least {
        Some(least) if distance.same_unit(&least) && distance.number() >= least.number() => {
            let message =
                format!("{distance} under the threshold {least} is not above zero: it would never clear");
            let half = least.number().checked_div(Decimal::TWO).unwrap_or(least.number());
            let hint = match least {
                Amount::Ratio(_) => {
                    let percent = half.checked_mul(Decimal::ONE_HUNDRED).unwrap_or(half);
                    format!("write less than {least}, such as \"{}%\"", percent.normalize())
                }
                _ => format!("write less than {least}, or a share of each threshold such as \"5%\""),
            };
            problems.error(&node.place, "clear", message, hint);
            None
        }
        _ => Some(Clear::By(distance)),
    }
}

/// How far a rung of falling thresholds clears: percentage points above it.
fn clear_above(node: &Node, rungs: &[Rung], problems: &mut Problems) -> Option<Clear> {
    let distance = amount(node, "clear", Unit::Percent, problems)?;
    let thresholds = rungs.iter().filter_map(|rung| rung.at);
    let highest = thresholds.max_by(|a, b| a.number().cmp(&b.number()));
    let level = |highest: Amount| highest.number().checked_add(distance.number());
    match highest {
        Some(highest) if level(highest).is_none_or(|level| Decimal::ONE < level) => {
            let message =
                format!("{distance} above the threshold {highest} is above 100%: it would never clear");
            problems.error(
                &node.place,
                "clear",
                message,
                "write less, such as \"1%\"".to_owned(),
            );
            None
        }
        _ => Some(Clear::By(distance)),
    }
}

/// A share of each threshold, above 0 % and below 100 %.
fn share_of_each(node: &Node, problems: &mut Problems) -> Option<Ratio> {
    let written = number(node, "clear", problems)?;
    match ratio(written.trim_end_matches('%')) {
        Ok(share) if share.is_positive() && share < Ratio::ONE => Some(share),
        _ => {
            let message = format!(
                "`clear` is `{}`, not a share between 0% and 100%",
                short(&written)
            );
            problems.error(&node.place, "clear", message, "write it like \"5%\"".to_owned());
            None
        }
    }
}

/// A name of letters that records can carry: `[a-z0-9_-]`, 1 to 64 characters.
pub(in crate::config) fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    !text.is_empty() && text.len() <= 64 && text.chars().all(plain)
}

/// The `id` of a policy.
pub(super) fn id(fields: &mut Fields<'_>, problems: &mut Problems) -> Option<String> {
    let Some(node) = fields.get("id") else {
        fields.missing(
            "id",
            "give it a short stable name: id = \"margin\"".to_owned(),
            problems,
        );
        return None;
    };
    let written = text(node, "id", problems)?;
    if !is_name(written) {
        let message = format!("`{}` cannot be an id", short(written));
        let hint = "1 to 64 of the characters a-z, 0-9, `_` and `-`".to_owned();
        problems.error(&node.place, "id", message, hint);
        return None;
    }
    Some(written.to_owned())
}
