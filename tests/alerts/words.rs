//! The words: what a person is told of a whole story. Written by the runner (`UPDATE=1`), reviewed in the diff.

use backstop::alert::ledger::Ledger;
use backstop::alert::{Rules, Watch};
use backstop::config::policy;
use backstop::guard::{Guard, Severity, Start};
use backstop::model::{Span, Timestamp};
use backstop::replay::lines::GuardLine;
use backstop::replay::recording::{self, Entry};
use backstop::replay::{Drive, Fed};
use std::path::Path;

const STANDARD: &str = include_str!("../../policies/standard.toml");

/// Everything that a channel is told of a recording.
fn told(name: &str, least: Severity, is_live: bool) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/recordings");
    let (header, entries) = recording::read(&folder.join(format!("{name}.jsonl.gz"))).unwrap();
    let set = policy::parse("standard.toml", STANDARD).unwrap();
    let guard = Guard::new(&header.account, set, Span::from_secs(15), Start::Fresh);
    let (mut drive, mut watch) = (Drive::new(guard), Watch::new(is_live));
    let mut ledger = Ledger::new(Rules {
        least,
        group: Span::from_secs(10),
        repeat: Some(Span::from_secs(300)),
        escalate_after: None,
    });
    let mut text = String::new();
    let mut tell = |ledger: &mut Ledger, now: Timestamp| {
        for letter in ledger.due(now) {
            let second = now.ms() - header.started_at;
            text.push_str(&format!(
                "--- {}.{} s\n{}\n",
                second / 1000,
                second % 1000 / 100,
                letter.text(4_000)
            ));
        }
    };
    for entry in entries {
        let entry = entry.unwrap();
        let fed = match &entry {
            Entry::Received(received) => Fed::Received(received),
            Entry::Guard(_, line) => match &**line {
                GuardLine::Outcome { of, result } => {
                    Fed::Outcome(of.key().unwrap(), result.outcome().unwrap())
                }
                GuardLine::Command(command) => Fed::Command(command.command().unwrap()),
                _ => Fed::Wake,
            },
        };
        while let Some(at) = ledger.deadline().filter(|at| *at < entry.at()) {
            tell(&mut ledger, at);
        }
        drive.feed(entry.at(), fed, |guard, decision| {
            if decision.records.is_empty() && decision.notes.is_empty() {
                return;
            }
            for alert in watch.look(guard, &decision) {
                ledger.tell(decision.at, alert);
            }
            tell(&mut ledger, decision.at);
        });
    }
    text
}

#[test]
fn a_story_is_told_in_these_words() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/alerts");
    for (name, least, is_live) in [
        ("flash-crash", Severity::Warning, true),
        ("slow-bleed", Severity::Info, false),
        ("calm-day", Severity::Info, true),
    ] {
        let told = told(name, least, is_live);
        let golden = folder.join(format!("{name}.txt"));
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&golden, &told).unwrap();
        }
        let expected = std::fs::read_to_string(&golden).unwrap();
        assert_eq!(
            told, expected,
            "{name}: UPDATE=1 rewrites the words; review the difference"
        );
    }
}
