//! What each step of a drill is to show, in words for somebody who has never seen the code.

use super::report::Plan;

/// The steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// What a guard needs is there.
    Preflight,
    /// The guard starts.
    Arm,
    /// An order too many.
    Block,
    /// A position too large.
    Reduce,
    /// The kill switch.
    Flatten,
    /// The way back.
    Rearm,
    /// Dry against live.
    Compare,
    /// Without a stream.
    Dark,
}

/// Every step, in its order.
pub const PLANS: [(Step, Plan); 8] = [
    (
        Step::Preflight,
        Plan {
            step: "Preflight",
            means: "The key, the clock and the account are as a guard needs them.",
            done: "Read the key's rights, the venue's clock, the account's modes and the contract's rules.",
            expected: "No right that lets money leave; a clock that can be followed; one-way mode; a contract that trades.",
        },
    ),
    (
        Step::Arm,
        Plan {
            step: "The guard arms",
            means: "The guard has read the whole account and hears its stream.",
            done: "Started the guard, live, as `backstop run --live` does, with policies made for this drill.",
            expected: "State armed.",
        },
    ),
    (
        Step::Block,
        Plan {
            step: "Alert and block",
            means: "An order that would break a limit is cancelled before it fills; the owner's stop stays.",
            done: "Opened the smallest position with a stop, then placed an order four times as large, a tenth under the market.",
            expected: "An alert; the order cancelled; position and stop untouched.",
        },
    ),
    (
        Step::Reduce,
        Plan {
            step: "Reduce",
            means: "A position that is too large is cut to its limit, and no further.",
            done: "Doubled the position; the policy allows the smallest one.",
            expected: "Exactly the difference sold, reduce-only.",
        },
    ),
    (
        Step::Flatten,
        Plan {
            step: "Kill switch: flatten and latch",
            means: "The kill switch closes everything, cancels the stop last, and keeps the account closed.",
            done: "Placed another order, gave the command that `backstop kill --flatten` gives, then opened a new position.",
            expected: "Position zero, the stop cancelled after that, both lists empty, state latched; the new position closed within 2 s.",
        },
    ),
    (
        Step::Rearm,
        Plan {
            step: "Re-arm",
            means: "After a re-arm the account may trade again, and the guard leaves it alone.",
            done: "Gave the command that `backstop rearm` gives, then opened the smallest position.",
            expected: "State armed; the position left alone.",
        },
    ),
    (
        Step::Compare,
        Plan {
            step: "Dry run against live",
            means: "A dry run decides what a live run decides, and sends nothing.",
            done: "Broke the same limit twice, before a dry guard and before a live one, and replayed both recordings.",
            expected: "The same decisions; nothing touched by the dry guard; replays equal byte for byte.",
        },
    ),
    (
        Step::Dark,
        Plan {
            step: "The stream breaks",
            means: "Silence is never taken for health: a breach that the stream kept silent about is found and cut all the same.",
            done: "Cut the guard's streams, doubled the position meanwhile, then let the streams through again.",
            expected: "The position cut while the stream was down; afterwards connected and proven within 30 s.",
        },
    ),
];
