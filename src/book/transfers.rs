//! Money that crosses the account's border, told twice: by the stream and by the income history. It counts once.

use crate::event::Transfer;
use crate::model::{Asset, Money, Span, Timestamp};
use std::collections::VecDeque;

/// How far apart the two tellings of one transfer may be dated.
const SAME_WITHIN: Span = Span::from_secs(60);
/// Tellings of the stream that wait for the list; it is read at least hourly.
const STREAMED_MAX: usize = 4_096;
/// Listed transfers remembered by their ids; when one is forgotten, everything up to its time counts as known.
const SEEN_MAX: usize = 1_024;

/// One telling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telling {
    /// The asset.
    pub asset: Asset,
    /// Positive when it came in.
    pub amount: Money,
    /// When, by the venue.
    pub at: Timestamp,
}

/// What is remembered of transfers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransferMemory {
    /// Transfers up to here are in the baseline or were counted; `None` before the first reading.
    pub horizon: Option<Timestamp>,
    /// Told by the stream, not yet by the list.
    pub streamed: VecDeque<Telling>,
    /// Told by the list, not yet by the stream.
    pub listed: VecDeque<Telling>,
    /// Listed and dealt with, by id: the list does not come in order.
    pub seen: VecDeque<(i64, Timestamp)>,
}

impl TransferMemory {
    /// The stream told of a transfer; whether it counts now.
    pub(super) fn streamed(&mut self, asset: &Asset, amount: Money, at: Timestamp) -> bool {
        let told = Telling {
            asset: asset.clone(),
            amount,
            at,
        };
        if take(&mut self.listed, &told) {
            return false;
        }
        keep(&mut self.streamed, told);
        true
    }

    /// The list was read, and balances moved untold; gives what counts now. The first reading only sets the horizon:
    /// what came before is part of the first equity.
    pub(super) fn read(&mut self, now: Timestamp, transfers: &[Transfer]) -> Vec<(Asset, Money)> {
        self.reconcile(now, transfers);
        let mut fresh = Vec::new();
        for transfer in self.unknown(transfers) {
            let told = Telling {
                asset: transfer.asset.clone(),
                amount: transfer.amount,
                at: transfer.at,
            };
            fresh.push((told.asset.clone(), told.amount));
            keep(&mut self.listed, told);
            self.see(&transfer);
        }
        fresh
    }

    /// Ticks off what the stream told already.
    pub(super) fn reconcile(&mut self, now: Timestamp, transfers: &[Transfer]) {
        if self.horizon.is_none() {
            let newest = transfers.iter().map(|transfer| transfer.at).max();
            self.horizon = Some(newest.unwrap_or_default().max(now));
            return;
        }
        for transfer in self.unknown(transfers) {
            let told = Telling {
                asset: transfer.asset.clone(),
                amount: transfer.amount,
                at: transfer.at,
            };
            if take(&mut self.streamed, &told) {
                self.see(&transfer);
            }
        }
    }

    fn unknown(&self, transfers: &[Transfer]) -> Vec<Transfer> {
        let is_new = |transfer: &&Transfer| {
            self.horizon.is_some_and(|horizon| transfer.at > horizon)
                && !self
                    .seen
                    .iter()
                    .any(|(id, at)| *id == transfer.id && *at == transfer.at)
        };
        transfers.iter().filter(is_new).cloned().collect()
    }

    fn see(&mut self, transfer: &Transfer) {
        if self.seen.len() >= SEEN_MAX
            && let Some((_, forgotten)) = self.seen.pop_front()
        {
            self.horizon = self.horizon.max(Some(forgotten));
        }
        self.seen.push_back((transfer.id, transfer.at));
    }
}

/// Removes the same transfer from the other side's tellings; whether it was there.
fn take(tellings: &mut VecDeque<Telling>, told: &Telling) -> bool {
    let same = |other: &Telling| {
        let apart = other.at.since(told.at).max(told.at.since(other.at));
        other.asset == told.asset && other.amount == told.amount && apart <= SAME_WITHIN
    };
    match tellings.iter().position(same) {
        Some(index) => tellings.remove(index).is_some(),
        None => false,
    }
}

fn keep(tellings: &mut VecDeque<Telling>, told: Telling) {
    if tellings.len() >= STREAMED_MAX {
        tellings.pop_front();
    }
    tellings.push_back(told);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mo_16_a_transfer_told_twice_counts_once_in_either_order() {
        let usdt = Asset::new("USDT").unwrap();
        let amount: Money = "-3000".parse().unwrap();
        let at = Timestamp::from_ms(2_000_000);
        let listed = [Transfer {
            id: 7,
            asset: usdt.clone(),
            amount,
            at: at.after(Span::from_ms(40)),
        }];

        let mut memory = TransferMemory {
            horizon: Some(Timestamp::from_ms(1)),
            ..Default::default()
        };
        assert!(memory.streamed(&usdt, amount, at));
        assert!(memory.read(at, &listed).is_empty());
        assert!(
            memory.read(at, &listed).is_empty(),
            "a second reading adds nothing"
        );

        let mut memory = TransferMemory {
            horizon: Some(Timestamp::from_ms(1)),
            ..Default::default()
        };
        assert_eq!(memory.read(at, &listed), [(usdt.clone(), amount)]);
        assert!(!memory.streamed(&usdt, amount, at));
        assert!(
            memory.streamed(&usdt, amount, at),
            "another one of the same size is another one"
        );
    }

    #[test]
    fn what_came_before_the_first_reading_is_in_the_first_equity() {
        let usdt = Asset::new("USDT").unwrap();
        let old = Transfer {
            id: 1,
            asset: usdt,
            amount: Money::ZERO,
            at: Timestamp::from_ms(5),
        };
        assert!(
            TransferMemory::default()
                .read(Timestamp::from_ms(9), &[old])
                .is_empty()
        );
    }
}
