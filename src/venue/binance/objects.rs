//! Tests over the objects of every fixture: keys that are new, moved, doubled or not there (PA-04), and numbers that are
//! none (PA-06).
//!
//! `fixtures/frames/keys.txt` says for every text which keys it needs, and what is unknown without the others that are
//! read. A key that is needed no more is a number taken for granted: a change of that page is to be reviewed.

use super::fixtures::{cancel, events, fixture, kind, names, received, reduce};
use super::outcome;
use super::request::Mutation;
use super::session::Session;
use super::stream;
use crate::event::{CalledPosition, Event, Outcome};
use crate::model::{Intent, Store, Symbol, exact};
use crate::venue::Via;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A text whose objects may have a key twice, in any order.
#[derive(Clone)]
enum Tree {
    Object(Fields),
    Array(Vec<Tree>),
    Leaf(String),
}

type Fields = Vec<(String, Tree)>;

impl From<&Value> for Tree {
    fn from(value: &Value) -> Tree {
        match value {
            Value::Object(fields) => Tree::Object(
                fields
                    .iter()
                    .map(|(key, value)| (key.clone(), value.into()))
                    .collect(),
            ),
            Value::Array(items) => Tree::Array(items.iter().map(Tree::from).collect()),
            leaf => Tree::Leaf(leaf.to_string()),
        }
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, parts, close): (_, Vec<String>, _) = match self {
            Tree::Object(fields) => {
                let parts = fields.iter().map(|(key, value)| format!("\"{key}\":{value}"));
                ("{", parts.collect(), "}")
            }
            Tree::Array(items) => ("[", items.iter().map(Tree::to_string).collect(), "]"),
            Tree::Leaf(text) => return f.write_str(text),
        };
        write!(f, "{open}{}{close}", parts.join(","))
    }
}

impl Tree {
    fn of(name: &str) -> Tree {
        Tree::from(&serde_json::from_str::<Value>(&fixture(name)).unwrap())
    }

    /// The same with the keys of every object the other way round.
    fn reversed(&self) -> Tree {
        match self {
            Tree::Object(fields) => {
                let fields = fields.iter().rev();
                Tree::Object(
                    fields
                        .map(|(key, value)| (key.clone(), value.reversed()))
                        .collect(),
                )
            }
            Tree::Array(items) => Tree::Array(items.iter().map(Tree::reversed).collect()),
            Tree::Leaf(text) => Tree::Leaf(text.clone()),
        }
    }

    /// Every tree in which one field of one object was changed, by the place of the field: `a.B[].wb`.
    fn changed(&self, place: &str, change: &dyn Fn(&mut Fields, usize)) -> Vec<(String, Tree)> {
        match self {
            Tree::Leaf(_) => vec![],
            Tree::Array(items) => {
                let inside = format!("{place}[]");
                let of = |index: usize, item: Tree| {
                    let mut items = items.clone();
                    items[index] = item;
                    Tree::Array(items)
                };
                let all = items.iter().enumerate().flat_map(|(index, item)| {
                    let changed = item.changed(&inside, change).into_iter();
                    changed.map(move |(place, item)| (place, of(index, item)))
                });
                all.collect()
            }
            Tree::Object(fields) => {
                let mut all = Vec::new();
                for (index, (key, value)) in fields.iter().enumerate() {
                    let dot = if place.is_empty() { "" } else { "." };
                    let place = format!("{place}{dot}{key}");
                    let mut own = fields.clone();
                    change(&mut own, index);
                    all.push((place.clone(), Tree::Object(own)));
                    for (place, value) in value.changed(&place, change) {
                        let mut fields = fields.clone();
                        fields[index].1 = value;
                        all.push((place, Tree::Object(fields)));
                    }
                }
                all
            }
        }
    }
}

/// What a text is read as: everything of it, and how much of it was refused.
#[derive(PartialEq)]
struct Told {
    all: String,
    refused: u64,
    rows: Vec<String>,
}

impl Told {
    /// Whether less was taken than of the honest text, and it was said that something is wrong or left out.
    fn is_refusal_of(&self, honest: &Told) -> bool {
        // Tables leave out the rows that they cannot read: `rules 2` instead of `rules 3`.
        let is_table = |row: &String| {
            ["rules", "tiers", "indexes", "margin types"]
                .iter()
                .any(|table| row.starts_with(table))
        };
        let is_shorter = honest.rows.iter().all(is_table) && self.rows < honest.rows;
        self.refused > honest.refused || is_shorter
    }
}

