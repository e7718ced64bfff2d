//! Copies of a guard's state for people and scripts.

use crate::guard::Guard;
use crate::model::{MarginType, OrderKind, Ratio, Side, Store, Symbol};
use crate::policy::envelope::{Policy, PolicyState};
use crate::policy::{Amount, Kind, Measured};
use crate::serve::status::{AccountStatus, LatchStatus, OrderStatus, PolicyStatus, PositionStatus};
use rust_decimal::Decimal;

/// A copy of an account's state. Unknown is absent, never zero.
pub fn account_status(guard: &Guard) -> AccountStatus {
    let book = guard.book();
    let plain = |amount: Decimal| amount.normalize().to_string();
    let drawdown = guard
        .policies()
        .iter()
        .find(|policy| matches!(policy.spec.kind, Kind::Drawdown(_)));
    let equity = book.equity().ok();
    let high_water = drawdown.and_then(|policy| policy.memory.mark);
    // A balance that moved unexplained may be a withdrawal: until it is known, nothing is shown as lost.
    let fall = high_water
        .zip(book.trusted_equity().ok())
        .and_then(|(mark, equity)| (mark - equity).ratio_of(mark));
    AccountStatus {
        label: guard.account().into(),
        state: guard.state().word().into(),
        equity: equity.map(|equity| plain(equity.decimal())),
        high_water: high_water.map(|mark| plain(mark.decimal())),
        drawdown: fall.map(|fall| plain(fall.decimal().round_dp(6))),
        margin_ratio: book
            .worst_ratio()
            .ok()
            .flatten()
            .map(|ratio| plain(ratio.decimal().round_dp(6))),
        margin_gaps: book
            .gaps()
            .map(|(bucket, gap)| format!("{bucket}: {gap}"))
            .collect(),
        last_proof_ms: book.link().proof().map(crate::model::Timestamp::ms),
        positions: positions(guard),
        orders: orders(guard),
        policies: guard
            .policies()
            .iter()
            .map(|policy| policy_status(guard, policy))
            .collect(),
        latch: latch(guard),
        counters: book
            .counters()
            .map(|(name, count)| (name.to_owned(), count))
            .into(),
        ..AccountStatus::default()
    }
}

fn positions(guard: &Guard) -> Vec<PositionStatus> {
    let book = guard.book();
    let shown = book.positions().map(|(leg, position)| {
        let mark = book.last_mark(&leg.symbol);
        PositionStatus {
            symbol: leg.symbol.to_string(),
            side: leg.side.to_string(),
            amount: position.amount.to_string(),
            entry_price: position.entry.map(|entry| entry.to_string()),
            mark_price: mark.map(|mark| mark.to_string()),
            unrealised: mark
                .and_then(|mark| position.unrealised(mark))
                .map(|profit| profit.to_string()),
            margin: match book.margin_type(leg) {
                MarginType::Cross => "cross".into(),
                MarginType::Isolated => "isolated".into(),
            },
            notional: mark.map(|mark| position.amount.notional(mark).to_string()),
        }
    });
    shown.collect()
}

fn orders(guard: &Guard) -> Vec<OrderStatus> {
    let shown = guard.book().orders().iter().map(|order| OrderStatus {
        symbol: order.id.symbol.to_string(),
        store: if order.id.store == Store::Regular {
            "regular"
        } else {
            "conditional"
        }
        .into(),
        side: if order.side == Side::Buy { "BUY" } else { "SELL" }.into(),
        position_side: order.position_side.to_string(),
        kind: match order.kind {
            OrderKind::Limit => "limit",
            OrderKind::Market => "market",
            OrderKind::Stop => "stop",
            OrderKind::TakeProfit => "take_profit",
            OrderKind::Trailing => "trailing",
            OrderKind::Liquidation => "liquidation",
            OrderKind::Other => "other",
        }
        .into(),
        quantity: order.quantity.to_string(),
        price: order.price.map(|price| price.to_string()),
        trigger: order.trigger.map(|price| price.to_string()),
        reduce_only: order.reduce_only || order.close_position,
        client_id: order.client_id.as_ref().map(ToString::to_string),
    });
    shown.collect()
}

