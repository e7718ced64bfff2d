//! The timeline of a test: what happened, and the numbers of the policies after it.

use super::verdict::{Standing, order_text};
use super::world::Told;
use crate::config::trial::{BotOrder, ByName, Step, Trouble, What};
use crate::event::{Link, Outcome};
use crate::model::Timestamp;
use crate::replay::lines::decision_lines;
use serde::Serialize;

/// Entries of one timeline; the oldest are left out beyond.
const ENTRIES_MAX: usize = 5_000;

/// What an entry tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A step of the test.
    Step,
    /// The numbers of a policy.
    Numbers,
    /// A rung that moved.
    Decided,
    /// A request to the venue, or what became of it.
    Venue,
    /// Something that people are told.
    Note,
}

/// One line of a timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Ms since the start of the test.
    pub at: i64,
    /// What it tells of.
    pub kind: Kind,
    /// The policy that it is about, if it is about one.
    pub policy: Option<String>,
    /// In words.
    pub text: String,
}

/// A timeline.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    start: Timestamp,
    entries: Vec<Entry>,
}

impl Trace {
    /// An empty one.
    pub fn new(start: Timestamp) -> Trace {
        Trace {
            start,
            entries: Vec::new(),
        }
    }

    /// The entries so far.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    fn push(&mut self, at: i64, kind: Kind, policy: Option<&str>, text: String) {
        if self.entries.len() >= ENTRIES_MAX {
            self.entries.remove(0);
        }
        self.entries.push(Entry {
            at: at.saturating_sub(self.start.ms()),
            kind,
            policy: policy.map(str::to_owned),
            text,
        });
    }

    /// A step.
    pub fn step(&mut self, at: i64, step: &Step) {
        self.push(
            at,
            Kind::Step,
            None,
            format!("{} (line {})", step_text(&step.what), step.line),
        );
    }

    /// The numbers of the policies.
    pub fn numbers(&mut self, at: i64, standings: &[Standing]) {
        for standing in standings {
            let rung = standing.rung.map_or(String::new(), |rung| format!(" {rung}"));
            let text = format!("{}{rung}: {}", standing.state, standing.why);
            self.push(at, Kind::Numbers, Some(&standing.policy), text);
        }
    }

    /// What a world told.
    pub fn told(&mut self, at: i64, told: &Told) {
        match told {
            Told::Decision(decision) => {
                for line in decision_lines("", decision) {
                    let rung = line.rung.as_deref().unwrap_or("-");
                    let numbers = match (&line.value, &line.threshold) {
                        (Some(value), Some(threshold)) => format!("  {value} against {threshold}"),
                        _ => String::new(),
                    };
                    let text = format!("{rung} {}{numbers}  ({})", line.state, line.why);
                    self.push(at, Kind::Decided, Some(&line.policy), text);
                    for order in &line.orders {
                        self.push(
                            at,
                            Kind::Decided,
                            Some(&line.policy),
                            format!("→ {}", order_text(order)),
                        );
                    }
                }
                for note in &decision.notes {
                    self.push(at, Kind::Note, None, note.text.clone());
                }
            }
            Told::Sent(line) => self.push(at, Kind::Venue, None, format!("sent {}", without_name(line))),
            Told::Outcome(_, outcome) => self.push(at, Kind::Venue, None, outcome_text(outcome)),
            Told::Link(Link::Up) => self.push(at, Kind::Venue, None, "the stream is open".into()),
            Told::Link(Link::Down(why)) => self.push(at, Kind::Venue, None, format!("no stream: {why}")),
        }
    }
}

/// A request without what differs from run to run of an edited test and tells nothing.
fn without_name(line: &str) -> &str {
    line.split_once("&newClientOrderId")
        .map_or(line, |(before, _)| before)
}

fn outcome_text(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Accepted(Some(report)) => format!("answered: filled {}", report.executed),
        Outcome::Accepted(None) => "answered: done".into(),
        Outcome::Rejected(why) => format!("refused: {} {}", why.code, why.message),
        Outcome::Unknown(doubt) => format!("no proof: {}", doubt.why),
        Outcome::Done => "answered: nothing was left to do".into(),
        Outcome::Suppressed => "not sent".into(),
    }
}

/// A step in words, near to how it is written.
pub fn step_text(what: &What) -> String {
    match what {
        What::Mark(prices) => format!("mark {}", names(prices)),
        What::Ramp(prices, span) => format!("ramp {} for {span}", names(prices)),
        What::Transfer(amounts) => format!("transfer {}", names(amounts)),
        What::Funding(rates) => format!("funding {}", names(rates)),
        What::Fill(order) => format!("fill {}", bot_text(order)),
        What::Order(order) => format!("order {}", bot_text(order)),
        What::Cancel { symbol, client_id } => {
            format!("cancel {symbol} {}", client_id.as_deref().unwrap_or("all"))
        }
        What::MarginCall(symbols) => format!("margin_call {}", symbols.join(", ")),
        What::Stream(Trouble::Down, span) => format!("stream down for {span}"),
        What::Stream(Trouble::Silent, span) => format!("stream silent for {span}"),
        What::Network(span) => format!("network down for {span}"),
        What::Restart { crash, gone } => {
            format!(
                "restart{}, away for {gone}",
                if *crash { " after a crash" } else { "" }
            )
        }
        What::Sleep(span) => format!("sleep {span}"),
        What::Kill { flatten, symbol } => {
            let action = if *flatten { "flatten" } else { "block" };
            format!("kill {action} {}", symbol.as_deref().unwrap_or("everything"))
        }
        What::Rearm { rebase, .. } => format!("rearm {}", if *rebase { "rebase" } else { "keep" }),
        What::Adl { symbol, fraction } => format!("adl {symbol} {}", fraction.normalize()),
        What::Settle(symbol) => format!("settle {symbol}"),
        What::Halt(symbol) => format!("halt {symbol}"),
        What::Resume(symbol) => format!("resume {symbol}"),
    }
}

fn names(all: &ByName) -> String {
    let each: Vec<String> = all
        .iter()
        .map(|(name, number)| format!("{name} {}", number.normalize()))
        .collect();
    each.join(", ")
}

fn bot_text(order: &BotOrder) -> String {
    let number = |word: &str, value: Option<rust_decimal::Decimal>| {
        value.map_or(String::new(), |value| format!(" {word}{}", value.normalize()))
    };
    format!(
        "{} {}{} {}{}{}",
        order.kind,
        if order.buys { "BUY" } else { "SELL" },
        number("", order.quantity),
        order.symbol,
        number("at ", order.price),
        number("trigger ", order.trigger),
    )
}
