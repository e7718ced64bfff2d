//! What comes back from a request, and what is said when nothing does: never with an address, a query or a secret.

use std::error::Error as _;

use crate::model::Timestamp;

/// An answer of the venue.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body, as text.
    pub body: String,
    /// When it was received, by our clock.
    pub at: Timestamp,
}

/// No answer of the venue.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{why}")]
pub struct NoAnswer {
    /// False only when it is certain that nothing was sent.
    pub bytes_may_have_been_written: bool,
    /// In words, without address, query or secret.
    pub why: String,
    /// When it may be tried again, by our clock, if our own budget refused it.
    pub not_before: Option<Timestamp>,
}

/// No listenKey.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{why}")]
pub struct NoKey {
    /// In words, without any key.
    pub why: String,
    /// The venue knows us and says no: trying again soon is pointless.
    pub refused: bool,
}

impl NoAnswer {
    pub(super) fn unsent(why: &str) -> NoAnswer {
        NoAnswer {
            bytes_may_have_been_written: false,
            why: why.to_owned(),
            not_before: None,
        }
    }

    pub(super) fn lost(why: &str) -> NoAnswer {
        NoAnswer {
            bytes_may_have_been_written: true,
            why: why.to_owned(),
            not_before: None,
        }
    }
}

/// The first 200 characters of a body, for messages.
pub(super) fn head(body: &str) -> String {
    body.chars().take(200).collect()
}

pub(super) fn no_answer(error: reqwest::Error) -> NoAnswer {
    // A failed connect wrote nothing; everything else may have.
    NoAnswer {
        bytes_may_have_been_written: !(error.is_connect() || error.is_builder()),
        why: words(error),
        not_before: None,
    }
}

/// An error with its causes, without the address: the query carries signatures.
pub(super) fn words(error: reqwest::Error) -> String {
    let timed_out = error.is_timeout();
    let error = error.without_url();
    let mut text = if timed_out {
        "timed out: ".to_owned()
    } else {
        String::new()
    };
    text.push_str(&error.to_string());
    let mut cause = error.source();
    // Chains are short; the limit is for a cyclic one.
    for _ in 0..8 {
        let Some(inner) = cause else { break };
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
