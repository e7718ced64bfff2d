//! The keys of types that judge losses by what went before.

use crate::config::fields::{Fields, span};
use crate::config::node::Problems;
use crate::model::Span;
use crate::policy::loss_velocity::LossVelocity;
use crate::policy::spec::Kind;

/// What a moving window may be: shorter is a tick, longer is what `drawdown` and `period_loss` are for.
const WINDOW: (Span, Span) = (Span::from_secs(1), Span::from_secs(7 * 86_400));

pub(super) fn loss_velocity(fields: &mut Fields<'_>, problems: &mut Problems) -> Option<Kind> {
    let window = window(fields, Span::from_secs(300), problems)?;
    Some(Kind::LossVelocity(LossVelocity { window }))
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
