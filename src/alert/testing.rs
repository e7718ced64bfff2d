//! What the tests of this room share.

use super::{Alert, Phase, Topic};
use crate::guard::Severity;
use crate::model::Timestamp;

/// A moment.
pub const NOON: i64 = 1_795_000_000_000;

/// An alert of one topic.
pub fn alert(title: &str, severity: Severity, phase: Phase) -> Alert {
    let topic = Topic {
        account: "main".into(),
        policy: "margin".into(),
        scope: "cross USDT".into(),
    };
    Alert::new(topic, Timestamp::from_ms(NOON), severity, phase, title.into())
}
