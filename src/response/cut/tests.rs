//! The worked example to the digit, and rules that hold for any book.

use super::*;
use crate::model::{Leg, PositionSide, Symbol, Tier};
use proptest::prelude::*;
use rust_decimal::{Decimal, RoundingStrategy};

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

/// Contracts of POLICIES.md c.3: tiers of both, and their legs.
struct Book {
    btc: Vec<Tier>,
    alt: Vec<Tier>,
    legs: Vec<Leg>,
}

fn book() -> Book {
    let leg = |name: &str, side| Leg {
        symbol: Symbol::new(name).unwrap(),
        side,
    };
    Book {
        btc: tiers(&[("0", "50000", "0.004", "0"), ("50000", "250000", "0.005", "50")]),
        alt: tiers(&[
            ("0", "5000", "0.01", "0"),
            ("5000", "25000", "0.025", "75"),
            ("25000", "100000", "0.05", "700"),
        ]),
        legs: vec![
            leg("BTCUSDT", PositionSide::Both),
            leg("ALTUSDT", PositionSide::Both),
            leg("BTCUSDT", PositionSide::Long),
            leg("BTCUSDT", PositionSide::Short),
        ],
    }
}

/// A piece of the book: `leg` counts in its legs, the notional is negative for a short.
fn piece<'a>(book: &'a Book, leg: usize, notional: Money, cost: &str, beta: &str) -> Piece<'a> {
    Piece {
        held: Exposure {
            leg: &book.legs[leg],
            is_long: notional.is_positive(),
            notional: notional.abs(),
            tiers: if leg == 1 { &book.alt } else { &book.btc },
            beta: r(beta),
            herd: if leg == 1 { 1 } else { 0 },
        },
        cost: r(cost),
        wish: Wish::Free,
        unit: leg,
    }
}

fn problem<'a>(
    balance: &str,
    pieces: Vec<Piece<'a>>,
    ratio: Option<&str>,
    distance: Option<&str>,
) -> Problem<'a> {
    let aim = Aim {
        ratio: ratio.map(r),
        distance: distance.map(r),
    };
    Problem {
        balance: m(balance),
        factor: Ratio::ONE,
        pieces,
        aim,
    }
}

fn example<'a>(book: &'a Book, ratio: Option<&str>, distance: Option<&str>) -> Problem<'a> {
    let btc = piece(book, 0, m("114000"), "0.0006", "1");
    let alt = piece(book, 1, m("40000"), "0.002", "1.5");
    problem("2275", vec![btc, alt], ratio, distance)
}

/// What is cut, rounded to whole units; cost; ratio and distance after; what bound.
fn row(problem: &Problem<'_>, cut: &LeastCut) -> String {
    let after = problem.after(cut);
    let rounded = |number: Decimal, places| {
        let strategy = RoundingStrategy::MidpointAwayFromZero;
        let rounded = number.round_dp_with_strategy(places, strategy);
        format!("{rounded:.*}", places as usize)
    };
    let percent = |ratio: Ratio, places| rounded(ratio.decimal() * Decimal::ONE_HUNDRED, places) + "%";
    let cuts: Vec<String> = cut
        .notionals
        .iter()
        .map(|cut| rounded(cut.decimal(), 0))
        .collect();
    let bound = match cut.bound {
        None => "nothing".into(),
        Some(Bound::Ratio) => "ratio".into(),
        Some(Bound::Distance(scenario)) => after.words(scenario),
    };
    format!(
        "{} cost {}, {}, {}, {} by {bound}",
        cuts.join(" + "),
        rounded(cut.cost.decimal(), 1),
        after.ratio().map_or("none".into(), |ratio| percent(ratio, 1)),
        percent(after.distance().by, 2),
        if cut.is_reached { "reached" } else { "not reached" },
    )
}

#[test]
fn the_worked_example_to_the_digit() {
    let book = book();
    let start = example(&book, Some("0.5"), None);
    let before = start.after(&LeastCut {
        notionals: vec![],
        is_reached: false,
        cost: Money::ZERO,
        bound: None,
    });
    assert_eq!(before.maintenance(), m("1820"));
    assert_eq!(before.ratio(), Some(r("0.8")));
    assert_eq!(before.distance().by.percent(), "0.27%");
    assert_eq!(start.top_up(), Some(m("1365")));
    let both = example(&book, Some("0.5"), Some("0.03"));
    for (name, problem, cut, expected) in [
        (
            "largest first",
            &start,
            start.in_order(&[0]),
            "114000 + 0 cost 68.4, 58.9%, 1.59%, not reached by ratio",
        ),
        (
            "relief greedy",
            &start,
            start.least_cut(),
            "0 + 13929 cost 27.9, 50.0%, 0.75%, reached by ratio",
        ),
        (
            "cheapest for both",
            &both,
            both.least_cut(),
            "114000 + 8853 cost 86.1, 39.2%, 3.00%, reached by a fall of all prices",
        ),
        (
            "the altcoin first",
            &both,
            both.in_order(&[1, 0]),
            "50450 + 40000 cost 110.3, 12.4%, 3.00%, reached by a fall of all prices",
        ),
    ] {
        assert_eq!(row(problem, &cut), expected, "{name}");
    }
}

