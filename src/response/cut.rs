//! How much of which position to close so that a margin ratio is reached at the least cost.
//!
//! Closing `x` of a position lowers maintenance by its marginal tier rate `m` and the balance by the cost `c`. To bring
//! `MM ÷ B` to `R`, `Σ (m − R·c)·x ≥ MM − R·B` must hold; filling the positions in the order of relief for cost,
//! tier by tier, is optimal because relief only falls and cost only rises (POLICIES.md c.3).

use crate::model::{Leg, Money, Ratio, Tier};

/// Cost of closing, all in, when nothing better is known: taker fee 0.05 % and as much again for the spread.
pub const COST: Ratio = Ratio::bps(10);
/// Turns of the filling loop: each fills one tier of one position.
const TURNS_MAX: usize = 10_000;

/// A position that may be cut.
#[derive(Clone, Debug)]
pub struct Piece<'a> {
    /// Which.
    pub leg: &'a Leg,
    /// Its size at the mark price, positive, in the bucket's currency.
    pub notional: Money,
    /// Its maintenance tiers by rising notional.
    pub tiers: &'a [Tier],
    /// What closing costs for one unit of notional.
    pub cost: Ratio,
    /// Whether it may be cut now; one that may not still counts for what it needs.
    pub is_free: bool,
}

/// What to cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeastCut {
    /// Notional to close of each piece, in the order given.
    pub notionals: Vec<Money>,
    /// Whether the target is reached by it.
    pub is_reached: bool,
    /// What it costs.
    pub cost: Money,
}

