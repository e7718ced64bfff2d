//! The cheapest shares to take under limits that are learnt one by one.
//!
//! What is missing of an aim is convex in what is cut, so a tangent at any cut is a limit that every cut which reaches
//! the aim keeps. The cheapest point under the limits so far is a corner of them; where it does not reach an aim, its
//! tangent there is the next limit. A corner that reaches everything is therefore the cheapest cut of all.
//!
//! The corner is kept as a dictionary: every share or slack that is not zero is a sum of those that are, and no cost of
//! one that is zero is negative. A limit that is broken is repaired by the step that raises the cost the least (the dual
//! simplex method).

use crate::model::Ratio;

/// Repairs after one limit; a corner of as many shares as are allowed takes a few.
const REPAIRS_MAX: usize = 500;
/// A slack that is nearer to zero is zero: quotients end somewhere.
const NOTHING: Ratio = Ratio::ten_to_minus(18);

/// A share or slack that is not zero, as a sum of those that are.
#[derive(Clone, Debug)]
struct Row {
    name: usize,
    constant: Ratio,
    of: Vec<Ratio>,
}

/// The cheapest point under the limits so far. Names up to the count of shares are shares; the others are slacks.
#[derive(Clone, Debug)]
pub(super) struct Corner {
    shares: usize,
    costs: Vec<Ratio>,
    zero: Vec<usize>,
    rows: Vec<Row>,
}

impl Corner {
    /// Nothing is taken; what each whole would cost.
    pub(super) fn new(costs: Vec<Ratio>) -> Corner {
        Corner {
            shares: costs.len(),
            zero: (0..costs.len()).collect(),
            costs,
            rows: Vec::new(),
        }
    }

    /// The share of each, at least zero.
    pub(super) fn shares(&self) -> Vec<Ratio> {
        let share = |name| {
            let row = self.rows.iter().find(|row| row.name == name);
            row.map_or(Ratio::ZERO, |row| row.constant.max(Ratio::ZERO))
        };
        (0..self.shares).map(share).collect()
    }

    /// Learns that `weights · shares` is at least `least`, and moves to the corner that is now the cheapest. Whether there
    /// is one.
    pub(super) fn learn(&mut self, weights: &[Ratio], least: Ratio) -> bool {
        let scale = weights
            .iter()
            .map(|weight| weight.abs())
            .max()
            .filter(|most| most.is_positive());
        let Some(scale) = scale else {
            return !least.is_positive();
        };
        let scaled = |number: Ratio| number.over(scale).unwrap_or(number);
        let mut limit = Row {
            name: self
                .shares
                .saturating_add(self.rows.len())
                .saturating_add(self.zero.len()),
            constant: -scaled(least),
            of: vec![Ratio::ZERO; self.zero.len()],
        };
        for (name, weight) in weights.iter().enumerate() {
            let weight = scaled(*weight);
            if let Some(at) = self.zero.iter().position(|zero| *zero == name) {
                if let Some(of) = limit.of.get_mut(at) {
                    *of += weight;
                }
            } else if let Some(row) = self.rows.iter().find(|row| row.name == name) {
                limit.constant += weight.times(row.constant);
                for (of, more) in limit.of.iter_mut().zip(&row.of) {
                    *of += weight.times(*more);
                }
            }
        }
        self.rows.push(limit);
        self.repair()
    }

    fn repair(&mut self) -> bool {
        for _ in 0..REPAIRS_MAX {
            let broken = self.rows.iter().enumerate().min_by_key(|(_, row)| row.constant);
            let Some((at, row)) = broken.filter(|(_, row)| row.constant < -NOTHING) else {
                return true;
            };
            let steps = row.of.iter().zip(&self.costs).enumerate();
            let helping = steps.filter(|(_, (of, _))| NOTHING < **of);
            let raises = helping.filter_map(|(slot, (of, cost))| Some((cost.over(*of)?, slot)));
            let Some((_, slot)) = raises.min() else {
                return false;
            };
            if self.swap(at, slot).is_none() {
                return false;
            }
        }
        false
    }

    /// What row `at` says of its name is said of the zero in `slot` instead, everywhere.
    fn swap(&mut self, at: usize, slot: usize) -> Option<()> {
        let row = self.rows.get(at)?.clone();
        let by = row.of.get(slot).copied()?;
        let entering = self.zero.get_mut(slot)?;
        let mut fresh = Row {
            name: std::mem::replace(entering, row.name),
            constant: -(row.constant.over(by)?),
            of: Vec::with_capacity(row.of.len()),
        };
        for (other, of) in row.of.iter().enumerate() {
            fresh.of.push(if other == slot {
                Ratio::ONE.over(by)?
            } else {
                -(of.over(by)?)
            });
        }
        let replace = |of: &mut Vec<Ratio>| {
            let weight = of.get_mut(slot).map_or(Ratio::ZERO, std::mem::take);
            for (of, more) in of.iter_mut().zip(&fresh.of) {
                *of += weight.times(*more);
            }
            weight
        };
        for other in &mut self.rows {
            let weight = replace(&mut other.of);
            other.constant += weight.times(fresh.constant);
        }
        replace(&mut self.costs);
        *self.rows.get_mut(at)? = fresh;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn r(text: &str) -> Ratio {
        text.parse().unwrap()
    }

    #[test]
    fn the_cheapest_corner_is_found() {
        for (costs, limits, expected) in [
            // 3 a + b ≥ 2: the second is cheaper for what it brings.
            (vec!["4", "1"], vec![(vec!["3", "1"], "2")], vec!["0", "2"]),
            (
                vec!["2", "1"],
                vec![(vec!["3", "1"], "2")],
                vec!["0.6666666666666666666666666667", "0"],
            ),
            // And b ≤ 1: the rest from the first.
            (
                vec!["4", "1"],
                vec![(vec!["3", "1"], "2"), (vec!["0", "-1"], "-1")],
                vec!["0.3333333333333333333333333333", "1"],
            ),
            // Two limits that pull against each other meet where both are just kept.
            (
                vec!["1", "1"],
                vec![(vec!["2", "-1"], "1"), (vec!["-1", "2"], "1")],
                vec!["1", "1"],
            ),
        ] {
            let mut corner = Corner::new(costs.into_iter().map(r).collect());
            for (weights, least) in limits {
                let weights: Vec<Ratio> = weights.into_iter().map(r).collect();
                assert!(corner.learn(&weights, r(least)));
            }
            let expected: Vec<Ratio> = expected.into_iter().map(r).collect();
            let off = corner
                .shares()
                .into_iter()
                .zip(&expected)
                .map(|(share, wanted)| (share - *wanted).abs());
            assert!(
                off.clone().all(|off| off < r("0.000000000000001")),
                "{:?}",
                corner.shares()
            );
        }
    }

    #[test]
    fn limits_that_exclude_each_other_have_no_corner() {
        let mut corner = Corner::new(vec![r("1")]);
        assert!(corner.learn(&[r("1")], r("2")));
        assert!(!corner.learn(&[r("-1")], r("-1")));
    }
}
