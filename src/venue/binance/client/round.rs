//! One round of reads: sent together, answered as received, with what the schedule must know of it.

use super::budget::Importance;
use super::http::Http;
use super::reads::Kind;
use crate::model::{Span, Timestamp};
use crate::venue::binance::sign::ReadSigner;
use crate::venue::{Received, Via};

/// Pause after the venue refused the key.
const REFUSED_PAUSE: Span = Span::from_secs(10);

/// What became of a round.
pub(super) struct Finished {
    pub(super) kind: Kind,
    /// The answers, failed ones too, in the order of the questions.
    pub(super) received: Vec<Received>,
    /// Whether all were answered with 200.
    pub(super) well: bool,
    /// When the venue or our budget allows the next try.
    pub(super) not_before: Option<Timestamp>,
    /// Whether one was refused for its timestamp.
    pub(super) clock_is_off: bool,
}

/// How much of the weight budget a kind may use; `is_reserve_open` while an episode works (LI-02).
pub(super) fn importance(kind: Kind, is_reserve_open: bool) -> Importance {
    match kind {
        Kind::Holdings | Kind::Orders if is_reserve_open => Importance::Proof,
        Kind::Holdings => Importance::Sight,
        _ => Importance::Routine,
    }
}

/// Sends the reads of a kind together. One that fails spoils the others only as far as being repeated with them.
pub(super) async fn perform(
    kind: Kind,
    importance: Importance,
    http: &Http,
    reader: &ReadSigner,
    transfers_since: Timestamp,
) -> Finished {
    if kind == Kind::Clock {
        let synced = http.sync_clock(reader).await;
        if let Err(none) = &synced {
            tracing::warn!(none.why, "the venue's clock could not be read");
        }
        return Finished {
            kind,
            received: Vec::new(),
            well: synced.is_ok(),
            not_before: synced.err().and_then(|none| none.not_before),
            clock_is_off: false,
        };
    }
    let reads = kind.requests(transfers_since);
    let answers =
        futures_util::future::join_all(reads.iter().map(|read| http.read(read, reader, importance))).await;
    let mut finished = Finished {
        kind,
        received: Vec::with_capacity(reads.len()),
        well: true,
        not_before: None,
        clock_is_off: false,
    };
    for (read, answer) in reads.iter().zip(answers) {
        let (status, body, at) = match answer {
            Ok(answer) => (answer.status, answer.body, answer.at),
            Err(none) => {
                finished.not_before = finished.not_before.max(none.not_before);
                (0, none.why, http.clock().now())
            }
        };
        if status == 401 {
            // The key is refused: that changes by hand, not by asking (LI-09).
            finished.not_before = finished.not_before.max(Some(at.after(REFUSED_PAUSE)));
        }
        finished.well &= status == 200;
        finished.clock_is_off |= status != 200 && clock_is_off(&body);
        if status == 200 && kind == Kind::Rules {
            told_limit(http, &body);
        }
        let via = Via::Rest {
            request: read.line(),
            status,
            body,
        };
        finished.received.push(Received { at, via });
    }
    finished
}

/// Whether the venue refused a request because of its timestamp.
///
/// Source: venues/binance-usdm.md section 6.7: -1021, and -5028 from the matching engine.
pub(crate) fn clock_is_off(body: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Refusal {
        code: i64,
    }
    body.len() < 4_096
        && serde_json::from_str::<Refusal>(body).is_ok_and(|refusal| matches!(refusal.code, -1021 | -5028))
}

/// Takes the weight limit from exchangeInfo, if this is one.
fn told_limit(http: &Http, body: &str) {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Info {
        rate_limits: Vec<Limit>,
    }
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Limit {
        rate_limit_type: String,
        interval: String,
        interval_num: u32,
        limit: u32,
    }
    let Ok(info) = serde_json::from_str::<Info>(body) else {
        return;
    };
    for limit in info.rate_limits {
        if (
            limit.rate_limit_type.as_str(),
            limit.interval.as_str(),
            limit.interval_num,
        ) == ("REQUEST_WEIGHT", "MINUTE", 1)
        {
            http.told_limit(limit.limit);
        }
    }
}
