//! The keys of types that judge losses by what went before.

use super::amount::money;
use crate::config::fields::{Fields, span};
use crate::config::node::Problems;
use crate::model::{Money, Span};
use crate::policy::loss_streak::LossStreak;
use crate::policy::loss_velocity::LossVelocity;
use crate::policy::period_loss::PeriodLoss;
use crate::policy::profit_giveback::ProfitGiveback;
use crate::policy::spec::Kind;

/// What a moving window may be: shorter is a tick, longer is what `drawdown` and `period_loss` are for.
const WINDOW: (Span, Span) = (Span::from_secs(1), Span::from_secs(7 * 86_400));

pub(super) fn loss_velocity(fields: &mut Fields<'_>, problems: &mut Problems) -> Option<Kind> {
    let window = window(fields, Span::from_secs(300), problems)?;
    Some(Kind::LossVelocity(LossVelocity { window }))
}

/// Without a `window` a loss counts for a day: under `block` nobody can win, and the streak must end all the same.
pub(super) fn loss_streak(fields: &mut Fields<'_>, problems: &mut Problems) -> Option<Kind> {
    let window = window(fields, Span::from_secs(86_400), problems);
    let min_loss = match fields.get("min_loss") {
        None => Some(Money::ZERO),
        Some(node) => money(node, "min_loss", problems),
    };
    let (window, min_loss) = window.zip(min_loss)?;
    Some(Kind::LossStreak(LossStreak { window, min_loss }))
}

/// `period` holds the keys that it shares with `period_loss`.
pub(super) fn profit_giveback(
    fields: &mut Fields<'_>,
    period: Option<PeriodLoss>,
    problems: &mut Problems,
) -> Option<Kind> {
    let Some(node) = fields.get("arm_at") else {
        let hint = "write arm_at = \"500\", the profit from which on it is guarded".to_owned();
        fields.missing("arm_at", hint, problems);
        return None;
    };
    let arm_at = money(node, "arm_at", problems)?;
    Some(Kind::ProfitGiveback(ProfitGiveback {
        period: period?,
        arm_at,
    }))
}

/// How far back something counts.
fn window(fields: &mut Fields<'_>, usual: Span, problems: &mut Problems) -> Option<Span> {
    let Some(node) = fields.get("window") else {
        return Some(usual);
    };
    let read = span(node, "window", problems)?;
    let (least, most) = WINDOW;
    if read < least || read > most {
        let message = format!("`window` is {read}, not {least} to {most}");
        problems.error(
            &node.place,
            "range",
            message,
            format!("write it like \"{usual}\""),
        );
        return None;
    }
    Some(read)
}
