//! One test: how the account begins, what happens, what must hold.

use super::super::fields::Fields;
use super::super::node::{Node, Problems, Value};
use super::order::need;
use super::value::{by_name, decimal, positive, share, symbol};
use super::{ByName, Expect, Step, What, expect, line_of, list, step, table};
use crate::model::{Span, Timestamp};
use rust_decimal::Decimal;
use std::collections::{BTreeMap, BTreeSet};

/// Longest test: a day of the exchange's script.
const LONGEST: Span = Span::from_secs(86_400);

/// One test.
#[derive(Clone, Debug, PartialEq)]
pub struct Script {
    /// Its name.
    pub name: String,
    /// Line in the file.
    pub line: usize,
    /// When it starts.
    pub start: Timestamp,
    /// Hedge mode instead of one-way.
    pub hedge: bool,
    /// Multi-assets mode.
    pub multi_assets: bool,
    /// Wallets by asset.
    pub wallet: ByName,
    /// Fee of every fill, as a share of its value; zero unless it is said, so that sums come out round.
    pub fee: Decimal,
    /// Positions at the start.
    pub positions: Vec<Holding>,
    /// First prices.
    pub marks: ByName,
    /// Rules that differ from the usual ones.
    pub instruments: BTreeMap<String, Rules>,
    /// What happens, in order of time and then of the file.
    pub steps: Vec<Step>,
    /// What must hold, in the same order.
    pub expects: Vec<Expect>,
}

/// A position at the start.
#[derive(Clone, Debug, PartialEq)]
pub struct Holding {
    /// Contract.
    pub symbol: String,
    /// `BOTH`, `LONG` or `SHORT`.
    pub side: String,
    /// Signed quantity.
    pub quantity: Decimal,
    /// Entry price.
    pub entry: Decimal,
    /// Wallet of an isolated position; `None` is cross.
    pub isolated_wallet: Option<Decimal>,
    /// Leverage setting.
    pub leverage: u32,
}

/// Rules of a contract that differ from the usual ones.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    /// Price step.
    pub tick: Option<Decimal>,
    /// Quantity step.
    pub step: Option<Decimal>,
    /// Least value of an opening order.
    pub min_notional: Option<Decimal>,
    /// Most of one market order.
    pub market_max: Option<Decimal>,
    /// Maintenance tiers: up to this value, at this rate.
    pub tiers: Option<Vec<(Decimal, Decimal)>>,
}

pub(super) fn read(
    node: &Node,
    ids: &BTreeSet<&str>,
    names: &mut BTreeSet<String>,
    problems: &mut Problems,
) -> Option<Script> {
    let mut fields = Fields::new(table(node, "a test", problems)?, node.place.clone(), "this test");
    let line = line_of(node, problems);
    need(&mut fields, "name", problems);
    let name = fields.text("name", problems).unwrap_or("").to_owned();
    if let (false, Some(node)) = (names.insert(name.clone()), fields.get("name")) {
        let message = "another test above has this name".to_owned();
        problems.error(&node.place, "name", message, None);
    }
    fields.what = format!("test `{}`", super::super::fields::short(&name));
    let start = start(&mut fields, problems);
    let (hedge, multi_assets, wallet) = account(&mut fields, problems).unwrap_or_default();
    let fee = match fields.get("fee") {
        Some(node) => share(node, "fee", problems)?,
        None => Decimal::ZERO,
    };
    let mut marks = match fields.get("marks") {
        Some(node) => by_name(node, "marks", problems, positive).unwrap_or_default(),
        None => ByName::new(),
    };
    let positions = list(&mut fields, "positions", problems)
        .iter()
        .filter_map(|node| holding(node, hedge, &mut marks, problems))
        .collect();
    let instruments = instruments(&mut fields, problems);
    let step_nodes = list(&mut fields, "steps", problems);
    let steps: Vec<Step> = step_nodes
        .iter()
        .filter_map(|node| step::read(node, problems))
        .collect();
    let mut expects: Vec<Expect> = list(&mut fields, "expect", problems)
        .iter()
        .filter_map(|node| expect::read(node, ids, problems))
        .collect();
    fields.finish(problems, |_| None);
    if steps.len() == step_nodes.len() {
        check_steps(&steps, step_nodes, &marks, problems);
    }
    let mut steps = steps;
    steps.sort_by_key(|step| step.at);
    expects.sort_by_key(|expect| expect.at);
    let last = steps.last().map(|step| step.at).max(expects.last().map(|e| e.at));
    if last.is_some_and(|last| LONGEST < last) {
        let message = "this test is longer than a day".to_owned();
        problems.error(
            &node.place,
            "duration",
            message,
            "start later, or split it".to_owned(),
        );
    }
    Some(Script {
        name,
        line,
        start: start?,
        hedge,
        multi_assets,
        wallet,
        fee,
        positions,
        marks,
        instruments,
        steps,
        expects,
    })
}

