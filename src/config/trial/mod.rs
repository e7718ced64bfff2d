//! Policy tests as files: TOML, strict. Every mistake is reported, each with its place and a hint.
//!
//! Times are written from the test's start and are whole tenths of a second, the exchange's own pace.

mod expect;
mod order;
mod script;
mod step;
mod value;

pub use script::{Holding, Rules, Script};
pub use value::Number;

use super::diagnostic::{Diagnostics, position};
use super::fields::{Fields, texts};
use super::load::{read_policies, read_text};
use super::node::{Node, Place, Problems, Value, parse_toml};
use crate::model::Span;
use crate::policy::spec::PolicySet;
use rust_decimal::Decimal;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Tests of one file; more belong into a second file.
const TESTS_MAX: usize = 500;

/// Numbers by name, such as prices by symbol.
pub type ByName = BTreeMap<String, Decimal>;

/// A file of policy tests and the policies that it is about.
#[derive(Clone, Debug)]
pub struct TestFile {
    /// The file as it was named.
    pub name: String,
    /// The policy files, beside it.
    pub policies: Vec<PathBuf>,
    /// What they hold.
    pub set: PolicySet,
    /// The tests in their order.
    pub tests: Vec<Script>,
}

/// Something that happens.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Line in the file.
    pub line: usize,
    /// Since the start.
    pub at: Span,
    /// What.
    pub what: What,
}

/// What happens.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// Prices jump.
    Mark(ByName),
    /// Prices move in a straight line for this long.
    Ramp(ByName, Span),
    /// Money comes in, or goes out when negative, by asset.
    Transfer(ByName),
    /// Longs pay this share of their value, shorts get it, by symbol.
    Funding(ByName),
    /// The account trades at the present price.
    Fill(BotOrder),
    /// A bot places an order.
    Order(BotOrder),
    /// A bot cancels one order by its name, or all orders of a contract.
    Cancel {
        /// Contract.
        symbol: String,
        /// Name of the order.
        client_id: Option<String>,
    },
    /// The venue calls for margin on the positions of these contracts.
    MarginCall(Vec<String>),
    /// The streams are gone, or open and mute.
    Stream(Trouble, Span),
    /// Neither streams nor requests get through.
    Network(Span),
    /// The guard's process ends, orderly or not, and comes back after this long.
    Restart {
        /// Without a last save.
        crash: bool,
        /// Away for this long.
        gone: Span,
    },
    /// The machine sleeps for this long.
    Sleep(Span),
    /// The operator's kill switch.
    Kill {
        /// Close, or only block.
        flatten: bool,
        /// One contract, or everything.
        symbol: Option<String>,
    },
    /// The operator re-arms.
    Rearm {
        /// With a new baseline.
        rebase: bool,
        /// It must be refused.
        refused: bool,
    },
    /// The venue takes a share of a position.
    Adl {
        /// Contract.
        symbol: String,
        /// Share.
        fraction: Decimal,
    },
    /// The venue settles a contract: orders go, positions are closed at the mark.
    Settle(String),
    /// Trading in a contract stops.
    Halt(String),
    /// Trading goes on.
    Resume(String),
}

/// What is wrong with the streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// They are closed and cannot be opened.
    Down,
    /// They are open and tell nothing.
    Silent,
}

/// An order that is not the guard's.
#[derive(Clone, Debug, PartialEq)]
pub struct BotOrder {
    /// Contract.
    pub symbol: String,
    /// Whether it buys.
    pub buys: bool,
    /// `BOTH`, `LONG` or `SHORT`.
    pub position_side: String,
    /// `MARKET`, `LIMIT`, `STOP_MARKET` or `TAKE_PROFIT_MARKET`.
    pub kind: String,
    /// How much; `None` closes all.
    pub quantity: Option<Decimal>,
    /// Limit price.
    pub price: Option<Decimal>,
    /// Trigger price.
    pub trigger: Option<Decimal>,
    /// Reduce-only.
    pub reduce_only: bool,
    /// Its name.
    pub client_id: Option<String>,
    /// The venue must refuse it.
    pub refused: bool,
}

/// What must hold at the end of an instant.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expect {
    /// Line in the file.
    pub line: usize,
    /// Since the start.
    pub at: Span,
    /// Of this policy.
    pub policy: Option<String>,
    /// Its state.
    pub state: Option<String>,
    /// Its highest rung that tripped or is in force; `none` for none.
    pub rung: Option<String>,
    /// All its rungs that tripped or are in force, each action once, mildest first.
    pub rungs: Option<Vec<String>>,
    /// Its measurement.
    pub value: Option<Number>,
    /// What was sent, in any order.
    pub orders: Option<Vec<OrderPattern>>,
    /// No policy fired.
    pub nothing: bool,
    /// State of the account.
    pub account_state: Option<String>,
    /// Signed positions at the venue; contracts that are not named may be anything.
    pub position: ByName,
    /// Equity at the venue.
    pub equity: Option<Number>,
    /// Open orders at the venue, both stores.
    pub open_orders: Option<usize>,
}

