//! Recordings of every scenario, made with the program itself from the embedded exchange, and what they replay to.

mod whatif;

use backstop::config::policy;
use backstop::replay::{play, recording};
use backstop::sim::Scenario;
use std::path::Path;

const STANDARD: &str = include_str!("../../policies/standard.toml");

/// Replays a recording; gives its decisions as lines of JSON, and what the comparison found.
fn replay(path: &Path) -> (String, play::Played) {
    let set = policy::parse("standard.toml", STANDARD).unwrap();
    let (header, entries) = recording::read(path).unwrap_or_else(|error| panic!("{error}"));
    let mut lines = String::new();
    let played = play::play(
        &header,
        entries,
        &set,
        &play::digest(&[STANDARD.into()]),
        |_| {},
        |line| {
            lines.push_str(&serde_json::to_string(line).unwrap());
            lines.push('\n');
        },
    );
    (lines, played.unwrap_or_else(|error| panic!("{error}")))
}

#[test]
fn pr_23_every_scenario_has_a_recording_that_replays_to_its_golden_decisions() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/recordings");
    for name in Scenario::names() {
        let (lines, played) = replay(&folder.join(format!("{name}.jsonl.gz")));
        assert!(played.difference.is_none(), "{name}: {:?}", played.difference);
        let golden = folder.join(format!("{name}.decisions.jsonl"));
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&golden, &lines).unwrap();
        }
        let expected = std::fs::read_to_string(&golden).unwrap();
        assert_eq!(
            lines, expected,
            "{name}: UPDATE=1 rewrites the golden file; review the difference"
        );
        assert_eq!(
            ["calm-day", "drill"].contains(name),
            lines.is_empty(),
            "{name}: only where nothing happens there is no decision"
        );
    }
}
