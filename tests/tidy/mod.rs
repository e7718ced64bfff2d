//! The house is as drawn: rooms use only rooms below them, the core stays pure, files stay small.
//!
//! A checker over (path, text), so that a table of planted sins shows that it catches each; then the same over the tree.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that panics has failed, which is its purpose"
)]

mod code;
mod rooms;

use code::{Named, code, paths};
use std::fs;
use std::path::Path;

/// Lines of a file, tests included. A longer one has more than one idea.
const LINES_MAX: usize = 600;

/// Files that are longer for now, with the most that they may have. Nothing is added here; entries only go.
const LONGER: [(&str, usize); 1] = [("src/guard.rs", 950)];

/// What is wrong with a file: one sentence each, with its line where it has one.
fn sins(path: &str, text: &str) -> Vec<String> {
    let mut sins = Vec::new();
    let lines = text.lines().count();
    let most = LONGER
        .iter()
        .find(|(long, _)| *long == path)
        .map_or(LINES_MAX, |(_, most)| *most);
    if lines > most {
        sins.push(format!("{path}: {lines} lines, more than {most}"));
    }
    let code = code(text);
    for (number, line) in code.lines().enumerate() {
        if line.replace(' ', "").contains("#[ignore") {
            sins.push(format!("{path}:{}: a test is ignored", number + 1));
        }
    }
    let room = rooms::of(path);
    for named in paths(&code) {
        let mut say = |what: String| sins.push(format!("{path}:{}: {what}", named.line));
        if let [name] = named.segments.as_slice()
            && named.macro_call
            && ["todo", "unimplemented"].contains(&name.as_str())
        {
            say(format!("{name}! is left"));
        }
        let Some(room) = &room else { continue };
        if let Some(used) = used_room(room, &named)
            && let Some(why) = rooms::refusal(room, &used)
        {
            say(why);
        }
        if rooms::is_pure(room)
            && let Some(what) = rooms::impurity(&named.segments)
        {
            say(format!("{what} is below the purity line"));
        }
    }
    sins
}

/// The path from the root of the crate that is named: `crate::…`, or as many `super::` as lead there.
fn used_room(room: &[String], named: &Named) -> Option<Vec<String>> {
    let up = named
        .segments
        .iter()
        .take_while(|segment| *segment == "super")
        .count();
    match named.segments.first()?.as_str() {
        "crate" => Some(named.segments[1..].to_vec()),
        // Inside an inline module one `super` is the file itself, so only the name of a room is taken for one.
        "super" if up >= room.len() && named.segments.get(up).is_some_and(|name| rooms::is_room(name)) => {
            Some(named.segments[up..].to_vec())
        }
        _ => None,
    }
    .filter(|used| !used.is_empty())
}

/// Scenario files that no line of the exchange names, so that nobody can ask for them.
fn unnamed(scenarios: &[String], exchange: &str) -> Vec<String> {
    let unnamed = |name: &&String| {
        let stem = name.trim_end_matches(".toml");
        !exchange.contains(&format!("\"{stem}\"")) && !exchange.contains(&format!("/{stem}.toml\""))
    };
    scenarios.iter().filter(unnamed).cloned().collect()
}

