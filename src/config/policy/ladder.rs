//! The ladder: rungs with a threshold and an action, in rising severity.

use super::amount::{amount, share};
use super::envelope::{latch, mode};
use super::kind::{Shape, actions};
use crate::config::fields::{Fields, short, span};
use crate::config::nearest::{list, nearest};
use crate::config::node::{Node, Place, Problems, Value};
use crate::policy::spec::{Action, Amount, Cut, Kind, Rung};

/// Rungs of one ladder; four actions do not need more.
const RUNGS_MAX: usize = 16;

/// A rung, and where its threshold or itself was written.
struct Written {
    rung: Rung,
    at: Place,
    action: Place,
}

/// The rungs of a policy; those that are wrong are left out and noted.
pub(super) fn ladder(
    fields: &mut Fields<'_>,
    type_name: &str,
    shape: Shape,
    kind: Option<&Kind>,
    problems: &mut Problems,
) -> Vec<Rung> {
    let Some(node) = fields.get("ladder") else {
        let hint = "write ladder = [ { at = \"...\", action = \"alert\" } ]".to_owned();
        fields.missing("ladder", hint, problems);
        return Vec::new();
    };
    let Value::List(nodes) = &node.value else {
        let message = format!("`ladder` is {}, not a list of rungs", node.value.noun());
        problems.error(&node.place, "wrong-kind", message, None);
        return Vec::new();
    };
    if nodes.is_empty() || nodes.len() > RUNGS_MAX {
        let message = format!("`ladder` has {} rungs, not 1 to {RUNGS_MAX}", nodes.len());
        problems.error(&node.place, "ladder", message, None);
        return Vec::new();
    }
    let rungs: Vec<Written> = nodes
        .iter()
        .filter_map(|node| rung(node, type_name, shape, kind, problems))
        .collect();
    in_order(&rungs, kind.is_some_and(Kind::is_falling), problems);
    rungs.into_iter().map(|written| written.rung).collect()
}

fn rung(
    node: &Node,
    type_name: &str,
    shape: Shape,
    kind: Option<&Kind>,
    problems: &mut Problems,
) -> Option<Written> {
    let Value::Table(table) = &node.value else {
        let message = format!("a rung is {}, not a table", node.value.noun());
        let hint = "write { at = \"...\", action = \"alert\" }".to_owned();
        problems.error(&node.place, "wrong-kind", message, hint);
        return None;
    };
    let mut fields = Fields::new(table, node.place.clone(), "this rung");
    let before = problems.items.len();
    let at = threshold(&mut fields, type_name, shape, problems);
    let action = action(&mut fields, type_name, shape, at, kind, problems);
    let own_mode = fields.get("mode").and_then(|node| mode(node, problems));
    let hold = fields.get("for").and_then(|node| span(node, "for", problems));
    if let Some(node) = fields.get("for") {
        event_cannot_hold(node, hold, shape, problems);
    }
    let own_latch = fields.get("latch").and_then(|node| latch(node, kind, problems));
    let at_place = fields.get("at").map_or(node.place.clone(), |at| at.place.clone());
    let action_place = fields
        .get("action")
        .map_or(node.place.clone(), |action| action.place.clone());
    fields.finish(problems, |key| match key {
        "clear" | "symbols" | "id" | "type" => Some(format!("`{key}` belongs to the policy, not to a rung")),
        _ => None,
    });
    if problems.items.len() > before {
        return None;
    }
    Some(Written {
        rung: Rung {
            at,
            action: action?,
            mode: own_mode,
            hold,
            latch: own_latch,
        },
        at: at_place,
        action: action_place,
    })
}

/// Notes that an event is over when it has come.
pub(super) fn event_cannot_hold(
    node: &Node,
    hold: Option<crate::model::Span>,
    shape: Shape,
    problems: &mut Problems,
) {
    if !shape.lasts && hold.is_some_and(|hold| hold.ms() > 0) {
        let message =
            "an event does not last, so it cannot hold `for` a time: this would never trip".to_owned();
        problems.error(&node.place, "for", message, "remove `for`".to_owned());
    }
}

