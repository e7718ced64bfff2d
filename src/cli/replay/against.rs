//! `backstop replay --against`: where two sets of policies part, and what the account would have been.

use super::progress::Progress;
use super::show;
use crate::book::{Book, CURRENCY};
use crate::model::{Money, Timestamp};
use crate::policy::PolicySet;
use crate::replay::lines::DecisionLine;
use crate::replay::recording::{self, RecordingError};
use crate::replay::report::{Section, Watch};
use crate::replay::told::Told;
use crate::replay::whatif::{self, Difference};
use crate::replay::words::{MODEL, closed_words, open, open_words, rounded, worst_words};
use crate::replay::world::World;
use anstream::println;
use serde::Serialize;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;

/// Differences that are printed as text: more than anybody reads. `--json` prints all.
const SHOWN_MAX: u64 = 200;
/// What the sides are called in text and in JSON.
const SIDES: [(&str, &str); 2] = [("A", "policies"), ("B", "against")];

/// One side at the end.
#[derive(Serialize)]
struct Fared {
    decisions: u64,
    equity: Option<String>,
    lowest_equity: Option<String>,
    lowest_at: Option<i64>,
    worst_margin_ratio: Option<String>,
    closed: Vec<ClosedLine>,
    open: Option<Vec<String>>,
}

#[derive(Serialize)]
struct ClosedLine {
    leg: String,
    quantity: String,
    notional: String,
    cost: String,
    recorded: String,
}

#[derive(Serialize)]
struct OnlyLine<'a> {
    recording: &'a str,
    only: &'a str,
    decision: &'a DecisionLine,
}

#[derive(Serialize)]
struct SumLine<'a> {
    recording: &'a str,
    parts_at: Option<i64>,
    only: [u64; 2],
    recorded_equity: Option<String>,
    policies: Fared,
    against: Fared,
    modelled: String,
}

/// Compares one recording; tells whether the sides part in it.
///
/// # Errors
///
/// [`RecordingError`] when the recording cannot be read.
pub fn compare(
    path: &Path,
    sides: [(&str, &PolicySet); 2],
    json: bool,
    has_report: bool,
) -> Result<(Option<Section>, bool), RecordingError> {
    let name = path.display().to_string();
    let told = read_ahead(path)?;
    let (header, entries) = recording::read(path)?;
    let watch = has_report.then(|| Watch::new(told.between.unwrap_or_default(), true));
    let watch = RefCell::new(watch);
    if !json {
        println!("{name}: account {} on {}", header.account, header.venue);
        for ((letter, _), (file, _)) in SIDES.iter().zip(sides) {
            println!("  {letter}  {file}");
        }
    }
    let progress = RefCell::new(Progress::new(Some(told.lines)));
    let mut only = [0_u64; 2];
    let mut parts_at = None;
    let mut recorded = None;
    let mut told_of = |difference: &Difference| {
        parts_at.get_or_insert(difference.line.at);
        if let Some(count) = only.get_mut(difference.side) {
            *count += 1;
        }
        let shown: u64 = only.iter().sum();
        progress.borrow().aside(|| tell(&name, difference, json, shown));
        if let Some(watch) = watch.borrow_mut().as_mut() {
            watch.differs(difference);
        }
    };
    let worlds = whatif::play(
        &header,
        entries,
        &told,
        &sides.map(|(_, set)| set.clone()),
        |_| progress.borrow_mut().line(),
        |side, step| {
            if let Ok(equity) = step.apart.recorded().equity() {
                recorded = Some(equity);
            }
            if let Some(watch) = watch.borrow_mut().as_mut() {
                watch.step(side, step);
            }
        },
        &mut told_of,
    );
    progress.into_inner().end();
    let worlds = worlds?;
    if json {
        let [policies, against] = [0, 1].map(|side| fared(worlds.get(side)));
        let line = SumLine {
            recording: &name,
            parts_at,
            only,
            recorded_equity: recorded.map(|money: Money| money.to_string()),
            policies,
            against,
            modelled: MODEL.join(" "),
        };
        println!("{}", serde_json::to_string(&line).unwrap_or_default());
    } else {
        conclude(parts_at, only);
        let end = worlds.first().map(|world| world.apart().recorded());
        table(&worlds, recorded, end);
    }
    let section = watch.into_inner().map(|watch| Section {
        name,
        header,
        watch,
        worlds,
    });
    Ok((section, parts_at.is_some()))
}

