//! What a drill found, for people and for scripts. It never holds a key, a secret or a listenKey.

use super::Trouble;
use crate::model::{Span, Timestamp};
use serde::Serialize;
use std::fmt::Write as _;

/// How a step ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// What was expected was seen at the venue.
    Passed,
    /// It was not.
    Failed,
    /// An earlier step failed, or the drill was interrupted.
    NotRun,
}

/// One step.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    /// Its name.
    pub step: String,
    /// What it means for somebody who relies on the guard.
    pub means: String,
    /// What was done.
    pub done: String,
    /// What was expected.
    pub expected: String,
    /// How it ended.
    pub verdict: Verdict,
    /// What the venue showed, or what went wrong.
    pub seen: String,
    /// How long it took, ms.
    pub took_ms: i64,
    /// Client ids, codes, times.
    pub evidence: Vec<String>,
}

/// A question of venues/binance-usdm.md section 13, and what this venue answered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Probe {
    /// Its number there.
    pub number: u8,
    /// The question.
    pub question: String,
    /// The answer; `None` when it was not answered here.
    pub answer: Option<String>,
    /// Why it was not answered here.
    pub why_not: Option<String>,
}

/// What a drill found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Report {
    /// When it began.
    pub began: String,
    /// When it began, Unix ms.
    pub began_ms: i64,
    /// How long it took, ms.
    pub took_ms: i64,
    /// The version of this program.
    pub version: String,
    /// The venue, by its name in configuration files.
    pub venue: String,
    /// The address of its REST interface.
    pub rest_url: String,
    /// The contract.
    pub symbol: String,
    /// The smallest position that could be opened.
    pub smallest: String,
    /// Whether every step passed and nothing was left.
    pub passed: bool,
    /// The verdict in a sentence.
    pub verdict: String,
    /// The steps, in their order.
    pub steps: Vec<Finding>,
    /// The open questions about the venue.
    pub probes: Vec<Probe>,
    /// What the drill left at the venue; empty when nothing.
    pub left: Option<String>,
    /// The command that repeats it.
    pub again: String,
}

impl Probe {
    /// A question that got an answer.
    pub fn answered(number: u8, question: &str, answer: String) -> Probe {
        Probe {
            number,
            question: question.into(),
            answer: Some(answer),
            why_not: None,
        }
    }

    /// A question that got none.
    pub fn unanswered(number: u8, question: &str, why: &str) -> Probe {
        Probe {
            number,
            question: question.into(),
            answer: None,
            why_not: Some(why.into()),
        }
    }
}

impl Finding {
    /// A step that ended: with what was seen and its evidence, or with what went wrong.
    pub fn ended(plan: &Plan, result: Result<(String, Vec<String>), Trouble>, took: Span) -> Finding {
        let (verdict, seen, evidence) = match result {
            Ok((seen, evidence)) => (Verdict::Passed, seen, evidence),
            Err(trouble) => (Verdict::Failed, trouble.0, Vec::new()),
        };
        Finding {
            step: plan.step.into(),
            means: plan.means.into(),
            done: plan.done.into(),
            expected: plan.expected.into(),
            verdict,
            seen,
            took_ms: took.ms(),
            evidence,
        }
    }

    /// A step that was not reached.
    pub fn not_run(plan: &Plan) -> Finding {
        let mut finding = Finding::ended(plan, Ok((String::new(), Vec::new())), Span::ZERO);
        finding.verdict = Verdict::NotRun;
        finding
    }
}

/// What a step is to show.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Its name.
    pub step: &'static str,
    /// What it means for somebody who relies on the guard.
    pub means: &'static str,
    /// What is done.
    pub done: &'static str,
    /// What is expected.
    pub expected: &'static str,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Verdict::Passed => "passed",
            Verdict::Failed => "FAILED",
            Verdict::NotRun => "not run",
        }
    }
}

/// `1.24 s`.
fn seconds(ms: i64) -> String {
    format!("{}.{:02} s", ms / 1000, ms % 1000 / 10)
}

/// Text for a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}

impl Report {
    /// The day, for a file's name: `2026-11-25`.
    pub fn day(began: Timestamp) -> String {
        began.to_string().chars().take(10).collect()
    }

    /// Whether what answered the probes is the embedded exchange.
    fn is_embedded(&self) -> bool {
        self.venue == "sim"
    }