fn threshold(
    fields: &mut Fields<'_>,
    type_name: &str,
    shape: Shape,
    problems: &mut Problems,
) -> Option<Amount> {
    match (fields.get("at"), shape.at) {
        (Some(node), Some(unit)) => amount(node, "at", unit, problems),
        (None, None) => None,
        (Some(node), None) => {
            let message = format!("type `{type_name}` has no thresholds: it fires or does not");
            problems.error(&node.key, "at", message, "remove `at`".to_owned());
            None
        }
        (None, Some(unit)) => {
            fields.missing("at", format!("write at = {}", unit.noun()), problems);
            None
        }
    }
}

fn action(
    fields: &mut Fields<'_>,
    type_name: &str,
    shape: Shape,
    at: Option<Amount>,
    kind: Option<&Kind>,
    problems: &mut Problems,
) -> Option<Action> {
    const WORDS: [&str; 6] = ["alert", "cancel", "place_stop", "block", "reduce", "flatten"];
    let allowed = actions(type_name);
    let (to, fraction, distance) = (fields.get("to"), fields.get("fraction"), fields.get("distance"));
    let Some(node) = fields.get("action") else {
        fields.missing(
            "action",
            format!("one of {}", list(allowed.iter().copied())),
            problems,
        );
        return None;
    };
    let written = fields.text("action", problems)?;
    if WORDS.contains(&written) && !allowed.contains(&written) {
        let message = format!("action `{written}` is not possible for type `{type_name}`");
        let hint = format!("it allows {}", list(allowed.iter().copied()));
        problems.error(&node.place, "action", message, hint);
        return None;
    }
    if let Some(node) = distance.filter(|_| written != "place_stop") {
        let message = format!("`distance` has no meaning for action `{written}`");
        let hint = "it says how far from the mark price a `place_stop` places its stop; remove it".to_owned();
        problems.error(&node.key, "target", message, hint);
        return None;
    }
    let plain = match written {
        "place_stop" => stop(fields, kind, problems)?,
        "reduce" => {
            return cut(
                fields,
                type_name,
                shape,
                at,
                kind.is_some_and(Kind::is_falling),
                problems,
            )
            .map(Action::Reduce);
        }
        "alert" => Action::Alert,
        "cancel" => Action::Cancel,
        "block" => Action::Block,
        "flatten" => Action::Flatten,
        _ => {
            let message = format!(
                "there is no action `{}`; it is one of {}",
                short(written),
                list(allowed.iter().copied())
            );
            let hint =
                nearest(written, allowed.iter().copied()).map(|word| format!("did you mean `{word}`?"));
            problems.error(&node.place, "unknown-word", message, hint);
            return None;
        }
    };
    for (name, node) in [("to", to), ("fraction", fraction)] {
        if let Some(node) = node {
            let message = format!("`{name}` has no meaning for action `{written}`");
            problems.error(
                &node.key,
                "target",
                message,
                "it says how far a `reduce` goes; remove it".to_owned(),
            );
        }
    }
    Some(plain)
}

/// A stop, at a distance at which the policy itself counts it.
fn stop(fields: &mut Fields<'_>, kind: Option<&Kind>, problems: &mut Problems) -> Option<Action> {
    let Some(node) = fields.get("distance") else {
        let hint = "how far from the mark price the stop lies, such as distance = \"3%\"".to_owned();
        fields.missing("distance", hint, problems);
        return None;
    };
    let distance = share(node, "distance", problems)?;
    let furthest = match kind {
        Some(Kind::UnprotectedPosition(stops)) => stops.max_stop_distance,
        _ => None,
    };
    let too_far = furthest.filter(|furthest| distance > *furthest);
    if distance == crate::model::Ratio::ONE || too_far.is_some() {
        let edge = too_far.map_or("100%".to_owned(), |furthest| furthest.percent());
        let message = format!("a stop {} away would protect nothing", distance.percent());
        problems.error(&node.place, "distance", message, format!("write at most {edge}"));
        return None;
    }
    Some(Action::PlaceStop(distance))
}

