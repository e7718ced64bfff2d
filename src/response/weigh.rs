//! A cut beside what else could be done, with the costs, for people.

use super::cut::{Aim, Bound, LeastCut, Problem, Wish};
use crate::model::{Money, Ratio};
use crate::policy::Amount;
use std::fmt;

/// What a cut costs beside what else could be done, in the currency of the bucket.
#[derive(Clone, Debug, PartialEq)]
pub struct Reasoning {
    /// What the guard does.
    pub plan: Weighed,
    /// The aim that decides how much is closed, in words; `None` when nothing has to be.
    pub bound: Option<String>,
    /// What else could be done.
    pub others: Vec<Weighed>,
    /// The collateral that would do instead; `None` when nothing is missing.
    pub top_up: Option<Money>,
}

/// A way to cut, and what comes of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Weighed {
    /// What, in words.
    pub what: &'static str,
    /// What it costs.
    pub cost: Money,
    /// Whether it reaches every aim.
    pub is_reached: bool,
    /// Ratio and distance after it, when they were asked for; no ratio when no balance is left.
    pub after: Option<(Option<Ratio>, Ratio)>,
}

impl Reasoning {
    /// Weighs a cut. What comes after each way is counted when `is_thorough`: nothing is decided by it, and it takes time.
    pub fn of(problem: &Problem<'_>, cut: &LeastCut, is_thorough: bool) -> Reasoning {
        let weigh = |what: &'static str, cut: &LeastCut| Weighed {
            what,
            cost: cut.cost,
            is_reached: cut.is_reached,
            after: is_thorough.then(|| {
                let after = problem.after(cut);
                (after.ratio(), after.distance().by)
            }),
        };
        let mut others: Vec<(&'static str, LeastCut)> = Vec::new();
        if let Aim {
            ratio: Some(ratio),
            distance: Some(distance),
        } = problem.aim
        {
            for (what, ratio, distance) in [
                ("for the ratio alone", Some(ratio), None),
                ("for the distance alone", None, Some(distance)),
            ] {
                let alone = Problem {
                    aim: Aim { ratio, distance },
                    ..problem.clone()
                };
                let cut = alone.least_cut();
                let is_reached = problem.reaches(&cut);
                others.push((what, LeastCut { is_reached, ..cut }));
            }
        }
        let free = problem
            .pieces
            .iter()
            .enumerate()
            .filter(|(_, piece)| piece.wish != Wish::Never);
        if let Some((largest, _)) = free.max_by_key(|(_, piece)| piece.held.notional) {
            others.push(("from the largest position", problem.in_order(&[largest])));
        }
        others.push(("everything", problem.everything()));
        others.retain(|(_, other)| !is_alike(other, cut));
        Reasoning {
            plan: weigh("as planned", cut),
            bound: cut.bound.map(|bound| match bound {
                Bound::Ratio => "the margin ratio".into(),
                Bound::Distance(scenario) => {
                    format!("the distance in {}", problem.after(cut).words(scenario))
                }
            }),
            others: others.iter().map(|(what, other)| weigh(what, other)).collect(),
            top_up: problem.top_up(),
        }
    }
}

/// Whether two cuts are the same to the cent.
fn is_alike(one: &LeastCut, other: &LeastCut) -> bool {
    let mut pairs = one.notionals.iter().zip(&other.notionals);
    pairs.all(|(one, other)| (*one - *other).abs() <= Money::CENT)
}

impl fmt::Display for Reasoning {
    /// `closing costs 27.86, as much as the margin ratio asks; instead: everything for 148.4; or add 1365`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "closing costs {}", Amount::Money(self.plan.cost))?;
        if let Some(bound) = &self.bound {
            let word = if self.plan.is_reached {
                "as much as"
            } else {
                "and is not enough for what"
            };
            write!(f, ", {word} {bound} asks")?;
        }
        for (index, other) in self.others.iter().enumerate() {
            let start = if index == 0 { "; instead:" } else { "," };
            write!(f, "{start} {other}")?;
        }
        match self.top_up {
            Some(top_up) => write!(f, "; or add {}", Amount::Money(top_up)),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Weighed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} for {}", self.what, Amount::Money(self.cost))?;
        if !self.is_reached {
            f.write_str(" (not enough)")?;
        }
        match self.after {
            Some((Some(ratio), distance)) => {
                write!(f, " → ratio {}, distance {}", ratio.percent(), distance.percent())
            }
            Some((None, _)) => f.write_str(" → no balance left"),
            None => Ok(()),
        }
    }
}
