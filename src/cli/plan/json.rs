//! A look as JSON: decimals are strings, and what is not known is null.

use super::{Look, Rights};
use crate::book::{Bucket, BucketMargin};
use crate::guard::preview::{Close, Effect, Held, Judged, Preview, RungView, Standing, Stop};
use crate::model::{MarginType, Money, PositionMode, Price, ProtectiveStop, Ratio, Store, Symbol};
use crate::policy::{Action, Amount, Cut, Measured, Mode};
use crate::response::weigh::{Reasoning, Weighed};
use crate::venue::binance::{Said, SaidMargin};
use rust_decimal::Decimal;
use serde_json::{Value, json};

/// Quotients have no end; money at the venue has eight decimals.
const PLACES: u32 = 8;

/// The object of one account.
pub(super) fn object(look: &Look) -> Value {
    let own = json!({
        "account": look.label, "venue": look.venue, "environment": look.environment, "at": look.at.ms(),
        "position_mode": look.mode.map(|mode| match mode {
            PositionMode::OneWay => "one_way",
            PositionMode::Hedge => "hedge",
        }),
        "multi_assets": look.mode.map(|_| look.is_multi_assets),
        "skew_ms": look.skew_ms, "round_trip_ms": look.round_trip.map(|trip| trip.ms()),
        "weight_used": look.weight.0, "weight_limit": look.weight.1,
        "key": rights(&look.rights), "kept_state": look.kept, "failed": look.failed,
        "what_if": what_if(look),
    });
    let mut object = state(&look.preview, &look.said);
    if let (Value::Object(all), Value::Object(own)) = (&mut object, own) {
        all.extend(own);
    }
    object
}

/// What is supposed, and the account after it; null when nothing is.
fn what_if(look: &Look) -> Value {
    if look.shock.is_nothing() {
        return Value::Null;
    }
    let moves = look.shock.moves.iter().map(
        |it| json!({"symbol": it.symbol.as_ref().map_or("*", Symbol::as_str), "by": number(it.by.decimal())}),
    );
    json!({
        "withdrawal": money(look.shock.withdrawal), "moves": moves.collect::<Value>(),
        // The venue was not asked about this: its own numbers are null here.
        "then": look.then.as_ref().map(|then| state(then, &Said::default())),
    })
}

/// The account and its policies, as they are or as they would be.
fn state(preview: &Preview, of_venue: &Said) -> Value {
    json!({
        "equity": preview.equity.as_ref().ok().map(|equity| money(*equity)),
        "wallets": preview.wallets.as_ref().ok().map(|wallets| money(*wallets)),
        "margin": preview.buckets.iter().map(|(bucket, margin)| {
            json!({
                "bucket": bucket.to_string(),
                "own": margin.as_ref().ok().map(margin_numbers),
                "venue": said(of_venue, bucket).map(|said| margin_numbers(&BucketMargin {
                    maintenance: said.maintenance,
                    balance: said.balance,
                })),
                "why": margin.as_ref().err().map(ToString::to_string),
            })
        }).collect::<Value>(),
        "positions": preview.positions.iter().map(|held| position(held, of_venue)).collect::<Value>(),
        "kills": preview.kills,
        "now": effect(&preview.now),
        "policies": preview.policies.iter().map(policy).collect::<Value>(),
    })
}

/// What the venue says of a bucket.
pub(super) fn said(said: &Said, bucket: &Bucket) -> Option<SaidMargin> {
    match bucket {
        Bucket::Whole => said.whole,
        Bucket::Cross(asset) => said.cross.get(asset).copied(),
        Bucket::Isolated(leg) => said.isolated.get(leg).copied(),
    }
}

/// The word for how something stands.
pub(super) fn word(standing: &Standing) -> &'static str {
    match standing {
        Standing::Off => "off",
        Standing::Ok => "ok",
        Standing::NotJudged => "not_judged",
        Standing::Unknown(_) => "unknown",
        Standing::Pending => "pending",
        Standing::Trips => "trips",
        Standing::InForce(_) => "in_force",
    }
}

fn number(value: Decimal) -> Value {
    value.round_dp(PLACES).normalize().to_string().into()
}

fn money(money: Money) -> Value {
    number(money.decimal())
}

fn price(price: Option<Price>) -> Value {
    price.map_or(Value::Null, |price| number(price.decimal()))
}

fn amount(amount: Option<Amount>) -> Value {
    amount.map_or(Value::Null, |amount| number(amount.number()))
}

fn margin_numbers(margin: &BucketMargin) -> Value {
    json!({
        "maintenance": money(margin.maintenance), "balance": money(margin.balance),
        "ratio": margin.ratio().map(|ratio: Ratio| number(ratio.decimal())),
    })
}

