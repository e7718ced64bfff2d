//! The story of a run, for a person at the terminal: what happened, why in numbers, what was done about it.

use super::status::pulse;
use crate::event::Outcome;
use crate::guard::{Decision, Guard, Record, Severity};
use crate::model::{Intent, IntentKey, Pricing, Span, Timestamp};
use crate::policy::Mode;
use anstream::println;
use tokio::sync::mpsc;

/// How often a line of numbers is shown while nothing else happens.
const PULSE_EVERY: Span = Span::from_secs(3);

const PLAIN: &str = "\x1b[0m";
const DIM: &str = "\x1b[2m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const RED: &str = "\x1b[1;31m";

/// One thing to tell.
#[derive(Clone, Debug)]
pub struct Told {
    at: Timestamp,
    lines: Vec<(&'static str, String)>,
}

impl Told {
    /// A line of text.
    pub fn text(at: Timestamp, text: String) -> Told {
        Told {
            at,
            lines: vec![(PLAIN, text)],
        }
    }

    /// A line of text that matters this much.
    pub fn note(at: Timestamp, severity: Severity, text: String) -> Told {
        Told {
            at,
            lines: vec![(colour_of(severity), text)],
        }
    }

    /// What was decided.
    pub fn decision(guard: &Guard, decision: Decision) -> Told {
        let mut lines = Vec::new();
        for note in &decision.notes {
            lines.push((colour_of(note.severity), note.text.clone()));
        }
        for record in &decision.records {
            lines.extend(record_lines(record));
        }
        if decision.notes.iter().any(|note| note.text.starts_with("state ")) {
            lines.push((DIM, pulse(guard)));
        }
        Told {
            at: decision.at,
            lines,
        }
    }
}

fn colour_of(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => GREEN,
        Severity::Warning => YELLOW,
        Severity::Critical => RED,
    }
}

fn record_lines(record: &Record) -> Vec<(&'static str, String)> {
    let rung = record.rung.unwrap_or("");
    let colour = match (record.state, rung) {
        ("ok", _) => GREEN,
        (_, "flatten" | "reduce") => RED,
        ("unknown", _) => YELLOW,
        _ => YELLOW,
    };
    let would = match record.mode {
        Mode::Enforce | Mode::Off => "",
        Mode::Warn => " (warn only)",
        Mode::Shadow => " (shadow: would have)",
    };
    let numbers = match (record.value, record.threshold) {
        (Some(value), Some(threshold)) => {
            let sign = if value.number() >= threshold.number() {
                "≥"
            } else {
                "<"
            };
            format!("  {value} {sign} {threshold}")
        }
        _ => String::new(),
    };
    let head = match record.state {
        "ok" => format!("policy {}: {rung} cleared{numbers}", record.policy),
        "unknown" => format!("policy {}: cannot be judged", record.policy),
        state if record.rung.is_none() => format!("policy {}: can be judged again; {state}", record.policy),
        state => format!("policy {}: {rung} {state}{would}{numbers}", record.policy),
    };
    let mut lines = vec![(colour, head)];
    if !record.why.is_empty() && record.state != "ok" {
        lines.push((DIM, format!("  why: {}", record.why)));
    }
    lines.extend(
        record
            .orders
            .iter()
            .map(|intent| (colour, format!("  → {}", intent_text(intent)))),
    );
    lines
}

/// A request in words.
pub fn intent_text(intent: &Intent) -> String {
    match intent {
        Intent::Reduce(order) => {
            let how = match order.pricing() {
                Pricing::Market => "at market".to_owned(),
                Pricing::Ioc(price) => format!("at {price} or better, at once"),
                Pricing::Resting(price) => format!("at {price} or better, waiting for a taker"),
            };
            format!(
                "{} {} {}, reduce-only, {how}  [{}]",
                order.side(),
                order.qty(),
                order.leg(),
                order.id()
            )
        }
        Intent::Cancel(id) => {
            let store = match id.store {
                crate::model::Store::Regular => "order",
                crate::model::Store::Conditional => "conditional order",
            };
            format!("cancel {store} {} in {}", id.id, id.symbol)
        }
        Intent::PlaceStop(stop) => format!(
            "stop {} {} at {}, closes the position and nothing else  [{}]",
            stop.side(),
            stop.leg(),
            stop.trigger(),
            stop.id()
        ),
        Intent::CancelAll(symbol) => format!("cancel all orders in {symbol}"),
        Intent::CancelAllConditional(symbol) => format!("cancel all conditional orders in {symbol}"),
    }
}

/// What became of an order, where it is worth a line.
pub fn outcome_told(key: &IntentKey, outcome: &Outcome) -> Option<Told> {
    let IntentKey::Reduce(id) = key else { return None };
    let (at, line) = match outcome {
        Outcome::Accepted(Some(report)) => (
            report.at,
            (GREEN, format!("  ← filled {}  [{id}]", report.executed)),
        ),
        Outcome::Suppressed => {
            return Some(Told::text(
                Timestamp::default(),
                format!("  ← dry run: not sent  [{id}]"),
            ));
        }
        _ => return None,
    };
    Some(Told {
        at,
        lines: vec![line],
    })
}

/// Prints what is told until nobody tells any more. Times are seconds since the first line.
pub async fn tell(mut told: mpsc::Receiver<Told>) {
    let mut first: Option<Timestamp> = None;
    let mut shown = 0i64;
    while let Some(item) = told.recv().await {
        if item.at != Timestamp::default() {
            let first = *first.get_or_insert(item.at);
            // The venue's clock may be a little behind ours: the story does not run backwards.
            shown = shown.max(item.at.since(first).ms());
        }
        let time = format!("{:>3}.{}s", shown / 1000, shown % 1000 / 100);
        for (index, (colour, line)) in item.lines.iter().enumerate() {
            let time = if index == 0 { time.as_str() } else { "" };
            println!("{DIM}{time:>6}{PLAIN}  {colour}{line}{PLAIN}");
        }
    }
}

/// Whether it is time for another line of numbers.
pub fn is_pulse_due(now: Timestamp, last: Timestamp) -> bool {
    now.since(last) >= PULSE_EVERY
}

/// A line of numbers.
pub fn pulse_told(guard: &Guard) -> Told {
    Told {
        at: guard.book().now(),
        lines: vec![(DIM, pulse(guard))],
    }
}
