//! The kept state as text: the guard's [`Saved`] in JSON and back. Core types stay free of serialisation.
//!
//! A text that cannot be read in full is refused in full: half a state is a wrong state.

use super::rounds::{KeptRound, keep_amounts, keep_round, read_amounts, read_round};
use crate::book::{Bucket, TransferMemory};
use crate::event::KillAction;
use crate::guard::{Saved, SavedPolicy, SavedTrip};
use crate::model::{
    Asset, ClientOrderId, Intent, Leg, Money, PositionSide, Pricing, Qty, ReduceOrder, Side, Symbol,
    Timestamp,
};
use crate::policy::envelope::Trip;
use crate::policy::{Memory, Scope};
use crate::response::Stop;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::str::FromStr;

/// The newest version of this form: 2 is 1 with stops, 3 is that with what only later types of policy remember. It is
/// written as the oldest that holds it. A newer one is refused.
const VERSION: u32 = 3;

/// Why a kept state was not understood.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Not the JSON that this version writes.
    #[error("the kept state is not readable: {0}")]
    Json(#[from] serde_json::Error),
    /// Another version wrote it.
    #[error("the kept state has version {0}, and this version reads 1 to {VERSION}")]
    Version(u32),
    /// A value in it is impossible.
    #[error("the kept state holds an impossible {0}: `{1}`")]
    Value(&'static str, String),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    version: u32,
    live: bool,
    policies: BTreeMap<String, KeptPolicy>,
    kills: Vec<KeptKill>,
    counters: Vec<(String, KeptLeg, u32)>,
    flights: Vec<KeptFlight>,
    transfers: KeptTransfers,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    stops: Vec<KeptStop>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptPolicy {
    mark: Option<String>,
    flows: String,
    since: Option<i64>,
    until: Option<i64>,
    last: Option<String>,
    last_at: Option<i64>,
    note: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    best: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    peaks: Vec<(i64, String)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    losses: Vec<(i64, String)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rounds: Vec<KeptRound>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    naked: Vec<(KeptLeg, i64)>,
    trips: Vec<KeptTrip>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptTrip {
    scope: KeptScope,
    rung: usize,
    level: u8,
    manual: bool,
    enforced: bool,
    since: i64,
    event: Option<i64>,
    breached: bool,
    fulfilled: bool,
    aims: Vec<(KeptLeg, String)>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum KeptScope {
    Account,
    Cross(String),
    Whole,
    Isolated(KeptLeg),
    Leg(KeptLeg),
}

#[derive(Serialize, Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub(super) struct KeptLeg {
    symbol: String,
    side: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptKill {
    flatten: bool,
    symbol: Option<String>,
    reason: String,
    since: i64,
    fulfilled: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptFlight {
    id: String,
    leg: KeptLeg,
    buys: bool,
    quantity: String,
    before: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptStop {
    leg: KeptLeg,
    buys: bool,
    overshot: Option<i64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptTransfers {
    horizon: Option<i64>,
    streamed: Vec<(String, String, i64)>,
    listed: Vec<(String, String, i64)>,
    seen: Vec<(i64, i64)>,
}

/// The state as text, and whether a live guard left it.
pub fn write(saved: &Saved, live: bool) -> String {
    let kept = Kept {
        version: version(saved),
        live,
        policies: saved
            .policies
            .iter()
            .map(|(id, policy)| (id.clone(), keep_policy(policy)))
            .collect(),
        kills: saved.kills.iter().map(keep_kill).collect(),
        counters: saved
            .counters
            .iter()
            .map(|(e, leg, count)| (e.clone(), keep_leg(leg), *count))
            .collect(),
        flights: saved.flights.iter().filter_map(keep_flight).collect(),
        transfers: KeptTransfers {
            horizon: saved.transfers.horizon.map(Timestamp::ms),
            streamed: keep_tellings(&saved.transfers.streamed),
            listed: keep_tellings(&saved.transfers.listed),
            seen: saved
                .transfers
                .seen
                .iter()
                .map(|(id, at)| (*id, at.ms()))
                .collect(),
        },
        stops: saved.stops.iter().map(keep_stop).collect(),
    };
    // Strings, numbers and maps with text keys: JSON has a form for all of them.
    serde_json::to_string(&kept).unwrap_or_default()
}

/// The oldest version that holds all of it.
fn version(saved: &Saved) -> u32 {
    let is_newest = |policy: &SavedPolicy| {
        let memory = &policy.memory;
        let amounts = memory.peaks.len() + memory.losses.len() + memory.rounds.len() + memory.naked.len();
        amounts > 0 || memory.best.is_some()
    };
    match saved.policies.values().any(is_newest) {
        true => VERSION,
        false if saved.stops.is_empty() => 1,
        false => 2,
    }
}

/// The state from text, and whether a live guard left it.
///
/// # Errors
///
/// [`StateError`] when the text is not what [`write()`] gives.
pub fn read(text: &str) -> Result<(Saved, bool), StateError> {
    let kept: Kept = serde_json::from_str(text)?;
    if !(1..=VERSION).contains(&kept.version) {
        return Err(StateError::Version(kept.version));
    }
    let mut saved = Saved {
        kills: collect(kept.kills, |kill| {
            Ok(crate::response::Kill {
                action: if kill.flatten {
                    KillAction::Flatten
                } else {
                    KillAction::Block
                },
                symbol: kill
                    .symbol
                    .as_deref()
                    .map(|symbol| value("symbol", symbol))
                    .transpose()?,
                reason: kill.reason,
                since: Timestamp::from_ms(kill.since),
                fulfilled: kill.fulfilled,
            })
        })?,
        counters: collect(kept.counters, |(episode, leg, count)| {
            Ok((episode, read_leg(&leg)?, count))
        })?,
        flights: collect(kept.flights, |flight| read_flight(&flight))?,
        transfers: TransferMemory {
            horizon: kept.transfers.horizon.map(Timestamp::from_ms),
            streamed: read_tellings(kept.transfers.streamed)?,
            listed: read_tellings(kept.transfers.listed)?,
            seen: kept
                .transfers
                .seen
                .into_iter()
                .map(|(id, at)| (id, Timestamp::from_ms(at)))
                .collect(),
        },
        stops: collect(kept.stops, |stop| {
            let side = if stop.buys { Side::Buy } else { Side::Sell };
            let overshot = stop.overshot.map(Timestamp::from_ms);
            Ok((read_leg(&stop.leg)?, Stop { side, overshot }))
        })?,
        ..Saved::default()
    };
    for (id, policy) in kept.policies {
        saved.policies.insert(id, read_policy(policy)?);
    }
    Ok((saved, kept.live))
}

fn collect<A, B>(from: Vec<A>, each: impl Fn(A) -> Result<B, StateError>) -> Result<Vec<B>, StateError> {
    from.into_iter().map(each).collect()
}

pub(super) fn value<T: FromStr>(what: &'static str, text: &str) -> Result<T, StateError> {
    text.parse()
        .map_err(|_| StateError::Value(what, text.chars().take(60).collect()))
}

pub(super) fn keep_leg(leg: &Leg) -> KeptLeg {
    KeptLeg {
        symbol: leg.symbol.to_string(),
        side: leg.side.to_string(),
    }
}

pub(super) fn read_leg(kept: &KeptLeg) -> Result<Leg, StateError> {
    let side = match kept.side.as_str() {
        "BOTH" => PositionSide::Both,
        "LONG" => PositionSide::Long,
        "SHORT" => PositionSide::Short,
        other => return Err(StateError::Value("leg", other.into())),
    };
    Ok(Leg {
        symbol: value("symbol", &kept.symbol)?,
        side,
    })
}

fn keep_policy(policy: &SavedPolicy) -> KeptPolicy {
    let memory = &policy.memory;
    KeptPolicy {
        mark: memory.mark.map(|mark| mark.to_string()),
        flows: memory.flows.to_string(),
        since: memory.since.map(Timestamp::ms),
        until: memory.until.map(Timestamp::ms),
        last: memory.last.map(|last| last.to_string()),
        last_at: memory.last_at.map(Timestamp::ms),
        note: memory.note.clone(),
        best: memory.best.map(|best| best.to_string()),
        peaks: keep_amounts(&memory.peaks),
        losses: keep_amounts(&memory.losses),
        rounds: memory.rounds.iter().map(keep_round).collect(),
        naked: policy
            .memory
            .naked
            .iter()
            .map(|(leg, since)| (keep_leg(leg), since.ms()))
            .collect(),
        trips: policy.trips.iter().map(keep_trip).collect(),
    }
}

fn read_policy(kept: KeptPolicy) -> Result<SavedPolicy, StateError> {
    let money = |text: Option<String>| {
        text.as_deref()
            .map(|text| value::<Money>("amount", text))
            .transpose()
    };
    Ok(SavedPolicy {
        memory: Memory {
            mark: money(kept.mark)?,
            flows: value("amount", &kept.flows)?,
            since: kept.since.map(Timestamp::from_ms),
            until: kept.until.map(Timestamp::from_ms),
            last: money(kept.last)?,
            last_at: kept.last_at.map(Timestamp::from_ms),
            note: kept.note,
            best: money(kept.best)?,
            peaks: read_amounts(kept.peaks)?,
            losses: read_amounts(kept.losses)?,
            rounds: collect(kept.rounds, |round| read_round(&round))?
                .into_iter()
                .collect(),
            naked: collect(kept.naked, |(leg, since)| {
                Ok((read_leg(&leg)?, Timestamp::from_ms(since)))
            })?
            .into_iter()
            .collect(),
            ..Memory::default()
        },
        trips: collect(kept.trips, |trip| {
            Ok(SavedTrip {
                scope: read_scope(&trip.scope)?,
                rung: trip.rung,
                level: trip.level,
                is_manual: trip.manual,
                is_enforced: trip.enforced,
                trip: Trip {
                    since: Timestamp::from_ms(trip.since),
                    event: trip.event.map(Timestamp::from_ms),
                    breached: trip.breached,
                    fulfilled: trip.fulfilled,
                    aims: collect(trip.aims, |(leg, qty)| {
                        Ok((read_leg(&leg)?, value("quantity", &qty)?))
                    })?,
                },
            })
        })?,
    })
}

fn keep_trip(kept: &SavedTrip) -> KeptTrip {
    KeptTrip {
        scope: keep_scope(&kept.scope),
        rung: kept.rung,
        level: kept.level,
        manual: kept.is_manual,
        enforced: kept.is_enforced,
        since: kept.trip.since.ms(),
        event: kept.trip.event.map(Timestamp::ms),
        breached: kept.trip.breached,
        fulfilled: kept.trip.fulfilled,
        aims: kept
            .trip
            .aims
            .iter()
            .map(|(leg, qty)| (keep_leg(leg), qty.to_string()))
            .collect(),
    }
}

fn keep_scope(scope: &Scope) -> KeptScope {
    match scope {
        Scope::Account => KeptScope::Account,
        Scope::Bucket(Bucket::Cross(asset)) => KeptScope::Cross(asset.to_string()),
        Scope::Bucket(Bucket::Whole) => KeptScope::Whole,
        Scope::Bucket(Bucket::Isolated(leg)) => KeptScope::Isolated(keep_leg(leg)),
        Scope::Leg(leg) => KeptScope::Leg(keep_leg(leg)),
    }
}

fn read_scope(kept: &KeptScope) -> Result<Scope, StateError> {
    Ok(match kept {
        KeptScope::Account => Scope::Account,
        KeptScope::Cross(asset) => Scope::Bucket(Bucket::Cross(value("asset", asset)?)),
        KeptScope::Whole => Scope::Bucket(Bucket::Whole),
        KeptScope::Isolated(leg) => Scope::Bucket(Bucket::Isolated(read_leg(leg)?)),
        KeptScope::Leg(leg) => Scope::Leg(read_leg(leg)?),
    })
}

fn keep_kill(kill: &crate::response::Kill) -> KeptKill {
    KeptKill {
        flatten: kill.action == KillAction::Flatten,
        symbol: kill.symbol.as_ref().map(Symbol::to_string),
        reason: kill.reason.clone(),
        since: kill.since.ms(),
        fulfilled: kill.fulfilled,
    }
}

fn keep_flight((intent, before): &(Intent, Qty)) -> Option<KeptFlight> {
    let Intent::Reduce(order) = intent else {
        return None;
    };
    Some(KeptFlight {
        id: order.id().to_string(),
        leg: keep_leg(order.leg()),
        buys: order.side() == Side::Buy,
        quantity: order.qty().to_string(),
        before: before.to_string(),
    })
}

fn read_flight(kept: &KeptFlight) -> Result<(Intent, Qty), StateError> {
    let id: ClientOrderId = value("client order id", &kept.id)?;
    let (before, qty): (Qty, Qty) = (
        value("quantity", &kept.before)?,
        value("quantity", &kept.quantity)?,
    );
    // The order is rebuilt by the only door there is: it cannot be more than what its leg held.
    let order = ReduceOrder::against(id, read_leg(&kept.leg)?, before, qty, Qty::ZERO, Pricing::Market);
    let order = order.filter(|order| (order.side() == Side::Buy) == kept.buys);
    let order = order.ok_or_else(|| StateError::Value("order", kept.id.clone()))?;
    Ok((Intent::Reduce(order), before))
}

fn keep_stop((leg, stop): &(Leg, Stop)) -> KeptStop {
    KeptStop {
        leg: keep_leg(leg),
        buys: stop.side == Side::Buy,
        overshot: stop.overshot.map(Timestamp::ms),
    }
}

fn keep_tellings(tellings: &VecDeque<crate::book::Telling>) -> Vec<(String, String, i64)> {
    tellings
        .iter()
        .map(|told| (told.asset.to_string(), told.amount.to_string(), told.at.ms()))
        .collect()
}

fn read_tellings(kept: Vec<(String, String, i64)>) -> Result<VecDeque<crate::book::Telling>, StateError> {
    kept.into_iter()
        .map(|(asset, amount, at)| {
            Ok(crate::book::Telling {
                asset: value::<Asset>("asset", &asset)?,
                amount: value("amount", &amount)?,
                at: Timestamp::from_ms(at),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Span;
    use crate::policy::{Peak, Round};

    fn full() -> Saved {
        let leg = Leg {
            symbol: Symbol::new("测试USDT").unwrap(),
            side: PositionSide::Long,
        };
        let usdt = Asset::new("USDT").unwrap();
        let q = |text: &str| text.parse::<Qty>().unwrap();
        let at = Timestamp::from_ms(1_795_000_000_000);
        let id = ClientOrderId::new("bs-0123456789abcdef0123").unwrap();
        let order = ReduceOrder::against(id, leg.clone(), q("0.5"), q("0.2"), Qty::ZERO, Pricing::Market);
        let trip = Trip {
            since: at,
            event: Some(at),
            breached: true,
            fulfilled: false,
            aims: vec![(leg.clone(), q("0.25"))],
        };
        let scopes = [
            Scope::Account,
            Scope::Leg(leg.clone()),
            Scope::Bucket(Bucket::Whole),
            Scope::Bucket(Bucket::Cross(usdt.clone())),
            Scope::Bucket(Bucket::Isolated(leg.clone())),
        ];
        let trips = scopes
            .into_iter()
            .map(|scope| SavedTrip {
                scope,
                rung: 1,
                level: 4,
                is_manual: true,
                is_enforced: true,
                trip: trip.clone(),
            })
            .collect();
        let memory = Memory {
            mark: Some("6666.666666666666666666666667".parse().unwrap()),
            flows: "-3000".parse().unwrap(),
            since: Some(at),
            until: Some(at),
            last: Some("-50".parse().unwrap()),
            last_at: Some(at),
            note: Some("note".into()),
            best: Some("0.1".parse().unwrap()),
            losses: [Peak {
                at,
                equity: "-7".parse().unwrap(),
            }]
            .into(),
            rounds: BTreeMap::from([(
                leg.clone(),
                Round {
                    is_ours: true,
                    flat_since: Some(at),
                    ..Round::new(Side::Sell)
                },
            )]),
            peaks: [("11000.5", 0), ("-50", 1)]
                .map(|(equity, ms)| Peak {
                    at: at.after(Span::from_ms(ms)),
                    equity: equity.parse().unwrap(),
                })
                .into(),
            naked: [(leg.clone(), at)].into(),
            ..Memory::default()
        };
        let telling = crate::book::Telling {
            asset: usdt,
            amount: "1".parse().unwrap(),
            at,
        };
        Saved {
            policies: BTreeMap::from([("drawdown".to_owned(), SavedPolicy { memory, trips })]),
            kills: vec![crate::response::Kill {
                action: KillAction::Flatten,
                symbol: Some(leg.symbol.clone()),
                reason: "by \"hand\"\n".into(),
                since: at,
                fulfilled: true,
            }],
            stops: [(Side::Sell, Some(at)), (Side::Buy, None)]
                .map(|(side, overshot)| (leg.clone(), Stop { side, overshot }))
                .into(),
            counters: vec![("episode".into(), leg, 7)],
            flights: vec![(Intent::Reduce(order.unwrap()), q("0.5"))],
            transfers: TransferMemory {
                horizon: Some(at),
                streamed: VecDeque::from([telling.clone()]),
                seen: VecDeque::from([(7, at)]),
                listed: VecDeque::from([telling]),
            },
        }
    }

    #[test]
    fn pr_11_what_is_kept_comes_back_exactly() {
        for saved in [Saved::default(), full()] {
            for live in [true, false] {
                assert_eq!(read(&write(&saved, live)).unwrap(), (saved.clone(), live));
            }
        }
    }

    #[test]
    fn pr_22_a_state_of_an_older_version_is_read_and_one_without_stops_is_written_so_that_it_reads_it() {
        let mut saved = Saved {
            stops: Vec::new(),
            ..full()
        };
        for policy in saved.policies.values_mut() {
            policy.memory.peaks.clear();
            policy.memory.best = None;
            policy.memory.losses.clear();
            policy.memory.rounds.clear();
            policy.memory.naked.clear();
        }
        let text = write(&saved, true);
        assert!(
            text.contains("\"version\":1") && !text.contains("stops"),
            "{text}"
        );
        assert_eq!(read(&text).unwrap(), (saved, true));
    }

    #[test]
    fn pr_08_a_state_that_is_not_whole_is_refused() {
        let text = write(&full(), true);
        assert!(read(&text[..text.len() - 2]).is_err(), "truncated");
        assert!(read("").is_err(), "empty");
        for (from, to) in [
            ("\"version\":3", "\"version\":4"),
            ("\"mark\":\"6666", "\"mark\":\"x6666"),
            ("\"side\":\"LONG\"", "\"side\":\"UP\""),
            ("\"buys\":false", "\"buys\":true"),
            ("\"kills\"", "\"killz\""),
        ] {
            let broken = text.replacen(from, to, 1);
            assert_ne!(broken, text, "{from}");
            assert!(read(&broken).is_err(), "{to}");
        }
    }
}
