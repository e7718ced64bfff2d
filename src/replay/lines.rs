//! What the guard adds to a recording: its own inputs (outcomes, commands) and its decisions, as JSON lines.

use crate::event::{Baseline, Command, Doubt, KillAction, Outcome, Rejection, RejectionKind, Report};
use crate::guard::{Decision, Record};
use crate::model::{
    ClientOrderId, Intent, IntentKey, Leg, OrderId, PositionSide, Pricing, Span, Store, Symbol, Timestamp,
};
use serde::{Deserialize, Serialize};

/// One decision, in the form of SPEC.md section 6.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DecisionLine {
    /// The time given to the step, Unix ms.
    pub at: i64,
    /// The account's label.
    pub account: String,
    /// The policy, or `kill`.
    pub policy: String,
    /// What was measured.
    pub scope: String,
    /// The rung's action.
    pub rung: Option<String>,
    /// The policy's state.
    pub state: String,
    /// `enforce`, `warn` or `shadow`.
    pub mode: String,
    /// The measurement: ratios as fractions, money in the account's currency, time in seconds.
    pub value: Option<String>,
    /// The rung's threshold, in the same unit.
    pub threshold: Option<String>,
    /// What was asked of the venue.
    pub orders: Vec<OrderLine>,
    /// The arithmetic, in words.
    pub why: String,
}

/// One request, in the form of SPEC.md section 6.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrderLine {
    /// `reduce`, `cancel`, `cancel_all` or `cancel_all_conditional`.
    pub kind: String,
    /// The contract.
    pub symbol: String,
    /// `BUY` or `SELL`, for reductions.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub side: Option<String>,
    /// `BOTH`, `LONG` or `SHORT`, for reductions.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub position_side: Option<String>,
    /// How much, for reductions.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub quantity: Option<String>,
    /// The limit of an immediate-or-cancel order.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub price: Option<String>,
    /// `GTC` for an order that waits for a taker.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub time_in_force: Option<String>,
    /// Always true for reductions: that is what they are, whatever the venue's form needs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reduce_only: Option<bool>,
    /// Our name for it, for reductions.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub client_order_id: Option<String>,
    /// The trigger, for stops.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub trigger_price: Option<String>,
    /// The venue's number, for cancels of one order.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub order_id: Option<i64>,
}

/// The lines of a decision; none when nothing changed and nothing was asked.
pub fn decision_lines(account: &str, decision: &Decision) -> Vec<DecisionLine> {
    decision
        .records
        .iter()
        .map(|record| decision_line(account, decision.at, record))
        .collect()
}

fn decision_line(account: &str, at: Timestamp, record: &Record) -> DecisionLine {
    let number = |amount: crate::policy::Amount| amount.number().normalize().to_string();
    DecisionLine {
        at: at.ms(),
        account: account.into(),
        policy: record.policy.clone(),
        scope: record.scope.clone(),
        rung: record.rung.map(str::to_owned),
        state: record.state.into(),
        mode: mode_word(record.mode).into(),
        value: record.value.map(number),
        threshold: record.threshold.map(number),
        orders: record.orders.iter().map(order_line).collect(),
        why: record.why.clone(),
    }
}

/// The word for a mode.
pub fn mode_word(mode: crate::policy::Mode) -> &'static str {
    match mode {
        crate::policy::Mode::Off => "off",
        crate::policy::Mode::Shadow => "shadow",
        crate::policy::Mode::Warn => "warn",
        crate::policy::Mode::Enforce => "enforce",
    }
}

/// A request in the form of SPEC.md section 6.
pub fn order_line(intent: &Intent) -> OrderLine {
    let mut line = OrderLine {
        kind: String::new(),
        symbol: intent.symbol().to_string(),
        side: None,
        position_side: None,
        quantity: None,
        price: None,
        time_in_force: None,
        trigger_price: None,
        reduce_only: None,
        client_order_id: None,
        order_id: None,
    };
    match intent {
        Intent::Reduce(order) => {
            line.kind = "reduce".into();
            line.side = Some(order.side().to_string());
            line.position_side = Some(order.leg().side.to_string());
            line.quantity = Some(order.qty().to_string());
            line.reduce_only = Some(true);
            line.client_order_id = Some(order.id().to_string());
            match order.pricing() {
                Pricing::Market => {}
                Pricing::Ioc(price) => line.price = Some(price.to_string()),
                Pricing::Resting(price) => {
                    line.price = Some(price.to_string());
                    line.time_in_force = Some("GTC".into());
                }
            }
        }
        Intent::Cancel(id) => {
            line.kind = "cancel".into();
            line.order_id = Some(id.id);
        }
        Intent::PlaceStop(stop) => {
            line.kind = "place_stop".into();
            line.side = Some(stop.side().to_string());
            line.position_side = Some(stop.leg().side.to_string());
            line.trigger_price = Some(stop.trigger().to_string());
            line.reduce_only = Some(true);
            line.client_order_id = Some(stop.id().to_string());
        }
        Intent::CancelAll(_) => line.kind = "cancel_all".into(),
        Intent::CancelAllConditional(_) => line.kind = "cancel_all_conditional".into(),
    }
    line
}