/// A request that is expected: what is not given may be anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderPattern {
    /// `reduce`, `cancel`, `cancel_all`, `cancel_all_conditional`.
    pub kind: Option<String>,
    /// Contract.
    pub symbol: Option<String>,
    /// `BUY` or `SELL`.
    pub side: Option<String>,
    /// `BOTH`, `LONG` or `SHORT`.
    pub position_side: Option<String>,
    /// How much.
    pub quantity: Option<Decimal>,
}

/// Reads a file of policy tests and the policy files beside it that it names.
///
/// # Errors
///
/// [`Diagnostics`] with every mistake of all of them.
pub fn load(path: &Path) -> Result<TestFile, Diagnostics> {
    let name = path.display().to_string();
    let text = match read_text(path) {
        Ok(text) => text,
        Err(super::ConfigError::Invalid(found)) => return Err(found),
        Err(error) => return Err(Diagnostics::single(&name, "unreadable", error.to_string(), None)),
    };
    parse(&name, &text, |written| {
        let folder = path.parent().unwrap_or(Path::new(""));
        let files: Vec<PathBuf> = written.iter().map(|file| folder.join(file)).collect();
        read_policies(&files).map(|set| (files, set))
    })
}

/// Reads the text of a test file; `policies` reads what it names.
///
/// # Errors
///
/// [`Diagnostics`] with every mistake.
pub fn parse(
    name: &str,
    text: &str,
    policies: impl FnOnce(&[&str]) -> Result<(Vec<PathBuf>, PolicySet), Diagnostics>,
) -> Result<TestFile, Diagnostics> {
    let mut problems = Problems::new(name, text);
    let mut found = None;
    if let Some(root) = parse_toml(text, &mut problems) {
        let mut fields = Fields::new(&root, Place::File(0..0), "this test file");
        let named = match fields.get("policies") {
            Some(node) => texts(node, "policies", &mut problems),
            None => {
                let hint = "such as policies = [\"standard.toml\"], relative to this file".to_owned();
                fields.missing("policies", hint, &mut problems);
                None
            }
        };
        let nodes = list(&mut fields, "test", &mut problems);
        fields.finish(&mut problems, |_| None);
        let files: Vec<&str> = named.iter().flatten().map(|(file, _)| *file).collect();
        if !files.is_empty() {
            let (files, set) = policies(&files)?;
            let ids: BTreeSet<&str> = set.policies.iter().map(|policy| policy.id.as_str()).collect();
            let mut names = BTreeSet::new();
            let tests = nodes
                .iter()
                .take(TESTS_MAX)
                .filter_map(|node| script::read(node, &ids, &mut names, &mut problems))
                .collect();
            found = Some((files, set, tests));
        }
        if nodes.is_empty() && !problems.has_errors() || nodes.len() > TESTS_MAX {
            let message = format!("the file has {} tests, not 1 to {TESTS_MAX}", nodes.len());
            let hint = "each test begins with [[test]]".to_owned();
            problems.error(&Place::File(0..0), "tests", message, hint);
        }
    }
    match found {
        Some((policies, set, tests)) if !problems.has_errors() => Ok(TestFile {
            name: name.to_owned(),
            policies,
            set,
            tests,
        }),
        _ => {
            if !problems.has_errors() {
                let message = "the file names no policies".to_owned();
                problems.error(&Place::File(0..0), "policies", message, None);
            }
            Err(Diagnostics::new(name, text, problems.items))
        }
    }
}

/// The tables of a list; none when it is not there.
fn list<'n>(fields: &mut Fields<'n>, name: &'static str, problems: &mut Problems) -> &'n [Node] {
    match fields.get(name) {
        None => &[],
        Some(Node {
            value: Value::List(nodes),
            ..
        }) => nodes,
        Some(node) => {
            let message = format!("`{name}` is {}, not a list", node.value.noun());
            problems.error(&node.place, "wrong-kind", message, None);
            &[]
        }
    }
}

/// The table of a node.
fn table<'n>(node: &'n Node, what: &str, problems: &mut Problems) -> Option<&'n BTreeMap<String, Node>> {
    match &node.value {
        Value::Table(table) => Some(table),
        other => {
            let message = format!("{what} is {}, not a table", other.noun());
            let hint = "write it in braces: { ... }".to_owned();
            problems.error(&node.place, "wrong-kind", message, hint);
            None
        }
    }
}

fn line_of(node: &Node, problems: &Problems) -> usize {
    match &node.place {
        Place::File(span) => position(&problems.text, span.start).0,
        _ => 0,
    }
}
