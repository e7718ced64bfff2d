//! What a what-if found, in words.

use super::apart::Closed;
use crate::book::Book;
use crate::model::{Money, Ratio, Timestamp};

/// The words under every modelled number.
pub const MODEL: [&str; 5] = [
    "Modelled: a reduction that the recording does not show fills whole and at once at the mark price, less 0.1% of",
    "its size. What the recorded guard did and these policies would not have done is taken out. What the owner did",
    "keeps being done: opened in full, closed as far as it is there, and an owner who went flat is flat. Not modelled:",
    "how the market and the owner would have answered, fills of orders that the recorded guard cancelled, margin calls",
    "of the account that was not, funding other than recorded, and liquidation, which is only named.",
];

/// Money for people.
pub fn rounded(money: Money) -> String {
    money.decimal().round_dp(2).normalize().to_string()
}

/// What was closed of a leg, in words.
pub fn closed_words(closed: &Closed) -> String {
    let how = match closed.recorded {
        recorded if recorded.is_zero() => "",
        recorded if recorded == closed.qty => ", as recorded",
        _ => ", partly as recorded",
    };
    let (notional, cost) = (rounded(closed.notional), rounded(closed.cost));
    format!("{} at {notional}, cost {cost}{how}", closed.qty)
}

/// The worst margin ratio, in words.
pub fn worst_words(worst: Option<(Option<Ratio>, Timestamp)>) -> String {
    match worst {
        None => "unknown".into(),
        Some((None, _)) => "no balance left: liquidation".into(),
        Some((Some(ratio), _)) if ratio >= Ratio::ONE => format!("{}: liquidation", ratio.percent()),
        Some((Some(ratio), _)) => ratio.percent(),
    }
}

/// What is open, each leg; `None` when the account was not read.
pub fn open(book: &Book) -> Option<Vec<String>> {
    let legs = || {
        book.positions()
            .map(|(leg, held)| format!("{} {leg}", held.amount))
    };
    book.is_ready().then(|| legs().collect())
}

/// What is open, in words.
pub fn open_words(book: &Book) -> String {
    match open(book) {
        None => "unknown".into(),
        Some(open) if open.is_empty() => "nothing".into(),
        Some(open) => open.join(", "),
    }
}
