//! What was expected against what was found, clause by clause.

use crate::config::trial::{ByName, Expect, Number, OrderPattern};
use crate::guard::{Decision, Guard};
use crate::policy::Amount;
use crate::policy::envelope::{Policy, RungState};
use crate::replay::lines::{OrderLine, decision_lines};
use crate::sim::Report;
use rust_decimal::Decimal;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A clause of an expectation that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Clause {
    /// Its key in the file; `step` and `invariant` for what is not an expectation.
    pub clause: &'static str,
    /// What was expected.
    pub expected: String,
    /// What was found.
    pub found: String,
}

/// Where one policy stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Standing {
    /// The policy.
    pub policy: String,
    /// Its state.
    pub state: &'static str,
    /// Its highest rung in force.
    pub rung: Option<&'static str>,
    /// Its largest measurement, as people read it.
    pub value: Option<String>,
    /// The arithmetic.
    pub why: String,
    #[serde(skip)]
    measured: Option<Amount>,
    #[serde(skip)]
    levels: BTreeSet<u8>,
}

/// What happened since the expectations of an earlier instant.
#[derive(Clone, Debug, Default)]
pub struct Window {
    /// Severities of the rungs that tripped or acted, by policy.
    levels: BTreeMap<String, BTreeSet<u8>>,
    /// What was asked of the venue, and by which policy.
    sent: Vec<(String, OrderLine)>,
    /// What fired, in words.
    fired: Vec<String>,
}

/// Where everything stands at the end of an instant.
#[derive(Debug)]
pub struct Found<'a> {
    /// The policies; none while no guard runs.
    pub standings: &'a [Standing],
    /// The account, by the guard.
    pub account_state: &'static str,
    /// What happened since.
    pub window: &'a Window,
    /// The exchange's own account.
    pub report: &'a Report,
}

impl Window {
    /// Follows a decision.
    pub fn follow(&mut self, decision: &Decision) {
        for line in decision_lines("", decision) {
            if let (Some(rung), "tripped" | "latched") = (&line.rung, line.state.as_str()) {
                let levels = self.levels.entry(line.policy.clone()).or_default();
                levels.insert(level_of(rung));
                let value = line.value.map_or(String::new(), |value| format!(" at {value}"));
                self.fired
                    .push(format!("{} {rung} {}{value}", line.policy, line.state));
            }
            self.sent
                .extend(line.orders.into_iter().map(|order| (line.policy.clone(), order)));
        }
    }
}

/// Where the policies of a guard stand.
pub fn standings(guard: &Guard) -> Vec<Standing> {
    let all = guard.policies().iter().map(|policy| {
        let (state, worst) = policy.state();
        let values = policy
            .tracks
            .iter()
            .filter_map(|(scope, track)| Some((scope, track.measured.value()?)));
        let largest = values.max_by_key(|(_, value)| value.number());
        let scope = worst
            .map(|(scope, _)| scope)
            .or(largest.map(|(scope, _)| scope))
            .or(policy.tracks.keys().next());
        let highest = policy
            .tracks
            .values()
            .filter_map(|track| policy.spec.ladder.get(track.highest()?))
            .max_by_key(|rung| rung.action.level());
        Standing {
            policy: policy.spec.id.clone(),
            state: state.word(),
            rung: highest.map(|rung| rung.action.name()),
            value: largest.map(|(_, value)| value.to_string()),
            why: scope.map_or("nothing to measure".to_owned(), |scope| {
                policy.explain(guard.book(), scope)
            }),
            measured: largest.map(|(_, value)| value),
            levels: in_force(policy),
        }
    });
    all.collect()
}

/// Severities of the rungs in force.
fn in_force(policy: &Policy) -> BTreeSet<u8> {
    let tracks = policy.tracks.values();
    let rungs = tracks.flat_map(|track| track.rungs.iter().zip(&policy.spec.ladder));
    let tripped = rungs.filter(|(state, _)| matches!(state, RungState::Tripped(_)));
    tripped.map(|(_, rung)| rung.action.level()).collect()
}