/// The body of a line `"via":"guard"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuardLine {
    /// What the guard started from.
    Start {
        /// Digest of the policy files' text: decisions can be compared only under the same policies.
        policies: String,
        /// The kept state, as text; `None` when there was none.
        saved: Option<String>,
        /// Why the kept state was lost.
        lost: Option<String>,
        /// When the state turns blind, ms.
        blind_after: i64,
    },
    /// What became of a request.
    Outcome {
        /// Of which.
        of: KeyLine,
        /// What.
        result: ResultLine,
    },
    /// The operator wanted something.
    Command(CommandLine),
    /// A timer fired.
    Wake,
    /// What was decided.
    Decision(DecisionLine),
}

/// What a request is known by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyLine {
    /// A reduction.
    Reduce(String),
    /// A cancel of one order: conditional or not, symbol, number.
    Cancel(bool, String, i64),
    /// A cancel of a store: conditional or not, symbol.
    CancelAll(bool, String),
    /// The stop of a leg: symbol, position side.
    PlaceStop(String, String),
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResultLine {
    /// Taken; for orders with how far it got.
    Accepted(Option<ReportLine>),
    /// Refused.
    Rejected {
        /// The venue's code.
        code: i64,
        /// Its words.
        message: String,
        /// What it means.
        kind: String,
        /// For a retry: after how many ms.
        after: i64,
    },
    /// Not known.
    Unknown {
        /// HTTP status.
        status: Option<u16>,
        /// The venue's code.
        code: Option<i64>,
        /// In words.
        why: String,
    },
    /// Nothing left to do.
    Done,
    /// Not sent.
    Suppressed,
}

/// How far an order got: what was filled, whether it is over, when, and the venue's echo of reduce-only, which older
/// recordings do not have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReportLine(
    String,
    bool,
    i64,
    #[serde(default, skip_serializing_if = "Option::is_none")] Option<bool>,
);

/// What the operator wanted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandLine {
    /// The kill switch.
    Kill {
        /// `block` or `flatten`.
        action: String,
        /// One symbol, or everything.
        symbol: Option<String>,
        /// Why.
        reason: String,
    },
    /// Re-arm, with or without a new baseline.
    Rearm {
        /// Whether the baseline is set anew.
        rebase: bool,
    },
    /// The KILL file is there or not.
    KillFile(bool),
}

const KINDS: [(&str, RejectionKind); 8] = [
    ("conflict", RejectionKind::Conflict),
    ("mode", RejectionKind::Mode),
    ("size", RejectionKind::Size),
    ("band", RejectionKind::Band),
    ("powerless", RejectionKind::Powerless),
    ("stuck", RejectionKind::Stuck),
    ("absent", RejectionKind::Absent),
    ("structural", RejectionKind::Structural),
];

impl From<&IntentKey> for KeyLine {
    fn from(key: &IntentKey) -> KeyLine {
        match key {
            IntentKey::Reduce(id) => KeyLine::Reduce(id.to_string()),
            IntentKey::PlaceStop(leg) => KeyLine::PlaceStop(leg.symbol.to_string(), leg.side.to_string()),
            IntentKey::Cancel(id) => {
                KeyLine::Cancel(id.store == Store::Conditional, id.symbol.to_string(), id.id)
            }
            IntentKey::CancelAll(store, symbol) => {
                KeyLine::CancelAll(*store == Store::Conditional, symbol.to_string())
            }
        }
    }
}

impl KeyLine {
    /// The key; `None` when a name in it is impossible.
    pub fn key(&self) -> Option<IntentKey> {
        let store = |conditional: bool| {
            if conditional {
                Store::Conditional
            } else {
                Store::Regular
            }
        };
        Some(match self {
            KeyLine::Reduce(id) => IntentKey::Reduce(ClientOrderId::new(id).ok()?),
            KeyLine::Cancel(conditional, symbol, id) => IntentKey::Cancel(OrderId {
                store: store(*conditional),
                symbol: Symbol::new(symbol).ok()?,
                id: *id,
            }),
            KeyLine::PlaceStop(symbol, side) => {
                let sides = [PositionSide::Both, PositionSide::Long, PositionSide::Short];
                IntentKey::PlaceStop(Leg {
                    symbol: Symbol::new(symbol).ok()?,
                    side: sides.into_iter().find(|known| known.to_string() == *side)?,
                })
            }
            KeyLine::CancelAll(conditional, symbol) => {
                IntentKey::CancelAll(store(*conditional), Symbol::new(symbol).ok()?)
            }
        })
    }
}

