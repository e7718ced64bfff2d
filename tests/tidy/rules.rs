//! The rules of the house as a pure function over a path and a text.
//!
//! Direction: `cli -> drill -> run -> {exec, serve, alert, journal, replay, sim} -> guard -> response -> policy -> book -> event
//! -> model`, and `{exec, sim, replay} -> venue -> {event, model}`. A room may use every room below it.

use super::code::{Token, tokens};

/// A longer file is more than one idea.
pub const LINES_MAX: usize = 600;

/// Every room and what it may use besides itself.
const ROOMS: [(&str, &[&str]); 19] = [
    ("model", &[]),
    ("event", &["model"]),
    ("book", &["event", "model"]),
    ("policy", &["book", "event", "model"]),
    ("response", &["policy", "book", "event", "model"]),
    ("guard", &["response", "policy", "book", "event", "model"]),
    ("venue", &["event", "model"]),
    ("clock", &["model"]),
    ("config", &["policy", "model"]),
    (
        "exec",
        &[
            "venue", "clock", "guard", "response", "policy", "book", "event", "model",
        ],
    ),
    (
        "serve",
        &["clock", "guard", "response", "policy", "book", "event", "model"],
    ),
    (
        "alert",
        &["clock", "guard", "response", "policy", "book", "event", "model"],
    ),
    (
        "journal",
        &["clock", "guard", "response", "policy", "book", "event", "model"],
    ),
    // A replay reads what a journal keeps, and never the time.
    (
        "replay",
        &[
            "journal", "venue", "guard", "response", "policy", "book", "event", "model",
        ],
    ),
    (
        "sim",
        &["venue", "guard", "response", "policy", "book", "event", "model"],
    ),
    // Policy tests: the guard against the embedded exchange, with nothing of the world between.
    (
        "trial",
        &[
            "journal", "replay", "sim", "venue", "config", "guard", "response", "policy", "book", "event",
            "model",
        ],
    ),
    (
        "run",
        &[
            "exec", "serve", "alert", "journal", "replay", "sim", "venue", "config", "clock", "guard",
            "response", "policy", "book", "event", "model",
        ],
    ),
    // The drill plays both sides: the real run, and the trader against it.
    (
        "drill",
        &[
            "run", "exec", "serve", "alert", "journal", "replay", "sim", "venue", "config", "clock", "guard",
            "response", "policy", "book", "event", "model",
        ],
    ),
    (
        "cli",
        &[
            "trial", "drill", "run", "exec", "serve", "alert", "journal", "replay", "sim", "venue", "config",
            "clock", "guard", "response", "policy", "book", "event", "model",
        ],
    ),
];

/// The rooms above the purity line.
const PURE: [&str; 6] = ["model", "event", "book", "policy", "response", "guard"];

/// What no pure room, and no pure part of another, may mention: the world, its time, its chance, and numbers that are not exact.
const WORLD: [&str; 10] = [
    "tokio",
    "reqwest",
    "rand",
    "tracing",
    "Instant",
    "SystemTime",
    "HashMap",
    "HashSet",
    "f32",
    "f64",
];

/// What no pure room may take from the standard library; a `fixtures.rs`, which is compiled for tests only, reads files.
const WORLD_STD: [&str; 5] = ["net", "fs", "env", "thread", "process"];

/// What is wrong with the file at `path`, one sentence each; empty when nothing is.
///
/// `path` is relative to the package, with `/` between its parts. Files below `src` obey every rule, files below `tests`
/// only those of length and of unfinished work.
pub fn check(path: &str, source: &str) -> Vec<String> {
    let code = tokens(source);
    let mut wrong = Vec::new();
    let lines = source.lines().count();
    if LINES_MAX < lines {
        wrong.push(format!(
            "{path}: {lines} lines, more than {LINES_MAX}: find the second idea in it"
        ));
    }
    unfinished(path, &code, &mut wrong);
    if let Some(inside) = path.strip_prefix("src/") {
        direction(path, inside, &code, &mut wrong);
        purity(path, inside, &code, &mut wrong);
    }
    wrong
}

fn unfinished(path: &str, code: &[Token], wrong: &mut Vec<String>) {
    for (index, token) in code.iter().enumerate() {
        let next = |ahead: usize| code.get(index + ahead).map_or("", |token| token.text.as_str());
        let what = match token.text.as_str() {
            "todo" | "unimplemented" if next(1) == "!" => format!("`{}!`", token.text),
            "#" if next(1) == "[" && next(2) == "ignore" => "`#[ignore]`".to_owned(),
            _ => continue,
        };
        wrong.push(format!("{path}:{}: {what}: finish it or take it out", token.line));
    }
}

