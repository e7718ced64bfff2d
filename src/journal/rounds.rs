//! What loss policies remember beside marks and bases, as text: dated amounts and open round trips.

use super::state::{KeptLeg, StateError, keep_leg, read_leg, value};
use crate::model::{Leg, Money, Side, Timestamp};
use crate::policy::{Peak, Round};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// A round trip that is not over.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeptRound {
    leg: KeptLeg,
    bought: bool,
    result: Option<String>,
    ours: bool,
    closed: bool,
    flat_since: Option<i64>,
}

pub(super) fn keep_amounts(amounts: &VecDeque<Peak>) -> Vec<(i64, String)> {
    amounts
        .iter()
        .map(|one| (one.at.ms(), one.equity.to_string()))
        .collect()
}

pub(super) fn read_amounts(kept: Vec<(i64, String)>) -> Result<VecDeque<Peak>, StateError> {
    let read = |(at, amount): (i64, String)| {
        Ok(Peak {
            at: Timestamp::from_ms(at),
            equity: value("amount", &amount)?,
        })
    };
    kept.into_iter().map(read).collect()
}

pub(super) fn keep_round((leg, round): (&Leg, &Round)) -> KeptRound {
    KeptRound {
        leg: keep_leg(leg),
        bought: round.opened_by == Side::Buy,
        result: round.result.map(|result| result.to_string()),
        ours: round.is_ours,
        closed: round.is_closed,
        flat_since: round.flat_since.map(Timestamp::ms),
    }
}

pub(super) fn read_round(kept: &KeptRound) -> Result<(Leg, Round), StateError> {
    let result = kept.result.as_deref().map(|text| value::<Money>("amount", text));
    let round = Round {
        opened_by: if kept.bought { Side::Buy } else { Side::Sell },
        result: result.transpose()?,
        is_ours: kept.ours,
        is_closed: kept.closed,
        flat_since: kept.flat_since.map(Timestamp::from_ms),
    };
    Ok((read_leg(&kept.leg)?, round))
}
