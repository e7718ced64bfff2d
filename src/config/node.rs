//! A value of a file or another layer, with the place that it came from: what all readers here read.

use super::diagnostic::{Diagnostic, Severity, position};
use std::collections::BTreeMap;
use std::ops::Range;
use toml_edit::{ImDocument, Item, TableLike};

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the file, at these bytes.
    File(Range<usize>),
    /// In this environment variable.
    Environment(String),
    /// In this flag.
    Flag(&'static str),
    /// Nowhere: it is the default.
    Default,
}

/// A value, its place, and the place of its key.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub place: Place,
    pub key: Place,
    pub value: Value,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    Whole(i64),
    /// As it was written: a float has lost its digits.
    Float(String),
    Bool(bool),
    List(Vec<Node>),
    Table(BTreeMap<String, Node>),
    Date,
}

impl Value {
    /// What it is, for people.
    pub(super) fn noun(&self) -> &'static str {
        match self {
            Value::Text(_) => "a text",
            Value::Whole(_) => "a whole number",
            Value::Float(_) => "a decimal number",
            Value::Bool(_) => "true or false",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
            Value::Date => "a date",
        }
    }
}

/// The findings about one text while it is read.
pub(super) struct Problems {
    pub file: String,
    /// With secrets masked; as long as the original.
    pub text: String,
    pub items: Vec<Diagnostic>,
}

impl Problems {
    pub(super) fn new(file: &str, text: &str) -> Problems {
        Problems {
            file: file.into(),
            text: text.into(),
            items: Vec::new(),
        }
    }

    /// Notes an error.
    pub(super) fn error(
        &mut self,
        place: &Place,
        code: &'static str,
        message: String,
        hint: impl Into<Option<String>>,
    ) {
        self.note(Severity::Error, place, code, message, hint.into());
    }

    /// Notes a finding.
    pub(super) fn note(
        &mut self,
        severity: Severity,
        place: &Place,
        code: &'static str,
        message: String,
        hint: Option<String>,
    ) {
        let (file, line, column, span) = match place {
            Place::File(span) => {
                let span = self.within(span.clone());
                let (line, column) = position(&self.text, span.start);
                (self.file.clone(), line, column, Some(span))
            }
            Place::Environment(name) => (format!("environment variable {name}"), 0, 0, None),
            Place::Flag(name) => (format!("flag {name}"), 0, 0, None),
            Place::Default => (self.file.clone(), 0, 0, None),
        };
        self.items.push(Diagnostic {
            file,
            line,
            column,
            span,
            severity,
            code,
            message,
            hint,
        });
    }

    /// Overwrites the bytes at `place` with stars, so that no finding shows them.
    pub(super) fn mask(&mut self, place: &Place) {
        let Place::File(span) = place else { return };
        let span = self.within(span.clone());
        let hidden: String = self
            .text
            .get(span.clone())
            .unwrap_or("")
            .chars()
            .map(|c| {
                if c == '\n' {
                    "\n".to_owned()
                } else {
                    "*".repeat(c.len_utf8())
                }
            })
            .collect();
        self.text.replace_range(span, &hidden);
    }

    pub(super) fn has_errors(&self) -> bool {
        self.items.iter().any(|item| item.severity == Severity::Error)
    }

    /// The span, moved to character boundaries inside the text.
    fn within(&self, span: Range<usize>) -> Range<usize> {
        let mut start = span.start.min(self.text.len());
        while !self.text.is_char_boundary(start) {
            start -= 1;
        }
        let mut end = span.end.clamp(start, self.text.len());
        while !self.text.is_char_boundary(end) {
            end += 1;
        }
        start..end
    }
}

/// The root table of a TOML text; notes why it is none.
pub(super) fn parse_toml(text: &str, problems: &mut Problems) -> Option<BTreeMap<String, Node>> {
    match ImDocument::parse(text) {
        Ok(document) => Some(table(document.as_table(), text)),
        Err(error) => {
            let place = Place::File(error.span().unwrap_or(0..0));
            let message = error.message().lines().collect::<Vec<_>>().join("; ");
            problems.error(&place, "toml", format!("this is not TOML: {message}"), None);
            None
        }
    }
}

fn table(source: &dyn TableLike, text: &str) -> BTreeMap<String, Node> {
    let mut all = BTreeMap::new();
    for (name, _) in source.iter() {
        let Some((key, item)) = source.get_key_value(name) else {
            continue;
        };
        let key = key.span().map_or(Place::Default, Place::File);
        if let Some(node) = item_node(item, key, text) {
            all.insert(name.to_owned(), node);
        }
    }
    all
}

fn item_node(item: &Item, key: Place, text: &str) -> Option<Node> {
    let place = item.span().map_or_else(|| key.clone(), Place::File);
    let value = match item {
        Item::None => return None,
        Item::Value(value) => return Some(value_node(value, key, text)),
        Item::Table(inner) => Value::Table(table(inner, text)),
        Item::ArrayOfTables(inner) => Value::List(
            inner
                .iter()
                .map(|each| {
                    let place = each.span().map_or_else(|| key.clone(), Place::File);
                    Node {
                        key: place.clone(),
                        place,
                        value: Value::Table(table(each, text)),
                    }
                })
                .collect(),
        ),
    };
    // The span of a table is its header or its first key: enough to point at.
    Some(Node { place, key, value })
}

fn value_node(source: &toml_edit::Value, key: Place, text: &str) -> Node {
    let place = source.span().map_or_else(|| key.clone(), Place::File);
    let value = match source {
        toml_edit::Value::String(inner) => Value::Text(inner.value().clone()),
        toml_edit::Value::Integer(inner) => Value::Whole(*inner.value()),
        toml_edit::Value::Float(_) => {
            let written = source.span().and_then(|span| text.get(span)).unwrap_or("");
            Value::Float(written.to_owned())
        }
        toml_edit::Value::Boolean(inner) => Value::Bool(*inner.value()),
        toml_edit::Value::Datetime(_) => Value::Date,
        toml_edit::Value::Array(inner) => Value::List(
            inner
                .iter()
                .map(|each| value_node(each, place.clone(), text))
                .collect(),
        ),
        toml_edit::Value::InlineTable(inner) => Value::Table(table(inner, text)),
    };
    Node { place, key, value }
}
