//! Policy files: TOML, versioned, strict. Every mistake is reported, each with its place and a hint.
//!
//! Numbers that carry money or ratios are texts or whole numbers: a bare TOML float loses digits.

mod amount;
mod describe;
mod envelope;
mod hours;
mod hygiene;
mod kind;
mod ladder;
mod losses;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod types_tests;
mod wishes;

pub use describe::sentence;
pub(super) use envelope::is_name;

use super::diagnostic::Diagnostics;
use super::fields::{Fields, short, span};
use super::node::{Node, Problems, Value, parse_toml};
use crate::model::Span;
use crate::policy::spec::{Amount, Kind, Latch, Mode, PolicySet, PolicySpec};
use std::collections::BTreeSet;

/// A policy file larger than this is not one.
pub const FILE_MAX: usize = 1 << 20;
/// Policies of one file.
const POLICIES_MAX: usize = 200;

/// Reads a policy file. `file_name` is how findings name it.
///
/// # Errors
///
/// [`Diagnostics`] with every mistake that was found.
pub fn parse(file_name: &str, text: &str) -> Result<PolicySet, Diagnostics> {
    if text.len() > FILE_MAX {
        let message = format!("the file is larger than {} KiB", FILE_MAX / 1024);
        return Err(Diagnostics::single(file_name, "too-large", message, None));
    }
    let mut problems = Problems::new(file_name, text);
    let set = read(file_name, text, &mut problems);
    match set {
        Some(set) if !problems.has_errors() => Ok(set),
        _ => {
            if problems.items.is_empty() {
                let message = "the file could not be read".to_owned();
                problems.error(&super::node::Place::Default, "unreadable", message, None);
            }
            Err(Diagnostics::new(file_name, &problems.text, problems.items))
        }
    }
}

fn read(file_name: &str, text: &str, problems: &mut Problems) -> Option<PolicySet> {
    let root = parse_toml(text, problems)?;
    let mut fields = Fields::new(&root, super::node::Place::File(0..0), "this policy file");
    version(&mut fields, problems);
    let name = match fields.get("name") {
        None => std::path::Path::new(file_name)
            .file_stem()
            .map_or("policies".to_owned(), |stem| stem.to_string_lossy().into_owned()),
        Some(_) => fields.text("name", problems).unwrap_or("").to_owned(),
    };
    if let Some(node) = fields.get("name")
        && (name.trim().is_empty() || name.chars().count() > 64 || name.chars().any(char::is_control))
    {
        let message = "`name` is not 1 to 64 plain characters".to_owned();
        problems.error(&node.place, "name", message, None);
    }
    let policies = policies(&mut fields, problems);
    fields.finish(problems, |_| None);
    Some(PolicySet { name, policies })
}

fn version(fields: &mut Fields<'_>, problems: &mut Problems) {
    match fields.get("version") {
        None => fields.missing("version", "write version = 1 at the top".to_owned(), problems),
        Some(Node {
            value: Value::Whole(1),
            ..
        }) => {}
        Some(node) => {
            let message = "this version of Backstop reads policy files of version 1".to_owned();
            problems.error(&node.place, "version", message, "write version = 1".to_owned());
        }
    }
}

fn policies(fields: &mut Fields<'_>, problems: &mut Problems) -> Vec<PolicySpec> {
    let Some(node) = fields.get("policy") else {
        fields.missing(
            "policy",
            "each policy begins with [[policy]]".to_owned(),
            problems,
        );
        return Vec::new();
    };
    let Value::List(nodes) = &node.value else {
        let message = format!("`policy` is {}, not a list", node.value.noun());
        problems.error(
            &node.place,
            "wrong-kind",
            message,
            "write [[policy]] with two brackets".to_owned(),
        );
        return Vec::new();
    };
    if nodes.is_empty() || nodes.len() > POLICIES_MAX {
        let message = format!("the file has {} policies, not 1 to {POLICIES_MAX}", nodes.len());
        problems.error(&node.place, "too-many", message, None);
        return Vec::new();
    }
    let mut ids = BTreeSet::new();
    nodes
        .iter()
        .filter_map(|node| policy(node, &mut ids, problems))
        .collect()
}

fn policy(node: &Node, ids: &mut BTreeSet<String>, problems: &mut Problems) -> Option<PolicySpec> {
    let Value::Table(table) = &node.value else {
        let message = format!("a policy is {}, not a table", node.value.noun());
        problems.error(&node.place, "wrong-kind", message, None);
        return None;
    };
    let mut fields = Fields::new(table, node.place.clone(), "this policy");
    let id = envelope::id(&mut fields, problems);
    if let Some(id) = &id {
        fields.what = format!("policy `{id}`");
        if !ids.insert(id.clone())
            && let Some(node) = fields.get("id")
        {
            let message = format!("the id `{id}` is taken by a policy above");
            problems.error(&node.place, "id", message, "ids are unique in a file".to_owned());
        }
    }
    let Some(type_node) = fields.get("type") else {
        fields.missing("type", "such as type = \"margin_ratio\"".to_owned(), problems);
        return None;
    };
    let type_name = super::fields::text(type_node, "type", problems)?;
    let Some((shape, kind)) = kind::read(type_name, &mut fields, problems) else {
        kind::unknown(&mut fields, type_name, problems);
        return None;
    };
    let mode = fields
        .get("mode")
        .map_or(Some(Mode::Enforce), |node| envelope::mode(node, problems));
    let symbols = envelope::symbols(&mut fields, problems);
    let hold = fields
        .get("for")
        .map_or(Some(Span::ZERO), |node| span(node, "for", problems));
    if let Some(node) = fields.get("for") {
        ladder::event_cannot_hold(node, hold, shape, problems);
    }
    let latch = fields.get("latch").map_or(Some(Latch::UntilClear), |node| {
        envelope::latch(node, kind.as_ref(), problems)
    });
    let ladder = ladder::ladder(&mut fields, type_name, shape, kind.as_ref(), problems);
    let is_falling = kind.as_ref().is_some_and(Kind::is_falling);
    let clear = envelope::clear(&mut fields, shape.at, is_falling, &ladder, problems);
    let wishes = wishes::wishes(&mut fields, type_name, &ladder, problems);
    if let Some(Kind::Drawdown(drawdown)) = &kind
        && drawdown.lock_floor_at.is_some()
        && ladder
            .iter()
            .any(|rung| matches!(rung.at, Some(Amount::Ratio(_))))
        && let Some(node) = fields.get("lock_floor_at")
    {
        let message = "`lock_floor_at` needs thresholds in money, and these are percentages".to_owned();
        problems.error(
            &node.key,
            "lock-floor",
            message,
            "write the thresholds as money, such as at = \"2000\"".to_owned(),
        );
    }
    fields.finish(problems, |key| kind::owner(&short(key), type_name));
    Some(PolicySpec {
        id: id?,
        kind: kind?,
        mode: mode?,
        symbols: symbols?,
        hold: hold?,
        clear: clear?,
        latch: latch?,
        ladder,
        wishes: wishes?,
    })
}
