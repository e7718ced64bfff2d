//! When which read is due: the snapshot after a connect, the digest, and what the core asks for. Pure: time comes in.
//!
//! A read of a kind never runs twice at once, is never started twice within the spacing, and is repeated with growing
//! pauses while it fails. Being asked while it runs means once more afterwards, because the answer on its way may be older
//! than the reason for asking.

use std::collections::BTreeMap;

use crate::model::{Span, Timestamp};
use crate::venue::binance::request::Read;

/// Reads that belong together and are sent together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// account and positionRisk.
    Holdings,
    /// openOrders and openAlgoOrders.
    Orders,
    /// accountConfig and symbolConfig.
    Settings,
    /// exchangeInfo and leverageBracket.
    Rules,
    /// assetIndex.
    Indexes,
    /// income of type TRANSFER.
    Transfers,
    /// The venue's clock.
    Clock,
}

/// What a snapshot consists of; rules and the clock have their own times.
pub const SNAPSHOT: [Kind; 5] = [
    Kind::Holdings,
    Kind::Orders,
    Kind::Settings,
    Kind::Indexes,
    Kind::Transfers,
];

/// Shortest time between two starts of the same kind.
const SPACING: Span = Span::from_ms(200);

/// Without a connection for this long, the account is read all the same.
const CONNECT_PATIENCE: Span = Span::from_secs(2);

/// First pause after a failure; doubles with each further one.
const FAILED_MIN: Span = Span::from_ms(250);

/// Rules change with listings: once a day.
const RULES_EVERY: Span = Span::from_secs(24 * 3600);

/// Transfers come by the stream too; this is the net under it.
const TRANSFERS_EVERY: Span = Span::from_secs(3600);

/// Clocks drift by up to 200 ppm (LI-05): 60 ms in five minutes.
const CLOCK_EVERY: Span = Span::from_secs(300);

impl Kind {
    /// The requests of one reading, in order; none for the clock, which has its own exchange of times. `transfers_since`
    /// is where the list of transfers begins.
    pub fn requests(self, transfers_since: Timestamp) -> Vec<Read> {
        match self {
            Kind::Holdings => vec![Read::account(), Read::position_risk()],
            Kind::Orders => vec![Read::open_orders(), Read::open_algo_orders()],
            Kind::Settings => vec![Read::account_config(), Read::symbol_config()],
            Kind::Rules => vec![Read::exchange_info(), Read::leverage_bracket()],
            Kind::Indexes => vec![Read::asset_index()],
            Kind::Transfers => vec![Read::transfers(transfers_since)],
            Kind::Clock => Vec::new(),
        }
    }
}

/// What is due when.
#[derive(Debug)]
pub struct Reads(BTreeMap<Kind, State>);

#[derive(Debug)]
struct State {
    every: Span,
    due: Option<Timestamp>,
    running: bool,
    again: bool,
    earliest: Timestamp,
    /// Put off by the venue or by our budget until then.
    not_before: Timestamp,
    failures: u32,
}

impl Reads {
    /// Rules are due at once; the snapshot when the stream is connected, or when that takes too long.
    pub fn new(digest: Span, now: Timestamp) -> Reads {
        let times = |n: i64| Span::from_ms(digest.ms().max(1).saturating_mul(n));
        let kinds = [
            (Kind::Holdings, times(1)),
            (Kind::Orders, times(3)),
            (Kind::Settings, times(12)),
            (Kind::Rules, RULES_EVERY),
            (Kind::Indexes, times(12)),
            (Kind::Transfers, TRANSFERS_EVERY),
            (Kind::Clock, CLOCK_EVERY),
        ];
        let state = |every| State {
            every,
            due: Some(now),
            running: false,
            again: false,
            earliest: now,
            not_before: now,
            failures: 0,
        };
        let mut reads = Reads(
            kinds
                .into_iter()
                .map(|(kind, every)| (kind, state(every)))
                .collect(),
        );
        for kind in SNAPSHOT {
            reads.with(kind, |state| state.due = Some(now.after(CONNECT_PATIENCE)));
        }
        // The clock was read before.
        reads.with(Kind::Clock, |clock| clock.due = Some(now.after(CLOCK_EVERY)));
        reads
    }

    /// Asks for one kind as soon as the spacing allows.
    pub fn ask(&mut self, kind: Kind, now: Timestamp) {
        self.with(kind, |state| {
            if state.running {
                state.again = true;
            } else {
                state.due = Some(now);
            }
        });
    }

    /// Asks for everything that a fresh connection needs; what of it was running was given up by the caller.
    pub fn snapshot(&mut self, now: Timestamp) {
        for kind in SNAPSHOT {
            self.with(kind, |state| {
                (state.running, state.again) = (false, false);
                state.due = Some(now);
                // A fresh connection is worth a fresh try, failures before it or not.
                (state.failures, state.earliest, state.not_before) = (0, now, now);
            });
        }
    }

    /// What is to be started now; it counts as running from here on.
    pub fn start(&mut self, now: Timestamp) -> Vec<Kind> {
        let mut started = Vec::new();
        for (kind, state) in &mut self.0 {
            if state.ready_at().is_some_and(|at| at <= now) {
                state.running = true;
                state.due = None;
                state.earliest = now.after(SPACING);
                started.push(*kind);
            }
        }
        started
    }

    /// One ended, well or not; `not_before` when the venue or our budget named a time.
    pub fn ended(&mut self, kind: Kind, well: bool, not_before: Option<Timestamp>, now: Timestamp) {
        self.with(kind, |state| {
            state.running = false;
            if well {
                state.failures = 0;
                state.due = Some(if state.again { now } else { now.after(state.every) });
            } else {
                let pause = Span::from_ms(FAILED_MIN.ms() << state.failures.min(16)).min(failed_max(kind));
                state.failures = state.failures.saturating_add(1);
                state.due = Some(now.after(pause));
                state.earliest = state.earliest.max(now.after(pause));
                if let Some(at) = not_before {
                    state.not_before = at;
                }
            }
            state.again = false;
        });
    }

