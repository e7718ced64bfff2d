//! `tests/SCENARIOS.md` says which test shows which scenario, and why one has none. It is kept true here.
//!
//! A test carries the IDs of what it shows in its name; `UPDATE=1` writes the column of tests anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A row of the page.
#[derive(Debug)]
struct Row<'a> {
    id: &'a str,
    priority: &'a str,
    what: &'a str,
    tests: &'a str,
    reason: &'a str,
}

fn row(line: &str) -> Option<Row<'_>> {
    let cells: Vec<&str> = line
        .strip_prefix("| ")?
        .trim_end()
        .strip_suffix('|')?
        .split(" | ")
        .map(str::trim)
        .collect();
    match cells[..] {
        [id, priority, what, tests, reason] if ids(&id.to_lowercase().replace('-', "_")).len() == 1 => {
            Some(Row {
                id,
                priority,
                what,
                tests,
                reason: reason.trim_matches('|').trim(),
            })
        }
        _ => None,
    }
}

/// The IDs in a name: `or_01_e8_a_lost_answer` shows OR-01 and E8.
fn ids(name: &str) -> BTreeSet<String> {
    let parts: Vec<&str> = name.split('_').collect();
    let digits = |text: &str| (1..=2).contains(&text.len()) && text.chars().all(|c| c.is_ascii_digit());
    let mut found = BTreeSet::new();
    for (index, part) in parts.iter().enumerate() {
        let next = parts.get(index + 1).copied().unwrap_or("");
        if ["st", "mo", "pa", "or", "li", "pr", "se"].contains(part) && next.len() == 2 && digits(next) {
            found.insert(format!("{}-{next}", part.to_uppercase()));
        }
        let (letter, rest) = part.split_at(part.len().min(1));
        if ["a", "b", "c", "d", "e", "f", "g"].contains(&letter) && digits(rest) {
            found.insert(part.to_uppercase());
        }
    }
    found
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// Every test by the IDs in its name.
fn tests(root: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let mut all = Vec::new();
    files(&root.join("src"), &mut all);
    files(&root.join("tests"), &mut all);
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut add = |name: &str| {
        for id in ids(name) {
            found.entry(id).or_default().insert(name.to_owned());
        }
    };
    for path in all {
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        match path.extension().and_then(|kind| kind.to_str()) {
            Some("txt" | "toml") => add(stem.trim_end_matches(".test")),
            Some("rs") => {
                let text = fs::read_to_string(&path).unwrap();
                for line in text.lines() {
                    let line = line.trim_start();
                    let line = line.strip_prefix("async ").unwrap_or(line);
                    if let Some(name) = line.strip_prefix("fn ").and_then(|rest| rest.split('(').next()) {
                        add(name);
                    }
                }
            }
            _ => {}
        }
    }
    found
}

#[test]
fn the_page_of_scenarios_names_every_test_and_gives_a_reason_where_there_is_none() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = root.join("tests/SCENARIOS.md");
    let page = fs::read_to_string(&path).unwrap();
    let tests = tests(root);
    let mut seen = BTreeSet::new();
    let mut wrong = Vec::new();
    let mut fresh = String::new();
    for line in page.lines() {
        let Some(row) = row(line) else {
            fresh.push_str(line);
            fresh.push('\n');
            continue;
        };
        if !seen.insert(row.id.to_owned()) {
            wrong.push(format!("{} stands there twice", row.id));
        }
        let names: Vec<&str> = tests
            .get(row.id)
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect();
        let named = names
            .iter()
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(", ");
        if named != row.tests {
            wrong.push(format!(
                "{}: the tests are {named}, and not {}",
                row.id, row.tests
            ));
        }
        if names.is_empty() && row.reason.is_empty() {
            wrong.push(format!("{}: no test, and no reason why", row.id));
        }
        fresh.push_str(&format!(
            "| {} | {} | {} | {named} | {} |\n",
            row.id, row.priority, row.what, row.reason
        ));
    }
    for id in tests.keys().filter(|id| !seen.contains(*id)) {
        wrong.push(format!("{id} is in the name of a test and has no row"));
    }
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, fresh).unwrap();
        wrong.retain(|text| !text.contains("the tests are"));
    }
    assert!(
        wrong.is_empty(),
        "tests/SCENARIOS.md (UPDATE=1 writes the tests):\n{}",
        wrong.join("\n")
    );
}

#[test]
fn ids_are_read_from_names() {
    for (name, expected) in [
        ("or_01_or_02_only_proof_is_a_refusal", &["OR-01", "OR-02"][..]),
        ("li_01_f11_silence_is_kept", &["F11", "LI-01"]),
        ("d8_kill_9", &["D8"]),
        ("an_order_of_9_and_a_line", &[]),
        ("the_store_2_of_or_x", &[]),
    ] {
        assert_eq!(ids(name).into_iter().collect::<Vec<_>>(), expected, "{name}");
    }
}
