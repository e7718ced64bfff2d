//! One expectation of a test: when, of what, and the clauses that must hold.

use super::super::fields::{Fields, choice, text, texts};
use super::super::nearest::suggestion;
use super::super::node::{Node, Problems, Value};
use super::order::{need, pattern};
use super::value::{by_name, decimal, measured, tenths};
use super::{Expect, line_of, list, table};
use std::collections::BTreeSet;

const STATES: [(&str, &str); 6] = [
    ("ok", "ok"),
    ("pending", "pending"),
    ("tripped", "tripped"),
    ("latched", "latched"),
    ("unknown", "unknown"),
    ("disabled", "disabled"),
];
const RUNGS: [(&str, &str); 4] = [
    ("alert", "alert"),
    ("block", "block"),
    ("reduce", "reduce"),
    ("flatten", "flatten"),
];
const ACCOUNT_STATES: [(&str, &str); 8] = [
    ("starting", "starting"),
    ("armed", "armed"),
    ("blocked", "blocked"),
    ("reducing", "reducing"),
    ("flattening", "flattening"),
    ("latched", "latched"),
    ("blind", "blind"),
    ("powerless", "powerless"),
];

pub(super) fn read(node: &Node, ids: &BTreeSet<&str>, problems: &mut Problems) -> Option<Expect> {
    let what = "this expectation";
    let line = line_of(node, problems);
    let mut fields = Fields::new(table(node, what, problems)?, node.place.clone(), what);
    let at = need(&mut fields, "at", problems).and_then(|node| tenths(node, "at", problems));
    let mut expect = Expect {
        line,
        policy: policy(&mut fields, ids, problems),
        ..Expect::default()
    };
    let mut word = |name: &'static str, words: &[(&'static str, &'static str)]| {
        let node = fields.get(name)?;
        choice(node, name, words, problems).map(str::to_owned)
    };
    expect.state = word("state", &STATES);
    let one: Vec<_> = [("none", "none")].into_iter().chain(RUNGS).collect();
    expect.rung = word("rung", &one);
    expect.account_state = word("account_state", &ACCOUNT_STATES);
    if let Some(node) = fields.get("rungs") {
        expect.rungs = rungs(node, problems);
    }
    expect.value = measured(&mut fields, "value", problems);
    expect.equity = measured(&mut fields, "equity", problems);
    if fields.get("orders").is_some() {
        let all: Vec<_> = list(&mut fields, "orders", problems)
            .iter()
            .filter_map(|node| pattern(node, problems))
            .collect();
        expect.orders = Some(all);
    }
    expect.nothing = nothing(&mut fields, problems);
    if let Some(node) = fields.get("position") {
        expect.position = by_name(node, "position", problems, decimal).unwrap_or_default();
    }
    if let Some(node) = fields.get("open_orders") {
        expect.open_orders = match node.value {
            Value::Whole(count) if count >= 0 => usize::try_from(count).ok(),
            _ => {
                let message = "`open_orders` is not a count".to_owned();
                problems.error(
                    &node.place,
                    "number",
                    message,
                    "such as open_orders = 0".to_owned(),
                );
                None
            }
        };
    }
    if expect.policy.is_none() && fields.get("policy").is_none() {
        for name in ["state", "rung", "rungs", "value"] {
            if fields.get(name).is_some() {
                let hint = "policy = \"...\" says whose it is; `account_state` is the account's".to_owned();
                fields.missing("policy", hint, problems);
                break;
            }
        }
    }
    let blank = Expect {
        line,
        policy: expect.policy.clone(),
        ..Expect::default()
    };
    if expect == blank && !problems.has_errors() {
        let message = "this expectation expects nothing at all".to_owned();
        let hint = "such as state = \"ok\", rung = \"reduce\", orders = [], or nothing = true".to_owned();
        problems.error(&node.place, "expectation", message, hint);
    }
    fields.finish(problems, |_| None);
    expect.at = at?;
    Some(expect)
}

fn policy(fields: &mut Fields<'_>, ids: &BTreeSet<&str>, problems: &mut Problems) -> Option<String> {
    let node = fields.get("policy")?;
    let written = text(node, "policy", problems)?;
    if !ids.contains(written) {
        let message = format!("no policy is called `{}`", super::super::fields::short(written));
        problems.error(
            &node.place,
            "policy",
            message,
            suggestion(written, ids.iter().copied()),
        );
        return None;
    }
    Some(written.to_owned())
}

/// Words of rungs, mildest first, each once.
fn rungs(node: &Node, problems: &mut Problems) -> Option<Vec<String>> {
    let written = texts(node, "rungs", problems)?;
    let words = &RUNGS;
    let mut all = Vec::new();
    for (_, node) in &written {
        all.push(choice(node, "rung", words, problems)?);
    }
    let sorted = words
        .iter()
        .map(|(word, _)| *word)
        .filter(|word| all.contains(word));
    let sorted: Vec<String> = sorted.map(str::to_owned).collect();
    if sorted.len() != all.len() || sorted != all {
        let message = "`rungs` is not in order, each action once".to_owned();
        let hint = "mildest first: alert, block, reduce, flatten".to_owned();
        problems.error(&node.place, "rungs", message, hint);
    }
    Some(sorted)
}

/// `nothing = true`; the opposite would say nothing.
fn nothing(fields: &mut Fields<'_>, problems: &mut Problems) -> bool {
    let said = fields.flag("nothing", false, problems) == Some(true);
    if let (Some(node), false) = (fields.get("nothing"), said) {
        let message = "`nothing = false` expects nothing in particular".to_owned();
        let hint = "say what is expected: a rung, a state, orders".to_owned();
        problems.error(&node.place, "expectation", message, hint);
    }
    said
}