/// What a report shows of one recording under one set of policies.
///
/// # Errors
///
/// [`RecordingError`] when the recording cannot be read.
pub fn watched(path: &Path, set: &PolicySet) -> Result<Section, RecordingError> {
    let told = read_ahead(path)?;
    let (header, entries) = recording::read(path)?;
    let mut watch = Watch::new(told.between.unwrap_or_default(), false);
    let mut progress = Progress::new(Some(told.lines));
    let worlds = whatif::play(
        &header,
        entries,
        &told,
        std::slice::from_ref(set),
        |_| progress.line(),
        |side, step| watch.step(side, step),
        |_| {},
    );
    progress.end();
    Ok(Section {
        name: path.display().to_string(),
        header,
        watch,
        worlds: worlds?,
    })
}

/// Reads a recording for what it tells of orders.
fn read_ahead(path: &Path) -> Result<Told, RecordingError> {
    let mut progress = Progress::new(None);
    let told = Told::of(recording::read(path)?.1, || progress.line());
    progress.end();
    told
}

fn tell(name: &str, difference: &Difference, json: bool, shown: u64) {
    let (letter, word) = SIDES.get(difference.side).copied().unwrap_or(("?", "?"));
    if json {
        let line = OnlyLine {
            recording: name,
            only: word,
            decision: &difference.line,
        };
        println!("{}", serde_json::to_string(&line).unwrap_or_default());
    } else if shown <= SHOWN_MAX {
        println!("only {letter}");
        show(false, &difference.line);
    }
}

fn conclude(parts_at: Option<i64>, only: [u64; 2]) {
    let Some(at) = parts_at else {
        return println!("A and B decide the same, to the end");
    };
    let shown: u64 = only.iter().sum();
    if shown > SHOWN_MAX {
        println!("… and {} more; --json prints all", shown - SHOWN_MAX);
    }
    let at = Timestamp::from_ms(at);
    let [a, b] = only;
    println!("A and B part at {at}: {a} decisions only of A, {b} only of B");
}

/// What was closed and what the account would have been, side by side.
fn table(worlds: &[World], recorded: Option<Money>, end: Option<&Book>) {
    let money = |money: Option<Money>| money.map_or("unknown".into(), rounded);
    let row = |what: &str, recorded: String, of: &dyn Fn(&World) -> String| {
        let [a, b] = [0, 1].map(|side| worlds.get(side).map_or(String::new(), of));
        [what.to_owned(), recorded, a, b]
    };
    let heads = ["", "recorded", "A, modelled", "B, modelled"].map(str::to_owned);
    let mut rows = vec![heads];
    let legs: BTreeSet<_> = worlds
        .iter()
        .flat_map(|world| world.apart().closed().keys())
        .collect();
    for leg in legs {
        rows.push(row(&format!("closed of {leg}"), String::new(), &|world| {
            let closed = world.apart().closed().get(leg);
            closed.map_or("nothing".into(), closed_words)
        }));
    }
    rows.push(row(&format!("equity, {CURRENCY}"), money(recorded), &|world| {
        money(world.sums().equity)
    }));
    rows.push(row("lowest equity", String::new(), &|world| {
        money(world.sums().lowest.map(|(lowest, _)| lowest))
    }));
    rows.push(row("worst margin ratio", String::new(), &|world| {
        worst_words(world.sums().worst)
    }));
    let open = end.map_or(String::new(), open_words);
    rows.push(row("open at the end", open, &|world| {
        world
            .guard()
            .map_or(String::new(), |guard| open_words(guard.book()))
    }));
    let widths: Vec<usize> = (0..4)
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    println!();
    for row in &rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        println!("{}", format!("  {}", cells.join("   ")).trim_end());
    }
    println!();
    for line in MODEL {
        println!("{line}");
    }
    println!();
}

fn fared(world: Option<&World>) -> Fared {
    let sums = world.map(World::sums).cloned().unwrap_or_default();
    let closed = world
        .map(|world| world.apart().closed().clone())
        .unwrap_or_default();
    Fared {
        decisions: sums.decisions,
        equity: sums.equity.map(|money| money.to_string()),
        lowest_equity: sums.lowest.map(|(money, _)| money.to_string()),
        lowest_at: sums.lowest.map(|(_, at)| at.ms()),
        worst_margin_ratio: sums
            .worst
            .map(|(ratio, _)| ratio.map_or("beyond".into(), |ratio| ratio.to_string())),
        closed: closed
            .iter()
            .map(|(leg, closed)| ClosedLine {
                leg: leg.to_string(),
                quantity: closed.qty.to_string(),
                notional: closed.notional.to_string(),
                cost: closed.cost.to_string(),
                recorded: closed.recorded.to_string(),
            })
            .collect(),
        open: world.and_then(World::guard).and_then(|guard| open(guard.book())),
    }
}