impl From<&Outcome> for ResultLine {
    fn from(outcome: &Outcome) -> ResultLine {
        match outcome {
            Outcome::Accepted(report) => ResultLine::Accepted(report.as_ref().map(|report| {
                ReportLine(
                    report.executed.to_string(),
                    report.terminal,
                    report.at.ms(),
                    report.reduce_only,
                )
            })),
            Outcome::Rejected(rejection) => {
                let (kind, after) = match rejection.kind {
                    RejectionKind::Retry(span) => ("retry", span.ms()),
                    kind => (
                        KINDS
                            .iter()
                            .find(|(_, known)| *known == kind)
                            .map_or("structural", |k| k.0),
                        0,
                    ),
                };
                ResultLine::Rejected {
                    code: rejection.code,
                    message: rejection.message.clone(),
                    kind: kind.into(),
                    after,
                }
            }
            Outcome::Unknown(doubt) => ResultLine::Unknown {
                status: doubt.status,
                code: doubt.code,
                why: doubt.why.clone(),
            },
            Outcome::Done => ResultLine::Done,
            Outcome::Suppressed => ResultLine::Suppressed,
        }
    }
}

impl ResultLine {
    /// The outcome; `None` when a value in it is impossible.
    pub fn outcome(&self) -> Option<Outcome> {
        Some(match self {
            ResultLine::Accepted(None) => Outcome::Accepted(None),
            ResultLine::Accepted(Some(ReportLine(executed, terminal, at, reduce_only))) => {
                Outcome::Accepted(Some(Report {
                    executed: executed.parse().ok()?,
                    terminal: *terminal,
                    at: Timestamp::from_ms(*at),
                    reduce_only: *reduce_only,
                }))
            }
            ResultLine::Rejected {
                code,
                message,
                kind,
                after,
            } => {
                let kind = if kind == "retry" {
                    RejectionKind::Retry(Span::from_ms(*after))
                } else {
                    KINDS.iter().find(|(name, _)| name == kind)?.1
                };
                Outcome::Rejected(Rejection {
                    code: *code,
                    message: message.clone(),
                    kind,
                })
            }
            ResultLine::Unknown { status, code, why } => Outcome::Unknown(Doubt {
                status: *status,
                code: *code,
                why: why.clone(),
            }),
            ResultLine::Done => Outcome::Done,
            ResultLine::Suppressed => Outcome::Suppressed,
        })
    }
}

impl From<&Command> for CommandLine {
    fn from(command: &Command) -> CommandLine {
        match command {
            Command::Kill {
                action,
                symbol,
                reason,
            } => CommandLine::Kill {
                action: if *action == KillAction::Flatten {
                    "flatten"
                } else {
                    "block"
                }
                .into(),
                symbol: symbol.as_ref().map(Symbol::to_string),
                reason: reason.clone(),
            },
            Command::Rearm { baseline } => CommandLine::Rearm {
                rebase: *baseline == Baseline::Rebase,
            },
            Command::KillFile(present) => CommandLine::KillFile(*present),
        }
    }
}

impl CommandLine {
    /// The command; `None` when a value in it is impossible.
    pub fn command(&self) -> Option<Command> {
        Some(match self {
            CommandLine::Kill {
                action,
                symbol,
                reason,
            } => Command::Kill {
                action: match action.as_str() {
                    "flatten" => KillAction::Flatten,
                    "block" => KillAction::Block,
                    _ => return None,
                },
                symbol: symbol.as_deref().map(Symbol::new).transpose().ok()?,
                reason: reason.clone(),
            },
            CommandLine::Rearm { rebase } => Command::Rearm {
                baseline: if *rebase { Baseline::Rebase } else { Baseline::Keep },
            },
            CommandLine::KillFile(present) => Command::KillFile(*present),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_and_commands_come_back_exactly() {
        let mut outcomes = vec![Outcome::Done, Outcome::Suppressed, Outcome::Accepted(None)];
        for reduce_only in [None, Some(true), Some(false)] {
            outcomes.push(Outcome::Accepted(Some(Report {
                executed: "0.5".parse().unwrap(),
                terminal: true,
                at: Timestamp::from_ms(5),
                reduce_only,
            })));
        }
        outcomes.push(Outcome::Unknown(Doubt {
            status: Some(503),
            code: None,
            why: "x".into(),
        }));
        let retry = ("retry", RejectionKind::Retry(Span::from_ms(250)));
        for (_, kind) in KINDS.into_iter().chain([retry]) {
            outcomes.push(Outcome::Rejected(Rejection {
                code: -1,
                message: "m".into(),
                kind,
            }));
        }
        for outcome in outcomes {
            let text = serde_json::to_string(&ResultLine::from(&outcome)).unwrap();
            assert_eq!(
                serde_json::from_str::<ResultLine>(&text).unwrap().outcome(),
                Some(outcome),
                "{text}"
            );
        }
        // As recordings had it before the echo was kept.
        let old: ResultLine = serde_json::from_str(r#"{"accepted":["0.5",true,5]}"#).unwrap();
        assert!(
            matches!(old.outcome(), Some(Outcome::Accepted(Some(report))) if report.reduce_only.is_none())
        );
        for command in [
            Command::KillFile(true),
            Command::Rearm {
                baseline: Baseline::Rebase,
            },
            Command::Kill {
                action: KillAction::Block,
                symbol: Symbol::new("X").ok(),
                reason: "r".into(),
            },
        ] {
            let text = serde_json::to_string(&CommandLine::from(&command)).unwrap();
            assert_eq!(
                serde_json::from_str::<CommandLine>(&text).unwrap().command(),
                Some(command),
                "{text}"
            );
        }
    }
}