/// Every file below a folder whose name ends so, as (path from the root with `/`, text), in order.
fn files(folder: &str, ending: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        let Ok(entries) = fs::read_dir(root.join(&folder)) else {
            continue;
        };
        for entry in entries {
            let entry = entry.unwrap();
            let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if entry.file_type().unwrap().is_dir() {
                open.push(path);
            } else if path.ends_with(ending) {
                found.push((path, fs::read_to_string(entry.path()).unwrap()));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn the_tree_is_tidy() {
    let mut found = Vec::new();
    for folder in ["src", "tests", "benches"] {
        for (path, text) in files(folder, ".rs") {
            found.extend(sins(&path, &text));
        }
    }
    assert!(found.is_empty(), "{} sins:\n{}", found.len(), found.join("\n"));
}

#[test]
fn every_scenario_file_can_be_asked_for_by_name() {
    let exchange: String = files("src/sim", ".rs")
        .into_iter()
        .map(|(_, text)| text)
        .collect();
    let names: Vec<String> = files("fixtures/scenarios", ".toml")
        .into_iter()
        .filter_map(|(path, _)| path.rsplit('/').next().map(str::to_owned))
        .collect();
    assert_eq!(unnamed(&names, &exchange), Vec::<String>::new());
}

#[test]
fn a_scenario_file_without_a_name_is_caught() {
    let files = [
        "flash-crash.toml".to_owned(),
        "calm.toml".to_owned(),
        "lost.toml".to_owned(),
    ];
    let exchange = r#"("flash-crash", include_str!("x")), include_str!("../fixtures/scenarios/calm.toml")"#;
    assert_eq!(unnamed(&files, exchange), ["lost.toml"]);
}

#[test]
fn every_planted_sin_is_caught() {
    let long = "\n".repeat(LINES_MAX + 1);
    for (path, text, expected) in [
        // Direction.
        (
            "src/model/value.rs",
            "use crate::event::Event;",
            "src/model/value.rs:1: model may not use event",
        ),
        (
            "src/book/mod.rs",
            "\nuse crate::{model::Qty, policy};",
            "src/book/mod.rs:2: book may not use policy",
        ),
        (
            "src/policy/x.rs",
            "fn f() { crate::guard::f() }",
            "src/policy/x.rs:1: policy may not use guard",
        ),
        (
            "src/policy/x.rs",
            "use super::super::guard;",
            "src/policy/x.rs:1: policy may not use guard",
        ),
        (
            "src/event.rs",
            "use super::book::Book;",
            "src/event.rs:1: event may not use book",
        ),
        (
            "src/venue/binance/wire.rs",
            "use crate::book::Book;",
            "src/venue/binance/wire.rs:1: venue may not use book",
        ),
        (
            "src/exec.rs",
            "use crate::journal::Log;",
            "src/exec.rs:1: exec may not use journal",
        ),
        (
            "src/serve/page.rs",
            "use crate::config::Config;",
            "src/serve/page.rs:1: serve may not use config",
        ),
        (
            "src/config/load.rs",
            "use crate::guard::Guard;",
            "src/config/load.rs:1: config may not use guard",
        ),
        (
            "src/run.rs",
            "use crate::cli::check;",
            "src/run.rs:1: run may not use cli",
        ),
        (
            "src/sim/exchange.rs",
            "use crate::clock;",
            "src/sim/exchange.rs:1: sim may not use clock",
        ),
        (
            "src/venue/binance/sign.rs",
            "use crate::clock;",
            "src/venue/binance/sign.rs:1: venue may not use clock",
        ),
        (
            "src/replay/play.rs",
            "use crate::journal::log;",
            "src/replay/play.rs:1: replay may not use journal",
        ),
        (
            "src/attic.rs",
            "use crate::model::Qty;",
            "src/attic.rs:1: attic is no room of the house; draw it first",
        ),
        // Purity.
        (
            "src/guard.rs",
            "use tokio::time;",
            "src/guard.rs:1: tokio is below the purity line",
        ),
        (
            "src/guard.rs",
            "use std::{fs, fmt};",
            "src/guard.rs:1: std::fs is below the purity line",
        ),
        (
            "src/event.rs",
            "use std::net::IpAddr;",
            "src/event.rs:1: std::net is below the purity line",
        ),
        (
            "src/model/x.rs",
            "std::env::var(a)",
            "src/model/x.rs:1: std::env is below the purity line",
        ),
        (
            "src/book/x.rs",
            "use std::time::{Duration, Instant};",
            "src/book/x.rs:1: Instant is below the purity line",
        ),
        (
            "src/book/x.rs",
            "std::time::SystemTime::now()",
            "src/book/x.rs:1: SystemTime is below the purity line",
        ),
        (
            "src/policy/x.rs",
            "let m: HashMap<A, B>;",
            "src/policy/x.rs:1: HashMap is below the purity line",
        ),
        (
            "src/policy/x.rs",
            "a::HashSet::new()",
            "src/policy/x.rs:1: HashSet is below the purity line",
        ),
        (
            "src/response/x.rs",
            "fn f(a: f64)",
            "src/response/x.rs:1: f64 is below the purity line",
        ),
        (
            "src/response/x.rs",
            "a as f32",
            "src/response/x.rs:1: f32 is below the purity line",
        ),
        (
            "src/model/x.rs",
            "#[derive(serde::Serialize)]",
            "src/model/x.rs:1: serde is below the purity line",
        ),
        (
            "src/model/x.rs",
            "tracing::info!()",
            "src/model/x.rs:1: tracing is below the purity line",
        ),
        (
            "src/model/x.rs",
            "rand::random()",
            "src/model/x.rs:1: rand is below the purity line",
        ),
        (
            "src/model/x.rs",
            "use reqwest::Client;",
            "src/model/x.rs:1: reqwest is below the purity line",
        ),
        // Everywhere.
        ("src/cli/x.rs", "\n\ntodo!()", "src/cli/x.rs:3: todo! is left"),
        (
            "tests/x.rs",
            "unimplemented!(\"later\")",
            "tests/x.rs:1: unimplemented! is left",
        ),
        (
            "tests/x.rs",
            "#[test]\n#[ignore = \"slow\"]",
            "tests/x.rs:2: a test is ignored",
        ),
        (
            "benches/x.rs",
            long.as_str(),
            "benches/x.rs: 601 lines, more than 600",
        ),
    ] {
        assert_eq!(sins(path, text), [expected], "{path}: {text}");
    }
}

#[test]
fn what_is_drawn_is_allowed() {
    for (path, text) in [
        (
            "src/model/value.rs",
            "//! Knows no crate::guard and no f64.\nuse crate::model::Qty; use super::time;",
        ),
        (
            "src/book/x.rs",
            "let tokio_like = \"use tokio::time\"; use std::time::Duration;",
        ),
        (
            "src/guard.rs",
            "use crate::{book::Book, event::Input, model::Qty, policy::View, response::Plan};",
        ),
        (
            "src/venue/binance/client.rs",
            "use crate::clock; use crate::event::Event; use tokio::net;",
        ),
        (
            "src/venue/binance/client/rest.rs",
            "use crate::clock; use super::super::wire;",
        ),
        (
            "src/sim/server/hub.rs",
            "use crate::clock; use crate::sim::Exchange; use crate::venue::binance;",
        ),
        (
            "src/replay/play.rs",
            "use crate::journal::state::Kept; use crate::{guard::Guard, venue::binance};",
        ),
        (
            "src/exec.rs",
            "use crate::{clock, venue::binance, guard::Guard, model::Intent};",
        ),
        (
            "src/run.rs",
            "use crate::{config, clock, exec, serve, alert, journal, replay, sim, venue};",
        ),
        (
            "src/cli/run.rs",
            "use crate::{run, config, clock, sim::Scenario};",
        ),
        (
            "src/config/x.rs",
            "use crate::policy::spec::Kind; use crate::model::Qty;",
        ),
        (
            "src/policy/x.rs",
            "mod tests { use super::*; use super::super::x; }",
        ),
        ("src/lib.rs", "pub mod attic;"),
        ("tests/boundary.rs", "use backstop::guard::Guard;"),
    ] {
        assert_eq!(sins(path, text), Vec::<String>::new(), "{path}: {text}");
    }
}
