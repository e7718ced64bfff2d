//! The account read once, without a stream: everything that a guard begins with, and nothing that changes anything.
//!
//! No listenKey is made, so a look leaves no trace in the account.

use futures_util::future::join_all;

use super::budget::Importance;
use super::http::Http;
use super::reads::Kind;
use super::round::{importance, perform};
use crate::model::{Span, Timestamp};
use crate::venue::Received;
use crate::venue::binance::request::Read;
use crate::venue::binance::sign::ReadSigner;

/// One look at an account.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The answers, failed ones too, as a session would have received them.
    pub received: Vec<Received>,
    /// How long one small request took there and back; `None` when it was not answered.
    pub round_trip: Option<Span>,
}

/// Reads all that a guard begins with, after the venue's clock. Rules come first and transfers last, so that the account
/// is judged once it is complete; balances and positions come late, so that their prices are young.
///
/// `transfers_since` is where the kept state left off.
pub async fn snapshot(http: &Http, reader: &ReadSigner, transfers_since: Timestamp) -> Snapshot {
    let mut received = Vec::new();
    if let Err(none) = http.sync_clock(reader).await {
        tracing::warn!(none.why, "the venue's clock could not be read");
    }
    let sent = http.clock().now();
    let time = http.read(&Read::time(), reader, Importance::Vital).await;
    let round_trip = time.ok().map(|answer| answer.at.since(sent));
    let kinds = [Kind::Rules, Kind::Settings, Kind::Indexes, Kind::Orders];
    // Together: a venue that answers nothing costs one time-out, not one for each.
    let rounds =
        join_all(kinds.map(|kind| perform(kind, importance(kind, false), http, reader, transfers_since)))
            .await;
    received.extend(rounds.into_iter().flat_map(|round| round.received));
    received.extend(again(http, reader, transfers_since).await);
    Snapshot { received, round_trip }
}

/// Reads balances, positions and transfers again, for a snapshot that the list of transfers could not explain yet.
pub async fn again(http: &Http, reader: &ReadSigner, transfers_since: Timestamp) -> Vec<Received> {
    let mut received = Vec::new();
    for kind in [Kind::Holdings, Kind::Transfers] {
        received.extend(
            perform(kind, importance(kind, false), http, reader, transfers_since)
                .await
                .received,
        );
    }
    received
}