fn direction(path: &str, inside: &str, code: &[Token], wrong: &mut Vec<String>) {
    let room = room_of(inside);
    if room == "lib" || room == "main" {
        return;
    }
    let Some((_, below)) = ROOMS.iter().find(|(name, _)| *name == room) else {
        wrong.push(format!(
            "{path}: `{room}` is no room of the house: draw it before building it"
        ));
        return;
    };
    let whole = |used: &Token| used.text == "*" || used.text == "self";
    for used in heads_after(code, "crate").into_iter().filter(whole) {
        wrong.push(format!(
            "{path}:{}: `{room}` takes the whole crate: name what it uses",
            used.line
        ));
    }
    for used in used_rooms(inside, code) {
        let name = used.text.as_str();
        let known = ROOMS.iter().any(|(other, _)| *other == name);
        let told_the_time = name == "clock" && is_outside(inside);
        if known && name != room && !below.contains(&name) && !told_the_time {
            wrong.push(format!("{path}:{}: `{room}` may not use `{name}`", used.line));
        }
    }
}

fn purity(path: &str, inside: &str, code: &[Token], wrong: &mut Vec<String>) {
    let room = room_of(inside);
    let pure_part = ["venue", "sim", "trial"].contains(&room) && !is_outside(inside);
    if !PURE.contains(&room) && !pure_part {
        return;
    }
    let suffixed = |word: &str| {
        word.starts_with(|first: char| first.is_ascii_digit())
            && !word.starts_with("0x")
            && (word.ends_with("f32") || word.ends_with("f64"))
    };
    let mut mentioned: Vec<(usize, String)> = code
        .iter()
        .filter(|token| WORLD.contains(&token.text.as_str()) || suffixed(&token.text))
        // Below the line a word to the log is no input.
        .filter(|token| !(pure_part && token.text == "tracing"))
        .map(|token| (token.line, token.text.clone()))
        .collect();
    for used in heads_after(code, "std") {
        let read_by_tests = used.text == "fs" && inside.ends_with("/fixtures.rs");
        if WORLD_STD.contains(&used.text.as_str()) && !read_by_tests {
            mentioned.push((used.line, format!("std::{}", used.text)));
        }
    }
    for (line, word) in mentioned {
        wrong.push(format!(
            "{path}:{line}: `{word}` in a pure part: `{room}` is told, it does not ask"
        ));
    }
}

/// The first part of the path below `src`: `book` of `book/margin.rs` and of `book.rs`.
fn room_of(inside: &str) -> &str {
    let first = inside.split('/').next().unwrap_or(inside);
    first.strip_suffix(".rs").unwrap_or(first)
}

/// The one part of a venue that does input and output, the one part of the embedded exchange, and the one part of the
/// policy tests that has threads.
fn is_outside(inside: &str) -> bool {
    let parts: Vec<&str> = inside.split(['/', '.']).collect();
    match parts.as_slice() {
        ["venue", _, part, ..] => *part == "client",
        ["sim", part, ..] => *part == "server",
        ["trial", part, ..] => *part == "suite",
        _ => false,
    }
}

/// The first names after `crate::`, and after a `super::` that climbs to the root of the crate.
fn used_rooms(inside: &str, code: &[Token]) -> Vec<Token> {
    let stem = inside.strip_suffix(".rs").unwrap_or(inside);
    let depth = stem.strip_suffix("/mod").unwrap_or(stem).split('/').count();
    let mut found = heads_after(code, "crate");
    for index in 0..code.len() {
        let continued = index
            .checked_sub(2)
            .and_then(|before| code.get(before))
            .is_some_and(|t| t.text == "super");
        let steps = (0..)
            .take_while(|step| text(code, index + 2 * step) == "super")
            .count();
        // A name of no room is never reported, so that a module written inside a file may climb to the file itself.
        if !continued && depth <= steps {
            found.extend(heads(code, index + 2 * steps - 1));
        }
    }
    found
}

/// The first names of the paths that start with `root`.
fn heads_after(code: &[Token], root: &str) -> Vec<Token> {
    (0..code.len())
        .filter(|index| text(code, *index) == root && text(code, *index + 1) == "::")
        .flat_map(|index| heads(code, index + 1))
        .collect()
}

/// The names that follow the `::` at `index`: one, or each first name of a group.
fn heads(code: &[Token], index: usize) -> Vec<Token> {
    if text(code, index) != "::" {
        return Vec::new();
    }
    if text(code, index + 1) != "{" {
        return code.get(index + 1).cloned().into_iter().collect();
    }
    let (mut found, mut depth, mut expected) = (Vec::new(), 0, false);
    for token in code.iter().skip(index + 1) {
        match token.text.as_str() {
            "{" => (depth, expected) = (depth + 1, depth == 0),
            "}" if depth == 1 => break,
            "}" => depth -= 1,
            "," => expected = depth == 1,
            _ if expected => {
                found.push(token.clone());
                expected = false;
            }
            _ => {}
        }
    }
    found
}

fn text(code: &[Token], index: usize) -> &str {
    code.get(index).map_or("", |token| token.text.as_str())
}
