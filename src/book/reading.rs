//! What readings over REST change: the digest, and the list of transfers.

use super::gap::Late;
use super::{AGREEING, Book, EXPLAIN_WITHIN, Held, Purse, READ_LAG};
use crate::event::Holdings;
use crate::model::{Leg, MarginType, Money, Position, Qty, Span, Timestamp};
use std::collections::BTreeMap;

/// A reading that is still dated before what the stream said this long ago is no late one: its time is wrong (MO-22).
const LATE_MAX: Span = Span::from_secs(30);

impl Book {
    /// A reading of everything: the digest. It proves life when it agrees with what the stream said.
    pub(super) fn holdings(&mut self, read: &Holdings) {
        let mut agrees = true;
        let mut late = Late::default();
        let mut untold = Money::ZERO;
        let was_due = self.transfers_due.is_some();
        let mut is_measured = true;
        for (asset, balance) in &read.balances {
            let known = self.purses.get(asset);
            if known.is_some_and(|purse| self.is_late(purse.balance.at, purse.touched, balance.at)) {
                late.assets.push(asset.clone());
                continue;
            }
            let moved = known.is_none_or(|purse| purse.balance.wallet != balance.wallet);
            // The very first reading of an account is what everything is measured from; after a restart, or later,
            // a balance that moved untold must be explained before losses are judged by it.
            let is_baseline = known.is_none() && self.holdings_read.is_none() && !self.is_resumed;
            if moved && !is_baseline && (known.is_some() || !balance.wallet.is_zero()) {
                self.transfers_due.get_or_insert(self.now);
                agrees &= known.is_none();
                is_measured &= known.is_some();
                let before = known.map_or(balance.wallet, |purse| purse.balance.wallet);
                let moved = self
                    .value_of(asset, balance.wallet - before)
                    .unwrap_or(Money::ZERO);
                untold += moved;
            }
            let touched = known.map_or(Timestamp::default(), |purse| purse.touched);
            self.purses.insert(
                asset.clone(),
                Purse {
                    balance: balance.clone(),
                    touched,
                },
            );
        }
        for (asset, purse) in &mut self.purses {
            let listed = read.balances.iter().any(|(known, _)| known == asset);
            if !listed && !purse.balance.wallet.is_zero() && self.now.since(purse.touched) > READ_LAG {
                agrees = false;
                self.transfers_due.get_or_insert(self.now);
                (purse.balance.wallet, purse.balance.cross_wallet) = (Money::ZERO, Money::ZERO);
            }
        }
        let mut present: BTreeMap<&Leg, &Position> = BTreeMap::new();
        for (leg, position) in &read.positions {
            present.insert(leg, position);
        }
        for (leg, held) in &mut self.held {
            if present.contains_key(leg) {
                continue;
            }
            if held.position.amount.is_zero() {
                held.read = Some(self.now);
            } else if self.now.since(held.touched) > READ_LAG {
                agrees = false;
                held.read = Some(self.now);
                held.position.amount = Qty::ZERO;
                held.position.entry = None;
                held.position.isolated_wallet = Money::ZERO;
            } else {
                late.legs.push(leg.clone());
            }
        }
        for (leg, position) in present {
            let known = self.held.get(leg);
            let amount_known = known.map_or(Qty::ZERO, |held| held.position.amount);
            let first = self.holdings_read.is_none();
            if known.is_some_and(|held| self.is_late(held.position.at, held.touched, position.at)) {
                late.legs.push(leg.clone());
                continue;
            }
            if amount_known != position.amount && !first {
                agrees = false;
            }
            // A position that the reading shows without an isolated wallet stands on the cross balance.
            let margin = position.margin.or(Some(MarginType::Cross));
            let touched = known.map_or(Timestamp::default(), |held| held.touched);
            let position = Position {
                margin,
                ..position.clone()
            };
            let read = Some(self.now);
            self.held.insert(
                leg.clone(),
                Held {
                    position,
                    touched,
                    read,
                },
            );
        }
        for mark in &read.marks {
            // Dated by our clock, not the venue's: it must not outrank what the stream says next.
            let known = self
                .marks
                .get(&mark.symbol)
                .map_or(Timestamp::default(), |known| known.at);
            self.mark(&mark.symbol, (mark.price, mark.index), known);
        }
        if !was_due {
            self.is_measured = is_measured;
        }
        if self.transfers_due.is_some() {
            self.agreeing = if untold.is_zero() {
                self.agreeing.saturating_add(1)
            } else {
                1
            };
        }
        let said = read.liquidations.iter().filter_map(|(leg, price)| {
            let (_, position) = read.positions.iter().find(|(known, _)| known == leg)?;
            Some((leg.clone(), (*price, position.amount)))
        });
        self.liquidations = said.collect();
        self.unexplained += untold;
        // What moved and moved back was a wrong reading: there is nothing left to explain.
        if self.unexplained.is_zero() && !untold.is_zero() {
            (self.transfers_due, self.agreeing) = (None, 0);
        }
        self.holdings_read = Some(self.now);
        if !agrees {
            self.mismatches = self.mismatches.saturating_add(1);
        }
        // Answers that contradict each other prove nothing, neither of the stream's life nor against it.
        if read.disputed.is_empty() {
            self.link.digest(self.now, agrees);
        }
        late.legs.extend(read.disputed.iter().cloned());
        if let Some(claims) = &read.claims {
            self.compare(claims, &late);
        }
    }

    /// Whether a reading dated `read` is older than the fact that we hold.
    ///
    /// The venue's update time decides, as long as the stream spoke lately: a time that went wrong once must not keep
    /// every reading out for ever. It is 0 on untouched rows (binance-usdm.md 5.7), and then a reading yields
    /// to what the stream said a moment ago.
    fn is_late(&self, known: Timestamp, touched: Timestamp, read: Timestamp) -> bool {
        if read.ms() > 0 {
            read < known && self.now.since(touched) <= LATE_MAX
        } else {
            self.now.since(touched) <= READ_LAG
        }
    }

    /// Transfers were listed. What the stream told already counts no more. What it did not tell counts once a balance
    /// has moved by it: counted before, it would turn the move itself into a loss.
    pub(super) fn transfers_read(&mut self, now: Timestamp, transfers: &[crate::event::Transfer]) {
        let Some(due) = self.transfers_due else {
            return self.transfers.reconcile(now, transfers);
        };
        let is_first = self.transfers.horizon.is_none();
        let fresh = self.transfers.read(now, transfers);
        let moved = self.unexplained;
        for (asset, amount) in &fresh {
            self.add_flow(asset, *amount);
            self.unexplained = self.unexplained - self.value_of(asset, *amount).unwrap_or(Money::ZERO);
        }
        // Within a twentieth: what else moved the balance meanwhile is fees and funding.
        let is_explained =
            !fresh.is_empty() && self.unexplained.abs() <= moved.abs().share(crate::model::Ratio::bps(500));
        let is_agreed = self.agreeing >= AGREEING && now.since(due) >= EXPLAIN_WITHIN;
        if !is_first && !is_explained && is_agreed && self.is_measured {
            self.believed = Some(self.unexplained);
        }
        if is_first || is_explained || is_agreed {
            self.transfers_due = None;
            self.agreeing = 0;
            self.unexplained = Money::ZERO;
        }
    }
}