    /// Forgets what one kind was put off for; the pauses between its tries stay.
    pub(super) fn resume(&mut self, kind: Kind) {
        self.with(kind, |state| state.not_before = Timestamp::default());
    }

    /// When [`Reads::start`] will have something to start.
    pub fn wake(&self) -> Option<Timestamp> {
        self.0.values().filter_map(State::ready_at).min()
    }

    fn with(&mut self, kind: Kind, change: impl FnOnce(&mut State)) {
        if let Some(state) = self.0.get_mut(&kind) {
            change(state);
        }
    }
}

impl State {
    fn ready_at(&self) -> Option<Timestamp> {
        if self.running {
            None
        } else {
            self.due.map(|due| due.max(self.earliest).max(self.not_before))
        }
    }
}

/// Longest pause after failures: short for what the guard sees by.
fn failed_max(kind: Kind) -> Span {
    match kind {
        Kind::Holdings | Kind::Clock => Span::from_secs(5),
        Kind::Orders | Kind::Settings => Span::from_secs(10),
        Kind::Rules | Kind::Indexes | Kind::Transfers => Span::from_secs(30),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_ms(ms)
    }

    fn settled() -> Reads {
        let mut reads = Reads::new(Span::from_secs(5), at(0));
        reads.snapshot(at(0));
        for kind in reads.start(at(0)) {
            reads.ended(kind, true, None, at(10));
        }
        reads
    }

    #[test]
    fn the_digest_reads_holdings_each_time_orders_each_third_and_settings_each_twelfth() {
        let mut reads = settled();
        let mut counts: BTreeMap<Kind, u32> = BTreeMap::new();
        for ms in (0..=61_000).step_by(10) {
            for kind in reads.start(at(ms)) {
                *counts.entry(kind).or_default() += 1;
                reads.ended(kind, true, None, at(ms));
            }
        }
        let count = |kind| counts.get(&kind).copied().unwrap_or(0);
        assert_eq!(
            [
                Kind::Holdings,
                Kind::Orders,
                Kind::Settings,
                Kind::Rules,
                Kind::Indexes
            ]
            .map(count),
            [12, 4, 1, 0, 1]
        );
    }

    #[test]
    fn asking_while_it_runs_means_once_more_and_no_more() {
        let mut reads = settled();
        reads.ask(Kind::Holdings, at(1_000));
        assert_eq!(reads.start(at(1_000)), [Kind::Holdings]);
        for _ in 0..9 {
            reads.ask(Kind::Holdings, at(1_001));
        }
        assert_eq!(reads.start(at(1_300)), []);
        reads.ended(Kind::Holdings, true, None, at(1_300));
        assert_eq!(reads.start(at(1_300)), [Kind::Holdings]);
        reads.ended(Kind::Holdings, true, None, at(1_310));
        assert_eq!(reads.start(at(1_700)), []);
    }

    #[test]
    fn asking_again_and_again_starts_it_every_200_ms_at_most() {
        let mut reads = settled();
        let mut started = 0;
        for ms in 1_000..2_000 {
            reads.ask(Kind::Holdings, at(ms));
            for kind in reads.start(at(ms)) {
                started += u32::from(kind == Kind::Holdings);
                reads.ended(kind, true, None, at(ms));
            }
        }
        assert_eq!(started, 5);
    }

    #[test]
    fn li_01_li_03_a_failed_read_is_repeated_with_growing_pauses_and_not_before_the_named_time() {
        let mut reads = settled();
        reads.ask(Kind::Holdings, at(1_000));
        let mut now = 1_000;
        for expected in [250, 500, 1_000, 2_000, 4_000, 5_000, 5_000] {
            assert!(reads.start(at(now)).contains(&Kind::Holdings), "{now}");
            reads.ended(Kind::Holdings, false, None, at(now));
            assert_eq!(reads.0[&Kind::Holdings].ready_at(), Some(at(now + expected)));
            // Being asked meanwhile makes it no sooner: waits are kept, not spun.
            reads.ask(Kind::Holdings, at(now));
            assert_eq!(reads.0[&Kind::Holdings].ready_at(), Some(at(now + expected)));
            now += expected;
        }
        reads.start(at(now));
        reads.ended(Kind::Holdings, false, Some(at(now + 60_000)), at(now));
        reads.ask(Kind::Holdings, at(now + 1));
        assert!(!reads.start(at(now + 59_999)).contains(&Kind::Holdings));
        assert!(reads.start(at(now + 60_000)).contains(&Kind::Holdings));
    }

    #[test]
    fn li_02_what_was_put_off_for_want_of_budget_is_read_when_the_reserve_opens_and_no_faster_than_it_fails()
    {
        let mut reads = settled();
        reads.ask(Kind::Orders, at(1_000));
        assert_eq!(reads.start(at(1_000)), [Kind::Orders]);
        reads.ended(Kind::Orders, false, Some(at(60_000)), at(1_000));
        reads.resume(Kind::Orders);
        assert!(!reads.start(at(1_249)).contains(&Kind::Orders));
        assert!(reads.start(at(1_250)).contains(&Kind::Orders));
    }

    #[test]
    fn a_new_connection_reads_everything_but_the_rules_again() {
        let mut reads = settled();
        reads.ask(Kind::Holdings, at(1_000));
        reads.start(at(1_000));
        reads.snapshot(at(1_050));
        assert_eq!(reads.start(at(1_250)), SNAPSHOT);
    }
}