#[test]
fn a_cut_crosses_tiers_and_says_when_it_cannot_reach() {
    let book = book();
    for (balance, target, expected) in [
        // 520 / 2000 is under the target already.
        ("2000", "0.5", "0 cost 0.0, 26.0%, 1.30%, reached by nothing"),
        // Within the upper tier: 115 ÷ (0.005 − 0.45·0.0006).
        ("900", "0.45", "24313 cost 14.6, 45.0%, 0.55%, reached by ratio"),
        // Through the edge at 50 000: 64 000, and 69.2 ÷ (0.004 − 0.5·0.0006) of the lower tier.
        ("300", "0.5", "82703 cost 49.6, 50.0%, 0.40%, reached by ratio"),
        // No balance: everything goes, and the costs are owed.
        ("0", "0.45", "114000 cost 68.4, 0.0%, 0.00%, not reached by ratio"),
        (
            "-5",
            "0.45",
            "114000 cost 68.4, 0.0%, 0.00%, not reached by ratio",
        ),
    ] {
        let piece = piece(&book, 0, m("114000"), "0.0006", "1");
        let problem = problem(balance, vec![piece], Some(target), None);
        assert_eq!(row(&problem, &problem.least_cut()), expected, "{balance}");
    }
}

#[test]
fn closing_that_would_worsen_the_ratio_is_refused() {
    let book = book();
    // Cost 0.5 % at a target of 100 %: relief 0.005 − 0.005 is nothing. For a distance the same cut helps.
    for (ratio, distance, expected) in [
        (Some("1"), None, "0 cost 0.0, 130.0%, 0.00%, not reached by ratio"),
        (
            None,
            Some("0.01"),
            "114000 cost 570.0, 0.0%, 0.00%, not reached by a fall of BTCUSDT",
        ),
    ] {
        let piece = piece(&book, 0, m("114000"), "0.005", "1");
        let problem = problem("400", vec![piece], ratio, distance);
        assert_eq!(row(&problem, &problem.least_cut()), expected);
    }
}

#[test]
fn wishes_are_heard() {
    let book = book();
    let changed = |ratio: Option<&str>, distance: Option<&str>, change: &dyn Fn(&mut Vec<Piece<'_>>)| {
        let mut problem = example(&book, ratio, distance);
        change(&mut problem.pieces);
        row(&problem, &problem.least_cut())
    };
    let (ratio, distance) = (Some("0.5"), Some("0.03"));
    let never = |index: usize| move |pieces: &mut Vec<Piece<'_>>| pieces[index].wish = Wish::Never;
    let last = |index: usize| move |pieces: &mut Vec<Piece<'_>>| pieces[index].wish = Wish::Last;
    let pair = |pieces: &mut Vec<Piece<'_>>| pieces[1].unit = pieces[0].unit;
    for (name, said, expected) in [
        (
            "never the altcoin",
            changed(ratio, None, &never(1)),
            "114000 + 0 cost 68.4, 58.9%, 1.59%, not reached by ratio",
        ),
        (
            "the altcoin last",
            changed(ratio, None, &last(1)),
            "114000 + 4014 cost 76.4, 50.0%, 2.14%, reached by ratio",
        ),
        (
            "bitcoin last",
            changed(ratio, None, &last(0)),
            "0 + 13929 cost 27.9, 50.0%, 0.75%, reached by ratio",
        ),
        (
            "bitcoin last, both aims",
            changed(ratio, distance, &last(0)),
            "50450 + 40000 cost 110.3, 12.4%, 3.00%, reached by a fall of all prices",
        ),
        (
            "never bitcoin, both aims",
            changed(ratio, distance, &never(0)),
            "0 + 40000 cost 80.0, 23.7%, 1.48%, not reached by a fall of all prices",
        ),
        (
            "in one proportion",
            changed(ratio, None, &pair),
            "31174 + 10938 cost 40.6, 50.0%, 0.90%, reached by ratio",
        ),
        (
            "in one proportion, both aims",
            changed(ratio, distance, &pair),
            "75202 + 26387 cost 97.9, 19.3%, 3.00%, reached by a fall of all prices",
        ),
    ] {
        assert_eq!(said, expected, "{name}");
    }
}

