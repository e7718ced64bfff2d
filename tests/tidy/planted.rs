//! Planted violations: each rule is seen to bite, and what is allowed is seen to pass.

use super::rules::{LINES_MAX, check};

fn found(path: &str, source: &str) -> String {
    check(path, source).join("; ")
}

#[test]
fn a_room_uses_only_rooms_below_it() {
    for (path, source, expected) in [
        ("src/model/value.rs", "use crate::book::Book;", "book"),
        ("src/event.rs", "use crate::{model::Price, guard};", "guard"),
        (
            "src/book/mod.rs",
            "use crate::{model::{Price, Qty}, policy::Spec};",
            "policy",
        ),
        (
            "src/policy/spec.rs",
            "fn f() { crate::response::plan() }",
            "response",
        ),
        ("src/response/plan.rs", "pub(in crate::guard) fn f() {}", "guard"),
        ("src/guard.rs", "use crate::journal::Record;", "journal"),
        ("src/guard.rs", "use crate::clock::Clock;", "clock"),
        ("src/guard.rs", "use super::venue::Frame;", "venue"),
        ("src/book/margin.rs", "use super::super::run::Loop;", "run"),
        ("src/book/margin.rs", "use super::super::{Book, cli};", "cli"),
        ("src/venue/binance/parse.rs", "use crate::book::Book;", "book"),
        ("src/venue/binance/parse.rs", "use crate::clock::now;", "clock"),
        (
            "src/venue/binance/client/mod.rs",
            "use crate::exec::Exec;",
            "exec",
        ),
        ("src/serve/mod.rs", "use crate::venue::Venue;", "venue"),
        ("src/exec.rs", "use crate::run::Loop;", "run"),
        ("src/sim/server.rs", "use crate::exec::Exec;", "exec"),
        ("src/sim/exchange.rs", "use crate::clock::Clock;", "clock"),
        ("src/replay/mod.rs", "use crate::clock::now;", "clock"),
        ("src/config/load.rs", "use crate::run::Loop;", "run"),
        ("src/run/mod.rs", "use crate::cli::Cli;", "cli"),
    ] {
        let room = path["src/".len()..].split(['/', '.']).next().unwrap_or_default();
        assert_eq!(
            found(path, source),
            format!("{path}:1: `{room}` may not use `{expected}`"),
            "{source}"
        );
    }
}

#[test]
fn a_room_is_drawn_before_it_is_built_and_names_what_it_uses() {
    let undrawn = "src/attic/mod.rs: `attic` is no room of the house: draw it before building it";
    assert_eq!(found("src/attic/mod.rs", ""), undrawn);
    for source in ["\nuse crate::*;", "\nuse crate::{self as house};"] {
        let expected = "src/book/mod.rs:2: `book` takes the whole crate: name what it uses";
        assert_eq!(found("src/book/mod.rs", source), expected, "{source}");
    }
}

#[test]
fn what_is_drawn_passes() {
    for (path, source) in [
        ("src/lib.rs", "pub mod model;"),
        ("src/main.rs", "use backstop::cli;"),
        (
            "src/book/mod.rs",
            "use crate::{event::Event, model::Price};\nuse crate::book::orders;",
        ),
        (
            "src/book/margin.rs",
            "use super::Book;\nmod tests { use super::super::orders; }",
        ),
        ("src/guard.rs", "mod tests { use super::*; use super::Guard; }"),
        (
            "src/guard.rs",
            "//! Not `crate::venue`, as [`x`](crate::venue::X) shows.\nlet s = \"crate::venue\";",
        ),
        (
            "src/guard.rs",
            "pub(crate) fn f() {}\nmacro_rules! m { () => { $crate::model::Price } }",
        ),
        (
            "src/venue/binance/client/http.rs",
            "use crate::clock::Clock; use std::net::TcpStream; use tokio::net;",
        ),
        ("src/venue/binance/client.rs", "use crate::clock::Clock;"),
        (
            "src/sim/server.rs",
            "use crate::clock::Clock; use tokio::net::TcpListener;",
        ),
        ("src/sim/server/hub.rs", "use crate::clock::Clock;"),
        (
            "src/exec.rs",
            "use crate::{venue::Venue, clock::Clock, guard::Guard};",
        ),
        (
            "src/replay/mod.rs",
            "use crate::journal::state; use crate::venue::Frame;",
        ),
        (
            "src/config/mod.rs",
            "use crate::policy::Spec; use crate::model::Ratio;",
        ),
        (
            "src/run/mod.rs",
            "use crate::{sim::Server, config::Config, clock::Clock};",
        ),
        ("src/cli/run.rs", "use crate::{run, config, replay, venue, sim};"),
        (
            "tests/any/mod.rs",
            "use backstop::cli; let x: f64 = 1.0; use tokio::net;",
        ),
    ] {
        assert_eq!(found(path, source), "", "{path}: {source}");
    }
}