    /// As Markdown.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, to: &mut String) -> std::fmt::Result {
        let place = if self.is_embedded() {
            "the exchange that is built into Backstop"
        } else {
            "the venue's test network"
        };
        writeln!(
            to,
            "# Backstop drill of {}\n",
            self.began.chars().take(10).collect::<String>()
        )?;
        writeln!(to, "**{}**\n", self.verdict)?;
        writeln!(
            to,
            "Backstop is a guard for a trading account: it cancels orders and closes positions when a limit that its owner \
             wrote is broken. A drill proves that this works from end to end. It opens the smallest possible position with \
             play money, breaks each limit on purpose, and then asks the venue, not the guard, what became of it.\n"
        )?;
        writeln!(to, "| | |\n| --- | --- |")?;
        writeln!(to, "| Where | {place}, `{}` |", self.rest_url)?;
        writeln!(to, "| Contract | {} |", self.symbol)?;
        writeln!(to, "| Smallest position | {} |", self.smallest)?;
        writeln!(to, "| Began | {} |", self.began)?;
        writeln!(to, "| Took | {} |", seconds(self.took_ms))?;
        writeln!(
            to,
            "| Left at the venue | {} |",
            cell(self.left.as_deref().unwrap_or("nothing: no position, no order"))
        )?;
        writeln!(to, "| Program | backstop {} |\n", self.version)?;
        writeln!(
            to,
            "## Steps\n\n| # | Step | Result | Time | What it means |\n| --- | --- | --- | --- | --- |"
        )?;
        for (index, step) in self.steps.iter().enumerate() {
            let time = if step.verdict == Verdict::NotRun {
                "-".into()
            } else {
                seconds(step.took_ms)
            };
            writeln!(
                to,
                "| {} | {} | {} | {time} | {} |",
                index + 1,
                cell(&step.step),
                step.verdict.word(),
                cell(&step.means)
            )?;
        }
        for (index, step) in self
            .steps
            .iter()
            .enumerate()
            .filter(|(_, step)| step.verdict != Verdict::NotRun)
        {
            writeln!(
                to,
                "\n### {}. {}: {}\n",
                index + 1,
                step.step,
                step.verdict.word()
            )?;
            writeln!(to, "* Done: {}", step.done)?;
            writeln!(to, "* Expected: {}", step.expected)?;
            let what = if step.verdict == Verdict::Failed {
                "What went wrong"
            } else {
                "Seen"
            };
            writeln!(to, "* {what}: {}", step.seen)?;
            for line in &step.evidence {
                writeln!(to, "  * {line}")?;
            }
        }
        writeln!(to, "\n## Open questions about the venue\n")?;
        writeln!(
            to,
            "Its documentation leaves these open; the numbers are those of the protocol reference's section 13.{}\n",
            if self.is_embedded() {
                " **The answers below are the built-in exchange's own: they show that the questions can be asked, and are no \
                 evidence about the real venue.** A drill on the test network gives that."
            } else {
                " A test network may differ from the real venue."
            }
        )?;
        writeln!(to, "| # | Question | Answer |\n| --- | --- | --- |")?;
        for probe in &self.probes {
            let answer = match (&probe.answer, &probe.why_not) {
                (Some(answer), _) => answer.clone(),
                (None, why) => format!("*not answered here:* {}", why.as_deref().unwrap_or("")),
            };
            writeln!(
                to,
                "| {} | {} | {} |",
                probe.number,
                cell(&probe.question),
                cell(&answer)
            )?;
        }
        writeln!(to, "\n## How to repeat it\n\n```sh\n{}\n```\n", self.again)?;
        writeln!(
            to,
            "The account must have no position and no order, and is left so. The guard's orders are named `bs-…`, those of the \
             drill's own trader `{}…`; both can be looked up at the venue.",
            super::trader::PREFIX
        )
    }

    /// A few lines for a terminal.
    pub fn summary(&self) -> String {
        let mut text = String::new();
        for (index, step) in self.steps.iter().enumerate() {
            let colour = match step.verdict {
                Verdict::Passed => "\x1b[32m",
                Verdict::Failed => "\x1b[1;31m",
                Verdict::NotRun => "\x1b[2m",
            };
            let _ = writeln!(
                text,
                "  {}. {:<44} {colour}{:<8}\x1b[0m {}",
                index + 1,
                step.step,
                step.verdict.word(),
                time_of(step)
            );
            if step.verdict == Verdict::Failed {
                let _ = writeln!(text, "     {}", step.seen);
            }
        }
        let answered = self.probes.iter().filter(|probe| probe.answer.is_some()).count();
        let _ = writeln!(
            text,
            "  open questions about the venue: {answered} of {} answered",
            self.probes.len()
        );
        let _ = writeln!(
            text,
            "  left at the venue: {}",
            self.left.as_deref().unwrap_or("nothing")
        );
        let _ = write!(text, "\n{}", self.verdict);
        text
    }
}

fn time_of(step: &Finding) -> String {
    if step.verdict == Verdict::NotRun {
        String::new()
    } else {
        seconds(step.took_ms)
    }
}
