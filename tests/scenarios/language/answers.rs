//! Words for what the venue answers to a request.

use backstop::event::{Doubt, Outcome, Rejection, RejectionKind, Report};
use backstop::model::{Span, Timestamp};

/// What became of a request, in words.
pub fn outcome(words: &[&str], at: Timestamp) -> Outcome {
    let refused = |kind: RejectionKind| {
        Outcome::Rejected(Rejection {
            code: -1,
            message: "refused".into(),
            kind,
        })
    };
    match words {
        // `plain`: the venue answers that it took the order without its reduce-only flag.
        ["filled", executed, rest @ ..] => Outcome::Accepted(Some(Report {
            executed: executed.parse().unwrap(),
            terminal: true,
            at,
            reduce_only: Some(!rest.contains(&"plain")),
        })),
        ["accepted"] => Outcome::Accepted(None),
        ["done"] => Outcome::Done,
        ["suppressed"] => Outcome::Suppressed,
        ["unknown"] => Outcome::Unknown(Doubt {
            status: Some(503),
            code: None,
            why: "no answer".into(),
        }),
        ["mode"] => refused(RejectionKind::Mode),
        ["size"] => refused(RejectionKind::Size),
        ["stuck"] => refused(RejectionKind::Stuck),
        ["structural"] => refused(RejectionKind::Structural),
        ["partly", executed] => Outcome::Accepted(Some(Report {
            executed: executed.parse().unwrap(),
            terminal: false,
            at,
            reduce_only: None,
        })),
        ["conflict"] => refused(RejectionKind::Conflict),
        ["band"] => refused(RejectionKind::Band),
        ["absent"] => refused(RejectionKind::Absent),
        ["powerless"] => refused(RejectionKind::Powerless),
        ["retry"] => refused(RejectionKind::Retry(Span::from_ms(200))),
        _ => panic!("no such outcome: {words:?}"),
    }
}
