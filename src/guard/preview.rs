//! What a guard sees and would do at this moment, for people: nothing here decides or sends anything.
//!
//! Each rung is played through the real planner on a copy of the book ([`Effect`]), the ones in force and the others as
//! if they had tripped now, so that what is shown is what the guard would do.

mod play;
mod shock;

pub use crate::book::{Cover, Stop};
pub use play::{Close, Effect};
pub use shock::{Move, Refused, Shock};

use super::Guard;
use crate::book::{Bucket, BucketMargin, Missing, cover};
use crate::model::{Leg, MarginType, Money, Position, Price, Span, Store, Timestamp};
use crate::policy::envelope::{Policy, RungState};
use crate::policy::{Action, Amount, Cut, Kind, Measured, Mode, Scope};
use crate::response::Stops;
use crate::response::demand::demands;

/// A look at an account.
#[derive(Clone, Debug)]
pub struct Preview {
    /// Wallets plus unrealised profit, in [`crate::book::CURRENCY`].
    pub equity: Result<Money, Missing>,
    /// Wallets alone.
    pub wallets: Result<Money, Missing>,
    /// Buckets that hold positions.
    pub buckets: Vec<(Bucket, Result<BucketMargin, Missing>)>,
    /// Positions.
    pub positions: Vec<Held>,
    /// Each policy, over each scope that it follows.
    pub policies: Vec<Judged>,
    /// The kill switch, in words.
    pub kills: Vec<String>,
    /// Everything that is in force now, together.
    pub now: Effect,
}

/// A position.
#[derive(Clone, Debug)]
pub struct Held {
    /// Which.
    pub leg: Leg,
    /// What is held.
    pub position: Position,
    /// Whose margin it stands on.
    pub margin: MarginType,
    /// The newest mark price.
    pub mark: Option<Price>,
    /// Its stops; `None` while a store of orders was not read: then nobody knows.
    pub cover: Option<Cover>,
}

/// A policy over one scope.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The policy's id.
    pub id: String,
    /// Its type.
    pub kind: &'static str,
    /// Over what; `None` when it follows nothing now.
    pub scope: Option<Scope>,
    /// What was measured.
    pub measured: Measured,
    /// The arithmetic, in words.
    pub why: String,
    /// How it stands.
    pub standing: Standing,
    /// Its ladder.
    pub rungs: Vec<RungView>,
}

/// A rung.
#[derive(Clone, Debug)]
pub struct RungView {
    /// The threshold.
    pub at: Option<Amount>,
    /// What it does.
    pub action: Action,
    /// How it runs.
    pub mode: Mode,
    /// How long its threshold must be met.
    pub hold: Span,
    /// How it stands.
    pub standing: Standing,
    /// From the measurement to the threshold, negative once past it.
    pub headroom: Option<Amount>,
    /// What it does, or would do if it tripped now.
    pub effect: Effect,
}

/// How a policy or a rung stands. The later ones are graver.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It is switched off.
    Off,
    /// Within its thresholds, or nothing is there to be judged.
    Ok,
    /// It lives by the stream, which a look does not open.
    NotJudged,
    /// It cannot be measured.
    Unknown(String),
    /// Past its threshold; it trips when that has lasted long enough.
    Pending,
    /// It trips now.
    Trips,
    /// It was in force before this look, since then.
    InForce(Timestamp),
}

impl Guard {
    /// A look at the account as it is now. What tripped at `began` or later counts as tripping now.
    pub fn preview(&self, began: Timestamp) -> Preview {
        let book = &self.book;
        let all_read = book.orders().is_read(Store::Regular) && book.orders().is_read(Store::Conditional);
        let held = |(leg, position): (&Leg, &Position)| Held {
            leg: leg.clone(),
            position: position.clone(),
            margin: book.margin_type(leg),
            mark: book.last_mark(&leg.symbol),
            cover: all_read.then(|| cover(book, leg, position, book.last_mark(&leg.symbol), None)),
        };
        let buckets = book.buckets().unwrap_or_default();
        let kills = self.kills.iter().map(|kill| {
            let place = kill
                .symbol
                .as_ref()
                .map_or("everything", |symbol| symbol.as_str());
            format!("{:?} {place}: {}", kill.action, kill.reason).to_lowercase()
        });
        Preview {
            equity: book.equity(),
            wallets: book.wallets(),
            buckets: buckets
                .into_iter()
                .map(|bucket| {
                    let margin = book.margin(&bucket);
                    (bucket, margin)
                })
                .collect(),
            positions: book.positions().map(held).collect(),
            policies: self
                .policies
                .iter()
                .flat_map(|policy| self.judged(policy, began))
                .collect(),
            kills: kills.collect(),
            now: play::play(
                book,
                &self.policies,
                &demands(&self.policies, &self.kills, self.flights.stops()),
            ),
        }
    }