fn start(fields: &mut Fields<'_>, problems: &mut Problems) -> Option<Timestamp> {
    let node = need(fields, "start", problems)?;
    let written = fields.text("start", problems)?;
    let read: Option<jiff::Timestamp> = written.parse().ok();
    if read.is_none_or(|at| at.as_millisecond() % 1_000 != 0 || at.as_millisecond() <= 0) {
        let message = format!("`{}` is not a start", super::super::fields::short(written));
        let hint = "write it in UTC, in whole seconds: \"2026-03-29T00:55:00Z\"".to_owned();
        problems.error(&node.place, "start", message, hint);
        return None;
    }
    read.map(|at| Timestamp::from_ms(at.as_millisecond()))
}

fn account(fields: &mut Fields<'_>, problems: &mut Problems) -> Option<(bool, bool, ByName)> {
    let node = need(fields, "account", problems)?;
    let mut inner = Fields::new(
        table(node, "`account`", problems)?,
        node.place.clone(),
        "`account`",
    );
    let words = [("one_way", false), ("hedge", true)];
    let hedge = inner.choice("position_mode", &words, problems).unwrap_or(false);
    let multi = inner.flag("multi_assets", false, problems).unwrap_or(false);
    let wallet = need(&mut inner, "wallet", problems)
        .and_then(|node| by_name(node, "wallet", problems, decimal))
        .unwrap_or_default();
    inner.finish(problems, |_| None);
    Some((hedge, multi, wallet))
}

fn holding(node: &Node, hedge: bool, marks: &mut ByName, problems: &mut Problems) -> Option<Holding> {
    let what = "this position";
    let mut fields = Fields::new(table(node, what, problems)?, node.place.clone(), what);
    let named = need(&mut fields, "symbol", problems).and_then(|node| symbol(node, "symbol", problems));
    let quantity =
        need(&mut fields, "quantity", problems).and_then(|node| decimal(node, "quantity", problems));
    let entry =
        need(&mut fields, "entry_price", problems).and_then(|node| positive(node, "entry_price", problems));
    let mark = fields
        .get("mark_price")
        .and_then(|node| positive(node, "mark_price", problems));
    let isolated_wallet = fields
        .get("isolated_wallet")
        .and_then(|node| positive(node, "isolated_wallet", problems));
    let leverage = match fields.get("leverage").map(|node| (&node.value, node)) {
        None => 20,
        Some((Value::Whole(times @ 1..=125), _)) => u32::try_from(*times).unwrap_or(20),
        Some((_, node)) => {
            let message = "`leverage` is not 1 to 125".to_owned();
            problems.error(&node.place, "number", message, None);
            20
        }
    };
    fields.finish(problems, |_| None);
    let (symbol, quantity, entry) = (named?, quantity?, entry?);
    let side = match (hedge, quantity.is_sign_negative()) {
        (false, _) => "BOTH",
        (true, false) => "LONG",
        (true, true) => "SHORT",
    };
    match mark {
        Some(mark) => drop(marks.insert(symbol.clone(), mark)),
        None => drop(marks.entry(symbol.clone()).or_insert(entry)),
    }
    Some(Holding {
        symbol,
        side: side.to_owned(),
        quantity,
        entry,
        isolated_wallet,
        leverage,
    })
}

