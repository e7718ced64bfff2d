//! The times of an account, with the bounds in which they make sense.

use super::fields::{Fields, span};
use super::node::{Node, Place, Value};
use super::reading::Reading;
use crate::model::Span;

/// The times of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Between two cross-checks of the positions over REST.
    pub digest_interval: Span,
    /// Without proof of life for this long, the account is blind.
    pub blind_after: Span,
    /// Between two extensions of the listenKey.
    pub keepalive: Span,
    /// Between two looks at what the key may do.
    pub key_check: Span,
}

impl Default for Timing {
    fn default() -> Timing {
        Timing {
            digest_interval: Span::from_secs(5),
            blind_after: Span::from_secs(15),
            keepalive: Span::from_secs(20 * 60),
            key_check: Span::from_secs(24 * 3600),
        }
    }
}

/// Reads the times of an account; those that are not there have their defaults.
pub(super) fn timing(fields: &mut Fields<'_>, path: &str, reading: &mut Reading<'_>) -> Option<Timing> {
    let empty = std::collections::BTreeMap::new();
    let (table, place) = match fields.get("timing") {
        None => (&empty, Place::Default),
        Some(Node {
            value: Value::Table(table),
            place,
            ..
        }) => (table, place.clone()),
        Some(node) => {
            let message = format!("`timing` is {}, not a table", node.value.noun());
            reading.problems.error(&node.place, "wrong-kind", message, None);
            return None;
        }
    };
    let default = Timing::default();
    let path = format!("{path}.timing");
    let mut fields = Fields::new(table, place, "`timing`");
    let mut one = |name: &'static str, default: Span, least: Span, most: Span| {
        let Some(node) = fields.get(name) else {
            reading.record_raw(&path, name, format!("\"{default}\""), &Place::Default);
            return Some(default);
        };
        let read = span(node, name, &mut reading.problems)?;
        if read < least || read > most {
            let message = format!("`{name}` is {read}, not {least} to {most}");
            reading.problems.error(&node.place, "range", message, None);
            return None;
        }
        reading.record_raw(&path, name, format!("\"{read}\""), &node.place);
        Some(read)
    };
    // Shorter cross-checks would use up the venue's request weight; a listenKey lives 60 minutes (read 2026-11-22).
    let digest_interval = one(
        "digest_interval",
        default.digest_interval,
        Span::from_ms(100),
        Span::from_secs(300),
    );
    let blind_after = one(
        "blind_after",
        default.blind_after,
        Span::from_ms(200),
        Span::from_secs(600),
    );
    let keepalive = one(
        "keepalive",
        default.keepalive,
        Span::from_secs(1),
        Span::from_secs(50 * 60),
    );
    // Rights are to be looked at daily at least (FAILURES.md SE-02).
    let key_check = one(
        "key_check",
        default.key_check,
        Span::from_secs(1),
        Span::from_secs(24 * 3600),
    );
    fields.finish(&mut reading.problems, |_| None);
    Some(Timing {
        digest_interval: digest_interval?,
        blind_after: blind_after?,
        keepalive: keepalive?,
        key_check: key_check?,
    })
}