fn policy_status(guard: &Guard, policy: &Policy) -> PolicyStatus {
    let (state, place) = policy.state();
    // The worst scope is shown: the one in the worst state, else the one with the largest measurement.
    let largest = policy
        .tracks
        .iter()
        .max_by_key(|(_, track)| match &track.measured {
            Measured::Value(value) => value.number(),
            Measured::Beyond | Measured::Fired(_) => Decimal::MAX,
            Measured::Quiet | Measured::Unknown(_) => Decimal::MIN,
        });
    let scope = place.map(|(scope, _)| scope).or(largest.map(|(scope, _)| scope));
    let track = scope.and_then(|scope| policy.tracks.get(scope));
    let value = track.and_then(|track| track.measured.value());
    let reached = track.and_then(|track| track.highest());
    let next = policy
        .spec
        .ladder
        .get(reached.map_or(0, |index| index + 1))
        .and_then(|rung| rung.at);
    let rung = reached
        .and_then(|index| policy.spec.ladder.get(index))
        .map(|rung| rung.action.name().to_owned());
    let headroom = value
        .zip(next)
        .and_then(|(value, next)| next.number().checked_sub(value.number()));
    let number = |amount: Amount| amount.number().normalize().round_dp(6).to_string();
    PolicyStatus {
        id: policy.spec.id.clone(),
        kind: policy.spec.kind.name().into(),
        scope: scope.map_or("account".into(), ToString::to_string),
        state: state.word().into(),
        rung,
        value: value.map(number),
        next_threshold: next.map(number),
        headroom: headroom.map(|headroom| headroom.normalize().round_dp(6).to_string()),
        why: match &state {
            PolicyState::Ok | PolicyState::Disabled => None,
            PolicyState::Unknown(why) => Some(why.to_string()),
            _ => scope.map(|scope| policy.explain(guard.book(), scope)),
        },
    }
}

/// What holds the account, and the way out.
fn latch(guard: &Guard) -> Option<LatchStatus> {
    let label = guard.account();
    let rearm = format!("backstop rearm --account {label}");
    if let Some(kill) = guard.kills().first() {
        let place = kill.symbol.as_ref().map_or("everything", Symbol::as_str);
        let cause = format!("kill switch over {place}: {}", kill.reason);
        return Some(LatchStatus {
            cause,
            since_ms: kill.since.ms(),
            rearm,
        });
    }
    for policy in guard.policies() {
        for (scope, track) in &policy.tracks {
            for (state, rung) in track.rungs.iter().zip(&policy.spec.ladder) {
                let crate::policy::envelope::RungState::Tripped(trip) = state else {
                    continue;
                };
                if policy.latch(rung) == crate::policy::Latch::Manual {
                    let numbers = policy.explain(guard.book(), scope);
                    let cause = format!(
                        "policy {}, rung {}: {numbers}",
                        policy.spec.id,
                        rung.action.name()
                    );
                    return Some(LatchStatus {
                        cause,
                        since_ms: trip.since.ms(),
                        rearm,
                    });
                }
            }
        }
    }
    None
}

/// One line of numbers for the story: equity, drawdown, margin ratio, positions.
pub fn pulse(guard: &Guard) -> String {
    let status = account_status(guard);
    let ratio = |text: &Option<String>| {
        let parsed = text.as_ref().and_then(|text| text.parse::<Ratio>().ok());
        parsed.map_or("unknown".into(), Ratio::percent)
    };
    let equity = guard
        .book()
        .equity()
        .map_or("unknown".into(), |equity| Amount::Money(equity).to_string());
    let held: Vec<String> = guard
        .book()
        .positions()
        .map(|(leg, position)| {
            let mark = guard
                .book()
                .last_mark(&leg.symbol)
                .map_or("?".into(), |mark| mark.to_string());
            format!("{} {leg} at {mark}", position.amount)
        })
        .collect();
    let held = if held.is_empty() {
        "flat".into()
    } else {
        held.join(", ")
    };
    format!(
        "equity {equity} USDT   drawdown {}   margin ratio {}   {held}",
        ratio(&status.drawdown),
        ratio(&status.margin_ratio)
    )
}