/// A hedge leg of one contract: closing it frees maintenance, and lowers the buffer after a move.
#[test]
fn e17_a_hedge_is_never_cut_when_that_lowers_the_shocked_buffer() {
    let book = book();
    for (long, short, ratio, distance, expected) in [
        // A ratio alone knows nothing of moves: the legs are alike, and the first goes.
        (
            "100000",
            "160000",
            Some("0.7"),
            None,
            "17467 + 0 cost 10.5, 70.0%, 0.61%, reached by ratio",
        ),
        // With the distance of before to keep, the same is taken from the leg that is not the hedge.
        (
            "100000",
            "160000",
            Some("0.7"),
            Some("0.00652528"),
            "0 + 17467 cost 10.5, 70.0%, 1.09%, reached by ratio",
        ),
        (
            "100000",
            "160000",
            None,
            Some("0.03"),
            "0 + 41650 cost 25.0, 63.0%, 3.00%, reached by a rise of BTCUSDT",
        ),
        (
            "160000",
            "100000",
            None,
            Some("0.03"),
            "39737 + 0 cost 23.8, 63.5%, 3.00%, reached by a fall of BTCUSDT",
        ),
        // Alike: no small move does harm, and nothing is cut for one.
        (
            "120000",
            "120000",
            None,
            Some("0.03"),
            "0 + 0 cost 0.0, 68.8%, 41.67%, reached by nothing",
        ),
    ] {
        let pieces = vec![
            piece(&book, 2, m(long), "0.0006", "1"),
            piece(&book, 3, -m(short), "0.0006", "1"),
        ];
        let problem = problem("1600", pieces, ratio, distance);
        assert_eq!(
            row(&problem, &problem.least_cut()),
            expected,
            "{long} {short} {ratio:?} {distance:?}"
        );
    }
}

/// Whole thousands and basis points: a book, what it costs to close, and what is wanted.
type Draw = (Vec<(i32, u32, u32)>, i32, Option<u32>, Option<u32>);

fn draws() -> impl Strategy<Value = Draw> {
    let piece = (-180i32..180, 2u32..40, 50u32..200);
    (
        prop::collection::vec(piece, 1..4),
        1i32..9_000,
        prop::option::of(5u32..95),
        prop::option::of(10u32..900),
    )
        .prop_filter("an aim", |(_, _, ratio, distance)| ratio.or(*distance).is_some())
}

fn drawn<'a>(book: &'a Book, (pieces, balance, ratio, distance): &Draw) -> Problem<'a> {
    let pieces = pieces.iter().enumerate().filter(|(_, draw)| draw.0 != 0);
    let pieces = pieces.map(|(leg, (thousands, cost, beta))| {
        let notional = Money::new(Decimal::from(*thousands) * Decimal::ONE_THOUSAND).unwrap();
        let mut piece = piece(book, leg, notional, "0", "1");
        (piece.cost, piece.held.beta) = (Ratio::bps(*cost), Ratio::bps(beta * 100));
        piece
    });
    let percent = |number: u32| Ratio::bps(number * 100);
    let aim = Aim {
        ratio: ratio.map(percent),
        distance: distance.map(Ratio::bps),
    };
    Problem {
        balance: Money::new(Decimal::from(*balance)).unwrap(),
        factor: Ratio::ONE,
        pieces: pieces.collect(),
        aim,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_more_than_is_held_is_cut_and_what_is_called_reached_is_reached(draw in draws()) {
        let book = book();
        let problem = drawn(&book, &draw);
        let cut = problem.least_cut();
        for (piece, taken) in problem.pieces.iter().zip(&cut.notionals) {
            prop_assert!(!taken.is_negative() && *taken <= piece.held.notional, "{taken} of {piece:?}");
        }
        let after = problem.after(&cut);
        if cut.is_reached {
            // To the smallest amounts that a wallet shows.
            let near = m("0.00000002");
            let ratio = problem.aim.ratio.map(|aim| after.maintenance() - after.balance.share(aim));
            let distance = problem.aim.distance.map(|aim| after.worst(aim).1);
            prop_assert!(ratio.into_iter().chain(distance).all(|missing| missing <= near), "{after:?}");
        } else if problem.balance.is_positive() {
            prop_assert!(!problem.everything().is_reached, "closing everything reaches it");
        }
    }

    #[test]
    fn no_cut_of_a_grid_is_cheaper_nor_is_any_by_one_share(draw in draws()) {
        let book = book();
        let problem = drawn(&book, &draw);
        let cut = problem.least_cut();
        let steps = 8u32;
        let count = problem.pieces.len() as u32;
        let mut cheapest: Option<(Money, Vec<Money>)> = None;
        for number in 0..(steps + 1).pow(count) {
            let share = |index: u32| Ratio::bps(number / (steps + 1).pow(index) % (steps + 1) * 10_000 / steps);
            let notionals: Vec<Money> = problem.pieces.iter().zip(0..)
                .map(|(piece, index)| piece.held.notional.share(share(index))).collect();
            let cost = problem.pieces.iter().zip(&notionals).map(|(piece, cut)| cut.share(piece.cost)).sum();
            let other = LeastCut { notionals, cost, is_reached: false, bound: None };
            if problem.is_reached(&problem.after(&other)) && cheapest.as_ref().is_none_or(|(known, _)| cost < *known) {
                cheapest = Some((cost, other.notionals));
            }
        }
        if let Some((cost, notionals)) = cheapest && problem.balance.is_positive() {
            prop_assert!(cut.is_reached, "{notionals:?} reaches it");
            prop_assert!(cut.cost <= cost + m("0.01"), "{:?} costs {}, {notionals:?} costs {cost}", cut.notionals, cut.cost);
        }
    }
}