#[test]
fn nothing_above_the_purity_line_knows_the_world() {
    for (source, expected) in [
        ("use tokio::sync::mpsc;", "tokio"),
        ("use std::time::Instant;", "Instant"),
        ("use std::time::{Duration, SystemTime};", "SystemTime"),
        ("use std::net::IpAddr;", "std::net"),
        ("use std::{collections::BTreeMap, fs};", "std::fs"),
        ("fn f() { ::std::env::var(X) }", "std::env"),
        ("std::thread::sleep(d)", "std::thread"),
        ("std::process::exit(1)", "std::process"),
        ("use reqwest::Client;", "reqwest"),
        ("let n = rand::random();", "rand"),
        ("use std::collections::HashMap;", "HashMap"),
        ("use std::collections::{HashSet, BTreeMap};", "HashSet"),
        ("fn f(x: f32) {}", "f32"),
        ("let x = y as f64;", "f64"),
        ("let x = 1.5f64;", "1.5f64"),
    ] {
        for room in [
            "model", "event", "book", "policy", "response", "guard", "venue", "sim",
        ] {
            let path = format!("src/{room}/x.rs");
            let expected =
                format!("{path}:1: `{expected}` in a pure part: `{room}` is told, it does not ask");
            assert_eq!(found(&path, source), expected, "{source}");
        }
        for path in [
            "src/exec.rs",
            "src/run/mod.rs",
            "src/venue/binance/client/http.rs",
        ] {
            assert_eq!(found(path, source), "", "{path}: {source}");
        }
    }
}

#[test]
fn the_pure_parts_below_the_line_may_log() {
    let source = "tracing::error!(\"x\");";
    for (path, passes) in [
        ("src/guard.rs", false),
        ("src/model/value.rs", false),
        ("src/sim/exchange.rs", true),
        ("src/venue/binance/parse.rs", true),
    ] {
        assert_eq!(found(path, source).is_empty(), passes, "{path}");
    }
}

#[test]
fn words_that_only_look_like_the_world_pass() {
    for source in [
        "// an f64 would lose cents",
        "/// Not a [`HashMap`].\nstruct Instants;",
        "let operand = 0x1f64; let random = 1;",
        "use std::time::Duration; use std::collections::BTreeMap;",
        "let s = \"tokio\";",
        "fn fs(net: u8, env: u8) {}",
    ] {
        assert_eq!(found("src/book/mod.rs", source), "", "{source}");
    }
}

#[test]
fn a_file_is_one_idea_long() {
    for path in ["src/guard.rs", "tests/x/mod.rs"] {
        assert_eq!(found(path, &"\n".repeat(LINES_MAX)), "", "{path}");
        let expected = format!("{path}: 601 lines, more than 600: find the second idea in it");
        assert_eq!(found(path, &"\n".repeat(LINES_MAX + 1)), expected, "{path}");
    }
}

#[test]
fn unfinished_work_is_found() {
    for (source, expected) in [
        ("fn f() { todo!() }", "`todo!`"),
        ("fn f() { unimplemented!(\"later\") }", "`unimplemented!`"),
        ("#[test]\n#[ignore]\nfn f() {}", "`#[ignore]`"),
        ("#[test]\n#[ignore = \"slow\"]\nfn f() {}", "`#[ignore]`"),
    ] {
        for path in ["src/run/mod.rs", "src/model/value.rs", "tests/x/mod.rs"] {
            let wrong = found(path, source);
            assert!(wrong.contains(expected), "{path}: {source}: {wrong}");
        }
    }
    for source in [
        "// todo!",
        "let todo = 1;",
        "#[must_use] fn ignore() {}",
        "let s = \"#[ignore] todo!()\";",
    ] {
        assert_eq!(found("src/run/mod.rs", source), "", "{source}");
    }
}