fn instruments(fields: &mut Fields<'_>, problems: &mut Problems) -> BTreeMap<String, Rules> {
    let mut all = BTreeMap::new();
    let Some(node) = fields.get("instruments") else {
        return all;
    };
    for (symbol, node) in table(node, "`instruments`", problems).into_iter().flatten() {
        let what = format!("the rules of {symbol}");
        let Some(written) = table(node, &what, problems) else {
            continue;
        };
        let mut fields = Fields::new(written, node.place.clone(), what);
        let mut number =
            |name: &'static str| fields.get(name).and_then(|node| positive(node, name, problems));
        let mut rules = Rules {
            tick: number("tick"),
            step: number("step"),
            min_notional: number("min_notional"),
            market_max: number("market_max"),
            tiers: None,
        };
        let tiers: Vec<(Decimal, Decimal)> = list(&mut fields, "tiers", problems)
            .iter()
            .filter_map(|node| tier(node, problems))
            .collect();
        rules.tiers = (!tiers.is_empty()).then_some(tiers);
        fields.finish(problems, |_| None);
        all.insert(symbol.clone(), rules);
    }
    all
}

fn tier(node: &Node, problems: &mut Problems) -> Option<(Decimal, Decimal)> {
    if let Value::List(pair) = &node.value
        && let [cap, rate] = pair.as_slice()
    {
        return positive(cap, "cap", problems).zip(share(rate, "rate", problems));
    }
    let message = "a tier is a pair of value and rate".to_owned();
    let hint = "tiers = [[\"50000\", \"0.4%\"], [\"250000\", \"0.5%\"]]".to_owned();
    problems.error(&node.place, "tier", message, hint);
    None
}

/// Every contract needs a first price, and no price is told while another moves.
fn check_steps(steps: &[Step], nodes: &[Node], marks: &ByName, problems: &mut Problems) {
    let mut moving: Vec<(&String, Span, Span)> = Vec::new();
    for (step, node) in steps.iter().zip(nodes) {
        let named: Vec<&String> = match &step.what {
            What::Mark(prices) | What::Ramp(prices, _) | What::Funding(prices) => prices.keys().collect(),
            What::Fill(order) | What::Order(order) => vec![&order.symbol],
            What::Cancel { symbol, .. } | What::Adl { symbol, .. } => vec![symbol],
            What::MarginCall(symbols) => symbols.iter().collect(),
            What::Settle(symbol) | What::Halt(symbol) | What::Resume(symbol) => vec![symbol],
            _ => Vec::new(),
        };
        for symbol in named.iter().filter(|symbol| !marks.contains_key(**symbol)) {
            let message = format!("{symbol} has no price at the start");
            let hint = format!("give it one: marks = {{ {symbol} = \"...\" }}");
            problems.error(&node.place, "price", message, hint);
        }
        let (from, until) = match &step.what {
            What::Mark(_) => (step.at, step.at),
            What::Ramp(_, span) => (step.at, Span::from_ms(step.at.ms() + span.ms())),
            _ => continue,
        };
        for symbol in named {
            let meets = |(other, began, ended): &(&String, Span, Span)| {
                *other == symbol && from < *ended && *began < until.max(Span::from_ms(from.ms() + 1))
            };
            if moving.iter().any(meets) {
                let message = format!("the price of {symbol} is on its way already");
                let hint = "let the `ramp` end first".to_owned();
                problems.error(&node.place, "price", message, hint);
            }
            moving.push((symbol, from, until));
        }
    }
}