/// Reads a text in the place of a fixture, by whatever reads that fixture.
fn read(name: &str, text: &str) -> Told {
    let outcome = |mutation: &Mutation, status| {
        let outcome = outcome::classify(mutation, status, text);
        let refused = u64::from(matches!(outcome, Outcome::Unknown(_)));
        (format!("{outcome:#?}"), refused)
    };
    let symbol = Symbol::new("BTCUSDT").unwrap();
    let (all, refused) = match name {
        "answer-order-result" => outcome(&reduce(), 200),
        "answer-order-refused" => outcome(&reduce(), 400),
        "answer-cancel-order" => outcome(&cancel(Store::Regular), 200),
        "answer-cancel-algo" => outcome(&cancel(Store::Conditional), 200),
        "answer-cancel-all" => outcome(&Mutation::from_intent(&Intent::CancelAll(symbol)), 200),
        "answer-listen-key" => {
            let key = stream::listen_key(text);
            (format!("{key:#?}"), u64::from(key.is_none()))
        }
        "rest-time" => {
            let time = stream::server_time(text);
            (format!("{time:#?}"), u64::from(time.is_none()))
        }
        _ => return read_events(name, text),
    };
    Told {
        all,
        refused,
        rows: vec![],
    }
}

fn read_events(name: &str, text: &str) -> Told {
    let (mut session, mut whole) = (Session::new(), received(name).unwrap());
    match &mut whole.via {
        Via::Private(body) | Via::Market(body) | Via::Rest { body, .. } => *body = text.to_owned(),
        Via::Link(_) => {}
    }
    let halves = ["rest-account", "rest-position-risk"];
    if let Some(other) = halves
        .iter()
        .find(|_| halves.contains(&name))
        .map(|_| halves[usize::from(name == halves[0])])
    {
        session.take(&received(other).unwrap());
    }
    let got = events(&mut session, &whole);
    let is_error = |event: &&Event| matches!(event, Event::Unknown(_) | Event::ReadFailed(_));
    let errors = got.iter().filter(is_error).count();
    Told {
        all: format!("{got:#?}"),
        refused: u64::try_from(errors).unwrap() + session.dropped(),
        rows: got.iter().map(kind).collect(),
    }
}

