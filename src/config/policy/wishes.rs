//! How a reduction chooses between positions: `never_cut`, `last`, `pair_with` and `pro_rata`.

use super::envelope::globs;
use crate::config::fields::{Fields, short, texts};
use crate::config::node::{Node, Problems, Value};
use crate::model::Symbol;
use crate::policy::spec::{Action, Cut, Rung, SymbolFilter, Wishes};

/// The keys.
pub(super) const KEYS: [&str; 4] = ["never_cut", "last", "pair_with", "pro_rata"];
/// The types whose reductions choose between positions.
pub(super) const TYPES: [&str; 3] = ["margin_ratio", "margin_call", "liquidation_distance"];
/// Groups of one policy; more belong in several policies.
const GROUPS_MAX: usize = 100;

/// Reads the wishes of a policy; none when nothing is said.
pub(super) fn wishes(
    fields: &mut Fields<'_>,
    type_name: &str,
    ladder: &[Rung],
    problems: &mut Problems,
) -> Option<Wishes> {
    if !TYPES.contains(&type_name) {
        return Some(Wishes::default());
    }
    let before = problems.items.len();
    let never_cut = fields.get("never_cut");
    let last = fields.get("last");
    let pair_with = fields.get("pair_with");
    let pro_rata = fields.get("pro_rata");
    let wishes = Wishes {
        never_cut: never_cut.and_then(|node| globs(node, "never_cut", problems)),
        last: last.and_then(|node| globs(node, "last", problems)),
        pairs: pair_with.map_or(Vec::new(), |node| groups(node, problems)),
        is_pro_rata: fields.flag("pro_rata", false, problems).unwrap_or(false),
    };
    if problems.items.len() > before {
        return None;
    }
    let written = [never_cut, last, pair_with, pro_rata];
    for (node, key) in written
        .into_iter()
        .zip(KEYS)
        .filter_map(|(node, key)| Some((node?, key)))
    {
        if let Some((message, hint)) = contradiction(key, &wishes, ladder) {
            problems.error(&node.key, "wish", message, hint);
        }
    }
    (problems.items.len() == before).then_some(wishes)
}

/// What is wrong with a wish beside the ladder and the other wishes, and what to do.
fn contradiction(key: &str, wishes: &Wishes, ladder: &[Rung]) -> Option<(String, String)> {
    let is_reduced = |is_meant: fn(&Cut) -> bool| {
        ladder
            .iter()
            .any(|rung| matches!(&rung.action, Action::Reduce(cut) if is_meant(cut)))
    };
    let covers = |filter: &Option<SymbolFilter>, symbol: &Symbol| {
        filter.as_ref().is_some_and(|filter| filter.covers(symbol))
    };
    // A ladder that is wrong has been told of.
    if !ladder.is_empty() && !is_reduced(|_| true) {
        let message = format!("`{key}` has no meaning without a rung that reduces");
        return Some((message, "remove it; flattening closes everything in scope".into()));
    }
    let by_share_only = !ladder.is_empty() && !is_reduced(|cut| matches!(cut, Cut::To(_)));
    match key {
        "never_cut" if wishes.never_cut.as_ref()?.globs() == ["*"] => {
            let message = "`never_cut` forbids every reduction".into();
            Some((
                message,
                "remove the rungs that reduce, or name the contracts to keep".into(),
            ))
        }
        "never_cut" => None,
        _ if by_share_only => {
            let message =
                format!("`{key}` has no meaning for a `fraction`, which takes the same of every position");
            Some((message, "it is for a `reduce` with `to`; remove it".into()))
        }
        "last" => {
            let (never, last) = (wishes.never_cut.as_ref()?, wishes.last.as_ref()?);
            let both = last.globs().iter().find(|glob| never.globs().contains(glob))?;
            let message = format!("`{both}` is in `never_cut` and in `last`");
            Some((
                message,
                "what is never cut is not cut last: write it in one of them".into(),
            ))
        }
        "pair_with" => wishes.pairs.iter().find_map(|pair| {
            let kept = pair.iter().find(|symbol| covers(&wishes.never_cut, symbol));
            let late = pair.iter().filter(|symbol| covers(&wishes.last, symbol)).count();
            match kept {
                Some(kept) => {
                    let message =
                        format!("{kept} is never cut, so what it is paired with could not be cut either");
                    Some((message, "put the whole pair in `never_cut` alone".into()))
                }
                None if late > 0 && late < pair.len() => {
                    let message = format!("only a part of the pair of {} is to be last", pair.first()?);
                    Some((message, "put the whole pair in `last`, or none of it".into()))
                }
                None => None,
            }
        }),
        _ if wishes.is_pro_rata && !wishes.pairs.is_empty() => {
            let message = "`pro_rata` cuts everything in one proportion, pairs too".into();
            Some((message, "write one of `pro_rata` and `pair_with`".into()))
        }
        _ => None,
    }
}

/// Lists of symbols, each at least a pair; no symbol twice.
fn groups(node: &Node, problems: &mut Problems) -> Vec<Vec<Symbol>> {
    let hint = || "write it like pair_with = [[\"BTCUSDT\", \"ETHUSDT\"]]".to_owned();
    let Value::List(lists) = &node.value else {
        let message = format!("`pair_with` is {}, not a list of lists", node.value.noun());
        problems.error(&node.place, "wrong-kind", message, hint());
        return Vec::new();
    };
    if lists.is_empty() || lists.len() > GROUPS_MAX {
        let message = format!("`pair_with` has {} groups, not 1 to {GROUPS_MAX}", lists.len());
        problems.error(&node.place, "pair_with", message, hint());
        return Vec::new();
    }
    let mut groups: Vec<Vec<Symbol>> = Vec::new();
    for list in lists {
        if !matches!(list.value, Value::List(_)) {
            let message = format!("a group of `pair_with` is {}, not a list", list.value.noun());
            problems.error(&list.place, "wrong-kind", message, hint());
            continue;
        }
        let mut group = Vec::new();
        for (written, node) in texts(list, "pair_with", problems).unwrap_or_default() {
            let symbol = Symbol::new(written)
                .ok()
                .filter(|_| !written.contains(['*', '!']));
            match symbol {
                Some(symbol)
                    if group.contains(&symbol) || groups.iter().any(|known| known.contains(&symbol)) =>
                {
                    let message = format!("{symbol} is in `pair_with` twice");
                    problems.error(
                        &node.place,
                        "pair_with",
                        message,
                        "one contract is in one group".to_owned(),
                    );
                }
                Some(symbol) => group.push(symbol),
                None => {
                    let message = format!("`{}` is not a symbol", short(written));
                    problems.error(&node.place, "pair_with", message, hint());
                }
            }
        }
        if group.len() < 2 {
            let message = "a group of `pair_with` has at least two contracts".to_owned();
            problems.error(&list.place, "pair_with", message, hint());
        }
        groups.push(group);
    }
    groups
}

#[cfg(test)]
mod tests;
