//! One step of a test: when, and the one thing that happens then.

use super::super::fields::{Fields, choice, texts};
use super::super::nearest::list;
use super::super::node::{Node, Problems, Value};
use super::order::{bot, need};
use super::value::{by_name, decimal, positive, share, symbol, tenths};
use super::{Step, Trouble, What, line_of, table};
use crate::model::Span;
use rust_decimal::Decimal;

/// Every kind of step.
const KINDS: [&str; 17] = [
    "mark",
    "ramp",
    "transfer",
    "funding",
    "fill",
    "order",
    "cancel",
    "margin_call",
    "stream",
    "network",
    "restart",
    "sleep",
    "kill",
    "rearm",
    "adl",
    "settle",
    "halt",
];
/// The last of them; an array of its own keeps `KINDS` readable in messages.
const RESUME: &str = "resume";

pub(super) fn read(node: &Node, problems: &mut Problems) -> Option<Step> {
    let what = "this step";
    let written = table(node, what, problems)?;
    let line = line_of(node, problems);
    let mut fields = Fields::new(written, node.place.clone(), what);
    let at = need(&mut fields, "at", problems).and_then(|node| tenths(node, "at", problems));
    let known = || KINDS.into_iter().chain([RESUME]);
    let named: Vec<&str> = known().filter(|kind| written.contains_key(*kind)).collect();
    let &[kind] = named.as_slice() else {
        if named.is_empty() {
            let message = "this step does nothing".to_owned();
            let hint = written.keys().find(|key| *key != "at").map_or_else(
                || format!("it may be one of {}", list(known())),
                |key| super::super::nearest::suggestion(key, known().collect::<Vec<_>>()),
            );
            problems.error(&node.place, "step", message, hint);
        } else {
            let message = format!(
                "this step does {} things: {}",
                named.len(),
                list(named.iter().copied())
            );
            let hint = "write a step for each; they may have the same `at`".to_owned();
            problems.error(&node.place, "step", message, hint);
        }
        return None;
    };
    let what = happening(kind, &mut fields, problems);
    fields.finish(problems, |key| {
        (key == "for").then(|| format!("`{kind}` happens at once and has no `for`"))
    });
    Some(Step {
        line,
        at: at?,
        what: what?,
    })
}

fn happening(kind: &str, fields: &mut Fields<'_>, problems: &mut Problems) -> Option<What> {
    let lasting = |fields: &mut Fields<'_>, problems: &mut Problems| {
        need(fields, "for", problems).and_then(|node| tenths(node, "for", problems))
    };
    Some(match kind {
        "mark" => What::Mark(by_name(fields.get("mark")?, kind, problems, positive)?),
        "ramp" => {
            let to = by_name(fields.get("ramp")?, kind, problems, positive);
            What::Ramp(to?, lasting(fields, problems)?)
        }
        "transfer" => What::Transfer(by_name(fields.get("transfer")?, kind, problems, decimal)?),
        "funding" => What::Funding(by_name(fields.get("funding")?, kind, problems, share)?),
        "fill" => What::Fill(bot(fields.get("fill")?, true, problems)?),
        "order" => What::Order(bot(fields.get("order")?, false, problems)?),
        "cancel" => cancel(fields.get("cancel")?, problems)?,
        "margin_call" => {
            let symbols = texts(fields.get("margin_call")?, kind, problems)?;
            let symbols: Vec<String> = symbols
                .iter()
                .filter_map(|(_, node)| symbol(node, kind, problems))
                .collect();
            What::MarginCall(symbols)
        }
        "stream" => {
            let words = [("down", Trouble::Down), ("silent", Trouble::Silent)];
            let trouble = choice(fields.get("stream")?, kind, &words, problems);
            let span = lasting(fields, problems)?;
            What::Stream(trouble?, span)
        }
        "network" => {
            choice(fields.get("network")?, kind, &[("down", ())], problems)?;
            What::Network(lasting(fields, problems)?)
        }
        "restart" => restart(fields, problems)?,
        "sleep" => What::Sleep(tenths(fields.get("sleep")?, kind, problems)?),
        "kill" => {
            let words = [("flatten", true), ("block", false)];
            let flatten = choice(fields.get("kill")?, kind, &words, problems)?;
            let one = fields.get("symbol");
            let symbol = one.and_then(|node| symbol(node, "symbol", problems));
            What::Kill { flatten, symbol }
        }
        "rearm" => {
            let words = [("keep", false), ("rebase", true)];
            let rebase = choice(fields.get("rearm")?, kind, &words, problems)?;
            let refused = fields.flag("refused", false, problems)?;
            What::Rearm { rebase, refused }
        }
        "adl" => adl(fields.get("adl")?, problems)?,
        "settle" => What::Settle(symbol(fields.get("settle")?, kind, problems)?),
        "halt" => What::Halt(symbol(fields.get("halt")?, kind, problems)?),
        _ => What::Resume(symbol(fields.get(RESUME)?, RESUME, problems)?),
    })
}

/// `cancel = "BTCUSDT"`, or `cancel = { symbol = "BTCUSDT", client_id = "a" }`.
fn cancel(node: &Node, problems: &mut Problems) -> Option<What> {
    if let Value::Text(_) = &node.value {
        let symbol = symbol(node, "cancel", problems)?;
        return Some(What::Cancel {
            symbol,
            client_id: None,
        });
    }
    let mut fields = Fields::new(
        table(node, "`cancel`", problems)?,
        node.place.clone(),
        "this cancel",
    );
    let named = need(&mut fields, "symbol", problems).and_then(|node| symbol(node, "symbol", problems));
    let client_id = fields.text("client_id", problems).map(str::to_owned);
    fields.finish(problems, |_| None);
    Some(What::Cancel {
        symbol: named?,
        client_id,
    })
}

/// `restart = true` or `restart = "crash"`, and how long it is away.
fn restart(fields: &mut Fields<'_>, problems: &mut Problems) -> Option<What> {
    let node = fields.get("restart")?;
    let crash = match &node.value {
        Value::Bool(true) => false,
        Value::Text(text) if text == "crash" => true,
        _ => {
            let message = "`restart` is neither true nor \"crash\"".to_owned();
            let hint = "true ends it orderly; \"crash\" leaves only what was durable".to_owned();
            problems.error(&node.place, "restart", message, hint);
            return None;
        }
    };
    let gone = match fields.get("for") {
        Some(node) => tenths(node, "for", problems)?,
        None => Span::ZERO,
    };
    Some(What::Restart { crash, gone })
}

/// `adl = "BTCUSDT"` for all of it, or `adl = { symbol = "BTCUSDT", fraction = "50%" }`.
fn adl(node: &Node, problems: &mut Problems) -> Option<What> {
    if let Value::Text(_) = &node.value {
        let symbol = symbol(node, "adl", problems)?;
        return Some(What::Adl {
            symbol,
            fraction: Decimal::ONE,
        });
    }
    let mut fields = Fields::new(table(node, "`adl`", problems)?, node.place.clone(), "this adl");
    let named = need(&mut fields, "symbol", problems).and_then(|node| symbol(node, "symbol", problems));
    let fraction = need(&mut fields, "fraction", problems).and_then(|node| share(node, "fraction", problems));
    fields.finish(problems, |_| None);
    Some(What::Adl {
        symbol: named?,
        fraction: fraction?,
    })
}
