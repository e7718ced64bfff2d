//! What the book shows of a request: whether what it was for is gone, or still there.

use super::flights::Flight;
use crate::book::Book;
use crate::model::{Intent, IntentKey, Leg, ProtectiveStop, Span, Store, Symbol, Timestamp};

/// Readings lag by this at most (FAILURES.md MO-23).
pub(super) const LAG_MAX: Span = Span::from_secs(5);

/// Whether a reading after `landed` shows a leg with what its order filled, whatever the amount is.
///
/// One that was refused as older says nothing. One that lags shows the position as the order found it, or as it was before
/// the fill, by the venue's own times: by it the same would be cut again (MO-23), so only one that can no longer lag
/// counts. When the venue's clock stepped back the times of the fill do not tell, and the unchanged one does.
pub(super) fn is_read(book: &Book, flight: &Flight, leg: &Leg, landed: Timestamp) -> bool {
    let is_late = book.position(leg).is_some_and(|held| {
        let is_as_found = Some(held.at) == flight.found && flight.executed.is_positive();
        held.at.ms() > 0 && (held.at < flight.reported || is_as_found)
    });
    let after = if is_late { landed.after(LAG_MAX) } else { landed };
    book.leg_read(leg).is_some_and(|read| read > after)
}

/// Whether something is open that a cancel is for, or held that a stop is for.
pub(super) fn has_any(book: &Book, key: &IntentKey) -> bool {
    match key {
        IntentKey::Cancel(id) => book.orders().get(id).is_some(),
        IntentKey::CancelAll(store, symbol) => any_open(book, *store, symbol),
        IntentKey::PlaceStop(leg) => !book.amount(leg).is_zero(),
        IntentKey::Reduce(_) => false,
    }
}

/// Whether an order is still open that was there when its cancel was sent, younger ones came after it; or whether a stop
/// does not stand that the venue took.
pub(super) fn is_ignored(book: &Book, store: Store, flight: &Flight) -> bool {
    if let Intent::PlaceStop(stop) = &flight.intent {
        return !stands(book, stop);
    }
    book.orders().of(flight.intent.symbol()).any(|order| {
        let is_meant = match &flight.intent {
            Intent::Cancel(id) => order.id == *id,
            _ => order.id.store == store,
        };
        is_meant && order.at <= flight.sent
    })
}

/// Whether what a cancel is for is no longer open; whether a stop stands.
pub(super) fn is_gone(book: &Book, intent: &Intent) -> bool {
    match intent {
        Intent::Cancel(id) => book.orders().get(id).is_none(),
        Intent::CancelAll(symbol) => !any_open(book, Store::Regular, symbol),
        Intent::CancelAllConditional(symbol) => !any_open(book, Store::Conditional, symbol),
        Intent::PlaceStop(stop) => stands(book, stop),
        Intent::Reduce(_) => false,
    }
}

fn stands(book: &Book, stop: &ProtectiveStop) -> bool {
    book.orders()
        .our_stops(stop.leg())
        .any(|order| order.client_id.as_ref() == Some(stop.id()))
}

pub(super) fn any_open(book: &Book, store: Store, symbol: &Symbol) -> bool {
    book.orders().of(symbol).any(|order| order.id.store == store)
}

pub(super) fn reduced_leg(intent: &Intent) -> Option<&Leg> {
    match intent {
        Intent::Reduce(order) => Some(order.leg()),
        _ => None,
    }
}
