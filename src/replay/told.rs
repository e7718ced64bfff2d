//! What a recording tells of orders, known before it is played: what the recorded guard sent, and which order filled when.
//!
//! A what-if must undo what the recorded guard did and the policies in question would not have done. Balances and
//! positions change in one frame and the fill behind them is told in another, in either order, so both are read first.

use super::lines::{GuardLine, OrderLine, ResultLine};
use super::recording::{Entries, Entry, RecordingError};
use crate::event::{Event, Input};
use crate::model::{ClientOrderId, Leg, OrderId, Timestamp};
use crate::venue::Via;
use crate::venue::binance::session::Session;
use std::collections::BTreeMap;

/// Fills that are remembered: a busy bot's week. Later ones count as the owner's, whoever sent them.
const FILLS_MAX: usize = 1_000_000;
/// Requests of the recorded guard that are remembered: a storm of an hour. Later ones count as not sent.
const SENT_MAX: usize = 100_000;

/// The order behind a change of a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fill {
    /// The venue's key of it.
    pub order: OrderId,
    /// The recorded guard's name for it; `None` when it was the owner's.
    pub ours: Option<ClientOrderId>,
}

/// What a recording tells of orders.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Lines after the header.
    pub lines: u64,
    /// When the first and the last line arrived, Unix ms.
    pub between: Option<(i64, i64)>,
    sent: BTreeMap<i64, Vec<OrderLine>>,
    sent_count: usize,
    fills: BTreeMap<(Leg, Timestamp), Fill>,
}

impl Told {
    /// Reads a recording to its end; `line` is called for each line.
    ///
    /// # Errors
    ///
    /// [`RecordingError`] at the first line that cannot be read.
    pub fn of(entries: Entries, mut line: impl FnMut()) -> Result<Told, RecordingError> {
        let mut told = Told::default();
        let mut session = Session::new();
        // What was recorded since the guard last started, and whether that run was dry: then nothing was sent.
        let (mut began, mut is_dry) = (i64::MIN, false);
        for entry in entries {
            let entry = entry?;
            line();
            let at = entry.at().ms();
            told.lines += 1;
            told.between = Some(
                told.between
                    .map_or((at, at), |(first, last)| (first, last.max(at))),
            );
            match &entry {
                Entry::Received(received) => {
                    let is_fill =
                        matches!(&received.via, Via::Private(text) if text.contains("ORDER_TRADE_UPDATE"));
                    if is_fill {
                        session.take(received).iter().for_each(|input| told.fill(input));
                    }
                }
                Entry::Guard(_, guard) => match &**guard {
                    GuardLine::Start { .. } => (began, is_dry) = (at, false),
                    GuardLine::Decision(line) if !is_dry && told.sent_count < SENT_MAX => {
                        told.sent_count += line.orders.len();
                        told.sent
                            .entry(line.at)
                            .or_default()
                            .extend(line.orders.iter().cloned());
                    }
                    GuardLine::Outcome {
                        result: ResultLine::Suppressed,
                        ..
                    } => {
                        is_dry = true;
                        told.sent.split_off(&began);
                    }
                    _ => {}
                },
            }
        }
        Ok(told)
    }

    /// Remembers a fill, when that is what an input tells.
    pub(super) fn fill(&mut self, input: &Input) {
        let Input::Venue(Event::Order(order)) = input else {
            return;
        };
        if !order.executed.is_positive() || self.fills.len() >= FILLS_MAX {
            return;
        }
        let ours = order.client_id.clone().filter(ClientOrderId::is_ours);
        let fill = Fill {
            order: order.id.clone(),
            ours,
        };
        self.fills.insert((order.leg(), order.at), fill);
    }

    /// The order that changed a leg at this time of the venue; `None` when the recording tells of none.
    pub fn fill_of(&self, leg: &Leg, at: Timestamp) -> Option<&Fill> {
        self.fills.get(&(leg.clone(), at))
    }

    /// Whether the recorded guard sent exactly this in the step at `at`.
    pub fn was_sent(&self, at: Timestamp, order: &OrderLine) -> bool {
        self.sent.get(&at.ms()).is_some_and(|sent| sent.contains(order))
    }
}
