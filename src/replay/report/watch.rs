//! What a report remembers of a what-if while it plays.

use super::chart::{Chart, Line, Look, Unit};
use super::series::Series;
use crate::book::{Book, CURRENCY};
use crate::model::{Leg, Money, Ratio};
use crate::policy::envelope::Policy;
use crate::policy::{Amount, Kind, Rung};
use crate::replay::lines::DecisionLine;
use crate::replay::whatif::Difference;
use crate::replay::world::{Stepped, worst_ratio};
use rust_decimal::Decimal;
use std::collections::BTreeMap;

/// Decisions on a page: more than anybody reads. How many are left out is said.
pub const DECISIONS_MAX: usize = 400;
/// Positions that have a picture of their own.
const LEGS_MAX: usize = 12;
/// Margin ratios above this are cut off: the account is gone by then.
const RATIO_CAP: Decimal = Decimal::from_parts(12, 0, 0, false, 1);

/// One decision on the page.
#[derive(Clone, Debug)]
pub struct Row {
    /// Which side decided it, from 0.
    pub side: usize,
    /// Whether the other side did not.
    pub is_only: bool,
    /// What.
    pub line: DecisionLine,
}

/// What is remembered.
pub struct Watch {
    between: (i64, i64),
    has_other: bool,
    recorded: Series,
    sides: [Side; 2],
    marks: BTreeMap<String, Series>,
    floors: BTreeMap<(String, usize), (u8, String, Series)>,
    thresholds: BTreeMap<(String, usize), (u8, String, Series)>,
    rows: Vec<Row>,
    left_out: u64,
}

/// What is remembered of a side.
struct Side {
    equity: Series,
    ratio: Series,
    distance: Series,
    positions: BTreeMap<Leg, Series>,
}

impl Watch {
    /// Between two moments, Unix ms, with or without policies to compare with.
    pub fn new(between: (i64, i64), has_other: bool) -> Watch {
        let side = || Side {
            equity: Series::new(between),
            ratio: Series::new(between),
            distance: Series::new(between),
            positions: BTreeMap::new(),
        };
        Watch {
            between,
            has_other,
            recorded: Series::new(between),
            sides: [side(), side()],
            marks: BTreeMap::new(),
            floors: BTreeMap::new(),
            thresholds: BTreeMap::new(),
            rows: Vec::new(),
            left_out: 0,
        }
    }

    /// From when to when, Unix ms.
    pub fn between(&self) -> (i64, i64) {
        self.between
    }

    /// The decisions, by time.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The last known equity as recorded, in words.
    pub fn recorded_equity(&self) -> String {
        let last = self.recorded.last().map(|last| last.round_dp(2).normalize());
        last.map_or("unknown".into(), |last| last.to_string())
    }

    /// How many decisions are not on the page.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// A step of a side.
    pub fn step(&mut self, number: usize, step: &Stepped<'_>) {
        let (at, book) = (step.at.ms(), step.guard.book());
        if number == 0 {
            let recorded = step.apart.recorded().equity().ok();
            self.recorded.add(at, recorded.map(Money::decimal));
            for policy in step.guard.policies() {
                self.rungs(at, policy);
            }
            for line in step.lines {
                self.row(Row {
                    side: 0,
                    is_only: false,
                    line: line.clone(),
                });
            }
        }
        let Some(side) = self.sides.get_mut(number) else {
            return;
        };
        side.equity.add(at, book.equity().ok().map(Money::decimal));
        // No balance is beyond every ratio.
        let gone = Decimal::from(100);
        let ratio = worst_ratio(book).map(|ratio| ratio.map_or(gone, Ratio::decimal));
        side.ratio.add(at, ratio);
        side.distance.add(at, distance(book).map(Ratio::decimal));
        for (leg, _) in book.positions() {
            if side.positions.len() < LEGS_MAX && !side.positions.contains_key(leg) {
                side.positions.insert(leg.clone(), Series::new(self.between));
            }
        }
        for (leg, series) in &mut side.positions {
            let amount = book.is_ready().then(|| book.amount(leg).decimal());
            series.add(at, amount);
        }
    }

    /// A decision that only one side made.
    pub fn differs(&mut self, difference: &Difference) {
        if difference.side == 0 {
            let same = |row: &&mut Row| row.side == 0 && row.line == difference.line;
            if let Some(row) = self.rows.iter_mut().rev().find(same) {
                row.is_only = true;
            }
        } else {
            self.row(Row {
                side: difference.side,
                is_only: true,
                line: difference.line.clone(),
            });
        }
    }

    fn row(&mut self, row: Row) {
        if self.rows.len() < DECISIONS_MAX {
            self.rows.push(row);
        } else {
            self.left_out += 1;
        }
    }

