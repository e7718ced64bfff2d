//! At which price a rung lies, where one price decides.

use crate::book::Book;
use crate::model::{Leg, Position, Price};
use crate::policy::envelope::Policy;
use crate::policy::{Amount, Kind, Rung, Scope};
use rust_decimal::Decimal;

/// The mark price at which a rung of a policy over `scope` is met, all else as it is.
///
/// `None` when more than one position moves the measurement, or a number for it is missing. Exact for losses; for a margin
/// ratio near, because maintenance tiers change with the price:
///
/// ```text
/// loss:   price = mark − (loss still allowed) ÷ size
/// ratio:  (maintenance + |size| × rate × move) = limit × (balance + size × move)
/// ```
pub fn price_of(book: &Book, policy: &Policy, scope: &Scope, rung: &Rung) -> Option<(Leg, Price)> {
    let (leg, position) = only_position(book, scope)?;
    let mark = book.mark_price(&leg.symbol).ok()?;
    let size = position.amount.decimal();
    let moved = match (&policy.spec.kind, scope) {
        (Kind::Drawdown(_) | Kind::PeriodLoss(_), Scope::Account) => Decimal::ZERO
            .checked_sub(allowed_loss(book, policy, rung)?)?
            .checked_div(size)?,
        (Kind::MarginRatio(_), Scope::Bucket(bucket)) => {
            let Some(Amount::Ratio(limit)) = rung.at else {
                return None;
            };
            let margin = book.margin(bucket).ok()?;
            let tier = *book
                .instrument(&leg.symbol)
                .ok()?
                .tier(position.amount.abs().notional(mark))?;
            let rate = size.abs().checked_mul(tier.rate.decimal())?;
            let missing = limit
                .decimal()
                .checked_mul(margin.balance.decimal())?
                .checked_sub(margin.maintenance.decimal())?;
            missing.checked_div(rate.checked_sub(limit.decimal().checked_mul(size)?)?)?
        }
        _ => return None,
    };
    let price = mark.decimal().checked_add(moved)?.normalize();
    Some((leg.clone(), Price::new(price).ok()?))
}

/// The one position that the scope's measurement follows.
fn only_position<'b>(book: &'b Book, scope: &'b Scope) -> Option<(&'b Leg, &'b Position)> {
    let mut held: Vec<_> = match scope {
        Scope::Account => book.positions().take(2).collect(),
        Scope::Bucket(bucket) => book.in_bucket(bucket).take(2).collect(),
        Scope::Leg(_) => return None,
    };
    let only = held.pop()?;
    held.is_empty().then_some(only)
}

/// What may still be lost until the rung, in money.
fn allowed_loss(book: &Book, policy: &Policy, rung: &Rung) -> Option<Decimal> {
    let mark = policy.memory.mark?;
    let equity = book.trusted_equity().ok()?;
    let (lost, whole) = match &policy.spec.kind {
        Kind::PeriodLoss(period) => (
            mark + policy.memory.flows - equity,
            period.initial.unwrap_or(mark),
        ),
        _ => (mark - equity, mark),
    };
    let limit = match rung.at? {
        Amount::Ratio(ratio) => whole.decimal().checked_mul(ratio.decimal())?,
        Amount::Money(money) => money.decimal(),
        _ => return None,
    };
    limit.checked_sub(lost.decimal())
}
