//! A strict reader of one table: every key must be asked for, every value must be of the kind asked for.

use super::nearest::{list, suggestion};
use super::node::{Node, Place, Problems, Value};
use crate::model::Span;
use std::collections::{BTreeMap, BTreeSet};

/// A table while it is read.
pub(super) struct Fields<'n> {
    table: &'n BTreeMap<String, Node>,
    /// Where to point when something is missing.
    pub place: Place,
    /// What the table is, for messages: ``policy `margin` ``.
    pub what: String,
    asked: BTreeSet<&'static str>,
}

impl<'n> Fields<'n> {
    pub(super) fn new(
        table: &'n BTreeMap<String, Node>,
        place: Place,
        what: impl Into<String>,
    ) -> Fields<'n> {
        Fields {
            table,
            place,
            what: what.into(),
            asked: BTreeSet::new(),
        }
    }

    /// The value of a key, if it is there.
    pub(super) fn get(&mut self, name: &'static str) -> Option<&'n Node> {
        self.asked.insert(name);
        self.table.get(name)
    }

    /// The text of a key, if it is there and a text.
    pub(super) fn text(&mut self, name: &'static str, problems: &mut Problems) -> Option<&'n str> {
        self.get(name).and_then(|node| text(node, name, problems))
    }

    /// One of the words of a list.
    pub(super) fn choice<T: Copy>(
        &mut self,
        name: &'static str,
        words: &[(&'static str, T)],
        problems: &mut Problems,
    ) -> Option<T> {
        let node = self.get(name)?;
        choice(node, name, words, problems)
    }

    /// A yes or no.
    pub(super) fn flag(
        &mut self,
        name: &'static str,
        default: bool,
        problems: &mut Problems,
    ) -> Option<bool> {
        match self.get(name) {
            None => Some(default),
            Some(Node {
                value: Value::Bool(value),
                ..
            }) => Some(*value),
            Some(node) => {
                let message = format!("`{name}` is {}, not true or false", node.value.noun());
                problems.error(
                    &node.place,
                    "wrong-kind",
                    message,
                    "write true or false without quotes".to_owned(),
                );
                None
            }
        }
    }

    /// Notes that a key is missing.
    pub(super) fn missing(&self, name: &str, hint: impl Into<Option<String>>, problems: &mut Problems) {
        let message = format!("{} has no `{name}`", self.what);
        problems.error(&self.place, "missing-key", message, hint);
    }

    /// Notes every key that was not asked for. `elsewhere` may explain one.
    pub(super) fn finish(self, problems: &mut Problems, elsewhere: impl Fn(&str) -> Option<String>) {
        for (name, node) in self.table {
            if self.asked.contains(name.as_str()) {
                continue;
            }
            let hint = elsewhere(name).unwrap_or_else(|| suggestion(name, self.asked.iter().copied()));
            let message = format!("unknown key `{name}` in {}", self.what);
            problems.error(&node.key, "unknown-key", message, hint);
        }
    }
}

/// The text of a node.
pub(super) fn text<'n>(node: &'n Node, name: &str, problems: &mut Problems) -> Option<&'n str> {
    match &node.value {
        Value::Text(text) => Some(text),
        other => {
            let message = format!("`{name}` is {}, not a text", other.noun());
            problems.error(&node.place, "wrong-kind", message, "put it in quotes".to_owned());
            None
        }
    }
}

/// One of the words of a list.
pub(super) fn choice<T: Copy>(
    node: &Node,
    name: &str,
    words: &[(&'static str, T)],
    problems: &mut Problems,
) -> Option<T> {
    let written = text(node, name, problems)?;
    let found = words.iter().find(|(word, _)| *word == written);
    if found.is_none() {
        let known = words.iter().map(|(word, _)| *word);
        let message = format!(
            "`{}` is not a {name}; it is one of {}",
            short(written),
            list(known.clone())
        );
        let hint = super::nearest::nearest(written, known).map(|word| format!("did you mean `{word}`?"));
        problems.error(&node.place, "unknown-word", message, hint);
    }
    found.map(|(_, value)| *value)
}

/// A list of texts; a single text counts as a list of one when `alone` says so.
pub(super) fn texts<'n>(
    node: &'n Node,
    name: &str,
    problems: &mut Problems,
) -> Option<Vec<(&'n str, &'n Node)>> {
    match &node.value {
        Value::List(all) => {
            let read: Vec<_> = all
                .iter()
                .filter_map(|each| text(each, name, problems).map(|text| (text, each)))
                .collect();
            (read.len() == all.len()).then_some(read)
        }
        other => {
            let message = format!("`{name}` is {}, not a list", other.noun());
            problems.error(
                &node.place,
                "wrong-kind",
                message,
                format!("write {name} = [\"...\"]"),
            );
            None
        }
    }
}

/// A number as it was written, when it is a text or a whole number. A bare float has lost digits and is refused.
pub(super) fn number(node: &Node, name: &str, problems: &mut Problems) -> Option<String> {
    match &node.value {
        Value::Text(text) => Some(text.clone()),
        Value::Whole(whole) => Some(whole.to_string()),
        Value::Float(written) => {
            let message = format!("`{name}` is a bare decimal number, which loses digits");
            problems.error(
                &node.place,
                "bare-float",
                message,
                format!("put it in quotes: \"{}\"", short(written)),
            );
            None
        }
        other => {
            let message = format!("`{name}` is {}, not a number", other.noun());
            problems.error(&node.place, "wrong-kind", message, None);
            None
        }
    }
}

/// A length of time such as `250ms`, `15s`, `20m`, `1h` or `1h30m`.
pub(super) fn span(node: &Node, name: &str, problems: &mut Problems) -> Option<Span> {
    let written = match &node.value {
        Value::Whole(whole) => {
            let message = format!("`{name}` has no unit");
            problems.error(
                &node.place,
                "duration",
                message,
                format!("write \"{whole}s\" for seconds"),
            );
            return None;
        }
        _ => text(node, name, problems)?,
    };
    let read = parse_span(written);
    if read.is_none() {
        let message = format!("`{}` is not a length of time", short(written));
        let hint = "write it like \"250ms\", \"15s\", \"20m\" or \"1h30m\"".to_owned();
        problems.error(&node.place, "duration", message, hint);
    }
    read
}

/// Reads `1h30m`; `None` when it is not written so, or longer than a year.
pub(super) fn parse_span(written: &str) -> Option<Span> {
    /// No setting is longer than a year.
    const MS_MAX: i128 = 366 * 24 * 3_600_000;
    let plain = written.len() <= 32 && written.chars().all(|c| c.is_ascii_digit() || "hms".contains(c));
    let length: jiff::SignedDuration = written.parse().ok().filter(|_| plain)?;
    let ms = Some(length.as_millis()).filter(|ms| (0..=MS_MAX).contains(ms))?;
    i64::try_from(ms).ok().map(Span::from_ms)
}

/// The beginning of a text, for messages.
pub(super) fn short(text: &str) -> String {
    const LEN_MAX: usize = 60;
    match text.char_indices().nth(LEN_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or("")),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_read_as_people_write_them() {
        for (text, ms) in [
            ("15s", Some(15_000)),
            ("250ms", Some(250)),
            ("20m", Some(1_200_000)),
            ("1h", Some(3_600_000)),
            ("1h30m", Some(5_400_000)),
            ("0s", Some(0)),
            ("", None),
            ("15", None),
            ("-15s", None),
            ("1.5s", None),
            ("15 s", None),
            ("1d", None),
            ("s", None),
            ("30m1h", None),
            ("99999999999999999999h", None),
            ("9000h", None),
        ] {
            assert_eq!(parse_span(text).map(Span::ms), ms, "{text}");
        }
    }
}