/// The clauses that do not hold; none when all do.
pub fn judge(expect: &Expect, found: &Found<'_>) -> Vec<Clause> {
    let mut wrong = Vec::new();
    let mut demand = |clause: &'static str, expected: &str, got: String| {
        if expected != got {
            wrong.push(Clause {
                clause,
                expected: expected.to_owned(),
                found: got,
            });
        }
    };
    if let Some(expected) = &expect.account_state {
        demand("account_state", expected, found.account_state.to_owned());
    }
    let standing = found
        .standings
        .iter()
        .find(|standing| Some(&standing.policy) == expect.policy.as_ref());
    if let Some(expected) = &expect.state {
        demand(
            "state",
            expected,
            standing.map_or("no guard", |standing| standing.state).to_owned(),
        );
    }
    let mut levels = standing.map_or_else(BTreeSet::new, |standing| standing.levels.clone());
    let tripped = expect
        .policy
        .as_ref()
        .and_then(|policy| found.window.levels.get(policy));
    levels.extend(tripped.into_iter().flatten());
    if let Some(expected) = &expect.rung {
        demand(
            "rung",
            expected,
            rung_of(levels.last().copied().unwrap_or(0)).to_owned(),
        );
    }
    if let Some(expected) = &expect.rungs {
        let got: Vec<&str> = levels.iter().map(|level| rung_of(*level)).collect();
        demand("rungs", &expected.join(", "), got.join(", "));
    }
    if let Some(expected) = &expect.value {
        let measured = standing.and_then(|standing| standing.measured);
        let holds = measured
            .map(in_unit)
            .is_some_and(|(number, unit)| unit == expected.unit && expected.is(number));
        let got = measured.map_or("unknown".to_owned(), exactly);
        demand(
            "value",
            &expected.written,
            if holds { expected.written.clone() } else { got },
        );
    }
    if let Some(patterns) = &expect.orders {
        let of_policy = |policy: &String| expect.policy.as_ref().is_none_or(|wanted| wanted == policy);
        let sent = found.window.sent.iter().filter(|(policy, _)| of_policy(policy));
        let sent: Vec<&OrderLine> = sent.map(|(_, order)| order).collect();
        if !fits(patterns, &sent) {
            let expected: Vec<String> = patterns.iter().map(pattern_text).collect();
            let got: Vec<String> = sent.iter().map(|order| order_text(order)).collect();
            demand("orders", &texts(&expected), texts(&got));
        }
    }
    if expect.nothing {
        let mut fired = found.window.fired.clone();
        fired.extend(
            found
                .window
                .sent
                .iter()
                .map(|(policy, order)| format!("{policy} sent {}", order_text(order))),
        );
        demand("nothing", "nothing", texts(&fired));
    }
    positions(&expect.position, found.report, &mut wrong);
    if let Some(expected) = &expect.equity {
        number("equity", expected, found.report.equity, &mut wrong);
    }
    let open = found.report.open_orders + found.report.open_algo_orders;
    if let Some(expected) = expect.open_orders.filter(|expected| *expected != open) {
        wrong.push(Clause {
            clause: "open_orders",
            expected: expected.to_string(),
            found: open.to_string(),
        });
    }
    wrong
}

fn positions(expected: &ByName, report: &Report, wrong: &mut Vec<Clause>) {
    for (leg, amount) in expected {
        let held = report.positions.get(leg).copied().unwrap_or_default();
        if held != *amount {
            wrong.push(Clause {
                clause: "position",
                expected: format!("{} {leg}", amount.normalize()),
                found: format!("{} {leg}", held.normalize()),
            });
        }
    }
}

fn number(clause: &'static str, expected: &Number, found: Decimal, wrong: &mut Vec<Clause>) {
    if !expected.is(found) {
        wrong.push(Clause {
            clause,
            expected: expected.written.clone(),
            found: found.normalize().to_string(),
        });
    }
}

/// A measurement in the unit that people write.
fn in_unit(amount: Amount) -> (Decimal, &'static str) {
    match amount {
        Amount::Ratio(ratio) => (ratio.decimal() * Decimal::ONE_HUNDRED, "%"),
        Amount::Multiple(times) => (times.decimal(), "x"),
        Amount::Time(_) => (amount.number(), "s"),
        Amount::Money(_) | Amount::Quantity(_) | Amount::Count(_) => (amount.number(), ""),
    }
}

fn exactly(amount: Amount) -> String {
    let (number, unit) = in_unit(amount);
    format!("{}{unit}", number.round_dp(8).normalize())
}

/// Whether the patterns and the orders fit one to one, in any order.
fn fits(patterns: &[OrderPattern], sent: &[&OrderLine]) -> bool {
    let Some((first, rest)) = patterns.split_first() else {
        return sent.is_empty();
    };
    if patterns.len() != sent.len() {
        return false;
    }
    (0..sent.len()).any(|index| {
        let mut left = sent.to_vec();
        matches(first, left.remove(index)) && fits(rest, &left)
    })
}

fn matches(pattern: &OrderPattern, order: &OrderLine) -> bool {
    let same = |wanted: &Option<String>, got: Option<&String>| wanted.is_none() || wanted.as_ref() == got;
    let quantity = order
        .quantity
        .as_ref()
        .and_then(|text| text.parse::<Decimal>().ok());
    same(&pattern.kind, Some(&order.kind))
        && same(&pattern.symbol, Some(&order.symbol))
        && same(&pattern.side, order.side.as_ref())
        && same(&pattern.position_side, order.position_side.as_ref())
        && (pattern.quantity.is_none() || pattern.quantity == quantity)
}

fn pattern_text(pattern: &OrderPattern) -> String {
    let quantity = pattern.quantity.map(|quantity| quantity.normalize().to_string());
    let parts = [
        &pattern.kind,
        &pattern.side,
        &quantity,
        &pattern.symbol,
        &pattern.position_side,
    ];
    let parts: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
    parts.join(" ")
}

/// A request in words.
pub fn order_text(order: &OrderLine) -> String {
    let id = order.order_id.map(|id| id.to_string());
    let side = order
        .position_side
        .as_ref()
        .filter(|side| *side != "BOTH")
        .cloned();
    let parts = [
        Some(&order.kind),
        order.side.as_ref(),
        order.quantity.as_ref(),
        id.as_ref(),
        Some(&order.symbol),
        side.as_ref(),
    ];
    let parts: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
    parts.join(" ")
}

fn texts(all: &[String]) -> String {
    if all.is_empty() {
        "nothing".to_owned()
    } else {
        all.join("; ")
    }
}

fn level_of(rung: &str) -> u8 {
    match rung {
        "alert" => 1,
        "block" => 2,
        "reduce" => 3,
        "flatten" => 4,
        _ => 0,
    }
}

fn rung_of(level: u8) -> &'static str {
    match level {
        1 => "alert",
        2 => "block",
        3 => "reduce",
        4 => "flatten",
        _ => "none",
    }
}