    /// Where the rungs of a policy lie now, for those that lie in a picture.
    fn rungs(&mut self, at: i64, policy: &Policy) {
        let (spec, memory) = (&policy.spec, &policy.memory);
        let id = &spec.id;
        let new = || Series::new(self.between);
        for (index, rung) in spec.ladder.iter().enumerate() {
            let (key, level) = ((id.clone(), index), rung.action.level());
            let name = || rung.action.name().to_owned();
            if let (Kind::MarginRatio(_), Some(Amount::Ratio(ratio))) = (&spec.kind, rung.at) {
                let entry = self.thresholds.entry(key);
                let (_, _, series) = entry.or_insert_with(|| (level, name(), new()));
                series.add(at, Some(ratio.decimal()));
            } else if let (true, Some(floor)) = (level > 1, floor(policy, rung)) {
                let entry = self.floors.entry(key);
                let (_, _, series) = entry.or_insert_with(|| (level, format!("{id} {}", name()), new()));
                series.add(at, Some(floor.decimal()));
            }
        }
        if let (Kind::Drawdown(_), Some(mark)) = (&spec.kind, memory.mark) {
            let series = self.marks.entry(id.clone()).or_insert_with(new);
            series.add(at, Some(mark.decimal()));
        }
    }

    /// The pictures, in the order in which they are read.
    pub fn charts(&self) -> Vec<Chart> {
        let [own, other] = &self.sides;
        let name = |side: usize| match (self.has_other, side) {
            (false, _) => "these policies, modelled".to_owned(),
            (true, 0) => "A, modelled".to_owned(),
            (true, _) => "B, modelled (what if)".to_owned(),
        };
        let line = |name: String, look: Look, series: &Series| Line {
            name,
            look,
            series: series.clone(),
        };
        let both = |of: &dyn Fn(&Side) -> Series| {
            let mut lines = vec![line(name(0), Look::Own, &of(own))];
            if self.has_other {
                lines.insert(0, line(name(1), Look::Other, &of(other)));
            }
            lines
        };
        let rungs = |rungs: &BTreeMap<(String, usize), (u8, String, Series)>| -> Vec<Line> {
            let lines = rungs
                .values()
                .map(|(level, name, series)| line(name.clone(), Look::Rung(*level), series));
            lines.collect()
        };
        let mut equity = rungs(&self.floors);
        for (id, series) in &self.marks {
            equity.push(line(format!("high-water mark of {id}"), Look::Mark, series));
        }
        equity.push(line("recorded".into(), Look::Recorded, &self.recorded));
        equity.extend(both(&|side| side.equity.clone()));
        let mut ratio = rungs(&self.thresholds);
        ratio.extend(both(&|side| side.ratio.clone()));
        let owner = if self.has_other { "A" } else { "these policies" };
        let mut charts = vec![
            Chart {
                title: format!("Equity, {CURRENCY}"),
                note: format!("with the high-water marks and the floors of {owner}"),
                unit: Unit::Plain,
                from_zero: false,
                cap: None,
                lines: equity,
            },
            Chart {
                title: "Margin ratio".into(),
                note: format!("maintenance margin ÷ balance; 100% is liquidation. With the rungs of {owner}"),
                unit: Unit::Percent,
                from_zero: true,
                cap: Some(RATIO_CAP),
                lines: ratio,
            },
            Chart {
                title: "Distance to liquidation".into(),
                note: "(balance − maintenance margin) ÷ size of the positions: the move against all of them, by the present tiers".into(),
                unit: Unit::Percent,
                from_zero: true,
                cap: None,
                lines: both(&|side| side.distance.clone()),
            },
        ];
        for leg in own.positions.keys().chain(other.positions.keys()) {
            let title = format!("Position in {leg}");
            if charts.iter().any(|chart| chart.title == title) {
                continue;
            }
            let of = |side: &Side| {
                let none = || Series::new(self.between);
                side.positions.get(leg).cloned().unwrap_or_else(none)
            };
            charts.push(Chart {
                title,
                note: "contract units, long is positive".into(),
                unit: Unit::Plain,
                from_zero: true,
                cap: None,
                lines: both(&of),
            });
        }
        charts
    }
}

/// The equity at which a rung trips; `None` when it is not judged by equity, or nothing is known yet.
fn floor(policy: &Policy, rung: &Rung) -> Option<Money> {
    let (mark, at) = (policy.memory.mark?, rung.at?);
    let fall = |whole: Money| match at {
        Amount::Ratio(share) => Some(whole.share(share)),
        Amount::Money(limit) => Some(limit),
        Amount::Quantity(_) | Amount::Multiple(_) | Amount::Time(_) | Amount::Count(_) => None,
    };
    match &policy.spec.kind {
        Kind::Drawdown(drawdown) => {
            let floor = mark - fall(mark)?;
            Some(drawdown.lock_floor_at.map_or(floor, |lock| floor.min(lock)))
        }
        Kind::PeriodLoss(loss) => Some(mark + policy.memory.flows - fall(loss.initial.unwrap_or(mark))?),
        _ => None,
    }
}

/// The smallest adverse move that takes a margin; `None` when it is not known, or nothing is held.
fn distance(book: &Book) -> Option<Ratio> {
    let mut least: Option<Ratio> = None;
    for bucket in book.buckets().ok()? {
        let margin = book.margin(&bucket).ok()?;
        let mut size = Money::ZERO;
        for (leg, held) in book.in_bucket(&bucket) {
            size += held.amount.notional(book.mark_price(&leg.symbol).ok()?);
        }
        let room = (margin.balance - margin.maintenance).ratio_of(size)?;
        least = Some(least.map_or(room, |least| least.min(room)));
    }
    least
}
