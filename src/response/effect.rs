//! What the book shows of a request: whether what it was for is gone, or still there.

use super::flights::Flight;
use crate::book::Book;
use crate::model::{Intent, IntentKey, Leg, ProtectiveStop, Store, Symbol};

/// Whether what is known of a leg is older than what its order filled, by the venue's own times: such a reading lags, and
/// by it the same would be cut again (MO-23).
pub(super) fn is_older(book: &Book, flight: &Flight) -> bool {
    let held = reduced_leg(&flight.intent).and_then(|leg| book.position(leg));
    held.is_some_and(|held| held.at.ms() > 0 && held.at < flight.reported)
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
