//! Scenarios of the decision core: text in, text out.
//!
//! A file has a policy file between `policies` and `end`, then lines `time  event -> what the guard decided`. The
//! right-hand side is written by the runner (`UPDATE=1 cargo test scenarios`) and reviewed in the diff. Nothing
//! here knows a socket or a clock.

mod arrival;
mod flows;
mod language;
mod random;
mod rules;
mod said;
mod slices;

use language::Stage;
use std::fs;
use std::path::{Path, PathBuf};

/// Runs every file of a folder; the name of the file is the rule that it states.
fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    files.sort();
    files
}

fn rewrite(text: &str) -> String {
    let mut out = String::new();
    let mut policies = String::new();
    let mut in_policies = false;
    let mut stage: Option<Stage> = None;
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed == "policies" {
            in_policies = true;
            policies.clear();
        } else if trimmed == "end" {
            in_policies = false;
            stage = Some(Stage::new(&policies));
        } else if in_policies {
            policies.push_str(line);
            policies.push('\n');
        } else if !trimmed.is_empty() && !trimmed.starts_with('#') {
            let left = line.split(" -> ").next().unwrap().trim_end();
            let said = stage
                .as_mut()
                .expect("`policies … end` comes first")
                .play(left.trim());
            out.push_str(&format!("{left:<52} -> {said}\n"));
            continue;
        }
        out.push_str(line);
        out.push('\n');
    }
    out
}

#[test]
fn every_scenario_goes_as_written() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = Vec::new();
    for file in files() {
        let text = fs::read_to_string(&file).unwrap();
        let played = rewrite(&text);
        assert_eq!(
            played,
            rewrite(&played),
            "{}: the same inputs give the same decisions",
            file.display()
        );
        if played != text {
            if update {
                fs::write(&file, &played).unwrap();
            } else {
                let pairs = text.lines().zip(played.lines()).filter(|(a, b)| a != b);
                let shown: Vec<String> = pairs
                    .take(5)
                    .map(|(a, b)| format!("  written {a}\n  played  {b}"))
                    .collect();
                wrong.push(format!("{}\n{}", file.display(), shown.join("\n")));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "scenarios differ; UPDATE=1 rewrites them:\n{}",
        wrong.join("\n")
    );
}