fn cut(
    fields: &mut Fields<'_>,
    type_name: &str,
    shape: Shape,
    at: Option<Amount>,
    is_falling: bool,
    problems: &mut Problems,
) -> Option<Cut> {
    let how = match shape.to {
        Some(_) => "either `to` (where the measure shall be) or `fraction` (of the position, \"50%\")",
        None => "`fraction` (of the position), such as fraction = \"50%\"",
    };
    match (fields.get("to"), fields.get("fraction")) {
        (None, None) => {
            fields.missing(
                if shape.to.is_some() {
                    "to` or `fraction"
                } else {
                    "fraction"
                },
                format!("a `reduce` needs {how}"),
                problems,
            );
            None
        }
        (Some(node), Some(_)) => {
            let message = "`to` and `fraction` exclude each other".to_owned();
            problems.error(&node.key, "target", message, format!("write {how}"));
            None
        }
        (None, Some(node)) => share(node, "fraction", problems).map(Cut::Fraction),
        (Some(node), None) => {
            let Some(unit) = shape.to else {
                let why = match type_name {
                    "unprotected_position" => "closing a part gives the rest no stop",
                    "blind" => "closing does not bring the connection back",
                    "trading_window" | "symbol_allowlist" | "forced_event" => "it measures nothing",
                    _ => "closing a position does not lower a loss, it only stops it from growing",
                };
                let message = format!("`to` is not possible for type `{type_name}`: {why}");
                problems.error(&node.key, "target", message, format!("write {how}"));
                return None;
            };
            let to = amount(node, "to", unit, problems)?;
            let unsafe_target = at.is_some_and(|at| match is_falling {
                true => to.number() <= at.number(),
                false => to.number() >= at.number(),
            });
            let full = shape.at.is_none() && to.number() >= rust_decimal::Decimal::ONE;
            if unsafe_target || full {
                let edge = at.map_or("100%".to_owned(), |at| at.to_string());
                let message = format!("`to` {to} is not on the safe side of {edge}");
                let side = if is_falling { "more" } else { "less" };
                problems.error(
                    &node.place,
                    "target",
                    message,
                    format!("write {side} than {edge}"),
                );
                return None;
            }
            Some(Cut::To(to))
        }
    }
}

/// Notes thresholds that do not get graver, mixed units, and actions that get milder.
fn in_order(rungs: &[Written], is_falling: bool, problems: &mut Problems) {
    for pair in rungs.windows(2) {
        let [milder, harsher] = pair else { continue };
        let (before, after) = (&milder.rung, &harsher.rung);
        if let (Some(low), Some(high)) = (before.at, after.at) {
            if !low.same_unit(&high) {
                let message = format!("{high} and {low} are in different units; one policy has one unit");
                problems.error(
                    &harsher.at,
                    "unit",
                    message,
                    "split it into two policies".to_owned(),
                );
                continue;
            }
            let (is_graver, way) = match is_falling {
                true => (high.number() < low.number(), "fall"),
                false => (high.number() > low.number(), "grow"),
            };
            if !is_graver {
                let message = format!("{high} does not come after {low}: thresholds must {way}");
                problems.error(
                    &harsher.at,
                    "order",
                    message,
                    "put the rungs in the order in which they are reached".to_owned(),
                );
                continue;
            }
        }
        let (low, high) = (before.action.severity(), after.action.severity());
        if high < low || (high == low && after.at.is_none()) {
            let message = format!(
                "`{}` comes after `{}`: actions must not get milder",
                after.action.name(),
                before.action.name()
            );
            let message = if high == low {
                format!("`{}` is there twice", after.action.name())
            } else {
                message
            };
            problems.error(&harsher.action, "order", message, None);
        }
    }
}