    fn judged(&self, policy: &Policy, began: Timestamp) -> Vec<Judged> {
        let mut scopes: Vec<Option<Scope>> = policy.tracks.keys().cloned().map(Some).collect();
        if let Kind::MarginCall(_) = policy.spec.kind {
            let quiet = self
                .book
                .buckets()
                .unwrap_or_default()
                .into_iter()
                .map(|bucket| Some(Scope::Bucket(bucket)));
            scopes.extend(quiet.filter(|scope| !scopes.contains(scope)).collect::<Vec<_>>());
        }
        if scopes.is_empty() {
            // A type that judges the whole account is quiet there; of one that judges legs there is nothing to judge.
            let whole = matches!(policy.spec.kind, Kind::TradingWindow(_) | Kind::ForcedEvent(_));
            scopes.push(whole.then_some(Scope::Account));
        }
        scopes
            .into_iter()
            .map(|scope| self.judged_over(policy, scope, began))
            .collect()
    }

    fn judged_over(&self, policy: &Policy, scope: Option<Scope>, began: Timestamp) -> Judged {
        let track = scope.as_ref().and_then(|scope| policy.tracks.get(scope));
        let measured = track.map_or(Measured::Quiet, |track| track.measured.clone());
        let by_stream = matches!(policy.spec.kind, Kind::Blind(_) | Kind::MarginCall(_));
        let rungs: Vec<RungView> = policy
            .spec
            .ladder
            .iter()
            .enumerate()
            .map(|(index, rung)| RungView {
                at: rung.at,
                action: rung.action,
                mode: policy.mode(rung),
                hold: policy.hold(rung),
                standing: match track.and_then(|track| track.rungs.get(index)) {
                    _ if policy.mode(rung) == Mode::Off => Standing::Off,
                    Some(RungState::Tripped(trip)) if trip.since >= began => Standing::Trips,
                    Some(RungState::Tripped(trip)) => Standing::InForce(trip.since),
                    Some(RungState::Pending(_)) => Standing::Pending,
                    _ => Standing::Ok,
                },
                headroom: policy.headroom(rung, &measured).filter(|_| !by_stream),
                effect: scope.as_ref().map_or_else(Effect::default, |scope| {
                    self.effect(policy, scope, index, &measured)
                }),
            })
            .collect();
        let own = match &measured {
            _ if policy.spec.mode == Mode::Off => Standing::Off,
            Measured::Unknown(why) => Standing::Unknown(why.to_string()),
            _ if !self.book.is_ready() => Standing::Unknown(Missing::Snapshot.to_string()),
            _ if by_stream => Standing::NotJudged,
            _ => Standing::Ok,
        };
        let gravest = rungs.iter().map(|rung| &rung.standing).max().cloned();
        let why = match (&own, &scope) {
            (Standing::Off, _) => "switched off".into(),
            (Standing::Unknown(why), _) => why.clone(),
            (Standing::NotJudged, _) => "it lives by the stream, which this look does not open".into(),
            (_, Some(scope)) => policy.explain(&self.book, scope),
            (_, None) => "nothing is held that it judges".into(),
        };
        Judged {
            id: policy.spec.id.clone(),
            kind: policy.spec.kind.name(),
            measured: if by_stream { Measured::Quiet } else { measured },
            scope,
            why,
            standing: gravest.map_or(own.clone(), |gravest| gravest.max(own)),
            rungs,
        }
    }

    /// What one rung over one scope does, alone.
    fn effect(&self, policy: &Policy, scope: &Scope, index: usize, measured: &Measured) -> Effect {
        let Some(alone) = policy.with_only(&self.book, scope, index) else {
            return Effect::default();
        };
        let action = policy.spec.ladder.get(index).map(|rung| rung.action);
        let policies = [alone];
        let mut effect = play::play(&self.book, &policies, &demands(&policies, &[], &Stops::default()));
        let missing = match (action, measured, scope) {
            (Some(Action::Alert) | None, ..) => None,
            _ if !self.book.is_ready() => Some(Missing::Snapshot),
            // An aim is a measurement too: what cannot be measured cannot be aimed at.
            (Some(Action::Reduce(Cut::To(_))), Measured::Unknown(why), _) => Some(why.clone()),
            (Some(Action::Reduce(Cut::To(_))), _, Scope::Bucket(bucket)) => self.book.margin(bucket).err(),
            _ => None,
        };
        if let Some(missing) = missing {
            effect.unsized_because = Some(missing.to_string());
        }
        effect
    }
}