/// The least costly cut that brings maintenance ÷ balance to `target`.
///
/// With no positive balance everything goes: no ratio can be reached. A position whose closing would worsen the ratio
/// (`c ≥ m ÷ R`) is left alone.
pub fn least_cut(balance: Money, pieces: &[Piece<'_>], target: Ratio) -> LeastCut {
    let mut left: Vec<Money> = pieces.iter().map(|piece| piece.notional).collect();
    if !balance.is_positive() {
        let notionals = pieces
            .iter()
            .map(|p| if p.is_free { p.notional } else { Money::ZERO })
            .collect();
        return finish(pieces, notionals, false);
    }
    let maintenance: Money = pieces
        .iter()
        .map(|piece| maintenance(piece.tiers, piece.notional))
        .sum();
    let mut need = maintenance - balance.share(target);
    for _ in 0..TURNS_MAX {
        if !need.is_positive() {
            break;
        }
        let best = pieces
            .iter()
            .zip(&left)
            .enumerate()
            .filter(|(_, (piece, left))| piece.is_free && left.is_positive())
            .filter_map(|(index, (piece, left))| {
                let tier = tier(piece.tiers, *left)?;
                let relief = tier.rate - target.times(piece.cost);
                let per_cost = relief.over(piece.cost).unwrap_or(relief);
                relief
                    .is_positive()
                    .then_some((per_cost, index, relief, *left - tier.floor))
            })
            .max_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
        let Some((_, index, relief, room)) = best else {
            break;
        };
        let Some(wanted) = Money::new(need.decimal())
            .ok()
            .and_then(|need| divide(need, relief))
        else {
            break;
        };
        let taken = if room.is_positive() {
            wanted.min(room)
        } else {
            wanted
        };
        if let Some(left) = left.get_mut(index) {
            let taken = taken.min(*left);
            *left = *left - taken;
            need = need - taken.share(relief);
        }
        if wanted <= taken {
            need = Money::ZERO;
        }
    }
    let notionals = pieces
        .iter()
        .zip(&left)
        .map(|(piece, left)| piece.notional - *left)
        .collect();
    finish(pieces, notionals, !need.is_positive())
}

fn divide(need: Money, relief: Ratio) -> Option<Money> {
    need.decimal()
        .checked_div(relief.decimal())
        .and_then(|value| Money::new(value).ok())
}

fn finish(pieces: &[Piece<'_>], notionals: Vec<Money>, is_reached: bool) -> LeastCut {
    let cost = pieces
        .iter()
        .zip(&notionals)
        .map(|(piece, cut)| cut.share(piece.cost))
        .sum();
    LeastCut {
        notionals,
        is_reached,
        cost,
    }
}

fn tier(tiers: &[Tier], notional: Money) -> Option<&Tier> {
    tiers.iter().find(|tier| notional <= tier.cap).or(tiers.last())
}

fn maintenance(tiers: &[Tier], notional: Money) -> Money {
    tier(tiers, notional).map_or(Money::ZERO, |tier| {
        (notional.share(tier.rate) - tier.deduction).max(Money::ZERO)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Symbol;

    fn m(text: &str) -> Money {
        text.parse().unwrap()
    }

    fn r(text: &str) -> Ratio {
        text.parse().unwrap()
    }

    fn tiers(rows: &[(&str, &str, &str, &str)]) -> Vec<Tier> {
        rows.iter()
            .map(|(floor, cap, rate, deduction)| Tier {
                floor: m(floor),
                cap: m(cap),
                rate: r(rate),
                deduction: m(deduction),
            })
            .collect()
    }

    /// The book of POLICIES.md c.3.
    fn book() -> (Vec<Tier>, Vec<Tier>, Leg, Leg) {
        let btc = tiers(&[("0", "50000", "0.004", "0"), ("50000", "250000", "0.005", "50")]);
        let alt = tiers(&[
            ("0", "5000", "0.01", "0"),
            ("5000", "25000", "0.025", "75"),
            ("25000", "100000", "0.05", "700"),
        ]);
        let leg = |name: &str| Leg::both(Symbol::new(name).unwrap());
        (btc, alt, leg("BTCUSDT"), leg("ALTUSDT"))
    }

    #[test]
    fn the_worked_example_of_the_relief_greedy_cut_to_the_digit() {
        let (btc, alt, btc_leg, alt_leg) = book();
        let pieces = [
            Piece {
                leg: &btc_leg,
                notional: m("114000"),
                tiers: &btc,
                cost: r("0.0006"),
                is_free: true,
            },
            Piece {
                leg: &alt_leg,
                notional: m("40000"),
                tiers: &alt,
                cost: r("0.002"),
                is_free: true,
            },
        ];
        assert_eq!(
            maintenance(&btc, m("114000")) + maintenance(&alt, m("40000")),
            m("1820")
        );
        let cut = least_cut(m("2275"), &pieces, r("0.5"));
        assert!(cut.is_reached);
        assert_eq!(cut.notionals[0], Money::ZERO);
        assert_eq!(cut.notionals[1].decimal().round(), m("13929").decimal());
        assert_eq!(cut.cost.decimal().round_dp(1).to_string(), "27.9");
        let after = maintenance(&btc, m("114000")) + maintenance(&alt, m("40000") - cut.notionals[1]);
        assert_eq!(after.ratio_of(m("2275") - cut.cost).unwrap().percent(), "50%");
    }

    #[test]
    fn a_cut_crosses_tiers_and_says_when_it_cannot_reach() {
        let (btc, _, leg, _) = book();
        for (balance, target, reached, expected) in [
            ("2000", "0.5", true, "0"),     // 520 / 2000 is under the target already
            ("900", "0.45", true, "27096"), // within the upper tier: 115 ÷ (0.005 − 0.45·0.0006) = 24 313, see below
            ("0", "0.45", false, "114000"), // no balance: everything goes
            ("-5", "0.45", false, "114000"),
        ] {
            let pieces = [Piece {
                leg: &leg,
                notional: m("114000"),
                tiers: &btc,
                cost: r("0.0006"),
                is_free: true,
            }];
            let cut = least_cut(m(balance), &pieces, r(target));
            assert_eq!(cut.is_reached, reached, "{balance}");
            if balance == "900" {
                let after = maintenance(&btc, m("114000") - cut.notionals[0]);
                let ratio = after.ratio_of(m(balance) - cut.cost).unwrap();
                assert!((ratio - r(target)).abs() < r("0.000001"), "{ratio}");
            } else {
                assert_eq!(cut.notionals[0], m(expected), "{balance}");
            }
        }
    }

    #[test]
    fn closing_that_would_worsen_the_ratio_is_refused() {
        let (btc, _, leg, _) = book();
        // Cost 0.5 % at a target of 100 %: relief 0.005 − 0.005 is nothing.
        let pieces = [Piece {
            leg: &leg,
            notional: m("114000"),
            tiers: &btc,
            cost: r("0.005"),
            is_free: true,
        }];
        let cut = least_cut(m("400"), &pieces, Ratio::ONE);
        assert_eq!((cut.notionals[0], cut.is_reached), (Money::ZERO, false));
    }
}