fn rights(rights: &Rights) -> Value {
    match rights {
        Rights::Untold => json!({"told": false}),
        Rights::Unknown(why) => json!({"told": false, "why": why}),
        Rights::Known(known) => json!({
            "told": true, "beyond_need": known.beyond_need(), "excessive": known.excessive(),
            "may_trade_futures": known.enable_futures, "ip_restricted": known.ip_restrict,
        }),
    }
}

fn position(held: &Held, said: &Said) -> Value {
    let (position, cover) = (&held.position, held.cover.as_ref());
    json!({
        "symbol": held.leg.symbol.to_string(), "position_side": held.leg.side.to_string(),
        "margin": match held.margin { MarginType::Cross => "cross", MarginType::Isolated => "isolated" },
        "amount": number(position.amount.decimal()), "entry": price(position.entry), "mark": price(held.mark),
        "notional": held.mark.map(|mark| money(position.amount.notional(mark))),
        "unrealised": held.mark.and_then(|mark| position.unrealised(mark)).map(money),
        "liquidation": price(said.liquidation.get(&held.leg).copied()),
        "coverage": cover.map(|cover| number(cover.share.decimal())),
        "stops_not_counted": cover.map(|cover| cover.passed_over),
        "stops": cover.map(|cover| cover.stops.iter().map(stop).collect::<Value>()),
    })
}

fn stop(stop: &Stop) -> Value {
    json!({
        "store": match stop.store { Store::Regular => "regular", Store::Conditional => "conditional" },
        "trigger": price(stop.trigger), "quantity": number(stop.quantity.decimal()),
    })
}

fn policy(judged: &Judged) -> Value {
    json!({
        "policy": judged.id, "type": judged.kind, "state": word(&judged.standing), "why": judged.why,
        "scope": judged.scope.as_ref().map(ToString::to_string),
        "value": amount(judged.measured.value()), "beyond": judged.measured == Measured::Beyond,
        "rungs": judged.rungs.iter().map(rung).collect::<Value>(),
    })
}

fn rung(rung: &RungView) -> Value {
    let (to, fraction) = match rung.action {
        Action::Reduce(Cut::To(to)) => (Some(to), None),
        Action::Reduce(Cut::Fraction(fraction)) => (None, Some(number(fraction.decimal()))),
        _ => (None, None),
    };
    json!({
        "action": rung.action.name(), "at": amount(rung.at), "to": amount(to), "fraction": fraction,
        "mode": mode(rung.mode), "for_ms": rung.hold.ms(), "state": word(&rung.standing),
        "in_force_since": match rung.standing { Standing::InForce(since) => Some(since.ms()), _ => None },
        "headroom": amount(rung.headroom), "effect": effect(&rung.effect),
    })
}

/// The word for a mode in policy files.
pub(super) fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Off => "off",
        Mode::Shadow => "shadow",
        Mode::Warn => "warn",
        Mode::Enforce => "enforce",
    }
}

fn effect(effect: &Effect) -> Value {
    let close = |close: &Close| {
        json!({
            "symbol": close.leg.symbol.to_string(), "position_side": close.leg.side.to_string(),
            "side": close.side.to_string(), "quantity": number(close.quantity.decimal()), "slices": close.slices,
            "notional": close.notional.map(money),
        })
    };
    let stop = |stop: &ProtectiveStop| {
        json!({
            "symbol": stop.leg().symbol.to_string(), "position_side": stop.leg().side.to_string(),
            "side": stop.side().to_string(), "trigger": price(Some(stop.trigger())),
        })
    };
    json!({
        "stops": effect.stops.iter().map(stop).collect::<Value>(),
        "orders": effect.closes.iter().map(close).collect::<Value>(),
        "cancelled": effect.cancels, "swept_when_flat": effect.sweeps, "cost": effect.cost.map(money),
        "reasons": effect.reasons.iter().map(reasoning).collect::<Value>(),
        "not_sized_because": effect.unsized_because, "more_than_listed": effect.is_cut_short,
    })
}

fn reasoning(reasoning: &Reasoning) -> Value {
    let weighed = |weighed: &Weighed| {
        json!({
            "what": weighed.what, "cost": money(weighed.cost), "reaches": weighed.is_reached,
            "ratio_after": weighed.after.and_then(|(ratio, _)| ratio).map(|ratio| number(ratio.decimal())),
            "distance_after": weighed.after.map(|(_, distance)| number(distance.decimal())),
        })
    };
    json!({
        "plan": weighed(&reasoning.plan), "bound_by": reasoning.bound,
        "instead": reasoning.others.iter().map(weighed).collect::<Value>(),
        "top_up": reasoning.top_up.map(money),
    })
}