/// The first line in which two tellings differ, one beside the other.
fn difference(honest: &Told, got: &Told) -> String {
    let lines = |told: &Told| {
        told.all
            .lines()
            .map(str::trim)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let (honest, got) = (lines(honest), lines(got));
    let at = honest.iter().zip(&got).take_while(|(a, b)| a == b).count();
    format!("{} -> {}", honest[at], got[at])
}

/// The keys that a text needs, and what is unknown without the others that are read.
#[derive(Default)]
struct Keys {
    needed: BTreeSet<String>,
    optional: BTreeMap<String, String>,
}

impl Keys {
    fn of(name: &str) -> Keys {
        let (tree, mut keys) = (Tree::of(name), Keys::default());
        let honest = read(name, &tree.to_string());
        for (place, without) in tree.changed("", &|fields, index| drop(fields.remove(index))) {
            let got = read(name, &without.to_string());
            if got.is_refusal_of(&honest) {
                keys.needed.insert(place);
            } else if got.all != honest.all {
                keys.optional.insert(place, difference(&honest, &got));
            }
        }
        keys
    }

    fn is_read(&self, place: &str) -> bool {
        self.needed.contains(place) || self.optional.contains_key(place)
    }
}

#[test]
fn pa_04_keys_that_are_new_or_moved_change_nothing() {
    for name in names() {
        let (honest, tree) = (read(&name, &fixture(&name)), Tree::of(&name));
        for text in [tree.to_string(), tree.reversed().to_string()] {
            assert_eq!(read(&name, &text).all, honest.all, "{name}: {text}");
        }
        let new = || {
            (
                "new".to_owned(),
                Tree::Leaf(r#"{"e":[null,{"a":1}],"s":-0.5}"#.to_owned()),
            )
        };
        for before in [true, false] {
            for (place, more) in tree.changed("", &|fields, index| {
                fields.insert(if before { index } else { index + 1 }, new());
            }) {
                assert_eq!(
                    read(&name, &more.to_string()).all,
                    honest.all,
                    "{name}: beside {place}"
                );
            }
        }
    }
}

/// Whether what only adds to the rest is absent.
pub(super) fn is_absent(got: &[Event], honest: &[Event]) -> bool {
    match (got, honest) {
        ([Event::Holdings(got)], [Event::Holdings(all)]) => {
            let is_whole = got.balances == all.balances && got.positions == all.positions;
            let lacks = got.claims.is_none() || got.marks.is_empty();
            is_whole && (lacks || got.liquidations.len() < all.liquidations.len())
        }
        ([Event::Marks(got)], [Event::Marks(all)]) => {
            let alone = got.iter().map(|mark| (&mark.symbol, mark.price));
            alone.eq(all.iter().map(|mark| (&mark.symbol, mark.price)))
        }
        ([Event::MarginCall(call)], _) => {
            let lacks = |held: &CalledPosition| held.mark.is_none() || held.maintenance.is_none();
            call.cross_wallet.is_none() || call.positions.iter().any(lacks)
        }
        _ => false,
    }
}

#[test]
fn pa_04_what_is_not_there_is_an_error_or_unknown_and_never_taken_for_granted() {
    let mut found = String::new();
    for name in names() {
        let keys = Keys::of(&name);
        let needed: Vec<&str> = keys.needed.iter().map(String::as_str).collect();
        found.push_str(&format!("{name}\n  needs {}\n", needed.join(" ")));
        for (place, without) in &keys.optional {
            found.push_str(&format!("  without {place}: {without}\n"));
        }
    }
    let known = include_str!("../../../fixtures/frames/keys.txt");
    for (known, found) in known.lines().zip(found.lines()) {
        assert_eq!(known, found);
    }
    assert_eq!(known, found, "all of it:\n{found}");
}

#[test]
fn pa_04_a_key_that_is_read_and_stands_there_twice_is_an_error() {
    let mut refused = 0;
    for name in names() {
        let (tree, keys) = (Tree::of(&name), Keys::of(&name));
        let honest = read(&name, &tree.to_string());
        if honest.refused > 0 {
            continue;
        }
        let doubled = tree.changed("", &|fields, index| {
            let field = fields[index].clone();
            fields.push(field);
        });
        for (place, text) in doubled {
            let got = read(&name, &text.to_string());
            if keys.is_read(&place) {
                assert!(got.is_refusal_of(&honest), "{name}: {place} twice is {}", got.all);
                refused += 1;
            } else {
                let is_fine = got.all == honest.all || got.is_refusal_of(&honest);
                assert!(is_fine, "{name}: {place} twice is {}", got.all);
            }
        }
    }
    assert!(refused > 200, "{refused}");
}

#[test]
fn pa_06_a_number_that_is_none_is_an_error_or_as_good_as_absent() {
    let digits = "9".repeat(10_000);
    let absurd = [
        "\"1e400\"",
        "1e400",
        "\"1e-400\"",
        "1e-400",
        "\"NaN\"",
        "\"Infinity\"",
        "\"-Infinity\"",
        &digits,
        &format!("\"{digits}\""),
    ];
    let mut refused = 0;
    for name in names() {
        let (tree, keys) = (Tree::of(&name), Keys::of(&name));
        let honest = read(&name, &tree.to_string());
        let is_number = |leaf: &str| exact(leaf.trim_matches('"')).is_ok();
        // Of these answers it only matters that there is a number or a code.
        let is_bare = ["market-subscribed", "market-refused"].contains(&name.as_str());
        let whole = tree.to_string();
        let (mut touched, mut noticed) = (BTreeSet::new(), BTreeSet::new());
        for number in absurd {
            let texts = tree.changed("", &|fields, index| {
                if let Tree::Leaf(leaf) = &mut fields[index].1
                    && is_number(leaf)
                {
                    *leaf = number.to_owned();
                }
            });
            for (place, text) in texts {
                let got = read(&name, &text.to_string());
                let is_unread = got.all == honest.all;
                let is_absent = keys.optional.get(&place) == Some(&difference_or_none(&honest, &got));
                // A mark that cannot be read is none, and what it is for is then unknown.
                let is_no_mark = place == "[].markPrice" && got.all.contains("marks: [],");
                let is_refused = got.is_refusal_of(&honest);
                refused += u32::from(is_refused);
                let shown = &number[..number.len().min(20)];
                assert!(
                    is_unread || is_refused || is_absent || is_no_mark,
                    "{name}: {place} {shown} is {}",
                    got.all
                );
                if keys.is_read(&place) && !is_bare && text.to_string() != whole {
                    touched.insert(place.clone());
                    if !is_unread {
                        noticed.insert(place);
                    }
                }
            }
        }
        assert_eq!(touched, noticed, "{name}");
    }
    assert!(refused > 500, "{refused}");
}

fn difference_or_none(honest: &Told, got: &Told) -> String {
    if honest.all == got.all {
        String::new()
    } else {
        difference(honest, got)
    }
}
